//! The readings of `weir:validator@1` and the host's own columns: the one place that knows both.
//!
//! An answer is checked whole before any of it counts: one senseless entry and the module is at fault, since nobody could say what it
//! meant.

use std::borrow::Cow;
use std::collections::HashSet;

use wasmtime::Store;

use self::exports::weir::validator::readings::{Batch as Lent, Outcome};
use crate::batch::{Batch, Columns, Derived, Refusal, Refuser, Value};
use crate::guest::cut;
use crate::guest::grants::State;
use crate::limits;
use crate::model::check_name;
use crate::rules::Step;

wasmtime::component::bindgen!({
    path: "wit/v1.1.0",
    world: "reading-validator",
    // What is shown is copied once: from the batch into the guest's memory.
    ownership: Borrowing { duplicate_if_necessary: true },
    imports: { default: trappable, "weir:validator/lookup.latest": async | trappable },
    exports: { default: async },
});

/// What the guest said about the rows that it was shown.
pub(in crate::guest) struct Answer(Outcome);

/// Rows of a batch as a guest is to see them. Where they are all rows, the columns are the batch's own.
pub(in crate::guest) struct Shown<'a> {
    sensors: Names<'a>,
    metrics: Names<'a>,
    units: Names<'a>,
    time: Cow<'a, [i64]>,
    value: Cow<'a, [f64]>,
    text: Vec<(u32, &'a str)>,
}

/// Calls `check` on a fresh instance.
pub(in crate::guest) async fn call(
    store: &mut Store<State>,
    module: &ReadingValidatorPre<State>,
    shown: &Shown<'_>,
) -> wasmtime::Result<Result<Answer, String>> {
    let instance = module.instantiate_async(&mut *store).await?;
    let lent = Lent {
        sensors: &shown.sensors.used,
        metrics: &shown.metrics.used,
        units: &shown.units.used,
        sensor: &shown.sensors.numbers,
        metric: &shown.metrics.numbers,
        unit: &shown.units.numbers,
        time: &shown.time,
        value: &shown.value,
        text: &shown.text,
    };
    let outcome = instance.weir_validator_readings().call_check(store, lent).await?;
    Ok(outcome.map(Answer))
}

/// These rows, which rise, in the guest's form, with only those names that occur in them.
pub(in crate::guest) fn shown<'a>(columns: &'a Columns, rows: &[u32]) -> Shown<'a> {
    let whole = rows.len() == columns.rows();
    let text = columns.text.iter();
    Shown {
        sensors: Names::of(&columns.sensors, &columns.sensor, rows),
        metrics: Names::of(&columns.metrics, &columns.metric, rows),
        units: Names::of(&columns.units, &columns.unit, rows),
        time: if whole { Cow::Borrowed(&columns.time) } else { rows.iter().map(|row| columns.time[*row as usize]).collect() },
        value: if whole { Cow::Borrowed(&columns.value) } else { rows.iter().map(|row| columns.value[*row as usize]).collect() },
        text: if whole {
            text.map(|(row, text)| (*row, text.as_str())).collect()
        } else {
            let place = |row: &u32| rows.binary_search(row).ok().and_then(|place| u32::try_from(place).ok());
            text.filter_map(|(row, text)| Some((place(row)?, text.as_str()))).collect()
        },
    }
}

/// Names, each once, and the row's index into them.
struct Names<'a> {
    used: Vec<&'a str>,
    numbers: Cow<'a, [u32]>,
}

impl<'a> Names<'a> {
    /// Where all rows are there and all names occur in them, the numbers stay. Otherwise those that occur get new ones, in the order in
    /// which they occur.
    fn of(all: &'a [String], column: &'a [u32], rows: &[u32]) -> Self {
        if rows.len() == column.len() && each_occurs(all.len(), column) {
            return Self { used: all.iter().map(String::as_str).collect(), numbers: Cow::Borrowed(column) };
        }
        let mut used = Vec::new();
        let mut new = vec![None; all.len()];
        let mut number = |old: u32| {
            *new[old as usize].get_or_insert_with(|| {
                used.push(all[old as usize].as_str());
                u32::try_from(used.len() - 1).unwrap_or(u32::MAX)
            })
        };
        let numbers = rows.iter().map(|row| number(column[*row as usize])).collect();
        Self { used, numbers }
    }
}

/// True where each of so many numbers is in the column.
fn each_occurs(numbers: usize, column: &[u32]) -> bool {
    let mut missing = numbers;
    let mut seen = vec![false; numbers];
    for number in column {
        // Most batches have few names, and show all of them soon.
        if missing == 0 {
            break;
        }
        if !std::mem::replace(&mut seen[*number as usize], true) {
            missing -= 1;
        }
    }
    missing == 0
}

