//! What became of each version of a module: counts, the last faults, log lines and differences, and replays.

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::FromRow;
use uuid::Uuid;

use crate::error::Result;
use crate::limits;
use crate::platform::{Platform, failed, statements};
use crate::policy::Permit;

/// Buckets of a histogram of times: the first has what is below 64 µs, each further one twice that of the one before, the last the rest.
pub const BUCKETS: usize = 16;

/// What a version did since the last time that it was written down, or ever.
#[derive(Clone, Debug, Default, PartialEq, Eq, FromRow)]
pub struct Tally {
    /// Calls of the module.
    pub calls: i64,
    /// Calls that failed.
    pub faults: i64,
    /// Batches, documents and objects that it was not shown, since its breaker was open.
    pub rested: i64,
    /// Readings (documents, objects) that it passed as they are.
    pub accepted: i64,
    /// That it passed changed.
    pub replaced: i64,
    /// That it refused.
    pub rejected: i64,
    /// That it failed on.
    pub failed: i64,
    /// Time in the module, in microseconds.
    pub micros: i64,
    /// Calls by their time, in [`BUCKETS`].
    pub histogram: Vec<i64>,
    /// Linear memory at its largest, in bytes.
    pub peak_memory_bytes: i64,
    /// Log lines beyond the bounds.
    pub dropped_lines: i64,
    /// As a shadow: readings that were compared.
    pub compared: i64,
    /// As a shadow: readings that were not, since too many waited.
    pub not_compared: i64,
    /// As a shadow: those that the active version passed and it refuses.
    pub accept_to_reject: i64,
    /// As a shadow: those that the active version refused and it passes.
    pub reject_to_accept: i64,
    /// As a shadow: those that both pass, otherwise.
    pub changed: i64,
}

impl Tally {
    /// Counts calls that took this long together.
    pub fn time(&mut self, calls: u32, took: Duration) {
        if calls == 0 {
            return;
        }
        let micros = i64::try_from(took.as_micros()).unwrap_or(i64::MAX);
        self.micros = self.micros.saturating_add(micros);
        self.histogram.resize(BUCKETS, 0);
        let each = took / calls;
        let bucket = (0..BUCKETS - 1).find(|bucket| each < Duration::from_micros(64 << bucket)).unwrap_or(BUCKETS - 1);
        self.histogram[bucket] += i64::from(calls);
    }
}

/// A version's counts.
#[derive(Clone, Debug, FromRow)]
pub struct StatsRow {
    /// The version.
    pub version: i32,
    /// The counts.
    #[sqlx(flatten)]
    pub tally: Tally,
    /// When they last changed.
    pub updated_at: DateTime<Utc>,
}

/// A fault, a log line or a difference.
#[derive(Clone, Debug, FromRow)]
pub struct NoteRow {
    /// The version.
    pub version: i32,
    /// `fault`, `log` or `difference`.
    pub kind: String,
    /// When.
    pub at: DateTime<Utc>,
    /// What.
    pub body: Value,
}

/// A fault, a log line or a difference to be kept.
#[derive(Clone, Debug)]
pub struct Note {
    /// `fault`, `log` or `difference`.
    pub kind: &'static str,
    /// When.
    pub at: DateTime<Utc>,
    /// What.
    pub body: Value,
}

/// What a version did, and what is worth reading of it.
#[derive(Clone, Debug)]
pub struct Record {
    /// The validator.
    pub validator: Uuid,
    /// The version.
    pub version: i32,
    /// The counts, to be added.
    pub tally: Tally,
    /// The notes, the newest last.
    pub notes: Vec<Note>,
}

/// A replay of a version over what is there already.
#[derive(Clone, Debug, FromRow)]
pub struct ReplayRow {
    /// Its id.
    pub id: Uuid,
    /// The version that was tried.
    pub version: i32,
    /// The version that it was compared with.
    pub against: Option<i32>,
    /// The configuration under which both ran.
    pub config: Value,
    /// Who asked.
    pub subject: String,
    /// When.
    pub at: DateTime<Utc>,
    /// True where nothing differed and nothing failed.
    pub clean: bool,
    /// The counts and samples.
    pub report: Value,
}

