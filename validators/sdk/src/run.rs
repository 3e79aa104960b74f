//! A validator's way through a batch.

use crate::bindings::{Batch, Outcome};
use crate::outcome::{note, unchanged};
use crate::rows::each_row;
use crate::{Config, Validator};

/// Makes the validator from what it was deployed with and judges a batch. [`export!`](crate::export) calls it.
///
/// Works only inside a component: on the host there is nobody to ask for the configuration. Tests use [`judge`].
pub fn run<V: Validator>(batch: &Batch) -> Result<Outcome, String> {
    let json = crate::bindings::weir::validator::config::json();
    judge(&V::new(Config::new(&json))?, batch)
}

/// Judges a batch with a validator that is there already: how a test sees what Weir will get.
pub fn judge<V: Validator>(validator: &V, batch: &Batch) -> Result<Outcome, String> {
    let mut outcome = unchanged();
    each_row(batch, |row, reading| note(&mut outcome, row, reading, validator.check(reading)))?;
    Ok(outcome)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Reading, Value, Verdict, rows};

    /// Rejects numbers below zero, turns text to upper case, suspects true.
    struct Mixed;

    impl Validator for Mixed {
        fn new(_: Config<'_>) -> Result<Self, String> {
            Ok(Self)
        }

        fn check(&self, reading: &Reading<'_>) -> Verdict {
            match reading.value {
                Value::Number(number) if number < 0.0 => Verdict::reject(format!("{} is {number}", reading.metric)),
                Value::Number(_) => Verdict::accept(),
                Value::Bool(_) => Verdict::suspect(),
                Value::Text(text) => Verdict::replace(text.to_uppercase()),
            }
        }
    }

    #[test]
    fn verdicts_keep_their_rows() {
        let outcome = judge(&Mixed, &rows::tests::batch()).unwrap();
        assert_eq!(outcome.suspect, [1]);
        assert_eq!(outcome.text, [(2, "ECO".to_owned())]);
        assert_eq!((outcome.rejected[0].row, outcome.rejected[0].reason.as_str()), (3, "temperature is -3"));
        assert_eq!(outcome.rejected.len(), 1);
        assert!(outcome.value.is_empty() && outcome.unit.is_empty() && outcome.derived.is_empty());
    }
}
