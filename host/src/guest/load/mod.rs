//! From a component's bytes to something that runs: a look at the bytes, a compiler in a process of its own, and the cache.
//!
//! The bytes are looked at before anything is compiled: sizes, counts, world, version, imports. Compiling happens in a child with
//! limits on memory and time, since small modules can cost minutes and gigabytes. What is compiled once is kept for the fleet by the
//! digest of the bytes and the kind of engine.

mod compile;
mod look;
pub mod signature;

use std::collections::HashMap;
use std::hash::{Hash as _, Hasher as _};
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use parking_lot::Mutex;
use tokio::sync::Semaphore;
use wasmtime::component::Component;

pub use self::compile::compile_stdin_to_stdout;
pub use self::look::look;
use super::engine::Runtime;
use super::grants::State;
use super::v1::documents::DocumentValidatorPre;
use super::v1::objects::ObjectValidatorPre;
use super::v1::readings::ReadingValidatorPre;
use crate::error::{Error, Kind, Result};
use crate::limits;
use crate::model::{Grant, Target};
use crate::rules::Digest;

/// Where modules and their compiled code are kept. It is trusted: what it hands out as compiled code is run as it is.
pub trait CodeCache: Send + Sync {
    /// Code that was compiled of this module for this kind of engine.
    fn fetch<'a>(&'a self, digest: Digest, engine: &'a str) -> BoxFuture<'a, Result<Option<Bytes>>>;
    /// Keeps a module and its compiled code; to keep what is there already does nothing.
    fn keep<'a>(&'a self, digest: Digest, engine: &'a str, component: Bytes, code: Bytes) -> BoxFuture<'a, Result<()>>;
    /// The module itself, as it was uploaded.
    fn component(&self, digest: Digest) -> BoxFuture<'_, Result<Option<Bytes>>>;
}

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
    cache: Arc<dyn CodeCache>,
    compiler: PathBuf,
    engine: String,
    loaded: Mutex<Loaded>,
    compiling: Semaphore,
}

/// A compiled module, ready to be instantiated.
#[derive(Clone)]
enum Module {
    Readings(ReadingValidatorPre<State>),
    Documents(DocumentValidatorPre<State>),
    Objects(ObjectValidatorPre<State>),
}

/// What is in memory; `clock` counts its uses, so that the longest unused can go.
#[derive(Default)]
struct Loaded {
    modules: HashMap<Digest, (Module, u64)>,
    clock: u64,
}

impl std::fmt::Debug for Modules {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Modules").field("compiler", &self.compiler).field("engine", &self.engine).finish_non_exhaustive()
    }
}

impl Modules {
    pub(super) fn new(runtime: Arc<Runtime>, cache: Arc<dyn CodeCache>, compiler: Option<PathBuf>) -> Result<Self> {
        let compiler = compiler.map_or_else(std::env::current_exe, Ok).map_err(Error::internal)?;
        let engine = kind(runtime.engine());
        Ok(Self { runtime, cache, compiler, engine, loaded: Mutex::default(), compiling: Semaphore::new(limits::COMPILING) })
    }

    /// A module that judges readings.
    pub(super) async fn readings(&self, digest: Digest) -> Result<ReadingValidatorPre<State>> {
        if let Module::Readings(module) = self.get(digest).await? { Ok(module) } else { Err(misplaced(digest)) }
    }

    /// A module that judges documents.
    pub(super) async fn documents(&self, digest: Digest) -> Result<DocumentValidatorPre<State>> {
        if let Module::Documents(module) = self.get(digest).await? { Ok(module) } else { Err(misplaced(digest)) }
    }

    /// A module that judges objects.
    pub(super) async fn objects(&self, digest: Digest) -> Result<ObjectValidatorPre<State>> {
        if let Module::Objects(module) = self.get(digest).await? { Ok(module) } else { Err(misplaced(digest)) }
    }

    async fn get(&self, digest: Digest) -> Result<Module> {
        if let Some(module) = self.in_memory(digest) {
            return Ok(module);
        }
        let code = if let Some(code) = self.cache.fetch(digest, &self.engine).await? {
            code
        } else {
            let missing = || Error::internal(format!("module {digest} is in a chain but its bytes are not kept"));
            let component = self.cache.component(digest).await?.ok_or_else(missing)?;
            self.compile(digest, component).await?
        };
        // It was checked when it was uploaded: that it does not load now is not its sender's affair.
        self.load(digest, &code).map_err(|error| Error::internal(error.to_string()))
    }

    /// Looks at a module, compiles it and keeps it.
    pub(super) async fn inspect(&self, component: Bytes) -> Result<ModuleFacts> {
        let facts = look(&component)?;
        let code = match self.cache.fetch(facts.digest, &self.engine).await? {
            Some(code) => code,
            None => self.compile(facts.digest, component).await?,
        };
        // What the engine's own limits refuse is for whoever uploaded it, as what the look refuses.
        self.load(facts.digest, &code)?;
        Ok(facts)
    }

    fn in_memory(&self, digest: Digest) -> Option<Module> {
        let mut loaded = self.loaded.lock();
        loaded.clock += 1;
        let now = loaded.clock;
        let (module, used) = loaded.modules.get_mut(&digest)?;
        *used = now;
        Some(module.clone())
    }

    fn load(&self, digest: Digest, code: &[u8]) -> Result<Module> {
        let component = deserialise(self.runtime.engine(), code);
        let module = component.and_then(|component| self.prepare(&component));
        let module = module.map_err(|error| unfit(format!("{:#}", error.root_cause())))?;
        let mut loaded = self.loaded.lock();
        loaded.clock += 1;
        let now = loaded.clock;
        if loaded.modules.len() >= limits::MODULES_CACHED
            && let Some(oldest) = loaded.modules.iter().min_by_key(|(_, (_, used))| *used).map(|(digest, _)| *digest)
        {
            loaded.modules.remove(&oldest);
        }
        loaded.modules.insert(digest, (module.clone(), now));
        Ok(module)
    }

    /// Links a component with what there is to be granted, by the interface that it exports.
    fn prepare(&self, component: &Component) -> wasmtime::Result<Module> {
        let module = self.runtime.linker().instantiate_pre(component)?;
        let exports = |interface: &str| component.get_export_index(None, interface).is_some();
        if exports("weir:validator/documents@1.1.0") {
            return DocumentValidatorPre::new(module).map(Module::Documents);
        }
        if exports("weir:validator/objects@1.1.0") {
            return ObjectValidatorPre::new(module).map(Module::Objects);
        }
        ReadingValidatorPre::new(module).map(Module::Readings)
    }

    /// Compiles in a child and keeps the result. Few at once: each may take all the memory that one is allowed.
    async fn compile(&self, digest: Digest, component: Bytes) -> Result<Bytes> {
        let _turn = self.compiling.acquire().await.map_err(Error::internal)?;
        if let Some(code) = self.cache.fetch(digest, &self.engine).await? {
            return Ok(code);
        }
        let code =
            tokio::time::timeout(limits::COMPILE_TIME, compile::in_child(&self.compiler, &component)).await.map_err(|_| {
                unfit(format!("it takes longer than {} s to compile; make its functions smaller", limits::COMPILE_TIME.as_secs()))
            })??;
        self.cache.keep(digest, &self.engine, component, code.clone()).await?;
        Ok(code)
    }
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
    let reason = reason.into();
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
