//! What the validator is deployed with.

use std::collections::{BTreeMap, HashMap};

use serde::Deserialize;

use crate::unit::Unit;

/// The configuration as it is written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Settings {
    // In the order of the names, so that the same configuration always has the same error.
    convert: BTreeMap<String, Codes>,
}

/// The UCUM codes of a metric.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Codes {
    from: Option<String>,
    to: String,
}

/// What is to be done about a metric.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Conversion {
    /// The unit of readings that name none.
    pub(crate) from: Option<&'static Unit>,
    /// The unit that is stored.
    pub(crate) to: &'static Unit,
}

impl Settings {
    /// Looks the codes up: a code that is unknown is an error at once, not with the first reading that needs it.
    pub(crate) fn conversions(self) -> Result<HashMap<String, Conversion>, String> {
        let conversion = |(metric, codes): (String, Codes)| {
            let wrong = |problem| format!("the configuration is wrong at `convert.{metric}`: {problem}");
            let conversion = codes.conversion().map_err(wrong)?;
            Ok((metric, conversion))
        };
        self.convert.into_iter().map(conversion).collect()
    }
}

impl Codes {
    fn conversion(&self) -> Result<Conversion, String> {
        let to = known(&self.to)?;
        let from = self.from.as_deref().map(known).transpose()?;
        match from {
            Some(from) if !from.converts_to(to) => Err(format!("{} cannot be converted to {}", from.code, to.code)),
            _ => Ok(Conversion { from, to }),
        }
    }
}

fn known(code: &str) -> Result<&'static Unit, String> {
    Unit::of(code).ok_or_else(|| format!("`{code}` is no UCUM code that this validator knows; codes are case sensitive"))
}

#[cfg(test)]
mod tests {
    use weir_validator_sdk::Config;

    use super::*;

    fn problem(config: &str) -> String {
        Config::new(config).parse().and_then(Settings::conversions).unwrap_err()
    }

    #[test]
    fn a_wrong_configuration_is_a_sentence() {
        assert_eq!(
            problem(r#"{"convert": {"temperature": {"from": "F", "to": "Cel"}}}"#),
            "the configuration is wrong at `convert.temperature`: `F` is no UCUM code that this validator knows; \
             codes are case sensitive"
        );
        assert_eq!(
            problem(r#"{"convert": {"temperature": {"from": "kg", "to": "Cel"}}}"#),
            "the configuration is wrong at `convert.temperature`: kg cannot be converted to Cel"
        );
        assert_eq!(
            problem(r#"{"convert": {"temperature": {"from": "K"}}}"#),
            "the configuration is wrong at `convert.temperature`: missing field `to`"
        );
    }
}
