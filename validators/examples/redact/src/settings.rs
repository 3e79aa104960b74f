//! What the validator is deployed with.

use serde::Deserialize;

use crate::Redact;
use crate::disguise::{Disguise, Key};
use crate::field::Field;
use crate::leaks::Refusal;
use crate::pointer::Pointer;

/// The configuration as it is written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct Settings {
    kinds: Option<Vec<String>>,
    #[serde(default)]
    fields: Vec<FieldSettings>,
    hash_key: Option<String>,
    #[serde(default)]
    refuse: RefuseSettings,
}

/// A field by its place or by its name, and what is to be done about it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct FieldSettings {
    pointer: Option<String>,
    name: Option<String>,
    action: Action,
    keep: Option<usize>,
}

#[derive(Clone, Copy, Debug, Deserialize, PartialEq)]
#[serde(rename_all = "camelCase")]
enum Action {
    Remove,
    Mask,
    Hash,
}

/// What must not be in a document.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
struct RefuseSettings {
    emails: bool,
    secrets: bool,
    except: Vec<String>,
}

/// What is to be done about a field.
#[derive(Debug)]
pub(crate) struct Rule {
    pub(crate) field: Field,
    /// What takes the place of its value; nothing, where it is removed.
    pub(crate) disguise: Option<Disguise>,
}

impl Settings {
    /// Makes the validator: what is wrong is an error at once, not with the first document that it concerns.
    pub(crate) fn validator(self) -> Result<Redact, String> {
        let key = self.hash_key.map(|key| Key::new(&key)).transpose().map_err(|problem| wrong("hashKey", &problem))?;
        let rule = |(index, field): (usize, FieldSettings)| {
            field.rule(key.as_ref()).map_err(|problem| wrong(&format!("fields[{index}]"), &problem))
        };
        let rules: Vec<Rule> = self.fields.into_iter().enumerate().map(rule).collect::<Result<_, _>>()?;
        let except = self.refuse.except.iter().map(|pointer| Pointer::parse(pointer));
        let except = except.collect::<Result<_, _>>().map_err(|problem| wrong("refuse.except", &problem))?;
        let refusal = Refusal { emails: self.refuse.emails, secrets: self.refuse.secrets, except };
        if rules.is_empty() && !refusal.emails && !refusal.secrets {
            return Err("the configuration is wrong: give `fields`, `refuse` or both, as there is nothing to do".to_owned());
        }
        Ok(Redact { kinds: self.kinds, rules, refusal })
    }
}

impl FieldSettings {
    fn rule(self, key: Option<&Key>) -> Result<Rule, String> {
        let field = match (self.pointer, self.name) {
            (Some(pointer), None) => Field::At(Pointer::parse(&pointer)?),
            (None, Some(name)) => Field::Named(name),
            _ => return Err("give either `pointer` or `name`".to_owned()),
        };
        if self.keep.is_some() && self.action != Action::Mask {
            return Err("`keep` goes with the action `mask` alone".to_owned());
        }
        let disguise = match self.action {
            Action::Remove => None,
            Action::Mask => Some(Disguise::Mask { keep: self.keep.unwrap_or(0) }),
            Action::Hash => {
                let key = key.ok_or("the action `hash` needs a `hashKey`")?;
                Some(Disguise::Hash(key.clone()))
            }
        };
        Ok(Rule { field, disguise })
    }
}

fn wrong(place: &str, problem: &str) -> String {
    format!("the configuration is wrong at `{place}`: {problem}")
}

#[cfg(test)]
mod tests {
    use weir_validator_sdk::Config;

    use super::*;

    fn problem(config: &str) -> String {
        Config::new(config).parse().and_then(Settings::validator).map(|_| ()).unwrap_err()
    }

    #[test]
    fn a_wrong_configuration_is_a_sentence() {
        assert_eq!(
            problem(r#"{"fields": [{"name": "password", "action": "forget"}]}"#),
            "the configuration is wrong at `fields[0].action`: unknown variant `forget`, expected one of `remove`, `mask`, `hash`"
        );
        assert_eq!(
            problem(r#"{"refuse": {"phones": true}}"#),
            "the configuration is wrong at `refuse.phones`: unknown field `phones`, expected one of `emails`, `secrets`, `except`"
        );
        assert_eq!(problem("{}"), "the configuration is wrong: give `fields`, `refuse` or both, as there is nothing to do");
    }

    #[test]
    fn rules_that_make_no_sense_are_refused() {
        let rule = |rule: &str| problem(&format!(r#"{{"fields": [{rule}]}}"#));
        let both = rule(r#"{"name": "a", "pointer": "/a", "action": "remove"}"#);
        assert_eq!(both, "the configuration is wrong at `fields[0]`: give either `pointer` or `name`");
        assert_eq!(rule(r#"{"action": "remove"}"#), both);
        assert_eq!(
            rule(r#"{"name": "a", "action": "remove", "keep": 4}"#),
            "the configuration is wrong at `fields[0]`: `keep` goes with the action `mask` alone"
        );
        assert_eq!(
            rule(r#"{"name": "a", "action": "hash"}"#),
            "the configuration is wrong at `fields[0]`: the action `hash` needs a `hashKey`"
        );
        assert_eq!(
            rule(r#"{"pointer": "a/b", "action": "remove"}"#),
            "the configuration is wrong at `fields[0]`: `a/b` is no JSON Pointer to a field: begin it with `/`"
        );
    }

    #[test]
    fn a_short_key_is_refused() {
        assert_eq!(
            problem(r#"{"hashKey": "secret", "refuse": {"emails": true}}"#),
            "the configuration is wrong at `hashKey`: it has 6 bytes, and fewer than 16 can be guessed"
        );
    }
}
