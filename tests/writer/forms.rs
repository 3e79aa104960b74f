//! What messages may look like, and rules that change while the topic is consumed.

use std::time::Duration;

use serde_json::{Value, json};

use super::{register, wait_for};
use crate::support::app::App;
use crate::support::broker::Broker;

#[tokio::test(flavor = "multi_thread")]
async fn one_reading_or_an_array_and_the_bad_ones_are_kept_with_their_bytes() {
    let broker = Broker::connect();
    let topic = broker.topic(1).await;
    let app = App::builder().with_kafka().start().await;
    register(&app, &topic).await;
    let reading = |second: i64| json!({ "sensorId": "a", "timestamp": 1_777_896_000_000_i64 + second, "value": second });
    let payloads = [
        reading(1).to_string(),
        json!([reading(2), reading(3), { "sensorId": "a" }]).to_string(),
        json!([]).to_string(),
        String::new(),
        "\u{1F4A9}".to_owned(),
        json!({ "sensorId": "a", "timestamp": 5, "value": 1, "topic": "another" }).to_string(),
        // The same reading again is a duplicate, whatever its form.
        json!([reading(1)]).to_string(),
    ];
    broker.produce(&topic, 1, payloads).await;
    let pool = app.databases.readings().await;
    wait_for(&pool, 8, Duration::from_mins(1)).await;
    let counts: (i64, i64, i64, i64) = sqlx::query_as(
        "select sum(read)::bigint, sum(stored)::bigint, sum(duplicate)::bigint, sum(quarantined)::bigint from batches",
    )
    .fetch_one(&pool)
    .await
    .expect("books");
    assert_eq!(counts.1 + counts.2 + counts.3, counts.0);
    assert_eq!((counts.1, counts.2), (3, 1));
    let kept: Vec<(i64, Vec<u8>, String, String)> =
        sqlx::query_as("select message_offset, raw, refuser, reason from quarantine order by message_offset, index_in_source")
            .fetch_all(&pool)
            .await
            .expect("rows");
    assert!(kept.iter().all(|(_, _, refuser, reason)| refuser == "decoder" && !reason.is_empty()), "{kept:?}");
    assert!(
        kept.iter().any(|(offset, raw, _, _)| (*offset, raw.as_slice()) == (1, b"{\"sensorId\":\"a\"}".as_slice())),
        "{kept:?}"
    );
    assert!(kept.iter().any(|(offset, raw, _, _)| (*offset, raw.as_slice()) == (4, "\u{1F4A9}".as_bytes())), "{kept:?}");
    app.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_is_consumed_when_it_is_registered_and_its_rules_are_followed_as_they_change() {
    let broker = Broker::connect();
    let topic = broker.topic(2).await;
    let app = App::builder().with_kafka().start().await;
    let pool = app.databases.readings().await;
    let acme = app.acme();
    let reading =
        |number: i64| json!({ "sensorId": "a", "timestamp": 1_777_896_000_000_i64 + number, "value": number }).to_string();
    broker.produce(&topic, 2, (0..10).map(reading)).await;
    // Produced before anybody registered it: it is read from the beginning.
    register(&app, &topic).await;
    wait_for(&pool, 10, Duration::from_mins(1)).await;
    let schema =
        json!({ "name": "small", "type": "json-schema", "definition": { "properties": { "value": { "maximum": 15 } } } });
    let id = acme.post("/api/platform/schemas", &schema).await.expect(201)["data"]["id"].clone();
    let path = format!("/api/platform/kafka-topics/{topic}");
    acme.put(&path, &json!({ "schemaId": id, "errorStrategy": "reject" })).await.expect(200);
    broker.produce(&topic, 2, (10..20).map(reading)).await;
    wait_for(&pool, 20, Duration::from_mins(1)).await;
    let skipped: Vec<Value> =
        sqlx::query_scalar("select skipped_by from batches where skipped > 0").fetch_all(&pool).await.expect("rows");
    let by_schema: i64 = skipped.iter().filter_map(|by| by["small@1"].as_i64()).sum();
    assert_eq!(by_schema, 4, "counted as skipped by the rule's name: {skipped:?}");
    // No longer consumed; and consumed again from where it was.
    acme.put(&path, &json!({ "ingest": false })).await.expect(200);
    tokio::time::sleep(Duration::from_secs(1)).await;
    broker.produce(&topic, 2, (0..10).map(|number| reading(100 + number))).await;
    acme.put(&path, &json!({ "ingest": true, "schemaId": null })).await.expect(200);
    wait_for(&pool, 30, Duration::from_mins(1)).await;
    let rows: i64 = sqlx::query_scalar("select count(*) from readings").fetch_one(&pool).await.expect("a count");
    assert_eq!(rows, 26);
    app.stop();
}
