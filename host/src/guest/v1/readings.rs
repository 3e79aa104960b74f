//! The readings of `weir:validator@1` and the host's own columns: the one place that knows both.
//!
//! An answer is checked whole before any of it counts: one senseless entry and the module is at fault, since nobody could say what it
//! meant.

use std::collections::HashSet;

use wasmtime::Store;

use self::exports::weir::validator::readings::{Batch as Shown, Outcome};
use crate::batch::{Batch, Columns, Refusal, Refuser, Value};
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

impl Answer {
    /// Puts the answer about `rows` into the batch, or says why it cannot be used.
    pub(in crate::guest) fn apply(self, batch: &mut Batch, step: &Step, rows: &[u32]) -> Result<Changes, String> {
        let Self(outcome) = self;
        check(&outcome, rows.len())?;
        let changes = changes(&outcome, batch, rows);
        let row = |place: u32| rows[place as usize];
        for (place, value) in &outcome.value {
            let (row, columns) = (row(*place), batch.columns_mut());
            columns.value[row as usize] = *value;
            columns.set_text(row, None);
        }
        for (place, text) in outcome.text {
            let (row, columns) = (row(place), batch.columns_mut());
            let kept = columns.value[row as usize];
            // A number stays beside a text only as the two make a boolean.
            if !is_bool(kept, &text) {
                columns.value[row as usize] = f64::NAN;
            }
            columns.set_text(row, Some(text));
        }
        for (place, unit) in &outcome.unit {
            batch.set_unit(row(*place), unit);
        }
        for derived in outcome.derived {
            let value = match derived.text {
                None => Value::Number(derived.value),
                Some(text) if !derived.value.is_nan() => Value::Bool(text == "true"),
                Some(text) => Value::Text(text),
            };
            batch.derive(row(derived.row), &derived.metric, &derived.unit, value);
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
