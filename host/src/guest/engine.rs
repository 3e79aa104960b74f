//! The machine that modules run on: one engine, its pool of instances, its ticker, and the call itself.
//!
//! Epoch interruption stops a loop and a deadline stops a blocked host call; neither alone stops both. Memory is summed by
//! [`Meter`](super::grants::Meter). A compiled module is deserialised by `load.rs` alone.

use std::fmt::{self, Write as _};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use wasmtime::component::{HasSelf, Linker};
use wasmtime::{Config, Enabled, InstanceAllocationStrategy, PoolingAllocationConfig, Store, Trap, WasmBacktrace};

use super::Options;
use super::grants::{Lookup, State};
use super::passage::Log;
use super::v1;
use crate::error::{Error, Result};
use crate::limits;
use crate::rules::Step;

/// Why a call gave no usable answer.
#[derive(Debug)]
pub(super) enum Fault {
    /// It ran longer than this.
    Time(Duration),
    /// It wanted more memory or table elements than there are.
    Memory(usize),
    /// It trapped.
    Trap {
        /// How.
        what: String,
        /// The functions that it was in, the innermost first.
        backtrace: Vec<String>,
    },
    /// Its answer makes no sense, or is too large.
    Answer(String),
    /// It said itself that it cannot judge the batch.
    Unjudged(String),
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Time(limit) => write!(f, "it ran longer than {} ms and was stopped", limit.as_millis()),
            Self::Memory(limit) => write!(f, "it wanted more than {} KiB of memory", limit >> 10),
            Self::Trap { what, .. } => write!(f, "it trapped: {what}"),
            Self::Answer(what) => write!(f, "its answer cannot be used: {what}"),
            Self::Unjudged(what) => f.write_str(what),
        }
    }
}

/// What one validator's instance may take.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    pub(super) time: Duration,
    pub(super) memory_bytes: usize,
}

/// A call's result, and what it took whatever the result.
pub(super) struct Called<T> {
    pub(super) result: Result<T, Fault>,
    pub(super) log: Log,
    pub(super) peak_memory_bytes: usize,
}

/// What every instance shares.
pub(super) struct Runtime {
    engine: wasmtime::Engine,
    linker: Linker<State>,
    time: Duration,
    memory_bytes: usize,
}

impl fmt::Debug for Runtime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Runtime").field("time", &self.time).field("memory_bytes", &self.memory_bytes).finish_non_exhaustive()
    }
}

/// What compiling and running must agree about. The rest, such as the pool, is the running side's own.
pub(super) fn config() -> Config {
    let mut config = Config::new();
    config
        .epoch_interruption(true)
        .wasm_component_model(true)
        .wasm_backtrace_max_frames(std::num::NonZeroUsize::new(20))
        // One gigabyte and a guard: far above what an instance may have, so bounds checks cost nothing, and a pool of them still fits
        // beside others into an address space.
        .memory_reservation(1 << 30)
        .memory_guard_size(1 << 25)
        .memory_may_move(false);
    config
}

fn pool(options: &Options) -> PoolingAllocationConfig {
    let inspecting = options.inspections.saturating_mul(u32::try_from(limits::OBJECT_CHAIN_LENGTH).unwrap_or(1));
    let instances = options.instances.saturating_add(inspecting).max(1);
    let [core_instances, memories, tables] = [limits::MODULE_INSTANCES, limits::MODULE_MEMORIES, limits::MODULE_TABLES]
        .map(|each| u32::try_from(each).unwrap_or(u32::MAX));
    let mut pool = PoolingAllocationConfig::new();
    pool.total_component_instances(instances)
        .total_core_instances(instances.saturating_mul(core_instances))
        .total_memories(instances.saturating_mul(memories))
        .total_tables(instances.saturating_mul(tables))
        .total_stacks(instances)
        .max_core_instances_per_component(core_instances)
        .max_memories_per_component(memories)
        .max_tables_per_component(tables)
        .table_elements(limits::GUEST_TABLE_ELEMENTS)
        .max_memory_size(options.memory_bytes)
        .linear_memory_keep_resident(limits::GUEST_RESIDENT_BYTES)
        .table_keep_resident(limits::GUEST_RESIDENT_TABLE_BYTES)
        // Those pages are the ones that were written, wherever they lie, and not the lowest: a Rust guest has the far end of its stack
        // there. Where the kernel cannot tell (before Linux 6.7), it stays the lowest.
        .pagemap_scan(Enabled::Auto);
    pool
}

impl Runtime {
    pub(super) fn new(options: &Options) -> Result<Self> {
        let mut config = config();
        config.allocation_strategy(InstanceAllocationStrategy::Pooling(pool(options)));
        let engine = wasmtime::Engine::new(&config).map_err(broken)?;
        let mut linker = Linker::new(&engine);
        wasmtime_wasi::p2::add_to_linker_async(&mut linker).map_err(broken)?;
        v1::readings::ReadingValidator::add_to_linker::<_, HasSelf<_>>(&mut linker, |state| state).map_err(broken)?;
        tick(&engine)?;
        Ok(Self { engine, linker, time: options.time, memory_bytes: options.memory_bytes })
    }

    pub(super) fn engine(&self) -> &wasmtime::Engine {
        &self.engine
    }

    /// The memory that an instance may have, where nobody bounds it more tightly.
    pub(super) fn memory_bytes(&self) -> usize {
        self.memory_bytes
    }

    pub(super) fn linker(&self) -> &Linker<State> {
        &self.linker
    }

    /// The gateway's own bounds, or the tighter ones that a tenant or a validator has.
    pub(super) fn bounds(&self, step: &Step) -> Bounds {
        Bounds {
            time: step.bounds.time.map_or(self.time, |time| time.min(self.time)),
            memory_bytes: step.bounds.memory_bytes.map_or(self.memory_bytes, |bytes| bytes.min(self.memory_bytes)),
        }
    }

