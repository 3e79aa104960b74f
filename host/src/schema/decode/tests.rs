//! What a reading is, in every form; and that the two ways of JSON agree.

use super::*;
use crate::batch::{Quality, Verdict};

pub(super) fn now() -> DateTime<Utc> {
    DateTime::from_timestamp(1_780_000_000, 0).expect("a time")
}

fn read(text: &str) -> Result<Batch, Fault> {
    let mut collector = Collector::new(now());
    collector.add(&Bytes::copy_from_slice(text.as_bytes()), 0)?;
    Ok(collector.finish().remove(0))
}

fn fault(text: &str) -> String {
    read(text).expect_err(text).to_string()
}

#[test]
fn every_form_of_value_and_time_is_read_exactly() {
    let batch = read(
        r#"{"sensorId":"r\u00e4um","timestamp":"2026-05-04T15:00:00.000001+03:00",
            "values":{"t":21.5,"n":9007199254740992,"open":true,"mode":"e\"co"},"unit":{"t":"Cel"},"quality":"suspect","schemaRef":"x@1"}"#,
    )
    .expect("sound");
    let columns = batch.columns();
    assert_eq!(columns.sensors, ["räum"]);
    assert_eq!(columns.time[0], 1_777_896_000_000_001);
    assert_eq!(columns.value[1].to_bits(), 9_007_199_254_740_992f64.to_bits());
    assert_eq!((columns.text_of(2), columns.text_of(3)), (Some("true"), Some("e\"co")));
    assert_eq!(columns.units[columns.unit[0] as usize], "Cel");
    assert_eq!((batch.readings()[0].quality, &*batch.readings()[0].schema_ref), (Quality::Suspect, "x@1"));
    let short = read(r#"{"sensorId":"s","timestamp":1777896000000,"value":-1}"#).expect("sound");
    assert_eq!((short.columns().time[0], short.columns().metrics[0].as_str()), (1_777_896_000_000_000, "value"));
}

