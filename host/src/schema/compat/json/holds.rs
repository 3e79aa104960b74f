//! Whether one demand follows from what is given; here are those of single values, the others have files of their own.

use std::collections::HashSet;

use serde_json::{Number, Value};

use super::super::{Direction, because, code};
use super::Checker;
use super::demand::{Demand, What};
use super::doc::Node;
use super::given::Given;
use super::kinds::{Bound, Size, Types};
use super::number::{ceil, compare, divides, floor, is_integral};
use super::pattern::Pattern;
use super::takes::{Verdict, same};

impl<'a> Checker<'a> {
    /// True where the demand follows. What does not follow is reported, as the mode has it.
    pub(super) fn holds(&mut self, given: &Given<'a>, demand: &Demand<'a>) -> bool {
        if !self.step(1) {
            return false;
        }
        // A kind of which there are few values is still better spoken of as a kind.
        let by_kind = given.kinds && matches!(demand.what, What::Types(_) | What::Any(_) | What::One(_));
        if let Some(values) = given.values.as_ref().filter(|_| !by_kind) {
            return self.each_value(values, demand);
        }
        let at = demand.at;
        match &demand.what {
            What::All(node) => self.check(given, *node),
            What::Types(types) => self.types(given, *types, at),
            What::Values(values) => self.listed(given, values, demand),
            What::Bound(bound, high) => self.bound(given, *bound, *high),
            What::Multiple(unit) => self.multiple(given, unit, at),
            What::Size(size, number) => self.size(given, *size, *number, at),
            What::Text(text) => self.text(given, demand.keyword, text, at),
            What::Required(name) => self.required(given, name, at),
            What::Property(name, schema) => self.property(given, name, *schema),
            What::Pattern(pattern, schema) => self.pattern(given, pattern, *schema),
            What::Others(scope, schema) => self.others(given, scope, *schema),
            What::Names(schema) => self.names(given, *schema),
            What::Together(name, names) => self.together(given, name, names, at),
            What::Dependent(name, schema) => self.dependent(given, name, *schema),
            What::Unique => self.unique(given, at),
            What::Item(place, schema) => self.item(given, *place, *schema),
            What::Items(from, schema) => self.items(given, *from, *schema),
            What::Contains(contains) => self.contains(given, contains),
            What::Any(nodes) => self.any(given, nodes, at, false),
            What::One(nodes) => self.any(given, nodes, at, true),
            What::Not(node) => self.not(given, *node),
            What::If(condition, then, otherwise) => self.conditional(given, *condition, *then, *otherwise),
            What::Opaque => self.fail(at, given.place(demand.keyword), |_| {
                let keyword = demand.keyword;
                format!("`{keyword}` or what stands beside it changed, which cannot be shown to be compatible")
            }),
        }
    }

    /// Where all values can be listed, each one is tried.
    fn each_value(&mut self, values: &[&'a Value], demand: &Demand<'a>) -> bool {
        let listed: HashSet<Simple<'_>> = match &demand.what {
            What::Values(all) => all.iter().filter_map(Simple::of).collect(),
            _ => HashSet::new(),
        };
        let mut shown = true;
        for value in values {
            let known = !listed.is_empty() && Simple::of(value).is_some_and(|simple| listed.contains(&simple));
            let verdict = if known { Verdict::Yes } else { self.takes(demand, value) };
            if verdict == Verdict::Yes {
                continue;
            }
            shown = false;
            let (word, keyword) = (code(&value.to_string()), demand.keyword);
            self.fail(demand.at, Some(value), |direction| match (verdict, &demand.what, direction) {
                (Verdict::Unknown, ..) => format!("it cannot be shown that {word} passes `{keyword}`"),
                (_, What::Values(_), Direction::Backward) => {
                    format!("{word} is no longer among the values, and data written before may hold it")
                }
                (_, What::Values(_), Direction::Forward) => {
                    format!("{word} is new among the values, and the version before refuses it")
                }
                (_, _, Direction::Backward) => format!("`{keyword}` refuses {word} now, and data written before may hold it"),
                (_, _, Direction::Forward) => format!("{word} is accepted now, and `{keyword}` of the version before refuses it"),
            });
            if self.quiet || !self.step(1) {
                break;
            }
        }
        shown
    }

