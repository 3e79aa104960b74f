//! A Confluent-compatible schema registry: the schema of a number, with what it refers to.
//!
//! What a number names never changes, so it is asked for once. A number that the registry does not know is asked for again after a
//! while: its producer may have been faster than its schema. A registry that does not answer is away, and nothing is refused for that.

#[cfg(test)]
mod tests;

use std::collections::{HashMap, HashSet, VecDeque};
use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use parking_lot::Mutex;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::{Client, Url, redirect};
use serde::Deserialize;

use crate::error::{Error, Result};
use crate::limits;
use crate::policy::Permit;
use crate::settings::Secret;

/// What the registry says where there is no such schema, subject or version.
const MISSING: [u32; 3] = [40401, 40402, 40403];

/// How to reach a registry.
#[derive(Clone, Debug)]
pub struct Options {
    /// Its URL, with a path where it has one.
    pub url: String,
    /// The user's name, where it asks for one.
    pub username: Option<String>,
    /// The password.
    pub password: Option<Secret>,
}

/// A schema and what it refers to.
#[derive(Debug, PartialEq, Eq)]
pub struct Definition {
    /// The schema, as JSON text.
    pub schema: Arc<str>,
    /// The schemas that it names types of.
    pub references: Vec<Arc<str>>,
}

/// What is known of a number.
#[derive(Clone, Debug)]
enum Known {
    /// Its schema, or why it cannot be one of a reading.
    Found(Result<Arc<Definition>, Arc<str>>),
    /// The registry did not know it then.
    Missing(Instant),
}

/// A registry.
pub struct Registry {
    client: Client,
    base: Url,
    options: Options,
    known: Mutex<HashMap<i32, Known>>,
}

impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Registry").field("base", &self.base.host_str()).finish_non_exhaustive()
    }
}

/// `GET /schemas/ids/{id}` and `GET /subjects/{subject}/versions/{version}`.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Answer {
    schema: Arc<str>,
    /// Absent for Avro.
    schema_type: Option<String>,
    #[serde(default)]
    references: Vec<Reference>,
}

/// Where a type that a schema names is defined.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Deserialize)]
struct Reference {
    subject: String,
    version: i32,
}

#[derive(Deserialize)]
struct Refusal {
    error_code: u32,
}

impl Registry {
    /// The registry at `options.url`; it is first asked when it is needed.
    pub fn connect(options: Options) -> Result<Self> {
        let unreadable = |cause| Error::malformed("The schema registry's address cannot be read.").caused_by(cause);
        let mut base = Url::parse(&options.url).map_err(|error| unreadable(Box::new(error)))?;
        // So that what is joined to it goes below it.
        base.set_path(&format!("{}/", base.path().trim_end_matches('/')));
        let client = Client::builder()
            // What it points to is not what the operator named.
            .redirect(redirect::Policy::none())
            .timeout(limits::REGISTRY_TIME)
            .no_proxy()
            .build()
            .map_err(Error::internal)?;
        Ok(Self { client, base, options, known: Mutex::default() })
    }

    /// The schema of a number; `None` where there is none, and the reason where it is none that Weir reads.
    pub async fn definition(&self, _permit: &Permit, number: i32) -> Result<Option<Result<Arc<Definition>, Arc<str>>>> {
        self.look_up(number).await
    }

    async fn look_up(&self, number: i32) -> Result<Option<Result<Arc<Definition>, Arc<str>>>> {
        match self.known.lock().get(&number) {
            Some(Known::Found(found)) => return Ok(Some(found.clone())),
            Some(Known::Missing(since)) if since.elapsed() < limits::REGISTRY_MISSING => return Ok(None),
            _ => {}
        }
        let found = self.fetch(number).await?;
        let mut known = self.known.lock();
        if known.len() >= limits::SCHEMAS_CACHED {
            // Who is still used comes back with one request.
            known.clear();
        }
        known.insert(number, found.clone().map_or_else(|| Known::Missing(Instant::now()), Known::Found));
        Ok(found)
    }

    async fn fetch(&self, number: i32) -> Result<Option<Result<Arc<Definition>, Arc<str>>>> {
        let Some(answer) = self.get(&format!("schemas/ids/{number}")).await? else { return Ok(None) };
        if let Some(kind) = answer.schema_type.filter(|kind| kind != "AVRO") {
            return Ok(Some(Err(format!("it is of type {kind}, not Avro").into())));
        }
        let mut seen = HashSet::new();
        let mut waiting = VecDeque::from(answer.references);
        let mut references = Vec::new();
        while let Some(reference) = waiting.pop_front() {
            if !seen.insert(reference.clone()) {
                continue;
            }
            if seen.len() > limits::REGISTRY_REFERENCES {
                return Ok(Some(Err(format!("it refers to more than {} others", limits::REGISTRY_REFERENCES).into())));
            }
            let subject = utf8_percent_encode(&reference.subject, NON_ALPHANUMERIC);
            let Some(found) = self.get(&format!("subjects/{subject}/versions/{}", reference.version)).await? else {
                let Reference { subject, version } = reference;
                return Ok(Some(Err(format!("it refers to version {version} of `{subject}`, which is not there").into())));
            };
            references.push(found.schema);
            waiting.extend(found.references);
        }
        Ok(Some(Ok(Arc::new(Definition { schema: answer.schema, references }))))
    }

    /// What the registry has there; `None` where it says that there is nothing. Any other answer is no answer.
    async fn get(&self, path: &str) -> Result<Option<Answer>> {
        let away = |cause: String| Error::unavailable("schema registry", cause);
        // Without the address, which may carry credentials.
        let failed = |error: reqwest::Error| away(error.without_url().to_string());
        let url = self.base.join(path).map_err(|error| away(error.to_string()))?;
        let mut request = self.client.get(url);
        if let Some(username) = &self.options.username {
            request = request.basic_auth(username, self.options.password.as_ref().map(Secret::reveal));
        }
        let mut response = request.send().await.map_err(failed)?;
        let status = response.status();
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(failed)? {
            if body.len() + chunk.len() > limits::REGISTRY_BYTES {
                return Err(away(format!("it answered {path} with more than {} bytes", limits::REGISTRY_BYTES)));
            }
            body.extend_from_slice(&chunk);
        }
        if status.is_success() {
            let answer = serde_json::from_slice(&body);
            return answer.map(Some).map_err(|error| away(format!("it answered {path} with what is no schema: {error}")));
        }
        // Anybody on the way answers 404; the code is the registry's own.
        match serde_json::from_slice::<Refusal>(&body) {
            Ok(refusal) if MISSING.contains(&refusal.error_code) => Ok(None),
            _ => Err(away(format!("it answered {path} with status {status}"))),
        }
    }
}
