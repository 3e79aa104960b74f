//! The books: their sums, one message, and the recount that finds what was tampered with.

use std::time::Duration;

use serde_json::{Value, json};
use sqlx::PgPool;

use super::quarantine::{assert_verified, verify};
use crate::support::app::App;
use crate::support::broker::Broker;

const READINGS: &str = "/api/timescale/sensor-readings";

fn reading(sensor: &str, second: u32, value: u32) -> Value {
    json!({ "sensorId": sensor, "timestamp": format!("2026-05-04T12:00:{second:02}Z"), "values": { "a": value, "b": 1 } })
}

#[tokio::test]
async fn a_recount_agrees_whatever_was_replaced_or_removed() {
    let app = App::start().await;
    let acme = app.acme();
    let outcome = async |reading: Value| acme.post(READINGS, &reading).await.expect(201)["data"]["outcome"].clone();
    for second in 0..10 {
        assert_eq!(outcome(reading("s", second, 1)).await, "stored");
    }
    assert_eq!(outcome(reading("s", 3, 2)).await, "replaced");
    assert_eq!(outcome(reading("s", 3, 3)).await, "replaced");
    assert_eq!(outcome(reading("s", 3, 3)).await, "unchanged");
    acme.delete(&format!("{READINGS}/s/2026-05-04T12:00:03Z")).await.expect(204);
    acme.delete(&format!("{READINGS}/s/2026-05-04T12:00:04Z")).await.expect(204);
    assert_eq!(outcome(reading("s", 3, 3)).await, "stored");
    let recount = assert_verified(&app, "acme");
    assert_eq!((&recount["rows"], &recount["batches"]), (&json!(18), &json!(14)));
    let books = acme.get("/api/timescale/ledger").await.expect(200)["data"].clone();
    assert_eq!(
        (&books["totals"]["read"], &books["totals"]["stored"], &books["totals"]["replaced"]),
        (&json!(14), &json!(13), &json!(2))
    );
    assert_eq!((&books["lines"][0]["partition"], &books["totals"]["balanced"]), (&Value::Null, &json!(true)));
    assert_eq!(app.globex().get("/api/timescale/ledger").await.expect(200)["data"]["lines"], json!([]));
    app.client("acme", "device").get("/api/timescale/ledger").await.expect_error(403);
    for bad in ["?partition=x", "?colour=red", "?from=yesterday"] {
        acme.get(&format!("/api/timescale/ledger{bad}")).await.expect_error(400);
    }
    app.stop();
}

/// What is done by hand, and the kind of difference that the recount then finds.
const TAMPERED: &[(&str, &str)] = &[
    ("delete from readings where ctid = (select min(ctid) from readings where value = 11)", "rows"),
    (
        "insert into readings select time + interval '1 hour', series_id, value, batch_id, quality, text from readings where value = 12",
        "rows",
    ),
    ("update readings set batch_id = gen_random_uuid() where value = 13", "rows"),
    ("update batches set rows = rows + 1 where partition is not null and first_offset = 0", "rows"),
    (
        "update batches set read = read + 1, quarantined = quarantined + 1 where partition is not null and first_offset = 0",
        "quarantine",
    ),
    ("update batches set read = read + 1, skipped = skipped + 1 where partition is not null and first_offset = 0", "balance"),
    ("delete from quarantine", "quarantine"),
    ("update batches set first_offset = first_offset + 1 where first_offset > 0", "offsets"),
    ("update batches set first_offset = first_offset - 1 where first_offset > 0", "offsets"),
    ("update writer_offsets set next = next + 1", "position"),
    ("delete from batches where first_offset > 0", "rows"),
];

