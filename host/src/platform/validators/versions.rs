//! The immutable versions of a validator's module, which of them runs and which ran before.

use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use sqlx::{FromRow, Postgres, Transaction};
use uuid::Uuid;

use super::{ValidatorRow, words};
use crate::error::{Error, Result};
use crate::model::Grant;
use crate::paging::{Listed, PageOf};
use crate::platform::{Platform, audit, failed, statements};
use crate::policy::Permit;
use crate::rules::Digest;

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
    /// What it must be granted.
    pub grants: Vec<String>,
    /// The component's size, in bytes.
    pub size: i64,
    /// The key whose signature came with it, by name.
    pub signed_by: Option<String>,
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
    /// What it must be granted.
    pub grants: Vec<Grant>,
    /// The component's size, in bytes.
    pub size: u64,
    /// The key whose signature came with it, by name.
    pub signed_by: Option<String>,
}

/// A version that began to run.
#[derive(Clone, Debug, FromRow)]
pub struct ActivationRow {
    /// Its id; later ones are greater.
    pub id: Uuid,
    /// The version.
    pub version: i32,
    /// The version that ran before; none for the first.
    pub previous: Option<i32>,
    /// `upload` (the first one), `activation`, `return` or `faults`.
    pub cause: String,
    /// Who asked for it.
    pub subject: String,
    /// When.
    pub at: DateTime<Utc>,
    /// Of a return that nobody asked for: the rates that led to it.
    pub details: Value,
}

/// What stood when a version began to run.
#[derive(Clone, Copy, Debug, FromRow)]
pub struct Term {
    /// The version that ran before; none for the first.
    pub previous: Option<i32>,
    /// Calls of the version until then.
    pub calls_before: i64,
    /// Faults of the version until then.
    pub faults_before: i64,
}

/// Why a version begins to run.
#[derive(Clone, Debug)]
pub enum Cause {
    /// Somebody chose it.
    Activation,
    /// Somebody went back to the version before.
    Return,
    /// The version before it failed more often than this one, as the details say.
    Faults(Value),
}

statements! {
    LOCK = "select * from validators where tenant = $1 and id = $2 for update";
    INSERT = "insert into validator_versions (validator_id, version, tenant, digest, world, wit_version, imports, grants, size, signed_by)
              select $1, coalesce(max(version), 0) + 1, $2, $3, $4, $5, $6, $7, $8, $9 from validator_versions where validator_id = $1
              returning version, digest, world, wit_version, imports, grants, size, signed_by, created_at";
    LIST = "select version, digest, world, wit_version, imports, grants, size, signed_by, created_at from validator_versions
            where tenant = $1 and validator_id = $2 and ($3::integer is null or version < $3) order by version desc limit $4";
    GET = "select version, digest, world, wit_version, imports, grants, size, signed_by, created_at from validator_versions
           where tenant = $1 and validator_id = $2 and version = $3";
    ACTIVATE = "update validators set active_version = $3, shadow_version = nullif(shadow_version, $3), updated_at = now()
                where tenant = $1 and id = $2 returning *";
    SHADOW = "update validators set shadow_version = $3, updated_at = now() where tenant = $1 and id = $2 returning *";
    HISTORY = "select id, version, previous, cause, subject, at, details from validator_activations
               where tenant = $1 and validator_id = $2 and ($3::uuid is null or id < $3) order by id desc limit $4";
    /// What had happened to the version when it began to run, as a shadow or in an earlier term, is no evidence against it now.
    ACTIVATED = "insert into validator_activations
                     (id, tenant, validator_id, version, previous, cause, subject, request_id, details, calls_before, faults_before)
                 select $1, $2, $3, $4, $5, $6, $7, $8, $9, coalesce(s.calls, 0), coalesce(s.faults, 0)
                 from (select) one left join validator_stats s on s.validator_id = $3 and s.version = $4";
    PREVIOUS = "select previous, calls_before, faults_before from validator_activations
                where tenant = $1 and validator_id = $2 and version = $3 order by id desc limit 1";
    REPLAYED_CLEAN = "select exists (select from validator_replays r join validators v on v.id = r.validator_id
                      where r.tenant = $1 and r.validator_id = $2 and r.version = $3 and r.clean and r.config = v.config)";
}

