//! Validators that judge a batch as a whole: values beside each other, or beside what is stored.

use std::collections::BTreeMap;

use crate::bindings::{Batch, Outcome, batches as newer};
use crate::outcome::{note, unchanged};
use crate::rows::each_row;
use crate::{Config, Reading, Verdict};

/// Judges a batch of readings as a whole. [`Validator`](crate::Validator) is simpler where one value is enough to judge.
pub trait BatchValidator: Sized {
    /// Makes the validator from what it was deployed with, as [`Validator::new`](crate::Validator::new) does.
    fn new(config: Config<'_>) -> Result<Self, String>;

    /// Judges all values of a batch. The answer has a verdict for the place of each value in `readings` that is not accepted as it
    /// is. They are in no promised order; [`whole_readings`](crate::whole_readings) has one.
    ///
    /// An error is a sentence that says why the batch cannot be judged. The validator's error strategy then decides about all of it.
    fn check(&self, readings: &[Reading<'_>]) -> Result<BTreeMap<usize, Verdict>, String>;
}

/// Makes the validator from what it was deployed with and judges a batch. [`export_batches!`](crate::export_batches) calls it.
#[doc(hidden)]
pub fn run<V: BatchValidator>(batch: newer::Batch) -> Result<newer::Outcome, String> {
    let json = crate::bindings::weir::validator::config::json();
    let validator = V::new(Config::new(&json))?;
    judge_batch(&validator, &of_newer(batch)).map(into_newer)
}

/// Judges a batch with a validator that is there already: how a test sees what Weir will get.
pub fn judge_batch<V: BatchValidator>(validator: &V, batch: &Batch) -> Result<Outcome, String> {
    let mut readings = Vec::with_capacity(batch.time.len());
    each_row(batch, |_, reading| readings.push(*reading))?;
    let mut verdicts = validator.check(&readings)?;
    let mut outcome = unchanged();
    for (row, (place, reading)) in (0_u32..).zip(readings.iter().enumerate()) {
        if let Some(verdict) = verdicts.remove(&place) {
            note(&mut outcome, row, reading, verdict);
        }
    }
    match verdicts.first_key_value() {
        None => Ok(outcome),
        Some((place, _)) => Err(format!("the validator judged the value {place} of a batch of {}", readings.len())),
    }
}

/// The same columns: no version changes what is published.
fn of_newer(batch: newer::Batch) -> Batch {
    let newer::Batch { sensors, metrics, units, sensor, metric, unit, time, value, text } = batch;
    Batch { sensors, metrics, units, sensor, metric, unit, time, value, text }
}

fn into_newer(outcome: Outcome) -> newer::Outcome {
    let Outcome { rejected, suspect, value, text, unit, derived } = outcome;
    let rejected = rejected.into_iter().map(|one| newer::Rejection { row: one.row, reason: one.reason }).collect();
    let derived = derived.into_iter().map(|one| {
        let crate::bindings::Derived { row, metric, unit, value, text } = one;
        newer::Derived { row, metric, unit, value, text }
    });
    newer::Outcome { rejected, suspect, value, text, unit, derived: derived.collect() }
}

/// Makes the component's export of a type that is a [`BatchValidator`](crate::BatchValidator). Once per crate.
#[macro_export]
macro_rules! export_batches {
    ($validator:ty) => {
        const _: () = {
            struct Exported;

            impl $crate::bindings::batches::Guest for Exported {
                fn check(
                    batch: $crate::bindings::batches::Batch,
                ) -> ::core::result::Result<$crate::bindings::batches::Outcome, ::std::string::String> {
                    $crate::batches::run::<$validator>(batch)
                }
            }

    $crate::bindings::batches::export!(Exported with_types_in $crate::bindings::batches);
        };
    };
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rows;

    /// Suspects the values at the places that it has.
    struct Suspects(Vec<usize>);

    impl BatchValidator for Suspects {
        fn new(_: Config<'_>) -> Result<Self, String> {
            Ok(Self(vec![]))
        }

        fn check(&self, _: &[Reading<'_>]) -> Result<BTreeMap<usize, Verdict>, String> {
            Ok(self.0.iter().map(|place| (*place, Verdict::suspect())).collect())
        }
    }

    #[test]
    fn verdicts_keep_their_places() {
        let outcome = judge_batch(&Suspects(vec![3, 1]), &rows::tests::batch()).unwrap();
        assert_eq!(into_newer(outcome).suspect, [1, 3]);
    }

    #[test]
    fn a_verdict_on_a_value_that_is_not_there_is_an_error() {
        let problem = judge_batch(&Suspects(vec![4]), &rows::tests::batch()).unwrap_err();
        assert_eq!(problem, "the validator judged the value 4 of a batch of 4");
    }
}
