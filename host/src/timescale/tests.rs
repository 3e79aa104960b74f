//! Against a real database, `WEIR_TEST_POSTGRES_URL`, as the apache edition and as plain PostgreSQL.

#![expect(clippy::cast_precision_loss, clippy::cast_sign_loss, reason = "the numbers are small")]

use std::sync::Arc;

use bytes::Bytes;
use chrono::DateTime;
use sqlx::AssertSqlSafe;
use uuid::Uuid;

use super::*;
use crate::batch::{Batch, BatchBuilder, Fate, Quality, Reading, Refusal, Refuser, Row, Source, Value, Verdict};
use crate::ledger::{Counts, Ledger, Log, OffsetRange, Origin};
use crate::model::{ErrorStrategy, Tenant, WriteMode};
use crate::policy::Permit;
use crate::rules::Rules;

const T0: i64 = 1_795_000_000_000_000;

fn permit(tenant: &str) -> Permit {
    Permit::stub(&Tenant::parse(tenant).unwrap())
}

/// A fresh, migrated database in each edition: one for a role that may create the extension, and one for a role that may not.
async fn stores() -> Vec<Timescale> {
    let url = std::env::var("WEIR_TEST_POSTGRES_URL").expect("WEIR_TEST_POSTGRES_URL; `scripts/services up` says what it is");
    let options = PgConnectOptions::from_str(&url).unwrap();
    let server = format!("{}:{}", options.get_host(), options.get_port());
    let role = "do $$ begin create role weir_plain login password 'weir'; exception when duplicate_object or unique_violation then end $$";
    let name = format!("t{}", Uuid::now_v7().simple());
    let admin = PgPoolOptions::new().max_connections(1).connect_with(options.clone()).await.unwrap();
    sqlx::raw_sql(role).execute(&admin).await.unwrap();
    for edition in ["apache", "none"] {
        sqlx::raw_sql(AssertSqlSafe(format!("create database {name}_{edition}"))).execute(&admin).await.unwrap();
    }
    let plain = PgPool::connect_with(options.database(&format!("{name}_none"))).await.unwrap();
    sqlx::raw_sql("grant create, usage on schema public to weir_plain").execute(&plain).await.unwrap();
    plain.close().await;
    let apache = url.rsplit_once('/').map(|(server, _)| format!("{server}/{name}_apache")).unwrap();
    let mut stores = Vec::new();
    for url in [apache, format!("postgres://weir_plain:weir@{server}/{name}_none")] {
        let store = Timescale::connect(&Options { url, connections: 8, lanes: 4, direct_compress: true }).unwrap();
        store.migrate().await.unwrap();
        stores.push(store);
    }
    stores
}

impl Timescale {
    /// Stores one batch at once.
    async fn write(
        &self,
        permit: &Permit,
        rules: &Rules,
        batch: &Batch,
        fates: &[Fate],
        origin: &Origin,
    ) -> Result<Ledger, WriteError> {
        let part = Part { rules: Arc::new(rules.clone()), batch: batch.clone(), fates: fates.to_vec() };
        let prepared = self.prepare(permit, vec![part], origin).await?;
        self.store(permit, &prepared, origin).await
    }
}

fn log() -> Log {
    Log { cluster: "c".into(), group: "g".into(), topic: "plant".into() }
}

fn kafka(ranges: &[(i32, i64, i64)]) -> Origin {
    let ranges =
        ranges.iter().map(|(partition, expected, next)| OffsetRange { partition: *partition, expected: *expected, next: *next });
    Origin::Kafka { log: log(), ranges: ranges.collect() }
}

fn reading(source: Source) -> Reading {
    Reading { raw: Bytes::from_static(b"{}"), source, schema_ref: "".into(), quality: Quality::Good, verdict: Verdict::Accepted }
}

