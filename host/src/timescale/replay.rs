//! What was kept aside, on its way back: chosen here, judged elsewhere, and marked in the transaction that stores its readings.
//!
//! An entry leaves quarantine once: the transaction begins by locking it, where nobody else has, and ends with its readings in the
//! books and the entry marked, or with nothing. An entry leaves whole: it may have become several readings, and all of them are stored
//! or none.

use std::collections::{BTreeMap, BTreeSet};

use sqlx::{PgConnection, Row as _};
use uuid::Uuid;

use super::books::Books;
use super::kept::{self, Kept, KeptFilter};
use super::lines::{Outcome, Part};
use super::sqlstate::WriteError;
use super::{Timescale, away, quarantine, statements};
use crate::batch::{Fate, Refusal};
use crate::error::Result;
use crate::limits;
use crate::policy::Permit;

statements! {
    /// Ids and sizes; `$8` is how many. The state is among the first seven.
    CHOOSE = "select id, octet_length(raw)::bigint from quarantine where tenant = $1 and ($2::text is null or topic = $2) \
        and ($3::timestamptz is null or time >= $3) and ($4::timestamptz is null or time < $4) \
        and ($5::text is null or refuser_kind = $5) and ($6::text is null or refuser = $6) and ($7::text is null or state = $7) \
        order by time, id limit $8";
    MEASURE = "select id, octet_length(raw)::bigint from quarantine where tenant = $1 and id = any($2) order by time, id";
    BRING = "select id, time, batch_id, topic, partition, message_offset, message_key, headers, index_in_source, raw, \
            octet_length(raw) as raw_bytes, refuser_kind, refuser, reason, path, fault, sqlstate, state, attempts, attempted_at, \
            last_refuser_kind, last_refuser, last_reason, replayed_at, replayed_batch, replayed_readings, outcome \
        from quarantine where tenant = $1 and id = any($2) order by time, id";
    STATES = "select id, state, replayed_batch, replayed_readings, outcome from quarantine where tenant = $1 and id = any($2)";
    CLAIM = "select id from quarantine where tenant = $1 and id = any($2) and state = 'waiting' order by id for update skip locked";
    MARK = "update quarantine q set state = 'replayed', replayed_at = now(), replayed_batch = m.batch, replayed_readings = m.readings, \
            outcome = m.outcome \
        from unnest($2::uuid[], $3::uuid[], $4::bigint[], $5::text[]) as m (id, batch, readings, outcome) \
        where q.tenant = $1 and q.id = m.id and q.state = 'waiting'";
    REFUSED_AGAIN = "update quarantine q set attempts = q.attempts + 1, attempted_at = now(), last_refuser_kind = m.kind, \
            last_refuser = m.refuser, last_reason = m.reason \
        from unnest($2::uuid[], $3::text[], $4::text[], $5::text[]) as m (id, kind, refuser, reason) \
        where q.tenant = $1 and q.id = m.id and q.state = 'waiting'";
}

/// Entries that were chosen, oldest first, and whether there are more.
#[derive(Debug)]
pub struct Chosen {
    /// The entries, each whole.
    pub entries: Vec<Kept>,
    /// True where the bounds left some out.
    pub more: bool,
}

/// Where an entry is.
#[derive(Clone, Debug)]
pub struct State {
    /// Nobody replayed it.
    pub waiting: bool,
    /// The batch of its replay.
    pub batch: Option<Uuid>,
    /// The readings that it became.
    pub readings: i64,
    /// `stored` or `duplicate`; empty while it waits.
    pub outcome: String,
}

impl Timescale {
    /// The entries of these ids, whatever their state, as many as [`limits::REPLAY_BYTES`] hold.
    pub async fn kept_of(&self, permit: &Permit, ids: &[Uuid]) -> Result<Chosen> {
        let measure = || async { sqlx::query(MEASURE).bind(permit.tenant().as_str()).bind(ids).fetch_all(&self.requests).await };
        let sizes = self.read(measure).await?;
        self.bring(permit, &sizes, usize::MAX).await
    }

    /// The oldest entries of a filter, at most `limit` and as many as [`limits::REPLAY_BYTES`] hold.
    pub async fn kept_oldest(&self, permit: &Permit, filter: &KeptFilter, limit: u32) -> Result<Chosen> {
        let choose =
            || async { filter.bind(sqlx::query(CHOOSE), permit).bind(i64::from(limit) + 1).fetch_all(&self.requests).await };
        let sizes = self.read(choose).await?;
        self.bring(permit, &sizes, limit as usize).await
    }

    /// Where entries are by now; those that were deleted are missing.
    pub async fn kept_states(&self, permit: &Permit, ids: &[Uuid]) -> Result<BTreeMap<Uuid, State>> {
        let ask = || async { sqlx::query(STATES).bind(permit.tenant().as_str()).bind(ids).fetch_all(&self.requests).await };
        let rows = self.read(ask).await?;
        let state = |row: &sqlx::postgres::PgRow| -> Result<(Uuid, State), sqlx::Error> {
            let state = State {
                waiting: row.try_get::<String, _>(1)? == "waiting",
                batch: row.try_get(2)?,
                readings: row.try_get::<Option<i64>, _>(3)?.unwrap_or_default(),
                outcome: row.try_get::<Option<String>, _>(4)?.unwrap_or_default(),
            };
            Ok((row.try_get(0)?, state))
        };
        rows.iter().map(state).collect::<Result<_, sqlx::Error>>().map_err(away)
    }

