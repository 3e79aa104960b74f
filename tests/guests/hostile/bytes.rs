//! Uploads that are no module, are none that Weir takes, or are made to cost whoever looks at them.

use super::made::{self, Made, USUAL, component, readings, readings_and};
use crate::support::guests;

/// The eight bytes that every component begins with.
const HEADER: &[u8] = b"\0asm\x0d\0\x01\0";

/// Bytes that follow no pattern, the same ones in each run.
pub fn random(number: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[0]
    };
    std::iter::repeat_with(next).take(number).collect()
}

pub fn random_behind_a_header() -> Vec<u8> {
    [HEADER, &random(64 << 10)].concat()
}

/// The first half of a good one.
pub fn truncated() -> Vec<u8> {
    let mut whole = guests::component("range-check");
    whole.truncate(whole.len() / 2);
    whole
}

/// A good one whose middle is something else.
pub fn overwritten() -> Vec<u8> {
    let mut whole = guests::component("range-check");
    let middle = whole.len() / 2;
    let rubbish = random(4 << 10);
    whole[middle..middle + rubbish.len()].copy_from_slice(&rubbish);
    whole
}

/// What a compiler makes of a module: to run it would be to run anything.
pub fn compiled() -> Vec<u8> {
    [b"\x7fELF\x02\x01\x01\0", &random(64 << 10)[..]].concat()
}

pub fn text(component: &str) -> Vec<u8> {
    wat::parse_str(component).unwrap_or_else(|error| panic!("{error}"))
}

pub fn importing(name: &str) -> Vec<u8> {
    text(&format!("(component (import \"{name}\" (instance)) {READINGS})"))
}

pub fn import_of_what_is_not_there() -> Vec<u8> {
    text(&format!("(component (import \"wasi:cli/backdoor@0.2.3\" (instance (export \"open\" (func)))) {READINGS})"))
}

/// The export's name, and nothing behind it.
const READINGS: &str = "(instance $none) (export \"weir:validator/readings@1.1.0\" (instance $none))";

pub fn export_without_a_function() -> Vec<u8> {
    text(&format!("(component {READINGS})"))
}

pub fn of_two_worlds() -> Vec<u8> {
    text(&format!("(component {READINGS} (instance $more) (export \"weir:validator/objects@1.1.0\" (instance $more)))"))
}

