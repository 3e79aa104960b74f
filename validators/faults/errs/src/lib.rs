//! Says of every batch that it cannot judge it: the error strategy decides.

use weir_validator_sdk::bindings::{self, Batch, Guest, Outcome};

struct Fault;

impl Guest for Fault {
    fn check(_: Batch) -> Result<Outcome, String> {
        Err("cannot judge this".to_owned())
    }
}

bindings::export!(Fault);
