//! Readings: in by one line that both entrances share, out by another.

mod admit;
mod format;
mod position;
mod quota;
mod read;

pub use self::admit::{AdmitError, Admitted, Judged, Refused};
pub use crate::timescale::{Filter, Latest, Order, Page, Place, StoredReading, StoredSensor, StoredValue, WriteError};
