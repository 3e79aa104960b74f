//! Patterns over resource paths, one at a time and in sets.
//!
//! `*` stands for any characters of one segment, `**` as the last segment for everything beneath. A pattern is refused where it could
//! never match, since a deny that never matches has vanished. [`matches`] is the definition, the one that casbin calls; [`Set`] finds all
//! matching patterns at once, in time that does not grow with their number. Tests hold both against each other and against globset.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use percent_encoding::{AsciiSet, CONTROLS, percent_decode_str, utf8_percent_encode};

/// What a resource path may begin with: the constructors of `model::Resource`.
const ROOTS: [&[&str]; 6] = [
    &["platform"],
    &["timescale", "sensors"],
    &["timescale", "topics"],
    &["timescale", "ledger"],
    &["storage", "buckets"],
    &["storage", "files"],
];

/// What is beyond ASCII is always encoded; nothing else is here.
const NOT_ASCII: &AsciiSet = &AsciiSet::EMPTY;

/// The collections that belong to no tenant: who is one, and who may do what in all of them.
const OVER_TENANTS: [&str; 2] = ["/platform/tenants", "/platform/policies"];

/// Whether a path, or a pattern, speaks of what belongs to no tenant and of nothing else.
pub(super) fn is_over_tenants(path: &str) -> bool {
    let beneath = |rest: &str| rest.is_empty() || rest.starts_with('/');
    OVER_TENANTS.iter().any(|collection| path.strip_prefix(collection).is_some_and(beneath))
}

/// A pattern that passed its checks, written as resource paths are (beyond ASCII percent-encoded).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Pattern(Arc<str>);

impl Pattern {
    /// Reads a pattern from a policy file; the error says what to write instead.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let Some(rest) = text.strip_prefix('/') else {
            return Err(format!("the object `{text}` has to begin with `/`"));
        };
        if rest.ends_with('/') {
            return Err(format!("the object `{text}` ends in `/` and would match nothing; write `{text}**` for all beneath"));
        }
        let segments: Vec<&str> = rest.split('/').collect();
        for (index, segment) in segments.iter().enumerate() {
            check_segment(text, segment, index + 1 == segments.len())?;
        }
        check_root(text, &segments)?;
        if let ["storage", "files", _, name @ ..] = &segments[..]
            && name.iter().any(|segment| segment.contains("%2F"))
        {
            return Err(format!("an object's name keeps its slashes: write `/` for `%2F` in `{text}`"));
        }
        Ok(Self(utf8_percent_encode(text, NOT_ASCII).to_string().into()))
    }

    /// The pattern's text.
    pub(super) fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it speaks of what belongs to no tenant and of nothing else.
    pub(super) fn is_over_tenants(&self) -> bool {
        is_over_tenants(&self.0)
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn check_segment(text: &str, segment: &str, last: bool) -> Result<(), String> {
    match segment {
        "" => return Err(format!("the object `{text}` has an empty segment; write one `/`")),
        "." | ".." => return Err(format!("the object `{text}` has a segment `{segment}`; no resource has one")),
        "**" if last => return Ok(()),
        _ if segment.contains("**") => {
            return Err(format!("`**` in `{text}` has to be the whole last segment; within one segment write `*`"));
        }
        _ => {}
    }
    // A part of a character is no name's, and a list is limited by characters (`reach`).
    if segment.split('*').any(|part| percent_decode_str(part).decode_utf8().is_err()) {
        return Err(format!("an escape in `{text}` is a part of a character only; write the character itself"));
    }
    let bytes = segment.as_bytes();
    for (at, c) in segment.char_indices() {
        match c {
            '%' if escape_is_canonical(&bytes[at + 1..]) => {}
            '%' => {
                return Err(format!(
                    "`%` in `{text}` has to be one of the escapes that resources use (`%2F` for `/`, `%25` for `%`, `%3F` for `?`)"
                ));
            }
            '*' | '-' | '.' | '_' | '~' | '@' | ':' | '+' | '=' | '!' | '$' | '&' | '\'' | '(' | ')' | ';' | ' ' => {}
            c if c.is_alphanumeric() => {}
            c => return Err(format!("the character `{}` may not stand in an object", c.escape_debug())),
        }
    }
    Ok(())
}

/// Whether two hexadecimal digits follow that `model::Resource` would have written so.
fn escape_is_canonical(after: &[u8]) -> bool {
    const ENCODED: &AsciiSet = &CONTROLS.add(b'/').add(b'%').add(b'?').add(b'#');
    let Some(&[high, low]) = after.get(..2) else { return false };
    let digit = |d: u8| match d {
        b'0'..=b'9' => Some(d - b'0'),
        b'A'..=b'F' => Some(d - b'A' + 10),
        _ => None,
    };
    let (Some(high), Some(low)) = (digit(high), digit(low)) else { return false };
    let byte = high * 16 + low;
    !byte.is_ascii() || percent_encoding::percent_encode(&[byte], ENCODED).next().is_some_and(|escaped| escaped.len() == 3)
}

/// Refuses a beginning that no resource has, such as `/timescales`: the rule would never apply.
fn check_root(text: &str, segments: &[&str]) -> Result<(), String> {
    let fits = |root: &&[&str]| {
        for (index, name) in root.iter().enumerate() {
            match segments.get(index) {
                Some(&"**") => return true,
                Some(glob) if segment_matches(glob, name) => {}
                _ => return false,
            }
        }
        true
    };
    if ROOTS.iter().any(fits) {
        return Ok(());
    }
    let roots: Vec<String> = ROOTS.iter().map(|root| format!("/{}", root.join("/"))).collect();
    Err(format!("no resource begins like `{text}`; they begin with {}", roots.join(", ")))
}

/// Whether `pattern` covers `path`: the definition.
pub(super) fn matches(pattern: &str, path: &str) -> bool {
    let mut globs = pattern.split('/');
    let mut segments = path.split('/');
    loop {
        match (globs.next(), segments.next()) {
            (Some("**"), Some(_)) | (None, None) => return true,
            (Some(glob), Some(segment)) if segment_matches(glob, segment) => {}
            _ => return false,
        }
    }
}

/// What is left of `pattern` beneath `root`, segments of a path without stars; `None` where it covers nothing there.
pub(super) fn beneath<'a>(pattern: &'a str, root: &[&str]) -> Option<&'a str> {
    let mut rest = pattern.strip_prefix('/')?;
    for name in root {
        if rest == "**" {
            return Some(rest);
        }
        let (glob, after) = rest.split_once('/')?;
        if !segment_matches(glob, name) {
            return None;
        }
        rest = after;
    }
    Some(rest)
}

