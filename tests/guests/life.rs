//! The life of a module: tried, shadowed, replayed, activated, and taken back by itself.

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::app::App;
use crate::support::client::Client;
use crate::support::guests::{self, VALIDATORS, chain, component, deploy, stats, upload, validator};

const READINGS: &str = "/api/timescale/sensor-readings";

async fn topic(client: &Client, validators: &[&str]) {
    client.post("/api/platform/kafka-topics", &json!({ "name": "rooms" })).await.expect(201);
    chain(client, "rooms", validators).await;
}

fn reading(number: i64, value: f64) -> Value {
    json!({ "sensorId": "a", "timestamp": 1_777_896_000_000_i64 + number, "values": { "temperature": value }, "topic": "rooms" })
}

async fn send(client: &Client, readings: &[Value]) -> Value {
    client.post(&format!("{READINGS}/bulk"), &json!({ "readings": readings })).await.expect(200)["data"].clone()
}

fn limits(max: i32) -> Value {
    json!({ "limits": { "temperature": { "max": max } } })
}

#[tokio::test]
async fn two_replicas_that_need_the_same_module_at_once_compile_it_once() {
    let app = App::start().await;
    let replica = app.replica();
    // Compiled for nobody yet: a section more makes it another module.
    let fresh = [component("range-check"), format!("\0\x25\x04once{}", uuid::Uuid::new_v4().simple()).into_bytes()].concat();
    let (ours, theirs, form) = (replica.acme(), app.globex(), json!({ "name": "once" }));
    let (one, other) = tokio::join!(validator(&ours, &form), validator(&theirs, &form));
    let (one, other) = tokio::join!(upload(&ours, &one, fresh.clone()), upload(&theirs, &other, fresh));
    assert_eq!((one.status, other.status), (201, 201));
    let compiled = compilations(&app).await + compilations(&replica).await;
    assert_eq!(compiled, 1);
    app.stop();
    replica.stop();
}

async fn compilations(app: &App) -> u64 {
    let metrics = String::from_utf8(app.nobody().get("/metrics").await.body).expect("text");
    let line = metrics.lines().find_map(|line| line.strip_prefix("weir_guest_compilations_total ")).expect("it is counted");
    line.parse().expect("a number")
}

#[tokio::test]
async fn a_version_is_tried_on_samples_and_nothing_is_stored() {
    let app = App::start().await;
    let acme = app.acme();
    let id = deploy(&acme, "range-check", &json!({ "name": "limits", "config": limits(85) })).await;
    let test = format!("{VALIDATORS}/{id}/test");
    let tried = acme.post(&test, &json!({ "samples": [reading(0, 20.0), reading(1, 900.0)] })).await.expect(200)["data"].clone();
    assert_eq!(
        (&tried["results"][0]["verdict"], &tried["results"][0]["values"]["temperature"]),
        (&"accept".into(), &20.0.into())
    );
    assert_eq!(tried["results"][1]["verdict"], "reject");
    assert_eq!(tried["results"][1]["reason"], "temperature is 900, above the limit of 85");
    assert!(tried["peakMemoryBytes"].as_u64() > Some(65_536) && tried["calls"] == 1, "{tried}");

    // With another configuration, and with a version that fails: its fault, and where.
    let other = acme.post(&test, &json!({ "samples": [reading(0, 20.0)], "config": limits(10) })).await.expect(200);
    assert_eq!(other["data"]["results"][0]["verdict"], "reject");
    upload(&acme, &id, component("fault-traps")).await.expect(201);
    let failed = acme.post(&test, &json!({ "samples": [reading(0, 20.0)], "version": 2 })).await.expect(200)["data"].clone();
    assert_eq!(failed["results"][0]["verdict"], "failed");
    assert!(failed["fault"]["backtrace"].as_array().is_some_and(|frames| !frames.is_empty()), "{failed}");

    acme.post(&test, &json!({ "samples": [] })).await.expect_error(400);
    let sentence = acme.post(&test, &json!({ "samples": [{ "sensorId": "a" }] })).await.expect_error(400);
    assert!(sentence.contains("Sample 0"), "{sentence}");
    acme.post(&test, &json!({ "samples": [reading(0, 1.0)], "version": 9 })).await.expect_error(404);
    assert_eq!(acme.get(READINGS).await.expect(200)["data"], json!([]));
    assert_eq!(acme.get(&format!("{VALIDATORS}/{id}/stats")).await.expect(200)["data"]["versions"], json!([]));
    app.stop();
}

