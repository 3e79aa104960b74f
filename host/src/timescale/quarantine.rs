//! What was kept aside: written with the batch that it came in, listed for whoever decides about it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use sqlx::postgres::PgRow;
use sqlx::types::Json;
use sqlx::{PgConnection, Row as _};
use uuid::Uuid;

use super::books::Books;
use super::lines::Part;
use super::{Timescale, away, statements};
use crate::batch::{Fate, Refusal, Refuser, Source};
use crate::error::Result;
use crate::policy::Permit;

statements! {
    KEEP = "insert into quarantine (id, tenant, batch_id, topic, partition, message_offset, message_key, headers, index_in_source, \
            raw, refuser_kind, refuser, reason, path, fault, sqlstate) \
        select q.id, $1, q.batch_id, q.topic, q.partition, q.message_offset, q.message_key, q.headers, q.index_in_source, q.raw, \
            q.refuser_kind, q.refuser, q.reason, q.path, q.fault, q.sqlstate \
        from unnest($2::uuid[], $3::uuid[], $4::text[], $5::int[], $6::bigint[], $7::bytea[], $8::jsonb[], $9::bigint[], $10::bytea[], \
            $11::text[], $12::text[], $13::text[], $14::text[], $15::bool[], $16::text[]) \
            as q (id, batch_id, topic, partition, message_offset, message_key, headers, index_in_source, raw, refuser_kind, refuser, \
                reason, path, fault, sqlstate)";
    LIST = "select id, time, batch_id, topic, partition, message_offset, message_key, headers, index_in_source, raw, refuser_kind, \
            refuser, reason, path, fault, sqlstate \
        from quarantine where tenant = $1 and ($2::text is null or topic = $2) \
            and ($3::timestamptz is null or time >= $3) and ($4::timestamptz is null or time < $4) \
            and ($5::timestamptz is null or (time, id) < ($5, $6)) \
        order by time desc, id desc limit $7";
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
    /// Its bytes, as they came.
    pub raw: Vec<u8>,
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
}

/// Which of what was kept aside.
#[derive(Clone, Debug, Default)]
pub struct KeptFilter {
    /// Of this topic.
    pub topic: Option<String>,
    /// Kept aside at or after.
    pub from: Option<DateTime<Utc>>,
    /// Kept aside before.
    pub to: Option<DateTime<Utc>>,
    /// Older than this one: the last of the page before.
    pub after: Option<(DateTime<Utc>, Uuid)>,
}

/// Writes what the fates say is kept aside.
pub(super) async fn keep(
    connection: &mut PgConnection,
    permit: &Permit,
    parts: &[Part],
    books: &Books,
) -> Result<(), sqlx::Error> {
    let kept = collect(parts, books);
    if kept.is_empty() {
        return Ok(());
    }
    macro_rules! column {
        ($of:expr) => {
            kept.iter().map($of).collect::<Vec<_>>()
        };
    }
    sqlx::query(KEEP)
        .bind(permit.tenant().as_str())
        .bind(column!(|_| Uuid::now_v7()))
        .bind(column!(|row| row.batch))
        .bind(column!(|row| row.topic))
        .bind(column!(|row| row.message().map(|(partition, _, _)| partition)))
        .bind(column!(|row| row.message().map(|(_, offset, _)| offset)))
        .bind(column!(|row| row.message().and_then(|(_, _, key)| key)))
        .bind(column!(|row| headers(row.source)))
        .bind(column!(|row| row.index))
        .bind(column!(|row| row.raw))
        .bind(column!(|row| kind(&row.refusal.by)))
        .bind(column!(|row| printable(row.refusal.by.name())))
        .bind(column!(|row| printable(&row.refusal.reason)))
        .bind(column!(|row| row.refusal.path.as_deref().map(printable)))
        .bind(column!(|row| row.refusal.fault))
        .bind(column!(|row| match &row.refusal.by {
            Refuser::Store(sqlstate) => Some(&**sqlstate),
            _ => None,
        }))
        .execute(connection)
        .await
        .map(drop)
}

