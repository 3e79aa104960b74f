//! The recount: from the rows, what the books should say.
//!
//! Everything is read in one transaction that sees one moment and can change nothing, and batches are compared as they stream by, so
//! memory does not grow with them. What can be recounted:
//!
//! - **rows**: a row names the batch that wrote it last. A batch may hold fewer rows than it wrote, since later ones took their place
//!   or somebody removed them, and never more; over a topic, `rows - overwritten - removed` is the number of rows, exactly.
//! - **quarantine**: entries and what was deleted of them, by batch; and the readings that left it, by the batch of the replay.
//! - **offsets**: the ranges of a partition lie end to end, and its position is the end of the last one.
//! - **the books themselves**: `read = stored + duplicate + quarantined + skipped`, and the reasons of what was skipped.
//!
//! Duplicates and skipped readings leave no row; they are only what is left of `read` by that sum.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use futures_util::TryStreamExt as _;
use sqlx::{Executor as _, PgConnection, Row as _};
use uuid::Uuid;

use super::ledger::BooksFilter;
use super::{Timescale, away, statements};
use crate::error::Result;
use crate::limits;
use crate::policy::Permit;

statements! {
    /// Every batch and what is there of it; a batch that is in the rows but not in the books has no time. `$2` topic or null.
    ROWS = "with found as ( \
            select r.batch_id, min(s.topic) as topic, count(*) as rows from series s join readings r on r.series_id = s.id \
            where s.tenant = $1 and ($2::text is null or s.topic = $2) group by r.batch_id), \
        booked as (select id, topic, time, rows, overwritten, replaced from batches \
            where tenant = $1 and ($2 is null or topic = $2)) \
        select coalesce(b.id, f.batch_id), coalesce(b.topic, f.topic), b.time, coalesce(b.rows, 0), coalesce(f.rows, 0), \
            b.overwritten, b.replaced \
        from booked b full join found f on f.batch_id = b.id";
    REMOVED = "select topic, sum(rows)::bigint from removals \
        where tenant = $1 and ($2::text is null or topic = $2) and ($3::timestamptz is null or time >= $3) group by topic";
    KEPT = "select id, max(topic), sum(booked)::bigint, sum(found)::bigint, max(time) is not null from ( \
            select id, topic, time, quarantined as booked, 0::bigint as found from batches \
                where tenant = $1 and ($2::text is null or topic = $2) \
            union all select batch_id, max(topic), null, 0, count(*) from quarantine \
                where tenant = $1 and ($2 is null or topic = $2) group by batch_id \
            union all select batch_id, max(topic), null, 0, sum(entries)::bigint from discards \
                where tenant = $1 and ($2 is null or topic = $2) group by batch_id) u \
        group by id having (sum(booked) <> sum(found) or max(time) is null) \
            and ($3::timestamptz is null or max(time) is null or max(time) >= $3) \
            and ($4::timestamptz is null or max(time) is null or max(time) < $4)";
    REPLAYED = "select id, max(topic), sum(booked)::bigint, sum(found)::bigint, max(time) is not null from ( \
            select id, topic, time, read as booked, 0::bigint as found from batches \
                where tenant = $1 and ($2::text is null or topic = $2) and origin = 'replay' \
            union all select replayed_batch, max(topic), null, 0, sum(replayed_readings)::bigint from quarantine \
                where tenant = $1 and ($2 is null or topic = $2) and replayed_batch is not null group by replayed_batch \
            union all select replayed_batch, max(topic), null, 0, sum(readings)::bigint from discards \
                where tenant = $1 and ($2 is null or topic = $2) and replayed_batch is not null group by replayed_batch) u \
        group by id having (sum(booked) <> sum(found) or max(time) is null) \
            and ($3::timestamptz is null or max(time) is null or max(time) >= $3) \
            and ($4::timestamptz is null or max(time) is null or max(time) < $4)";
    UNBALANCED = "select id, topic, read, stored + duplicate + quarantined + skipped from batches \
        where tenant = $1 and ($2::text is null or topic = $2) and ($3::timestamptz is null or time >= $3) \
            and ($4::timestamptz is null or time < $4) \
            and (read <> stored + duplicate + quarantined + skipped or replaced > stored or overwritten > rows \
                or least(read, stored, replaced, duplicate, quarantined, skipped, rows, coalesce(overwritten, 0)) < 0 \
                or (rows > 0 and stored = 0) or (origin = 'replay' and quarantined + skipped > 0) \
                or skipped <> (select coalesce(sum(s.value::bigint), 0) from jsonb_each_text(skipped_by) s))";
    RANGES = "with chosen as ( \
            select id, cluster, consumer_group, topic, partition, first_offset, next_offset, \
                sum(case when next_offset < first_offset then 1 else 0 end) over ( \
                    partition by cluster, consumer_group, topic, partition order by time, id) as life \
            from batches where tenant = $1 and ($2::text is null or topic = $2) and origin = 'kafka' \
                and ($3::timestamptz is null or time >= $3) and ($4::timestamptz is null or time < $4)), \
        steps as ( \
            select *, lag(next_offset) over ( \
                partition by cluster, consumer_group, topic, partition, life order by first_offset, next_offset) as before \
            from chosen where next_offset >= first_offset) \
        select id, topic, partition, before, first_offset from steps where before is not null and before <> first_offset";
    POSITIONS = "with chosen as ( \
            select cluster, consumer_group, topic, partition, next_offset, \
                sum(case when next_offset < first_offset then 1 else 0 end) over ( \
                    partition by cluster, consumer_group, topic, partition order by time, id) as life \
            from batches where tenant = $1 and ($2::text is null or topic = $2) and origin = 'kafka'), \
        ends as ( \
            select distinct on (cluster, consumer_group, topic, partition) cluster, consumer_group, topic, partition, \
                max(next_offset) as ended \
            from chosen group by cluster, consumer_group, topic, partition, life \
            order by cluster, consumer_group, topic, partition, life desc) \
        select o.topic, o.partition, o.next, e.ended from writer_offsets o left join ends e \
            on (e.cluster, e.consumer_group, e.topic, e.partition) = (o.cluster, o.consumer_group, o.topic, o.partition) \
        where o.tenant = $1 and ($2 is null or o.topic = $2) and o.next is distinct from e.ended";
}