#[tokio::test]
async fn the_cases_in_a_module_are_run_when_it_is_uploaded() {
    let app = App::start().await;
    let acme = app.acme();
    let id = guests::validator(&acme, &json!({ "name": "limits" })).await;
    let case = |verdict: &str| {
        let reading = json!({ "sensorId": "a", "timestamp": "2026-05-04T12:00:00Z", "values": { "temperature": 900 } });
        let case = json!([{ "name": "heat", "config": limits(85), "readings": [reading], "expect": [{ "verdict": verdict }] }]);
        weir::cases::append(&component("range-check"), case.to_string().as_bytes()).expect("sound cases")
    };
    let sentence = upload(&acme, &id, case("accept")).await.expect_error(422);
    assert!(sentence.contains("`heat`: reading 0: expected accept, found reject"), "{sentence}");
    assert_eq!(acme.get(&format!("{VALIDATORS}/{id}/versions")).await.expect(200)["data"], json!([]));
    upload(&acme, &id, case("reject")).await.expect(201);
    app.stop();
}

#[tokio::test]
async fn the_cases_of_documents_and_objects_are_run_as_well() {
    let app = App::start().await;
    let acme = app.acme();
    for (guest, target, own) in [("redact", "documents", 8), ("image-guard", "objects", 9)] {
        // The samples carry cases of their own, which hold where they are uploaded as they are.
        assert_eq!(weir::cases::of(&component(guest)).expect("sound cases").len(), own, "{guest}");
        deploy(&acme, guest, &json!({ "name": guest, "target": target })).await;
    }
    let with = |guest: &str, case: Value| {
        weir::cases::append(&component(guest), json!([case]).to_string().as_bytes()).expect("sound cases")
    };
    let document = json!({ "kind": "kafka-topics", "body": { "name": "rooms", "description": "ask Ann" } });
    let config = json!({ "fields": [{ "name": "description", "action": "mask" }] });
    let masks = |expect: Value| json!({ "name": "masks", "config": config, "document": document, "expect": expect });
    let object = json!({ "objectName": "list.txt", "mediaType": "text/plain", "text": "one" });
    let passes =
        |expect: Value| json!({ "name": "passes", "config": { "otherFiles": "pass" }, "object": object, "expect": expect });
    let form = |target: &str| json!({ "name": format!("more {target}"), "target": target });
    let (documents, objects) =
        (guests::validator(&acme, &form("documents")).await, guests::validator(&acme, &form("objects")).await);
    for (id, guest, case, sentence) in [
        (&documents, "redact", masks(json!({ "verdict": "accept" })), "`masks`: expected accept, found replace"),
        (
            &documents,
            "redact",
            masks(json!({ "verdict": "replace", "values": { "/description": "ask" } })),
            r#"`masks`: expected /description to be "ask", found "***""#,
        ),
        (
            &documents,
            "redact",
            masks(json!({ "verdict": "reject", "reason": "an address" })),
            "`masks`: expected reject, found replace",
        ),
        (&objects, "image-guard", passes(json!({ "verdict": "accept", "size": 4 })), "`passes`: expected 4 bytes, found 3"),
        (&objects, "image-guard", masks(json!({ "verdict": "accept" })), "it is about documents, and the module judges objects"),
    ] {
        let refused = upload(&acme, id, with(guest, case)).await.expect_error(422);
        assert!(refused.contains(sentence), "{refused}");
        assert_eq!(acme.get(&format!("{VALIDATORS}/{id}/versions")).await.expect(200)["data"], json!([]));
    }
    let held = json!({ "verdict": "replace", "body": { "name": "rooms", "description": "***" } });
    upload(&acme, &documents, with("redact", masks(held))).await.expect(201);
    upload(&acme, &objects, with("image-guard", passes(json!({ "verdict": "accept", "text": "one" })))).await.expect(201);
    // A case that cannot be read is a mistake with its place.
    let broken = with("image-guard", passes(json!({ "verdict": "accept" })));
    let at = broken.windows(10).rposition(|bytes| bytes == b"objectName").expect("it is in there");
    let broken = [&broken[..at], &b"object-ame"[..], &broken[at + 10..]].concat();
    let refused = upload(&acme, &objects, broken).await.expect_error(422);
    assert!(refused.contains("/0/object/object-ame"), "{refused}");
    app.stop();
}

