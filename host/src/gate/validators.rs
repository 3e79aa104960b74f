//! Validators: deploying a tenant's code. What is found out about a version before it runs is in `trial`.

use bytes::Bytes;
use serde_json::{Value, json};
use uuid::Uuid;

use super::Gate;
use crate::error::{Chain, Error, Kind, Result};
use crate::guest::load::signature;
use crate::limits;
use crate::model::{Action, Caller, ErrorStrategy, Resource, Target, check_name};
use crate::paging::{Listed, PageOf};
use crate::platform::resource::Unchanged;
use crate::platform::schemas::JSON_SCHEMA;
pub use crate::platform::validators::record::{NoteRow, ReplayRow, StatsRow};
pub use crate::platform::validators::versions::{ActivationRow, VersionRow};
use crate::platform::validators::versions::{Cause, NewVersion};
pub use crate::platform::validators::{NewValidator, ValidatorChange, ValidatorFilter, ValidatorRow};
use crate::policy::{Collection, Permit};

const VALIDATORS: &str = "validators";

/// What is known of a validator's versions.
#[derive(Debug)]
pub struct Stats {
    /// The validator.
    pub validator: ValidatorRow,
    /// Counts, the newest version first.
    pub versions: Vec<StatsRow>,
    /// The newest faults, log lines and differences.
    pub notes: Vec<NoteRow>,
}

pub(in crate::gate) fn one(id: Uuid) -> Resource {
    Resource::platform_one(VALIDATORS, &id.to_string())
}

pub(in crate::gate) fn no_validator(id: Uuid) -> Error {
    Error::not_found(format!("validator `{id}`"))
}

