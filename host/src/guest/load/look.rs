//! A look at a component's bytes, before anything is compiled: is it one, of which world, within the bounds?
//!
//! One pass that reads headers and counts, in time and memory of the bytes' own size. Whether the bytes are sound is not asked here:
//! telling that may cost seconds for few of them, so it is the compiler's business, in its process.

use wasmparser::{BinaryReaderError, FunctionBody, Instance, MemoryType, Parser, Payload, TableType};

use super::{ModuleFacts, unfit};
use crate::error::{Error, Result};
use crate::limits;
use crate::model::{Grant, Target};
use crate::rules::Digest;

/// The package of Weir's own interfaces.
const PACKAGE: &str = "weir:validator";
/// The newest version `1.MINOR` that this host speaks; it runs guests of every older one.
const MINOR: u64 = 1;

/// Looks at the bytes: is it a component, of which world, within the bounds? An instance of it may have so many bytes of memory.
pub fn look(component: &[u8], memory_bytes: usize) -> Result<ModuleFacts> {
    if component.is_empty() {
        return Err(unfit("the body is empty; send the component's bytes"));
    }
    if !component.starts_with(b"\0asm") {
        return Err(unfit("these are not the bytes of a WebAssembly component; they begin with `\\0asm`"));
    }
    if !Parser::is_component(component) {
        return Err(unfit("it is a core module; make a component of it, as `cargo component`, `jco` and `componentize-py` do"));
    }
    let mut seen = Seen { memory_bytes, ..Seen::default() };
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
    /// Core instances, memories and tables, wherever they are made.
    instances: usize,
    memories: usize,
    tables: usize,
    /// What an instance may have.
    memory_bytes: usize,
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
        let mut depth = 0_usize;
        for payload in Parser::new(0).parse_all(component) {
            match payload.map_err(malformed)? {
                Payload::Version { .. } => {
                    depth += 1;
                    at_most(depth, limits::MODULE_NESTING, "levels of nesting")?;
                }
                Payload::End(_) => depth = depth.saturating_sub(1),
                Payload::ComponentImportSection(section) if depth == 1 => {
                    for import in section {
                        self.imports.push(import.map_err(malformed)?.name.name.to_owned());
                        at_most(self.imports.len(), limits::MODULE_NAMES, "imports")?;
                    }
                }
                Payload::ComponentExportSection(section) if depth == 1 => {
                    for export in section {
                        self.exports.push(export.map_err(malformed)?.name.name.to_owned());
                        at_most(self.exports.len(), limits::MODULE_NAMES, "exports")?;
                    }
                }
                Payload::InstanceSection(section) => {
                    for instance in section {
                        self.instances += usize::from(matches!(instance.map_err(malformed)?, Instance::Instantiate { .. }));
                        at_most(self.instances, limits::MODULE_INSTANCES, "core instances")?;
                    }
                }
                Payload::MemorySection(section) => {
                    for memory in section {
                        self.memory(memory.map_err(malformed)?)?;
                    }
                }
                Payload::TableSection(section) => {
                    for table in section {
                        self.table(&table.map_err(malformed)?.ty)?;
                    }
                }
                Payload::CodeSectionEntry(body) => self.function(&body)?,
                _ => {}
            }
        }
        Ok(())
    }

    fn memory(&mut self, memory: MemoryType) -> Result<()> {
        self.memories += 1;
        at_most(self.memories, limits::MODULE_MEMORIES, "memories")?;
        let page = 1_u64.checked_shl(memory.page_size_log2.unwrap_or(16)).unwrap_or(u64::MAX);
        let bytes = memory.initial.saturating_mul(page);
        if memory.shared {
            return Err(unfit("it shares its memory, and guests have no threads"));
        }
        if usize::try_from(bytes).is_ok_and(|bytes| bytes <= self.memory_bytes) {
            return Ok(());
        }
        let most = self.memory_bytes >> 10;
        Err(unfit(format!("its memory begins with {} KiB; an instance may have {most} KiB", bytes >> 10)))
    }

    fn table(&mut self, table: &TableType) -> Result<()> {
        self.tables += 1;
        at_most(self.tables, limits::MODULE_TABLES, "tables")?;
        let most = limits::GUEST_TABLE_ELEMENTS;
        if usize::try_from(table.initial).is_ok_and(|elements| elements <= most) {
            return Ok(());
        }
        Err(unfit(format!("its table begins with {} elements; an instance may have {most}", table.initial)))
    }

    /// What costs a compiler most: the number of functions, the size of one, its locals, and worst of all the last two together.
    fn function(&mut self, body: &FunctionBody<'_>) -> Result<()> {
        self.functions += 1;
        at_most(self.functions, limits::MODULE_FUNCTIONS, "functions")?;
        let bytes = body.as_bytes().len();
        if bytes > limits::FUNCTION_BYTES {
            let most = limits::FUNCTION_BYTES >> 10;
            return Err(unfit(format!("one of its functions has {} KiB; {most} KiB are allowed", bytes >> 10)));
        }
        let mut locals = 0_usize;
        for group in body.get_locals_reader().map_err(malformed)? {
            locals = locals.saturating_add(group.map_err(malformed)?.0 as usize);
        }
        if locals > limits::FUNCTION_LOCALS {
            return Err(unfit(format!("one of its functions has {locals} locals; {} are allowed", limits::FUNCTION_LOCALS)));
        }
        if locals.saturating_mul(bytes) > limits::FUNCTION_LOCALS_TIMES_BYTES {
            let most = limits::FUNCTION_LOCALS_TIMES_BYTES / bytes;
            return Err(unfit(format!("one of its functions has {locals} locals; {most} are allowed in one of {bytes} bytes")));
        }
        Ok(())
    }
}

fn at_most(number: usize, most: usize, what: &str) -> Result<()> {
    if number > most { Err(unfit(format!("it has more than {most} {what}"))) } else { Ok(()) }
}

#[expect(clippy::needless_pass_by_value, reason = "it is what `map_err` hands over")]
fn malformed(error: BinaryReaderError) -> Error {
    unfit(format!("its bytes are not sound: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reason(component: &[u8]) -> String {
        look(component, limits::GUEST_MEMORY_BYTES).expect_err("it is refused").sentence().to_owned()
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
