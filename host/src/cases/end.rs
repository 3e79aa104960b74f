//! What became of a document or an object as a whole, and what a case expects of that.

use std::fmt;

use serde::Deserialize;

use crate::error::Detail;

/// What became of a document or an object.
#[derive(Clone, Debug, PartialEq)]
pub enum End<T> {
    /// It passes.
    Passed {
        /// What passes is not what was shown.
        changed: bool,
        /// What passes.
        now: T,
    },
    /// It is refused, for these reasons.
    Refused(Vec<Detail>),
    /// The module failed on it.
    Failed(String),
}

/// A verdict that is expected, in the words of `test`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Wanted {
    /// It is stored as it is.
    Accept,
    /// Something else is stored.
    Replace,
    /// It is refused.
    Reject,
}

impl Wanted {
    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Accept => "accept",
            Self::Replace => "replace",
            Self::Reject => "reject",
        }
    }
}

impl fmt::Display for Wanted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl<T> End<T> {
    /// What passes, where it does.
    pub fn passed(&self) -> Option<&T> {
        if let Self::Passed { now, .. } = self { Some(now) } else { None }
    }

    /// The verdict, in the words of `test`.
    pub fn verdict(&self) -> &'static str {
        match self {
            Self::Passed { changed: false, .. } => Wanted::Accept.as_str(),
            Self::Passed { changed: true, .. } => Wanted::Replace.as_str(),
            Self::Refused(_) => Wanted::Reject.as_str(),
            Self::Failed(_) => "failed",
        }
    }

    /// Why it does not pass, in one line.
    pub fn reason(&self) -> Option<String> {
        let problem = |Detail { path, message, .. }: &Detail| {
            if path.is_empty() { message.clone() } else { format!("{path}: {message}") }
        };
        match self {
            Self::Passed { .. } => None,
            Self::Refused(problems) => Some(problems.iter().map(problem).collect::<Vec<_>>().join("; ")),
            Self::Failed(reason) => Some(reason.clone()),
        }
    }

    /// How the verdict differs from what is expected: the word, a part of a reason, and the place that the same reason is about.
    pub(super) fn difference(&self, wanted: Wanted, reason: Option<&str>, path: Option<&str>) -> Option<String> {
        let found = self.verdict();
        let why = self.reason();
        if found != wanted.as_str() {
            let because = why.map(|why| format!(", since {why}")).unwrap_or_default();
            return Some(format!("expected {wanted}, found {found}{because}"));
        }
        let Self::Refused(problems) = self else { return None };
        let meant = |problem: &Detail| {
            reason.is_none_or(|part| problem.message.contains(part)) && path.is_none_or(|path| problem.path == path)
        };
        if problems.iter().any(meant) {
            return None;
        }
        let with = reason.map(|part| format!(" with `{part}`")).unwrap_or_default();
        let at = path.map(|path| format!(" at `{path}`")).unwrap_or_default();
        Some(format!("expected a reason{with}{at}, found `{}`", why.unwrap_or_default()))
    }
}