/// A place where books and rows differ.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// `rows`, `quarantine`, `replay`, `balance`, `offsets` or `position`.
    pub kind: &'static str,
    /// The topic; empty for readings without one.
    pub topic: String,
    /// The batch, where it is one.
    pub batch: Option<Uuid>,
    /// What the books say.
    pub booked: i64,
    /// What is there.
    pub found: i64,
    /// The same as a sentence.
    pub what: String,
}

/// What a recount found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recount {
    /// Batches that were looked at.
    pub batches: u64,
    /// Rows that were counted for them.
    pub rows: u64,
    /// Differences, at most [`limits::DIFFERENCES`] of each kind.
    pub differences: Vec<Difference>,
    /// How many there are in all.
    pub number: u64,
}

/// What was written to a topic, and what is left.
#[derive(Clone, Copy, Debug, Default)]
struct Topic {
    booked: i64,
    found: i64,
    /// Rows that others took the place of, or that were removed.
    lost: i64,
    /// False where a batch does not say how many rows it took the place of.
    exact: bool,
}

impl Timescale {
    /// Recounts the books of the tenant; of one topic, or of batches that were entered in some time.
    ///
    /// It takes as long as the database needs to read all rows of the tenant.
    pub async fn recount(&self, permit: &Permit, filter: &BooksFilter) -> Result<Recount> {
        let mut connection = self.requests.acquire().await.map_err(away)?;
        // Closed afterwards: its settings are its own.
        connection.close_on_drop();
        recount(&mut connection, permit, filter).await.map_err(away)
    }
}

