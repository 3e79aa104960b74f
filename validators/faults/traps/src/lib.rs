//! Panics on every batch, which is a trap: Weir has to survive it and say so.

use weir_validator_sdk::bindings::{self, Batch, Guest, Outcome};

struct Fault;

impl Guest for Fault {
    #[expect(clippy::panic, reason = "it is what this guest is for")]
    fn check(_: Batch) -> Result<Outcome, String> {
        panic!("this guest always panics")
    }
}

bindings::export!(Fault);
