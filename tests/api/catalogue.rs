//! Topics, schemas and chains.

use serde_json::json;

use crate::support::app::App;

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
