//! Readings in columns, with a verdict for each: what travels from a decoder to COPY.
//!
//! A *reading* is what a client sends: one sensor at one time, with one value or several. A *row* is one of its values and becomes
//! one row of the hypertable. Columns are by row, since that is what guests and COPY want; verdicts are by reading, since half of a
//! reading stored and half of it refused would be neither.
//!
//! Nothing here does I/O. A batch has one tenant and at most one topic, so one set of rules applies to all of it.

mod builder;
pub mod compare;
mod long_form;

use std::sync::Arc;

use bytes::Bytes;

use self::builder::Places;
pub use self::builder::{BatchBuilder, Draft, Row};
pub use self::long_form::{LongForm, Values};
use crate::model::ErrorStrategy;

/// How far a value can be trusted.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize, utoipa::ToSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Quality {
    /// Nothing speaks against it.
    #[default]
    Good,
    /// A validator flagged it, or its sender did.
    Suspect,
    /// Its sender says that it is wrong.
    Bad,
}

impl Quality {
    /// The number it is stored as.
    pub fn code(self) -> i16 {
        match self {
            Self::Good => 0,
            Self::Suspect => 1,
            Self::Bad => 2,
        }
    }

    /// The quality stored as `code`; unknown numbers, which only another program can have written, count as bad.
    pub fn from_code(code: i16) -> Self {
        match code {
            0 => Self::Good,
            1 => Self::Suspect,
            _ => Self::Bad,
        }
    }
}

/// One value of a reading.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// A finite number.
    Number(f64),
    /// True or false; stored as 1 or 0 beside the text `true` or `false`, so that it can be averaged and still be told from both.
    Bool(bool),
    /// Text.
    Text(String),
}

/// The values of a batch, by row.
///
/// A row is text where `value` is NaN; where a row has both a number and a text, it is a bool. The four dictionaries hold each
/// string once, however often it occurs.
#[derive(Clone, Debug, Default)]
pub struct Columns {
    /// The sensors that occur.
    pub sensors: Vec<String>,
    /// The metrics that occur.
    pub metrics: Vec<String>,
    /// The units that occur; the empty string is no unit.
    pub units: Vec<String>,
    /// Row → index into `sensors`.
    pub sensor: Vec<u32>,
    /// Row → index into `metrics`.
    pub metric: Vec<u32>,
    /// Row → index into `units`.
    pub unit: Vec<u32>,
    /// Row → microseconds since the Unix epoch, UTC.
    pub time: Vec<i64>,
    /// Row → number, NaN where the row is text.
    pub value: Vec<f64>,
    /// Rows that have text, in rising order of the row.
    pub text: Vec<(u32, String)>,
    /// Row → the reading it belongs to; rows of one reading lie together, except derived ones, which lie at the end.
    pub reading: Vec<u32>,
}

impl Columns {
    /// The number of rows.
    pub fn rows(&self) -> usize {
        self.time.len()
    }

    /// The text of a row, if it has one.
    pub fn text_of(&self, row: u32) -> Option<&str> {
        self.text.binary_search_by_key(&row, |(at, _)| *at).ok().map(|at| self.text[at].1.as_str())
    }

    /// The value of a row as JSON: a number, a boolean or a text.
    pub fn json_of(&self, row: usize) -> serde_json::Value {
        let text = self.text_of(index(row));
        let number = self.value[row];
        match text {
            None => number.into(),
            Some(text) if number.is_nan() => text.into(),
            Some(text) => (text == "true").into(),
        }
    }

    /// Replaces, sets or (with `None`) removes the texts of rows, all in one go: one by one, each could move all that follow. Of two changes
    /// of one row the later one counts.
    pub fn set_texts(&mut self, mut changes: Vec<(u32, Option<String>)>) {
        changes.sort_by_key(|(row, _)| *row);
        let mut before = std::mem::take(&mut self.text).into_iter().peekable();
        let mut after: Vec<(u32, String)> = Vec::with_capacity(before.len() + changes.len());
        for (row, text) in changes {
            while let Some(kept) = before.next_if(|(at, _)| *at < row) {
                after.push(kept);
            }
            before.next_if(|(at, _)| *at == row);
            after.pop_if(|(at, _)| *at == row);
            after.extend(text.map(|text| (row, text)));
        }
        after.extend(before);
        self.text = after;
    }
}

