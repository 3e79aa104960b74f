//! What was kept aside, on its way out: lists, causes, one entry, and its removal, which the books remember.
//!
//! An entry is one reading, or one message that could not be read. It knows nothing of how entries get here (`quarantine`) nor of how
//! they are replayed (`replay`).

use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::Row as _;
use sqlx::postgres::PgRow;
use uuid::Uuid;

use super::{Timescale, away, statements};
use crate::error::Result;
use crate::limits;
use crate::policy::Permit;

/// Which entries: `$1` tenant, `$2` topic, `$3` and `$4` the bounds of time, `$5` and `$6` kind and name of the refuser, `$7` state, or
/// null for any.
macro_rules! chosen {
    () => {
        "tenant = $1 and ($2::text is null or topic = $2) and ($3::timestamptz is null or time >= $3) \
            and ($4::timestamptz is null or time < $4) and ($5::text is null or refuser_kind = $5) \
            and ($6::text is null or refuser = $6) and ($7::text is null or state = $7)"
    };
}

macro_rules! columns {
    () => {
        "id, time, batch_id, topic, partition, message_offset, message_key, headers, index_in_source, octet_length(raw) as raw_bytes, \
            refuser_kind, refuser, reason, path, fault, sqlstate, state, attempts, attempted_at, last_refuser_kind, last_refuser, \
            last_reason, replayed_at, replayed_batch, replayed_readings, outcome"
    };
}

/// Removes the entries that `chosen` names and notes in `discards` what is missing from the books' batches from now on.
macro_rules! discard {
    ($chosen:expr, $subject:literal, $request:literal, $policy:literal) => {
        concat!(
            "with gone as (delete from quarantine where id in (",
            $chosen,
            " for update) returning topic, batch_id, replayed_batch, replayed_readings), \
            noted as (insert into discards (id, tenant, topic, batch_id, replayed_batch, readings, entries, subject, request_id, \
                    policy_revision) \
                select gen_random_uuid(), $1, topic, batch_id, replayed_batch, coalesce(sum(replayed_readings), 0), count(*), ",
            $subject,
            ", ",
            $request,
            ", ",
            $policy,
            " from gone group by topic, batch_id, replayed_batch) \
            select count(*) from gone"
        )
    };
}

statements! {
    /// `$8` and `$9` are the last entry of the page before or null, `$10` how many, `$11` how many bytes of each to bring.
    LIST = concat!("select ", columns!(), ", substring(raw for $11) as raw from quarantine where ", chosen!(),
        " and ($8::timestamptz is null or (time, id) < ($8, $9)) order by time desc, id desc limit $10");
    ONE = concat!("select ", columns!(), ", raw from quarantine where tenant = $1 and id = $2");
    /// Numbers in a reason are mostly what was measured, not why: folded, the same cause is one line. Ids are in the order of time, and
    /// so are their texts.
    CAUSES = concat!("select topic, refuser_kind, refuser, \
            coalesce(sqlstate, regexp_replace(left(reason, $9), '[0-9]+', '#', 'g')) as cause, \
            count(*) as entries, min(time) as first, max(time) as last, max(id::text) as example \
        from quarantine where ", chosen!(), " group by 1, 2, 3, 4 order by entries desc, topic, refuser_kind, refuser, cause limit $8");
    DISCARD_ONE = discard!("select id from quarantine where tenant = $1 and id = $2", "$3", "$4", "$5");
    DISCARD = discard!(concat!("select id from quarantine where ", chosen!(), " order by time, id limit $8"), "$9", "$10", "$11");
}

/// A reading that was kept aside.
#[derive(Clone, Debug, PartialEq)]
pub struct Kept {
    /// Its id.
    pub id: Uuid,
    /// When it was kept aside.
    pub time: DateTime<Utc>,
    /// The batch in whose books it stands.
    pub batch: Uuid,
    /// The topic; empty for none.
    pub topic: String,
    /// Partition and offset of the message, from Kafka.
    pub message: Option<(i32, i64)>,
    /// The message's key.
    pub key: Option<Vec<u8>>,
    /// The message's headers: `[name, value in base64 or null]` each.
    pub headers: Option<Value>,
    /// Its place among the readings of the request or message.
    pub index: i64,
    /// Its bytes, as they came; in a list, their beginning.
    pub raw: Vec<u8>,
    /// How many bytes it has.
    pub raw_bytes: i32,
    /// What refused it: `decoder`, `policy`, `schema`, `validator` or `store`.
    pub refuser_kind: String,
    /// The refuser's name.
    pub refuser: String,
    /// Why.
    pub reason: String,
    /// A JSON pointer to what is wrong.
    pub path: Option<String>,
    /// True where the check itself failed.
    pub fault: bool,
    /// What the database answered, where it refused.
    pub sqlstate: Option<String>,
    /// `waiting` or `replayed`.
    pub state: String,
    /// Replays that refused it again.
    pub attempts: i32,
    /// What the last of them said.
    pub last: Option<Attempt>,
    /// Where it went.
    pub replayed: Option<Replayed>,
}

