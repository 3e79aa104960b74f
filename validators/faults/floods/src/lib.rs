//! Writes a million log lines, then accepts: Weir has to bound what it keeps and count the rest.

use weir_validator_sdk::bindings::{self, Batch, Guest, Outcome};

struct Fault;

impl Guest for Fault {
    fn check(_: Batch) -> Result<Outcome, String> {
        for line in 0..1_000_000 {
            weir_validator_sdk::log::info(format!("line {line}"));
        }
        Ok(Outcome { rejected: vec![], suspect: vec![], value: vec![], text: vec![], unit: vec![], derived: vec![] })
    }
}

bindings::export!(Fault);
