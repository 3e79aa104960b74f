//! Modules that fail in every way there is: each costs its own readings, with the words that its author must read.

mod churn;
mod documents;
mod grants;
mod hostile;
mod life;
mod objects;

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::app::App;
use crate::support::guests;

/// Posts `readings` to a topic with this guest, and answers what became of them.
async fn judged_by(app: &App, guest: &str, readings: &[Value]) -> Value {
    let acme = app.acme();
    let topic = format!("topic-of-{guest}");
    acme.post("/api/platform/kafka-topics", &json!({ "name": topic })).await.expect(201);
    let form = json!({ "name": guest, "errorStrategy": "reject" });
    let id = acme.post("/api/platform/validators", &form).await.expect(201)["data"]["id"].as_str().expect("an id").to_owned();
    let module = format!("/api/platform/validators/{id}/module");
    acme.clone().with("content-type", "application/wasm").ask(Method::PUT, &module, guests::component(guest)).await.expect(201);
    acme.put(&format!("/api/platform/validators/chain/{topic}"), &json!({ "validatorIds": [id] })).await.expect(200);
    let readings: Vec<Value> = readings
        .iter()
        .map(|reading| {
            let mut reading = reading.clone();
            reading["topic"] = topic.clone().into();
            reading
        })
        .collect();
    acme.post("/api/timescale/sensor-readings/bulk", &json!({ "readings": readings })).await.expect(200)["data"].clone()
}

fn three() -> Vec<Value> {
    (0..3).map(|number| json!({ "sensorId": "a", "timestamp": 1_777_896_000_000_i64 + number, "value": number })).collect()
}

#[tokio::test]
async fn each_way_to_fail_has_its_own_words() {
    let app = App::builder().set("WEIR_GUEST_TIME_MS", "1000").start().await;
    for (guest, words) in [
        ("fault-loops", "it ran longer than 1000 ms and was stopped"),
        ("fault-hoards", "it wanted more than 65536 KiB of memory"),
        ("fault-traps", "it trapped: "),
        ("fault-lies", "its answer cannot be used: `rejected` names row"),
        ("fault-nan", "its answer cannot be used: `value` gives row 0 the number NaN, which is not finite"),
        ("fault-twice", "its answer cannot be used: `rejected` names row 0 twice"),
        ("fault-bloats", "its answer cannot be used: "),
        ("fault-errs", "cannot judge this"),
    ] {
        let outcome = judged_by(&app, guest, &three()).await;
        assert_eq!((&outcome["accepted"], &outcome["rejectedCount"]), (&0.into(), &3.into()), "{guest}: {outcome}");
        for rejected in outcome["rejected"].as_array().expect("a list") {
            let reason = rejected["reason"].as_str().expect("a reason");
            assert!(reason.contains(words) && reason.len() < 1_200, "{guest}: {reason}");
            assert_eq!(rejected["validator"], guest);
        }
    }
    app.stop();
}

#[tokio::test]
async fn a_flood_of_log_lines_is_cut_and_harms_nobody() {
    let app = App::builder().set("WEIR_GUEST_TIME_MS", "5000").start().await;
    let outcome = judged_by(&app, "fault-floods", &three()).await;
    assert_eq!(outcome["accepted"], 3, "{outcome}");
    let lines = app.log().lines().filter(|line| line.contains("guest: ")).count();
    assert!((1..=100).contains(&lines), "{lines} lines");
    app.stop();
}

#[tokio::test]
async fn an_instance_remembers_nothing() {
    let app = App::start().await;
    assert_eq!(judged_by(&app, "fault-remembers", &three()).await["accepted"], 3);
    let again = json!({ "sensorId": "b", "timestamp": 1_777_896_000_000_i64, "value": 1, "topic": "topic-of-fault-remembers" });
    app.acme().post("/api/timescale/sensor-readings", &again).await.expect(201);
    app.stop();
}

#[tokio::test]
async fn only_the_readings_that_a_module_chokes_on_are_refused() {
    let app = App::start().await;
    let readings: Vec<Value> = (0..100)
        .map(|number| {
            let sensor = if number == 41 { "trap" } else { "fine" };
            json!({ "sensorId": sensor, "timestamp": 1_777_896_000_000_i64 + number, "values": { "t": number, "h": 1 } })
        })
        .collect();
    let outcome = judged_by(&app, "fault-trips", &readings).await;
    assert_eq!((&outcome["accepted"], &outcome["rejected"][0]["index"]), (&99.into(), &41.into()), "{outcome}");
    app.stop();
}

#[tokio::test]
async fn after_faults_in_a_row_a_module_rests() {
    let app = App::start().await;
    judged_by(&app, "fault-traps", &three()).await;
    let reading = json!({ "sensorId": "b", "timestamp": 1_777_896_000_000_i64, "value": 1, "topic": "topic-of-fault-traps" });
    let mut sentence = String::new();
    for _ in 0..6 {
        sentence = app.acme().post("/api/timescale/sensor-readings", &reading).await.expect_error(422);
    }
    assert!(sentence.contains("rests after 5 faults in a row; the last: it trapped"), "{sentence}");
    app.stop();
}
