//! The audit log: every change in its own transaction, every denial. Rows are only ever added, and each holds the hash of the one before,
//! so that a row that was changed, removed or put elsewhere is found ([`Platform::audit_verify`]).
//!
//! What is entered as a change is also put into the outbox, from which it goes to Kafka.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sqlx::types::Json;
use sqlx::{FromRow, Postgres, Transaction};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::{Platform, failed, outbox, statements};
use crate::error::{Error, Result};
use crate::limits;
use crate::model::{Action, Attempted, Resource, Subject};
use crate::paging::{Listed, PageOf};
use crate::policy::{Denied, Permit};
use crate::rules::Digest;
use crate::times;

/// An entry.
#[derive(Clone, Debug, FromRow, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Entry {
    /// Its id.
    pub id: Uuid,
    /// Its place in the tenant's chain, from 1.
    pub seq: i64,
    /// When.
    #[serde(serialize_with = "times::micros")]
    pub time: DateTime<Utc>,
    /// Whose data.
    pub tenant: String,
    /// Who.
    pub subject: String,
    /// `read`, `write`, `delete` or `admin`.
    pub action: String,
    /// To what.
    pub object: String,
    /// `allowed`, `denied` or `failed`.
    #[schema(value_type = Outcome)]
    pub outcome: String,
    /// The status code that whoever wanted it was answered, where it was allowed and not done; else null.
    pub status: Option<i32>,
    /// In which request.
    pub request_id: String,
    /// Under which revision of the policy; empty for a login, which passes none.
    pub policy: String,
    /// What changed, or why not.
    #[schema(value_type = Object)]
    pub details: Value,
}

/// What became of what somebody wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// It was done.
    Allowed,
    /// The policy did not allow it.
    Denied,
    /// The policy allowed it, and it was not done.
    Failed,
}

/// What entries are filtered by.
#[derive(Debug, Default, Serialize, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase")]
#[into_params(parameter_in = Query)]
pub struct AuditFilter {
    /// Those of this subject.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// Those whose object begins so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub object: Option<String>,
    /// Those of this action.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[param(inline)]
    pub action: Option<Action>,
    /// Those of this outcome.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[param(inline)]
    pub outcome: Option<Outcome>,
    /// Those at this time or later.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<DateTime<Utc>>,
    /// Those before this time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to: Option<DateTime<Utc>>,
}

/// What a look through a tenant's chain found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Verified {
    /// Entries that were looked at.
    pub entries: i64,
    /// The place of the first entry that is kept.
    pub first: i64,
    /// The place of the last entry.
    pub last: i64,
    /// The hash of the last entry, in hex. Written down elsewhere, it shows later that nothing before it was touched, by whomever.
    pub head: String,
    /// Where the chain is broken, and how; the first places only.
    pub breaks: Vec<String>,
}

/// What a login is entered under.
const LOGIN: &str = "/auth/login";

statements! {
    INSERT = "insert into audit_log (id, tenant, subject, action, object, outcome, request_id, policy, details)
              values ($1, $2, $3, $4, $5, $6, $7, $8, $9)";
    /// A change, which is then one of the request that claimed an idempotency key, if it did.
    INSERT_CHANGE = "with claimed as (update idempotency set done = true where claim = $10)
                     insert into audit_log (id, tenant, subject, action, object, outcome, request_id, policy, details)
                     values ($1, $2, $3, $4, $5, $6, $7, $8, $9)";
    INSERT_FAILURE = "insert into audit_log (id, tenant, subject, action, object, outcome, request_id, policy, details, status)
                      values ($1, $2, $3, $4, $5, 'failed', $6, $7, $8, $9)";
    LIST = "select * from audit_log where tenant = $1 and ($2::bigint is null or seq < $2)
            and ($3::jsonb ->> 'subject' is null or subject = $3 ->> 'subject')
            and ($3 ->> 'object' is null or starts_with(object, $3 ->> 'object'))
            and ($3 ->> 'action' is null or action = $3 ->> 'action')
            and ($3 ->> 'outcome' is null or outcome = $3 ->> 'outcome')
            and ($3 ->> 'from' is null or time >= ($3 ->> 'from')::timestamptz)
            and ($3 ->> 'to' is null or time < ($3 ->> 'to')::timestamptz) order by seq desc limit $4";
    GET = "select * from audit_log where tenant = $1 and id = $2";
    HEAD = "select seq, hash, first_seq, first_prev from audit_heads where tenant = $1";
    CHAIN = "select a.seq, a.prev, a.hash, weir_audit_hash(a) as computed from audit_log a
             where tenant = $1 and seq > $2 and seq <= $3 order by seq limit $4";
    TENANTS = "select tenant from audit_heads order by tenant";
    /// The last of the first entries that is too old. What lies before it is older, or was entered out of order by a clock that went back;
    /// it goes too.
    TOO_OLD = "select max(seq) from (select seq, time from audit_log where tenant = $1 order by seq limit $3) as first where time < $2";
    BEGIN_AFTER = "update audit_heads h set first_seq = a.seq + 1, first_prev = a.hash from audit_log a
                   where h.tenant = $1 and a.tenant = $1 and a.seq = $2";
    FORGET = "delete from audit_log where tenant = $1 and seq <= $2";
}

