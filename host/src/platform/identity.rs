//! Who a credential belongs to; sessions, and the logins that begin them.
//!
//! Of a session, as of a token, only the SHA-256 is kept. Most of this takes no permit: it is what a permit begins with. A changed
//! password, a suspended or deleted user ends sessions in the transaction of that change, by a trigger of the tables.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};
use sqlx::{FromRow, Postgres, Transaction};
use uuid::Uuid;

use super::audit::{self, Outcome};
use super::resource::users::User;
use super::{Platform, failed, statements};
use crate::error::Result;
use crate::limits;
use crate::model::Tenant;
use crate::rules::Digest;

/// What a credential says of its bearer.
#[derive(Clone, Debug, FromRow)]
pub struct Known {
    /// The token or session.
    pub id: Uuid,
    /// The token's name; none, for a session.
    pub name: Option<String>,
    /// The tenant that it belongs to.
    pub tenant: String,
    /// When it ends.
    pub expires_at: Option<DateTime<Utc>>,
    /// True once it was revoked, and where its user may not act.
    pub revoked: bool,
    /// True where its tenant is suspended.
    pub suspended: bool,
    /// The user whom it stands for.
    pub user_id: Option<Uuid>,
    /// That user's email.
    pub email: Option<String>,
    /// What it is limited to.
    pub scopes: Vec<String>,
}

/// What is known of a bearer whom another issuer vouches for.
#[derive(Clone, Debug, FromRow)]
pub struct Vouched {
    /// True where the tenant is suspended.
    pub tenant_suspended: bool,
    /// The user of this email, if Weir has one.
    pub user_id: Option<Uuid>,
    /// Their email, as it was written down.
    pub email: Option<String>,
    /// True where they may not act.
    pub user_suspended: bool,
}

/// A user whom a login may be of.
#[derive(Clone, Debug, FromRow)]
pub struct Candidate {
    /// Their tenant.
    pub tenant: String,
    /// Their id.
    pub id: Uuid,
    /// Their email.
    pub email: String,
    /// The hash of their password.
    pub password_hash: String,
    /// Until when no password of theirs is looked at.
    pub locked_until: Option<DateTime<Utc>>,
}

/// What became of a login whose password fits.
#[derive(Debug)]
pub enum Opened {
    /// There is a session.
    Session(Box<User>),
    /// Others tried too often meanwhile.
    Locked(DateTime<Utc>),
    /// The user was suspended, deleted or given another password meanwhile.
    Gone,
}

statements! {
    KNOWN = "select k.id, k.name, k.tenant, k.expires_at, k.user_id, u.email, k.scopes, t.status <> 'active' as suspended,
                    k.revoked_at is not null or (k.user_id is not null and u.status is distinct from 'active') as revoked
             from tokens k join tenants t on t.slug = k.tenant
             left join users u on u.tenant = k.tenant and u.id = k.user_id where k.digest = $1
             union all
             select s.id, null, s.tenant, s.expires_at, s.user_id, u.email, '{}', t.status <> 'active', u.status <> 'active'
             from sessions s join tenants t on t.slug = s.tenant
             join users u on u.tenant = s.tenant and u.id = s.user_id where s.digest = $1";
    VOUCHED = "select t.status <> 'active' as tenant_suspended, u.id as user_id, u.email,
                      coalesce(u.status <> 'active', false) as user_suspended
               from tenants t left join users u on u.tenant = t.slug and lower(u.email) = lower($2) where t.slug = $1";
    CANDIDATES = "select u.tenant, u.id, u.email, u.password_hash, f.locked_until
                  from users u join tenants t on t.slug = u.tenant left join login_failures f on f.user_id = u.id
                  where lower(u.email) = lower($1) and ($2::text is null or u.tenant = $2)
                    and u.status = 'active' and t.status = 'active' and u.password_hash is not null
                  order by u.created_at, u.id limit $3";
    /// Several that fail at once are counted one after the other, and those after the one that locks the user out are not. `$3` now, `$4` before when failures count no more, `$5` how many are
    /// free, `$6` and `$7` the shortest and longest lockout in seconds.
    FAILURE = "insert into login_failures as f (user_id, tenant, failures, failed_at) values ($2, $1, 1, $3)
               on conflict (user_id) do update set failed_at = $3,
                   failures = case when f.failed_at < $4 then 1 else least(f.failures + 1, 1000) end,
                   locked_until = case when f.failed_at < $4 or f.failures + 1 < $5 then null
                       else $3 + make_interval(secs => least($6 * 2 ^ least(f.failures + 1 - $5, 30), $7)) end
               where f.locked_until is null or f.locked_until <= $3 returning failures";
    /// Locked, so that a suspension or a new password comes either before, and is seen, or after, and ends the session.
    FITTING = "select * from users where tenant = $1 and id = $2 and status = 'active' and password_hash = $3 for update";
    LOCKED = "select locked_until from login_failures where user_id = $1 and locked_until > $2";
    FORGIVE = "delete from login_failures where user_id = $1";
    OPEN = "insert into sessions (id, tenant, user_id, digest, expires_at) values ($1, $2, $3, $4, $5)";
    OLDEST = "delete from sessions where tenant = $1 and user_id = $2 and id in
              (select id from sessions where tenant = $1 and user_id = $2 order by created_at desc, id desc offset $3)";
    CLOSE = "delete from sessions where tenant = $1 and id = $2";
    ENDED = "delete from sessions where expires_at <= $1";
    FORGIVEN = "delete from login_failures where failed_at < $1 and coalesce(locked_until < $1, true)";
    SELF = "select * from users where tenant = $1 and id = $2";
}

