//! Schemas: versions that never change, by id, by name, and by the number that stands in front of Avro messages.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use chrono::{DateTime, Utc};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sqlx::types::Json;
use sqlx::{FromRow, Postgres, Transaction};
use utoipa::IntoParams;
use uuid::Uuid;

use super::{Platform, audit, exactly_one, failed, stale, statements};
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
    /// What the version after it has to keep up with: `none`, `backward`, `forward` or `full`.
    pub compatibility: String,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When it was last changed.
    pub updated_at: DateTime<Utc>,
}

/// Avro schemas that were read, by tenant and number. What a number names never changes; a deleted one is forgotten with all others.
pub(super) type KnownAvro = Mutex<HashMap<(Tenant, i32), Arc<str>>>;

/// A version to be registered.
#[derive(Clone, Debug)]
pub struct NewVersion<'a> {
    /// The schema's name.
    pub name: &'a str,
    /// `json-schema` or `avro`.
    pub kind: &'a str,
    /// The schema itself, as JSON text.
    pub definition: &'a str,
    /// What the version after it has to keep up with.
    pub compatibility: &'a str,
    /// The version that it was compared with, 0 for none. Where another one is the newest by now, nothing is registered.
    pub after: i32,
}

/// What schemas are filtered by.
#[derive(Debug, Default, Serialize, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct SchemaFilter {
    /// Versions of this name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Those of this type: `json-schema` or `avro`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub r#type: Option<String>,
}

statements! {
    SCHEMA_LOCK = "select pg_advisory_xact_lock(hashtextextended('schema ' || $1 || ' ' || $2, 0))";
    SCHEMA_INSERT = "insert into schemas (id, tenant, name, version, type, definition, compatibility)
                     select $1, $2, $3, $7 + 1, $5, $4, $6 from schemas where tenant = $2 and name = $3
                     having coalesce(max(version), 0) = $7 returning *";
    SCHEMA_LIST = "select * from schemas where tenant = $1 and ($2::uuid is null or id > $2)
                   and ($3::jsonb ->> 'name' is null or name = $3 ->> 'name')
                   and ($3 ->> 'type' is null or type = $3 ->> 'type') and weir_reaches(id::text, $5)
                   order by id limit $4";
    SCHEMA_GET = "select * from schemas where tenant = $1 and id = $2";
    SCHEMA_FOR_UPDATE = "select * from schemas where tenant = $1 and id = $2 for update";
    SCHEMA_UPDATE = "update schemas set definition = coalesce($3, definition), compatibility = coalesce($4, compatibility),
                     updated_at = clock_timestamp() where tenant = $1 and id = $2 returning *";
    SCHEMA_BY_NUMBER = "select * from schemas where tenant = $1 and number = $2";
    AVRO_BY_NUMBERS = "select number, definition from schemas where tenant = $1 and type = 'avro' and number = any($2)";
    SCHEMA_VERSIONS = "select * from schemas where tenant = $1 and name = $2 and weir_reaches(id::text, $3)
                       order by version desc";
    SCHEMA_USERS = "select 'topic ' || name from kafka_topics where tenant = $1 and schema_id = $2
                    union all select 'connector ' || name from connectors where tenant = $1 and schema_id = $2
                    union all select 'validator ' || name from validators where tenant = $1 and schema_id = $2 order by 1";
    SCHEMA_DELETE = "delete from schemas where tenant = $1 and id = $2";
}

impl Platform {
    /// Registers the next version of a schema; `None` where another one was registered since `after` was the newest.
    pub async fn schema_create(&self, permit: &Permit, new: &NewVersion<'_>) -> Result<Option<SchemaRow>> {
        let tenant = permit.tenant().as_str();
        let mut transaction = self.begin(permit).await?;
        sqlx::query(SCHEMA_LOCK).bind(tenant).bind(new.name).execute(&mut *transaction).await.map_err(failed)?;
        let row: Option<SchemaRow> = sqlx::query_as(SCHEMA_INSERT)
            .bind(Uuid::now_v7())
            .bind(tenant)
            .bind(new.name)
            .bind(new.definition)
            .bind(new.kind)
            .bind(new.compatibility)
            .bind(new.after)
            .fetch_optional(&mut *transaction)
            .await
            .map_err(failed)?;
        let Some(row) = row else { return Ok(None) };
        audit::record_made(&mut transaction, permit, &row.id.to_string(), details(&row)).await?;
        self.commit_announced(transaction).await?;
        Ok(Some(row))
    }

