//! From a component's bytes to something that runs: a look at the bytes, a compiler in a process of its own, and the cache.
//!
//! The bytes are looked at before anything is compiled: sizes, counts, world, version, imports. Compiling happens in a child with
//! limits on memory and time, since small modules can cost minutes and gigabytes. What is compiled once is kept for the fleet by the
//! digest of the bytes and the kind of engine.

use std::collections::HashMap;
use std::hash::{Hash as _, Hasher as _};
use std::io::{Read as _, Write as _};
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use parking_lot::Mutex;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::Semaphore;
use wasmparser::{Encoding, Parser, Payload};
use wasmtime::component::{Component, InstancePre};

use super::engine::{Runtime, broken, config};
use super::grants::State;
use super::v1;
use crate::error::{Error, Kind, Result};
use crate::limits;
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
    /// The world that it targets.
    pub world: String,
    /// The version of the WIT package.
    pub version: String,
    /// The interfaces that it imports.
    pub imports: Vec<String>,
    /// Its size in bytes.
    pub size: usize,
}

const EXPORT: &str = "weir:validator/readings@1.0.0";
const GRANTS: [&str; 2] = ["weir:validator/config@1.0.0", "weir:validator/log@1.0.0"];

/// Compiled modules: in memory, in the cache behind it, or made.
pub(super) struct Modules {
    runtime: Arc<Runtime>,
    cache: Arc<dyn CodeCache>,
    compiler: PathBuf,
    engine: String,
    loaded: Mutex<HashMap<Digest, Loaded>>,
    compiling: Semaphore,
}

struct Loaded {
    module: InstancePre<State>,
    used: u64,
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

    /// A module that runs.
    pub(super) async fn get(&self, digest: Digest) -> Result<InstancePre<State>> {
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
        self.load(digest, &code)
    }

    /// Looks at a module, compiles it and keeps it.
    pub(super) async fn inspect(&self, component: Bytes) -> Result<ModuleFacts> {
        let facts = look(&component)?;
        let code = match self.cache.fetch(facts.digest, &self.engine).await? {
            Some(code) => code,
            None => self.compile(facts.digest, component).await?,
        };
        self.load(facts.digest, &code)?;
        Ok(facts)
    }

    fn in_memory(&self, digest: Digest) -> Option<InstancePre<State>> {
        let mut loaded = self.loaded.lock();
        let now = loaded.values().map(|module| module.used).max().unwrap_or(0) + 1;
        let found = loaded.get_mut(&digest)?;
        found.used = now;
        Some(found.module.clone())
    }

    fn load(&self, digest: Digest, code: &[u8]) -> Result<InstancePre<State>> {
        let component = deserialise(self.runtime.engine(), code)?;
        let module =
            self.runtime.linker().instantiate_pre(&component).map_err(|error| unfit(format!("{:#}", error.root_cause())))?;
        v1::fits(&module).map_err(|error| unfit(format!("{:#}", error.root_cause())))?;
        let mut loaded = self.loaded.lock();
        if loaded.len() >= limits::MODULES_CACHED
            && let Some(oldest) = loaded.iter().min_by_key(|(_, module)| module.used).map(|(digest, _)| *digest)
        {
            loaded.remove(&oldest);
        }
        let used = loaded.values().map(|module| module.used).max().unwrap_or(0) + 1;
        loaded.insert(digest, Loaded { module: module.clone(), used });
        Ok(module)
    }

    /// Compiles in a child and keeps the result. Few at once: each may take all the memory that one is allowed.
    async fn compile(&self, digest: Digest, component: Bytes) -> Result<Bytes> {
        let _turn = self.compiling.acquire().await.map_err(Error::internal)?;
        if let Some(code) = self.cache.fetch(digest, &self.engine).await? {
            return Ok(code);
        }
        let code = tokio::time::timeout(limits::COMPILE_TIME, self.compile_in_child(&component)).await.map_err(|_| {
            unfit(format!("it takes longer than {} s to compile; make its functions smaller", limits::COMPILE_TIME.as_secs()))
        })??;
        self.cache.keep(digest, &self.engine, component, code.clone()).await?;
        Ok(code)
    }

