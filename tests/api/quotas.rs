//! How much a tenant may bring.

use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::app::App;
use crate::support::client::Client;

const READINGS: &str = "/api/timescale/sensor-readings";
const TENANT: &str = "/api/platform/tenants/acme";

fn reading(number: u32) -> Value {
    json!({ "sensorId": "gauge", "timestamp": 1_777_896_000_000_u64 + u64::from(number), "value": number })
}

fn bulk(numbers: std::ops::Range<u32>) -> Value {
    json!({ "readings": numbers.map(reading).collect::<Vec<_>>() })
}

async fn limit(app: &App, quota: &Value) {
    let changed = app.administrator().put(TENANT, &json!({ "quotas": { "readingsPerSecond": quota } })).await.expect(200);
    assert_eq!(changed["data"]["quotas"]["readingsPerSecond"], *quota);
}

/// A change is announced and reaches the replica in a moment: tries until it is met.
async fn until(client: &Client, body: &Value, status: u16) {
    let deadline = Instant::now() + Duration::from_secs(10);
    while client.post(&format!("{READINGS}/bulk"), body).await.status != status {
        assert!(Instant::now() < deadline, "no {status} within 10 s");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn what_comes_too_fast_is_told_when_to_come_again_and_holds_up_nobody_else() {
    let app = App::start().await;
    let acme = app.acme();
    acme.post(&format!("{READINGS}/bulk"), &bulk(0..100)).await.expect(200);
    // A hundred are a hundred seconds' worth: they pass once and are paid off for longer than this test takes.
    limit(&app, &json!(1)).await;
    until(&acme, &bulk(0..100), 429).await;
    let refused = acme.post(READINGS, &reading(1_000)).await;
    let wait: u64 = refused.header("retry-after").and_then(|wait| wait.parse().ok()).expect("seconds");
    assert!((2..=200).contains(&wait), "{wait}");
    assert!(refused.expect_error(429).contains("readings per second"));
    acme.get(&format!("{READINGS}/gauge/2026-05-04T12:00:01Z")).await.expect_error(404);
    app.globex().post(&format!("{READINGS}/bulk"), &bulk(0..100)).await.expect(200);
    // Who may not write uses nothing up, and reading is free.
    app.client("acme", "reader").post(READINGS, &reading(1)).await.expect_error(403);
    acme.get("/api/timescale/sensors").await.expect(200);
    let metrics = String::from_utf8(app.nobody().get("/metrics").await.body).expect("text");
    assert!(metrics.contains(r#"weir_readings_over_quota_total{tenant="acme",origin="http"}"#), "{metrics}");
    assert!(!metrics.contains(r#"weir_readings_over_quota_total{tenant="globex""#), "{metrics}");
    // Without a bound nothing is owed.
    limit(&app, &Value::Null).await;
    until(&acme, &bulk(0..100), 200).await;
    acme.post(READINGS, &reading(1_000)).await.expect(201);
    app.stop();
}

#[tokio::test]
async fn who_waits_as_long_as_told_gets_through() {
    let app = App::start().await;
    limit(&app, &json!(50)).await;
    let acme = app.acme();
    until(&acme, &bulk(0..100), 429).await;
    let refused = acme.post(READINGS, &reading(0)).await;
    let wait: u64 = refused.header("retry-after").and_then(|wait| wait.parse().ok()).expect("seconds");
    tokio::time::sleep(Duration::from_secs(wait)).await;
    acme.post(READINGS, &reading(1_000)).await.expect(201);
    app.stop();
}

#[tokio::test]
async fn lines_that_were_stored_before_the_refusal_are_counted() {
    let app = App::start().await;
    limit(&app, &json!(1)).await;
    // The first chunk passes, whatever its size, and leaves nothing for the second.
    let lines = (0..10_005).map(|number| reading(number).to_string()).collect::<Vec<_>>().join("\n");
    let deadline = Instant::now() + Duration::from_secs(10);
    let path = format!("{READINGS}/bulk");
    loop {
        let acme = app.acme().with("content-type", "application/x-ndjson");
        let answer = acme.ask(Method::POST, &path, lines.clone()).await;
        // Before the bound was heard of, all of it passes.
        if answer.status == 429 {
            let body = String::from_utf8(answer.body).expect("text");
            assert!(body.contains("the first 10000 readings were handled: 10000 accepted"), "{body}");
            break;
        }
        assert!(Instant::now() < deadline, "{}", answer.status);
    }
    app.stop();
}

#[tokio::test]
async fn a_quota_is_a_field_of_the_tenant() {
    let app = App::start().await;
    let administrator = app.administrator();
    let made = json!({ "slug": "initech", "quotas": { "readingsPerSecond": 7 } });
    let made = administrator.post("/api/platform/tenants", &made).await.expect(201);
    let unbounded = json!({ "readingsPerSecond": 7, "storageBytes": null, "requestsPerSecond": null, "guestTimeMs": null, "guestMemoryBytes": null, "guestCpuMsPerSecond": null });
    assert_eq!(made["data"]["quotas"], unbounded);
    let path = "/api/platform/tenants/initech";
    administrator.put(path, &json!({ "name": "Initech" })).await.expect(200);
    administrator.put(path, &json!({ "quotas": {} })).await.expect(200);
    assert_eq!(administrator.get(path).await.expect(200)["data"]["quotas"]["readingsPerSecond"], 7, "what is left out stays");
    for bad in [json!({ "readingsPerSecond": 0 }), json!({ "readingsPerSecond": -1 }), json!({ "storage": 1 }), json!(5)] {
        administrator.put(path, &json!({ "quotas": bad })).await.expect_error(400);
    }
    app.acme().put(TENANT, &json!({ "quotas": { "readingsPerSecond": null } })).await.expect_error(403);
    app.stop();
}

#[tokio::test]
async fn files_beyond_a_tenants_storage_are_refused_and_leave_nothing_behind() {
    let app = App::start().await;
    let acme = app.acme();
    acme.post("/api/storage/buckets", &json!({ "name": "reports" })).await.expect(201);
    let put = async |name: &str, size: usize| {
        let client = acme.clone().with("content-type", "text/plain");
        client.ask(Method::PUT, &format!("/api/storage/files/reports/{name}"), vec![b'x'; size]).await
    };
    // What was there before there was a bound counts as well.
    assert_eq!(put("first", 600).await.status, 201);
    app.administrator().put(TENANT, &json!({ "quotas": { "storageBytes": 1_000 } })).await.expect(200);
    assert!(put("second", 500).await.expect_error(413).contains("storageBytes"));
    // One whose size nobody told beforehand is looked at when it has come.
    let pieces = futures_util::stream::iter([Ok::<_, std::io::Error>(vec![b'x'; 250]), Ok(vec![b'x'; 250])]);
    let client = acme.clone().with("content-type", "text/plain");
    let streamed = client.ask(Method::PUT, "/api/storage/files/reports/second", reqwest::Body::wrap_stream(pieces)).await;
    streamed.expect_error(413);
    acme.get("/api/storage/files/download/reports/second").await.expect_error(404);
    let kept = "select count(*) from object_versions where state = 'stored'";
    let kept: i64 = sqlx::query_scalar(kept).fetch_one(&app.databases.platform().await).await.expect("a count");
    assert_eq!(kept, 1, "of what was refused nothing is kept");
    assert_eq!(put("second", 400).await.status, 201, "up to the bound");
    assert_eq!(put("first", 500).await.status, 200, "in place of what it replaces");
    assert_eq!(put("third", 101).await.status, 413);
    acme.delete("/api/storage/files/reports/second").await.expect(204);
    assert_eq!(put("third", 500).await.status, 201, "what was deleted counts no more");
    // Lowered below what there is, it takes what makes that less.
    app.administrator().put(TENANT, &json!({ "quotas": { "storageBytes": 100 } })).await.expect(200);
    assert_eq!((put("first", 501).await.status, put("first", 300).await.status), (413, 200));
    assert_eq!(app.globex().post("/api/storage/buckets", &json!({ "name": "reports" })).await.status, 201);
    app.stop();
}
