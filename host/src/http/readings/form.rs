//! How readings look outside: times, cursors and bodies.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use chrono::{DateTime, Utc};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value as Json};
use utoipa::ToSchema;

use crate::batch::{Quality, Value};
use crate::error::{Error, Result};
use crate::gate::readings::{Latest, Place, StoredReading, StoredValue};

use crate::limits;
use crate::times::rfc3339;

/// A time in a path or query: RFC 3339 with any offset, or milliseconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::http) struct Moment(pub(in crate::http) DateTime<Utc>);

impl Moment {
    pub(super) fn parse(text: &str) -> Option<Self> {
        if let Ok(millis) = text.parse::<i64>() {
            let written = limits::MILLISECONDS.contains(&millis);
            return DateTime::from_timestamp_millis(millis).filter(|_| written).map(Self);
        }
        // A `+` that nobody encoded arrives as a blank.
        let offset = text.rfind(' ').filter(|at| *at > 10);
        let text = match offset {
            Some(at) => format!("{}+{}", &text[..at], &text[at + 1..]),
            None => text.to_owned(),
        };
        let time = DateTime::parse_from_rfc3339(&text).ok()?.to_utc();
        // What is stored has microseconds.
        DateTime::from_timestamp_micros(time.timestamp_micros()).map(Self)
    }
}

impl<'de> Deserialize<'de> for Moment {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let expected = "expected a time such as 2026-05-04T12:00:00Z, or milliseconds since 1970";
        Self::parse(&text).ok_or_else(|| D::Error::custom(format_args!("{expected}; found `{text}`")))
    }
}

/// The number of items that a page may have.
pub(super) fn limit(asked: Option<u32>) -> Result<u32> {
    let limit = asked.unwrap_or(limits::PAGE_DEFAULT);
    if limit == 0 || limit > limits::PAGE_MAX {
        let sentence = format!("`limit` is a number from 1 to {}.", limits::PAGE_MAX);
        return Err(Error::malformed(sentence).at("limit", format!("found {limit}")));
    }
    Ok(limit)
}

/// A cursor for the page after `place`.
pub(super) fn cursor(place: &Place) -> String {
    seal(&(place.time.timestamp_micros(), &place.sensor, &place.topic, &place.schema_ref))
}

/// Where a cursor points.
pub(super) fn place(cursor: &str) -> Result<Place> {
    let (micros, sensor, topic, schema_ref) = unseal(cursor)?;
    let time = DateTime::from_timestamp_micros(micros).ok_or_else(bad_cursor)?;
    Ok(Place { time, sensor, topic, schema_ref })
}

/// A cursor of any key.
pub(super) fn seal(key: &impl Serialize) -> String {
    BASE64.encode(serde_json::to_vec(key).unwrap_or_default())
}

/// The key of a cursor. It came from a client, so it is read like anything else that does; tenants are not in it.
pub(super) fn unseal<T: serde::de::DeserializeOwned>(cursor: &str) -> Result<T> {
    let bytes = BASE64.decode(cursor).map_err(|_| bad_cursor())?;
    let key: T = serde_json::from_slice(&bytes).map_err(|_| bad_cursor())?;
    if bytes.contains(&0) || String::from_utf8_lossy(&bytes).contains("\\u0000") {
        return Err(bad_cursor());
    }
    Ok(key)
}

fn bad_cursor() -> Error {
    Error::malformed("This cursor is not one that Weir gave; begin again without it.").at("cursor", "cannot be read")
}

/// A reading.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ReadingBody {
    /// The sensor.
    #[schema(example = "room-4")]
    sensor_id: String,
    /// When it was measured.
    #[schema(example = "2026-05-04T12:00:00.000000Z")]
    timestamp: String,
    /// What was measured: a number, true, false or a text by metric.
    #[schema(value_type = Object)]
    values: Map<String, Json>,
    /// The topic that it came through, if any.
    #[serde(skip_serializing_if = "String::is_empty")]
    topic: String,
    /// The schema that its sender says it follows, if any.
    #[serde(skip_serializing_if = "String::is_empty")]
    schema_ref: String,
    /// The worst quality of its values.
    quality: Quality,
    /// The unit of each value that has one.
    #[serde(skip_serializing_if = "Map::is_empty")]
    #[schema(value_type = Object)]
    unit: Map<String, Json>,
}