async fn recount(connection: &mut PgConnection, permit: &Permit, filter: &BooksFilter) -> Result<Recount, sqlx::Error> {
    connection.execute("set statement_timeout = 0").await?;
    connection.execute("begin transaction isolation level repeatable read read only").await?;
    let mut recount = Recount::default();
    rows(connection, permit, filter, &mut recount).await?;
    aside(connection, permit, filter, &mut recount).await?;
    balances(connection, permit, filter, &mut recount).await?;
    offsets(connection, permit, filter, &mut recount).await?;
    connection.execute("commit").await?;
    Ok(recount)
}

impl Recount {
    fn note(&mut self, difference: Difference) {
        self.number += 1;
        if self.differences.iter().filter(|known| known.kind == difference.kind).count() < limits::DIFFERENCES {
            self.differences.push(difference);
        }
    }
}

fn within(filter: &BooksFilter, time: DateTime<Utc>) -> bool {
    filter.from.is_none_or(|from| time >= from) && filter.to.is_none_or(|to| time < to)
}

async fn rows(
    connection: &mut PgConnection,
    permit: &Permit,
    filter: &BooksFilter,
    recount: &mut Recount,
) -> Result<(), sqlx::Error> {
    let mut topics: BTreeMap<String, Topic> = BTreeMap::new();
    let removed: Vec<(String, i64)> = sqlx::query_as(REMOVED)
        .bind(permit.tenant().as_str())
        .bind(filter.topic.as_deref())
        .bind(filter.from)
        .fetch_all(&mut *connection)
        .await?;
    for (topic, rows) in removed {
        topics.entry(topic).or_insert(Topic { exact: true, ..Topic::default() }).lost += rows;
    }
    let mut fewer: Vec<Difference> = Vec::new();
    let mut compared = sqlx::query(ROWS).bind(permit.tenant().as_str()).bind(filter.topic.as_deref()).fetch(connection);
    while let Some(row) = compared.try_next().await? {
        let (batch, topic): (Uuid, String) = (row.try_get(0)?, row.try_get(1)?);
        let (booked, found): (i64, i64) = (row.try_get(3)?, row.try_get(4)?);
        let Some(time) = row.try_get::<Option<DateTime<Utc>>, _>(2)? else {
            let what = format!("{found} rows of topic `{topic}` name batch {batch}, which is not in the books");
            recount.note(Difference { kind: "rows", topic, batch: Some(batch), booked, found, what });
            continue;
        };
        let sums = topics.entry(topic.clone()).or_insert(Topic { exact: true, ..Topic::default() });
        if filter.from.is_none_or(|from| time >= from) {
            let (overwritten, replaced): (Option<i64>, i64) = (row.try_get(5)?, row.try_get(6)?);
            sums.lost += overwritten.unwrap_or_default();
            sums.exact &= overwritten.is_some() || replaced == 0;
        }
        if !within(filter, time) {
            continue;
        }
        recount.batches += 1;
        recount.rows += found.cast_unsigned();
        sums.booked += booked;
        sums.found += found;
        let what = format!("batch {batch} of topic `{topic}` wrote {booked} rows, and {found} name it");
        let difference = Difference { kind: "rows", topic, batch: Some(batch), booked, found, what };
        if found > booked {
            recount.note(difference);
        } else if found < booked && fewer.len() < limits::DIFFERENCES {
            fewer.push(difference);
        }
    }
    drop(compared);
    let whole = filter.from.is_none() && filter.to.is_none();
    for (topic, sums) in topics {
        let missing = sums.booked - sums.found;
        let wrong = if whole && sums.exact { missing != sums.lost } else { missing < 0 || (sums.exact && missing > sums.lost) };
        if !wrong {
            continue;
        }
        let booked = sums.booked - sums.lost;
        let what = format!(
            "topic `{topic}`: {} rows were written and {} of them overwritten or removed, and {} are there, not {booked}",
            sums.booked, sums.lost, sums.found
        );
        recount.note(Difference { kind: "rows", topic: topic.clone(), batch: None, booked, found: sums.found, what });
        // Which batches hold fewer rows than they wrote says where to look, now that some of it has no reason.
        for batch in fewer.iter().filter(|batch| batch.topic == topic) {
            recount.note(batch.clone());
        }
    }
    Ok(())
}

