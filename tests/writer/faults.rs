//! What one tenant's trouble does to its own topic, and to nobody else's.

use std::time::Duration;

use serde_json::{Value, json};
use sqlx::PgPool;

use super::wait_for;
use crate::support::app::App;
use crate::support::broker::Broker;
use crate::support::client::Client;
use crate::support::guests;

/// Registers a topic whose readings pass this guest.
async fn register_with(client: &Client, topic: &str, guest: &str, strategy: &str) -> String {
    client.post("/api/platform/kafka-topics", &json!({ "name": topic })).await.expect(201);
    let form = json!({ "name": guest, "errorStrategy": strategy });
    let id = client.post("/api/platform/validators", &form).await.expect(201)["data"]["id"].as_str().expect("an id").to_owned();
    let module = format!("/api/platform/validators/{id}/module");
    client
        .clone()
        .with("content-type", "application/wasm")
        .ask(reqwest::Method::PUT, &module, guests::component(guest))
        .await
        .expect(201);
    client.put(&format!("/api/platform/validators/chain/{topic}"), &json!({ "validatorIds": [id] })).await.expect(200);
    id
}

fn reading(number: i64) -> String {
    json!({ "sensorId": format!("s{}", number % 5), "timestamp": 1_777_896_000_000_i64 + number, "value": number }).to_string()
}

async fn count(pool: &PgPool, sql: &'static str, topic: &str) -> i64 {
    sqlx::query_scalar(sql).bind(topic).fetch_one(pool).await.expect("a count")
}

const KEPT: &str = "select count(*) from quarantine where topic = $1";
const STORED: &str = "select coalesce(sum(stored), 0)::bigint from batches where topic = $1";

/// A module that fails so: its topic's readings are kept aside with a reason that says so, and another tenant's go on.
async fn failing_guest(guest: &str, words: &str) {
    let broker = Broker::connect();
    let (hostile, peaceful) = (broker.topic(2).await, broker.topic(2).await);
    let app = App::builder().with_kafka().start().await;
    let pool = app.databases.readings().await;
    register_with(&app.acme(), &hostile, guest, "quarantine").await;
    app.globex().post("/api/platform/kafka-topics", &json!({ "name": peaceful })).await.expect(201);
    broker.produce(&hostile, 2, (0..1_000).map(reading)).await;
    broker.produce(&peaceful, 2, (0..1_000).map(reading)).await;
    wait_for(&pool, 2_000, Duration::from_mins(2)).await;
    assert_eq!((count(&pool, KEPT, &hostile).await, count(&pool, STORED, &hostile).await), (1_000, 0));
    assert_eq!(count(&pool, STORED, &peaceful).await, 1_000);
    let (reason, fault, refuser): (String, bool, String) =
        sqlx::query_as("select reason, fault, refuser from quarantine limit 1").fetch_one(&pool).await.expect("a row");
    assert!(reason.contains(words) && fault && refuser == guest, "{refuser}: {reason}");
    // The process lives, and so do the others' requests.
    app.globex().get("/api/timescale/sensors/s1/latest").await.expect(200);
    assert!(app.peak_memory() < 1_024, "{} MiB", app.peak_memory());
    app.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_endless_loop_costs_its_own_topic_only() {
    failing_guest("fault-loops", "it ran longer than 1000 ms").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn allocating_without_end_costs_its_own_topic_only() {
    failing_guest("fault-hoards", "it wanted more than 65536 KiB of memory").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trap_costs_its_own_topic_only() {
    failing_guest("fault-traps", "it trapped").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn stop_stops_the_topic_and_says_so_until_the_rule_changes() {
    let broker = Broker::connect();
    let (stopped, other) = (broker.topic(1).await, broker.topic(1).await);
    let app = App::builder().with_kafka().start().await;
    let pool = app.databases.readings().await;
    let id = register_with(&app.acme(), &stopped, "fault-trips", "stop").await;
    app.globex().post("/api/platform/kafka-topics", &json!({ "name": other })).await.expect(201);
    let trap = json!({ "sensorId": "trap", "timestamp": 1_777_896_000_000_i64, "value": 0 }).to_string();
    let payloads = (0..100).map(reading).chain([trap]).chain((101..200).map(reading));
    broker.produce(&stopped, 1, payloads).await;
    broker.produce(&other, 1, (0..10).map(reading)).await;
    wait_for(&pool, 110, Duration::from_mins(1)).await;
    let reason = async || {
        let health: Value = app.nobody().get("/health").await.expect(200);
        (health["services"]["kafka"] == "degraded").then(|| health["details"]["kafka"].to_string())
    };
    let mut said = None;
    for _ in 0..100 {
        said = reason().await;
        if said.is_some() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let said = said.expect("/health says that a topic is stopped");
    assert!(said.contains(&stopped) && said.contains("offset 100"), "{said}");
    assert_eq!(count(&pool, STORED, &stopped).await, 100, "what came before is stored, what follows waits");
    assert_eq!(count(&pool, STORED, &other).await, 10);
    app.acme()
        .put(&format!("/api/platform/validators/{id}/error-strategy"), &json!({ "errorStrategy": "quarantine" }))
        .await
        .expect(200);
    wait_for(&pool, 210, Duration::from_secs(20)).await;
    assert_eq!((count(&pool, STORED, &stopped).await, count(&pool, KEPT, &stopped).await), (199, 1));
    app.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn one_reading_that_a_module_traps_on_is_found_and_kept_aside_alone() {
    let broker = Broker::connect();
    let topic = broker.topic(1).await;
    let app = App::builder().with_kafka().start().await;
    let pool = app.databases.readings().await;
    register_with(&app.acme(), &topic, "fault-trips", "quarantine").await;
    let trap = json!({ "sensorId": "trap", "timestamp": 1_777_896_000_000_i64, "value": 0 }).to_string();
    broker.produce(&topic, 1, (0..500).map(reading).chain([trap]).chain((501..1_000).map(reading))).await;
    wait_for(&pool, 1_000, Duration::from_mins(1)).await;
    assert_eq!((count(&pool, STORED, &topic).await, count(&pool, KEPT, &topic).await), (999, 1));
    app.stop();
}
