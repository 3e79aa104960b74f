//! How an object passes a chain of validators, piece by piece, in constant memory.
//!
//! Each validator of the chain has one instance for the whole object; what one lets through, the next is shown. Every piece is called on
//! one of the guests' threads, within the same bounds as a call about readings; all calls of one instance have a bound of time
//! together, and what a module may make of an object has a bound of size.

use std::mem;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use wasmtime::Store;

use super::engine::{self, Bounds, Fault, Runtime};
use super::grants::State;
use super::passage::Passage;
use super::v1::objects::{self as v1, ObjectValidator};
use super::{Engine, Run, Spent};
use crate::error::{Detail, Error, Kind, Result};
use crate::limits;
use crate::rules::Step;
use crate::turns::Turn;

/// What is known of an object before its bytes come.
#[derive(Clone, Debug, Default)]
pub struct ObjectFacts {
    /// The bucket.
    pub bucket: String,
    /// The name.
    pub name: String,
    /// As the sender gave it.
    pub media_type: Option<String>,
    /// In bytes, where the sender said it.
    pub size: Option<u64>,
    /// Names and values that are stored with it.
    pub metadata: Vec<(String, String)>,
    /// Who asks.
    pub subject: String,
}

/// What a validator wants of an object.
pub(super) enum Beginning {
    Inspect,
    Pass,
    Reject(String),
}

/// What it says of a piece.
pub(super) enum Piece {
    Keep,
    Replace(Bytes),
    Pass,
    Reject(String),
}

/// What it says at the end.
pub(super) enum Ending {
    Store { append: Bytes, media_type: Option<String> },
    Reject(String),
}

/// A chain that looks at one object.
#[derive(Debug)]
pub struct Inspection {
    /// Away while a thread works on it.
    chain: Option<Chain>,
    pending: BytesMut,
}

struct Chain {
    runtime: Arc<Runtime>,
    links: Vec<Link>,
    /// What reached the chain, in bytes.
    taken: u64,
    media_type: Option<String>,
    spent: Spent,
    _turn: Turn,
}

impl std::fmt::Debug for Chain {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Chain").field("links", &self.links).field("taken", &self.taken).finish_non_exhaustive()
    }
}

/// One validator's place.
struct Link {
    step: Step,
    bounds: Bounds,
    store: Store<State>,
    /// None where it could not be made, which ends the object.
    instance: Option<ObjectValidator>,
    looking: bool,
    /// What it passed on, in bytes.
    given: u64,
    /// What it passed on is not what it was shown.
    changed: bool,
    passage: Passage,
    spent: Spent,
}

impl std::fmt::Debug for Link {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Link").field("step", &self.step.name).finish_non_exhaustive()
    }
}

/// An object that passed.
#[derive(Debug)]
pub struct Passed {
    /// The last of its bytes.
    pub rest: Vec<Bytes>,
    /// The media type that a validator gave it.
    pub media_type: Option<String>,
    /// What each validator did.
    pub passages: Vec<Passage>,
}

/// An object that did not pass, or could not be judged.
#[derive(Debug)]
pub struct Refused {
    /// Why, for its sender.
    pub error: Error,
    /// What each validator did.
    pub passages: Vec<Passage>,
}

impl From<Refused> for Error {
    fn from(refused: Refused) -> Self {
        refused.error
    }
}

impl From<Error> for Refused {
    fn from(error: Error) -> Self {
        Self { error, passages: Vec::new() }
    }
}

impl Engine {
    /// Begins to show an object to a chain.
    pub async fn object(&self, run: &Run<'_>, chain: &[Step], facts: ObjectFacts) -> Result<Inspection, Refused> {
        let mut modules = Vec::with_capacity(chain.len());
        for step in chain {
            if run.live
                && let Some(last) = self.breakers.open(step, Instant::now())
            {
                let passage = Passage { rested: true, ..Passage::of(step) };
                self.learn(run, &passage);
                return Err(Refused { error: unjudged(step, &Self::rests(step, &last)), passages: vec![passage] });
            }
            modules.push((step.clone(), self.modules.objects(run.tenant, step.digest).await?));
        }
        let turn = self.inspections.take(run.tenant).await?;
        let runtime = Arc::clone(&self.runtime);
        let spent = run.spent.clone();
        let first = move || {
            let mut chain = Chain { runtime, links: Vec::new(), taken: 0, media_type: None, spent, _turn: turn };
            let begun = modules.into_iter().try_for_each(|(step, module)| chain.begin(step, &module, &facts));
            (chain, begun)
        };
        let (chain, begun) = self.threads.run(run.tenant, first).await?;
        match begun {
            Ok(()) => Ok(Inspection { chain: Some(chain), pending: BytesMut::new() }),
            Err(error) => Err(Refused { error, passages: self.settle(run, chain) }),
        }
    }

