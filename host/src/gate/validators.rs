//! Validators: deploying a tenant's code.

use bytes::Bytes;
use serde_json::Value;
use uuid::Uuid;

use super::Gate;
use crate::error::{Error, Result};
use crate::limits;
use crate::model::{Action, Caller, ErrorStrategy, Resource, check_name};
use crate::paging::{Listed, PageOf};
pub use crate::platform::validators::{NewVersion, ValidatorChange, ValidatorRow, VersionRow};

const VALIDATORS: &str = "validators";

fn one(id: Uuid) -> Resource {
    Resource::platform_one(VALIDATORS, &id.to_string())
}

fn no_validator(id: Uuid) -> Error {
    Error::not_found(format!("validator `{id}`"))
}

fn check_config(config: &Value) -> Result<()> {
    if !config.is_object() {
        return Err(Error::malformed("`config` is a JSON object.").at("/config", "not an object"));
    }
    let size = config.to_string().len();
    if size > limits::GUEST_CONFIG_BYTES {
        return Err(Error::malformed(format!("`config` has at most {} bytes.", limits::GUEST_CONFIG_BYTES))
            .at("/config", format!("it has {size}")));
    }
    Ok(())
}

impl Gate {
    /// Makes a validator; its module comes next.
    pub async fn validator_create(
        &self,
        caller: &Caller,
        name: &str,
        config: &Value,
        strategy: ErrorStrategy,
    ) -> Result<ValidatorRow> {
        let permit = self.authorise(caller, Action::Admin, &Resource::platform(VALIDATORS)).await?;
        check_name("A validator's `name`", name)?;
        check_config(config)?;
        self.platform.validator_create(&permit, name, config, strategy).await
    }

    /// One page of the tenant's validators.
    pub async fn validator_list(&self, caller: &Caller, page: &PageOf) -> Result<Listed<ValidatorRow>> {
        let permit = self.authorise(caller, Action::Read, &Resource::platform(VALIDATORS)).await?;
        self.platform.validator_list(&permit, page).await
    }

    /// One validator.
    pub async fn validator_get(&self, caller: &Caller, id: Uuid) -> Result<ValidatorRow> {
        let permit = self.authorise(caller, Action::Read, &one(id)).await?;
        self.platform.validator_get(&permit, id).await?.ok_or_else(|| no_validator(id))
    }

    /// Changes the fields that are given.
    pub async fn validator_update(&self, caller: &Caller, id: Uuid, change: &ValidatorChange) -> Result<ValidatorRow> {
        let permit = self.authorise(caller, Action::Admin, &one(id)).await?;
        if let Some(name) = &change.name {
            check_name("A validator's `name`", name)?;
        }
        change.config.as_ref().map_or(Ok(()), check_config)?;
        if change.status.as_deref().is_some_and(|status| !matches!(status, "active" | "inactive")) {
            return Err(Error::malformed("`status` is `active` or `inactive`.").at("/status", "unknown status"));
        }
        self.platform.validator_update(&permit, id, change).await?.ok_or_else(|| no_validator(id))
    }

    /// Deletes a validator that no chain uses.
    pub async fn validator_delete(&self, caller: &Caller, id: Uuid) -> Result<()> {
        let permit = self.authorise(caller, Action::Admin, &one(id)).await?;
        if self.platform.validator_delete(&permit, id).await? { Ok(()) } else { Err(no_validator(id)) }
    }

    /// Checks and compiles a module and keeps it as the validator's next version.
    pub async fn validator_upload(&self, caller: &Caller, id: Uuid, component: Bytes) -> Result<VersionRow> {
        let permit = self.authorise(caller, Action::Admin, &one(id)).await?;
        self.platform.validator_get(&permit, id).await?.ok_or_else(|| no_validator(id))?;
        let facts = self.guest.inspect(component).await?;
        let new = NewVersion {
            digest: facts.digest,
            world: facts.world,
            wit_version: facts.version,
            imports: facts.imports,
            size: facts.size as u64,
        };
        self.platform.validator_add_version(&permit, id, &new).await?.ok_or_else(|| no_validator(id))
    }

    /// All versions of a validator, newest first.
    pub async fn validator_versions(&self, caller: &Caller, id: Uuid) -> Result<Vec<VersionRow>> {
        let permit = self.authorise(caller, Action::Read, &one(id)).await?;
        self.platform.validator_get(&permit, id).await?.ok_or_else(|| no_validator(id))?;
        self.platform.validator_versions(&permit, id).await
    }

    /// Makes a version the one that runs, forward or back.
    pub async fn validator_activate(&self, caller: &Caller, id: Uuid, version: i32) -> Result<ValidatorRow> {
        let permit = self.authorise(caller, Action::Admin, &one(id)).await?;
        let row = self.platform.validator_activate(&permit, id, version).await?;
        row.ok_or_else(|| Error::not_found(format!("version {version} of validator `{id}`")))
    }
}
