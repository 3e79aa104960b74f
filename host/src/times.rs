//! The contract's form of a time: RFC 3339 in UTC, with microseconds and `Z`, as it is stored.

use chrono::{DateTime, SecondsFormat, Utc};
use serde::Serializer;

/// A time as the contract writes it.
pub fn rfc3339(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Micros, true)
}

/// The same for a field: `#[serde(serialize_with = "times::micros")]`.
pub fn micros<S: Serializer>(time: &DateTime<Utc>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&rfc3339(*time))
}

/// The same for a time that may be missing.
pub fn micros_or_null<S: Serializer>(time: &Option<DateTime<Utc>>, serializer: S) -> Result<S::Ok, S::Error> {
    match time {
        Some(time) => micros(time, serializer),
        None => serializer.serialize_none(),
    }
}