#[derive(FromRow)]
struct Head {
    seq: i64,
    hash: Vec<u8>,
    first_seq: i64,
    first_prev: Vec<u8>,
}

#[derive(FromRow)]
struct Link {
    seq: i64,
    prev: Vec<u8>,
    hash: Vec<u8>,
    computed: Vec<u8>,
}

/// Writes down, in the transaction that makes the change, who made it, under which policy, and what it was.
pub(super) async fn record(transaction: &mut Transaction<'_, Postgres>, permit: &Permit, details: Value) -> Result<()> {
    enter(transaction, permit, permit.resource(), details).await
}

/// The same for something that was made: it is what the entry is about, and not the collection that it was put into.
pub(super) async fn record_made(
    transaction: &mut Transaction<'_, Postgres>,
    permit: &Permit,
    key: &str,
    made: Value,
) -> Result<()> {
    enter(transaction, permit, &permit.resource().one(key), json!({ "after": made })).await
}

async fn enter(transaction: &mut Transaction<'_, Postgres>, permit: &Permit, object: &Resource, details: Value) -> Result<()> {
    let id = Uuid::now_v7();
    sqlx::query(INSERT_CHANGE)
        .bind(id)
        .bind(permit.tenant().as_str())
        .bind(permit.subject().as_str())
        .bind(permit.action().as_str())
        .bind(object.as_str())
        .bind("allowed")
        .bind(&**permit.request_id())
        .bind(&**permit.revision())
        .bind(details)
        .bind(permit.claim())
        .execute(&mut **transaction)
        .await
        .map_err(failed)?;
    outbox::put(transaction, id).await
}

/// A login, which is no resource and passes no policy.
#[derive(Clone, Copy)]
pub(super) struct Login<'a> {
    pub(super) tenant: &'a str,
    pub(super) email: &'a str,
    pub(super) outcome: Outcome,
    pub(super) request_id: &'a str,
}

/// Writes down that somebody logged in or failed to. Nobody else needs to hear of it, so it is no event.
pub(super) async fn record_login(transaction: &mut Transaction<'_, Postgres>, login: Login<'_>, details: Value) -> Result<()> {
    sqlx::query(INSERT)
        .bind(Uuid::now_v7())
        .bind(login.tenant)
        .bind(Subject::user(login.email).as_str())
        .bind(Action::Write.as_str())
        .bind(LOGIN)
        .bind(if login.outcome == Outcome::Allowed { "allowed" } else { "failed" })
        .bind(login.request_id)
        .bind("")
        .bind(details)
        .execute(&mut **transaction)
        .await
        .map(drop)
        .map_err(failed)
}

impl Platform {
    /// Writes down that the policy said no.
    pub async fn audit_denial(&self, denied: &Denied, request_id: &str) -> Result<()> {
        let mut transaction = self.begin_as(denied.tenant.as_str()).await?;
        sqlx::query(INSERT)
            .bind(Uuid::now_v7())
            .bind(denied.tenant.as_str())
            .bind(denied.subject.as_str())
            .bind(denied.action.as_str())
            .bind(denied.object.as_str())
            .bind("denied")
            .bind(request_id)
            .bind(&*denied.revision)
            .bind(json!({ "reason": denied.reason }))
            .execute(&mut *transaction)
            .await
            .map_err(failed)?;
        transaction.commit().await.map_err(failed)
    }

    /// Writes down that something was allowed and not done. Without a permit: it is none of the caller's wishes.
    pub async fn audit_failure(&self, attempted: &Attempted, request_id: &str, status: u16, sentence: &str) -> Result<()> {
        let mut transaction = self.begin_as(attempted.tenant.as_str()).await?;
        sqlx::query(INSERT_FAILURE)
            .bind(Uuid::now_v7())
            .bind(attempted.tenant.as_str())
            .bind(attempted.subject.as_str())
            .bind(attempted.action.as_str())
            .bind(attempted.resource.as_str())
            .bind(request_id)
            .bind(&*attempted.revision)
            .bind(json!({ "error": sentence }))
            .bind(i32::from(status))
            .execute(&mut *transaction)
            .await
            .map_err(failed)?;
        transaction.commit().await.map_err(failed)
    }

