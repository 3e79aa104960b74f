//! Rejects the first row twice, with different reasons: Weir has to refuse the outcome.

use weir_validator_sdk::bindings::{self, Batch, Guest, Outcome, Rejection};

struct Fault;

impl Guest for Fault {
    fn check(_: Batch) -> Result<Outcome, String> {
        let rejected = ["first reason", "second reason"].map(|reason| Rejection { row: 0, reason: reason.to_owned() }).to_vec();
        Ok(Outcome { rejected, suspect: vec![], value: vec![], text: vec![], unit: vec![], derived: vec![] })
    }
}

bindings::export!(Fault);
