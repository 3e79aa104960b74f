//! Tenants and API tokens. Of a token only its SHA-256 is kept: it has 256 random bits, so nothing slower is needed.

use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use sqlx::FromRow;
use uuid::Uuid;

use super::identity::digest;
use super::{Platform, audit, default_tenant, exactly_one, failed, statements};
use crate::error::Result;
use crate::model::Tenant;
use crate::paging::{Listed, PageOf};
use crate::policy::Permit;
use crate::times::rfc3339;

/// A tenant.
#[derive(Clone, Debug, FromRow)]
pub struct TenantRow {
    /// Its name in credentials and policies.
    pub slug: String,
    /// Its name for people.
    pub name: String,
    /// `active` or `suspended`.
    pub status: String,
    /// Readings that it may bring in a second; without a bound where there is none.
    pub readings_per_second: Option<i32>,
    /// Requests that it may make in a second; without a bound where there is none.
    pub requests_per_second: Option<i32>,
    /// Time of one call of its modules, in milliseconds.
    pub guest_time_ms: Option<i32>,
    /// Memory of one instance of its modules, in bytes.
    pub guest_memory_bytes: Option<i64>,
    /// Milliseconds that its modules may run in a second, all together.
    pub guest_cpu_ms_per_second: Option<i32>,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When it was last changed.
    pub updated_at: DateTime<Utc>,
}

/// The fields of a tenant that a request gives; `None` leaves a field as it is, or takes its default.
#[derive(Clone, Debug, Default)]
pub struct TenantChange {
    /// Its name for people.
    pub name: Option<String>,
    /// `active` or `suspended`.
    pub status: Option<String>,
    /// Readings in a second; `Some(None)` takes the bound away, here and below.
    pub readings_per_second: Option<Option<i32>>,
    /// Requests in a second.
    pub requests_per_second: Option<Option<i32>>,
    /// Time of one call of a module, in milliseconds.
    pub guest_time_ms: Option<Option<i32>>,
    /// Memory of one instance of a module, in bytes.
    pub guest_memory_bytes: Option<Option<i64>>,
    /// Milliseconds that modules may run in a second.
    pub guest_cpu_ms_per_second: Option<Option<i32>>,
}

/// An API token, without its secret.
#[derive(Clone, Debug, FromRow)]
pub struct TokenRow {
    /// Its id.
    pub id: Uuid,
    /// Its name; policy files speak of it as `token:<name>`.
    pub name: String,
    /// The user whom it acts for; itself alone, where there is none.
    pub user_id: Option<Uuid>,
    /// What it is limited to; nothing, where only the policy limits it.
    pub scopes: Vec<String>,
    /// When it ends.
    pub expires_at: Option<DateTime<Utc>>,
    /// When it was made.
    pub created_at: DateTime<Utc>,
}

/// A token that is to be made.
#[derive(Clone, Copy, Debug)]
pub struct TokenFields<'a> {
    /// Its name.
    pub name: &'a str,
    /// The user whom it acts for.
    pub user_id: Option<Uuid>,
    /// What it is limited to.
    pub scopes: &'a [String],
    /// When it ends.
    pub expires_at: Option<DateTime<Utc>>,
}

statements! {
    TENANT_INSERT = "insert into tenants (slug, name, readings_per_second, guest_time_ms, guest_memory_bytes, guest_cpu_ms_per_second,
                                           requests_per_second)
                     values ($1, $2, $3, $4, $5, $6, $7) returning *";
    TENANT_FIRST = "insert into tenants (slug, name) values ($1, $2)";
    TENANT_LIST = "select * from tenants where ($1::text is null or slug > $1) order by slug limit $2";
    TENANT_GET = "select * from tenants where slug = $1";
    TENANT_UPDATE = "update tenants set name = coalesce($2, name), status = coalesce($3, status),
                     readings_per_second = case when $4 then $5 else readings_per_second end,
                     guest_time_ms = case when $6 then $7 else guest_time_ms end,
                     guest_memory_bytes = case when $8 then $9 else guest_memory_bytes end,
                     guest_cpu_ms_per_second = case when $10 then $11 else guest_cpu_ms_per_second end,
                     requests_per_second = case when $12 then $13 else requests_per_second end, updated_at = now()
                     where slug = $1 returning *";
    TENANT_ANY = "select exists (select from tenants)";
    TOKEN_INSERT = "insert into tokens (id, tenant, name, digest, expires_at, user_id, scopes) values ($1, $2, $3, $4, $5, $6, $7)
                    returning id, name, user_id, scopes, expires_at, created_at";
    TOKEN_LIST = "select id, name, user_id, scopes, expires_at, created_at from tokens
                  where tenant = $1 and revoked_at is null and ($2::uuid is null or id > $2) order by id limit $3";
    TOKEN_GET = "select id, name, user_id, scopes, expires_at, created_at from tokens
                 where tenant = $1 and id = $2 and revoked_at is null";
    TOKEN_REVOKE = "update tokens set revoked_at = now() where tenant = $1 and id = $2 and revoked_at is null";
}

