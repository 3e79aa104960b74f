//! The rules as tables of cases, held against the verdicts of the known registries; and what has to hold for schemas nobody
//! thought of.
//!
//! A row is two definitions and the pointers of the breaks in both directions. `known` is the verdict of a registry as its own
//! tests or its documentation publish it: `yes` and `no` are about backward; `backward`, `forward`, `both` and `none` about both
//! directions. A row that differs from it says `why`, and only such a row, or one with a known gap, does.

mod bounds;
mod dice;
mod generated;
mod readable;

use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;

use super::*;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    name: String,
    old: Value,
    new: Value,
    backward: Vec<String>,
    forward: Vec<String>,
    known: String,
    #[serde(default)]
    why: String,
}

type Groups = BTreeMap<String, Vec<Case>>;

fn cases(text: &str) -> Vec<(String, Case)> {
    let groups: Groups = serde_json::from_str(text).expect("a table of cases");
    groups.into_iter().flat_map(|(group, cases)| cases.into_iter().map(move |case| (group.clone(), case))).collect()
}

/// The pointers of breaks, in the order of their text.
fn pointers(breaks: &[Break], direction: Direction) -> Vec<String> {
    let mut pointers: Vec<String> = breaks.iter().filter(|one| one.direction == direction).map(|one| one.path.clone()).collect();
    pointers.sort();
    pointers
}

fn differs(case: &Case) -> bool {
    let (backward, forward) = (case.backward.is_empty(), case.forward.is_empty());
    match case.known.split_once(' ').map_or("", |(_, verdict)| verdict) {
        "yes" => !backward,
        "no" => backward,
        "backward" => !backward || forward,
        "forward" => backward || !forward,
        "both" => !backward || !forward,
        "none" => backward || forward,
        _ => false,
    }
}

fn hold(table: &str, least: usize, breaks: impl Fn(&Value, &Value, Compatibility) -> Vec<Break>) {
    let cases = cases(table);
    assert!(cases.len() >= least, "{} cases", cases.len());
    let mut wrong = Vec::new();
    for (group, case) in &cases {
        let full = breaks(&case.old, &case.new, Compatibility::Full);
        let sorted = |list: &[String]| {
            let mut list = list.to_vec();
            list.sort();
            list
        };
        for (direction, expected) in [(Direction::Backward, &case.backward), (Direction::Forward, &case.forward)] {
            if pointers(&full, direction) != sorted(expected) {
                let found: Vec<_> =
                    full.iter().filter(|one| one.direction == direction).map(|one| (&one.path, &one.reason)).collect();
                wrong.push(format!("{group}: {} ({direction})\n   expected {expected:?}\n   found {found:#?}", case.name));
            }
        }
        if differs(case) && case.why.is_empty() {
            wrong.push(format!("{group}: {}: differs from {} and does not say why", case.name, case.known));
        }
        let [backward, forward, none] =
            [Compatibility::Backward, Compatibility::Forward, Compatibility::None].map(|mode| breaks(&case.old, &case.new, mode));
        assert_eq!([backward, forward].concat(), full, "{}: full is both", case.name);
        assert!(none.is_empty(), "{}", case.name);
        for same in [&case.old, &case.new] {
            assert_eq!(breaks(same, same, Compatibility::Full), [], "{}: the same", case.name);
        }
    }
    assert!(wrong.is_empty(), "{} wrong of {}:\n{}", wrong.len(), cases.len(), wrong.join("\n"));
}

#[test]
fn json_schemas_break_where_the_table_says() {
    hold(include_str!("json_cases.json"), 80, json_breaks);
}

#[test]
fn avro_schemas_break_where_the_table_says() {
    let breaks = |old: &Value, new: &Value, mode| avro_breaks(&old.to_string(), &new.to_string(), mode).expect("two schemas");
    hold(include_str!("avro_cases.json"), 40, breaks);
}