    /// Shows the next bytes, and hands out what passed: not always the same, nor at once.
    pub async fn object_chunk(&self, run: &Run<'_>, inspection: &mut Inspection, bytes: Bytes) -> Result<Vec<Bytes>, Refused> {
        inspection.pending.extend_from_slice(&bytes);
        if inspection.pending.len() < limits::GUEST_CHUNK_BYTES {
            return Ok(Vec::new());
        }
        let shown = inspection.pending.split().freeze();
        let (chain, fed) = self.with(run, inspection, move |chain| chain.feed(0, shown)).await?;
        match fed {
            Ok(pieces) => {
                inspection.chain = Some(chain);
                Ok(pieces)
            }
            Err(error) => Err(Refused { error, passages: self.settle(run, chain) }),
        }
    }

    /// Ends the object.
    pub async fn object_finish(&self, run: &Run<'_>, mut inspection: Inspection) -> Result<Passed, Refused> {
        let shown = mem::take(&mut inspection.pending).freeze();
        let (mut chain, ended) = self.with(run, &mut inspection, move |chain| chain.finish(shown)).await?;
        let media_type = chain.media_type.take();
        let passages = self.settle(run, chain);
        match ended {
            Ok(rest) => Ok(Passed { rest, media_type, passages }),
            Err(error) => Err(Refused { error, passages }),
        }
    }

    /// Works on the chain in the tenant's turn, on a thread for that.
    async fn with<T: Send + 'static>(
        &self,
        run: &Run<'_>,
        inspection: &mut Inspection,
        work: impl FnOnce(&mut Chain) -> T + Send + 'static,
    ) -> Result<(Chain, T)> {
        let mut chain = inspection.chain.take().ok_or_else(|| Error::internal("an object goes on after it was refused"))?;
        let work = move || {
            let done = work(&mut chain);
            (chain, done)
        };
        self.threads.run(run.tenant, work).await
    }

    /// Writes down what each validator did.
    fn settle(&self, run: &Run<'_>, chain: Chain) -> Vec<Passage> {
        let passages = chain.links.into_iter().map(|link| (link.step.clone(), link.close()));
        let settled = passages.map(|(step, passage)| {
            if run.live {
                let fault = passage.fault.as_ref().map(|fault| fault.reason.clone());
                self.breakers.learn(&step, fault.is_none(), fault, Instant::now());
                self.learn(run, &passage);
            }
            passage
        });
        settled.collect()
    }
}

impl Chain {
    fn begin(&mut self, step: Step, module: &v1::ObjectValidatorPre<State>, facts: &ObjectFacts) -> Result<()> {
        let (bounds, store) = (self.runtime.bounds(&step), self.runtime.store(&step, None));
        let passage = Passage::of(&step);
        let spent = self.spent.clone();
        self.links.push(Link { step, bounds, store, instance: None, looking: false, given: 0, changed: false, passage, spent });
        let Some(link) = self.links.last_mut() else { return Ok(()) };
        let started = Instant::now();
        let begun = engine::call(bounds, limits::GUEST_OUTPUT_LEAST_BYTES, &mut link.store, async |store| {
            let instance = v1::instance(&mut *store, module).await?;
            let beginning = v1::begin(store, &instance, facts).await?;
            Ok(beginning.map(|beginning| (instance, beginning)))
        });
        link.called(started.elapsed());
        let (instance, beginning) = begun.map_err(|fault| link.fails(&fault))?;
        link.instance = Some(instance);
        match beginning {
            Beginning::Reject(reason) => return Err(link.rejects(reason)),
            Beginning::Inspect => link.looking = true,
            Beginning::Pass => {}
        }
        Ok(())
    }

    /// Shows these bytes to the links from the one at `from`, in turn.
    fn feed(&mut self, from: usize, bytes: Bytes) -> Result<Vec<Bytes>> {
        if from == 0 {
            self.taken += bytes.len() as u64;
        }
        let most = self.most();
        let mut pieces = vec![bytes];
        for link in &mut self.links[from..] {
            let mut passed = Vec::with_capacity(pieces.len());
            for piece in pieces {
                link.show(piece, &mut passed, most)?;
            }
            pieces = passed;
        }
        pieces.retain(|piece| !piece.is_empty());
        Ok(pieces)
    }

