//! The rows of a batch on their way to the database: gathered, sorted by the unique index, and judged once it has answered.
//!
//! Pure: what the database did comes in as values. The books count as if the readings had been written one after another, in the
//! batch's order, which also settles two readings for one series and time within a batch:
//!
//! - *keep last* (topics that are upserted): the last one stays. An earlier one that differs counts as stored and its successor as
//!   replacing it; an equal one is a duplicate.
//! - *keep first* (topics that are appended to, and those that say so): the first one stays, every other is a duplicate.
//!
//! A reading counts as duplicate where all of its rows were there already, as replaced where one of them replaced a different one, and
//! as stored otherwise. Value, text and quality make a row equal. So `stored - replaced` is the number of new readings.

use std::collections::HashMap;
use std::sync::Arc;

use crate::batch::{Batch, Fate};
use crate::model::{Conflict, WriteMode};
use crate::rules::Rules;

use super::series::Name;
use super::sqlstate::WriteError;

/// Readings of one topic, with what becomes of each.
#[derive(Clone, Debug)]
pub struct Part {
    /// What the readings had to pass.
    pub rules: Arc<Rules>,
    /// The readings.
    pub batch: Batch,
    /// What becomes of each.
    pub fates: Vec<Fate>,
}

impl Part {
    /// Which of two values for one series and time stays.
    fn keeps(&self) -> Conflict {
        match self.rules.mode {
            WriteMode::Append => Conflict::KeepFirst,
            WriteMode::Upsert => self.rules.conflict,
        }
    }
}

/// A row to be stored.
#[derive(Clone, Copy, Debug)]
pub(super) struct Line {
    pub(super) series: i64,
    /// Microseconds since the Unix epoch.
    pub(super) time: i64,
    /// NaN where there is none.
    value: f64,
    /// Which text of its part it has; [`NO_TEXT`] for none.
    text: u32,
    part: u32,
    /// Which reading of the transaction it belongs to, counted through all parts.
    reading: u32,
    /// Which of the transaction's batches it belongs to.
    pub(super) batch: u32,
    pub(super) quality: i16,
}

const NO_TEXT: u32 = u32::MAX;

impl Line {
    fn key(&self) -> (i64, i64) {
        (self.series, self.time)
    }

    /// Its number, where it has one.
    pub(super) fn value(&self) -> Option<f64> {
        Some(self.value).filter(|value| !value.is_nan())
    }

    /// Its text, where it has one.
    pub(super) fn text<'a>(&self, parts: &'a [Part]) -> Option<&'a str> {
        let texts = &parts[self.part as usize].batch.columns().text;
        (self.text != NO_TEXT).then(|| texts[self.text as usize].1.as_str())
    }

    fn says_the_same(&self, other: &Self, parts: &[Part]) -> bool {
        self.value() == other.value() && self.quality == other.quality && self.text(parts) == other.text(parts)
    }
}

/// The series that occur in rows to be stored, and which row has which.
#[derive(Debug, Default)]
pub(super) struct Wanted<'a> {
    pub(super) names: Vec<Name<'a>>,
    /// The name of each row to be stored, in the order of the parts.
    pub(super) rows: Vec<u32>,
}

/// Collects the series of all rows whose reading is to be stored. Names of refused readings stay out of the dictionary.
pub(super) fn wanted(parts: &[Part]) -> Wanted<'_> {
    let mut wanted = Wanted::default();
    wanted.rows.reserve_exact(parts.iter().map(|part| part.batch.columns().rows()).sum());
    for part in parts {
        let columns = part.batch.columns();
        let readings = part.batch.readings();
        let topic = part.batch.topic().map_or("", |topic| topic);
        let mut known: HashMap<(u32, u32, u32, &str), u32, foldhash::fast::RandomState> = HashMap::default();
        for row in 0..columns.rows() {
            let reading = columns.reading[row] as usize;
            if !matches!(part.fates[reading], Fate::Store(_)) {
                continue;
            }
            let key = (columns.sensor[row], columns.metric[row], columns.unit[row], &*readings[reading].schema_ref);
            let at = *known.entry(key).or_insert_with(|| {
                wanted.names.push(Name {
                    sensor: &columns.sensors[key.0 as usize],
                    metric: &columns.metrics[key.1 as usize],
                    topic,
                    schema_ref: key.3,
                    unit: &columns.units[key.2 as usize],
                });
                index(wanted.names.len() - 1)
            });
            wanted.rows.push(at);
        }
    }
    wanted
}

