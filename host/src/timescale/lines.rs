//! The rows of a batch on their way to the database: gathered, sorted by the unique index, and judged once it has answered.
//!
//! Pure: what the database did comes in as values. The books count as if the readings had been written one after another, in the
//! batch's order, which also settles two readings for one series and time within a batch:
//!
//! - *upsert*: the last one stays. An earlier one that differs counts as stored and its successor as replacing it; an equal one is a
//!   duplicate.
//! - *append*: the first one stays, every other is a duplicate.
//!
//! A reading counts as duplicate where all of its rows were there already, as replaced where one of them replaced a different one, and
//! as stored otherwise. Value, text and quality make a row equal. So `stored - replaced` is the number of new readings.

use std::collections::HashMap;

use crate::batch::{Batch, Fate};
use crate::model::WriteMode;
use crate::rules::Rules;

use super::series::Name;
use super::sqlstate::WriteError;

/// Readings of one topic, with what becomes of each.
#[derive(Clone, Copy, Debug)]
pub(super) struct Part<'a> {
    pub(super) rules: &'a Rules,
    pub(super) batch: &'a Batch,
    pub(super) fates: &'a [Fate],
}

/// A row to be stored.
#[derive(Clone, Copy, Debug)]
pub(super) struct Line<'a> {
    pub(super) series: i64,
    /// Microseconds since the Unix epoch.
    pub(super) time: i64,
    pub(super) value: Option<f64>,
    pub(super) text: Option<&'a str>,
    pub(super) quality: i16,
    /// Which of the transaction's batches it belongs to.
    pub(super) batch: usize,
    /// Which reading of the transaction it belongs to, counted through all parts.
    pub(super) reading: usize,
    /// Its place among all rows of the transaction.
    order: usize,
}

impl Line<'_> {
    fn key(&self) -> (i64, i64) {
        (self.series, self.time)
    }

    fn says_the_same(&self, other: &Self) -> bool {
        self.value == other.value && self.text == other.text && self.quality == other.quality
    }
}

/// The series that occur in rows to be stored, and which row has which.
#[derive(Debug, Default)]
pub(super) struct Wanted<'a> {
    pub(super) names: Vec<Name<'a>>,
    rows: Vec<u32>,
}

/// Collects the series of all rows whose reading is to be stored. Names of refused readings stay out of the dictionary.
pub(super) fn wanted<'a>(parts: &[Part<'a>]) -> Wanted<'a> {
    let mut wanted = Wanted::default();
    for part in parts {
        let columns = part.batch.columns();
        let topic = part.batch.topic().map_or("", |topic| topic);
        let mut known: HashMap<(u32, u32, u32, &str), u32> = HashMap::new();
        for row in 0..columns.rows() {
            let reading = columns.reading[row] as usize;
            if !matches!(part.fates[reading], Fate::Store(_)) {
                continue;
            }
            let schema_ref: &str = &part.batch.readings()[reading].schema_ref;
            let key = (columns.sensor[row], columns.metric[row], columns.unit[row], schema_ref);
            let at = *known.entry(key).or_insert_with(|| {
                wanted.names.push(Name {
                    sensor: &columns.sensors[key.0 as usize],
                    metric: &columns.metrics[key.1 as usize],
                    topic,
                    schema_ref,
                    unit: &columns.units[key.2 as usize],
                });
                u32::try_from(wanted.names.len() - 1).unwrap_or(u32::MAX)
            });
            wanted.rows.push(at);
        }
    }
    wanted
}

/// The rows to be stored in one mode, sorted by series, time and order, and which of them the database is given.
#[derive(Debug)]
pub(super) struct Lines<'a> {
    mode: WriteMode,
    all: Vec<Line<'a>>,
    /// One for each series and time: its place in `all`.
    chosen: Vec<usize>,
}

/// Gathers the rows of all parts: those to be upserted, and those to be appended.
pub(super) fn gather<'a>(
    parts: &[Part<'a>],
    wanted: &Wanted<'a>,
    ids: &[i64],
    batch_of: &[usize],
) -> Result<[Lines<'a>; 2], WriteError> {
    let mut sorted = [Vec::with_capacity(wanted.rows.len()), Vec::new()];
    let mut series = wanted.rows.iter().map(|at| ids[*at as usize]);
    let (mut first, mut order) = (0, 0);
    for part in parts {
        let columns = part.batch.columns();
        let target = &mut sorted[usize::from(part.rules.mode == WriteMode::Append)];
        let mut texts = columns.text.iter().peekable();
        for row in 0..columns.rows() {
            let text = texts.next_if(|(at, _)| *at as usize == row).map(|(_, text)| text.as_str());
            let reading = columns.reading[row] as usize;
            let Fate::Store(quality) = &part.fates[reading] else { continue };
            let value = Some(columns.value[row]).filter(|value| !value.is_nan());
            if value.is_none() && text.is_none() {
                return Err(WriteError::poison("a value is not a number"));
            }
            target.push(Line {
                series: series.next().ok_or_else(|| WriteError::poison("a row has no series"))?,
                time: columns.time[row],
                value,
                text,
                quality: quality.code(),
                batch: batch_of[first + reading],
                reading: first + reading,
                order,
            });
            order += 1;
        }
        first += part.batch.readings().len();
    }
    let [upsert, append] = sorted;
    Ok([Lines::new(WriteMode::Upsert, upsert), Lines::new(WriteMode::Append, append)])
}

