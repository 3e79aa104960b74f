//! The books, read: sums by partition, and what became of one message. `verify` recounts them.
//!
//! Reads only. A *log* is a topic's partition under one cluster and consumer group; its batches cover ranges of offsets that lie end
//! to end. Where a position was moved back, since a topic was made anew, the offsets begin again: that is another *life* of the log.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use sqlx::Row as _;
use sqlx::postgres::PgRow;
use sqlx::types::Json;
use uuid::Uuid;

use super::{Timescale, away, statements};
use crate::error::Result;
use crate::ledger::Counts;
use crate::limits;
use crate::policy::Permit;

statements! {
    /// `$2` topic, `$3` partition, `$4` and `$5` the bounds of time, or null; `$6` how many lines.
    SUMS = "with chosen as ( \
            select *, sum(case when next_offset < first_offset then 1 else 0 end) over (partition by cluster, consumer_group, topic, \
                partition order by time, id) as life \
            from batches where tenant = $1 and ($2::text is null or topic = $2) and ($3::int is null or partition = $3) \
                and ($4::timestamptz is null or time >= $4) and ($5::timestamptz is null or time < $5)), \
        steps as ( \
            select *, lag(next_offset) over (partition by origin, cluster, consumer_group, topic, partition, life, \
                next_offset < first_offset order by first_offset, next_offset) as before \
            from chosen), \
        reasons as ( \
            select origin, cluster, consumer_group, topic, partition, jsonb_object_agg(name, skipped) as skipped_by from ( \
                select origin, cluster, consumer_group, topic, partition, s.key as name, sum(s.value::bigint) as skipped \
                from chosen cross join lateral jsonb_each_text(skipped_by) s group by 1, 2, 3, 4, 5, 6) named \
            group by 1, 2, 3, 4, 5) \
        select s.origin, s.cluster, s.consumer_group, s.topic, s.partition, \
            sum(read)::bigint, sum(stored)::bigint, sum(replaced)::bigint, sum(duplicate)::bigint, sum(quarantined)::bigint, \
            sum(skipped)::bigint, sum(rows)::bigint, count(*), min(time), max(time), \
            min(least(first_offset, next_offset)), max(greatest(first_offset, next_offset)), \
            count(*) filter (where before is not null and first_offset > before and next_offset >= first_offset), \
            coalesce(min(r.skipped_by::text), '{}')::jsonb \
        from steps s left join reasons r on r.origin = s.origin and r.topic = s.topic \
            and (r.cluster, r.consumer_group, r.partition) is not distinct from (s.cluster, s.consumer_group, s.partition) \
        group by s.origin, s.cluster, s.consumer_group, s.topic, s.partition \
        order by s.topic, s.partition nulls first, s.origin, s.cluster, s.consumer_group limit $6";
    LOGS = "select cluster, consumer_group, next from writer_offsets \
        where tenant = $1 and topic = $2 and partition = $3 order by updated_at desc limit $4";
    COVERING = "select id, time, origin, rules_revision, policy_revision, subject, first_offset, next_offset, read, stored, replaced, \
            duplicate, quarantined, skipped, rows, skipped_by \
        from batches where tenant = $1 and topic = $2 and partition = $3 and origin = 'kafka' and cluster = $4 and consumer_group = $5 \
            and first_offset <= $6 and next_offset > first_offset \
        order by first_offset desc, time desc limit 1";
    ASIDE = "select id, state, index_in_source, refuser_kind, refuser, reason, outcome, \
            count(*) over () as entries from quarantine \
        where tenant = $1 and batch_id = $2 and topic = $3 and partition = $4 and message_offset = $5 \
        order by index_in_source, id limit $6";
    DISCARDED = "select coalesce(sum(entries), 0)::bigint from discards where tenant = $1 and batch_id = $2";
}

/// Which books; `None` means all.
#[derive(Clone, Debug, Default)]
pub struct BooksFilter {
    /// Of this topic; empty for readings without one.
    pub topic: Option<String>,
    /// Of this partition.
    pub partition: Option<i32>,
    /// Entered at or after.
    pub from: Option<DateTime<Utc>>,
    /// Entered before.
    pub to: Option<DateTime<Utc>>,
}

