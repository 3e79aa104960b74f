//! A passage: what one validator did with what it was shown. Statistics, tests and explanations are made of it.

use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use uuid::Uuid;

use super::engine::Fault;
use crate::limits;
use crate::model::Tenant;
use crate::rules::Step;

/// What one validator did with one batch, document or object.
#[derive(Clone, Debug, Default)]
pub struct Passage {
    /// The validator.
    pub validator: Uuid,
    /// Its name.
    pub name: Arc<str>,
    /// The module's version.
    pub version: i32,
    /// Calls of the module: more than one where it failed and parts were tried.
    pub calls: u32,
    /// Calls that failed.
    pub faults: u32,
    /// What became of the readings, or of the one document or object.
    pub counts: Counts,
    /// Time in the module, in all calls.
    pub took: Duration,
    /// Linear memory at its largest, in bytes.
    pub peak_memory_bytes: usize,
    /// The last call that failed.
    pub fault: Option<FaultReport>,
    /// What it logged.
    pub log: Log,
    /// True where it was not called, since its breaker is open.
    pub rested: bool,
}

/// Readings (documents, objects) by what a validator made of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Passed as they are, suspect ones included.
    pub accepted: u64,
    /// Passed with another value or unit, or with derived ones.
    pub replaced: u64,
    /// Refused by it.
    pub rejected: u64,
    /// Not judged, since it failed.
    pub failed: u64,
}

/// How a call failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FaultReport {
    /// In a sentence.
    pub reason: String,
    /// Where in the module, the innermost first; empty where that is not known.
    pub backtrace: Vec<String>,
}

impl FaultReport {
    pub(super) fn of(fault: &Fault) -> Self {
        let backtrace = if let Fault::Trap { backtrace, .. } = fault { backtrace.clone() } else { Vec::new() };
        Self { reason: fault.to_string(), backtrace }
    }
}

impl Passage {
    pub(super) fn of(step: &Step) -> Self {
        Self { validator: step.validator, name: Arc::clone(&step.name), version: step.version, ..Self::default() }
    }

    /// Notes one call.
    pub(super) fn note(&mut self, took: Duration, peak_memory_bytes: usize, log: Log) {
        self.calls += 1;
        self.took += took;
        self.peak_memory_bytes = self.peak_memory_bytes.max(peak_memory_bytes);
        self.log.append(log);
    }

    /// Notes that the call failed.
    pub(super) fn failed(&mut self, fault: &Fault) {
        self.faults += 1;
        self.fault = Some(FaultReport::of(fault));
    }

    /// Adds what the same validator did with further batches.
    pub fn add(&mut self, other: Self) {
        self.calls += other.calls;
        self.faults += other.faults;
        self.took += other.took;
        self.peak_memory_bytes = self.peak_memory_bytes.max(other.peak_memory_bytes);
        self.fault = other.fault.or(self.fault.take());
        self.log.append(other.log);
        self.rested |= other.rested;
        self.counts.accepted += other.counts.accepted;
        self.counts.replaced += other.counts.replaced;
        self.counts.rejected += other.counts.rejected;
        self.counts.failed += other.counts.failed;
    }

    /// Hands its log to the program's, as what a tenant's code said.
    pub fn write_log(&self, tenant: &Tenant) {
        let Self { name, version, .. } = self;
        for Line { level, message } in &self.log.lines {
            // A guest's `error` is its tenant's trouble, not the operator's: nothing here is above info.
            match level {
                Level::Debug => tracing::debug!(%tenant, validator = %name, version, "guest: {message:?}"),
                Level::Info | Level::Warn | Level::Error => {
                    tracing::info!(%tenant, validator = %name, version, ?level, "guest: {message:?}");
                }
            }
        }
        if self.log.dropped > 0 {
            tracing::debug!(%tenant, validator = %name, version, "{} lines of a guest's log were dropped", self.log.dropped);
        }
    }
}

/// How loud a line is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// For its author.
    Debug,
    /// Worth knowing.
    Info,
    /// Worth a look.
    Warn,
    /// Wrong.
    Error,
}

impl Level {
    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Debug => "debug",
            Self::Info => "info",
            Self::Warn => "warn",
            Self::Error => "error",
        }
    }
}

/// A line of a guest's log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Line {
    /// How loud.
    pub level: Level,
    /// As the guest wrote it, with what is not seen written out.
    pub message: String,
}

/// What was logged, up to its bounds; the rest is counted.
#[derive(Clone, Debug, Default)]
pub struct Log {
    /// The first lines.
    pub lines: Vec<Line>,
    bytes: usize,
    /// Lines beyond the bounds.
    pub dropped: u64,
}

impl Log {
    /// Takes a line from a guest.
    pub(super) fn push(&mut self, level: Level, said: &str) {
        if self.is_full(said.len()) {
            self.dropped += 1;
            return;
        }
        let mut message = String::with_capacity(said.len());
        said.chars().for_each(|c| super::push_visible(&mut message, c));
        self.keep(Line { level, message });
    }

    fn is_full(&self, more: usize) -> bool {
        self.lines.len() >= limits::GUEST_LOG_LINES || self.bytes + more > limits::GUEST_LOG_BYTES
    }

    fn keep(&mut self, line: Line) {
        if self.is_full(line.message.len()) {
            self.dropped += 1;
            return;
        }
        self.bytes += line.message.len();
        self.lines.push(line);
    }

    fn append(&mut self, other: Self) {
        self.dropped += other.dropped;
        for line in other.lines {
            self.keep(line);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_is_bounded_in_lines_and_bytes_and_forges_nothing() {
        let mut log = Log::default();
        for _ in 0..1_000 {
            log.push(Level::Error, "all is well\r\n2026-05-04 ERROR tenant=other \x1b[2J");
        }
        assert_eq!((log.lines.len(), log.dropped), (limits::GUEST_LOG_LINES, 900));
        assert!(log.lines.iter().all(|line| !line.message.contains(char::is_control)));
        let mut log = Log::default();
        log.push(Level::Info, &"\0".repeat(limits::GUEST_LOG_BYTES));
        assert_eq!((log.lines.len(), log.dropped), (0, 1), "what it is written out as counts");
    }
}
