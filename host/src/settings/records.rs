//! What is kept on record, and for how long.

use serde::Deserialize;

/// What is written down of decisions.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PolicySettings {
    /// Of so many allowed decisions one is logged; of 0, none.
    pub log_allowed: u64,
    /// Days that decisions are kept on record.
    pub record_days: u32,
}

/// The audit log.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Audit {
    /// Days that entries are kept; for ever, where it is not given.
    pub keep_days: Option<u32>,
}
