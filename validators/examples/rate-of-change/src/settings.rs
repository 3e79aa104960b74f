//! What the validator is deployed with.

use std::collections::HashMap;

use serde::Deserialize;

/// The configuration as a whole.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct Settings {
    /// Metric to limits.
    pub(crate) limits: HashMap<String, Limits>,
    #[serde(default)]
    pub(crate) on_lookup_failure: OnLookupFailure,
}

/// How fast a metric may change, in its unit per second.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct Limits {
    pub(crate) max_rise: Option<f64>,
    pub(crate) max_fall: Option<f64>,
    /// Seconds after which a value says nothing about the next.
    pub(crate) max_gap: Option<f64>,
    #[serde(default)]
    pub(crate) on_breach: OnBreach,
}

/// What becomes of a number that changed too fast.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum OnBreach {
    #[default]
    Reject,
    Suspect,
}

/// What becomes of a batch where nobody can say what is stored.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq)]
#[serde(rename_all = "camelCase")]
pub(crate) enum OnLookupFailure {
    /// It fails.
    #[default]
    Fail,
    /// Its values are compared with each other alone.
    Ignore,
}

impl Settings {
    /// Looks for limits that make no sense: somebody meant something else.
    pub(crate) fn check(&self) -> Result<(), String> {
        // The first by name, so that the same configuration always has the same error.
        let wrong = self.limits.iter().filter_map(|(metric, limits)| Some((metric, limits.problem()?))).min();
        wrong.map_or(Ok(()), |(metric, problem)| Err(format!("the configuration is wrong at `limits.{metric}`: {problem}")))
    }
}

impl Limits {
    fn problem(&self) -> Option<String> {
        let named = [("maxRise", self.max_rise), ("maxFall", self.max_fall), ("maxGap", self.max_gap)];
        if let Some((name, number)) = named.into_iter().find_map(|(name, number)| Some((name, number.filter(|it| *it < 0.0)?))) {
            return Some(format!("`{name}` is {number}, below zero"));
        }
        (self.max_rise.is_none() && self.max_fall.is_none()).then(|| "give `maxRise`, `maxFall` or both".to_owned())
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
            problem(r#"{"limits": {"temperature": {"maxRise": "fast"}}}"#),
            "the configuration is wrong at `limits.temperature.maxRise`: invalid type: string \"fast\", expected f64"
        );
        assert_eq!(
            problem(r#"{"limits": {}, "onLookupFailure": "guess"}"#),
            "the configuration is wrong at `onLookupFailure`: unknown variant `guess`, expected `fail` or `ignore`"
        );
    }

    #[test]
    fn limits_that_make_no_sense_are_refused() {
        assert_eq!(
            problem(r#"{"limits": {"temperature": {"maxRise": 1, "maxFall": -1}}}"#),
            "the configuration is wrong at `limits.temperature`: `maxFall` is -1, below zero"
        );
        assert_eq!(
            problem(r#"{"limits": {"humidity": {"maxGap": 60}, "temperature": {}}}"#),
            "the configuration is wrong at `limits.humidity`: give `maxRise`, `maxFall` or both"
        );
    }
}
