//! From a batch in columns to one [`Reading`] after the other, without an allocation.

use crate::bindings::Batch;
use crate::reading::{Reading, Value};

/// Hands out every row with its number, in order.
///
/// Weir keeps the promises that the interface makes about a batch. Should it ever not, an error is better than a trap: it says
/// what is wrong.
pub(crate) fn each_row<'a>(batch: &'a Batch, mut take: impl FnMut(u32, &Reading<'a>)) -> Result<(), String> {
    let count = batch.time.len();
    if [batch.sensor.len(), batch.metric.len(), batch.unit.len(), batch.value.len()].into_iter().any(|length| length != count) {
        return Err(damaged("its columns differ in length"));
    }
    let mut texts = batch.text.as_slice();
    let columns = batch.sensor.iter().zip(&batch.metric).zip(&batch.unit).zip(&batch.time).zip(&batch.value);
    for (row, ((((sensor, metric), unit), time), number)) in (0_u32..).zip(columns) {
        let text = match texts.split_first() {
            Some(((at, text), rest)) if *at == row => {
                texts = rest;
                Some(text.as_str())
            }
            _ => None,
        };
        let value = Value::of(*number, text);
        let names = (name(&batch.sensors, *sensor), name(&batch.metrics, *metric), name(&batch.units, *unit));
        let (Some(sensor), Some(metric), Some(unit)) = names else {
            let missing = match names {
                (None, ..) => format!("there is no sensor {sensor}"),
                (_, None, _) => format!("there is no metric {metric}"),
                _ => format!("there is no unit {unit}"),
            };
            return Err(damaged(&missing));
        };
        take(row, &Reading { sensor, time: *time, metric, unit, value });
    }
    if texts.is_empty() { Ok(()) } else { Err(damaged("its texts are not in the order of the rows")) }
}

fn name(names: &[String], index: u32) -> Option<&str> {
    names.get(usize::try_from(index).ok()?).map(String::as_str)
}

fn damaged(what: &str) -> String {
    format!("the batch is damaged: {what}; this is an error in Weir, please report it")
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// Four rows: a number, true, a text, a number without unit.
    pub(crate) fn batch() -> Batch {
        Batch {
            sensors: vec!["first".to_owned(), "second".to_owned()],
            metrics: vec!["temperature".to_owned(), "open".to_owned(), "mode".to_owned()],
            units: vec![String::new(), "Cel".to_owned()],
            sensor: vec![0, 0, 1, 1],
            metric: vec![0, 1, 2, 0],
            unit: vec![1, 0, 0, 0],
            time: vec![10, 10, 20, 30],
            value: vec![21.5, 1.0, f64::NAN, -3.0],
            text: vec![(1, "true".to_owned()), (2, "eco".to_owned())],
        }
    }

    fn problem(batch: &Batch) -> String {
        each_row(batch, |_, _| {}).unwrap_err()
    }

    #[test]
    fn every_row_is_a_reading() {
        let batch = batch();
        let mut seen = Vec::new();
        each_row(&batch, |row, reading| seen.push((row, *reading))).unwrap();
        assert_eq!(
            seen,
            [
                (0, Reading::new("temperature", 21.5).in_unit("Cel").from_sensor("first").at(10)),
                (1, Reading::new("open", true).from_sensor("first").at(10)),
                (2, Reading::new("mode", "eco").from_sensor("second").at(20)),
                (3, Reading::new("temperature", -3.0).from_sensor("second").at(30)),
            ]
        );
    }

    #[test]
    fn a_zero_with_a_text_is_false() {
        let mut batch = batch();
        batch.value[1] = 0.0;
        let mut values = Vec::new();
        each_row(&batch, |_, reading| values.push(reading.value)).unwrap();
        assert_eq!(values[1], Value::Bool(false));
    }

    #[test]
    fn a_damaged_batch_is_an_error() {
        let mut short = batch();
        short.unit.pop();
        assert!(problem(&short).contains("its columns differ in length"));
        let mut unnamed = batch();
        unnamed.metric[2] = 3;
        assert!(problem(&unnamed).contains("there is no metric 3"));
        let mut unordered = batch();
        unordered.text.swap(0, 1);
        assert!(problem(&unordered).contains("its texts are not in the order of the rows"));
    }
}
