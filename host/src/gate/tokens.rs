//! API tokens.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::Gate;
use super::documents::{Sent, TOKENS};
use super::resources::{Resource as _, User};
use crate::error::{Error, Kind, Result};
use crate::limits;
use crate::model::{Action, Caller, Operation, Resource, Subject, check_name};
use crate::paging::{Listed, PageOf};
use crate::platform::identity::{TOKEN, new_secret};
use crate::platform::resource::Unchanged;
use crate::platform::tokens::TokenFields;
pub use crate::platform::tokens::{Token, TokenFilter};
use crate::policy::{Collection, Permit, scope};

/// A token and its secret, which nobody can see again.
#[derive(Debug)]
pub struct CreatedToken {
    /// The token.
    pub token: Token,
    /// What to send as `Authorization: Bearer …`.
    pub secret: String,
}

/// A new token, as a document. That one is revoked passes no chain: nothing may keep a leaked secret alive.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NewToken {
    /// Its name, unique among the tenant's.
    pub name: String,
    /// The user whom it acts for; itself alone, where there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_id: Option<Uuid>,
    /// What it is limited to, `<action>:<object pattern>` each; nothing, where only the policy limits it.
    #[serde(default)]
    pub scopes: Vec<String>,
    /// When it ends.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<DateTime<Utc>>,
}

impl Gate {
    /// Makes an API token; its secret is in the answer and nowhere else.
    pub async fn token_create(&self, caller: &Caller, new: NewToken) -> Result<CreatedToken> {
        let permit = self.authorise(caller, Action::Write, &Resource::platform(TOKENS)).await?;
        let sent = Sent { kind: TOKENS, operation: Operation::Create, id: None };
        let NewToken { name, user_id, scopes, expires_at } = self.document(&permit, sent, new).await?;
        check_name("A token's `name`", &name)?;
        if name.contains([',', ' ', '/', ':', '#', '"']) {
            return Err(Error::malformed("A token's `name` stands in policy files, so it has no blank and none of , / : # \".")
                .at("/name", "not allowed in a policy file"));
        }
        if expires_at.is_some_and(|end| end <= self.clock.now()) {
            return Err(Error::malformed("`expiresAt` lies in the past.").at("/expiresAt", "must lie ahead"));
        }
        check_scopes(caller, &scopes)?;
        let subject = match user_id {
            Some(user) => self.token_user(caller, &permit, user).await?,
            None => Subject::token(&name),
        };
        self.check_reach(caller, &subject).await?;
        let secret = new_secret(TOKEN);
        let fields = TokenFields { name: &name, user_id, scopes: &scopes, expires_at };
        let token = self.platform.token_create(&permit, fields, &secret).await?;
        Ok(CreatedToken { token, secret })
    }

    /// The user whom a token is to act for: the caller, or one whom the caller administers.
    async fn token_user(&self, caller: &Caller, permit: &Permit, user: Uuid) -> Result<Subject> {
        let own = caller.home == caller.tenant && caller.bearer.as_ref().is_some_and(|bearer| bearer.user == Some(user));
        if !own {
            self.authorise(caller, Action::Admin, &Resource::platform_one(User::COLLECTION, &user.to_string())).await?;
        }
        let found: Option<User> = self.platform.resource_get(permit, &user.to_string()).await?;
        let found = found.ok_or_else(|| Error::malformed(format!("There is no user `{user}`.")).at("/userId", "no such user"))?;
        Ok(Subject::user(&found.email))
    }

    /// The policy knows tokens and users by name, so whoever makes one could make itself one that reaches further. What reaches all tenants
    /// is made by those who do.
    pub(super) async fn check_reach(&self, caller: &Caller, subject: &Subject) -> Result<()> {
        let tenants = Resource::platform("tenants");
        let made = Caller { subject: subject.clone(), home: caller.tenant.clone(), bearer: None, ..caller.clone() };
        if self.policy.consider(&made, Action::Admin, &tenants).is_ok() {
            let maker = Caller { tenant: caller.home.clone(), ..caller.clone() };
            self.authorise(&maker, Action::Admin, &tenants).await?;
        }
        Ok(())
    }

    /// One page of the tenant's tokens, without their secrets.
    pub async fn token_list(&self, caller: &Caller, filter: &TokenFilter, page: &PageOf) -> Result<Listed<Token>> {
        let permit = self.authorise_list(caller, Action::Read, &Collection::platform(TOKENS)).await?;
        self.platform.token_list(&permit, filter, page).await
    }

    /// One token, without its secret.
    pub async fn token_get(&self, caller: &Caller, id: Uuid) -> Result<Token> {
        let permit = self.authorise(caller, Action::Read, &Resource::platform_one(TOKENS, &id.to_string())).await?;
        self.platform.token_get(&permit, id).await?.ok_or_else(|| Error::not_found(format!("token `{id}`")))
    }

    /// Revokes a token, at once, where it is as the client thinks it is.
    pub async fn token_revoke(&self, caller: &Caller, id: Uuid, unchanged: Unchanged<'_, Token>) -> Result<()> {
        let permit = self.authorise(caller, Action::Delete, &Resource::platform_one(TOKENS, &id.to_string())).await?;
        let revoked = self.platform.token_revoke(&permit, id, unchanged).await?;
        if revoked { Ok(()) } else { Err(Error::not_found(format!("token `{id}`"))) }
    }
}

/// Scopes that can be read, and of a caller that has some itself, none beyond them.
fn check_scopes(caller: &Caller, scopes: &[String]) -> Result<()> {
    if scopes.len() > limits::TOKEN_SCOPES {
        let sentence = format!("A token has at most {} `scopes`.", limits::TOKEN_SCOPES);
        return Err(Error::malformed(sentence).at("/scopes", "too many"));
    }
    let own = caller.bearer.as_ref().map(|bearer| &bearer.scopes[..]).unwrap_or_default();
    for (index, text) in scopes.iter().enumerate() {
        let place = format!("/scopes/{index}");
        let scope = scope::parse(text).map_err(|wrong| {
            Error::malformed("`scopes` are of the form `<action or *>:<object pattern>`, such as `read:/timescale/**`.")
                .at(&place, wrong)
        })?;
        if !own.is_empty() && !own.iter().any(|own| scope::covers(own, &scope)) {
            let sentence = format!(
                "Your token is limited by scopes, and none of them covers `{scope}`: it cannot hand on more than it has."
            );
            return Err(Error::new(Kind::Forbidden, sentence).at(&place, "more than the caller has"));
        }
    }
    if !own.is_empty() && scopes.is_empty() {
        let sentence = "Your token is limited by scopes, so the new one has to be, too: give it `scopes` within them.";
        return Err(Error::new(Kind::Forbidden, sentence).at("/scopes", "more than the caller has"));
    }
    Ok(())
}
