//! Which fields a rule is about.

use serde_json::Value;

use crate::disguise::Disguise;
use crate::pointer::Pointer;
use crate::settings::Rule;

/// Which fields.
#[derive(Debug)]
pub(crate) enum Field {
    /// The one at a place.
    At(Pointer),
    /// Those of a name, at any depth. Case does not matter: `apiKey` is meant as `APIKEY` too.
    Named(String),
}

impl Rule {
    /// Does to a document what the rule says.
    pub(crate) fn apply(&self, document: &mut Value) {
        match (&self.field, &self.disguise) {
            (Field::At(pointer), None) => pointer.remove_from(document),
            (Field::At(pointer), Some(disguise)) => {
                if let Some(value) = pointer.of(document) {
                    disguise.put_on(value);
                }
            }
            (Field::Named(name), disguise) => everywhere(document, name, disguise.as_ref()),
        }
    }
}

fn everywhere(value: &mut Value, name: &str, disguise: Option<&Disguise>) {
    match value {
        Value::Array(elements) => {
            for element in elements {
                everywhere(element, name, disguise);
            }
        }
        Value::Object(fields) => {
            let meant = |field: &str| field.to_lowercase() == name.to_lowercase();
            if disguise.is_none() {
                fields.retain(|field, _| !meant(field));
            }
            for (field, value) in fields {
                match disguise {
                    Some(disguise) if meant(field) => disguise.put_on(value),
                    _ => everywhere(value, name, disguise),
                }
            }
        }
        _ => {}
    }
}