/// What the validators of a chain may still add to one batch, all of them together: each for itself could add four times what the one
/// before left, and sixteen of them millions.
#[derive(Clone, Copy, Debug)]
pub struct Room {
    rows: usize,
    bytes: usize,
}

impl Room {
    /// For a batch as it came.
    pub fn of(batch: &Batch) -> Self {
        Self { rows: batch.columns().rows().saturating_mul(limits::GUEST_DERIVED_FACTOR), bytes: limits::GUEST_BATCH_BYTES }
    }

    /// Takes what an answer adds, or says what there is too much of.
    fn take(&mut self, outcome: &Outcome) -> Result<(), String> {
        let Some(rows) = self.rows.checked_sub(outcome.derived.len()) else {
            let (more, left) = (outcome.derived.len(), self.rows);
            return Err(format!("`derived` has {more} rows; the chain may add {left} more to this batch"));
        };
        let reasons = outcome.rejected.iter().map(|rejection| rejection.reason.len().min(limits::GUEST_REASON_BYTES));
        let texts = outcome.text.iter().chain(&outcome.unit).map(|(_, text)| text.len());
        let derived = outcome
            .derived
            .iter()
            .map(|derived| derived.metric.len() + derived.unit.len() + derived.text.as_ref().map_or(0, String::len));
        let Some(bytes) = self.bytes.checked_sub(reasons.chain(texts).chain(derived).sum()) else {
            let most = limits::GUEST_BATCH_BYTES >> 20;
            return Err(format!("with it, the chain adds more than {most} MiB of texts and reasons to this batch"));
        };
        *self = Self { rows, bytes };
        Ok(())
    }
}

/// Bytes that an answer about this may take on the host. A list costs the host many times what it costs the guest, which can make all
/// its elements of the same bytes; so the bound grows with what was shown.
pub(in crate::guest) fn answer_bytes(shown: &Shown<'_>) -> usize {
    let names = [&shown.sensors, &shown.metrics, &shown.units].into_iter().flat_map(|names| &names.used).map(|name| name.len());
    let texts: usize = names.chain(shown.text.iter().map(|(_, text)| text.len())).sum();
    let by_rows = shown.time.len().saturating_mul(limits::GUEST_OUTPUT_ROW_BYTES);
    (limits::GUEST_OUTPUT_LEAST_BYTES + 2 * texts).saturating_add(by_rows).min(limits::GUEST_OUTPUT_BYTES)
}

impl Answer {
    /// Puts the answer about `rows` into the batch, or says why it cannot be used.
    pub(in crate::guest) fn apply(
        self,
        batch: &mut Batch,
        step: &Step,
        rows: &[u32],
        room: &mut Room,
    ) -> Result<Changes, String> {
        let Self(outcome) = self;
        check(&outcome, rows.len())?;
        room.take(&outcome)?;
        let changes = changes(&outcome, batch, rows);
        let row = |place: u32| rows[place as usize];
        let columns = batch.columns_mut();
        for (place, value) in &outcome.value {
            columns.value[row(*place) as usize] = *value;
        }
        for (place, text) in &outcome.text {
            let value = &mut columns.value[row(*place) as usize];
            // A number stays beside a text only as the two make a boolean.
            if !is_bool(*value, text) {
                *value = f64::NAN;
            }
        }
        // The steady state: numbers in place of numbers.
        if !(columns.text.is_empty() && outcome.text.is_empty()) {
            let gone = outcome.value.iter().map(|(place, _)| (row(*place), None));
            let set = outcome.text.into_iter().map(|(place, text)| (row(place), Some(text)));
            columns.set_texts(gone.chain(set).collect());
        }
        if !outcome.unit.is_empty() {
            batch.set_units(outcome.unit.iter().map(|(place, unit)| (row(*place), unit.as_str())));
        }
        if !outcome.derived.is_empty() {
            batch.derive(outcome.derived.into_iter().map(|derived| Derived {
                row: row(derived.row),
                metric: derived.metric,
                unit: derived.unit,
                value: match derived.text {
                    None => Value::Number(derived.value),
                    Some(text) if !derived.value.is_nan() => Value::Bool(text == "true"),
                    Some(text) => Value::Text(text),
                },
            }));
        }
        for place in outcome.suspect {
            let reading = batch.columns().reading[row(place) as usize];
            batch.suspect(reading);
        }
        for rejection in outcome.rejected {
            let at = row(rejection.row) as usize;
            let columns = batch.columns();
            let (reading, metric) = (columns.reading[at], &columns.metrics[columns.metric[at] as usize]);
            let path = Some(format!("/values/{}", metric.replace('~', "~0").replace('/', "~1")));
            let by = Refuser::Validator(step.name.clone());
            batch.refuse(reading, Refusal { by, reason: cut(&rejection.reason), path, fault: false, strategy: step.strategy });
        }
        Ok(changes)
    }
}

