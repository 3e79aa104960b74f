//! The books: a row of `batches` for each batch, and the positions of its partitions.

use std::collections::BTreeMap;

use sqlx::types::Json;
use sqlx::{PgConnection, Row as _};
use uuid::Uuid;

use super::lines::{Outcome, Part};
use super::sqlstate::WriteError;
use super::{Timescale, away, statements};
use crate::batch::{Fate, Refusal, Source};
use crate::error::Result;
use crate::ledger::{Counts, Ledger, Log, OffsetRange, Origin};
use crate::policy::Permit;

statements! {
    /// Moves a position without readings, and enters a batch of none: the ranges of a partition lie end to end in the books, and the
    /// messages in between were passed over for a reason.
    PASS = "with moved as (\
            insert into writer_offsets as o (cluster, consumer_group, topic, partition, tenant, previous, next) \
            values ($1, $2, $3, $5, $4, $6, $7) \
            on conflict (cluster, consumer_group, topic, partition) do update \
                set tenant = excluded.tenant, previous = excluded.previous, next = excluded.next, updated_at = now() \
                where o.next = excluded.previous \
            returning o.partition) \
        insert into batches (id, tenant, origin, cluster, consumer_group, topic, partition, first_offset, next_offset, \
            rules_revision, policy_revision, subject, request_id, \
            read, stored, replaced, duplicate, quarantined, skipped, rows, overwritten) \
        select $8, $4, 'kafka', $1, $2, $3, m.partition, $6, $7, '', $9, $10, $11, 0, 0, 0, 0, 0, 0, 0, 0 from moved m \
        returning partition";
    POSITION = "select next from writer_offsets where cluster = $1 and consumer_group = $2 and topic = $3 and partition = $4";
    POSITIONS = "select partition, next from writer_offsets \
        where cluster = $1 and consumer_group = $2 and topic = $3 order by partition";
    /// The books, and in the same statement the positions of what came from Kafka: a batch has one round trip less to wait for. It
    /// returns the partitions that moved: those that stand elsewhere are missing.
    ENTER = "with moved as (\
            insert into writer_offsets as o (cluster, consumer_group, topic, partition, tenant, previous, next) \
            select $3, $4, b.topic, b.partition, $1, b.first_offset, b.next_offset \
            from unnest($9::text[], $10::int[], $11::bigint[], $12::bigint[]) as b (topic, partition, first_offset, next_offset) \
            where $2 = 'kafka' order by b.partition \
            on conflict (cluster, consumer_group, topic, partition) do update \
                set tenant = excluded.tenant, previous = excluded.previous, next = excluded.next, updated_at = now() \
                where o.next = excluded.previous \
            returning o.partition), \
        entered as (\
            insert into batches (id, tenant, origin, cluster, consumer_group, topic, partition, first_offset, next_offset, \
                rules_revision, policy_revision, subject, request_id, \
                read, stored, replaced, duplicate, quarantined, skipped, skipped_by, rows, overwritten) \
            select b.id, $1, $2, $3, $4, b.topic, b.partition, b.first_offset, b.next_offset, b.rules_revision, $5, $6, $7, \
                b.read, b.stored, b.replaced, b.duplicate, b.quarantined, b.skipped, b.skipped_by, b.rows, b.overwritten \
            from unnest($8::uuid[], $9::text[], $10::int[], $11::bigint[], $12::bigint[], $13::text[], $14::bigint[], $15::bigint[], \
                $16::bigint[], $17::bigint[], $18::bigint[], $19::bigint[], $20::jsonb[], $21::bigint[], $22::bigint[]) \
                as b (id, topic, partition, first_offset, next_offset, rules_revision, read, stored, replaced, duplicate, quarantined, \
                    skipped, skipped_by, rows, overwritten)) \
        select partition from moved";
}

/// One row of `batches` in the making.
#[derive(Clone, Debug)]
pub(super) struct Book {
    pub(super) id: Uuid,
    topic: String,
    range: Option<OffsetRange>,
    rules_revision: String,
    counts: Counts,
    skipped_by: BTreeMap<String, u64>,
    /// Rows that were written.
    rows: u64,
    /// Of those, the ones that took the place of others.
    overwritten: u64,
}

/// The books of a transaction: one per partition from Kafka, one per part (topic) by HTTP.
#[derive(Clone, Debug)]
pub(super) struct Books {
    pub(super) books: Vec<Book>,
    /// Which book each reading stands in, counted through all parts.
    pub(super) of_reading: Vec<u32>,
}

