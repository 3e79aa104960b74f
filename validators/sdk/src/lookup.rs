//! What the tenant's sensors said last, as it is stored.
//!
//! For guests that [`export_batches!`](crate::export_batches) or [`export_documents!`](crate::export_documents) exports and whose
//! deployment grants it: Weir refuses the component of a [`Validator`](crate::Validator) that imports it. On the host, where nothing
//! is stored, a test says what there is with [`pretend`].

use crate::reading::Value;
use crate::verdict::NewValue;

/// The last stored value of a sensor and a metric.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Last {
    /// When, in microseconds since the Unix epoch, UTC.
    pub time: i64,
    /// In which unit, as a UCUM code; the empty string is no unit.
    pub unit: String,
    /// What it was.
    pub value: NewValue,
}

impl Last {
    /// A stored value for a test: no unit until the method below says otherwise.
    pub fn new(time: i64, value: impl Into<NewValue>) -> Self {
        Self { time, unit: String::new(), value: value.into() }
    }

    /// The same in a unit.
    #[must_use]
    pub fn in_unit(mut self, unit: impl Into<String>) -> Self {
        self.unit = unit.into();
        self
    }

    /// What it was, to be compared with a reading's value.
    pub fn value(&self) -> Value<'_> {
        match &self.value {
            NewValue::Number(number) => Value::Number(*number),
            NewValue::Bool(on) => Value::Bool(*on),
            NewValue::Text(text) => Value::Text(text),
        }
    }
}

/// The last stored value of each sensor and metric, in the order in which they are asked for; none where nothing is stored.
///
/// Readings of the batch that is being judged are not in it. Ask once about many: it is far cheaper, and how many may be asked in a
/// call of the guest is bounded. Beyond that, and where the store is away, the answer is an error.
pub fn latest(of: &[(&str, &str)]) -> Result<Vec<Option<Last>>, String> {
    if of.is_empty() {
        return Ok(Vec::new());
    }
    let found = ask(of)?;
    if found.len() != of.len() {
        let (answers, questions) = (found.len(), of.len());
        return Err(format!("{answers} last values came for {questions} questions; this is an error in Weir, please report it"));
    }
    Ok(found)
}

#[cfg(target_family = "wasm")]
fn ask(of: &[(&str, &str)]) -> Result<Vec<Option<Last>>, String> {
    let last = |last: crate::bindings::lookup::Last| {
        let value = Value::of(last.value, last.text.as_deref()).into();
        Last { time: last.time, unit: last.unit, value }
    };
    Ok(crate::bindings::lookup::latest(of)?.into_iter().map(|found| found.map(last)).collect())
}

#[cfg(not(target_family = "wasm"))]
pub use self::on_host::{pretend, pretend_outage};

#[cfg(not(target_family = "wasm"))]
use self::on_host::ask;

#[cfg(not(target_family = "wasm"))]
mod on_host {
    use std::cell::RefCell;
    use std::collections::HashMap;

    use super::Last;

    /// Sensor and metric to what is stored, or why the store cannot answer.
    type Store = Result<HashMap<(String, String), Last>, String>;

    thread_local! {
        static STORE: RefCell<Store> = RefCell::new(Ok(HashMap::new()));
    }

    /// For tests on the host: what is stored of a sensor and metric, as far as this thread knows.
    pub fn pretend(sensor: &str, metric: &str, last: Last) {
        STORE.with_borrow_mut(|store| {
            let mut values = std::mem::replace(store, Ok(HashMap::new())).unwrap_or_default();
            values.insert((sensor.to_owned(), metric.to_owned()), last);
            *store = Ok(values);
        });
    }

    /// For tests on the host: nothing can be looked up in this thread any more, for this reason.
    pub fn pretend_outage(reason: &str) {
        STORE.set(Err(reason.to_owned()));
    }

    pub(super) fn ask(of: &[(&str, &str)]) -> Result<Vec<Option<Last>>, String> {
        STORE.with_borrow(|store| {
            let values = store.as_ref().map_err(Clone::clone)?;
            Ok(of.iter().map(|(sensor, metric)| values.get(&((*sensor).to_owned(), (*metric).to_owned())).cloned()).collect())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_come_in_the_order_of_the_questions() {
        pretend("boiler", "temperature", Last::new(7, 21.5).in_unit("Cel"));
        let found = latest(&[("boiler", "pressure"), ("boiler", "temperature")]);
        assert_eq!(found, Ok(vec![None, Some(Last::new(7, 21.5).in_unit("Cel"))]));
    }

    #[test]
    fn without_a_question_nobody_is_asked() {
        pretend_outage("the store is away");
        assert_eq!(latest(&[]), Ok(vec![]));
        assert_eq!(latest(&[("boiler", "temperature")]), Err("the store is away".to_owned()));
    }
}
