//! Whether a single value passes a schema, as far as that can be told without the validator: yes, no, or not known.
//!
//! It is for values that a schema lists (`enum`, `const`) and for names of properties. What is not known is never taken for a yes
//! or a no.

use serde_json::Value;

use super::Checker;
use super::demand::{Demand, What};
use super::doc::Node;
use super::holds::is_listed;
use super::kinds::Types;
use super::number::{compare, divides};

/// Whether a value passes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Yes,
    No,
    Unknown,
}

impl From<bool> for Verdict {
    fn from(yes: bool) -> Self {
        if yes { Self::Yes } else { Self::No }
    }
}

impl From<Option<bool>> for Verdict {
    fn from(known: Option<bool>) -> Self {
        known.map_or(Self::Unknown, Self::from)
    }
}

impl Verdict {
    fn not(self) -> Self {
        match self {
            Self::Yes => Self::No,
            Self::No => Self::Yes,
            Self::Unknown => Self::Unknown,
        }
    }

    /// Both, without asking further once it is a no.
    fn all(verdicts: impl Iterator<Item = Self>) -> Self {
        let mut sum = Self::Yes;
        for verdict in verdicts {
            match verdict {
                Self::No => return Self::No,
                Self::Unknown => sum = Self::Unknown,
                Self::Yes => {}
            }
        }
        sum
    }

    /// How many are a yes, at least and at most.
    fn count(verdicts: impl Iterator<Item = Self>) -> (u64, u64) {
        verdicts.fold((0, 0), |(least, most), verdict| match verdict {
            Self::Yes => (least + 1, most + 1),
            Self::Unknown => (least, most + 1),
            Self::No => (least, most),
        })
    }

    /// Whether a number that is known to lie between two lies within others.
    fn within((least, most): (u64, u64), (from, to): (u64, u64)) -> Self {
        if least >= from && most <= to {
            Self::Yes
        } else if most < from || least > to {
            Self::No
        } else {
            Self::Unknown
        }
    }
}

impl<'a> Checker<'a> {
    /// Whether a value passes a schema.
    pub(super) fn passes(&mut self, node: Node<'a>, value: &Value) -> Verdict {
        if let Value::Bool(all) = node.value {
            return Verdict::from(*all);
        }
        let verdict = if self.enter() {
            let demands = self.demands(node);
            Verdict::all(demands.iter().map(|demand| self.takes(demand, value)))
        } else {
            Verdict::Unknown
        };
        self.leave();
        verdict
    }

    /// Whether a value meets a demand.
    pub(super) fn takes(&mut self, demand: &Demand<'a>, value: &Value) -> Verdict {
        if !self.step(1) {
            return Verdict::Unknown;
        }
        match (&demand.what, value) {
            (What::All(node), _) => self.passes(*node, value),
            (What::Types(types), _) => Types::of_value(value).within(*types).into(),
            (What::Values(values), _) => {
                self.step(values.len() / 16);
                is_listed(values, value).into()
            }
            (What::Bound(bound, high), Value::Number(number)) => {
                let order = compare(number, bound.number);
                let order = if *high { order.reverse() } else { order };
                (order.is_gt() || (order.is_eq() && !bound.exclusive)).into()
            }
            (What::Multiple(unit), Value::Number(number)) => divides(unit, number).into(),
            (What::Size(size, number), _) => {
                size.of(value).is_none_or(|own| if size.is_least() { own >= *number } else { own <= *number }).into()
            }
            (What::Text(text), Value::String(value)) if demand.keyword == "pattern" => self.matches(text, value).into(),
            (What::Text(_), Value::String(_)) => Verdict::Unknown,
            (What::Any(nodes), _) => self.number_of(nodes, value, (1, u64::MAX)),
            (What::One(nodes), _) => self.number_of(nodes, value, (1, 1)),
            (What::Not(node), _) => self.passes(*node, value).not(),
            (What::If(condition, then, otherwise), _) => self.takes_if(*condition, *then, *otherwise, value),
            (_, Value::Array(items)) => self.takes_array(demand, items),
            (_, Value::Object(_)) => self.takes_object(demand, value),
            _ => Verdict::Yes,
        }
    }