    fn types(&mut self, given: &Given<'a>, types: Types, at: &'a Value) -> bool {
        let more = given.types.without(types);
        if more.is_none() {
            return true;
        }
        let place = given.place("type");
        if place.is_none() {
            let names = types.names();
            let change = |direction| match direction {
                Direction::Backward => format!("it has to be {names} now"),
                Direction::Forward => format!("it no longer has to be {names}"),
            };
            return self.fails(at, place, change, "be something else", "everything else");
        }
        let names = more.names();
        let change = |direction| match direction {
            Direction::Backward => format!("it can no longer be {names}"),
            Direction::Forward => format!("it can be {names} now"),
        };
        self.fails(at, place, change, "be that", "that")
    }

    /// A list of values where those that are given cannot be listed.
    fn listed(&mut self, given: &Given<'a>, values: &[Value], demand: &Demand<'a>) -> bool {
        let keyword = demand.keyword;
        let list = if let [only] = values {
            format!("be {}", code(&only.to_string()))
        } else {
            format!("be one of {} values", values.len())
        };
        let change = |direction| match direction {
            Direction::Backward => format!("`{keyword}` is new: it has to {list}"),
            Direction::Forward => format!("`{keyword}` is gone: it no longer has to {list}"),
        };
        self.fails(demand.at, given.place(keyword), change, "hold another one", "others")
    }

    fn bound(&mut self, given: &Given<'a>, bound: Bound<'a>, high: bool) -> bool {
        let own = given.bound(high);
        if own.is_some_and(|own| implies(own, bound, high, !Types::FRACTION.within(given.types))) {
            return true;
        }
        let word = |bound: Bound<'a>| {
            let marked = bound.exclusive && !bound.keyword.starts_with("exclusive");
            format!("`{}` {}{}", bound.keyword, bound.number, if marked { ", exclusive," } else { "" })
        };
        let change = |direction| changed(direction, own.map(word), &word(bound));
        let (may, refuses) = match (high, bound.exclusive) {
            (true, false) => ("lie above it", "what lies above"),
            (true, true) => ("reach it", "what reaches"),
            (false, false) => ("lie below it", "what lies below"),
            (false, true) => ("not lie above it", "what does not lie above"),
        };
        self.fails(bound.at, own.map(|own| own.at), change, may, &format!("{refuses} {}", bound.number))
    }

    fn multiple(&mut self, given: &Given<'a>, unit: &Number, at: &'a Value) -> bool {
        let own: Vec<&'a Value> = given.nodes.iter().filter_map(|node| node.get("multipleOf")).collect();
        let numbers = own.iter().filter_map(|at| if let Value::Number(number) = at { Some(number) } else { None });
        let one = Number::from(1);
        let whole = (!Types::FRACTION.within(given.types)).then_some(&one);
        if numbers.chain(whole).any(|number| divides(unit, number) == Some(true)) {
            return true;
        }
        let word = |number: &dyn std::fmt::Display| format!("`multipleOf` {number}");
        let change = |direction| changed(direction, own.first().map(|own| word(own)), &word(unit));
        self.fails(at, own.first().copied(), change, "be no multiple of it", &format!("what is no multiple of {unit}"))
    }

    fn size(&mut self, given: &Given<'a>, size: Size, number: u64, at: &'a Value) -> bool {
        let own = given.size(size);
        let known = match size {
            Size::MinProperties => {
                let names: HashSet<&str> = given.nodes.iter().flat_map(|node| node.required()).map(|(name, _)| name).collect();
                Some(own.map_or(0, |(number, _)| number).max(u64::try_from(names.len()).unwrap_or(0)))
            }
            Size::MaxProperties => self.most_properties(given).into_iter().chain(own.map(|(number, _)| number)).min(),
            Size::MaxItems => Some(given.most_items()),
            _ => own.map(|(number, _)| number),
        };
        let least = size.is_least();
        if known.is_some_and(|known| if least { known >= number } else { known <= number }) || (least && number == 0) {
            return true;
        }
        let word = |number: u64| format!("`{}` {number}", size.keyword());
        let change = |direction| changed(direction, own.map(|(number, _)| word(number)), &word(number));
        let (may, refuses) = match (size, least) {
            (Size::MinLength, _) => ("be shorter", "what is shorter than"),
            (Size::MaxLength, _) => ("be longer", "what is longer than"),
            (_, true) => ("have fewer", "what has fewer than"),
            (_, false) => ("have more", "what has more than"),
        };
        self.fails(at, own.map(|(_, at)| at), change, may, &format!("{refuses} {number}"))
    }

    /// A text that a keyword describes follows from the same description only, but for a pattern that takes everything.
    fn text(&mut self, given: &Given<'a>, keyword: &'static str, text: &'a str, at: &'a Value) -> bool {
        let own: Vec<&'a Value> = given.nodes.iter().filter_map(|node| node.get(keyword)).collect();
        if own.iter().any(|own| own.as_str() == Some(text))
            || (keyword == "pattern" && self.expression(text).as_ref().as_ref().is_some_and(Pattern::takes_all))
        {
            return true;
        }
        let word = |text: &str| format!("`{keyword}` {}", code(text));
        let change = |direction| changed(direction, own.first().and_then(|own| own.as_str()).map(word), &word(text));
        self.fails(at, own.first().copied(), change, "not match it", &format!("what does not match {}", code(text)))
    }

    /// Two schemas have to be told apart somewhere: true where they cannot both be passed, by what their values are.
    pub(super) fn refused_all(&mut self, values: &[&Value], nodes: &[Node<'a>]) -> bool {
        values.iter().all(|value| nodes.iter().any(|node| self.passes(*node, value) == Verdict::No))
    }
}

