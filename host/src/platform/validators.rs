//! Validators and the immutable versions of their modules.

use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use sqlx::FromRow;
use uuid::Uuid;

use super::catalogue::{StepRow, step};
use super::{Platform, audit, failed, statements};
use crate::error::{Error, Result};
use crate::model::ErrorStrategy;
use crate::paging::{Listed, PageOf};
use crate::policy::Permit;
use crate::rules::{Digest, Step};

/// A validator.
#[derive(Clone, Debug, FromRow)]
pub struct ValidatorRow {
    /// Its id.
    pub id: Uuid,
    /// Its name.
    pub name: String,
    /// `wasm`.
    pub kind: String,
    /// `readings`.
    pub target: String,
    /// What its module reads at the start of each batch.
    pub config: Value,
    /// What becomes of what it refuses.
    pub error_strategy: String,
    /// `active` or `inactive`: an inactive one is left out of its chains.
    pub status: String,
    /// The version that runs; none before the first upload.
    pub active_version: Option<i32>,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When it was last changed.
    pub updated_at: DateTime<Utc>,
}

/// One version of a validator's module.
#[derive(Clone, Debug, FromRow)]
pub struct VersionRow {
    /// Its number, from 1.
    pub version: i32,
    /// SHA-256 of the component.
    pub digest: Vec<u8>,
    /// The world that it targets.
    pub world: String,
    /// The version of the interface that it exports.
    pub wit_version: String,
    /// What it imports.
    pub imports: Vec<String>,
    /// The component's size, in bytes.
    pub size: i64,
    /// When it was uploaded.
    pub created_at: DateTime<Utc>,
}

/// What is to be kept of a module that checked out.
#[derive(Clone, Debug)]
pub struct NewVersion {
    /// SHA-256 of the component.
    pub digest: Digest,
    /// The world that it targets.
    pub world: String,
    /// The version of the interface that it exports.
    pub wit_version: String,
    /// What it imports.
    pub imports: Vec<String>,
    /// The component's size, in bytes.
    pub size: u64,
}

/// The fields of a change; `None` leaves a field as it is.
#[derive(Clone, Debug, Default)]
pub struct ValidatorChange {
    /// Another name.
    pub name: Option<String>,
    /// Another configuration.
    pub config: Option<Value>,
    /// Another strategy.
    pub error_strategy: Option<ErrorStrategy>,
    /// `active` or `inactive`.
    pub status: Option<String>,
}

statements! {
    INSERT = "insert into validators (id, tenant, name, config, error_strategy) values ($1, $2, $3, $4, $5) returning *";
    LIST = "select * from validators where tenant = $1 and ($2::uuid is null or id > $2) order by id limit $3";
    GET = "select * from validators where tenant = $1 and id = $2";
    LOCK = "select * from validators where tenant = $1 and id = $2 for update";
    UPDATE = "update validators set name = coalesce($3, name), config = coalesce($4, config),
              error_strategy = coalesce($5, error_strategy), status = coalesce($6, status), updated_at = now()
              where tenant = $1 and id = $2 returning *";
    /// The steps of a chain that is named: validators that are inactive or have no module are missing from it.
    STEPS = "select v.id, v.name, v.config, v.error_strategy, w.version, w.digest
             from unnest($2::uuid[]) with ordinality as c (validator, position) join validators v on v.id = c.validator
             join validator_versions w on w.validator_id = v.id and w.version = v.active_version
             where v.tenant = $1 and v.status = 'active' order by c.position";
    USERS = "select topic from chains where tenant = $1 and validator_id = $2 order by topic";
    DELETE = "delete from validators where tenant = $1 and id = $2";
    DEACTIVATE = "update validators set active_version = null where tenant = $1 and id = $2";
    VERSION_INSERT = "insert into validator_versions (validator_id, version, tenant, digest, world, wit_version, imports, size)
                      select $1, coalesce(max(version), 0) + 1, $2, $3, $4, $5, $6, $7 from validator_versions where validator_id = $1
                      returning version, digest, world, wit_version, imports, size, created_at";
    VERSION_LIST = "select version, digest, world, wit_version, imports, size, created_at from validator_versions
                    where tenant = $1 and validator_id = $2 order by version desc";
    ACTIVATE_FIRST = "update validators set active_version = $3 where tenant = $1 and id = $2 and active_version is null";
    ACTIVATE = "update validators set active_version = $3, updated_at = now() where tenant = $1 and id = $2
                and exists (select from validator_versions where validator_id = $2 and version = $3) returning *";
}

impl Platform {
    /// The steps of these validators, in this order; those that are not there, inactive or without a module are missing.
    pub async fn validator_steps(&self, permit: &Permit, validators: &[Uuid]) -> Result<Vec<Step>> {
        let mut transaction = self.begin(permit).await?;
        let rows: Vec<StepRow> = sqlx::query_as(STEPS)
            .bind(permit.tenant().as_str())
            .bind(validators)
            .fetch_all(&mut *transaction)
            .await
            .map_err(failed)?;
        rows.into_iter().map(step).collect()
    }

    /// Makes a validator, without a module yet.
    pub async fn validator_create(
        &self,
        permit: &Permit,
        name: &str,
        config: &Value,
        strategy: ErrorStrategy,
    ) -> Result<ValidatorRow> {
        let mut transaction = self.begin(permit).await?;
        let row: ValidatorRow = sqlx::query_as(INSERT)
            .bind(Uuid::now_v7())
            .bind(permit.tenant().as_str())
            .bind(name)
            .bind(config)
            .bind(strategy.as_str())
            .fetch_one(&mut *transaction)
            .await
            .map_err(failed)?;
        audit::record(&mut transaction, permit, json!({ "after": { "id": row.id, "name": name, "config": config } })).await?;
        transaction.commit().await.map_err(failed)?;
        Ok(row)
    }