/// Readings `(sensor, seconds, value)` of metric `t` without topic, by HTTP.
fn batch(readings: &[(&str, i64, f64)]) -> (Batch, Vec<Fate>) {
    let mut builder = BatchBuilder::new(None);
    for (index, (sensor, seconds, value)) in readings.iter().enumerate() {
        let row = Row { metric: "t", unit: "", value: Value::Number(*value) };
        builder.push(reading(Source::Http { index: index as u64 }), sensor, T0 + seconds * 1_000_000, [row]);
    }
    (builder.build(), vec![Fate::Store(Quality::Good); readings.len()])
}

fn message(partition: i32, offset: i64) -> Source {
    let headers: Arc<[(String, Option<Bytes>)]> = Arc::new([("h\0".to_owned(), Some(Bytes::from_static(b"\xff")))]);
    Source::Kafka { partition, offset, key: Some(Bytes::from_static(b"k")), headers }
}

fn refusal(by: Refuser) -> Refusal {
    Refusal { by, reason: "too\0 hot".into(), path: Some("/values/t".into()), fault: false, strategy: ErrorStrategy::Quarantine }
}

fn counts(read: u64, stored: u64, replaced: u64, duplicate: u64) -> Counts {
    Counts { read, stored, replaced, duplicate, quarantined: 0, skipped: 0 }
}

fn rules(mode: WriteMode) -> Rules {
    Rules { mode, ..Rules::without_topic() }
}

async fn count(store: &Timescale, sql: &'static str) -> i64 {
    sqlx::query_scalar(sql).fetch_one(&store.requests).await.unwrap()
}

#[tokio::test]
async fn editions_are_told_apart_and_every_statement_can_be_prepared() {
    for (at, store) in stores().await.into_iter().enumerate() {
        // A server without TimescaleDB is plain for every role.
        let edition = store.edition().await.unwrap();
        let available = store.examine().await.unwrap().contains("is installed");
        assert_eq!(edition, if available && at == 0 { Edition::Apache } else { Edition::None });
        store.migrate().await.unwrap();
        let mut connection = store.requests.acquire().await.unwrap();
        for (name, sql) in STATEMENTS.iter().copied().flatten() {
            let prepare = AssertSqlSafe(format!("prepare s as {sql}"));
            sqlx::raw_sql(prepare).execute(&mut *connection).await.unwrap_or_else(|error| panic!("{name}: {error}"));
            sqlx::raw_sql("deallocate s").execute(&mut *connection).await.unwrap();
        }
    }
}

#[tokio::test]
async fn counts_are_as_if_written_one_after_another() {
    let permit = permit("acme");
    // 40 sensors that nobody counts on make the batch large enough for COPY.
    let names: Vec<String> = (0..40).map(|n| format!("extra-{n}")).collect();
    for store in stores().await {
        for (round, extra) in [(0, 0_usize), (1, 40)] {
            let write = async |mode: WriteMode, readings: &[(&str, i64, f64)], salt: i64| {
                let mut all = readings.to_vec();
                all.extend(names.iter().take(extra).map(|name| (name.as_str(), 1_000 + salt, 1.0)));
                let (batch, fates) = batch(&all);
                let ledger = store.write(&permit, &rules(mode), &batch, &fates, &Origin::Http).await.unwrap();
                assert!(ledger.counts.balance());
                ledger.counts
            };
            let extra = extra as u64;
            let s = |n: u64| n + extra;
            let base = round * 100;
            let upsert = WriteMode::Upsert;
            let (a, b) = (("a", base, 1.0), ("a", base, 2.0));
            assert_eq!(write(upsert, &[a, ("b", base, 1.0)], 0).await, counts(s(2), s(2), 0, 0));
            assert_eq!(write(upsert, &[a, ("b", base, 1.5)], 1).await, counts(s(2), s(1), 1, 1));
            assert_eq!(write(upsert, &[a, b, b, a], 2).await, counts(s(4), s(2), 2, 2));
            assert_eq!(write(upsert, &[b, ("new", base, 1.0), ("new", base, 2.0)], 3).await, counts(s(3), s(3), 2, 0));
            let append = WriteMode::Append;
            assert_eq!(write(append, &[a, ("n2", base, 1.0), ("n2", base, 9.0)], 4).await, counts(s(3), s(1), 0, 2));
            assert_eq!(write(append, &[("n3", base, 1.0), ("n3", base, 1.0)], 5).await, counts(s(2), s(1), 0, 1));
            // The very same batch again.
            assert_eq!(write(append, &[a, ("n2", base, 1.0)], 4).await, counts(s(2), 0, 0, s(2)));
        }
        let unbalanced = "select count(*) from batches where read <> stored + duplicate + quarantined + skipped";
        assert_eq!(count(&store, unbalanced).await, 0);
        let rows = count(&store, "select count(*) from readings").await;
        assert_eq!(rows, count(&store, "select sum(stored - replaced)::bigint from batches").await);
        let held = "select (select value from readings r join series s on s.id = series_id where sensor = 'new' order by time limit 1)::bigint";
        assert_eq!(count(&store, held).await, 2);
    }
}

