//! `weir-componentize IN.wasm OUT.wasm [CASES.json]` makes a component of a core module.
//!
//! `cargo build --target wasm32-unknown-unknown` ends at a core module; what Weir runs is a component. The interface that the
//! module implements is already in it, in a custom section that `wit-bindgen` wrote. Cases become a custom section of the component;
//! whoever runs them looks whether they are sound.

use std::ffi::OsString;
use std::path::Path;
use std::process::ExitCode;
use std::{env, fs};

use wit_component::ComponentEncoder;

/// The custom section in which Weir looks for cases.
const CASES: &str = "weir:cases";
/// What every module starts with, whatever its kind.
const MAGIC: &[u8] = b"\0asm";
/// The four bytes after the magic where the module is a core module; a component has others.
const CORE_VERSION: &[u8] = &[1, 0, 0, 0];

fn main() -> ExitCode {
    let arguments: Vec<OsString> = env::args_os().skip(1).collect();
    let (input, output, cases) = match arguments.as_slice() {
        [input, output] => (input, output, None),
        [input, output, cases] => (input, output, Some(Path::new(cases))),
        _ => return fail("give two paths or three: weir-componentize IN.wasm OUT.wasm [CASES.json]"),
    };
    match convert(Path::new(input), Path::new(output), cases) {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => fail(&problem),
    }
}

fn fail(problem: &str) -> ExitCode {
    eprintln!("weir-componentize: {problem}");
    ExitCode::FAILURE
}

/// Reads a core module and writes the component; a problem is one line.
fn convert(input: &Path, output: &Path, cases: Option<&Path>) -> Result<(), String> {
    let read = |path: &Path| fs::read(path).map_err(|error| format!("cannot read {}: {error}", path.display()));
    let mut component = componentize(&read(input)?).map_err(|problem| format!("{}: {problem}", input.display()))?;
    if let Some(cases) = cases {
        put_section(&mut component, CASES, &read(cases)?);
    }
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

/// Puts a custom section at the end: a zero, its size, its name with the size of that, what is in it.
fn put_section(component: &mut Vec<u8>, name: &str, content: &[u8]) {
    let mut section = Vec::new();
    put_size(&mut section, name.len());
    section.extend_from_slice(name.as_bytes());
    section.extend_from_slice(content);
    component.push(0);
    put_size(component, section.len());
    component.append(&mut section);
}

/// A number as WebAssembly has it (LEB128): seven bits a byte, the lowest first.
fn put_size(bytes: &mut Vec<u8>, mut size: usize) {
    loop {
        let [low, ..] = size.to_le_bytes();
        size >>= 7;
        bytes.push(if size == 0 { low & 0x7f } else { low | 0x80 });
        if size == 0 {
            return;
        }
    }
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

    #[test]
    fn a_section_has_its_name_and_its_sizes() {
        let mut component = b"\0asm\x0d\0\x01\0".to_vec();
        put_section(&mut component, "ab", &[7; 300]);
        assert_eq!(component[8..14], [0, 0xaf, 0x02, 2, b'a', b'b']);
        assert_eq!(component.len(), 8 + 3 + 303);
    }
}