    async fn bring(&self, permit: &Permit, sizes: &[sqlx::postgres::PgRow], limit: usize) -> Result<Chosen> {
        let mut ids: Vec<Uuid> = Vec::new();
        let mut bytes = 0;
        for row in sizes {
            let size: i64 = row.try_get(1).map_err(away)?;
            bytes += size;
            // The first one comes, however large it is: otherwise it would never.
            if ids.len() == limit || (bytes > limits::REPLAY_BYTES && !ids.is_empty()) {
                break;
            }
            ids.push(row.try_get(0).map_err(away)?);
        }
        let bring = || async { sqlx::query(BRING).bind(permit.tenant().as_str()).bind(&ids).fetch_all(&self.requests).await };
        let rows = self.read(bring).await?;
        let entries = rows.iter().map(kept::kept).collect::<Result<_, sqlx::Error>>().map_err(away)?;
        Ok(Chosen { entries, more: ids.len() < sizes.len() })
    }

    /// Writes down why entries were refused again; they go on waiting.
    pub async fn refused_again(&self, permit: &Permit, refused: &BTreeMap<Uuid, Refusal>) -> Result<()> {
        if refused.is_empty() {
            return Ok(());
        }
        let ids: Vec<Uuid> = refused.keys().copied().collect();
        let kinds: Vec<&str> = refused.values().map(|refusal| quarantine::kind(&refusal.by)).collect();
        let names: Vec<String> = refused.values().map(|refusal| quarantine::printable(refusal.by.name())).collect();
        let reasons: Vec<String> = refused.values().map(|refusal| quarantine::printable(&refusal.reason)).collect();
        let note = || async {
            sqlx::query(REFUSED_AGAIN)
                .bind(permit.tenant().as_str())
                .bind(&ids)
                .bind(&kinds)
                .bind(&names)
                .bind(&reasons)
                .execute(&self.requests)
                .await
        };
        self.read(note).await.map(drop)
    }
}

/// The entries whose readings are to be stored, with their readings' places, counted through all parts.
fn leaving(parts: &[Part], entries: &[Uuid]) -> BTreeMap<Uuid, Vec<usize>> {
    let mut leaving: BTreeMap<Uuid, Vec<usize>> = BTreeMap::new();
    let fates = parts.iter().flat_map(|part| &part.fates);
    for (at, (entry, _)) in entries.iter().zip(fates).enumerate().filter(|(_, (_, fate))| matches!(fate, Fate::Store(_))) {
        leaving.entry(*entry).or_default().push(at);
    }
    leaving
}

/// Locks the entries that are to leave, or says which of them somebody else has or had.
pub(super) async fn claim(
    connection: &mut PgConnection,
    permit: &Permit,
    parts: &[Part],
    entries: &[Uuid],
) -> Result<(), WriteError> {
    let wanted: Vec<Uuid> = leaving(parts, entries).into_keys().collect();
    let claimed: Vec<Uuid> = sqlx::query_scalar(CLAIM).bind(permit.tenant().as_str()).bind(&wanted).fetch_all(connection).await?;
    let claimed: BTreeSet<Uuid> = claimed.into_iter().collect();
    let taken: Vec<Uuid> = wanted.into_iter().filter(|id| !claimed.contains(id)).collect();
    if taken.is_empty() { Ok(()) } else { Err(WriteError::Taken(taken)) }
}

/// Marks the entries that were claimed.
pub(super) async fn mark(
    connection: &mut PgConnection,
    permit: &Permit,
    parts: &[Part],
    entries: &[Uuid],
    books: &Books,
    outcome: &Outcome,
) -> Result<(), WriteError> {
    let leaving = leaving(parts, entries);
    let ids: Vec<Uuid> = leaving.keys().copied().collect();
    let batches: Vec<Uuid> = leaving.values().map(|readings| books.batch_of(readings[0])).collect();
    let numbers: Vec<i64> = leaving.values().map(|readings| readings.len().cast_signed() as i64).collect();
    let word = |readings: &Vec<usize>| {
        if readings.iter().all(|reading| outcome.is_duplicate(*reading)) { "duplicate" } else { "stored" }
    };
    let words: Vec<&str> = leaving.values().map(word).collect();
    let marked = sqlx::query(MARK)
        .bind(permit.tenant().as_str())
        .bind(&ids)
        .bind(batches)
        .bind(numbers)
        .bind(words)
        .execute(connection)
        .await?
        .rows_affected();
    if marked != ids.len() as u64 {
        let what = format!("{marked} of {} entries that were claimed could be marked", ids.len());
        return Err(WriteError::Standing(sqlx::Error::Protocol(what)));
    }
    Ok(())
}
