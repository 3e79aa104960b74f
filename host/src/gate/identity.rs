//! Who a credential belongs to, and in which tenant its bearer acts.

use std::sync::Arc;

use super::Gate;
use crate::error::{Error, Kind, Result};
use crate::model::{Action, Caller, Resource, Subject, Tenant};

impl Gate {
    /// The caller behind a bearer token. `tenant` is another tenant than the credential's, which takes the right to administer it.
    pub async fn identify(&self, bearer: &str, tenant: Option<&str>, request_id: Arc<str>) -> Result<Caller> {
        let unknown = || Error::new(Kind::Unauthenticated, "This token is not known; it may have been revoked.");
        let credential = self.platform.credential(bearer).await?.ok_or_else(unknown)?;
        if credential.revoked {
            return Err(unknown());
        }
        if credential.expires_at.is_some_and(|end| end <= self.clock.now()) {
            return Err(Error::new(Kind::Unauthenticated, "This token has expired; create a new one."));
        }
        let home = Tenant::parse(&credential.tenant)?;
        if credential.suspended {
            return Err(Error::new(Kind::Forbidden, format!("Tenant `{home}` is suspended.")));
        }
        let caller = Caller {
            subject: Subject::token(&credential.name),
            tenant: home.clone(),
            home,
            token: Some(credential.id),
            request_id,
        };
        match tenant {
            Some(tenant) if tenant != caller.home.as_str() => self.act_in(caller, tenant).await,
            _ => Ok(caller),
        }
    }

    async fn act_in(&self, caller: Caller, tenant: &str) -> Result<Caller> {
        let tenant = Tenant::parse(tenant)?;
        self.authorise(&caller, Action::Admin, &Resource::platform_one("tenants", tenant.as_str())).await?;
        if !self.platform.tenant_exists(&tenant).await? {
            return Err(Error::not_found(format!("tenant `{tenant}`")));
        }
        Ok(Caller { tenant, ..caller })
    }
}