impl From<StoredReading> for ReadingBody {
    fn from(reading: StoredReading) -> Self {
        let Place { time, sensor, topic, schema_ref } = reading.place;
        let (values, unit) = maps(reading.values);
        Self { sensor_id: sensor, timestamp: rfc3339(time), values, topic, schema_ref, quality: reading.quality, unit }
    }
}

/// The latest value of each metric of a sensor.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct LatestBody {
    /// The sensor.
    #[schema(example = "room-4")]
    sensor_id: String,
    /// When the newest of them was measured.
    #[schema(example = "2026-05-04T12:00:00.000000Z")]
    timestamp: String,
    /// The values, by metric.
    #[schema(value_type = Object)]
    values: Map<String, Json>,
    /// When each was measured, by metric.
    #[schema(value_type = Object)]
    timestamps: Map<String, Json>,
    /// The worst quality of them.
    quality: Quality,
    /// The unit of each value that has one.
    #[serde(skip_serializing_if = "Map::is_empty")]
    #[schema(value_type = Object)]
    unit: Map<String, Json>,
}

impl LatestBody {
    pub(super) fn new(sensor: String, latest: Vec<Latest>) -> Self {
        let newest = latest.iter().map(|latest| latest.place.time).max().unwrap_or_default();
        let quality = latest.iter().map(|latest| latest.quality).max().unwrap_or_default();
        let timestamps =
            latest.iter().map(|latest| (latest.value.metric.clone(), Json::from(rfc3339(latest.place.time)))).collect();
        let (values, unit) = maps(latest.into_iter().map(|latest| latest.value).collect());
        Self { sensor_id: sensor, timestamp: rfc3339(newest), values, timestamps, quality, unit }
    }
}

fn maps(stored: Vec<StoredValue>) -> (Map<String, Json>, Map<String, Json>) {
    let (mut values, mut units) = (Map::new(), Map::new());
    for StoredValue { metric, unit, value } in stored {
        if !unit.is_empty() {
            units.insert(metric.clone(), unit.into());
        }
        values.insert(metric, json(value));
    }
    (values, units)
}

/// Whole numbers are written without a fraction, as they were most likely sent.
#[expect(clippy::cast_possible_truncation, clippy::cast_precision_loss, reason = "exact below 2^53, which is checked")]
#[expect(clippy::float_cmp, reason = "whether it is whole is what is asked")]
fn json(value: Value) -> Json {
    match value {
        Value::Number(number)
            if number.trunc() == number && number.abs() <= limits::EXACT_INTEGER as f64 && !is_minus_zero(number) =>
        {
            Json::from(number as i64)
        }
        Value::Number(number) => Json::from(number),
        Value::Bool(on) => Json::from(on),
        Value::Text(text) => Json::from(text),
    }
}

fn is_minus_zero(number: f64) -> bool {
    number == 0.0 && number.is_sign_negative()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_with_any_offset_and_as_milliseconds() {
        let noon = Moment::parse("2026-05-04T12:00:00Z");
        assert!(noon.is_some());
        for same in [
            "2026-05-04T12:00:00.000000Z",
            "2026-05-04T15:00:00+03:00",
            "2026-05-04T15:00:00 03:00",
            "2026-05-04T07:00:00-05:00",
            "2026-05-04 12:00:00Z",
            "1777896000000",
            "2026-05-04T12:00:00.0000009Z",
        ] {
            assert_eq!(Moment::parse(same), noon, "{same}");
        }
        for bad in
            ["", "now", "2026-05-04", "2026-13-04T12:00:00Z", "99999999999999999", "253402300800000", "2026-05-04T12:00:00"]
        {
            assert_eq!(Moment::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn cursors_come_back_and_others_are_refused() {
        let there = Place {
            time: DateTime::from_timestamp_micros(-5).unwrap(),
            sensor: "ü/1".into(),
            topic: String::new(),
            schema_ref: "r".into(),
        };
        assert_eq!(place(&cursor(&there)).unwrap(), there);
        for bad in ["", "x", "AAAA", &seal(&(1, "a")), &seal(&(1, "a\0", "", ""))] {
            assert!(place(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn numbers_keep_their_value() {
        for (value, text) in [(21.5, "21.5"), (5.0, "5"), (-0.0, "-0.0"), (1e300, "1e+300"), (0.1 + 0.2, "0.30000000000000004")] {
            let written = json(Value::Number(value)).to_string();
            assert_eq!(written.parse::<f64>().unwrap().to_bits(), f64::to_bits(value), "{text}");
        }
    }
}
