//! From a component's bytes to something that runs: a look at the bytes, a compiler in a process of its own, and the cache.
//!
//! The bytes are looked at before anything is compiled: sizes, counts, world, version, imports. All that may cost more than the bytes
//! are long, validating and compiling, happens in a child with limits on memory and time, since small modules can cost minutes and
//! gigabytes. What is compiled once is kept for the fleet by the
//! digest of the bytes and the kind of engine.

mod compile;
mod look;
mod shelf;
pub mod signature;

use std::hash::{Hash as _, Hasher as _};
use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use parking_lot::Mutex;
use wasmtime::component::Component;

use self::compile::Compiler;
pub use self::compile::compile_stdin_to_stdout;
pub use self::look::look;
use self::shelf::Shelf;
use super::engine::{self, Fault, Runtime};
use super::grants::State;
use super::threads::Threads;
use super::v1::documents::DocumentValidatorPre;
use super::v1::objects::ObjectValidatorPre;
use super::v1::readings::ReadingValidatorPre;
use super::{Options, cut};
use crate::error::{Error, Kind, Result};
use crate::limits;
use crate::model::{Grant, Target, Tenant};
use crate::rules::Digest;
use crate::turns::Turns;
use crate::vitals::Vitals;

/// Where modules and their compiled code are kept. It is trusted: what it hands out as compiled code is run as it is.
pub trait CodeCache: Send + Sync {
    /// Code that was compiled of this module for this kind of engine.
    fn fetch<'a>(&'a self, digest: Digest, engine: &'a str) -> BoxFuture<'a, Result<Option<Bytes>>>;
    /// Keeps a module and its compiled code; to keep what is there already does nothing.
    fn keep<'a>(&'a self, digest: Digest, engine: &'a str, component: Bytes, code: Bytes) -> BoxFuture<'a, Result<()>>;
    /// The right to compile this module for this kind of engine. One in the fleet has it at a time; `None` where somebody else does.
    fn claim<'a>(&'a self, digest: Digest, engine: &'a str) -> BoxFuture<'a, Result<Option<Claim>>>;
    /// The module itself, as it was uploaded.
    fn component(&self, digest: Digest) -> BoxFuture<'_, Result<Option<Bytes>>>;
}

/// The right to compile a module, given back when it is dropped.
pub type Claim = Box<dyn Send>;

/// What a module is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModuleFacts {
    /// SHA-256 of its bytes.
    pub digest: Digest,
    /// What it checks.
    pub target: Target,
    /// The world that it targets.
    pub world: String,
    /// The version of the interface that it exports.
    pub version: String,
    /// The interfaces that it imports.
    pub imports: Vec<String>,
    /// What it must be granted for that.
    pub grants: Vec<Grant>,
    /// Its size in bytes.
    pub size: usize,
}

/// Compiled modules: in memory, in the cache behind it, or made.
pub(super) struct Modules {
    runtime: Arc<Runtime>,
    threads: Arc<Threads>,
    cache: Arc<dyn CodeCache>,
    compiler: Compiler,
    engine: String,
    loaded: Mutex<Shelf<Module>>,
    compiling: Turns,
    vitals: Arc<Vitals>,
}

/// A compiled module, ready to be instantiated.
#[derive(Clone)]
enum Module {
    Readings(ReadingValidatorPre<State>),
    Documents(DocumentValidatorPre<State>),
    Objects(ObjectValidatorPre<State>),
}

impl std::fmt::Debug for Modules {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Modules").field("compiler", &self.compiler).field("engine", &self.engine).finish_non_exhaustive()
    }
}

impl Modules {
    pub(super) fn new(
        runtime: Arc<Runtime>,
        threads: Arc<Threads>,
        cache: Arc<dyn CodeCache>,
        options: &Options,
        vitals: Arc<Vitals>,
    ) -> Result<Self> {
        let program = options.compiler.clone().map_or_else(std::env::current_exe, Ok).map_err(Error::internal)?;
        let compiler = Compiler { program, time: options.compile_time };
        let engine = kind(runtime.engine());
        let loaded = Mutex::new(Shelf::new(limits::MODULES_CACHED, limits::MODULES_CACHED_BYTES));
        Ok(Self { runtime, threads, cache, compiler, engine, loaded, compiling: Turns::new(limits::COMPILING), vitals })
    }

