//! What is kept aside: seen, replayed once, deleted, and always in the books.

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::app::App;
use crate::support::guests;

const READINGS: &str = "/api/timescale/sensor-readings";
const QUARANTINE: &str = "/api/platform/quarantine";
const REPLAY: &str = "/api/platform/quarantine/replay";

/// Topic `rooms`, whose readings have to have a temperature.
async fn rooms(app: &App) {
    let acme = app.acme();
    let definition = json!({ "properties": { "values": { "required": ["temperature"] } } });
    let form = json!({ "name": "room", "type": "json-schema", "definition": definition });
    let schema = acme.post("/api/platform/schemas", &form).await.expect(201)["data"]["id"].clone();
    acme.post("/api/platform/kafka-topics", &json!({ "name": "rooms", "schemaId": schema })).await.expect(201);
}

/// A reading that the schema refuses.
fn cold(sensor: &str, second: u32) -> Value {
    json!({ "sensorId": sensor, "timestamp": format!("2026-05-04T12:00:{second:02}Z"), "values": { "humidity": second }, "topic": "rooms" })
}

async fn keep_aside(app: &App, sensor: &str, seconds: std::ops::Range<u32>) {
    for second in seconds {
        app.acme().post(READINGS, &cold(sensor, second)).await.expect_error(422);
    }
}

async fn entries(app: &App, query: &str) -> Vec<Value> {
    app.acme().get(&format!("{QUARANTINE}{query}")).await.expect(200)["data"].as_array().expect("a list").clone()
}

/// Books and rows agree, as the command says it.
pub(super) fn assert_verified(app: &App, tenant: &str) -> Value {
    let (sound, recount) = verify(app, tenant, &[]);
    assert!(sound, "{recount}");
    recount
}

/// Runs `weir ledger verify`; true where it ends with 0.
pub(super) fn verify(app: &App, tenant: &str, more: &[&str]) -> (bool, Value) {
    app.shell_json(&[&["ledger", "verify", "--json", "--tenant", tenant], more].concat())
}

#[tokio::test]
async fn what_was_kept_aside_is_seen_by_page_cause_and_id() {
    let app = App::start().await;
    rooms(&app).await;
    keep_aside(&app, "attic", 0..5).await;
    let all = entries(&app, "?topic=rooms").await;
    assert_eq!(all.len(), 5);
    assert_eq!(
        (&all[0]["refuserKind"], &all[0]["refuser"], &all[0]["state"]),
        (&json!("schema"), &json!("room@1"), &json!("waiting"))
    );
    assert_eq!(serde_json::from_str::<Value>(all[0]["raw"].as_str().expect("text")).expect("JSON"), cold("attic", 4));
    let first = app.acme().get(&format!("{QUARANTINE}?limit=3")).await.expect(200);
    let cursor = first["nextCursor"].as_str().expect("there is more").to_owned();
    let second = entries(&app, &format!("?limit=3&cursor={cursor}")).await;
    assert_eq!([first["data"].as_array().expect("a list").clone(), second].concat(), all);
    for (query, found) in [
        ("?refuser=room@1", 5),
        ("?refuser=other", 0),
        ("?refuserKind=decoder", 0),
        ("?state=replayed", 0),
        ("?to=2020-01-01T00:00:00Z", 0),
    ] {
        assert_eq!(entries(&app, query).await.len(), found, "{query}");
    }
    let causes = app.acme().get(&format!("{QUARANTINE}/causes")).await.expect(200)["data"].clone();
    assert_eq!(
        (causes.as_array().map(Vec::len), &causes[0]["entries"], &causes[0]["example"]),
        (Some(1), &json!(5), &all[0]["id"])
    );
    let one = app.acme().get(&format!("{QUARANTINE}/{}", all[2]["id"].as_str().expect("an id"))).await.expect(200);
    assert_eq!(one["data"]["id"], all[2]["id"]);
    app.acme().get(&format!("{QUARANTINE}/01890000-0000-7000-8000-000000000000")).await.expect_error(404);
    for bad in [
        "?state=lost",
        "?refuserKind=x",
        "?cursor=!",
        "?limit=0",
        "?colour=red",
        "?from=2026-01-02T00:00:00Z&to=2026-01-01T00:00:00Z",
    ] {
        app.acme().get(&format!("{QUARANTINE}{bad}")).await.expect_error(400);
    }
    app.client("acme", "reader").get(QUARANTINE).await.expect_error(403);
    let none = app.globex().get(QUARANTINE).await.expect(200)["data"].clone();
    assert_eq!(none, json!([]));
    assert_verified(&app, "acme");
    app.stop();
}

