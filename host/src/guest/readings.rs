//! How a batch of readings passes a chain of validators.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::engine::{Fault, Runtime};
use super::grants::{Lookup, State};
use super::passage::{Log, Passage};
use super::v1::readings::{Answer, Changes, ReadingValidatorPre, Room};
use super::{Engine, Run, Spent, cut, v1};
use crate::batch::{Batch, Refusal, Refuser};
use crate::error::Result;
use crate::limits;
use crate::rules::Step;

/// What a chain made of a batch.
#[derive(Debug)]
pub struct Judgement {
    /// The batch, with verdicts and changes.
    pub batch: Batch,
    /// What each validator did.
    pub passages: Vec<Passage>,
    /// What the shadows of the chain's validators are to be compared on. Empty on a trial.
    pub shadowed: Vec<Shadowed>,
}

/// What a validator was shown and what it made of it, where another version runs in its shadow.
#[derive(Debug)]
pub struct Shadowed {
    /// The validator's place, with the shadow's version as the one that runs.
    pub step: Step,
    /// What it was shown.
    pub before: Batch,
    /// What it made of it.
    pub after: Batch,
}

impl Engine {
    /// Shows a batch to each validator of a chain, in turn, and says what each did with it. What one refuses, the next does not see.
    pub async fn run(&self, run: &Run<'_>, chain: &[Step], batch: Batch) -> Result<Judgement> {
        let mut room = Room::of(&batch);
        self.run_within(run, chain, batch, &mut room).await
    }

    /// The same for a part of a chain, which adds to a batch no more than there is room for; all parts of the chain share it.
    pub async fn run_within(&self, run: &Run<'_>, chain: &[Step], mut batch: Batch, room: &mut Room) -> Result<Judgement> {
        let mut passages = Vec::with_capacity(chain.len());
        let mut shadowed = Vec::new();
        for step in chain {
            let standing = standing_rows(&batch);
            if standing.is_empty() {
                break;
            }
            let before = step.shadow.filter(|_| run.live).map(|shadow| (shadow, batch.clone()));
            let passage;
            (batch, passage) = self.step(run, step, batch, standing, room).await?;
            passages.push(passage);
            if let Some(((version, digest), before)) = before {
                let step = Step { version, digest, shadow: None, ..step.clone() };
                shadowed.push(Shadowed { step, before, after: batch.clone() });
            }
        }
        Ok(Judgement { batch, passages, shadowed })
    }

    async fn step(
        &self,
        run: &Run<'_>,
        step: &Step,
        mut batch: Batch,
        rows: Vec<u32>,
        room: &mut Room,
    ) -> Result<(Batch, Passage)> {
        let module = self.modules.readings(run.tenant, step.digest).await?;
        let mut passage = Passage::of(step);
        if run.live
            && let Some(last) = self.breakers.open(step, Instant::now())
        {
            passage.rested = true;
            passage.counts.failed = refuse_all(&mut batch, step, &rows, &Self::rests(step, &last), true);
            self.learn(run, &passage);
            return Ok((batch, passage));
        }
        let shown = readings_of(&batch, &rows);
        let lookup = run.lookup.as_ref().filter(|_| step.lookup);
        let bounds = self.runtime.bounds(step);
        let mut judging = Judging { passage, answered: false, fault_time: Duration::ZERO };
        let mut parts = vec![rows];
        while let Some(mut part) = parts.pop() {
            if judging.is_spent(bounds.time) {
                let reason = judging.reason();
                judging.passage.counts.failed += refuse_all(&mut batch, step, &part, &reason, true);
                continue;
            }
            let call = Call {
                runtime: Arc::clone(&self.runtime),
                module: module.clone(),
                step: step.clone(),
                lookup: lookup.cloned(),
                spent: run.spent.clone(),
                room: *room,
            };
            let (applied, called);
            let place = self.place(run, step);
            (batch, part, applied, called) = self.threads.run_at(place, run.tenant, move || call.judge(batch, part)).await?;
            if run.live {
                self.pace.learn(step, called.took);
            }
            *room = called.room;
            self.vitals.guest_seconds.observe(called.took.as_secs_f64());
            judging.passage.note(called.took, called.peak_memory_bytes, called.log);
            let fault = match applied {
                Ok(changes) => {
                    judging.answered = true;
                    judging.passage.counts.rejected += changes.rejected;
                    judging.passage.counts.replaced += changes.replaced;
                    continue;
                }
                // The guest's own word about all that it was shown: its verdict, not its failure.
                Err(Fault::Unjudged(reason)) => {
                    judging.answered = true;
                    judging.passage.counts.rejected += refuse_all(&mut batch, step, &part, &reason, false);
                    continue;
                }
                Err(fault) => fault,
            };
            judging.fault_time += called.took;
            judging.passage.failed(&fault);
            let reason = fault.to_string();
            let (tenant, version, rows) = (run.tenant, step.version, part.len());
            tracing::debug!(%tenant, validator = %step.name, version, rows, "a module failed: {reason}");
            // One reading may be what it chokes on: the halves are tried, until that reading is alone or the bounds are reached.
            match split(&batch, part) {
                Split::Halves(first, second) => parts.extend([second, first]),
                Split::One(part) => judging.passage.counts.failed += refuse_all(&mut batch, step, &part, &reason, true),
            }
        }
        let Judging { mut passage, answered, .. } = judging;
        let counts = &mut passage.counts;
        counts.accepted = shown.saturating_sub(counts.replaced + counts.rejected + counts.failed);
        if run.live {
            self.breakers.learn(step, answered, passage.fault.as_ref().map(|fault| fault.reason.clone()), Instant::now());
            self.learn(run, &passage);
        }
        Ok((batch, passage))
    }
}

