//! Accepts the first batch that an instance sees and rejects all rows of later ones: shows whether every batch gets a fresh
//! instance.

use std::sync::atomic::{AtomicU32, Ordering};

use weir_validator_sdk::bindings::{self, Batch, Guest, Outcome, Rejection};

static CALLS: AtomicU32 = AtomicU32::new(0);

struct Fault;

impl Guest for Fault {
    fn check(batch: Batch) -> Result<Outcome, String> {
        let rejected = match CALLS.fetch_add(1, Ordering::Relaxed) {
            0 => vec![],
            _ => (0_u32..).zip(&batch.time).map(|(row, _)| Rejection { row, reason: "called before".to_owned() }).collect(),
        };
        Ok(Outcome { rejected, suspect: vec![], value: vec![], text: vec![], unit: vec![], derived: vec![] })
    }
}

bindings::export!(Fault);
