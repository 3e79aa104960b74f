//! Demands that are made of schemas: one of several, none, if and else; and whether two schemas can be passed at once.

use serde_json::Value;

use super::super::Direction;
use super::Checker;
use super::demand::What;
use super::doc::Node;
use super::given::Given;
use super::holds::leave_nothing;
use super::kinds::{Size, Types};
use super::takes::Verdict;

impl<'a> Checker<'a> {
    /// One of the schemas (`exclusive`: and no other one of them) is passed, by all or by each kind of values in turn.
    pub(super) fn any(&mut self, given: &Given<'a>, nodes: &[Node<'a>], at: &'a Value, exclusive: bool) -> bool {
        if self.probe(|checker| checker.is_covered(given, nodes, exclusive)) {
            return true;
        }
        let mut parts = Vec::new();
        for types in [Types::NULL, Types::BOOLEAN, Types::NUMBER, Types::STRING, Types::ARRAY, Types::OBJECT] {
            if !given.types.and(types).is_none() && given.types != types {
                parts.push(given.only(types));
            }
        }
        parts.retain(|part| !self.probe(|checker| checker.is_covered_by_kind(part, nodes, exclusive)));
        if given.types.within(Types::NUMBER) && self.probe(|checker| checker.is_covered_by_kind(given, nodes, exclusive)) {
            return true;
        }
        if parts.is_empty() && !given.types.is_one() {
            return true;
        }
        if self.quiet {
            return false;
        }
        if parts.is_empty() {
            parts = vec![given.clone()];
        }
        // What none of them is about is said once; for the others, the nearest one says what is wrong.
        let mut alone = Types(0);
        for part in parts {
            if !self.explain(&part, nodes, at, exclusive) {
                alone = alone.or(part.types);
            }
        }
        if !alone.is_none() {
            let (names, place) = (alone.names(), given.chosen.or_else(|| given.place(if exclusive { "oneOf" } else { "anyOf" })));
            self.fail(at, place, |direction| match direction {
                Direction::Backward => {
                    format!("none of the alternatives takes {names} any more, and data written before may be that")
                }
                Direction::Forward => format!("it can be {names} now, and no alternative of the version before takes that"),
            });
        }
        false
    }

    /// Integers and other numbers may be covered by two schemas.
    fn is_covered_by_kind(&mut self, part: &Given<'a>, nodes: &[Node<'a>], exclusive: bool) -> bool {
        self.is_covered(part, nodes, exclusive)
            || (part.types == Types::NUMBER
                && [Types::INTEGER, Types::FRACTION]
                    .into_iter()
                    .all(|types| self.is_covered(&part.only(types), nodes, exclusive)))
    }

    fn is_covered(&mut self, given: &Given<'a>, nodes: &[Node<'a>], exclusive: bool) -> bool {
        if let Some(values) = &given.values {
            return values.iter().all(|value| {
                let passed = nodes.iter().map(|node| self.passes(*node, value)).collect::<Vec<_>>();
                let yes = passed.iter().filter(|verdict| **verdict == Verdict::Yes).count();
                yes > 0 && (!exclusive || (yes == 1 && !passed.contains(&Verdict::Unknown)))
            });
        }
        nodes.iter().any(|node| {
            self.check(given, *node)
                && (!exclusive || nodes.iter().all(|other| other.id() == node.id() || self.is_disjoint(given, *other)))
        })
    }

    /// Says why none of the schemas takes what is given, by the nearest of them; false where there is none near.
    fn explain(&mut self, given: &Given<'a>, nodes: &[Node<'a>], at: &'a Value, exclusive: bool) -> bool {
        if exclusive && let Some(first) = nodes.iter().find(|node| self.probe(|checker| checker.check(given, **node))) {
            let meets = |checker: &mut Self, other: &Node<'a>| {
                other.id() != first.id() && !checker.probe(|checker| checker.is_disjoint(given, *other))
            };
            let other = nodes.iter().find(|other| meets(self, other));
            self.fail(other.map_or(at, |other| other.value), given.chosen.or_else(|| given.place("oneOf")), |direction| {
                match direction {
                    Direction::Backward => {
                        "data written before may pass this alternative and another one at once, which `oneOf` refuses".to_owned()
                    }
                    Direction::Forward => {
                        "what is written now may pass two alternatives of the version before at once, which it refuses".to_owned()
                    }
                }
            });
            return true;
        }
        let near: Vec<Node<'a>> =
            nodes.iter().filter(|node| !self.probe(|checker| checker.is_disjoint(given, **node))).copied().collect();
        let mut nearest: Option<(usize, Node<'a>)> = None;
        for node in near {
            let count = self.probe(|checker| checker.unmet(given, node));
            if nearest.is_none_or(|(least, _)| count < least) {
                nearest = Some((count, node));
            }
        }
        nearest.is_some_and(|(_, node)| {
            self.check(given, node);
            true
        })
    }

    /// How many demands of a schema are not met.
    fn unmet(&mut self, given: &Given<'a>, node: Node<'a>) -> usize {
        let mut number = 0;
        if self.enter() {
            for demand in self.demands(node).iter() {
                number += match demand.what {
                    What::All(node) => self.unmet(given, node),
                    _ => usize::from(!self.meets(given, demand)),
                };
            }
        }
        self.leave();
        number
    }

    pub(super) fn not(&mut self, given: &Given<'a>, node: Node<'a>) -> bool {
        let place = given.place("not");
        let change = |direction| match direction {
            Direction::Backward => "`not` is new or excludes more".to_owned(),
            Direction::Forward => "`not` is gone or excludes less".to_owned(),
        };
        self.probe(|checker| checker.is_disjoint(given, node))
            || self.fails(node.value, place, change, "be what it excludes", "what its own excludes")
    }

    /// What passes the condition has to pass `then`, and all else `else`.
    pub(super) fn conditional(
        &mut self,
        given: &Given<'a>,
        condition: Node<'a>,
        then: Option<Node<'a>>,
        otherwise: Option<Node<'a>>,
    ) -> bool {
        let then = then.is_none_or(|then| {
            self.probe(|checker| checker.is_disjoint(given, condition)) || {
                let given = self.extended(given.clone(), &[condition], &[]);
                self.check(&given, then)
            }
        });
        let otherwise = otherwise.is_none_or(|otherwise| {
            self.probe(|checker| checker.check(given, condition)) || {
                let given = self.extended(given.clone(), &[], &[condition]);
                self.check(&given, otherwise)
            }
        });
        then && otherwise
    }

    /// True where it can be shown that no value that is as given passes the schema.
    pub(super) fn is_disjoint(&mut self, given: &Given<'a>, node: Node<'a>) -> bool {
        let node = node.resolved();
        if given.never || node.takes_none() || node.takes_all() {
            return !node.takes_all();
        }
        let key = self.key(given, node);
        if let Some(known) = self.apart.get(&key) {
            return *known;
        }
        // What comes back below itself is not shown by that.
        self.apart.insert(key.clone(), false);
        let watch = self.memory.watch();
        let disjoint = self.enter() && self.are_apart(given, node);
        self.leave();
        let free = self.memory.unwatch(watch);
        if free && disjoint && !self.gave_up {
            self.apart.insert(key, true);
        } else if disjoint {
            self.apart.remove(&key);
        }
        disjoint
    }

    fn are_apart(&mut self, given: &Given<'a>, node: Node<'a>) -> bool {
        let other = self.given(&[node]);
        if other.never {
            return true;
        }
        if given.values.as_ref().is_some_and(|values| self.refused_all(values, &[node]))
            || other.values.as_ref().is_some_and(|values| self.refused_all(values, &given.nodes))
        {
            return true;
        }
        let common = given.types.and(other.types);
        if Types::EACH.into_iter().filter(|kind| kind.within(common)).all(|kind| self.differ(given, &other, kind)) {
            return true;
        }
        if given.nots.iter().any(|not| self.swapped(|checker| checker.check(&other, *not)))
            || other.nots.iter().any(|not| self.probe(|checker| checker.check(given, *not)))
        {
            return true;
        }
        let choices = self.choices(&other);
        if choices
            .iter()
            .any(|choice| choice.parts.iter().all(|(nodes, _)| nodes.iter().any(|node| self.is_disjoint(given, *node))))
        {
            return true;
        }
        let choices = self.choices(given);
        choices.iter().any(|choice| self.parts(given, choice, &choices).iter().all(|part| self.is_disjoint(part, node)))
    }

    /// True where values of a kind cannot be as both are.
    fn differ(&mut self, given: &Given<'a>, other: &Given<'a>, kind: Types) -> bool {
        let sizes = |least: Size, most: Size| {
            let apart = |one: &Given<'a>, other: &Given<'a>| {
                one.size(least).zip(other.size(most)).is_some_and(|((least, _), (most, _))| least > most)
            };
            apart(given, other) || apart(other, given)
        };
        match kind {
            Types::INTEGER | Types::FRACTION => {
                let apart = |one: &Given<'a>, other: &Given<'a>| {
                    one.bound(false).zip(other.bound(true)).is_some_and(|(low, high)| leave_nothing(low, high))
                };
                apart(given, other) || apart(other, given)
            }
            Types::STRING => sizes(Size::MinLength, Size::MaxLength),
            Types::ARRAY => sizes(Size::MinItems, Size::MaxItems),
            Types::OBJECT => sizes(Size::MinProperties, Size::MaxProperties) || self.objects_differ(given, other),
            _ => false,
        }
    }

    /// Objects cannot be as both are where a property that is there cannot.
    fn objects_differ(&mut self, given: &Given<'a>, other: &Given<'a>) -> bool {
        let all =
            |given: &Given<'a>| given.nodes.iter().flat_map(|node| node.required().map(|(name, _)| name)).collect::<Vec<_>>();
        let asked = all(other);
        let mut names = asked.clone();
        names.extend(all(given).into_iter().chain(given.has.iter().copied()));
        names.into_iter().any(|name| {
            let (own, theirs) = (self.part(given, name), self.part(other, name));
            if own.is_never() || theirs.is_never() {
                return true;
            }
            // What the writer's schema leaves open is not written, and the other one asks for it.
            if asked.contains(&name) && own.open && !given.requires(name) {
                return true;
            }
            let own = self.given(&own.nodes);
            theirs.nodes.iter().any(|node| self.is_disjoint(&own, *node))
        })
    }
}
