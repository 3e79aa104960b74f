//! JSON bytes → readings in columns: strict, and without a tree of values in between.
//!
//! What cannot be read exactly is refused with a pointer to it and a sentence, never rounded or guessed at: unknown or repeated
//! fields, integers beyond 2^53, times that no sensor can have measured. It knows neither HTTP nor Kafka; both hand it bytes.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use serde::de::{Error as _, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use crate::batch::{Batch, BatchBuilder, Quality, Reading, Refusal, Refuser, Row, Source, Value, Verdict};
use crate::error::Error;
use crate::limits;
use crate::model::{ErrorStrategy, check_name, check_topic_name};

/// What is wrong with a reading, and where in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// A JSON pointer into the reading; empty for the reading itself.
    pub path: String,
    /// What is wrong there.
    pub message: String,
}

impl Fault {
    fn at(path: impl Into<String>, message: impl Into<String>) -> Self {
        Self { path: path.into(), message: message.into() }
    }

    /// Its strategy is the topic's, which is not known here: kept aside until it is.
    fn into_refusal(self) -> Refusal {
        let path = Some(self.path).filter(|path| !path.is_empty());
        Refusal { by: Refuser::Decoder, reason: self.message, path, fault: false, strategy: ErrorStrategy::Quarantine }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.path.is_empty() { f.write_str(&self.message) } else { write!(f, "{}: {}", self.path, self.message) }
    }
}

impl From<Fault> for Error {
    fn from(fault: Fault) -> Self {
        Self::malformed(format!("This is not a reading: {}.", fault.message)).at(fault.path, fault.message)
    }
}

/// Gathers readings that came together by HTTP into batches, one for each topic that they name.
#[derive(Debug)]
pub struct Collector {
    now: DateTime<Utc>,
    batches: Vec<(Option<Arc<str>>, BatchBuilder)>,
    words: Words,
}

impl Collector {
    /// An empty one; `now` bounds how far ahead a reading may lie.
    pub fn new(now: DateTime<Utc>) -> Self {
        Self { now, batches: Vec::new(), words: Words::default() }
    }

    /// Reads one reading and puts it into the batch of its topic.
    pub fn add(&mut self, raw: &Bytes, index: u64) -> Result<(), Fault> {
        let parsed = Parsed::read(raw, self.now)?;
        let topic = parsed.topic.as_deref();
        let at = self.batches.iter().position(|(known, _)| known.as_deref() == topic).unwrap_or_else(|| {
            let topic: Option<Arc<str>> = topic.map(Into::into);
            self.batches.push((topic.clone(), BatchBuilder::new(topic)));
            self.batches.len() - 1
        });
        parsed.push(&mut self.batches[at].1, raw.clone(), Source::Http { index }, &mut self.words);
        Ok(())
    }

    /// The readings so far.
    pub fn len(&self) -> usize {
        self.batches.iter().map(|(_, builder)| builder.len()).sum()
    }

    /// True where there are none yet.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The batches.
    pub fn finish(self) -> Vec<Batch> {
        self.batches.into_iter().map(|(_, builder)| builder.build()).collect()
    }
}

/// Adds the readings of one Kafka message (one reading, or an array of them) to a batch of its topic. What cannot be read is added
/// as a refused reading, so that every message is accounted for.
pub fn message(batch: &mut BatchBuilder, topic: &str, payload: &Bytes, source: &Source, now: DateTime<Utc>) {
    let mut words = Words::default();
    let readings = match array(payload) {
        Ok(readings) => readings,
        Err(fault) => {
            batch.push_unreadable(payload.clone(), source.clone(), fault.into_refusal());
            return;
        }
    };
    for raw in readings {
        let parsed = Parsed::read(&raw, now).and_then(|parsed| parsed.of_topic(topic));
        match parsed {
            Ok(parsed) => parsed.push(batch, raw.clone(), source.clone(), &mut words),
            Err(fault) => batch.push_unreadable(raw.clone(), source.clone(), fault.into_refusal()),
        }
    }
}

/// The elements of an array, or the one reading that there is, as slices of the payload.
fn array(payload: &Bytes) -> Result<Vec<Bytes>, Fault> {
    match payload.iter().find(|byte| !byte.is_ascii_whitespace()) {
        None => Err(Fault::at("", "the message is empty")),
        Some(b'[') => {
            let elements = elements(payload)?;
            if elements.is_empty() { Err(Fault::at("", "the array holds no reading")) } else { Ok(elements) }
        }
        Some(_) => Ok(vec![payload.clone()]),
    }
}