pub(in crate::gate) fn check_config(config: &Value) -> Result<()> {
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

/// A validator that is a schema was given what only a module can have.
pub fn of_a_module() -> Error {
    let sentence = "`config`, `grants`, `limits` and `requireCleanReplay` are for modules; a JSON Schema takes none of them.";
    Error::malformed(sentence).at("", "of a module")
}

fn check_bounds(time_ms: Option<i32>, memory_bytes: Option<i64>) -> Result<()> {
    if time_ms.is_some_and(|time| !(1..=60_000).contains(&time)) {
        return Err(Error::malformed("`timeMs` lies between 1 and 60,000.").at("/limits/timeMs", "out of range"));
    }
    if memory_bytes.is_some_and(|bytes| !(1 << 16..=1 << 30).contains(&bytes)) {
        return Err(Error::malformed("`memoryBytes` lies between 64 KiB and 1 GiB.").at("/limits/memoryBytes", "out of range"));
    }
    Ok(())
}

/// Documents and objects come by a request, whose sender is told: there is nothing to keep them aside in.
fn check_strategy(target: &str, strategy: ErrorStrategy) -> Result<()> {
    if target == Target::Readings.as_str() || strategy == ErrorStrategy::Reject {
        return Ok(());
    }
    Err(Error::malformed(format!("A validator of {target} has the `errorStrategy` `reject`."))
        .at("/errorStrategy", "not for this target"))
}

impl Gate {
    /// Makes a validator; its module comes next.
    pub async fn validator_create(&self, caller: &Caller, new: &NewValidator) -> Result<ValidatorRow> {
        let permit = self.authorise(caller, Action::Admin, &Resource::platform(VALIDATORS)).await?;
        check_name("A validator's `name`", &new.name)?;
        check_config(&new.config)?;
        check_bounds(new.time_ms, new.memory_bytes)?;
        check_strategy(new.target.as_str(), new.strategy)?;
        if let Some(schema) = new.schema_id {
            if new.target == Target::Objects {
                let sentence =
                    "An object is bytes, so no schema describes it; a validator of objects is a module (`kind` `wasm`).";
                return Err(Error::malformed(sentence).at("/target", "not for a schema"));
            }
            self.check_judging_schema(&permit, schema).await?;
        }
        self.platform.validator_create(&permit, new).await
    }

    /// Refuses what is no JSON Schema of the tenant's.
    async fn check_judging_schema(&self, permit: &Permit, id: Uuid) -> Result<()> {
        let wrong = |what: &str| Err(Error::malformed(format!("Schema `{id}` {what}.")).at("/schemaId", what.to_owned()));
        match self.platform.schema_get(permit, id).await? {
            None => wrong("does not exist"),
            Some(row) if row.kind != JSON_SCHEMA => wrong("is no JSON Schema, and only those judge"),
            Some(_) => Ok(()),
        }
    }

    /// One page of the tenant's validators.
    pub async fn validator_list(&self, caller: &Caller, filter: &ValidatorFilter, page: &PageOf) -> Result<Listed<ValidatorRow>> {
        let permit = self.authorise_list(caller, Action::Read, &Collection::platform(VALIDATORS)).await?;
        self.platform.validator_list(&permit, filter, page).await
    }

    /// One validator.
    pub async fn validator_get(&self, caller: &Caller, id: Uuid) -> Result<ValidatorRow> {
        let permit = self.authorise(caller, Action::Read, &one(id)).await?;
        self.platform.validator_get(&permit, id).await?.ok_or_else(|| no_validator(id))
    }

    /// Changes the fields that are given.
    pub async fn validator_update(
        &self,
        caller: &Caller,
        id: Uuid,
        change: &ValidatorChange,
        unchanged: Unchanged<'_, ValidatorRow>,
    ) -> Result<ValidatorRow> {
        let permit = self.authorise(caller, Action::Admin, &one(id)).await?;
        if let Some(name) = &change.name {
            check_name("A validator's `name`", name)?;
        }
        change.config.as_ref().map_or(Ok(()), check_config)?;
        check_bounds(change.time_ms.flatten(), change.memory_bytes.flatten())?;
        if change.status.as_deref().is_some_and(|status| !matches!(status, "active" | "inactive")) {
            return Err(Error::malformed("`status` is `active` or `inactive`.").at("/status", "unknown status"));
        }
        let row = self.platform.validator_get(&permit, id).await?.ok_or_else(|| no_validator(id))?;
        change.error_strategy.map_or(Ok(()), |strategy| check_strategy(&row.target, strategy))?;
        let of_module = change.config.is_some() || change.grants.is_some() || change.clean_replay.is_some();
        if row.schema_id.is_some() && (of_module || change.time_ms.is_some() || change.memory_bytes.is_some()) {
            return Err(of_a_module());
        }
        if let Some(schema) = change.schema_id {
            if row.schema_id.is_none() {
                return Err(
                    Error::malformed("This validator is a module, and takes no `schemaId`.").at("/schemaId", "of a module")
                );
            }
            self.check_judging_schema(&permit, schema).await?;
        }
        self.platform.validator_update(&permit, id, change, unchanged).await?.ok_or_else(|| no_validator(id))
    }

    /// Deletes a validator that no chain uses.
    pub async fn validator_delete(&self, caller: &Caller, id: Uuid, unchanged: Unchanged<'_, ValidatorRow>) -> Result<()> {
        let permit = self.authorise(caller, Action::Admin, &one(id)).await?;
        if self.platform.validator_delete(&permit, id, unchanged).await? { Ok(()) } else { Err(no_validator(id)) }
    }

    /// Checks and compiles a module and keeps it as the validator's next version. `signature` is ed25519, of the component's bytes. The
    /// body is not read before it is the tenant's turn, since it is held in memory whole.
    pub async fn validator_upload(
        &self,
        caller: &Caller,
        id: Uuid,
        body: impl Future<Output = Result<Bytes>> + Send,
        signature: Option<&[u8]>,
    ) -> Result<VersionRow> {
        let permit = self.authorise(caller, Action::Admin, &one(id)).await?;
        let row = self.platform.validator_get(&permit, id).await?.ok_or_else(|| no_validator(id))?;
        if row.schema_id.is_some() {
            let sentence =
                "This validator is a JSON Schema and takes no module; change its `schemaId`, or make one of `kind` `wasm`.";
            return Err(Error::conflict(sentence));
        }
        let _turn = self.uploads.take(permit.tenant()).await?;
        let slow = |_| Error::malformed(format!("The body did not come whole within {} s.", limits::PUSH_TIME.as_secs()));
        let component = tokio::time::timeout(limits::PUSH_TIME, body).await.map_err(slow)??;
        let signed_by = self.check_signature(&permit, &component, signature).await?;
        let facts = self.guest.inspect(permit.tenant(), component.clone()).await?;
        if facts.target.as_str() != row.target {
            let sentence = format!("This validator checks {}, and the module is a `{}`.", row.target, facts.world);
            return Err(Error::new(Kind::Refused, sentence).at("module", "of another world"));
        }
        if let Some(grant) = facts.grants.iter().find(|grant| !row.grants.iter().any(|granted| granted == grant.as_str())) {
            let sentence = format!(
                "The module imports `{0}`, which this validator is not granted. Add `{0}` to its `grants`, or build the module without it.",
                grant.as_str()
            );
            return Err(Error::new(Kind::Refused, sentence).at("module", format!("imports `{}`", grant.as_str())));
        }
        self.check_cases(&permit, &row, &facts, &component).await?;
        let new = NewVersion {
            digest: facts.digest,
            world: facts.world,
            wit_version: facts.version,
            imports: facts.imports,
            grants: facts.grants,
            size: facts.size as u64,
            signed_by,
        };
        self.platform.validator_add_version(&permit, id, &new).await?.ok_or_else(|| no_validator(id))
    }

    /// The name of the key that vouches for a module; `None` where the tenant has no keys.
    async fn check_signature(&self, permit: &Permit, component: &[u8], signature: Option<&[u8]>) -> Result<Option<String>> {
        let keys = self.platform.signing_keys(permit).await?;
        if keys.is_empty() {
            return Ok(None);
        }
        let refused = |sentence: String| Err(Error::new(Kind::Refused, sentence).at("X-Module-Signature", "no valid signature"));
        let Some(signature) = signature else {
            return refused(format!(
                "Your tenant takes signed modules only. Send `X-Module-Signature`: the ed25519 signature of the component's bytes in \
                 base64, by one of: {}.",
                keys.iter().map(|key| key.name.as_str()).collect::<Vec<_>>().join(", ")
            ));
        };
        match keys.iter().find(|key| signature::vouches(&key.public_key, component, signature)) {
            Some(key) => Ok(Some(key.name.clone())),
            None => refused("`X-Module-Signature` is of none of your tenant's keys, or of other bytes than these.".to_owned()),
        }
    }

    /// One page of a validator's versions, newest first.
    pub async fn validator_versions(&self, caller: &Caller, id: Uuid, page: &PageOf) -> Result<Listed<VersionRow>> {
        let permit = self.authorise(caller, Action::Read, &one(id)).await?;
        self.platform.validator_get(&permit, id).await?.ok_or_else(|| no_validator(id))?;
        self.platform.validator_versions(&permit, id, page).await
    }

    /// Makes a version the one that runs, forward or back.
    pub async fn validator_activate(&self, caller: &Caller, id: Uuid, version: i32) -> Result<ValidatorRow> {
        let permit = self.authorise(caller, Action::Admin, &one(id)).await?;
        self.version_for(&permit, id, version).await?;
        let row = self.platform.validator_activate(&permit, id, version, Cause::Activation, None).await?;
        row.ok_or_else(|| no_validator(id))
    }

    /// Goes back to the version that ran before the one that runs now.
    pub async fn validator_return(&self, caller: &Caller, id: Uuid) -> Result<ValidatorRow> {
        let permit = self.authorise(caller, Action::Admin, &one(id)).await?;
        let row = self.platform.validator_get(&permit, id).await?.ok_or_else(|| no_validator(id))?;
        let nothing =
            || Error::conflict("No version ran before the one that runs now; upload one, or activate one by its number.");
        let active = row.active_version.ok_or_else(nothing)?;
        let term = self.platform.validator_term(&permit, id, active).await?;
        let previous = term.and_then(|term| term.previous).ok_or_else(nothing)?;
        self.version_for(&permit, id, previous).await?;
        let back = self.platform.validator_activate(&permit, id, previous, Cause::Return, Some(active)).await?;
        back.ok_or_else(|| Error::conflict("Another version was activated at the same moment; look again."))
    }

    /// Lets a version run beside the active one; `None` ends that.
    pub async fn validator_shadow(&self, caller: &Caller, id: Uuid, version: Option<i32>) -> Result<ValidatorRow> {
        let permit = self.authorise(caller, Action::Admin, &one(id)).await?;
        let row = self.platform.validator_get(&permit, id).await?.ok_or_else(|| no_validator(id))?;
        if let Some(version) = version {
            if row.target == Target::Objects.as_str() {
                let sentence = "A validator of objects has no shadow, since an object's bytes come once and are not kept for a second \
                                look. `test` tries any version.";
                return Err(Error::conflict(sentence).at("/version", "not for this target"));
            }
            self.version_for(&permit, id, version).await?;
            if row.active_version == Some(version) {
                return Err(Error::conflict(format!("Version {version} is the active one; the shadow is another one.")));
            }
        }
        self.platform.validator_shadow(&permit, id, version).await?.ok_or_else(|| no_validator(id))
    }

    /// A version that may run as the validator is now: what it imports is still granted.
    pub(in crate::gate) async fn version_for(
        &self,
        permit: &Permit,
        id: Uuid,
        version: i32,
    ) -> Result<(ValidatorRow, VersionRow)> {
        let row = self.platform.validator_get(permit, id).await?.ok_or_else(|| no_validator(id))?;
        let found = self.platform.validator_version(permit, id, version).await?;
        let found = found.ok_or_else(|| Error::not_found(format!("version {version} of validator `{id}`")))?;
        if let Some(missing) = found.grants.iter().find(|grant| !row.grants.contains(grant)) {
            return Err(Error::conflict(format!(
                "Version {version} imports `{missing}`, which this validator is not granted any more; add it to `grants` first."
            )));
        }
        Ok((row, found))
    }

    /// One page of what ran when, newest first.
    pub async fn validator_history(&self, caller: &Caller, id: Uuid, page: &PageOf) -> Result<Listed<ActivationRow>> {
        let permit = self.authorise(caller, Action::Read, &one(id)).await?;
        self.platform.validator_get(&permit, id).await?.ok_or_else(|| no_validator(id))?;
        self.platform.validator_history(&permit, id, page).await
    }

    /// What its versions did with live traffic.
    pub async fn validator_stats(&self, caller: &Caller, id: Uuid) -> Result<Stats> {
        let permit = self.authorise(caller, Action::Read, &one(id)).await?;
        let validator = self.platform.validator_get(&permit, id).await?.ok_or_else(|| no_validator(id))?;
        let versions = self.platform.validator_stats(&permit, id).await?;
        let notes = self.platform.validator_notes(&permit, id).await?;
        Ok(Stats { validator, versions, notes })
    }

    /// Looks whether a version that failed does so more often than the one before it, and goes back to that if so. It is decided by the
    /// policy as any activation is, for the subject `service:guard`; where that is denied, the log says so.
    pub(in crate::gate) async fn validator_guard(&self, permit: &Permit, id: Uuid, version: i32) {
        let caller = Caller::service("guard", permit.tenant(), permit.request_id().clone());
        match self.return_if_worse(&caller, id, version).await {
            Ok(None) => {}
            Ok(Some((name, previous))) => {
                tracing::warn!(tenant = %permit.tenant(), validator = %name, version, "a version failed too often; version {previous} of `{name}` runs again");
            }
            Err(error) => {
                tracing::warn!(error = %Chain(&error), tenant = %permit.tenant(), version, "a failing version of validator {id} could not be taken back");
            }
        }
    }

    async fn return_if_worse(&self, caller: &Caller, id: Uuid, version: i32) -> Result<Option<(String, i32)>> {
        let permit = self.authorise(caller, Action::Admin, &one(id)).await?;
        let Some(row) = self.platform.validator_get(&permit, id).await? else { return Ok(None) };
        if row.active_version != Some(version) {
            return Ok(None);
        }
        let Some(term) = self.platform.validator_term(&permit, id, version).await? else { return Ok(None) };
        let Some(previous) = term.previous else { return Ok(None) };
        let (Some(new), old) = (
            self.platform.validator_stats_of(&permit, id, version).await?,
            self.platform.validator_stats_of(&permit, id, previous).await?,
        ) else {
            return Ok(None);
        };
        let old = old.map_or((0, 0), |old| (old.tally.calls, old.tally.faults));
        let new = (new.tally.calls - term.calls_before, new.tally.faults - term.faults_before);
        let Some((rate, allowed)) = worse(new, old) else { return Ok(None) };
        let details = json!({
            "calls": new.0, "faults": new.1, "rate": rate, "allowed": allowed,
            "previousCalls": old.0, "previousFaults": old.1,
        });
        let back = self.platform.validator_activate(&permit, id, previous, Cause::Faults(details), Some(version)).await?;
        Ok(back.map(|row| (row.name, previous)))
    }
}

/// The rate of faults of a version and the one that it may have, where it has more: three times that of the version before it, and one
/// in a hundred calls at least. Calls and faults of each.
fn worse(new: (i64, i64), old: (i64, i64)) -> Option<(f64, f64)> {
    let (calls, faults) = new;
    if calls < limits::GUARD_CALLS || faults < limits::GUARD_FAULTS {
        return None;
    }
    #[expect(clippy::cast_precision_loss, reason = "counts of calls are far below 2^53")]
    let rate = |(calls, faults): (i64, i64)| if calls == 0 { 0.0 } else { faults as f64 / calls as f64 };
    let allowed = (rate(old) * limits::GUARD_FACTOR).max(limits::GUARD_RATE);
    (rate(new) > allowed).then_some((rate(new), allowed))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_worse_where_it_fails_clearly_more_often_than_the_one_before() {
        assert_eq!(worse((1_000, 4), (1_000, 0)), None, "too few faults");
        assert_eq!(worse((10, 10), (1_000, 0)), None, "too few calls");
        assert_eq!(worse((1_000, 9), (1_000, 0)), None, "below the rate that is always allowed");
        assert!(worse((1_000, 11), (1_000, 0)).is_some());
        assert_eq!(worse((1_000, 50), (1_000, 20)), None, "the one before was hardly better");
        assert!(worse((1_000, 61), (1_000, 20)).is_some());
        assert!(worse((20, 20), (0, 0)).is_some(), "the one before never ran");
    }
}
