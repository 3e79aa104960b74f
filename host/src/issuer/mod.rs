//! Another issuer of tokens (`OpenID` Connect): whom a JWT speaks of, where its signature, issuer, audience and times are right.
//!
//! Signatures are asymmetric ones alone: a key that everybody can read proves nothing as a secret. Keys are asked for when they are
//! needed: where they are old, and at once where a token names one that is not among them, so that the issuer may change its keys. While
//! it does not answer, what is known of it goes on to count for some hours; then nothing does, and that is no fault of the bearer's.

mod keys;
#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{Algorithm, Validation, decode, decode_header};
use serde_json::{Map, Value};

use self::keys::{Key, Keys};
use crate::error::{Error, Kind, Result};
use crate::limits;
use crate::model::Tenant;

/// Algorithms whose keys are pairs; anything else is refused before a key is looked for.
const ASYMMETRIC: [Algorithm; 9] = [
    Algorithm::RS256,
    Algorithm::RS384,
    Algorithm::RS512,
    Algorithm::PS256,
    Algorithm::PS384,
    Algorithm::PS512,
    Algorithm::ES256,
    Algorithm::ES384,
    Algorithm::EdDSA,
];

/// Whose tokens count, and what they have to say.
#[derive(Clone, Debug)]
pub struct Options {
    /// The issuer, as it stands in `iss`.
    pub url: String,
    /// What has to be in `aud`.
    pub audience: String,
    /// The claim that names the tenant.
    pub tenant_claim: String,
    /// The claim that names the bearer.
    pub subject_claim: String,
    /// Where the keys are; the discovery document says so where it is not given.
    pub keys: Option<String>,
}

/// What the issuer says of a bearer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Vouches {
    /// Their tenant.
    pub tenant: Tenant,
    /// Their name: an email, where nothing else is configured.
    pub subject: String,
    /// Until when it says so.
    pub expires_at: DateTime<Utc>,
}

/// An issuer.
pub struct Issuer {
    options: Options,
    keys: Arc<Keys>,
}

impl fmt::Debug for Issuer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Issuer").field("options", &self.options).finish_non_exhaustive()
    }
}

impl Issuer {
    /// The issuer of these options; it is first asked when it is needed.
    pub fn connect(options: Options) -> Result<Self> {
        let keys = Keys::connect(&options.url, options.keys.as_deref())?;
        Ok(Self { options, keys: Arc::new(keys) })
    }

    /// Asks for the keys now, for `weir doctor`.
    pub async fn examine(&self) -> Result<String> {
        let keys = self.keys.ask().await?.len();
        Ok(format!("{} shows {keys} keys", self.options.url))
    }

    /// False where it did not answer when it was last asked for its keys.
    pub fn answers(&self) -> bool {
        self.keys.answers()
    }

    /// True for what has the form of a JWT, and not that of a token of Weir's own.
    pub fn may_have_made(bearer: &str) -> bool {
        bearer.starts_with("eyJ") && bearer.bytes().filter(|byte| *byte == b'.').count() == 2
    }

    /// Whom a token speaks of. Without a permit, since this is how one begins.
    pub async fn vouches(&self, token: &str, now: DateTime<Utc>) -> Result<Vouches> {
        if token.len() > limits::ISSUED_TOKEN_BYTES {
            return Err(refused("it is too long"));
        }
        let header =
            decode_header(token).map_err(|_| refused("its header cannot be read, or names an algorithm that does not count"))?;
        if !ASYMMETRIC.contains(&header.alg) {
            return Err(refused("its algorithm is none of those with a public key"));
        }
        let keys = self.keys.find(header.kid.as_deref()).await?;
        let fitting = keys.iter().filter(|key| key.fits(header.alg));
        let mut worst = refused("its key is none of the issuer's");
        for key in fitting {
            match self.read(token, key, header.alg, now) {
                Ok(vouches) => return Ok(vouches),
                Err(error) => worst = error,
            }
        }
        Err(worst)
    }

