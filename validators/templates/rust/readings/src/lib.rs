//! Holds numbers to limits: what is outside is rejected.

use std::collections::HashMap;

use serde::Deserialize;
use weir_validator_sdk::{Config, Reading, Validator, Value, Verdict, log};

/// The configuration that the validator is deployed with. A misspelt name is an error, not a limit that never applies.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Limits {
    /// Metric to limits.
    limits: HashMap<String, Range>,
}

/// The range of a metric, its ends included.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Range {
    min: f64,
    max: f64,
}

impl Validator for Limits {
    /// Called once for each batch. An error fails the batch: it says what is wrong with the configuration.
    fn new(config: Config<'_>) -> Result<Self, String> {
        config.parse()
    }

    /// Called for each value of each reading.
    fn check(&self, reading: &Reading<'_>) -> Verdict {
        let (Some(range), Value::Number(number)) = (self.limits.get(reading.metric), reading.value) else {
            return Verdict::accept();
        };
        let (side, limit) = match number {
            _ if number < range.min => ("below", range.min),
            _ if number > range.max => ("above", range.max),
            _ => return Verdict::accept(),
        };
        let reason = format!("{} is {number}, {side} the limit of {limit}", reading.metric);
        log::info(format!("{}: {reason}", reading.sensor));
        Verdict::reject(reason)
    }
}

weir_validator_sdk::export!(Limits);

#[cfg(test)]
mod tests {
    use super::*;

    const CONFIG: &str = r#"{"limits": {"temperature": {"min": -40, "max": 85}}}"#;

    fn verdict(metric: &str, number: f64) -> Verdict {
        Limits::new(Config::new(CONFIG)).unwrap().check(&Reading::new(metric, number))
    }

    #[test]
    fn what_is_inside_is_accepted() {
        assert_eq!(verdict("temperature", 85.0), Verdict::accept());
        assert_eq!(verdict("humidity", 900.0), Verdict::accept());
    }

    #[test]
    fn what_is_outside_is_rejected_with_the_limit() {
        assert_eq!(verdict("temperature", 86.5).rejection(), Some("temperature is 86.5, above the limit of 85"));
        assert_eq!(verdict("temperature", -41.0).rejection(), Some("temperature is -41, below the limit of -40"));
    }

    #[test]
    fn a_wrong_configuration_is_named() {
        let wrong = Config::new(r#"{"limits": {"temperature": {"minimum": 0}}}"#);
        assert!(Limits::new(wrong).is_err_and(|problem| problem.contains("limits.temperature.minimum")));
    }
}