#[tokio::test]
async fn rows_of_one_reading_count_once() {
    let permit = permit("acme");
    for store in stores().await {
        let write = async |values: &[(&'static str, Value)]| {
            let mut builder = BatchBuilder::new(None);
            let rows = values.iter().map(|(metric, value)| Row { metric, unit: "u", value: value.clone() });
            builder.push(reading(Source::Http { index: 0 }), "s", T0, rows.collect::<Vec<_>>());
            let fates = [Fate::Store(Quality::Suspect)];
            store.write(&permit, &Rules::without_topic(), &builder.build(), &fates, &Origin::Http).await.unwrap().counts
        };
        let (n, t) = (("n", Value::Number(-0.5)), ("t", Value::Text("ü".into())));
        assert_eq!(write(&[n.clone(), t.clone()]).await, counts(1, 1, 0, 0));
        assert_eq!(write(&[n.clone(), t.clone()]).await, counts(1, 0, 0, 1));
        assert_eq!(write(&[n.clone(), ("b", Value::Bool(true))]).await, counts(1, 1, 0, 0));
        assert_eq!(write(&[n.clone(), ("t", Value::Text("v".into())), ("b", Value::Bool(true))]).await, counts(1, 1, 1, 0));
        assert_eq!(count(&store, "select sum(rows)::bigint from batches").await, 4);
    }
}

#[tokio::test]
async fn kafka_batches_have_a_book_per_partition_and_move_both_positions_or_none() {
    let permit = permit("acme");
    for store in stores().await {
        let mut builder = BatchBuilder::new(Some("plant".into()));
        let mut fates = Vec::new();
        for offset in 0..100 {
            let row = Row { metric: "t", unit: "", value: Value::Number(1.0) };
            builder.push(reading(message((offset % 2) as i32, offset / 2)), "s", T0 + offset, [row]);
            fates.push(match offset {
                10 | 11 => Fate::Quarantine(Box::new(refusal(Refuser::Schema("room@1".into())))),
                20 => Fate::Reject(Box::new(refusal(Refuser::Validator("range".into())))),
                _ => Fate::Store(Quality::Good),
            });
        }
        builder.push_unreadable(Bytes::from_static(b"\0\xff"), message(0, 50), refusal(Refuser::Decoder));
        fates.push(Fate::Quarantine(Box::new(refusal(Refuser::Decoder))));
        let batch = builder.build();
        let rules = Rules { topic: Some("plant".into()), ..Rules::without_topic() };
        let origin = kafka(&[(0, 0, 60), (1, 0, 50)]);
        let ledger = store.write(&permit, &rules, &batch, &fates, &origin).await.unwrap();
        assert_eq!(ledger.counts, Counts { read: 101, stored: 97, replaced: 0, duplicate: 0, quarantined: 3, skipped: 1 });
        assert_eq!((ledger.batches.len(), ledger.refusals.len(), ledger.skipped_by["range"]), (2, 4, 1));
        assert_eq!(store.positions(&permit, &log()).await.unwrap(), [(0, 60), (1, 50)]);
        let per_batch = "select count(*) from batches b where rows = (select count(*) from readings r where r.batch_id = b.id) \
            and quarantined = (select count(*) from quarantine q where q.batch_id = b.id)";
        assert_eq!(count(&store, per_batch).await, 2);

        // The same again, and a batch of which one partition has moved on.
        for ranges in [&[(0, 0, 60), (1, 0, 50)][..], &[(0, 60, 70), (1, 0, 50)]] {
            let (empty, none) = (Batch::default(), []);
            let fenced = store.write(&permit, &rules, &empty, &none, &kafka(ranges)).await.unwrap_err();
            assert!(matches!(fenced, WriteError::Fenced { expected: 0, stored: Some(60 | 50), .. }), "{fenced:?}");
        }
        assert_eq!(store.positions(&permit, &log()).await.unwrap(), [(0, 60), (1, 50)]);

        let kept = store.kept(&permit, &KeptFilter::default(), None, 10).await.unwrap();
        assert_eq!(kept.len(), 3);
        let unread = kept.iter().find(|kept| kept.refuser_kind == "decoder").unwrap();
        assert_eq!(
            (unread.message, unread.raw.as_slice(), unread.reason.as_str()),
            (Some((0, 50)), &b"\0\xff"[..], "too\u{fffd} hot")
        );
        let first = Some((kept[0].time, kept[0].id));
        assert_eq!(store.kept(&permit, &KeptFilter::default(), first, 10).await.unwrap(), kept[1..]);
        assert!(store.kept(&self::permit("other"), &KeptFilter::default(), None, 10).await.unwrap().is_empty());
    }
}

#[tokio::test]
async fn of_concurrent_writers_of_a_partition_one_wins() {
    let permit = permit("acme");
    for store in stores().await {
        let rules = Rules { topic: Some("plant".into()), ..Rules::without_topic() };
        for begin in 0..10_i64 {
            let write = async |writer: i64| {
                let mut builder = BatchBuilder::new(Some("plant".into()));
                for n in 0..50 {
                    let row = Row { metric: "t", unit: "", value: Value::Number(1.0) };
                    builder.push(reading(message(0, begin * 50 + n)), "s", T0 + (begin * 50 + n) * 10 + writer, [row]);
                }
                let fates = vec![Fate::Store(Quality::Good); 50];
                store.write(&permit, &rules, &builder.build(), &fates, &kafka(&[(0, begin * 50, begin * 50 + 50)])).await
            };
            let outcomes = futures_util::future::join_all(vec![write(0), write(1), write(2)]).await;
            assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 1);
            assert!(outcomes.iter().all(|outcome| matches!(outcome, Ok(_) | Err(WriteError::Fenced { .. }))), "{outcomes:?}");
        }
        assert_eq!(count(&store, "select count(*) from readings").await, 500);
    }
}