#[tokio::test]
async fn samples_of_documents_and_objects_have_the_form_of_cases() {
    let app = App::start().await;
    let acme = app.acme();
    let redact = deploy(&acme, "redact", &json!({ "name": "redact", "target": "documents" })).await;
    let config = json!({ "refuse": { "emails": true }, "fields": [{ "name": "secret", "action": "remove" }] });
    let samples = json!([
        { "kind": "connectors", "body": { "name": "a", "secret": 1 } },
        { "kind": "connectors", "operation": "update", "id": "a", "subject": "user:ann", "body": { "name": "ann@example.com" } },
        { "kind": "connectors", "operation": "delete", "id": "a" },
    ]);
    let test = format!("{VALIDATORS}/{redact}/test");
    let tried = acme.post(&test, &json!({ "samples": samples, "config": config })).await.expect(200)["data"]["results"].clone();
    let verdicts: Vec<&Value> = (0..3).map(|at| &tried[at]["verdict"]).collect();
    assert_eq!(verdicts, ["replace", "reject", "accept"], "{tried}");
    assert_eq!(tried[0]["values"], json!({ "name": "a" }));
    assert!(tried[1]["reason"].as_str().is_some_and(|reason| reason.starts_with("/name: ")), "{tried}");
    let wrong = json!({ "samples": [{ "kind": "connectors", "body": [] }] });
    let answer = acme.post(&test, &wrong).await;
    assert_eq!(serde_json::from_slice::<Value>(&answer.body).expect("JSON")["details"][0]["path"], "/samples/0/body");
    answer.expect_error(400);

    let guard = deploy(&acme, "image-guard", &json!({ "name": "guard", "target": "objects" })).await;
    let test = format!("{VALIDATORS}/{guard}/test");
    let samples =
        json!([{ "objectName": "a.txt", "text": "one" }, { "objectName": "a.txt", "base64": "b25l", "mediaType": "image/png" }]);
    let tried =
        acme.post(&test, &json!({ "samples": samples, "config": { "otherFiles": "pass" } })).await.expect(200)["data"].clone();
    assert_eq!(
        (&tried["results"][0]["verdict"], &tried["results"][1]["verdict"]),
        (&"accept".into(), &"reject".into()),
        "{tried}"
    );
    app.stop();
}

#[tokio::test]
async fn what_a_module_does_is_counted_for_each_version() {
    let app = App::start().await;
    let acme = app.acme();
    let id = deploy(&acme, "range-check", &json!({ "name": "limits", "config": limits(85), "errorStrategy": "reject" })).await;
    topic(&acme, &[&id]).await;
    send(&acme, &[reading(0, 20.0), reading(1, 900.0), reading(2, 30.0)]).await;
    let stats = stats(&acme, &id, |stats| stats["versions"][0]["calls"] == 1).await;
    let version = &stats["versions"][0];
    assert_eq!((&version["accepted"], &version["rejected"], &version["failed"]), (&2.into(), &1.into(), &0.into()), "{version}");
    assert_eq!(version["histogram"].as_array().expect("buckets").iter().filter_map(Value::as_i64).sum::<i64>(), 1);
    assert!(version["peakMemoryBytes"].as_i64() > Some(65_536), "{version}");
    let history = acme.get(&format!("{VALIDATORS}/{id}/history")).await.expect(200)["data"].clone();
    assert_eq!((&history[0]["version"], &history[0]["cause"]), (&1.into(), &"upload".into()), "{history}");
    app.stop();
}