/// The books of one partition, or of what came by one other way for one topic, summed.
#[derive(Clone, Debug, PartialEq)]
pub struct Sums {
    /// `http`, `kafka` or `replay`.
    pub origin: String,
    /// Cluster and consumer group, from Kafka.
    pub log: Option<(String, String)>,
    /// The topic; empty for none.
    pub topic: String,
    /// The partition, from Kafka.
    pub partition: Option<i32>,
    /// What became of the readings.
    pub counts: Counts,
    /// Skipped readings by what refused them.
    pub skipped_by: BTreeMap<String, u64>,
    /// Rows that were written.
    pub rows: u64,
    /// Batches.
    pub batches: u64,
    /// When the first was entered, and the last.
    pub times: (DateTime<Utc>, DateTime<Utc>),
    /// The first offset and the one behind the last.
    pub offsets: Option<(i64, i64)>,
    /// Places where a batch does not begin where the one before ended.
    pub gaps: u64,
}

/// A batch of the books.
#[derive(Clone, Debug, PartialEq)]
pub struct Booked {
    /// Its id.
    pub id: Uuid,
    /// When it was entered.
    pub time: DateTime<Utc>,
    /// The rules that its readings passed.
    pub rules_revision: String,
    /// The policy at work.
    pub policy_revision: String,
    /// Who wrote it.
    pub subject: String,
    /// The offsets that it covers, half open.
    pub offsets: (i64, i64),
    /// What became of its readings.
    pub counts: Counts,
    /// Skipped readings by what refused them.
    pub skipped_by: BTreeMap<String, u64>,
    /// Rows that were written.
    pub rows: u64,
}

/// A reading of a message that was kept aside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Aside {
    /// Its entry in quarantine.
    pub id: Uuid,
    /// `waiting` or `replayed`.
    pub state: String,
    /// Its place in the message.
    pub index: i64,
    /// What refused it.
    pub refuser_kind: String,
    /// The refuser's name.
    pub refuser: String,
    /// Why.
    pub reason: String,
    /// `stored` or `duplicate`, where it was replayed.
    pub outcome: Option<String>,
}

/// What the books of one log say of an offset.
#[derive(Clone, Debug, PartialEq)]
pub struct Trace {
    /// The cluster.
    pub cluster: String,
    /// The consumer group.
    pub group: String,
    /// Up to where the log is stored.
    pub position: i64,
    /// The batch that covers the offset.
    pub batch: Option<Booked>,
    /// What of the message was kept aside, at most [`limits::PAGE_DEFAULT`] of it.
    pub aside: Vec<Aside>,
    /// How much of it was, in all.
    pub asides: u64,
    /// Entries of the batch that were deleted from quarantine since: this message's may be among them.
    pub discarded: u64,
}

impl Timescale {
    /// The books by topic, partition and origin, at most [`limits::LEDGER_LINES`].
    pub async fn books(&self, permit: &Permit, filter: &BooksFilter) -> Result<Vec<Sums>> {
        let rows = self
            .read(|| async {
                sqlx::query(SUMS)
                    .bind(permit.tenant().as_str())
                    .bind(filter.topic.as_deref())
                    .bind(filter.partition)
                    .bind(filter.from)
                    .bind(filter.to)
                    .bind(limits::LEDGER_LINES)
                    .fetch_all(&self.requests)
                    .await
            })
            .await?;
        rows.iter().map(sums).collect::<Result<_, sqlx::Error>>().map_err(away)
    }