#[tokio::test]
async fn concurrent_writers_of_the_same_series_agree() {
    let permit = permit("acme");
    for store in stores().await {
        let write = async |value: f64| {
            let names: Vec<String> = (0..200).map(|n| format!("s{n}")).collect();
            let all: Vec<(&str, i64, f64)> = names.iter().map(|name| (name.as_str(), 0, value)).collect();
            let (batch, fates) = batch(&all);
            store.write(&permit, &Rules::without_topic(), &batch, &fates, &Origin::Http).await
        };
        let outcomes = futures_util::future::join_all((0..6).map(|n| write(f64::from(n / 2)))).await;
        let mut sum = Counts::default();
        for outcome in outcomes {
            sum.add(&outcome.unwrap().counts);
        }
        assert!(sum.balance());
        assert_eq!(sum.read, 1_200);
        assert_eq!(count(&store, "select count(*) from readings").await, 200);
        assert_eq!(count(&store, "select count(*) from series").await, 200);
    }
}

#[tokio::test]
async fn what_the_database_cannot_hold_is_poison_and_leaves_nothing() {
    let permit = permit("acme");
    for store in stores().await {
        let mut builder = BatchBuilder::new(None);
        let row = |value: Value| [Row { metric: "t", unit: "", value }];
        builder.push(reading(Source::Http { index: 0 }), "s", T0, row(Value::Number(1.0)));
        builder.push(reading(Source::Http { index: 1 }), "s", T0 + 1, row(Value::Text("a\0b".into())));
        let fates = vec![Fate::Store(Quality::Good); 2];
        let error = store.write(&permit, &Rules::without_topic(), &builder.build(), &fates, &Origin::Http).await.unwrap_err();
        assert!(matches!(&error, WriteError::Poison { sqlstate, .. } if &**sqlstate == "22021"), "{error:?}");
        let (bad, fates) = batch(&[("a\0b", 0, 1.0)]);
        let error = store.write(&permit, &Rules::without_topic(), &bad, &fates, &Origin::Http).await.unwrap_err();
        assert!(matches!(error, WriteError::Poison { .. }), "{error:?}");
        assert_eq!(count(&store, "select (select count(*) from readings) + (select count(*) from batches)").await, 0);
    }
}

