//! Cases about documents: a document as it is shown, and what is to become of it.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer};
use serde_json::{Map, Number, Value};

use super::end::{End, Wanted};
use super::{brief, given};
use crate::batch::compare::places;
use crate::model::Operation;

/// A document as a sample.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(try_from = "Sent")]
pub struct DocumentSample {
    /// The kind of resource, as in the path: `kafka-topics`.
    pub kind: String,
    /// What is to be done with it.
    pub operation: Operation,
    /// Who asks, where that is said.
    pub subject: Option<String>,
    /// Its name or id.
    pub id: Option<String>,
    /// What is sent; nothing for one to be deleted.
    pub body: Map<String, Value>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Sent {
    #[serde(deserialize_with = "super::name")]
    kind: String,
    #[serde(default)]
    operation: Operation,
    #[serde(default, deserialize_with = "given")]
    subject: Option<String>,
    id: Option<String>,
    #[serde(default, deserialize_with = "given")]
    body: Option<Map<String, Value>>,
}

impl TryFrom<Sent> for DocumentSample {
    type Error = &'static str;

    fn try_from(sent: Sent) -> Result<Self, Self::Error> {
        let Sent { kind, operation, subject, id, body } = sent;
        let body = match (operation, body) {
            (Operation::Delete, Some(body)) if !body.is_empty() => {
                return Err("with the operation `delete` there is no `body`");
            }
            (Operation::Delete, _) => Map::new(),
            (_, Some(body)) => body,
            (_, None) => return Err("missing field `body`"),
        };
        Ok(Self { kind, operation, subject, id, body })
    }
}

/// What is to become of a document.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(try_from = "WrittenExpectation")]
pub struct DocumentExpectation {
    /// The verdict.
    pub verdict: Wanted,
    /// A part of one of the reasons that its sender is told.
    pub reason: Option<String>,
    /// The place that this reason is about, a JSON Pointer.
    pub path: Option<String>,
    /// The whole document as it is afterwards.
    pub body: Option<Map<String, Value>>,
    /// What stands in it afterwards, by JSON Pointer; what is not named is not looked at.
    pub values: BTreeMap<String, Value>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenExpectation {
    verdict: Wanted,
    #[serde(default, deserialize_with = "given")]
    reason: Option<String>,
    #[serde(default, deserialize_with = "some_pointer")]
    path: Option<String>,
    #[serde(default, deserialize_with = "given")]
    body: Option<Map<String, Value>>,
    #[serde(default)]
    values: BTreeMap<Pointer, Value>,
}

impl TryFrom<WrittenExpectation> for DocumentExpectation {
    type Error = &'static str;

    fn try_from(written: WrittenExpectation) -> Result<Self, Self::Error> {
        let WrittenExpectation { verdict, reason, path, body, values } = written;
        if verdict == Wanted::Reject && (body.is_some() || !values.is_empty()) {
            return Err("what is rejected has neither `body` nor `values` afterwards");
        }
        if verdict != Wanted::Reject && (reason.is_some() || path.is_some()) {
            return Err("`reason` and `path` go with the verdict `reject` alone");
        }
        let values = values.into_iter().map(|(Pointer(pointer), value)| (pointer, value)).collect();
        Ok(Self { verdict, reason, path, body, values })
    }
}

/// A JSON Pointer.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Pointer(String);

impl<'de> Deserialize<'de> for Pointer {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let pointer = String::deserialize(deserializer)?;
        if pointer.is_empty() || pointer.starts_with('/') {
            return Ok(Self(pointer));
        }
        let shown = brief(&pointer);
        Err(serde::de::Error::custom(format_args!("`{shown}` is no JSON Pointer such as `/name`")))
    }
}

fn some_pointer<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    Pointer::deserialize(deserializer).map(|Pointer(pointer)| Some(pointer))
}

impl DocumentExpectation {
    /// How a document that was judged differs from what is expected; `None` where it does not.
    pub fn difference(&self, end: &End<Map<String, Value>>) -> Option<String> {
        let verdict = end.difference(self.verdict, self.reason.as_deref(), self.path.as_deref());
        let End::Passed { now, .. } = end else { return verdict };
        let now = Value::Object(now.clone());
        let named = || {
            let mut named = self.values.iter().map(|(pointer, expected)| (pointer, Some(expected), now.pointer(pointer)));
            named.find_map(|(pointer, expected, found)| difference(pointer, expected, found))
        };
        let whole = || {
            let expected = Value::Object(self.body.clone()?);
            let pointer = places(&now, &expected, is_same, 1).pop()?;
            difference(&pointer, expected.pointer(&pointer), now.pointer(&pointer))
        };
        verdict.or_else(named).or_else(whole)
    }
}

fn difference(pointer: &str, expected: Option<&Value>, found: Option<&Value>) -> Option<String> {
    let place = if pointer.is_empty() { "the document" } else { pointer };
    let shown = |value: &Value| brief(&value.to_string());
    match (expected, found) {
        (Some(expected), Some(found)) if places(found, expected, is_same, 1).is_empty() => None,
        (Some(expected), Some(found)) => Some(format!("expected {place} to be {}, found {}", shown(expected), shown(found))),
        (Some(expected), None) => Some(format!("expected {place} to be {}, found no such value", shown(expected))),
        (None, Some(found)) => Some(format!("expected no {place}, found {}", shown(found))),
        (None, None) => None,
    }
}

/// Whole numbers are exact, others may differ in their last digits.
fn is_same(found: &Number, expected: &Number) -> bool {
    let whole = |number: &Number| number.is_i64() || number.is_u64();
    match (found.as_f64(), expected.as_f64()) {
        _ if whole(found) && whole(expected) => found == expected,
        (Some(found), Some(expected)) => super::readings::is_near(found, expected),
        _ => found == expected,
    }
}
