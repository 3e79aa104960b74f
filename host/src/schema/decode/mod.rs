//! Bytes → readings in columns: strict, and without a tree of values in between.
//!
//! What cannot be read exactly is refused with a pointer to it and a sentence. It knows neither HTTP nor Kafka; both hand it bytes.
//! [`Decoder`] takes the messages of one topic, [`Collector`] the readings of one request.

pub mod avro;
mod json;
mod json_exact;
#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde_json::value::RawValue;

use self::json::{Expected, Scratch};
use self::json_exact::Parsed;
use crate::batch::{Batch, BatchBuilder, Refusal, Refuser, Source};
use crate::error::Error;
use crate::limits;
use crate::model::ErrorStrategy;

/// What is wrong with a reading, and where in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// A JSON pointer into the reading; empty for the reading itself.
    pub path: String,
    /// What is wrong there.
    pub message: String,
}

impl Fault {
    pub(super) fn at(path: impl Into<String>, message: impl Into<String>) -> Self {
        Self { path: path.into(), message: message.into() }
    }

    /// Its strategy is the topic's, which is not known here: kept aside until it is.
    pub(super) fn into_refusal(self) -> Refusal {
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

/// The last time that a reading may have, in microseconds since the Unix epoch.
fn latest(now: DateTime<Utc>) -> i64 {
    (now + limits::READING_AHEAD).timestamp_micros()
}

/// How the messages of a topic are written, and what it takes to read them.
#[derive(Clone, Debug)]
pub enum Format {
    /// JSON: a reading, an array of readings, or a reading a line.
    Json,
    /// Avro in Confluent's wire format, a reading a message; with the schemas that the messages name.
    Avro(Arc<avro::Schemas>),
}

/// Gathers the messages of one topic into one batch. Every message is accounted for: what cannot be read is a refused reading.
#[derive(Debug)]
pub struct Decoder {
    topic: Arc<str>,
    format: Format,
    latest: i64,
    batch: BatchBuilder,
    scratch: Scratch,
}

impl Decoder {
    /// One for messages of `topic`, empty for readings without one; `now` bounds how far ahead a reading may lie.
    pub fn new(topic: &Arc<str>, format: Format, now: DateTime<Utc>) -> Self {
        let batch = BatchBuilder::new((!topic.is_empty()).then(|| Arc::clone(topic)));
        Self { topic: Arc::clone(topic), format, latest: latest(now), batch, scratch: Scratch::default() }
    }

    /// Adds the readings of a message.
    pub fn message(&mut self, payload: Bytes, source: Source) {
        match &self.format {
            Format::Json => json::message(&mut self.batch, &self.topic, payload, source, self.latest, &mut self.scratch),
            Format::Avro(schemas) => {
                avro::message(&mut self.batch, schemas, payload, source, self.latest, &mut self.scratch.units);
            }
        }
    }

    /// Adds a message that is refused as it is.
    pub fn unreadable(&mut self, payload: Bytes, source: Source, refusal: Refusal) {
        self.batch.push_unreadable(payload, source, refusal);
    }

    /// The readings so far, refused ones included.
    pub fn len(&self) -> usize {
        self.batch.len()
    }

    /// True where there are none yet.
    pub fn is_empty(&self) -> bool {
        self.batch.is_empty()
    }

    /// The batch.
    pub fn finish(self) -> Batch {
        self.batch.build()
    }
}

/// Gathers readings that came together by HTTP into batches, one for each topic that they name.
#[derive(Debug)]
pub struct Collector {
    latest: i64,
    batches: Vec<BatchBuilder>,
    /// The batch that the reading before went to.
    last: usize,
    scratch: Scratch,
}

impl Collector {
    /// An empty one; `now` bounds how far ahead a reading may lie.
    pub fn new(now: DateTime<Utc>) -> Self {
        Self { latest: latest(now), batches: Vec::new(), last: 0, scratch: Scratch::default() }
    }

    /// Reads one reading and puts it into the batch of its topic.
    pub fn add(&mut self, raw: &Bytes, index: u64) -> Result<(), Fault> {
        let source = Source::Http { index };
        if let Some(batch) = self.batches.get_mut(self.last) {
            let unread = (raw.clone(), source.clone());
            if json::reading(batch, Expected::Named, unread, self.latest, &mut self.scratch).is_ok() {
                return Ok(());
            }
        }
        let parsed = Parsed::read(raw, self.latest)?;
        let topic = parsed.topic.as_deref();
        self.last = self.batches.iter().position(|batch| batch.topic().map(|known| &**known) == topic).unwrap_or_else(|| {
            self.batches.push(BatchBuilder::new(topic.map(Into::into)));
            self.batches.len() - 1
        });
        parsed.push(&mut self.batches[self.last], raw.clone(), source);
        Ok(())
    }

    /// The readings so far.
    pub fn len(&self) -> usize {
        self.batches.iter().map(BatchBuilder::len).sum()
    }

    /// True where there are none yet.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The batches.
    pub fn finish(self) -> Vec<Batch> {
        self.batches.into_iter().map(BatchBuilder::build).collect()
    }
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
