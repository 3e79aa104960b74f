//! Avro in Confluent's wire format: a zero byte, the schema's number in four bytes, one record, read straight into columns.
//!
//! Whose schema a number names is not known here: whoever hands over messages has looked the numbers up before.

mod datum;
mod plan;
#[cfg(test)]
mod tests;

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use bytes::Bytes;
use chrono::DateTime;

use self::datum::{Datum, Scalar};
pub use self::plan::Plan;
use self::plan::{Choice, Leaf, Pairs, Slot, Time};
use super::Fault;
use super::json_exact::{at, within};
use crate::batch::{BatchBuilder, Draft, Quality, Reading, Source, Verdict};
use crate::limits;
use crate::model::check_name;

/// The plans of the schemas that messages name by their numbers; for a number that names none that can be used, the reason.
#[derive(Clone, Debug, Default)]
pub struct Schemas(pub HashMap<i32, Result<Arc<Plan>, Arc<str>>>);

/// The numbers of schemas that messages name. Messages that name none are refused when they are read.
pub fn numbers(messages: impl IntoIterator<Item = Bytes>) -> BTreeSet<i32> {
    messages.into_iter().filter_map(|message| header(&message).ok().map(|(number, _)| number)).collect()
}

/// The schema's number and the record.
fn header(message: &[u8]) -> Result<(i32, &[u8]), Fault> {
    match message.split_first_chunk::<5>() {
        Some(([0, number @ ..], record)) => Ok((i32::from_be_bytes(*number), record)),
        _ => Err(Fault::at("", "not Avro in Confluent's wire format: a zero byte, the schema's number in four bytes, a record")),
    }
}

/// Adds the reading of a message to a batch of its topic, or its refusal.
pub(super) fn message(
    batch: &mut BatchBuilder,
    schemas: &Schemas,
    payload: Bytes,
    source: Source,
    latest: i64,
    units: &mut Vec<(u32, u32)>,
) {
    if let Err(fault) = read(batch, schemas, &payload, &source, latest, units) {
        batch.push_unreadable(payload, source, fault.into_refusal());
    }
}

fn read(
    batch: &mut BatchBuilder,
    schemas: &Schemas,
    payload: &Bytes,
    source: &Source,
    latest: i64,
    units: &mut Vec<(u32, u32)>,
) -> Result<(), Fault> {
    if payload.len() > limits::READING_BYTES {
        return Err(Fault::at("", format!("a reading has at most {} bytes", limits::READING_BYTES)));
    }
    let (number, record) = header(payload)?;
    let plan = match schemas.0.get(&number) {
        Some(Ok(plan)) => plan,
        Some(Err(reason)) => return Err(Fault::at("", format!("schema {number} cannot be used: {reason}"))),
        None => return Err(Fault::at("", format!("there is no schema {number}"))),
    };
    let mut draft = batch.draft();
    units.clear();
    let found = plan.read(&mut draft, record, latest, units)?;
    let (sensor, time) = (found.sensor.ok_or_else(|| missing("sensorId"))?, found.time.ok_or_else(|| missing("timestamp"))?);
    if draft.is_empty() {
        return Err(Fault::at("/values", "a reading has at least one value"));
    }
    let schema_ref = match found.schema_ref {
        Some(schema_ref) => schema_ref,
        None => draft.schema_ref("").ok_or_else(|| missing("schemaRef"))?,
    };
    let quality = found.quality;
    let reading = Reading { raw: payload.clone(), source: source.clone(), schema_ref, quality, verdict: Verdict::Accepted };
    draft.commit(reading, sensor, time, units);
    Ok(())
}

fn missing(field: &str) -> Fault {
    Fault::at(format!("/{field}"), format!("`{field}` is null"))
}

/// What has been found of a reading, its values aside.
#[derive(Default)]
struct Found {
    sensor: Option<u32>,
    time: Option<i64>,
    schema_ref: Option<Arc<str>>,
    quality: Quality,
}

