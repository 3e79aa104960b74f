//! A definition and the schemas in it: which keywords count in its draft, where references lead, and where something stands.
//!
//! The drafts are read as Weir's validator reads them: without `$schema` it is 2020-12, `format` is checked in the drafts 4, 6
//! and 7, and what stands beside a `$ref` counts from 2019-09 on.

use serde_json::Value;

use super::super::below;
use super::references::{obstacle, resolve};

/// References in a row that lead to nothing but a reference.
const HOPS: usize = 32;

/// A draft of JSON Schema.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Dialect {
    Draft4,
    Draft6,
    Draft7,
    Draft2019,
    Draft2020,
}

impl Dialect {
    fn of(root: &Value) -> Self {
        let uri = root.get("$schema").and_then(Value::as_str).unwrap_or_default();
        let name = uri.trim_end_matches('#').split_once("://json-schema.org/").map_or("", |(_, name)| name);
        match name {
            "draft-04/schema" => Self::Draft4,
            "draft-06/schema" => Self::Draft6,
            "draft-07/schema" => Self::Draft7,
            "draft/2019-09/schema" => Self::Draft2019,
            _ => Self::Draft2020,
        }
    }

    /// Whether the keyword says which values are valid. Annotations and unknown keywords do not.
    pub(super) fn knows(self, keyword: &str) -> bool {
        match keyword {
            "$ref"
            | "additionalItems"
            | "additionalProperties"
            | "allOf"
            | "anyOf"
            | "dependencies"
            | "enum"
            | "exclusiveMaximum"
            | "exclusiveMinimum"
            | "items"
            | "maxItems"
            | "maxLength"
            | "maxProperties"
            | "maximum"
            | "minItems"
            | "minLength"
            | "minProperties"
            | "minimum"
            | "multipleOf"
            | "not"
            | "oneOf"
            | "pattern"
            | "patternProperties"
            | "properties"
            | "required"
            | "type"
            | "uniqueItems" => true,
            "const" | "contains" | "propertyNames" => self >= Self::Draft6,
            "format" => self <= Self::Draft7,
            "contentMediaType" | "contentEncoding" => matches!(self, Self::Draft6 | Self::Draft7),
            "if" | "then" | "else" => self >= Self::Draft7,
            "dependentRequired"
            | "dependentSchemas"
            | "minContains"
            | "maxContains"
            | "unevaluatedItems"
            | "unevaluatedProperties" => self >= Self::Draft2019,
            "prefixItems" => self >= Self::Draft2020,
            _ => false,
        }
    }
}

/// A whole definition.
#[derive(Debug)]
pub(super) struct Doc<'a> {
    pub(super) root: &'a Value,
    pub(super) dialect: Dialect,
    /// A reference that is not followed here, where there is one.
    pub(super) obstacle: Option<&'a Value>,
}

impl<'a> Doc<'a> {
    pub(super) fn new(root: &'a Value) -> Self {
        let dialect = Dialect::of(root);
        Self { root, dialect, obstacle: obstacle(root, dialect) }
    }

    pub(super) fn node(&'a self) -> Node<'a> {
        Node { doc: self, value: self.root }
    }

    /// The pointer to something that stands in the definition.
    pub(super) fn pointer_to(&self, wanted: &Value) -> Option<String> {
        fn find(here: &Value, wanted: &Value) -> Option<String> {
            if std::ptr::eq(here, wanted) {
                return Some(String::new());
            }
            match here {
                Value::Array(items) => items
                    .iter()
                    .enumerate()
                    .find_map(|(at, item)| find(item, wanted).map(|rest| format!("{}{rest}", below("", &at.to_string())))),
                Value::Object(members) => members
                    .iter()
                    .find_map(|(name, member)| find(member, wanted).map(|rest| format!("{}{rest}", below("", name)))),
                _ => None,
            }
        }
        find(self.root, wanted)
    }
}

/// A schema within a definition.
#[derive(Clone, Copy, Debug)]
pub(super) struct Node<'a> {
    pub(super) doc: &'a Doc<'a>,
    pub(super) value: &'a Value,
}

impl<'a> Node<'a> {
    /// What tells it from all others: where it lies. Definitions do not move while they are compared.
    pub(super) fn id(self) -> usize {
        address(self.value)
    }

    fn with(self, value: &'a Value) -> Option<Self> {
        (value.is_object() || value.is_boolean()).then_some(Self { doc: self.doc, value })
    }