/// Where a reading came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// An HTTP request: its place in the body, from 0.
    Http {
        /// Its place in the body.
        index: u64,
    },
    /// A Kafka message.
    Kafka {
        /// The partition.
        partition: i32,
        /// The message's offset.
        offset: i64,
        /// The message's key.
        key: Option<Bytes>,
        /// The message's headers.
        headers: Arc<[(String, Option<Bytes>)]>,
    },
}

/// Who or what refused a reading.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Refuser {
    /// It could not be read.
    Decoder,
    /// The policy does not let the caller write this sensor.
    Policy,
    /// A JSON Schema, by its name and version (`room@3`).
    Schema(Arc<str>),
    /// A validator, by its name.
    Validator(Arc<str>),
    /// The database, by the SQLSTATE that it answered for this reading alone.
    Store(Arc<str>),
}

impl Refuser {
    /// The name by which users know it.
    pub fn name(&self) -> &str {
        match self {
            Self::Decoder => "decoder",
            Self::Policy => "policy",
            Self::Schema(name) | Self::Validator(name) => name,
            Self::Store(_) => "database",
        }
    }
}

/// Why a reading is not simply accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Who says so.
    pub by: Refuser,
    /// Why, for the reading's sender.
    pub reason: String,
    /// A JSON pointer to what is wrong, where that is known.
    pub path: Option<String>,
    /// True where the check itself failed (trap, limit): the reading may be good.
    pub fault: bool,
    /// What is to become of the reading.
    pub strategy: ErrorStrategy,
}

/// What is thought of a reading so far. Only the first refusal counts; what was refused is shown to no further validator.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing speaks against it.
    #[default]
    Accepted,
    /// A validator marked it as suspect; it is stored so.
    Suspect,
    /// Somebody refused it.
    Refused(Box<Refusal>),
}

/// A reading of a batch: all that is not in the columns.
#[derive(Clone, Debug)]
pub struct Reading {
    /// Its bytes as they came, for JSON Schema and for quarantine.
    pub raw: Bytes,
    /// Where it came from.
    pub source: Source,
    /// The schema that its sender says it follows; empty for none.
    pub schema_ref: Arc<str>,
    /// The quality its sender gave it.
    pub quality: Quality,
    /// What is thought of it so far.
    pub verdict: Verdict,
}

/// Readings of one tenant and at most one topic.
#[derive(Clone, Debug, Default)]
pub struct Batch {
    topic: Option<Arc<str>>,
    columns: Columns,
    readings: Vec<Reading>,
}

impl Batch {
    /// The topic that all readings name or came through; `None` where they name none.
    pub fn topic(&self) -> Option<&Arc<str>> {
        self.topic.as_ref()
    }

    /// The values, by row.
    pub fn columns(&self) -> &Columns {
        &self.columns
    }

    /// The values, to be changed by a guest's outcome.
    pub fn columns_mut(&mut self) -> &mut Columns {
        &mut self.columns
    }

    /// The readings.
    pub fn readings(&self) -> &[Reading] {
        &self.readings
    }

    /// True where there is nothing in it, not even a refused reading.
    pub fn is_empty(&self) -> bool {
        self.readings.is_empty()
    }

    /// True where the reading has not been refused.
    pub fn stands(&self, reading: u32) -> bool {
        !matches!(self.readings[reading as usize].verdict, Verdict::Refused(_))
    }

    /// Refuses a reading. The first refusal counts; later ones are ignored.
    pub fn refuse(&mut self, reading: u32, refusal: Refusal) {
        let verdict = &mut self.readings[reading as usize].verdict;
        if !matches!(verdict, Verdict::Refused(_)) {
            *verdict = Verdict::Refused(Box::new(refusal));
        }
    }

    /// Gives what the decoder refused its topic's strategy, which the decoder does not know.
    pub fn unreadable_follow(&mut self, strategy: ErrorStrategy) {
        for reading in &mut self.readings {
            if let Verdict::Refused(refusal) = &mut reading.verdict
                && refusal.by == Refuser::Decoder
            {
                refusal.strategy = strategy;
            }
        }
    }

    /// Marks a reading as suspect, unless it was refused.
    pub fn suspect(&mut self, reading: u32) {
        let verdict = &mut self.readings[reading as usize].verdict;
        if *verdict == Verdict::Accepted {
            *verdict = Verdict::Suspect;
        }
    }

