//! Schemas: versions that never change, by id, by name, and by the number that stands in front of Avro messages.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use chrono::{DateTime, Utc};
use parking_lot::Mutex;
use serde_json::json;
use sqlx::FromRow;
use uuid::Uuid;

use super::{Platform, audit, failed, statements};
use crate::error::{Error, Result};
use crate::limits;
use crate::model::Tenant;
use crate::paging::{Listed, PageOf};
use crate::policy::Permit;

/// The type of a JSON Schema.
pub const JSON_SCHEMA: &str = "json-schema";
/// The type of an Avro schema.
pub const AVRO: &str = "avro";

/// A version of a schema.
#[derive(Clone, Debug, FromRow)]
pub struct SchemaRow {
    /// Its id.
    pub id: Uuid,
    /// Its name; versions share it.
    pub name: String,
    /// Its number, from 1.
    pub version: i32,
    /// `json-schema` or `avro`.
    #[sqlx(rename = "type")]
    pub kind: String,
    /// Its number on the wire, in front of messages that are written by it; no two schemas of any tenant share one.
    pub number: i32,
    /// The schema itself, as JSON text.
    pub definition: String,
    /// `none`.
    pub compatibility: String,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When it was last changed.
    pub updated_at: DateTime<Utc>,
}

/// Avro schemas that were read, by tenant and number. What a number names never changes; a deleted one is forgotten with all others.
pub(super) type KnownAvro = Mutex<HashMap<(Tenant, i32), Arc<str>>>;

statements! {
    SCHEMA_INSERT = "insert into schemas (id, tenant, name, version, type, definition)
                     select $1, $2, $3, coalesce(max(version), 0) + 1, $5, $4 from schemas where tenant = $2 and name = $3
                     returning *";
    SCHEMA_LIST = "select * from schemas where tenant = $1 and ($2::uuid is null or id > $2) order by id limit $3";
    SCHEMA_GET = "select * from schemas where tenant = $1 and id = $2";
    SCHEMA_BY_NUMBER = "select * from schemas where tenant = $1 and number = $2";
    AVRO_BY_NUMBERS = "select number, definition from schemas where tenant = $1 and type = 'avro' and number = any($2)";
    SCHEMA_VERSIONS = "select * from schemas where tenant = $1 and name = $2 order by version desc";
    SCHEMA_USERS = "select name from kafka_topics where tenant = $1 and schema_id = $2 order by name";
    SCHEMA_DELETE = "delete from schemas where tenant = $1 and id = $2";
}

impl Platform {
    /// Registers the next version of a schema; `kind` is `json-schema` or `avro`.
    pub async fn schema_create(&self, permit: &Permit, name: &str, kind: &str, definition: &str) -> Result<SchemaRow> {
        let mut transaction = self.begin(permit).await?;
        let row: SchemaRow = sqlx::query_as(SCHEMA_INSERT)
            .bind(Uuid::now_v7())
            .bind(permit.tenant().as_str())
            .bind(name)
            .bind(definition)
            .bind(kind)
            .fetch_one(&mut *transaction)
            .await
            .map_err(failed)?;
        let made = json!({ "id": row.id, "name": name, "version": row.version, "type": kind });
        audit::record_made(&mut transaction, permit, &row.id.to_string(), made).await?;
        self.commit_announced(transaction).await?;
        Ok(row)
    }

    /// One page of the tenant's schemas.
    pub async fn schema_list(&self, permit: &Permit, page: &PageOf) -> Result<Listed<SchemaRow>> {
        let after: Option<Uuid> = page.after.as_deref().and_then(|after| after.parse().ok());
        let mut transaction = self.begin(permit).await?;
        let rows = sqlx::query_as(SCHEMA_LIST)
            .bind(permit.tenant().as_str())
            .bind(after)
            .bind(i64::from(page.limit) + 1)
            .fetch_all(&mut *transaction)
            .await
            .map_err(failed)?;
        Ok(Listed::cut(rows, page.limit, |row: &SchemaRow| row.id.to_string()))
    }

    /// One schema.
    pub async fn schema_get(&self, permit: &Permit, id: Uuid) -> Result<Option<SchemaRow>> {
        let mut transaction = self.begin(permit).await?;
        sqlx::query_as(SCHEMA_GET).bind(permit.tenant().as_str()).bind(id).fetch_optional(&mut *transaction).await.map_err(failed)
    }

    /// The schema of this number on the wire, if it is the tenant's.
    pub async fn schema_by_number(&self, permit: &Permit, number: i32) -> Result<Option<SchemaRow>> {
        let mut transaction = self.begin(permit).await?;
        sqlx::query_as(SCHEMA_BY_NUMBER)
            .bind(permit.tenant().as_str())
            .bind(number)
            .fetch_optional(&mut *transaction)
            .await
            .map_err(failed)
    }

    /// The Avro schemas of these numbers that are the tenant's, kept in memory until the catalogue changes.
    pub async fn avro_schemas(&self, permit: &Permit, numbers: &BTreeSet<i32>) -> Result<Vec<(i32, Arc<str>)>> {
        let tenant = permit.tenant();
        let (mut found, unknown): (Vec<_>, Vec<_>) = {
            let kept = self.avro.lock();
            let known = |number: &i32| kept.get(&(tenant.clone(), *number)).map(|known| (*number, Arc::clone(known)));
            (
                numbers.iter().filter_map(known).collect(),
                numbers.iter().filter(|number| known(number).is_none()).copied().collect(),
            )
        };
        if unknown.is_empty() {
            return Ok(found);
        }
        let mut transaction = self.begin(permit).await?;
        let rows: Vec<(i32, String)> = sqlx::query_as(AVRO_BY_NUMBERS)
            .bind(tenant.as_str())
            .bind(unknown)
            .fetch_all(&mut *transaction)
            .await
            .map_err(failed)?;
        let mut kept = self.avro.lock();
        for (number, definition) in rows {
            let definition: Arc<str> = definition.into();
            if kept.len() >= limits::SCHEMAS_CACHED {
                kept.clear();
            }
            kept.insert((tenant.clone(), number), Arc::clone(&definition));
            found.push((number, definition));
        }
        Ok(found)
    }

    /// All versions of a schema, newest first.
    pub async fn schema_versions(&self, permit: &Permit, name: &str) -> Result<Vec<SchemaRow>> {
        let mut transaction = self.begin(permit).await?;
        sqlx::query_as(SCHEMA_VERSIONS)
            .bind(permit.tenant().as_str())
            .bind(name)
            .fetch_all(&mut *transaction)
            .await
            .map_err(failed)
    }

    /// Deletes a schema; refused while topics use it, with their names. False where there is none.
    pub async fn schema_delete(&self, permit: &Permit, id: Uuid) -> Result<bool> {
        let tenant = permit.tenant().as_str();
        let mut transaction = self.begin(permit).await?;
        let users: Vec<String> =
            sqlx::query_scalar(SCHEMA_USERS).bind(tenant).bind(id).fetch_all(&mut *transaction).await.map_err(failed)?;
        if !users.is_empty() {
            return Err(Error::conflict(format!(
                "This schema is in use by the topics: {}. Give them another first.",
                users.join(", ")
            )));
        }
        let done = sqlx::query(SCHEMA_DELETE).bind(tenant).bind(id).execute(&mut *transaction).await.map_err(failed)?;
        if done.rows_affected() == 0 {
            return Ok(false);
        }
        audit::record(&mut transaction, permit, json!({ "deleted": id })).await?;
        self.commit_announced(transaction).await?;
        Ok(true)
    }
}
