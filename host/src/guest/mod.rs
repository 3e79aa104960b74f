//! Tenants' WebAssembly modules: what they are, and how a batch passes a chain of them.
//!
//! Promises: an instance sees one batch and is gone; a call ends within its time and its memory; what goes wrong inside a module
//! becomes a verdict on the readings that it was shown and nothing else. `Err` means that the batch could not be judged, since
//! compiled code could not be had. Knows no SQL, HTTP, Kafka or object store: compiled code comes through [`CodeCache`].

mod breaker;
mod engine;
mod grants;
pub mod load;
mod v1;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;

use self::breaker::Breakers;
use self::engine::{Fault, Runtime};
use self::load::Modules;
pub use self::load::{CodeCache, ModuleFacts};
use crate::batch::{Batch, Refusal, Refuser};
use crate::error::{Error, Result};
use crate::limits;
use crate::model::Tenant;
use crate::rules::Step;
use crate::turns::Turns;
use crate::vitals::{GuestLabels, Vitals};

/// How modules run.
#[derive(Clone, Debug)]
pub struct Options {
    /// Time of one call, wall clock.
    pub time: Duration,
    /// Memory of one instance, in bytes.
    pub memory_bytes: usize,
    /// Instances of all tenants that run at once.
    pub instances: u32,
    /// The program whose `compile-module` compiles; Weir itself where it is not given.
    pub compiler: Option<PathBuf>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            time: limits::GUEST_TIME,
            memory_bytes: limits::GUEST_MEMORY_BYTES,
            instances: limits::GUEST_INSTANCES,
            compiler: None,
        }
    }
}

/// Runs modules.
#[derive(Debug)]
pub struct Engine {
    runtime: Arc<Runtime>,
    modules: Modules,
    breakers: Breakers,
    turns: Turns,
    vitals: Arc<Vitals>,
}

impl Engine {
    /// An engine whose compiled code is kept in `cache`.
    pub fn new(options: Options, cache: Arc<dyn CodeCache>, vitals: Arc<Vitals>) -> Result<Self> {
        let runtime = Arc::new(Runtime::new(&options)?);
        let modules = Modules::new(Arc::clone(&runtime), cache, options.compiler)?;
        Ok(Self { runtime, modules, breakers: Breakers::default(), turns: Turns::new(options.instances as usize), vitals })
    }

    /// Checks a module, compiles it and keeps it. What does not fit is refused with the reason, for whoever uploaded it.
    pub async fn inspect(&self, component: Bytes) -> Result<ModuleFacts> {
        self.modules.inspect(component).await
    }

    /// Shows a batch to each validator of a chain, in turn. What one refuses, the next does not see.
    pub async fn run(&self, tenant: &Tenant, chain: &[Step], mut batch: Batch) -> Result<Batch> {
        for step in chain {
            let standing = standing_rows(&batch);
            if standing.is_empty() {
                break;
            }
            batch = self.step(tenant, step, batch, standing).await?;
        }
        Ok(batch)
    }

