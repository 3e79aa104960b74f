//! Readings and time series: `/api/timescale`.

mod form;
pub(super) mod read;
pub(super) mod write;