#[tokio::test]
async fn dead_connections_are_replaced_without_a_word() {
    let permit = permit("acme");
    for store in stores().await {
        let kill = async || {
            let kill = "select count(pg_terminate_backend(pid)) from pg_stat_activity \
                where datname = current_database() and pid <> pg_backend_pid()";
            let url = store.requests.connect_options();
            let other = PgPoolOptions::new().connect_with((*url).clone()).await.unwrap();
            sqlx::query(kill).execute(&other).await.unwrap();
            other.close().await;
        };
        futures_util::future::join_all((0..8).map(|_| store.probe())).await;
        kill().await;
        store.probe().await.unwrap();
        futures_util::future::join_all((0..8).map(|_| store.probe())).await;
        kill().await;
        let (batch, fates) = batch(&[("a", 0, 1.0)]);
        store.write(&permit, &Rules::without_topic(), &batch, &fates, &Origin::Http).await.unwrap();
    }
}

#[tokio::test]
async fn months_get_partitions_and_the_rest_has_a_default() {
    let permit = permit("acme");
    let store = stores().await.pop().unwrap();
    let month = 31 * 24 * 3600;
    let (batch, fates) = batch(&[("a", 0, 1.0), ("a", -month, 1.0), ("a", -200 * 12 * month, 1.0)]);
    store.write(&permit, &Rules::without_topic(), &batch, &fates, &Origin::Http).await.unwrap();
    assert_eq!(count(&store, "select count(*) from pg_inherits where inhparent = 'readings'::regclass").await, 3);
    assert_eq!(count(&store, "select count(*) from readings_default").await, 1);
    // A month of which the default partition has rows already.
    let default = "insert into readings_default (time, series_id, batch_id) values ('2050-05-05Z', 1, gen_random_uuid())";
    sqlx::query(default).execute(&store.requests).await.unwrap();
    let (batch, fates) = self::batch(&[("a", 742_600_000, 1.0)]);
    store.write(&permit, &Rules::without_topic(), &batch, &fates, &Origin::Http).await.unwrap();
    assert_eq!(count(&store, "select count(*) from readings_default").await, 3);
}

