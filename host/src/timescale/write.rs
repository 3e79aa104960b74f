//! A batch on its way to the disk: positions, rows, quarantine and books, in one transaction.
//!
//! The positions are moved first: another writer of the same partition then waits at the first statement, and finds itself fenced
//! before it has copied a row. Rows go by COPY; only where the unique index objects are they merged, by `insert … on conflict`.

use std::collections::HashMap;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use sqlx::pool::PoolConnection;
use sqlx::{Executor as _, PgConnection, PgPool, Postgres, Row as _};
use uuid::Uuid;

use super::books::{self, Books};
use super::lines::{self, Answer, Before, Line, Lines, Outcome, Part};
use super::sqlstate::{UNIQUE_VIOLATION, WriteError, sqlstate};
use super::{Timescale, alive, copy, quarantine, statements};
use crate::batch::{Batch, Fate};
use crate::ledger::{Ledger, Origin};
use crate::limits;
use crate::model::WriteMode;
use crate::policy::Permit;
use crate::rules::Rules;

statements! {
    /// The rows that are there already. `offset 0` keeps it one look into the index for each row, whatever the planner thinks of arrays;
    /// the bounds of time keep it to the chunks that matter.
    BEFORE = "select i.n, r.value, r.text, r.quality \
        from unnest($1::bigint[], $2::timestamptz[]) with ordinality as i (series_id, time, n) \
        cross join lateral (select o.value, o.text, o.quality from readings o \
            where o.series_id = i.series_id and o.time = i.time and o.time between $3 and $4 offset 0) r";
    /// An equal row stays untouched: that is 2.5 times faster, leaves no dead rows, and keeps it with the batch that brought it.
    UPSERT = "insert into readings as r (time, series_id, value, text, quality, batch_id) \
        select i.time, i.series_id, i.value, i.text, i.quality, i.batch_id \
        from unnest($1::timestamptz[], $2::bigint[], $3::float8[], $4::text[], $5::int2[], $6::uuid[]) \
            as i (time, series_id, value, text, quality, batch_id) \
        order by i.series_id, i.time \
        on conflict (series_id, time) do update set value = excluded.value, text = excluded.text, quality = excluded.quality, \
            batch_id = excluded.batch_id \
            where (r.value, r.text, r.quality) is distinct from (excluded.value, excluded.text, excluded.quality) \
        returning series_id, time";
    APPEND = "insert into readings (time, series_id, value, text, quality, batch_id) \
        select i.time, i.series_id, i.value, i.text, i.quality, i.batch_id \
        from unnest($1::timestamptz[], $2::bigint[], $3::float8[], $4::text[], $5::int2[], $6::uuid[]) \
            as i (time, series_id, value, text, quality, batch_id) \
        order by i.series_id, i.time \
        on conflict (series_id, time) do nothing \
        returning series_id, time";
}

/// Rows below which a merge costs fewer round trips than a COPY with its savepoint.
const COPY_LEAST: usize = 32;

impl Timescale {
    /// Stores one batch. See [`Timescale::write_all`].
    pub async fn write(
        &self,
        permit: &Permit,
        rules: &Rules,
        batch: &Batch,
        fates: &[Fate],
        origin: &Origin,
    ) -> Result<Ledger, WriteError> {
        self.store(permit, &[Part { rules, batch, fates }], origin).await
    }

    /// Stores several batches of one tenant in one transaction: their rows, what is kept aside, the books, and from Kafka the positions.
    ///
    /// In the ledger's refusals readings are counted through all parts, in their order. After an error nothing is stored; see
    /// [`WriteError`] for what each means.
    pub async fn write_all(
        &self,
        permit: &Permit,
        parts: &[(Arc<Rules>, Batch, Vec<Fate>)],
        origin: &Origin,
    ) -> Result<Ledger, WriteError> {
        let parts: Vec<Part<'_>> = parts.iter().map(|(rules, batch, fates)| Part { rules, batch, fates }).collect();
        self.store(permit, &parts, origin).await
    }