/// The elements of a JSON array, as slices of it.
fn elements(payload: &Bytes) -> Result<Vec<Bytes>, Fault> {
    let elements: Vec<&RawValue> = serde_json::from_slice(payload).map_err(|error| Fault::at("", not_json(&error)))?;
    Ok(elements.into_iter().map(|element| payload.slice_ref(element.get().as_bytes())).collect())
}

/// The readings of `{"readings": […]}`, as slices of the body.
pub fn bulk(body: &Bytes) -> Result<Vec<Bytes>, Error> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Bulk<'a> {
        #[serde(borrow)]
        readings: Vec<&'a RawValue>,
    }
    if body.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'[') {
        return Err(Error::malformed("The body is an array; send `{\"readings\": […]}`."));
    }
    let bulk: Bulk<'_> = serde_json::from_slice(body).map_err(|error| {
        let sentence = if error.is_data() { "Send `{\"readings\": […]}`." } else { "The body is not valid JSON." };
        Error::malformed(sentence).at("", error.to_string())
    })?;
    Ok(bulk.readings.into_iter().map(|raw| body.slice_ref(raw.get().as_bytes())).collect())
}

/// Topics and schema references repeat from reading to reading; each is kept once.
#[derive(Debug, Default)]
struct Words(HashMap<String, Arc<str>>);

impl Words {
    fn of(&mut self, word: &str) -> Arc<str> {
        if let Some(known) = self.0.get(word) {
            return Arc::clone(known);
        }
        let new: Arc<str> = word.into();
        self.0.insert(word.to_owned(), Arc::clone(&new));
        new
    }
}

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
struct Parsed<'a> {
    sensor: Cow<'a, str>,
    time: i64,
    rows: Vec<(Cow<'a, str>, Cow<'a, str>, Value)>,
    topic: Option<Cow<'a, str>>,
    schema_ref: Cow<'a, str>,
    quality: Quality,
}

impl<'a> Parsed<'a> {
    fn read(raw: &'a [u8], now: DateTime<Utc>) -> Result<Self, Fault> {
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
        let time = time(sent.timestamp, now)?;
        Ok(Self { sensor: sent.sensor_id, time, rows, topic: sent.topic, schema_ref, quality: sent.quality.unwrap_or_default() })
    }

    /// A reading from Kafka belongs to the topic that it came through, whatever it says.
    fn of_topic(self, topic: &str) -> Result<Self, Fault> {
        match &self.topic {
            Some(named) if named != topic => Err(Fault::at("/topic", format!("it names `{named}` but came through `{topic}`"))),
            _ => Ok(self),
        }
    }

