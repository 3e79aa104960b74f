//! What is known of a value: the schemas that it has passed, all of them together.

use std::collections::HashSet;

use serde_json::Value;

use super::Checker;
use super::demand::{Contains, What};
use super::doc::{Node, count};
use super::kinds::{Bound, Size, Types, bounds};
use super::memory::Key;
use super::number::compare;
use super::takes::Verdict;

static NULL: Value = Value::Null;
static FALSE: Value = Value::Bool(false);
static TRUE: Value = Value::Bool(true);

/// What is known of a value.
#[derive(Clone)]
pub(super) struct Given<'a> {
    /// The schemas that it passes, with those that they name by `$ref` and `allOf`; each once, in the order of their ids.
    pub(super) nodes: Vec<Node<'a>>,
    /// Schemas that it does not pass.
    pub(super) nots: Vec<Node<'a>>,
    /// Names that it has besides those that its schemas require.
    pub(super) has: Vec<&'a str>,
    /// The kinds that it may be of.
    pub(super) types: Types,
    /// All values that it may be, where they can be listed.
    pub(super) values: Option<Vec<&'a Value>>,
    /// True where the values are all there are of a kind, and not a list that somebody wrote.
    pub(super) kinds: bool,
    /// True where there is no such value.
    pub(super) never: bool,
    /// The alternative that was taken last.
    pub(super) chosen: Option<&'a Value>,
    /// Choices of which an alternative was taken, by where they stand.
    pub(super) settled: Vec<usize>,
    /// Choices that are left alone, so that the work is a sum and not a product.
    pub(super) idle: Vec<usize>,
}

/// What is known of one property, or of one item.
pub(super) struct Part<'a> {
    pub(super) nodes: Vec<Node<'a>>,
    /// True where its name is left open, so that by the lenient rule it is not written.
    pub(super) open: bool,
}

impl Part<'_> {
    /// True where it cannot be there.
    pub(super) fn is_never(&self) -> bool {
        self.nodes.iter().any(|node| node.takes_none())
    }
}

impl<'a> Given<'a> {
    fn anything() -> Self {
        Self {
            nodes: Vec::new(),
            nots: Vec::new(),
            has: Vec::new(),
            types: Types::ALL,
            values: None,
            kinds: false,
            never: false,
            chosen: None,
            settled: Vec::new(),
            idle: Vec::new(),
        }
    }

    /// What tells it from others.
    pub(super) fn key(&self) -> Key {
        let mut key: Key = self.nodes.iter().map(|node| node.id()).collect();
        let nots = self.nots.iter().map(|node| node.id());
        let has = self.has.iter().map(|name| name.as_ptr().addr());
        for list in [nots.collect::<Vec<_>>(), has.collect(), self.settled.clone(), self.idle.clone()] {
            key.push(0);
            key.extend(list);
        }
        key.extend([0, usize::from(self.types.0)]);
        key
    }

    /// Only those of some kinds.
    pub(super) fn only(&self, types: Types) -> Self {
        let mut part = self.clone();
        part.types = part.types.and(types);
        part.never |= part.types.is_none();
        if let Some(values) = &mut part.values {
            values.retain(|value| Types::of_value(value).within(types));
        }
        part.list_simple();
        part
    }

    /// Values of kinds that have few of them are listed.
    fn list_simple(&mut self) {
        if self.values.is_none() && self.types.within(Types::NULL.or(Types::BOOLEAN)) {
            let each = [(Types::NULL, &NULL), (Types::BOOLEAN, &FALSE), (Types::BOOLEAN, &TRUE)];
            self.kinds = true;
            self.values = Some(each.into_iter().filter(|(kind, _)| kind.within(self.types)).map(|(_, value)| value).collect());
        }
    }

    /// True where it has a property of that name.
    pub(super) fn requires(&self, name: &str) -> bool {
        let required =
            |name: &str| self.has.contains(&name) || self.nodes.iter().any(|node| node.required().any(|(own, _)| own == name));
        required(name) || self.together().any(|(key, names)| required(key) && names.iter().any(|own| own == name))
    }

    /// Names that come with another name.
    pub(super) fn together(&self) -> impl Iterator<Item = (&'a str, &'a Vec<Value>)> {
        let keyword = |node: &Node<'a>, keyword| node.get(keyword).and_then(Value::as_object).into_iter().flatten();
        let all = self.nodes.iter().flat_map(move |node| keyword(node, "dependentRequired").chain(keyword(node, "dependencies")));
        all.filter_map(|(key, names)| Some((key.as_str(), names.as_array()?)))
    }