    /// Appends rows that a guest derived: other metrics of the same readings. The caller has checked the names.
    pub fn derive(&mut self, derived: impl IntoIterator<Item = Derived>) {
        let (mut metrics, mut units) = (Places::of(&self.columns.metrics), Places::of(&self.columns.units));
        for Derived { row, metric, unit, value } in derived {
            let from = row as usize;
            let columns = &mut self.columns;
            let (sensor, time, reading) = (columns.sensor[from], columns.time[from], columns.reading[from]);
            let metric = metrics.intern(&mut columns.metrics, &metric);
            let unit = units.intern(&mut columns.units, &unit);
            push_row(columns, reading, sensor, metric, unit, time, value);
        }
    }

    /// Gives the units of rows other names.
    pub fn set_units<'a>(&mut self, changes: impl IntoIterator<Item = (u32, &'a str)>) {
        let mut units = Places::of(&self.columns.units);
        for (row, unit) in changes {
            let unit = units.intern(&mut self.columns.units, unit);
            self.columns.unit[row as usize] = unit;
        }
    }
}

/// A row that a guest makes of another one.
#[derive(Clone, Debug, PartialEq)]
pub struct Derived {
    /// The row that it is made of: its reading, sensor and time are the new row's.
    pub row: u32,
    /// What it says.
    pub metric: String,
    /// Its unit; empty for none.
    pub unit: String,
    /// The value.
    pub value: Value,
}

/// Rows and readings of a batch are bounded far below `u32::MAX` by the limits on bodies and flushes.
fn index(at: usize) -> u32 {
    u32::try_from(at).unwrap_or(u32::MAX)
}

fn push_row(columns: &mut Columns, reading: u32, sensor: u32, metric: u32, unit: u32, time: i64, value: Value) {
    let row = index(columns.rows());
    let (number, text) = match value {
        Value::Number(number) => (number, None),
        Value::Bool(on) => (f64::from(u8::from(on)), Some(on.to_string())),
        Value::Text(text) => (f64::NAN, Some(text)),
    };
    columns.sensor.push(sensor);
    columns.metric.push(metric);
    columns.unit.push(unit);
    columns.time.push(time);
    columns.value.push(number);
    columns.reading.push(reading);
    if let Some(text) = text {
        columns.text.push((row, text));
    }
}

/// What becomes of a reading, once all have judged it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It is stored with this quality.
    Store(Quality),
    /// It is kept aside.
    Quarantine(Box<Refusal>),
    /// It is refused: its sender is told, and from Kafka it is counted as skipped by the refuser's name.
    Reject(Box<Refusal>),
}

/// A reading whose refusal stops its topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stopped {
    /// The first such reading.
    pub source: Source,
    /// Why.
    pub refusal: Refusal,
}

impl Batch {
    /// What becomes of each reading, in their order, or the refusal that stops the topic.
    ///
    /// A refusal's strategy decides; the exceptions are those of the contract: a *failed* check is never stored as suspect but
    /// quarantined, what could not be read has no value to flag, and only a topic that is consumed can be stopped: where
    /// `stoppable` is false, as over HTTP, `stop` refuses.
    pub fn settle(&self, stoppable: bool) -> Result<Vec<Fate>, Box<Stopped>> {
        self.readings.iter().map(|reading| settle(reading, stoppable)).collect()
    }
}