#[tokio::test]
async fn a_replay_stores_what_passes_today_and_says_why_the_rest_stays() {
    let app = App::start().await;
    rooms(&app).await;
    keep_aside(&app, "attic", 0..4).await;
    let acme = app.acme();
    // Today's rules say the same as before.
    let again = acme.post(REPLAY, &json!({ "filter": { "topic": "rooms" } })).await.expect(200)["data"].clone();
    assert_eq!((&again["stored"], &again["refused"], &again["more"]), (&json!(0), &json!(4), &json!(false)));
    let waiting = entries(&app, "").await;
    assert_eq!((waiting.len(), &waiting[0]["attempts"], &waiting[0]["lastAttempt"]["refuser"]), (4, &json!(1), &json!("room@1")));

    acme.delete("/api/platform/kafka-topics/rooms/schema").await.expect(200);
    // One of them was sent again meanwhile.
    acme.post(READINGS, &cold("attic", 3)).await.expect(201);
    let id = waiting[3]["id"].clone();
    let one =
        acme.post(REPLAY, &json!({ "ids": [id, "01890000-0000-7000-8000-000000000000"] })).await.expect(200)["data"].clone();
    assert_eq!(
        (&one["stored"], &one["entries"][0]["outcome"], &one["entries"][1]["outcome"]),
        (&json!(1), &json!("stored"), &json!("missing"))
    );
    let rest = acme.post(REPLAY, &json!({ "filter": {}, "limit": 1000 })).await.expect(200)["data"].clone();
    assert_eq!((&rest["stored"], &rest["duplicate"], &rest["refused"]), (&json!(2), &json!(1), &json!(0)));
    let twice = acme.post(REPLAY, &json!({ "ids": [id] })).await.expect(200)["data"].clone();
    assert_eq!((&twice["stored"], &twice["entries"][0]["outcome"]), (&json!(0), &json!("elsewhere")));

    assert_eq!(entries(&app, "").await.len(), 0);
    let replayed = entries(&app, "?state=replayed").await;
    assert_eq!((replayed.len(), &replayed[0]["replayed"]["outcome"]), (4, &json!("duplicate")));
    let stored = acme.get("/api/timescale/topics/rooms/readings").await.expect(200)["data"].clone();
    assert_eq!(stored.as_array().map(Vec::len), Some(4));
    let books = acme.get("/api/timescale/ledger?topic=rooms").await.expect(200)["data"]["lines"].clone();
    let line =
        |origin: &str| books.as_array().expect("lines").iter().find(|line| line["origin"] == origin).expect("a line").clone();
    assert_eq!((&line("http")["quarantined"], &line("http")["stored"]), (&json!(4), &json!(1)));
    assert_eq!(
        (&line("replay")["read"], &line("replay")["stored"], &line("replay")["duplicate"]),
        (&json!(4), &json!(3), &json!(1))
    );
    assert_verified(&app, "acme");

    for bad in [
        json!({}),
        json!({ "ids": [] }),
        json!({ "ids": [id], "filter": {} }),
        json!({ "filter": {}, "limit": 0 }),
        json!({ "filter": {}, "limit": 1001 }),
        json!({ "filter": { "state": "replayed" } }),
        json!({ "filter": { "colour": "red" } }),
        json!({ "ids": [id], "limit": 5 }),
    ] {
        acme.post(REPLAY, &bad).await.expect_error(400);
    }
    app.stop();
}

#[tokio::test]
async fn of_replays_at_once_each_reading_is_stored_once() {
    let app = App::start().await;
    rooms(&app).await;
    keep_aside(&app, "attic", 0..40).await;
    app.acme().delete("/api/platform/kafka-topics/rooms/schema").await.expect(200);
    let replica = app.replica_as("api");
    let (here, there) = (app.acme(), replica.acme());
    let form = json!({ "filter": { "topic": "rooms" } });
    let replays = futures_util::future::join_all(
        (0..6).map(|n| if n % 2 == 0 { here.post(REPLAY, &form) } else { there.post(REPLAY, &form) }),
    );
    let (mut stored, mut left) = (0, 0);
    for replay in replays.await {
        let replay = replay.expect(200)["data"].clone();
        stored += replay["stored"].as_u64().expect("a number");
        assert_eq!((&replay["duplicate"], &replay["refused"]), (&json!(0), &json!(0)), "{replay}");
        left += replay["entries"].as_array().expect("a list").iter().filter(|entry| entry["outcome"] == "stored").count();
    }
    // Whoever lost all of them to somebody else has none; together they have each once.
    assert_eq!((stored, left), (40, 40));
    assert_eq!(entries(&app, "").await.len(), 0);
    let recount = assert_verified(&app, "acme");
    assert_eq!(recount["rows"], 40);
    replica.stop();
    app.stop();
}