#[tokio::test]
async fn a_recount_finds_what_was_done_to_books_or_rows_by_hand() {
    let app = App::builder().with_kafka().start().await;
    let (broker, pool) = (Broker::connect(), app.databases.readings().await);
    let topic = broker.topic(1).await;
    app.acme().post("/api/platform/kafka-topics", &json!({ "name": topic })).await.expect(201);
    for (begin, end) in [(0, 20), (20, 40)] {
        let messages: Vec<String> = (begin..end)
            .map(|n| match n {
                7 => "{".to_owned(),
                n => json!({ "sensorId": "s", "timestamp": 1_777_896_000_000_i64 + n, "value": n }).to_string(),
            })
            .collect();
        broker.produce(&topic, 1, messages).await;
        wait_for(&pool, end).await;
    }
    assert_verified(&app, "acme");
    let acme = app.acme();
    let trace = async |offset: u32| acme.get(&format!("/api/timescale/ledger/offsets/{topic}/0/{offset}")).await;
    let stored = trace(30).await.expect(200)["data"][0].clone();
    assert_eq!((&stored["state"], &stored["mayBe"], &stored["certain"]), (&json!("booked"), &json!(["stored"]), &json!(true)));
    assert!(
        stored["batch"]["firstOffset"]
            .as_i64()
            .zip(stored["batch"]["nextOffset"].as_i64())
            .is_some_and(|(from, to)| from <= 30 && 30 < to)
    );
    let kept = trace(7).await.expect(200)["data"][0].clone();
    assert_eq!((&kept["quarantinedCount"], &kept["quarantined"][0]["refuserKind"]), (&json!(1), &json!("decoder")));
    assert_eq!(trace(40).await.expect(200)["data"][0]["state"], "waiting");
    acme.get("/api/timescale/ledger/offsets/nothing/0/0").await.expect_error(404);
    acme.get(&format!("/api/timescale/ledger/offsets/{topic}/0/-1")).await.expect_error(400);
    app.globex().get(&format!("/api/timescale/ledger/offsets/{topic}/0/7")).await.expect_error(404);
    let lines = acme.get(&format!("/api/timescale/ledger?topic={topic}&partition=0")).await.expect(200)["data"]["lines"].clone();
    assert_eq!((&lines[0]["read"], &lines[0]["stored"], &lines[0]["quarantined"]), (&json!(40), &json!(39), &json!(1)));
    assert_eq!((&lines[0]["firstOffset"], &lines[0]["nextOffset"], &lines[0]["gaps"]), (&json!(0), &json!(40), &json!(0)));

    for table in ["readings", "batches", "quarantine", "writer_offsets"] {
        let sql = format!("create table {table}_before as table {table}");
        sqlx::raw_sql(sqlx::AssertSqlSafe(sql)).execute(&pool).await.expect("a copy");
    }
    for (deed, kind) in TAMPERED {
        let done = sqlx::raw_sql(deed).execute(&pool).await.unwrap_or_else(|error| panic!("{deed}: {error}"));
        assert!(done.rows_affected() > 0, "{deed}");
        let (sound, recount) = verify(&app, "acme", &[]);
        let found = recount["listed"].as_array().expect("a list").iter().any(|difference| difference["kind"] == *kind);
        assert!(!sound && found, "{deed}: {recount}");
        for table in ["readings", "batches", "quarantine", "writer_offsets"] {
            let sql = format!("delete from {table}; insert into {table} select * from {table}_before");
            sqlx::raw_sql(sqlx::AssertSqlSafe(sql)).execute(&pool).await.expect("as before");
        }
        assert_verified(&app, "acme");
    }
    let (sound, other) = verify(&app, "acme", &["--topic", "another"]);
    assert!(sound && other["batches"] == 0, "{other}");
    app.stop();
}

async fn wait_for(pool: &PgPool, readings: i64) {
    for _ in 0..600 {
        let read: i64 = sqlx::query_scalar("select coalesce(sum(read), 0)::bigint from batches where origin = 'kafka'")
            .fetch_one(pool)
            .await
            .expect("a sum");
        if read >= readings {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("{readings} readings are not accounted for within 30 s");
}
