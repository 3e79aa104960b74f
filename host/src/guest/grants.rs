//! What a guest is handed: its configuration, a log with a bound, the tenant's own last values where it is granted them, and a WASI in
//! which there is nothing.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use wasmtime::ResourceLimiter;
use wasmtime::component::ResourceTable;
use wasmtime_wasi::{Deterministic, HostMonotonicClock, HostWallClock, WasiCtx, WasiCtxBuilder, WasiCtxView, WasiView};

use super::passage::{Level, Log};
use super::v1::granted::{config, log, lookup};
use crate::batch::Value;
use crate::error::Result;
use crate::limits;

/// The last values of one tenant's sensors, for whoever may read them. Whose they are is settled before a guest runs.
pub trait LastValues: Send + Sync {
    /// The last stored value of each sensor and metric, in this order.
    fn latest<'a>(&'a self, of: &'a [(String, String)]) -> BoxFuture<'a, Result<Vec<Option<LastValue>>>>;
}

/// A stored value.
#[derive(Clone, Debug, PartialEq)]
pub struct LastValue {
    /// Microseconds since the Unix epoch, UTC.
    pub time: i64,
    /// What it was.
    pub value: Value,
    /// Empty for none.
    pub unit: String,
}

/// Who answers a guest's `lookup`; nobody where it is not granted.
pub type Lookup = Option<Arc<dyn LastValues>>;

/// The host's side of one instance.
pub(super) struct State {
    config: Arc<str>,
    lookup: Lookup,
    /// How many last values it may still ask for.
    lookups_left: usize,
    /// And in how many questions.
    questions_left: usize,
    /// What it logged.
    pub(super) log: Log,
    /// What it takes.
    pub(super) meter: Meter,
    /// Made when it is first asked for: most guests never do, and it costs more than the rest of the state.
    wasi: Option<WasiCtx>,
    table: ResourceTable,
}

impl State {
    pub(super) fn new(config: Arc<str>, memory_bytes: usize, lookup: Lookup) -> Self {
        let meter = Meter { memory_bytes, memory_left: memory_bytes, elements_left: limits::GUEST_TABLE_ELEMENTS, denied: false };
        let mut table = ResourceTable::new();
        table.set_max_capacity(limits::GUEST_RESOURCES);
        Self {
            config,
            lookup,
            lookups_left: limits::GUEST_LOOKUPS,
            questions_left: limits::GUEST_QUESTIONS,
            log: Log::default(),
            meter,
            wasi: None,
            table,
        }
    }
}

/// A WASI in which there is nothing.
fn nothing() -> WasiCtx {
    let mut wasi = WasiCtxBuilder::new();
    wasi.wall_clock(Stopped)
        .monotonic_clock(Stopped)
        // Some toolchains' hash maps ask for a seed before they start; they are handed zeroes.
        .secure_random(Deterministic::new(vec![0]))
        .insecure_random(Deterministic::new(vec![0]))
        .insecure_random_seed(0)
        .max_random_size(limits::GUEST_RANDOM_BYTES)
        .allow_tcp(false)
        .allow_udp(false)
        .allow_ip_name_lookup(false);
    wasi.build()
}

impl WasiView for State {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: self.wasi.get_or_insert_with(nothing), table: &mut self.table }
    }
}

impl config::Host for State {
    fn json(&mut self) -> wasmtime::Result<String> {
        Ok(self.config.to_string())
    }
}

impl log::Host for State {
    fn write(&mut self, level: log::Level, message: String) -> wasmtime::Result<()> {
        let level = match level {
            log::Level::Debug => Level::Debug,
            log::Level::Info => Level::Info,
            log::Level::Warn => Level::Warn,
            log::Level::Error => Level::Error,
        };
        self.log.push(level, &message);
        Ok(())
    }
}

impl lookup::Host for State {
    async fn latest(&mut self, of: Vec<(String, String)>) -> wasmtime::Result<Result<Vec<Option<lookup::Last>>, String>> {
        let Some(lookup) = &self.lookup else {
            return Err(wasmtime::Error::msg("`lookup` is not granted to this validator"));
        };
        let Some(left) = self.lookups_left.checked_sub(of.len()) else {
            return Ok(Err(format!("more than {} last values were asked for in one call", limits::GUEST_LOOKUPS)));
        };
        self.lookups_left = left;
        if of.is_empty() {
            return Ok(Ok(Vec::new()));
        }
        let Some(left) = self.questions_left.checked_sub(1) else {
            return Ok(Err(format!(
                "more than {} questions were asked in one call; ask about many at once",
                limits::GUEST_QUESTIONS
            )));
        };
        self.questions_left = left;
        let found = lookup.latest(&of).await;
        Ok(found.map(|found| found.into_iter().map(|last| last.map(shown)).collect()).map_err(|error| error.to_string()))
    }
}

fn shown(last: LastValue) -> lookup::Last {
    let (value, text) = match last.value {
        Value::Number(number) => (number, None),
        Value::Bool(on) => (f64::from(u8::from(on)), Some(on.to_string())),
        Value::Text(text) => (f64::NAN, Some(text)),
    };
    lookup::Last { time: last.time, value, unit: last.unit, text }
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
    memory_bytes: usize,
    memory_left: usize,
    elements_left: usize,
    /// True once more was wanted than there is.
    pub(super) denied: bool,
}

impl Meter {
    /// The most memory that it had, in bytes: linear memory does not shrink.
    pub(super) fn peak(&self) -> usize {
        self.memory_bytes - self.memory_left
    }

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