    /// A module that judges readings.
    pub(super) async fn readings(&self, tenant: &Tenant, digest: Digest) -> Result<ReadingValidatorPre<State>> {
        if let Module::Readings(module) = self.get(tenant, digest).await? { Ok(module) } else { Err(misplaced(digest)) }
    }

    /// A module that judges documents.
    pub(super) async fn documents(&self, tenant: &Tenant, digest: Digest) -> Result<DocumentValidatorPre<State>> {
        if let Module::Documents(module) = self.get(tenant, digest).await? { Ok(module) } else { Err(misplaced(digest)) }
    }

    /// A module that judges objects.
    pub(super) async fn objects(&self, tenant: &Tenant, digest: Digest) -> Result<ObjectValidatorPre<State>> {
        if let Module::Objects(module) = self.get(tenant, digest).await? { Ok(module) } else { Err(misplaced(digest)) }
    }

    async fn get(&self, tenant: &Tenant, digest: Digest) -> Result<Module> {
        let kept = self.loaded.lock().get(digest);
        if let Some(module) = kept {
            return Ok(module);
        }
        let code = if let Some(code) = self.cache.fetch(digest, &self.engine).await? {
            code
        } else {
            let missing = || Error::internal(format!("module {digest} is in a chain but its bytes are not kept"));
            let component = self.cache.component(digest).await?.ok_or_else(missing)?;
            self.compile(tenant, digest, component).await?
        };
        // It was checked when it was uploaded: that it does not load now is not its sender's affair.
        self.load(tenant, digest, code).await.map_err(|error| Error::internal(error.to_string()))
    }

    /// Looks at a module, compiles it and keeps it.
    pub(super) async fn inspect(&self, tenant: &Tenant, component: Bytes) -> Result<ModuleFacts> {
        let (looked_at, memory_bytes) = (component.clone(), self.runtime.memory_bytes());
        let facts = self.threads.run(tenant, move || look(&looked_at, memory_bytes)).await??;
        let code = match self.cache.fetch(facts.digest, &self.engine).await? {
            Some(code) => code,
            None => self.compile(tenant, facts.digest, component).await?,
        };
        // What the engine's own limits refuse is for whoever uploaded it, as what the look refuses.
        let module = self.load(tenant, facts.digest, code).await?;
        let runtime = Arc::clone(&self.runtime);
        self.threads.run(tenant, move || start(&runtime, &module)).await??;
        Ok(facts)
    }

    async fn load(&self, tenant: &Tenant, digest: Digest, code: Bytes) -> Result<Module> {
        let runtime = Arc::clone(&self.runtime);
        let bytes = code.len();
        // Tens of megabytes are copied and made executable.
        let prepared = self.threads.run(tenant, move || prepare(&runtime, &code)).await?;
        let module = prepared.map_err(|error| unfit(format!("{error:#}")))?;
        self.loaded.lock().put(tenant, digest, module.clone(), bytes);
        Ok(module)
    }

    /// Compiles in a child and keeps the result. Few at once, since each may take all the memory that one is allowed, and one at a time for
    /// a tenant. What another replica compiles is waited for: after an upgrade, all of them want the same modules at once.
    async fn compile(&self, tenant: &Tenant, digest: Digest, component: Bytes) -> Result<Bytes> {
        let _turn = self.compiling.take(tenant).await?;
        let _claim = loop {
            let claim = self.cache.claim(digest, &self.engine).await?;
            if let Some(code) = self.cache.fetch(digest, &self.engine).await? {
                return Ok(code);
            }
            if let Some(claim) = claim {
                break claim;
            }
            tokio::time::sleep(limits::COMPILED_ELSEWHERE_WAIT).await;
        };
        self.vitals.guest_compilations.inc();
        let time = self.compiler.time;
        let code = tokio::time::timeout(time, compile::in_child(&self.compiler, &component))
            .await
            .map_err(|_| unfit(format!("it takes longer than {} s to compile; make its functions smaller", time.as_secs())))??;
        self.cache.keep(digest, &self.engine, component, code.clone()).await?;
        Ok(code)
    }
}

