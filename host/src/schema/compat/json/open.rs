//! What is known of a property by its name, and the lenient rule: which names a schema leaves open.

use std::collections::HashSet;

use serde_json::Value;

use super::Checker;
use super::demand::{Demand, What};
use super::doc::{Node, address};
use super::given::{Given, Part};

impl<'a> Checker<'a> {
    /// True where the writer's schema names properties of an object, so that others are left open where nothing is said of them.
    /// An object without named ones is a map, and any name may be written into it.
    pub(super) fn leaves_open(&self, given: &Given<'a>) -> bool {
        let says = |node: &Node<'a>| node.schema("unevaluatedProperties").is_some_and(|schema| !schema.takes_all());
        !self.strict
            && given.nodes.iter().any(|node| node.get("properties").is_some() && self.is_writers(*node))
            && !given.nodes.iter().any(says)
    }

    /// What is known of the property of a name.
    pub(super) fn part(&mut self, given: &Given<'a>, name: &str) -> Part<'a> {
        let mut part = Part { nodes: Vec::new(), open: self.leaves_open(given) && !self.is_mentioned(given, name) };
        for node in &given.nodes {
            self.step(1);
            let mut own: Vec<Node<'a>> = node.member("properties", name).into_iter().collect();
            let mut sure = true;
            for (text, schema) in node.map("patternProperties") {
                match self.matches(text, name) {
                    Some(true) => own.push(schema),
                    Some(false) => {}
                    None => sure = false,
                }
            }
            part.open &= own.is_empty() && sure && !asks_for(*node, name);
            if own.is_empty() && sure {
                own.extend(node.schema("additionalProperties"));
            }
            if let Some(schema) = node.schema("unevaluatedProperties").filter(|_| !self.may_evaluate(*node, name)) {
                own.push(schema);
            }
            part.open &= own.iter().all(|node| node.takes_all());
            part.nodes.extend(own);
        }
        part
    }

    /// True where a name is not in the value: it is refused, or left open and so not written.
    pub(super) fn is_absent(&mut self, given: &Given<'a>, name: &str) -> bool {
        let part = self.part(given, name);
        part.is_never() || (part.open && !given.requires(name))
    }

    /// What is known of properties that nothing names.
    pub(super) fn rest(&mut self, given: &Given<'a>) -> Vec<Node<'a>> {
        let mut rest = Vec::new();
        for node in &given.nodes {
            rest.extend(node.schema("additionalProperties"));
            if let Some(schema) = node.schema("unevaluatedProperties").filter(|_| !self.has_looked_elsewhere(given, *node)) {
                rest.push(schema);
            }
        }
        rest
    }

    /// `unevaluatedProperties`, where all that may have looked at a property before is known; else it is compared by its text.
    pub(super) fn unevaluated(&mut self, node: Node<'a>) -> Option<Demand<'a>> {
        let keyword = "unevaluatedProperties";
        let schema = node.schema(keyword).filter(|schema| !schema.takes_all() && node.get("additionalProperties").is_none())?;
        let scope = self.together_with(node);
        let own = |other: &Node<'a>| {
            other.get("additionalProperties").is_some() || (other.id() != node.id() && other.get(keyword).is_some())
        };
        let in_place =
            |other: &Node<'a>| other.in_place().iter().any(|(keyword, _)| !matches!(*keyword, "allOf" | "$ref" | "not"));
        let what = if scope.iter().any(in_place) {
            What::Opaque
        } else if scope.iter().any(own) {
            return None;
        } else {
            What::Others(scope, schema)
        };
        Some(Demand { at: schema.value, keyword, what })
    }

    /// True where a schema beside `unevaluatedProperties` may have looked at the property.
    fn may_evaluate(&mut self, node: Node<'a>, name: &str) -> bool {
        node.get("additionalProperties").is_some()
            || self.speaks_of(&[node], name) != Some(false)
            || self.within(node, &mut HashSet::new(), &mut |checker, below| {
                below.get("additionalProperties").is_some()
                    || below.get("unevaluatedProperties").is_some()
                    || checker.speaks_of(&[below], name) != Some(false)
            })
    }

    /// True where `unevaluatedProperties` is about other properties than those that what is given does not name.
    fn has_looked_elsewhere(&mut self, given: &Given<'a>, node: Node<'a>) -> bool {
        node.get("additionalProperties").is_some()
            || self.within(node, &mut HashSet::new(), &mut |_, below| {
                let names = ["properties", "patternProperties"].iter().any(|keyword| below.get(keyword).is_some());
                below.get("additionalProperties").is_some()
                    || below.get("unevaluatedProperties").is_some()
                    || (names && given.nodes.iter().all(|own| own.id() != below.id()))
            })
    }

    /// True where the test is true for a schema that applies to the same value, at any depth.
    fn within(&mut self, node: Node<'a>, seen: &mut HashSet<usize>, test: &mut impl FnMut(&mut Self, Node<'a>) -> bool) -> bool {
        let mut todo = node.in_place();
        while let Some((_, below)) = todo.pop() {
            // Where there is no more work to do, nothing counts as left open.
            if !self.step(1) {
                return true;
            }
            if seen.insert(below.id()) {
                if test(self, below) {
                    return true;
                }
                todo.extend(below.in_place());
            }
        }
        false
    }

    /// The schemas of choices, and of what is excluded, that are not among those given.
    fn asides(given: &Given<'a>) -> Vec<Node<'a>> {
        let all =
            given.nodes.iter().flat_map(|node| node.in_place().into_iter().map(move |(keyword, below)| (node, keyword, below)));
        let open = all.filter(|(node, keyword, _)| match *keyword {
            "allOf" | "$ref" => false,
            "anyOf" | "oneOf" => node.get(keyword).is_some_and(|at| !given.is_settled(address(at))),
            "if" | "then" | "else" => node.schema("if").is_some_and(|condition| !given.is_settled(condition.id())),
            _ => true,
        });
        open.map(|(_, _, below)| below).collect()
    }

    /// True where an alternative says something of a name, by itself or as one of the others.
    pub(super) fn is_mentioned(&mut self, given: &Given<'a>, name: &str) -> bool {
        self.any_aside(given, &mut |checker, node| {
            has_others(node) || asks_for(node, name) || checker.speaks_of(&[node], name) != Some(false)
        })
    }

    /// The same for any name that an expression takes.
    pub(super) fn are_mentioned(&mut self, given: &Given<'a>, text: &'a str) -> bool {
        self.any_aside(given, &mut |checker, node| {
            has_others(node)
                || node.map("patternProperties").next().is_some()
                || node.map("properties").any(|(name, _)| checker.matches(text, name) != Some(false))
        })
    }

    /// Whether the schemas name a property, by itself or by a pattern; `None` where a pattern is not read.
    pub(super) fn speaks_of(&mut self, scope: &[Node<'a>], name: &str) -> Option<bool> {
        self.step(scope.len());
        let mut sure = true;
        for node in scope {
            if node.member("properties", name).is_some() {
                return Some(true);
            }
            for (text, _) in node.map("patternProperties") {
                match self.matches(text, name) {
                    Some(true) => return Some(true),
                    Some(false) => {}
                    None => sure = false,
                }
            }
        }
        sure.then_some(false)
    }

    fn any_aside(&mut self, given: &Given<'a>, test: &mut impl FnMut(&mut Self, Node<'a>) -> bool) -> bool {
        let mut seen = HashSet::new();
        Self::asides(given).into_iter().any(|node| test(self, node) || self.within(node, &mut seen, test))
    }
}

/// True where a schema requires a name, or something of a name that is there.
fn asks_for(node: Node<'_>, name: &str) -> bool {
    let depends = |keyword: &str| {
        let members = node.get(keyword).and_then(Value::as_object).into_iter().flatten();
        members.into_iter().any(|(key, names)| {
            key == name || names.as_array().is_some_and(|names| names.iter().any(|own| own.as_str() == Some(name)))
        })
    };
    node.required().any(|(own, _)| own == name)
        || ["dependentRequired", "dependentSchemas", "dependencies"].into_iter().any(depends)
}

/// True where a schema says something of properties that it does not name.
fn has_others(node: Node<'_>) -> bool {
    ["additionalProperties", "unevaluatedProperties"]
        .iter()
        .any(|keyword| node.schema(keyword).is_some_and(|schema| !schema.takes_all()))
}
