//! The issuer's keys: asked for when they are old or one is missing, by one request at a time and not too often.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use jsonwebtoken::jwk::{AlgorithmParameters, Jwk, KeyAlgorithm, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey};
use parking_lot::Mutex;
use reqwest::{Client, Url, redirect};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio_util::task::TaskTracker;

use crate::error::{Chain, Error, Result};
use crate::limits;

/// How often the issuer is asked, and how long its answer counts.
#[derive(Clone, Copy)]
pub(super) struct Pace {
    pub(super) fresh: Duration,
    pub(super) kept: Duration,
    pub(super) every: Duration,
}

/// One key, for signatures.
pub(super) struct Key {
    id: Option<String>,
    /// The only algorithm that it is for, where it says so.
    algorithm: Option<KeyAlgorithm>,
    decoding: DecodingKey,
}

impl Key {
    /// A key as the issuer lists it; `None` for one that signs nothing here: of another kind, for encryption, or a shared secret.
    fn read(listed: Value) -> Option<Self> {
        let jwk: Jwk = serde_json::from_value(listed).ok()?;
        let public = !matches!(jwk.algorithm, AlgorithmParameters::OctetKey(_));
        let signs = jwk.common.public_key_use.as_ref().is_none_or(|purpose| *purpose == PublicKeyUse::Signature);
        let decoding = DecodingKey::from_jwk(&jwk).ok().filter(|_| public && signs)?;
        Some(Self { id: jwk.common.key_id, algorithm: jwk.common.key_algorithm, decoding })
    }

    /// True where it may have made a signature of this algorithm.
    pub(super) fn fits(&self, algorithm: Algorithm) -> bool {
        self.decoding.family() == algorithm.family() && self.algorithm.is_none_or(|of| of == KeyAlgorithm::from(algorithm))
    }

    pub(super) fn decoding(&self) -> &DecodingKey {
        &self.decoding
    }

    fn is(&self, id: Option<&str>) -> bool {
        id.is_none_or(|id| self.id.as_deref() == Some(id))
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Key").field("id", &self.id).finish_non_exhaustive()
    }
}

/// What the issuer said last.
#[derive(Clone, Default)]
struct Said {
    keys: Vec<Arc<Key>>,
    /// When that was.
    at: Option<Instant>,
    /// When it was last asked, and whether it failed to answer.
    asked: Option<(Instant, bool)>,
}

impl Said {
    fn of(&self, id: Option<&str>) -> Vec<Arc<Key>> {
        self.keys.iter().filter(|key| key.is(id)).cloned().collect()
    }

    fn is_within(&self, age: Duration) -> bool {
        self.at.is_some_and(|at| at.elapsed() < age)
    }
}

/// The keys of one issuer.
pub(super) struct Keys {
    client: Client,
    issuer: String,
    /// Where they are, if that is configured.
    at: Option<Url>,
    pace: Pace,
    said: Mutex<Said>,
    asking: Arc<tokio::sync::Mutex<()>>,
    tasks: TaskTracker,
}

#[derive(Deserialize)]
struct Discovery {
    issuer: String,
    jwks_uri: String,
}

#[derive(Deserialize)]
struct Listed {
    keys: Vec<Value>,
}

impl Keys {
    pub(super) fn connect(issuer: &str, at: Option<&str>) -> Result<Self> {
        let unreadable = |cause| Error::malformed("The address of the issuer's keys cannot be read.").caused_by(Box::new(cause));
        let client = Client::builder()
            // What it points to is not what the operator named.
            .redirect(redirect::Policy::none())
            .timeout(limits::ISSUER_TIME)
            .no_proxy()
            .build()
            .map_err(Error::internal)?;
        let pace = Pace { fresh: limits::ISSUER_KEYS_FRESH, kept: limits::ISSUER_KEYS_KEPT, every: limits::ISSUER_EVERY };
        Url::parse(issuer).map_err(unreadable)?;
        let at = at.map(Url::parse).transpose().map_err(unreadable)?;
        Ok(Self {
            client,
            issuer: issuer.to_owned(),
            at,
            pace,
            said: Mutex::default(),
            asking: Arc::default(),
            tasks: TaskTracker::new(),
        })
    }

    /// The same at another pace, for tests that cannot wait for hours.
    #[cfg(test)]
    pub(super) fn at_pace(mut self, pace: Pace) -> Self {
        self.pace = pace;
        self
    }

