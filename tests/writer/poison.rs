//! Messages that cannot be stored, at every place among good ones: each is kept aside with its bytes and a reason, and it alone.

use std::collections::BTreeMap;
use std::time::Duration;

use sqlx::{Executor as _, PgPool};

use super::{assert_books_and_rows_agree, gaps, positions, register, wait_for};
use crate::support::app::App;
use crate::support::broker::{Broker, Record};

/// Good messages around bad ones: a bad one is tried at each place of a group of so many.
const GROUP: usize = 8;

fn good(number: usize) -> Record {
    Record::of(format!("{{\"sensorId\":\"s\",\"timestamp\":{},\"value\":{number}}}", 1_777_896_000_000_usize + number))
}

fn with_value(value: &str) -> Record {
    Record::of(format!("{{\"sensorId\":\"poison\",\"timestamp\":1777896000000,\"value\":{value}}}"))
}

fn at_time(time: &str) -> Record {
    Record::of(format!("{{\"sensorId\":\"poison\",\"timestamp\":{time},\"value\":1}}"))
}

/// As long as a text can be whose message comes through: librdkafka fetches 1 MiB at a time, and the tests' broker gives nothing where
/// one message is longer.
const LONG: usize = (1 << 20) - 128;

/// Every way to be bad, and a part of the reason that its sender must read.
fn poisons() -> Vec<(&'static str, Record, &'static str)> {
    let depth = 10_000;
    let nested = format!("{}1{}", "{\"a\":".repeat(depth), "}".repeat(depth));
    let mut broken = b"{\"sensorId\":\"poison\",\"timestamp\":1777896000000,\"value\":\"".to_vec();
    broken.extend(b"\xc3\x28\xff\"}");
    vec![
        ("a NUL in a text", with_value(r#""a\u0000b""#), "NUL"),
        ("a NUL in a name", Record::of(r#"{"sensorId":"a\u0000b","timestamp":1777896000000,"value":1}"#), ""),
        ("a NUL byte", Record::of(b"{\"sensorId\":\"a\0b\",\"timestamp\":1777896000000,\"value\":1}".to_vec()), "JSON"),
        ("an infinite number", with_value("1e999"), "beyond"),
        ("an infinite number below", with_value("-1e999"), "beyond"),
        ("no number", with_value("NaN"), ""),
        ("a huge integer", with_value(&"9".repeat(400)), "2^53"),
        ("an integer that would be rounded", with_value("9007199254740993"), "2^53"),
        ("the year 300000", at_time("\"+300000-01-01T00:00:00Z\""), "time"),
        ("the year 300000 in milliseconds", at_time("9404640000000000"), "time"),
        ("a time beyond all integers", at_time("99999999999999999999"), "time"),
        ("a text of 1 MiB", with_value(&format!("\"{}\"", "x".repeat(LONG))), "bytes"),
        ("a name of 1 MiB", Record::of(format!("{{\"sensorId\":\"{}\",\"timestamp\":0,\"value\":1}}", "x".repeat(LONG))), ""),
        ("broken UTF-8", Record::of(broken), ""),
        ("objects, 10,000 deep", with_value(&nested), ""),
        ("arrays, 10,000 deep", Record::of(format!("{}{}", "[".repeat(depth), "]".repeat(depth))), ""),
        ("arrays without an end", Record::of("[".repeat(depth)), "JSON"),
        ("a metric twice", Record::of(r#"{"sensorId":"poison","timestamp":1777896000000,"values":{"a":1,"a":2}}"#), "twice"),
        ("a field twice", Record::of(r#"{"sensorId":"poison","timestamp":1777896000000,"value":1,"value":2}"#), "value"),
        ("half a message", Record::of(r#"{"sensorId":"poison","timest"#), "JSON"),
        ("an empty message", Record::of(""), "empty"),
        ("a tombstone", Record { key: Some(b"gone\0".to_vec()), ..Record::default() }, "empty"),
        (
            "one with a key and headers of any bytes",
            Record {
                key: Some(vec![0, 255, 7]),
                headers: vec![("trace".to_owned(), Some(vec![0, 159])), ("none".to_owned(), None)],
                ..Record::of("{")
            },
            "JSON",
        ),
    ]
}

/// What lies in the topic, in its order; `Some` with the kind's number where it is bad.
type Laid = Vec<(Record, Option<usize>)>;

/// Each kind alone in a row of good ones at each place, and two of it side by side at each place.
fn lay(bad: &[Record], places: &[(usize, usize)]) -> Laid {
    let mut laid: Laid = Vec::new();
    for (kind, record) in bad.iter().enumerate() {
        for &(first, number) in places {
            for place in 0..GROUP {
                let here = (first..first + number).contains(&place);
                laid.push(if here { (record.clone(), Some(kind)) } else { (good(laid.len()), None) });
            }
        }
    }
    laid
}

/// One at each place, and two at each.
fn every_place() -> Vec<(usize, usize)> {
    (0..GROUP).map(|place| (place, 1)).chain((0..GROUP - 1).map(|place| (place, 2))).collect()
}

/// Produces all and waits until all is accounted for.
async fn consume(broker: &Broker, topic: &str, laid: &Laid, pool: &PgPool) {
    let records: Vec<Record> = laid.iter().map(|(record, _)| record.clone()).collect();
    broker.send(topic, 0, &records).await;
    wait_for(pool, laid.len().try_into().expect("few"), Duration::from_mins(2)).await;
}

/// The good ones are stored, the bad ones kept aside with their bytes; the reason of each bad one, and the SQLSTATE, by its offset.
async fn assert_told_apart(pool: &PgPool, topic: &str, laid: &Laid) -> BTreeMap<i64, (String, Option<String>)> {
    let stored: Vec<i64> =
        sqlx::query_scalar("select value::bigint from readings order by value").fetch_all(pool).await.expect("rows");
    let wanted: Vec<i64> = (0i64..).zip(laid).filter(|(_, (_, bad))| bad.is_none()).map(|(offset, _)| offset).collect();
    assert_eq!(stored, wanted, "every good one is stored once");
    let kept: Vec<(i64, Vec<u8>, String, Option<String>)> =
        sqlx::query_as("select message_offset, raw, reason, sqlstate from quarantine order by message_offset")
            .fetch_all(pool)
            .await
            .expect("rows");
    let offsets: Vec<i64> = kept.iter().map(|(offset, ..)| *offset).collect();
    let wanted: Vec<i64> = (0i64..).zip(laid).filter(|(_, (_, bad))| bad.is_some()).map(|(offset, _)| offset).collect();
    assert_eq!(offsets, wanted, "every bad one is kept aside once");
    for (offset, raw, reason, _) in &kept {
        let sent = &laid[usize::try_from(*offset).expect("an offset")].0;
        let sent = sent.value.as_deref().unwrap_or_default();
        // Of an array that can be taken apart each element is a reading of its own, and kept aside as such.
        let is_element = sent.strip_prefix(b"[").and_then(|sent| sent.strip_suffix(b"]")) == Some(raw.as_slice());
        assert!(raw == sent || is_element, "its bytes, at offset {offset}: {} of {}", raw.len(), sent.len());
        assert!(!reason.is_empty() && reason.len() < 2_000, "a reason, at offset {offset}: {reason}");
    }
    let number = i64::try_from(laid.len()).expect("few");
    assert_eq!(positions(pool, topic).await, [(0, number)]);
    assert_eq!(gaps(pool).await, 0);
    assert_books_and_rows_agree(pool).await;
    kept.into_iter().map(|(offset, _, reason, sqlstate)| (offset, (reason, sqlstate))).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_read_is_kept_aside_alone_wherever_it_lies() {
    let broker = Broker::connect();
    let topic = broker.topic(1).await;
    let app = App::builder().with_kafka().start().await;
    register(&app, &topic).await;
    let pool = app.databases.readings().await;
    let kinds = poisons();
    let records: Vec<Record> = kinds.iter().map(|(_, record, _)| record.clone()).collect();
    // The largest are tried at fewer places.
    let (small, large): (Vec<Record>, Vec<Record>) =
        records.iter().cloned().partition(|record| record.value.as_ref().is_none_or(|value| value.len() < 100_000));
    let mut laid = lay(&small, &every_place());
    let after = laid.len();
    laid.extend(
        lay(&large, &[(0, 1), (GROUP - 1, 1), (3, 2)])
            .into_iter()
            .enumerate()
            .map(|(at, (record, bad))| if bad.is_some() { (record, Some(small.len())) } else { (good(after + at), None) }),
    );
    consume(&broker, &topic, &laid, &pool).await;
    let reasons = assert_told_apart(&pool, &topic, &laid).await;
    for (offset, (reason, sqlstate)) in &reasons {
        let sent = &laid[usize::try_from(*offset).expect("an offset")].0;
        let same = |record: &Record| (&record.value, &record.key) == (&sent.value, &sent.key);
        let (what, _, words) = kinds.iter().find(|(_, record, _)| same(record)).expect("one of them");
        assert!(reason.contains(words), "{what}: {reason}");
        assert_eq!(*sqlstate, None, "{what} is found by Weir, not by the database");
    }
    let (key, headers): (Vec<u8>, serde_json::Value) =
        sqlx::query_as("select message_key, headers from quarantine where jsonb_array_length(headers) = 2 limit 1")
            .fetch_one(&pool)
            .await
            .expect("a row");
    assert_eq!((key, headers), (vec![0, 255, 7], serde_json::json!([["trace", "AJ8="], ["none", null]])));
    app.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_only_the_database_refuses_is_found_by_halving_wherever_it_lies() {
    let broker = Broker::connect();
    let topic = broker.topic(1).await;
    let app = App::builder().with_kafka().set("WEIR_WRITER_FLUSH_READINGS", "64").start().await;
    register(&app, &topic).await;
    let pool = app.databases.readings().await;
    // A rule of an operator's own, which Weir knows nothing of.
    pool.execute("alter table readings add constraint no_beast check (value is distinct from 666000)")
        .await
        .expect("a constraint");
    let laid = lay(&[with_value("666000")], &every_place());
    consume(&broker, &topic, &laid, &pool).await;
    for (reason, sqlstate) in assert_told_apart(&pool, &topic, &laid).await.values() {
        assert!(reason.contains("no_beast"), "{reason}");
        assert_eq!(sqlstate.as_deref(), Some("23514"));
    }
    // And where there is nothing else.
    let alone: Laid = (0..20).map(|_| (with_value("666000"), Some(0))).collect();
    let all: Laid = laid.into_iter().chain(alone.iter().cloned()).collect();
    broker.send(&topic, 0, &alone.into_iter().map(|(record, _)| record).collect::<Vec<_>>()).await;
    wait_for(&pool, all.len().try_into().expect("few"), Duration::from_mins(1)).await;
    assert_told_apart(&pool, &topic, &all).await;
    app.stop();
}