    /// The place of a keyword in one of the schemas.
    pub(super) fn place(&self, keyword: &str) -> Option<&'a Value> {
        self.nodes.iter().find_map(|node| node.get(keyword))
    }

    /// The tightest bound at one end.
    pub(super) fn bound(&self, high: bool) -> Option<Bound<'a>> {
        self.nodes.iter().flat_map(|node| bounds(*node, high)).reduce(|one, other| {
            let order = compare(one.number, other.number);
            let order = if high { order.reverse() } else { order };
            if order.is_lt() || (order.is_eq() && other.exclusive) { other } else { one }
        })
    }

    /// The tightest size at one end, with its place.
    pub(super) fn size(&self, size: Size) -> Option<(u64, &'a Value)> {
        let all = self.nodes.iter().filter_map(|node| node.get(size.keyword())).filter_map(|at| Some((count(at)?, at)));
        if size.is_least() { all.max_by_key(|(number, _)| *number) } else { all.min_by_key(|(number, _)| *number) }
    }

    /// The most items that it may have.
    pub(super) fn most_items(&self) -> u64 {
        let closed = self.nodes.iter().filter_map(|node| {
            let (first, rest) = node.items();
            let end = first.iter().position(|item| item.takes_none());
            let end = end.or_else(|| rest.is_some_and(Node::takes_none).then_some(first.len()))?;
            u64::try_from(end).ok()
        });
        closed.chain(self.size(Size::MaxItems).map(|(number, _)| number)).min().unwrap_or(u64::MAX)
    }

    /// What is known of the item at a place.
    pub(super) fn item(&self, at: usize) -> Part<'a> {
        let nodes = self.nodes.iter().filter_map(|node| {
            let (first, rest) = node.items();
            first.get(at).copied().or(rest)
        });
        Part { nodes: nodes.collect(), open: false }
    }

    /// How many items have a schema of their own.
    pub(super) fn first_items(&self) -> usize {
        self.nodes.iter().map(|node| node.items().0.len()).max().unwrap_or(0)
    }

    /// What is known of how many items pass a schema.
    pub(super) fn contains(&self) -> impl Iterator<Item = Contains<'a>> {
        self.nodes.iter().filter_map(|node| Contains::of(*node))
    }
}

impl<'a> Checker<'a> {
    /// What is known of a value that passes these schemas.
    pub(super) fn given(&mut self, nodes: &[Node<'a>]) -> Given<'a> {
        self.extended(Given::anything(), nodes, &[])
    }

    /// The same with further schemas that it passes, and that it does not.
    pub(super) fn extended(&mut self, mut given: Given<'a>, nodes: &[Node<'a>], nots: &[Node<'a>]) -> Given<'a> {
        given.nots.extend(nots);
        self.gather(&mut given, nodes.to_vec());
        given.nodes.sort_by_key(|node| node.id());
        given.nots.sort_by_key(|node| node.id());
        given.nots.dedup_by_key(|node| node.id());
        self.know(&mut given);
        given
    }

    /// Adds schemas, and those that apply with them.
    fn gather(&mut self, given: &mut Given<'a>, mut todo: Vec<Node<'a>>) {
        while let Some(node) = todo.pop() {
            let node = node.resolved();
            if !self.step(1) {
                break;
            }
            given.never |= node.takes_none();
            if node.value.is_object() && given.nodes.iter().all(|own| own.id() != node.id()) {
                given.nodes.push(node);
                todo.extend(node.list("allOf"));
                todo.extend(node.target());
                given.nots.extend(node.schema("not"));
            }
            if todo.is_empty() {
                self.step(2 * given.nodes.len());
                todo = dependents(given);
            }
        }
    }

    /// A schema with those that apply with it.
    pub(super) fn together_with(&mut self, node: Node<'a>) -> Vec<Node<'a>> {
        let mut given = Given::anything();
        self.gather(&mut given, vec![node]);
        given.nodes
    }

    /// Finds the kinds and the values of what is given.
    fn know(&mut self, given: &mut Given<'a>) {
        self.step((given.nodes.len() + given.nots.len() + given.idle.len()) / 8);
        for node in &given.nodes {
            given.types = node.get("type").map_or(given.types, |at| given.types.and(Types::of_keyword(at)));
        }
        for not in &given.nots {
            let mut keywords = not.keywords();
            given.never |= not.takes_all();
            if let (Some(("type", at)), None) = (keywords.next(), keywords.next()) {
                given.types = given.types.without(Types::of_keyword(at));
            }
        }
        given.never |= given.types.is_none();
        let lists = given.nodes.iter().flat_map(|node| {
            let all = node.get("enum").and_then(|at| Some((at, at.as_array()?.as_slice())));
            all.into_iter().chain(node.get("const").map(|at| (at, std::slice::from_ref(at))))
        });
        (given.values, given.kinds) = (None, false);
        if let Some((at, list)) = lists.min_by_key(|(_, list)| list.len()) {
            let values: Vec<&'a Value> = list.iter().filter(|value| self.may_be(given, value, at)).collect();
            given.never |= values.is_empty();
            given.values = Some(values);
        }
        given.list_simple();
    }

    /// False where a schema of what is given refuses the value; `listed` is the list that it comes from.
    fn may_be(&mut self, given: &Given<'a>, value: &Value, listed: &'a Value) -> bool {
        self.probe(|checker| {
            let refused = given.nodes.iter().any(|node| {
                checker.demands(*node).iter().any(|demand| {
                    let done = std::ptr::eq(demand.at, listed) || matches!(demand.what, What::All(_));
                    !done && checker.takes(demand, value) == Verdict::No
                })
            });
            !refused && !given.nots.iter().any(|not| checker.passes(*not, value) == Verdict::Yes)
        })
    }
}

/// Schemas that apply because a name is there, and are not among those given yet.
fn dependents<'a>(given: &Given<'a>) -> Vec<Node<'a>> {
    let types =
        given.nodes.iter().filter_map(|node| node.get("type")).fold(given.types, |all, at| all.and(Types::of_keyword(at)));
    if types != Types::OBJECT {
        // What is required of objects says nothing of others.
        return Vec::new();
    }
    let required = given.nodes.iter().flat_map(|node| node.required().map(|(name, _)| name));
    let has: HashSet<&str> = required.chain(given.has.iter().copied()).collect();
    let own: HashSet<usize> = given.nodes.iter().map(|node| node.id()).collect();
    let all = given.nodes.iter().flat_map(|node| node.map("dependentSchemas").chain(node.map("dependencies")));
    let all = all.filter(|(name, _)| has.contains(name)).map(|(_, node)| node.resolved());
    all.filter(|node| node.value.is_object() && !own.contains(&node.id())).collect()
}