/// A value that is found in a long list without looking at each one of it.
#[derive(PartialEq, Eq, Hash)]
enum Simple<'v> {
    Text(&'v str),
    Whole(i128),
}

impl<'v> Simple<'v> {
    fn of(value: &'v Value) -> Option<Self> {
        match value {
            Value::String(text) => Some(Self::Text(text)),
            Value::Number(number) if is_integral(number) && !number.is_f64() => Some(Self::Whole(floor(number))),
            _ => None,
        }
    }
}

/// What became of a keyword, given what the writer's schema says and what the reader's does.
fn changed(direction: Direction, own: Option<String>, demanded: &str) -> String {
    match (direction, own) {
        (Direction::Backward, None) => format!("{demanded} is new"),
        (Direction::Forward, None) => format!("{demanded} is gone"),
        (Direction::Backward, Some(own)) => format!("{own} became {demanded}"),
        (Direction::Forward, Some(own)) => format!("{demanded} became {own}"),
    }
}

/// Whether a bound that is known is at least as tight as the one that is asked for. Between integers there is room: above 0 is
/// from 1 on.
fn implies(own: Bound<'_>, asked: Bound<'_>, high: bool, whole: bool) -> bool {
    let order = compare(own.number, asked.number);
    let order = if high { order.reverse() } else { order };
    if order.is_gt() || (order.is_eq() && (own.exclusive || !asked.exclusive)) {
        return true;
    }
    if !whole {
        return false;
    }
    let inner = |bound: Bound<'_>| match (high, bound.exclusive) {
        (true, false) => floor(bound.number),
        (true, true) => ceil(bound.number).saturating_sub(1),
        (false, false) => ceil(bound.number),
        (false, true) => floor(bound.number).saturating_add(1),
    };
    if high { inner(own) <= inner(asked) } else { inner(own) >= inner(asked) }
}

/// True where two bounds, one at each end, leave nothing between them.
pub(super) fn leave_nothing(low: Bound<'_>, high: Bound<'_>) -> bool {
    let order = compare(low.number, high.number);
    order.is_gt() || (order.is_eq() && (low.exclusive || high.exclusive))
}

/// The reason of a name that is required, and was not.
pub(super) fn required_now(direction: Direction, name: &str) -> String {
    let name = code(name);
    match direction {
        Direction::Backward => because(direction, &format!("{name} is required now"), "lack it", ""),
        Direction::Forward => because(direction, &format!("{name} is no longer required"), "", "what lacks it"),
    }
}

/// True where the value is in the list.
pub(super) fn is_listed(values: &[Value], value: &Value) -> bool {
    values.iter().any(|own| same(own, value))
}