    /// One page of the tenant's entries, the newest first.
    pub async fn audit_list(&self, permit: &Permit, filter: &AuditFilter, page: &PageOf) -> Result<Listed<Entry>> {
        let before = page.after.as_deref().map(str::parse::<i64>).transpose();
        let before = before
            .map_err(|_| Error::malformed("`cursor` is not one that this endpoint gave.").at("cursor", "of another list"))?;
        let mut transaction = self.begin(permit).await?;
        let rows = sqlx::query_as(LIST)
            .bind(permit.tenant().as_str())
            .bind(before)
            .bind(Json(filter))
            .bind(i64::from(page.limit) + 1)
            .fetch_all(&mut *transaction)
            .await
            .map_err(failed)?;
        Ok(Listed::cut(rows, page.limit, |row: &Entry| row.seq.to_string()))
    }

    /// One of the tenant's entries.
    pub async fn audit_get(&self, permit: &Permit, id: Uuid) -> Result<Option<Entry>> {
        let mut transaction = self.begin(permit).await?;
        sqlx::query_as(GET).bind(permit.tenant().as_str()).bind(id).fetch_optional(&mut *transaction).await.map_err(failed)
    }

    /// Looks through the tenant's whole chain.
    pub async fn audit_verify(&self, permit: &Permit) -> Result<Verified> {
        let tenant = permit.tenant().as_str();
        let mut transaction = self.begin(permit).await?;
        let head: Option<Head> = sqlx::query_as(HEAD).bind(tenant).fetch_optional(&mut *transaction).await.map_err(failed)?;
        let Some(head) = head else {
            return Ok(Verified { entries: 0, first: 1, last: 0, head: String::new(), breaks: Vec::new() });
        };
        let (mut next, mut before, mut entries) = (head.first_seq, head.first_prev, 0);
        let mut breaks = Breaks::default();
        loop {
            let links: Vec<Link> = sqlx::query_as(CHAIN)
                .bind(tenant)
                .bind(next - 1)
                .bind(head.seq)
                .bind(limits::AUDIT_LINKS)
                .fetch_all(&mut *transaction)
                .await
                .map_err(failed)?;
            if links.is_empty() {
                break;
            }
            for link in links {
                entries += 1;
                if link.seq != next {
                    breaks.note(|| format!("entries {next} to {} are missing", link.seq - 1));
                } else if link.prev != before {
                    breaks.note(|| format!("entry {} does not follow the one before it", link.seq));
                }
                if link.computed != link.hash {
                    breaks.note(|| format!("entry {} was changed", link.seq));
                }
                (next, before) = (link.seq + 1, link.hash);
            }
        }
        if next <= head.seq {
            breaks.note(|| format!("entries {next} to {} are missing", head.seq));
        } else if before != head.hash {
            breaks.note(|| format!("entry {} is not the one that the chain ended with", head.seq));
        }
        let hash = Digest::from_slice(&head.hash).map_or_else(String::new, |hash| hash.to_string());
        Ok(Verified { entries, first: head.first_seq, last: head.seq, head: hash, breaks: breaks.0 })
    }

    /// Takes away what is older than it is to be kept, of all tenants; the rest remains a chain. Without a permit: it is a setting that
    /// says so, and nobody's wish.
    pub async fn audit_forget(&self, before: DateTime<Utc>) -> Result<u64> {
        let mut transaction = self.begin_as_weir().await?;
        let tenants: Vec<String> = sqlx::query_scalar(TENANTS).fetch_all(&mut *transaction).await.map_err(failed)?;
        transaction.commit().await.map_err(failed)?;
        let mut forgotten = 0;
        for tenant in tenants {
            // In pieces: a statement has only so much time, and the tenant's changes wait for each.
            loop {
                let gone = self.audit_forget_some(&tenant, before).await?;
                forgotten += gone;
                if gone == 0 {
                    break;
                }
            }
        }
        Ok(forgotten)
    }

    async fn audit_forget_some(&self, tenant: &str, before: DateTime<Utc>) -> Result<u64> {
        let mut transaction = self.begin_as(tenant).await?;
        let last: Option<i64> = sqlx::query_scalar(TOO_OLD)
            .bind(tenant)
            .bind(before)
            .bind(limits::AUDIT_LINKS)
            .fetch_one(&mut *transaction)
            .await
            .map_err(failed)?;
        let Some(last) = last else { return Ok(0) };
        sqlx::query(BEGIN_AFTER).bind(tenant).bind(last).execute(&mut *transaction).await.map_err(failed)?;
        let sql = "select set_config('weir.audit_forgets', 'on', true)";
        sqlx::query(sql).execute(&mut *transaction).await.map_err(failed)?;
        let done = sqlx::query(FORGET).bind(tenant).bind(last).execute(&mut *transaction).await.map_err(failed)?;
        transaction.commit().await.map_err(failed)?;
        Ok(done.rows_affected())
    }
}

/// The first breaks that are found; a chain that was torn up has as many as entries.
#[derive(Default)]
struct Breaks(Vec<String>);

impl Breaks {
    fn note(&mut self, what: impl FnOnce() -> String) {
        if self.0.len() < limits::AUDIT_BREAKS {
            self.0.push(what());
        }
    }
}
