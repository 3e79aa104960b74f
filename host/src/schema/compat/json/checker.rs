//! The comparison itself: a schema's demands one by one, with what bounds the work and what is known from before.

use std::collections::{HashMap, HashSet};
use std::rc::Rc;

use serde_json::Value;

use super::super::{Breaks, Direction, because};
use super::demand::{Demand, What, demands};
use super::doc::{Doc, Node};
use super::given::Given;
use super::kinds::Types;
use super::memory::{Key, Memory, Recalled};
use super::pattern::Pattern;
use crate::limits::{COMPAT_DEPTH, COMPAT_STEPS};

/// One comparison of two definitions in one direction.
pub(super) struct Checker<'a> {
    old: &'a Doc<'a>,
    new: &'a Doc<'a>,
    direction: Direction,
    pub(super) breaks: Breaks,
    /// True while something is only tried: what is not met is not reported, and the first such thing is enough.
    pub(super) quiet: bool,
    steps: u64,
    depth: usize,
    level: usize,
    /// True where the sides are swapped: what is given is the reader's schema then, and the lenient rule is not for it.
    pub(super) strict: bool,
    pub(super) gave_up: bool,
    pub(super) memory: Memory,
    /// Whether what is given and a schema exclude each other.
    pub(super) apart: HashMap<Key, bool>,
    reported: HashSet<Key>,
    pub(super) equals: HashMap<(usize, usize), bool>,
    pub(super) assumed: HashSet<(usize, usize)>,
    demands: HashMap<usize, Rc<Vec<Demand<'a>>>>,
    pub(super) patterns: HashMap<usize, Rc<Option<Pattern>>>,
}

impl<'a> Checker<'a> {
    pub(super) fn new(old: &'a Doc<'a>, new: &'a Doc<'a>, direction: Direction) -> Self {
        Self {
            old,
            new,
            direction,
            breaks: Breaks::new(direction),
            quiet: false,
            steps: 0,
            depth: 0,
            level: 0,
            strict: false,
            gave_up: false,
            memory: Memory::default(),
            apart: HashMap::new(),
            reported: HashSet::new(),
            equals: HashMap::new(),
            assumed: HashSet::new(),
            demands: HashMap::new(),
            patterns: HashMap::new(),
        }
    }

    /// True for a schema of the version that data is written with.
    pub(super) fn is_writers(&self, node: Node<'a>) -> bool {
        let writer = if self.direction == Direction::Backward { self.old } else { self.new };
        std::ptr::eq(node.doc, writer)
    }

    /// Counts work; false when there was enough.
    pub(super) fn step(&mut self, number: usize) -> bool {
        self.steps = self.steps.saturating_add(u64::try_from(number).unwrap_or(u64::MAX));
        self.gave_up |= self.steps > COMPAT_STEPS;
        !self.gave_up && !self.breaks.full
    }

    /// Goes one call deeper; false where that is too deep. `leave` belongs to it.
    pub(super) fn enter(&mut self) -> bool {
        self.depth += 1;
        self.step(1) && self.depth <= COMPAT_DEPTH
    }

    pub(super) fn leave(&mut self) {
        self.depth -= 1;
    }

    /// Tries something, and reports nothing of it.
    pub(super) fn probe<T>(&mut self, something: impl FnOnce(&mut Self) -> T) -> T {
        let before = std::mem::replace(&mut self.quiet, true);
        let found = something(self);
        self.quiet = before;
        found
    }

    /// Does something with the sides swapped.
    pub(super) fn swapped(&mut self, something: impl FnOnce(&mut Self) -> bool) -> bool {
        let before = std::mem::replace(&mut self.strict, true);
        let found = self.probe(something);
        self.strict = before;
        found
    }

    /// Not met: `reader` stands in the schema that reads, `writer` in the one that was written with.
    pub(super) fn fail(
        &mut self,
        reader: &'a Value,
        writer: Option<&'a Value>,
        reason: impl FnOnce(Direction) -> String,
    ) -> bool {
        if self.quiet || self.gave_up || self.breaks.full {
            return false;
        }
        let (first, second) = match self.direction {
            Direction::Backward => (Some(reader), writer),
            Direction::Forward => (writer, Some(reader)),
        };
        let place = |value: &Value| self.new.pointer_to(value).or_else(|| self.old.pointer_to(value));
        let path = first.and_then(place).or_else(|| second.and_then(place)).unwrap_or_default();
        self.breaks.add(path, reason(self.direction));
        false
    }

    /// Not met, with both halves of the reason: what changed, what old data may do, what the version before refuses.
    pub(super) fn fails(
        &mut self,
        reader: &'a Value,
        writer: Option<&'a Value>,
        change: impl FnOnce(Direction) -> String,
        may: &str,
        refuses: &str,
    ) -> bool {
        self.fail(reader, writer, |direction| because(direction, &change(direction), may, refuses))
    }

