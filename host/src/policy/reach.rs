//! The reach of a caller: which of a collection's things the rules let it see, so that a list of them, or a sum over them, can be limited in
//! the query itself.
//!
//! A rule on `/timescale/sensors/building-7-*` speaks of sensors, and a list of sensors shows those. What is derived here is what casbin
//! decides name by name: tests hold the one against the other. It must not know SQL; what it says is names, and
//! regular expressions in which a dot is any character.

use std::collections::BTreeSet;
use std::sync::Arc;

use percent_encoding::percent_decode_str;
use serde::Serialize;

use super::book::{Domain, Placed};
use super::line::Rule;
use super::pattern;
use crate::limits;
use crate::model::{Action, Bearer, Resource};

/// Things that are listed together.
#[derive(Clone, Debug)]
pub struct Collection {
    /// The list as a whole, as rules speak of it.
    whole: Resource,
    /// What the paths of its things begin with.
    root: Box<[Box<str>]>,
    /// Whether names have several segments, which a star keeps to.
    deep: bool,
}

impl Collection {
    fn of(whole: Resource, root: &[&str], deep: bool) -> Self {
        Self { whole, root: root.iter().map(|name| (*name).into()).collect(), deep }
    }

    /// The sensors.
    pub fn sensors() -> Self {
        Self::of(Resource::sensors(), &["timescale", "sensors"], false)
    }

    /// The topics that readings come through; the list as a whole is that of the sensors.
    pub(super) fn topics() -> Self {
        Self::of(Resource::sensors(), &["timescale", "topics"], false)
    }

    /// The readings of one topic: the sensors that have some.
    pub fn of_topic(name: &str) -> Self {
        Self { whole: Resource::topic(name), ..Self::sensors() }
    }

    /// The files of a bucket.
    pub fn files(bucket: &str) -> Self {
        Self::of(Resource::bucket(bucket), &["storage", "files", bucket], true)
    }

    /// The buckets.
    pub fn buckets() -> Self {
        Self::of(Resource::buckets(), &["storage", "buckets"], false)
    }

    /// A collection of the platform, such as `projects`.
    pub fn platform(name: &str) -> Self {
        Self::of(Resource::platform(name), &["platform", name], false)
    }

    /// What is listed where this is asked for; `None` where it is no list.
    pub(super) fn listed_at(whole: &Resource) -> Option<Self> {
        let path: Vec<&str> = whole.as_str().split('/').skip(1).collect();
        Some(match path[..] {
            ["timescale", "sensors"] => Self::sensors(),
            ["timescale", "topics", _] => Self { whole: whole.clone(), ..Self::sensors() },
            ["storage", "buckets"] => Self::buckets(),
            ["storage", "buckets", bucket] => Self::files(bucket),
            ["platform", name] => Self::platform(name),
            _ => return None,
        })
    }

    /// The list as a whole.
    pub fn whole(&self) -> &Resource {
        &self.whole
    }

    /// What reaches are kept by.
    pub(super) fn root(&self) -> String {
        self.root.join("/")
    }

    /// What of a pattern speaks of its things.
    fn beneath<'a>(&self, pattern: &'a str) -> Option<&'a str> {
        let root: Vec<&str> = self.root.iter().map(|name| &**name).collect();
        pattern::beneath(pattern, &root).filter(|rest| self.deep || !rest.contains('/'))
    }
}

/// Which names of a collection are within reach: those that are allowed, within the scopes of the token, and not denied. Stores take it into
/// their queries as JSON.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Reach {
    /// `None` for all.
    #[serde(skip_serializing_if = "Option::is_none")]
    allowed: Option<Names>,
    /// `None` where no scopes limit it.
    #[serde(skip_serializing_if = "Option::is_none")]
    scoped: Option<Names>,
    denied: Names,
}

/// Some names: these, and those that fit the expression.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
struct Names {
    these: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    fitting: Option<String>,
}

/// A reach without a limit.
static EVERYTHING: Reach = Reach { allowed: None, scoped: None, denied: Names { these: Vec::new(), fitting: None } };

impl Reach {
    /// Without a limit.
    pub fn everything() -> &'static Self {
        &EVERYTHING
    }

    /// What limits a query; `None` where nothing does.
    pub fn limits(&self) -> Option<&Self> {
        (self.allowed.is_some() || self.scoped.is_some() || !self.denied.is_empty()).then_some(self)
    }

    /// Whether the scopes of the token let no name through.
    pub(super) fn is_out_of_scope(&self) -> bool {
        self.scoped.as_ref().is_some_and(Names::is_empty)
    }

    /// What it denies, and nothing of what it allows.
    pub(super) fn denials(&self) -> Self {
        Self { allowed: None, scoped: None, denied: self.denied.clone() }
    }

    /// Whether a list can be limited by it.
    pub(super) fn is_bounded(&self) -> bool {
        let bounded = |names: &Names| {
            names.these.len() <= limits::REACH_NAMES
                && names.fitting.as_ref().is_none_or(|text| text.len() <= limits::REACH_BYTES)
        };
        [self.allowed.as_ref(), self.scoped.as_ref(), Some(&self.denied)].into_iter().flatten().all(bounded)
    }

    /// The same within the scopes of a token.
    pub(super) fn within(&self, bearer: Option<&Bearer>, action: Action, collection: &Collection) -> Self {
        let Some(bearer) = bearer.filter(|bearer| !bearer.scopes.is_empty()) else { return self.clone() };
        let fitting = bearer.scopes.iter().filter(|scope| scope.action.is_none_or(|of| of == action));
        let scoped = Names::of(fitting.filter_map(|scope| collection.beneath(&scope.object)), collection.deep);
        Self { scoped, ..self.clone() }
    }
}