/// Rows and readings of a transaction are bounded far below `u32::MAX` by the limits on bodies and flushes.
fn index(at: usize) -> u32 {
    u32::try_from(at).unwrap_or(u32::MAX)
}

/// The rows to be stored under one rule for conflicts, sorted by series and time, and which of them the database is given.
#[derive(Debug)]
pub(super) struct Lines {
    keeps: Conflict,
    all: Vec<Line>,
    /// One for each series and time: its place in `all`. `None` where that is all of them.
    chosen: Option<Vec<u32>>,
}

/// Gathers the rows of all parts: those of which the last one stays, and those of which the first one does. `ids` are the series of
/// the names, `batch_of` says which batch each reading stands in.
pub(super) fn gather(parts: &[Part], rows: &[u32], ids: &[i64], batch_of: &[u32]) -> Result<[Lines; 2], WriteError> {
    let ranks = Ranks::of(ids);
    let mut rows = rows.iter();
    let mut kept = [Ranked::default(), Ranked::default()];
    let mut first = 0;
    for (place, part) in parts.iter().enumerate() {
        let columns = part.batch.columns();
        let target = &mut kept[usize::from(part.keeps() == Conflict::KeepFirst)];
        target.reserve(columns.rows());
        let mut text = 0;
        for row in 0..columns.rows() {
            let own = columns.text.get(text).is_some_and(|(at, _)| *at as usize == row).then_some(text);
            text += usize::from(own.is_some());
            let reading = columns.reading[row] as usize;
            let Fate::Store(quality) = &part.fates[reading] else { continue };
            let value = columns.value[row];
            if value.is_nan() && own.is_none() {
                return Err(WriteError::poison("a value is not a number"));
            }
            let name = *rows.next().ok_or_else(|| WriteError::poison("a row has no series"))? as usize;
            let line = Line {
                series: ids[name],
                time: columns.time[row],
                value,
                text: own.map_or(NO_TEXT, index),
                part: index(place),
                reading: index(first + reading),
                batch: batch_of[first + reading],
                quality: quality.code(),
            };
            target.push(ranks.of_name[name], line);
        }
        first += part.batch.readings().len();
    }
    let [last, first] = kept;
    Ok([Lines::new(Conflict::KeepLast, last.sort(ranks.number)), Lines::new(Conflict::KeepFirst, first.sort(ranks.number))])
}

/// The place of each name's series among all series of the batch, in the order of their numbers.
struct Ranks {
    of_name: Vec<u32>,
    number: usize,
}

impl Ranks {
    fn of(ids: &[i64]) -> Self {
        let mut distinct: Vec<i64> = ids.to_vec();
        distinct.sort_unstable();
        distinct.dedup();
        let of_name = ids.iter().map(|id| index(distinct.binary_search(id).unwrap_or(0))).collect();
        Self { of_name, number: distinct.len() }
    }
}

/// Rows with the rank of their series, in the order of the batch.
#[derive(Default)]
struct Ranked(Vec<(u32, Line)>);

impl Ranked {
    fn reserve(&mut self, more: usize) {
        self.0.reserve(more);
    }

    fn push(&mut self, rank: u32, line: Line) {
        self.0.push((rank, line));
    }

    /// By series, then time, then the order of the batch. Counting the rows of each series puts them in place in one pass, and within
    /// a series they mostly come in time already: five times as fast as sorting them all by comparison.
    fn sort(self, series: usize) -> Vec<Line> {
        let Some((_, some)) = self.0.first() else { return Vec::new() };
        let mut ends = vec![0_usize; series];
        for (rank, _) in &self.0 {
            ends[*rank as usize] += 1;
        }
        let mut begin = 0;
        for end in &mut ends {
            begin += *end;
            *end = begin - *end;
        }
        let mut sorted = vec![*some; self.0.len()];
        for (rank, line) in &self.0 {
            let place = &mut ends[*rank as usize];
            sorted[*place] = *line;
            *place += 1;
        }
        let mut begin = 0;
        for end in ends {
            let one = &mut sorted[begin..end];
            if !one.is_sorted_by_key(|line| line.time) {
                one.sort_by_key(|line| line.time);
            }
            begin = end;
        }
        sorted
    }
}

/// A value that is there already.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Before {
    pub(super) value: Option<f64>,
    pub(super) text: Option<String>,
    pub(super) quality: i16,
}

impl Before {
    /// True where writing the row would change nothing.
    pub(super) fn says_the_same(&self, line: &Line, parts: &[Part]) -> bool {
        line.value() == self.value && line.text(parts) == self.text.as_deref() && line.quality == self.quality
    }
}

