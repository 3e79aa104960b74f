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

/// Makes a JSON Schema and a validator of it; its id and the schema's.
async fn schema_validator(client: &Client, name: &str, definition: &Value, form: Value) -> (String, String) {
    let schema = json!({ "name": name, "type": "json-schema", "definition": definition });
    let schema = client.post("/api/platform/schemas", &schema).await.expect(201)["data"]["id"].clone();
    let mut form = form;
    form["name"] = json!(name);
    form["kind"] = json!("json-schema");
    form["schemaId"] = schema.clone();
    let made = client.post(VALIDATORS, &form).await.expect(201);
    assert_eq!((&made["data"]["kind"], &made["data"]["schemaId"]), (&json!("json-schema"), &schema));
    let text = |value: &Value| value.as_str().expect("an id").to_owned();
    (text(&made["data"]["id"]), text(&schema))
}

#[tokio::test]
async fn a_json_schema_is_a_validator_like_a_module_and_judges_what_those_before_it_made() {
    let app = App::start().await;
    let acme = app.acme();
    let warm = json!({ "properties": { "values": { "properties": { "temperature": { "maximum": 290 } } } } });
    let (schema, schema_id) = schema_validator(&acme, "warm", &warm, json!({ "errorStrategy": "reject" })).await;
    let kelvin = json!({ "name": "kelvin", "config": { "convert": { "temperature": { "to": "K" } } } });
    let module = guests::deploy(&acme, "unit-convert", &kelvin).await;
    acme.post("/api/platform/kafka-topics", &json!({ "name": "rooms" })).await.expect(201);
    let reading = |second: u32, celsius: f64| {
        json!({ "sensorId": "room-4", "timestamp": format!("2026-05-04T12:00:{second:02}Z"), "topic": "rooms",
            "values": { "temperature": celsius }, "unit": { "temperature": "Cel" } })
    };
    // 20 °C are 293 K: above the bound where the module comes first, far below it where it comes second.
    for (second, chain, status) in [(0, [&module, &schema], 422), (1, [&schema, &module], 201)] {
        let path = "/api/platform/validators/chain/rooms";
        acme.put(path, &json!({ "validatorIds": chain })).await.expect(200);
        let answer = acme.post("/api/timescale/sensor-readings", &reading(second, 20.0)).await;
        assert_eq!(answer.status, status, "{}", String::from_utf8_lossy(&answer.body));
        if status == 422 {
            let body = answer.expect(422);
            assert_eq!(
                (&body["details"][0]["validator"], &body["details"][0]["path"]),
                (&json!("warm"), &json!("/values/temperature")),
                "{body}"
            );
        }
    }
    let asked = json!({ "reading": reading(1, 300.0) });
    let explained = acme.post("/api/explain", &asked).await.expect(200);
    assert_eq!(explained["data"]["modules"][0]["validator"], "warm", "{explained}");
    let tried =
        acme.post(&format!("{VALIDATORS}/{schema}/test"), &json!({ "samples": [reading(1, 20.0), reading(2, 300.0)] })).await;
    let tried = tried.expect(200);
    assert_eq!(
        (&tried["data"]["results"][0]["verdict"], &tried["data"]["results"][1]["verdict"]),
        (&json!("accept"), &json!("reject"))
    );

    let users = acme.delete(&format!("/api/platform/schemas/{schema_id}")).await.expect_error(409);
    assert!(users.contains("validator warm"), "{users}");
    assert!(upload(&acme, &schema, vec![0]).await.expect_error(409).contains("schemaId"));
    let lax = json!({ "name": "lax", "type": "json-schema", "definition": {} });
    let lax = acme.post("/api/platform/schemas", &lax).await.expect(201)["data"]["id"].clone();
    acme.put(&format!("{VALIDATORS}/{schema}"), &json!({ "schemaId": lax })).await.expect(200);
    acme.post("/api/timescale/sensor-readings", &reading(3, 1_000.0)).await.expect(201);
    app.stop();
}

#[tokio::test]
async fn a_json_schema_judges_documents_and_what_does_not_fit_one_is_refused() {
    let app = App::start().await;
    let acme = app.acme();
    let described = json!({ "required": ["description"], "properties": { "description": { "minLength": 5 } } });
    let (id, _) =
        schema_validator(&acme, "described", &described, json!({ "target": "documents", "errorStrategy": "reject" })).await;
    acme.put("/api/platform/validators/chain/documents/projects", &json!({ "validatorIds": [id] })).await.expect(200);
    let refused = acme.post("/api/platform/projects", &json!({ "name": "plant", "description": "no" })).await.expect(422);
    assert_eq!(
        (&refused["details"][0]["validator"], &refused["details"][0]["path"]),
        (&json!("described"), &json!("/description"))
    );
    // What is not sent is missing, and not null.
    let missing = acme.post("/api/platform/projects", &json!({ "name": "plant" })).await.expect_error(422);
    assert!(missing.contains("required"), "{missing}");
    let made = acme.post("/api/platform/projects", &json!({ "name": "plant", "description": "the old one" })).await.expect(201);
    let path = format!("/api/platform/projects/{}", made["data"]["id"].as_str().expect("an id"));
    // A change leaves out what is to stay.
    acme.put(&path, &json!({ "name": "factory" })).await.expect(200);
    acme.put(&path, &json!({ "description": "no" })).await.expect_error(422);
    let form = json!({ "kind": "projects", "operation": "create", "body": { "name": "x" } });
    let explained = acme.post("/api/explain", &json!({ "document": form })).await.expect(200);
    assert_eq!(explained["data"]["modules"][0]["validator"], "described", "{explained}");
    acme.delete(&path).await.expect(204);
    let put = acme.put(&format!("{VALIDATORS}/{id}"), &json!({ "config": {} })).await.expect_error(400);
    assert!(put.contains("for modules"), "{put}");

    let schema = acme.post("/api/platform/schemas", &json!({ "name": "any", "type": "json-schema", "definition": {} })).await;
    let schema = schema.expect(201)["data"]["id"].clone();
    let record = json!({ "type": "record", "name": "r", "fields": [
        { "name": "sensorId", "type": "string" }, { "name": "timestamp", "type": "long" }, { "name": "value", "type": "double" }] });
    let avro = acme.post("/api/platform/schemas", &json!({ "name": "avro", "type": "avro", "definition": record })).await;
    let avro = avro.expect(201)["data"]["id"].clone();
    let theirs =
        app.globex().post("/api/platform/schemas", &json!({ "name": "x", "type": "json-schema", "definition": {} })).await;
    let theirs = theirs.expect(201)["data"]["id"].clone();
    for (form, place) in [
        (json!({ "kind": "json-schema" }), "/schemaId"),
        (json!({ "schemaId": schema }), "/schemaId"),
        (json!({ "kind": "json-schema", "schemaId": avro }), "/schemaId"),
        (json!({ "kind": "json-schema", "schemaId": theirs }), "/schemaId"),
        (json!({ "kind": "json-schema", "schemaId": schema, "target": "objects" }), "/target"),
        (json!({ "kind": "json-schema", "schemaId": schema, "config": {} }), ""),
    ] {
        let mut form = form;
        form["name"] = json!("x");
        let refused = acme.post(VALIDATORS, &form).await.expect(400);
        assert_eq!(refused["details"][0]["path"], place, "{form}: {refused}");
    }
    app.stop();
}
