//! What the validator is deployed with.

// It is looked into for every reading, and the standard library's own hash would take as long as all else that is done about one.
// Whoever deploys the validator chooses the keys, so nobody gains by making them collide.
use foldhash::HashMap;
use serde::Deserialize;

/// The configuration as a whole.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct Settings {
    /// Metric to limits.
    pub(crate) limits: HashMap<String, Limits>,
    #[serde(default)]
    pub(crate) unknown_metrics: UnknownMetrics,
}

/// The range of a metric, its ends included.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct Limits {
    pub(crate) min: Option<f64>,
    pub(crate) max: Option<f64>,
    #[serde(default)]
    pub(crate) on_breach: OnBreach,
}

/// What becomes of a number outside its limits.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum OnBreach {
    #[default]
    Reject,
    Suspect,
}

/// What becomes of metrics without limits.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum UnknownMetrics {
    #[default]
    Accept,
    Reject,
}

impl Settings {
    /// Looks for limits that no number or every number keeps: somebody meant something else.
    pub(crate) fn check(&self) -> Result<(), String> {
        // The first by name, so that the same configuration always has the same error.
        let wrong = self.limits.iter().filter_map(|(metric, limits)| Some((metric, limits.problem()?))).min();
        wrong.map_or(Ok(()), |(metric, problem)| Err(format!("the configuration is wrong at `limits.{metric}`: {problem}")))
    }
}

impl Limits {
    fn problem(&self) -> Option<String> {
        match (self.min, self.max) {
            (None, None) => Some("give `min`, `max` or both".to_owned()),
            (Some(min), Some(max)) if min > max => Some(format!("`min` is {min}, above `max`, which is {max}")),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use weir_validator_sdk::Config;

    use super::*;

    fn problem(config: &str) -> String {
        Config::new(config).parse().and_then(|settings: Settings| settings.check()).unwrap_err()
    }

    #[test]
    fn a_wrong_configuration_is_a_sentence() {
        assert_eq!(
            problem(r#"{"limits": {"temperature": {"minimum": 3}}}"#),
            "the configuration is wrong at `limits.temperature.minimum`: unknown field `minimum`, expected one of `min`, `max`, `onBreach`"
        );
        assert_eq!(
            problem(r#"{"limits": {"temperature": {"min": 3, "onBreach": "ignore"}}}"#),
            "the configuration is wrong at `limits.temperature.onBreach`: unknown variant `ignore`, expected `reject` or `suspect`"
        );
    }

    #[test]
    fn limits_that_make_no_sense_are_refused() {
        assert_eq!(
            problem(r#"{"limits": {"temperature": {"min": 3, "max": 2}}}"#),
            "the configuration is wrong at `limits.temperature`: `min` is 3, above `max`, which is 2"
        );
        assert_eq!(
            problem(r#"{"limits": {"humidity": {}, "temperature": {}}}"#),
            "the configuration is wrong at `limits.humidity`: give `min`, `max` or both"
        );
    }
}