fn settle(reading: &Reading, stoppable: bool) -> Result<Fate, Box<Stopped>> {
    let refusal = match &reading.verdict {
        Verdict::Accepted => return Ok(Fate::Store(reading.quality)),
        Verdict::Suspect => return Ok(Fate::Store(reading.quality.max(Quality::Suspect))),
        Verdict::Refused(refusal) => refusal,
    };
    match refusal.strategy {
        ErrorStrategy::Stop if stoppable => {
            Err(Box::new(Stopped { source: reading.source.clone(), refusal: Refusal::clone(refusal) }))
        }
        ErrorStrategy::Stop | ErrorStrategy::Reject => Ok(Fate::Reject(refusal.clone())),
        ErrorStrategy::Flag if !refusal.fault && refusal.by != Refuser::Decoder => {
            Ok(Fate::Store(reading.quality.max(Quality::Suspect)))
        }
        ErrorStrategy::Flag | ErrorStrategy::Quarantine => Ok(Fate::Quarantine(refusal.clone())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batch(verdict: Verdict) -> Batch {
        let mut builder = BatchBuilder::new(Some("t".into()));
        let reading = Reading {
            raw: Bytes::from_static(b"{}"),
            source: Source::Http { index: 0 },
            schema_ref: "".into(),
            quality: Quality::Good,
            verdict,
        };
        builder.push(reading, "s", 0, [Row { metric: "m", unit: "", value: Value::Number(1.0) }]);
        builder.build()
    }

    fn refused(strategy: ErrorStrategy, fault: bool) -> Verdict {
        let by = Refuser::Validator("v".into());
        Verdict::Refused(Box::new(Refusal { by, reason: "no".into(), path: None, fault, strategy }))
    }

    #[test]
    fn texts_are_set_and_removed_in_one_go_and_stay_in_order() {
        let mut columns = Columns { text: vec![(1, "a".into()), (3, "b".into()), (5, "c".into())], ..Columns::default() };
        let text = |text: &str| Some(text.to_owned());
        columns.set_texts(vec![(4, text("d")), (3, None), (5, None), (5, text("e")), (0, text("f")), (2, text("g")), (2, None)]);
        assert_eq!(columns.text, [(0, "f".into()), (1, "a".into()), (4, "d".into()), (5, "e".into())]);
    }

    #[test]
    fn derived_rows_and_new_units_cost_a_look_each() {
        let mut batch = batch(Verdict::Accepted);
        let derived = |number: u32| Derived { row: 0, metric: format!("m{number}"), unit: "u".into(), value: Value::Number(0.0) };
        batch.derive((0..100_000).map(derived));
        batch.derive([derived(7)]);
        let units: Vec<(u32, String)> = (0..100_000).map(|row| (row, format!("u{row}"))).collect();
        batch.set_units(units.iter().map(|(row, unit)| (*row, unit.as_str())));
        let columns = batch.columns();
        assert_eq!((columns.rows(), columns.metrics.len(), columns.units.len()), (100_002, 100_001, 100_002));
        assert_eq!((columns.metric[100_001], columns.metric[8]), (8, 8), "a metric that is there is not added again");
    }

    #[test]
    fn a_failed_check_is_never_stored_as_suspect() {
        let fates = batch(refused(ErrorStrategy::Flag, true)).settle(true).expect("nothing stops");
        assert!(matches!(fates[0], Fate::Quarantine(_)));
        let fates = batch(refused(ErrorStrategy::Flag, false)).settle(true).expect("nothing stops");
        assert_eq!(fates[0], Fate::Store(Quality::Suspect));
    }

    #[test]
    fn stop_stops_a_topic_and_refuses_a_request() {
        assert!(batch(refused(ErrorStrategy::Stop, false)).settle(true).is_err());
        let fates = batch(refused(ErrorStrategy::Stop, false)).settle(false).expect("a request has nothing to stop");
        assert!(matches!(fates[0], Fate::Reject(_)));
    }

    #[test]
    fn the_first_refusal_counts() {
        let mut batch = batch(refused(ErrorStrategy::Reject, false));
        batch.refuse(
            0,
            Refusal { by: Refuser::Policy, reason: "later".into(), path: None, fault: false, strategy: ErrorStrategy::Stop },
        );
        let Verdict::Refused(refusal) = &batch.readings()[0].verdict else { panic!("it was refused") };
        assert_eq!(refusal.reason, "no");
    }

    #[test]
    fn a_bool_is_a_number_and_a_text_and_text_is_no_number() {
        let mut builder = BatchBuilder::new(None);
        let reading = batch(Verdict::Accepted).readings()[0].clone();
        let rows = [("on", Value::Bool(true)), ("mode", Value::Text("eco".into())), ("t", Value::Number(2.5))];
        builder.push(reading, "s", 7, rows.map(|(metric, value)| Row { metric, unit: "", value }));
        let batch = builder.build();
        let columns = batch.columns();
        assert_eq!((columns.value[0], columns.text_of(0)), (1.0, Some("true")));
        assert!(columns.value[1].is_nan());
        assert_eq!((columns.text_of(1), columns.text_of(2)), (Some("eco"), None));
    }
}
