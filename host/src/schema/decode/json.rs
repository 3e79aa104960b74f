//! Messages of JSON, and the fast way of one reading: from its bytes straight into the columns of a batch.
//!
//! The fast way takes what devices send all day and allocates nothing for it but texts. Whatever it is not sure of leaves no trace and
//! goes to `json_exact`, which alone refuses: where the fast way takes a reading, the exact way takes it with the same values.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use chrono::DateTime;
use serde::de::{DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::Fault;
use super::json_exact::{Parsed, not_json};
use crate::batch::{BatchBuilder, Draft, Quality, Reading, Source, Verdict};
use crate::limits;

/// What is used again for each message.
#[derive(Debug, Default)]
pub(super) struct Scratch {
    elements: Vec<Range<usize>>,
    pub(super) units: Vec<(u32, u32)>,
}

/// What a reading says of its topic.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Expected {
    /// The batch's topic, or nothing: it came through that topic.
    Came,
    /// Just the batch's topic; nothing where that is none.
    Named,
}

/// Adds the readings of one Kafka message to a batch of its topic: one reading, an array of them, or a reading a line.
pub(super) fn message(batch: &mut BatchBuilder, topic: &str, payload: Bytes, source: Source, latest: i64, scratch: &mut Scratch) {
    let mut unread = (payload, source);
    let payload = &unread.0;
    let refused = match payload.iter().find(|byte| !byte.is_ascii_whitespace()) {
        None => Fault::at("", "the message is empty"),
        Some(b'[') => match elements(payload, &mut scratch.elements) {
            Ok(()) => {
                each_element(batch, topic, &unread, latest, scratch);
                return;
            }
            Err(fault) => fault,
        },
        Some(_) => {
            unread = match reading(batch, Expected::Came, unread, latest, scratch) {
                Ok(()) => return,
                Err(unread) => unread,
            };
            if !in_lines(&unread.0) {
                exactly(batch, topic, unread, latest);
                return;
            }
            match lines(&unread.0, &mut scratch.elements) {
                Ok(()) => {
                    each_element(batch, topic, &unread, latest, scratch);
                    return;
                }
                Err(fault) => fault,
            }
        }
    };
    batch.push_unreadable(unread.0, unread.1, refused.into_refusal());
}

/// A reading's bytes and where they came from, before they are read.
pub(super) type Unread = (Bytes, Source);

/// Adds the readings that the scratch has found in a message.
fn each_element(batch: &mut BatchBuilder, topic: &str, (payload, source): &Unread, latest: i64, scratch: &mut Scratch) {
    for at in 0..scratch.elements.len() {
        let unread = (payload.slice(scratch.elements[at].clone()), source.clone());
        if let Err(unread) = reading(batch, Expected::Came, unread, latest, scratch) {
            exactly(batch, topic, unread, latest);
        }
    }
}

/// Adds one reading the exact way, or its refusal.
fn exactly(batch: &mut BatchBuilder, topic: &str, (raw, source): Unread, latest: i64) {
    match Parsed::read(&raw, latest).and_then(|parsed| parsed.of_topic(topic)) {
        Ok(parsed) => parsed.push(batch, raw.clone(), source),
        Err(fault) => batch.push_unreadable(raw, source, fault.into_refusal()),
    }
}

/// Where the elements of an array lie in the payload.
fn elements(payload: &[u8], found: &mut Vec<Range<usize>>) -> Result<(), Fault> {
    struct Elements<'f>(&'f mut Vec<Range<usize>>, usize);
    impl<'de> Visitor<'de> for Elements<'_> {
        type Value = ();

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an array")
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<(), A::Error> {
            while let Some(element) = elements.next_element::<&RawValue>()? {
                if self.0.len() >= limits::MESSAGE_READINGS {
                    return Err(A::Error::custom(too_many()));
                }
                let begin = element.get().as_ptr().addr() - self.1;
                self.0.push(begin..begin + element.get().len());
            }
            Ok(())
        }
    }
    found.clear();
    let mut json = serde_json::Deserializer::from_slice(payload);
    let whole = json.deserialize_seq(Elements(found, payload.as_ptr().addr())).and_then(|()| json.end());
    whole.map_err(|error| Fault::at("", if error.is_data() { error.to_string() } else { not_json(&error) }))?;
    if found.is_empty() { Err(Fault::at("", "the array holds no reading")) } else { Ok(()) }
}

