//! An Avro schema → the plan by which its records are read as readings, or what keeps them from being readings.
//!
//! Only what a reading is made of has a place in a plan, so that a record is read without recursion, whatever its bytes say, and no
//! field of it is passed over in silence.

use std::collections::HashMap;
use std::sync::Arc;

use apache_avro::Schema;
use apache_avro::schema::{Name, RecordSchema};

use crate::schema::compat::without_defaults;

/// How the records of one schema are read: its fields, in their order on the wire.
#[derive(Debug)]
pub struct Plan {
    pub(super) slots: Vec<Slot>,
}

/// A field of a reading, and how it is written.
#[derive(Debug)]
pub(super) enum Slot {
    Sensor(Choice<Leaf>),
    Timestamp(Choice<Time>),
    Values(Choice<Pairs>),
    Value(Choice<Leaf>),
    Unit(Choice<Pairs>),
    Quality(Choice<Leaf>),
    SchemaRef(Choice<Leaf>),
    Topic(Choice<Leaf>),
}

/// A type or a union of types; `None` is Avro's null, the value that is not there.
#[derive(Debug)]
pub(super) struct Choice<T> {
    /// True where the number of the branch is written before the value.
    pub(super) union: bool,
    pub(super) branches: Vec<Option<T>>,
}

/// A type of one value.
#[derive(Clone, Debug)]
pub(super) enum Leaf {
    Bool,
    Int,
    Long,
    Float,
    Double,
    Text,
    Enum(Arc<[String]>),
}

/// A type of a time.
#[derive(Debug)]
pub(super) enum Time {
    Text,
    Millis,
    Micros,
    Nanos,
}

/// Values or units by metric.
#[derive(Debug)]
pub(super) enum Pairs {
    /// The metrics are keys of a map.
    Map(Choice<Leaf>),
    /// The metrics are the fields of a record.
    Record(Vec<(String, Choice<Leaf>)>),
}

/// What a schema's names stand for, as far as a reading may have it.
enum Named<'s> {
    Record(&'s RecordSchema),
    Enum(Arc<[String]>),
    Other,
}

type Names<'s> = HashMap<Name, Named<'s>>;

/// What a reading's record looks like, for whoever registered another one.
const EXPECTED: &str = "a reading is a record with `sensorId` (string), `timestamp` (string, or long with logical type \
    timestamp-millis, timestamp-micros or timestamp-nanos, or long of epoch milliseconds), `values` (a map or record of double, \
    float, int, long, boolean, string) or `value`, and optionally `unit`, `quality`, `schemaRef` and `topic`";

impl Plan {
    /// The plan for records written by `definition`, which may name types of the `references`. The error says what to change.
    pub fn new(definition: &str, references: &[Arc<str>]) -> Result<Self, String> {
        let references: Vec<String> = references.iter().map(|reference| bare(reference)).collect();
        let parsed = Schema::parse_str_with_list(&bare(definition), &references);
        let (schema, others) = parsed.map_err(|error| format!("it is no Avro schema: {error}"))?;
        let mut names = Names::new();
        for other in &others {
            collect(other, &mut names);
        }
        collect(&schema, &mut names);
        let record = match &schema {
            Schema::Record(record) => record,
            Schema::Ref { name } => match names.get(name) {
                Some(Named::Record(record)) => record,
                _ => return Err(EXPECTED.to_owned()),
            },
            _ => return Err(format!("it is no record: {EXPECTED}")),
        };
        let slots: Vec<Slot> =
            record.fields.iter().map(|field| slot(&field.name, &field.schema, &names)).collect::<Result<_, _>>()?;
        let has = |wanted: fn(&Slot) -> bool| slots.iter().any(wanted);
        for (there, field) in [
            (has(|slot| matches!(slot, Slot::Sensor(_))), "sensorId"),
            (has(|slot| matches!(slot, Slot::Timestamp(_))), "timestamp"),
            (has(|slot| matches!(slot, Slot::Values(_) | Slot::Value(_))), "values"),
        ] {
            if !there {
                return Err(format!("`{field}` is missing: {EXPECTED}"));
            }
        }
        Ok(Self { slots })
    }
}

/// Finds the definitions of all names. As deep as the schema's JSON, whose depth its parser bounds.
fn collect<'s>(schema: &'s Schema, names: &mut Names<'s>) {
    match schema {
        Schema::Record(record) => {
            names.insert(record.name.clone(), Named::Record(record));
            record.fields.iter().for_each(|field| collect(&field.schema, names));
        }
        Schema::Enum(symbols) => {
            names.insert(symbols.name.clone(), Named::Enum(symbols.symbols.clone().into()));
        }
        Schema::Array(array) => collect(&array.items, names),
        Schema::Map(map) => collect(&map.types, names),
        Schema::Union(union) => union.variants().iter().for_each(|variant| collect(variant, names)),
        other => {
            if let Some(name) = other.name().filter(|_| !matches!(other, Schema::Ref { .. })) {
                names.insert(name.clone(), Named::Other);
            }
        }
    }
}

