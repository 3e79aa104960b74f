//! A batch on its way to the disk: rows, quarantine, books and positions, in one transaction.
//!
//! What can be done before the transaction is: [`Timescale::prepare`] finds the series, sorts the rows and encodes them, so that the
//! database waits for nothing while [`Timescale::store`] holds a connection. Rows go by COPY; only where the unique index objects are
//! they merged, by `insert … on conflict`. The positions are moved last, with the books: of two writers of a partition the second one
//! waits there for the first, finds itself fenced, and what it has copied is rolled back.

use std::collections::HashMap;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use parking_lot::Mutex;
use sqlx::pool::PoolConnection;
use sqlx::{Executor as _, PgConnection, PgPool, Postgres, Row as _};
use uuid::Uuid;

use super::books::Books;
use super::lines::{self, Answer, Before, Line, Lines, Outcome, Part, Written};
use super::sqlstate::WriteError;
use super::{Timescale, alive, copy, quarantine, replay, statements};
use crate::ledger::{Ledger, Origin};
use crate::limits;
use crate::model::{Conflict, Tenant};
use crate::policy::Permit;

statements! {
    /// The rows that are there already. `offset 0` keeps it one look into the index for each row, whatever the planner thinks of arrays;
    /// the bounds of time keep it to the chunks that matter.
    BEFORE = "select i.n, r.value, r.text, r.quality \
        from unnest($1::bigint[], $2::timestamptz[]) with ordinality as i (series_id, time, n) \
        cross join lateral (select o.value, o.text, o.quality from readings o \
            where o.series_id = i.series_id and o.time = i.time and o.time between $3 and $4 offset 0) r";
    /// What it returns was not there before: the index has the last word, whoever else writes.
    INSERT = "insert into readings (time, series_id, value, text, quality, batch_id) \
        select i.time, i.series_id, i.value, i.text, i.quality, i.batch_id \
        from unnest($1::timestamptz[], $2::bigint[], $3::float8[], $4::text[], $5::int2[], $6::uuid[]) \
            as i (time, series_id, value, text, quality, batch_id) \
        order by i.series_id, i.time \
        on conflict (series_id, time) do nothing \
        returning series_id, time";
    /// Rows that were there and differ.
    UPSERT = "insert into readings (time, series_id, value, text, quality, batch_id) \
        select i.time, i.series_id, i.value, i.text, i.quality, i.batch_id \
        from unnest($1::timestamptz[], $2::bigint[], $3::float8[], $4::text[], $5::int2[], $6::uuid[]) \
            as i (time, series_id, value, text, quality, batch_id) \
        order by i.series_id, i.time \
        on conflict (series_id, time) do update set value = excluded.value, text = excluded.text, quality = excluded.quality, \
            batch_id = excluded.batch_id \
        returning series_id, time";
}

/// Rows below which a merge costs fewer round trips than a COPY that may fail.
const COPY_LEAST: usize = 32;

/// Batches of one tenant, ready to be stored.
#[derive(Debug)]
pub struct Prepared {
    parts: Vec<Part>,
    books: Books,
    lines: [Lines; 2],
    /// The rows as COPY has them; empty where they will be merged.
    copies: [Vec<u8>; 2],
}

impl Prepared {
    /// The batches.
    pub fn parts(&self) -> &[Part] {
        &self.parts
    }
}

