//! Hostile definitions: each comparison ends within its bounds, and what it could not show it reports.

use serde_json::{Value, json};

use super::*;

fn both(old: &Value, new: &Value) -> Vec<Break> {
    json_breaks(old, new, Compatibility::Full)
}

/// One direction, for what takes all the steps that there are.
fn backward(old: &Value, new: &Value) -> Vec<Break> {
    json_breaks(old, new, Compatibility::Backward)
}

fn says(breaks: &[Break], part: &str) -> bool {
    breaks.iter().any(|one| one.reason.contains(part))
}

/// `depth` levels of `allOf`, `anyOf` or properties that refer to the next one twice.
fn doubling(keyword: &str, depth: usize, last: &Value) -> Value {
    let mut levels = serde_json::Map::new();
    for level in 0..depth {
        let next = json!({ "$ref": format!("#/$defs/d{}", level + 1) });
        let schema = match keyword {
            "properties" => json!({ "properties": { "a": next, "b": next } }),
            _ => json!({ keyword: [next, { "minimum": level, "$ref": format!("#/$defs/d{}", level + 1) }] }),
        };
        levels.insert(format!("d{level}"), schema);
    }
    levels.insert(format!("d{depth}"), last.clone());
    json!({ "$ref": "#/$defs/d0", "$defs": levels })
}

#[test]
fn doubling_references_end() {
    for keyword in ["allOf", "anyOf", "properties"] {
        let (old, new) =
            (doubling(keyword, 30, &json!({ "type": "number" })), doubling(keyword, 30, &json!({ "type": "string" })));
        assert!(!backward(&old, &new).is_empty(), "{keyword}");
        assert_eq!(both(&old, &old), [], "{keyword}");
    }
}

#[test]
fn a_product_of_choices_ends() {
    let choices = |types: [&str; 2]| {
        let one =
            |at: usize| json!({ "anyOf": types.map(|kind| json!({ "properties": { format!("p{at}"): { "type": kind } } })) });
        json!({ "properties": {}, "allOf": (0..40).map(one).collect::<Vec<_>>() })
    };
    assert!(!backward(&choices(["string", "number"]), &choices(["number", "boolean"])).is_empty());
    let negations = |deep: usize| {
        (0..deep).fold(json!({ "type": "string" }), |below, at| json!({ "not": { "anyOf": [below, { "const": at }] } }))
    };
    assert!(!backward(&negations(12), &negations(13)).is_empty());
}

#[test]
fn what_refers_to_itself_ends() {
    for looping in [
        json!({ "$ref": "#" }),
        json!({ "allOf": [{ "$ref": "#" }, { "$ref": "#" }] }),
        json!({ "anyOf": [{ "$ref": "#" }, { "type": "string" }] }),
        json!({ "not": { "$ref": "#" } }),
    ] {
        assert!(!backward(&json!({ "type": "number" }), &looping).is_empty(), "{looping}");
    }
    // What passes a condition passes it.
    assert_eq!(backward(&json!({ "type": "number" }), &json!({ "if": { "$ref": "#" }, "then": { "$ref": "#" } })), []);
    let list = |kind: &str| json!({ "type": "object", "properties": { "v": { "type": kind }, "next": { "$ref": "#" } } });
    assert_eq!(both(&list("integer"), &list("number")).len(), 1);
}

