//! Builds a batch reading by reading: whole readings, or values one after the other as they are read.
//!
//! A [`Draft`] is a reading under way. Its values go straight into the columns, and what is not committed leaves nothing behind, not
//! even a name in a dictionary: the policy is asked about every sensor that a batch names.

use std::hash::BuildHasher as _;
use std::sync::Arc;

use bytes::Bytes;
use hashbrown::{DefaultHashBuilder, HashTable};

use super::{Batch, Quality, Reading, Refusal, Source, Value, Verdict, index, push_row};
use crate::limits;
use crate::model::is_name;

/// One value of a reading that is being added.
#[derive(Clone, Debug, PartialEq)]
pub struct Row<'a> {
    /// What is measured.
    pub metric: &'a str,
    /// Its unit; empty for none.
    pub unit: &'a str,
    /// The value.
    pub value: Value,
}

/// Finds the place of a word in a dictionary.
#[derive(Debug, Default)]
pub(super) struct Places {
    table: HashTable<u32>,
    hasher: DefaultHashBuilder,
}

impl Places {
    /// The places of the words that are there already. A guest may add thousands, and each is looked for: a scan would be their square.
    pub(super) fn of(dictionary: &[String]) -> Self {
        let mut places = Self::default();
        for at in 0..dictionary.len() {
            places.insert(dictionary, at);
        }
        places
    }

    fn find(&self, dictionary: &[String], word: &str) -> Option<u32> {
        self.table.find(self.hasher.hash_one(word), |at| dictionary[*at as usize] == word).copied()
    }

    pub(super) fn intern(&mut self, dictionary: &mut Vec<String>, word: &str) -> u32 {
        self.find(dictionary, word).unwrap_or_else(|| self.add(dictionary, word))
    }

    /// Adds a word that is not there.
    fn add(&mut self, dictionary: &mut Vec<String>, word: &str) -> u32 {
        dictionary.push(word.to_owned());
        self.insert(dictionary, dictionary.len() - 1)
    }

    fn insert(&mut self, dictionary: &[String], at: usize) -> u32 {
        let hasher = &self.hasher;
        let hash = |at: usize| hasher.hash_one(dictionary[at].as_str());
        self.table.insert_unique(hash(at), index(at), |at| hash(*at as usize));
        index(at)
    }

    /// Forgets every word from the place `len` on.
    fn truncate(&mut self, dictionary: &mut Vec<String>, len: usize) {
        while dictionary.len() > len {
            let at = index(dictionary.len() - 1);
            let Some(word) = dictionary.pop() else { return };
            if let Ok(found) = self.table.find_entry(self.hasher.hash_one(&word), |known| *known == at) {
                found.remove();
            }
        }
    }
}

/// Builds a batch reading by reading.
#[derive(Debug)]
pub struct BatchBuilder {
    batch: Batch,
    sensors: Places,
    metrics: Places,
    units: Places,
    /// The metrics of the reading before, by their place in it: devices send the same ones in the same order.
    expected: Vec<u32>,
    /// Metric → the last draft that gave it a value.
    given: Vec<u64>,
    drafts: u64,
    /// Schema references, each kept once; the first is the empty one.
    schema_refs: Vec<Arc<str>>,
    schema_ref_places: HashTable<u32>,
    /// The place of the reference that the reading before had.
    last_schema_ref: usize,
}

impl Default for BatchBuilder {
    fn default() -> Self {
        Self::new(None)
    }
}

impl BatchBuilder {
    /// A builder for readings of `topic`, or of none.
    pub fn new(topic: Option<Arc<str>>) -> Self {
        Self {
            batch: Batch { topic, ..Batch::default() },
            sensors: Places::default(),
            metrics: Places::default(),
            units: Places::default(),
            expected: Vec::new(),
            given: Vec::new(),
            drafts: 0,
            schema_refs: vec!["".into()],
            schema_ref_places: HashTable::new(),
            last_schema_ref: 0,
        }
    }

    /// The topic of all its readings.
    pub fn topic(&self) -> Option<&Arc<str>> {
        self.batch.topic()
    }

    /// The number of readings so far, refused ones included.
    pub fn len(&self) -> usize {
        self.batch.readings.len()
    }

