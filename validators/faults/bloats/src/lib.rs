//! Rejects the first row with a reason of 50 MiB: Weir has to bound what it takes from a guest.

use weir_validator_sdk::bindings::{self, Batch, Guest, Outcome, Rejection};

struct Fault;

impl Guest for Fault {
    fn check(_: Batch) -> Result<Outcome, String> {
        let rejected = vec![Rejection { row: 0, reason: "x".repeat(50 << 20) }];
        Ok(Outcome { rejected, suspect: vec![], value: vec![], text: vec![], unit: vec![], derived: vec![] })
    }
}

bindings::export!(Fault);