impl Books {
    /// Opens the books and says which reading goes into which.
    pub(super) fn open(parts: &[Part], origin: &Origin) -> Result<Self, WriteError> {
        match origin {
            Origin::Http | Origin::Replay { .. } => {
                let books = parts.iter().map(|part| Book::new(part.batch.topic().map_or("", |t| t), None, &part.rules.revision));
                let of_reading = parts.iter().zip(0..).flat_map(|(part, at)| vec![at; part.batch.readings().len()]);
                Ok(Self { books: books.collect(), of_reading: of_reading.collect() })
            }
            Origin::Kafka { log, ranges } => {
                let mut revisions: Vec<&str> = parts.iter().map(|part| &*part.rules.revision).collect();
                revisions.dedup();
                let revision = revisions.join(",");
                let books = ranges.iter().map(|range| Book::new(&log.topic, Some(*range), &revision)).collect();
                let readings = parts.iter().flat_map(|part| part.batch.readings());
                let of_reading = readings.map(|reading| covering(ranges, &reading.source)).collect::<Option<Vec<u32>>>();
                let of_reading = of_reading.ok_or_else(|| outside("a reading lies outside the offsets of its batch"))?;
                Ok(Self { books, of_reading })
            }
        }
    }

    /// The batch that a reading stands in, counted through all parts.
    pub(super) fn batch_of(&self, reading: usize) -> Uuid {
        self.books[self.of_reading[reading] as usize].id
    }

    /// Takes over where the partitions stand by now: the batch before may have been stored since the books were opened.
    pub(super) fn position(&mut self, origin: &Origin) -> Result<(), WriteError> {
        let Origin::Kafka { ranges, .. } = origin else { return Ok(()) };
        for (book, range) in self.books.iter_mut().zip(ranges) {
            match &mut book.range {
                Some(known) if known.partition == range.partition && known.next == range.next => *known = *range,
                _ => return Err(outside("a batch is to be stored with the offsets of another")),
            }
        }
        if self.books.len() == ranges.len() { Ok(()) } else { Err(outside("a batch has offsets of more partitions than it had")) }
    }

    /// Enters what became of every reading.
    pub(super) fn settle(&mut self, parts: &[Part], outcome: &Outcome, origin: &Origin) -> Ledger {
        let mut ledger = Ledger::default();
        let replay = matches!(origin, Origin::Replay { .. });
        let fates = parts.iter().flat_map(|part| &part.fates);
        for (reading, (fate, book)) in fates.zip(&self.of_reading).enumerate() {
            if replay && !matches!(fate, Fate::Store(_)) {
                continue;
            }
            let book = &mut self.books[*book as usize];
            book.counts.read += 1;
            match fate {
                Fate::Store(_) if outcome.is_duplicate(reading) => book.counts.duplicate += 1,
                Fate::Store(_) => {
                    book.counts.stored += 1;
                    book.counts.replaced += u64::from(outcome.is_replaced(reading));
                }
                Fate::Quarantine(_) => book.counts.quarantined += 1,
                Fate::Reject(refusal) => {
                    book.counts.skipped += 1;
                    *book.skipped_by.entry(refusal.by.name().to_owned()).or_default() += 1;
                }
            }
            if let Fate::Quarantine(refusal) | Fate::Reject(refusal) = fate {
                ledger.refusals.push((u32::try_from(reading).unwrap_or(u32::MAX), Refusal::clone(refusal)));
            }
        }
        for (at, book) in self.books.iter_mut().enumerate() {
            (book.rows, book.overwritten) = (outcome.rows[at], outcome.overwritten[at]);
            ledger.batches.push(book.id);
            ledger.counts.add(&book.counts);
            for (name, count) in &book.skipped_by {
                *ledger.skipped_by.entry(name.clone()).or_default() += count;
            }
        }
        ledger
    }

