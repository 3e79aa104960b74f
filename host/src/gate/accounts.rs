//! Tenants and API tokens.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::Gate;
use super::documents::{Sent, TOKENS};
use crate::error::{Error, Result};
use crate::model::{Action, Caller, Operation, Resource, Subject, Tenant, check_name};
use crate::paging::{Listed, PageOf};
pub use crate::platform::accounts::{TenantChange, TenantRow, TokenRow, new_secret};
use crate::policy::Permit;

/// A token and its secret, which nobody can see again.
#[derive(Debug)]
pub struct CreatedToken {
    /// The token.
    pub token: TokenRow,
    /// What to send as `Authorization: Bearer …`.
    pub secret: String,
}

/// A new token, as a document. That one is revoked passes no chain: nothing may keep a leaked secret alive.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct NewToken {
    name: String,
    expires_at: Option<DateTime<Utc>>,
}

impl Gate {
    /// Makes a tenant.
    pub async fn tenant_create(&self, caller: &Caller, slug: &str, change: &TenantChange) -> Result<TenantRow> {
        let permit = self.authorise(caller, Action::Admin, &Resource::platform("tenants")).await?;
        check_tenant(change)?;
        self.platform.tenant_create(&permit, &Tenant::parse(slug)?, change).await
    }

    /// One page of all tenants.
    pub async fn tenant_list(&self, caller: &Caller, page: &PageOf) -> Result<Listed<TenantRow>> {
        let permit = self.authorise(caller, Action::Admin, &Resource::platform("tenants")).await?;
        self.platform.tenant_list(&permit, page).await
    }

    /// One tenant.
    pub async fn tenant_get(&self, caller: &Caller, slug: &str) -> Result<TenantRow> {
        let permit = self.authorise(caller, Action::Admin, &Resource::platform_one("tenants", slug)).await?;
        self.platform.tenant_get(&permit, slug).await?.ok_or_else(|| Error::not_found(format!("tenant `{slug}`")))
    }

    /// Renames a tenant, bounds it, suspends it or lets it act again.
    pub async fn tenant_update(&self, caller: &Caller, slug: &str, change: &TenantChange) -> Result<TenantRow> {
        let permit = self.authorise(caller, Action::Admin, &Resource::platform_one("tenants", slug)).await?;
        check_tenant(change)?;
        self.platform.tenant_update(&permit, slug, change).await?.ok_or_else(|| Error::not_found(format!("tenant `{slug}`")))
    }

    /// Makes an API token; its secret is in the answer and nowhere else.
    pub async fn token_create(&self, caller: &Caller, name: &str, expires_at: Option<DateTime<Utc>>) -> Result<CreatedToken> {
        let permit = self.authorise(caller, Action::Write, &Resource::platform(TOKENS)).await?;
        let sent = Sent { kind: TOKENS, operation: Operation::Create, id: None };
        let new = NewToken { name: name.to_owned(), expires_at };
        let NewToken { name, expires_at } = self.document(&permit, sent, new).await?;
        let name = name.as_str();
        check_name("A token's `name`", name)?;
        if name.contains([',', ' ', '/', ':', '#', '"']) {
            return Err(Error::malformed("A token's `name` stands in policy files, so it has no blank and none of , / : # \".")
                .at("/name", "not allowed in a policy file"));
        }
        if expires_at.is_some_and(|end| end <= self.clock.now()) {
            return Err(Error::malformed("`expiresAt` lies in the past.").at("/expiresAt", "must lie ahead"));
        }
        self.check_reach(&permit, name).await?;
        let secret = new_secret();
        let token = self.platform.token_create(&permit, name, &secret, expires_at).await?;
        Ok(CreatedToken { token, secret })
    }

    /// The policy knows tokens by name, so whoever makes one could make itself one that reaches further. What reaches all tenants is
    /// made by those who do.
    async fn check_reach(&self, permit: &Permit, name: &str) -> Result<()> {
        let tenants = Resource::platform("tenants");
        let bearer = |subject: Subject, home: &Tenant| Caller {
            subject,
            tenant: home.clone(),
            home: home.clone(),
            token: None,
            request_id: Arc::clone(permit.request_id()),
        };
        if self.policy.authorise(&bearer(Subject::token(name), permit.tenant()), Action::Admin, &tenants).is_ok() {
            self.authorise(&bearer(permit.subject().clone(), permit.home()), Action::Admin, &tenants).await?;
        }
        Ok(())
    }

    /// One page of the tenant's tokens, without their secrets.
    pub async fn token_list(&self, caller: &Caller, page: &PageOf) -> Result<Listed<TokenRow>> {
        let permit = self.authorise(caller, Action::Read, &Resource::platform(TOKENS)).await?;
        self.platform.token_list(&permit, page).await
    }

    /// One token, without its secret.
    pub async fn token_get(&self, caller: &Caller, id: Uuid) -> Result<TokenRow> {
        let permit = self.authorise(caller, Action::Read, &Resource::platform_one(TOKENS, &id.to_string())).await?;
        self.platform.token_get(&permit, id).await?.ok_or_else(|| Error::not_found(format!("token `{id}`")))
    }

    /// Revokes a token, at once.
    pub async fn token_revoke(&self, caller: &Caller, id: Uuid) -> Result<()> {
        let permit = self.authorise(caller, Action::Delete, &Resource::platform_one(TOKENS, &id.to_string())).await?;
        if self.platform.token_revoke(&permit, id).await? { Ok(()) } else { Err(Error::not_found(format!("token `{id}`"))) }
    }
}

fn check_tenant(change: &TenantChange) -> Result<()> {
    if let Some(name) = &change.name {
        check_name("A tenant's `name`", name)?;
    }
    if change.status.as_ref().is_some_and(|status| !matches!(status.as_str(), "active" | "suspended")) {
        return Err(Error::malformed("`status` is `active` or `suspended`.").at("/status", "unknown status"));
    }
    if change.readings_per_second.flatten().is_some_and(|quota| quota < 1) {
        let sentence = "`readingsPerSecond` is at least 1; null takes the bound away, and `status` suspends a tenant.";
        return Err(Error::malformed(sentence).at("/quotas/readingsPerSecond", "must be at least 1"));
    }
    let guest = [
        ("guestTimeMs", change.guest_time_ms.flatten().map(i64::from), 1..=60_000),
        ("guestMemoryBytes", change.guest_memory_bytes.flatten(), 1 << 16..=1 << 30),
        ("guestCpuMsPerSecond", change.guest_cpu_ms_per_second.flatten().map(i64::from), 1..=i64::from(i32::MAX)),
    ];
    for (field, value, range) in guest {
        if value.is_some_and(|value| !range.contains(&value)) {
            let sentence = format!("`{field}` lies between {} and {}; null takes the bound away.", range.start(), range.end());
            return Err(Error::malformed(sentence).at(format!("/quotas/{field}"), "out of range"));
        }
    }
    Ok(())
}