#[test]
fn what_is_wrong_is_named_with_its_place() {
    for (text, part) in [
        ("", "not valid JSON"),
        ("{", "not valid JSON"),
        ("[]", "it is an array"),
        ("7", "it is a single value"),
        (r#"{"timestamp":0,"value":1}"#, "sensorId"),
        (r#"{"sensorId":"s","value":1}"#, "timestamp"),
        (r#"{"sensorId":"s","timestamp":0}"#, "`values` is missing"),
        (r#"{"sensorId":"s","timestamp":0,"value":1,"valeu":1}"#, "valeu"),
        (r#"{"sensorId":"s","sensorId":"s","timestamp":0,"value":1}"#, "duplicate field"),
        (r#"{"sensorId":"s","timestamp":0,"values":{"a":1,"a":2}}"#, "twice"),
        (r#"{"sensorId":"s","timestamp":0,"values":{}}"#, "/values: "),
        (r#"{"sensorId":"s","timestamp":0,"values":{"a/b":null}}"#, "/values/a~1b: null"),
        (r#"{"sensorId":"s","timestamp":0,"values":{"a":[1]}}"#, "/values/a: "),
        (r#"{"sensorId":"s","timestamp":0,"values":{"a":9007199254740993}}"#, "2^53"),
        (r#"{"sensorId":"s","timestamp":0,"values":{"a":1e999}}"#, "beyond"),
        (r#"{"sensorId":"s","timestamp":0,"values":{"a":"\u0000"}}"#, "NUL"),
        (r#"{"sensorId":"s","timestamp":0,"values":{" a":1}}"#, "blanks"),
        (r#"{"sensorId":"","timestamp":0,"value":1}"#, "/sensorId"),
        (r#"{"sensorId":"s","timestamp":"yesterday","value":1}"#, "/timestamp: a time is RFC 3339"),
        (r#"{"sensorId":"s","timestamp":1.5,"value":1}"#, "/timestamp"),
        (r#"{"sensorId":"s","timestamp":-1,"value":1}"#, "/timestamp"),
        (r#"{"sensorId":"s","timestamp":99999999999999,"value":1}"#, "/timestamp"),
        (r#"{"sensorId":"s","timestamp":0,"value":1,"quality":"fine"}"#, "/quality"),
        (r#"{"sensorId":"s","timestamp":0,"value":1,"topic":"a b"}"#, "/topic"),
        (r#"{"sensorId":"s","timestamp":0,"value":1,"unit":{"t":"C"}}"#, "/unit/t"),
        (r#"{"sensorId":"s","timestamp":0,"value":1} x"#, "trailing"),
    ] {
        let found = fault(text);
        assert!(found.contains(part), "{text}: {found}");
    }
    let many = (0..=limits::READING_VALUES).map(|n| format!("\"m{n}\":1")).collect::<Vec<_>>().join(",");
    assert!(fault(&format!(r#"{{"sensorId":"s","timestamp":0,"values":{{{many}}}}}"#)).contains("more than"));
}

pub(super) fn source() -> Source {
    Source::Kafka { partition: 0, offset: 7, key: None, headers: [].into() }
}

/// The messages, as one batch of topic `t`.
fn decoded<T: AsRef<[u8]>>(payloads: impl IntoIterator<Item = T>) -> Batch {
    let mut decoder = Decoder::new(&"t".into(), Format::Json, now());
    for payload in payloads {
        decoder.message(Bytes::copy_from_slice(payload.as_ref()), source());
    }
    decoder.finish()
}

pub(super) fn standing(batch: &Batch) -> Vec<bool> {
    (0..u32::try_from(batch.readings().len()).expect("few")).map(|number| batch.stands(number)).collect()
}

pub(super) fn reasons(batch: &Batch) -> Vec<String> {
    let refusals = batch.readings().iter().filter_map(|reading| match &reading.verdict {
        Verdict::Refused(refusal) => Some(refusal.reason.clone()),
        _ => None,
    });
    refusals.collect()
}

/// Everything that is to be stored of a batch, by names instead of places in dictionaries; numbers by their bits.
pub(super) type Row = (u32, String, String, String, i64, u64, Option<String>);

pub(super) fn rows(batch: &Batch) -> Vec<Row> {
    let columns = batch.columns();
    let lengths = [columns.sensor.len(), columns.metric.len(), columns.unit.len(), columns.value.len(), columns.reading.len()];
    assert_eq!(lengths, [columns.rows(); 5], "every column has every row");
    let word = |words: &[String], at: u32| words[at as usize].clone();
    let row = |row: usize| {
        (
            columns.reading[row],
            word(&columns.sensors, columns.sensor[row]),
            word(&columns.metrics, columns.metric[row]),
            word(&columns.units, columns.unit[row]),
            columns.time[row],
            columns.value[row].to_bits(),
            columns.text_of(u32::try_from(row).expect("few")).map(str::to_owned),
        )
    };
    (0..columns.rows()).map(row).collect()
}

const GOOD: &str = r#"{"sensorId":"s","timestamp":0,"value":1}"#;

#[test]
fn a_message_is_one_reading_an_array_or_lines_and_nothing_is_left_out() {
    for (payload, expected) in [
        (GOOD.to_owned(), vec![true]),
        (format!(" [{GOOD},{{\"sensorId\":\"s\"}}]"), vec![true, false]),
        (format!("{GOOD}\n{GOOD}\r\n\n \n{GOOD}\n"), vec![true, true, true]),
        (format!("{GOOD}\n{{\"sensorId\":\n{GOOD}"), vec![true, false, true]),
        (format!("rubbish\n{GOOD}"), vec![false, true]),
        (format!("{GOOD}\n"), vec![true]),
        // One reading that is set in lines, sound and broken, is one.
        ("{\"sensorId\":\"s\",\n \"timestamp\":0,\n \"values\":\n{\"a\":1}\n}".to_owned(), vec![true]),
        ("{\"sensorId\":\"s\",\n \"timestamp\":0,\n \"value\":\n".to_owned(), vec![false]),
        (format!("[{GOOD},\n{GOOD}\n]\n"), vec![true, true]),
        ("[]".to_owned(), vec![false]),
        (String::new(), vec![false]),
        (" \n ".to_owned(), vec![false]),
        ("[1,".to_owned(), vec![false]),
        (GOOD.replace('}', ",\"topic\":\"other\"}"), vec![false]),
        (GOOD.replace('}', ",\"topic\":\"t\"}"), vec![true]),
    ] {
        let batch = decoded([&payload]);
        assert_eq!(standing(&batch), expected, "{payload}: {:?}", reasons(&batch));
        rows(&batch);
    }
}

#[test]
fn a_reading_keeps_its_own_bytes() {
    let other = GOOD.replace("\"s\"", "\"r\"");
    for payload in [format!("[ {GOOD} ,{other}]"), format!("{GOOD}\n\n  {other} \n"), format!("\n{GOOD}\r\n{other}")] {
        let batch = decoded([&payload]);
        let raw: Vec<&[u8]> = batch.readings().iter().map(|reading| &*reading.raw).collect();
        assert_eq!(raw, [GOOD.as_bytes(), other.as_bytes()], "{payload}");
    }
}

#[test]
fn bombs_are_refused_and_what_comes_after_is_read() {
    let deep = |open: &str, close: &str| format!("{}{}", open.repeat(10_000), close.repeat(10_000));
    let long = "x".repeat(1 << 20);
    let bombs: Vec<Vec<u8>> = vec![
        deep("[", "]").into(),
        deep("[", "").into(),
        format!("{}1{}", "{\"a\":".repeat(10_000), "}".repeat(10_000)).into(),
        format!("{{\"sensorId\":\"s\",\"timestamp\":{},\"value\":1}}", deep("[", "]")).into(),
        format!("{{\"sensorId\":\"s\",\"timestamp\":0,\"value\":{}}}", deep("[", "]")).into(),
        format!("{{\"sensorId\":\"s\",\"timestamp\":0,\"value\":\"{long}\"}}").into(),
        format!("{{\"sensorId\":\"{long}\",\"timestamp\":0,\"value\":1}}").into(),
        b"{\"sensorId\":\"\xff\",\"timestamp\":0,\"value\":1}".to_vec(),
        b"[{\"sensorId\":\"\xff\",\"timestamp\":0,\"value\":1}]".to_vec(),
        br#"{"sensorId":"s","timestamp":0,"value":"\u0000"}"#.to_vec(),
        br#"{"sensorId":"s","sensorId":"t","timestamp":0,"value":1}"#.to_vec(),
        br#"{"sensorId":"s","timestamp":0,"values":{"a":1,"a":1}}"#.to_vec(),
        br#"{"sensorId":"s","timestamp":0,"value":1e999}"#.to_vec(),
        br#"{"sensorId":"s","timestamp":"+300000-01-01T00:00:00Z","value":1}"#.to_vec(),
        vec![0; 1_000],
    ];
    let number = bombs.len();
    let batch = decoded(bombs.into_iter().chain([GOOD.into()]));
    assert_eq!(standing(&batch), [vec![false; number], vec![true]].concat(), "{:?}", reasons(&batch));
    assert!(reasons(&batch).iter().all(|reason| !reason.is_empty() && reason.len() < 1_000));
    assert_eq!((batch.columns().sensors.len(), batch.columns().metrics.len(), rows(&batch).len()), (1, 1, 1));
}

#[test]
fn a_message_of_too_many_readings_is_refused_whole() {
    let many = |between: &str| vec!["{}"; limits::MESSAGE_READINGS + 1].join(between);
    for payload in [format!("[{}]", many(",")), many("\n")] {
        let batch = decoded([&payload]);
        assert_eq!(batch.readings().len(), 1);
        assert!(reasons(&batch)[0].contains("at most"), "{:?}", reasons(&batch));
    }
}

#[test]
fn what_is_not_taken_leaves_no_name_behind() {
    // Each fails only after its names were read.
    for payload in [
        r#"{"sensorId":"ghost","timestamp":0,"values":{"phantom":1},"unit":{"phantom":"x","spook":"y"}}"#,
        r#"{"sensorId":"ghost","values":{"phantom":1,"spook":null},"timestamp":0}"#,
        r#"{"sensorId":"ghost","timestamp":0,"values":{"phantom":1}"#,
    ] {
        let batch = decoded([GOOD, payload, r#"{"sensorId":"s2","timestamp":0,"values":{"b":2},"unit":{"b":"m"}}"#]);
        assert_eq!(standing(&batch), [true, false, true]);
        assert_eq!(batch.columns().sensors, ["s", "s2"], "{payload}");
        assert_eq!(batch.columns().metrics, ["value", "b"], "{payload}");
        assert_eq!(rows(&batch)[1].3, "m");
    }
}

/// Reads one reading by each way: whether the fast way takes it, and what comes of the exact one.
fn both_ways(raw: &[u8]) -> (Option<Batch>, Option<Batch>) {
    let (raw, latest) = (Bytes::copy_from_slice(raw), latest(now()));
    let mut fast = BatchBuilder::new(Some("t".into()));
    let taken = json::reading(&mut fast, Expected::Came, (raw.clone(), source()), latest, &mut Scratch::default()).is_ok();
    let mut exact = BatchBuilder::new(Some("t".into()));
    let parsed = Parsed::read(&raw, latest).and_then(|parsed| parsed.of_topic("t"));
    let exact = parsed
        .is_ok_and(|parsed| {
            parsed.push(&mut exact, raw.clone(), source());
            true
        })
        .then(|| exact.build());
    let fast = fast.build();
    assert!(taken || fast.columns().sensors.is_empty() && fast.columns().rows() == 0 && fast.readings().is_empty());
    (taken.then_some(fast), exact)
}

fn assert_agree(raw: &[u8]) -> bool {
    let text = String::from_utf8_lossy(raw);
    let (Some(fast), exact) = both_ways(raw) else { return false };
    let exact = exact.unwrap_or_else(|| panic!("only the fast way takes {text}"));
    assert_eq!(rows(&fast), rows(&exact), "{text}");
    let (one, other) = (&fast.readings()[0], &exact.readings()[0]);
    assert_eq!((one.quality, &one.schema_ref, &one.raw), (other.quality, &other.schema_ref, &other.raw), "{text}");
    true
}

#[test]
fn numbers_and_times_are_the_same_by_both_ways() {
    let value = |text: &str| assert_agree(format!(r#"{{"sensorId":"s","timestamp":0,"value":{text}}}"#).as_bytes());
    for exact in ["0.1", "1e-7", "2.2250738585072011e-308", "123456789012345.678", "-0.30000000000000004", "9007199254740992"] {
        assert!(value(exact), "{exact} takes the fast way");
    }
    for odd in
        ["-0", "-0.0", "9007199254740993", "18446744073709551616", "1e17", "1E400", "1e-400", "01", "+1", ".5", "NaN", "tru"]
    {
        value(odd);
    }
    let time = |text: &str| assert_agree(format!(r#"{{"sensorId":"s","timestamp":{text},"value":1}}"#).as_bytes());
    assert!(time("1777896000000") && time(r#""2026-05-04T12:00:00.123456789+05:30""#));
    for odd in ["-0", "0.0", "1e3", "18446744073709551615", r#""2016-12-31T23:59:60Z""#, r#""2026-02-30T00:00:00Z""#, "null"] {
        time(odd);
    }
}

mod properties {
    use proptest::prelude::*;

    use super::*;

    fn name() -> impl Strategy<Value = String> {
        prop_oneof![4 => "[a-z]{1,8}", 1 => "\\PC{0,6}", 1 => Just("a\"b\\\n".to_owned())]
    }

    fn scalar() -> impl Strategy<Value = serde_json::Value> {
        use serde_json::json;
        prop_oneof![
            any::<f64>().prop_map(|number| json!(number)),
            any::<i64>().prop_map(|number| json!(number)),
            (-1000i64..1000).prop_map(|number| json!(number)),
            any::<bool>().prop_map(|on| json!(on)),
            name().prop_map(|text| json!(text)),
        ]
    }

    prop_compose! {
        /// A reading, sound as a rule.
        fn reading()(
            sensor in name(),
            time in prop_oneof![Just(serde_json::json!("2026-05-04T12:00:00.5Z")), (0i64..2_000_000_000_000).prop_map(|time| serde_json::json!(time))],
            values in proptest::collection::vec((name(), scalar()), 0..5),
            unit in proptest::option::of(name()),
            quality in proptest::option::of(prop_oneof![Just("good"), Just("suspect"), Just("bad"), Just("odd")]),
            schema_ref in proptest::option::of(name()),
            topic in proptest::option::of(prop_oneof![3 => Just("t"), 1 => Just("other")]),
            turn in 0usize..7,
        ) -> String {
            let text = |value: &str| serde_json::to_string(value).expect("a text");
            let pairs: Vec<String> = values.iter().map(|(name, value)| format!("{}:{value}", text(name))).collect();
            let mut fields = vec![
                format!("\"sensorId\":{}", text(&sensor)),
                format!("\"timestamp\":{time}"),
                format!("\"values\":{{{}}}", pairs.join(",")),
            ];
            if let (Some(unit), Some((metric, _))) = (&unit, values.first()) {
                fields.push(format!("\"unit\":{{{}:{}}}", text(metric), text(unit)));
            }
            fields.extend(quality.map(|quality| format!("\"quality\":\"{quality}\"")));
            fields.extend(schema_ref.map(|word| format!("\"schemaRef\":{}", text(&word))));
            fields.extend(topic.map(|topic| format!("\"topic\":\"{topic}\"")));
            let turns = turn % fields.len();
            fields.rotate_left(turns);
            format!("{{{}}}", fields.join(","))
        }
    }

    /// A reading with a few of its bytes changed, left out or doubled.
    fn mutated() -> impl Strategy<Value = Vec<u8>> {
        (reading(), proptest::collection::vec((any::<prop::sample::Index>(), 0u8..3, any::<u8>()), 1..4)).prop_map(
            |(text, changes)| {
                let mut bytes = text.into_bytes();
                for (at, what, byte) in changes {
                    if bytes.is_empty() {
                        break;
                    }
                    let at = at.index(bytes.len());
                    match what {
                        0 => bytes[at] = byte,
                        1 => drop(bytes.remove(at)),
                        _ => bytes.insert(at, bytes[at]),
                    }
                }
                bytes
            },
        )
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn where_the_fast_way_takes_a_reading_the_exact_way_agrees(raw in prop_oneof![reading().prop_map(String::into_bytes), mutated()]) {
            assert_agree(&raw);
        }

        #[test]
        fn the_form_of_a_message_changes_nothing(readings in proptest::collection::vec(reading(), 1..6)) {
            let alone = decoded(&readings);
            let array = decoded([format!("[{}]", readings.join(", "))]);
            let lines = decoded([readings.join("\n")]);
            prop_assert_eq!(standing(&alone), standing(&array));
            prop_assert_eq!(standing(&alone), standing(&lines));
            prop_assert_eq!(rows(&alone), rows(&array));
            prop_assert_eq!(rows(&alone), rows(&lines));
            prop_assert_eq!(reasons(&alone), reasons(&array));
            prop_assert_eq!(reasons(&alone), reasons(&lines));
        }

        #[test]
        fn every_message_is_accounted_for(payloads in proptest::collection::vec(prop_oneof![
            proptest::collection::vec(any::<u8>(), 0..64),
            mutated(),
            "[\\[\\]{}\",:\n0-9a-z\\\\]{0,64}".prop_map(String::into_bytes),
        ], 1..8)) {
            for payload in &payloads {
                let batch = decoded([payload]);
                prop_assert!(!batch.readings().is_empty());
                rows(&batch);
            }
            // One after the other as each alone: nothing of a message is left to the next.
            let together = decoded(&payloads);
            let alone: Vec<bool> = payloads.iter().flat_map(|payload| standing(&decoded([payload]))).collect();
            prop_assert_eq!(standing(&together), alone);
        }
    }
}
