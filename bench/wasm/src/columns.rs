//! (b) Weir's live path: `Engine::run` with the real component, as the gate calls it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use tokio::runtime::Handle;
use weir::batch::Batch;
use weir::guest::{Claim, CodeCache, Engine, Options as EngineOptions, Run};
use weir::model::Tenant;
use weir::rules::{Digest, Step};
use weir::vitals::Vitals;

use crate::failure::{Doing as _, Result};
use crate::lines::Judge;
use crate::options::Options;
use crate::readings::step;

/// An engine that has the module in memory, and a tenant whose chain it is.
#[derive(Clone)]
pub struct Columns {
    engine: Arc<Engine>,
    chain: Arc<[Step]>,
    tenant: Tenant,
    runtime: Handle,
}

impl Columns {
    /// Compiles the component, as an upload does.
    pub fn new(options: &Options, runtime: &Handle) -> Result<Self> {
        let (cache, component) = (Arc::new(Memory::default()), component(options)?);
        let this = Self::with(&cache, Digest::of(&component), runtime)?;
        this.inspect(component)?;
        Ok(this)
    }

    /// A new engine with its pool, which finds what the cache has.
    pub fn with(cache: &Arc<Memory>, digest: Digest, runtime: &Handle) -> Result<Self> {
        let cache: Arc<dyn CodeCache> = Arc::<Memory>::clone(cache);
        let engine = Engine::new(&EngineOptions::default(), cache, Arc::new(Vitals::new())).doing("the engine cannot be made")?;
        let tenant = Tenant::parse("bench").doing("the tenant has no name")?;
        Ok(Self { engine: Arc::new(engine), chain: [step(digest)].into(), tenant, runtime: runtime.clone() })
    }

    /// The same engine for another tenant.
    pub fn of_tenant(&self, name: &str) -> Result<Self> {
        Ok(Self { tenant: Tenant::parse(name).doing("the tenant has no name")?, ..self.clone() })
    }

    /// Looks at a component, compiles it and keeps it, where it is not kept yet.
    pub fn inspect(&self, component: Bytes) -> Result<()> {
        self.runtime.block_on(self.engine.inspect(&self.tenant, component)).map(drop).doing("the component is refused")
    }

    /// As live traffic runs, but for a budget of time that nobody has set.
    fn live(&self) -> Run<'_> {
        Run { tenant: &self.tenant, lookup: None, live: true, spent: Arc::new(|_| {}) }
    }

    /// Judges batches in a task, as a request or a lane does: the clock's thread only waits.
    pub async fn judge_each(&self, batches: Vec<Batch>) -> Result<Vec<Batch>> {
        let run = self.live();
        let mut judged = Vec::with_capacity(batches.len());
        for batch in batches {
            judged.push(self.engine.run(&run, &self.chain, batch).await.doing("a batch was not judged")?.batch);
        }
        Ok(judged)
    }

    /// Judges one batch; seconds that its call took on the guest's thread, from the columns to the answer.
    pub fn call_seconds(&self, batch: Batch) -> Result<f64> {
        let run = self.live();
        let judged = self.runtime.block_on(self.engine.run(&run, &self.chain, batch)).doing("a batch was not judged")?;
        Ok(judged.passages.iter().map(|passage| passage.took.as_secs_f64()).sum())
    }
}

impl Judge for Columns {
    fn judge(&mut self, batches: Vec<Batch>) -> Result<Vec<Batch>> {
        let this = self.clone();
        let judged = self.runtime.spawn(async move { this.judge_each(batches).await });
        self.runtime.block_on(judged).doing("the task broke off")?
    }
}

/// The component of the sample validator.
pub fn component(options: &Options) -> Result<Bytes> {
    let path = options.guests.join("range-check.wasm");
    std::fs::read(&path).map(Bytes::from).doing(&format!("{} cannot be read", path.display()))
}

/// The cache that is the platform database elsewhere.
#[derive(Debug, Default)]
pub struct Memory {
    components: Mutex<HashMap<Digest, Bytes>>,
    code: Mutex<HashMap<(Digest, String), Bytes>>,
}

impl Memory {
    /// The size of all code in it.
    pub fn code_bytes(&self) -> usize {
        self.code.lock().unwrap_or_else(PoisonError::into_inner).values().map(Bytes::len).sum()
    }
}

type Answer<'a, T> = std::pin::Pin<Box<dyn Future<Output = weir::error::Result<T>> + Send + 'a>>;

impl CodeCache for Memory {
    fn fetch<'a>(&'a self, digest: Digest, engine: &'a str) -> Answer<'a, Option<Bytes>> {
        let found = self.code.lock().unwrap_or_else(PoisonError::into_inner).get(&(digest, engine.to_owned())).cloned();
        Box::pin(std::future::ready(Ok(found)))
    }

    fn keep<'a>(&'a self, digest: Digest, engine: &'a str, component: Bytes, code: Bytes) -> Answer<'a, ()> {
        self.components.lock().unwrap_or_else(PoisonError::into_inner).insert(digest, component);
        self.code.lock().unwrap_or_else(PoisonError::into_inner).insert((digest, engine.to_owned()), code);
        Box::pin(std::future::ready(Ok(())))
    }

    fn claim<'a>(&'a self, _: Digest, _: &'a str) -> Answer<'a, Option<Claim>> {
        Box::pin(std::future::ready(Ok(Some(Box::new(()) as Claim))))
    }

    fn component(&self, digest: Digest) -> Answer<'_, Option<Bytes>> {
        let found = self.components.lock().unwrap_or_else(PoisonError::into_inner).get(&digest).cloned();
        Box::pin(std::future::ready(Ok(found)))
    }
}
