//! Sessions from logins, and the `OpenID` Connect issuer whose tokens count beside Weir's own.

use std::time::Duration;

use serde::Deserialize;

use super::Mistake;

/// Logins.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Auth {
    /// Hours that a session lasts.
    pub session_hours: f64,
}

impl Auth {
    /// How long a session lasts.
    pub fn session(self) -> Duration {
        Duration::try_from_secs_f64(self.session_hours * 3_600.0).unwrap_or_default()
    }

    /// Refuses what is no length of time, or longer than a year.
    pub(super) fn check(self) -> Result<(), Mistake> {
        let hours = self.session_hours;
        if (1.0 / 3_600.0..=8_760.0).contains(&hours) {
            return Ok(());
        }
        Err(Mistake::of("auth.session_hours", format!("must lie from a second to 8760 hours, not {hours}")))
    }
}

/// An issuer of tokens.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Oidc {
    /// Its URL, as it stands in `iss`; without one there is none.
    pub issuer: Option<String>,
    /// What has to be in `aud`.
    pub audience: Option<String>,
    /// The claim that names the tenant.
    pub tenant_claim: String,
    /// The claim that names the bearer.
    pub subject_claim: String,
    /// Where its keys are; its discovery document says so where it is not given.
    pub jwks_url: Option<String>,
}

impl Default for Oidc {
    fn default() -> Self {
        Self {
            issuer: None,
            audience: None,
            tenant_claim: "tenant".to_owned(),
            subject_claim: "email".to_owned(),
            jwks_url: None,
        }
    }
}

impl Oidc {
    /// Refuses what could not work, and keys that anybody on the way could put in place of the issuer's.
    pub(super) fn check(&self) -> Result<(), Mistake> {
        let Some(issuer) = &self.issuer else {
            let idle = [("oidc.audience", &self.audience), ("oidc.jwks_url", &self.jwks_url)];
            let idle = idle.into_iter().find(|(_, value)| value.is_some());
            return idle.map_or(Ok(()), |(key, _)| Err(Mistake::of(key, "has no effect without `oidc.issuer`")));
        };
        for (key, url) in [("oidc.issuer", Some(issuer)), ("oidc.jwks_url", self.jwks_url.as_ref())] {
            if url.is_some_and(|url| !url.starts_with("https://") && !is_local(url)) {
                return Err(Mistake::of(key, "must begin with `https://`; `http://` is for this machine alone"));
            }
        }
        if self.audience.is_none() {
            return Err(Mistake::of(
                "oidc.issuer",
                "needs `oidc.audience` (WEIR_OIDC_AUDIENCE): tokens for others must not count",
            ));
        }
        for (key, claim) in [("oidc.tenant_claim", &self.tenant_claim), ("oidc.subject_claim", &self.subject_claim)] {
            if claim.is_empty() {
                return Err(Mistake::of(key, "must name a claim"));
            }
        }
        Ok(())
    }
}

/// A plain URL of this machine, where nobody is on the way.
fn is_local(url: &str) -> bool {
    let Some(rest) = url.strip_prefix("http://") else { return false };
    let place = rest.split(['/', '?', '#']).next().unwrap_or(rest);
    let host = place.rsplit_once(':').filter(|(_, port)| port.parse::<u16>().is_ok()).map_or(place, |(host, _)| host);
    matches!(host, "localhost" | "127.0.0.1" | "[::1]")
}
