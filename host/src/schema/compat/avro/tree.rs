//! A parsed Avro schema, with the place of each type in its JSON; names are looked up, so that a type may hold itself.
//!
//! The library parses; its tree knows no places, so the JSON is walked beside it. Defaults of fields are taken out before: only
//! that they are there counts here, and the library tries each of them against its type, which takes it two to the power of their
//! depth.

use std::collections::HashMap;

use apache_avro::Schema;
use apache_avro::schema::{Aliases, InnerDecimalSchema, Name, UuidSchema};
use serde_json::Value;

/// All types of a schema.
pub(super) struct Tree {
    pub(super) types: Vec<Type>,
    pub(super) root: usize,
    names: HashMap<String, usize>,
}

/// A type, and where it stands.
pub(super) struct Type {
    pub(super) at: String,
    pub(super) kind: Kind,
    /// Precision and scale, where it is a decimal.
    pub(super) decimal: Option<(usize, usize)>,
}

/// What a type is stored as. Others are meant by their place in the tree.
pub(super) enum Kind {
    Null,
    Boolean,
    Int,
    Long,
    Float,
    Double,
    Bytes,
    String,
    Array(usize),
    Map(usize),
    Union(Vec<usize>),
    Record(Named, Vec<Field>),
    /// The symbols, and whether there is a default.
    Enum(Named, Vec<String>, bool),
    Fixed(Named, usize),
    /// A type that is defined elsewhere.
    Reference(String),
}

/// What a type is called.
pub(super) struct Named {
    pub(super) full: String,
    short: String,
    aliases: Vec<String>,
}

/// A field of a record.
pub(super) struct Field {
    pub(super) name: String,
    pub(super) aliases: Vec<String>,
    pub(super) at: String,
    pub(super) has_default: bool,
    pub(super) schema: usize,
}

impl Named {
    fn new(name: &Name, aliases: &Aliases) -> Self {
        let aliases = aliases.iter().flatten().map(|alias| alias.fullname(None)).collect();
        Self { full: name.fullname(None), short: name.name().to_owned(), aliases }
    }

    /// True where what is written under this name is read under the other one.
    pub(super) fn is_read_by(&self, reader: &Self) -> bool {
        self.short == reader.short || reader.aliases.contains(&self.full)
    }
}

impl Kind {
    /// True for what is read as it is, or as a wider type.
    pub(super) fn promotes_to(&self, reader: &Self) -> bool {
        matches!(
            (self, reader),
            (Self::Null, Self::Null)
                | (Self::Boolean, Self::Boolean)
                | (Self::Int, Self::Int | Self::Long | Self::Float | Self::Double)
                | (Self::Long, Self::Long | Self::Float | Self::Double)
                | (Self::Float, Self::Float | Self::Double)
                | (Self::Double, Self::Double)
                | (Self::Bytes | Self::String, Self::Bytes | Self::String)
        )
    }

    /// True for two of the same kind, and where they have names of the same name.
    pub(super) fn is_like(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Record(own, _), Self::Record(name, _))
            | (Self::Enum(own, ..), Self::Enum(name, ..))
            | (Self::Fixed(own, _), Self::Fixed(name, _)) => own.is_read_by(name),
            (Self::Array(_), Self::Array(_)) | (Self::Map(_), Self::Map(_)) => true,
            _ => self.promotes_to(other),
        }
    }

    /// What it is called in a reason.
    pub(super) fn word(&self) -> String {
        let word = match self {
            Self::Null => "null",
            Self::Boolean => "boolean",
            Self::Int => "int",
            Self::Long => "long",
            Self::Float => "float",
            Self::Double => "double",
            Self::Bytes => "bytes",
            Self::String => "string",
            Self::Array(_) => "array",
            Self::Map(_) => "map",
            Self::Union(_) => "union",
            Self::Record(name, _) => return format!("record {}", super::code(&name.full)),
            Self::Enum(name, ..) => return format!("enum {}", super::code(&name.full)),
            Self::Fixed(name, _) => return format!("fixed {}", super::code(&name.full)),
            Self::Reference(name) => name,
        };
        format!("`{word}`")
    }
}

impl Tree {
    /// Parses a definition; the error says what is wrong with it.
    pub(super) fn parse(definition: &str) -> Result<Self, String> {
        let json: Value = serde_json::from_str(definition).map_err(|error| error.to_string())?;
        let mut bare = json.clone();
        without_defaults(&mut bare);
        let schema = Schema::parse(&bare).map_err(|error| error.to_string())?;
        let mut tree = Self { types: Vec::new(), root: 0, names: HashMap::new() };
        tree.root = tree.add(&schema, &json, String::new());
        Ok(tree)
    }