#[tokio::test]
async fn a_shadow_decides_nothing_and_its_differences_are_counted() {
    let app = App::start().await;
    let acme = app.acme();
    let id = deploy(&acme, "fault-trips", &json!({ "name": "v", "errorStrategy": "reject", "config": limits(85) })).await;
    upload(&acme, &id, component("range-check")).await.expect(201);
    topic(&acme, &[&id]).await;
    acme.post(&format!("{VALIDATORS}/{id}/shadow"), &json!({ "version": 1 })).await.expect_error(409);
    let shadowed = acme.post(&format!("{VALIDATORS}/{id}/shadow"), &json!({ "version": 2 })).await.expect(200)["data"].clone();
    assert_eq!((&shadowed["activeVersion"], &shadowed["shadowVersion"]), (&1.into(), &2.into()));
    let outcome = send(&acme, &[reading(0, 20.0), reading(1, 900.0)]).await;
    assert_eq!(outcome["accepted"], 2, "the shadow would refuse one: {outcome}");
    let seen = stats(&acme, &id, |stats| stats["versions"][0]["shadow"]["compared"] == 2).await;
    assert_eq!(seen["versions"][0]["shadow"]["acceptToReject"], 1, "{seen}");
    let difference = &seen["lastDifferences"][0];
    assert_eq!(
        (&difference["kind"], &difference["candidate"]["verdict"]),
        (&"acceptToReject".into(), &"reject".into()),
        "{seen}"
    );
    // Activated, it is nobody's shadow any more.
    let active = acme.post(&format!("{VALIDATORS}/{id}/activate"), &json!({ "version": 2 })).await.expect(200)["data"].clone();
    assert_eq!((&active["activeVersion"], &active["shadowVersion"]), (&2.into(), &Value::Null));
    app.stop();
}

#[tokio::test]
async fn a_replay_is_the_evidence_that_an_activation_may_ask_for() {
    let app = App::start().await;
    let acme = app.acme();
    let form = json!({ "name": "limits", "config": limits(85), "requireCleanReplay": true });
    let id = deploy(&acme, "range-check", &form).await;
    topic(&acme, &[&id]).await;
    send(&acme, &[reading(0, 20.0), reading(1, 900.0), reading(2, 30.0)]).await;
    for guest in ["fault-traps", "range-check"] {
        upload(&acme, &id, component(guest)).await.expect(201);
    }
    let activate = async |version: i32| acme.post(&format!("{VALIDATORS}/{id}/activate"), &json!({ "version": version })).await;
    assert!(activate(3).await.expect_error(409).contains("clean replay"));
    let replay = async |form: Value| acme.post(&format!("{VALIDATORS}/{id}/replay"), &form).await.expect(201)["data"].clone();
    let traps = replay(json!({ "version": 2, "from": "2026-01-01T00:00:00Z" })).await;
    assert_eq!((&traps["clean"], &traps["report"]["differences"]["acceptToReject"]), (&false.into(), &2.into()), "{traps}");
    assert_eq!(traps["report"]["differences"]["failed"], 2, "{traps}");
    activate(2).await.expect_error(409);
    let same = replay(json!({ "version": 3, "from": "2026-01-01T00:00:00Z" })).await;
    assert_eq!((&same["clean"], &same["report"]["differences"]["compared"]), (&true.into(), &2.into()), "{same}");
    activate(3).await.expect(200);

    // What was refused, as the quarantine has it: under wider limits it would pass.
    acme.put(&format!("{VALIDATORS}/{id}"), &json!({ "config": limits(1000) })).await.expect(200);
    let kept = replay(json!({ "version": 3, "against": 2, "source": "quarantine", "hours": 1 })).await;
    assert_eq!(kept["report"]["differences"]["rejectToAccept"], 1, "{kept}");
    let listed = acme.get(&format!("{VALIDATORS}/{id}/replays")).await.expect(200)["data"].clone();
    assert_eq!(listed.as_array().map(Vec::len), Some(3));
    acme.post(&format!("{VALIDATORS}/{id}/replay"), &json!({ "version": 3 })).await.expect_error(400);
    app.stop();
}

