//! The audit log, to be read. Nothing here changes it.

use uuid::Uuid;

use super::Gate;
use crate::error::{Error, Result};
use crate::model::{Action, Caller, Resource};
use crate::paging::{Listed, PageOf};
pub use crate::platform::audit::{AuditFilter, Entry, Verified};

const AUDIT: &str = "audit";

impl Gate {
    /// One page of the tenant's entries, the newest first.
    pub async fn audit_list(&self, caller: &Caller, filter: &AuditFilter, page: &PageOf) -> Result<Listed<Entry>> {
        let permit = self.authorise(caller, Action::Read, &Resource::platform(AUDIT)).await?;
        self.platform.audit_list(&permit, filter, page).await
    }

    /// One entry.
    pub async fn audit_get(&self, caller: &Caller, id: Uuid) -> Result<Entry> {
        let permit = self.authorise(caller, Action::Read, &Resource::platform_one(AUDIT, &id.to_string())).await?;
        self.platform.audit_get(&permit, id).await?.ok_or_else(|| Error::not_found(format!("audit entry `{id}`")))
    }

    /// Looks through the tenant's chain of entries for one that was changed, removed or put elsewhere.
    pub async fn audit_verify(&self, caller: &Caller) -> Result<Verified> {
        let permit = self.authorise(caller, Action::Read, &Resource::platform(AUDIT)).await?;
        self.platform.audit_verify(&permit).await
    }
}
