//! Topics, schemas and chains.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use weir::model::{Clock as _, SystemClock};

use crate::support::app::App;
use crate::support::client::Client;

const TOPICS: &str = "/api/platform/kafka-topics";
const SCHEMAS: &str = "/api/platform/schemas";

#[tokio::test]
async fn a_topic_is_made_changed_and_removed() {
    let app = App::start().await;
    let acme = app.acme();
    let made = acme.post(TOPICS, &json!({ "name": "rooms" })).await;
    assert_eq!(made.header("location"), Some("/api/platform/kafka-topics/rooms"));
    let made = made.expect(201);
    assert_eq!(
        (&made["data"]["mode"], &made["data"]["errorStrategy"], &made["data"]["ingest"]),
        (&"upsert".into(), &"quarantine".into(), &true.into())
    );
    let changed = acme.put(&format!("{TOPICS}/rooms"), &json!({ "errorStrategy": "reject" })).await.expect(200);
    assert_eq!((&changed["data"]["errorStrategy"], &changed["data"]["mode"]), (&"reject".into(), &"upsert".into()));
    acme.put(&format!("{TOPICS}/rooms"), &json!({ "errorStrategy": "ignore" })).await.expect_error(400);
    acme.post(TOPICS, &json!({ "name": "rooms" })).await.expect_error(409);
    acme.post(TOPICS, &json!({ "name": "no blanks" })).await.expect_error(400);
    acme.delete(&format!("{TOPICS}/rooms")).await.expect(204);
    acme.get(&format!("{TOPICS}/rooms")).await.expect_error(404);
    app.stop();
}

#[tokio::test]
async fn a_topic_says_which_value_counts_and_where_refused_readings_go() {
    let app = App::start().await;
    let acme = app.acme();
    let made = acme.post(TOPICS, &json!({ "name": "rooms" })).await.expect(201);
    assert_eq!(
        (&made["data"]["format"], &made["data"]["conflict"], &made["data"]["deadLetterTopic"]),
        (&"json".into(), &"keep-last".into(), &json!(null))
    );
    let rooms = format!("{TOPICS}/rooms");
    let change = json!({ "conflict": "keep-first", "deadLetterTopic": "rooms.refused", "format": "avro" });
    let changed = acme.put(&rooms, &change).await.expect(200);
    for field in ["conflict", "deadLetterTopic", "format"] {
        assert_eq!(changed["data"][field], change[field]);
    }
    // What is not sent stays.
    let kept = acme.put(&rooms, &json!({ "mode": "append" })).await.expect(200);
    assert_eq!((&kept["data"]["conflict"], &kept["data"]["deadLetterTopic"]), (&change["conflict"], &change["deadLetterTopic"]));
    for wrong in [
        json!({ "deadLetterTopic": "rooms" }),
        json!({ "deadLetterTopic": "no blanks" }),
        json!({ "conflict": "keep-best" }),
        json!({ "format": "xml" }),
    ] {
        acme.put(&rooms, &wrong).await.expect_error(400);
    }
    // What is consumed takes no refused readings, whichever of the two is said first, and a tenant takes none of another's.
    acme.post(TOPICS, &json!({ "name": "rooms.refused" })).await.expect_error(409);
    acme.post(TOPICS, &json!({ "name": "rooms.refused", "ingest": false })).await.expect(201);
    acme.put(&format!("{TOPICS}/rooms.refused"), &json!({ "ingest": true })).await.expect_error(409);
    let globex = app.globex();
    globex.post(TOPICS, &json!({ "name": "halls", "deadLetterTopic": "rooms.refused" })).await.expect_error(409);
    globex.post(TOPICS, &json!({ "name": "halls", "deadLetterTopic": "halls.refused" })).await.expect(201);
    acme.put(&rooms, &json!({ "deadLetterTopic": "halls.refused" })).await.expect_error(409);
    acme.post(TOPICS, &json!({ "name": "halls.refused", "ingest": false })).await.expect_error(409);
    // Two topics of one tenant may share it.
    acme.post(TOPICS, &json!({ "name": "floors", "deadLetterTopic": "rooms.refused" })).await.expect(201);
    acme.post(TOPICS, &json!({ "name": "roofs", "deadLetterTopic": "rooms" })).await.expect_error(409);
    let ended = acme.put(&rooms, &json!({ "deadLetterTopic": null })).await.expect(200);
    assert_eq!(ended["data"]["deadLetterTopic"], json!(null));
    app.stop();
}