    /// True where nothing was added yet.
    pub fn is_empty(&self) -> bool {
        self.batch.is_empty()
    }

    /// Adds a reading: `time` in microseconds since the Unix epoch, UTC, and its rows.
    pub fn push<'a>(&mut self, reading: Reading, sensor: &str, time: i64, rows: impl IntoIterator<Item = Row<'a>>) {
        let number = index(self.batch.readings.len());
        self.batch.readings.push(reading);
        let columns = &mut self.batch.columns;
        let sensor = self.sensors.intern(&mut columns.sensors, sensor);
        for row in rows {
            let metric = self.metrics.intern(&mut columns.metrics, row.metric);
            let unit = self.units.intern(&mut columns.units, row.unit);
            push_row(columns, number, sensor, metric, unit, time, row.value);
        }
    }

    /// Adds what could not be read: it has bytes and a refusal, and no rows.
    pub fn push_unreadable(&mut self, raw: Bytes, source: Source, refusal: Refusal) {
        self.batch.readings.push(Reading {
            raw,
            source,
            schema_ref: Arc::clone(&self.schema_refs[0]),
            quality: Quality::default(),
            verdict: Verdict::Refused(Box::new(refusal)),
        });
    }

    /// A schema reference, kept once however often it occurs.
    pub fn schema_ref(&mut self, word: &str) -> Arc<str> {
        if &*self.schema_refs[self.last_schema_ref] != word {
            self.last_schema_ref = self.schema_ref_place(word);
        }
        Arc::clone(&self.schema_refs[self.last_schema_ref])
    }

    fn schema_ref_place(&mut self, word: &str) -> usize {
        if word.is_empty() {
            return 0;
        }
        let (hasher, known) = (&self.sensors.hasher, &mut self.schema_refs);
        let hash = hasher.hash_one(word);
        if let Some(at) = self.schema_ref_places.find(hash, |at| &*known[*at as usize] == word) {
            return *at as usize;
        }
        let at = known.len();
        known.push(word.into());
        self.schema_ref_places.insert_unique(hash, index(at), |at| hasher.hash_one(&*known[*at as usize]));
        at
    }

    /// Begins a reading whose values are to come.
    pub fn draft(&mut self) -> Draft<'_> {
        self.drafts += 1;
        let columns = &self.batch.columns;
        Draft {
            rows: columns.time.len(),
            texts: columns.text.len(),
            sensors: columns.sensors.len(),
            metrics: columns.metrics.len(),
            units: columns.units.len(),
            builder: self,
            committed: false,
        }
    }

    /// The batch.
    pub fn build(self) -> Batch {
        self.batch
    }
}

/// A reading under way. Dropped without [`Draft::commit`] it leaves nothing behind.
#[derive(Debug)]
pub struct Draft<'b> {
    builder: &'b mut BatchBuilder,
    /// What there was before it, in rows and words.
    rows: usize,
    texts: usize,
    sensors: usize,
    metrics: usize,
    units: usize,
    committed: bool,
}

