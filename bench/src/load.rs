//! The readings that every line of the table stores: the same ones in every run.
//!
//! A thousand sensors, each in one of four partitions, send a message every second with a value for each of up to five metrics; the
//! last one was sent just before the bench began, since readings of days ago are another lane's. Nothing is random: a value follows from sensor, metric and time, so that a sum tells whether the rows are the right ones.

use chrono::DateTime;

/// Partitions of the topic.
pub const PARTITIONS: u64 = 4;
/// Sensors; a quarter of them in each partition.
pub const SENSORS: u64 = 1_000;
/// What a sensor measures: name, the least value and how far it goes above it, in hundredths.
pub const METRICS: [(&str, i64, i64); 5] = [
    ("temperature", 1_500, 2_000),
    ("humidity", 2_000, 7_000),
    ("pressure", 95_000, 10_000),
    ("co2", 40_000, 100_000),
    ("battery", 300, 120),
];

/// Milliseconds between two messages of a sensor.
const STEP: i64 = 1_000;
const SENSORS_HERE: u64 = SENSORS / PARTITIONS;

/// How much is sent, and in which form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Load {
    /// Messages of each partition.
    pub messages_each: u64,
    /// Values of a message, each a row: the first so many of [`METRICS`].
    pub values: usize,
    /// The first time, in milliseconds since the Unix epoch.
    pub from: i64,
}

/// One message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Message {
    /// The sensor's number.
    pub sensor: u64,
    /// Milliseconds since the Unix epoch.
    pub time: i64,
}

impl Load {
    /// As many whole messages, the same number in each partition, as make at most `rows` rows (and at least one message in each); the
    /// last ones are of the second `until`, counted from the Unix epoch.
    pub fn of(rows: u64, values: usize, until: i64) -> Self {
        let messages_each = (rows / (PARTITIONS * values as u64)).max(1);
        Self { messages_each, values, from: until * 1_000 - step(messages_each - 1) * STEP }
    }

    /// Messages of all partitions.
    pub fn messages(&self) -> u64 {
        self.messages_each * PARTITIONS
    }

    /// Rows of all messages.
    pub fn rows(&self) -> u64 {
        self.messages() * self.values as u64
    }

    /// The sum of all values, in hundredths.
    pub fn sum(&self) -> i64 {
        let messages =
            (0..PARTITIONS).flat_map(|partition| (0..self.messages_each).map(move |number| self.message(partition, number)));
        messages.flat_map(|message| (0..self.values).map(move |metric| message.hundredths(metric))).sum()
    }

    /// Message `number` of a partition.
    pub fn message(&self, partition: u64, number: u64) -> Message {
        let sensor = number % SENSORS_HERE * PARTITIONS + partition;
        // A sensor's number as milliseconds: not all clocks tick together.
        Message { sensor, time: self.from + step(number) * STEP + sensor.cast_signed() }
    }
}

/// Which of its messages a sensor sends as message `number` of its partition.
fn step(number: u64) -> i64 {
    (number / SENSORS_HERE).cast_signed()
}

impl Message {
    /// The name of its sensor, which is also the message's key.
    pub fn name(&self) -> String {
        format!("sensor-{:04}", self.sensor)
    }

    /// The value of the metric with this place in [`METRICS`], in hundredths.
    pub fn hundredths(&self, metric: usize) -> i64 {
        let (_, least, range) = METRICS[metric];
        let seed = self.sensor << 40 ^ (metric as u64) << 36 ^ self.time.cast_unsigned();
        // Fibonacci hashing: the upper bits of the product are well mixed.
        let mixed = (seed ^ seed >> 23).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 33;
        least + i64::try_from(mixed).unwrap_or(0) % range
    }

    /// As a sensor sends it.
    pub fn json(&self, values: usize) -> String {
        let time = DateTime::from_timestamp_millis(self.time).unwrap_or_default();
        let time = time.format("%Y-%m-%dT%H:%M:%S%.3fZ");
        let values: Vec<String> = (0..values)
            .map(|metric| {
                let value = self.hundredths(metric);
                format!(r#""{}":{}.{:02}"#, METRICS[metric].0, value / 100, value % 100)
            })
            .collect();
        format!(r#"{{"sensorId":"{}","timestamp":"{time}","values":{{{}}}}}"#, self.name(), values.join(","))
    }
}

/// A JSON Schema that a team would write for these messages, and that all of them meet.
pub fn schema() -> serde_json::Value {
    let metrics: serde_json::Map<String, serde_json::Value> = METRICS
        .iter()
        .map(|(name, least, range)| {
            (
                (*name).to_owned(),
                serde_json::json!({ "type": "number", "minimum": least / 100, "maximum": highest(*least, *range) }),
            )
        })
        .collect();
    serde_json::json!({
        "type": "object",
        "required": ["sensorId", "timestamp", "values"],
        "properties": {
            "sensorId": { "type": "string", "pattern": "^sensor-[0-9]{4}$" },
            "timestamp": { "type": "string", "minLength": 20, "maxLength": 40 },
            "values": { "type": "object", "required": ["temperature"], "properties": metrics, "additionalProperties": false }
        },
        "additionalProperties": false
    })
}

/// Limits for `range-check`, one for each metric, that all of these messages keep.
pub fn limits() -> serde_json::Value {
    let limits: serde_json::Map<String, serde_json::Value> = METRICS
        .iter()
        .map(|(name, least, range)| {
            ((*name).to_owned(), serde_json::json!({ "min": least / 100, "max": highest(*least, *range) }))
        })
        .collect();
    serde_json::json!({ "limits": limits, "unknownMetrics": "reject" })
}

/// A whole number that no value of the metric is above.
fn highest(least: i64, range: i64) -> i64 {
    (least + range) / 100 + 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_json_with_a_sum_that_its_values_have() {
        let load = Load::of(10_000, 5, 1_777_896_000);
        let mut sum = 0.0;
        let mut seen = std::collections::BTreeSet::new();
        for (partition, number) in (0..PARTITIONS).flat_map(|partition| (0..500).map(move |number| (partition, number))) {
            let message = load.message(partition, number);
            assert!(seen.insert((message.sensor, message.time)), "no sensor says two things at a time");
            let json: serde_json::Value = serde_json::from_str(&message.json(5)).unwrap();
            sum += json["values"].as_object().unwrap().values().map(|value| value.as_f64().unwrap()).sum::<f64>();
        }
        #[expect(clippy::cast_precision_loss, reason = "a few million")]
        let expected = load.sum() as f64;
        assert!((sum * 100.0 - expected).abs() < 0.5, "{sum} {expected}");
        assert_eq!((load.messages(), load.rows()), (2_000, 10_000));
    }

    #[test]
    fn a_load_is_never_more_than_was_asked_for() {
        assert_eq!(Load::of(1_000_003, 5, 0).rows(), 1_000_000);
        assert_eq!(Load::of(1, 1, 0).rows(), 4);
    }
}