#[tokio::test]
async fn one_topic_of_kafka_belongs_to_one_tenant() {
    let app = App::start().await;
    app.acme().post(TOPICS, &json!({ "name": "shared" })).await.expect(201);
    // That it is taken is all that another tenant learns.
    app.globex().post(TOPICS, &json!({ "name": "shared" })).await.expect_error(409);
    app.globex().get(&format!("{TOPICS}/shared")).await.expect_error(404);
    app.globex().put(&format!("{TOPICS}/shared"), &json!({ "ingest": false })).await.expect_error(404);
    app.globex().delete(&format!("{TOPICS}/shared")).await.expect_error(404);
    app.stop();
}

#[tokio::test]
async fn a_schema_has_versions_and_cannot_go_while_it_is_used() {
    let app = App::start().await;
    let acme = app.acme();
    let schema = |limit: i32| json!({ "name": "room", "type": "json-schema", "definition": { "maximum": limit } });
    let first = acme.post(SCHEMAS, &schema(1)).await.expect(201);
    let second = acme.post(SCHEMAS, &schema(2)).await.expect(201);
    assert_eq!((&first["data"]["version"], &second["data"]["version"]), (&1.into(), &2.into()));
    let latest = acme.get(&format!("{SCHEMAS}/name/room/latest")).await.expect(200);
    assert_eq!(latest["data"]["definition"]["maximum"], 2);
    assert_eq!(acme.get(&format!("{SCHEMAS}/name/room/versions")).await.expect(200)["data"].as_array().map(Vec::len), Some(2));
    let id = first["data"]["id"].as_str().expect("an id");
    acme.post(TOPICS, &json!({ "name": "rooms", "schemaId": id })).await.expect(201);
    assert!(acme.delete(&format!("{SCHEMAS}/{id}")).await.expect(409).to_string().contains("rooms"));
    acme.delete(&format!("{TOPICS}/rooms/schema")).await.expect(200);
    acme.delete(&format!("{SCHEMAS}/{id}")).await.expect(204);
    app.globex().get(&format!("{SCHEMAS}/name/room/latest")).await.expect_error(404);
    app.stop();
}

/// An Avro schema of readings with one value.
fn avro() -> serde_json::Value {
    json!({ "type": "record", "name": "Reading", "fields": [
        { "name": "sensorId", "type": "string" },
        { "name": "timestamp", "type": { "type": "long", "logicalType": "timestamp-micros" } },
        { "name": "value", "type": "double" },
    ] })
}

#[tokio::test]
async fn an_avro_schema_has_a_number_and_belongs_to_avro_topics() {
    let app = App::start().await;
    let acme = app.acme();
    let made = acme.post(SCHEMAS, &json!({ "name": "room", "type": "avro", "definition": avro() })).await.expect(201);
    let number = &made["data"]["number"];
    assert_eq!((&made["data"]["type"], &made["data"]["definition"]), (&"avro".into(), &avro()));
    let found = acme.get(&format!("{SCHEMAS}/number/{number}")).await.expect(200);
    assert_eq!(found["data"]["id"], made["data"]["id"]);
    app.globex().get(&format!("{SCHEMAS}/number/{number}")).await.expect_error(404);
    let json = acme.post(SCHEMAS, &json!({ "name": "plain", "type": "json-schema", "definition": {} })).await.expect(201);
    let topic =
        |format: &str, schema: &serde_json::Value| json!({ "name": "rooms", "format": format, "schemaId": schema["data"]["id"] });
    assert!(acme.post(TOPICS, &topic("avro", &json)).await.expect_error(400).contains("type `avro`"));
    assert!(acme.post(TOPICS, &topic("json", &made)).await.expect_error(400).contains("type `json-schema`"));
    acme.post(TOPICS, &topic("avro", &made)).await.expect(201);
    // Nor by a change of one of the two.
    acme.put(&format!("{TOPICS}/rooms"), &json!({ "format": "json" })).await.expect_error(400);
    acme.put(&format!("{TOPICS}/rooms/schema"), &json!({ "schemaId": json["data"]["id"] })).await.expect_error(400);
    let changed = json!({ "format": "json", "schemaId": json["data"]["id"] });
    acme.put(&format!("{TOPICS}/rooms"), &changed).await.expect(200);
    app.stop();
}