/// A replay that refused an entry again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attempt {
    /// When.
    pub time: DateTime<Utc>,
    /// What refused it.
    pub refuser_kind: String,
    /// The refuser's name.
    pub refuser: String,
    /// Why.
    pub reason: String,
}

/// A replay that took an entry out of quarantine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replayed {
    /// When.
    pub time: DateTime<Utc>,
    /// The batch in whose books its readings stand.
    pub batch: Uuid,
    /// How many readings it became.
    pub readings: i64,
    /// `stored` or `duplicate`.
    pub outcome: String,
}

/// Which of what was kept aside; `None` means all.
#[derive(Clone, Debug, Default)]
pub struct KeptFilter {
    /// Of this topic; empty for entries without one.
    pub topic: Option<String>,
    /// Kept aside at or after.
    pub from: Option<DateTime<Utc>>,
    /// Kept aside before.
    pub to: Option<DateTime<Utc>>,
    /// Refused by something of this kind.
    pub refuser_kind: Option<String>,
    /// Refused by this schema (`room@1`), validator or part of Weir.
    pub refuser: Option<String>,
    /// `waiting` or `replayed`.
    pub state: Option<String>,
}

/// Entries that were kept aside for the same reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cause {
    /// The topic; empty for none.
    pub topic: String,
    /// What refused them.
    pub refuser_kind: String,
    /// The refuser's name.
    pub refuser: String,
    /// The reason, each number in it as `#`; where the database refused, its SQLSTATE.
    pub cause: String,
    /// How many.
    pub entries: i64,
    /// When the first was kept aside.
    pub first: DateTime<Utc>,
    /// When the last was.
    pub last: DateTime<Utc>,
    /// The newest of them.
    pub example: Uuid,
}

impl Timescale {
    /// What was kept aside, newest first, at most `limit` after `after`; of each the first [`limits::KEPT_SHOWN_BYTES`].
    pub async fn kept(
        &self,
        permit: &Permit,
        filter: &KeptFilter,
        after: Option<(DateTime<Utc>, Uuid)>,
        limit: u32,
    ) -> Result<Vec<Kept>> {
        let rows = self
            .read(|| async {
                filter
                    .bind(sqlx::query(LIST), permit)
                    .bind(after.map(|(time, _)| time))
                    .bind(after.map(|(_, id)| id))
                    .bind(i64::from(limit))
                    .bind(limits::KEPT_SHOWN_BYTES)
                    .fetch_all(&self.requests)
                    .await
            })
            .await?;
        rows.iter().map(kept).collect::<Result<_, sqlx::Error>>().map_err(away)
    }

    /// One entry, whole.
    pub async fn kept_one(&self, permit: &Permit, id: Uuid) -> Result<Option<Kept>> {
        let ask = || async { sqlx::query(ONE).bind(permit.tenant().as_str()).bind(id).fetch_optional(&self.requests).await };
        self.read(ask).await?.as_ref().map(kept).transpose().map_err(away)
    }

    /// What was kept aside, by cause, most frequent first, at most `limit`.
    pub async fn kept_causes(&self, permit: &Permit, filter: &KeptFilter, limit: u32) -> Result<Vec<Cause>> {
        let rows = self
            .read(|| async {
                filter
                    .bind(sqlx::query(CAUSES), permit)
                    .bind(i64::from(limit))
                    .bind(limits::CAUSE_CHARACTERS)
                    .fetch_all(&self.requests)
                    .await
            })
            .await?;
        rows.iter().map(cause).collect::<Result<_, sqlx::Error>>().map_err(away)
    }