statements! {
    /// A version that was deleted meanwhile has nothing to add to.
    ADD = "insert into validator_stats as s (tenant, validator_id, version, calls, faults, rested, accepted, replaced, rejected, failed, micros,
               histogram, peak_memory_bytes, dropped_lines, compared, not_compared, accept_to_reject, reject_to_accept, changed)
           select $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19
           where exists (select from validator_versions where tenant = $1 and validator_id = $2 and version = $3)
           on conflict (validator_id, version) do update set calls = s.calls + excluded.calls, faults = s.faults + excluded.faults,
               rested = s.rested + excluded.rested, accepted = s.accepted + excluded.accepted, replaced = s.replaced + excluded.replaced,
               rejected = s.rejected + excluded.rejected, failed = s.failed + excluded.failed, micros = s.micros + excluded.micros,
               histogram = array(select coalesce(a, 0) + coalesce(b, 0) from unnest(s.histogram, excluded.histogram) as h (a, b)),
               peak_memory_bytes = greatest(s.peak_memory_bytes, excluded.peak_memory_bytes),
               dropped_lines = s.dropped_lines + excluded.dropped_lines, compared = s.compared + excluded.compared,
               not_compared = s.not_compared + excluded.not_compared, accept_to_reject = s.accept_to_reject + excluded.accept_to_reject,
               reject_to_accept = s.reject_to_accept + excluded.reject_to_accept, changed = s.changed + excluded.changed, updated_at = now()";
    NOTE = "insert into validator_notes (id, tenant, validator_id, version, kind, at, body)
            select n.id, $1, $2, $3, n.kind, n.at, n.body
            from unnest($4::uuid[], $5::text[], $6::timestamptz[], $7::jsonb[]) as n (id, kind, at, body)
            where exists (select from validator_versions where tenant = $1 and validator_id = $2 and version = $3)";
    /// All but the newest of each kind.
    FORGET = "delete from validator_notes n using (
                  select id, row_number() over (partition by kind order by id desc) as place from validator_notes
                  where tenant = $1 and validator_id = $2 and version = $3) o
              where n.id = o.id and o.place > $4";
    STATS = "select * from validator_stats where tenant = $1 and validator_id = $2 order by version desc limit $3";
    STATS_ONE = "select * from validator_stats where tenant = $1 and validator_id = $2 and version = $3";
    NOTES = "select version, kind, at, body from validator_notes where tenant = $1 and validator_id = $2 order by id desc limit $3";
    REPLAY = "insert into validator_replays (id, tenant, validator_id, version, against, config, subject, clean, report)
              values ($1, $2, $3, $4, $5, $6, $7, $8, $9) returning id, version, against, config, subject, at, clean, report";
    REPLAYS = "select id, version, against, config, subject, at, clean, report from validator_replays
               where tenant = $1 and validator_id = $2 order by id desc limit $3";
}

impl Platform {
    /// Adds to what is known of versions of the permit's tenant.
    pub async fn validator_record(&self, permit: &Permit, records: &[Record]) -> Result<()> {
        let tenant = permit.tenant().as_str();
        let mut transaction = self.begin(permit).await?;
        for Record { validator, version, tally, notes } in records {
            sqlx::query(ADD)
                .bind(tenant)
                .bind(validator)
                .bind(version)
                .bind(tally.calls)
                .bind(tally.faults)
                .bind(tally.rested)
                .bind(tally.accepted)
                .bind(tally.replaced)
                .bind(tally.rejected)
                .bind(tally.failed)
                .bind(tally.micros)
                .bind(&tally.histogram)
                .bind(tally.peak_memory_bytes)
                .bind(tally.dropped_lines)
                .bind(tally.compared)
                .bind(tally.not_compared)
                .bind(tally.accept_to_reject)
                .bind(tally.reject_to_accept)
                .bind(tally.changed)
                .execute(&mut *transaction)
                .await
                .map_err(failed)?;
            if notes.is_empty() {
                continue;
            }
            sqlx::query(NOTE)
                .bind(tenant)
                .bind(validator)
                .bind(version)
                .bind(notes.iter().map(|_| Uuid::now_v7()).collect::<Vec<_>>())
                .bind(notes.iter().map(|note| note.kind).collect::<Vec<_>>())
                .bind(notes.iter().map(|note| note.at).collect::<Vec<_>>())
                .bind(notes.iter().map(|note| note.body.clone()).collect::<Vec<_>>())
                .execute(&mut *transaction)
                .await
                .map_err(failed)?;
            sqlx::query(FORGET)
                .bind(tenant)
                .bind(validator)
                .bind(version)
                .bind(limits::NOTES_KEPT)
                .execute(&mut *transaction)
                .await
                .map_err(failed)?;
        }
        transaction.commit().await.map_err(failed)
    }

