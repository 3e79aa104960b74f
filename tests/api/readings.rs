//! Readings in and out.

use std::fmt::Write as _;

use reqwest::{Body, Method};
use serde_json::{Value, json};

use crate::support::app::App;
use crate::support::client::Client;
use crate::support::guests;

const READINGS: &str = "/api/timescale/sensor-readings";
const BULK: &str = "/api/timescale/sensor-readings/bulk";

fn at(minute: u32) -> String {
    format!("2026-05-04T12:{minute:02}:00Z")
}

async fn lines(client: &Client, query: &str, body: impl Into<Body>) -> Value {
    client
        .clone()
        .with("content-type", "application/x-ndjson")
        .ask(Method::POST, &format!("{BULK}{query}"), body)
        .await
        .expect(200)["data"]
        .clone()
}

/// A validator of tenant `acme` with this guest, in the chain of a new topic.
async fn topic_with(app: &App, topic: &str, guest: &str, config: Value, strategy: &str) {
    let acme = app.acme();
    acme.post("/api/platform/kafka-topics", &json!({ "name": topic })).await.expect(201);
    let form = json!({ "name": guest, "config": config, "errorStrategy": strategy });
    let id = acme.post("/api/platform/validators", &form).await.expect(201)["data"]["id"].clone();
    let module = format!("/api/platform/validators/{}/module", id.as_str().expect("an id"));
    acme.clone().with("content-type", "application/wasm").ask(Method::PUT, &module, guests::component(guest)).await.expect(201);
    acme.put(&format!("/api/platform/validators/chain/{topic}"), &json!({ "validatorIds": [id] })).await.expect(200);
}

#[tokio::test]
async fn what_is_sent_is_what_is_read() {
    let app = App::start().await;
    let acme = app.acme();
    let sent = json!({
        "sensorId": "room/4 ä", "timestamp": "2026-05-04T15:00:00.123456+03:00",
        "values": { "temperature": 21.5, "open": true, "mode": "eco", "count": 9_007_199_254_740_992_i64, "tiny": 5e-324 },
        "unit": { "temperature": "Cel" }, "schemaRef": "room@1", "quality": "suspect",
    });
    let stored = acme.post(READINGS, &sent).await;
    let location = stored.header("location").expect("a location").to_owned();
    assert_eq!(stored.expect(201)["data"]["outcome"], "stored");
    let read = acme.get(&location).await.expect(200)["data"].clone();
    assert_eq!(read["values"], sent["values"]);
    assert_eq!((&read["unit"], &read["quality"], &read["schemaRef"]), (&sent["unit"], &sent["quality"], &sent["schemaRef"]));
    assert_eq!(read["timestamp"], "2026-05-04T12:00:00.123456Z");
    // The same again changes nothing; another value replaces it.
    assert_eq!(acme.post(READINGS, &sent).await.expect(201)["data"]["outcome"], "unchanged");
    let mut other = sent.clone();
    other["values"]["temperature"] = 22.0.into();
    assert_eq!(acme.post(READINGS, &other).await.expect(201)["data"]["outcome"], "replaced");
    assert_eq!(acme.get(&location).await.expect(200)["data"]["values"]["temperature"], 22);
    acme.delete(&location).await.expect(204);
    acme.get(&location).await.expect_error(404);
    app.stop();
}

