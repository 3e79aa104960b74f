//! Validators: a name, a configuration and bounds for a module; its versions and what became of them are in the files beside this.

pub mod record;
pub mod versions;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sqlx::types::Json;
use sqlx::{FromRow, Postgres, Transaction};
use utoipa::IntoParams;
use uuid::Uuid;

use super::resource::Status;
use super::{Platform, audit, failed, stale, statements};
use crate::error::{Error, Result};
use crate::model::{ErrorStrategy, Grant, Target};
use crate::paging::{Listed, PageOf};
use crate::policy::Permit;

/// A validator.
#[derive(Clone, Debug, FromRow)]
pub struct ValidatorRow {
    /// Its id.
    pub id: Uuid,
    /// Its name.
    pub name: String,
    /// `wasm` or `json-schema`.
    pub kind: String,
    /// The schema that judges, where there is no module.
    pub schema_id: Option<Uuid>,
    /// `readings`, `documents` or `objects`.
    pub target: String,
    /// What its module reads at the start of each batch.
    pub config: Value,
    /// What becomes of what it refuses.
    pub error_strategy: String,
    /// `active` or `inactive`: an inactive one is left out of its chains.
    pub status: String,
    /// The version that runs; none before the first upload.
    pub active_version: Option<i32>,
    /// The version that runs beside it and decides nothing.
    pub shadow_version: Option<i32>,
    /// What its module is handed: `config`, `log`, `lookup`.
    pub grants: Vec<String>,
    /// Time of one call, in milliseconds, where it is less than the tenant's.
    pub time_ms: Option<i32>,
    /// Memory of one instance, in bytes, where it is less than the tenant's.
    pub memory_bytes: Option<i64>,
    /// True where only a version may be activated that a clean replay speaks for.
    pub clean_replay: bool,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When it was last changed.
    pub updated_at: DateTime<Utc>,
}

/// A validator to be made.
#[derive(Clone, Debug)]
pub struct NewValidator {
    /// Its name.
    pub name: String,
    /// What it checks.
    pub target: Target,
    /// The schema that judges in place of a module.
    pub schema_id: Option<Uuid>,
    /// Its configuration.
    pub config: Value,
    /// What becomes of what it refuses.
    pub strategy: ErrorStrategy,
    /// What its module is handed.
    pub grants: Vec<Grant>,
    /// Time of one call, in milliseconds.
    pub time_ms: Option<i32>,
    /// Memory of one instance, in bytes.
    pub memory_bytes: Option<i64>,
    /// True where only a version may be activated that a clean replay speaks for.
    pub clean_replay: bool,
}

impl NewValidator {
    /// One of readings, with the defaults of everything else.
    pub fn named(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            target: Target::Readings,
            schema_id: None,
            config: json!({}),
            strategy: ErrorStrategy::Quarantine,
            grants: vec![Grant::Config, Grant::Log],
            time_ms: None,
            memory_bytes: None,
            clean_replay: false,
        }
    }
}

/// What any module of a tenant may take.
#[derive(Clone, Copy, Debug, Default, FromRow)]
pub struct TenantBounds {
    /// Time of one call, in milliseconds.
    pub time_ms: Option<i32>,
    /// Memory of one instance, in bytes.
    pub memory_bytes: Option<i64>,
}

/// The fields of a change; `None` leaves a field as it is.
#[derive(Clone, Debug, Default)]
pub struct ValidatorChange {
    /// Another name.
    pub name: Option<String>,
    /// Another schema, of a validator that is one.
    pub schema_id: Option<Uuid>,
    /// Another configuration.
    pub config: Option<Value>,
    /// Another strategy.
    pub error_strategy: Option<ErrorStrategy>,
    /// `active` or `inactive`.
    pub status: Option<String>,
    /// Other grants.
    pub grants: Option<Vec<Grant>>,
    /// Another time; `Some(None)` takes the bound away.
    pub time_ms: Option<Option<i32>>,
    /// Another memory; `Some(None)` takes the bound away.
    pub memory_bytes: Option<Option<i64>>,
    /// Whether a clean replay is needed.
    pub clean_replay: Option<bool>,
}

fn words(grants: &[Grant]) -> Vec<&'static str> {
    grants.iter().map(|grant| grant.as_str()).collect()
}

/// What validators are filtered by.
#[derive(Debug, Default, Serialize, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct ValidatorFilter {
    /// The one of this name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Those that check these.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[param(inline)]
    pub target: Option<Target>,
    /// Those that are at work, or not.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[param(inline)]
    pub status: Option<Status>,
}