async fn aside(
    connection: &mut PgConnection,
    permit: &Permit,
    filter: &BooksFilter,
    recount: &mut Recount,
) -> Result<(), sqlx::Error> {
    for (kind, sql, says) in
        [("quarantine", KEPT, "entries were kept aside"), ("replay", REPLAYED, "readings left quarantine for it")]
    {
        let mut differing = sqlx::query(sql)
            .bind(permit.tenant().as_str())
            .bind(filter.topic.as_deref())
            .bind(filter.from)
            .bind(filter.to)
            .fetch(&mut *connection);
        while let Some(row) = differing.try_next().await? {
            let (batch, topic): (Uuid, String) = (row.try_get(0)?, row.try_get(1)?);
            let (booked, found): (i64, i64) = (row.try_get(2)?, row.try_get(3)?);
            let what = if row.try_get(4)? {
                format!("batch {batch} of topic `{topic}`: by the books {booked} {says}, and {found} are there or were deleted")
            } else {
                format!("{found} {says}, batch {batch} of topic `{topic}`, which is not in the books")
            };
            recount.note(Difference { kind, topic, batch: Some(batch), booked, found, what });
        }
    }
    Ok(())
}

async fn balances(
    connection: &mut PgConnection,
    permit: &Permit,
    filter: &BooksFilter,
    recount: &mut Recount,
) -> Result<(), sqlx::Error> {
    let mut unbalanced = sqlx::query(UNBALANCED)
        .bind(permit.tenant().as_str())
        .bind(filter.topic.as_deref())
        .bind(filter.from)
        .bind(filter.to)
        .fetch(connection);
    while let Some(row) = unbalanced.try_next().await? {
        let (batch, topic): (Uuid, String) = (row.try_get(0)?, row.try_get(1)?);
        let (booked, found): (i64, i64) = (row.try_get(2)?, row.try_get(3)?);
        let what =
            format!("batch {batch} of topic `{topic}` does not add up: {booked} readings were read, {found} accounted for");
        recount.note(Difference { kind: "balance", topic, batch: Some(batch), booked, found, what });
    }
    Ok(())
}

async fn offsets(
    connection: &mut PgConnection,
    permit: &Permit,
    filter: &BooksFilter,
    recount: &mut Recount,
) -> Result<(), sqlx::Error> {
    let mut steps = sqlx::query(RANGES)
        .bind(permit.tenant().as_str())
        .bind(filter.topic.as_deref())
        .bind(filter.from)
        .bind(filter.to)
        .fetch(&mut *connection);
    while let Some(row) = steps.try_next().await? {
        let (batch, topic, partition): (Uuid, String, i32) = (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
        let (booked, found): (i64, i64) = (row.try_get(3)?, row.try_get(4)?);
        let how = if found > booked { "nobody accounts for what lies between" } else { "what lies between is counted twice" };
        let what =
            format!("partition {partition} of topic `{topic}`: a batch ends at {booked}, batch {batch} begins at {found}; {how}");
        recount.note(Difference { kind: "offsets", topic, batch: Some(batch), booked, found, what });
    }
    drop(steps);
    if filter.from.is_some() || filter.to.is_some() {
        return Ok(());
    }
    let mut positions =
        sqlx::query(POSITIONS).bind(permit.tenant().as_str()).bind(filter.topic.as_deref()).fetch(&mut *connection);
    while let Some(row) = positions.try_next().await? {
        let (topic, partition): (String, i32) = (row.try_get(0)?, row.try_get(1)?);
        let (found, ended): (i64, Option<i64>) = (row.try_get(2)?, row.try_get(3)?);
        let ends = ended.map_or("there is no batch".to_owned(), |ended| format!("the last batch ends at {ended}"));
        let what = format!("partition {partition} of topic `{topic}` stands at {found}, and {ends}");
        let booked = ended.unwrap_or_default();
        recount.note(Difference { kind: "position", topic, batch: None, booked, found, what });
    }
    Ok(())
}