/// `cargo test --release … -- --ignored --nocapture`: rows a second of one connection.
#[tokio::test]
#[ignore = "a measurement"]
async fn rows_a_second() {
    let permit = permit("acme");
    for store in stores().await {
        for size in [1_000_i64, 10_000, 50_000] {
            let names: Vec<String> = (0..200).map(|n| format!("s{size}-{n}")).collect();
            let batches: Vec<_> = (0..500_000 / size)
                .map(|round| {
                    let of = |n: i64| (names[(n % 200) as usize].as_str(), (round * size + n) / 200, n as f64);
                    batch(&(0..size).map(of).collect::<Vec<_>>())
                })
                .collect();
            for again in [false, true] {
                let start = std::time::Instant::now();
                for (batch, fates) in &batches {
                    let ledger = store.write(&permit, &Rules::without_topic(), batch, fates, &Origin::Http).await.unwrap();
                    assert_eq!(ledger.counts.duplicate > 0, again);
                }
                println!(
                    "{:?} {size}{}: {:.0} rows/s",
                    store.edition().await.unwrap(),
                    if again { " again" } else { "" },
                    500_000.0 / start.elapsed().as_secs_f64()
                );
            }
        }
    }
}

/// Everything on pages of `limit`, one after another.
async fn pages(store: &Timescale, permit: &Permit, filter: &Filter, order: Order, limit: u32) -> Vec<StoredReading> {
    let (mut all, mut after) = (Vec::new(), None);
    loop {
        let page = store.page(permit, filter, order, after.as_ref(), limit).await.unwrap();
        assert!(page.readings.len() <= limit as usize);
        all.extend(page.readings);
        after = page.next;
        if after.is_none() {
            return all;
        }
    }
}

#[tokio::test]
async fn all_pages_together_are_all_readings_once_in_both_directions() {
    let permit = permit("acme");
    for store in stores().await {
        let mut expected: Vec<(Place, Vec<(String, Value)>)> = Vec::new();
        for (topic, reference) in [(None, ""), (Some("plant"), ""), (Some("plant"), "room@1")] {
            let mut builder = BatchBuilder::new(topic.map(Into::into));
            for n in 0..150_i64 {
                let (sensor, time) = (format!("s{}", n % 7), T0 + (n / 11) * 40 * 24 * 3_600 * 1_000_000);
                let at = reading(Source::Http { index: 0 });
                let at = Reading { schema_ref: reference.into(), ..at };
                let values: Vec<(String, Value)> = (0..=n % 3).map(|m| (format!("m{m}"), Value::Number(n as f64))).collect();
                let rows: Vec<Row<'_>> =
                    values.iter().map(|(metric, value)| Row { metric, unit: "", value: value.clone() }).collect();
                builder.push(at, &sensor, time, rows);
                let time = DateTime::from_timestamp_micros(time).unwrap();
                let place = Place { time, sensor, topic: topic.unwrap_or_default().to_owned(), schema_ref: reference.to_owned() };
                match expected.iter_mut().find(|(known, _)| *known == place) {
                    None => expected.push((place, values)),
                    Some((_, known)) => {
                        for (metric, value) in values {
                            match known.iter_mut().find(|(name, _)| *name == metric) {
                                Some(known) => known.1 = value,
                                None => known.push((metric, value)),
                            }
                        }
                    }
                }
            }
            let batch = builder.build();
            let fates = vec![Fate::Store(Quality::Good); 150];
            store.write(&permit, &Rules::without_topic(), &batch, &fates, &Origin::Http).await.unwrap();
        }
        expected.sort_by(|one, other| one.0.cmp(&other.0));
        let plain = |readings: Vec<StoredReading>| -> Vec<(Place, Vec<(String, Value)>)> {
            let values = |reading: StoredReading| reading.values.into_iter().map(|value| (value.metric, value.value)).collect();
            readings.into_iter().map(|reading| (reading.place.clone(), values(reading))).collect()
        };
        let everything = Filter::default();
        for limit in [1, 3, 7, 50, 1_000] {
            let found = plain(pages(&store, &permit, &everything, Order::Asc, limit).await);
            assert_eq!(found, expected, "ascending by {limit}");
            let mut found = plain(pages(&store, &permit, &everything, Order::Desc, limit).await);
            found.reverse();
            assert_eq!(found, expected, "descending by {limit}");
        }
        let from = DateTime::from_timestamp_micros(T0 + 40 * 24 * 3_600 * 1_000_000).unwrap();
        let to = DateTime::from_timestamp_micros(T0 + 300 * 24 * 3_600 * 1_000_000).unwrap();
        let filter = Filter {
            sensor: Some("s3".into()),
            metric: Some("m1".into()),
            topic: Some("plant".into()),
            from: Some(from),
            to: Some(to),
            ..Filter::default()
        };
        let wanted: Vec<_> = expected
            .iter()
            .filter(|(place, _)| place.sensor == "s3" && place.topic == "plant" && (from..to).contains(&place.time))
            .map(|(place, values)| {
                (place.clone(), values.iter().filter(|(metric, _)| metric == "m1").cloned().collect::<Vec<_>>())
            })
            .filter(|(_, values)| !values.is_empty())
            .collect();
        assert!(wanted.len() > 2);
        assert_eq!(plain(pages(&store, &permit, &filter, Order::Asc, 2).await), wanted);
        assert!(pages(&store, &self::permit("other"), &everything, Order::Desc, 10).await.is_empty());
    }
}