    /// The type that a reference stands for.
    pub(super) fn resolve(&self, at: usize) -> usize {
        match &self.types[at].kind {
            Kind::Reference(name) => self.names.get(name).copied().unwrap_or(at),
            _ => at,
        }
    }

    fn add(&mut self, schema: &Schema, json: &Value, at: String) -> usize {
        let (json, at) = unwrapped(json, at);
        let mut decimal = None;
        let kind = match schema {
            Schema::Null => Kind::Null,
            Schema::Boolean => Kind::Boolean,
            Schema::Int | Schema::Date | Schema::TimeMillis => Kind::Int,
            Schema::Long
            | Schema::TimeMicros
            | Schema::TimestampMillis
            | Schema::TimestampMicros
            | Schema::TimestampNanos
            | Schema::LocalTimestampMillis
            | Schema::LocalTimestampMicros
            | Schema::LocalTimestampNanos => Kind::Long,
            Schema::Float => Kind::Float,
            Schema::Double => Kind::Double,
            Schema::Bytes | Schema::BigDecimal | Schema::Uuid(UuidSchema::Bytes) => Kind::Bytes,
            Schema::String | Schema::Uuid(UuidSchema::String) => Kind::String,
            Schema::Fixed(fixed) | Schema::Duration(fixed) | Schema::Uuid(UuidSchema::Fixed(fixed)) => {
                Kind::Fixed(Named::new(&fixed.name, &fixed.aliases), fixed.size)
            }
            Schema::Decimal(own) => {
                decimal = Some((own.precision, own.scale));
                match &own.inner {
                    InnerDecimalSchema::Bytes => Kind::Bytes,
                    InnerDecimalSchema::Fixed(fixed) => Kind::Fixed(Named::new(&fixed.name, &fixed.aliases), fixed.size),
                }
            }
            Schema::Enum(own) => Kind::Enum(Named::new(&own.name, &own.aliases), own.symbols.clone(), own.default.is_some()),
            Schema::Array(own) => Kind::Array(self.add(&own.items, &json["items"], super::below(&at, "items"))),
            Schema::Map(own) => Kind::Map(self.add(&own.types, &json["values"], super::below(&at, "values"))),
            Schema::Union(own) => {
                let mut branches = Vec::new();
                for (place, branch) in own.variants().iter().enumerate() {
                    branches.push(self.add(branch, &json[place], super::below(&at, &place.to_string())));
                }
                Kind::Union(branches)
            }
            Schema::Record(own) => {
                let places = json["fields"].as_array().into_iter().flatten().enumerate().filter(|(_, field)| field.is_object());
                let mut fields = Vec::new();
                for (field, (place, json)) in own.fields.iter().zip(places) {
                    let at = super::below(&super::below(&at, "fields"), &place.to_string());
                    let schema = self.add(&field.schema, &json["type"], super::below(&at, "type"));
                    let (name, aliases) = (field.name.clone(), field.aliases.clone());
                    fields.push(Field { name, aliases, has_default: json.get("default").is_some(), schema, at });
                }
                Kind::Record(Named::new(&own.name, &own.aliases), fields)
            }
            Schema::Ref { name } => Kind::Reference(name.fullname(None)),
        };
        if let Kind::Record(name, _) | Kind::Enum(name, ..) | Kind::Fixed(name, _) = &kind {
            for alias in &name.aliases {
                self.names.entry(alias.clone()).or_insert(self.types.len());
            }
            self.names.insert(name.full.clone(), self.types.len());
        }
        self.types.push(Type { at, kind, decimal });
        self.types.len() - 1
    }
}

/// `{"type": …}` around a whole type adds nothing but a place.
fn unwrapped(mut json: &Value, mut at: String) -> (&Value, String) {
    while let Some(inner) = json.get("type").filter(|inner| inner.is_object() || inner.is_array()) {
        json = inner;
        at.push_str("/type");
    }
    (json, at)
}

pub(in crate::schema) fn without_defaults(json: &mut Value) {
    match json {
        Value::Array(items) => items.iter_mut().for_each(without_defaults),
        Value::Object(members) => {
            if let Some(Value::Array(fields)) = members.get_mut("fields") {
                fields.iter_mut().filter_map(Value::as_object_mut).for_each(|field| drop(field.remove("default")));
            }
            members.values_mut().for_each(without_defaults);
        }
        _ => {}
    }
}
