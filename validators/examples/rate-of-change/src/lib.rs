//! Holds the change of numbers per second to limits: what rises or falls faster is rejected or suspect.

mod settings;

use std::collections::BTreeMap;

use weir_validator_sdk::{BatchValidator, Before, Config, History, Reading, Value, Verdict, log, whole_readings};

use self::settings::{Limits, OnBreach, OnLookupFailure, Settings};

/// The unit of a reading's time.
const MICROSECONDS: f64 = 1e6;

/// The validator: its settings are all it is made of.
struct RateOfChange(Settings);

impl BatchValidator for RateOfChange {
    fn new(config: Config<'_>) -> Result<Self, String> {
        let settings: Settings = config.parse()?;
        settings.check()?;
        Ok(Self(settings))
    }

    fn check(&self, readings: &[Reading<'_>]) -> Result<BTreeMap<usize, Verdict>, String> {
        let mut history = self.history(readings)?;
        let mut verdicts = BTreeMap::new();
        for whole in whole_readings(readings) {
            let breaches: Vec<_> =
                whole.iter().filter_map(|place| Some((*place, self.breach(&history, &readings[*place])?))).collect();
            // What is not stored is not what the next value is compared with: one outlier must not condemn its successor.
            if !breaches.iter().any(|(_, verdict)| verdict.rejection().is_some()) {
                for place in &whole {
                    history.keep(&readings[*place]);
                }
            }
            verdicts.extend(breaches);
        }
        Ok(verdicts)
    }
}

impl RateOfChange {
    /// What is stored of the metrics that have limits.
    fn history<'a>(&self, readings: &'a [Reading<'a>]) -> Result<History<'a>, String> {
        let limited = readings.iter().filter(|reading| self.0.limits.contains_key(reading.metric));
        History::look_up(limited).or_else(|problem| match self.0.on_lookup_failure {
            OnLookupFailure::Fail => Err(problem),
            OnLookupFailure::Ignore => {
                log::warn(format!("the first value of each sensor is not compared: {problem}"));
                Ok(History::new())
            }
        })
    }

    fn breach(&self, history: &History<'_>, reading: &Reading<'_>) -> Option<Verdict> {
        self.0.limits.get(reading.metric)?.breach(&history.before(reading)?, reading)
    }
}

impl Limits {
    /// The verdict on a value that changed too fast. Numbers in different units are not compared, nor is what is no number.
    fn breach(&self, before: &Before<'_>, reading: &Reading<'_>) -> Option<Verdict> {
        let (Value::Number(from), Value::Number(to)) = (before.value, reading.value) else { return None };
        let seconds = seconds_between(before.time, reading.time);
        if before.unit != reading.unit || self.max_gap.is_some_and(|gap| seconds > gap) {
            return None;
        }
        let (verb, limit) = if to > from { ("rose", self.max_rise?) } else { ("fell", self.max_fall?) };
        // What the difference of two numbers may be off by, so that 1.1 after 1.0 is a rise by no more than 0.1.
        let rounding = 2.0 * f64::EPSILON * from.abs().max(to.abs());
        if (to - from).abs() <= limit * seconds + rounding {
            return None;
        }
        let metric = reading.metric;
        Some(match self.on_breach {
            OnBreach::Suspect => Verdict::suspect(),
            OnBreach::Reject => Verdict::reject(format!(
                "{metric} {verb} from {from} to {to} within {seconds} s, faster than the limit of {limit} a second"
            )),
        })
    }
}

#[expect(clippy::cast_precision_loss, reason = "exact for 285 years, and near enough after them")]
fn seconds_between(before: i64, after: i64) -> f64 {
    after.abs_diff(before) as f64 / MICROSECONDS
}

weir_validator_sdk::export_batches!(RateOfChange);

#[cfg(test)]
mod tests;