fn tenant_details(row: &TenantRow) -> Value {
    json!({ "slug": row.slug, "name": row.name, "status": row.status, "readingsPerSecond": row.readings_per_second,
        "guestTimeMs": row.guest_time_ms, "guestMemoryBytes": row.guest_memory_bytes,
        "requestsPerSecond": row.requests_per_second, "guestCpuMsPerSecond": row.guest_cpu_ms_per_second })
}

impl Platform {
    /// On an empty database, makes tenant `default` and the first administrator's token, named `bootstrap`.
    pub async fn bootstrap(&self, secret: &str) -> Result<()> {
        let mut transaction = self.begin_as_weir().await?;
        // Two replicas that start at once on an empty database: one makes it, the other waits and sees.
        sqlx::query("lock table tenants in share row exclusive mode").execute(&mut *transaction).await.map_err(failed)?;
        let any: bool = sqlx::query_scalar(TENANT_ANY).fetch_one(&mut *transaction).await.map_err(failed)?;
        if any {
            return Ok(());
        }
        let tenant = default_tenant()?;
        sqlx::query(TENANT_FIRST).bind(tenant.as_str()).bind("Default").execute(&mut *transaction).await.map_err(failed)?;
        sqlx::query(TOKEN_INSERT)
            .bind(Uuid::now_v7())
            .bind(tenant.as_str())
            .bind("bootstrap")
            .bind(digest(secret))
            .bind(None::<DateTime<Utc>>)
            .bind(None::<Uuid>)
            .bind(Vec::<String>::new())
            .execute(&mut *transaction)
            .await
            .map_err(failed)?;
        transaction.commit().await.map_err(failed)
    }

    /// True where this tenant exists. Without a permit: it is asked to find out whose permit is needed.
    pub async fn tenant_exists(&self, tenant: &Tenant) -> Result<bool> {
        let mut transaction = self.begin_as_weir().await?;
        let found: Option<TenantRow> =
            sqlx::query_as(TENANT_GET).bind(tenant.as_str()).fetch_optional(&mut *transaction).await.map_err(failed)?;
        Ok(found.is_some())
    }

    /// Makes a tenant, named after its slug where no name is given.
    pub async fn tenant_create(&self, permit: &Permit, slug: &Tenant, change: &TenantChange) -> Result<TenantRow> {
        let mut transaction = self.begin_over_tenants(permit).await?;
        let row: TenantRow = sqlx::query_as(TENANT_INSERT)
            .bind(slug.as_str())
            .bind(change.name.as_deref().unwrap_or(slug.as_str()))
            .bind(change.readings_per_second.flatten())
            .bind(change.guest_time_ms.flatten())
            .bind(change.guest_memory_bytes.flatten())
            .bind(change.guest_cpu_ms_per_second.flatten())
            .bind(change.requests_per_second.flatten())
            .fetch_one(&mut *transaction)
            .await
            .map_err(failed)?;
        audit::record_made(&mut transaction, permit, &row.slug, tenant_details(&row)).await?;
        transaction.commit().await.map_err(failed)?;
        Ok(row)
    }

    /// One page of all tenants.
    pub async fn tenant_list(&self, permit: &Permit, page: &PageOf) -> Result<Listed<TenantRow>> {
        let mut transaction = self.begin_over_tenants(permit).await?;
        let rows = sqlx::query_as(TENANT_LIST)
            .bind(&page.after)
            .bind(i64::from(page.limit) + 1)
            .fetch_all(&mut *transaction)
            .await
            .map_err(failed)?;
        Ok(Listed::cut(rows, page.limit, |row: &TenantRow| row.slug.clone()))
    }