impl Platform {
    /// Adds a version of a validator's module; the first one becomes active at once. `None` where there is no such validator.
    pub async fn validator_add_version(&self, permit: &Permit, id: Uuid, new: &NewVersion) -> Result<Option<VersionRow>> {
        let tenant = permit.tenant().as_str();
        let mut transaction = self.begin(permit).await?;
        // Two uploads at once: the second waits here and takes the next number.
        let Some(row) = lock(&mut transaction, permit, id).await? else { return Ok(None) };
        let version: VersionRow = sqlx::query_as(INSERT)
            .bind(id)
            .bind(tenant)
            .bind(&new.digest.0[..])
            .bind(&new.world)
            .bind(&new.wit_version)
            .bind(&new.imports)
            .bind(words(&new.grants))
            .bind(i64::try_from(new.size).unwrap_or(i64::MAX))
            .bind(&new.signed_by)
            .fetch_one(&mut *transaction)
            .await
            .map_err(failed)?;
        if row.active_version.is_none() {
            let step = Step { previous: None, version: version.version, cause: "upload", details: json!({}) };
            activate(&mut transaction, permit, id, &step).await?;
        }
        let uploaded = json!({ "version": version.version, "sha256": new.digest.to_string(), "signedBy": new.signed_by });
        let active = row.active_version.unwrap_or(version.version);
        let details = json!({ "uploaded": uploaded, "before": { "activeVersion": row.active_version }, "after": { "activeVersion": active } });
        audit::record(&mut transaction, permit, details).await?;
        self.commit_announced(transaction).await?;
        Ok(Some(version))
    }

    /// One page of a validator's versions, newest first; a page ends with a number.
    pub async fn validator_versions(&self, permit: &Permit, id: Uuid, page: &PageOf) -> Result<Listed<VersionRow>> {
        let after: Option<i32> = page.after.as_deref().and_then(|after| after.parse().ok());
        let mut transaction = self.begin(permit).await?;
        let rows = sqlx::query_as(LIST)
            .bind(permit.tenant().as_str())
            .bind(id)
            .bind(after)
            .bind(i64::from(page.limit) + 1)
            .fetch_all(&mut *transaction)
            .await
            .map_err(failed)?;
        Ok(Listed::cut(rows, page.limit, |row: &VersionRow| row.version.to_string()))
    }

    /// One version.
    pub async fn validator_version(&self, permit: &Permit, id: Uuid, version: i32) -> Result<Option<VersionRow>> {
        let mut transaction = self.begin(permit).await?;
        sqlx::query_as(GET)
            .bind(permit.tenant().as_str())
            .bind(id)
            .bind(version)
            .fetch_optional(&mut *transaction)
            .await
            .map_err(failed)
    }

    /// Makes a version the one that runs. Where `expected` is given, only if that is the one that runs now; `None` where it is not, or
    /// where there is no such validator. Refused where the validator asks for a clean replay and there is none.
    pub async fn validator_activate(
        &self,
        permit: &Permit,
        id: Uuid,
        version: i32,
        cause: Cause,
        expected: Option<i32>,
    ) -> Result<Option<ValidatorRow>> {
        let tenant = permit.tenant().as_str();
        let mut transaction = self.begin(permit).await?;
        let Some(row) = lock(&mut transaction, permit, id).await? else { return Ok(None) };
        if expected.is_some() && row.active_version != expected {
            return Ok(None);
        }
        if row.clean_replay && matches!(cause, Cause::Activation) && row.active_version.is_some() {
            let clean: bool = sqlx::query_scalar(REPLAYED_CLEAN)
                .bind(tenant)
                .bind(id)
                .bind(version)
                .fetch_one(&mut *transaction)
                .await
                .map_err(failed)?;
            if !clean {
                return Err(Error::conflict(format!(
                    "This validator activates only versions that a clean replay speaks for. POST /api/platform/validators/{id}/replay \
                     with version {version} first."
                )));
            }
        }
        let (word, details) = match cause {
            Cause::Activation => ("activation", json!({})),
            Cause::Return => ("return", json!({})),
            Cause::Faults(details) => ("faults", details),
        };
        let step = Step { previous: row.active_version, version, cause: word, details };
        let row = activate(&mut transaction, permit, id, &step).await?;
        let details = json!({ "before": { "activeVersion": step.previous }, "after": { "activeVersion": version }, "cause": word,
            "details": step.details });
        audit::record(&mut transaction, permit, details).await?;
        self.commit_announced(transaction).await?;
        Ok(row)
    }

