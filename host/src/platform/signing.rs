//! Keys that may vouch for a tenant's modules (ed25519). Where a tenant has one, every upload needs a signature by one of them.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use sqlx::FromRow;
use uuid::Uuid;

use super::{Platform, audit, failed, statements};
use crate::error::Result;
use crate::paging::{Listed, PageOf};
use crate::policy::Permit;

/// A public key.
#[derive(Clone, Debug, FromRow)]
pub struct SigningKeyRow {
    /// Its id.
    pub id: Uuid,
    /// Its name, for people.
    pub name: String,
    /// The key's 32 bytes.
    pub public_key: Vec<u8>,
    /// When it was registered.
    pub created_at: DateTime<Utc>,
}

statements! {
    INSERT = "insert into signing_keys (id, tenant, name, public_key) values ($1, $2, $3, $4)
              returning id, name, public_key, created_at";
    LIST = "select id, name, public_key, created_at from signing_keys
            where tenant = $1 and ($2::uuid is null or id > $2) order by id limit $3";
    ALL = "select id, name, public_key, created_at from signing_keys where tenant = $1 order by id";
    DELETE = "delete from signing_keys where tenant = $1 and id = $2 returning id, name, public_key, created_at";
}

fn details(row: &SigningKeyRow) -> Value {
    json!({ "id": row.id, "name": row.name, "publicKey": STANDARD.encode(&row.public_key) })
}

impl Platform {
    /// Registers a key.
    pub async fn signing_key_create(&self, permit: &Permit, name: &str, public_key: &[u8; 32]) -> Result<SigningKeyRow> {
        let mut transaction = self.begin(permit).await?;
        let row: SigningKeyRow = sqlx::query_as(INSERT)
            .bind(Uuid::now_v7())
            .bind(permit.tenant().as_str())
            .bind(name)
            .bind(&public_key[..])
            .fetch_one(&mut *transaction)
            .await
            .map_err(failed)?;
        audit::record_made(&mut transaction, permit, &row.id.to_string(), details(&row)).await?;
        transaction.commit().await.map_err(failed)?;
        Ok(row)
    }

    /// One page of the tenant's keys.
    pub async fn signing_key_list(&self, permit: &Permit, page: &PageOf) -> Result<Listed<SigningKeyRow>> {
        let after: Option<Uuid> = page.after.as_deref().and_then(|after| after.parse().ok());
        let mut transaction = self.begin(permit).await?;
        let rows = sqlx::query_as(LIST)
            .bind(permit.tenant().as_str())
            .bind(after)
            .bind(i64::from(page.limit) + 1)
            .fetch_all(&mut *transaction)
            .await
            .map_err(failed)?;
        Ok(Listed::cut(rows, page.limit, |row: &SigningKeyRow| row.id.to_string()))
    }

    /// All of them, to check a signature by.
    pub async fn signing_keys(&self, permit: &Permit) -> Result<Vec<SigningKeyRow>> {
        let mut transaction = self.begin(permit).await?;
        sqlx::query_as(ALL).bind(permit.tenant().as_str()).fetch_all(&mut *transaction).await.map_err(failed)
    }

    /// Takes a key away; what it vouched for stays. False where there is none.
    pub async fn signing_key_delete(&self, permit: &Permit, id: Uuid) -> Result<bool> {
        let mut transaction = self.begin(permit).await?;
        let before: Option<SigningKeyRow> = sqlx::query_as(DELETE)
            .bind(permit.tenant().as_str())
            .bind(id)
            .fetch_optional(&mut *transaction)
            .await
            .map_err(failed)?;
        let Some(before) = before else { return Ok(false) };
        audit::record(&mut transaction, permit, json!({ "before": details(&before) })).await?;
        transaction.commit().await.map_err(failed)?;
        Ok(true)
    }
}