    /// The keys of this id, or all of them where a token names none. An error is that the issuer is away and nobody can tell.
    pub(super) async fn find(self: &Arc<Self>, id: Option<&str>) -> Result<Vec<Arc<Key>>> {
        let said = self.said.lock().clone();
        let found = said.of(id);
        if !found.is_empty() && said.is_within(self.pace.fresh) {
            return Ok(found);
        }
        let turn = if !found.is_empty() && said.is_within(self.pace.kept) {
            // What is known still counts: nobody waits for another's question.
            Arc::clone(&self.asking).try_lock_owned().ok()
        } else {
            Some(Arc::clone(&self.asking).lock_owned().await)
        };
        if let Some(turn) = turn.filter(|_| self.is_due(id)) {
            // A task, so that the question is asked to its end and counts as asked, whether or not the bearer waits for the answer.
            let keys = Arc::clone(self);
            let asked = self.tasks.spawn(async move {
                keys.refresh().await;
                drop(turn);
            });
            asked.await.map_err(Error::internal)?;
        }
        self.found(id)
    }

    /// False where it was asked a short while ago and did not answer. Nobody is asked for this: it is somebody else's machine.
    pub(super) fn answers(&self) -> bool {
        self.said.lock().asked.is_none_or(|(at, failed)| !failed || at.elapsed() > limits::ISSUER_SILENCE)
    }

    async fn refresh(&self) {
        let answer = self.ask().await;
        let mut said = self.said.lock();
        said.asked = Some((Instant::now(), answer.is_err()));
        match answer {
            Ok(keys) => (said.keys, said.at) = (keys, Some(Instant::now())),
            Err(error) => tracing::warn!(error = %Chain(&error), "the issuer of tokens does not show its keys"),
        }
    }

    /// Whether the issuer is to be asked, now that nobody else does.
    fn is_due(&self, id: Option<&str>) -> bool {
        let said = self.said.lock();
        let fine = !said.of(id).is_empty() && said.is_within(self.pace.fresh);
        !fine && said.asked.is_none_or(|(at, _)| at.elapsed() >= self.pace.every)
    }

    fn found(&self, id: Option<&str>) -> Result<Vec<Arc<Key>>> {
        let said = self.said.lock();
        let away = said.asked.is_some_and(|(_, failed)| failed);
        let keys = if said.is_within(self.pace.kept) { said.of(id) } else { Vec::new() };
        // A key that is missing may be a new one.
        if keys.is_empty() && away {
            let cause = "its keys are not known, or have been kept for too long";
            return Err(Error::unavailable("issuer of this token", cause).retry_after(self.pace.every));
        }
        Ok(keys)
    }

    /// Asks for them, whether or not it is time to.
    pub(super) async fn ask(&self) -> Result<Vec<Arc<Key>>> {
        let at = match &self.at {
            Some(at) => at.clone(),
            None => self.discover().await?,
        };
        let listed: Listed = self.get(at).await?;
        let keys: Vec<_> = listed.keys.into_iter().take(limits::ISSUER_KEYS).filter_map(Key::read).map(Arc::new).collect();
        if keys.is_empty() { Err(away("it lists no key for signatures".to_owned())) } else { Ok(keys) }
    }

    /// Where the issuer says that its keys are. Asked anew each time: it may move them.
    async fn discover(&self) -> Result<Url> {
        let issuer = self.issuer.trim_end_matches('/');
        let at = Url::parse(&format!("{issuer}/.well-known/openid-configuration")).map_err(|error| away(error.to_string()))?;
        let discovery: Discovery = self.get(at.clone()).await?;
        if discovery.issuer != self.issuer {
            return Err(away(format!("its discovery document is of `{}`", discovery.issuer)));
        }
        let keys = Url::parse(&discovery.jwks_uri).map_err(|error| away(error.to_string()))?;
        if keys.scheme() != "https" && keys.scheme() != at.scheme() {
            return Err(away(format!("its keys lie at `{}:`, where anybody could put others", keys.scheme())));
        }
        Ok(keys)
    }

    async fn get<T: DeserializeOwned>(&self, at: Url) -> Result<T> {
        let path = at.path().to_owned();
        let failed = |error: reqwest::Error| away(error.without_url().to_string());
        let mut response = self.client.get(at).send().await.map_err(failed)?;
        let status = response.status();
        if !status.is_success() {
            return Err(away(format!("it answered {path} with status {status}")));
        }
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(failed)? {
            if body.len() + chunk.len() > limits::ISSUER_BYTES {
                return Err(away(format!("it answered {path} with more than {} bytes", limits::ISSUER_BYTES)));
            }
            body.extend_from_slice(&chunk);
        }
        serde_json::from_slice(&body).map_err(|error| away(format!("it answered {path} with something else: {error}")))
    }
}

fn away(cause: String) -> Error {
    Error::unavailable("issuer of tokens", cause)
}
