use weir_validator_sdk::lookup::{self, Last};

use super::*;

const CONFIG: &str = r#"{
    "metrics": {
        "temperature": {"maxAge": 60, "tolerance": 0.1},
        "open": {"maxAge": 600},
        "count": {"maxAge": 600}
    }
}"#;

/// A value of the sensor `boiler`, at a number of seconds.
fn reading<'a>(metric: &'a str, value: impl Into<Value<'a>>, seconds: i64) -> Reading<'a> {
    Reading::new(metric, value).from_sensor("boiler").at(seconds * 1_000_000)
}

fn verdicts(readings: &[Reading<'_>]) -> BTreeMap<usize, Verdict> {
    Dedupe::new(Config::new(CONFIG)).unwrap().check(readings).unwrap()
}

fn rejected(readings: &[Reading<'_>]) -> Vec<usize> {
    verdicts(readings).into_keys().collect()
}

#[test]
fn a_repeat_is_rejected_and_says_what_it_repeats() {
    let found = verdicts(&[reading("temperature", 20.0, 0), reading("temperature", 20.0, 10)]);
    assert_eq!(found, BTreeMap::from([(1, Verdict::reject("temperature is still 20, as 10 s before"))]));
    let found = verdicts(&[reading("open", true, 0), reading("open", true, 10)]);
    assert_eq!(found, BTreeMap::from([(1, Verdict::reject("open is still true, as 10 s before"))]));
    let found = verdicts(&[reading("open", "ajar", 0), reading("open", "ajar", 10)]);
    assert_eq!(found, BTreeMap::from([(1, Verdict::reject("open is still the same text, as 10 s before"))]));
}

#[test]
fn what_is_another_value_kind_or_unit_is_no_repeat() {
    assert!(rejected(&[reading("open", true, 0), reading("open", false, 1), reading("open", "false", 2)]).is_empty());
    assert!(rejected(&[reading("count", 1.0, 0), reading("count", 1.000_000_1, 1)]).is_empty());
    assert!(rejected(&[reading("count", 1.0, 0).in_unit("L"), reading("count", 1.0, 1)]).is_empty());
    assert!(rejected(&[reading("count", 1.0, 0), reading("count", 1.0, 1).from_sensor("pump")]).is_empty());
    assert!(rejected(&[reading("pressure", 1.0, 0), reading("pressure", 1.0, 1)]).is_empty());
}

#[test]
fn one_is_stored_each_time_the_one_before_has_its_age() {
    let readings: Vec<_> = (0..13).map(|tens| reading("temperature", 20.0, tens * 10)).collect();
    let stored: Vec<_> = (0..13).filter(|place| !rejected(&readings).contains(place)).collect();
    assert_eq!(stored, [0, 6, 12]);
}

#[test]
fn a_slow_drift_is_not_lost() {
    // Each is near the one that came before it, but not all are near the one that is stored.
    let readings = [(20.0, 0), (20.1, 1), (20.2, 2), (20.3, 3)].map(|(value, at)| reading("temperature", value, at));
    assert_eq!(rejected(&readings), [1, 3]);
}

#[test]
fn one_new_value_saves_its_reading() {
    let readings = [
        reading("open", true, 0),
        reading("temperature", 20.0, 0),
        reading("open", true, 1),
        reading("temperature", 25.0, 1),
        reading("open", true, 2),
        reading("temperature", 25.0, 2),
        // A metric that the configuration does not name is always new.
        reading("open", true, 3),
        reading("pressure", 1.0, 3),
    ];
    assert_eq!(rejected(&readings), [4, 5]);
}

#[test]
fn the_order_is_that_of_time_and_the_same_time_is_no_repeat() {
    assert_eq!(rejected(&[reading("count", 1.0, 20), reading("count", 1.0, 10)]), [0]);
    // The store itself knows a reading that it has already.
    assert!(rejected(&[reading("count", 1.0, 10), reading("count", 1.0, 10)]).is_empty());
}

#[test]
fn the_first_value_is_compared_with_the_last_stored_one() {
    lookup::pretend("boiler", "temperature", Last::new(10_000_000, 20.0));
    assert_eq!(rejected(&[reading("temperature", 20.0, 11)]), [0]);
    assert!(rejected(&[reading("temperature", 20.0, 10)]).is_empty());
    assert!(rejected(&[reading("temperature", 20.0, 9)]).is_empty());
    assert!(rejected(&[reading("temperature", 20.0, 70)]).is_empty());
}

#[test]
fn without_an_answer_the_batch_fails_unless_that_is_to_be_ignored() {
    lookup::pretend_outage("the store is away");
    let readings = [reading("count", 1.0, 0), reading("count", 1.0, 1)];
    let check = |config: &str| Dedupe::new(Config::new(config)).unwrap().check(&readings);
    assert_eq!(check(CONFIG), Err("the store is away".to_owned()));
    let ignoring = CONFIG.replacen('{', r#"{"onLookupFailure": "ignore","#, 1);
    assert_eq!(check(&ignoring).map(|found| found.len()), Ok(1));
    assert_eq!(check(r#"{"metrics": {}}"#), Ok(BTreeMap::new()));
}