#[tokio::test]
async fn a_replay_is_by_its_caller_and_refuses_a_denied_sensor_by_reading() {
    let rules = "g, token:administrator, administrator, acme\ng, token:reader, operator, acme\n\
        p, token:reader, acme, /timescale/sensors/vault, write, deny\n";
    let app = App::builder().policy("tenants/acme.csv", rules).start().await;
    rooms(&app).await;
    keep_aside(&app, "attic", 0..2).await;
    keep_aside(&app, "vault", 2..4).await;
    app.acme().delete("/api/platform/kafka-topics/rooms/schema").await.expect(200);
    let operator = app.client("acme", "reader");
    let replay = operator.post(REPLAY, &json!({ "filter": {} })).await.expect(200)["data"].clone();
    assert_eq!((&replay["stored"], &replay["refused"]), (&json!(2), &json!(2)), "{replay}");
    let waiting = entries(&app, "").await;
    assert!(waiting.iter().all(|entry| entry["lastAttempt"]["refuserKind"] == "policy"), "{waiting:?}");
    app.client("acme", "device").post(REPLAY, &json!({ "filter": {} })).await.expect_error(403);
    // A topic that is gone refuses too, and nothing is lost.
    app.acme().delete("/api/platform/kafka-topics/rooms").await.expect(204);
    let gone = app.acme().post(REPLAY, &json!({ "filter": {} })).await.expect(200)["data"].clone();
    assert_eq!((&gone["refused"], entries(&app, "").await.len()), (&json!(2), 2));
    assert_verified(&app, "acme");
    app.stop();
}

#[tokio::test]
async fn a_replay_may_name_its_validators() {
    let app = App::start().await;
    let acme = app.acme();
    acme.post("/api/platform/kafka-topics", &json!({ "name": "rooms" })).await.expect(201);
    let form =
        json!({ "name": "range-check", "errorStrategy": "quarantine", "config": { "limits": { "humidity": { "max": 0 } } } });
    let id = acme.post("/api/platform/validators", &form).await.expect(201)["data"]["id"].clone();
    let module = format!("/api/platform/validators/{}/module", id.as_str().expect("an id"));
    let range = guests::component("range-check");
    acme.clone().with("content-type", "application/wasm").ask(Method::PUT, &module, range).await.expect(201);
    acme.put("/api/platform/validators/chain/rooms", &json!({ "validatorIds": [id] })).await.expect(200);
    keep_aside(&app, "attic", 1..3).await;
    let through = async |validators: Value| {
        acme.post(REPLAY, &json!({ "filter": {}, "limit": 1, "validatorIds": validators })).await.expect(200)["data"].clone()
    };
    assert_eq!(through(json!([id])).await["refused"], 1);
    let replay = through(json!([])).await;
    assert_eq!((&replay["stored"], &replay["more"]), (&json!(1), &json!(true)));
    let unknown = json!({ "filter": {}, "validatorIds": ["01890000-0000-7000-8000-000000000000"] });
    assert!(acme.post(REPLAY, &unknown).await.expect_error(400).contains("Validator"));
    assert_verified(&app, "acme");
    app.stop();
}

#[tokio::test]
async fn what_is_deleted_stays_in_the_books() {
    let app = App::start().await;
    rooms(&app).await;
    keep_aside(&app, "attic", 0..6).await;
    let acme = app.acme();
    let all = entries(&app, "").await;
    let path = |entry: &Value| format!("{QUARANTINE}/{}", entry["id"].as_str().expect("an id"));
    acme.delete(QUARANTINE).await.expect_error(400);
    app.globex().delete(&path(&all[0])).await.expect_error(404);
    acme.delete(&path(&all[0])).await.expect(204);
    acme.delete(&path(&all[0])).await.expect_error(404);
    assert_verified(&app, "acme");
    // One is replayed before it is deleted.
    acme.delete("/api/platform/kafka-topics/rooms/schema").await.expect(200);
    acme.post(REPLAY, &json!({ "ids": [all[1]["id"]] })).await.expect(200);
    let before = all[3]["time"].as_str().expect("a time");
    let some = acme.delete(&format!("{QUARANTINE}?topic=rooms&to={before}")).await.expect(200)["data"].clone();
    assert_eq!((&some["deleted"], &some["more"]), (&json!(2), &json!(false)));
    assert_eq!(acme.delete(&format!("{QUARANTINE}?topic=rooms")).await.expect(200)["data"]["deleted"], 3);
    assert_eq!(entries(&app, "").await.len(), 0);
    assert_verified(&app, "acme");
    let pool = app.databases.readings().await;
    let (noted, by): (i64, String) =
        sqlx::query_as("select sum(entries)::bigint, min(subject) from discards").fetch_one(&pool).await.expect("a row");
    assert_eq!((noted, by.as_str()), (6, "token:administrator"));
    app.stop();
}
