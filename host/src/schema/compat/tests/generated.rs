//! What has to hold for all schemas: one keeps up with itself, and where nothing breaks, no value shows the contrary.
//!
//! The values are few and small, and Weir's validator judges them. The lenient rule is what they have to respect: those that hold
//! names which the writer's schema leaves open are no witnesses, so that schema is closed around the names that it lists before
//! it judges. `PROPTEST_CASES` says how many schemas are tried; a quarter of a million of each kind found nothing more.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::dice::{Dice, in_draft};
use super::*;

/// Takes out what opens an object in so many words, or turns it round: it says nothing, but it would count as having looked at
/// every property.
fn without_openings(mut schema: Value, instead: Option<&Value>) -> Value {
    fn clean(value: &mut Value, instead: Option<&Value>) {
        match value {
            Value::Object(members) => {
                for keyword in ["additionalProperties", "unevaluatedProperties"] {
                    if members.get(keyword).is_some_and(|own| *own == json!(true) || *own == json!({})) {
                        members.remove(keyword);
                        members.extend(instead.map(|instead| (keyword.to_owned(), instead.clone())));
                    }
                }
                members.values_mut().for_each(|below| clean(below, instead));
            }
            Value::Array(items) => items.iter_mut().for_each(|below| clean(below, instead)),
            _ => {}
        }
    }
    clean(&mut schema, instead);
    schema
}

/// The schema as its data is really written by the lenient rule: objects with listed names have no others.
fn as_written(schema: &Value, root: bool) -> Value {
    let Value::Object(members) = schema else { return schema.clone() };
    let mut written = members.clone();
    for (name, member) in &mut written {
        match (name.as_str(), member) {
            ("properties" | "patternProperties" | "$defs", Value::Object(each)) => {
                let place = name != "$defs";
                each.values_mut().for_each(|below| *below = as_written(below, place));
            }
            ("prefixItems", Value::Array(each)) => each.iter_mut().for_each(|below| *below = as_written(below, true)),
            ("items" | "contains" | "additionalProperties", member) => *member = as_written(member, true),
            ("allOf" | "anyOf" | "oneOf", Value::Array(each)) => {
                for below in each {
                    *below = as_written(below, false);
                }
            }
            ("then" | "else", member) => *member = as_written(member, false),
            _ => {}
        }
    }
    let text = Value::Object(written.clone()).to_string();
    if root && (text.contains("\"properties\":") || text.contains("\"$ref\":")) {
        written.entry("unevaluatedProperties").or_insert(json!(false));
    }
    Value::Object(written)
}

fn validator(schema: &Value) -> jsonschema::Validator {
    jsonschema::options().offline().build(schema).unwrap_or_else(|error| panic!("{schema}: {error}"))
}

/// Tries values against two definitions between which nothing breaks.
fn no_value_shows_the_contrary(seed: u64, open: bool, tries: usize) -> Result<bool, TestCaseError> {
    let mut dice = Dice(seed);
    let old = dice.definition(open);
    let new = if dice.throw(5) == 0 { dice.definition(open) } else { dice.changed(&old, 2, open) };
    if !json_breaks(&old, &new, Compatibility::Backward).is_empty() {
        return Ok(false);
    }
    let (accepts, written, reads) =
        (validator(&old), validator(&as_written(&without_openings(old.clone(), None), true)), validator(&new));
    for _ in 0..tries {
        let value = match dice.throw(4) {
            0 => dice.value(3),
            1 => dice.like(&new, &new, 3),
            _ => dice.like(&old, &old, 3),
        };
        if accepts.is_valid(&value) && written.is_valid(&value) && !reads.is_valid(&value) {
            return Err(TestCaseError::fail(format!("seed {seed}: {value} passes\n{old}\nand not\n{new}")));
        }
    }
    Ok(true)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_schema_keeps_up_with_itself(seed: u64, open: bool) {
        let schema = Dice(seed).definition(open);
        prop_assert_eq!(json_breaks(&schema, &schema.clone(), Compatibility::Full), []);
    }

    #[test]
    fn full_is_both(seed: u64) {
        let mut dice = Dice(seed);
        let old = dice.definition(true);
        let new = dice.changed(&old, 2, true);
        let [backward, forward, full] =
            [Compatibility::Backward, Compatibility::Forward, Compatibility::Full].map(|mode| json_breaks(&old, &new, mode));
        prop_assert_eq!([backward.as_slice(), forward.as_slice()].concat(), full);
        let turned = json_breaks(&new, &old, Compatibility::Backward);
        prop_assert_eq!(turned.is_empty(), forward.is_empty(), "forward is backward the other way round");
    }

    #[test]
    fn where_nothing_breaks_closed_schemas_take_the_old_values(seed: u64) {
        no_value_shows_the_contrary(seed, false, 200)?;
    }

    #[test]
    fn where_nothing_breaks_open_schemas_take_what_is_written(seed: u64) {
        no_value_shows_the_contrary(seed, true, 200)?;
    }
}

/// The test above would hold for a judge who always says that something breaks.
#[test]
fn often_enough_nothing_breaks() {
    let kept = (0..300).filter(|seed| matches!(no_value_shows_the_contrary(*seed, true, 0), Ok(true))).count();
    assert!(kept > 60, "{kept} of 300");
}

/// The same as above between drafts. Closed schemas only: older ones have no words for what is really written.
fn no_value_between_drafts(seed: u64, drafts: [u8; 2], tries: usize) -> Result<bool, TestCaseError> {
    let mut dice = Dice(seed);
    let old = dice.definition(false);
    let new = dice.changed(&old, 2, false);
    let [old, new] = [(old, drafts[0]), (new, drafts[1])].map(|(schema, draft)| {
        if draft > 7 {
            return without_openings(schema, Some(&json!(false)));
        }
        let schema = without_openings(in_draft(&schema, draft), Some(&json!(false)));
        let mut schema = if schema.is_object() { schema } else { json!({ "allOf": [schema] }) };
        schema["$schema"] = json!(format!("http://json-schema.org/draft-0{draft}/schema#"));
        schema
    });
    if !json_breaks(&old, &new, Compatibility::Backward).is_empty() {
        return Ok(false);
    }
    let (accepts, reads) = (validator(&old), validator(&new));
    for _ in 0..tries {
        let value = if dice.throw(2) == 0 { dice.value(3) } else { dice.like(&old, &old, 3) };
        // Whether 1.0 is an integer, which draft 4 denies, is passed over.
        let whole = drafts[0] == 4 && value.to_string().contains(".0");
        if !whole && accepts.is_valid(&value) && !reads.is_valid(&value) {
            return Err(TestCaseError::fail(format!("seed {seed}: {value} passes\n{old}\nand not\n{new}")));
        }
    }
    Ok(true)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn where_nothing_breaks_older_drafts_take_the_old_values(seed: u64, drafts in prop::sample::select(DRAFTS)) {
        no_value_between_drafts(seed, drafts, 200)?;
    }
}

const DRAFTS: &[[u8; 2]] = &[[4, 4], [7, 7], [4, 7], [4, 12], [7, 12], [12, 7], [12, 12]];
