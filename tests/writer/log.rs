//! A log that is not the one that Weir left: made anew, cut off at its head, or shorter than the stored position.

use std::time::Duration;

use serde_json::Value;
use sqlx::PgPool;

use super::{assert_books_and_rows_agree, assert_exactly_once_from, count, message, positions, register, wait_for};
use crate::support::app::{App, Builder};
use crate::support::broker::{Broker, OwnBroker};
use crate::support::database::unique;

const SETTLE: Duration = Duration::from_mins(1);
/// Longer than Weir waits before it looks again at what it holds.
const TWICE: Duration = Duration::from_secs(12);

const READ: &str = "select coalesce(sum(read), 0)::bigint from batches";
const READINGS: &str = "select count(*) from readings";

fn going_on_at(choice: &str) -> Builder {
    App::builder().with_kafka().set("WEIR_KAFKA_OFFSET_OUT_OF_RANGE", choice)
}

fn says_so(said: &Value, words: &str) -> bool {
    said["services"]["kafka"] == "degraded" && said["details"]["kafka"]["held"].to_string().contains(words)
}

/// `/health` says it, whenever it is asked, for longer than it takes to look again.
async fn keeps_saying(app: &App, words: &str) {
    app.health(SETTLE, words, |said| says_so(said, words)).await;
    let until = std::time::Instant::now() + TWICE;
    while std::time::Instant::now() < until {
        let said: Value = serde_json::from_slice(&app.nobody().get("/health").await.body).expect("JSON");
        assert!(says_so(&said, words), "it does not say `{words}` any more: {said}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// A Weir that has stored the first 500 messages of a topic of one partition, and was stopped.
async fn stopped_at_500(builder: Builder, broker: &Broker, topic: &str) -> (App, PgPool) {
    let mut app = builder.start().await;
    register(&app, topic).await;
    let pool = app.databases.readings().await;
    broker.produce(topic, 1, (0..500).map(message)).await;
    wait_for(&pool, 500, SETTLE).await;
    app.terminate();
    (app, pool)
}

/// Puts a partition where somebody by mistake, or a log that was lost, may have put it.
async fn put(pool: &PgPool, topic: &str, next: i64) {
    let sql = "update writer_offsets set previous = next, next = $2 where topic = $1";
    sqlx::query(sql).bind(topic).bind(next).execute(pool).await.expect("the position is moved");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_deleted_and_made_anew_stops_and_says_so_and_earliest_reads_it_from_its_beginning() {
    // One of its own: this broker deletes all topics where it is asked to delete one.
    let own = OwnBroker::create();
    let broker = Broker::at(&own.brokers());
    let topic = broker.topic(1).await;
    let mut app = going_on_at("stop").set("KAFKA_BROKERS", own.brokers()).start().await;
    register(&app, &topic).await;
    let pool = app.databases.readings().await;
    broker.produce(&topic, 1, (0..1_000).map(message)).await;
    wait_for(&pool, 1_000, SETTLE).await;
    // Deleted while nobody consumes it: librdkafka 2.12.1 does not survive this broker's answer to a fetch from a topic that is gone.
    app.terminate();
    broker.delete(&topic).await;
    broker.make(&topic, 1).await;
    broker.produce(&topic, 1, (1_000..1_600).map(message)).await;
    app.restart();
    keeps_saying(&app, "position 1000 is not in the log, which has 0 to 600").await;
    assert_eq!((count(&pool, READ).await, positions(&pool, &topic).await), (1_000, vec![(0, 1_000)]), "nothing moves");
    app.terminate();
    app.set("WEIR_KAFKA_OFFSET_OUT_OF_RANGE", "earliest");
    app.restart();
    wait_for(&pool, 1_600, SETTLE).await;
    broker.produce(&topic, 1, (1_600..2_000).map(message)).await;
    wait_for(&pool, 2_000, SETTLE).await;
    // 1 of 100 is bad; those of both logs have offsets of their own, so they are told apart by their bytes.
    assert_eq!((count(&pool, READINGS).await, count(&pool, "select count(*) from quarantine").await), (1_980, 20));
    assert_eq!(count(&pool, "select count(distinct value) from readings").await, 1_980);
    assert_eq!(positions(&pool, &topic).await, [(0, 1_000)], "the end of the new log");
    assert_books_and_rows_agree(&pool).await;
    app.health(SETTLE, "all is well again", |said| said["services"]["kafka"] == "connected").await;
    app.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_position_beyond_the_log_stops_and_latest_goes_on_with_what_is_new() {
    let broker = Broker::connect();
    let topic = broker.topic(1).await;
    let (mut app, pool) = stopped_at_500(going_on_at("stop"), &broker, &topic).await;
    put(&pool, &topic, 1_000_000).await;
    broker.produce(&topic, 1, (500..600).map(message)).await;
    app.restart();
    keeps_saying(&app, "position 1000000 is not in the log, which has 0 to 600").await;
    app.terminate();
    app.set("WEIR_KAFKA_OFFSET_OUT_OF_RANGE", "latest");
    app.restart();
    app.health(SETTLE, "all is well again", |said| said["details"]["kafka"]["partitions"] == 1).await;
    broker.produce(&topic, 1, (600..1_000).map(message)).await;
    wait_for(&pool, 900, SETTLE).await;
    assert_eq!(count(&pool, READ).await, 900, "the 100 that `latest` passes over are in no books");
    let passed_over = "select count(*) from readings where value >= 500 and value < 600";
    assert_eq!((count(&pool, READINGS).await, count(&pool, passed_over).await), (891, 0));
    assert_eq!(positions(&pool, &topic).await, [(0, 1_000)]);
    assert_books_and_rows_agree(&pool).await;
    app.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_position_put_back_by_hand_reads_again_and_stores_nothing_twice() {
    let broker = Broker::connect();
    let topic = broker.topic(1).await;
    let (mut app, pool) = stopped_at_500(going_on_at("stop"), &broker, &topic).await;
    put(&pool, &topic, 100).await;
    app.restart();
    wait_for(&pool, 900, SETTLE).await;
    let duplicates = "select sum(duplicate)::bigint from batches";
    assert_eq!(
        (count(&pool, READINGS).await, count(&pool, duplicates).await),
        (495, 396),
        "what is there already is counted, not stored"
    );
    assert_eq!(positions(&pool, &topic).await, [(0, 500)]);
    assert_books_and_rows_agree(&pool).await;
    app.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_head_that_retention_removed_stops_and_earliest_goes_on_at_what_is_left() {
    let mut own = OwnBroker::create();
    let broker = Broker::at(&own.brokers());
    let topic = broker.topic(1).await;
    let builder = going_on_at("stop").set("KAFKA_BROKERS", own.brokers()).set("KAFKA_GROUP_ID", unique("group"));
    let (mut app, pool) = stopped_at_500(builder, &broker, &topic).await;
    assert_exactly_once_from(&broker, &pool, &topic, 500).await;
    broker.produce(&topic, 1, (500..1_000).map(message)).await;
    own.stop();
    own.forget_before(700);
    own.start();
    app.restart();
    keeps_saying(&app, "position 500 is not in the log, which has 700 to 1000").await;
    app.terminate();
    app.set("WEIR_KAFKA_OFFSET_OUT_OF_RANGE", "earliest");
    app.restart();
    wait_for(&pool, 800, SETTLE).await;
    let lost = "select count(*) from readings where value >= 500 and value < 700";
    assert_eq!((count(&pool, READINGS).await, count(&pool, lost).await), (792, 0), "all that is left is stored");
    assert_eq!(positions(&pool, &topic).await, [(0, 1_000)]);
    assert!(app.log().contains("position 500 of"), "it is reported that 200 messages are gone");
    assert_books_and_rows_agree(&pool).await;
    app.stop();
}
