//! Avro: where nothing breaks, the library reads with the new version what it wrote with the old one.
//!
//! Aliases are left out, since the library does not read by them, and so are unions in the reader that a value could be promoted
//! into in two ways. What the tables say of them stands in `avro_cases.json`.

use apache_avro::Schema;
use apache_avro::reader::datum::GenericDatumReader;
use apache_avro::types::Value as Datum;
use apache_avro::writer::datum::GenericDatumWriter;
use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::dice::Dice;
use super::*;

const PRIMITIVES: &[&str] = &["null", "boolean", "int", "long", "float", "double", "bytes", "string"];

/// A type; `path` makes its names its own, and the same in every version.
fn schema(dice: &mut Dice, depth: usize, path: &str) -> Value {
    match dice.throw(if depth == 0 { 10 } else { 16 }) {
        8 => {
            let symbols = [vec!["A"], vec!["A", "B"], vec!["B", "A", "C"]][dice.throw(3)].clone();
            let mut own = json!({ "type": "enum", "name": format!("E{path}"), "symbols": symbols });
            if dice.throw(2) == 0 {
                own["default"] = json!("A");
            }
            own
        }
        9 => json!({ "type": "fixed", "name": format!("F{path}"), "size": 1 + dice.throw(2) }),
        10 => json!({ "type": "array", "items": schema(dice, depth - 1, path) }),
        11 => json!({ "type": "map", "values": schema(dice, depth - 1, path) }),
        12 | 13 => record(dice, depth - 1, path),
        14 | 15 => {
            // One of each sort, so that no value can be read as two of them.
            let sorts: [&[&str]; 4] = [&["null"], &["boolean"], &["int", "long", "double"], &["string"]];
            let mut branches = vec![json!("null")];
            for sort in &sorts[1..] {
                if dice.throw(2) == 0 {
                    branches.push(json!(dice.pick(sort)));
                }
            }
            if dice.throw(2) == 0 {
                branches.push(record(dice, depth - 1, path));
            }
            Value::Array(branches)
        }
        _ => json!(dice.pick(PRIMITIVES)),
    }
}

fn record(dice: &mut Dice, depth: usize, path: &str) -> Value {
    let mut fields = Vec::new();
    for name in ["a", "b", "c"] {
        if dice.throw(2) == 0 {
            let kind = schema(dice, depth, &format!("{path}{name}"));
            fields.push(field(dice, name, &kind));
        }
    }
    json!({ "type": "record", "name": format!("R{path}"), "fields": fields })
}

fn field(dice: &mut Dice, name: &str, kind: &Value) -> Value {
    let mut field = json!({ "name": name, "type": kind });
    let default = match kind {
        Value::String(kind) if kind == "int" || kind == "long" => Some(json!(7)),
        Value::String(kind) if kind == "string" => Some(json!("x")),
        Value::Array(_) => Some(Value::Null),
        _ => None,
    };
    if let Some(default) = default.filter(|_| dice.throw(2) == 0) {
        field["default"] = default;
    }
    field
}

/// The type with a change or two.
fn changed(dice: &mut Dice, old: &Value, depth: usize, path: &str) -> Value {
    if dice.throw(12) == 0 {
        return schema(dice, depth.min(1), path);
    }
    match old {
        Value::String(kind) => match (kind.as_str(), dice.throw(4)) {
            ("int", 0) => json!("long"),
            ("long" | "float", 0) => json!("double"),
            ("string", 0) => json!("bytes"),
            (_, 1) => json!(["null", old]).as_array().filter(|_| kind != "null").map_or_else(|| old.clone(), |all| json!(all)),
            _ => old.clone(),
        },
        Value::Array(branches) => {
            let mut branches: Vec<Value> = branches
                .iter()
                .filter(|_| dice.throw(8) > 0)
                .map(|one| if one.is_object() { one.clone() } else { json!(one) })
                .collect();
            for branch in branches.iter_mut().filter(|branch| branch.is_object()) {
                let other = changed(dice, branch, depth, path);
                if other["type"] == branch["type"] {
                    *branch = other;
                }
            }
            Value::Array(branches)
        }
        Value::Object(members) => {
            let mut members: Map<String, Value> = members.clone();
            for keyword in ["items", "values"] {
                if let Some(below) = members.get(keyword) {
                    let below = changed(dice, below, depth.saturating_sub(1), path);
                    members.insert(keyword.to_owned(), below);
                }
            }
            if let Some(Value::Array(symbols)) = members.get_mut("symbols") {
                match dice.throw(4) {
                    0 => symbols.push(json!("D")),
                    1 if symbols.len() > 1 => drop(symbols.remove(symbols.len() - 1)),
                    _ => {}
                }
                if members["symbols"].as_array().is_some_and(|symbols| !symbols.contains(&json!("A"))) {
                    members.remove("default");
                }
            }
            if let Some(Value::Array(fields)) = members.get("fields").cloned() {
                let mut kept = Vec::new();
                for own in fields.iter().filter(|_| dice.throw(6) > 0).cloned().collect::<Vec<_>>() {
                    let name = own["name"].as_str().unwrap_or_default().to_owned();
                    let kind = changed(dice, &own["type"], depth.saturating_sub(1), &format!("{path}{name}"));
                    kept.push(if kind == own["type"] { own } else { field(dice, &name, &kind) });
                }
                if dice.throw(4) == 0 {
                    let kind = json!(dice.pick(PRIMITIVES));
                    kept.push(field(dice, "d", &kind));
                }
                members.insert("fields".to_owned(), Value::Array(kept));
            }
            Value::Object(members)
        }
        other => other.clone(),
    }
}

