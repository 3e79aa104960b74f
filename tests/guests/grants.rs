//! What modules are granted, and what they may take.

use serde_json::{Value, json};

use crate::support::app::App;
use crate::support::guests::{self, VALIDATORS, chain, component, deploy, upload};

const READINGS: &str = "/api/timescale/sensor-readings";

#[tokio::test]
async fn lookup_is_granted_by_deployment_and_shows_the_tenants_own_values() {
    let app = App::start().await;
    let acme = app.acme();
    let config = json!({ "limits": { "temperature": { "maxRise": 1, "maxFall": 1 } } });
    let form = json!({ "name": "rate", "config": config, "errorStrategy": "reject" });
    let id = guests::validator(&acme, &form).await;
    let sentence = upload(&acme, &id, component("rate-of-change")).await.expect_error(422);
    assert!(sentence.contains("`lookup`") && sentence.contains("`grants`"), "{sentence}");
    let grants = |grants: &[&str]| json!({ "grants": grants });
    acme.put(&format!("{VALIDATORS}/{id}"), &grants(&["config", "log", "lookup"])).await.expect(200);
    upload(&acme, &id, component("rate-of-change")).await.expect(201);
    assert!(acme.put(&format!("{VALIDATORS}/{id}"), &grants(&["config", "log"])).await.expect_error(409).contains("lookup"));

    acme.post("/api/platform/kafka-topics", &json!({ "name": "rooms" })).await.expect(201);
    chain(&acme, "rooms", &[&id]).await;
    let send = async |second: i64, value: f64| {
        let time = 1_777_896_000_000_i64 + second * 1000;
        let reading = json!({ "sensorId": "a", "timestamp": time, "values": { "temperature": value }, "topic": "rooms" });
        acme.post(READINGS, &reading).await
    };
    // Another tenant's sensor of the same name is not what it sees.
    let other = json!({ "sensorId": "a", "timestamp": 1_777_896_000_000_i64, "values": { "temperature": 1000 } });
    app.globex().post(READINGS, &other).await.expect(201);
    send(1, 20.0).await.expect(201);
    let sentence = send(2, 30.0).await.expect_error(422);
    assert!(sentence.contains("temperature"), "{sentence}");
    send(3, 21.0).await.expect(201);
    app.stop();
}

#[tokio::test]
async fn a_validator_and_its_tenant_may_have_tighter_bounds() {
    let app = App::builder().set("WEIR_GUEST_TIME_MS", "20000").start().await;
    let acme = app.acme();
    let sample = json!({ "samples": [{ "sensorId": "a", "timestamp": 1_777_896_000_000_i64, "value": 1 }] });
    let fault = async |id: &str| {
        let tried = acme.post(&format!("{VALIDATORS}/{id}/test"), &sample).await.expect(200)["data"].clone();
        tried["fault"]["reason"].as_str().unwrap_or_default().to_owned()
    };
    let loops = deploy(&acme, "fault-loops", &json!({ "name": "loops", "limits": { "timeMs": 50 } })).await;
    assert_eq!(fault(&loops).await, "it ran longer than 50 ms and was stopped");
    let hoards = deploy(&acme, "fault-hoards", &json!({ "name": "hoards", "limits": { "memoryBytes": 4_194_304 } })).await;
    assert_eq!(fault(&hoards).await, "it wanted more than 4096 KiB of memory");
    let quotas = json!({ "quotas": { "guestTimeMs": 30, "guestMemoryBytes": 2_097_152 } });
    app.administrator().put("/api/platform/tenants/acme", &quotas).await.expect(200);
    assert_eq!(fault(&loops).await, "it ran longer than 30 ms and was stopped");
    assert_eq!(fault(&hoards).await, "it wanted more than 2048 KiB of memory");
    for limits in [json!({ "timeMs": 0 }), json!({ "memoryBytes": 1 }), json!({ "fuel": 1 })] {
        acme.post(VALIDATORS, &json!({ "name": "x", "limits": limits })).await.expect_error(400);
    }
    app.stop();
}

#[tokio::test]
async fn a_tenants_modules_have_so_much_time_a_second_and_no_more() {
    let app = App::builder().set("WEIR_GUEST_TIME_MS", "300").start().await;
    app.administrator().put("/api/platform/tenants/acme", &json!({ "quotas": { "guestCpuMsPerSecond": 50 } })).await.expect(200);
    let loops = |client| async move { deploy(client, "fault-loops", &json!({ "name": "loops" })).await };
    let (acme, globex) = (app.acme(), app.globex());
    let sample = json!({ "samples": [{ "sensorId": "a", "timestamp": 1_777_896_000_000_i64, "value": 1 }] });
    let path = |id: &str| format!("{VALIDATORS}/{id}/test");
    let (ours, theirs): (String, String) = (loops(&acme).await, loops(&globex).await);
    acme.post(&path(&ours), &sample).await.expect(200);
    let answer = acme.post(&path(&ours), &sample).await;
    let wait: u64 = answer.headers["retry-after"].to_str().ok().and_then(|wait| wait.parse().ok()).expect("seconds");
    assert!(answer.expect_error(429).contains("modules") && (1..=10).contains(&wait));
    // Another tenant has its own.
    for _ in 0..2 {
        globex.post(&path(&theirs), &sample).await.expect(200);
    }
    let _: Value = app
        .administrator()
        .put("/api/platform/tenants/acme", &json!({ "quotas": { "guestCpuMsPerSecond": null } }))
        .await
        .expect(200);
    acme.post(&path(&ours), &sample).await.expect(200);
    app.stop();
}
