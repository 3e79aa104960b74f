//! `weir validator build`: runs a language's own tools, makes a component of what comes out, and puts the cases in.
//!
//! What is missing is said together with the command that installs it; what the tools say goes to standard error as it is.

use std::io::{ErrorKind, Read as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::{env, fs};

use wit_component::ComponentEncoder;

use super::Failure;
use super::project::{Language, Project};
use crate::{cases, limits};

const RUST_TARGET: &str = "wasm32-unknown-unknown";

/// What was built.
#[derive(Debug)]
pub(super) struct Built {
    pub(super) path: PathBuf,
    pub(super) size: usize,
    pub(super) cases: usize,
}

/// Builds a project.
pub(super) fn run(project: &Project) -> Result<Built, Failure> {
    let component = match project.lang {
        Language::Rust => rust(project)?,
        Language::Js => javascript(project)?,
        Language::Python => python(project)?,
        Language::C => c(project)?,
    };
    let path = project.folder.join("cases.json");
    let component = match fs::read(&path) {
        Ok(json) => cases::append(&component, &json).map_err(|error| Failure(format!("{}: {error}", path.display())))?,
        Err(error) if error.kind() == ErrorKind::NotFound => component,
        Err(error) => return Err(unreadable(&path, &error)),
    };
    if component.len() > limits::MODULE_BYTES {
        let (size, most) = (component.len() >> 20, limits::MODULE_BYTES >> 20);
        return Err(Failure(format!("the component has {size} MiB; Weir takes {most} MiB")));
    }
    let carried = cases::of(&component)?;
    for case in &carried {
        if let Some(misplaced) = case.misplaced(project.target.into()) {
            return Err(Failure(format!("{}: the case `{}` does not fit: {misplaced}", path.display(), case.name)));
        }
    }
    let built = Built { path: project.component(), size: component.len(), cases: carried.len() };
    fs::write(&built.path, component).map_err(|error| Failure(format!("{} cannot be written: {error}", built.path.display())))?;
    Ok(built)
}

fn rust(project: &Project) -> Result<Vec<u8>, Failure> {
    let missing = "cargo is missing: install Rust with rustup (https://rustup.rs)";
    let sysroot = said(Command::new("rustc").args(["--print", "sysroot"]).current_dir(&project.folder), missing)?;
    if !Path::new(sysroot.trim()).join("lib/rustlib").join(RUST_TARGET).exists() {
        let install = format!("`rustup target add {RUST_TARGET}`, or Debian 13's package libstd-rust-dev-wasm32");
        return Err(Failure(format!("the standard library for {RUST_TARGET} is missing: {install}")));
    }
    let mut cargo = Command::new("cargo");
    cargo.args(["build", "--release", "--target", RUST_TARGET, "--message-format", "json-render-diagnostics"]);
    let messages = said(cargo.current_dir(&project.folder), missing)?;
    let module = messages.lines().rev().find_map(built_module);
    let module =
        module.ok_or_else(|| Failure("cargo built no module: Cargo.toml needs `crate-type = [\"cdylib\"]`".to_owned()))?;
    componentize(&fs::read(&module).map_err(|error| unreadable(Path::new(&module), &error))?)
}

/// The module that a line of cargo's messages speaks of.
fn built_module(line: &str) -> Option<String> {
    let message: serde_json::Value = serde_json::from_str(line).ok()?;
    let files = message.get("filenames")?.as_array()?;
    files.iter().filter_map(serde_json::Value::as_str).find(|file| has_ending(Path::new(file), "wasm")).map(str::to_owned)
}

/// The world that a script is built for: the project's own, where it has one, else that of what it judges. These tools import all of a
/// world, whether the script uses it or not, and what is imported has to be granted.
fn world(project: &Project) -> &'static str {
    if project.folder.join("wit/project.wit").exists() { "project" } else { project.target.world() }
}

fn javascript(project: &Project) -> Result<Vec<u8>, Failure> {
    let tool = tool(&project.folder, "node_modules/.bin/componentize-qjs");
    let mut command = Command::new(tool);
    // `--sync`: without the asynchronous interface. `--stub-wasi`: Weir's WASI has nothing in it, so nothing is lost.
    command.args(["--sync", "--stub-wasi", "--wit", "wit", "--world", world(project), "--js", "main.js", "--output"]);
    let missing = format!("componentize-qjs is missing: run `npm install` in {}", project.folder.display());
    into_file(project, &mut command, &missing)
}

fn python(project: &Project) -> Result<Vec<u8>, Failure> {
    let tool = tool(&project.folder, ".venv/bin/componentize-py");
    let mut command = Command::new(tool);
    command.args(["--quiet", "--wit-path", "wit", "--world", world(project)]);
    command.args(["componentize", "--stub-wasi", "--python-path", ".", "app", "--output"]);
    let missing = format!(
        "componentize-py is missing: run `python3 -m venv .venv && .venv/bin/pip install -r requirements.txt` in {}",
        project.folder.display()
    );
    into_file(project, &mut command, &missing)
}