impl Timescale {
    /// Makes batches ready to be stored in one transaction: their rows, what is kept aside, the books, and from Kafka the positions.
    ///
    /// New series are made at this point; nothing else is written. It works on a thread of its own where that takes long.
    pub async fn prepare(&self, permit: &Permit, parts: Vec<Part>, origin: &Origin) -> Result<Prepared, WriteError> {
        if parts.iter().any(|part| part.batch.readings().len() != part.fates.len()) {
            return Err(WriteError::Standing(sqlx::Error::Protocol("readings and fates differ in number".to_owned())));
        }
        let pool = self.pool_for(origin);
        let (ids, rows) = {
            let wanted = lines::wanted(&parts);
            (self.series.resolve(pool, permit.tenant(), &wanted.names).await?, wanted.rows)
        };
        let merges = self.merging.is_due(permit.tenant(), &parts);
        let origin = origin.clone();
        let prepare = move || -> Result<Prepared, WriteError> {
            let books = Books::open(&parts, &origin)?;
            let lines = lines::gather(&parts, &rows, &ids, &books.of_reading)?;
            let batches: Vec<Uuid> = books.books.iter().map(|book| book.id).collect();
            let copies = std::array::from_fn(|at| match &lines[at] {
                lines if merges || lines.len() < COPY_LEAST => Vec::new(),
                lines => copy::encode(&parts, lines.chosen(), &batches),
            });
            Ok(Prepared { parts, books, lines, copies })
        };
        let prepared = tokio::task::spawn_blocking(prepare);
        let prepared = prepared.await.map_err(|died| WriteError::Standing(sqlx::Error::Protocol(died.to_string())))??;
        self.prepare_partitions(pool, &prepared.lines).await?;
        Ok(prepared)
    }

    /// Stores what was prepared. Of Kafka's origin, `expected` may have moved on since; everything else is as it was then.
    ///
    /// In the ledger's refusals readings are counted through all parts, in their order. After an error nothing is stored; see
    /// [`WriteError`] for what each means. The same may be stored again afterwards.
    pub async fn store(&self, permit: &Permit, prepared: &Prepared, origin: &Origin) -> Result<Ledger, WriteError> {
        // The server's own bounds come first; this is for a server that says nothing any more. Dropping the future closes the connection.
        match tokio::time::timeout(limits::STORE_TIME, self.store_patiently(permit, prepared, origin)).await {
            Ok(stored) => stored,
            Err(late) => Err(WriteError::Transient(sqlx::Error::Io(std::io::Error::new(std::io::ErrorKind::TimedOut, late)))),
        }
    }

    async fn store_patiently(&self, permit: &Permit, prepared: &Prepared, origin: &Origin) -> Result<Ledger, WriteError> {
        let mut copies = true;
        loop {
            let mut transaction = Transaction::begin(self.pool_for(origin)).await?;
            match transact(transaction.connection()?, permit, prepared, origin, copies).await {
                Ok(ledger) => {
                    transaction.commit().await?;
                    return Ok(ledger);
                }
                Err(error) => {
                    transaction.rollback(&error).await;
                    if !copies || !error.is_duplicate_row() {
                        return Err(error);
                    }
                    copies = false;
                    self.merging.learn(permit.tenant(), &prepared.parts);
                }
            }
        }
    }

    fn pool_for(&self, origin: &Origin) -> &PgPool {
        match origin {
            Origin::Http | Origin::Replay { .. } => &self.requests,
            Origin::Kafka { .. } => &self.lanes,
        }
    }
}

/// The order of things inside the transaction.
async fn transact(
    connection: &mut PgConnection,
    permit: &Permit,
    prepared: &Prepared,
    origin: &Origin,
    copies: bool,
) -> Result<Ledger, WriteError> {
    let Prepared { parts, books, lines, copies: encoded } = prepared;
    let mut books = books.clone();
    books.position(origin)?;
    if let Origin::Replay { entries } = origin {
        replay::claim(connection, permit, parts, entries).await?;
    }
    let mut outcome = Outcome::new(books.of_reading.len(), books.books.len());
    let batches: Vec<Uuid> = books.books.iter().map(|book| book.id).collect();
    for at in 0..lines.len() {
        let (lines, encoded) = (&lines[at], &encoded[at]);
        let answer = if lines.len() == 0 || (copies && !encoded.is_empty()) {
            copy_in(connection, encoded).await?
        } else {
            merge(connection, parts, lines, &batches).await?
        };
        lines.judge(parts, &answer, &mut outcome);
    }
    match origin {
        Origin::Replay { entries } => replay::mark(connection, permit, parts, entries, &books, &outcome).await?,
        Origin::Http | Origin::Kafka { .. } => quarantine::keep(connection, permit, parts, &books).await?,
    }
    let ledger = books.settle(parts, &outcome, origin);
    books.enter(connection, permit, origin).await?;
    Ok(ledger)
}

