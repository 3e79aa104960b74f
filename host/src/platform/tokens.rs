//! API tokens, and the first of them on an empty database. Of a token only its SHA-256 is kept: it has 256 random bits, so nothing slower is needed.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::json;
use sqlx::FromRow;
use sqlx::types::Json;
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::identity::digest;
use super::resource::Unchanged;
use super::{Platform, audit, default_tenant, exactly_one, failed, stale, statements};
use crate::error::Result;
use crate::paging::{Listed, PageOf};
use crate::policy::Permit;
use crate::times;

/// An API token, without its secret.
#[derive(Clone, Debug, FromRow, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Token {
    /// Its id.
    pub id: Uuid,
    /// Policy files speak of it as `token:<name>`, where it acts for no user.
    pub name: String,
    /// The user whom it acts for; null where it acts for itself alone.
    pub user_id: Option<Uuid>,
    /// What it is limited to; empty where only the policy limits it.
    pub scopes: Vec<String>,
    /// When it ends; null for never.
    #[serde(serialize_with = "times::micros_or_null")]
    pub expires_at: Option<DateTime<Utc>>,
    /// When it was made.
    #[serde(serialize_with = "times::micros")]
    pub created_at: DateTime<Utc>,
}

/// What tokens are filtered by.
#[derive(Debug, Default, Serialize, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase")]
#[into_params(parameter_in = Query)]
pub struct TokenFilter {
    /// The one of this name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Those that act for this user.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_id: Option<Uuid>,
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
    TENANT_FIRST = "insert into tenants (slug, name) values ($1, $2)";
    TENANT_ANY = "select exists (select from tenants)";
    TOKEN_INSERT = "insert into tokens (id, tenant, name, digest, expires_at, user_id, scopes) values ($1, $2, $3, $4, $5, $6, $7)
                    returning id, name, user_id, scopes, expires_at, created_at";
    TOKEN_LIST = "select id, name, user_id, scopes, expires_at, created_at from tokens
                  where tenant = $1 and revoked_at is null and ($2::uuid is null or id > $2)
                  and ($4::jsonb ->> 'name' is null or name = $4 ->> 'name')
                  and ($4 ->> 'userId' is null or user_id = ($4 ->> 'userId')::uuid) and weir_reaches(id::text, $5)
                  order by id limit $3";
    TOKEN_GET = "select id, name, user_id, scopes, expires_at, created_at from tokens
                 where tenant = $1 and id = $2 and revoked_at is null";
    TOKEN_LOCK = "select id, name, user_id, scopes, expires_at, created_at from tokens
                  where tenant = $1 and id = $2 and revoked_at is null for update";
    TOKEN_REVOKE = "update tokens set revoked_at = now() where tenant = $1 and id = $2";
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

    /// Makes a token; `secret` is kept as its digest only.
    pub async fn token_create(&self, permit: &Permit, fields: TokenFields<'_>, secret: &str) -> Result<Token> {
        let mut transaction = self.begin(permit).await?;
        let row: Token = sqlx::query_as(TOKEN_INSERT)
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
        audit::record_made(&mut transaction, permit, &row.id.to_string(), json!(row)).await?;
        transaction.commit().await.map_err(failed)?;
        Ok(row)
    }

    /// One page of the tenant's tokens that count.
    pub async fn token_list(&self, permit: &Permit, filter: &TokenFilter, page: &PageOf) -> Result<Listed<Token>> {
        let after: Option<Uuid> = page.after.as_deref().and_then(|after| after.parse().ok());
        let mut transaction = self.begin(permit).await?;
        let rows = sqlx::query_as(TOKEN_LIST)
            .bind(permit.tenant().as_str())
            .bind(after)
            .bind(i64::from(page.limit) + 1)
            .bind(Json(filter))
            .bind(permit.reach().limits().map(Json))
            .fetch_all(&mut *transaction)
            .await
            .map_err(failed)?;
        Ok(Listed::cut(rows, page.limit, |row: &Token| row.id.to_string()))
    }

    /// One token that counts.
    pub async fn token_get(&self, permit: &Permit, id: Uuid) -> Result<Option<Token>> {
        let mut transaction = self.begin(permit).await?;
        sqlx::query_as(TOKEN_GET).bind(permit.tenant().as_str()).bind(id).fetch_optional(&mut *transaction).await.map_err(failed)
    }

    /// Revokes a token, at once, where it is as the client thinks it is; false where there is none.
    pub async fn token_revoke(&self, permit: &Permit, id: Uuid, unchanged: Unchanged<'_, Token>) -> Result<bool> {
        let tenant = permit.tenant().as_str();
        let mut transaction = self.begin(permit).await?;
        let before: Option<Token> =
            sqlx::query_as(TOKEN_LOCK).bind(tenant).bind(id).fetch_optional(&mut *transaction).await.map_err(failed)?;
        let Some(before) = before else { return Ok(false) };
        if !unchanged(&before) {
            return Err(stale("token"));
        }
        let done = sqlx::query(TOKEN_REVOKE).bind(tenant).bind(id).execute(&mut *transaction).await.map_err(failed)?;
        exactly_one(&done, "revoke token")?;
        audit::record(&mut transaction, permit, json!({ "before": before })).await?;
        transaction.commit().await.map_err(failed)?;
        Ok(true)
    }
}