/// One call, with all that it takes to a thread.
struct Call {
    runtime: Arc<Runtime>,
    module: ReadingValidatorPre<State>,
    step: Step,
    lookup: Lookup,
    spent: Spent,
    room: Room,
}

/// What a call took, whatever came of it.
struct Taken {
    took: Duration,
    log: Log,
    peak_memory_bytes: usize,
    room: Room,
}

impl Call {
    /// Shows these rows, and puts the answer into the batch.
    fn judge(self, mut batch: Batch, part: Vec<u32>) -> (Batch, Vec<u32>, Result<Changes, Fault>, Taken) {
        let Self { runtime, module, step, lookup, spent, mut room } = self;
        let started = Instant::now();
        let shown = v1::readings::shown(batch.columns(), &part);
        let most = v1::readings::answer_bytes(&shown);
        let called = runtime.call_once(&step, lookup, most, async |store| v1::readings::call(store, &module, &shown).await);
        let apply = |answer: Answer| answer.apply(&mut batch, &step, &part, &mut room).map_err(Fault::Answer);
        let applied = called.result.and_then(apply);
        let took = started.elapsed();
        spent(took);
        let taken = Taken { took, log: called.log, peak_memory_bytes: called.peak_memory_bytes, room };
        (batch, part, applied, taken)
    }
}

/// How the judging of one batch by one validator goes.
struct Judging {
    passage: Passage,
    answered: bool,
    fault_time: Duration,
}

impl Judging {
    /// True where the module has failed long or often enough on this batch: calls are bounded in number, and the time of those that
    /// fail to that of two calls, so that a slow failure is not repeated for every reading.
    fn is_spent(&self, time: Duration) -> bool {
        self.passage.faults > 0 && (self.passage.calls >= limits::GUEST_CALLS || self.fault_time >= time)
    }

    fn reason(&self) -> String {
        let fault = self.passage.fault.as_ref().map_or("it failed", |fault| fault.reason.as_str());
        format!("not judged, since the validator failed on other readings of the same batch: {fault}")
    }
}

/// The number of readings that these rows, which rise, belong to.
fn readings_of(batch: &Batch, rows: &[u32]) -> u64 {
    let readings = batch.columns();
    // Derived rows lie at the end and belong to readings that were counted already.
    let mut highest = None;
    let own = rows.iter().map(|row| readings.reading[*row as usize]).filter(|reading| {
        let new = highest.is_none_or(|highest| *reading > highest);
        if new {
            highest = Some(*reading);
        }
        new
    });
    own.count() as u64
}

/// The rows of readings that nobody has refused yet.
fn standing_rows(batch: &Batch) -> Vec<u32> {
    let rows = (0u32..).zip(&batch.columns().reading);
    rows.filter(|(_, reading)| batch.stands(**reading)).map(|(row, _)| row).collect()
}

/// Refuses the readings of these rows, and says how many they are.
fn refuse_all(batch: &mut Batch, step: &Step, rows: &[u32], reason: &str, fault: bool) -> u64 {
    let mut last = None;
    let mut readings = 0;
    for row in rows {
        let reading = batch.columns().reading[*row as usize];
        if last.replace(reading) == Some(reading) {
            continue;
        }
        readings += 1;
        let by = Refuser::Validator(Arc::clone(&step.name));
        batch.refuse(reading, Refusal { by, reason: cut(reason), path: None, fault, strategy: step.strategy });
    }
    readings
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