/// Whether a segment with `*` for any characters covers `segment`. A star stands for whole characters: where it ends, no escape is cut.
fn segment_matches(glob: &str, segment: &str) -> bool {
    let Some((first, rest)) = glob.split_once('*') else { return glob == segment };
    let Some(mut left) = segment.strip_prefix(first) else { return false };
    let mut parts = rest.split('*').peekable();
    while let Some(part) = parts.next() {
        if parts.peek().is_none() {
            return left.strip_suffix(part).is_some_and(is_whole);
        }
        let mut from = 0;
        left = loop {
            let Some(at) = left.get(from..).and_then(|left| left.find(part)) else { return false };
            if is_whole(&left[..from + at]) {
                break &left[from + at + part.len()..];
            }
            from += at + 1;
        };
    }
    true
}

/// Whether `text` does not end within an escape.
fn is_whole(text: &str) -> bool {
    let bytes = text.as_bytes();
    !bytes[bytes.len().saturating_sub(2)..].contains(&b'%')
}

/// A map that is looked into for every decision: seeded at random like the standard one, and quicker.
pub(super) type Quick<K, V> = HashMap<K, V, foldhash::fast::RandomState>;

/// Many patterns as a tree by segment; a look-up visits each node at most once and mostly one a level.
#[derive(Debug, Default)]
pub(super) struct Set {
    nodes: Vec<Node>,
}

#[derive(Debug, Default)]
struct Node {
    /// Children by their segment's text, `*` and all.
    children: Quick<Box<str>, usize>,
    /// Those with `*` again, by what stands before it, so that a segment is held against few of many.
    globs: Quick<Box<str>, Vec<(Box<str>, usize)>>,
    /// How long the keys of `globs` are, a bit for each length.
    prefixes: u64,
    /// The pattern that ends here.
    end: Option<u32>,
    /// The pattern that ends here with `**`.
    rest: Option<u32>,
}

impl Set {
    /// An empty set.
    pub(super) fn new() -> Self {
        Self { nodes: vec![Node::default()] }
    }

    /// Adds `pattern` under the number `id`; the number that it has already, if it is in the set.
    pub(super) fn insert(&mut self, pattern: &Pattern, id: u32) -> u32 {
        let mut at = 0;
        for glob in pattern.as_str().split('/') {
            if glob == "**" {
                return *self.nodes[at].rest.get_or_insert(id);
            }
            at = self.child(at, glob);
        }
        *self.nodes[at].end.get_or_insert(id)
    }

