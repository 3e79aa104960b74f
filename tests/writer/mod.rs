//! The writer on a real broker and a real TimescaleDB: exactly once, with books that add up.

mod avro;
mod compressed;
mod fairness;
mod faults;
mod forms;
mod kill;
mod outage;
mod quota;
mod replicas;
mod secure;

use std::time::{Duration, Instant};

use serde_json::json;
use sqlx::PgPool;

use crate::support::app::App;

/// Registers a topic of tenant `acme`.
async fn register(app: &App, topic: &str) {
    app.acme().post("/api/platform/kafka-topics", &json!({ "name": topic })).await.expect(201);
}

/// Message `number`: a reading of its own. Every hundredth is bad, in one of four ways.
fn message(number: u32) -> String {
    match (number % 100, number / 100 % 4) {
        (7, 0) => "{\"sensorId\":".to_owned(),
        (7, 1) => format!("{{\"sensorId\":\"s\",\"timestamp\":{},\"value\":null}}", time(number)),
        (7, 2) => format!("{{\"sensorId\":\"s\",\"timestamp\":{},\"value\":1,\"colour\":\"red\"}}", time(number)),
        (7, _) => format!("{{\"sensorId\":\"s\",\"timestamp\":\"{number}th of May\",\"value\":1}}"),
        _ => format!("{{\"sensorId\":\"s{}\",\"timestamp\":{},\"value\":{number}}}", number % 40, time(number)),
    }
}

fn time(number: u32) -> i64 {
    1_777_896_000_000 + i64::from(number)
}

/// How many of the first `number` messages are bad.
fn bad(number: u32) -> u32 {
    (0..number).filter(|one| one % 100 == 7).count().try_into().expect("few")
}

/// How many readings are accounted for; 0 where the database does not answer.
async fn accounted_for(pool: &PgPool) -> u32 {
    let sql = "select coalesce(sum(read), 0)::bigint from batches where origin = 'kafka'";
    sqlx::query_scalar::<_, i64>(sql).fetch_one(pool).await.ok().and_then(|read| read.try_into().ok()).unwrap_or(0)
}

/// Waits until so many readings are accounted for.
async fn wait_for(pool: &PgPool, readings: u32, patience: Duration) {
    let deadline = Instant::now() + patience;
    let mut read = 0;
    while Instant::now() < deadline {
        read = accounted_for(pool).await;
        if read >= readings {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("only {read} of {readings} readings are accounted for");
}

/// Every one of `0..number` was stored or kept aside exactly once, each with its own value, and books, rows and positions agree.
async fn assert_exactly_once(pool: &PgPool, topic: &str, number: u32) {
    let (count, distinct, sum): (i64, i64, i64) =
        sqlx::query_as("select count(*), count(distinct value), coalesce(sum(value), 0)::bigint from readings")
            .fetch_one(pool)
            .await
            .expect("rows");
    let good = i64::from(number - bad(number));
    assert_eq!((count, distinct), (good, good), "every good reading, once");
    let values = (0..number).filter(|one| one % 100 != 7).map(i64::from);
    assert_eq!(sum, values.sum::<i64>(), "each with its own value");
    let (kept, offsets): (i64, i64) =
        sqlx::query_as("select count(*), count(distinct (partition, message_offset)) from quarantine")
            .fetch_one(pool)
            .await
            .expect("rows");
    assert_eq!((kept, offsets), (bad(number).into(), bad(number).into()), "every bad message, once");
    let books: (i64, i64, i64, i64, i64, i64) = sqlx::query_as(
        "select sum(read)::bigint, sum(stored)::bigint, sum(duplicate)::bigint, sum(quarantined)::bigint, sum(skipped)::bigint, sum(rows)::bigint
         from batches where origin = 'kafka'",
    )
    .fetch_one(pool)
    .await
    .expect("books");
    assert_eq!(books, (number.into(), count, 0, kept, 0, count), "read = stored + duplicate + quarantined + skipped");
    let unbooked: i64 =
        sqlx::query_scalar("select count(*) from readings r where not exists (select from batches b where b.id = r.batch_id)")
            .fetch_one(pool)
            .await
            .expect("a count");
    assert_eq!(unbooked, 0, "every row is in the books");
    let gaps: i64 = sqlx::query_scalar(
        "select count(*) from (select first_offset, lag(next_offset, 1, 0::bigint) over (partition by partition order by first_offset) as before
         from batches where origin = 'kafka') as steps where first_offset <> before",
    )
    .fetch_one(pool)
    .await
    .expect("a count");
    assert_eq!(gaps, 0, "the batches of a partition lie end to end");
    let positions: i64 = sqlx::query_scalar("select sum(next)::bigint from writer_offsets where topic = $1")
        .bind(topic)
        .fetch_one(pool)
        .await
        .expect("a sum");
    assert_eq!(positions, i64::from(number), "the positions are behind the last messages");
}
