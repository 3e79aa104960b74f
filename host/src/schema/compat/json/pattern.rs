//! Regular expressions as far as a comparison needs them: which texts one takes, whether two can take the same text.
//!
//! Read are characters, `.`, classes, `\d` and `\w`, repetition, and `^` and `$` at the ends: the names that people write into
//! `patternProperties`. Groups and alternatives are not; what is not read is *not known*, never a guess. No engine is asked,
//! because a definition must not choose how long its comparison takes: a text is followed through all states at once.

use std::rc::Rc;

use super::Checker;
use crate::limits::COMPAT_PATTERN_BYTES;

/// States of one expression; beyond it, it is not read.
const STATES: usize = 512;

/// Characters at one place of a text.
#[derive(Clone, Debug)]
enum Set {
    /// All but line ends.
    Any,
    /// Those within one of the ranges, or within none.
    Ranges { negated: bool, ranges: Vec<(char, char)> },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Times {
    Once,
    AtMostOnce,
    Often,
}

/// An expression that was read.
#[derive(Debug)]
pub(super) struct Pattern {
    from_start: bool,
    to_end: bool,
    places: Vec<(Set, Times)>,
}

impl Set {
    fn has(&self, c: char) -> bool {
        match self {
            Self::Any => !matches!(c, '\n' | '\r' | '\u{2028}' | '\u{2029}'),
            Self::Ranges { negated, ranges } => ranges.iter().any(|(first, last)| (*first..=*last).contains(&c)) != *negated,
        }
    }

    /// The one character that it has.
    fn only(&self) -> Option<char> {
        match self {
            Self::Ranges { negated: false, ranges } => match ranges.as_slice() {
                [(first, last)] if first == last => Some(*first),
                _ => None,
            },
            _ => None,
        }
    }
}

impl Pattern {
    /// Reads an expression; `None` where it has more than is read here.
    pub(super) fn read(text: &str) -> Option<Self> {
        if text.len() > COMPAT_PATTERN_BYTES {
            return None;
        }
        let (from_start, rest) = text.strip_prefix('^').map_or((false, text), |rest| (true, rest));
        let escaped = rest.strip_suffix("\\$").is_some();
        let (to_end, rest) = rest.strip_suffix('$').filter(|_| !escaped).map_or((false, rest), |rest| (true, rest));
        let mut reader = Reader { rest: rest.chars().collect(), at: 0 };
        let mut places = Vec::new();
        while let Some(set) = reader.set()? {
            reader.times(&set, &mut places)?;
            if places.len() > STATES {
                return None;
            }
        }
        Some(Self { from_start, to_end, places })
    }

    /// Whether it finds itself in a text.
    pub(super) fn takes(&self, text: &str) -> bool {
        let mut states = vec![false; self.places.len() + 1];
        self.reach(&mut states, 0);
        for c in text.chars() {
            if states[self.places.len()] && !self.to_end {
                return true;
            }
            let mut next = vec![false; states.len()];
            for (at, (set, times)) in self.places.iter().enumerate() {
                if states[at] && set.has(c) {
                    self.reach(&mut next, if *times == Times::Often { at } else { at + 1 });
                }
            }
            if !self.from_start {
                self.reach(&mut next, 0);
            }
            states = next;
        }
        states[self.places.len()]
    }

    /// Marks a state, and those that it comes to without a character. Behind one that is marked, all of them are.
    fn reach(&self, states: &mut [bool], from: usize) {
        for (at, state) in states.iter_mut().enumerate().skip(from) {
            let known = std::mem::replace(state, true);
            if known || self.places.get(at).is_none_or(|(_, times)| *times == Times::Once) {
                break;
            }
        }
    }

    /// True where it takes every text.
    pub(super) fn takes_all(&self) -> bool {
        !(self.from_start && self.to_end) && self.places.iter().all(|(_, times)| *times != Times::Once)
    }

    /// True where no text is taken by both: they begin with different characters.
    pub(super) fn is_apart(&self, other: &Self) -> bool {
        let beginning = |pattern: &Self| {
            let single = |(set, times): &(Set, Times)| set.only().filter(|_| *times == Times::Once);
            if pattern.from_start { pattern.places.iter().map_while(single).collect() } else { Vec::new() }
        };
        beginning(self).into_iter().zip(beginning(other)).any(|(one, other)| one != other)
    }
}

struct Reader {
    rest: Vec<char>,
    at: usize,
}

impl Reader {
    fn next(&mut self) -> Option<char> {
        let c = self.rest.get(self.at).copied();
        self.at += usize::from(c.is_some());
        c
    }

    /// The characters of the next place; `Some(None)` at the end.
    #[expect(clippy::option_option, reason = "the end is something else than what is not read")]
    fn set(&mut self) -> Option<Option<Set>> {
        let Some(c) = self.next() else { return Some(None) };
        Some(Some(match c {
            '.' => Set::Any,
            '[' => self.class()?,
            '\\' => Set::Ranges { negated: false, ranges: self.escaped()? },
            '(' | ')' | '|' | '^' | '$' | '*' | '+' | '?' | '{' | '}' | ']' => return None,
            other => Set::Ranges { negated: false, ranges: vec![(other, other)] },
        }))
    }

    fn escaped(&mut self) -> Option<Vec<(char, char)>> {
        match self.next()? {
            'd' => Some(vec![('0', '9')]),
            'w' => Some(vec![('0', '9'), ('A', 'Z'), ('_', '_'), ('a', 'z')]),
            other if other.is_ascii_punctuation() => Some(vec![(other, other)]),
            _ => None,
        }
    }

