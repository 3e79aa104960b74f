//! The writer on a real broker and a real TimescaleDB: exactly once, with books that add up.

mod avro;
mod broker;
mod commit;
mod compressed;
mod cut;
mod disk;
mod fairness;
mod faults;
mod forms;
mod hang;
mod kill;
mod letters;
mod load;
mod log;
mod outage;
mod poison;
mod quota;
mod refused;
mod replicas;
mod secure;
mod soak;
mod zombie;

use std::time::{Duration, Instant};

use serde_json::json;
use sqlx::PgPool;

use crate::support::app::App;
use crate::support::broker::Broker;

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

/// Every one of `0..number` was stored or kept aside exactly once, each with its own value, and books, rows, positions and the log
/// of the tests' broker agree.
async fn assert_exactly_once(pool: &PgPool, topic: &str, number: u32) {
    assert_exactly_once_from(&Broker::connect(), pool, topic, number).await;
}

/// The same with this broker's log.
///
/// A producer whose broker went away sends again what was not acknowledged, so the log may hold a message twice. Weir then has to
/// count the second one as a duplicate, or where it is bad keep it aside as well: the log's length is what the books are held against.
async fn assert_exactly_once_from(broker: &Broker, pool: &PgPool, topic: &str, number: u32) {
    let ends = broker.ends(topic);
    assert!(ends.values().all(|(low, _)| *low == 0), "nothing was removed from the log: {ends:?}");
    let in_log: i64 = ends.values().map(|(_, high)| high).sum();
    let (good, bad) = (i64::from(number - bad(number)), i64::from(bad(number)));
    let twice = in_log - good - bad;
    assert!(twice >= 0, "{in_log} messages of {number} are in the log");

    let sql = "select r.value::bigint from readings r join series s on s.id = r.series_id where s.topic = $1 order by 1";
    let stored: Vec<i64> = sqlx::query_scalar(sql).bind(topic).fetch_all(pool).await.expect("rows");
    let produced: Vec<i64> = (0..number).filter(|one| one % 100 != 7).map(i64::from).collect();
    let differ = stored.iter().zip(&produced).find(|(stored, produced)| stored != produced);
    assert_eq!((stored.len(), differ), (produced.len(), None), "every good reading, once, with its own value");
    let double = "select count(*) from (select from readings group by series_id, time having count(*) > 1) as double";
    assert_eq!(count(pool, double).await, 0, "no row is there twice");

    let (kept, offsets): (i64, i64) =
        sqlx::query_as("select count(*), count(distinct (partition, message_offset)) from quarantine where topic = $1")
            .bind(topic)
            .fetch_one(pool)
            .await
            .expect("rows");
    assert_eq!(kept, offsets, "no bad message is kept aside twice");
    assert!(
        (bad..=bad + twice).contains(&kept),
        "every bad message is kept aside: {kept} of {bad}, {twice} of all are in the log twice"
    );

    let books: (i64, i64, i64, i64, i64, i64) = sqlx::query_as(
        "select sum(read)::bigint, sum(stored)::bigint, sum(duplicate)::bigint, sum(quarantined)::bigint, sum(skipped)::bigint, sum(rows)::bigint
         from batches where origin = 'kafka' and topic = $1",
    )
    .bind(topic)
    .fetch_one(pool)
    .await
    .expect("books");
    assert_eq!(books, (in_log, good, twice + bad - kept, kept, 0, good), "read = stored + duplicate + quarantined + skipped");
    assert_books_and_rows_agree(pool).await;

    // A message is a reading here, so a batch that reads less or more than its offsets has lost or doubled some.
    let uneven = "select count(*) from batches where origin = 'kafka' and read <> next_offset - first_offset";
    assert_eq!(count(pool, uneven).await, 0, "each batch has read what its offsets say");
    assert_eq!(gaps(pool).await, 0, "the batches of a partition lie end to end");
    let ranges: Vec<(i32, i64)> = sqlx::query_as(
        "select partition, max(next_offset) from batches where origin = 'kafka' and topic = $1 group by partition order by partition",
    )
    .bind(topic)
    .fetch_all(pool)
    .await
    .expect("rows");
    let log: Vec<(i32, i64)> =
        ends.into_iter().filter(|(_, (_, high))| *high > 0).map(|(partition, (_, high))| (partition, high)).collect();
    assert_eq!(ranges, log, "the last batch of each partition ends where its log does");
    assert_eq!(positions(pool, topic).await, log, "the positions are behind the last messages");
}

/// Each row is in the books of the batch that brought it, and each batch has as many as its books say.
async fn assert_books_and_rows_agree(pool: &PgPool) {
    let apart = "select count(*) from batches b \
        full join (select batch_id, count(*) as rows from readings group by batch_id) as r on r.batch_id = b.id \
        where coalesce(b.rows, -1) <> coalesce(r.rows, 0)";
    assert_eq!(count(pool, apart).await, 0, "books and rows agree");
    let aside = "select count(*) from batches b \
        full join (select batch_id, count(*) as kept from quarantine group by batch_id) as q on q.batch_id = b.id \
        where coalesce(b.quarantined, -1) <> coalesce(q.kept, 0)";
    assert_eq!(count(pool, aside).await, 0, "books and quarantine agree");
}

/// How many batches do not begin where the one before ended.
async fn gaps(pool: &PgPool) -> i64 {
    let gaps = "select count(*) from ( \
            select first_offset, lag(next_offset, 1, 0::bigint) over (partition by topic, partition order by first_offset) as before \
            from batches where origin = 'kafka') as steps \
        where first_offset <> before";
    count(pool, gaps).await
}

/// Where each partition stands.
async fn positions(pool: &PgPool, topic: &str) -> Vec<(i32, i64)> {
    sqlx::query_as("select partition, next from writer_offsets where topic = $1 order by partition")
        .bind(topic)
        .fetch_all(pool)
        .await
        .expect("rows")
}

async fn count(pool: &PgPool, sql: &'static str) -> i64 {
    sqlx::query_scalar(sql).fetch_one(pool).await.expect("a count")
}
