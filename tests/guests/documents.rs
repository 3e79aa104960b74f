//! Modules that judge resources of the platform.

use reqwest::Method;
use serde_json::json;

use crate::support::app::App;
use crate::support::guests::{self, VALIDATORS, chain, deploy};

const PROJECTS: &str = "/api/platform/projects";
const TOPICS: &str = "/api/platform/kafka-topics";

#[tokio::test]
async fn a_document_is_replaced_or_refused_before_it_is_stored() {
    let app = App::start().await;
    let acme = app.acme();
    let config = json!({
        "fields": [{ "name": "description", "action": "mask" }],
        "refuse": { "emails": true, "except": ["/description"] },
    });
    let id = deploy(&acme, "redact", &json!({ "name": "redact", "target": "documents", "config": config })).await;
    chain(&acme, "documents/projects", &[&id]).await;

    let project = json!({ "name": "rooms", "description": "ask ann@example.com" });
    let made = acme.post(PROJECTS, &project).await.expect(201)["data"].clone();
    assert_eq!(made["description"], "***", "{made}");
    let changed = acme
        .put(&format!("{PROJECTS}/{}", made["id"].as_str().expect("an id")), &json!({ "description": "or bob@example.com" }))
        .await
        .expect(200);
    assert_eq!(changed["data"]["description"], "***");

    let answer = acme.post(PROJECTS, &json!({ "name": "ann@example.com" })).await;
    let details = serde_json::from_slice::<serde_json::Value>(&answer.body).expect("JSON")["details"].clone();
    answer.expect_error(422);
    assert_eq!((&details[0]["path"], &details[0]["validator"]), (&"/name".into(), &"redact".into()), "{details}");
    // Another tenant's documents pass no chain of this one.
    app.globex().post(PROJECTS, &json!({ "name": "b", "description": "ask ann@example.com" })).await.expect(201);
    app.stop();
}

#[tokio::test]
async fn a_chain_takes_validators_of_its_own_kind_and_each_says_which() {
    let app = App::start().await;
    let acme = app.acme();
    let redact = deploy(&acme, "redact", &json!({ "name": "redact", "target": "documents", "config": {} })).await;
    acme.post(TOPICS, &json!({ "name": "rooms" })).await.expect(201);
    let set = async |of: &str| acme.put(&format!("{VALIDATORS}/chain/{of}"), &json!({ "validatorIds": [redact] })).await;
    assert!(set("rooms").await.expect_error(400).contains("checks documents"));
    assert!(set("documents/validators").await.expect_error(404).contains("kafka-topics, schemas, tokens"));
    set("documents/schemas").await.expect(200);
    let read = acme.get(&format!("{VALIDATORS}/chain/documents/schemas")).await.expect(200)["data"].clone();
    assert_eq!(read["validatorIds"], json!([redact]));

    // Who uses it stands in the refusal, and a module of another world is none of its versions.
    let sentence = acme.delete(&format!("{VALIDATORS}/{redact}")).await.expect_error(409);
    assert!(sentence.contains("documents/schemas"), "{sentence}");
    let sentence = guests::upload(&acme, &redact, guests::component("range-check")).await.expect_error(422);
    assert!(sentence.contains("checks documents") && sentence.contains("reading-validator"), "{sentence}");
    let form = json!({ "name": "other", "target": "documents", "errorStrategy": "quarantine" });
    acme.json(Method::POST, VALIDATORS, form.to_string()).await.expect_error(400);
    app.stop();
}

#[tokio::test]
async fn a_shadow_sees_the_same_documents_and_decides_nothing() {
    let app = App::start().await;
    let acme = app.acme();
    let config = json!({ "fields": [{ "name": "description", "action": "mask" }], "refuse": { "emails": true } });
    let id = deploy(&acme, "redact", &json!({ "name": "redact", "target": "documents", "config": config })).await;
    // It lets everything pass as it is, and fails on some.
    guests::upload(&acme, &id, guests::component("fault-trips-documents")).await.expect(201);
    chain(&acme, "documents/projects", &[&id]).await;
    acme.post(&format!("{VALIDATORS}/{id}/shadow"), &json!({ "version": 2 })).await.expect(200);

    let made = acme.post(PROJECTS, &json!({ "name": "rooms", "description": "ask Ann" })).await.expect(201)["data"].clone();
    assert_eq!(made["description"], "***", "the shadow would let it pass: {made}");
    let halls = acme.post(PROJECTS, &json!({ "name": "halls" })).await.expect(201);
    let halls = format!("{PROJECTS}/{}", halls["data"]["id"].as_str().expect("an id"));
    acme.post(PROJECTS, &json!({ "name": "ann@example.com" })).await.expect_error(422);
    acme.put(&halls, &json!({ "description": "a trap" })).await.expect(200);
    acme.delete(&halls).await.expect(204);
    let seen =
        guests::stats(&acme, &id, |stats| stats["versions"][0]["shadow"]["compared"] == 5 && stats["versions"][1]["calls"] == 5);
    let seen = seen.await;
    let shadow = &seen["versions"][0]["shadow"];
    assert_eq!(
        (&shadow["changed"], &shadow["rejectToAccept"], &shadow["acceptToReject"]),
        (&1.into(), &1.into(), &1.into()),
        "{seen}"
    );
    assert_eq!((&seen["versions"][0]["failed"], &seen["activeVersion"]), (&1.into(), &1.into()), "{seen}");
    assert_eq!((&seen["versions"][1]["replaced"], &seen["versions"][1]["rejected"]), (&2.into(), &1.into()), "{seen}");
    let differences = seen["lastDifferences"].as_array().expect("a list");
    let changed = differences.iter().find(|difference| difference["kind"] == "changed").expect("one was changed");
    assert_eq!((&changed["document"]["kind"], &changed["differsAt"]), (&"projects".into(), &json!(["/description"])));
    assert_eq!((&changed["active"]["verdict"], &changed["candidate"]["verdict"]), (&"replace".into(), &"accept".into()));
    // What one of both refuses or removes is not written down.
    let told = serde_json::Value::from(differences.clone()).to_string();
    assert!(!told.contains("Ann") && !told.contains("ann@"), "{told}");
    app.stop();
}

#[tokio::test]
async fn a_module_sees_a_connector_without_its_secrets() {
    let app = App::builder().set("WEIR_SECRET_KEYS", "k:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=").start().await;
    let acme = app.acme();
    let config = json!({ "refuse": { "secrets": true, "emails": true } });
    let id = deploy(&acme, "redact", &json!({ "name": "redact", "target": "documents", "config": config })).await;
    chain(&acme, "documents/connectors", &[&id]).await;
    let form =
        |config: serde_json::Value| json!({ "name": "plc", "protocol": "mqtt", "endpoint": "mqtts://plc", "config": config });
    // What it would refuse to see is kept, and it did not see it.
    let made = acme.post("/api/platform/connectors", &form(json!({ "password": "ann@example.com" }))).await.expect(201);
    assert_eq!(made["data"]["config"]["password"], "********");
    acme.post("/api/platform/connectors", &form(json!({ "contact": "ann@example.com" }))).await.expect_error(422);
    app.stop();
}