    fn class(&mut self) -> Option<Set> {
        let negated = self.rest.get(self.at) == Some(&'^');
        self.at += usize::from(negated);
        let mut ranges: Vec<(char, char)> = Vec::new();
        loop {
            let first = match self.next()? {
                ']' => return (!ranges.is_empty()).then_some(Set::Ranges { negated, ranges }),
                '\\' => {
                    ranges.extend(self.escaped()?);
                    continue;
                }
                '[' | '&' | '~' => return None,
                other => other,
            };
            let range = self.rest.get(self.at) == Some(&'-') && self.rest.get(self.at + 1).is_some_and(|next| *next != ']');
            if !range {
                ranges.push((first, first));
                continue;
            }
            self.at += 1;
            let last = self.next().filter(|last| !matches!(last, '\\' | '[') && *last >= first)?;
            ranges.push((first, last));
        }
    }

    /// How often a place comes, as places that come once, at most once or often.
    fn times(&mut self, set: &Set, places: &mut Vec<(Set, Times)>) -> Option<()> {
        let (least, most) = match self.rest.get(self.at) {
            Some('*') => (0, None),
            Some('+') => (1, None),
            Some('?') => (0, Some(1)),
            Some('{') => return self.counted(set, places),
            _ => {
                places.push((set.clone(), Times::Once));
                return Some(());
            }
        };
        self.at += 1;
        self.repeated(set, places, least, most)
    }

    fn counted(&mut self, set: &Set, places: &mut Vec<(Set, Times)>) -> Option<()> {
        let end = self.rest[self.at..].iter().position(|c| *c == '}')? + self.at;
        let inside: String = self.rest[self.at + 1..end].iter().collect();
        self.at = end + 1;
        let (least, most) = match inside.split_once(',') {
            None => (inside.parse().ok()?, Some(inside.parse().ok()?)),
            Some((least, "")) => (least.parse().ok()?, None),
            Some((least, most)) => (least.parse().ok()?, Some(most.parse().ok()?)),
        };
        self.repeated(set, places, least, most)
    }

    fn repeated(&mut self, set: &Set, places: &mut Vec<(Set, Times)>, least: usize, most: Option<usize>) -> Option<()> {
        // What follows would make it lazy, or be an error.
        if matches!(self.rest.get(self.at), Some('?' | '*' | '+' | '{')) || least.max(most.unwrap_or(0)) > STATES {
            return None;
        }
        places.extend(std::iter::repeat_n((set.clone(), Times::Once), least));
        match most {
            None => places.push((set.clone(), Times::Often)),
            Some(most) => places.extend(std::iter::repeat_n((set.clone(), Times::AtMostOnce), most.checked_sub(least)?)),
        }
        Some(())
    }
}

impl<'a> Checker<'a> {
    /// An expression of a definition; `None` where it is not read. Read once.
    pub(super) fn expression(&mut self, text: &'a str) -> Rc<Option<Pattern>> {
        if let Some(known) = self.patterns.get(&text.as_ptr().addr()) {
            return Rc::clone(known);
        }
        self.step(1 + text.len() / 16);
        let read = Rc::new(Pattern::read(text));
        self.patterns.insert(text.as_ptr().addr(), Rc::clone(&read));
        read
    }

    /// Whether an expression takes a text; `None` where that is not known.
    pub(super) fn matches(&mut self, pattern: &'a str, text: &str) -> Option<bool> {
        let read = self.expression(pattern);
        let read = read.as_ref().as_ref()?;
        let work = read.places.len() * text.len() / 64;
        self.step(work).then(|| read.takes(text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expressions_are_followed() {
        let takes = |pattern: &str, text: &str| Pattern::read(pattern).map(|pattern| pattern.takes(text));
        for (pattern, text, expected) in [
            ("", "x", Some(true)),
            ("a", "cab", Some(true)),
            ("^a", "cab", Some(false)),
            ("^x-", "x-unit", Some(true)),
            ("b$", "ab", Some(true)),
            ("b$", "ba", Some(false)),
            ("^[a-z][a-z0-9_]*$", "metric_1", Some(true)),
            ("^[a-z][a-z0-9_]*$", "1metric", Some(false)),
            ("^[^0-9]+$", "abc", Some(true)),
            ("^\\d{2,3}$", "1234", Some(false)),
            ("^\\d{2,3}$", "123", Some(true)),
            ("^ab?c$", "ac", Some(true)),
            ("^a.c$", "a\nc", Some(false)),
            ("^cost\\$", "cost$", Some(true)),
            ("^(a|b)$", "a", None),
            ("a+?", "a", None),
            ("\\p{L}", "a", None),
        ] {
            assert_eq!(takes(pattern, text), expected, "{pattern} {text}");
        }
    }

    #[test]
    fn what_takes_all_and_what_is_apart_is_known() {
        let read = |text: &str| Pattern::read(text).expect(text);
        assert!(read("").takes_all() && read(".*").takes_all() && read("^").takes_all());
        assert!(!read("^.*$").takes_all() && !read("a").takes_all());
        assert!(read("^S_").is_apart(&read("^I_")));
        assert!(!read("^S_").is_apart(&read("^S_x")) && !read("^S_").is_apart(&read("I_")));
        assert!(read("^a?b").takes("b") && !read("^a?b").is_apart(&read("^b")));
    }
}
