//! Removes, masks or hashes fields of documents, and refuses documents in which secrets or e-mail addresses are left.

mod disguise;
mod field;
mod leaks;
mod pointer;
mod settings;
mod shapes;

use serde_json::Value;
use weir_validator_sdk::documents::Operation;
use weir_validator_sdk::{Config, Document, DocumentValidator, DocumentVerdict};

use self::leaks::Refusal;
use self::settings::{Rule, Settings};

/// The validator.
struct Redact {
    /// The kinds of resources that it looks at; none are all.
    kinds: Option<Vec<String>>,
    rules: Vec<Rule>,
    refusal: Refusal,
}

impl DocumentValidator for Redact {
    fn new(config: Config<'_>) -> Result<Self, String> {
        config.parse().and_then(Settings::validator)
    }

    fn check(&self, document: &Document<'_>) -> Result<DocumentVerdict, String> {
        let others = self.kinds.as_ref().is_some_and(|kinds| !kinds.iter().any(|kind| kind == document.kind));
        if others || document.operation == Operation::Delete {
            return Ok(DocumentVerdict::Accept);
        }
        let sent: Value = document.parse()?;
        let mut body = sent.clone();
        for rule in &self.rules {
            rule.apply(&mut body);
        }
        // What a rule took away may be stored, so it is looked for in what is left.
        let problems = self.refusal.problems(&body);
        Ok(match problems.is_empty() {
            false => DocumentVerdict::Reject(problems),
            true if body == sent => DocumentVerdict::Accept,
            true => DocumentVerdict::Replace(body.to_string()),
        })
    }
}

weir_validator_sdk::export_documents!(Redact);

#[cfg(test)]
mod tests;
