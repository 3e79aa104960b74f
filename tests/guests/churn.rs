//! Versions that come and go under live traffic: no reading passes a wrong version or none, and memory returns to its level.
//!
//! Two modules take turns: one refuses every reading of the test, the other accepts it. So what became of a batch says which of them it
//! really passed, and its books say which version it was judged by.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use serde_json::json;
use sqlx::Row as _;

use crate::support::app::App;
use crate::support::client::Client;
use crate::support::guests::{VALIDATORS, chain, component, upload, validator};

/// How many MiB more than at the beginning the process may have at the end: what the allocator keeps, not what is held.
const SLACK: u64 = 64;

/// Sends readings, one after the other, until told to stop.
async fn traffic(client: Client, from: u32, stop: Arc<AtomicBool>, sent: Arc<AtomicU32>) {
    let mut number = 0;
    while !stop.load(Ordering::Relaxed) {
        let time = 1_777_896_000_000_i64 + i64::from(number);
        let sensor = format!("s{from}");
        let reading = json!({ "sensorId": sensor, "timestamp": time, "values": { "temperature": 900 }, "topic": "rooms" });
        let status = client.post("/api/timescale/sensor-readings", &reading).await.status;
        assert!(matches!(status, 201 | 422), "{status}");
        number += 1;
        sent.fetch_add(1, Ordering::Relaxed);
    }
}

/// Uploads, activates and returns, so many times each, and looks at the books.
async fn churn(rounds: u32) {
    let app = App::start().await;
    let acme = app.acme();
    let config = json!({ "limits": { "temperature": { "max": 85 } } });
    let id = validator(&acme, &json!({ "name": "v", "config": config, "errorStrategy": "reject" })).await;
    let modules = [component("range-check"), component("fault-trips")];
    upload(&acme, &id, modules[0].clone()).await.expect(201);
    acme.post("/api/platform/kafka-topics", &json!({ "name": "rooms" })).await.expect(201);
    chain(&acme, "rooms", &[&id]).await;

    let (stop, sent) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU32::new(0)));
    let clients: Vec<_> =
        (0..2).map(|from| tokio::spawn(traffic(acme.clone(), from, Arc::clone(&stop), Arc::clone(&sent)))).collect();
    let mut level = None;
    for round in 0..rounds {
        let version = upload(&acme, &id, modules[1 - (round as usize % 2)].clone()).await.expect(201)["data"]["version"].clone();
        acme.post(&format!("{VALIDATORS}/{id}/activate"), &json!({ "version": version })).await.expect(200);
        acme.post(&format!("{VALIDATORS}/{id}/return"), &json!({})).await.expect(200);
        acme.post(&format!("{VALIDATORS}/{id}/return"), &json!({})).await.expect(200);
        if round == rounds / 10 {
            level = Some(app.memory());
        }
    }
    // What is live goes on for as long as a change may take to reach it.
    tokio::time::sleep(Duration::from_millis(500)).await;
    stop.store(true, Ordering::Relaxed);
    for client in clients {
        client.await.expect("every reading was answered");
    }

    let (level, end) = (level.expect("it was measured"), app.memory());
    println!(
        "{} readings, {rounds} uploads, {level} MiB after a tenth of them, {end} MiB at the end",
        sent.load(Ordering::Relaxed)
    );
    assert!(end <= level + SLACK, "{level} MiB became {end} MiB");

    let digests = modules.map(|module| weir::rules::Digest::of(&module).to_string());
    let versions = sqlx::query("select version, encode(digest, 'hex') from validator_versions")
        .fetch_all(&app.databases.platform().await)
        .await
        .expect("the versions");
    let known: Vec<String> =
        versions.iter().map(|row| format!("v@{}:{}", row.get::<i32, _>(0), row.get::<String, _>(1))).collect();
    assert_eq!(known.len(), rounds as usize + 1);
    let batches =
        sqlx::query("select rules_revision, sum(stored)::bigint, sum(skipped)::bigint from batches where read > 0 group by 1")
            .fetch_all(&app.databases.readings().await)
            .await
            .expect("the books");
    let mut judged = [0, 0];
    for row in &batches {
        let (rules, stored, refused): (String, i64, i64) = (row.get(0), row.get(1), row.get(2));
        assert!(known.contains(&rules), "{rules} is no version of this validator");
        let strict = rules.ends_with(&digests[0]);
        assert_eq!(if strict { stored } else { refused }, 0, "{rules}: {stored} stored, {refused} refused");
        judged[usize::from(!strict)] += stored + refused;
    }
    assert_eq!(judged.iter().sum::<i64>(), i64::from(sent.load(Ordering::Relaxed)), "every reading is in the books");
    assert!(judged.iter().all(|readings| *readings > 0), "both modules judged some: {judged:?}");
    app.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn versions_come_and_go_under_live_traffic() {
    churn(50).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes many minutes: make soak"]
async fn soak_of_ten_thousand_versions_under_live_traffic() {
    churn(10_000).await;
}