/// Definitions that refer to one another through alternatives: what is shown by what is still under way must not be shown again
/// and again.
#[test]
fn definitions_that_refer_to_one_another_are_compared_to_their_end() {
    let many = |kind: &str, number: usize| {
        let next = |at: usize, step: usize, more: usize| json!({ "$ref": format!("#/$defs/n{}", (at * step + more) % number) });
        let one = |at: usize| {
            let properties = json!({ "a": next(at, 3, 2), "b": next(at, 5, 3), "c": next(at, 11, 5) });
            let object = json!({ "type": "object", "properties": properties, "required": ["a"] });
            json!({ "anyOf": [{ "type": kind }, { "type": "array", "items": next(at, 7, 1) }, object] })
        };
        let definitions: serde_json::Map<String, Value> = (0..number).map(|at| (format!("n{at}"), one(at))).collect();
        json!({ "$ref": "#/$defs/n0", "$defs": definitions })
    };
    for number in [2, 7, 20] {
        let breaks = both(&many("integer", number), &many("number", number));
        assert_eq!(pointers(&breaks, Direction::Backward), [""; 0], "{number}");
        let forward = pointers(&breaks, Direction::Forward);
        assert!(!forward.is_empty() && forward.iter().all(|path| path.ends_with("/anyOf/0/type")), "{number}: {forward:?}");
    }
}

#[test]
fn deep_definitions_end() {
    let nested = |kind: &str, deep: usize| (0..deep).fold(json!({ "type": kind }), |below, _| json!({ "items": below }));
    assert_eq!(both(&nested("integer", 14), &nested("number", 14)).len(), 1);
    assert!(says(&both(&nested("integer", 200), &nested("number", 200)), "schemas deep"));
    let chain = |kind: &str| {
        let mut levels: serde_json::Map<String, Value> = (0..200)
            .map(|at| (format!("d{at}"), json!({ "properties": { "next": { "$ref": format!("#/$defs/d{}", at + 1) } } })))
            .collect();
        levels.insert("d200".to_owned(), json!({ "type": kind }));
        json!({ "$ref": "#/$defs/d0", "$defs": levels })
    };
    assert!(says(&both(&chain("integer"), &chain("string")), "schemas deep"));
}

#[test]
fn the_work_has_a_bound_that_is_said() {
    // Each name of one side may match each pattern of the other one.
    let names = |at: usize| format!("{}{at}", "n".repeat(20));
    let old: serde_json::Map<String, Value> = (0..1_500).map(|at| (names(at), json!({ "type": "string" }))).collect();
    let new: serde_json::Map<String, Value> =
        (0..1_000).map(|at| (format!("^[a-z]*{at}$"), json!({ "type": "string", "maxLength": at }))).collect();
    let breaks = backward(&json!({ "properties": old }), &json!({ "patternProperties": new }));
    assert!(says(&breaks, "stopped after") || says(&breaks, "more breaks"), "{breaks:?}");
}

#[test]
fn long_ways_within_one_value_end() {
    const LEVELS: usize = 400;
    let chain = |keyword: &str, kind: &str| {
        let next = |at: usize| json!({ "$ref": format!("#/$defs/d{at}") });
        let schema = |at: usize| match keyword {
            "allOf" | "anyOf" | "oneOf" => json!({ keyword: [next(at + 1), { "title": "x", "minimum": at }] }),
            "then" => json!({ "if": { "minimum": at }, "then": next(at + 1), "else": next(at + 1) }),
            "dependentSchemas" => json!({ "required": ["a"], "type": "object", keyword: { "a": next(at + 1) } }),
            "$ref" => json!({ keyword: format!("#/$defs/d{}", at + 1), "minimum": at }),
            _ => json!({ keyword: next(at + 1), "minimum": at }),
        };
        let mut levels: serde_json::Map<String, Value> = (0..LEVELS).map(|at| (format!("d{at}"), schema(at))).collect();
        levels.insert(format!("d{LEVELS}"), json!({ "type": "object", "properties": { "p": { "type": kind } } }));
        json!({ "$ref": "#/$defs/d0", "$defs": levels, "properties": {}, "unevaluatedProperties": false })
    };
    for keyword in ["allOf", "anyOf", "oneOf", "not", "then", "$ref", "dependentSchemas"] {
        assert!(!backward(&chain(keyword, "number"), &chain(keyword, "string")).is_empty(), "{keyword}");
        assert!(!backward(&json!({ "properties": { "p": {} } }), &chain(keyword, "string")).is_empty(), "{keyword}");
    }
}

