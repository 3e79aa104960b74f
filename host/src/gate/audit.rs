//! The audit log, to be read. Nothing here changes it.

use uuid::Uuid;

use super::Gate;
use crate::error::{Chain, Error, Result};
use crate::model::{Action, Attempted, Caller, Resource};
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

    /// Writes down that something was allowed and not done, and what whoever wanted it was told.
    pub async fn audit_failure(&self, attempted: &Attempted, request_id: &str, status: u16, sentence: &str) {
        if let Err(error) = self.platform.audit_failure(attempted, request_id, status, sentence).await {
            let Attempted { subject, action, resource, .. } = attempted;
            tracing::warn!(error = %Chain(&error), %subject, %action, %resource, status, "a failure could not be audited");
        }
    }

    /// Looks through the tenant's chain of entries for one that was changed, removed or put elsewhere.
    pub async fn audit_verify(&self, caller: &Caller) -> Result<Verified> {
        let permit = self.authorise(caller, Action::Read, &Resource::platform(AUDIT)).await?;
        self.platform.audit_verify(&permit).await
    }
}
