//! Demands on objects: required and optional properties, the others, and the lenient rule about names that are left open.

use std::collections::{BTreeSet, HashSet};

use serde_json::Value;

use super::super::{Direction, because, code};
use super::Checker;
use super::doc::Node;
use super::given::Given;
use super::holds::required_now;
use super::kinds::Types;
use super::takes::Verdict;

impl<'a> Checker<'a> {
    pub(super) fn required(&mut self, given: &Given<'a>, name: &str, at: &'a Value) -> bool {
        given.requires(name) || self.fail(at, given.place("required"), |direction| required_now(direction, name))
    }

    pub(super) fn property(&mut self, given: &Given<'a>, name: &str, schema: Node<'a>) -> bool {
        let part = self.part(given, name);
        if part.is_never() {
            return true;
        }
        if schema.takes_none() {
            let place = given.nodes.iter().find_map(|node| node.member("properties", name)).map(|node| node.value);
            let code = code(name);
            return self.fail(schema.value, place, |direction| match direction {
                Direction::Backward => because(direction, &format!("{code} is forbidden now"), "hold it", ""),
                Direction::Forward => because(direction, &format!("{code} is no longer forbidden"), "", "what holds it"),
            });
        }
        part.open || self.inside(&part.nodes, schema)
    }

    pub(super) fn pattern(&mut self, given: &Given<'a>, text: &'a str, schema: Node<'a>) -> bool {
        let own: Vec<Node<'a>> = given.nodes.iter().filter_map(|node| node.member("patternProperties", text)).collect();
        if !own.is_empty() {
            return self.inside(&own, schema);
        }
        let read = self.expression(text);
        let read = read.as_ref().as_ref();
        let mut shown = true;
        for name in self.known_names(given) {
            if self.matches(text, name) != Some(false) {
                let part = self.part(given, name);
                shown &= part.is_never() || self.inside(&part.nodes, schema);
            }
        }
        for (other, theirs) in given.nodes.iter().flat_map(|node| node.map("patternProperties")).collect::<Vec<_>>() {
            let theirs_read = self.expression(other);
            let apart = read.zip(theirs_read.as_ref().as_ref()).is_some_and(|(one, other)| one.is_apart(other));
            shown &= apart || self.inside(&[theirs], schema);
        }
        let rest = self.rest(given);
        let open = self.leaves_open(given) && !schema.takes_none() && rest.iter().all(|node| node.takes_all());
        let open = open && !self.are_mentioned(given, text);
        shown & (open || rest.iter().any(|node| node.takes_none()) || self.inside(&rest, schema))
    }