impl Draft<'_> {
    /// The builder's topic.
    pub fn topic(&self) -> Option<&Arc<str>> {
        self.builder.batch.topic.as_ref()
    }

    /// The number of values so far.
    pub fn len(&self) -> usize {
        self.builder.batch.columns.value.len() - self.rows
    }

    /// True where it has no value yet.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// A sensor's place in the dictionary; `None` where this is no name.
    pub fn sensor(&mut self, name: &str) -> Option<u32> {
        let builder = &mut *self.builder;
        let known = &mut builder.batch.columns.sensors;
        if let Some(at) = builder.sensors.find(known, name) {
            return Some(at);
        }
        is_name(name).then(|| builder.sensors.add(known, name))
    }

    /// The place of the next value's metric in the dictionary; `None` where this is no name or it has a value in this reading already.
    pub fn metric(&mut self, name: &str) -> Option<u32> {
        let place = self.len();
        let builder = &mut *self.builder;
        let known = &mut builder.batch.columns.metrics;
        let expected = builder.expected.get(place).copied();
        let at = match expected.filter(|at| known.get(*at as usize).is_some_and(|expected| expected == name)) {
            Some(at) => at,
            None => match builder.metrics.find(known, name) {
                Some(at) => at,
                None if is_name(name) => builder.metrics.add(known, name),
                None => return None,
            },
        };
        if expected != Some(at) {
            builder.expected.truncate(place);
            builder.expected.push(at);
        }
        if builder.given.len() <= at as usize {
            builder.given.resize(at as usize + 1, 0);
        }
        let given = &mut builder.given[at as usize];
        (std::mem::replace(given, builder.drafts) != builder.drafts).then_some(at)
    }

    /// Adds a number; false where a reading has no room for it.
    pub fn number(&mut self, metric: u32, number: f64) -> bool {
        if self.len() >= limits::READING_VALUES {
            return false;
        }
        let reading = index(self.builder.batch.readings.len());
        let columns = &mut self.builder.batch.columns;
        columns.metric.push(metric);
        columns.value.push(number);
        columns.reading.push(reading);
        true
    }

    /// Adds a text; false where a reading has no room for it, or no row may hold it.
    pub fn text(&mut self, metric: u32, text: &str) -> bool {
        self.texted(metric, f64::NAN, text)
    }

    /// Adds true or false; false where a reading has no room for it.
    pub fn bool(&mut self, metric: u32, on: bool) -> bool {
        self.texted(metric, f64::from(u8::from(on)), if on { "true" } else { "false" })
    }

    fn texted(&mut self, metric: u32, number: f64, text: &str) -> bool {
        if text.len() > limits::TEXT_BYTES || text.contains('\0') {
            return false;
        }
        let row = index(self.builder.batch.columns.value.len());
        let fits = self.number(metric, number);
        if fits {
            self.builder.batch.columns.text.push((row, text.to_owned()));
        }
        fits
    }

    /// A unit's place in the dictionary; `None` where this is no name.
    pub fn unit(&mut self, name: &str) -> Option<u32> {
        let builder = &mut *self.builder;
        let known = &mut builder.batch.columns.units;
        // The empty one is in the dictionary, for values without a unit.
        let found = builder.units.find(known, name).filter(|_| !name.is_empty());
        found.or_else(|| is_name(name).then(|| builder.units.add(known, name)))
    }

    /// The place of a metric that has a value already, by its name.
    pub fn metric_given(&self, name: &str) -> Option<u32> {
        let builder = &*self.builder;
        let at = builder.metrics.find(&builder.batch.columns.metrics, name)?;
        (builder.given.get(at as usize) == Some(&builder.drafts)).then_some(at)
    }

    /// A schema reference, kept once; `None` where this is no name. The empty one is none.
    pub fn schema_ref(&mut self, word: &str) -> Option<Arc<str>> {
        let last = &*self.builder.schema_refs[self.builder.last_schema_ref];
        (word.is_empty() || last == word || is_name(word)).then(|| self.builder.schema_ref(word))
    }

    /// Adds the reading; `units` are places of metrics and of their units.
    pub fn commit(mut self, reading: Reading, sensor: u32, time: i64, units: &[(u32, u32)]) {
        self.committed = true;
        let rows = self.rows;
        let builder = &mut *self.builder;
        builder.batch.readings.push(reading);
        let columns = &mut builder.batch.columns;
        let end = columns.value.len();
        let none = builder.units.intern(&mut columns.units, "");
        columns.sensor.resize(end, sensor);
        columns.time.resize(end, time);
        columns.unit.resize(end, none);
        for (metric, unit) in units {
            if let Some(row) = columns.metric[rows..end].iter().position(|known| known == metric) {
                columns.unit[rows + row] = *unit;
            }
        }
    }
}

impl Drop for Draft<'_> {
    fn drop(&mut self) {
        if self.committed {
            return;
        }
        let builder = &mut *self.builder;
        let columns = &mut builder.batch.columns;
        columns.metric.truncate(self.rows);
        columns.value.truncate(self.rows);
        columns.reading.truncate(self.rows);
        columns.text.truncate(self.texts);
        builder.sensors.truncate(&mut columns.sensors, self.sensors);
        builder.metrics.truncate(&mut columns.metrics, self.metrics);
        builder.units.truncate(&mut columns.units, self.units);
        // A place in it may come to name another metric.
        builder.given.truncate(self.metrics);
        builder.expected.retain(|at| (*at as usize) < self.metrics);
    }
}