    /// What a schema demands. Taken apart once.
    pub(super) fn demands(&mut self, node: Node<'a>) -> Rc<Vec<Demand<'a>>> {
        if let Some(known) = self.demands.get(&node.id()) {
            return Rc::clone(known);
        }
        let mut found = demands(node);
        self.step(found.len());
        found.extend(self.unevaluated(node));
        let found = Rc::new(found);
        self.demands.insert(node.id(), Rc::clone(&found));
        found
    }

    /// True where every value that is as given is accepted by the schema.
    pub(super) fn check(&mut self, given: &Given<'a>, node: Node<'a>) -> bool {
        let node = node.resolved();
        let shown = if self.enter() {
            self.checked(given, node)
        } else {
            self.fail(node.value, None, |_| {
                format!("it goes on more than {COMPAT_DEPTH} schemas deep, so the versions cannot be shown to be compatible")
            })
        };
        self.leave();
        shown
    }

    fn checked(&mut self, given: &Given<'a>, node: Node<'a>) -> bool {
        if given.never || *node.value == Value::Bool(true) {
            return true;
        }
        if node.takes_none() {
            let place = given.nodes.first().map(|node| node.value);
            return self.fail(node.value, place, |direction| match direction {
                Direction::Backward => "no value is accepted here any more, and data written before may hold one".to_owned(),
                Direction::Forward => "a value is accepted here now, and the version before refuses any".to_owned(),
            });
        }
        if given.nodes.iter().any(|own| self.equal(*own, node)) {
            return true;
        }
        let key = self.key(given, node);
        match self.memory.recall(&key, self.level) {
            Recalled::Shown => return true,
            Recalled::NotShown if self.quiet || self.reported.contains(&key) => return false,
            Recalled::Endless => {
                return self.fail(node.value, None, |_| {
                    "it refers to itself without an end, so the versions cannot be shown to be compatible".to_owned()
                });
            }
            Recalled::NotShown | Recalled::Nothing => {}
        }
        if !self.quiet {
            // Said once, here or where it came from.
            self.reported.insert(key.clone());
        }
        self.memory.begin(key, self.level);
        let mut shown = true;
        for demand in self.demands(node).iter() {
            shown &= self.meets(given, demand);
            if !shown && self.quiet {
                break;
            }
        }
        let settled = self.memory.end(shown, !self.gave_up);
        self.step(settled / 4);
        shown
    }

    pub(super) fn key(&mut self, given: &Given<'a>, node: Node<'a>) -> Key {
        let mut key = given.key();
        key.extend([usize::from(self.strict), node.id()]);
        self.step(key.len() / 16);
        key
    }

    /// True where the demand follows from what is given, or from each alternative of one of its choices.
    pub(super) fn meets(&mut self, given: &Given<'a>, demand: &Demand<'a>) -> bool {
        if let What::All(node) = demand.what {
            return self.check(given, node);
        }
        if !self.step(1) || given.never || given.types.and(demand.types()).is_none() {
            return given.never || given.types.and(demand.types()).is_none();
        }
        if given.values.is_some() || !given.has_choices() {
            return self.holds(given, demand);
        }
        if self.probe(|checker| checker.holds(given, demand)) {
            return true;
        }
        // Choices below choices are a way down as well.
        let shown = self.enter() && self.meets_each_part(given, demand);
        self.leave();
        shown
    }

    /// The same by the alternatives of the choices, where it does not follow without.
    fn meets_each_part(&mut self, given: &Given<'a>, demand: &Demand<'a>) -> bool {
        let choices = self.choices(given);
        let mut nearest: Option<Vec<Given<'a>>> = None;
        for choice in &choices {
            let mut parts = self.parts(given, choice, &choices);
            let all = parts.len();
            parts.retain(|part| !self.probe(|checker| checker.meets(part, demand)));
            if parts.is_empty() {
                return true;
            }
            let tell = parts.len() < all || matches!(demand.what, What::Any(_) | What::One(_));
            if tell && nearest.as_ref().is_none_or(|nearest| parts.len() < nearest.len()) {
                nearest = Some(parts);
            }
        }
        match nearest {
            _ if self.quiet => false,
            None => self.holds(given, demand),
            Some(parts) => {
                for part in parts {
                    self.meets(&part, demand);
                }
                false
            }
        }
    }

    /// The same for a part of the value, which the schemas `nodes` are about.
    pub(super) fn inside(&mut self, nodes: &[Node<'a>], node: Node<'a>) -> bool {
        self.inside_of(nodes, Types::ALL, node)
    }

    /// The same for a part of the value that is of some kinds only.
    pub(super) fn inside_of(&mut self, nodes: &[Node<'a>], types: Types, node: Node<'a>) -> bool {
        self.level += 1;
        let given = self.given(nodes);
        let given = if types == Types::ALL { given } else { given.only(types) };
        let shown = self.check(&given, node);
        self.level -= 1;
        shown
    }
}
