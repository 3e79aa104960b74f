//! One reading of JSON, read strictly: what is wrong is named with a pointer to it and a sentence, never rounded or guessed at.
//!
//! Unknown or repeated fields, integers beyond 2^53, times that no sensor can have measured: `json` hands over whatever it is not
//! sure of, so this page alone says what a reading is.

use std::borrow::Cow;
use std::fmt;

use bytes::Bytes;
use chrono::DateTime;
use serde::de::{Error as _, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use super::Fault;
use crate::batch::{BatchBuilder, Quality, Reading, Row, Source, Value, Verdict};
use crate::limits;
use crate::model::{check_name, check_topic_name};

/// A reading as it is sent.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Sent<'a> {
    #[serde(borrow)]
    sensor_id: Cow<'a, str>,
    #[serde(borrow)]
    timestamp: &'a RawValue,
    #[serde(borrow, default)]
    values: Option<Pairs<'a>>,
    #[serde(borrow, default)]
    value: Option<&'a RawValue>,
    #[serde(borrow, default)]
    topic: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    schema_ref: Option<Cow<'a, str>>,
    #[serde(default)]
    quality: Option<Quality>,
    #[serde(borrow, default)]
    unit: Option<Pairs<'a>>,
}

/// An object in the order in which it was sent; a key that is repeated is an error.
struct Pairs<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'de: 'a, 'a> Deserialize<'de> for Pairs<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Keys<'a>(std::marker::PhantomData<&'a ()>);
        impl<'de: 'a, 'a> Visitor<'de> for Keys<'a> {
            type Value = Pairs<'a>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut pairs: Vec<(Cow<'a, str>, &'a RawValue)> = Vec::new();
                while let Some(Text(key)) = map.next_key()? {
                    if pairs.len() >= limits::READING_VALUES {
                        return Err(A::Error::custom(format_args!("more than {} values", limits::READING_VALUES)));
                    }
                    if pairs.iter().any(|(known, _)| *known == key) {
                        return Err(A::Error::custom(format_args!("`{key}` is given twice")));
                    }
                    pairs.push((key, map.next_value()?));
                }
                Ok(Pairs(pairs))
            }
        }
        deserializer.deserialize_map(Keys(std::marker::PhantomData))
    }
}

/// A string that borrows where it has no escapes.
#[derive(Deserialize)]
#[serde(transparent)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

/// A reading that was understood.
pub(super) struct Parsed<'a> {
    sensor: Cow<'a, str>,
    time: i64,
    rows: Vec<(Cow<'a, str>, Cow<'a, str>, Value)>,
    pub(super) topic: Option<Cow<'a, str>>,
    schema_ref: Cow<'a, str>,
    quality: Quality,
}

impl<'a> Parsed<'a> {
    /// Reads the one reading that `raw` is; `latest` is the last time that is taken, in microseconds.
    pub(super) fn read(raw: &'a [u8], latest: i64) -> Result<Self, Fault> {
        if raw.len() > limits::READING_BYTES {
            return Err(Fault::at("", format!("a reading has at most {} bytes", limits::READING_BYTES)));
        }
        // An array would be taken as the fields in their order.
        match raw.iter().find(|byte| !byte.is_ascii_whitespace()) {
            Some(b'[') => {
                return Err(Fault::at("", "it is an array; a reading is an object, and many of them go to the bulk endpoint"));
            }
            Some(b'"' | b'0'..=b'9' | b'-') => return Err(Fault::at("", "it is a single value; a reading is an object")),
            _ => {}
        }
        let sent: Sent<'a> = serde_json::from_slice(raw).map_err(|error| unreadable(raw, &error))?;
        named("/sensorId", "a sensor's name", &sent.sensor_id)?;
        let schema_ref = sent.schema_ref.unwrap_or_default();
        if !schema_ref.is_empty() {
            named("/schemaRef", "a schema reference", &schema_ref)?;
        }
        if let Some(topic) = &sent.topic {
            check_topic_name(topic).map_err(|error| Fault::at("/topic", error.sentence()))?;
        }
        let rows = match (sent.values, sent.value) {
            (Some(_), Some(_)) => return Err(Fault::at("/value", "give `values` or `value`, not both")),
            (None, None) => {
                return Err(Fault::at("", "`values` is missing: an object with a number, true, false or a text by metric"));
            }
            (None, Some(value)) => vec![(Cow::Borrowed("value"), Cow::Borrowed(""), scalar("/value", value)?)],
            (Some(Pairs(pairs)), None) => values(pairs)?,
        };
        let rows = with_units(rows, sent.unit)?;
        let time = time(sent.timestamp, latest)?;
        Ok(Self { sensor: sent.sensor_id, time, rows, topic: sent.topic, schema_ref, quality: sent.quality.unwrap_or_default() })
    }

    /// A reading from Kafka belongs to the topic that it came through, whatever it says.
    pub(super) fn of_topic(self, topic: &str) -> Result<Self, Fault> {
        match &self.topic {
            Some(named) if named != topic => Err(Fault::at("/topic", format!("it names `{named}` but came through `{topic}`"))),
            _ => Ok(self),
        }
    }

    /// Adds it to a batch.
    pub(super) fn push(self, batch: &mut BatchBuilder, raw: Bytes, source: Source) {
        let schema_ref = batch.schema_ref(&self.schema_ref);
        let reading = Reading { raw, source, schema_ref, quality: self.quality, verdict: Verdict::Accepted };
        let rows = self.rows.iter().map(|(metric, unit, value)| Row { metric, unit, value: value.clone() });
        batch.push(reading, &self.sensor, self.time, rows);
    }
}

/// Metric, unit, value.
type Values<'a> = Vec<(Cow<'a, str>, Cow<'a, str>, Value)>;

