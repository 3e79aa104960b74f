//! The catalogue: what each module does, and where and with which words it is caught.

use super::Caught::{self, Fails, Passes, Refuses, Upload};
use super::bytes;
use super::made::{ANSWER, Made, USUAL, data, documents, grown_to, objects, readings, readings_and, readings_with, says, writes};
use crate::support::guests::component;

/// A module that means no good.
#[derive(Debug)]
pub struct Hostile {
    /// What it does.
    pub does: &'static str,
    /// What it says that it checks: `readings`, `documents`, `objects`.
    pub target: &'static str,
    /// Its bytes.
    pub module: Vec<u8>,
    /// Where it is caught.
    pub caught: Caught,
}

fn of(target: &'static str, does: &'static str, module: Vec<u8>, caught: Caught) -> Hostile {
    Hostile { does, target, module, caught }
}

/// All of them.
pub fn all() -> Vec<Hostile> {
    [
        no_modules(),
        too_much(),
        that_do_not_end(),
        that_break(),
        that_hoard(),
        that_lie(),
        that_say_too_much(),
        of_documents(),
        of_objects(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// What is refused before anything is compiled, since it is no module or none of Weir's.
fn no_modules() -> Vec<Hostile> {
    let upload = |does, module, words| of("readings", does, module, Upload(words));
    vec![
        upload("nothing", Vec::new(), "the body is empty"),
        upload("a script", b"#!/bin/sh\nrm -rf /\n".to_vec(), "not the bytes of a WebAssembly component"),
        upload("random bytes", bytes::random(64 << 10), "not the bytes of a WebAssembly component"),
        upload("compiled code", bytes::compiled(), "not the bytes of a WebAssembly component"),
        upload("a component's header and random bytes", bytes::random_behind_a_header(), "its bytes are not sound"),
        upload("half a component", bytes::truncated(), "its bytes are not sound"),
        upload("a component overwritten in its middle", bytes::overwritten(), "The module cannot be used"),
        upload("a core module", bytes::text("(module)"), "it is a core module"),
        upload("an empty component", bytes::text("(component)"), "it exports nothing"),
        upload("another world", component("fault-no-export"), "it exports other:thing/greeting"),
        upload("a world of documents for a validator of readings", bytes::of_documents(), "checks readings"),
        upload("two worlds at once", bytes::of_two_worlds(), "more than one of Weir's interfaces"),
        upload("an export without its function", bytes::export_without_a_function(), "check"),
        upload("a function of another type", bytes::export_of_another_type(), "expected"),
        upload("an import of another type", bytes::import_of_another_type(), "expected"),
        upload("a foreign import", component("fault-foreign"), "it imports `other:thing/doors"),
        upload("HTTP", bytes::importing("wasi:http/outgoing-handler@0.2.3"), "which Weir does not offer"),
        upload("a WASI that is to come", bytes::importing("wasi:cli/environment@0.3.0"), "which Weir does not offer"),
        upload("a WASI that never was", bytes::import_of_what_is_not_there(), "wasi:cli/backdoor"),
        upload("an interface of Weir that is to come", bytes::importing("weir:validator/log@1.9.0"), "which Weir does not offer"),
        upload("stored values that it is not granted", component("rate-of-change"), "is not granted"),
        upload("an import with a name of 90 kB", bytes::import_of_a_long_name(), "it imports `other:thing/long-long-"),
        upload("cases that are no JSON", bytes::with_cases(b"[{"), "cases"),
        upload("cases without end", bytes::with_cases(&b"[".repeat(200_000)), "cases"),
    ]
}

/// What is refused at the upload for its size, or for what it would cost.
fn too_much() -> Vec<Hostile> {
    let upload = |does, module, words| of("readings", does, module, Upload(words));
    let memory = |text: &str| bytes::with_memory(&format!("(memory (export \"memory\") {text})"));
    vec![
        of("readings", "33 MiB", vec![0; 33 << 20], Caught::TooLarge),
        upload("a thousand imports", bytes::a_thousand_imports(), "more than 1000 imports"),
        upload("forty components inside one another", bytes::nested(), "levels of nesting"),
        upload("a hundred core instances", bytes::a_hundred_instances(), "more than 64 core instances"),
        upload("core instances that double sixteen times", bytes::instances_that_double(), "The module cannot be used"),
        upload("a type that doubles thirty times", bytes::type_that_doubles(), "The module cannot be used"),
        upload("125 MiB of memory to begin with", memory("2000"), "its memory begins with 128000 KiB"),
        upload("all the memory of 64 bits", memory("i64 0x1000000000000"), "its memory begins with"),
        upload("shared memory", memory("1 2 shared"), "it shares its memory"),
        upload(
            "five memories",
            bytes::with_memory(&format!("(memory (export \"memory\") 4) {}", "(memory 1)".repeat(4))),
            "more than 4 memories",
        ),
        upload(
            "two memories in one module",
            bytes::with_memory("(memory (export \"memory\") 4) (memory 1)"),
            "memories count of 2 exceeds",
        ),
        upload("a table of a million", bytes::with_memory("(table 1000000 funcref)"), "its table begins with 1000000"),
        upload("seven tables", bytes::with_memory(&"(table 1 funcref)".repeat(7)), "more than 6 tables"),
        upload("a function with 15,000 locals", bytes::function_with_locals(15_000, 1_000), "15000 locals"),
        upload("a large function with 4,000 locals", bytes::function_with_locals(4_000, 20_000), "4000 locals"),
        upload("a function of 1.5 MiB", bytes::function_with_locals(1, 240_000), "1024 KiB are allowed"),
        upload("200,000 functions", bytes::functions(200_000), "more than 100000 functions"),
        upload("minutes of a compiler", bytes::compile_bomb(), "make its functions smaller"),
        upload("a function that does not leave what it says", bytes::function_that_leaves_nothing(), "it does not compile"),
    ]
}

/// What never comes back by itself.
fn that_do_not_end() -> Vec<Hostile> {
    let time = |does, module| of("readings", does, module, Fails("it ran longer than"));
    let realloc = Made { realloc: "(loop $l (br $l)) (unreachable)", ..USUAL };
    let answer = format!("(i32.const {ANSWER})");
    vec![
        time("loops", readings("(loop $l (br $l))")),
        time("loops when it starts", bytes::starting("(loop $l (br $l))")),
        time("loops where the host asks for memory", readings_with(realloc, &answer)),
        time(
            "loops when its answer was read",
            readings_and(
                "",
                "(func (export \"cabi_post_weir:validator/readings@1.1.0#check\") (param i32) (loop $l (br $l)))",
                "",
            ),
        ),
        time(
            "fills its memory again and again",
            readings(&format!(
                "{} (loop $l (memory.fill (i32.const 0) (i32.const 7) (i32.const 50000000)) (br $l))",
                grown_to(800)
            )),
        ),
        time(
            "calls the host without end",
            readings_and(
                "(import \"weir:validator/log@1.1.0\" \"write\" (func $log (param i32 i32 i32)))",
                "",
                "(loop $l (call $log (i32.const 0) (i32.const 0) (i32.const 65536)) (br $l))",
            ),
        ),
        time(
            "sleeps for a hundred years in the host",
            sleeping("(call $block (call $subscribe (i64.const 3155760000000000000)))"),
        ),
        time("loops, in Rust", component("fault-loops")),
    ]
}

fn sleeping(lines: &str) -> Vec<u8> {
    let imports = "
        (import \"wasi:io/poll@0.2.3\" \"[method]pollable.block\" (func $block (param i32)))
        (import \"wasi:clocks/monotonic-clock@0.2.3\" \"subscribe-duration\" (func $subscribe (param i64) (result i32)))";
    readings_with(Made { world: "sleeper", imports, ..USUAL }, &format!("{lines} (i32.const {ANSWER})"))
}

/// What ends badly.
fn that_break() -> Vec<Hostile> {
    let fails = |does, module, words| of("readings", does, module, Fails(words));
    let realloc = |body| readings_with(Made { realloc: body, ..USUAL }, &format!("(i32.const {ANSWER})"));
    let exit = "(import \"wasi:cli/exit@0.2.3\" \"exit\" (func $exit (param i32)))";
    vec![
        fails("traps", readings("(unreachable)"), "it trapped: wasm trap: wasm `unreachable`"),
        fails("traps when it starts", bytes::starting("(unreachable)"), "it trapped"),
        fails(
            "divides by zero",
            readings("(drop (i32.div_u (i32.const 1) (i32.const 0)))"),
            "it trapped: wasm trap: integer divide",
        ),
        fails(
            "reads beyond its memory",
            readings("(drop (i32.load (i32.const -8)))"),
            "it trapped: wasm trap: out of bounds memory",
        ),
        fails(
            "calls what is no function",
            readings_and("", "(table 1 funcref) (type $t (func))", "(call_indirect (type $t) (i32.const 0))"),
            "it trapped",
        ),
        fails(
            "calls itself without end",
            readings_and("", "(func $f (param i32) (call $f (i32.add (local.get 0) (i32.const 1))))", "(call $f (i32.const 0))"),
            "it trapped: wasm trap: call stack exhausted",
        ),
        fails(
            "calls itself with two thousand locals",
            readings_and(
                "",
                &format!("(func $f (local {}) (call $f) (local.set 0 (local.get 1999)))", "i64 ".repeat(2_000)),
                "(call $f)",
            ),
            "it trapped: wasm trap: call stack exhausted",
        ),
        fails(
            "traps when its answer was read",
            readings_and("", "(func (export \"cabi_post_weir:validator/readings@1.1.0#check\") (param i32) (unreachable))", ""),
            "it trapped",
        ),
        fails("hands out memory that it has not", realloc("(i32.const 0x7fffffff)"), "its answer cannot be used"),
        fails("hands out crooked memory", realloc("(i32.const 3)"), "its answer cannot be used"),
        fails("exits", leaving(exit, "(call $exit (i32.const 0))"), "its answer cannot be used"),
        fails("traps in a function with a name of half a megabyte", bytes::long_name_in_a_backtrace(), "it trapped"),
        fails("panics, in Rust", component("fault-traps"), "it trapped"),
    ]
}

fn leaving(imports: &str, lines: &str) -> Vec<u8> {
    readings_with(Made { world: "leaver", imports, ..USUAL }, &format!("{lines} (i32.const {ANSWER})"))
}

/// What takes what there is.
fn that_hoard() -> Vec<Hostile> {
    let fails = |does, module, words| of("readings", does, module, Fails(words));
    let randomness = "(import \"wasi:random/random@0.2.3\" \"get-random-bytes\" (func $random (param i64 i32)))";
    let gambling = Made { world: "gambler", imports: randomness, ..USUAL };
    vec![
        fails(
            "takes memory until there is none",
            readings("(loop $l (br_if $l (i32.ne (memory.grow (i32.const 16)) (i32.const -1)))) (unreachable)"),
            "it wanted more than 65536 KiB of memory",
        ),
        fails(
            "takes more memory in two pieces than in one",
            bytes::two_memories_that_share(),
            "it wanted more than 65536 KiB of memory",
        ),
        fails(
            "takes table elements until there are none",
            readings_and(
                "",
                "(table $t 1 funcref)",
                "(loop $l (br_if $l (i32.ne (table.grow $t (ref.null func) (i32.const 1000)) (i32.const -1)))) (unreachable)",
            ),
            "it wanted more than",
        ),
        fails(
            "takes a pebibyte of randomness",
            readings_with(gambling, &format!("(call $random (i64.const 0x4000000000000) (i32.const 2048)) (i32.const {ANSWER})")),
            "its answer cannot be used",
        ),
        fails(
            "opens resources of the host without end",
            sleeping("(loop $l (drop (call $subscribe (i64.const 1))) (br $l))"),
            "its answer cannot be used",
        ),
    ]
}

/// Places in an outcome, each the address and the length of a list.
const REJECTED: u32 = 4;
const SUSPECT: u32 = 12;
const VALUE: u32 = 20;
const TEXT: u32 = 28;
const UNIT: u32 = 36;
const DERIVED: u32 = 44;
/// Where lists lie, and where words.
const LIST: u32 = 4_096;
const WORDS: u32 = 65_536;

/// An outcome with one list of so many elements, whose numbers lie there one after the other.
fn listing(place: u32, number: u32, words: &[u32]) -> String {
    let words: Vec<(u32, u32)> = (0..).map(|at| LIST + 4 * at).zip(words.iter().copied()).collect();
    says(&[(place, LIST), (place + 4, number)]) + &*writes(&words)
}

/// What answers what cannot be.
fn that_lie() -> Vec<Hostile> {
    let lies = |does, lines: &str, words| of("readings", does, readings(lines), Fails(words));
    let told =
        |does, text: &str, lines: &str, words| of("readings", does, readings_and("", &data(WORDS, text), lines), Fails(words));
    let (one, nan) = ([0, 0x3ff0_0000], [0, 0x7ff8_0000]);
    let derived = |metric: u32, unit: u32, value: [u32; 2], text: [u32; 3]| {
        [0, WORDS, metric, WORDS, unit, 0, value[0], value[1], text[0], text[1], text[2], 0]
    };
    let many: Vec<u32> = (0..5).flat_map(|_| derived(1, 0, one, [0; 3])).collect();
    vec![
        lies("refuses a row that there is not", &listing(REJECTED, 1, &[1_000, WORDS, 0]), "`rejected` names row 1000"),
        lies("refuses the last row of all", &listing(REJECTED, 1, &[u32::MAX, WORDS, 0]), "`rejected` names row 4294967295"),
        lies("refuses a row twice", &listing(REJECTED, 2, &[0, WORDS, 0, 0, WORDS, 0]), "`rejected` names row 0 twice"),
        lies("suspects a row that there is not", &listing(SUSPECT, 1, &[1_000]), "`suspect` names row 1000"),
        lies("suspects a row twice", &listing(SUSPECT, 2, &[0, 0]), "`suspect` names row 0 twice"),
        lies("gives a number that is none", &listing(VALUE, 1, &[0, 0, nan[0], nan[1]]), "which is not finite"),
        lies("gives a number without end", &listing(VALUE, 1, &[0, 0, 0, 0x7ff0_0000]), "which is not finite"),
        lies("gives a row two numbers", &listing(VALUE, 2, &[0, 0, 0, 0, 0, 0, 0, 0]), "`value` names row 0 twice"),
        told("gives a text with a NUL", "a\0b", &listing(TEXT, 1, &[0, WORDS, 3]), "or a NUL"),
        lies("gives a text of 65 KiB", &(grown_to(400) + &*listing(TEXT, 1, &[0, 0x0100_0000, 65 << 10])), "bytes or a NUL"),
        told("gives a unit with a line in it", "a\nb", &listing(UNIT, 1, &[0, WORDS, 3]), "control characters"),
        lies("derives a metric without a name", &listing(DERIVED, 1, &derived(0, 0, one, [0; 3])), "`derived` of row 0"),
        told("derives what is no number", "m", &listing(DERIVED, 1, &derived(1, 0, nan, [0; 3])), "neither a finite number"),
        told(
            "derives a truth that is a lie",
            "m",
            &listing(DERIVED, 1, &derived(1, 0, one, [1, WORDS, 1])),
            "neither a finite number",
        ),
        told(
            "derives from a row that there is not",
            "m",
            &{
                let mut row = derived(1, 0, one, [0; 3]);
                row[0] = 1_000;
                listing(DERIVED, 1, &row)
            },
            "`derived` names row 1000",
        ),
        told("derives a thousand rows of one", "m", &listing(DERIVED, 1_000, &many), "`derived` has 1000 rows"),
        lies("answers what is no answer", &says(&[(0, 7)]), "its answer cannot be used"),
        lies("answers a list of four billion", &says(&[(REJECTED, 0), (REJECTED + 4, u32::MAX)]), "its answer cannot be used"),
        lies("answers a crooked list", &says(&[(REJECTED, 3), (REJECTED + 4, 1)]), "its answer cannot be used"),
        lies(
            "answers four million refusals of the same few bytes",
            &(grown_to(800) + &*says(&[(REJECTED, WORDS), (REJECTED + 4, 4_000_000)])),
            "its answer cannot be used",
        ),
        of(
            "readings",
            "answers from beyond its memory",
            readings_with(USUAL, "(i32.const -64)"),
            Fails("its answer cannot be used"),
        ),
        of(
            "readings",
            "answers from a crooked place",
            readings_with(USUAL, "(i32.const 1025)"),
            Fails("its answer cannot be used"),
        ),
        of("readings", "lies, in Rust", component("fault-lies"), Fails("`rejected` names row")),
        of("readings", "gives NaN, in Rust", component("fault-nan"), Fails("not finite")),
        of("readings", "refuses twice, in Rust", component("fault-twice"), Fails("twice")),
    ]
}

/// What says more than anybody should have to hear.
fn that_say_too_much() -> Vec<Hostile> {
    let log = "(import \"weir:validator/log@1.1.0\" \"write\" (func $log (param i32 i32 i32)))";
    let forged = "fine\r\n{\"level\":\"ERROR\",\"message\":\"forged\"}\r\n\x1b[2J";
    let forging = format!("(call $log (i32.const 3) (i32.const {WORDS}) (i32.const {}))", forged.len());
    let flood = format!(
        "(local $n i32) (loop $l
            (call $log (i32.const 1) (i32.const {WORDS}) (i32.const 20))
            (br_if $l (i32.lt_u (local.tee $n (i32.add (local.get $n) (i32.const 1))) (i32.const 5000))))"
    );
    let refusal = |text: &str| {
        let length = u32::try_from(text.len()).expect("short");
        let error = says(&[(0, 1), (4, WORDS), (8, length)]);
        readings_and("", &data(WORDS, text), &error)
    };
    let aliasing: Vec<u32> = (0..20).flat_map(|row| [row, WORDS, 1 << 20]).collect();
    vec![
        of(
            "readings",
            "refuses with a reason of ten megabytes",
            readings(&(grown_to(400) + &*listing(REJECTED, 1, &[0, WORDS, 10 << 20]))),
            Fails("its answer cannot be used"),
        ),
        of(
            "readings",
            "refuses with twenty reasons of the same megabyte",
            readings(&(grown_to(400) + &*listing(REJECTED, 20, &aliasing))),
            Fails("its answer cannot be used"),
        ),
        of(
            "readings",
            "refuses with a reason that is no UTF-8",
            readings(&(listing(REJECTED, 1, &[0, WORDS, 4]) + &*writes(&[(WORDS, 0xffff_ffff)]))),
            Fails("utf-8"),
        ),
        of("readings", "cannot judge, at length", refusal(&"x".repeat(60_000)), Refuses("xxx…")),
        of("readings", "cannot judge, in control characters", refusal("a\0b\x1b[31mc\r\nd"), Refuses(r"a\u{0}b\u{1b}[31mc\r\nd")),
        of("readings", "logs five thousand lines and accepts", readings_and(log, "", &flood), Passes),
        of("readings", "forges a line of the log", readings_and(log, &data(WORDS, forged), &forging), Passes),
        of(
            "readings",
            "logs what is not in its memory",
            readings_and(log, "", "(call $log (i32.const 0) (i32.const 0) (i32.const -1))"),
            Fails("its answer cannot be used"),
        ),
        of(
            "readings",
            "logs on a level that there is not",
            readings_and(log, "", "(call $log (i32.const 99) (i32.const 0) (i32.const 1))"),
            Fails("its answer cannot be used"),
        ),
    ]
}

fn of_documents() -> Vec<Hostile> {
    let fails = |does, lines: &str, words| of("documents", does, documents(lines), Fails(words));
    let replacing = |does, text: &str, words| {
        let length = u32::try_from(text.len()).expect("short");
        let bytes: String = text.bytes().enumerate().fold(String::new(), |lines, (at, byte)| {
            format!("{lines}(i32.store8 (i32.const {}) (i32.const {byte}))", WORDS as usize + at)
        });
        of("documents", does, documents(&(bytes + &*says(&[(4, 1), (8, WORDS), (12, length)]))), Fails(words))
    };
    vec![
        fails("loops over a document", "(loop $l (br $l))", "it ran longer than"),
        fails("traps over a document", "(unreachable)", "it trapped"),
        fails(
            "takes memory over a document",
            "(loop $l (br_if $l (i32.ne (memory.grow (i32.const 16)) (i32.const -1)))) (unreachable)",
            "it wanted more than",
        ),
        replacing("makes a document what is no JSON", "{", "is not JSON"),
        replacing("makes a document an array", "[]", "no object"),
        replacing("makes a document a hundred arrays deep", &"[".repeat(200), "recursion limit"),
        fails(
            "makes a document 700 KiB",
            &(grown_to(100) + &*says(&[(4, 1), (8, WORDS), (12, 700 << 10)])),
            "its answer cannot be used",
        ),
        fails("refuses a document without a word", &says(&[(4, 2), (8, LIST), (12, 0)]), "`reject` names no problem"),
        fails(
            "refuses a document with a million problems",
            &says(&[(4, 2), (8, LIST), (12, 1_000_000)]),
            "its answer cannot be used",
        ),
        fails("answers of a document what is no answer", &says(&[(4, 9)]), "its answer cannot be used"),
        of("documents", "makes a document of another kind", documents(&foreign_document()), Refuses("cannot be stored")),
    ]
}

/// `{"no":1}` in place of a schema.
fn foreign_document() -> String {
    let words = br#"{"no":1}"#.chunks(4).map(|four| u32::from_le_bytes(four.try_into().expect("four bytes")));
    let words: Vec<(u32, u32)> =
        words.enumerate().map(|(at, word)| (WORDS + 4 * u32::try_from(at).expect("two"), word)).collect();
    writes(&words) + &*says(&[(4, 1), (8, WORDS), (12, 8)])
}

fn of_objects() -> Vec<Hostile> {
    let inspect = "";
    let fails =
        |does, begin: &str, chunk: &str, finish: &str, words| of("objects", does, objects(begin, chunk, finish), Fails(words));
    let clear = says(&[(0, 0), (4, 0), (8, 0), (12, 0)]);
    let store = |more: &[(u32, u32)]| clear.clone() + &*says(&[(16, 0)]) + &*says(more);
    vec![
        fails("loops before an object comes", "(loop $l (br $l))", "", "", "it ran longer than"),
        fails("loops over an object's bytes", inspect, "(loop $l (br $l))", "", "it ran longer than"),
        fails("loops at an object's end", inspect, "", "(loop $l (br $l))", "it ran longer than"),
        fails("traps over an object's bytes", inspect, "(unreachable)", "", "it trapped"),
        fails(
            "makes each piece of an object seven megabytes",
            inspect,
            &(grown_to(400) + &*says(&[(4, 1), (8, WORDS), (12, 7 << 20)])),
            &clear,
            "more than 16 MiB larger",
        ),
        fails(
            "makes a piece of an object nine megabytes",
            inspect,
            &(grown_to(400) + &*says(&[(4, 1), (8, WORDS), (12, 9 << 20)])),
            &clear,
            "its answer cannot be used",
        ),
        fails("answers of a piece what is no answer", inspect, &says(&[(4, 9)]), "", "its answer cannot be used"),
        fails(
            "takes memory over an object",
            inspect,
            "(loop $l (br_if $l (i32.ne (memory.grow (i32.const 16)) (i32.const -1)))) (unreachable)",
            "",
            "it wanted more than",
        ),
        of(
            "objects",
            "gives an object a media type of control characters",
            objects(inspect, "", &(store(&[(16, 1), (20, WORDS), (24, 4)]) + &*writes(&[(WORDS, 0x0a0d_0a0d)]))),
            Refuses("media type that cannot be stored"),
        ),
        fails(
            "refuses an object with ten megabytes of reason",
            inspect,
            &(grown_to(400) + &*says(&[(4, 3), (8, WORDS), (12, 10 << 20)])),
            "",
            "its answer cannot be used",
        ),
    ]
}
