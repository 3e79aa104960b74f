//! Nobody waits for what is another's: a tenant whose batches are stuck, a partition whose readings are old.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use sqlx::{Connection as _, PgConnection, PgPool};

use super::{register, wait_for};
use crate::support::app::App;
use crate::support::broker::Broker;

fn reading(number: i64, time: i64) -> String {
    json!({ "sensorId": format!("s{}", number % 5), "timestamp": time, "value": number }).to_string()
}

/// The machine's clock, in epoch milliseconds.
fn now() -> i64 {
    let since = std::time::SystemTime::UNIX_EPOCH.elapsed().expect("after 1970");
    i64::try_from(since.as_millis()).expect("small")
}

async fn stored(pool: &PgPool, topic: &str) -> i64 {
    let sql = "select coalesce(sum(stored), 0)::bigint from batches where topic = $1";
    sqlx::query_scalar(sql).bind(topic).fetch_one(pool).await.expect("a sum")
}

async fn until(what: &str, patience: Duration, mut holds: impl AsyncFnMut() -> bool) {
    let deadline = Instant::now() + patience;
    while !holds().await {
        assert!(Instant::now() < deadline, "within {patience:?}: {what}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// A transaction that keeps the positions of a topic's partitions locked: whatever is stored of them waits for its end.
async fn lock_positions(app: &App, topic: &str, partition: Option<i32>) -> PgConnection {
    let mut connection = PgConnection::connect(&app.databases.readings.replace("weir@", "postgres@")).await.expect("it answers");
    sqlx::query("begin").execute(&mut connection).await.expect("a transaction");
    let sql = "select 1 from writer_offsets where topic = $1 and ($2::int is null or partition = $2) for update";
    let locked = sqlx::query(sql).bind(topic).bind(partition).fetch_all(&mut connection).await.expect("they are locked");
    assert!(!locked.is_empty());
    connection
}

/// The statements of this database that wait for a lock.
async fn waiting(pool: &PgPool) -> i64 {
    let sql = "select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'";
    sqlx::query_scalar(sql).fetch_one(pool).await.expect("a count")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_whose_batches_are_stuck_holds_up_no_other_tenant() {
    let broker = Broker::connect();
    let (stuck, free) = (broker.topic(4).await, broker.topic(1).await);
    let app = App::builder().with_kafka().set("WEIR_WRITER_LANES", "2").start().await;
    let pool = app.databases.readings().await;
    register(&app, &stuck).await;
    app.globex().post("/api/platform/kafka-topics", &json!({ "name": free })).await.expect(201);
    let now = now();
    broker.produce(&stuck, 4, (0..40).map(|n| reading(n, now + n))).await;
    wait_for(&pool, 40, Duration::from_mins(1)).await;
    let lock = lock_positions(&app, &stuck, None).await;
    broker.produce(&stuck, 4, (40..4_000).map(|n| reading(n, now + n))).await;
    until("both of the tenant's lanes wait", Duration::from_secs(20), async || waiting(&pool).await >= 2).await;
    let asked = Instant::now();
    broker.produce(&free, 1, (0..100).map(|n| reading(n, now + n))).await;
    until("the other tenant's readings are stored", Duration::from_secs(20), async || stored(&pool, &free).await == 100).await;
    // Before the database ends the statements that wait, which it does after 25 s.
    assert!(waiting(&pool).await >= 2, "the others still wait, after {:?}", asked.elapsed());
    assert_eq!(stored(&pool, &stuck).await, 40);
    lock.close().await.expect("it ends");
    until("what waited is stored", Duration::from_mins(2), async || stored(&pool, &stuck).await == 4_000).await;
    app.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_partition_of_old_readings_changes_to_a_lane_of_its_own_and_back() {
    let broker = Broker::connect();
    let topic = broker.topic(2).await;
    // One lane, so that the partitions would be in each other's way; small batches, so that some of them show what a partition brings.
    let app = App::builder()
        .with_kafka()
        .set("WEIR_WRITER_LANES", "1")
        .set("WEIR_WRITER_FLUSH_READINGS", "50")
        .set("WEIR_WRITER_FLUSH_AGE_MS", "20")
        .start()
        .await;
    let pool = app.databases.readings().await;
    register(&app, &topic).await;
    let late = async || {
        let health: Value = app.nobody().get("/health").await.expect(200);
        health["details"]["kafka"]["late"].clone()
    };
    let (now, year) = (now(), 365 * 24 * 3_600_000_i64);
    let mut produced = 0;
    // Partition 0 uploads last year's readings; partition 1 is live.
    let patience = Instant::now() + Duration::from_mins(1);
    while late().await != json!([format!("{topic}/0")]) {
        assert!(Instant::now() < patience, "the partition is never called late: {}", late().await);
        let at = |n: i64| if n % 2 == 0 { now - year } else { now } + n;
        broker.produce(&topic, 2, (produced..produced + 200).map(|n| reading(n, at(n)))).await;
        produced += 200;
        wait_for(&pool, u32::try_from(produced).expect("few"), Duration::from_mins(1)).await;
    }
    // However long the old readings take to be stored, the live ones are.
    let lock = lock_positions(&app, &topic, Some(0)).await;
    broker
        .produce(&topic, 2, (produced..produced + 200).map(|n| reading(n, if n % 2 == 0 { now - year } else { now } + n)))
        .await;
    produced += 100;
    wait_for(&pool, u32::try_from(produced).expect("few"), Duration::from_secs(20)).await;
    lock.close().await.expect("it ends");
    produced += 100;
    wait_for(&pool, u32::try_from(produced).expect("few"), Duration::from_mins(1)).await;
    // And back, when its readings are live again.
    let patience = Instant::now() + Duration::from_mins(1);
    while late().await != json!([]) {
        assert!(Instant::now() < patience, "the partition stays late: {}", late().await);
        broker.produce(&topic, 2, (produced..produced + 200).map(|n| reading(n, now + n))).await;
        produced += 200;
        wait_for(&pool, u32::try_from(produced).expect("few"), Duration::from_mins(1)).await;
    }
    assert_eq!(stored(&pool, &topic).await, produced, "each once");
    let metrics = String::from_utf8(app.nobody().get("/metrics").await.body).expect("text");
    assert!(!metrics.contains(r#"kind="fenced""#), "a lane does not read what the one before is still storing");
    app.stop();
}
