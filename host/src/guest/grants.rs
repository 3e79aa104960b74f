//! What a guest is handed: its configuration, a log with a bound, and a WASI in which there is nothing.

use std::sync::Arc;
use std::time::Duration;

use wasmtime::ResourceLimiter;
use wasmtime::component::ResourceTable;
use wasmtime_wasi::{Deterministic, HostMonotonicClock, HostWallClock, WasiCtx, WasiCtxBuilder, WasiCtxView, WasiView};

use super::v1::weir::validator::{config, log};
use crate::limits;
use crate::model::Tenant;
use crate::rules::Step;

/// The host's side of one instance.
pub(super) struct State {
    config: Arc<str>,
    /// What it logged.
    pub(super) log: Log,
    /// What it takes.
    pub(super) meter: Meter,
    wasi: WasiCtx,
    table: ResourceTable,
}

impl State {
    pub(super) fn new(config: Arc<str>, memory_bytes: usize) -> Self {
        let mut wasi = WasiCtxBuilder::new();
        wasi.wall_clock(Stopped)
            .monotonic_clock(Stopped)
            // Some toolchains' hash maps ask for a seed before they start; they are handed zeroes.
            .secure_random(Deterministic::new(vec![0]))
            .insecure_random(Deterministic::new(vec![0]))
            .insecure_random_seed(0)
            .allow_tcp(false)
            .allow_udp(false)
            .allow_ip_name_lookup(false);
        let meter = Meter { memory_left: memory_bytes, elements_left: limits::GUEST_TABLE_ELEMENTS, denied: false };
        Self { config, log: Log::default(), meter, wasi: wasi.build(), table: ResourceTable::new() }
    }
}

impl WasiView for State {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.wasi, table: &mut self.table }
    }
}

impl config::Host for State {
    fn json(&mut self) -> wasmtime::Result<String> {
        Ok(self.config.to_string())
    }
}

impl log::Host for State {
    fn write(&mut self, level: log::Level, message: String) -> wasmtime::Result<()> {
        self.log.push(level, message);
        Ok(())
    }
}

/// A clock that stands still at zero: guests are handed none.
struct Stopped;

impl HostWallClock for Stopped {
    fn resolution(&self) -> Duration {
        Duration::from_secs(1)
    }

    fn now(&self) -> Duration {
        Duration::ZERO
    }
}

impl HostMonotonicClock for Stopped {
    fn resolution(&self) -> u64 {
        1_000_000_000
    }

    fn now(&self) -> u64 {
        0
    }
}

/// Counts memory over all memories of an instance, and elements over all its tables: wasmtime's own limits see one at a time.
#[derive(Debug)]
pub(super) struct Meter {
    memory_left: usize,
    elements_left: usize,
    /// True once more was wanted than there is.
    pub(super) denied: bool,
}

impl Meter {
    fn take(left: &mut usize, current: usize, desired: usize) -> bool {
        let rest = left.checked_sub(desired.saturating_sub(current));
        rest.map(|rest| *left = rest).is_some()
    }
}

impl ResourceLimiter for Meter {
    fn memory_growing(&mut self, current: usize, desired: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        let granted = Self::take(&mut self.memory_left, current, desired);
        self.denied |= !granted;
        Ok(granted)
    }

    fn table_growing(&mut self, current: usize, desired: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        let granted = Self::take(&mut self.elements_left, current, desired);
        self.denied |= !granted;
        Ok(granted)
    }
}

/// What one call logged, up to its bounds; the rest is counted.
#[derive(Debug, Default)]
pub(super) struct Log {
    lines: Vec<(log::Level, String)>,
    bytes: usize,
    dropped: u64,
}

impl Log {
    fn push(&mut self, level: log::Level, message: String) {
        if self.lines.len() >= limits::GUEST_LOG_LINES || self.bytes + message.len() > limits::GUEST_LOG_BYTES {
            self.dropped += 1;
            return;
        }
        self.bytes += message.len();
        self.lines.push((level, message));
    }

    /// Hands the lines to the program's log, as what a tenant's code said.
    pub(super) fn write(&self, tenant: &Tenant, step: &Step) {
        let Step { name, version, .. } = step;
        for (level, line) in &self.lines {
            // A guest's `error` is its tenant's trouble, not the operator's: nothing here is above info.
            match level {
                log::Level::Debug => tracing::debug!(%tenant, validator = %name, version, "guest: {line:?}"),
                log::Level::Info | log::Level::Warn | log::Level::Error => {
                    tracing::info!(%tenant, validator = %name, version, ?level, "guest: {line:?}");
                }
            }
        }
        if self.dropped > 0 {
            tracing::debug!(%tenant, validator = %name, version, "{} lines of a guest's log were dropped", self.dropped);
        }
    }
}
