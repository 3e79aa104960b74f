//! Answers that are kept for a day, for whoever repeats a request under the same idempotency key.

use sqlx::FromRow;
use uuid::Uuid;

use super::{Platform, failed, statements};
use crate::error::Result;
use crate::limits;
use crate::model::Caller;
use crate::rules::Digest;

/// What there is under a key.
#[derive(Debug)]
pub enum Claim {
    /// Nothing until now: it is this request's, and changes made under it are known by this.
    New(Uuid),
    /// Another request.
    Other,
    /// The same request, which has no answer yet.
    UnderWay,
    /// The same request, which was done, at least in part, and left no answer that could be kept.
    Lost,
    /// The same request's answer, sealed.
    Answered(Vec<u8>),
}

#[derive(FromRow)]
struct Kept {
    request: Vec<u8>,
    answer: Option<Vec<u8>>,
    lost: bool,
}

statements! {
    /// A claim without an answer that is older than any request may take is of a process that died: whoever comes next may have it, unless
    /// a change of it was made.
    CLAIM = "insert into idempotency as i (tenant, subject, key, request, claim) values ($1, $2, $3, $4, $7)
             on conflict (tenant, subject, key) do update set request = excluded.request, claim = excluded.claim,
                answer = null, done = false, created_at = now()
             where i.created_at < now() - make_interval(secs => $6)
                or (i.answer is null and not i.done and i.created_at < now() - make_interval(secs => $5))
             returning true";
    KEPT = "select request, answer, done and answer is null and created_at < now() - make_interval(secs => $4) as lost
            from idempotency where tenant = $1 and subject = $2 and key = $3";
    ANSWER = "update idempotency set answer = $4 where tenant = $1 and subject = $2 and key = $3";
    RELEASE = "delete from idempotency where tenant = $1 and subject = $2 and key = $3 and answer is null and not done";
    FORGET = "delete from idempotency where created_at < now() - make_interval(secs => $1)";
}

impl Platform {
    /// Claims a key for a request of this caller, or says what there is. Without a permit: what is asked is decided when it is done.
    pub async fn idempotency_claim(&self, caller: &Caller, key: &str, request: Digest) -> Result<Claim> {
        let (tenant, subject) = (caller.tenant.as_str(), caller.subject.as_str());
        let mut transaction = self.begin_as(tenant).await?;
        let claim = Uuid::now_v7();
        let claimed: Option<bool> = sqlx::query_scalar(CLAIM)
            .bind(tenant)
            .bind(subject)
            .bind(key)
            .bind(&request.0[..])
            .bind(limits::IDEMPOTENT_LEASE.as_secs_f64())
            .bind(limits::IDEMPOTENT_TIME.as_secs_f64())
            .bind(claim)
            .fetch_optional(&mut *transaction)
            .await
            .map_err(failed)?;
        if claimed.is_some() {
            transaction.commit().await.map_err(failed)?;
            return Ok(Claim::New(claim));
        }
        let kept: Option<Kept> = sqlx::query_as(KEPT)
            .bind(tenant)
            .bind(subject)
            .bind(key)
            .bind(limits::IDEMPOTENT_LEASE.as_secs_f64())
            .fetch_optional(&mut *transaction)
            .await
            .map_err(failed)?;
        Ok(match kept {
            Some(kept) if kept.request != request.0 => Claim::Other,
            Some(Kept { answer: Some(answer), .. }) => Claim::Answered(answer),
            Some(Kept { lost: true, .. }) => Claim::Lost,
            // It was released this very moment; the client tries again.
            Some(_) | None => Claim::UnderWay,
        })
    }

    /// Keeps the answer to a request that claimed a key; without one, the key is free again.
    pub async fn idempotency_settle(&self, caller: &Caller, key: &str, answer: Option<&[u8]>) -> Result<()> {
        let mut transaction = self.begin_as(caller.tenant.as_str()).await?;
        let query = sqlx::query(if answer.is_some() { ANSWER } else { RELEASE });
        let query = query.bind(caller.tenant.as_str()).bind(caller.subject.as_str()).bind(key);
        let query = match answer {
            Some(answer) => query.bind(answer),
            None => query,
        };
        query.execute(&mut *transaction).await.map_err(failed)?;
        transaction.commit().await.map_err(failed)
    }

    /// Forgets answers that are older than they are to be kept.
    pub async fn idempotency_forget(&self) -> Result<()> {
        let mut transaction = self.begin_as_weir().await?;
        sqlx::query(FORGET).bind(limits::IDEMPOTENT_TIME.as_secs_f64()).execute(&mut *transaction).await.map_err(failed)?;
        transaction.commit().await.map_err(failed)
    }
}