struct Aside<'a> {
    batch: Uuid,
    topic: &'a str,
    source: &'a Source,
    index: i64,
    raw: &'a [u8],
    refusal: &'a Refusal,
}

impl<'a> Aside<'a> {
    fn message(&self) -> Option<(i32, i64, Option<&'a [u8]>)> {
        match self.source {
            Source::Http { .. } => None,
            Source::Kafka { partition, offset, key, .. } => Some((*partition, *offset, key.as_deref())),
        }
    }
}

fn collect<'a>(parts: &'a [Part], books: &Books) -> Vec<Aside<'a>> {
    let mut kept = Vec::new();
    let mut number = 0;
    for part in parts {
        let mut within = (None, 0);
        for (reading, fate) in part.batch.readings().iter().zip(&part.fates) {
            // The readings of one message follow each other.
            let message = match &reading.source {
                Source::Http { index } => {
                    within.1 = index.cast_signed();
                    None
                }
                Source::Kafka { partition, offset, .. } => Some((*partition, *offset)),
            };
            if message.is_some() {
                within = if within.0 == message { (message, within.1 + 1) } else { (message, 0) };
            }
            if let Fate::Quarantine(refusal) = fate {
                kept.push(Aside {
                    batch: books.books[books.of_reading[number] as usize].id,
                    topic: part.batch.topic().map_or("", |topic| topic),
                    source: &reading.source,
                    index: within.1,
                    raw: &reading.raw,
                    refusal,
                });
            }
            number += 1;
        }
    }
    kept
}

fn kind(refuser: &Refuser) -> &'static str {
    match refuser {
        Refuser::Decoder => "decoder",
        Refuser::Policy => "policy",
        Refuser::Schema(_) => "schema",
        Refuser::Validator(_) => "validator",
        Refuser::Store(_) => "store",
    }
}

/// What PostgreSQL can hold: quarantine must take whatever comes, and a NUL in a guest's reason is no ground to lose the reading.
fn printable(text: &str) -> String {
    text.replace('\0', "\u{fffd}")
}

fn headers(source: &Source) -> Option<Json<Value>> {
    match source {
        Source::Http { .. } => None,
        Source::Kafka { headers, .. } => {
            let pair = |(name, value): &(String, Option<bytes::Bytes>)| {
                json!([printable(name), value.as_ref().map(|value| BASE64.encode(value))])
            };
            Some(Json(Value::Array(headers.iter().map(pair).collect())))
        }
    }
}

impl Timescale {
    /// What was kept aside, newest first, at most `limit`.
    pub async fn kept(&self, permit: &Permit, filter: &KeptFilter, limit: u32) -> Result<Vec<Kept>> {
        let rows = self
            .read(|| async {
                sqlx::query(LIST)
                    .bind(permit.tenant().as_str())
                    .bind(filter.topic.as_deref())
                    .bind(filter.from)
                    .bind(filter.to)
                    .bind(filter.after.map(|(time, _)| time))
                    .bind(filter.after.map(|(_, id)| id))
                    .bind(i64::from(limit))
                    .fetch_all(&self.requests)
                    .await
            })
            .await?;
        rows.iter().map(kept).collect::<Result<_, sqlx::Error>>().map_err(away)
    }
}

fn kept(row: &PgRow) -> Result<Kept, sqlx::Error> {
    let partition: Option<i32> = row.try_get("partition")?;
    let offset: Option<i64> = row.try_get("message_offset")?;
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
        refuser_kind: row.try_get("refuser_kind")?,
        refuser: row.try_get("refuser")?,
        reason: row.try_get("reason")?,
        path: row.try_get("path")?,
        fault: row.try_get("fault")?,
        sqlstate: row.try_get("sqlstate")?,
    })
}