/// Readings that an answer refuses, and those that it changes besides.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::guest) struct Changes {
    pub(in crate::guest) rejected: u64,
    pub(in crate::guest) replaced: u64,
}

fn changes(outcome: &Outcome, batch: &Batch, rows: &[u32]) -> Changes {
    // The steady state: nothing is wrong with anything.
    let texts_stay = outcome.text.is_empty() && outcome.unit.is_empty() && outcome.derived.is_empty();
    if texts_stay && outcome.rejected.is_empty() && outcome.value.is_empty() {
        return Changes::default();
    }
    let reading = |place: u32| batch.columns().reading[rows[place as usize] as usize];
    let rejected: HashSet<u32> = outcome.rejected.iter().map(|rejection| reading(rejection.row)).collect();
    let values = outcome.value.iter().map(|(row, _)| *row);
    let texts = outcome.text.iter().chain(&outcome.unit).map(|(row, _)| *row);
    let derived = outcome.derived.iter().map(|derived| derived.row);
    let replaced: HashSet<u32> = values.chain(texts).chain(derived).map(reading).collect();
    Changes { rejected: rejected.len() as u64, replaced: replaced.difference(&rejected).count() as u64 }
}

fn check(outcome: &Outcome, rows: usize) -> Result<(), String> {
    each_once("rejected", outcome.rejected.iter().map(|rejection| rejection.row), rows)?;
    each_once("suspect", outcome.suspect.iter().copied(), rows)?;
    each_once("value", outcome.value.iter().map(|(row, _)| *row), rows)?;
    each_once("text", outcome.text.iter().map(|(row, _)| *row), rows)?;
    each_once("unit", outcome.unit.iter().map(|(row, _)| *row), rows)?;
    if let Some((row, value)) = outcome.value.iter().find(|(_, value)| !value.is_finite()) {
        return Err(format!("`value` gives row {row} the number {value}, which is not finite"));
    }
    if let Some((row, text)) = outcome.text.iter().find(|(_, text)| !is_text(text)) {
        return Err(format!("`text` gives row {row} {} bytes or a NUL; at most {} are stored", text.len(), limits::TEXT_BYTES));
    }
    if let Some((row, _)) = outcome.unit.iter().find(|(_, unit)| !unit.is_empty() && check_name("A unit", unit).is_err()) {
        return Err(format!("`unit` gives row {row} a name that is too long or has control characters"));
    }
    let most = rows.saturating_mul(limits::GUEST_DERIVED_FACTOR);
    if outcome.derived.len() > most {
        return Err(format!("`derived` has {} rows; {most} are allowed for {rows}", outcome.derived.len()));
    }
    for derived in &outcome.derived {
        let row = derived.row;
        if row as usize >= rows {
            return Err(format!("`derived` names row {row} of {rows}"));
        }
        check_name("its metric", &derived.metric).map_err(|error| format!("`derived` of row {row}: {error}"))?;
        if !derived.unit.is_empty() {
            check_name("its unit", &derived.unit).map_err(|error| format!("`derived` of row {row}: {error}"))?;
        }
        let sound = match &derived.text {
            Some(text) => is_bool(derived.value, text) || (derived.value.is_nan() && is_text(text)),
            None => derived.value.is_finite(),
        };
        if !sound {
            return Err(format!(
                "`derived` of row {row} is neither a finite number, a boolean nor a text of at most {} bytes",
                limits::TEXT_BYTES
            ));
        }
    }
    Ok(())
}

/// A number and a text that together are a boolean.
fn is_bool(value: f64, text: &str) -> bool {
    matches!((value, text), (1.0, "true") | (0.0, "false"))
}

/// PostgreSQL's text holds no NUL.
fn is_text(text: &str) -> bool {
    text.len() <= limits::TEXT_BYTES && !text.contains('\0')
}