    /// What the books say of a message, for each log that has its partition.
    pub async fn trace(&self, permit: &Permit, topic: &str, partition: i32, offset: i64) -> Result<Vec<Trace>> {
        let tenant = permit.tenant().as_str();
        let logs: Vec<(String, String, i64)> = self
            .read(|| async {
                let logs = sqlx::query_as(LOGS).bind(tenant).bind(topic).bind(partition);
                logs.bind(limits::LEDGER_LOGS).fetch_all(&self.requests).await
            })
            .await?;
        let mut traces = Vec::with_capacity(logs.len());
        for (cluster, group, position) in logs {
            let covering = || async {
                let batch = sqlx::query(COVERING).bind(tenant).bind(topic).bind(partition).bind(&cluster).bind(&group);
                batch.bind(offset).fetch_optional(&self.requests).await
            };
            let batch = self.read(covering).await?.as_ref().map(booked).transpose().map_err(away)?;
            let batch = batch.filter(|batch| batch.offsets.1 > offset);
            let (aside, asides, discarded) = match &batch {
                None => (Vec::new(), 0, 0),
                Some(batch) => self.aside(permit, batch.id, topic, partition, offset).await?,
            };
            traces.push(Trace { cluster, group, position, batch, aside, asides, discarded });
        }
        Ok(traces)
    }

    async fn aside(
        &self,
        permit: &Permit,
        batch: Uuid,
        topic: &str,
        partition: i32,
        offset: i64,
    ) -> Result<(Vec<Aside>, u64, u64)> {
        let tenant = permit.tenant().as_str();
        let ask = || async {
            let entries = sqlx::query(ASIDE).bind(tenant).bind(batch).bind(topic).bind(partition).bind(offset);
            entries.bind(i64::from(limits::PAGE_DEFAULT)).fetch_all(&self.requests).await
        };
        let rows = self.read(ask).await?;
        let discarded: i64 = self
            .read(|| async { sqlx::query_scalar(DISCARDED).bind(tenant).bind(batch).fetch_one(&self.requests).await })
            .await?;
        let aside = |row: &PgRow| -> Result<Aside, sqlx::Error> {
            Ok(Aside {
                id: row.try_get(0)?,
                state: row.try_get(1)?,
                index: row.try_get(2)?,
                refuser_kind: row.try_get(3)?,
                refuser: row.try_get(4)?,
                reason: row.try_get(5)?,
                outcome: row.try_get(6)?,
            })
        };
        let all = rows.first().map(|row| count(row, 7)).transpose().map_err(away)?.unwrap_or_default();
        let asides = rows.iter().map(aside).collect::<Result<_, sqlx::Error>>().map_err(away)?;
        Ok((asides, all, discarded.cast_unsigned()))
    }
}

fn count(row: &PgRow, at: usize) -> Result<u64, sqlx::Error> {
    Ok(row.try_get::<i64, _>(at)?.cast_unsigned())
}

/// The counts from column `at` on.
fn counts(row: &PgRow, at: usize) -> Result<Counts, sqlx::Error> {
    Ok(Counts {
        read: count(row, at)?,
        stored: count(row, at + 1)?,
        replaced: count(row, at + 2)?,
        duplicate: count(row, at + 3)?,
        quarantined: count(row, at + 4)?,
        skipped: count(row, at + 5)?,
    })
}

fn sums(row: &PgRow) -> Result<Sums, sqlx::Error> {
    let Json(skipped_by) = row.try_get(18)?;
    let (cluster, group): (Option<String>, Option<String>) = (row.try_get(1)?, row.try_get(2)?);
    let (first, next): (Option<i64>, Option<i64>) = (row.try_get(15)?, row.try_get(16)?);
    Ok(Sums {
        origin: row.try_get(0)?,
        log: cluster.zip(group),
        topic: row.try_get(3)?,
        partition: row.try_get(4)?,
        counts: counts(row, 5)?,
        skipped_by,
        rows: count(row, 11)?,
        batches: count(row, 12)?,
        times: (row.try_get(13)?, row.try_get(14)?),
        offsets: first.zip(next),
        gaps: count(row, 17)?,
    })
}

fn booked(row: &PgRow) -> Result<Booked, sqlx::Error> {
    let Json(skipped_by) = row.try_get(15)?;
    Ok(Booked {
        id: row.try_get(0)?,
        time: row.try_get(1)?,
        rules_revision: row.try_get(3)?,
        policy_revision: row.try_get(4)?,
        subject: row.try_get(5)?,
        offsets: (row.try_get(6)?, row.try_get(7)?),
        counts: counts(row, 8)?,
        rows: count(row, 14)?,
        skipped_by,
    })
}