    /// A keyword's value, where the keyword counts.
    pub(super) fn get(self, keyword: &str) -> Option<&'a Value> {
        let members = self.value.as_object()?;
        let alone = self.doc.dialect <= Dialect::Draft7 && members.contains_key("$ref");
        (self.doc.dialect.knows(keyword) && (!alone || keyword == "$ref")).then(|| members.get(keyword)).flatten()
    }

    /// The keywords that count, with their values.
    pub(super) fn keywords(self) -> impl Iterator<Item = (&'a str, &'a Value)> {
        let members = self.value.as_object().into_iter().flatten();
        members.filter_map(move |(keyword, _)| self.get(keyword).map(|value| (keyword.as_str(), value)))
    }

    /// A keyword's schema.
    pub(super) fn schema(self, keyword: &str) -> Option<Self> {
        self.get(keyword).and_then(|value| self.with(value))
    }

    /// A keyword's schemas, where it has an array of them.
    pub(super) fn list(self, keyword: &str) -> Vec<Self> {
        self.get(keyword).and_then(Value::as_array).into_iter().flatten().filter_map(|value| self.with(value)).collect()
    }

    /// A keyword's schemas, where it has them by name.
    pub(super) fn map(self, keyword: &str) -> impl Iterator<Item = (&'a str, Self)> {
        let members = self.get(keyword).and_then(Value::as_object).into_iter().flatten();
        members.filter_map(move |(name, value)| Some((name.as_str(), self.with(value)?)))
    }

    /// A keyword's schema of one name.
    pub(super) fn member(self, keyword: &str, name: &str) -> Option<Self> {
        self.get(keyword)?.get(name).and_then(|value| self.with(value))
    }

    /// Where its `$ref` leads.
    pub(super) fn target(self) -> Option<Self> {
        let reference = self.get("$ref")?.as_str()?;
        resolve(self.doc.root, reference).and_then(|value| self.with(value))
    }

    /// The schema that it is, where it is nothing but a reference.
    pub(super) fn resolved(self) -> Self {
        let mut node = self;
        // Where it leads round in circles, it stays what it is.
        for _ in 0..HOPS {
            let mut keywords = node.keywords();
            match (keywords.next(), keywords.next(), node.target()) {
                (Some(("$ref", _)), None, Some(target)) => node = target,
                _ => return node,
            }
        }
        self
    }

    /// The names that are required.
    pub(super) fn required(self) -> impl Iterator<Item = (&'a str, &'a Value)> {
        let names = self.get("required").and_then(Value::as_array).into_iter().flatten();
        names.filter_map(|name| Some((name.as_str()?, name)))
    }

    /// What it says of an array's first items, and of those after them.
    pub(super) fn items(self) -> (Vec<Self>, Option<Self>) {
        let (first, rest) = if self.doc.dialect >= Dialect::Draft2020 {
            (self.list("prefixItems"), self.schema("items"))
        } else if self.get("items").is_some_and(Value::is_array) {
            (self.list("items"), self.schema("additionalItems"))
        } else {
            (Vec::new(), self.schema("items"))
        };
        let rest =
            rest.or_else(|| self.schema("unevaluatedItems").filter(|_| !self.is_composed() && self.get("contains").is_none()));
        (first, rest)
    }

    /// The schemas that the same value may have to pass, by keyword.
    pub(super) fn in_place(self) -> Vec<(&'static str, Self)> {
        let lists = ["allOf", "anyOf", "oneOf"].into_iter();
        let mut found: Vec<_> =
            lists.flat_map(|keyword| self.list(keyword).into_iter().map(move |node| (keyword, node))).collect();
        found.extend(["not", "if", "then", "else"].into_iter().filter_map(|keyword| Some((keyword, self.schema(keyword)?))));
        for keyword in ["dependentSchemas", "dependencies"] {
            found.extend(self.map(keyword).map(|(_, node)| (keyword, node)));
        }
        found.extend(self.target().map(|node| ("$ref", node)));
        found
    }

    /// True where other schemas have a say about the same value.
    pub(super) fn is_composed(self) -> bool {
        !self.in_place().is_empty()
    }

    /// True where it takes everything.
    pub(super) fn takes_all(self) -> bool {
        match self.value {
            Value::Bool(all) => *all,
            _ => self.keywords().next().is_none(),
        }
    }

    /// True for the schema `false`.
    pub(super) fn takes_none(self) -> bool {
        *self.value == Value::Bool(false)
    }
}

/// Where a value lies.
pub(super) fn address(value: &Value) -> usize {
    std::ptr::from_ref(value).addr()
}

/// A number of things; what is no such number counts as not there.
pub(super) fn count(value: &Value) -> Option<u64> {
    let whole = |number: f64| (number.fract() == 0.0 && (0.0..1e15).contains(&number)).then_some(number);
    value.as_u64().or_else(|| {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is whole, not negative and small")]
        value.as_f64().and_then(whole).map(|number| number as u64)
    })
}