fn values<'a>(pairs: Vec<(Cow<'a, str>, &'a RawValue)>) -> Result<Values<'a>, Fault> {
    if pairs.is_empty() {
        return Err(Fault::at("/values", "a reading has at least one value"));
    }
    let rows = pairs.into_iter().map(|(metric, raw)| {
        named(&at("/values", &metric), "a metric's name", &metric)?;
        let value = scalar(&at("/values", &metric), raw)?;
        Ok((metric, Cow::Borrowed(""), value))
    });
    rows.collect()
}

fn with_units<'a>(mut rows: Values<'a>, units: Option<Pairs<'a>>) -> Result<Values<'a>, Fault> {
    for (metric, raw) in units.into_iter().flat_map(|Pairs(pairs)| pairs) {
        let path = at("/unit", &metric);
        let Some(row) = rows.iter_mut().find(|(known, ..)| *known == metric) else {
            return Err(Fault::at(path, "there is no value of this metric"));
        };
        let Text(unit) = serde_json::from_str(raw.get()).map_err(|_| Fault::at(path.as_str(), "a unit is a text"))?;
        named(&path, "a unit's name", &unit)?;
        row.1 = unit;
    }
    Ok(rows)
}

/// A pointer to a member of an object.
pub(super) fn at(parent: &str, key: &str) -> String {
    format!("{parent}/{}", key.replace('~', "~0").replace('/', "~1"))
}

pub(super) fn named(path: &str, what: &str, name: &str) -> Result<(), Fault> {
    check_name(what, name).map_err(|error| Fault::at(path, error.sentence()))
}

/// A number, true, false or a text, read from its own characters: a tree of values would have rounded it already.
#[expect(clippy::cast_precision_loss, reason = "integers are checked to be exact")]
fn scalar(path: &str, raw: &RawValue) -> Result<Value, Fault> {
    let text = raw.get();
    match text.as_bytes().first() {
        Some(b't') => Ok(Value::Bool(true)),
        Some(b'f') => Ok(Value::Bool(false)),
        Some(b'"') => {
            let value: String = serde_json::from_str(text).map_err(|error| Fault::at(path, not_json(&error)))?;
            if value.len() > limits::TEXT_BYTES {
                return Err(Fault::at(path, format!("a text has at most {} bytes", limits::TEXT_BYTES)));
            }
            if value.contains('\0') {
                return Err(Fault::at(path, "a text holds no NUL character"));
            }
            Ok(Value::Text(value))
        }
        Some(b'-' | b'0'..=b'9') if text.contains(['.', 'e', 'E']) => match text.parse::<f64>() {
            Ok(number) if number.is_finite() => Ok(Value::Number(number)),
            _ => Err(Fault::at(path, "this number is beyond what a 64-bit float can hold")),
        },
        Some(b'-' | b'0'..=b'9') => match text.parse::<i64>() {
            Ok(number) if number.unsigned_abs() <= limits::EXACT_INTEGER => Ok(Value::Number(number as f64)),
            _ => Err(Fault::at(
                path,
                "integers beyond 2^53 cannot be held exactly; send it as a text, or as a fraction such as 1e17",
            )),
        },
        Some(b'n') => Err(Fault::at(path, "null is no value; leave the metric out")),
        _ => Err(Fault::at(path, "a value is a number, true, false or a text")),
    }
}

/// A time that a sensor can have measured.
pub(super) fn within(micros: i64, latest: i64) -> Result<i64, Fault> {
    if (0..=latest).contains(&micros) {
        return Ok(micros);
    }
    let latest = DateTime::from_timestamp_micros(latest).unwrap_or_default();
    let message = format!("a reading's time lies from 1970 to a year ahead of now ({})", latest.format("%Y-%m-%d"));
    Err(Fault::at("/timestamp", message))
}

/// Microseconds since the Unix epoch of an RFC 3339 text or of epoch milliseconds. Finer than microseconds is cut off.
fn time(raw: &RawValue, latest: i64) -> Result<i64, Fault> {
    let wrong = |message: String| Fault::at("/timestamp", message);
    let text = raw.get();
    let micros = if text.starts_with('"') {
        let Text(text) = serde_json::from_str(text).map_err(|error| wrong(not_json(&error)))?;
        let time = DateTime::parse_from_rfc3339(&text).map_err(|error| {
            wrong(format!("a time is RFC 3339, such as 2026-05-04T12:00:00Z, or epoch milliseconds ({error})"))
        })?;
        time.timestamp_micros()
    } else {
        let millis = text.parse::<i64>().ok().and_then(|millis| millis.checked_mul(1_000));
        millis.ok_or_else(|| wrong("a time is RFC 3339, such as 2026-05-04T12:00:00Z, or whole epoch milliseconds".to_owned()))?
    };
    within(micros, latest)
}

pub(super) fn not_json(error: &serde_json::Error) -> String {
    format!("not valid JSON: {error}")
}

/// Reads it once more, slower, to find out where it went wrong.
fn unreadable(raw: &[u8], error: &serde_json::Error) -> Fault {
    if !error.is_data() {
        return Fault::at("", not_json(error));
    }
    let mut deserializer = serde_json::Deserializer::from_slice(raw);
    let traced: Result<Sent<'_>, _> = serde_path_to_error::deserialize(&mut deserializer);
    let path = traced.err().map_or_else(String::new, |traced| pointer(traced.path()));
    Fault::at(path, error.to_string())
}

fn pointer(path: &serde_path_to_error::Path) -> String {
    path.iter()
        .filter_map(|segment| if let serde_path_to_error::Segment::Map { key } = segment { Some(key) } else { None })
        .fold(String::new(), |path, key| at(&path, key))
}
