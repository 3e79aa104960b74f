//! What is kept aside, on its way in: written with the batch that it came in. `kept` is its way out, `replay` its way back.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::{Value, json};
use sqlx::PgConnection;
use sqlx::types::Json;
use uuid::Uuid;

use super::books::Books;
use super::lines::Part;
use super::statements;
use crate::batch::{Fate, Refusal, Refuser, Source};
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

pub(super) fn kind(refuser: &Refuser) -> &'static str {
    match refuser {
        Refuser::Decoder => "decoder",
        Refuser::Policy => "policy",
        Refuser::Schema(_) => "schema",
        Refuser::Validator(_) => "validator",
        Refuser::Store(_) => "store",
    }
}

/// What PostgreSQL can hold: quarantine must take whatever comes, and a NUL in a guest's reason is no ground to lose the reading.
pub(super) fn printable(text: &str) -> String {
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