fn c(project: &Project) -> Result<Vec<u8>, Failure> {
    let packages = "on Debian: `apt-get install clang lld wasi-libc libclang-rt-dev-wasm32`; elsewhere unpack the WASI SDK \
                    (https://github.com/WebAssembly/wasi-sdk) and set WASI_SDK_PATH";
    let sdk = env::var_os("WASI_SDK_PATH").map(PathBuf::from);
    let tool = |name: &str| sdk.as_ref().map_or_else(|| PathBuf::from(name), |sdk| sdk.join("bin").join(name));
    for name in ["clang", "wasm-ld"] {
        said(Command::new(tool(name)).arg("--version"), &format!("{name} is missing; {packages}"))?;
    }
    let sources = c_sources(&project.folder)?;
    let mut clang = Command::new(tool("clang"));
    clang.args(["--target=wasm32-wasi", "-std=c11", "-Os", "-Wall", "-Wextra", "-Wno-unused-parameter"]);
    clang.args(["-nostartfiles", "-Wl,--no-entry", "-Wl,--strip-debug"]).args(sources).arg("-o");
    let core = into_file(project, &mut clang, packages);
    let core = core.map_err(|Failure(line)| Failure(format!("{line} (where it misses stdio.h or libc: {packages})")))?;
    componentize(&core)
}

/// All C of the project that is no test, and the object file in which the interface is described.
fn c_sources(folder: &Path) -> Result<Vec<PathBuf>, Failure> {
    let mut sources = Vec::new();
    for inside in ["", "bindings"] {
        let path = folder.join(inside);
        for entry in fs::read_dir(&path).map_err(|error| unreadable(&path, &error))? {
            let name = entry.map_err(|error| unreadable(&path, &error))?.file_name();
            let test = name.to_string_lossy().starts_with("test");
            let source = Path::new(inside).join(name);
            if (inside == "bindings" && has_ending(&source, "o")) || (has_ending(&source, "c") && !test) {
                sources.push(source);
            }
        }
    }
    sources.sort();
    Ok(sources)
}

fn has_ending(path: &Path, ending: &str) -> bool {
    path.extension().is_some_and(|found| found == ending)
}

/// The project's own copy of a tool, or else the one that the shell finds.
fn tool(folder: &Path, own: &str) -> PathBuf {
    let own = folder.join(own);
    match (own.canonicalize(), own.file_name()) {
        (Err(_), Some(name)) => PathBuf::from(name),
        _ => std::path::absolute(&own).unwrap_or(own),
    }
}

/// Runs a tool that writes to the file that its last argument names, and reads that file.
fn into_file(project: &Project, command: &mut Command, missing: &str) -> Result<Vec<u8>, Failure> {
    let name = format!(".{}.part", project.name);
    let path = project.folder.join(&name);
    let run = said(command.arg(&name).current_dir(&project.folder), missing);
    let made = fs::read(&path);
    let _ = fs::remove_file(&path);
    run?;
    made.map_err(|error| unreadable(&path, &error))
}

/// Runs a tool; what it says on standard output is the answer, on standard error is for the developer.
fn said(command: &mut Command, missing: &str) -> Result<String, Failure> {
    let program = Path::new(command.get_program()).file_name().unwrap_or_default().to_string_lossy().into_owned();
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().map_err(|error| match error.kind() {
        ErrorKind::NotFound => Failure(missing.to_owned()),
        _ => Failure(format!("{program} cannot be run: {error}")),
    })?;
    let mut said = String::new();
    if let Some(mut output) = child.stdout.take() {
        output.read_to_string(&mut said).map_err(|error| Failure(format!("{program} says what is no text: {error}")))?;
    }
    let status = child.wait()?;
    if status.success() {
        return Ok(said);
    }
    // Some tools complain on standard output.
    eprint_text(&said);
    Err(Failure(format!("{program} failed ({status}); what it says is above")))
}

fn eprint_text(text: &str) {
    use std::io::Write as _;
    let _ = std::io::stderr().write_all(text.as_bytes());
}

/// Makes a component of a core module that `wit-bindgen` has described.
fn componentize(module: &[u8]) -> Result<Vec<u8>, Failure> {
    let made = ComponentEncoder::default().validate(true).module(module).and_then(|mut encoder| encoder.encode());
    made.map_err(|error| {
        let chain = format!("{error:#}").split_whitespace().collect::<Vec<_>>().join(" ");
        Failure(format!("no component can be made of the module: {chain}"))
    })
}

fn unreadable(path: &Path, error: &std::io::Error) -> Failure {
    Failure(format!("{} cannot be read: {error}", path.display()))
}
