//! The readings that every line judges, and what must be said about them.
//!
//! A hundred sensors send a value for each of five metrics in turn. Values are random, from a fixed seed, and lie within their limits,
//! but for one reading in a hundred, the 51st, the 151st and so on.

use std::sync::Arc;

use bytes::Bytes;
use uuid::Uuid;
use weir::batch::{Batch, BatchBuilder, Quality, Reading, Refusal, Refuser, Row, Source, Value, Verdict};
use weir::model::ErrorStrategy;
use weir::rules::{Digest, Step, StepBounds};

use crate::failure::{Failure, Result};

/// What all lines are deployed with.
pub const CONFIG: &str = r#"{"limits": {"temperature": {"min": -40, "max": 85}, "humidity": {"min": 0, "max": 100},
    "pressure": {"min": 300, "max": 1100}, "co2": {"min": 0, "max": 5000}, "battery": {"min": 2.5, "max": 4.5}}}"#;

const SENSORS: usize = 100;
/// Metric, the least value and how far it goes above it, in hundredths, and the limit that it breaks where it does.
const METRICS: [(&str, u64, u64, f64); 5] = [
    ("temperature", 1_500, 2_000, 85.0),
    ("humidity", 2_000, 7_000, 100.0),
    ("pressure", 95_000, 10_000, 1_100.0),
    ("co2", 40_000, 100_000, 5_000.0),
    ("battery", 300, 120, 4.5),
];
/// Every so many readings one is out of its range.
const OUTSIDE_EACH: usize = 100;
const OUTSIDE_FIRST: usize = 50;
const SEED: u64 = 0x5eed;
/// 2026-11-01T00:00:00Z, in microseconds.
const FROM: i64 = 1_793_491_200_000_000;
/// The validator's name.
const VALIDATOR: &str = "range-check";
const STRATEGY: ErrorStrategy = ErrorStrategy::Quarantine;

/// A batch, and the verdict on each of its readings.
pub struct Sample {
    batch: Batch,
    verdicts: Vec<Verdict>,
}

impl Sample {
    /// So many readings.
    pub fn of(size: usize) -> Self {
        let mut builder = BatchBuilder::new(Some("bench".into()));
        let mut verdicts = Vec::with_capacity(size);
        let headers: Arc<[(String, Option<Bytes>)]> = Arc::new([]);
        let mut random = SEED;
        for (offset, number) in (0_i64..).zip(0..size) {
            let sensor = format!("sensor-{:04}", number / METRICS.len() % SENSORS);
            let (metric, least, range, limit) = METRICS[number % METRICS.len()];
            let outside = number % OUTSIDE_EACH == OUTSIDE_FIRST;
            let value = if outside { limit + 0.25 } else { hundredths(least + next(&mut random) % range) };
            let time = FROM + offset * 1_000;
            verdicts.push(if outside {
                refused(metric, format!("{metric} is {value}, above the limit of {limit}"))
            } else {
                Verdict::Accepted
            });
            let raw = format!(r#"{{"sensorId":"{sensor}","timestamp":{},"{metric}":{value}}}"#, time / 1_000);
            let source = Source::Kafka { partition: 0, offset, key: None, headers: Arc::clone(&headers) };
            let schema_ref = builder.schema_ref("");
            let reading = Reading { raw: raw.into(), source, schema_ref, quality: Quality::Good, verdict: Verdict::Accepted };
            builder.push(reading, &sensor, time, [Row { metric, unit: "", value: Value::Number(value) }]);
        }
        Self { batch: builder.build(), verdicts }
    }

    /// The batch, as it comes.
    pub fn batch(&self) -> &Batch {
        &self.batch
    }

    /// Its readings.
    pub fn size(&self) -> usize {
        self.verdicts.len()
    }

    /// That so many such batches were judged, and rightly.
    pub fn verify(&self, judged: &[Batch], count: usize) -> Result<()> {
        if judged.len() != count {
            return Err(Failure::new(format!("{} batches came back of {count}", judged.len())));
        }
        for batch in judged {
            let said = batch.readings().iter().map(|reading| &reading.verdict);
            let differing = said.clone().zip(&self.verdicts).find(|(said, right)| said != right);
            if let Some((said, right)) = differing {
                return Err(Failure::new(format!("a verdict is {said:?}, but must be {right:?}")));
            }
            if said.len() != self.verdicts.len() || batch.columns().value != self.batch.columns().value {
                return Err(Failure::new("readings were lost or changed"));
            }
        }
        Ok(())
    }
}

#[expect(clippy::cast_precision_loss, reason = "below 2^53")]
fn hundredths(number: u64) -> f64 {
    number as f64 / 100.0
}

/// `SplitMix64`.
fn next(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mixed = (*state ^ *state >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ mixed >> 31
}

/// A chain of the one validator.
pub fn step(digest: Digest) -> Step {
    Step {
        validator: Uuid::from_u128(1),
        name: VALIDATOR.into(),
        version: 1,
        digest,
        config: CONFIG.into(),
        strategy: STRATEGY,
        bounds: StepBounds::default(),
        lookup: false,
        schema: None,
        shadow: None,
    }
}

/// What Weir makes of a rejection, for the lines that are not Weir.
pub fn refuse(batch: &mut Batch, row: usize, reason: String) {
    let columns = batch.columns();
    let (reading, metric) = (columns.reading[row], &columns.metrics[columns.metric[row] as usize]);
    if let Verdict::Refused(refusal) = refused(metric, reason) {
        batch.refuse(reading, *refusal);
    }
}

fn refused(metric: &str, reason: String) -> Verdict {
    let by = Refuser::Validator(VALIDATOR.into());
    let path = Some(format!("/values/{metric}"));
    Verdict::Refused(Box::new(Refusal { by, reason, path, fault: false, strategy: STRATEGY }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_in_a_hundred_is_refused() {
        for (size, outside) in [(1, 0), (10, 0), (100, 1), (1_000, 10), (10_000, 100)] {
            let sample = Sample::of(size);
            let refused = sample.verdicts.iter().filter(|verdict| matches!(verdict, Verdict::Refused(_))).count();
            assert_eq!((sample.size(), refused), (size, outside));
        }
    }

    #[test]
    fn what_nobody_judged_does_not_pass() {
        let sample = Sample::of(100);
        let problem = sample.verify(&[sample.batch().clone()], 1).unwrap_err();
        assert!(problem.to_string().contains("a verdict is Accepted"), "{problem}");
    }
}