fn each_once(list: &str, named: impl Iterator<Item = u32>, rows: usize) -> Result<(), String> {
    let mut seen = vec![false; rows];
    for row in named {
        match seen.get_mut(row as usize) {
            None => return Err(format!("`{list}` names row {row} of {rows}")),
            Some(true) => return Err(format!("`{list}` names row {row} twice")),
            Some(seen) => *seen = true,
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::exports::weir::validator::readings as wit;
    use super::*;

    fn outcome() -> Outcome {
        Outcome { rejected: vec![], suspect: vec![], value: vec![], text: vec![], unit: vec![], derived: vec![] }
    }

    #[test]
    fn links_of_a_chain_share_the_rows_that_may_be_derived() {
        let row = wit::Derived { row: 0, metric: "m".into(), unit: String::new(), value: 1.0, text: None };
        let mut room = Room { rows: 8, bytes: 1_000 };
        let four = || Outcome { derived: vec![row.clone(); 4], ..outcome() };
        room.take(&four()).expect("there is room");
        room.take(&four()).expect("there is room");
        assert!(room.take(&four()).expect_err("none is left").contains("may add 0 more"));
        room.take(&outcome()).expect("who adds nothing needs none");
    }

    #[test]
    fn links_of_a_chain_share_the_bytes_that_they_may_add() {
        let mut room = Room { rows: 0, bytes: limits::GUEST_BATCH_BYTES };
        let reason = wit::Rejection { row: 0, reason: "x".repeat(1 << 20) };
        room.take(&Outcome { rejected: vec![reason; 100], ..outcome() }).expect("a reason counts as it is kept");
        let text = || Outcome { text: vec![(0, "x".repeat(6 << 20))], ..outcome() };
        room.take(&text()).expect("there is room");
        room.take(&text()).expect("there is room");
        assert!(room.take(&text()).expect_err("none is left").contains("16 MiB"));
    }

    #[test]
    fn an_answer_may_take_what_fits_what_was_shown() {
        let mut columns = rows_of_nothing(1);
        assert_eq!(answer_bytes(&shown(&columns, &[0])), limits::GUEST_OUTPUT_LEAST_BYTES + limits::GUEST_OUTPUT_ROW_BYTES);
        columns.text = vec![(0, "x".repeat(1_000))];
        let with_text = limits::GUEST_OUTPUT_LEAST_BYTES + limits::GUEST_OUTPUT_ROW_BYTES + 2_000;
        assert_eq!(answer_bytes(&shown(&columns, &[0])), with_text);
        let (many, rows): (_, Vec<u32>) = (rows_of_nothing(1_000_000), (0..1_000_000).collect());
        assert_eq!(answer_bytes(&shown(&many, &rows)), limits::GUEST_OUTPUT_BYTES);
    }

    fn rows_of_nothing(rows: usize) -> Columns {
        let (sensor, time, value) = (vec![0; rows], vec![0; rows], vec![0.0; rows]);
        let names = || vec![String::new()];
        let (sensors, metrics, units) = (names(), names(), names());
        Columns {
            sensors,
            metrics,
            units,
            metric: sensor.clone(),
            unit: sensor.clone(),
            sensor,
            time,
            value,
            ..Columns::default()
        }
    }

    #[test]
    fn a_guest_sees_the_rows_and_names_that_are_left() {
        let names = |names: &[&str]| names.iter().map(ToString::to_string).collect();
        let columns = Columns {
            sensors: names(&["a", "b", "c"]),
            metrics: names(&["t", "gone"]),
            units: names(&[""]),
            sensor: vec![0, 1, 2, 1],
            metric: vec![0, 0, 0, 0],
            unit: vec![0; 4],
            time: vec![1, 2, 3, 4],
            value: vec![0.1, f64::NAN, 0.3, f64::NAN],
            text: vec![(1, "eco".to_owned()), (3, "off".to_owned())],
            reading: vec![0, 1, 2, 3],
        };
        let all = shown(&columns, &[0, 1, 2, 3]);
        assert!(matches!(all.time, Cow::Borrowed(_)) && matches!(all.sensors.numbers, Cow::Borrowed(_)), "nothing is copied");
        assert_eq!(
            (&*all.sensors.used, &*all.metrics.used, &*all.text),
            (&["a", "b", "c"][..], &["t"][..], &[(1, "eco"), (3, "off")][..])
        );

        let some = shown(&columns, &[2, 3]);
        assert_eq!((&*some.sensors.used, &*some.sensors.numbers), (&["c", "b"][..], &[0, 1][..]));
        assert_eq!((&*some.time, some.value[0], &*some.text), (&[3, 4][..], 0.3, &[(1, "off")][..]));
    }
}