/// What the database did with the chosen rows.
#[derive(Debug)]
pub(super) enum Answer {
    /// All were new.
    AllNew,
    /// The places in `chosen` that were written, and what was there before, where that is known.
    Merged { written: Vec<Written>, before: HashMap<usize, Before> },
}

/// What the database did with one row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Written {
    /// Nothing.
    No,
    /// It is there where none was.
    New,
    /// It took the place of another.
    Over,
}

/// What became of a reading's rows, as flags.
const NEW: u8 = 1;
const REPLACED: u8 = 2;

/// What became of the readings' rows.
#[derive(Clone, Debug)]
pub(super) struct Outcome {
    flags: Vec<u8>,
    /// Rows that were written, by batch.
    pub(super) rows: Vec<u64>,
    /// Rows that took the place of others, by batch.
    pub(super) overwritten: Vec<u64>,
}

impl Outcome {
    pub(super) fn new(readings: usize, batches: usize) -> Self {
        Self { flags: vec![0; readings], rows: vec![0; batches], overwritten: vec![0; batches] }
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

impl Lines {
    /// Of sorted rows.
    fn new(keeps: Conflict, all: Vec<Line>) -> Self {
        if all.is_sorted_by(|one, next| one.key() < next.key()) {
            return Self { keeps, all, chosen: None };
        }
        let mut chosen: Vec<u32> = Vec::with_capacity(all.len());
        for at in 0..all.len() {
            match chosen.last_mut() {
                Some(last) if all[*last as usize].key() == all[at].key() => {
                    if keeps == Conflict::KeepLast {
                        *last = index(at);
                    }
                }
                _ => chosen.push(index(at)),
            }
        }
        Self { keeps, all, chosen: Some(chosen) }
    }

    /// Which of two values for one series and time stays.
    pub(super) fn keeps(&self) -> Conflict {
        self.keeps
    }

    /// The number of rows that the database is given.
    pub(super) fn len(&self) -> usize {
        self.chosen.as_ref().map_or(self.all.len(), Vec::len)
    }

    pub(super) fn chosen_at(&self, place: usize) -> &Line {
        &self.all[self.chosen.as_ref().map_or(place, |chosen| chosen[place] as usize)]
    }

    /// The rows that the database is given, in the order of its unique index.
    pub(super) fn chosen(&self) -> impl ExactSizeIterator<Item = &Line> {
        (0..self.len()).map(|place| self.chosen_at(place))
    }

    /// The place among the chosen rows of the one for this series and time.
    pub(super) fn find(&self, series: i64, time: i64) -> Option<usize> {
        let (mut low, mut high) = (0, self.len());
        while low < high {
            let middle = low.midpoint(high);
            if self.chosen_at(middle).key() < (series, time) { low = middle + 1 } else { high = middle }
        }
        (low < self.len() && self.chosen_at(low).key() == (series, time)).then_some(low)
    }

    /// Books what the database did.
    pub(super) fn judge(&self, parts: &[Part], answer: &Answer, outcome: &mut Outcome) {
        if let (Answer::AllNew, None) = (answer, &self.chosen) {
            for line in &self.all {
                outcome.rows[line.batch as usize] += 1;
                outcome.flags[line.reading as usize] |= NEW;
            }
            return;
        }
        let mut lines = self.all.as_slice();
        for place in 0..self.len() {
            let chosen = self.chosen_at(place);
            let (same, rest) = lines.split_at(lines.iter().take_while(|line| line.key() == chosen.key()).count());
            lines = rest;
            let (written, before) = match answer {
                Answer::AllNew => (Written::New, None),
                Answer::Merged { written, before } => (written[place], before.get(&place)),
            };
            outcome.rows[chosen.batch as usize] += u64::from(written != Written::No);
            outcome.overwritten[chosen.batch as usize] += u64::from(written == Written::Over);
            let written = written != Written::No;
            for (n, line) in same.iter().enumerate() {
                outcome.flags[line.reading as usize] |= match (self.keeps, n) {
                    (Conflict::KeepFirst, 0) if written => NEW,
                    (Conflict::KeepFirst, _) => 0,
                    (Conflict::KeepLast, 0) if same.len() == 1 && !written => 0,
                    (Conflict::KeepLast, 0) => match before {
                        None => NEW,
                        Some(before) if before.says_the_same(line, parts) => 0,
                        Some(_) => NEW | REPLACED,
                    },
                    (Conflict::KeepLast, _) if line.says_the_same(&same[n - 1], parts) => 0,
                    (Conflict::KeepLast, _) => NEW | REPLACED,
                };
            }
        }
    }
}
