//! Readings and time series: `/api/timescale`.

pub(super) mod form;
pub(super) mod read;
pub(super) mod write;