/// How an API token begins.
pub const TOKEN: &str = "weir_";
/// How a session begins.
pub const SESSION: &str = "weir_s_";

/// A new secret: its kind's beginning and 256 random bits in base64url.
pub fn new_secret(beginning: &str) -> String {
    let random: [u8; 32] = rand::random();
    format!("{beginning}{}", URL_SAFE_NO_PAD.encode(random))
}

pub(super) fn digest(secret: &str) -> Vec<u8> {
    Digest::of(secret.as_bytes()).0.to_vec()
}

impl Platform {
    /// Looks a token or session up by its secret. Without a permit, since this is how one begins.
    pub async fn known(&self, secret: &str) -> Result<Option<Known>> {
        let mut transaction = self.begin_as_weir().await?;
        sqlx::query_as(KNOWN).bind(digest(secret)).fetch_optional(&mut *transaction).await.map_err(failed)
    }

    /// Looks up whom another issuer vouches for; `None` where there is no such tenant. Without a permit, likewise.
    pub async fn vouched(&self, tenant: &Tenant, email: &str) -> Result<Option<Vouched>> {
        let mut transaction = self.begin_as_weir().await?;
        sqlx::query_as(VOUCHED).bind(tenant.as_str()).bind(email).fetch_optional(&mut *transaction).await.map_err(failed)
    }

    /// The users whom a login may be of: of this tenant, or of any. Without a permit, likewise.
    pub async fn login_candidates(&self, email: &str, tenant: Option<&Tenant>) -> Result<Vec<Candidate>> {
        let mut transaction = self.begin_as_weir().await?;
        sqlx::query_as(CANDIDATES)
            .bind(email)
            .bind(tenant.map(Tenant::as_str))
            .bind(limits::LOGIN_CANDIDATES)
            .fetch_all(&mut *transaction)
            .await
            .map_err(failed)
    }

    /// Counts a login that failed and puts it on record. Where the user is locked out by now it counts as none, and the answer is until when:
    /// it must not be told from one that was right.
    pub async fn login_failed(&self, of: &Candidate, now: DateTime<Utc>, request_id: &str) -> Result<Option<DateTime<Utc>>> {
        let mut transaction = self.begin_as(&of.tenant).await?;
        let failures: Option<i32> = sqlx::query_scalar(FAILURE)
            .bind(&of.tenant)
            .bind(of.id)
            .bind(now)
            .bind(now - limits::LOGIN_FAILURES_KEPT)
            .bind(limits::LOGIN_FAILURES)
            .bind(limits::LOCKOUT_LEAST.as_secs_f64())
            .bind(limits::LOCKOUT_MOST.as_secs_f64())
            .fetch_optional(&mut *transaction)
            .await
            .map_err(failed)?;
        let Some(failures) = failures else { return locked(&mut transaction, of, now).await };
        login(&mut transaction, of, Outcome::Failed, request_id, json!({ "failures": failures })).await?;
        transaction.commit().await.map_err(failed)?;
        Ok(None)
    }

