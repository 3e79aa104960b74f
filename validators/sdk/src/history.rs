//! What a sensor said before, in the batch or as it is stored.

use std::collections::{BTreeMap, HashMap};

use crate::lookup::{self, Last};
use crate::{Reading, Value};

/// The places of a batch's values by the reading that they belong to, in order of time: a reading is what a sensor said at a time.
///
/// A rejection takes the whole reading with it, so what depends on what is stored has to look at readings as wholes.
pub fn whole_readings(readings: &[Reading<'_>]) -> Vec<Vec<usize>> {
    let mut whole: BTreeMap<(i64, &str), Vec<usize>> = BTreeMap::new();
    for (place, reading) in readings.iter().enumerate() {
        whole.entry((reading.time, reading.sensor)).or_default().push(place);
    }
    whole.into_values().collect()
}

/// The values before, for each sensor and metric: of the batch those that were [kept](Self::keep), and the last stored one.
#[derive(Debug, Default)]
pub struct History<'a> {
    stored: HashMap<(&'a str, &'a str), Last>,
    kept: HashMap<(&'a str, &'a str), Reading<'a>>,
}

/// A value before.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Before<'a> {
    /// When, in microseconds since the Unix epoch, UTC.
    pub time: i64,
    /// In which unit, as a UCUM code; the empty string is no unit.
    pub unit: &'a str,
    /// What it was.
    pub value: Value<'a>,
}

impl<'a> History<'a> {
    /// A history that knows of nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// A history that knows what is stored of all sensors and metrics of these readings. It asks [`lookup`] once.
    pub fn look_up(readings: impl IntoIterator<Item = &'a Reading<'a>>) -> Result<Self, String> {
        let mut series: Vec<_> = readings.into_iter().map(|reading| (reading.sensor, reading.metric)).collect();
        series.sort_unstable();
        series.dedup();
        let found = lookup::latest(&series)?;
        let stored = series.into_iter().zip(found).filter_map(|(series, last)| Some((series, last?))).collect();
        Ok(Self { stored, kept: HashMap::new() })
    }

    /// The newest value that its sensor had of its metric before it. One of the same time is not before it.
    pub fn before<'b>(&'b self, reading: &Reading<'b>) -> Option<Before<'b>> {
        let series = (reading.sensor, reading.metric);
        let stored = self.stored.get(&series).map(|last| Before { time: last.time, unit: &last.unit, value: last.value() });
        let kept = self.kept.get(&series).map(|kept| Before { time: kept.time, unit: kept.unit, value: kept.value });
        [stored, kept].into_iter().flatten().filter(|before| before.time < reading.time).max_by_key(|before| before.time)
    }

    /// Takes note of a value that will be stored. They have to come in order of time.
    pub fn keep(&mut self, reading: &Reading<'a>) {
        self.kept.insert((reading.sensor, reading.metric), *reading);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reading(metric: &'static str, value: f64, time: i64) -> Reading<'static> {
        Reading::new(metric, value).from_sensor("boiler").at(time)
    }

    #[test]
    fn readings_are_whole_and_in_order_of_time() {
        let other = reading("pressure", 1.0, 20).from_sensor("pump");
        let readings = [reading("pressure", 1.0, 20), reading("pressure", 2.0, 10), other, reading("temperature", 3.0, 20)];
        assert_eq!(whole_readings(&readings), [vec![1], vec![0, 3], vec![2]]);
    }

    #[test]
    fn the_newest_before_counts_wherever_it_is() {
        lookup::pretend("boiler", "pressure", Last::new(100, 1.0).in_unit("bar"));
        let readings = [reading("pressure", 2.0, 50), reading("pressure", 3.0, 150), reading("pressure", 4.0, 200)];
        let mut history = History::look_up(&readings).unwrap();
        let stored = Before { time: 100, unit: "bar", value: Value::Number(1.0) };
        assert_eq!(history.before(&readings[0]), None);
        history.keep(&readings[0]);
        assert_eq!(history.before(&readings[1]), Some(stored));
        history.keep(&readings[1]);
        assert_eq!(history.before(&readings[2]), Some(Before { time: 150, unit: "", value: Value::Number(3.0) }));
    }

    #[test]
    fn one_of_the_same_time_and_one_of_another_series_are_not_before() {
        let mut history = History::new();
        history.keep(&reading("pressure", 1.0, 10));
        assert_eq!(history.before(&reading("pressure", 2.0, 10)), None);
        assert_eq!(history.before(&reading("temperature", 2.0, 20)), None);
        assert_eq!(history.before(&reading("pressure", 2.0, 20).from_sensor("pump")), None);
    }
}
