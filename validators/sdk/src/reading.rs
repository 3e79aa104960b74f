//! What a validator judges.

/// One value of a reading. A reading with several values is several of these, with the same sensor and time.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Reading<'a> {
    /// Who measured.
    pub sensor: &'a str,
    /// When, in microseconds since the Unix epoch, UTC.
    pub time: i64,
    /// What was measured.
    pub metric: &'a str,
    /// In which unit, as a UCUM code; the empty string is no unit.
    pub unit: &'a str,
    /// What came out.
    pub value: Value<'a>,
}

/// The value of a [`Reading`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Value<'a> {
    /// A number.
    Number(f64),
    /// True or false.
    Bool(bool),
    /// Text.
    Text(&'a str),
}

impl<'a> Reading<'a> {
    /// A reading for a test: no sensor, no unit and the time zero until the methods below say otherwise.
    pub fn new(metric: &'a str, value: impl Into<Value<'a>>) -> Self {
        Self { sensor: "", time: 0, metric, unit: "", value: value.into() }
    }

    /// The same in a unit.
    #[must_use]
    pub const fn in_unit(mut self, unit: &'a str) -> Self {
        self.unit = unit;
        self
    }

    /// The same from a sensor.
    #[must_use]
    pub const fn from_sensor(mut self, sensor: &'a str) -> Self {
        self.sensor = sensor;
        self
    }

    /// The same at a time, in microseconds since the Unix epoch, UTC.
    #[must_use]
    pub const fn at(mut self, time: i64) -> Self {
        self.time = time;
        self
    }
}

impl<'a> Value<'a> {
    /// The value that a number and a text make up in the interface: a boolean has both.
    pub(crate) fn of(number: f64, text: Option<&'a str>) -> Self {
        match text {
            None => Self::Number(number),
            Some(text) if number.is_nan() => Self::Text(text),
            Some(_) => Self::Bool(number != 0.0),
        }
    }
}

impl From<f64> for Value<'_> {
    fn from(number: f64) -> Self {
        Self::Number(number)
    }
}

impl From<bool> for Value<'_> {
    fn from(on: bool) -> Self {
        Self::Bool(on)
    }
}

impl<'a> From<&'a str> for Value<'a> {
    fn from(text: &'a str) -> Self {
        Self::Text(text)
    }
}
