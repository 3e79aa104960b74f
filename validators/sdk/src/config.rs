//! What a validator was deployed with.

use serde::de::DeserializeOwned;

/// The configuration of a validator: a JSON object that whoever deploys it writes.
#[derive(Clone, Copy, Debug)]
pub struct Config<'a> {
    json: &'a str,
}

impl<'a> Config<'a> {
    /// A configuration from JSON text; Weir makes one itself, tests need to.
    pub const fn new(json: &'a str) -> Self {
        Self { json }
    }

    /// The text itself.
    pub const fn json(self) -> &'a str {
        self.json
    }

    /// Reads the configuration into a type of the validator's own.
    ///
    /// Give that type `#[serde(deny_unknown_fields)]`: a misspelt name is then an error instead of a limit that never applies. The
    /// error is a sentence that names the place, such as ``the configuration is wrong at `limits.temperature.min`: …``.
    pub fn parse<T: DeserializeOwned>(self) -> Result<T, String> {
        let mut reader = serde_json::Deserializer::from_str(self.json);
        let value = serde_path_to_error::deserialize(&mut reader).map_err(|error| {
            let path = error.path().to_string();
            match path.as_str() {
                "." => format!("the configuration is wrong: {}", without_position(error.inner())),
                _ => format!("the configuration is wrong at `{path}`: {}", without_position(error.inner())),
            }
        })?;
        reader.end().map_err(|_| "the configuration is wrong: something comes after the JSON object".to_owned())?;
        Ok(value)
    }
}

/// What is wrong, without line and column: Weir hands the configuration over as it stored it, not as somebody wrote it.
fn without_position(error: &serde_json::Error) -> String {
    let message = error.to_string();
    let position = format!(" at line {} column {}", error.line(), error.column());
    message.strip_suffix(&position).map(str::to_owned).unwrap_or(message)
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Deserialize, PartialEq)]
    #[serde(deny_unknown_fields)]
    struct Settings {
        limits: HashMap<String, f64>,
    }

    #[test]
    fn a_right_configuration_is_read() {
        let settings: Result<Settings, _> = Config::new(r#"{"limits": {"temperature": 85}}"#).parse();
        assert_eq!(settings, Ok(Settings { limits: HashMap::from([("temperature".to_owned(), 85.0)]) }));
    }

    #[test]
    fn a_wrong_configuration_is_a_sentence_that_names_the_place() {
        let problem = |json| Config::new(json).parse::<Settings>().unwrap_err();
        assert_eq!(
            problem(r#"{"limits": {"temperature": "hot"}}"#),
            "the configuration is wrong at `limits.temperature`: invalid type: string \"hot\", expected f64"
        );
        assert_eq!(
            problem(r#"{"limit": {}}"#),
            "the configuration is wrong at `limit`: unknown field `limit`, expected `limits`"
        );
        assert_eq!(problem("{}"), "the configuration is wrong: missing field `limits`");
        assert_eq!(problem(r#"{"limits": {}} {}"#), "the configuration is wrong: something comes after the JSON object");
    }
}
