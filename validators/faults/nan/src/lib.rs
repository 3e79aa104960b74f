//! Replaces the number of the first row with NaN, which nobody can store: Weir has to refuse the outcome.

use weir_validator_sdk::bindings::{self, Batch, Guest, Outcome};

struct Fault;

impl Guest for Fault {
    fn check(_: Batch) -> Result<Outcome, String> {
        Ok(Outcome { rejected: vec![], suspect: vec![], value: vec![(0, f64::NAN)], text: vec![], unit: vec![], derived: vec![] })
    }
}

bindings::export!(Fault);