statements! {
    INSERT = "insert into validators (id, tenant, name, config, error_strategy, target, grants, time_ms, memory_bytes, clean_replay,
                                      schema_id, kind)
              values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, case when $11::uuid is null then 'wasm' else 'json-schema' end)
              returning *";
    LIST = "select * from validators where tenant = $1 and ($2::uuid is null or id > $2)
            and ($4::jsonb ->> 'name' is null or name = $4 ->> 'name')
            and ($4 ->> 'target' is null or target = $4 ->> 'target')
            and ($4 ->> 'status' is null or status = $4 ->> 'status') and weir_reaches(id::text, $5)
            order by id limit $3";
    GET = "select * from validators where tenant = $1 and id = $2";
    LOCK = "select * from validators where tenant = $1 and id = $2 for update";
    UPDATE = "update validators set name = coalesce($3, name), config = coalesce($4, config),
              error_strategy = coalesce($5, error_strategy), status = coalesce($6, status), grants = coalesce($7, grants),
              time_ms = case when $8 then $9 else time_ms end, memory_bytes = case when $10 then $11 else memory_bytes end,
              clean_replay = coalesce($12, clean_replay), schema_id = coalesce($13, schema_id), updated_at = now()
              where tenant = $1 and id = $2 returning *";
    USERS = "select place from chains where tenant = $1 and validator_id = $2 order by place";
    /// What no version that runs may lose.
    NEEDED = "select distinct unnest(w.grants) from validators v join validator_versions w
              on w.validator_id = v.id and w.version in (v.active_version, v.shadow_version) where v.tenant = $1 and v.id = $2";
    TOPICS = "select topic from chains where tenant = $1 and validator_id = $2 and topic is not null order by topic";
    BOUNDS = "select guest_time_ms as time_ms, guest_memory_bytes as memory_bytes from tenants where slug = $1";
    DELETE = "delete from validators where tenant = $1 and id = $2";
    DEACTIVATE = "update validators set active_version = null, shadow_version = null where tenant = $1 and id = $2";
}

impl Platform {
    /// Makes a validator, without a module yet.
    pub async fn validator_create(&self, permit: &Permit, new: &NewValidator) -> Result<ValidatorRow> {
        let mut transaction = self.begin(permit).await?;
        let row: ValidatorRow = sqlx::query_as(INSERT)
            .bind(Uuid::now_v7())
            .bind(permit.tenant().as_str())
            .bind(&new.name)
            .bind(&new.config)
            .bind(new.strategy.as_str())
            .bind(new.target.as_str())
            .bind(words(&new.grants))
            .bind(new.time_ms)
            .bind(new.memory_bytes)
            .bind(new.clean_replay)
            .bind(new.schema_id)
            .fetch_one(&mut *transaction)
            .await
            .map_err(failed)?;
        audit::record_made(&mut transaction, permit, &row.id.to_string(), details(&row)).await?;
        self.commit_announced(transaction).await?;
        Ok(row)
    }

    /// One page of the tenant's validators.
    pub async fn validator_list(&self, permit: &Permit, filter: &ValidatorFilter, page: &PageOf) -> Result<Listed<ValidatorRow>> {
        let after: Option<Uuid> = page.after.as_deref().and_then(|after| after.parse().ok());
        let mut transaction = self.begin(permit).await?;
        let rows = sqlx::query_as(LIST)
            .bind(permit.tenant().as_str())
            .bind(after)
            .bind(i64::from(page.limit) + 1)
            .bind(Json(filter))
            .bind(permit.reach().limits().map(Json))
            .fetch_all(&mut *transaction)
            .await
            .map_err(failed)?;
        Ok(Listed::cut(rows, page.limit, |row: &ValidatorRow| row.id.to_string()))
    }

    /// One validator.
    pub async fn validator_get(&self, permit: &Permit, id: Uuid) -> Result<Option<ValidatorRow>> {
        let mut transaction = self.begin(permit).await?;
        sqlx::query_as(GET).bind(permit.tenant().as_str()).bind(id).fetch_optional(&mut *transaction).await.map_err(failed)
    }

