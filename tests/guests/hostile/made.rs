//! Hostile components, made from text: a core module of a few lines against the canonical ABI of one of the three worlds.
//!
//! An answer lies in the module's memory at [`ANSWER`], which is zero at first: "all of it is fine". A module's own lines write there what it
//! lies about. The first four bytes say whether it is an answer (0) or an error (1); what follows is laid out as the interface has it.

use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
use wit_parser::Resolve;

/// Where an answer lies.
pub const ANSWER: u32 = 1024;

/// Worlds with more imports than Weir's own, so that a module can try them.
const WIDER: &str = "
    package hostile:worlds;
    world sleeper { import wasi:io/poll@0.2.3; import wasi:clocks/monotonic-clock@0.2.3; include weir:validator/reading-validator@1.1.0; }
    world gambler { import wasi:random/random@0.2.3; include weir:validator/reading-validator@1.1.0; }
    world leaver { import wasi:cli/exit@0.2.3; include weir:validator/reading-validator@1.1.0; }
    package wasi:io@0.2.3 { interface poll { resource pollable { block: func(); } } }
    package wasi:clocks@0.2.3 {
        interface monotonic-clock { use wasi:io/poll@0.2.3.{pollable}; subscribe-duration: func(when: u64) -> pollable; }
    }
    package wasi:random@0.2.3 { interface random { get-random-bytes: func(len: u64) -> list<u8>; } }
    package wasi:cli@0.2.3 { interface exit { exit: func(status: result); } }
";

/// What a module consists of besides its answer.
#[derive(Clone, Copy, Debug)]
pub struct Made<'a> {
    /// The world.
    pub world: &'a str,
    /// Imports; they come first.
    pub imports: &'a str,
    /// Memories, tables, further functions, data. Without a word on it there is a memory of four pages.
    pub more: &'a str,
    /// What the host calls to get memory for what it shows; `$old $size $align $new` are its parameters.
    pub realloc: &'a str,
}

/// A pile that only grows, and grows the memory with it.
const REALLOC: &str = "
    (local $at i32)
    (global.set $top (i32.and (i32.add (global.get $top) (i32.const 15)) (i32.const -16)))
    (local.set $at (global.get $top))
    (global.set $top (i32.add (global.get $top) (local.get $new)))
    (block $fits (loop $grow
        (br_if $fits (i32.le_u (global.get $top) (i32.mul (memory.size) (i32.const 65536))))
        (br_if $fits (i32.eq (memory.grow (i32.const 16)) (i32.const -1)))
        (br $grow)))
    (local.get $at)";

/// The usual parts of a module that checks readings.
pub const USUAL: Made<'static> = Made { world: "reading-validator", imports: "", more: "", realloc: REALLOC };

/// A component of these exports, each a name and a function.
pub fn component(made: Made<'_>, exports: &str) -> Vec<u8> {
    encoded(made.world, &module(made, exports))
}

fn module(made: Made<'_>, exports: &str) -> Vec<u8> {
    let Made { imports, more, realloc, .. } = made;
    let memory = if more.contains("(memory") { "" } else { "(memory (export \"memory\") 4)" };
    let text = format!(
        "(module {imports} {memory} (global $top (mut i32) (i32.const 131072)) {more}
            (func (export \"cabi_realloc\") (param $old i32) (param $size i32) (param $align i32) (param $new i32) (result i32) {realloc})
            {exports})"
    );
    wat::parse_str(&text).unwrap_or_else(|error| panic!("{error}\n{text}"))
}

fn encoded(world: &str, module: &[u8]) -> Vec<u8> {
    let mut resolve = Resolve::default();
    let (own, _) = resolve.push_dir("wit/v1.1.0").expect("the interface");
    let wider = resolve.push_str("wider.wit", WIDER).expect("sound worlds");
    let world = resolve.select_world(&[if world.contains('-') { own } else { wider }], Some(world)).expect("a world");
    let mut module = module.to_vec();
    embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8).expect("metadata");
    let encoder = ComponentEncoder::default().validate(false).module(&module);
    encoder.and_then(|mut encoder| encoder.encode()).unwrap_or_else(|error| panic!("{error:#}"))
}

/// Checks readings with this body, which leaves the answer's place.
pub fn readings_with(made: Made<'_>, body: &str) -> Vec<u8> {
    component(made, &format!("(func (export \"weir:validator/readings@1.1.0#check\") (param $batch i32) (result i32) {body})"))
}

/// Checks readings with these lines, and then says what lies at [`ANSWER`].
pub fn readings(lines: &str) -> Vec<u8> {
    readings_with(USUAL, &format!("{lines} (i32.const {ANSWER})"))
}

/// Checks readings with these lines of a function that imports or declares more.
pub fn readings_and(imports: &str, more: &str, lines: &str) -> Vec<u8> {
    readings_with(Made { imports, more, ..USUAL }, &format!("{lines} (i32.const {ANSWER})"))
}

/// Checks documents with these lines.
pub fn documents(lines: &str) -> Vec<u8> {
    let made = Made { world: "document-validator", ..USUAL };
    let parameters = "i32 i32 i32 i32 i32 i32 i32 i32 i32 i32";
    component(
        made,
        &format!(
            "(func (export \"weir:validator/documents@1.1.0#check\") (param {parameters}) (result i32)
                {lines} (i32.const {ANSWER}))"
        ),
    )
}

/// Checks objects: what it does at the beginning, with each piece, and at the end.
pub fn objects(begin: &str, chunk: &str, finish: &str) -> Vec<u8> {
    let made = Made { world: "object-validator", ..USUAL };
    let object = "i32 i32 i32 i32 i32 i32 i32 i32 i64 i32 i32 i32 i32";
    component(
        made,
        &format!(
            "(func (export \"weir:validator/objects@1.1.0#begin\") (param {object}) (result i32) {begin} (i32.const {ANSWER}))
             (func (export \"weir:validator/objects@1.1.0#chunk\") (param i32 i32) (result i32) {chunk} (i32.const {ANSWER}))
             (func (export \"weir:validator/objects@1.1.0#finish\") (result i32) {finish} (i32.const {ANSWER}))"
        ),
    )
}

/// Lines that write numbers into the answer: a place in it, and what is to be there.
pub fn says(words: &[(u32, u32)]) -> String {
    let word = |(at, word): &(u32, u32)| format!("(i32.store (i32.const {}) (i32.const {word}))", ANSWER + at);
    words.iter().map(word).collect()
}

/// Lines that write words somewhere: what lists and strings point to.
pub fn writes(words: &[(u32, u32)]) -> String {
    let write = |(at, word): &(u32, u32)| format!("(i32.store (i32.const {at}) (i32.const {word}))");
    words.iter().map(write).collect()
}

/// Text that lies there.
pub fn data(at: u32, text: &str) -> String {
    let bytes: Vec<_> = text.bytes().map(|byte| format!("\\{byte:02x}")).collect();
    format!("(data (i32.const {at}) \"{}\")", bytes.concat())
}

/// Lines that take memory until it is no less than this many pages.
pub fn grown_to(pages: u32) -> String {
    format!("(drop (memory.grow (i32.sub (i32.const {pages}) (memory.size))))")
}
