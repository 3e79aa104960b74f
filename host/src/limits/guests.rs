//! What guests may take.

use std::time::Duration;

/// Time of one guest call, wall clock. CPU time cannot exceed it, since a guest has one thread.
pub const GUEST_TIME: Duration = Duration::from_secs(1);
/// The epoch ticker's period: a loop is stopped within one tick of its deadline.
pub const GUEST_TICK: Duration = Duration::from_millis(10);
/// Linear memory of one instance, summed over its memories, in bytes.
pub const GUEST_MEMORY_BYTES: usize = 64 << 20;
/// Linear memory that a place in the pool keeps after its instance is gone: overwritten, it costs less than given back to the kernel and
/// asked for again. A batch of 10,000 readings takes about 400 KiB.
pub const GUEST_RESIDENT_BYTES: usize = 512 << 10;
/// The same of tables: what a guest of any toolchain has there fits into it.
pub const GUEST_RESIDENT_TABLE_BYTES: usize = 16 << 10;
/// Elements of all tables of one instance together.
pub const GUEST_TABLE_ELEMENTS: usize = 20_000;
/// Instances of all tenants that run at once, each on a thread of its own: four for one tenant, as many as it has lanes.
pub const GUEST_INSTANCES: u32 = 16;
/// How far guests' threads stand behind the gateway's own in line for a core (as `nice` counts): a third of their share.
pub const GUEST_NICE: i32 = 5;
/// The longest call of a quick guest, whose next one runs where its batch is: waking up a thread for it and being woken up again takes 10
/// to 50 µs, so longer ones have little to gain. A batch of 1,000 readings takes 100 to 200 µs.
pub const GUEST_QUICK_TIME: Duration = Duration::from_micros(500);
/// Quick calls in a row after which a validator counts as quick.
pub const GUEST_QUICK_CALLS: u32 = 64;
/// Objects of all tenants that modules look at at once: each has an instance for as long as its bytes come.
pub const GUEST_INSPECTIONS: u32 = 16;
/// Bytes of an object that a module is shown at a time, as the interface promises.
pub const GUEST_CHUNK_BYTES: usize = 64 << 10;
/// Time of all calls of one instance about one object together.
pub const GUEST_OBJECT_TIME: Duration = Duration::from_mins(1);
/// How many bytes larger than it came a module may make an object.
pub const GUEST_GROWTH_BYTES: u64 = 16 << 20;
/// Validators of one chain of objects: each has an instance for as long as the object's bytes come.
pub const OBJECT_CHAIN_LENGTH: usize = 4;
/// Problems that a module may name about one document; further ones are left out.
pub const GUEST_PROBLEMS: usize = 20;
/// Last values that one call may ask for: those of a full batch's series.
pub const GUEST_LOOKUPS: usize = 10_000;
/// Questions in which it may ask for them; each is a statement.
pub const GUEST_QUESTIONS: usize = 1_000;
/// Bytes of text in the answer to one question: the rest of an instance's memory is for other things.
pub const GUEST_LOOKUP_BYTES: usize = 4 << 20;
/// Questions that the database is asked at once for guests, a quarter of them for one tenant: connections are for requests first.
pub const LOOKUPS_AT_ONCE: usize = 8;
/// Frames of a guest's backtrace that are kept.
pub const GUEST_BACKTRACE_FRAMES: usize = 20;
/// Log lines that one call may leave.
pub const GUEST_LOG_LINES: usize = 100;
/// Bytes of log that one call may leave.
pub const GUEST_LOG_BYTES: usize = 16 << 10;
/// Length of a reason that a guest gives, in bytes; the rest is cut.
pub const GUEST_REASON_BYTES: usize = 1_024;
/// Bytes that a guest's answer may take on the host, a call, however much it was shown: a little above what a full batch of refusals
/// needs.
pub const GUEST_OUTPUT_BYTES: usize = 8 << 20;
/// The same for an answer about next to nothing: one row may get a text, and four derived ones with 64 KiB of text each.
pub const GUEST_OUTPUT_LEAST_BYTES: usize = 512 << 10;
/// What each row that is shown adds to it: a refusal with its reason, or a text, a unit and derived rows of the usual size.
pub const GUEST_OUTPUT_ROW_BYTES: usize = 1 << 10;
/// Bytes that an answer about a document may take: JSON such as `[{"":0},…]` takes ninety times as much in memory.
pub const GUEST_DOCUMENT_BYTES: usize = 512 << 10;
/// The same for an answer about a small document; what is sent adds four times its own size.
pub const GUEST_DOCUMENT_LEAST_BYTES: usize = 64 << 10;
/// Rows that guests may derive from one batch, the whole chain together, as a multiple of the rows that came in.
pub const GUEST_DERIVED_FACTOR: usize = 4;
/// Bytes of texts, names and reasons that a chain may add to one batch: a full batch of the longest reasons is 10 MiB.
pub const GUEST_BATCH_BYTES: usize = 16 << 20;
/// Resources (streams, pollables) of WASI and of its own that an instance may have open. There is nothing behind them but memory of the
/// host; toolchains open a few when they start.
pub const GUEST_RESOURCES: usize = 1_000;
/// Bytes of WASI's randomness, all of them zero, that a guest may take at once: a seed is 16.
pub const GUEST_RANDOM_BYTES: u64 = 64 << 10;
/// How long `weir validator push` waits for an answer: an upload of 32 MiB over a slow line, and its compilation.
pub const PUSH_TIME: Duration = Duration::from_mins(5);
/// Cases that a module carries. Each is a call of the guest when it is uploaded, and an upload must answer within its time.
pub const CASES: usize = 50;
/// Readings of one case: cases are read by people.
pub const CASE_READINGS: usize = 100;
/// All cases of a module, in bytes of JSON: 50 of twenty readings each, at 200 bytes.
pub const CASES_BYTES: usize = 256 << 10;
/// A value or a text of what a case expects or finds, in bytes of the sentence that says how they differ.
pub const CASE_SHOWN_BYTES: usize = 200;
/// Configuration of one validator, in bytes of JSON.
pub const GUEST_CONFIG_BYTES: usize = 64 << 10;
/// Validators of one chain.
pub const CHAIN_LENGTH: usize = 16;
/// Time to compile one module, in a process of its own: on the clock, and of all cores together. An interpreter takes 10 to 20 s of a core;
/// the rest is for a machine that has other work, which goes first.
pub const COMPILE_TIME: Duration = Duration::from_mins(2);
/// Memory to compile one module, in a process of its own, in bytes.
pub const COMPILE_MEMORY_BYTES: u64 = 2 << 30;
/// Faults in a row (trap, limit) that open a validator's breaker.
pub const BREAKER_FAULTS: u32 = 5;
/// How long an open breaker stays open before one batch is tried again.
pub const BREAKER_REST: Duration = Duration::from_secs(10);
/// Versions whose faults in a row are remembered, about 200 bytes each; beyond it, those that do not rest are forgotten.
pub const BREAKERS_KEPT: usize = 10_000;
/// Modules that are compiled at once, each with the memory above; one at a time for a tenant.
pub const COMPILING: usize = 2;
/// How long a replica waits before it looks again whether another one has compiled a module.
pub const COMPILED_ELSEWHERE_WAIT: Duration = Duration::from_millis(200);
/// How far the compiler stands behind everything else in line for a core, as `nice` counts: a tenth of a request's share.
pub const COMPILE_NICE: i32 = 10;
/// Modules that are being uploaded at once, up to 32 MiB of memory each; a quarter of them for one tenant.
pub const MODULE_UPLOADS_AT_ONCE: usize = 8;
/// Compiled code of one module, in bytes; about ten times its bytes at the worst.
pub const COMPILED_BYTES: u64 = 256 << 20;
/// Functions of one module; a JavaScript engine has about 20,000.
pub const MODULE_FUNCTIONS: usize = 100_000;
/// Locals of one function: 15,000 take 40 s and 2.8 GiB to compile, and toolchains make a few hundred.
pub const FUNCTION_LOCALS: usize = 5_000;
/// Bytes of one function: a straight line of 2.5 MiB takes 10 s and 1.1 GiB to compile. The main loops of interpreters have 100 to 400 kB.
pub const FUNCTION_BYTES: usize = 1 << 20;
/// Locals times bytes of one function: what allocating registers costs grows with both. An interpreter's main loop has 500 locals in
/// 400 kB.
pub const FUNCTION_LOCALS_TIMES_BYTES: usize = 500_000_000;
/// Core instances of one component: a Rust guest has one and two shims, JavaScript on `QuickJS` 13, and Python 38, since its libraries are
/// linked when it starts. An instance is a piece of the heap, so a bound costs nothing.
pub const MODULE_INSTANCES: usize = 64;
/// Memories of one component: `QuickJS` with its WASI left out has three, two of them empty.
pub const MODULE_MEMORIES: usize = 4;
/// Tables of one component.
pub const MODULE_TABLES: usize = 6;
/// Components and modules inside one another: toolchains make three levels.
pub const MODULE_NESTING: usize = 16;
/// Imports of one component, and exports: all of WASI is below a hundred.
pub const MODULE_NAMES: usize = 1_000;
/// Calls on one batch of one validator that fails on it: enough to find three bad readings among 10,000 by halving.
pub const GUEST_CALLS: u32 = 100;
/// Tenants whose turns are remembered, about 200 bytes each.
pub const TENANTS_IN_TURN: usize = 1_000;
/// Samples of one test.
pub const SAMPLES: usize = 1_000;
/// Readings that one replay looks at, and how long it goes on at most.
pub const REPLAY_READINGS: u64 = 1_000_000;
/// How long one replay goes on before it answers with what it has.
pub const REPLAY_TIME: Duration = Duration::from_mins(2);
/// Readings of one page of a replay, or entries of quarantine of one replay.
pub const REPLAY_PAGE: u32 = 5_000;
/// Differences of a replay that are kept as samples.
pub const REPLAY_SAMPLES: usize = 100;
/// Batches that versions in the shadow may judge at once; further ones are not compared.
pub const SHADOWS: usize = 4;
/// Differences of one batch that are kept as samples.
pub const SHADOW_SAMPLES: usize = 10;
/// Calls after which a new version is compared with the one before it, and faults that it must have had at least.
pub const GUARD_CALLS: i64 = 20;
/// Faults of a new version below which nobody returns to the one before.
pub const GUARD_FAULTS: i64 = 5;
/// How many times the fault rate of the version before a new one may have, and the rate that is always allowed.
pub const GUARD_FACTOR: f64 = 3.0;
/// The rate of faults that a version may have however good the one before it was.
pub const GUARD_RATE: f64 = 0.01;
/// Faults, log lines and differences of one version that are kept, of each kind.
pub const NOTES_KEPT: i64 = 100;
/// Faults, log lines and differences that are shown at once.
pub const NOTES_LISTED: i64 = 300;
/// Versions whose counts, and replays that are shown at once.
pub const STATS_LISTED: i64 = 100;
/// Faults, log lines and differences of one version that wait in memory to be written down.
pub const NOTES_WAITING: usize = 100;
/// Versions whose counts wait in memory to be written down.
pub const RECORDS_WAITING: usize = 10_000;
/// How often what modules did is written down.
pub const RECORD_EVERY: Duration = Duration::from_secs(2);
/// Compiled modules that are kept in memory, all tenants together. Where there are more, the tenant with the most of them loses one.
pub const MODULES_CACHED: usize = 256;
/// Their code, in bytes: a Rust guest has 200 kB, one of Python 60 MB.
pub const MODULES_CACHED_BYTES: usize = 512 << 20;