/// Where the lines of the payload lie in it, blank ones left out.
fn lines(payload: &[u8], found: &mut Vec<Range<usize>>) -> Result<(), Fault> {
    found.clear();
    let mut begin = 0;
    for line in payload.split(|byte| *byte == b'\n') {
        let (trimmed, start) = (line.trim_ascii(), begin + line.len() - line.trim_ascii_start().len());
        begin += line.len() + 1;
        if trimmed.is_empty() {
            continue;
        }
        if found.len() >= limits::MESSAGE_READINGS {
            return Err(Fault::at("", too_many()));
        }
        found.push(start..start + trimmed.len());
    }
    Ok(())
}

/// True for a reading a line: one of several lines is an object, and the whole is not one value that is set in lines.
fn in_lines(payload: &[u8]) -> bool {
    let mut lines = payload.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii).filter(|line| !line.is_empty());
    let object = |line: &[u8]| line.starts_with(b"{") && line.ends_with(b"}");
    let Some(first) = lines.next() else { return false };
    let Some(second) = lines.next() else { return false };
    (object(first) || object(second) || lines.any(object)) && serde_json::from_slice::<IgnoredAny>(payload).is_err()
}

fn too_many() -> String {
    format!("a message holds at most {} readings", limits::MESSAGE_READINGS)
}

/// Adds one reading the fast way; gives it back, and adds nothing, where it is not sure of it.
pub(super) fn reading(
    batch: &mut BatchBuilder,
    expected: Expected,
    unread: Unread,
    latest: i64,
    scratch: &mut Scratch,
) -> Result<(), Unread> {
    if unread.0.len() > limits::READING_BYTES {
        return Err(unread);
    }
    scratch.units.clear();
    let mut draft = batch.draft();
    let mut found = Found {
        sensor: None,
        time: None,
        latest,
        schema_ref: None,
        quality: Quality::default(),
        named: false,
        units: &mut scratch.units,
        fields: 0,
    };
    let mut json = serde_json::Deserializer::from_slice(&unread.0);
    let fields = Fields { draft: &mut draft, found: &mut found };
    if json.deserialize_map(fields).is_err() || json.end().is_err() {
        return Err(unread);
    }
    let topic_fits = found.named || expected == Expected::Came || draft.topic().is_none();
    let (Some(sensor), Some(time)) = (found.sensor, found.time) else { return Err(unread) };
    if !topic_fits || draft.is_empty() {
        return Err(unread);
    }
    let Some(schema_ref) = found.schema_ref.take().or_else(|| draft.schema_ref("")) else { return Err(unread) };
    let (raw, source) = unread;
    let reading = Reading { raw, source, schema_ref, quality: found.quality, verdict: Verdict::Accepted };
    draft.commit(reading, sensor, time, found.units);
    Ok(())
}

/// What has been found of a reading.
struct Found<'s> {
    sensor: Option<u32>,
    time: Option<i64>,
    latest: i64,
    schema_ref: Option<Arc<str>>,
    quality: Quality,
    named: bool,
    units: &'s mut Vec<(u32, u32)>,
    /// A bit for each field that was there.
    fields: u8,
}

/// Not sure: whoever sees it asks the exact way.
fn unsure<E: serde::de::Error>() -> E {
    E::custom("")
}

struct Fields<'a, 'b, 's> {
    draft: &'a mut Draft<'b>,
    found: &'a mut Found<'s>,
}

#[derive(Clone, Copy)]
enum Field {
    Sensor,
    Timestamp,
    Values,
    Value,
    Topic,
    SchemaRef,
    Quality,
    Unit,
}

impl<'de> Visitor<'de> for Fields<'_, '_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a reading")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let Self { draft, found } = self;
        while let Some(field) = map.next_key_seed(Text(|name: &str| field(name)))? {
            let bit = 1 << field as u8;
            // `values` and `value` stand for each other.
            let bit = if matches!(field, Field::Value) { 1 << Field::Values as u8 } else { bit };
            if found.fields & bit != 0 {
                return Err(unsure());
            }
            found.fields |= bit;
            match field {
                Field::Sensor => found.sensor = Some(map.next_value_seed(Text(|name: &str| draft.sensor(name)))?),
                Field::Timestamp => found.time = Some(map.next_value_seed(Time(found.latest))?),
                Field::Values => map.next_value_seed(Values(draft))?,
                Field::Value => {
                    let metric = draft.metric("value").ok_or_else(unsure)?;
                    map.next_value_seed(Scalar(draft, metric))?;
                }
                Field::Topic => {
                    let topic = draft.topic().map(|topic| &**topic);
                    map.next_value_seed(Text(|name: &str| (Some(name) == topic).then_some(())))?;
                    found.named = true;
                }
                Field::SchemaRef => {
                    found.schema_ref = Some(map.next_value_seed(Text(|word: &str| draft.schema_ref(word)))?);
                }
                Field::Quality => found.quality = map.next_value_seed(Text(quality))?,
                Field::Unit => map.next_value_seed(Units(draft, found.units))?,
            }
        }
        Ok(())
    }
}