    fn push(self, batch: &mut BatchBuilder, raw: Bytes, source: Source, words: &mut Words) {
        let schema_ref = words.of(&self.schema_ref);
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
fn at(parent: &str, key: &str) -> String {
    format!("{parent}/{}", key.replace('~', "~0").replace('/', "~1"))
}

fn named(path: &str, what: &str, name: &str) -> Result<(), Fault> {
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

/// Microseconds since the Unix epoch of an RFC 3339 text or of epoch milliseconds. Finer than microseconds is cut off.
fn time(raw: &RawValue, now: DateTime<Utc>) -> Result<i64, Fault> {
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
    let latest = now + limits::READING_AHEAD;
    if micros < 0 || micros > latest.timestamp_micros() {
        return Err(wrong(format!("a reading's time lies from 1970 to a year ahead of now ({})", latest.format("%Y-%m-%d"))));
    }
    Ok(micros)
}

fn not_json(error: &serde_json::Error) -> String {
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

#[cfg(test)]
mod tests {
    use super::*;

    fn now() -> DateTime<Utc> {
        DateTime::from_timestamp(1_780_000_000, 0).expect("a time")
    }

    fn read(text: &str) -> Result<Batch, Fault> {
        let mut collector = Collector::new(now());
        collector.add(&Bytes::copy_from_slice(text.as_bytes()), 0)?;
        Ok(collector.finish().remove(0))
    }

    fn fault(text: &str) -> String {
        read(text).expect_err(text).to_string()
    }

    #[test]
    fn every_form_of_value_and_time_is_read_exactly() {
        let batch = read(
            r#"{"sensorId":"r\u00e4um","timestamp":"2026-05-04T15:00:00.000001+03:00",
                "values":{"t":21.5,"n":9007199254740992,"open":true,"mode":"e\"co"},"unit":{"t":"Cel"},"quality":"suspect","schemaRef":"x@1"}"#,
        )
        .expect("sound");
        let columns = batch.columns();
        assert_eq!(columns.sensors, ["räum"]);
        assert_eq!(columns.time[0], 1_777_896_000_000_001);
        assert_eq!(columns.value[1].to_bits(), 9_007_199_254_740_992f64.to_bits());
        assert_eq!((columns.text_of(2), columns.text_of(3)), (Some("true"), Some("e\"co")));
        assert_eq!(columns.units[columns.unit[0] as usize], "Cel");
        assert_eq!((batch.readings()[0].quality, &*batch.readings()[0].schema_ref), (Quality::Suspect, "x@1"));
        let short = read(r#"{"sensorId":"s","timestamp":1777896000000,"value":-1}"#).expect("sound");
        assert_eq!((short.columns().time[0], short.columns().metrics[0].as_str()), (1_777_896_000_000_000, "value"));
    }

    #[test]
    fn what_is_wrong_is_named_with_its_place() {
        for (text, part) in [
            ("", "not valid JSON"),
            ("{", "not valid JSON"),
            ("[]", "it is an array"),
            ("7", "it is a single value"),
            (r#"{"timestamp":0,"value":1}"#, "sensorId"),
            (r#"{"sensorId":"s","value":1}"#, "timestamp"),
            (r#"{"sensorId":"s","timestamp":0}"#, "`values` is missing"),
            (r#"{"sensorId":"s","timestamp":0,"value":1,"valeu":1}"#, "valeu"),
            (r#"{"sensorId":"s","sensorId":"s","timestamp":0,"value":1}"#, "duplicate field"),
            (r#"{"sensorId":"s","timestamp":0,"values":{"a":1,"a":2}}"#, "twice"),
            (r#"{"sensorId":"s","timestamp":0,"values":{}}"#, "/values: "),
            (r#"{"sensorId":"s","timestamp":0,"values":{"a/b":null}}"#, "/values/a~1b: null"),
            (r#"{"sensorId":"s","timestamp":0,"values":{"a":[1]}}"#, "/values/a: "),
            (r#"{"sensorId":"s","timestamp":0,"values":{"a":9007199254740993}}"#, "2^53"),
            (r#"{"sensorId":"s","timestamp":0,"values":{"a":1e999}}"#, "beyond"),
            (r#"{"sensorId":"s","timestamp":0,"values":{"a":"\u0000"}}"#, "NUL"),
            (r#"{"sensorId":"s","timestamp":0,"values":{" a":1}}"#, "blanks"),
            (r#"{"sensorId":"","timestamp":0,"value":1}"#, "/sensorId"),
            (r#"{"sensorId":"s","timestamp":"yesterday","value":1}"#, "/timestamp: a time is RFC 3339"),
            (r#"{"sensorId":"s","timestamp":1.5,"value":1}"#, "/timestamp"),
            (r#"{"sensorId":"s","timestamp":-1,"value":1}"#, "/timestamp"),
            (r#"{"sensorId":"s","timestamp":99999999999999,"value":1}"#, "/timestamp"),
            (r#"{"sensorId":"s","timestamp":0,"value":1,"quality":"fine"}"#, "/quality"),
            (r#"{"sensorId":"s","timestamp":0,"value":1,"topic":"a b"}"#, "/topic"),
            (r#"{"sensorId":"s","timestamp":0,"value":1,"unit":{"t":"C"}}"#, "/unit/t"),
            (r#"{"sensorId":"s","timestamp":0,"value":1} x"#, "trailing"),
        ] {
            let found = fault(text);
            assert!(found.contains(part), "{text}: {found}");
        }
        let many = (0..=limits::READING_VALUES).map(|n| format!("\"m{n}\":1")).collect::<Vec<_>>().join(",");
        assert!(fault(&format!(r#"{{"sensorId":"s","timestamp":0,"values":{{{many}}}}}"#)).contains("more than"));
    }

    #[test]
    fn a_message_is_one_reading_or_an_array_and_nothing_is_left_out() {
        let source = Source::Kafka { partition: 0, offset: 7, key: None, headers: [].into() };
        let mut batch = BatchBuilder::new(Some("t".into()));
        for payload in [
            r#"{"sensorId":"s","timestamp":0,"value":1}"#,
            r#" [{"sensorId":"s","timestamp":1,"value":1},{"sensorId":"s"}]"#,
            "[]",
            "",
            "[1,",
            r#"{"sensorId":"s","timestamp":0,"value":1,"topic":"other"}"#,
        ] {
            message(&mut batch, "t", &Bytes::copy_from_slice(payload.as_bytes()), &source, now());
        }
        let batch = batch.build();
        let stands: Vec<bool> = (0..u32::try_from(batch.readings().len()).expect("few")).map(|n| batch.stands(n)).collect();
        assert_eq!(stands, [true, true, false, false, false, false, false]);
    }
}