#[tokio::test]
async fn an_avro_schema_that_describes_no_reading_is_refused() {
    let app = App::start().await;
    let without = json!({ "type": "record", "name": "R", "fields": [{ "name": "sensorId", "type": "string" }] });
    for (definition, part) in
        [(json!("double"), "no record"), (json!({ "type": "reading" }), "no Avro schema"), (without, "`timestamp` is missing")]
    {
        let body = json!({ "name": "bad", "type": "avro", "definition": definition });
        let refused = app.acme().post(SCHEMAS, &body).await.expect(400);
        assert!(refused.to_string().contains(part), "{refused}");
    }
    app.stop();
}

#[tokio::test]
async fn a_schema_that_costs_too_much_or_fetches_is_refused() {
    let app = App::start().await;
    let doubling: serde_json::Map<String, serde_json::Value> = (0..22)
        .map(|level| {
            let next = format!("#/$defs/l{}", level + 1);
            (format!("l{level}"), json!({ "allOf": [{ "$ref": next }, { "$ref": next }] }))
        })
        .chain([("l22".to_owned(), json!({}))])
        .collect();
    for definition in [
        json!({ "$ref": "http://127.0.0.1:1/schema.json" }),
        json!({ "$ref": "file:///etc/passwd" }),
        json!({ "$defs": doubling, "$ref": "#/$defs/l0" }),
        json!({ "$ref": "#" }),
        json!({ "type": "no-such-type" }),
        json!([1]),
    ] {
        let body = json!({ "name": "bad", "type": "json-schema", "definition": definition });
        let answer = app.acme().post(SCHEMAS, &body).await;
        assert_eq!(answer.status, 400, "{body}");
    }
    app.stop();
}

#[tokio::test]
async fn a_chain_takes_only_the_tenants_own_validators() {
    let app = App::start().await;
    app.acme().post(TOPICS, &json!({ "name": "rooms" })).await.expect(201);
    let foreign =
        app.globex().post("/api/platform/validators", &json!({ "name": "theirs" })).await.expect(201)["data"]["id"].clone();
    let chain = "/api/platform/validators/chain/rooms";
    app.acme().put(chain, &json!({ "validatorIds": [foreign] })).await.expect_error(400);
    let own = app.acme().post("/api/platform/validators", &json!({ "name": "ours" })).await.expect(201)["data"]["id"].clone();
    app.acme().put(chain, &json!({ "validatorIds": [own] })).await.expect(200);
    assert_eq!(app.acme().get(chain).await.expect(200)["data"]["validatorIds"], json!([own]));
    app.acme().put(chain, &json!({ "validatorIds": [own, own] })).await.expect_error(400);
    // It is in use, so it stays.
    let refused = app.acme().delete(&format!("/api/platform/validators/{}", own.as_str().expect("an id"))).await.expect(409);
    assert!(refused.to_string().contains("rooms"), "{refused}");
    app.stop();
}

const CHECK: &str = "/api/platform/schemas/check";

fn room(properties: &Value, required: &[&str]) -> Value {
    json!({ "type": "object", "properties": { "values": { "type": "object", "properties": properties, "required": required } } })
}