fn field(name: &str) -> Option<Field> {
    Some(match name {
        "sensorId" => Field::Sensor,
        "timestamp" => Field::Timestamp,
        "values" => Field::Values,
        "value" => Field::Value,
        "topic" => Field::Topic,
        "schemaRef" => Field::SchemaRef,
        "quality" => Field::Quality,
        "unit" => Field::Unit,
        _ => return None,
    })
}

/// The quality of this name.
pub(super) fn quality(word: &str) -> Option<Quality> {
    Some(match word {
        "good" => Quality::Good,
        "suspect" => Quality::Suspect,
        "bad" => Quality::Bad,
        _ => return None,
    })
}

/// A text, as what a function makes of it; `None` is not sure.
struct Text<F>(F);

impl<'de, T, F: FnOnce(&str) -> Option<T>> DeserializeSeed<'de> for Text<F> {
    type Value = T;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<T, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<T, F: FnOnce(&str) -> Option<T>> Visitor<'_> for Text<F> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text")
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<T, E> {
        (self.0)(text).ok_or_else(unsure)
    }
}

/// A time, in microseconds; with the last one that is taken.
struct Time(i64);

impl<'de> DeserializeSeed<'de> for Time {
    type Value = i64;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<i64, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl Visitor<'_> for Time {
    type Value = i64;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a time")
    }

    fn visit_u64<E: serde::de::Error>(self, millis: u64) -> Result<i64, E> {
        let micros = i64::try_from(millis).ok().and_then(|millis| millis.checked_mul(1_000));
        micros.filter(|micros| *micros <= self.0).ok_or_else(unsure)
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<i64, E> {
        let time = DateTime::parse_from_rfc3339(text).map_err(|_| unsure())?;
        Some(time.timestamp_micros()).filter(|micros| (0..=self.0).contains(micros)).ok_or_else(unsure)
    }
}

struct Values<'a, 'b>(&'a mut Draft<'b>);

impl<'de> DeserializeSeed<'de> for Values<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Values<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("values")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(metric) = map.next_key_seed(Text(|name: &str| self.0.metric(name)))? {
            map.next_value_seed(Scalar(self.0, metric))?;
        }
        Ok(())
    }
}

/// One value, for this metric.
struct Scalar<'a, 'b>(&'a mut Draft<'b>, u32);

impl<'de> DeserializeSeed<'de> for Scalar<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl Visitor<'_> for Scalar<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_bool<E: serde::de::Error>(self, on: bool) -> Result<(), E> {
        self.0.bool(self.1, on).then_some(()).ok_or_else(unsure)
    }

    #[expect(clippy::cast_precision_loss, reason = "it is checked to be exact")]
    fn visit_i64<E: serde::de::Error>(self, number: i64) -> Result<(), E> {
        let exact = number.unsigned_abs() <= limits::EXACT_INTEGER;
        (exact && self.0.number(self.1, number as f64)).then_some(()).ok_or_else(unsure)
    }

    #[expect(clippy::cast_precision_loss, reason = "it is checked to be exact")]
    fn visit_u64<E: serde::de::Error>(self, number: u64) -> Result<(), E> {
        let exact = number <= limits::EXACT_INTEGER;
        (exact && self.0.number(self.1, number as f64)).then_some(()).ok_or_else(unsure)
    }

    #[expect(clippy::cast_precision_loss, reason = "2^53 is exact")]
    fn visit_f64<E: serde::de::Error>(self, number: f64) -> Result<(), E> {
        // An integer too large for 64 bits comes as a float, and so does -0, which as an integer is 0.
        let sure = number.abs() < limits::EXACT_INTEGER as f64 && (number != 0.0 || number.is_sign_positive());
        (sure && self.0.number(self.1, number)).then_some(()).ok_or_else(unsure)
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<(), E> {
        self.0.text(self.1, text).then_some(()).ok_or_else(unsure)
    }
}

/// Units by metric; only of metrics whose values came before.
struct Units<'a, 'b>(&'a mut Draft<'b>, &'a mut Vec<(u32, u32)>);

impl<'de> DeserializeSeed<'de> for Units<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Units<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("units")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(metric) = map.next_key_seed(Text(|name: &str| self.0.metric_given(name)))? {
            if self.1.iter().any(|(known, _)| *known == metric) {
                return Err(unsure());
            }
            self.1.push((metric, map.next_value_seed(Text(|name: &str| self.0.unit(name)))?));
        }
        Ok(())
    }
}
