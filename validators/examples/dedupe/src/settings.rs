//! What the validator is deployed with.

use std::collections::HashMap;

use serde::Deserialize;

/// The configuration as a whole.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct Settings {
    /// Metric to when it repeats itself.
    pub(crate) metrics: HashMap<String, Repeats>,
    #[serde(default)]
    pub(crate) on_lookup_failure: OnLookupFailure,
}

/// When a value repeats the one before.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct Repeats {
    /// Seconds after which a value is stored even though it is the same.
    pub(crate) max_age: f64,
    /// How far apart two numbers may be that are the same.
    #[serde(default)]
    pub(crate) tolerance: f64,
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
    /// Looks for numbers that make no sense: somebody meant something else.
    pub(crate) fn check(&self) -> Result<(), String> {
        // The first by name, so that the same configuration always has the same error.
        let wrong = self.metrics.iter().filter_map(|(metric, repeats)| Some((metric, repeats.problem()?))).min();
        wrong.map_or(Ok(()), |(metric, problem)| Err(format!("the configuration is wrong at `metrics.{metric}`: {problem}")))
    }
}

impl Repeats {
    fn problem(&self) -> Option<String> {
        match self {
            Self { max_age, .. } if *max_age <= 0.0 => Some(format!("`maxAge` is {max_age}, and nothing is younger than that")),
            Self { tolerance, .. } if *tolerance < 0.0 => Some(format!("`tolerance` is {tolerance}, below zero")),
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
            problem(r#"{"metrics": {"temperature": {"tolerance": 0.5}}}"#),
            "the configuration is wrong at `metrics.temperature`: missing field `maxAge`"
        );
        assert_eq!(
            problem(r#"{"metrics": {"temperature": {"maxAge": 60, "within": 0.5}}}"#),
            "the configuration is wrong at `metrics.temperature.within`: unknown field `within`, expected `maxAge` or `tolerance`"
        );
    }

    #[test]
    fn numbers_that_make_no_sense_are_refused() {
        assert_eq!(
            problem(r#"{"metrics": {"temperature": {"maxAge": 0}}}"#),
            "the configuration is wrong at `metrics.temperature`: `maxAge` is 0, and nothing is younger than that"
        );
        assert_eq!(
            problem(r#"{"metrics": {"temperature": {"maxAge": 60, "tolerance": -1}}}"#),
            "the configuration is wrong at `metrics.temperature`: `tolerance` is -1, below zero"
        );
    }
}
