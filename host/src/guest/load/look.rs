//! A look at a component's bytes, before anything is compiled: is it one, of which world, within the bounds?

use wasmparser::{Encoding, Parser, Payload};

use super::{ModuleFacts, unfit};
use crate::error::Result;
use crate::limits;
use crate::model::{Grant, Target};
use crate::rules::Digest;

/// The package of Weir's own interfaces.
const PACKAGE: &str = "weir:validator";
/// The newest version `1.MINOR` that this host speaks; it runs guests of every older one.
const MINOR: u64 = 1;

/// Looks at the bytes: is it a component, of which world, within the bounds?
pub fn look(component: &[u8]) -> Result<ModuleFacts> {
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
    let (target, version) = seen.world()?;
    let mut grants = Vec::new();
    for import in &seen.imports {
        match offered(import) {
            Some(Offer::Wasi) => {}
            Some(Offer::Grant(grant)) => grants.push(grant),
            None => {
                return Err(unfit(format!(
                    "it imports `{import}`, which Weir does not offer; it offers {} of `{PACKAGE}@1.0` to `@1.{MINOR}`, and WASI 0.2",
                    Grant::ALL.map(Grant::as_str).join(", ")
                )));
            }
        }
    }
    Ok(ModuleFacts {
        digest: Digest::of(component),
        target,
        world: world(target).to_owned(),
        version,
        imports: seen.imports,
        grants,
        size: component.len(),
    })
}

/// The world of what checks these.
fn world(target: Target) -> &'static str {
    match target {
        Target::Readings => "reading-validator",
        Target::Documents => "document-validator",
        Target::Objects => "object-validator",
    }
}

/// What an import is answered with.
#[derive(Debug, PartialEq, Eq)]
enum Offer {
    Grant(Grant),
    /// WASI is offered with nothing in it, so that guests of any toolchain load.
    Wasi,
}

fn offered(import: &str) -> Option<Offer> {
    let wasi = ["wasi:cli/", "wasi:clocks/", "wasi:filesystem/", "wasi:io/", "wasi:random/", "wasi:sockets/"];
    if wasi.iter().any(|package| import.starts_with(package)) && import.contains("@0.2.") {
        return Some(Offer::Wasi);
    }
    let (interface, _) = own(import)?;
    Grant::parse(interface).map(Offer::Grant)
}

/// An interface of Weir's own package in a version that this host speaks: its name and that version.
fn own(name: &str) -> Option<(&str, &str)> {
    let (interface, version) = name.strip_prefix(PACKAGE)?.strip_prefix('/')?.split_once('@')?;
    let (minor, _) = version.strip_prefix("1.")?.split_once('.')?;
    let minor: u64 = minor.parse().ok()?;
    (minor <= MINOR).then_some((interface, version))
}

/// What a component's sections say.
#[derive(Default)]
struct Seen {
    imports: Vec<String>,
    exports: Vec<String>,
    functions: usize,
}

impl Seen {
    /// What the component checks, by its one export, and in which version.
    fn world(&self) -> Result<(Target, String)> {
        let worlds = self.exports.iter().filter_map(|export| own(export)).filter_map(|(interface, version)| {
            let target = Target::parse(interface)?;
            Some((target, version.to_owned()))
        });
        let worlds: Vec<(Target, String)> = worlds.collect();
        match <[_; 1]>::try_from(worlds) {
            Ok([world]) => Ok(world),
            Err(worlds) if worlds.is_empty() => {
                let found = if self.exports.is_empty() { "nothing".to_owned() } else { self.exports.join(", ") };
                let worlds =
                    Target::ALL.map(|target| format!("`{}` exports `{PACKAGE}/{}@1.{MINOR}.0`", world(target), target.as_str()));
                Err(unfit(format!("it exports {found}; the world {}", worlds.join(", "))))
            }
            Err(_) => Err(unfit("it exports more than one of Weir's interfaces; a module is of one world".to_owned())),
        }
    }

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
        assert!(
            reason(b"\0asm\x0d\0\x01\0")
                .contains("it exports nothing; the world `reading-validator` exports `weir:validator/readings@1.1.0`")
        );
    }

    #[test]
    fn older_minor_versions_are_spoken_and_newer_ones_are_not() {
        assert_eq!(offered("weir:validator/log@1.0.0"), Some(Offer::Grant(Grant::Log)));
        assert_eq!(offered("weir:validator/lookup@1.1.0"), Some(Offer::Grant(Grant::Lookup)));
        assert_eq!(offered("weir:validator/log@1.2.0"), None);
        assert_eq!(offered("weir:validator/log@2.0.0"), None);
        assert_eq!(offered("weir:validator/doors@1.0.0"), None);
    }

    #[test]
    fn wasi_is_granted_in_its_second_preview_only() {
        assert_eq!(offered("wasi:cli/environment@0.2.3"), Some(Offer::Wasi));
        assert_eq!(offered("wasi:http/outgoing-handler@0.2.3"), None);
        assert_eq!(offered("wasi:cli/environment@0.3.0"), None);
    }
}