    /// Changes the fields that are given, where the validator is as the client thinks it is.
    pub async fn validator_update(
        &self,
        permit: &Permit,
        id: Uuid,
        change: &ValidatorChange,
        unchanged: &(dyn Fn(&ValidatorRow) -> bool + Send + Sync),
    ) -> Result<Option<ValidatorRow>> {
        let mut transaction = self.begin(permit).await?;
        let before = locked(&mut transaction, permit, id, unchanged).await?;
        let Some(before) = before else { return Ok(None) };
        let row: ValidatorRow = sqlx::query_as(UPDATE)
            .bind(permit.tenant().as_str())
            .bind(id)
            .bind(&change.name)
            .bind(&change.config)
            .bind(change.error_strategy.map(ErrorStrategy::as_str))
            .bind(&change.status)
            .bind(change.grants.as_deref().map(words))
            .bind(change.time_ms.is_some())
            .bind(change.time_ms.flatten())
            .bind(change.memory_bytes.is_some())
            .bind(change.memory_bytes.flatten())
            .bind(change.clean_replay)
            .bind(change.schema_id)
            .fetch_one(&mut *transaction)
            .await
            .map_err(failed)?;
        let needed: Vec<String> = sqlx::query_scalar(NEEDED)
            .bind(permit.tenant().as_str())
            .bind(id)
            .fetch_all(&mut *transaction)
            .await
            .map_err(failed)?;
        if let Some(missing) = needed.iter().find(|grant| !row.grants.contains(grant)) {
            return Err(Error::conflict(format!(
                "The version that runs imports `{missing}`, so it cannot be taken out of `grants`; activate another one first."
            )));
        }
        audit::record(&mut transaction, permit, json!({ "before": details(&before), "after": details(&row) })).await?;
        self.commit_announced(transaction).await?;
        Ok(Some(row))
    }

    /// The topics whose chains have a validator.
    pub async fn validator_topics(&self, permit: &Permit, id: Uuid) -> Result<Vec<String>> {
        let mut transaction = self.begin(permit).await?;
        sqlx::query_scalar(TOPICS).bind(permit.tenant().as_str()).bind(id).fetch_all(&mut *transaction).await.map_err(failed)
    }

    /// What any module of the permit's tenant may take.
    pub async fn tenant_bounds(&self, permit: &Permit) -> Result<TenantBounds> {
        let mut transaction = self.begin(permit).await?;
        let bounds = sqlx::query_as(BOUNDS).bind(permit.tenant().as_str()).fetch_optional(&mut *transaction).await;
        bounds.map(Option::unwrap_or_default).map_err(failed)
    }

    /// Deletes a validator; refused while chains use it, with their topics. False where there is none.
    pub async fn validator_delete(
        &self,
        permit: &Permit,
        id: Uuid,
        unchanged: &(dyn Fn(&ValidatorRow) -> bool + Send + Sync),
    ) -> Result<bool> {
        let tenant = permit.tenant().as_str();
        let mut transaction = self.begin(permit).await?;
        let before = locked(&mut transaction, permit, id, unchanged).await?;
        let Some(before) = before else { return Ok(false) };
        let users: Vec<String> =
            sqlx::query_scalar(USERS).bind(tenant).bind(id).fetch_all(&mut *transaction).await.map_err(failed)?;
        if !users.is_empty() {
            return Err(Error::conflict(format!(
                "This validator is in use, by the chains of: {}. Take it out of them first.",
                users.join(", ")
            )));
        }
        sqlx::query(DEACTIVATE).bind(tenant).bind(id).execute(&mut *transaction).await.map_err(failed)?;
        sqlx::query(DELETE).bind(tenant).bind(id).execute(&mut *transaction).await.map_err(failed)?;
        audit::record(&mut transaction, permit, json!({ "before": details(&before) })).await?;
        self.commit_announced(transaction).await?;
        Ok(true)
    }
}

/// A validator, where it is as the client thinks it is; nobody else changes it before the transaction ends.
async fn locked(
    transaction: &mut Transaction<'static, Postgres>,
    permit: &Permit,
    id: Uuid,
    unchanged: &(dyn Fn(&ValidatorRow) -> bool + Send + Sync),
) -> Result<Option<ValidatorRow>> {
    let row: Option<ValidatorRow> =
        sqlx::query_as(LOCK).bind(permit.tenant().as_str()).bind(id).fetch_optional(&mut **transaction).await.map_err(failed)?;
    match row {
        Some(row) if !unchanged(&row) => Err(stale("validator")),
        row => Ok(row),
    }
}

fn details(row: &ValidatorRow) -> Value {
    json!({
        "id": row.id, "name": row.name, "kind": row.kind, "target": row.target, "schemaId": row.schema_id, "config": row.config, "errorStrategy": row.error_strategy,
        "status": row.status, "grants": row.grants, "timeMs": row.time_ms, "memoryBytes": row.memory_bytes,
        "cleanReplay": row.clean_replay,
    })
}
