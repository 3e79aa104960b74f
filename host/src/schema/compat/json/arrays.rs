//! Demands on arrays: items by place, the further ones, and how many of them pass a schema. There is no lenient rule here.

use serde_json::Value;

use super::super::Direction;
use super::Checker;
use super::demand::Contains;
use super::doc::Node;
use super::given::Given;
use super::kinds::Size;

/// Items by place that are looked at to count those which pass `contains`.
const COUNTED: u64 = 64;

impl<'a> Checker<'a> {
    pub(super) fn unique(&mut self, given: &Given<'a>, at: &'a Value) -> bool {
        let unique = given.nodes.iter().any(|node| node.get("uniqueItems") == Some(&Value::Bool(true)));
        let change = |direction| match direction {
            Direction::Backward => "items have to differ from each other now".to_owned(),
            Direction::Forward => "items no longer have to differ from each other".to_owned(),
        };
        unique || given.most_items() <= 1 || self.fails(at, given.place("uniqueItems"), change, "hold equal ones", "equal ones")
    }

    pub(super) fn item(&mut self, given: &Given<'a>, at: usize, schema: Node<'a>) -> bool {
        let part = given.item(at);
        if u64::try_from(at).is_ok_and(|at| given.most_items() <= at) || part.is_never() {
            return true;
        }
        self.inside(&part.nodes, schema)
    }

    /// The items from a place on.
    pub(super) fn items(&mut self, given: &Given<'a>, from: usize, schema: Node<'a>) -> bool {
        let most = given.most_items();
        let last = given.first_items().max(from);
        if schema.takes_none() {
            if u64::try_from(from).is_ok_and(|from| most <= from) {
                return true;
            }
            let place = given.nodes.iter().find_map(|node| node.items().1).map(|rest| rest.value);
            let change = |direction| match direction {
                Direction::Backward => format!("no more than {from} items are accepted now"),
                Direction::Forward => format!("more than {from} items are accepted now"),
            };
            return self.fails(schema.value, place, change, "have more", "what has more");
        }
        let mut shown = true;
        for at in from..last {
            shown &= self.step(1) && self.item(given, at, schema);
        }
        shown & (u64::try_from(last).is_ok_and(|last| most <= last) || self.item(given, last, schema))
    }

    pub(super) fn contains(&mut self, given: &Given<'a>, asked: &Contains<'a>) -> bool {
        let own: Vec<Contains<'a>> = given.contains().collect();
        let least = asked.least == 0
            || own
                .iter()
                .any(|own| own.least >= asked.least && self.probe(|checker| checker.inside(&[own.schema], asked.schema)))
            || self.items_that_pass(given, asked.schema) >= asked.least;
        let place = given.place("contains");
        if !least {
            let change = |direction| match direction {
                Direction::Backward => "`contains` asks for other or more items".to_owned(),
                Direction::Forward => "`contains` asks for other or fewer items".to_owned(),
            };
            self.fails(asked.schema.value, place, change, "lack them", "what lacks its own");
        }
        let most = asked.most.is_none_or(|most| {
            given.most_items() <= most
                || own.iter().any(|own| {
                    own.most.is_some_and(|own| own <= most) && self.swapped(|checker| checker.inside(&[asked.schema], own.schema))
                })
        });
        if !most {
            let change = |direction| match direction {
                Direction::Backward => "fewer items may pass `contains`".to_owned(),
                Direction::Forward => "more items may pass `contains`".to_owned(),
            };
            self.fails(asked.schema.value, place, change, "have more", "what has more");
        }
        least && most
    }

    /// How many items there are for sure that pass a schema.
    fn items_that_pass(&mut self, given: &Given<'a>, schema: Node<'a>) -> u64 {
        let least = given.size(Size::MinItems).map_or(0, |(number, _)| number);
        let mut number = 0;
        for at in 0..least.min(COUNTED) {
            let at = usize::try_from(at).unwrap_or(usize::MAX);
            number += u64::from(self.probe(|checker| checker.item(given, at, schema)));
        }
        number
    }
}
