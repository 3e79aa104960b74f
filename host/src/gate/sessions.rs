//! Logins: a password becomes a session, and a session ends. Outside the policy: who somebody is decides nothing about what they may do.
//!
//! An unknown email and a wrong password are one answer and take the same time. Guesses are bounded three times: a moment's by address
//! and email in the process, a user's in the database for all replicas, and hashing by few turns at it.

use std::net::IpAddr;
use std::sync::OnceLock;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use serde::Serialize;
use utoipa::ToSchema;

use super::Gate;
use super::resources::User;
use crate::error::{Error, Kind, Result};
use crate::limits;
use crate::model::{Caller, Credential, Tenant};
use crate::platform::identity::{Candidate, Opened, SESSION, new_secret};
use crate::secrets::password;
use crate::settings::Secret;
use crate::times;

/// What somebody logs in with.
#[derive(Debug)]
pub struct Login {
    /// Their email, whatever its case.
    pub email: String,
    /// Their password.
    pub password: Secret,
    /// Their tenant; needed where the email and password fit users of several.
    pub tenant: Option<String>,
}

/// A session that has begun. Its secret is in this answer and nowhere else.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Session {
    /// What to send as `Authorization: Bearer …`.
    pub token: String,
    /// When it ends.
    #[serde(serialize_with = "times::micros")]
    pub expires_at: DateTime<Utc>,
    /// Whose it is.
    pub user: User,
}

/// Which kind of credential it is.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum CredentialKind {
    /// From a login.
    Session,
    /// An API token.
    Token,
    /// Of an `OpenID` Connect issuer.
    Issued,
}

/// Who a credential belongs to and what it stands for.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Whoami {
    /// The user whom it stands for; null for a token that acts for itself, and for users of an issuer whom Weir does not keep.
    pub user: Option<User>,
    /// The name that policy files know it by.
    pub subject: String,
    /// Which kind of credential it is.
    pub credential: CredentialKind,
    /// The tenant that it acts in.
    pub tenant: String,
    /// The tenant that it belongs to.
    pub home_tenant: String,
    /// Its roles in the tenant that it acts in, by the policy.
    pub roles: Vec<String>,
    /// What it is limited to; empty where only the policy limits it.
    pub scopes: Vec<String>,
    /// When it ends; null where it does not.
    #[serde(serialize_with = "times::micros_or_null")]
    pub expires_at: Option<DateTime<Utc>>,
}

impl Gate {
    /// Begins a session.
    pub async fn login(&self, login: Login, address: Option<IpAddr>, request_id: &str) -> Result<Session> {
        let begun = tokio::time::Instant::now();
        let opened = self.open_session(login, address, request_id).await;
        if opened.as_ref().is_err_and(|error| matches!(error.kind(), Kind::Unauthenticated | Kind::RateLimited)) {
            tokio::time::sleep_until(begun + limits::LOGIN_REFUSAL_TIME).await;
        }
        opened
    }

    async fn open_session(&self, login: Login, address: Option<IpAddr>, request_id: &str) -> Result<Session> {
        let Login { email, password, tenant } = login;
        let tenant = tenant.as_deref().map(Tenant::parse).transpose()?;
        self.rates.of_login((address, email.to_lowercase())).map_err(too_often)?;
        let now = self.clock.now();
        let candidates = self.login_candidates(&email, tenant.as_ref(), &password).await?;
        let (open, locked): (Vec<_>, Vec<_>) =
            candidates.into_iter().partition(|of| of.locked_until.is_none_or(|end| end <= now));
        if let (true, Some(end)) = (open.is_empty(), locked.iter().filter_map(|of| of.locked_until).min()) {
            return Err(locked_out(end, now));
        }
        let known = !open.is_empty();
        let (fitting, others) = self.fitting(open, password).await?;
        let of = match &fitting[..] {
            [] => {
                if !known && email.len() <= limits::EMAIL_BYTES {
                    tracing::debug!(
                        email,
                        "a login of nobody: no active user has this email and a password that could be the one sent"
                    );
                }
                return Err(self.login_failed(&others, request_id).await?);
            }
            [of] => of,
            several => return Err(self.ambiguous(several).await?),
        };
        let secret = new_secret(SESSION);
        let now = self.clock.now();
        let end = now + TimeDelta::from_std(self.session).map_err(Error::internal)?;
        match self.platform.session_open(of, &secret, (now, end), request_id).await? {
            Opened::Session(user) => Ok(Session { token: secret, expires_at: end, user: *user }),
            Opened::Locked(end) => Err(locked_out(end, now)),
            Opened::Gone => Err(wrong()),
        }
    }

