//! Never comes back: Weir has to stop it when its time is up.

use weir_validator_sdk::bindings::{self, Batch, Guest, Outcome};

struct Fault;

impl Guest for Fault {
    fn check(_: Batch) -> Result<Outcome, String> {
        loop {
            // Keeps the compiler from seeing an empty loop.
            std::hint::black_box(());
        }
    }
}

bindings::export!(Fault);