/// Which topics' batches met rows that were there already, and for how many more they are merged without trying COPY first: a COPY
/// that fails is done in vain, and where one met a duplicate (a replay, a correction, a device that sends twice) the next does too.
#[derive(Debug, Default)]
pub(super) struct Merging(Mutex<HashMap<TopicOf, u8>>);

/// A tenant's topic, or its readings without one.
type TopicOf = (Tenant, Option<Arc<str>>);

/// Batches that are merged after one that met a duplicate. A merge of new rows takes about twice as long as their COPY, and a COPY in
/// vain half a COPY on the average, so this is soon paid off either way.
const MERGES: u8 = 4;

impl Merging {
    fn is_due(&self, tenant: &Tenant, parts: &[Part]) -> bool {
        let mut known = self.0.lock();
        let Some(topic) = parts.first().map(|part| part.batch.topic().cloned()) else { return false };
        let key = (tenant.clone(), topic);
        match known.get_mut(&key) {
            None => false,
            Some(0) => known.remove(&key).is_some_and(|_| false),
            Some(left) => {
                *left -= 1;
                true
            }
        }
    }

    fn learn(&self, tenant: &Tenant, parts: &[Part]) {
        let mut known = self.0.lock();
        if known.len() >= limits::RULES_CACHED {
            known.clear();
        }
        if let Some(part) = parts.first() {
            known.insert((tenant.clone(), part.batch.topic().cloned()), MERGES);
        }
    }
}

/// A transaction on a connection of its own, which is closed rather than given back where its state is not known.
struct Transaction(Option<PoolConnection<Postgres>>);

impl Transaction {
    async fn begin(pool: &PgPool) -> Result<Self, WriteError> {
        let begin = || async {
            let mut transaction = Self(Some(pool.acquire().await?));
            transaction.connection()?.execute("begin").await?;
            Ok(transaction)
        };
        Ok(alive(pool, begin).await?)
    }

    fn connection(&mut self) -> Result<&mut PgConnection, sqlx::Error> {
        self.0.as_deref_mut().ok_or(sqlx::Error::PoolClosed)
    }

    async fn commit(mut self) -> Result<(), WriteError> {
        self.connection()?.execute("commit").await?;
        self.give_back();
        Ok(())
    }

    /// Where the database still answers, the connection is good for the next batch.
    async fn rollback(mut self, why: &WriteError) {
        let answers = match why {
            WriteError::Poison { .. } | WriteError::Fenced { .. } | WriteError::Taken(_) => true,
            WriteError::Transient(error) | WriteError::Standing(error) => error.as_database_error().is_some(),
        };
        let rolled_back = match self.connection() {
            Ok(connection) if answers => connection.execute("rollback").await.is_ok(),
            _ => false,
        };
        if rolled_back {
            self.give_back();
        }
    }

    fn give_back(&mut self) {
        drop(self.0.take());
    }
}

impl Drop for Transaction {
    fn drop(&mut self) {
        if let Some(connection) = &mut self.0 {
            connection.close_on_drop();
        }
    }
}

async fn copy_in(connection: &mut PgConnection, rows: &[u8]) -> Result<Answer, sqlx::Error> {
    if !rows.is_empty() {
        let mut copy = connection.copy_in_raw(copy::COPY).await?;
        // In pieces: each passes through a buffer that stays small, and the server works on one while the next is on its way.
        for piece in rows.chunks(limits::COPY_PIECE_BYTES) {
            copy.send(piece).await?;
        }
        copy.finish().await?;
    }
    Ok(Answer::AllNew)
}