    fn number_of(&mut self, nodes: &[Node<'a>], value: &Value, bounds: (u64, u64)) -> Verdict {
        Verdict::within(Verdict::count(nodes.iter().map(|node| self.passes(*node, value))), bounds)
    }

    fn takes_if(&mut self, condition: Node<'a>, then: Option<Node<'a>>, otherwise: Option<Node<'a>>, value: &Value) -> Verdict {
        let mut branch = |node: Option<Node<'a>>| node.map_or(Verdict::Yes, |node| self.passes(node, value));
        let (then, otherwise) = (branch(then), branch(otherwise));
        match self.passes(condition, value) {
            Verdict::Yes => then,
            Verdict::No => otherwise,
            Verdict::Unknown if then == otherwise => then,
            Verdict::Unknown => Verdict::Unknown,
        }
    }

    fn takes_array(&mut self, demand: &Demand<'a>, items: &[Value]) -> Verdict {
        match &demand.what {
            What::Unique => {
                self.step(items.len() * items.len() / 16);
                if self.gave_up {
                    return Verdict::Unknown;
                }
                (!items.iter().enumerate().any(|(at, item)| is_listed(&items[..at], item))).into()
            }
            What::Item(at, node) => items.get(*at).map_or(Verdict::Yes, |item| self.passes(*node, item)),
            What::Items(from, node) => Verdict::all(items.iter().skip(*from).map(|item| self.passes(*node, item))),
            What::Contains(contains) => {
                let number = Verdict::count(items.iter().map(|item| self.passes(contains.schema, item)));
                Verdict::within(number, (contains.least, contains.most.unwrap_or(u64::MAX)))
            }
            What::Opaque if demand.keyword == "unevaluatedItems" => Verdict::Unknown,
            _ => Verdict::Yes,
        }
    }

    fn takes_object(&mut self, demand: &Demand<'a>, value: &Value) -> Verdict {
        let Value::Object(members) = value else { return Verdict::Yes };
        match &demand.what {
            What::Required(name) => members.contains_key(*name).into(),
            What::Property(name, node) => members.get(*name).map_or(Verdict::Yes, |member| self.passes(*node, member)),
            What::Pattern(text, node) => Verdict::all(members.iter().map(|(name, member)| match self.matches(text, name) {
                Some(false) => Verdict::Yes,
                Some(true) => self.passes(*node, member),
                None if self.passes(*node, member) == Verdict::Yes => Verdict::Yes,
                None => Verdict::Unknown,
            })),
            What::Others(scope, node) => Verdict::all(members.iter().map(|(name, member)| match self.speaks_of(scope, name) {
                Some(true) => Verdict::Yes,
                Some(false) => self.passes(*node, member),
                None if self.passes(*node, member) == Verdict::Yes => Verdict::Yes,
                None => Verdict::Unknown,
            })),
            What::Names(node) => Verdict::all(members.keys().map(|name| self.passes(*node, &Value::String(name.clone())))),
            What::Together(name, names) => {
                let all = names.iter().filter_map(Value::as_str).all(|other| members.contains_key(other));
                (!members.contains_key(*name) || all).into()
            }
            What::Dependent(name, node) if members.contains_key(*name) => self.passes(*node, value),
            What::Opaque if demand.keyword == "unevaluatedProperties" => Verdict::Unknown,
            _ => Verdict::Yes,
        }
    }
}

/// Equal as JSON has it: 1 and 1.0 are, and the order of members does not matter.
pub(super) fn same(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Number(one), Value::Number(other)) => compare(one, other).is_eq(),
        (Value::Array(one), Value::Array(other)) => {
            one.len() == other.len() && one.iter().zip(other).all(|(one, other)| same(one, other))
        }
        (Value::Object(one), Value::Object(other)) => {
            one.len() == other.len() && one.iter().all(|(name, one)| other.get(name).is_some_and(|other| same(one, other)))
        }
        _ => one == other,
    }
}