fn slot(name: &str, schema: &Schema, names: &Names<'_>) -> Result<Slot, String> {
    let text = || choice(schema, |schema| text(schema, names)).ok_or_else(|| format!("`{name}` is a string"));
    let pairs = || choice(schema, |schema| pairs(schema, names));
    Ok(match name {
        "sensorId" => Slot::Sensor(text()?),
        "schemaRef" => Slot::SchemaRef(text()?),
        "topic" => Slot::Topic(text()?),
        "quality" => Slot::Quality(text().map_err(|_| "`quality` is an enum or a string: good, suspect or bad".to_owned())?),
        "timestamp" => {
            let wrong = "`timestamp` is a string, or a long of epoch milliseconds or with logical type timestamp-millis, \
                         timestamp-micros or timestamp-nanos";
            Slot::Timestamp(choice(schema, time).ok_or(wrong)?)
        }
        "value" => {
            let wrong = "`value` is a double, float, int, long, boolean or string, or a union of them and null";
            Slot::Value(choice(schema, |schema| leaf(schema, names)).ok_or(wrong)?)
        }
        "values" => {
            let wrong = "`values` is a map or record of double, float, int, long, boolean, string, or of unions of them and null";
            Slot::Values(pairs().ok_or(wrong)?)
        }
        "unit" => {
            let wrong = "`unit` is a map or record of strings";
            let pairs = pairs().filter(|pairs| pairs.branches.iter().flatten().all(Pairs::are_texts));
            Slot::Unit(pairs.ok_or(wrong)?)
        }
        other => return Err(format!("`{other}` is no field of a reading: {EXPECTED}")),
    })
}

/// The branches of a union, or the one type; `None` where `read` knows one of them not.
fn choice<T>(schema: &Schema, read: impl Fn(&Schema) -> Option<T>) -> Option<Choice<T>> {
    let branch = |schema: &Schema| if matches!(schema, Schema::Null) { Some(None) } else { read(schema).map(Some) };
    match schema {
        Schema::Union(union) => {
            Some(Choice { union: true, branches: union.variants().iter().map(branch).collect::<Option<_>>()? })
        }
        schema => Some(Choice { union: false, branches: vec![branch(schema)?] }),
    }
}

fn leaf(schema: &Schema, names: &Names<'_>) -> Option<Leaf> {
    Some(match schema {
        Schema::Boolean => Leaf::Bool,
        Schema::Int => Leaf::Int,
        Schema::Long => Leaf::Long,
        Schema::Float => Leaf::Float,
        Schema::Double => Leaf::Double,
        schema => return text(schema, names),
    })
}

fn text(schema: &Schema, names: &Names<'_>) -> Option<Leaf> {
    match schema {
        Schema::String => Some(Leaf::Text),
        Schema::Enum(symbols) => symbols_of(&symbols.name, names),
        Schema::Ref { name } => symbols_of(name, names),
        _ => None,
    }
}

/// An enum that is named often is kept once.
fn symbols_of(name: &Name, names: &Names<'_>) -> Option<Leaf> {
    if let Some(Named::Enum(symbols)) = names.get(name) { Some(Leaf::Enum(Arc::clone(symbols))) } else { None }
}

fn time(schema: &Schema) -> Option<Time> {
    Some(match schema {
        Schema::String => Time::Text,
        Schema::Long | Schema::TimestampMillis => Time::Millis,
        Schema::TimestampMicros => Time::Micros,
        Schema::TimestampNanos => Time::Nanos,
        _ => return None,
    })
}

fn pairs(schema: &Schema, names: &Names<'_>) -> Option<Pairs> {
    let record = match schema {
        Schema::Map(map) => return Some(Pairs::Map(choice(&map.types, |schema| leaf(schema, names))?)),
        Schema::Record(record) => record,
        Schema::Ref { name } => match names.get(name)? {
            Named::Record(record) => record,
            Named::Enum(_) | Named::Other => return None,
        },
        _ => return None,
    };
    let field = |field: &apache_avro::schema::RecordField| {
        Some((field.name.clone(), choice(&field.schema, |schema| leaf(schema, names))?))
    };
    Some(Pairs::Record(record.fields.iter().map(field).collect::<Option<_>>()?))
}

impl Pairs {
    fn are_texts(&self) -> bool {
        let text =
            |choice: &Choice<Leaf>| choice.branches.iter().flatten().all(|leaf| matches!(leaf, Leaf::Text | Leaf::Enum(_)));
        match self {
            Self::Map(values) => text(values),
            Self::Record(fields) => fields.iter().all(|(_, values)| text(values)),
        }
    }
}

/// A definition without the defaults of its fields, which nobody needs who reads what was written by it: `apache_avro` looks at a default
/// twice at each union that it lies in, so that a kilobyte of them could keep it busy for hours.
fn bare(definition: &str) -> String {
    let Ok(mut json) = serde_json::from_str(definition) else { return definition.to_owned() };
    without_defaults(&mut json);
    json.to_string()
}