    /// One page of the tenant's validators.
    pub async fn validator_list(&self, permit: &Permit, page: &PageOf) -> Result<Listed<ValidatorRow>> {
        let after: Option<Uuid> = page.after.as_deref().and_then(|after| after.parse().ok());
        let mut transaction = self.begin(permit).await?;
        let rows = sqlx::query_as(LIST)
            .bind(permit.tenant().as_str())
            .bind(after)
            .bind(i64::from(page.limit) + 1)
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

    /// Changes the fields that are given.
    pub async fn validator_update(&self, permit: &Permit, id: Uuid, change: &ValidatorChange) -> Result<Option<ValidatorRow>> {
        let mut transaction = self.begin(permit).await?;
        let row: Option<ValidatorRow> = sqlx::query_as(UPDATE)
            .bind(permit.tenant().as_str())
            .bind(id)
            .bind(&change.name)
            .bind(&change.config)
            .bind(change.error_strategy.map(ErrorStrategy::as_str))
            .bind(&change.status)
            .fetch_optional(&mut *transaction)
            .await
            .map_err(failed)?;
        if let Some(row) = &row {
            let after =
                json!({ "name": row.name, "config": row.config, "errorStrategy": row.error_strategy, "status": row.status });
            audit::record(&mut transaction, permit, json!({ "after": after })).await?;
        }
        transaction.commit().await.map_err(failed)?;
        Ok(row)
    }

    /// Deletes a validator; refused while chains use it, with their topics. False where there is none.
    pub async fn validator_delete(&self, permit: &Permit, id: Uuid) -> Result<bool> {
        let tenant = permit.tenant().as_str();
        let mut transaction = self.begin(permit).await?;
        let row: Option<ValidatorRow> =
            sqlx::query_as(LOCK).bind(tenant).bind(id).fetch_optional(&mut *transaction).await.map_err(failed)?;
        if row.is_none() {
            return Ok(false);
        }
        let users: Vec<String> =
            sqlx::query_scalar(USERS).bind(tenant).bind(id).fetch_all(&mut *transaction).await.map_err(failed)?;
        if !users.is_empty() {
            return Err(Error::conflict(format!(
                "This validator is in the chains of: {}. Take it out of them first.",
                users.join(", ")
            )));
        }
        sqlx::query(DEACTIVATE).bind(tenant).bind(id).execute(&mut *transaction).await.map_err(failed)?;
        sqlx::query(DELETE).bind(tenant).bind(id).execute(&mut *transaction).await.map_err(failed)?;
        audit::record(&mut transaction, permit, json!({ "deleted": id })).await?;
        transaction.commit().await.map_err(failed)?;
        Ok(true)
    }

    /// Adds a version of a validator's module; the first one becomes active at once. `None` where there is no such validator.
    pub async fn validator_add_version(&self, permit: &Permit, id: Uuid, new: &NewVersion) -> Result<Option<VersionRow>> {
        let tenant = permit.tenant().as_str();
        let mut transaction = self.begin(permit).await?;
        // Two uploads at once: the second waits here and takes the next number.
        let row: Option<ValidatorRow> =
            sqlx::query_as(LOCK).bind(tenant).bind(id).fetch_optional(&mut *transaction).await.map_err(failed)?;
        if row.is_none() {
            return Ok(None);
        }
        let version: VersionRow = sqlx::query_as(VERSION_INSERT)
            .bind(id)
            .bind(tenant)
            .bind(&new.digest.0[..])
            .bind(&new.world)
            .bind(&new.wit_version)
            .bind(&new.imports)
            .bind(i64::try_from(new.size).unwrap_or(i64::MAX))
            .fetch_one(&mut *transaction)
            .await
            .map_err(failed)?;
        sqlx::query(ACTIVATE_FIRST)
            .bind(tenant)
            .bind(id)
            .bind(version.version)
            .execute(&mut *transaction)
            .await
            .map_err(failed)?;
        let details = json!({ "version": version.version, "sha256": new.digest.to_string() });
        audit::record(&mut transaction, permit, details).await?;
        transaction.commit().await.map_err(failed)?;
        Ok(Some(version))
    }

    /// All versions of a validator, newest first.
    pub async fn validator_versions(&self, permit: &Permit, id: Uuid) -> Result<Vec<VersionRow>> {
        let mut transaction = self.begin(permit).await?;
        sqlx::query_as(VERSION_LIST).bind(permit.tenant().as_str()).bind(id).fetch_all(&mut *transaction).await.map_err(failed)
    }

    /// Makes a version the one that runs, forward or back. `None` where there is no such validator or version.
    pub async fn validator_activate(&self, permit: &Permit, id: Uuid, version: i32) -> Result<Option<ValidatorRow>> {
        let mut transaction = self.begin(permit).await?;
        let row: Option<ValidatorRow> = sqlx::query_as(ACTIVATE)
            .bind(permit.tenant().as_str())
            .bind(id)
            .bind(version)
            .fetch_optional(&mut *transaction)
            .await
            .map_err(failed)?;
        if row.is_some() {
            audit::record(&mut transaction, permit, json!({ "activated": version })).await?;
        }
        transaction.commit().await.map_err(failed)?;
        Ok(row)
    }
}
