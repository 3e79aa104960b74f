//! Who a credential belongs to, and in which tenant its bearer acts.
//!
//! A session, an API token or what another issuer says becomes a [`Caller`]. Whoever is one has used up a request of its credential's and
//! of its tenant's: counted here, since nobody else knows both.

use std::sync::Arc;
use std::time::Duration;

use super::Gate;
use crate::error::{Error, Kind, Result};
use crate::issuer::{Issuer, Vouches};
use crate::model::{Action, Attempt, Bearer, Caller, Credential, Resource, Scope, Subject, Tenant};
use crate::platform::identity::Known;
use crate::policy::scope;

/// Who a credential belongs to.
struct Identity {
    subject: Subject,
    home: Tenant,
    bearer: Bearer,
}

impl Gate {
    /// The caller behind a bearer token. `tenant` is another tenant than the credential's, which takes the right to administer it.
    pub async fn identify(&self, bearer: &str, tenant: Option<&str>, request_id: Arc<str>) -> Result<Caller> {
        let identity = match &self.issuer {
            Some(issuer) if Issuer::may_have_made(bearer) => {
                let vouches = issuer.vouches(bearer, self.clock.now()).await?;
                self.vouched(vouches).await?
            }
            _ => self.known(bearer).await?,
        };
        let Identity { subject, home, bearer } = identity;
        let caller = Caller {
            subject,
            tenant: home.clone(),
            home,
            bearer: Some(Arc::new(bearer)),
            request_id,
            attempt: Attempt::default(),
        };
        self.within_rates(&caller).await?;
        match tenant {
            Some(tenant) if tenant != caller.home.as_str() => self.act_in(caller, tenant).await,
            _ => Ok(caller),
        }
    }

    /// Of a token or session of Weir's own.
    async fn known(&self, secret: &str) -> Result<Identity> {
        let unknown = || Error::new(Kind::Unauthenticated, "This token is not known; it may have been revoked.");
        let known = self.platform.known(secret).await?.ok_or_else(unknown)?;
        if known.revoked {
            return Err(unknown());
        }
        if known.expires_at.is_some_and(|end| end <= self.clock.now()) {
            let next =
                if known.name.is_some() { "token has expired; create a new one." } else { "session has ended; log in again." };
            return Err(Error::new(Kind::Unauthenticated, format!("This {next}")));
        }
        let Known { id, name, tenant, expires_at, suspended, user_id, email, scopes, .. } = known;
        let home = Tenant::parse(&tenant)?;
        check_active(&home, suspended)?;
        let subject = match (&email, &name) {
            (Some(email), _) => Subject::user(email),
            (None, Some(name)) => Subject::token(name),
            (None, None) => return Err(unknown()),
        };
        let credential = if name.is_some() { Credential::Token(id) } else { Credential::Session(id) };
        // What cannot be read lets nothing through; it was read when it was written down.
        let scopes =
            scopes.iter().map(|text| scope::parse(text)).collect::<Result<Arc<[Scope]>, _>>().map_err(Error::internal)?;
        Ok(Identity { subject, home, bearer: Bearer { credential, user: user_id, scopes, expires_at } })
    }

    /// Of whom another issuer vouches for.
    async fn vouched(&self, vouches: Vouches) -> Result<Identity> {
        let Vouches { tenant: home, subject, expires_at } = vouches;
        let known = self.platform.vouched(&home, &subject).await?.ok_or_else(|| {
            Error::new(Kind::Forbidden, format!("Your token speaks of tenant `{home}`, which this Weir does not have."))
        })?;
        check_active(&home, known.tenant_suspended)?;
        if known.user_suspended {
            return Err(Error::new(Kind::Forbidden, format!("User `{subject}` of tenant `{home}` is suspended.")));
        }
        // As the policy files name them, where the issuer writes them otherwise.
        let subject = Subject::user(known.email.as_deref().unwrap_or(&subject));
        let bearer =
            Bearer { credential: Credential::Issued, user: known.user_id, scopes: Arc::default(), expires_at: Some(expires_at) };
        Ok(Identity { subject, home, bearer })
    }

    async fn within_rates(&self, caller: &Caller) -> Result<()> {
        let Some(bearer) = &caller.bearer else { return Ok(()) };
        let too_many = |whose: &str, wait: Duration| {
            let sentence = format!("{whose} requests per second are used up; wait as `Retry-After` says, then send this again.");
            Error::new(Kind::RateLimited, sentence).retry_after(wait)
        };
        // What another issuer says is new every few minutes, and its bearer the same.
        let of_credential = match bearer.credential {
            Credential::Issued => self.rates.of_credential((&caller.home, &caller.subject)),
            own => self.rates.of_credential(own),
        };
        of_credential.map_err(|wait| too_many("This credential's", wait))?;
        match self.platform.quotas(&caller.home).await?.requests_per_second {
            Some(quota) => self.rates.of_tenant(&caller.home, quota).map_err(|wait| too_many("Your tenant's", wait)),
            None => Ok(()),
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

fn check_active(tenant: &Tenant, suspended: bool) -> Result<()> {
    if suspended { Err(Error::new(Kind::Forbidden, format!("Tenant `{tenant}` is suspended."))) } else { Ok(()) }
}