/// Links a component with what there is to be granted, by the interface that it exports.
fn prepare(runtime: &Runtime, code: &[u8]) -> wasmtime::Result<Module> {
    let component = deserialise(runtime.engine(), code)?;
    let module = runtime.linker().instantiate_pre(&component)?;
    let exports = |interface: &str| component.get_export_index(None, interface).is_some();
    if exports("weir:validator/documents@1.1.0") {
        return DocumentValidatorPre::new(module).map(Module::Documents);
    }
    if exports("weir:validator/objects@1.1.0") {
        return ObjectValidatorPre::new(module).map(Module::Objects);
    }
    ReadingValidatorPre::new(module).map(Module::Readings)
}

/// Makes one instance, which is when the types of what it exports are compared. How it fares when it starts is for its calls to show: it may
/// depend on its configuration, or on how busy the machine is.
fn start(runtime: &Runtime, module: &Module) -> Result<()> {
    let mut store = runtime.store_for("{}".into(), runtime.memory_bytes(), None);
    let started = engine::call(runtime.widest(), limits::GUEST_OUTPUT_LEAST_BYTES, &mut store, async |store| match module {
        Module::Readings(module) => module.instantiate_async(store).await.map(|_| Ok(())),
        Module::Documents(module) => module.instantiate_async(store).await.map(|_| Ok(())),
        Module::Objects(module) => module.instantiate_async(store).await.map(|_| Ok(())),
    });
    if let Err(Fault::Answer(reason)) = started { Err(unfit(reason)) } else { Ok(()) }
}

/// Names the kind of engine: code of one kind runs on all engines of that kind.
fn kind(engine: &wasmtime::Engine) -> String {
    // The hasher of wasmtime's own cache is not public; this one is stable, which is all that is needed.
    let mut hasher = StableHasher::default();
    engine.precompile_compatibility_hash().hash(&mut hasher);
    format!("wasmtime-{}-{:016x}", env!("CARGO_PKG_VERSION"), hasher.finish())
}

/// SHA-256 as a `Hasher`: the standard library's own may differ between two builds of Weir.
#[derive(Default)]
struct StableHasher(sha2::Sha256);

impl std::hash::Hasher for StableHasher {
    fn write(&mut self, bytes: &[u8]) {
        sha2::Digest::update(&mut self.0, bytes);
    }

    fn finish(&self) -> u64 {
        let digest: [u8; 32] = sha2::Digest::finalize(self.0.clone()).into();
        digest.iter().take(8).fold(0, |number, byte| number << 8 | u64::from(*byte))
    }
}

/// A chain that leads to a module of another world: uploads are checked, so the catalogue is not as Weir wrote it.
fn misplaced(digest: Digest) -> Error {
    Error::internal(format!("module {digest} is in a chain of another world"))
}

fn unfit(reason: impl Into<String>) -> Error {
    // Names in it are the module's own.
    let reason = cut(&reason.into());
    Error::new(Kind::Refused, format!("The module cannot be used: {reason}.")).at("module", reason)
}

/// Compiled code becomes executable here, and nowhere else.
#[expect(
    unsafe_code,
    reason = "deserialising compiled code trusts where it comes from: the platform database, by digest and engine"
)]
fn deserialise(engine: &wasmtime::Engine, code: &[u8]) -> wasmtime::Result<Component> {
    // SAFETY: the bytes were made by `precompile_component` of this very engine kind in a process of our own, and kept in the platform
    // database, which is trusted with everything else as well. wasmtime checks version and settings itself.
    unsafe { Component::deserialize(engine, code) }
}
