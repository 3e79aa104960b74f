//! The compiler, in a process of its own: it validates and compiles, behind everything else in line for a core, and ends with whatever
//! a module does to it.

use std::io::{Read as _, Write as _};
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::unfit;
use crate::error::{Error, Kind, Result};
use crate::guest::engine::{broken, config};
use crate::limits;

/// The program that compiles, and how long it may take.
#[derive(Debug)]
pub(super) struct Compiler {
    pub(super) program: PathBuf,
    pub(super) time: Duration,
}

/// Has a component compiled by `compile-module` of that program.
pub(super) async fn in_child(compiler: &Compiler, component: &[u8]) -> Result<Bytes> {
    let mut child = tokio::process::Command::new(&compiler.program)
        .args(["compile-module", "--seconds", &compiler.time.as_secs().to_string()])
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
        // Its words have gone where its memory or its time went.
        _ => format!(
            "the compiler gave it up ({status}): it takes more than {} MiB or {} s of a core; make its functions smaller",
            limits::COMPILE_MEMORY_BYTES >> 20,
            compiler.time.as_secs()
        ),
    };
    Err(unfit(reason))
}

/// The child's side: a component on standard input, its code on standard output, within limits that it sets itself. It is given so many
/// seconds.
pub fn compile_stdin_to_stdout(seconds: u64) -> Result<()> {
    rlimit::Resource::CPU.set(seconds, seconds.saturating_add(1)).map_err(Error::internal)?;
    rlimit::Resource::AS.set(limits::COMPILE_MEMORY_BYTES, limits::COMPILE_MEMORY_BYTES).map_err(Error::internal)?;
    rlimit::Resource::CORE.set(0, 0).map_err(Error::internal)?;
    // Where it is refused, the compiler only has more of the machine than it should.
    let _ = rustix::process::nice(limits::COMPILE_NICE);
    let mut component = Vec::new();
    std::io::stdin().take(limits::MODULE_BYTES as u64 + 1).read_to_end(&mut component).map_err(Error::internal)?;
    let engine = wasmtime::Engine::new(&config()).map_err(broken)?;
    let code = engine
        .precompile_component(&component)
        .map_err(|error| Error::new(Kind::Refused, format!("it does not compile: {:#}", error.root_cause())))?;
    std::io::stdout().write_all(&code).map_err(Error::internal)
}