/// A value that is there already.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Before {
    pub(super) value: Option<f64>,
    pub(super) text: Option<String>,
    pub(super) quality: i16,
}

/// What the database did with the chosen rows.
#[derive(Debug)]
pub(super) enum Answer {
    /// All were new.
    AllNew,
    /// The places in `chosen` that were written, and what was there before, where that is known.
    Merged { written: Vec<bool>, before: HashMap<usize, Before> },
}

/// What became of a reading's rows, as flags.
const NEW: u8 = 1;
const REPLACED: u8 = 2;

/// What became of the readings' rows.
#[derive(Debug)]
pub(super) struct Outcome {
    flags: Vec<u8>,
    /// Rows that were written, by batch.
    pub(super) rows: Vec<u64>,
}

impl Outcome {
    pub(super) fn new(readings: usize, batches: usize) -> Self {
        Self { flags: vec![0; readings], rows: vec![0; batches] }
    }

    /// True where every row of the reading was there already.
    pub(super) fn is_duplicate(&self, reading: usize) -> bool {
        self.flags[reading] == 0
    }

    /// True where one of its rows replaced a different one.
    pub(super) fn is_replaced(&self, reading: usize) -> bool {
        self.flags[reading] & REPLACED != 0
    }
}

impl<'a> Lines<'a> {
    fn new(mode: WriteMode, mut all: Vec<Line<'a>>) -> Self {
        all.sort_unstable_by_key(|line| (line.series, line.time, line.order));
        let mut chosen: Vec<usize> = Vec::with_capacity(all.len());
        for at in 0..all.len() {
            match chosen.last_mut() {
                Some(last) if all[*last].key() == all[at].key() => {
                    if mode == WriteMode::Upsert {
                        *last = at;
                    }
                }
                _ => chosen.push(at),
            }
        }
        Self { mode, all, chosen }
    }

    pub(super) fn mode(&self) -> WriteMode {
        self.mode
    }

    /// The rows that the database is given, in the order of its unique index.
    pub(super) fn chosen(&self) -> impl ExactSizeIterator<Item = &Line<'a>> {
        self.chosen.iter().map(|at| &self.all[*at])
    }

    /// The place among the chosen rows of the one for this series and time.
    pub(super) fn find(&self, series: i64, time: i64) -> Option<usize> {
        self.chosen.binary_search_by_key(&(series, time), |at| self.all[*at].key()).ok()
    }

    /// Books what the database did.
    pub(super) fn judge(&self, answer: &Answer, outcome: &mut Outcome) {
        let mut lines = self.all.as_slice();
        for (place, at) in self.chosen.iter().enumerate() {
            let key = self.all[*at].key();
            let (same, rest) = lines.split_at(lines.partition_point(|line| line.key() <= key));
            lines = rest;
            let (written, before) = match answer {
                Answer::AllNew => (true, None),
                Answer::Merged { written, before } => (written[place], before.get(&place)),
            };
            if written {
                outcome.rows[self.all[*at].batch] += 1;
            }
            for (n, line) in same.iter().enumerate() {
                outcome.flags[line.reading] |= match (self.mode, n) {
                    (WriteMode::Append, 0) if written => NEW,
                    (WriteMode::Append, _) => 0,
                    (WriteMode::Upsert, 0) if same.len() == 1 && !written => 0,
                    (WriteMode::Upsert, 0) => match before {
                        None => NEW,
                        Some(before)
                            if line.value == before.value
                                && line.text == before.text.as_deref()
                                && line.quality == before.quality =>
                        {
                            0
                        }
                        Some(_) => NEW | REPLACED,
                    },
                    (WriteMode::Upsert, _) if line.says_the_same(&same[n - 1]) => 0,
                    (WriteMode::Upsert, _) => NEW | REPLACED,
                };
            }
        }
    }
}