    /// What is known of the newest versions, the newest first.
    pub async fn validator_stats(&self, permit: &Permit, id: Uuid) -> Result<Vec<StatsRow>> {
        let mut transaction = self.begin(permit).await?;
        sqlx::query_as(STATS)
            .bind(permit.tenant().as_str())
            .bind(id)
            .bind(limits::STATS_LISTED)
            .fetch_all(&mut *transaction)
            .await
            .map_err(failed)
    }

    /// What is known of one version.
    pub async fn validator_stats_of(&self, permit: &Permit, id: Uuid, version: i32) -> Result<Option<StatsRow>> {
        let mut transaction = self.begin(permit).await?;
        sqlx::query_as(STATS_ONE)
            .bind(permit.tenant().as_str())
            .bind(id)
            .bind(version)
            .fetch_optional(&mut *transaction)
            .await
            .map_err(failed)
    }

    /// The newest faults, log lines and differences, the newest first.
    pub async fn validator_notes(&self, permit: &Permit, id: Uuid) -> Result<Vec<NoteRow>> {
        let mut transaction = self.begin(permit).await?;
        sqlx::query_as(NOTES)
            .bind(permit.tenant().as_str())
            .bind(id)
            .bind(limits::NOTES_LISTED)
            .fetch_all(&mut *transaction)
            .await
            .map_err(failed)
    }

    /// Keeps what a replay showed.
    pub async fn validator_replay_keep(
        &self,
        permit: &Permit,
        id: Uuid,
        (version, against): (i32, Option<i32>),
        config: &Value,
        (clean, report): (bool, &Value),
    ) -> Result<ReplayRow> {
        let mut transaction = self.begin(permit).await?;
        let row = sqlx::query_as(REPLAY)
            .bind(Uuid::now_v7())
            .bind(permit.tenant().as_str())
            .bind(id)
            .bind(version)
            .bind(against)
            .bind(config)
            .bind(permit.subject().as_str())
            .bind(clean)
            .bind(report)
            .fetch_one(&mut *transaction)
            .await
            .map_err(failed)?;
        transaction.commit().await.map_err(failed)?;
        Ok(row)
    }

    /// The newest replays, the newest first.
    pub async fn validator_replays(&self, permit: &Permit, id: Uuid) -> Result<Vec<ReplayRow>> {
        let mut transaction = self.begin(permit).await?;
        sqlx::query_as(REPLAYS)
            .bind(permit.tenant().as_str())
            .bind(id)
            .bind(limits::STATS_LISTED)
            .fetch_all(&mut *transaction)
            .await
            .map_err(failed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_fall_into_buckets_by_their_time() {
        let mut tally = Tally::default();
        tally.time(0, Duration::from_secs(1));
        assert_eq!(tally, Tally::default());
        tally.time(2, Duration::from_micros(100));
        tally.time(1, Duration::from_micros(64));
        tally.time(1, Duration::from_hours(1));
        assert_eq!((tally.histogram[0], tally.histogram[1], tally.histogram[BUCKETS - 1]), (2, 1, 1));
        assert_eq!(tally.micros, 3_600_000_164);
    }
}
