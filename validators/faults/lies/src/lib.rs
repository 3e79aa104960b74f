//! Names rows that do not exist, in every list: Weir has to refuse the outcome.

use weir_validator_sdk::bindings::{self, Batch, Derived, Guest, Outcome, Rejection};

struct Fault;

impl Guest for Fault {
    fn check(batch: Batch) -> Result<Outcome, String> {
        let beyond = u32::try_from(batch.time.len()).unwrap_or(u32::MAX);
        Ok(Outcome {
            rejected: vec![Rejection { row: beyond, reason: "this row does not exist".to_owned() }],
            suspect: vec![u32::MAX],
            value: vec![(beyond, 1.0)],
            text: vec![(beyond, "no row".to_owned())],
            unit: vec![(beyond, "Cel".to_owned())],
            derived: vec![Derived { row: beyond, metric: "further".to_owned(), unit: String::new(), value: 1.0, text: None }],
        })
    }
}

bindings::export!(Fault);