    /// Until when a user is locked out, if they are by now.
    pub async fn login_locked(&self, of: &Candidate, now: DateTime<Utc>) -> Result<Option<DateTime<Utc>>> {
        let mut transaction = self.begin_as(&of.tenant).await?;
        locked(&mut transaction, of, now).await
    }

    /// Begins a session of a user whose password fitted; the oldest of too many ends.
    pub async fn session_open(
        &self,
        of: &Candidate,
        secret: &str,
        (now, end): (DateTime<Utc>, DateTime<Utc>),
        request_id: &str,
    ) -> Result<Opened> {
        let mut transaction = self.begin_as(&of.tenant).await?;
        let user: Option<User> = sqlx::query_as(FITTING)
            .bind(&of.tenant)
            .bind(of.id)
            .bind(&of.password_hash)
            .fetch_optional(&mut *transaction)
            .await
            .map_err(failed)?;
        let Some(user) = user else { return Ok(Opened::Gone) };
        // Looked at once more: of many guesses at once, those beyond the number count as none, whether or not one of them is right.
        if let Some(until) = locked(&mut transaction, of, now).await? {
            return Ok(Opened::Locked(until));
        }
        sqlx::query(FORGIVE).bind(of.id).execute(&mut *transaction).await.map_err(failed)?;
        let id = Uuid::now_v7();
        sqlx::query(OPEN)
            .bind(id)
            .bind(&of.tenant)
            .bind(of.id)
            .bind(digest(secret))
            .bind(end)
            .execute(&mut *transaction)
            .await
            .map_err(failed)?;
        sqlx::query(OLDEST)
            .bind(&of.tenant)
            .bind(of.id)
            .bind(limits::SESSIONS_OF_USER)
            .execute(&mut *transaction)
            .await
            .map_err(failed)?;
        login(&mut transaction, of, Outcome::Allowed, request_id, json!({ "session": id })).await?;
        transaction.commit().await.map_err(failed)?;
        Ok(Opened::Session(Box::new(user)))
    }

    /// Ends a session, at once. Without a permit: whoever holds it may let go of it.
    pub async fn session_close(&self, tenant: &Tenant, id: Uuid) -> Result<()> {
        let mut transaction = self.begin_as(tenant.as_str()).await?;
        sqlx::query(CLOSE).bind(tenant.as_str()).bind(id).execute(&mut *transaction).await.map_err(failed)?;
        transaction.commit().await.map_err(failed)
    }

    /// Takes away sessions that have ended and failures that count no more, of all tenants; how many sessions. Without a permit: they
    /// count for nothing already.
    pub async fn sessions_forget(&self, now: DateTime<Utc>) -> Result<u64> {
        let mut transaction = self.begin_as_weir().await?;
        let ended = sqlx::query(ENDED).bind(now).execute(&mut *transaction).await.map_err(failed)?;
        let old: TimeDelta = TimeDelta::from_std(limits::LOGIN_FAILURES_KEPT).unwrap_or_default();
        sqlx::query(FORGIVEN).bind(now - old).execute(&mut *transaction).await.map_err(failed)?;
        transaction.commit().await.map_err(failed)?;
        Ok(ended.rows_affected())
    }

    /// A user, for themselves: without a permit, since whose credential it is may know whose it is.
    pub async fn user_self(&self, tenant: &Tenant, id: Uuid) -> Result<Option<User>> {
        let mut transaction = self.begin_as(tenant.as_str()).await?;
        sqlx::query_as(SELF).bind(tenant.as_str()).bind(id).fetch_optional(&mut *transaction).await.map_err(failed)
    }
}

async fn locked(
    transaction: &mut Transaction<'_, Postgres>,
    of: &Candidate,
    now: DateTime<Utc>,
) -> Result<Option<DateTime<Utc>>> {
    sqlx::query_scalar(LOCKED).bind(of.id).bind(now).fetch_optional(&mut **transaction).await.map_err(failed)
}

async fn login(
    transaction: &mut Transaction<'_, Postgres>,
    of: &Candidate,
    outcome: Outcome,
    request_id: &str,
    details: Value,
) -> Result<()> {
    let entry = audit::Login { tenant: &of.tenant, email: &of.email, outcome, request_id };
    audit::record_login(transaction, entry, details).await
}