/// Writes what differs from what is there. An equal row stays untouched: that is 2.5 times faster than writing it again, leaves no dead
/// rows, and keeps it with the batch that brought it.
///
/// New rows and those that take the place of others go by a statement each, because only that tells them apart on every edition: the
/// system column that would say it in one cannot be read from a partitioned table.
async fn merge(connection: &mut PgConnection, parts: &[Part], lines: &Lines, batches: &[Uuid]) -> Result<Answer, WriteError> {
    let times = lines.chosen().map(time).collect::<Result<Vec<DateTime<Utc>>, WriteError>>()?;
    let mut written = vec![Written::No; lines.len()];
    let all: Vec<usize> = (0..lines.len()).collect();
    for place in put(connection, INSERT, parts, lines, &all, &times, batches).await? {
        written[place] = Written::New;
    }
    if lines.keeps() == Conflict::KeepFirst {
        return Ok(Answer::Merged { written, before: HashMap::new() });
    }
    let there: Vec<usize> = all.into_iter().filter(|place| written[*place] == Written::No).collect();
    let before = before(connection, lines, &there, &times).await?;
    let differ = |place: &usize| before.get(place).is_none_or(|before| !before.says_the_same(lines.chosen_at(*place), parts));
    let differing: Vec<usize> = there.into_iter().filter(differ).collect();
    for place in put(connection, UPSERT, parts, lines, &differing, &times, batches).await? {
        // One that was there a moment ago and is not any more was deleted in between.
        written[place] = if before.contains_key(&place) { Written::Over } else { Written::New };
    }
    Ok(Answer::Merged { written, before })
}

/// Writes the chosen rows at these places; returns the places that were written.
async fn put(
    connection: &mut PgConnection,
    sql: &'static str,
    parts: &[Part],
    lines: &Lines,
    places: &[usize],
    times: &[DateTime<Utc>],
    batches: &[Uuid],
) -> Result<Vec<usize>, sqlx::Error> {
    if places.is_empty() {
        return Ok(Vec::new());
    }
    let chosen = || places.iter().map(|place| lines.chosen_at(*place));
    let rows = sqlx::query(sql)
        .bind(places.iter().map(|place| times[*place]).collect::<Vec<_>>())
        .bind(chosen().map(|line| line.series).collect::<Vec<_>>())
        .bind(chosen().map(Line::value).collect::<Vec<_>>())
        .bind(chosen().map(|line| line.text(parts)).collect::<Vec<_>>())
        .bind(chosen().map(|line| line.quality).collect::<Vec<_>>())
        .bind(chosen().map(|line| batches[line.batch as usize]).collect::<Vec<_>>())
        .fetch_all(connection)
        .await?;
    let place = |row: sqlx::postgres::PgRow| -> Result<Option<usize>, sqlx::Error> {
        let time: DateTime<Utc> = row.try_get(1)?;
        Ok(lines.find(row.try_get(0)?, time.timestamp_micros()))
    };
    rows.into_iter().filter_map(|row| place(row).transpose()).collect()
}

/// The rows that are there at these places.
async fn before(
    connection: &mut PgConnection,
    lines: &Lines,
    places: &[usize],
    times: &[DateTime<Utc>],
) -> Result<HashMap<usize, Before>, sqlx::Error> {
    if places.is_empty() {
        return Ok(HashMap::new());
    }
    let of_places = || places.iter().map(|place| times[*place]);
    let rows = sqlx::query(BEFORE)
        .bind(places.iter().map(|place| lines.chosen_at(*place).series).collect::<Vec<_>>())
        .bind(of_places().collect::<Vec<_>>())
        .bind(of_places().min())
        .bind(of_places().max())
        .fetch_all(connection)
        .await?;
    rows.iter()
        .map(|row| {
            let n: i64 = row.try_get(0)?;
            let place = usize::try_from(n - 1).ok().and_then(|at| places.get(at)).copied();
            let place = place.ok_or_else(|| sqlx::Error::Decode("a row of another number came back".into()))?;
            Ok((place, Before { value: row.try_get(1)?, text: row.try_get(2)?, quality: row.try_get(3)? }))
        })
        .collect()
}

fn time(line: &Line) -> Result<DateTime<Utc>, WriteError> {
    DateTime::from_timestamp_micros(line.time).ok_or_else(|| WriteError::poison("a time lies outside what can be stored"))
}