impl Names {
    fn is_empty(&self) -> bool {
        self.these.is_empty() && self.fitting.is_none()
    }

    /// The names that any of these patterns covers; `None` for all.
    fn of<'a>(patterns: impl Iterator<Item = &'a str>, deep: bool) -> Option<Self> {
        let (mut these, mut fitting) = (BTreeSet::new(), BTreeSet::new());
        for pattern in patterns {
            match pattern {
                "**" => return None,
                "*" if !deep => return None,
                _ if pattern.contains('*') => drop(fitting.insert(expression(pattern, deep))),
                _ => drop(these.insert(decoded(pattern))),
            }
        }
        let fitting: Vec<String> = fitting.into_iter().collect();
        let fitting = (!fitting.is_empty()).then(|| format!("^(?:{})$", fitting.join("|")));
        Some(Self { these: these.into_iter().collect(), fitting })
    }

    /// The same where no pattern means no name, and one for all is an expression like any other.
    fn of_denied<'a>(patterns: impl Iterator<Item = &'a str>, deep: bool) -> Self {
        Self::of(patterns, deep).unwrap_or_else(|| Self { these: Vec::new(), fitting: Some("^".to_owned()) })
    }
}

/// A pattern's text as names have it.
fn decoded(text: &str) -> String {
    percent_decode_str(text).decode_utf8_lossy().into_owned()
}

/// A regular expression for the names that a pattern covers. Names of one segment may hold a `/`, which their path has as `%2F`.
fn expression(pattern: &str, deep: bool) -> String {
    let star = if deep { "[^/]*" } else { ".*" };
    let segments = pattern.split('/').map(|segment| match segment {
        "**" => ".*".to_owned(),
        _ => segment.split('*').map(|part| escaped(&decoded(part))).collect::<Vec<_>>().join(star),
    });
    segments.collect::<Vec<_>>().join("/")
}

/// Text that stands for itself in an expression.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_ascii() && !c.is_ascii_alphanumeric() && c != '_' && !c.is_ascii_control() && c != ' ' {
            escaped.push('\\');
        }
        escaped.push(c);
    }
    escaped
}

/// What somebody reaches, and the first rule that lets them.
#[derive(Clone, Debug)]
pub(super) struct Reached {
    pub(super) reach: Reach,
    /// The rule in a sentence; `None` where no rule allows anything.
    pub(super) rule: Option<Arc<str>>,
}

impl Domain {
    /// What of a collection a subject may do this to, by the rules of this domain.
    pub(super) fn reach(&self, rules: &[Placed<Rule>], subject: &str, action: Action, collection: &Collection) -> Reached {
        let key = (collection.root(), action, subject.to_owned());
        if let Some(reached) = self.reaches.read().get(&key) {
            return reached;
        }
        let (mut allowed, mut denied, mut first) = (Vec::new(), Vec::new(), None);
        let applies = self.applies(subject);
        for rule in self.rules(rules) {
            let Some(rest) = collection.beneath(rule.what.object.as_str()) else { continue };
            if rule.what.action.is_some_and(|of| of != action) || !applies(&rule.what) {
                continue;
            }
            if rule.what.allow {
                first.get_or_insert_with(|| format!("{} allows it to {}", rule.place, rule.what.subject).into());
                allowed.push(rest);
            } else {
                denied.push(rest);
            }
        }
        let reach = Reach {
            allowed: Names::of(allowed.into_iter(), collection.deep),
            scoped: None,
            denied: Names::of_denied(denied.into_iter(), collection.deep),
        };
        let reached = Reached { reach, rule: first };
        self.reaches.write().put(key, reached.clone());
        reached
    }

    /// Whether a rule denies the list as a whole.
    pub(super) fn denies_whole(&self, rules: &[Placed<Rule>], subject: &str, action: Action, whole: &Resource) -> bool {
        let applies = self.applies(subject);
        let denies = |rule: &&Placed<Rule>| {
            !rule.what.allow
                && rule.what.action.is_none_or(|of| of == action)
                && pattern::matches(rule.what.object.as_str(), whole.as_str())
                && applies(&rule.what)
        };
        self.rules(rules).any(|rule| denies(&rule))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(patterns: &[&str], deep: bool) -> Option<Names> {
        Names::of(patterns.iter().copied(), deep)
    }

    #[test]
    fn patterns_are_names_and_one_expression() {
        let some = names(&["room-4", "a%2Fb", "building-7-*", "k*se.x"], false).expect("not all");
        assert_eq!(some.these, ["a/b", "room-4"]);
        assert_eq!(some.fitting.as_deref(), Some(r"^(?:building\-7\-.*|k.*se\.x)$"));
        assert_eq!(names(&["x", "**"], false), None);
        assert_eq!(names(&["*"], false), None);
        assert_eq!(names(&["*"], true).expect("one segment").fitting.as_deref(), Some("^(?:[^/]*)$"));
        assert_eq!(names(&["public/**", "a/*/b"], true).expect("some").fitting.as_deref(), Some("^(?:a/[^/]*/b|public/.*)$"));
        assert!(names(&[], false).expect("none").is_empty());
        assert_eq!(Names::of_denied(["**"].into_iter(), true).fitting.as_deref(), Some("^"));
    }
}
