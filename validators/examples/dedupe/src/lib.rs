//! Drops repeated values: what is the same as before and comes soon after it is rejected.

mod settings;

use std::collections::BTreeMap;

use weir_validator_sdk::{BatchValidator, Before, Config, History, Reading, Value, Verdict, log, whole_readings};

use self::settings::{OnLookupFailure, Repeats, Settings};

/// The unit of a reading's time.
const MICROSECONDS: f64 = 1e6;

/// The validator: its settings are all it is made of.
struct Dedupe(Settings);

impl BatchValidator for Dedupe {
    fn new(config: Config<'_>) -> Result<Self, String> {
        let settings: Settings = config.parse()?;
        settings.check()?;
        Ok(Self(settings))
    }

    fn check(&self, readings: &[Reading<'_>]) -> Result<BTreeMap<usize, Verdict>, String> {
        let mut history = self.history(readings)?;
        let mut verdicts = BTreeMap::new();
        for whole in whole_readings(readings) {
            // A rejection takes the whole reading with it, so one new value saves the others.
            let repeats: Option<Vec<_>> =
                whole.iter().map(|place| Some((*place, self.repeat(&history, &readings[*place])?))).collect();
            match repeats {
                Some(repeats) => verdicts.extend(repeats),
                None => {
                    for place in &whole {
                        history.keep(&readings[*place]);
                    }
                }
            }
        }
        Ok(verdicts)
    }
}

impl Dedupe {
    /// What is stored of the metrics whose repeats are dropped.
    fn history<'a>(&self, readings: &'a [Reading<'a>]) -> Result<History<'a>, String> {
        let named = readings.iter().filter(|reading| self.0.metrics.contains_key(reading.metric));
        History::look_up(named).or_else(|problem| match self.0.on_lookup_failure {
            OnLookupFailure::Fail => Err(problem),
            OnLookupFailure::Ignore => {
                log::warn(format!("the first value of each sensor is not compared: {problem}"));
                Ok(History::new())
            }
        })
    }

    fn repeat(&self, history: &History<'_>, reading: &Reading<'_>) -> Option<Verdict> {
        self.0.metrics.get(reading.metric)?.repeat(&history.before(reading)?, reading)
    }
}

impl Repeats {
    /// The verdict on a value that repeats the one before.
    fn repeat(&self, before: &Before<'_>, reading: &Reading<'_>) -> Option<Verdict> {
        let seconds = seconds_between(before.time, reading.time);
        if before.unit != reading.unit || seconds >= self.max_age || !self.same(before.value, reading.value) {
            return None;
        }
        let Reading { metric, .. } = reading;
        let value = match before.value {
            Value::Number(number) => number.to_string(),
            Value::Bool(on) => on.to_string(),
            // The text itself may be long: the sender knows it.
            Value::Text(_) => "the same text".to_owned(),
        };
        Some(Verdict::reject(format!("{metric} is still {value}, as {seconds} s before")))
    }

    fn same(&self, before: Value<'_>, now: Value<'_>) -> bool {
        match (before, now) {
            // What the difference of two numbers may be off by, so that 1.1 is no further than 0.1 from 1.0.
            (Value::Number(before), Value::Number(now)) => {
                let rounding = if self.tolerance > 0.0 { 2.0 * f64::EPSILON * before.abs().max(now.abs()) } else { 0.0 };
                (now - before).abs() <= self.tolerance + rounding
            }
            _ => before == now,
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "exact for 285 years, and near enough after them")]
fn seconds_between(before: i64, after: i64) -> f64 {
    after.abs_diff(before) as f64 / MICROSECONDS
}

weir_validator_sdk::export_batches!(Dedupe);

#[cfg(test)]
mod tests;
