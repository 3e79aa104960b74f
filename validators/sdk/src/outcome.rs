//! From verdicts on single rows to the outcome of a batch.

use crate::bindings::{Derived, Outcome, Rejection};
use crate::reading::Reading;
use crate::verdict::{Changes, Decision, Further, NewValue, Verdict};

/// An outcome without a change.
pub(crate) fn unchanged() -> Outcome {
    Outcome {
        rejected: Vec::new(),
        suspect: Vec::new(),
        value: Vec::new(),
        text: Vec::new(),
        unit: Vec::new(),
        derived: Vec::new(),
    }
}

/// Writes down what a verdict says about a row. Rows come in order and once, so no list names one twice.
pub(crate) fn note(outcome: &mut Outcome, row: u32, reading: &Reading<'_>, verdict: Verdict) {
    match verdict.decision {
        Decision::Accept => {}
        Decision::Reject(reason) => outcome.rejected.push(Rejection { row, reason }),
        Decision::Change(changes) => match changes.not_finite(reading.metric) {
            // Weir would refuse the whole outcome over it: better that one reading is lost, and its sender knows why.
            Some(metric) => {
                let reason = format!("the validator computed a value of {metric} that is not a finite number");
                outcome.rejected.push(Rejection { row, reason });
            }
            None => change(outcome, row, changes),
        },
    }
}

fn change(outcome: &mut Outcome, row: u32, changes: Changes) {
    if changes.suspect {
        outcome.suspect.push(row);
    }
    if let Some(value) = changes.value {
        let (number, text) = parts(value);
        outcome.value.extend(number.map(|number| (row, number)));
        outcome.text.extend(text.map(|text| (row, text)));
    }
    outcome.unit.extend(changes.unit.map(|unit| (row, unit)));
    outcome.derived.extend(changes.derived.into_iter().map(|Further { metric, unit, value }| {
        let (number, text) = parts(value);
        Derived { row, metric, unit, value: number.unwrap_or(f64::NAN), text }
    }));
}

/// The number and the text that make up a value: a boolean has both.
fn parts(value: NewValue) -> (Option<f64>, Option<String>) {
    match value {
        NewValue::Number(number) => (Some(number), None),
        NewValue::Bool(on) => (Some(f64::from(u8::from(on))), Some(on.to_string())),
        NewValue::Text(text) => (None, Some(text)),
    }
}

impl Changes {
    /// The metric that would get a number that is not finite, if there is one.
    fn not_finite<'a>(&'a self, own: &'a str) -> Option<&'a str> {
        let derived = self.derived.iter().map(|further| (further.metric.as_str(), &further.value));
        let mut all = self.value.iter().map(|value| (own, value)).chain(derived);
        all.find(|(_, value)| matches!(value, NewValue::Number(number) if !number.is_finite())).map(|(metric, _)| metric)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome_of(verdict: Verdict) -> Outcome {
        let mut outcome = unchanged();
        note(&mut outcome, 7, &Reading::new("temperature", 21.5), verdict);
        outcome
    }

    #[test]
    fn an_accepted_row_is_named_nowhere_and_allocates_nothing() {
        let outcome = outcome_of(Verdict::accept());
        assert_eq!(format!("{outcome:?}"), format!("{:?}", unchanged()));
        assert_eq!(outcome.rejected.capacity() + outcome.suspect.capacity() + outcome.value.capacity(), 0);
        assert_eq!(outcome.text.capacity() + outcome.unit.capacity() + outcome.derived.capacity(), 0);
    }

    #[test]
    fn a_rejected_row_keeps_its_reason() {
        let outcome = outcome_of(Verdict::reject("too hot"));
        assert_eq!((outcome.rejected[0].row, outcome.rejected[0].reason.as_str()), (7, "too hot"));
    }

    #[test]
    fn all_changes_of_a_row_arrive() {
        let outcome = outcome_of(Verdict::suspect().with_value(2.5).with_unit("K").derive("feels", "Cel", 3.5));
        assert_eq!(outcome.suspect, [7]);
        assert_eq!(outcome.value, [(7, 2.5)]);
        assert_eq!(outcome.unit, [(7, "K".to_owned())]);
        assert!(outcome.text.is_empty());
        let derived = &outcome.derived[0];
        assert_eq!((derived.row, derived.metric.as_str(), derived.unit.as_str()), (7, "feels", "Cel"));
        assert_eq!((derived.value.to_bits(), &derived.text), (3.5_f64.to_bits(), &None));
    }

    #[test]
    fn a_boolean_is_a_number_and_a_text_and_text_is_no_number() {
        let on = outcome_of(Verdict::replace(true).derive("open", "", false));
        assert_eq!((on.value, on.text), (vec![(7, 1.0)], vec![(7, "true".to_owned())]));
        assert_eq!((on.derived[0].value.to_bits(), on.derived[0].text.as_deref()), (0.0_f64.to_bits(), Some("false")));

        let text = outcome_of(Verdict::replace("eco").derive("mode", "", "eco"));
        assert_eq!((text.value, text.text), (vec![], vec![(7, "eco".to_owned())]));
        assert!(text.derived[0].value.is_nan());
        assert_eq!(text.derived[0].text.as_deref(), Some("eco"));
    }

    #[test]
    fn a_number_that_is_not_finite_rejects_the_row_alone() {
        let replaced = outcome_of(Verdict::replace(f64::NAN).with_unit("K"));
        assert_eq!(replaced.rejected[0].reason, "the validator computed a value of temperature that is not a finite number");
        assert!(replaced.value.is_empty() && replaced.unit.is_empty());
        let derived = outcome_of(Verdict::accept().derive("feels", "Cel", f64::INFINITY));
        assert_eq!(derived.rejected[0].reason, "the validator computed a value of feels that is not a finite number");
        assert!(derived.derived.is_empty());
    }
}