    fn child(&mut self, at: usize, glob: &str) -> usize {
        let fresh = self.nodes.len();
        let node = &mut self.nodes[at];
        if let Some(known) = node.children.get(glob) {
            return *known;
        }
        node.children.insert(glob.into(), fresh);
        if let Some((prefix, _)) = glob.split_once('*') {
            // Patterns are ASCII, so any length ends a character.
            let prefix = &prefix[..prefix.len().min(63)];
            node.globs.entry(prefix.into()).or_default().push((glob.into(), fresh));
            node.prefixes |= 1 << prefix.len();
        }
        self.nodes.push(Node::default());
        fresh
    }

    /// Puts the numbers of all patterns that cover `path`, ascending, into `found`, in place of what it holds.
    pub(super) fn matching_into(&self, path: &str, found: &mut Vec<u32>) {
        found.clear();
        self.walk(0, Some(path), found);
        found.sort_unstable();
    }

    /// Recursion is as deep as the deepest pattern has segments, which a line's length bounds.
    fn walk(&self, at: usize, rest: Option<&str>, found: &mut Vec<u32>) {
        let node = &self.nodes[at];
        let Some(rest) = rest else {
            found.extend(node.end);
            return;
        };
        found.extend(node.rest);
        let (segment, rest) = match rest.split_once('/') {
            Some((segment, rest)) => (segment, Some(rest)),
            None => (rest, None),
        };
        // A `*` in the path is a character of its name; the pattern that has it as a wildcard is found below.
        if let Some(child) = node.children.get(segment).filter(|_| !segment.contains('*')) {
            self.walk(*child, rest, found);
        }
        let mut lengths = node.prefixes;
        while lengths != 0 {
            let length = lengths.trailing_zeros() as usize;
            lengths &= lengths - 1;
            let Some(prefix) = segment.get(..length) else { continue };
            for (glob, child) in node.globs.get(prefix).into_iter().flatten() {
                if segment_matches(glob, segment) {
                    self.walk(*child, rest, found);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use globset::GlobBuilder;
    use rand::rngs::StdRng;
    use rand::{RngExt, SeedableRng};

    use super::*;
    use crate::model::Resource;

    #[test]
    fn stars_keep_to_their_segment() {
        for (pattern, path, expected) in [
            ("/timescale/sensors/*", "/timescale/sensors/room-4", true),
            ("/timescale/sensors/*", "/timescale/sensors", false),
            ("/timescale/sensors/*", "/timescale/sensors/a/b", false),
            ("/timescale/sensors/room-*-t", "/timescale/sensors/room-4-t", true),
            ("/timescale/sensors/a*a", "/timescale/sensors/a", false),
            ("/storage/files/reports/**", "/storage/files/reports/2026/a.pdf", true),
            ("/storage/files/reports/**", "/storage/files/reports", false),
            ("/storage/files/reports/**", "/storage/files/reports2/a", false),
            ("/**", "/platform/tenants", true),
            // A star stands for characters of the name, and `%2F` is one of them.
            ("/timescale/sensors/*2F", "/timescale/sensors/a%2F", false),
            ("/timescale/sensors/*F*", "/timescale/sensors/a%2Fb", false),
            ("/timescale/sensors/*2F2F*", "/timescale/sensors/%2F2F2Fb", true),
            ("/timescale/sensors/*2F", "/timescale/sensors/a%2F2F", true),
            ("/timescale/sensors/a*", "/timescale/sensors/a%2F", true),
        ] {
            assert_eq!(matches(pattern, path), expected, "{pattern} {path}");
        }
    }

    #[test]
    fn what_could_never_match_is_refused() {
        for (pattern, words) in [
            ("timescale/sensors", "begin with `/`"),
            ("/timescale/sensors/", "ends in `/`"),
            ("/timescale//sensors", "empty segment"),
            ("/timescale/../platform", "segment `..`"),
            ("/timescale/**/x", "whole last segment"),
            ("/timescale/sensors/a**", "whole last segment"),
            ("/timescale/sensors/[ab]", "character `[`"),
            ("/timescale/sensors/{a}", "character `{`"),
            ("/timescale/sensors/a?", "character `?`"),
            ("/timescale/sensors/a\\b", "character"),
            ("/timescale/sensors/a%2f", "escapes that resources use"),
            ("/timescale/sensors/a%20b", "escapes that resources use"),
            ("/timescale/sensors/%", "escapes that resources use"),
            ("/timescale/sensors/a%C3", "part of a character"),
            ("/timescale/sensors/a%C3*%A4", "part of a character"),
            ("/timescales/sensors/a", "no resource begins"),
            ("/timescale/sensor/a", "no resource begins"),
            ("/timescale", "no resource begins"),
            ("/storage/files/b/a%2Fb", "keeps its slashes"),
        ] {
            let said = Pattern::parse(pattern).expect_err(pattern);
            assert!(said.contains(words), "{pattern}: {said}");
        }
    }

    #[test]
    fn a_name_is_written_as_resources_write_it() {
        for (pattern, resource) in [
            ("/timescale/sensors/käse 1", Resource::sensor("käse 1")),
            ("/timescale/sensors/a%2Fb", Resource::sensor("a/b")),
            ("/timescale/sensors/100%25", Resource::sensor("100%")),
            ("/storage/files/b/x/y z.pdf", Resource::file("b", "x/y z.pdf")),
            ("/timescale/*", Resource::ledger()),
            ("/storage/buckets", Resource::buckets()),
            ("/platform/schemas/*", Resource::platform_one("schemas", "1")),
        ] {
            let parsed = Pattern::parse(pattern).expect("a sound pattern");
            assert!(matches(parsed.as_str(), resource.as_str()), "{parsed} {resource}");
        }
        assert!(matches("/timescale/topics/*", Resource::topic("a/../b").as_str()));
    }

    #[test]
    fn a_path_that_is_not_ascii_meets_every_pattern_that_covers_it() {
        let (mut set, mut found) = (Set::new(), Vec::new());
        // Prefixes of which some would end within a character of the path.
        let patterns = ["/timescale/sensors/a*", "/timescale/sensors/ab*", "/timescale/sensors/abcd*", "/timescale/sensors/*"];
        for (id, text) in (0..).zip(patterns) {
            set.insert(&Pattern::parse(text).expect("a sound pattern"), id);
        }
        set.insert(&Pattern::parse("/timescale/sensors/axyz*").expect("a sound pattern"), 4);
        for (path, covering) in [("/timescale/sensors/a\u{e9}", &[0, 3][..]), ("/timescale/sensors/ab\u{e9}\u{e9}", &[0, 1, 3])] {
            set.matching_into(path, &mut found);
            assert_eq!(found, covering, "{path}");
        }
    }

    fn random_word(random: &mut StdRng, wild: bool) -> String {
        let letters: &[char] = if wild { &['a', 'b', 'é', '*'] } else { &['a', 'b', 'é', 'a', 'b', '*'] };
        let mut word = String::new();
        for _ in 0..random.random_range(1..4) {
            let c = letters[random.random_range(0..letters.len())];
            if !(c == '*' && word.ends_with('*')) {
                word.push(c);
            }
        }
        word
    }

    #[test]
    fn the_set_the_definition_and_globset_agree() {
        let mut random = StdRng::seed_from_u64(20_260_917);
        let mut hits = 0;
        for _ in 0..200 {
            let mut set = Set::new();
            let mut patterns: Vec<Pattern> = Vec::new();
            for _ in 0..20 {
                let mut text = "/storage/files".to_owned();
                for _ in 0..random.random_range(1..4) {
                    text = format!("{text}/{}", random_word(&mut random, true));
                }
                if random.random_bool(0.3) {
                    text.push_str("/**");
                }
                let pattern = Pattern::parse(&text).expect("a sound pattern");
                let id = u32::try_from(patterns.len()).expect("few");
                if set.insert(&pattern, id) == id {
                    patterns.push(pattern);
                }
            }
            let globs: Vec<_> = patterns
                .iter()
                .map(|p| GlobBuilder::new(p.as_str()).literal_separator(true).build().expect("a glob").compile_matcher())
                .collect();
            let mut found = Vec::new();
            for _ in 0..50 {
                let mut name = random_word(&mut random, false);
                for _ in 0..random.random_range(0..3) {
                    name = format!("{name}/{}", random_word(&mut random, false));
                }
                let resource = Resource::file(&random_word(&mut random, false), &name);
                let path = resource.as_str();
                set.matching_into(path, &mut found);
                for (id, pattern) in (0u32..).zip(&patterns) {
                    let by_definition = matches(pattern.as_str(), path);
                    hits += usize::from(by_definition);
                    assert_eq!(by_definition, found.contains(&id), "set: {pattern} {path}");
                    assert_eq!(by_definition, globs[id as usize].is_match(path), "globset: {pattern} {path}");
                }
            }
        }
        assert!(hits > 1_000, "the random patterns have to meet the paths: {hits}");
    }
}