#[tokio::test]
async fn a_version_that_fails_more_often_than_the_one_before_is_taken_back() {
    let app = App::start().await;
    let acme = app.acme();
    let id = deploy(&acme, "range-check", &json!({ "name": "limits", "config": limits(85), "errorStrategy": "reject" })).await;
    topic(&acme, &[&id]).await;
    send(&acme, &[reading(0, 20.0)]).await;
    upload(&acme, &id, component("fault-traps")).await.expect(201);
    acme.post(&format!("{VALIDATORS}/{id}/activate"), &json!({ "version": 2 })).await.expect(200);
    let batch: Vec<Value> = (0..40).map(|number| reading(number, 20.0)).collect();
    assert_eq!(send(&acme, &batch).await["accepted"], 0);
    let back = stats(&acme, &id, |stats| stats["activeVersion"] == 1).await;
    assert!(!back["lastErrors"].as_array().expect("a list").is_empty(), "{back}");
    assert!(back["lastErrors"][0]["reason"].as_str().is_some_and(|reason| reason.starts_with("it trapped")), "{back}");
    let history = acme.get(&format!("{VALIDATORS}/{id}/history")).await.expect(200)["data"].clone();
    assert_eq!(
        (&history[0]["cause"], &history[0]["subject"], &history[0]["version"]),
        (&"faults".into(), &"service:guard".into(), &1.into())
    );
    assert!(history[0]["details"]["rate"].as_f64() > Some(0.9), "{history}");
    let audited: i64 =
        sqlx::query_scalar("select count(*) from audit_log where subject = 'service:guard' and outcome = 'allowed'")
            .fetch_one(&app.databases.platform().await)
            .await
            .expect("a count");
    assert_eq!(audited, 1);
    assert_eq!(send(&acme, &batch).await["accepted"], 40);
    app.stop();
}

#[tokio::test]
async fn the_way_back_is_one_call() {
    let app = App::start().await;
    let acme = app.acme();
    let id = deploy(&acme, "range-check", &json!({ "name": "limits", "config": limits(85) })).await;
    let back = format!("{VALIDATORS}/{id}/return");
    acme.json(Method::POST, &back, "{}").await.expect_error(409);
    upload(&acme, &id, component("unit-convert")).await.expect(201);
    acme.post(&format!("{VALIDATORS}/{id}/activate"), &json!({ "version": 2 })).await.expect(200);
    assert_eq!(acme.json(Method::POST, &back, "{}").await.expect(200)["data"]["activeVersion"], 1);
    app.stop();
}

#[tokio::test]
async fn a_tenant_with_keys_takes_signed_modules_only() {
    use base64::Engine as _;
    let app = App::start().await;
    let acme = app.acme();
    let id = guests::validator(&acme, &json!({ "name": "limits" })).await;
    let pair = rcgen::KeyPair::generate_for(&rcgen::PKCS_ED25519).expect("a key");
    let encode = |bytes: &[u8]| base64::engine::general_purpose::STANDARD.encode(bytes);
    let keys = "/api/platform/signing-keys";
    acme.post(keys, &json!({ "name": "build", "publicKey": "AAAA" })).await.expect_error(400);
    let key = acme.post(keys, &json!({ "name": "built", "publicKey": encode(pair.public_key_raw()) })).await.expect(201);
    let key = format!("{keys}/{}", key["data"]["id"].as_str().expect("an id"));
    assert_eq!(acme.put(&key, &json!({ "name": "build" })).await.expect(200)["data"]["publicKey"], encode(pair.public_key_raw()));
    acme.clone().with("if-match", "\"another\"").delete(&key).await.expect_error(412);

    let bytes = component("range-check");
    assert!(upload(&acme, &id, bytes.clone()).await.expect_error(422).contains("signed modules only"));
    let signature = rcgen::SigningKey::sign(&pair, &bytes).expect("a signature");
    let signed = acme.clone().with("x-module-signature", &encode(&signature));
    upload(&signed, &id, component("unit-convert")).await.expect_error(422);
    assert_eq!(upload(&signed, &id, bytes.clone()).await.expect(201)["data"]["signedBy"], "build");
    acme.delete(&key).await.expect(204);
    upload(&acme, &id, bytes).await.expect(201);
    // Another tenant's modules are its own affair.
    deploy(&app.globex(), "range-check", &json!({ "name": "limits" })).await;
    app.stop();
}