impl Plan {
    fn read(&self, draft: &mut Draft<'_>, record: &[u8], latest: i64, units: &mut Vec<(u32, u32)>) -> Result<Found, Fault> {
        let mut datum = Datum(record);
        let mut found = Found::default();
        // Units are of metrics that may come after them.
        let mut unit = None;
        let (mut has_values, mut has_value) = (false, false);
        for slot in &self.slots {
            match slot {
                Slot::Sensor(choice) => {
                    if let Some(name) = text(&mut datum, choice)? {
                        found.sensor = Some(draft.sensor(name).ok_or_else(|| unnamed("/sensorId", "a sensor's name", name))?);
                    }
                }
                Slot::Timestamp(choice) => {
                    if let Some(time) = datum.branch(choice)? {
                        found.time = Some(within(micros(&mut datum, time)?, latest)?);
                    }
                }
                Slot::Values(choice) => {
                    if let Some(pairs) = datum.branch(choice)? {
                        has_values = true;
                        each(&mut datum, pairs, |metric, value| add(draft, &|| at("/values", metric), metric, value))?;
                    }
                }
                Slot::Value(choice) => {
                    if let Some(leaf) = datum.branch(choice)? {
                        has_value = true;
                        let value = datum.leaf(leaf)?;
                        add(draft, &|| "/value".to_owned(), "value", value)?;
                    }
                }
                Slot::Unit(choice) => {
                    if let Some(pairs) = datum.branch(choice)? {
                        unit = Some((datum, pairs));
                        each(&mut datum, pairs, |_, _| Ok(()))?;
                    }
                }
                Slot::Quality(choice) => {
                    if let Some(word) = text(&mut datum, choice)? {
                        let wrong = || Fault::at("/quality", format!("`{word}` is not good, suspect or bad"));
                        found.quality = super::json::quality(word).ok_or_else(wrong)?;
                    }
                }
                Slot::SchemaRef(choice) => {
                    if let Some(word) = text(&mut datum, choice)? {
                        let wrong = || unnamed("/schemaRef", "a schema reference", word);
                        found.schema_ref = Some(draft.schema_ref(word).ok_or_else(wrong)?);
                    }
                }
                Slot::Topic(choice) => {
                    let topic = draft.topic().map(|topic| &**topic).unwrap_or_default();
                    if let Some(named) = text(&mut datum, choice)?.filter(|named| *named != topic) {
                        return Err(Fault::at("/topic", format!("it names `{named}` but came through `{topic}`")));
                    }
                }
            }
        }
        if has_values && has_value {
            return Err(Fault::at("/value", "give `values` or `value`, not both"));
        }
        if !datum.0.is_empty() {
            return Err(Fault::at("", format!("{} bytes are left after the record of its schema", datum.0.len())));
        }
        if let Some((mut datum, pairs)) = unit {
            each(&mut datum, pairs, |metric, value| {
                let Scalar::Text(name) = value else { return Ok(()) };
                let path = || at("/unit", metric);
                let of = draft.metric_given(metric).ok_or_else(|| Fault::at(path(), "there is no value of this metric"))?;
                if units.iter().any(|(known, _)| *known == of) {
                    return Err(Fault::at(path(), "it is given twice"));
                }
                units.push((of, draft.unit(name).ok_or_else(|| unnamed(&path(), "a unit's name", name))?));
                Ok(())
            })?;
        }
        Ok(found)
    }
}

/// A text that may be null.
fn text<'a>(datum: &mut Datum<'a>, choice: &'a Choice<Leaf>) -> Result<Option<&'a str>, Fault> {
    let Some(leaf) = datum.branch(choice)? else { return Ok(None) };
    // A plan has nothing but texts in such a place.
    Ok(if let Scalar::Text(text) = datum.leaf(leaf)? { Some(text) } else { None })
}

/// Each pair that is not null.
fn each<'a>(
    datum: &mut Datum<'a>,
    pairs: &'a Pairs,
    mut found: impl FnMut(&'a str, Scalar<'a>) -> Result<(), Fault>,
) -> Result<(), Fault> {
    let mut one = |datum: &mut Datum<'a>, name: &'a str, choice: &'a Choice<Leaf>| match datum.branch(choice)? {
        Some(leaf) => found(name, datum.leaf(leaf)?),
        None => Ok(()),
    };
    match pairs {
        Pairs::Record(fields) => fields.iter().try_for_each(|(name, choice)| one(datum, name, choice)),
        Pairs::Map(choice) => loop {
            let entries = datum.block()?;
            if entries == 0 {
                return Ok(());
            }
            for _ in 0..entries {
                let name = datum.text()?;
                one(datum, name, choice)?;
            }
        },
    }
}

fn add(draft: &mut Draft<'_>, path: &dyn Fn() -> String, name: &str, value: Scalar<'_>) -> Result<(), Fault> {
    if draft.len() >= limits::READING_VALUES {
        return Err(Fault::at("/values", format!("more than {} values", limits::READING_VALUES)));
    }
    let Some(metric) = draft.metric(name) else {
        let twice = draft.metric_given(name).is_some();
        return Err(if twice { Fault::at(path(), "it is given twice") } else { unnamed(&path(), "a metric's name", name) });
    };
    let added = match value {
        Scalar::Bool(on) => draft.bool(metric, on),
        #[expect(clippy::cast_precision_loss, reason = "it is checked to be exact")]
        Scalar::Integer(number) if number.unsigned_abs() <= limits::EXACT_INTEGER => draft.number(metric, number as f64),
        Scalar::Integer(_) => {
            let message = "integers beyond 2^53 cannot be held exactly; send it as a string, or as a double";
            return Err(Fault::at(path(), message));
        }
        Scalar::Number(number) if number.is_finite() => draft.number(metric, number),
        Scalar::Number(_) => return Err(Fault::at(path(), "a number is finite; for no value leave it out or send null")),
        Scalar::Text(text) if text.len() > limits::TEXT_BYTES => {
            return Err(Fault::at(path(), format!("a text has at most {} bytes", limits::TEXT_BYTES)));
        }
        Scalar::Text(text) => draft.text(metric, text),
    };
    if added { Ok(()) } else { Err(Fault::at(path(), "a text holds no NUL character")) }
}

fn unnamed(path: &str, what: &str, name: &str) -> Fault {
    let sentence = check_name(what, name).err().map(|error| error.sentence().to_owned());
    Fault::at(path, sentence.unwrap_or_else(|| format!("{what} cannot be `{name}`")))
}

/// Microseconds since the Unix epoch. Finer than microseconds is cut off.
fn micros(datum: &mut Datum<'_>, time: &Time) -> Result<i64, Fault> {
    let far = || Fault::at("/timestamp", "it is beyond every time that can be stored");
    match time {
        Time::Text => {
            let time = DateTime::parse_from_rfc3339(datum.text()?).map_err(|error| {
                Fault::at("/timestamp", format!("a time is RFC 3339, such as 2026-05-04T12:00:00Z ({error})"))
            })?;
            Ok(time.timestamp_micros())
        }
        Time::Millis => datum.long()?.checked_mul(1_000).ok_or_else(far),
        Time::Micros => datum.long(),
        Time::Nanos => Ok(datum.long()?.div_euclid(1_000)),
    }
}