    /// Changes a version: what the next one has to keep up with, or its definition, as long as nothing uses it. `None` where there is none.
    pub async fn schema_update(
        &self,
        permit: &Permit,
        id: Uuid,
        (definition, compatibility): (Option<&str>, Option<&str>),
        unchanged: &(dyn Fn(&SchemaRow) -> bool + Send + Sync),
    ) -> Result<Option<SchemaRow>> {
        let mut transaction = self.begin(permit).await?;
        let Some(before) = lock(&mut transaction, permit, id, unchanged).await? else { return Ok(None) };
        if definition.is_some() {
            unused(&mut transaction, permit, id).await?;
        }
        let row: SchemaRow = sqlx::query_as(SCHEMA_UPDATE)
            .bind(permit.tenant().as_str())
            .bind(id)
            .bind(definition)
            .bind(compatibility)
            .fetch_one(&mut *transaction)
            .await
            .map_err(failed)?;
        audit::record(&mut transaction, permit, json!({ "before": details(&before), "after": details(&row) })).await?;
        self.commit_announced(transaction).await?;
        Ok(Some(row))
    }

    /// One page of the tenant's schemas.
    pub async fn schema_list(&self, permit: &Permit, filter: &SchemaFilter, page: &PageOf) -> Result<Listed<SchemaRow>> {
        let after: Option<Uuid> = page.after.as_deref().and_then(|after| after.parse().ok());
        let mut transaction = self.begin(permit).await?;
        let rows = sqlx::query_as(SCHEMA_LIST)
            .bind(permit.tenant().as_str())
            .bind(after)
            .bind(Json(filter))
            .bind(i64::from(page.limit) + 1)
            .bind(permit.reach().limits().map(Json))
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
            .bind(permit.reach().limits().map(Json))
            .fetch_all(&mut *transaction)
            .await
            .map_err(failed)
    }

    /// Deletes a schema; refused while something uses it, with the users' names. False where there is none.
    pub async fn schema_delete(
        &self,
        permit: &Permit,
        id: Uuid,
        unchanged: &(dyn Fn(&SchemaRow) -> bool + Send + Sync),
    ) -> Result<bool> {
        let mut transaction = self.begin(permit).await?;
        let Some(before) = lock(&mut transaction, permit, id, unchanged).await? else { return Ok(false) };
        unused(&mut transaction, permit, id).await?;
        let done = sqlx::query(SCHEMA_DELETE)
            .bind(permit.tenant().as_str())
            .bind(id)
            .execute(&mut *transaction)
            .await
            .map_err(failed)?;
        exactly_one(&done, "delete a schema")?;
        audit::record(&mut transaction, permit, json!({ "before": details(&before) })).await?;
        self.commit_announced(transaction).await?;
        Ok(true)
    }
}

fn details(row: &SchemaRow) -> Value {
    json!({
        "id": row.id, "name": row.name, "version": row.version, "type": row.kind, "compatibility": row.compatibility,
        "definition": serde_json::from_str::<Value>(&row.definition).unwrap_or_default(),
    })
}

/// The row, where it is as the client thinks it is; nobody else changes it, and nobody begins to use it, before the transaction ends.
async fn lock(
    transaction: &mut Transaction<'static, Postgres>,
    permit: &Permit,
    id: Uuid,
    unchanged: &(dyn Fn(&SchemaRow) -> bool + Send + Sync),
) -> Result<Option<SchemaRow>> {
    let row: Option<SchemaRow> = sqlx::query_as(SCHEMA_FOR_UPDATE)
        .bind(permit.tenant().as_str())
        .bind(id)
        .fetch_optional(&mut **transaction)
        .await
        .map_err(failed)?;
    match row {
        Some(row) if !unchanged(&row) => Err(stale("schema")),
        row => Ok(row),
    }
}

/// Refuses where something uses a schema, and says what.
async fn unused(transaction: &mut Transaction<'static, Postgres>, permit: &Permit, id: Uuid) -> Result<()> {
    let users: Vec<String> = sqlx::query_scalar(SCHEMA_USERS)
        .bind(permit.tenant().as_str())
        .bind(id)
        .fetch_all(&mut **transaction)
        .await
        .map_err(failed)?;
    if users.is_empty() {
        return Ok(());
    }
    Err(Error::conflict(format!("This schema is in use, by: {}. Give them another first.", users.join(", "))))
}
