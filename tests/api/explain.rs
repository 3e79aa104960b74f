//! What would become of something, and why.

use serde_json::{Value, json};

use crate::support::app::App;
use crate::support::client::Client;
use crate::support::guests::{chain, deploy};

async fn explain(client: &Client, question: Value) -> Value {
    client.post("/api/explain", &question).await.expect(200)["data"].clone()
}

fn reading(value: f64) -> Value {
    json!({ "sensorId": "room-4", "timestamp": "2026-05-04T12:00:00Z", "values": { "temperature": value }, "topic": "rooms" })
}

#[tokio::test]
async fn a_reading_is_explained_from_the_policy_to_the_row() {
    let app = App::start().await;
    let acme = app.acme();
    let schema = json!({ "name": "room", "type": "json-schema", "definition": { "required": ["sensorId"] } });
    let schema = acme.post("/api/platform/schemas", &schema).await.expect(201)["data"]["id"].clone();
    acme.post("/api/platform/kafka-topics", &json!({ "name": "rooms", "schemaId": schema })).await.expect(201);
    let config = json!({ "limits": { "temperature": { "max": 85 } } });
    let id = deploy(&acme, "range-check", &json!({ "name": "limits", "config": config })).await;
    chain(&acme, "rooms", &[&id]).await;

    let good = explain(&acme, json!({ "reading": reading(20.0) })).await;
    assert_eq!((&good["outcome"], &good["wouldStore"]["values"]["temperature"]), (&"stored".into(), &20.0.into()), "{good}");
    let decisions = good["policy"]["decisions"].as_array().expect("decisions");
    assert_eq!(decisions.len(), 2, "{good}");
    assert!(
        decisions
            .iter()
            .all(|decision| decision["allowed"] == true && decision["rule"].as_str().is_some_and(|rule| rule.contains(".csv:")))
    );
    assert_eq!((&good["schema"]["schema"], &good["schema"]["accepted"]), (&"room@1".into(), &true.into()), "{good}");
    let module = &good["modules"][0];
    assert_eq!((&module["validator"], &module["outcome"]), (&"limits".into(), &"accepted".into()), "{good}");
    assert!(module["peakMemoryBytes"].as_u64() > Some(65_536), "{good}");

    let bad = explain(&acme, json!({ "reading": reading(900.0) })).await;
    assert_eq!((&bad["outcome"], &bad["modules"][0]["outcome"]), (&"quarantined".into(), &"rejected".into()), "{bad}");
    assert_eq!(bad["reason"], "temperature is 900, above the limit of 85");
    // Live, the same happens, for the same reason; explained, nothing was stored.
    assert_eq!(acme.get("/api/timescale/sensor-readings").await.expect(200)["data"], json!([]));
    let live = acme.post("/api/timescale/sensor-readings", &reading(900.0)).await.expect_error(422);
    assert!(live.contains("temperature is 900, above the limit of 85"), "{live}");
    app.stop();
}

#[tokio::test]
async fn a_denial_says_which_rules_came_nearest_to_whoever_may_ask() {
    let app = App::start().await;
    let acme = app.acme();
    let request = json!({ "action": "delete", "object": "/timescale/sensors/room-4" });
    let own = explain(&acme, json!({ "request": request })).await;
    assert_eq!(own["outcome"], "done", "{own}");
    let writer = explain(&acme, json!({ "request": request, "subject": "service:writer" })).await;
    assert_eq!(writer["outcome"], "refused", "{writer}");
    let rule = writer["policy"]["decisions"][0]["rule"].as_str().expect("a reason");
    assert!(rule.contains("allows write but not delete"), "{rule}");
    acme.post("/api/explain", &json!({ "request": request, "subject": "ann" })).await.expect_error(400);
    acme.post("/api/explain", &json!({})).await.expect_error(400);
    acme.post("/api/explain", &json!({ "reading": { "sensorId": "a" } })).await.expect_error(400);
    // It is a right of its own.
    app.client("acme", "device").post("/api/explain", &json!({ "request": request })).await.expect_error(403);
    app.stop();
}

#[tokio::test]
async fn a_document_is_explained_with_what_it_would_become() {
    let app = App::start().await;
    let acme = app.acme();
    let config = json!({ "fields": [{ "name": "description", "action": "remove" }] });
    let id = deploy(&acme, "redact", &json!({ "name": "redact", "target": "documents", "config": config })).await;
    chain(&acme, "documents/kafka-topics", &[&id]).await;
    let document = json!({ "kind": "kafka-topics", "body": { "name": "rooms", "description": "secret" } });
    let said = explain(&acme, json!({ "document": document })).await;
    assert_eq!((&said["outcome"], &said["modules"][0]["outcome"]), (&"stored".into(), &"replaced".into()), "{said}");
    assert_eq!(said["wouldStore"]["values"], json!({ "name": "rooms" }));
    acme.get("/api/platform/kafka-topics/rooms").await.expect_error(404);
    app.stop();
}
