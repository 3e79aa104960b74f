//! Readings as a client would have sent them, in the long form: what a JSON Schema describes, whatever they came as.

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
    /// The topic that it came through or names.
    pub topic: Option<&'a str>,
    /// The schema that its sender says it follows; empty for none.
    pub schema_ref: &'a str,
    /// How far it can be trusted.
    pub quality: Quality,
}

impl LongForm<'_> {
    /// The reading with these values and units, by metric.
    pub fn with(self, values: Map<String, Value>, units: Map<String, Value>) -> Value {
        let Self { sensor, time, topic, schema_ref, quality } = self;
        let mut sent = json!({ "sensorId": sensor, "timestamp": rfc3339(time), "values": values, "quality": quality });
        if let Some(topic) = topic {
            sent["topic"] = topic.into();
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
        let mut values: Vec<Option<(usize, Map<String, Value>, Map<String, Value>)>> = vec![None; self.readings().len()];
        for row in (0..columns.rows()).filter(|row| self.stands(columns.reading[*row])) {
            let (_, values, units) = values[columns.reading[row] as usize].get_or_insert_with(|| (row, Map::new(), Map::new()));
            let metric = &columns.metrics[columns.metric[row] as usize];
            values.insert(metric.clone(), columns.json_of(row));
            let unit = &columns.units[columns.unit[row] as usize];
            if !unit.is_empty() {
                units.insert(metric.clone(), unit.as_str().into());
            }
        }
        let readings = (0u32..).zip(self.readings()).zip(values);
        let sent = readings.filter_map(|((place, reading), values)| {
            let (row, values, units) = values?;
            let sent = LongForm {
                sensor: &columns.sensors[columns.sensor[row] as usize],
                // What was decoded lies within what a time can be.
                time: DateTime::from_timestamp_micros(columns.time[row])?,
                topic: self.topic().map(|topic| &**topic),
                schema_ref: &reading.schema_ref,
                quality: reading.quality,
            };
            Some((place, sent.with(values, units)))
        });
        sent.collect()
    }
}