    /// One tenant.
    pub async fn tenant_get(&self, permit: &Permit, slug: &str) -> Result<Option<TenantRow>> {
        let mut transaction = self.begin_over_tenants(permit).await?;
        sqlx::query_as(TENANT_GET).bind(slug).fetch_optional(&mut *transaction).await.map_err(failed)
    }

    /// Changes the fields that are given.
    pub async fn tenant_update(&self, permit: &Permit, slug: &str, change: &TenantChange) -> Result<Option<TenantRow>> {
        let mut transaction = self.begin_over_tenants(permit).await?;
        let row: Option<TenantRow> = sqlx::query_as(TENANT_UPDATE)
            .bind(slug)
            .bind(&change.name)
            .bind(&change.status)
            .bind(change.readings_per_second.is_some())
            .bind(change.readings_per_second.flatten())
            .bind(change.guest_time_ms.is_some())
            .bind(change.guest_time_ms.flatten())
            .bind(change.guest_memory_bytes.is_some())
            .bind(change.guest_memory_bytes.flatten())
            .bind(change.guest_cpu_ms_per_second.is_some())
            .bind(change.guest_cpu_ms_per_second.flatten())
            .bind(change.requests_per_second.is_some())
            .bind(change.requests_per_second.flatten())
            .fetch_optional(&mut *transaction)
            .await
            .map_err(failed)?;
        if let Some(row) = &row {
            audit::record(&mut transaction, permit, json!({ "after": tenant_details(row) })).await?;
        }
        self.commit_announced(transaction).await?;
        Ok(row)
    }

    /// Makes a token; `secret` is kept as its digest only.
    pub async fn token_create(&self, permit: &Permit, fields: TokenFields<'_>, secret: &str) -> Result<TokenRow> {
        let mut transaction = self.begin(permit).await?;
        let row: TokenRow = sqlx::query_as(TOKEN_INSERT)
            .bind(Uuid::now_v7())
            .bind(permit.tenant().as_str())
            .bind(fields.name)
            .bind(digest(secret))
            .bind(fields.expires_at)
            .bind(fields.user_id)
            .bind(fields.scopes)
            .fetch_one(&mut *transaction)
            .await
            .map_err(failed)?;
        let made = json!({ "id": row.id, "name": row.name, "userId": row.user_id, "scopes": row.scopes,
            "expiresAt": row.expires_at.map(rfc3339) });
        audit::record_made(&mut transaction, permit, &row.id.to_string(), made).await?;
        transaction.commit().await.map_err(failed)?;
        Ok(row)
    }

    /// One page of the tenant's tokens that count.
    pub async fn token_list(&self, permit: &Permit, page: &PageOf) -> Result<Listed<TokenRow>> {
        let after: Option<Uuid> = page.after.as_deref().and_then(|after| after.parse().ok());
        let mut transaction = self.begin(permit).await?;
        let rows = sqlx::query_as(TOKEN_LIST)
            .bind(permit.tenant().as_str())
            .bind(after)
            .bind(i64::from(page.limit) + 1)
            .fetch_all(&mut *transaction)
            .await
            .map_err(failed)?;
        Ok(Listed::cut(rows, page.limit, |row: &TokenRow| row.id.to_string()))
    }

    /// One token that counts.
    pub async fn token_get(&self, permit: &Permit, id: Uuid) -> Result<Option<TokenRow>> {
        let mut transaction = self.begin(permit).await?;
        sqlx::query_as(TOKEN_GET).bind(permit.tenant().as_str()).bind(id).fetch_optional(&mut *transaction).await.map_err(failed)
    }

    /// Revokes a token, at once; false where there is none.
    pub async fn token_revoke(&self, permit: &Permit, id: Uuid) -> Result<bool> {
        let mut transaction = self.begin(permit).await?;
        let done =
            sqlx::query(TOKEN_REVOKE).bind(permit.tenant().as_str()).bind(id).execute(&mut *transaction).await.map_err(failed)?;
        if done.rows_affected() == 0 {
            return Ok(false);
        }
        exactly_one(&done, "revoke token")?;
        audit::record(&mut transaction, permit, json!({ "revoked": id })).await?;
        transaction.commit().await.map_err(failed)?;
        Ok(true)
    }
}
