//! Kinds of values, and the bounds that numbers, texts, arrays and objects have.

use serde_json::{Number, Value};

use super::doc::{Dialect, Node};
use super::number::is_integral;

/// Kinds of values; a number is an integer or a fraction.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Types(pub(super) u8);

impl Types {
    pub(super) const NULL: Self = Self(1);
    pub(super) const BOOLEAN: Self = Self(2);
    pub(super) const INTEGER: Self = Self(4);
    pub(super) const FRACTION: Self = Self(8);
    pub(super) const NUMBER: Self = Self(12);
    pub(super) const STRING: Self = Self(16);
    pub(super) const ARRAY: Self = Self(32);
    pub(super) const OBJECT: Self = Self(64);
    pub(super) const ALL: Self = Self(127);
    /// The kinds one by one, the two of numbers too.
    pub(super) const EACH: [Self; 7] =
        [Self::NULL, Self::BOOLEAN, Self::INTEGER, Self::FRACTION, Self::STRING, Self::ARRAY, Self::OBJECT];

    pub(super) fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    pub(super) fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    pub(super) fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    pub(super) fn is_none(self) -> bool {
        self.0 == 0
    }

    /// True where there are no others than these.
    pub(super) fn is_one(self) -> bool {
        self.0.is_power_of_two() || self == Self::NUMBER
    }

    /// True where there are no others than these.
    pub(super) fn within(self, other: Self) -> bool {
        self.without(other).is_none()
    }

    fn named(name: &str) -> Self {
        match name {
            "null" => Self::NULL,
            "boolean" => Self::BOOLEAN,
            "integer" => Self::INTEGER,
            "number" => Self::NUMBER,
            "string" => Self::STRING,
            "array" => Self::ARRAY,
            "object" => Self::OBJECT,
            _ => Self(0),
        }
    }

    /// The kinds that a `type` allows.
    pub(super) fn of_keyword(value: &Value) -> Self {
        match value {
            Value::String(name) => Self::named(name),
            Value::Array(names) => names.iter().filter_map(Value::as_str).fold(Self(0), |sum, name| sum.or(Self::named(name))),
            _ => Self::ALL,
        }
    }

    /// The kind of a value.
    pub(super) fn of_value(value: &Value) -> Self {
        match value {
            Value::Null => Self::NULL,
            Value::Bool(_) => Self::BOOLEAN,
            Value::Number(number) if is_integral(number) => Self::INTEGER,
            Value::Number(_) => Self::FRACTION,
            Value::String(_) => Self::STRING,
            Value::Array(_) => Self::ARRAY,
            Value::Object(_) => Self::OBJECT,
        }
    }

    /// Their names, for a reason.
    pub(super) fn names(self) -> String {
        let number = match (Self::INTEGER.within(self), Self::FRACTION.within(self)) {
            (true, true) => (Self::NUMBER, "a number"),
            (true, false) => (Self::INTEGER, "an integer"),
            _ => (Self::FRACTION, "a number with a fraction"),
        };
        let all = [
            (Self::NULL, "null"),
            (Self::BOOLEAN, "a boolean"),
            number,
            (Self::STRING, "a string"),
            (Self::ARRAY, "an array"),
            (Self::OBJECT, "an object"),
        ];
        let words: Vec<&str> = all.into_iter().filter(|(kind, _)| kind.within(self)).map(|(_, word)| word).collect();
        words.join(" or ")
    }
}

/// A bound of numbers.
#[derive(Clone, Copy)]
pub(super) struct Bound<'a> {
    pub(super) keyword: &'static str,
    pub(super) number: &'a Number,
    pub(super) exclusive: bool,
    pub(super) at: &'a Value,
}

/// The bounds of numbers that a schema has, at one end.
pub(super) fn bounds(node: Node<'_>, high: bool) -> impl Iterator<Item = Bound<'_>> {
    let (plain, open) = if high { ("maximum", "exclusiveMaximum") } else { ("minimum", "exclusiveMinimum") };
    let number = move |keyword: &'static str| {
        Some((node.get(keyword)?, keyword)).and_then(|(at, keyword)| match at {
            Value::Number(number) => Some(Bound { keyword, number, exclusive: keyword == open, at }),
            _ => None,
        })
    };
    // In draft 4 it is a word about the other one.
    let marked = node.doc.dialect == Dialect::Draft4 && node.get(open) == Some(&Value::Bool(true));
    let first = number(plain).map(|bound| Bound { exclusive: marked, ..bound });
    let second = number(open).filter(|_| node.doc.dialect > Dialect::Draft4);
    first.into_iter().chain(second)
}

/// A bound of how many or how long.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Size {
    MinLength,
    MaxLength,
    MinItems,
    MaxItems,
    MinProperties,
    MaxProperties,
}

impl Size {
    pub(super) const ALL: [Self; 6] =
        [Self::MinLength, Self::MaxLength, Self::MinItems, Self::MaxItems, Self::MinProperties, Self::MaxProperties];

    pub(super) fn keyword(self) -> &'static str {
        match self {
            Self::MinLength => "minLength",
            Self::MaxLength => "maxLength",
            Self::MinItems => "minItems",
            Self::MaxItems => "maxItems",
            Self::MinProperties => "minProperties",
            Self::MaxProperties => "maxProperties",
        }
    }

    pub(super) fn is_least(self) -> bool {
        matches!(self, Self::MinLength | Self::MinItems | Self::MinProperties)
    }

    pub(super) fn types(self) -> Types {
        match self {
            Self::MinLength | Self::MaxLength => Types::STRING,
            Self::MinItems | Self::MaxItems => Types::ARRAY,
            Self::MinProperties | Self::MaxProperties => Types::OBJECT,
        }
    }

    /// The size of a value.
    pub(super) fn of(self, value: &Value) -> Option<u64> {
        let size = match (self, value) {
            (Self::MinLength | Self::MaxLength, Value::String(text)) => text.chars().count(),
            (Self::MinItems | Self::MaxItems, Value::Array(items)) => items.len(),
            (Self::MinProperties | Self::MaxProperties, Value::Object(members)) => members.len(),
            _ => return None,
        };
        u64::try_from(size).ok()
    }
}
