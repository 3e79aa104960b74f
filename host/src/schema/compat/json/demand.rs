//! What a schema asks of a value, taken apart: each demand can be met, or not, by itself.

use serde_json::{Number, Value};

use super::doc::{Dialect, Node, count};
use super::kinds::{Bound, Size, Types, bounds};

/// One demand of a schema.
pub(super) struct Demand<'a> {
    /// Where it stands.
    pub(super) at: &'a Value,
    pub(super) keyword: &'static str,
    pub(super) what: What<'a>,
}

/// What is asked for.
pub(super) enum What<'a> {
    /// To pass another schema as well.
    All(Node<'a>),
    Types(Types),
    Values(&'a [Value]),
    Bound(Bound<'a>, bool),
    Multiple(&'a Number),
    Size(Size, u64),
    /// A text that the keyword's value describes: a pattern, a format, an encoding.
    Text(&'a str),
    Unique,
    Required(&'a str),
    Property(&'a str, Node<'a>),
    Pattern(&'a str, Node<'a>),
    /// Of properties that none of the schemas in the list names.
    Others(Vec<Node<'a>>, Node<'a>),
    Names(Node<'a>),
    Together(&'a str, &'a [Value]),
    Dependent(&'a str, Node<'a>),
    Item(usize, Node<'a>),
    /// Of the items from a place on.
    Items(usize, Node<'a>),
    Contains(Contains<'a>),
    Any(Vec<Node<'a>>),
    One(Vec<Node<'a>>),
    Not(Node<'a>),
    If(Node<'a>, Option<Node<'a>>, Option<Node<'a>>),
    /// Something that is compared by its text only.
    Opaque,
}

/// How many items have to pass a schema.
#[derive(Clone, Copy)]
pub(super) struct Contains<'a> {
    pub(super) schema: Node<'a>,
    pub(super) least: u64,
    pub(super) most: Option<u64>,
}

impl<'a> Contains<'a> {
    pub(super) fn of(node: Node<'a>) -> Option<Self> {
        let number = |keyword| node.get(keyword).and_then(count);
        Some(Self { schema: node.schema("contains")?, least: number("minContains").unwrap_or(1), most: number("maxContains") })
    }
}

impl Demand<'_> {
    /// The kinds of values that it is about; others meet it.
    pub(super) fn types(&self) -> Types {
        match &self.what {
            What::Bound(..) | What::Multiple(_) => Types::NUMBER,
            What::Size(size, _) => size.types(),
            What::Text(_) => Types::STRING,
            What::Unique | What::Item(..) | What::Items(..) | What::Contains(_) => Types::ARRAY,
            What::Opaque if self.keyword == "unevaluatedItems" => Types::ARRAY,
            What::Required(_)
            | What::Property(..)
            | What::Pattern(..)
            | What::Others(..)
            | What::Names(_)
            | What::Together(..)
            | What::Dependent(..)
            | What::Opaque => Types::OBJECT,
            What::All(_) | What::Types(_) | What::Values(_) | What::Any(_) | What::One(_) | What::Not(_) | What::If(..) => {
                Types::ALL
            }
        }
    }
}

/// Takes a schema apart, but for what has to look at several schemas at once (`unevaluatedProperties`).
pub(super) fn demands(node: Node<'_>) -> Vec<Demand<'_>> {
    let mut found = Vec::new();
    let mut add = |keyword, at, what| found.push(Demand { at, keyword, what });
    if let (Some(at), Some(target)) = (node.get("$ref"), node.target()) {
        add("$ref", at, What::All(target));
    }
    for member in node.list("allOf") {
        add("allOf", member.value, What::All(member));
    }
    if let Some(at) = node.get("type") {
        add("type", at, What::Types(Types::of_keyword(at)));
    }
    if let Some(at @ Value::Array(values)) = node.get("enum") {
        add("enum", at, What::Values(values));
    }
    if let Some(at) = node.get("const") {
        add("const", at, What::Values(std::slice::from_ref(at)));
    }
    for high in [false, true] {
        bounds(node, high).for_each(|bound| add(bound.keyword, bound.at, What::Bound(bound, high)));
    }
    if let Some(at @ Value::Number(unit)) = node.get("multipleOf") {
        add("multipleOf", at, What::Multiple(unit));
    }
    for size in Size::ALL {
        if let Some((at, number)) = node.get(size.keyword()).and_then(|at| Some((at, count(at)?))) {
            add(size.keyword(), at, What::Size(size, number));
        }
    }
    for keyword in ["pattern", "format", "contentEncoding", "contentMediaType"] {
        match node.get(keyword) {
            Some(Value::String(text)) if keyword == "format" && !is_checked(text, node.doc.dialect) => {}
            Some(at @ Value::String(text)) => add(keyword, at, What::Text(text)),
            _ => {}
        }
    }
    of_objects(node, &mut add);
    of_arrays(node, &mut add);
    of_logic(node, &mut add);
    found
}

/// The formats that Weir's validator checks in a draft that has them checked; others are annotations.
fn is_checked(format: &str, dialect: Dialect) -> bool {
    match format {
        "date" | "date-time" | "email" | "hostname" | "ipv4" | "ipv6" | "regex" | "time" | "uri" => true,
        "json-pointer" | "uri-reference" | "uri-template" => dialect >= Dialect::Draft6,
        "iri" | "iri-reference" | "relative-json-pointer" => dialect >= Dialect::Draft7,
        _ => false,
    }
}

fn of_objects<'a>(node: Node<'a>, add: &mut impl FnMut(&'static str, &'a Value, What<'a>)) {
    for (name, at) in node.required() {
        add("required", at, What::Required(name));
    }
    for (name, schema) in node.map("properties").filter(|(_, schema)| !schema.takes_all()) {
        add("properties", schema.value, What::Property(name, schema));
    }
    for (pattern, schema) in node.map("patternProperties").filter(|(_, schema)| !schema.takes_all()) {
        add("patternProperties", schema.value, What::Pattern(pattern, schema));
    }
    if let Some(schema) = node.schema("additionalProperties").filter(|schema| !schema.takes_all()) {
        add("additionalProperties", schema.value, What::Others(vec![node], schema));
    }
    if let Some(schema) = node.schema("propertyNames").filter(|schema| !schema.takes_all()) {
        add("propertyNames", schema.value, What::Names(schema));
    }
    for keyword in ["dependentRequired", "dependencies"] {
        for (name, at) in node.get(keyword).and_then(Value::as_object).into_iter().flatten() {
            if let Value::Array(names) = at {
                add(keyword, at, What::Together(name, names));
            }
        }
    }
    for keyword in ["dependentSchemas", "dependencies"] {
        for (name, schema) in node.map(keyword).filter(|(_, schema)| !schema.takes_all()) {
            add(keyword, schema.value, What::Dependent(name, schema));
        }
    }
}

fn of_arrays<'a>(node: Node<'a>, add: &mut impl FnMut(&'static str, &'a Value, What<'a>)) {
    if let Some(at @ Value::Bool(true)) = node.get("uniqueItems") {
        add("uniqueItems", at, What::Unique);
    }
    let (first, rest) = node.items();
    let after = first.len();
    for (at, schema) in first.into_iter().enumerate().filter(|(_, schema)| !schema.takes_all()) {
        add("items", schema.value, What::Item(at, schema));
    }
    if let Some(schema) = rest.filter(|schema| !schema.takes_all()) {
        add("items", schema.value, What::Items(after, schema));
    }
    if let Some(contains) = Contains::of(node) {
        add("contains", contains.schema.value, What::Contains(contains));
    }
    // Where it stands alone, it is the schema of the further items above; beside a schema of all items it says nothing.
    if let Some(schema) = node.schema("unevaluatedItems").filter(|schema| !schema.takes_all() && rest.is_none()) {
        add("unevaluatedItems", schema.value, What::Opaque);
    }
}

fn of_logic<'a>(node: Node<'a>, add: &mut impl FnMut(&'static str, &'a Value, What<'a>)) {
    if let Some(at) = node.get("anyOf") {
        add("anyOf", at, What::Any(node.list("anyOf")));
    }
    if let Some(at) = node.get("oneOf") {
        add("oneOf", at, What::One(node.list("oneOf")));
    }
    if let Some(schema) = node.schema("not") {
        add("not", schema.value, What::Not(schema));
    }
    if let Some(condition) = node.schema("if") {
        let (then, otherwise) = (node.schema("then"), node.schema("else"));
        if then.or(otherwise).is_some() {
            add("if", condition.value, What::If(condition, then, otherwise));
        }
    }
}
