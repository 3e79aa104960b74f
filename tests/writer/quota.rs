//! A tenant that brings more than its quota: its topics wait, nothing of them is dropped, and no other tenant notices.

use std::time::{Duration, Instant};

use serde_json::json;

use super::{bad, message, register, wait_for};
use crate::support::app::App;
use crate::support::broker::Broker;

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
