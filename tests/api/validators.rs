//! Validators: deploying code.

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::app::App;
use crate::support::client::{Answer, Client};
use crate::support::guests;

const VALIDATORS: &str = "/api/platform/validators";

async fn create(client: &Client, name: &str) -> String {
    client.post(VALIDATORS, &json!({ "name": name })).await.expect(201)["data"]["id"].as_str().expect("an id").to_owned()
}

async fn upload(client: &Client, id: &str, bytes: impl Into<reqwest::Body>) -> Answer {
    client.clone().with("content-type", "application/wasm").ask(Method::PUT, &format!("{VALIDATORS}/{id}/module"), bytes).await
}

#[tokio::test]
async fn an_upload_says_what_it_is_and_is_a_new_version() {
    let app = App::start().await;
    let acme = app.acme();
    let id = create(&acme, "limits").await;
    let bytes = guests::component("range-check");
    let first = upload(&acme, &id, bytes.clone()).await.expect(201)["data"].clone();
    assert_eq!(
        (&first["version"], &first["world"], &first["witVersion"]),
        (&1.into(), &"reading-validator".into(), &"1.0.0".into())
    );
    assert_eq!((&first["size"], &first["sha256"]), (&bytes.len().into(), &weir::rules::Digest::of(&bytes).to_string().into()));
    assert!(first["imports"].to_string().contains("weir:validator/config@1.0.0"), "{first}");
    upload(&acme, &id, guests::component("unit-convert")).await.expect(201);
    let versions = acme.get(&format!("{VALIDATORS}/{id}/versions")).await.expect(200);
    assert_eq!(versions["data"].as_array().map(Vec::len), Some(2));
    // The first upload is active; a later one waits until somebody activates it, and the way back is the same.
    let active = async || acme.get(&format!("{VALIDATORS}/{id}")).await.expect(200)["data"]["activeVersion"].clone();
    assert_eq!(active().await, 1);
    for version in [2, 1] {
        acme.post(&format!("{VALIDATORS}/{id}/activate"), &json!({ "version": version })).await.expect(200);
        assert_eq!(active().await, version);
    }
    acme.post(&format!("{VALIDATORS}/{id}/activate"), &json!({ "version": 9 })).await.expect_error(404);
    app.stop();
}

#[tokio::test]
async fn a_module_that_does_not_fit_is_told_what_is_wrong() {
    let app = App::start().await;
    let acme = app.acme();
    let id = create(&acme, "limits").await;
    let core = b"\0asm\x01\0\0\0".to_vec();
    for (bytes, words) in [
        (Vec::new(), "empty"),
        (b"hello".to_vec(), "not the bytes of a WebAssembly component"),
        (core, "core module"),
        (guests::component("fault-no-export"), "weir:validator/readings@1.1.0"),
        (guests::component("fault-foreign"), "other:thing"),
        (guests::component("range-check")[..20_000].to_vec(), "not sound"),
    ] {
        let sentence = upload(&acme, &id, bytes).await.expect_error(422);
        assert!(sentence.contains(words), "`{words}` is not in: {sentence}");
    }
    upload(&acme, &id, vec![0; weir::limits::MODULE_BYTES + 1]).await.expect_error(413);
    acme.json(Method::PUT, &format!("{VALIDATORS}/{id}/module"), "{}").await.expect_error(415);
    let kept: i64 =
        sqlx::query_scalar("select count(*) from modules").fetch_one(&app.databases.platform().await).await.expect("a count");
    assert_eq!(kept, 0);
    app.stop();
}

#[tokio::test]
async fn what_one_replica_compiled_the_other_runs() {
    let app = App::start().await;
    let id = create(&app.acme(), "limits").await;
    upload(&app.acme(), &id, guests::component("range-check")).await.expect(201);
    let second = app.replica();
    let started = std::time::Instant::now();
    upload(&second.acme(), &id, guests::component("range-check")).await.expect(201);
    let pool = app.databases.platform().await;
    let compiled: i64 = sqlx::query_scalar("select count(*) from module_code").fetch_one(&pool).await.expect("a count");
    assert_eq!(compiled, 1, "once for the fleet; it took {:?}", started.elapsed());
    second.stop();
    app.stop();
}

#[tokio::test]
async fn names_and_settings_are_checked() {
    let app = App::start().await;
    let acme = app.acme();
    let refused = async |body: Value, status: u16| acme.post(VALIDATORS, &body).await.expect_error(status);
    create(&acme, "limits").await;
    refused(json!({ "name": "limits" }), 409).await;
    refused(json!({ "name": "" }), 400).await;
    refused(json!({ "name": "a", "config": [1] }), 400).await;
    refused(json!({ "name": "a", "config": { "a": "x".repeat(70_000) } }), 400).await;
    refused(json!({ "name": "a", "kind": "lua" }), 400).await;
    refused(json!({ "name": "a", "errorStrategy": "shrug" }), 400).await;
    // The same name in another tenant is another validator.
    create(&app.globex(), "limits").await;
    app.stop();
}