    /// What the reader's schema says of properties that `scope` does not name.
    pub(super) fn others(&mut self, given: &Given<'a>, scope: &[Node<'a>], schema: Node<'a>) -> bool {
        let mut shown = true;
        for name in self.known_names(given) {
            if self.speaks_of(scope, name) == Some(true) {
                continue;
            }
            let part = self.part(given, name);
            if part.is_never() {
                continue;
            }
            if schema.takes_none() {
                let place = given.nodes.iter().find_map(|node| node.member("properties", name)).map(|node| node.value);
                let code = code(name);
                shown = self.fail(schema.value, place, |direction| match direction {
                    Direction::Backward => {
                        because(direction, &format!("{code} is no longer among the properties of a closed object"), "hold it", "")
                    }
                    Direction::Forward => {
                        because(direction, &format!("{code} is a new property"), "", "those that it does not name")
                    }
                });
            } else {
                shown &= self.inside(&part.nodes, schema);
            }
            if !shown && self.quiet {
                return false;
            }
        }
        for (text, own) in given.nodes.iter().flat_map(|node| node.map("patternProperties")).collect::<Vec<_>>() {
            if scope.iter().any(|node| node.member("patternProperties", text).is_some()) || own.takes_none() {
                continue;
            }
            if !schema.takes_none() {
                shown &= self.inside(&[own], schema);
                continue;
            }
            let code = code(text);
            shown = self.fail(schema.value, Some(own.value), |direction| match direction {
                Direction::Backward => {
                    because(direction, &format!("the pattern {code} is gone from a closed object"), "hold names of it", "")
                }
                Direction::Forward => {
                    because(direction, &format!("the pattern {code} is new"), "", "those that it does not name")
                }
            });
        }
        let rest = self.rest(given);
        if rest.iter().any(|node| node.takes_none()) {
            return shown;
        }
        if !schema.takes_none() && rest.iter().any(|node| !node.takes_all()) {
            return shown & self.inside(&rest, schema);
        }
        let place = given.place("additionalProperties").or_else(|| given.place("unevaluatedProperties"));
        let closed = schema.takes_none();
        let change = |direction| {
            match (direction, closed) {
                (Direction::Backward, true) => "properties that are not named are refused now",
                (Direction::Backward, false) => "properties that are not named have to pass a schema now",
                (Direction::Forward, true) => "properties that are not named are accepted now",
                (Direction::Forward, false) => "properties that are not named no longer have to pass a schema",
            }
            .to_owned()
        };
        self.fails(schema.value, place, change, "hold some", if closed { "them" } else { "those that do not pass it" })
    }

    pub(super) fn names(&mut self, given: &Given<'a>, schema: Node<'a>) -> bool {
        let own: Vec<Node<'a>> = given.nodes.iter().filter_map(|node| node.schema("propertyNames")).collect();
        let closed = self.rest(given).iter().any(|node| node.takes_none())
            && given.nodes.iter().all(|node| node.map("patternProperties").next().is_none());
        if closed {
            let all = self.known_names(given);
            if all.into_iter().all(|name| self.passes(schema, &Value::String(name.to_owned())) == Verdict::Yes) {
                return true;
            }
        }
        if own.is_empty() {
            let change = |direction| match direction {
                Direction::Backward => "names of properties have to pass a schema now".to_owned(),
                Direction::Forward => "names of properties no longer have to pass a schema".to_owned(),
            };
            return self.fails(schema.value, None, change, "have others", "others");
        }
        self.inside_of(&own, Types::STRING, schema)
    }

    pub(super) fn together(&mut self, given: &Given<'a>, name: &str, all: &'a [Value], at: &'a Value) -> bool {
        if self.is_absent(given, name) {
            return true;
        }
        let known = given.together().filter(|(key, _)| *key == name).flat_map(|(_, names)| names);
        let known: HashSet<&str> = known.filter_map(Value::as_str).collect();
        let mut shown = true;
        for other in all.iter().filter_map(Value::as_str) {
            if other != name && !known.contains(other) && !given.requires(other) {
                let place = given.place("dependentRequired").or_else(|| given.place("dependencies"));
                let (name, other) = (code(name), code(other));
                shown = self.fail(at, place, |direction| match direction {
                    Direction::Backward => because(direction, &format!("{name} needs {other} beside it now"), "lack it", ""),
                    Direction::Forward => {
                        because(direction, &format!("{name} no longer needs {other} beside it"), "", "the one without the other")
                    }
                });
            }
        }
        shown
    }

    pub(super) fn dependent(&mut self, given: &Given<'a>, name: &'a str, schema: Node<'a>) -> bool {
        if self.is_absent(given, name) {
            return true;
        }
        let own = given.nodes.iter().flat_map(|node| [node.member("dependentSchemas", name), node.member("dependencies", name)]);
        let own: Vec<Node<'a>> = own.flatten().collect();
        let mut with = given.only(Types::OBJECT);
        if !with.requires(name) {
            with.has.push(name);
        }
        let with = self.extended(with, &own, &[]);
        self.check(&with, schema)
    }

    /// The names that what is given speaks of outside its choices.
    pub(super) fn known_names(&mut self, given: &Given<'a>) -> BTreeSet<&'a str> {
        let listed = given.nodes.iter().flat_map(|node| node.map("properties").map(|(name, _)| name));
        let required = given.nodes.iter().flat_map(|node| node.required().map(|(name, _)| name));
        let all: BTreeSet<&'a str> = listed.chain(required).chain(given.has.iter().copied()).collect();
        self.step(all.len());
        all
    }

    /// How many properties there can be, where that is known.
    pub(super) fn most_properties(&mut self, given: &Given<'a>) -> Option<u64> {
        let patterns = given.nodes.iter().any(|node| node.map("patternProperties").next().is_some());
        if patterns || !self.rest(given).iter().any(|node| node.takes_none()) {
            return None;
        }
        let mut number = 0;
        for name in self.known_names(given) {
            number += u64::from(!self.part(given, name).is_never());
        }
        Some(number)
    }
}