    /// Removes one entry; false where it is not there.
    pub async fn discard_one(&self, permit: &Permit, id: Uuid) -> Result<bool> {
        let gone: i64 = self
            .read(|| async {
                sqlx::query_scalar(DISCARD_ONE)
                    .bind(permit.tenant().as_str())
                    .bind(id)
                    .bind(permit.subject().as_str())
                    .bind(&**permit.request_id())
                    .bind(&**permit.revision())
                    .fetch_one(&self.requests)
                    .await
            })
            .await?;
        Ok(gone > 0)
    }

    /// Removes entries, oldest first, at most `limit`; how many it removed.
    pub async fn discard(&self, permit: &Permit, filter: &KeptFilter, limit: u32) -> Result<u64> {
        let row = self
            .read(|| async {
                filter
                    .bind(sqlx::query(DISCARD), permit)
                    .bind(i64::from(limit))
                    .bind(permit.subject().as_str())
                    .bind(&**permit.request_id())
                    .bind(&**permit.revision())
                    .fetch_one(&self.requests)
                    .await
            })
            .await?;
        let gone: i64 = row.try_get(0).map_err(away)?;
        Ok(gone.cast_unsigned())
    }
}

type Query<'q> = sqlx::query::Query<'q, sqlx::Postgres, sqlx::postgres::PgArguments>;

impl KeptFilter {
    /// Binds `$1` to `$7`.
    pub(super) fn bind<'q>(&'q self, query: Query<'q>, permit: &'q Permit) -> Query<'q> {
        query
            .bind(permit.tenant().as_str())
            .bind(self.topic.as_deref())
            .bind(self.from)
            .bind(self.to)
            .bind(self.refuser_kind.as_deref())
            .bind(self.refuser.as_deref())
            .bind(self.state.as_deref())
    }
}

pub(super) fn kept(row: &PgRow) -> Result<Kept, sqlx::Error> {
    let partition: Option<i32> = row.try_get("partition")?;
    let offset: Option<i64> = row.try_get("message_offset")?;
    let attempted: Option<DateTime<Utc>> = row.try_get("attempted_at")?;
    let replayed: Option<DateTime<Utc>> = row.try_get("replayed_at")?;
    let attempt = |time| -> Result<Attempt, sqlx::Error> {
        Ok(Attempt {
            time,
            refuser_kind: row.try_get::<Option<_>, _>("last_refuser_kind")?.unwrap_or_default(),
            refuser: row.try_get::<Option<_>, _>("last_refuser")?.unwrap_or_default(),
            reason: row.try_get::<Option<_>, _>("last_reason")?.unwrap_or_default(),
        })
    };
    let went = |time| -> Result<Replayed, sqlx::Error> {
        Ok(Replayed {
            time,
            batch: row.try_get("replayed_batch")?,
            readings: row.try_get("replayed_readings")?,
            outcome: row.try_get("outcome")?,
        })
    };
    Ok(Kept {
        id: row.try_get("id")?,
        time: row.try_get("time")?,
        batch: row.try_get("batch_id")?,
        topic: row.try_get("topic")?,
        message: partition.zip(offset),
        key: row.try_get("message_key")?,
        headers: row.try_get("headers")?,
        index: row.try_get("index_in_source")?,
        raw: row.try_get("raw")?,
        raw_bytes: row.try_get("raw_bytes")?,
        refuser_kind: row.try_get("refuser_kind")?,
        refuser: row.try_get("refuser")?,
        reason: row.try_get("reason")?,
        path: row.try_get("path")?,
        fault: row.try_get("fault")?,
        sqlstate: row.try_get("sqlstate")?,
        state: row.try_get("state")?,
        attempts: row.try_get("attempts")?,
        last: attempted.map(attempt).transpose()?,
        replayed: replayed.map(went).transpose()?,
    })
}

fn cause(row: &PgRow) -> Result<Cause, sqlx::Error> {
    let example: String = row.try_get("example")?;
    Ok(Cause {
        topic: row.try_get("topic")?,
        refuser_kind: row.try_get("refuser_kind")?,
        refuser: row.try_get("refuser")?,
        cause: row.try_get("cause")?,
        entries: row.try_get("entries")?,
        first: row.try_get("first")?,
        last: row.try_get("last")?,
        example: example.parse().map_err(|error| sqlx::Error::Decode(Box::new(error)))?,
    })
}
