//! The readings of `weir:validator@1` and the host's own columns: the one place that knows both.
//!
//! An answer is checked whole before any of it counts: one senseless entry and the module is at fault, since nobody could say what it
//! meant.

use std::collections::HashSet;

use wasmtime::Store;

use self::exports::weir::validator::readings::{Batch as Shown, Outcome};
use crate::batch::{Batch, Columns, Derived, Refusal, Refuser, Value};
use crate::guest::cut;
use crate::guest::grants::State;
use crate::limits;
use crate::model::check_name;
use crate::rules::Step;

wasmtime::component::bindgen!({
    path: "wit/v1.1.0",
    world: "reading-validator",
    imports: { default: trappable, "weir:validator/lookup.latest": async | trappable },
    exports: { default: async },
});

/// What the guest said about the rows that it was shown.
pub(in crate::guest) struct Answer(Outcome);

/// Calls `check` on a fresh instance.
pub(in crate::guest) async fn call(
    store: &mut Store<State>,
    module: &ReadingValidatorPre<State>,
    shown: &Shown,
) -> wasmtime::Result<Result<Answer, String>> {
    let instance = module.instantiate_async(&mut *store).await?;
    let outcome = instance.weir_validator_readings().call_check(store, shown).await?;
    Ok(outcome.map(Answer))
}

/// These rows in the guest's form, with only those names that occur in them.
pub(in crate::guest) fn shown(columns: &Columns, rows: &[u32]) -> Shown {
    let mut sensors = Names::of(&columns.sensors);
    let mut metrics = Names::of(&columns.metrics);
    let mut units = Names::of(&columns.units);
    let mut shown = Shown {
        sensors: Vec::new(),
        metrics: Vec::new(),
        units: Vec::new(),
        sensor: Vec::with_capacity(rows.len()),
        metric: Vec::with_capacity(rows.len()),
        unit: Vec::with_capacity(rows.len()),
        time: Vec::with_capacity(rows.len()),
        value: Vec::with_capacity(rows.len()),
        text: Vec::new(),
    };
    for (place, row) in (0u32..).zip(rows) {
        let at = *row as usize;
        shown.sensor.push(sensors.number(columns.sensor[at]));
        shown.metric.push(metrics.number(columns.metric[at]));
        shown.unit.push(units.number(columns.unit[at]));
        shown.time.push(columns.time[at]);
        shown.value.push(columns.value[at]);
        if !columns.text.is_empty()
            && let Some(text) = columns.text_of(*row)
        {
            shown.text.push((place, text.to_owned()));
        }
    }
    (shown.sensors, shown.metrics, shown.units) = (sensors.used, metrics.used, units.used);
    shown
}

/// Gives the names of a dictionary new numbers, in the order in which they occur.
struct Names<'a> {
    all: &'a [String],
    numbers: Vec<Option<u32>>,
    used: Vec<String>,
}

impl<'a> Names<'a> {
    fn of(all: &'a [String]) -> Self {
        Self { all, numbers: vec![None; all.len()], used: Vec::new() }
    }

    fn number(&mut self, old: u32) -> u32 {
        *self.numbers[old as usize].get_or_insert_with(|| {
            self.used.push(self.all[old as usize].clone());
            u32::try_from(self.used.len() - 1).unwrap_or(u32::MAX)
        })
    }
}

/// What the validators of a chain may still add to one batch, all of them together: each for itself could add four times what the one
/// before left, and sixteen of them millions.
#[derive(Clone, Copy, Debug)]
pub(in crate::guest) struct Room {
    rows: usize,
    bytes: usize,
}

impl Room {
    /// For a batch as it came.
    pub(in crate::guest) fn of(batch: &Batch) -> Self {
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
pub(in crate::guest) fn answer_bytes(shown: &Shown) -> usize {
    let names = shown.sensors.iter().chain(&shown.metrics).chain(&shown.units).map(String::len);
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
        let mut shown = rows_shown(1);
        assert_eq!(answer_bytes(&shown), limits::GUEST_OUTPUT_LEAST_BYTES + limits::GUEST_OUTPUT_ROW_BYTES);
        shown.text = vec![(0, "x".repeat(1_000))];
        assert_eq!(answer_bytes(&shown), limits::GUEST_OUTPUT_LEAST_BYTES + limits::GUEST_OUTPUT_ROW_BYTES + 2_000);
        assert_eq!(answer_bytes(&rows_shown(1_000_000)), limits::GUEST_OUTPUT_BYTES);
    }

    fn rows_shown(rows: usize) -> Shown {
        Shown { time: vec![0; rows], ..shown(&Columns::default(), &[]) }
    }
}
