//! Dead letters: what a topic refuses is sent on to a topic of its owner's choice, whole and with the reason, and is in the books as well.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::json;

use super::{accounted_for, assert_books_and_rows_agree, positions, wait_for};
use crate::support::app::App;
use crate::support::broker::{Broker, Record};
use crate::support::database::unique;

const TOPICS: &str = "/api/platform/kafka-topics";

fn good(time: i64) -> Record {
    Record::of(json!({ "sensorId": "s", "timestamp": time, "value": 1 }).to_string())
}

/// The headers that Weir adds, as texts.
fn added<'a>(record: &'a Record) -> BTreeMap<&'a str, &'a str> {
    let added = record.headers.iter().filter(|(name, _)| name.starts_with("weir-"));
    let text = |value: &'a [u8]| std::str::from_utf8(value).expect("text");
    added.map(|(name, value)| (name.as_str(), value.as_deref().map_or("", text))).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_topic_refuses_is_sent_to_its_dead_letter_topic_whole_and_with_the_reason() {
    let broker = Broker::connect();
    let (topic, dead) = (broker.topic(1).await, broker.topic(1).await);
    let app = App::builder().with_kafka().start().await;
    app.acme().post(TOPICS, &json!({ "name": topic, "deadLetterTopic": dead })).await.expect(201);
    let bad = Record {
        value: Some(b"{\"sensorId\":\"s\",\"timestamp\":2,\"values\":{\"t\":null}}".to_vec()),
        key: Some(vec![0, 255]),
        headers: vec![("trace".to_owned(), Some(vec![7])), ("none".to_owned(), None)],
    };
    broker.send(&topic, 0, &[good(1), bad.clone(), good(3), Record::of("{")]).await;
    let letters = broker.read(&dead, 0, 2).await;
    let pool = app.databases.readings().await;
    wait_for(&pool, 4, Duration::from_mins(1)).await;

    assert_eq!((&letters[0].value, &letters[0].key), (&bad.value, &bad.key));
    assert_eq!(letters[0].headers[..2], bad.headers, "the message's own headers come first");
    let offsets: Vec<_> = letters.iter().map(|letter| added(letter)["weir-offset"]).collect();
    assert_eq!(offsets, ["1", "3"]);
    let said = added(&letters[0]);
    assert_eq!(
        (said["weir-topic"], said["weir-partition"], said["weir-fate"], said["weir-path"]),
        (topic.as_str(), "0", "quarantine", "/values/t")
    );
    assert!(said["weir-reason"].contains("null") && !said["weir-refuser"].is_empty(), "{said:?}");
    let books: (i64, i64) = sqlx::query_as("select sum(stored)::bigint, sum(quarantined)::bigint from batches")
        .fetch_one(&pool)
        .await
        .expect("books");
    assert_eq!((books, positions(&pool, &topic).await), ((2, 2), vec![(0, 4)]));
    assert_books_and_rows_agree(&pool).await;
    app.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_counts_before_the_letters_are_there() {
    let broker = Broker::connect();
    let (topic, dead) = (broker.topic(1).await, unique("dead"));
    let app = App::builder().with_kafka().start().await;
    app.acme().post(TOPICS, &json!({ "name": topic, "deadLetterTopic": dead })).await.expect(201);
    broker.send(&topic, 0, &[good(1), Record::of("{")]).await;
    let waits = |said: &serde_json::Value| said["details"]["kafka"]["retrying"].to_string().contains("dead-letter");
    app.health(Duration::from_mins(1), "the topic waits for its dead-letter topic", waits).await;
    let pool = app.databases.readings().await;
    assert_eq!(accounted_for(&pool).await, 0);
    broker.make(&dead, 1).await;
    wait_for(&pool, 2, Duration::from_mins(1)).await;
    let letters = broker.read(&dead, 0, 1).await;
    assert_eq!(letters[0].value.as_deref(), Some(b"{".as_slice()));
    app.stop();
}