    /// The gateway's own bounds.
    pub(super) fn widest(&self) -> Bounds {
        Bounds { time: self.time, memory_bytes: self.memory_bytes }
    }

    /// A fresh store for one instance.
    pub(super) fn store(&self, step: &Step, lookup: Lookup) -> Store<State> {
        self.store_for(Arc::clone(&step.config), self.bounds(step).memory_bytes, lookup)
    }

    /// The same, for an instance that is in nobody's place.
    pub(super) fn store_for(&self, config: Arc<str>, memory_bytes: usize, lookup: Lookup) -> Store<State> {
        let state = State::new(config, memory_bytes, lookup);
        let mut store = Store::new(&self.engine, state);
        store.limiter(|state| &mut state.meter);
        store.set_max_component_handles(limits::GUEST_RESOURCES);
        store
    }

    /// The only call of an instance. Its answer may take so many bytes.
    pub(super) fn call_once<T>(
        &self,
        step: &Step,
        lookup: Lookup,
        answer_bytes: usize,
        call: impl AsyncFnOnce(&mut Store<State>) -> wasmtime::Result<Result<T, String>>,
    ) -> Called<T> {
        let mut store = self.store(step, lookup);
        let result = self::call(self.bounds(step), answer_bytes, &mut store, call);
        let state = store.into_data();
        Called { result, log: state.log, peak_memory_bytes: state.meter.peak() }
    }
}

/// One call into an instance, within its bounds; what it hands the host, in its answer or with one call of an import, may take so many
/// bytes. It blocks: do it where that holds nobody up.
///
/// The outer error is the engine's, the inner one the guest's own word that it cannot judge.
pub(super) fn call<T>(
    bounds: Bounds,
    answer_bytes: usize,
    store: &mut Store<State>,
    call: impl AsyncFnOnce(&mut Store<State>) -> wasmtime::Result<Result<T, String>>,
) -> Result<T, Fault> {
    store.set_hostcall_fuel(answer_bytes);
    store.set_epoch_deadline(ticks(bounds.time));
    let called = tokio::runtime::Handle::current()
        .block_on(async { tokio::time::timeout(bounds.time + limits::GUEST_TICK, call(store)).await });
    match called {
        Err(_) => Err(Fault::Time(bounds.time)),
        Ok(Ok(Ok(answer))) => Ok(answer),
        Ok(Ok(Err(reason))) => Err(Fault::Unjudged(super::cut(&reason))),
        Ok(Err(error)) => Err(fault(bounds, &error, store.data().meter.denied)),
    }
}

fn fault(bounds: Bounds, error: &wasmtime::Error, denied: bool) -> Fault {
    match error.downcast_ref::<Trap>() {
        Some(Trap::Interrupt) => Fault::Time(bounds.time),
        // A guest whose memory cannot grow aborts, which looks like any other trap.
        _ if denied => Fault::Memory(bounds.memory_bytes),
        Some(trap) => Fault::Trap { what: trap.to_string(), backtrace: backtrace(error) },
        None => Fault::Answer(super::cut(&format!("{:#}", error.root_cause()))),
    }
}

/// The guest's functions that an error came through, the innermost first, as wasmtime writes them: offset, module, function.
fn backtrace(error: &wasmtime::Error) -> Vec<String> {
    let Some(backtrace) = error.downcast_ref::<WasmBacktrace>() else { return Vec::new() };
    let mut text = Bounded::default();
    // What does not fit is left out.
    let _ = write!(text, "{backtrace}");
    let frames = text.0.lines().filter_map(|line| line.trim().split_once(": ")).map(|(_, frame)| super::cut(frame));
    frames.take(limits::GUEST_BACKTRACE_FRAMES).collect()
}

/// Text that ends where it is full: the names of functions are the guest's, and a mangled one of few bytes may unfold without end.
#[derive(Default)]
struct Bounded(String);

impl fmt::Write for Bounded {
    fn write_str(&mut self, more: &str) -> fmt::Result {
        let most = limits::GUEST_BACKTRACE_FRAMES * limits::GUEST_REASON_BYTES;
        if self.0.len() + more.len() > most {
            return Err(fmt::Error);
        }
        self.0.push_str(more);
        Ok(())
    }
}

fn ticks(time: Duration) -> u64 {
    u64::try_from(time.as_nanos().div_ceil(limits::GUEST_TICK.as_nanos())).unwrap_or(u64::MAX).max(1)
}

/// Counts the epoch up for as long as somebody has the engine. A thread, since the loops that it stops may hold up all others. Where it
/// woke late itself, it counts what it missed: a busy machine must not lengthen a guest's second.
fn tick(engine: &wasmtime::Engine) -> Result<()> {
    let engine = engine.weak();
    let ticker = thread::Builder::new().name("guest-ticker".to_owned()).spawn(move || {
        let (started, mut counted) = (Instant::now(), 0);
        while let Some(engine) = engine.upgrade() {
            let due = started.elapsed().as_nanos() / limits::GUEST_TICK.as_nanos();
            for _ in counted..due {
                engine.increment_epoch();
            }
            counted = due;
            drop(engine);
            thread::sleep(limits::GUEST_TICK);
        }
    });
    ticker.map(drop).map_err(Error::internal)
}

/// The engine itself could not be set up: a defect, or a machine that refuses address space.
#[expect(clippy::needless_pass_by_value, reason = "it is what `map_err` hands over")]
pub(super) fn broken(error: wasmtime::Error) -> Error {
    Error::internal(format!("the guest engine: {error:#}"))
}
