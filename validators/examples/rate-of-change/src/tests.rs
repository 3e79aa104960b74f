use weir_validator_sdk::lookup::{self, Last};

use super::*;

const CONFIG: &str = r#"{
    "limits": {
        "temperature": {"maxRise": 0.1, "maxFall": 0.5, "maxGap": 60},
        "level": {"maxFall": 1, "onBreach": "suspect"}
    }
}"#;

/// A value of the sensor `boiler`, at a number of seconds.
fn reading<'a>(metric: &'a str, value: impl Into<Value<'a>>, seconds: i64) -> Reading<'a> {
    Reading::new(metric, value).from_sensor("boiler").at(seconds * 1_000_000)
}

fn verdicts(readings: &[Reading<'_>]) -> BTreeMap<usize, Verdict> {
    RateOfChange::new(Config::new(CONFIG)).unwrap().check(readings).unwrap()
}

/// The places of the values that are rejected.
fn rejected(readings: &[Reading<'_>]) -> Vec<usize> {
    verdicts(readings).iter().filter_map(|(place, verdict)| verdict.rejection().map(|_| *place)).collect()
}

#[test]
fn what_changes_faster_is_rejected_with_the_limit() {
    let found = verdicts(&[reading("temperature", 20.0, 0), reading("temperature", 21.5, 10)]);
    let reason = "temperature rose from 20 to 21.5 within 10 s, faster than the limit of 0.1 a second";
    assert_eq!(found, BTreeMap::from([(1, Verdict::reject(reason))]));
    let found = verdicts(&[reading("temperature", 21.5, 0), reading("temperature", 20.0, 2)]);
    let reason = "temperature fell from 21.5 to 20 within 2 s, faster than the limit of 0.5 a second";
    assert_eq!(found, BTreeMap::from([(1, Verdict::reject(reason))]));
}

#[test]
fn the_limit_itself_is_kept_whatever_binary_fractions_say() {
    assert!(verdicts(&[reading("temperature", 1.0, 0), reading("temperature", 1.1, 1)]).is_empty());
    assert!(verdicts(&[reading("temperature", 1.0, 0), reading("temperature", 0.0, 2)]).is_empty());
}

#[test]
fn only_the_directions_with_a_limit_are_held_and_a_breach_may_be_suspect() {
    let found = verdicts(&[reading("level", 1.0, 0), reading("level", 90.0, 1), reading("level", 1.0, 2)]);
    assert_eq!(found, BTreeMap::from([(2, Verdict::suspect())]));
}

#[test]
fn the_order_is_that_of_time_and_an_outlier_does_not_condemn_its_successor() {
    let readings = [(20.0, 40), (20.5, 20), (900.0, 30), (20.0, 10)].map(|(value, at)| reading("temperature", value, at));
    assert_eq!(rejected(&readings), [2]);
}

#[test]
fn a_suspect_value_is_stored_so_that_the_next_is_compared_with_it() {
    let readings = [(90.0, 0), (1.0, 1), (1.0, 2)].map(|(value, at)| reading("level", value, at));
    assert_eq!(verdicts(&readings), BTreeMap::from([(1, Verdict::suspect())]));
}

#[test]
fn a_rejection_takes_the_other_values_of_its_reading_out_of_the_comparison() {
    let readings = [
        reading("level", 50.0, 0),
        reading("temperature", 20.0, 0),
        // Not stored, as its temperature is rejected: the level after it is compared with the one before.
        reading("level", 5.0, 1),
        reading("temperature", 900.0, 1),
        reading("level", 49.0, 2),
    ];
    assert_eq!(verdicts(&readings).keys().copied().collect::<Vec<_>>(), [2, 3]);
}

#[test]
fn after_a_gap_across_units_and_between_sensors_nothing_is_compared() {
    assert!(verdicts(&[reading("temperature", 20.0, 0), reading("temperature", 900.0, 61)]).is_empty());
    let kelvin = reading("temperature", 293.0, 1).in_unit("K");
    assert!(verdicts(&[reading("temperature", 20.0, 0).in_unit("Cel"), kelvin]).is_empty());
    assert!(verdicts(&[reading("temperature", 20.0, 0), reading("temperature", 900.0, 1).from_sensor("oven")]).is_empty());
    assert!(verdicts(&[reading("temperature", 20.0, 0), reading("temperature", 900.0, 0)]).is_empty());
}

#[test]
fn what_is_no_number_and_metrics_without_limits_are_left_as_they_are() {
    let readings = [reading("temperature", "cold", 0), reading("temperature", 900.0, 1), reading("temperature", true, 2)];
    assert!(verdicts(&readings).is_empty());
    assert!(verdicts(&[reading("pressure", 0.0, 0), reading("pressure", 1e9, 1)]).is_empty());
}

#[test]
fn the_first_value_is_compared_with_the_last_stored_one() {
    lookup::pretend("boiler", "temperature", Last::new(1_000_000, 20.0));
    assert_eq!(rejected(&[reading("temperature", 25.0, 2), reading("temperature", 20.1, 3)]), [0]);
    // What is stored of a later time is not before it.
    assert!(verdicts(&[reading("temperature", 900.0, 0)]).is_empty());
}

#[test]
fn without_an_answer_the_batch_fails_unless_that_is_to_be_ignored() {
    lookup::pretend_outage("the store is away");
    let readings = [reading("temperature", 20.0, 0), reading("temperature", 25.0, 1)];
    let check = |config: &str| RateOfChange::new(Config::new(config)).unwrap().check(&readings);
    assert_eq!(check(CONFIG), Err("the store is away".to_owned()));
    let ignoring = CONFIG.replacen('{', r#"{"onLookupFailure": "ignore","#, 1);
    assert_eq!(check(&ignoring).map(|found| found.len()), Ok(1));
    // Nobody is asked about metrics without limits.
    assert_eq!(check(r#"{"limits": {}}"#), Ok(BTreeMap::new()));
}
