//! Modules that judge resources of the platform.

use reqwest::Method;
use serde_json::json;

use crate::support::app::App;
use crate::support::guests::{self, VALIDATORS, chain, deploy};

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
    chain(&acme, "documents/kafka-topics", &[&id]).await;

    let topic = json!({ "name": "rooms", "description": "ask ann@example.com" });
    let made = acme.post(TOPICS, &topic).await.expect(201)["data"].clone();
    assert_eq!(made["description"], "***", "{made}");
    let changed = acme.put(&format!("{TOPICS}/rooms"), &json!({ "description": "or bob@example.com" })).await.expect(200);
    assert_eq!(changed["data"]["description"], "***");

    let answer = acme.post(TOPICS, &json!({ "name": "ann@example.com" })).await;
    let details = serde_json::from_slice::<serde_json::Value>(&answer.body).expect("JSON")["details"].clone();
    answer.expect_error(422);
    assert_eq!((&details[0]["path"], &details[0]["validator"]), (&"/name".into(), &"redact".into()), "{details}");
    // Another tenant's documents pass no chain of this one.
    app.globex().post(TOPICS, &json!({ "name": "b", "description": "ask ann@example.com" })).await.expect(201);
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
