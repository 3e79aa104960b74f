//! Holds the names of new resources to a prefix, and takes blanks off the ends of descriptions.

use std::collections::HashMap;

use serde::Deserialize;
use serde_json::Value;
use weir_validator_sdk::documents::Operation;
use weir_validator_sdk::{Config, Document, DocumentValidator, DocumentVerdict, log};

/// The configuration that the validator is deployed with. A misspelt name is an error, not a prefix that never applies.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Names {
    /// Kind of resource, such as `kafka-topics`, to what its names begin with.
    prefixes: HashMap<String, String>,
}

impl DocumentValidator for Names {
    /// Called once for each document. An error refuses the document: it says what is wrong with the configuration.
    fn new(config: Config<'_>) -> Result<Self, String> {
        config.parse()
    }

    /// Called for the document: all of a new resource, or the fields of another that are to change.
    fn check(&self, document: &Document<'_>) -> Result<DocumentVerdict, String> {
        if document.operation == Operation::Delete {
            return Ok(DocumentVerdict::Accept);
        }
        let mut body: Value = document.parse()?;
        if document.operation == Operation::Create {
            if let Some(prefix) = self.missing(document.kind, &body) {
                log::info(format!(
                    "{}: the name of a new one of {} does not begin with {prefix}",
                    document.subject, document.kind
                ));
                return Ok(DocumentVerdict::reject("/name", format!("begin the name with `{prefix}`")));
            }
        }
        Ok(if trim(&mut body) { DocumentVerdict::Replace(body.to_string()) } else { DocumentVerdict::Accept })
    }
}

impl Names {
    /// The prefix that the name should have and has not. That there is a name is Weir's own affair.
    fn missing(&self, kind: &str, body: &Value) -> Option<&str> {
        let (prefix, name) = (self.prefixes.get(kind)?, body["name"].as_str()?);
        (!name.starts_with(prefix.as_str())).then_some(prefix)
    }
}

/// Takes blanks off the ends of the description; true where there were any.
fn trim(body: &mut Value) -> bool {
    let Some(Value::String(description)) = body.get_mut("description") else { return false };
    let trimmed = description.trim();
    if trimmed.len() == description.len() {
        return false;
    }
    *description = trimmed.to_owned();
    true
}

weir_validator_sdk::export_documents!(Names);

#[cfg(test)]
mod tests {
    use super::*;

    const CONFIG: &str = r#"{"prefixes": {"kafka-topics": "plant-"}}"#;

    fn verdict(document: &Document<'_>) -> DocumentVerdict {
        Names::new(Config::new(CONFIG)).unwrap().check(document).unwrap()
    }

    #[test]
    fn a_name_with_the_prefix_is_accepted() {
        assert_eq!(verdict(&Document::new("kafka-topics", r#"{"name": "plant-1"}"#)), DocumentVerdict::Accept);
        assert_eq!(verdict(&Document::new("schemas", r#"{"name": "office"}"#)), DocumentVerdict::Accept);
    }

    #[test]
    fn another_name_is_rejected_with_the_prefix() {
        let office = Document::new("kafka-topics", r#"{"name": "office"}"#);
        assert_eq!(verdict(&office), DocumentVerdict::reject("/name", "begin the name with `plant-`"));
        assert_eq!(
            verdict(&Document::new("kafka-topics", "{}").to(Operation::Delete).with_id("office")),
            DocumentVerdict::Accept
        );
    }

    #[test]
    fn blanks_at_the_ends_of_a_description_go() {
        let change = Document::new("kafka-topics", r#"{"description": " a  b\n"}"#).to(Operation::Update).with_id("office");
        assert_eq!(verdict(&change), DocumentVerdict::Replace(r#"{"description":"a  b"}"#.to_owned()));
    }

    #[test]
    fn a_wrong_configuration_is_named() {
        let wrong = Config::new(r#"{"prefixes": {"kafka-topics": 3}}"#);
        assert!(Names::new(wrong).is_err_and(|problem| problem.contains("prefixes.kafka-topics")));
    }
}