    /// How much each link may have passed on by now. It is counted link by link: what one makes of a piece, the next is shown, and each
    /// might make a hundred times as much of it.
    fn most(&self) -> u64 {
        self.taken + limits::GUEST_GROWTH_BYTES
    }

    fn finish(&mut self, bytes: Bytes) -> Result<Vec<Bytes>> {
        let mut pieces = self.feed(0, bytes)?;
        let most = self.most();
        for at in 0..self.links.len() {
            let link = &mut self.links[at];
            if !link.looking {
                continue;
            }
            match link.call(async |store, instance| v1::finish(store, instance).await)? {
                Ending::Reject(reason) => return Err(link.rejects(reason)),
                Ending::Store { append, media_type } => {
                    link.changed |= !append.is_empty() || media_type.is_some();
                    link.gives(append.len(), most)?;
                    self.media_type = media_type.or(self.media_type.take());
                    pieces.extend(self.feed(at + 1, append)?);
                }
            }
        }
        Ok(pieces)
    }
}

impl Link {
    fn show(&mut self, mut bytes: Bytes, passed: &mut Vec<Bytes>, most: u64) -> Result<()> {
        while !bytes.is_empty() {
            if !self.looking {
                self.gives(bytes.len(), most)?;
                passed.push(bytes);
                return Ok(());
            }
            let shown = bytes.split_to(bytes.len().min(limits::GUEST_CHUNK_BYTES));
            let piece = match self.call(async |store, instance| v1::chunk(store, instance, &shown).await)? {
                Piece::Keep => shown,
                Piece::Replace(other) => {
                    self.changed = true;
                    other
                }
                Piece::Pass => {
                    self.looking = false;
                    shown
                }
                Piece::Reject(reason) => return Err(self.rejects(reason)),
            };
            self.gives(piece.len(), most)?;
            passed.push(piece);
        }
        Ok(())
    }

    /// Counts what it passes on.
    fn gives(&mut self, bytes: usize, most: u64) -> Result<()> {
        self.given += bytes as u64;
        if self.given <= most {
            return Ok(());
        }
        let growth = limits::GUEST_GROWTH_BYTES >> 20;
        Err(self.fails(&Fault::Answer(format!("it made the object more than {growth} MiB larger"))))
    }

    fn call<T>(
        &mut self,
        call: impl AsyncFnOnce(&mut Store<State>, &ObjectValidator) -> wasmtime::Result<Result<T, String>>,
    ) -> Result<T> {
        let started = Instant::now();
        let Some(instance) = &self.instance else { return Err(Error::internal("an object goes on without an instance")) };
        let result =
            engine::call(self.bounds, limits::GUEST_OUTPUT_BYTES, &mut self.store, async |store| call(store, instance).await);
        self.called(started.elapsed());
        let result = match result {
            Ok(_) if self.passage.took > limits::GUEST_OBJECT_TIME => Err(Fault::Time(limits::GUEST_OBJECT_TIME)),
            result => result,
        };
        result.map_err(|fault| self.fails(&fault))
    }

    fn called(&mut self, took: Duration) {
        self.passage.calls += 1;
        self.passage.took += took;
        (self.spent)(took);
    }

    fn fails(&mut self, fault: &Fault) -> Error {
        self.passage.failed(fault);
        self.passage.counts.failed = 1;
        unjudged(&self.step, &fault.to_string())
    }

    fn rejects(&mut self, reason: String) -> Error {
        self.passage.counts.rejected = 1;
        let sentence = format!("The validator `{}` refuses this object: {reason}.", self.step.name);
        let detail = Detail { path: String::new(), message: reason, validator: Some(self.step.name.to_string()) };
        Error::new(Kind::Refused, sentence).with_details([detail])
    }

    fn close(self) -> Passage {
        let Self { mut passage, store, changed, .. } = self;
        let state = store.into_data();
        passage.note(Duration::ZERO, state.meter.peak(), state.log);
        passage.calls -= 1;
        if passage.counts.rejected + passage.counts.failed == 0 {
            let passed = if changed { &mut passage.counts.replaced } else { &mut passage.counts.accepted };
            *passed = 1;
        }
        passage
    }
}

fn unjudged(step: &Step, reason: &str) -> Error {
    let sentence = format!("The validator `{}` could not judge this object: {reason}.", step.name);
    let detail = Detail { path: String::new(), message: reason.to_owned(), validator: Some(step.name.to_string()) };
    Error::new(Kind::Refused, sentence).with_details([detail])
}