#[tokio::test]
async fn a_reading_comes_back_as_it_was_sent_and_can_be_removed() {
    let permit = permit("acme");
    for store in stores().await {
        let values = [("f", Value::Number(0.1 + 0.2)), ("b", Value::Bool(false)), ("t", Value::Text("true".into()))];
        for topic in [None, Some("plant")] {
            let mut builder = BatchBuilder::new(topic.map(Into::into));
            let rows: Vec<_> = values.iter().map(|(metric, value)| Row { metric, unit: "u", value: value.clone() }).collect();
            builder.push(reading(Source::Http { index: 0 }), "s", T0, rows.clone());
            builder.push(reading(Source::Http { index: 1 }), "s", T0 - 1, rows);
            let fates = [Fate::Store(Quality::Bad), Fate::Store(Quality::Good)];
            store.write(&permit, &Rules::without_topic(), &builder.build(), &fates, &Origin::Http).await.unwrap();
        }
        let time = DateTime::from_timestamp_micros(T0).unwrap();
        assert_eq!(store.at(&permit, "s", time, None, None).await.unwrap().len(), 2);
        let found = store.at(&permit, "s", time, Some(""), None).await.unwrap();
        assert_eq!((found.len(), found[0].quality), (1, Quality::Bad));
        for (metric, value) in &values {
            let found = found[0].values.iter().find(|found| found.metric == *metric).unwrap();
            assert_eq!((&found.value, found.unit.as_str()), (value, "u"));
        }
        let latest = store.latest(&permit, "s").await.unwrap();
        assert_eq!(latest.len(), 3);
        assert!(latest.iter().all(|latest| latest.place.time == time));
        assert_eq!(
            store.sensors(&permit, "", None, 10).await.unwrap(),
            [StoredSensor {
                sensor: "s".into(),
                metrics: vec!["b".into(), "f".into(), "t".into()],
                topics: vec!["plant".into()],
            }]
        );
        assert!(store.sensors(&permit, "t", None, 10).await.unwrap().is_empty());
        let stranger = self::permit("other");
        assert_eq!(store.remove(&stranger, &found[0].place).await.unwrap(), 0);
        assert!(store.latest(&stranger, "s").await.unwrap().is_empty());
        assert!(store.at(&stranger, "s", time, None, None).await.unwrap().is_empty());
        assert_eq!(store.remove(&permit, &found[0].place).await.unwrap(), 3);
        assert_eq!(store.remove(&permit, &found[0].place).await.unwrap(), 0);
        assert_eq!(store.at(&permit, "s", time, None, None).await.unwrap().len(), 1);
        assert_eq!(count(&store, "select sum(rows)::bigint from removals").await, 3);
    }
}
