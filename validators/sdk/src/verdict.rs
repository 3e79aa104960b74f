//! What a validator says about a value.

use crate::reading::Value;

/// What becomes of one value of a reading: it is accepted, perhaps with changes, or rejected.
///
/// ```
/// use weir_validator_sdk::Verdict;
///
/// Verdict::accept();
/// Verdict::reject("temperature is 900, above the limit of 85");
/// Verdict::suspect();
/// Verdict::replace(21.5).with_unit("Cel");
/// Verdict::accept().derive("dew-point", "Cel", 11.2);
/// ```
#[derive(Clone, Debug, PartialEq)]
#[must_use]
pub struct Verdict {
    pub(crate) decision: Decision,
}

/// The ends of a verdict. Apart from [`Verdict`], so that what is added here later breaks no validator.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Decision {
    /// Nearly always, and therefore an end of its own: there is nothing in it to look through or to drop.
    Accept,
    Change(Changes),
    Reject(String),
}

/// What is to be different about an accepted value.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Changes {
    pub(crate) suspect: bool,
    pub(crate) value: Option<NewValue>,
    pub(crate) unit: Option<String>,
    pub(crate) derived: Vec<Further>,
}

/// A further value for the reading.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Further {
    pub(crate) metric: String,
    pub(crate) unit: String,
    pub(crate) value: NewValue,
}

/// A value that the validator made.
#[derive(Clone, Debug, PartialEq)]
pub enum NewValue {
    /// A number. One that is not finite cannot be stored: the reading is rejected instead.
    Number(f64),
    /// True or false.
    Bool(bool),
    /// Text.
    Text(String),
}

impl Verdict {
    /// The value is stored as it is.
    pub const fn accept() -> Self {
        Self { decision: Decision::Accept }
    }

    /// The value is not stored, nor are the other values of its reading. The reason is for whoever sent the reading: say what was
    /// measured and what would have been right.
    ///
    /// The methods below change nothing about a rejection.
    pub fn reject(reason: impl Into<String>) -> Self {
        Self { decision: Decision::Reject(reason.into()) }
    }

    /// The reading is stored with the quality `suspect`.
    pub const fn suspect() -> Self {
        let changes = Changes { suspect: true, value: None, unit: None, derived: Vec::new() };
        Self { decision: Decision::Change(changes) }
    }

    /// Another value is stored in place of this one.
    pub fn replace(value: impl Into<NewValue>) -> Self {
        Self::accept().with_value(value)
    }

    /// Another value is stored in place of this one.
    pub fn with_value(self, value: impl Into<NewValue>) -> Self {
        self.change(|changes| changes.value = Some(value.into()))
    }

    /// Another unit is stored, as a UCUM code; the empty string is no unit. The value stays what it is unless it is replaced too.
    pub fn with_unit(self, unit: impl Into<String>) -> Self {
        self.change(|changes| changes.unit = Some(unit.into()))
    }

    /// The reading is stored with the quality `suspect`, besides the other changes.
    pub fn with_suspicion(self) -> Self {
        self.change(|changes| changes.suspect = true)
    }

    /// The reading gets a further value: its sensor and time, a metric that it does not have yet, a UCUM code or the empty string
    /// as the unit.
    pub fn derive(self, metric: impl Into<String>, unit: impl Into<String>, value: impl Into<NewValue>) -> Self {
        self.change(|changes| {
            changes.derived.push(Further { metric: metric.into(), unit: unit.into(), value: value.into() });
        })
    }

    /// Why the value is rejected, if it is.
    pub fn rejection(&self) -> Option<&str> {
        match &self.decision {
            Decision::Accept | Decision::Change(_) => None,
            Decision::Reject(reason) => Some(reason),
        }
    }

    fn change(mut self, change: impl FnOnce(&mut Changes)) -> Self {
        if self.decision == Decision::Accept {
            self.decision = Decision::Change(Changes::default());
        }
        if let Decision::Change(changes) = &mut self.decision {
            change(changes);
        }
        self
    }
}

impl From<f64> for NewValue {
    fn from(number: f64) -> Self {
        Self::Number(number)
    }
}

impl From<bool> for NewValue {
    fn from(on: bool) -> Self {
        Self::Bool(on)
    }
}

impl From<&str> for NewValue {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for NewValue {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<Value<'_>> for NewValue {
    fn from(value: Value<'_>) -> Self {
        match value {
            Value::Number(number) => Self::Number(number),
            Value::Bool(on) => Self::Bool(on),
            Value::Text(text) => Self::Text(text.to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_come_on_top_of_each_other() {
        let both = Verdict::replace(1.0).with_suspicion().with_unit("Cel");
        assert_eq!(both, Verdict::suspect().with_unit("Cel").with_value(1.0));
    }

    #[test]
    fn a_rejection_stays_one() {
        let verdict = Verdict::reject("too hot").with_value(1.0).derive("other", "", 2.0);
        assert_eq!(verdict, Verdict::reject("too hot"));
        assert_eq!(verdict.rejection(), Some("too hot"));
    }
}
