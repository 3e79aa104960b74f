//! What is measured of Weir's guests besides the table: instances, loading, compiling, all cores at once.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::runtime::Runtime;
use weir::rules::Digest;

use crate::columns::{Columns, Memory, component};
use crate::failure::{Doing as _, Failure, Result};
use crate::lines::Judge as _;
use crate::machine;
use crate::options::Options;
use crate::readings::Sample;
use crate::spread::Spread;

/// Calls of which the one in the middle is told.
const CALLS: usize = 2_000;
/// Loads, and compilations, of which the one in the middle is told.
const LOADS: usize = 21;
const COMPILATIONS: usize = 5;
/// Readings of a batch where all cores are busy.
const SIZE: usize = 1_000;

/// The figures; times are in microseconds.
#[derive(Clone, Copy, Debug)]
pub struct Figures {
    /// On the guest's thread: a store, an instance, its configuration, the call with one reading, and all of it gone again.
    pub instance: Spread,
    /// To the guest's thread and back, with nothing done there.
    pub hop: Spread,
    /// An engine that has never seen the module: code from the cache, made executable, linked, and the first call with one reading.
    pub cold: Spread,
    /// A look at the bytes, and compiling in a process of its own.
    pub compile: Spread,
    /// The size of the component and of its code, in bytes.
    pub sizes: (usize, usize),
    /// Nanoseconds a reading in batches of [`SIZE`] while a task a core judges, for each task.
    pub busy: Spread,
    /// Tasks.
    pub tasks: usize,
}

impl Figures {
    /// Measures them all.
    pub fn measure(options: &Options, runtime: &Runtime) -> Result<Self> {
        let (one, component) = (Sample::of(1), component(options)?);
        let digest = Digest::of(&component);
        let handle = runtime.handle();
        let cache = Arc::new(Memory::default());
        let warm = Columns::with(&cache, digest, handle)?;
        warm.inspect(component.clone())?;

        let mut instance = Vec::with_capacity(CALLS);
        for _ in 0..CALLS {
            instance.push(warm.call_seconds(one.batch().clone())? * 1e6);
        }
        let hop = runtime.block_on(runtime.spawn(hops())).doing("the task broke off")?;

        let mut compile = Vec::with_capacity(COMPILATIONS);
        for _ in 0..COMPILATIONS {
            let columns = Columns::with(&Arc::default(), digest, handle)?;
            let started = Instant::now();
            columns.inspect(component.clone())?;
            compile.push(microseconds(started.elapsed()));
        }
        let mut cold = Vec::with_capacity(LOADS);
        for _ in 0..LOADS {
            let (mut columns, batches) = (Columns::with(&cache, digest, handle)?, vec![one.batch().clone()]);
            let started = Instant::now();
            let judged = columns.judge(batches)?;
            cold.push(microseconds(started.elapsed()));
            one.verify(&judged, 1)?;
        }
        let (busy, tasks) = busy(&warm, runtime, Duration::from_millis(options.cell_ms * 4))?;
        let spread = |values: Vec<f64>| Spread::of(values.into_iter()).unwrap_or(Spread { median: 0.0, least: 0.0, most: 0.0 });
        Ok(Self {
            instance: spread(instance),
            hop: spread(hop),
            cold: spread(cold),
            compile: spread(compile),
            sizes: (component.len(), cache.code_bytes()),
            busy: spread(busy),
            tasks,
        })
    }
}

async fn hops() -> Vec<f64> {
    let mut taken = Vec::with_capacity(CALLS);
    for _ in 0..CALLS {
        let started = Instant::now();
        // Only what does not panic is sent there, so the hop does not fail.
        let _ = tokio::task::spawn_blocking(|| ()).await;
        taken.push(microseconds(started.elapsed()));
    }
    taken
}

/// Nanoseconds a reading of each task, while as many tasks judge as keep every core busy.
fn busy(columns: &Columns, runtime: &Runtime, least: Duration) -> Result<(Vec<f64>, usize)> {
    let sample = Arc::new(Sample::of(SIZE));
    // While one of a task's two threads hands over to the other, both may wait: a second task a core has something to do then.
    let tasks = machine::cores() * 2;
    let mut running = Vec::new();
    for number in 0..tasks {
        let (columns, sample) = (columns.of_tenant(&format!("bench-{number}"))?, Arc::clone(&sample));
        running.push(runtime.spawn(async move {
            let (mut taken, mut readings) = (Duration::ZERO, 0_u32);
            while taken < least {
                let batches = vec![sample.batch().clone(); 20];
                let started = Instant::now();
                let judged = columns.judge_each(batches).await?;
                taken += started.elapsed();
                readings += 20 * u32::try_from(SIZE).unwrap_or(u32::MAX);
                sample.verify(&judged[..1], 1)?;
            }
            Ok::<_, Failure>(taken.as_secs_f64() * 1e9 / f64::from(readings))
        }));
    }
    let mut taken = Vec::new();
    for task in running {
        taken.push(runtime.block_on(task).doing("the task broke off")??);
    }
    Ok((taken, tasks))
}

fn microseconds(taken: Duration) -> f64 {
    taken.as_secs_f64() * 1e6
}