    async fn store(&self, permit: &Permit, parts: &[Part<'_>], origin: &Origin) -> Result<Ledger, WriteError> {
        if parts.iter().any(|part| part.batch.readings().len() != part.fates.len()) {
            return Err(WriteError::Standing(sqlx::Error::Protocol("readings and fates differ in number".to_owned())));
        }
        // The server's own bounds come first; this is for a server that says nothing any more. Dropping the future closes the connection.
        match tokio::time::timeout(limits::STORE_TIME, self.store_patiently(permit, parts, origin)).await {
            Ok(stored) => stored,
            Err(late) => Err(WriteError::Transient(sqlx::Error::Io(std::io::Error::new(std::io::ErrorKind::TimedOut, late)))),
        }
    }

    async fn store_patiently(&self, permit: &Permit, parts: &[Part<'_>], origin: &Origin) -> Result<Ledger, WriteError> {
        let pool = match origin {
            Origin::Http => &self.requests,
            Origin::Kafka { .. } => &self.lanes,
        };
        let mut books = Books::open(parts, origin)?;
        let wanted = lines::wanted(parts);
        let ids = self.series.resolve(pool, permit.tenant(), &wanted.names).await?;
        let lines = lines::gather(parts, &wanted, &ids, &books.of_reading)?;
        self.prepare_partitions(pool, &lines).await?;

        let mut transaction = Transaction::begin(pool).await?;
        match transact(transaction.connection()?, permit, parts, origin, &mut books, &lines).await {
            Ok(ledger) => {
                transaction.commit().await?;
                Ok(ledger)
            }
            Err(error) => {
                transaction.rollback(&error).await;
                Err(error)
            }
        }
    }
}

/// The order of things inside the transaction.
async fn transact(
    connection: &mut PgConnection,
    permit: &Permit,
    parts: &[Part<'_>],
    origin: &Origin,
    books: &mut Books,
    lines: &[Lines<'_>],
) -> Result<Ledger, WriteError> {
    if let Origin::Kafka { log, ranges } = origin {
        books::advance(connection, permit, log, ranges).await?;
    }
    let ids: Vec<Uuid> = books.books.iter().map(|book| book.id).collect();
    let mut outcome = Outcome::new(books.of_reading.len(), ids.len());
    for lines in lines {
        let answer = put(connection, lines, &ids).await?;
        lines.judge(&answer, &mut outcome);
    }
    quarantine::keep(connection, permit, parts, books).await?;
    let ledger = books.settle(parts, &outcome);
    books.enter(connection, permit, origin, &outcome.rows).await?;
    Ok(ledger)
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
            WriteError::Poison { .. } | WriteError::Fenced { .. } => true,
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

/// Gives the database the chosen rows.
async fn put(connection: &mut PgConnection, lines: &Lines<'_>, batches: &[Uuid]) -> Result<Answer, WriteError> {
    match lines.chosen().len() {
        0 => return Ok(Answer::AllNew),
        1..COPY_LEAST => return merge(connection, lines, batches).await,
        _ => {}
    }
    connection.execute("savepoint rows").await?;
    match copy_in(connection, &copy::encode(lines.chosen(), batches)).await {
        Ok(()) => Ok(Answer::AllNew),
        Err(error) if sqlstate(&error).as_deref() == Some(UNIQUE_VIOLATION) => {
            connection.execute("rollback to savepoint rows").await?;
            merge(connection, lines, batches).await
        }
        Err(error) => Err(error.into()),
    }
}

async fn copy_in(connection: &mut PgConnection, rows: &[u8]) -> Result<(), sqlx::Error> {
    let mut copy = connection.copy_in_raw(copy::COPY).await?;
    copy.send(rows).await?;
    copy.finish().await.map(drop)
}

/// Writes what differs from what is there.
async fn merge(connection: &mut PgConnection, lines: &Lines<'_>, batches: &[Uuid]) -> Result<Answer, WriteError> {
    let times = lines.chosen().map(time).collect::<Result<Vec<DateTime<Utc>>, WriteError>>()?;
    let series: Vec<i64> = lines.chosen().map(|line| line.series).collect();
    let (sql, before) = match lines.mode() {
        WriteMode::Upsert => (UPSERT, before(connection, &series, &times).await?),
        WriteMode::Append => (APPEND, HashMap::new()),
    };
    let rows = sqlx::query(sql)
        .bind(&times)
        .bind(&series)
        .bind(lines.chosen().map(|line| line.value).collect::<Vec<_>>())
        .bind(lines.chosen().map(|line| line.text).collect::<Vec<_>>())
        .bind(lines.chosen().map(|line| line.quality).collect::<Vec<_>>())
        .bind(lines.chosen().map(|line| batches[line.batch]).collect::<Vec<_>>())
        .fetch_all(connection)
        .await?;
    let mut written = vec![false; series.len()];
    for row in rows {
        let time: DateTime<Utc> = row.try_get(1)?;
        if let Some(place) = lines.find(row.try_get(0)?, time.timestamp_micros()) {
            written[place] = true;
        }
    }
    Ok(Answer::Merged { written, before })
}

async fn before(
    connection: &mut PgConnection,
    series: &[i64],
    times: &[DateTime<Utc>],
) -> Result<HashMap<usize, Before>, sqlx::Error> {
    let rows = sqlx::query(BEFORE)
        .bind(series)
        .bind(times)
        .bind(times.iter().min())
        .bind(times.iter().max())
        .fetch_all(connection)
        .await?;
    rows.iter()
        .map(|row| {
            let place: i64 = row.try_get(0)?;
            let before = Before { value: row.try_get(1)?, text: row.try_get(2)?, quality: row.try_get(3)? };
            Ok((usize::try_from(place - 1).unwrap_or(usize::MAX), before))
        })
        .collect()
}

fn time(line: &Line<'_>) -> Result<DateTime<Utc>, WriteError> {
    DateTime::from_timestamp_micros(line.time).ok_or_else(|| WriteError::poison("a time lies outside what can be stored"))
}