pub fn export_of_another_type() -> Vec<u8> {
    text(
        "(component
            (core module $m (func (export \"f\") (param i32) (result i32) (local.get 0)))
            (core instance $i (instantiate $m))
            (func $f (param \"number\" u32) (result u32) (canon lift (core func $i \"f\")))
            (instance $readings (export \"check\" (func $f)))
            (export \"weir:validator/readings@1.1.0\" (instance $readings)))",
    )
}

pub fn import_of_another_type() -> Vec<u8> {
    text(&format!(
        "(component (import \"weir:validator/config@1.1.0\" (instance (export \"json\" (func (param \"a\" u32) (result u32))))) {READINGS})"
    ))
}

pub fn a_thousand_imports() -> Vec<u8> {
    let imports: Vec<_> = (0..1_001).map(|number| format!("(import \"other:thing/x{number}\" (instance))")).collect();
    text(&format!("(component {} {READINGS})", imports.concat()))
}

pub fn import_of_a_long_name() -> Vec<u8> {
    importing(&format!("other:thing/{}", "long-".repeat(18_000).trim_end_matches('-')))
}

pub fn nested() -> Vec<u8> {
    text(&format!("(component {} {} {READINGS})", "(component ".repeat(40), ")".repeat(40)))
}

pub fn a_hundred_instances() -> Vec<u8> {
    text(&format!("(component (core module $m) {} {READINGS})", "(core instance (instantiate $m))".repeat(100)))
}

/// Each level makes two of the one below: 65,536 instances of a few hundred bytes.
pub fn instances_that_double() -> Vec<u8> {
    let first = "(component $c0 (core module $m) (core instance (instantiate $m)))";
    let level = |level: u32| {
        let below = level - 1;
        format!(
            "(component $c{level} (alias outer 1 $c{below} (component $below)) (instance (instantiate $below)) (instance (instantiate $below)))"
        )
    };
    let levels: String = (1..=16).map(level).collect();
    text(&format!("(component {first} {levels} (instance (instantiate $c16)) {READINGS})"))
}

/// A type of a few hundred bytes that unfolds to a billion parts.
pub fn type_that_doubles() -> Vec<u8> {
    let level = |level: u32| format!("(type $t{level} (tuple $t{} $t{}))", level - 1, level - 1);
    let levels: String = (1..=30).map(level).collect();
    text(&format!("(component (type $t0 (tuple u8 u8)) {levels} {READINGS})"))
}

pub fn with_memory(memory: &str) -> Vec<u8> {
    readings_and("", memory, "")
}

/// Two core modules, each with a memory of its own that takes 600 pages of the thousand that there are: one when it starts, one when it is
/// called. Either would fit.
pub fn two_memories_that_share() -> Vec<u8> {
    let mut whole = readings("(if (i32.eq (memory.grow (i32.const 600)) (i32.const -1)) (then (unreachable)))");
    let other = "(module (memory 1) (func $start (drop (memory.grow (i32.const 600)))) (start $start))";
    let other = wat::parse_str(other).expect("a module");
    let place = u8::try_from(sections(&whole).filter(|id| *id == CORE_MODULE).count()).expect("few modules");
    section(&mut whole, CORE_MODULE, &other);
    // One more core instance, of that module, with nothing handed to it.
    section(&mut whole, CORE_INSTANCES, &[1, 0, place, 0]);
    whole
}

const CORE_MODULE: u8 = 1;
const CORE_INSTANCES: u8 = 2;

fn section(component: &mut Vec<u8>, id: u8, content: &[u8]) {
    component.push(id);
    component.extend(leb(content.len()));
    component.extend(content);
}

/// The kinds of a component's own sections.
fn sections(component: &[u8]) -> impl Iterator<Item = u8> {
    let mut rest = &component[8..];
    std::iter::from_fn(move || {
        let (id, after) = rest.split_first()?;
        let bytes = after.iter().position(|byte| byte & 0x80 == 0).expect("a length") + 1;
        let length = after[..bytes].iter().rev().fold(0, |length, byte| length << 7 | usize::from(byte & 0x7f));
        rest = &after[bytes + length..];
        Some(*id)
    })
}

pub fn function_with_locals(locals: usize, statements: usize) -> Vec<u8> {
    let (declared, body) = ("i32 ".repeat(locals), "(local.set 0 (i32.add (local.get 0) (i32.const 1)))".repeat(statements));
    readings_and("", &format!("(func $f (local {declared}) {body})"), "")
}

pub fn functions(number: usize) -> Vec<u8> {
    readings_and("", &"(func)".repeat(number), "")
}

/// Within every count, and minutes of work for a compiler: loops inside one another, in each of which every local may have another value.
pub fn compile_bomb() -> Vec<u8> {
    let (open, close) = ("loop ".repeat(400), "local.get 0 br_if 0 end ".repeat(400));
    let change = |local: usize| format!("local.get {local} i32.const 3 i32.mul local.set {} ", (local * 7 + 1) % 1_000);
    let body: String = (0..1_000).map(change).collect();
    readings_and("", &format!("(func (local {}) {open} {body} {close})", "i32 ".repeat(1_000)).repeat(10), "")
}

pub fn function_that_leaves_nothing() -> Vec<u8> {
    readings_and("", "(func $f (result i32) (nop))", "")
}

/// A good one with a section of cases that says this.
pub fn with_cases(json: &[u8]) -> Vec<u8> {
    let mut whole = guests::component("range-check");
    let name = b"weir:cases";
    section(&mut whole, 0, &[&leb(name.len()), &name[..], json].concat());
    whole
}

fn leb(mut number: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    loop {
        let low = u8::try_from(number & 0x7f).expect("seven bits");
        number >>= 7;
        if number == 0 {
            bytes.push(low);
            return bytes;
        }
        bytes.push(low | 0x80);
    }
}

/// Traps in a function whose name is a megabyte of control characters.
pub fn long_name_in_a_backtrace() -> Vec<u8> {
    let name = "\\1b[31m".repeat(100_000);
    let function = format!("(func $f (@name \"{name}\") (unreachable))");
    readings_and("", &function, "(call $f)")
}

/// A good one of another world.
pub fn of_documents() -> Vec<u8> {
    made::documents("")
}

/// Its start function does this.
pub fn starting(lines: &str) -> Vec<u8> {
    let more = format!("(func $start {lines}) (start $start)");
    component(
        Made { more: &more, ..USUAL },
        "(func (export \"weir:validator/readings@1.1.0#check\") (param i32) (result i32) (i32.const 1024))",
    )
}
