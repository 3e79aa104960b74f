//! Compatibility of a version of a schema with the version before it: two definitions in, each break between them out.
//!
//! `backward` holds where data that was written with the old version passes the new one, `forward` where data that is written
//! with the new version passes the old one, `full` where both hold. A pure decider: no I/O, no clock, and an end within bounds
//! for every input.
//!
//! What cannot be shown to be compatible is a break that says so; nothing is ever passed over as compatible because it was too
//! hard. JSON Schemas are compared as sets of values ([`json_breaks`]), with one lenient rule; Avro schemas by the resolution
//! rules of the Avro specification ([`avro_breaks`]).

mod avro;
mod json;
#[cfg(test)]
mod tests;

use std::fmt;

pub use self::avro::avro_breaks;
pub(in crate::schema) use self::avro::without_defaults;
pub use self::json::json_breaks;
use crate::limits::{COMPAT_BREAKS, COMPAT_SHOWN, COMPAT_STEPS};

/// What a new version of a schema has to keep up with: the latest version before it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Compatibility {
    /// Nothing.
    #[default]
    None,
    /// Data written with the old version passes the new one.
    Backward,
    /// Data written with the new version passes the old one.
    Forward,
    /// Both.
    Full,
}

impl Compatibility {
    /// All there are.
    pub const ALL: [Self; 4] = [Self::None, Self::Backward, Self::Forward, Self::Full];

    /// The word for it in the API and in the database.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Backward => "backward",
            Self::Forward => "forward",
            Self::Full => "full",
        }
    }

    /// Reads the word; `None` for any other.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|compatibility| compatibility.as_str() == word)
    }

    /// The directions that have to hold.
    fn directions(self) -> &'static [Direction] {
        match self {
            Self::None => &[],
            Self::Backward => &[Direction::Backward],
            Self::Forward => &[Direction::Forward],
            Self::Full => &[Direction::Backward, Direction::Forward],
        }
    }
}

/// Which data a break is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Direction {
    /// What was written with the old version may not pass the new one.
    Backward,
    /// What is written with the new version may not pass the old one.
    Forward,
}

impl fmt::Display for Direction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Backward => "backward",
            Self::Forward => "forward",
        })
    }
}

/// One thing that keeps two versions from being compatible.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Break {
    /// A JSON pointer to what breaks: into the new definition where it has a place there, else (for what is gone) into the old
    /// one. Empty for the definition as a whole. Behind a reference it leads to the definition that is referred to.
    pub path: String,
    /// What changed, and why that breaks readers or writers.
    pub reason: String,
    /// Which data it is about.
    pub direction: Direction,
}

/// Gathers the breaks of one direction, each once, up to their bound.
struct Breaks {
    direction: Direction,
    found: Vec<Break>,
    full: bool,
}

impl Breaks {
    fn new(direction: Direction) -> Self {
        Self { direction, found: Vec::new(), full: false }
    }

    fn add(&mut self, path: String, reason: String) {
        let one = Break { path, reason, direction: self.direction };
        if self.full || self.found.contains(&one) {
            return;
        }
        self.full = self.found.len() >= COMPAT_BREAKS;
        if !self.full {
            self.found.push(one);
        }
    }

    /// The breaks; with one that says so where more were found than are listed, where the comparison was given up, or where it
    /// was not `shown` that nothing breaks and still nothing was found.
    fn finish(mut self, shown: bool, gave_up: bool) -> Vec<Break> {
        let more = if self.full {
            format!("there are more breaks than the {COMPAT_BREAKS} that are listed")
        } else if gave_up {
            format!("the comparison was stopped after {COMPAT_STEPS} steps, so the versions cannot be shown to be compatible")
        } else if !shown && self.found.is_empty() {
            "the versions cannot be shown to be compatible".to_owned()
        } else {
            return self.found;
        };
        self.found.push(Break { path: String::new(), reason: more, direction: self.direction });
        self.found
    }
}

/// A name or a value as a reason shows it: in code, and not too long.
fn code(text: &str) -> String {
    match text.char_indices().nth(COMPAT_SHOWN) {
        Some((end, _)) => format!("`{}…`", &text[..end]),
        None => format!("`{text}`"),
    }
}

/// A pointer with one more token.
fn below(pointer: &str, token: &str) -> String {
    format!("{pointer}/{}", token.replace('~', "~0").replace('/', "~1"))
}

/// Both halves of a reason: what changed, and what that does to data written before or to the version before.
fn because(direction: Direction, change: &str, may: &str, refuses: &str) -> String {
    match direction {
        Direction::Backward => format!("{change}, and data written before may {may}"),
        Direction::Forward => format!("{change}, and the version before refuses {refuses}"),
    }
}
