//! A tenant that brings more than its quota: its topics wait, nothing of them is dropped, and no other tenant notices.

use std::time::{Duration, Instant};

use serde_json::json;

use super::{bad, message, register, wait_for};
use crate::support::app::App;
use crate::support::broker::Broker;
use crate::support::guests::{chain, deploy};

#[tokio::test(flavor = "multi_thread")]
async fn what_is_over_the_quota_waits_and_is_stored_in_the_end() {
    let number = 600;
    let first = number / 2;
    let broker = Broker::connect();
    let (slow, free) = (broker.topic(2).await, broker.topic(1).await);
    let app = App::builder().with_kafka().set("WEIR_WRITER_FLUSH_READINGS", "50").start().await;
    let tenant = "/api/platform/tenants/acme";
    app.administrator().put(tenant, &json!({ "quotas": { "readingsPerSecond": 50 } })).await.expect(200);
    broker.produce(&slow, 2, (0..first).map(message)).await;
    broker.produce(&free, 1, (0..100).map(|n| json!({ "sensorId": "f", "timestamp": n, "value": n }).to_string())).await;
    let pool = app.databases.readings().await;
    let began = Instant::now();
    register(&app, &slow).await;
    app.globex().post("/api/platform/kafka-topics", &json!({ "name": free })).await.expect(201);
    let sql = "select coalesce(sum(read), 0)::bigint from batches where topic = $1";
    let read = async |topic: &str| sqlx::query_scalar::<_, i64>(sql).bind(topic).fetch_one(&pool).await.expect("a sum");
    while read(&free).await < 100 {
        assert!(began.elapsed() < Duration::from_mins(1), "the other tenant waits: {}", read(&free).await);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    wait_for(&pool, first + 100, Duration::from_mins(1)).await;
    // Whatever batches they came in, these owe now what they took beyond the first second's worth: 250 readings, or five seconds.
    broker.produce(&slow, 2, (first..number).map(message)).await;
    wait_for(&pool, number + 100, Duration::from_mins(1)).await;
    assert!(began.elapsed() > Duration::from_secs(4), "it took {:?}", began.elapsed());
    let metrics = String::from_utf8(app.nobody().get("/metrics").await.body).expect("text");
    assert!(metrics.contains(r#"weir_readings_over_quota_total{tenant="acme",origin="kafka"}"#), "{metrics}");
    assert!(!metrics.contains(r#"weir_readings_over_quota_total{tenant="globex""#), "{metrics}");
    let books: (i64, i64) = sqlx::query_as("select sum(stored)::bigint, sum(quarantined)::bigint from batches where topic = $1")
        .bind(&slow)
        .fetch_one(&pool)
        .await
        .expect("books");
    assert_eq!(books, ((number - bad(number)).into(), bad(number).into()), "nothing is dropped, nothing is doubled");
    app.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_whose_modules_have_used_up_their_time_waits_and_is_judged_in_the_end() {
    let broker = Broker::connect();
    let topic = broker.topic(1).await;
    let app = App::builder().with_kafka().set("WEIR_GUEST_TIME_MS", "200").start().await;
    // A loop takes a batch its 200 ms, of which the tenant has 50 in a second: three seconds are owed.
    app.administrator().put("/api/platform/tenants/acme", &json!({ "quotas": { "guestCpuMsPerSecond": 50 } })).await.expect(200);
    register(&app, &topic).await;
    let loops = deploy(&app.acme(), "fault-loops", &json!({ "name": "loops" })).await;
    chain(&app.acme(), &topic, &[&loops]).await;
    let pool = app.databases.readings().await;
    broker.produce(&topic, 1, (0..1).map(message)).await;
    wait_for(&pool, 1, Duration::from_mins(1)).await;
    broker.produce(&topic, 1, (1..2).map(message)).await;
    app.health(Duration::from_secs(30), "the tenant waits", |said| said["details"]["kafka"]["overQuota"] == json!(["acme"]))
        .await;
    wait_for(&pool, 2, Duration::from_mins(1)).await;
    app.health(Duration::from_secs(30), "it waits no more", |said| said["details"]["kafka"]["overQuota"] == json!([])).await;
    let reasons: Vec<String> =
        sqlx::query_scalar("select reason from quarantine order by message_offset").fetch_all(&pool).await.expect("reasons");
    assert_eq!(reasons.len(), 2, "nothing is dropped: {reasons:?}");
    assert!(reasons.iter().all(|reason| reason.contains("ran longer than 200 ms")), "judged both times: {reasons:?}");
    app.stop();
}