#[tokio::test]
async fn a_version_that_breaks_what_the_one_before_promises_is_refused_with_each_break() {
    let app = App::start().await;
    let acme = app.acme();
    let number = || json!({ "type": "number" });
    let first = room(&json!({ "t": number(), "mode": { "enum": ["eco", "full"] } }), &["t"]);
    let form = |definition: &Value| json!({ "name": "room", "type": "json-schema", "definition": definition });
    let mut promising = form(&first);
    promising["compatibility"] = json!("full");
    let first = acme.post(SCHEMAS, &promising).await.expect(201)["data"].clone();
    assert_eq!(first["compatibility"], "full");

    // A further property that may be left out breaks nothing, in an open object.
    let second = room(&json!({ "t": number(), "mode": { "enum": ["eco", "full"] }, "h": number() }), &["t"]);
    let second = acme.post(SCHEMAS, &form(&second)).await.expect(201)["data"].clone();
    assert_eq!((&second["version"], &second["compatibility"]), (&json!(2), &json!("full")), "the promise is kept");

    let worse = room(&json!({ "t": { "type": "string" }, "mode": { "enum": ["eco"] }, "h": number() }), &["t", "h"]);
    let refused = acme.post(SCHEMAS, &form(&worse)).await.expect(409);
    let paths: Vec<&str> = refused["details"].as_array().expect("a list").iter().filter_map(|one| one["path"].as_str()).collect();
    for part in [
        "/definition/properties/values/required",
        "/definition/properties/values/properties/t",
        "/definition/properties/values/properties/mode",
    ] {
        assert!(paths.iter().any(|path| path.starts_with(part)), "{part}: {refused}");
    }
    let looked_at = acme.post(CHECK, &json!({ "definition": worse, "name": "room" })).await.expect(200)["data"].clone();
    assert_eq!((&looked_at["compatible"], &looked_at["against"]), (&json!(false), &json!(2)));
    assert_eq!(
        acme.get(&format!("{SCHEMAS}/name/room/versions")).await.expect(200)["data"].as_array().map(Vec::len),
        Some(2),
        "nothing was kept"
    );

    let (one, two) = (first["id"].as_str().expect("an id"), second["id"].as_str().expect("an id"));
    let compared = acme.get(&format!("{SCHEMAS}/{one}/compare/{two}")).await.expect(200)["data"].clone();
    assert_eq!((&compared["full"], &compared["breaks"]), (&json!(true), &json!([])));
    app.globex().get(&format!("{SCHEMAS}/{one}/compare/{two}")).await.expect_error(404);

    // What is written otherwise cannot keep up with it.
    let fields = json!([{ "name": "sensorId", "type": "string" }, { "name": "timestamp", "type": "long" }, { "name": "value", "type": "double" }]);
    let avro = json!({ "name": "room", "type": "avro", "definition": { "type": "record", "name": "reading", "fields": fields } });
    assert!(acme.post(SCHEMAS, &avro).await.expect_error(409).contains("of one type"));

    // Whoever gives the promise up may break it.
    acme.put(&format!("{SCHEMAS}/{two}"), &json!({ "compatibility": "none" })).await.expect(200);
    let third = acme.post(SCHEMAS, &form(&worse)).await.expect(201)["data"].clone();
    assert_eq!((&third["version"], &third["compatibility"]), (&json!(3), &json!("none")));
    app.stop();
}

#[tokio::test]
async fn a_definition_that_nothing_uses_may_change_and_counts_at_once() {
    let app = App::start().await;
    let acme = app.acme();
    let form = json!({ "name": "room", "type": "json-schema", "definition": { "required": ["quality"] } });
    let answer = acme.post(SCHEMAS, &form).await.expect(201)["data"].clone();
    let path = format!("{SCHEMAS}/{}", answer["id"].as_str().expect("an id"));
    acme.post(TOPICS, &json!({ "name": "rooms", "schemaId": answer["id"], "errorStrategy": "reject" })).await.expect(201);
    let reading = json!({ "sensorId": "a", "timestamp": "2026-05-04T12:00:00Z", "value": 1, "topic": "rooms" });
    acme.post("/api/timescale/sensor-readings", &reading).await.expect_error(422);
    let open = json!({ "definition": {} });
    assert!(acme.put(&path, &open).await.expect_error(409).contains("topic rooms"));
    acme.put(&path, &json!({ "compatibility": "backward" })).await.expect(200);
    let read = acme.get(&path).await;
    let careful = acme.clone().with("if-match", read.header("etag").expect("a tag"));
    acme.delete(&format!("{TOPICS}/rooms/schema")).await.expect(200);
    careful.put(&path, &open).await.expect(200);
    careful.put(&path, &open).await.expect_error(412);
    careful.delete(&path).await.expect_error(412);
    acme.put(&format!("{TOPICS}/rooms/schema"), &json!({ "schemaId": answer["id"] })).await.expect(200);
    acme.post("/api/timescale/sensor-readings", &reading).await.expect(201);
    app.stop();
}

