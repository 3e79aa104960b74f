//! Readings as a client would have sent them, in the long form: what a JSON Schema describes, whatever they came as. Without the topic,
//! which a message of Kafka does not name, and without a quality that is the one of whoever names none.

use chrono::{DateTime, Utc};
use serde_json::{Map, Value, json};

use super::{Batch, Quality};
use crate::times::rfc3339;

/// What a reading is besides its values.
#[derive(Clone, Copy, Debug)]
pub struct LongForm<'a> {
    /// Its sensor.
    pub sensor: &'a str,
    /// Its time.
    pub time: DateTime<Utc>,
    /// The schema that its sender says it follows; empty for none.
    pub schema_ref: &'a str,
    /// How far it can be trusted.
    pub quality: Quality,
}

/// The values of a reading and the units of those that have one, by metric.
#[derive(Clone, Debug, Default)]
pub struct Values {
    /// The values.
    pub values: Map<String, Value>,
    /// The units.
    pub units: Map<String, Value>,
}

impl LongForm<'_> {
    /// The reading with these values and units, by metric.
    pub fn with(self, values: Values) -> Value {
        let Self { sensor, time, schema_ref, quality } = self;
        let Values { values, units } = values;
        let mut sent = json!({ "sensorId": sensor, "timestamp": rfc3339(time) });
        sent["values"] = values.into();
        if quality != Quality::Good {
            sent["quality"] = json!(quality);
        }
        if !units.is_empty() {
            sent["unit"] = units.into();
        }
        if !schema_ref.is_empty() {
            sent["schemaRef"] = schema_ref.into();
        }
        sent
    }
}

impl Batch {
    /// The readings that stand, as they are by now; with their places.
    pub fn as_sent(&self) -> Vec<(u32, Value)> {
        let columns = self.columns();
        // Of each reading its first row and its values; nothing of those that do not stand.
        let mut readings: Vec<Option<(usize, Values)>> = vec![None; self.readings().len()];
        for row in (0..columns.rows()).filter(|row| self.stands(columns.reading[*row])) {
            let (_, all) = readings[columns.reading[row] as usize].get_or_insert_with(|| (row, Values::default()));
            let metric = &columns.metrics[columns.metric[row] as usize];
            all.values.insert(metric.clone(), columns.json_of(row));
            let unit = &columns.units[columns.unit[row] as usize];
            if !unit.is_empty() {
                all.units.insert(metric.clone(), unit.as_str().into());
            }
        }
        let readings = (0u32..).zip(self.readings()).zip(readings);
        let sent = readings.filter_map(|((place, reading), values)| {
            let (row, values) = values?;
            let sent = LongForm {
                sensor: &columns.sensors[columns.sensor[row] as usize],
                // What was decoded lies within what a time can be.
                time: DateTime::from_timestamp_micros(columns.time[row])?,
                schema_ref: &reading.schema_ref,
                quality: reading.quality,
            };
            Some((place, sent.with(values)))
        });
        sent.collect()
    }
}
