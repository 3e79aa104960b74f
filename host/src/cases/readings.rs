//! Cases about readings: what is to become of each.

use std::collections::BTreeMap;
use std::fmt;

use bytes::Bytes;
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use super::bounded;
use crate::batch::{Batch, Value, Verdict};
use crate::limits;

/// What is to become of a reading.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Expectation {
    /// The verdict.
    pub verdict: Expected,
    /// A part of the reason that its sender is told.
    #[serde(default)]
    pub reason: Option<String>,
    /// Values that the reading has afterwards, by metric, derived ones included; others are not looked at.
    #[serde(default, deserialize_with = "values")]
    pub values: BTreeMap<String, Value>,
}

/// A verdict that is expected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Expected {
    /// It is stored, unmarked.
    Accept,
    /// It is refused, whatever the error strategy then makes of it.
    Reject,
    /// It is stored with the quality `suspect`.
    Suspect,
}

impl fmt::Display for Expected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Accept => "accept",
            Self::Reject => "reject",
            Self::Suspect => "suspect",
        })
    }
}

impl Expectation {
    /// How a reading that was judged differs from what is expected; `None` where it does not.
    pub fn difference(&self, batch: &Batch, reading: u32) -> Option<String> {
        let (found, reason) = match &batch.readings()[reading as usize].verdict {
            Verdict::Accepted => (Expected::Accept, None),
            Verdict::Suspect => (Expected::Suspect, None),
            // That a module fails is nobody's example of a rejection.
            Verdict::Refused(refusal) if refusal.fault => {
                return Some(format!("expected {}, found failed, since {}", self.verdict, refusal.reason));
            }
            Verdict::Refused(refusal) => (Expected::Reject, Some(refusal.reason.as_str())),
        };
        let because = reason.map(|reason| format!(", since {reason}")).unwrap_or_default();
        if found != self.verdict {
            return Some(format!("expected {}, found {found}{because}", self.verdict));
        }
        if let Some(part) = &self.reason
            && !reason.is_some_and(|reason| reason.contains(part.as_str()))
        {
            return Some(format!(
                "expected a reason with `{part}`, found {}",
                reason.map_or("none".into(), |reason| format!("`{reason}`"))
            ));
        }
        let values = values_of(batch, reading);
        self.values.iter().find_map(|(metric, expected)| match values.get(metric) {
            None => Some(format!("expected {metric} to be {}, found no such value", Shown(expected))),
            Some(found) if !is_same(found, expected) => {
                Some(format!("expected {metric} to be {}, found {}", Shown(expected), Shown(found)))
            }
            Some(_) => None,
        })
    }
}

/// The values of a reading as they stand in its batch, by metric.
pub fn values_of(batch: &Batch, reading: u32) -> BTreeMap<String, Value> {
    let columns = batch.columns();
    let rows = (0_u32..).zip(&columns.reading).filter(|(_, of)| **of == reading);
    let value = |(row, _): (u32, &u32)| {
        let number = columns.value[row as usize];
        let value = match columns.text_of(row) {
            None => Value::Number(number),
            Some(text) if number.is_nan() => Value::Text(text.to_owned()),
            Some(_) => Value::Bool(number != 0.0),
        };
        (columns.metrics[columns.metric[row as usize] as usize].clone(), value)
    };
    rows.map(value).collect()
}

/// Numbers may differ in their last digits: who converts 72 °F does not want to write 22.22222222222222 down.
fn is_same(found: &Value, expected: &Value) -> bool {
    match (found, expected) {
        (Value::Number(found), Value::Number(expected)) => is_near(*found, *expected),
        _ => found == expected,
    }
}

pub(super) fn is_near(found: f64, expected: f64) -> bool {
    (found - expected).abs() <= 1e-9 * found.abs().max(expected.abs()).max(1.0)
}

/// A value as JSON has it, for people.
#[derive(Debug)]
pub struct Shown<'a>(pub &'a Value);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Value::Number(number) => write!(f, "{number}"),
            Value::Bool(on) => write!(f, "{on}"),
            Value::Text(text) => write!(f, "{text:?}"),
        }
    }
}

pub(super) fn readings<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Vec<Bytes>>, D::Error> {
    let readings: Vec<Box<RawValue>> = bounded(deserializer, "readings", limits::CASE_READINGS)?;
    if readings.is_empty() {
        return Err(serde::de::Error::custom("a case shows at least one reading"));
    }
    Ok(Some(readings.into_iter().map(|reading| Bytes::from(String::from(Box::<str>::from(reading)))).collect()))
}

fn values<'de, D: Deserializer<'de>>(deserializer: D) -> Result<BTreeMap<String, Value>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged, expecting = "a value is a number, a boolean or a text")]
    enum Sent {
        Bool(bool),
        Number(f64),
        Text(String),
    }
    let sent = BTreeMap::<String, Sent>::deserialize(deserializer)?;
    let value = |sent| match sent {
        Sent::Bool(on) => Value::Bool(on),
        Sent::Number(number) => Value::Number(number),
        Sent::Text(text) => Value::Text(text),
    };
    Ok(sent.into_iter().map(|(metric, sent)| (metric, value(sent))).collect())
}