    /// Users whom it may be; none where what was sent is nobody's email or password.
    async fn login_candidates(&self, email: &str, tenant: Option<&Tenant>, password: &Secret) -> Result<Vec<Candidate>> {
        let sound =
            email.len() <= limits::EMAIL_BYTES && !email.contains('\0') && password.reveal().len() <= limits::PASSWORD_BYTES;
        if sound { self.platform.login_candidates(email, tenant).await } else { Ok(Vec::new()) }
    }

    /// Those whose password it is, and the others. Where there is nobody a password is hashed all the same, for the time it takes.
    async fn fitting(&self, candidates: Vec<Candidate>, sent: Secret) -> Result<(Vec<Candidate>, Vec<Candidate>)> {
        let work = move |sent: String| {
            let sent: String = if sent.len() > limits::PASSWORD_BYTES { String::new() } else { sent };
            if candidates.is_empty() {
                password::fits(&sent, nobodys_hash());
            }
            candidates.into_iter().partition(|of| password::fits(&sent, &of.password_hash))
        };
        self.password_work(sent.reveal().to_owned(), work).await
    }

    /// Counts a failure of each of them; what to answer.
    async fn login_failed(&self, of: &[Candidate], request_id: &str) -> Result<Error> {
        let (now, mut locked) = (self.clock.now(), None);
        for candidate in of {
            match self.platform.login_failed(candidate, now, request_id).await {
                Ok(end) => locked = locked.max(end),
                // Deleted since it was looked up.
                Err(error) if error.kind() == Kind::Conflict => {}
                Err(error) => return Err(error),
            }
        }
        Ok(locked.map_or_else(wrong, |end| locked_out(end, now)))
    }

    /// What to answer whose password fits several. Whoever is told has proven to be all of them, and was not locked out meanwhile.
    async fn ambiguous(&self, several: &[Candidate]) -> Result<Error> {
        let now = self.clock.now();
        for of in several {
            if let Some(end) = self.platform.login_locked(of, now).await? {
                return Ok(locked_out(end, now));
            }
        }
        let tenants: Vec<_> = several.iter().map(|of| format!("`{}`", of.tenant)).collect();
        let sentence =
            format!("This email and password fit users of several tenants; say which with `tenant`: {}.", tenants.join(", "));
        Ok(Error::conflict(sentence).at("/tenant", "is needed"))
    }

    /// Ends the caller's session, at once.
    pub async fn logout(&self, caller: &Caller) -> Result<()> {
        match caller.bearer.as_ref().map(|bearer| bearer.credential) {
            Some(Credential::Session(id)) => self.platform.session_close(&caller.home, id).await,
            Some(Credential::Token(id)) => Err(Error::conflict(format!(
                "This is an API token and no session; revoke it with `DELETE /api/platform/tokens/{id}`."
            ))),
            _ => Err(Error::conflict("This credential is no session of Weir's; end it where it comes from.")),
        }
    }

    /// Who the caller is.
    pub async fn whoami(&self, caller: &Caller) -> Result<Whoami> {
        let bearer = caller.bearer.as_deref();
        let user = match bearer.and_then(|bearer| bearer.user) {
            Some(id) => self.platform.user_self(&caller.home, id).await?,
            None => None,
        };
        Ok(Whoami {
            user,
            subject: caller.subject.as_str().to_owned(),
            credential: match bearer.map(|bearer| bearer.credential) {
                Some(Credential::Session(_)) => CredentialKind::Session,
                Some(Credential::Token(_)) => CredentialKind::Token,
                _ => CredentialKind::Issued,
            },
            tenant: caller.tenant.to_string(),
            home_tenant: caller.home.to_string(),
            roles: self.policy.roles(caller),
            scopes: bearer.map(|bearer| bearer.scopes.iter().map(ToString::to_string).collect()).unwrap_or_default(),
            expires_at: bearer.and_then(|bearer| bearer.expires_at),
        })
    }
}

/// One sentence for whatever is wrong, so that it tells nobody which emails there are.
fn wrong() -> Error {
    Error::new(Kind::Unauthenticated, "No active user has this email and password.")
}

fn too_often(wait: Duration) -> Error {
    let sentence = "Too many logins of this user; wait as `Retry-After` says, then try again.";
    Error::new(Kind::RateLimited, sentence).retry_after(wait)
}

fn locked_out(end: DateTime<Utc>, now: DateTime<Utc>) -> Error {
    too_often((end - now).to_std().unwrap_or(limits::RETRY_AFTER))
}

/// A hash of no password, as costly as any.
fn nobodys_hash() -> &'static str {
    static HASH: OnceLock<String> = OnceLock::new();
    HASH.get_or_init(|| password::hash(&new_secret(SESSION)).unwrap_or_default())
}