#[tokio::test]
async fn a_definition_is_held_against_what_is_stored_before_it_counts() {
    let app = App::start().await;
    let acme = app.acme();
    acme.post(TOPICS, &json!({ "name": "rooms" })).await.expect(201);
    let now = SystemClock.now();
    for (minutes, value) in [(1, json!(21.5)), (2, json!("hot")), (3, json!(300))] {
        let time = (now - chrono::TimeDelta::minutes(minutes)).to_rfc3339();
        let reading = json!({ "sensorId": "a", "timestamp": time, "values": { "t": value }, "topic": "rooms" });
        acme.post("/api/timescale/sensor-readings", &reading).await.expect(201);
    }
    let strict = room(&json!({ "t": { "type": "number", "maximum": 100 } }), &["t"]);
    let told = acme.post(CHECK, &json!({ "definition": strict, "topic": "rooms", "hours": 1 })).await.expect(200)["data"].clone();
    let stored = &told["stored"];
    assert_eq!((&stored["checked"], &stored["failing"], &stored["complete"]), (&json!(3), &json!(2), &json!(true)), "{told}");
    assert_eq!(stored["samples"][0]["path"], "/values/t");
    for (form, place) in [
        (json!({ "definition": strict, "topic": "nowhere" }), "/topic"),
        (json!({ "definition": strict, "topic": "rooms", "hours": 0 }), "/hours"),
        (json!({ "definition": { "type": "nothing" } }), "/definition"),
    ] {
        assert_eq!(acme.post(CHECK, &form).await.expect(400)["details"][0]["path"], place);
    }
    app.client("acme", "device").post(CHECK, &json!({ "definition": strict })).await.expect_error(403);
    app.stop();
}

#[tokio::test]
async fn versions_that_are_registered_at_once_are_all_compared_with_the_one_before() {
    let app = App::start().await;
    let acme = app.acme();
    let form = |number: u32| {
        let definition = json!({ "type": "object", "properties": { format!("p{number}"): { "type": "number" } } });
        json!({ "name": "room", "type": "json-schema", "definition": definition, "compatibility": "full" })
    };
    let made = (0..5).map(|number| {
        let acme = acme.clone();
        async move { acme.post(SCHEMAS, &form(number)).await.status }
    });
    let statuses = futures_util::future::join_all(made).await;
    let registered = statuses.iter().filter(|status| **status == 201).count();
    assert!(statuses.iter().all(|status| matches!(status, 201 | 409)) && registered > 0, "{statuses:?}");
    let versions = acme.get(&format!("{SCHEMAS}/name/room/versions")).await.expect(200)["data"].clone();
    let numbers: Vec<_> = versions.as_array().expect("a list").iter().rev().filter_map(|one| one["version"].as_u64()).collect();
    assert_eq!(numbers, (1..=registered as u64).collect::<Vec<_>>());
    app.stop();
}

/// Sends a reading until it is answered so; fails where that takes longer than a change may take to reach a replica.
async fn seen(client: &Client, status: u16) {
    let reading = json!({ "sensorId": "room-4", "timestamp": "2026-05-04T12:00:00Z", "value": 1, "topic": "rooms" });
    let since = Instant::now();
    loop {
        let answer = client.post("/api/timescale/sensor-readings", &reading).await;
        if answer.status == status {
            return;
        }
        assert!(since.elapsed() < Duration::from_secs(2), "{} after 2 s, and not {status}", answer.status);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn a_change_through_one_replica_is_seen_by_the_other_within_two_seconds() {
    let app = App::start().await;
    let replica = app.replica();
    let (one, other) = (app.acme(), replica.acme());
    one.post(TOPICS, &json!({ "name": "rooms", "errorStrategy": "reject" })).await.expect(201);
    // What the other keeps in memory is kept by now.
    seen(&other, 201).await;
    let strict = json!({ "name": "strict", "type": "json-schema", "definition": { "required": ["quality"] } });
    let strict = one.post("/api/platform/schemas", &strict).await.expect(201)["data"]["id"].clone();
    one.put(&format!("{TOPICS}/rooms/schema"), &json!({ "schemaId": strict })).await.expect(200);
    seen(&other, 422).await;
    one.delete(&format!("{TOPICS}/rooms/schema")).await.expect(200);
    seen(&other, 201).await;
    let validator = json!({ "name": "strict", "kind": "json-schema", "schemaId": strict, "errorStrategy": "reject" });
    let validator = one.post("/api/platform/validators", &validator).await.expect(201)["data"]["id"].clone();
    one.put("/api/platform/validators/chain/rooms", &json!({ "validatorIds": [validator] })).await.expect(200);
    seen(&other, 422).await;
    let path = format!("/api/platform/validators/{}", validator.as_str().expect("an id"));
    one.put(&path, &json!({ "status": "inactive" })).await.expect(200);
    seen(&other, 201).await;
    let tenant = "/api/platform/tenants/acme";
    app.administrator().put(tenant, &json!({ "quotas": { "requestsPerSecond": 1 } })).await.expect(200);
    seen(&other, 429).await;
    app.administrator().put(tenant, &json!({ "status": "suspended", "quotas": { "requestsPerSecond": null } })).await.expect(200);
    seen(&other, 403).await;
    replica.stop();
    app.stop();
}
