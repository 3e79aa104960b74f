//! `weir-componentize IN.wasm OUT.wasm` makes a component of a core module.
//!
//! `cargo build --target wasm32-unknown-unknown` ends at a core module; what Weir runs is a component. The interface that the
//! module implements is already in it, in a custom section that `wit-bindgen` wrote.

use std::ffi::OsString;
use std::path::Path;
use std::process::ExitCode;
use std::{env, fs};

use wit_component::ComponentEncoder;

/// What every module starts with, whatever its kind.
const MAGIC: &[u8] = b"\0asm";
/// The four bytes after the magic where the module is a core module; a component has others.
const CORE_VERSION: &[u8] = &[1, 0, 0, 0];

fn main() -> ExitCode {
    let arguments: Vec<OsString> = env::args_os().skip(1).collect();
    let [input, output] = arguments.as_slice() else {
        return fail("give two paths: weir-componentize IN.wasm OUT.wasm");
    };
    match convert(Path::new(input), Path::new(output)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => fail(&problem),
    }
}

fn fail(problem: &str) -> ExitCode {
    eprintln!("weir-componentize: {problem}");
    ExitCode::FAILURE
}

/// Reads a core module and writes the component; a problem is one line.
fn convert(input: &Path, output: &Path) -> Result<(), String> {
    let module = fs::read(input).map_err(|error| format!("cannot read {}: {error}", input.display()))?;
    let component = componentize(&module).map_err(|problem| format!("{}: {problem}", input.display()))?;
    fs::write(output, component).map_err(|error| format!("cannot write {}: {error}", output.display()))
}

/// Makes the component's bytes of the module's, and checks that they are a valid component.
fn componentize(module: &[u8]) -> Result<Vec<u8>, String> {
    match module.strip_prefix(MAGIC) {
        None => return Err("this is no WebAssembly module".to_owned()),
        Some(rest) if !rest.starts_with(CORE_VERSION) => {
            return Err("this is a component already, or of an unknown version: give the core module that cargo built".to_owned());
        }
        Some(_) => {}
    }
    // Alternate form prints the chain of causes on one line, though a cause may have line breaks of its own.
    let one_line = |error: String| error.split_whitespace().collect::<Vec<_>>().join(" ");
    ComponentEncoder::default()
        .validate(true)
        .module(module)
        .and_then(ComponentEncoder::encode)
        .map_err(|error| one_line(format!("cannot make a component of it: {error:#}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_core_module_is_refused_in_one_line() {
        assert_eq!(componentize(b"hello"), Err("this is no WebAssembly module".to_owned()));
        assert!(componentize(b"\0asm\x0d\0\x01\0").is_err_and(|problem| problem.starts_with("this is a component already")));
        assert!(componentize(b"\0asm\x01\0\0\0rubbish").is_err_and(|problem| !problem.contains('\n')));
    }

    #[test]
    fn an_empty_module_is_a_component_without_exports() {
        assert!(componentize(b"\0asm\x01\0\0\0").is_ok_and(|component| component.starts_with(b"\0asm\x0d\0\x01\0")));
    }
}