    fn read(&self, token: &str, key: &Key, algorithm: Algorithm, now: DateTime<Utc>) -> Result<Vouches> {
        let mut validation = Validation::new(algorithm);
        validation.set_required_spec_claims(&["exp", "iss", "aud"]);
        validation.set_issuer(&[&self.options.url]);
        validation.set_audience(&[&self.options.audience]);
        // Times are looked at below, by the clock that everything else goes by.
        (validation.validate_exp, validation.validate_nbf) = (false, false);
        let claims: Map<String, Value> = decode(token, key.decoding(), &validation).map_err(|error| reason(&error))?.claims;
        if claims.get("iss").and_then(Value::as_str) != Some(&self.options.url) {
            return Err(refused("it is of another issuer"));
        }
        let expires_at = time(&claims, "exp")?.ok_or_else(|| refused("it does not say when it ends"))?;
        if expires_at + limits::ISSUER_LEEWAY <= now {
            return Err(refused("it has expired"));
        }
        if time(&claims, "nbf")?.is_some_and(|begin| begin > now + limits::ISSUER_LEEWAY) {
            return Err(refused("it does not count yet"));
        }
        let claim = |name: &str| {
            let claim = claims.get(name).and_then(Value::as_str).filter(|claim| !claim.is_empty());
            claim.ok_or_else(|| refused(&format!("it has no claim `{name}`, which is to say whose it is")))
        };
        let subject = claim(&self.options.subject_claim)?;
        if !is_subject(subject) {
            return Err(refused(&format!("its claim `{}` is nothing that a policy file can name", self.options.subject_claim)));
        }
        // Whoever may enter any email at the issuer must not become somebody else here.
        if self.options.subject_claim == "email" && claims.get("email_verified").is_some_and(|verified| !is_true(verified)) {
            return Err(refused("its email is not verified"));
        }
        let tenant = claim(&self.options.tenant_claim)?;
        let tenant = Tenant::parse(tenant);
        let tenant = tenant.map_err(|_| refused(&format!("its claim `{}` is no tenant's name", self.options.tenant_claim)))?;
        Ok(Vouches { tenant, subject: subject.to_owned(), expires_at })
    }
}

/// A claim that is a time, in seconds.
fn time(claims: &Map<String, Value>, name: &str) -> Result<Option<DateTime<Utc>>> {
    let Some(value) = claims.get(name) else { return Ok(None) };
    let seconds = value.as_i64().or_else(|| {
        #[expect(clippy::cast_possible_truncation, reason = "what is too large becomes the largest, which is no time")]
        value.as_f64().map(|seconds| seconds.floor() as i64)
    });
    let time = seconds.and_then(|seconds| DateTime::from_timestamp(seconds, 0));
    // The leeway is added to it.
    let near = time.filter(|time| (1..=9_999).contains(&chrono::Datelike::year(time)));
    near.map(Some).ok_or_else(|| refused(&format!("its claim `{name}` is no time")))
}

/// True for what may stand in a policy file behind `user:`.
fn is_subject(name: &str) -> bool {
    let stands = |c: char| !c.is_whitespace() && !c.is_control() && !matches!(c, ',' | '"' | '#' | '/' | ':' | '*');
    name.len() <= limits::EMAIL_BYTES && name.chars().all(stands)
}

fn is_true(value: &Value) -> bool {
    value == true || value == "true"
}

fn refused(why: &str) -> Error {
    Error::new(Kind::Unauthenticated, format!("This token of another issuer does not count: {why}."))
}

fn reason(error: &jsonwebtoken::errors::Error) -> Error {
    refused(match error.kind() {
        ErrorKind::InvalidSignature => "its signature is not the issuer's",
        ErrorKind::InvalidIssuer => "it is of another issuer",
        ErrorKind::InvalidAudience => "it is for somebody else",
        ErrorKind::MissingRequiredClaim(_) => "it lacks one of `exp`, `iss` and `aud`",
        _ => "it cannot be read",
    })
    .caused_by(error.to_string())
}