    /// Writes the rows of `batches`, and moves the positions.
    pub(super) async fn enter(&self, connection: &mut PgConnection, permit: &Permit, origin: &Origin) -> Result<(), WriteError> {
        let log = match origin {
            Origin::Http | Origin::Replay { .. } => None,
            Origin::Kafka { log, .. } => Some(log),
        };
        let ranges = || self.books.iter().map(|book| book.range);
        let count = |of: fn(&Counts) -> u64| self.books.iter().map(|book| of(&book.counts).cast_signed()).collect::<Vec<i64>>();
        let moved: Vec<i32> = sqlx::query_scalar(ENTER)
            .bind(permit.tenant().as_str())
            .bind(origin.as_str())
            .bind(log.map(|log| &*log.cluster))
            .bind(log.map(|log| &*log.group))
            .bind(&**permit.revision())
            .bind(permit.subject().as_str())
            .bind(&**permit.request_id())
            .bind(self.books.iter().map(|book| book.id).collect::<Vec<_>>())
            .bind(self.books.iter().map(|book| book.topic.as_str()).collect::<Vec<_>>())
            .bind(ranges().map(|range| range.map(|range| range.partition)).collect::<Vec<_>>())
            .bind(ranges().map(|range| range.map(|range| range.expected)).collect::<Vec<_>>())
            .bind(ranges().map(|range| range.map(|range| range.next)).collect::<Vec<_>>())
            .bind(self.books.iter().map(|book| book.rules_revision.as_str()).collect::<Vec<_>>())
            .bind(count(|counts| counts.read))
            .bind(count(|counts| counts.stored))
            .bind(count(|counts| counts.replaced))
            .bind(count(|counts| counts.duplicate))
            .bind(count(|counts| counts.quarantined))
            .bind(count(|counts| counts.skipped))
            .bind(self.books.iter().map(|book| Json(&book.skipped_by)).collect::<Vec<_>>())
            .bind(self.books.iter().map(|book| book.rows.cast_signed()).collect::<Vec<i64>>())
            .bind(self.books.iter().map(|book| book.overwritten.cast_signed()).collect::<Vec<i64>>())
            .fetch_all(&mut *connection)
            .await?;
        let fenced = ranges().flatten().find(|range| !moved.contains(&range.partition));
        match (log, fenced) {
            (Some(log), Some(fenced)) => Err(fence(connection, log, fenced).await?),
            _ => Ok(()),
        }
    }
}

fn outside(what: &str) -> WriteError {
    WriteError::Standing(sqlx::Error::Protocol(what.to_owned()))
}

impl Book {
    fn new(topic: &str, range: Option<OffsetRange>, rules_revision: &str) -> Self {
        Self {
            id: Uuid::now_v7(),
            topic: topic.to_owned(),
            range,
            rules_revision: rules_revision.to_owned(),
            counts: Counts::default(),
            skipped_by: BTreeMap::new(),
            rows: 0,
            overwritten: 0,
        }
    }
}

/// The range that a reading lies in.
fn covering(ranges: &[OffsetRange], source: &Source) -> Option<u32> {
    let Source::Kafka { partition, offset, .. } = source else { return None };
    let at = ranges.iter().position(|range| range.partition == *partition && (range.expected..range.next).contains(offset))?;
    u32::try_from(at).ok()
}

/// Where the partition stands that did not move.
async fn fence(connection: &mut PgConnection, log: &Log, range: OffsetRange) -> Result<WriteError, sqlx::Error> {
    let stored: Option<i64> = sqlx::query_scalar(POSITION)
        .bind(&*log.cluster)
        .bind(&*log.group)
        .bind(&*log.topic)
        .bind(range.partition)
        .fetch_optional(connection)
        .await?;
    Ok(WriteError::Fenced { partition: range.partition, expected: range.expected, stored })
}

impl Timescale {
    /// Up to where each partition of a log is stored; partitions of which nothing is stored are missing.
    ///
    /// A log's position is not a tenant's: where a topic changes hands, its new tenant goes on where the old one ended.
    pub async fn positions(&self, _permit: &Permit, log: &Log) -> Result<Vec<(i32, i64)>> {
        let ask = || async {
            sqlx::query(POSITIONS).bind(&*log.cluster).bind(&*log.group).bind(&*log.topic).fetch_all(&self.lanes).await
        };
        let rows = self.ask(&self.lanes, ask).await?;
        rows.iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?))).collect::<Result<_, sqlx::Error>>().map_err(away)
    }

    /// Moves a position without rows and books that; fails where it stands elsewhere by now.
    pub async fn position_move(&self, permit: &Permit, log: &Log, range: OffsetRange) -> Result<()> {
        let mut connection = self.lanes.acquire().await.map_err(away)?;
        let moved: Vec<i32> = sqlx::query_scalar(PASS)
            .bind(&*log.cluster)
            .bind(&*log.group)
            .bind(&*log.topic)
            .bind(permit.tenant().as_str())
            .bind(range.partition)
            .bind(range.expected)
            .bind(range.next)
            .bind(Uuid::now_v7())
            .bind(&**permit.revision())
            .bind(permit.subject().as_str())
            .bind(&**permit.request_id())
            .fetch_all(&mut *connection)
            .await
            .map_err(away)?;
        if moved.is_empty() {
            return Err(fence(&mut connection, log, range).await.map_err(away)?.into());
        }
        Ok(())
    }
}