    async fn compile_in_child(&self, component: &[u8]) -> Result<Bytes> {
        let mut child = tokio::process::Command::new(&self.compiler)
            .arg("compile-module")
            .env_clear()
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .map_err(Error::internal)?;
        let pipes = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let (Some(mut input), Some(output), Some(errors)) = pipes else {
            return Err(Error::internal("the compiler's pipes are missing"));
        };
        // A child that gave up reading says why on its standard error.
        let feed = async {
            let _ = input.write_all(component).await;
            drop(input);
        };
        let (mut code, mut said) = (Vec::new(), Vec::new());
        let mut output = output.take(limits::COMPILED_BYTES);
        let mut errors = errors.take(4 << 10);
        let ((), read, _) = tokio::join!(feed, output.read_to_end(&mut code), errors.read_to_end(&mut said));
        read.map_err(Error::internal)?;
        // What is left of it writes to nobody now.
        drop((output, errors));
        let status = child.wait().await.map_err(Error::internal)?;
        if status.success() {
            return Ok(code.into());
        }
        let said = String::from_utf8_lossy(&said);
        let reason = match (status.code(), said.lines().next().unwrap_or("").trim()) {
            (Some(_), line) if !line.is_empty() => line.trim_start_matches("weir: ").to_owned(),
            _ => format!("the compiler ended with {status}: it needs more than {} MiB", limits::COMPILE_MEMORY_BYTES >> 20),
        };
        Err(unfit(reason))
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

fn unfit(reason: impl Into<String>) -> Error {
    let reason = reason.into();
    Error::new(Kind::Refused, format!("The module cannot be used: {reason}.")).at("module", reason)
}

/// Looks at the bytes: is it a component, of which world, within the bounds?
fn look(component: &[u8]) -> Result<ModuleFacts> {
    if component.is_empty() {
        return Err(unfit("the body is empty; send the component's bytes"));
    }
    if !component.starts_with(b"\0asm") {
        return Err(unfit("these are not the bytes of a WebAssembly component; they begin with `\\0asm`"));
    }
    if !Parser::is_component(component) {
        return Err(unfit("it is a core module; make a component of it, as `cargo component`, `jco` and `componentize-py` do"));
    }
    let mut seen = Seen::default();
    seen.read(component)?;
    if !seen.exports.iter().any(|export| export == EXPORT) {
        let found = if seen.exports.is_empty() { "nothing".to_owned() } else { seen.exports.join(", ") };
        return Err(unfit(format!("it exports {found}; the world `reading-validator` exports `{EXPORT}`")));
    }
    if let Some(foreign) = seen.imports.iter().find(|import| !is_granted(import)) {
        return Err(unfit(format!(
            "it imports `{foreign}`, which Weir does not offer; it offers {} and WASI 0.2",
            GRANTS.join(", ")
        )));
    }
    Ok(ModuleFacts {
        digest: Digest::of(component),
        world: "reading-validator".to_owned(),
        version: "1.0.0".to_owned(),
        imports: seen.imports,
        size: component.len(),
    })
}

/// WASI is offered with nothing in it, so that guests of any toolchain load.
fn is_granted(import: &str) -> bool {
    let wasi = ["wasi:cli/", "wasi:clocks/", "wasi:filesystem/", "wasi:io/", "wasi:random/", "wasi:sockets/"];
    GRANTS.contains(&import) || (wasi.iter().any(|package| import.starts_with(package)) && import.contains("@0.2."))
}

/// What a component's sections say.
#[derive(Default)]
struct Seen {
    imports: Vec<String>,
    exports: Vec<String>,
    functions: usize,
}

impl Seen {
    fn read(&mut self, component: &[u8]) -> Result<()> {
        let malformed = |error: wasmparser::BinaryReaderError| unfit(format!("its bytes are not sound: {error}"));
        wasmparser::Validator::new_with_features(wasmparser::WasmFeatures::default())
            .validate_all(component)
            .map_err(malformed)?;
        let mut depth = 0_u32;
        for payload in Parser::new(0).parse_all(component) {
            match payload.map_err(malformed)? {
                Payload::Version { encoding: Encoding::Component | Encoding::Module, .. } => depth += 1,
                Payload::End(_) => depth = depth.saturating_sub(1),
                Payload::ComponentImportSection(section) if depth == 1 => {
                    for import in section {
                        self.imports.push(import.map_err(malformed)?.name.name.to_owned());
                    }
                }
                Payload::ComponentExportSection(section) if depth == 1 => {
                    for export in section {
                        self.exports.push(export.map_err(malformed)?.name.name.to_owned());
                    }
                }
                Payload::CodeSectionEntry(body) => self.function(&body).map_err(malformed)??,
                _ => {}
            }
        }
        Ok(())
    }

    /// What costs a compiler most: the number of functions, and the locals of one.
    fn function(&mut self, body: &wasmparser::FunctionBody<'_>) -> Result<Result<()>, wasmparser::BinaryReaderError> {
        self.functions += 1;
        let mut locals = 0_usize;
        for group in body.get_locals_reader()? {
            locals = locals.saturating_add(group?.0 as usize);
        }
        Ok(if self.functions > limits::MODULE_FUNCTIONS {
            Err(unfit(format!("it has more than {} functions", limits::MODULE_FUNCTIONS)))
        } else if locals > limits::FUNCTION_LOCALS {
            Err(unfit(format!("one of its functions has {locals} locals; {} are allowed", limits::FUNCTION_LOCALS)))
        } else {
            Ok(())
        })
    }
}

/// The child's side: a component on standard input, its code on standard output, within limits that it sets itself.
pub fn compile_stdin_to_stdout() -> Result<()> {
    let seconds = limits::COMPILE_TIME.as_secs();
    rlimit::Resource::CPU.set(seconds * 2, seconds * 2).map_err(Error::internal)?;
    rlimit::Resource::AS.set(limits::COMPILE_MEMORY_BYTES, limits::COMPILE_MEMORY_BYTES).map_err(Error::internal)?;
    rlimit::Resource::CORE.set(0, 0).map_err(Error::internal)?;
    let mut component = Vec::new();
    std::io::stdin().take(limits::MODULE_BYTES as u64 + 1).read_to_end(&mut component).map_err(Error::internal)?;
    let engine = wasmtime::Engine::new(&config()).map_err(broken)?;
    let code = engine
        .precompile_component(&component)
        .map_err(|error| Error::new(Kind::Refused, format!("it does not compile: {:#}", error.root_cause())))?;
    std::io::stdout().write_all(&code).map_err(Error::internal)
}

/// Compiled code becomes executable here, and nowhere else.
#[expect(
    unsafe_code,
    reason = "deserialising compiled code trusts where it comes from: the platform database, by digest and engine"
)]
fn deserialise(engine: &wasmtime::Engine, code: &[u8]) -> Result<Component> {
    // SAFETY: the bytes were made by `precompile_component` of this very engine kind in a process of our own, and kept in the platform
    // database, which is trusted with everything else as well. wasmtime checks version and settings itself.
    unsafe { Component::deserialize(engine, code) }.map_err(broken)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reason(component: &[u8]) -> String {
        look(component).expect_err("it is refused").sentence().to_owned()
    }

    #[test]
    fn what_is_no_component_is_told_what_it_is() {
        assert!(reason(b"").contains("the body is empty"));
        assert!(reason(b"#!/bin/sh").contains("not the bytes of a WebAssembly component"));
        assert!(reason(b"\0asm\x01\0\0\0").contains("it is a core module"));
        assert!(reason(b"\0asm\x0d\0\x01\0\xff").contains("not sound"));
    }

    #[test]
    fn an_empty_component_is_told_what_to_export() {
        assert!(reason(b"\0asm\x0d\0\x01\0").contains("it exports nothing; the world `reading-validator` exports"));
    }

    #[test]
    fn wasi_is_granted_in_its_second_preview_only() {
        assert!(is_granted("wasi:cli/environment@0.2.3"));
        assert!(!is_granted("wasi:http/outgoing-handler@0.2.3"));
        assert!(!is_granted("wasi:cli/environment@0.3.0"));
    }
}