#[tokio::test]
async fn what_cannot_be_stored_exactly_is_refused_with_its_place() {
    let app = App::start().await;
    let acme = app.acme();
    for (body, pointer) in [
        (r#"{"sensorId":"a","timestamp":0,"value":9007199254740993}"#, "/value"),
        (r#"{"sensorId":"a","timestamp":0,"values":{"t":1e999}}"#, "/values/t"),
        (r#"{"sensorId":"a","timestamp":0,"values":{"t":NaN}}"#, ""),
        (r#"{"sensorId":"a","timestamp":0,"values":{"t":null}}"#, "/values/t"),
        (r#"{"sensorId":"a","timestamp":0,"values":{"t":[1]}}"#, "/values/t"),
        (r#"{"sensorId":"a","timestamp":0,"values":{}}"#, "/values"),
        (r#"{"sensorId":"a","timestamp":0}"#, ""),
        (r#"{"sensorId":"a","timestamp":0,"value":1,"values":{"t":1}}"#, ""),
        (r#"{"sensorId":"","timestamp":0,"value":1}"#, "/sensorId"),
        (r#"{"sensorId":"a","timestamp":"yesterday","value":1}"#, "/timestamp"),
        (r#"{"sensorId":"a","timestamp":"9999-01-01T00:00:00Z","value":1}"#, "/timestamp"),
        (r#"{"sensorId":"a","timestamp":-1,"value":1}"#, "/timestamp"),
        (r#"{"sensorId":"a","timestamp":0,"value":1,"value":2}"#, ""),
        (r#"{"sensorId":"a","timestamp":0,"values":{"t":1,"t":2}}"#, "/values"),
        (r#"{"sensorId":"a\u0000b","timestamp":0,"value":1}"#, "/sensorId"),
        (r#"{"sensorId":"a","timestamp":0,"value":"x\u0000y"}"#, "/value"),
        (r#"{"sensorId":"a","timestamp":0,"value":1,"quality":"great"}"#, "/quality"),
        (r#"["a",0,{"t":1}]"#, ""),
        (r#""a""#, ""),
    ] {
        let answer = acme.json(Method::POST, READINGS, body).await;
        assert_eq!(answer.status, 400, "{body}: {answer:?}");
        let error = answer.expect(400);
        assert!(pointer.is_empty() || error["details"][0]["path"] == pointer, "{body}: {error}");
    }
    assert_eq!(acme.get(READINGS).await.expect(200)["data"], json!([]));
    app.stop();
}

#[tokio::test]
async fn pages_are_stable_and_ranges_are_half_open() {
    let app = App::start().await;
    let acme = app.acme();
    let readings: Vec<Value> = (0..30)
        .map(|number| json!({ "sensorId": format!("s{}", number % 3), "timestamp": at(number), "value": number }))
        .collect();
    let outcome = acme.post(BULK, &json!({ "readings": readings })).await.expect(200);
    assert_eq!((&outcome["data"]["accepted"], &outcome["data"]["rejected"]), (&30.into(), &json!([])));
    let (mut seen, mut path) = (Vec::new(), format!("{READINGS}?limit=7&order=asc"));
    loop {
        let page = acme.get(&path).await.expect(200);
        seen.extend(
            page["data"].as_array().expect("a list").iter().map(|one| one["values"]["value"].as_i64().expect("a number")),
        );
        let Some(cursor) = page["nextCursor"].as_str() else { break };
        // What is written meanwhile moves no page.
        acme.post(READINGS, &json!({ "sensorId": "s0", "timestamp": "2026-05-04T11:00:00Z", "value": -1 })).await.expect(201);
        path = format!("{READINGS}?limit=7&order=asc&cursor={cursor}");
    }
    assert_eq!(seen, (0..30).collect::<Vec<_>>());
    let range = acme.get(&format!("/api/timescale/sensors/s1/range?from={}&to={}", at(1), at(7))).await.expect(200);
    let values: Vec<_> = range["data"].as_array().expect("a list").iter().map(|one| one["values"]["value"].as_i64()).collect();
    assert_eq!(values, [Some(1), Some(4)]);
    let latest = acme.get("/api/timescale/sensors/s2/latest").await.expect(200);
    assert_eq!(
        (&latest["data"]["values"]["value"], &latest["data"]["timestamp"]),
        (&29.into(), &"2026-05-04T12:29:00.000000Z".into())
    );
    acme.get("/api/timescale/sensors/none/latest").await.expect_error(404);
    let sensors = acme.get("/api/timescale/sensors?prefix=s").await.expect(200);
    assert_eq!(sensors["data"].as_array().map(Vec::len), Some(3));
    for bad in [
        "?from=2026-05-04T12:00:00Z&to=2026-05-04T11:00:00Z",
        "?from=x",
        "?from=253402300800000",
        "?order=up",
        "?cursor=zzz",
        "?limit=0",
        "?sensor=a",
    ] {
        acme.get(&format!("{READINGS}{bad}")).await.expect_error(400);
    }
    app.stop();
}

#[tokio::test]
async fn lines_of_any_number_are_stored_and_the_bad_ones_named() {
    let app = App::start().await;
    let acme = app.acme();
    let mut body = String::new();
    for number in 0..25_000 {
        let time = 1_777_896_000_000_i64 + number;
        let _ = writeln!(body, "{{\"sensorId\":\"s{}\",\"timestamp\":{time},\"value\":{number}}}", number % 50);
        if number == 12_345 {
            body += "{\"sensorId\":\n\n";
        }
    }
    let outcome = lines(&acme, "", body).await;
    assert_eq!((&outcome["accepted"], &outcome["rejectedCount"]), (&25_000.into(), &1.into()), "{outcome}");
    assert_eq!((&outcome["rejected"][0]["index"], &outcome["rejected"][0]["validator"]), (&12_346.into(), &"decoder".into()));
    let rows: i64 =
        sqlx::query_scalar("select count(*) from readings").fetch_one(&app.databases.readings().await).await.expect("a count");
    assert_eq!(rows, 25_000);
    app.stop();
}

#[tokio::test]
async fn atomic_stores_all_or_nothing() {
    let app = App::start().await;
    let acme = app.acme();
    let good = json!({ "sensorId": "a", "timestamp": at(0), "value": 1 });
    let bad = json!({ "sensorId": "a", "timestamp": "never", "value": 1 });
    let refused = acme.post(&format!("{BULK}?atomic=true"), &json!({ "readings": [good, bad] })).await.expect(422);
    assert!(refused["details"][0]["path"].as_str().is_some_and(|path| path.starts_with("/readings/1")), "{refused}");
    assert_eq!(acme.get(READINGS).await.expect(200)["data"], json!([]));
    let part = acme.post(BULK, &json!({ "readings": [good, bad] })).await.expect(200);
    assert_eq!((&part["data"]["accepted"], &part["data"]["rejected"][0]["index"]), (&1.into(), &1.into()));
    acme.post(BULK, &json!({ "readings": [] })).await.expect_error(400);
    acme.post(BULK, &json!([good])).await.expect_error(400);
    acme.post(BULK, &json!([[good]])).await.expect_error(400);
    app.stop();
}

#[tokio::test]
async fn a_schemas_no_is_a_422_with_its_name_and_place() {
    let app = App::start().await;
    let acme = app.acme();
    let definition = json!({ "properties": { "values": { "required": ["temperature"] } } });
    let schema = json!({ "name": "room", "type": "json-schema", "definition": definition });
    let id = acme.post("/api/platform/schemas", &schema).await.expect(201)["data"]["id"].clone();
    acme.post("/api/platform/kafka-topics", &json!({ "name": "rooms", "schemaId": id, "errorStrategy": "reject" }))
        .await
        .expect(201);
    let mut reading = json!({ "sensorId": "a", "timestamp": at(0), "values": { "humidity": 4 }, "topic": "rooms" });
    let refused = acme.post(READINGS, &reading).await.expect(422);
    let detail = &refused["details"][0];
    assert_eq!((&detail["validator"], &detail["path"]), (&"room@1".into(), &"/values".into()), "{refused}");
    assert!(detail["message"].as_str().is_some_and(|message| message.contains("temperature")), "{refused}");
    reading["values"]["temperature"] = 20.into();
    acme.post(READINGS, &reading).await.expect(201);
    reading["topic"] = "no-such-topic".into();
    assert!(acme.post(READINGS, &reading).await.expect_error(400).contains("no-such-topic"));
    app.stop();
}

#[tokio::test]
async fn a_modules_no_is_a_422_with_its_name_and_reason() {
    let app = App::start().await;
    let config = json!({ "limits": { "temperature": { "min": -40, "max": 85 } } });
    topic_with(&app, "rooms", "range-check", config, "reject").await;
    let reading =
        |value: f64| json!({ "sensorId": "a", "timestamp": at(0), "values": { "temperature": value }, "topic": "rooms" });
    let refused = app.acme().post(READINGS, &reading(900.0)).await.expect(422);
    let detail = &refused["details"][0];
    assert_eq!((&detail["validator"], &detail["path"]), (&"range-check".into(), &"/values/temperature".into()), "{refused}");
    assert!(refused["error"].as_str().is_some_and(|error| error.contains("900") && error.contains("85")), "{refused}");
    app.acme().post(READINGS, &reading(21.0)).await.expect(201);
    // Many at once: the one that is refused is named, the others are stored.
    let bulk = app.acme().post(BULK, &json!({ "readings": [reading(22.0), reading(900.0)] })).await.expect(200);
    assert_eq!(
        (&bulk["data"]["accepted"], &bulk["data"]["rejected"][0]["validator"]),
        (&1.into(), &"range-check".into()),
        "{bulk}"
    );
    app.stop();
}

#[tokio::test]
async fn each_error_strategy_does_what_it_says() {
    let app = App::start().await;
    let config = json!({ "limits": { "value": { "max": 10 } } });
    let kept = app.databases.readings().await;
    topic_with(&app, "rooms", "range-check", config, "quarantine").await;
    let list = app.acme().get("/api/platform/validators").await.expect(200);
    let id = list["data"][0]["id"].as_str().expect("an id").to_owned();
    let reading = |minute: u32| json!({ "sensorId": "a", "timestamp": at(minute), "value": 99, "topic": "rooms" });
    let strategy = async |word: &str| {
        let path = format!("/api/platform/validators/{id}/error-strategy");
        app.acme().put(&path, &json!({ "errorStrategy": word })).await.expect(200);
    };
    let quarantined =
        async || -> i64 { sqlx::query_scalar("select count(*) from quarantine").fetch_one(&kept).await.expect("a count") };
    assert!(app.acme().post(READINGS, &reading(1)).await.expect_error(422).contains("quarantine"));
    assert_eq!(quarantined().await, 1);
    strategy("reject").await;
    app.acme().post(READINGS, &reading(2)).await.expect_error(422);
    assert_eq!(quarantined().await, 1);
    strategy("flag").await;
    app.acme().post(READINGS, &reading(3)).await.expect(201);
    let stored = app.acme().get(READINGS).await.expect(200);
    assert_eq!((stored["data"].as_array().map(Vec::len), &stored["data"][0]["quality"]), (Some(1), &"suspect".into()));
    // Over HTTP there is nothing to stop.
    strategy("stop").await;
    app.acme().post(READINGS, &reading(4)).await.expect_error(422);
    assert_eq!(quarantined().await, 1);
    app.stop();
}

#[tokio::test]
async fn a_transformation_changes_what_is_stored() {
    let app = App::start().await;
    topic_with(
        &app,
        "rooms",
        "unit-convert",
        json!({ "convert": { "temperature": { "from": "[degF]", "to": "Cel" } } }),
        "reject",
    )
    .await;
    let reading = json!({ "sensorId": "a", "timestamp": at(0), "values": { "temperature": 212 }, "topic": "rooms" });
    app.acme().post(READINGS, &reading).await.expect(201);
    let latest = app.acme().get("/api/timescale/sensors/a/latest").await.expect(200);
    let celsius = latest["data"]["values"]["temperature"].as_f64().expect("a number");
    assert!((celsius - 100.0).abs() < 1e-9, "{latest}");
    assert_eq!(latest["data"]["unit"]["temperature"], "Cel");
    app.stop();
}

#[tokio::test]
async fn a_rule_about_a_sensor_holds_for_writing_and_in_every_list() {
    let rules = "g, token:administrator, administrator, acme\n\
                 p, token:device, acme, /timescale/sensors/room-*, write, allow\n\
                 p, token:reader, acme, /timescale/**, read, allow\n\
                 p, token:reader, acme, /timescale/sensors/secret-*, read, deny\n";
    let app = App::builder().policy("tenants/acme.csv", rules).start().await;
    let device = app.client("acme", "device");
    let reading = |sensor: &str| json!({ "sensorId": sensor, "timestamp": at(0), "value": 1 });
    device.post(READINGS, &reading("room-1")).await.expect(201);
    device.post(READINGS, &reading("secret-1")).await.expect_error(403);
    let part = device.post(BULK, &json!({ "readings": [reading("room-2"), reading("secret-1")] })).await.expect(200);
    assert_eq!((&part["data"]["accepted"], &part["data"]["rejected"][0]["validator"]), (&1.into(), &"policy".into()), "{part}");
    app.acme().post(READINGS, &reading("secret-1")).await.expect(201);
    let reader = app.client("acme", "reader");
    reader.get("/api/timescale/sensors/secret-1/latest").await.expect_error(403);
    let listed = reader.get(READINGS).await.expect(200);
    assert!(!listed.to_string().contains("secret"), "{listed}");
    assert_eq!(listed["data"].as_array().map(Vec::len), Some(2));
    assert!(!reader.get("/api/timescale/sensors").await.expect(200).to_string().contains("secret"));
    app.stop();
}

#[tokio::test]
async fn the_books_balance_for_every_request() {
    let app = App::start().await;
    let readings: Vec<Value> = (0..100)
        .map(|number| json!({ "sensorId": "a", "timestamp": if number % 10 == 0 { "x".to_owned() } else { at(number % 60) }, "value": number }))
        .collect();
    app.acme().post(BULK, &json!({ "readings": readings })).await.expect(200);
    let pool = app.databases.readings().await;
    let (read, sum): (i64, i64) = sqlx::query_as(
        "select sum(read)::bigint, sum(stored + duplicate + quarantined + skipped)::bigint from batches where tenant = 'acme'",
    )
    .fetch_one(&pool)
    .await
    .expect("books");
    assert_eq!((read, sum), (90, 90), "what cannot be read by HTTP was never taken in");
    app.stop();
}