/// A value of a type.
fn datum(dice: &mut Dice, kind: &Value) -> Datum {
    match kind {
        Value::String(kind) => match kind.as_str() {
            "null" => Datum::Null,
            "boolean" => Datum::Boolean(dice.throw(2) == 0),
            "int" => Datum::Int(*dice.pick(&[-1, 0, 5])),
            "long" => Datum::Long(*dice.pick(&[-1, 0, 1 << 40])),
            "float" => Datum::Float(0.5),
            "double" => Datum::Double(1e100),
            "bytes" => Datum::Bytes(b"ab".to_vec()),
            _ => Datum::String("ab".to_owned()),
        },
        Value::Array(branches) => {
            let at = dice.throw(branches.len());
            Datum::Union(u32::try_from(at).expect("few"), Box::new(datum(dice, &branches[at])))
        }
        _ => match kind["type"].as_str().unwrap_or_default() {
            "enum" => {
                let symbols: Vec<String> = from_json(&kind["symbols"]);
                let at = dice.throw(symbols.len());
                Datum::Enum(u32::try_from(at).expect("few"), symbols[at].clone())
            }
            "fixed" => {
                let size: usize = from_json(&kind["size"]);
                Datum::Fixed(size, vec![7; size])
            }
            "array" => Datum::Array((0..dice.throw(3)).map(|_| datum(dice, &kind["items"])).collect()),
            "map" => Datum::Map((0..dice.throw(3)).map(|at| (format!("k{at}"), datum(dice, &kind["values"]))).collect()),
            _ => {
                let fields = kind["fields"].as_array().cloned().unwrap_or_default();
                let own = |field: &Value| field["name"].as_str().unwrap_or_default().to_owned();
                Datum::Record(fields.iter().map(|field| (own(field), datum(dice, &field["type"]))).collect())
            }
        },
    }
}

fn from_json<T: serde::de::DeserializeOwned>(value: &Value) -> T {
    serde_json::from_value(value.clone()).expect("a part of a schema")
}

fn is_read(seed: u64) -> Result<bool, TestCaseError> {
    let mut dice = Dice(seed);
    let old = schema(&mut dice, 3, "x");
    let new = changed(&mut dice, &old, 3, "x");
    let found = avro_breaks(&old.to_string(), &new.to_string(), Compatibility::Backward).expect("two schemas");
    if !found.is_empty() {
        return Ok(false);
    }
    let [ours, theirs] = [&old, &new].map(|schema| Schema::parse(schema).unwrap_or_else(|error| panic!("{schema}: {error}")));
    let writer = GenericDatumWriter::builder(&ours).build().expect("a writer");
    let reader = GenericDatumReader::builder(&ours).reader_schema(&theirs).build().expect("a reader");
    for _ in 0..5 {
        let value = datum(&mut dice, &old);
        let bytes = writer.write_value_to_vec(value.clone()).unwrap_or_else(|error| panic!("{old}: {value:?}: {error}"));
        if let Err(error) = reader.read_value(&mut bytes.as_slice()) {
            return Err(TestCaseError::fail(format!("seed {seed}: {error}: {value:?} of\n{old}\nis not read by\n{new}")));
        }
    }
    Ok(true)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn where_nothing_breaks_the_library_reads(seed: u64) {
        is_read(seed)?;
    }

    #[test]
    fn an_avro_schema_keeps_up_with_itself(seed: u64) {
        let own = schema(&mut Dice(seed), 3, "x").to_string();
        prop_assert_eq!(avro_breaks(&own, &own, Compatibility::Full).expect("a schema"), []);
    }
}

#[test]
fn often_enough_it_is_read() {
    let kept = (0..300).filter(|seed| matches!(is_read(*seed), Ok(true))).count();
    assert!(kept > 100, "{kept} of 300");
}