#[test]
fn breaks_have_a_bound_that_is_said() {
    let wide = |kind: &str| {
        let properties: serde_json::Map<String, Value> = (0..500).map(|at| (format!("p{at}"), json!({ "type": kind }))).collect();
        json!({ "properties": properties })
    };
    let breaks = both(&wide("string"), &wide("number"));
    assert_eq!(breaks.len(), 2 * (COMPAT_BREAKS + 1));
    assert!(says(&breaks, "there are more"));
    let values = |from: usize| json!({ "enum": (from..from + 5_000).map(|at| format!("v{at}")).collect::<Vec<_>>() });
    assert_eq!(both(&values(0), &values(1)).len(), 2);
}

#[test]
fn an_ordinary_large_definition_is_compared_to_its_end() {
    let large = |most: usize| {
        let mut properties = serde_json::Map::new();
        for at in 0..800 {
            properties.insert(
                format!("metric_{at}"),
                json!({ "type": ["number", "null"], "minimum": -40, "maximum": most, "title": "m" }),
            );
        }
        json!({ "type": "object", "properties": properties, "required": ["metric_0"], "additionalProperties": false })
    };
    assert!(large(85).to_string().len() > 50_000);
    assert_eq!(json_breaks(&large(85), &large(100), Compatibility::Backward), []);
    assert!(says(&json_breaks(&large(85), &large(100), Compatibility::Forward), "there are more"));
}

#[test]
fn recursive_records_end() {
    let node = |kind: &str| {
        json!({ "type": "record", "name": "Node", "fields": [
            { "name": "value", "type": kind },
            { "name": "next", "type": ["null", "Node"] },
            { "name": "others", "type": { "type": "array", "items": "Node" } },
        ] })
        .to_string()
    };
    let breaks = avro_breaks(&node("int"), &node("long"), Compatibility::Full).expect("two schemas");
    assert_eq!(pointers(&breaks, Direction::Forward), ["/fields/0/type"]);
    assert_eq!(pointers(&breaks, Direction::Backward), [""; 0]);
}

/// Unions of records of the same names in both, each of which has a field of each: a hundred pairs below each of a hundred pairs.
#[test]
fn unions_of_records_end() {
    let many = |kind: &str| {
        let names: Vec<String> = (0..60).map(|at| format!("R{at}")).collect();
        let record = |at: usize| {
            let known: Vec<Value> = names[..at].iter().map(|name| json!(name)).chain([json!(kind)]).collect();
            json!({ "type": "record", "name": names[at], "fields": [{ "name": "f", "type": known }] })
        };
        json!((0..60).map(record).collect::<Vec<_>>()).to_string()
    };
    let breaks = avro_breaks(&many("int"), &many("string"), Compatibility::Full).expect("two schemas");
    assert!(!breaks.is_empty());
    assert_eq!(avro_breaks(&many("int"), &many("int"), Compatibility::Full).expect("two schemas"), []);
}

#[test]
fn defaults_are_not_unfolded() {
    // The library alone tries a default twice at each union that it lies in: 2 to the power of 30.
    let mut kind = json!(["null", { "type": "map", "values": "int" }]);
    let mut default = json!({ "a": 1 });
    for _ in 0..30 {
        kind = json!(["null", { "type": "map", "values": kind }]);
        default = json!({ "a": default });
    }
    let definition =
        json!({ "type": "record", "name": "R", "fields": [{ "name": "f", "type": kind, "default": default }] }).to_string();
    assert_eq!(avro_breaks(&definition, &definition, Compatibility::Full).expect("a schema"), []);
}

#[test]
fn what_is_no_avro_schema_is_an_error() {
    let error = avro_breaks("\"int\"", "{\"type\": \"wrong\"}", Compatibility::None).expect_err("no schema");
    assert_eq!(error.kind(), crate::error::Kind::Malformed);
    assert!(error.sentence().starts_with("The new version is no Avro schema"), "{error}");
}
