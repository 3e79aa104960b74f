//! Takes memory without end: Weir has to refuse it more than it may have.

use weir_validator_sdk::bindings::{self, Batch, Guest, Outcome};

struct Fault;

impl Guest for Fault {
    fn check(_: Batch) -> Result<Outcome, String> {
        let mut hoard = Vec::new();
        loop {
            // Written to and kept: memory that is only reserved costs the host nothing.
            hoard.push(std::hint::black_box(vec![0xA5_u8; 1 << 20]));
        }
    }
}

bindings::export!(Fault);
