//! What two tenants with the very same module learn of one another: nothing.

use serde_json::{Value, json};

use super::made::readings_and;
use crate::support::app::App;
use crate::support::client::Client;
use crate::support::guests::{VALIDATORS, chain, component, upload, validator};

/// A topic's name; they are shared by all tenants of a broker, other than modules.
const OURS: &str = "ours";
const THEIRS: &str = "theirs";

async fn send(client: &Client, topic: &str, time: i64) -> u16 {
    let reading = json!({ "sensorId": "a", "timestamp": 1_777_896_000_000_i64 + time, "value": 1, "topic": topic });
    client.post("/api/timescale/sensor-readings", &reading).await.status
}

/// What a version is, without what is its owner's own.
fn facts(mut version: Value) -> Value {
    for own in ["id", "createdAt", "uploadedAt", "createdBy"] {
        version.as_object_mut().expect("an object").remove(own);
    }
    version
}

#[tokio::test]
async fn the_same_module_of_two_tenants_is_each_ones_own() {
    let app = App::start().await;
    let mut versions = Vec::new();
    for (client, topic) in [(app.acme(), OURS), (app.globex(), THEIRS)] {
        let id = validator(&client, &json!({ "name": "remembers", "errorStrategy": "reject" })).await;
        versions.push((upload(&client, &id, component("fault-remembers")).await.expect(201)["data"].clone(), id.clone()));
        client.post("/api/platform/kafka-topics", &json!({ "name": topic })).await.expect(201);
        chain(&client, topic, &[&id]).await;
    }
    let [(ours, _), (theirs, id)] = <[_; 2]>::try_from(versions).expect("two");
    assert_eq!((&ours["version"], &theirs["version"]), (&1.into(), &1.into()), "it is everybody's first");
    assert_eq!(facts(ours), facts(theirs), "nothing says that somebody else has it");
    // It refuses whatever an instance sees after its first batch.
    for time in 0..10 {
        assert_eq!((send(&app.acme(), OURS, time).await, send(&app.globex(), THEIRS, time).await), (201, 201));
    }
    for path in ["", "/versions", "/stats", "/history"] {
        app.acme().get(&format!("{VALIDATORS}/{id}{path}")).await.expect_error(404);
    }
    app.stop();
}

#[tokio::test]
async fn a_tenant_with_many_modules_costs_another_one_load_at_most() {
    let app = App::start().await;
    let (acme, globex) = (app.acme(), app.globex());
    let config = json!({ "limits": { "value": { "max": 85 } } });
    let id = validator(&globex, &json!({ "name": "limits", "config": config, "errorStrategy": "reject" })).await;
    upload(&globex, &id, component("range-check")).await.expect(201);
    globex.post("/api/platform/kafka-topics", &json!({ "name": THEIRS })).await.expect(201);
    chain(&globex, THEIRS, &[&id]).await;
    assert_eq!(send(&globex, THEIRS, 0).await, 201);
    let many = validator(&acme, &json!({ "name": "many" })).await;
    for number in 0..20 {
        // Each is another module, of 200 kB of code.
        let module =
            readings_and("", &format!("(func (param i32) (drop (i32.const {number}))) {}", "(func (nop))".repeat(2_000)), "");
        upload(&acme, &many, module).await.expect(201);
    }
    assert_eq!(send(&globex, THEIRS, 1).await, 201);
    app.stop();
}