    async fn step(&self, tenant: &Tenant, step: &Step, mut batch: Batch, rows: Vec<u32>) -> Result<Batch> {
        let module = self.modules.get(step.digest).await?;
        if let Some(last) = self.breakers.open(step, Instant::now()) {
            self.count(tenant, step, "open");
            let reason =
                format!("validator `{}` rests after {} faults in a row; the last: {last}", step.name, limits::BREAKER_FAULTS);
            refuse_all(&mut batch, step, &rows, &reason, true);
            return Ok(batch);
        }
        let mut judging = Judging { answered: false, fault: None, calls: 0, fault_time: Duration::ZERO };
        let mut parts = vec![rows];
        while let Some(part) = parts.pop() {
            if judging.is_spent(self.runtime.time()) {
                let reason = judging.reason();
                refuse_all(&mut batch, step, &part, &reason, true);
                continue;
            }
            let turn = self.turns.take(tenant).await?;
            let (runtime, module, config) = (Arc::clone(&self.runtime), module.clone(), Arc::clone(&step.config));
            let call = move || {
                let _turn = turn;
                let started = Instant::now();
                let outcome = runtime.check(&module, &config, &batch, &part);
                (batch, part, outcome, started.elapsed())
            };
            let outcome;
            let took;
            let part;
            (batch, part, outcome, took) = tokio::task::spawn_blocking(call).await.map_err(Error::internal)?;
            self.vitals.guest_seconds.observe(took.as_secs_f64());
            outcome.log.write(tenant, step);
            let applied = match outcome.result {
                Ok(answer) => answer.apply(&mut batch, step, &part).map_err(Fault::Answer),
                Err(fault) => Err(fault),
            };
            judging.calls += 1;
            let fault = match applied {
                Ok(()) => {
                    judging.answered = true;
                    self.count(tenant, step, "answered");
                    continue;
                }
                // The guest's own word about all that it was shown: its verdict, not its failure.
                Err(Fault::Unjudged(reason)) => {
                    judging.answered = true;
                    self.count(tenant, step, "answered");
                    refuse_all(&mut batch, step, &part, &reason, false);
                    continue;
                }
                Err(fault) => fault,
            };
            self.count(tenant, step, "fault");
            judging.fault_time += took;
            let reason = fault.to_string();
            tracing::debug!(%tenant, validator = %step.name, version = step.version, rows = part.len(), "a module failed: {reason}");
            judging.fault = Some(reason.clone());
            // One reading may be what it chokes on: the halves are tried, until that reading is alone or the bounds are reached.
            match split(&batch, part) {
                Split::Halves(first, second) => parts.extend([second, first]),
                Split::One(part) => refuse_all(&mut batch, step, &part, &reason, true),
            }
        }
        self.breakers.learn(step, judging.answered, judging.fault, Instant::now());
        Ok(batch)
    }

    fn count(&self, tenant: &Tenant, step: &Step, outcome: &'static str) {
        let labels = GuestLabels { tenant: tenant.to_string(), validator: step.name.to_string(), outcome };
        self.vitals.guest_calls.get_or_create(&labels).inc();
    }
}

/// How the judging of one batch by one validator goes.
struct Judging {
    answered: bool,
    fault: Option<String>,
    calls: u32,
    fault_time: Duration,
}

impl Judging {
    /// True where the module has failed long or often enough on this batch: calls are bounded in number, and the time of those that
    /// fail to that of two calls, so that a slow failure is not repeated for every reading.
    fn is_spent(&self, time: Duration) -> bool {
        self.fault.is_some() && (self.calls >= limits::GUEST_CALLS || self.fault_time >= time)
    }

    fn reason(&self) -> String {
        let fault = self.fault.as_deref().unwrap_or("it failed");
        format!("not judged, since the validator failed on other readings of the same batch: {fault}")
    }
}

/// The rows of readings that nobody has refused yet.
fn standing_rows(batch: &Batch) -> Vec<u32> {
    let rows = (0u32..).zip(&batch.columns().reading);
    rows.filter(|(_, reading)| batch.stands(**reading)).map(|(row, _)| row).collect()
}

fn refuse_all(batch: &mut Batch, step: &Step, rows: &[u32], reason: &str, fault: bool) {
    let mut last = None;
    for row in rows {
        let reading = batch.columns().reading[*row as usize];
        if last.replace(reading) == Some(reading) {
            continue;
        }
        let by = Refuser::Validator(Arc::clone(&step.name));
        batch.refuse(reading, Refusal { by, reason: cut(reason), path: None, fault, strategy: step.strategy });
    }
}

/// A guest's reason, cut to its bound.
fn cut(reason: &str) -> String {
    match reason.char_indices().find(|(at, c)| at + c.len_utf8() > limits::GUEST_REASON_BYTES) {
        Some((end, _)) => format!("{}…", &reason[..end]),
        None => reason.to_owned(),
    }
}

enum Split {
    Halves(Vec<u32>, Vec<u32>),
    One(Vec<u32>),
}

/// Halves rows where a reading ends; rows of one reading stay together.
fn split(batch: &Batch, mut rows: Vec<u32>) -> Split {
    let reading = |row: u32| batch.columns().reading[row as usize];
    // Derived rows lie at the end, away from their readings' other rows.
    rows.sort_by_key(|row| (reading(*row), *row));
    let middle = rows.len() / 2;
    let ends = |at: &usize| reading(rows[at - 1]) != reading(rows[*at]);
    let cut = (middle..rows.len()).filter(|at| *at > 0).find(ends).or_else(|| (1..middle).rev().find(ends));
    match cut {
        Some(at) => {
            let mut second = rows.split_off(at);
            rows.sort_unstable();
            second.sort_unstable();
            Split::Halves(rows, second)
        }
        None => Split::One(rows),
    }
}