    /// The last time that a version began to run.
    pub async fn validator_term(&self, permit: &Permit, id: Uuid, version: i32) -> Result<Option<Term>> {
        let mut transaction = self.begin(permit).await?;
        sqlx::query_as(PREVIOUS)
            .bind(permit.tenant().as_str())
            .bind(id)
            .bind(version)
            .fetch_optional(&mut *transaction)
            .await
            .map_err(failed)
    }

    /// Lets a version run beside the active one, or none. `None` where there is no such validator.
    pub async fn validator_shadow(&self, permit: &Permit, id: Uuid, version: Option<i32>) -> Result<Option<ValidatorRow>> {
        let mut transaction = self.begin(permit).await?;
        let Some(before) = lock(&mut transaction, permit, id).await? else { return Ok(None) };
        let row: Option<ValidatorRow> = sqlx::query_as(SHADOW)
            .bind(permit.tenant().as_str())
            .bind(id)
            .bind(version)
            .fetch_optional(&mut *transaction)
            .await
            .map_err(failed)?;
        if row.is_some() {
            let details = json!({ "before": { "shadowVersion": before.shadow_version }, "after": { "shadowVersion": version } });
            audit::record(&mut transaction, permit, details).await?;
        }
        self.commit_announced(transaction).await?;
        Ok(row)
    }

    /// One page of what ran when, newest first.
    pub async fn validator_history(&self, permit: &Permit, id: Uuid, page: &PageOf) -> Result<Listed<ActivationRow>> {
        let after: Option<Uuid> = page.after.as_deref().and_then(|after| after.parse().ok());
        let mut transaction = self.begin(permit).await?;
        let rows = sqlx::query_as(HISTORY)
            .bind(permit.tenant().as_str())
            .bind(id)
            .bind(after)
            .bind(i64::from(page.limit) + 1)
            .fetch_all(&mut *transaction)
            .await
            .map_err(failed)?;
        Ok(Listed::cut(rows, page.limit, |row: &ActivationRow| row.id.to_string()))
    }
}

/// A change of what runs.
struct Step {
    previous: Option<i32>,
    version: i32,
    cause: &'static str,
    details: Value,
}

async fn lock(transaction: &mut Transaction<'_, Postgres>, permit: &Permit, id: Uuid) -> Result<Option<ValidatorRow>> {
    sqlx::query_as(LOCK).bind(permit.tenant().as_str()).bind(id).fetch_optional(&mut **transaction).await.map_err(failed)
}

async fn activate(
    transaction: &mut Transaction<'_, Postgres>,
    permit: &Permit,
    id: Uuid,
    step: &Step,
) -> Result<Option<ValidatorRow>> {
    let row = sqlx::query_as(ACTIVATE)
        .bind(permit.tenant().as_str())
        .bind(id)
        .bind(step.version)
        .fetch_optional(&mut **transaction)
        .await
        .map_err(failed)?;
    sqlx::query(ACTIVATED)
        .bind(Uuid::now_v7())
        .bind(permit.tenant().as_str())
        .bind(id)
        .bind(step.version)
        .bind(step.previous)
        .bind(step.cause)
        .bind(permit.subject().as_str())
        .bind(&**permit.request_id())
        .bind(&step.details)
        .execute(&mut **transaction)
        .await
        .map_err(failed)?;
    Ok(row)
}
