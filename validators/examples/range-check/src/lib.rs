//! Holds numbers to limits: what is outside is rejected or suspect.

mod settings;

use weir_validator_sdk::{Config, Reading, Validator, Value, Verdict};

use self::settings::{Limits, OnBreach, Settings, UnknownMetrics};

/// The validator: its settings are all it is made of.
pub struct RangeCheck(Settings);

impl Validator for RangeCheck {
    fn new(config: Config<'_>) -> Result<Self, String> {
        let settings: Settings = config.parse()?;
        settings.check()?;
        Ok(Self(settings))
    }

    fn check(&self, reading: &Reading<'_>) -> Verdict {
        let Some(limits) = self.0.limits.get(reading.metric) else {
            return match self.0.unknown_metrics {
                UnknownMetrics::Accept => Verdict::accept(),
                UnknownMetrics::Reject => {
                    Verdict::reject(format!("{} has no limits, and only metrics with limits are accepted", reading.metric))
                }
            };
        };
        match reading.value {
            Value::Number(number) => limits.judge(reading.metric, number),
            Value::Bool(on) => Verdict::reject(format!("{} is {on}, but it has limits and must be a number", reading.metric)),
            // The text itself may be long: the sender knows it.
            Value::Text(_) => Verdict::reject(format!("{} is text, but it has limits and must be a number", reading.metric)),
        }
    }
}

impl Limits {
    fn judge(&self, metric: &str, number: f64) -> Verdict {
        let breach = match (self.min, self.max) {
            (Some(min), _) if number < min => ("below", min),
            (_, Some(max)) if number > max => ("above", max),
            _ => return Verdict::accept(),
        };
        match self.on_breach {
            OnBreach::Suspect => Verdict::suspect(),
            OnBreach::Reject => {
                let (side, limit) = breach;
                Verdict::reject(format!("{metric} is {number}, {side} the limit of {limit}"))
            }
        }
    }
}

weir_validator_sdk::export!(RangeCheck);

#[cfg(test)]
mod tests {
    use super::*;

    const CONFIG: &str = r#"{
        "limits": {
            "temperature": {"min": -40, "max": 85},
            "humidity": {"min": 0, "max": 100, "onBreach": "suspect"},
            "pressure": {"min": 0.5}
        }
    }"#;

    fn verdict(config: &str, reading: &Reading<'_>) -> Verdict {
        RangeCheck::new(Config::new(config)).unwrap().check(reading)
    }

    #[test]
    fn what_is_inside_is_accepted_limits_included() {
        for number in [-40.0, 0.0, 85.0] {
            assert_eq!(verdict(CONFIG, &Reading::new("temperature", number)), Verdict::accept());
        }
        assert_eq!(verdict(CONFIG, &Reading::new("pressure", 1e300)), Verdict::accept());
    }

    #[test]
    fn what_is_outside_is_rejected_with_the_limit() {
        let reason = |metric, number| verdict(CONFIG, &Reading::new(metric, number)).rejection().map(str::to_owned);
        assert_eq!(reason("temperature", 900.0).as_deref(), Some("temperature is 900, above the limit of 85"));
        assert_eq!(reason("temperature", -40.5).as_deref(), Some("temperature is -40.5, below the limit of -40"));
        assert_eq!(reason("pressure", 0.25).as_deref(), Some("pressure is 0.25, below the limit of 0.5"));
    }

    #[test]
    fn a_breach_may_be_suspect_only() {
        assert_eq!(verdict(CONFIG, &Reading::new("humidity", 101.0)), Verdict::suspect());
    }

    #[test]
    fn what_is_no_number_is_rejected_where_there_are_limits() {
        let text = verdict(CONFIG, &Reading::new("temperature", "hot"));
        assert_eq!(text.rejection(), Some("temperature is text, but it has limits and must be a number"));
        let boolean = verdict(CONFIG, &Reading::new("temperature", true));
        assert_eq!(boolean.rejection(), Some("temperature is true, but it has limits and must be a number"));
        assert_eq!(verdict(CONFIG, &Reading::new("mode", "eco")), Verdict::accept());
    }

    #[test]
    fn unknown_metrics_are_rejected_on_request() {
        let config = r#"{"limits": {}, "unknownMetrics": "reject"}"#;
        let refused = verdict(config, &Reading::new("mode", "eco"));
        assert_eq!(refused.rejection(), Some("mode has no limits, and only metrics with limits are accepted"));
    }
}
