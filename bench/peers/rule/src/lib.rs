//! The rule of the sample validator `range-check`, for guests that know nothing of Weir: its settings, read by its own code, and its
//! sentences. The bench compares every verdict, so that the two cannot come apart.

#[path = "../../../../validators/examples/range-check/src/settings.rs"]
mod settings;

use self::settings::{OnBreach, Settings, UnknownMetrics};

/// The rule, with what it was deployed with.
#[derive(Debug)]
pub struct Rule(Settings);

/// What it says of a reading.
#[derive(Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It passes.
    Accept,
    /// It passes, and is marked.
    Suspect,
    /// It is refused, for this reason.
    Reject(String),
}

impl Rule {
    /// Reads the configuration, a JSON object.
    pub fn new(config: &str) -> Result<Self, String> {
        let settings: Settings = serde_json::from_str(config).map_err(|error| format!("the configuration is wrong: {error}"))?;
        settings.check()?;
        Ok(Self(settings))
    }

    /// Judges a number.
    pub fn judge(&self, metric: &str, number: f64) -> Verdict {
        let Some(limits) = self.0.limits.get(metric) else {
            return match self.0.unknown_metrics {
                UnknownMetrics::Accept => Verdict::Accept,
                UnknownMetrics::Reject => {
                    Verdict::Reject(format!("{metric} has no limits, and only metrics with limits are accepted"))
                }
            };
        };
        let (side, limit) = match (limits.min, limits.max) {
            (Some(min), _) if number < min => ("below", min),
            (_, Some(max)) if number > max => ("above", max),
            _ => return Verdict::Accept,
        };
        match limits.on_breach {
            OnBreach::Suspect => Verdict::Suspect,
            OnBreach::Reject => Verdict::Reject(format!("{metric} is {number}, {side} the limit of {limit}")),
        }
    }
}
