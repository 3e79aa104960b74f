//! The compiler, in a process of its own.

use std::io::{Read as _, Write as _};
use std::path::Path;
use std::process::Stdio;

use bytes::Bytes;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::unfit;
use crate::error::{Error, Kind, Result};
use crate::guest::engine::{broken, config};
use crate::limits;

/// Has a component compiled by `compiler compile-module`.
pub(super) async fn in_child(compiler: &Path, component: &[u8]) -> Result<Bytes> {
    let mut child = tokio::process::Command::new(compiler)
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
