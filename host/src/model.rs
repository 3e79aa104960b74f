//! The nouns that every floor speaks: tenant, subject, caller, action, resource, clock.
//!
//! Values only: nothing here does I/O or knows a framework. A name that parsed is a name that is allowed;
//! the rules stand beside each type and nowhere else.

mod attempt;
mod bearer;

use std::fmt;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};

pub use self::attempt::{Attempt, Attempted};
pub use self::bearer::{Bearer, Credential, Scope};
use crate::error::Error;
use crate::limits;

/// A tenant's name: 1 to 63 of `a-z`, `0-9` and `-`, beginning with a letter or digit. It is also the policy's domain.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Tenant(Arc<str>);

impl Tenant {
    /// Reads a tenant's name; the error says which rule it breaks.
    pub fn parse(name: &str) -> Result<Self, Error> {
        let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        if name.is_empty() || name.len() > limits::TENANT_NAME_BYTES || name.starts_with('-') || !name.chars().all(allowed) {
            return Err(Error::malformed(
                "A tenant's name has 1 to 63 of a-z, 0-9 and '-', and begins with a letter or a digit.",
            ));
        }
        Ok(Self(name.into()))
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Tenant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Tenant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

/// Who acts, as policy files name it: `user:<email>`, `token:<name>`, `service:writer` or `job:<name>`.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Subject(Arc<str>);

impl Subject {
    /// A person who logged in, or whose token acts for them.
    pub fn user(email: &str) -> Self {
        Self(format!("user:{email}").into())
    }

    /// An API token that acts for nobody but itself.
    pub fn token(name: &str) -> Self {
        Self(format!("token:{name}").into())
    }

    /// A part of Weir itself, such as the writer.
    pub fn service(name: &str) -> Self {
        Self(format!("service:{name}").into())
    }

    /// A subject as it stands in a policy file or on the command line.
    pub fn named(name: &str) -> Self {
        Self(name.into())
    }

    /// The subject as policy files name it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

/// An authenticated party in the tenant that it acts in.
#[derive(Clone, Debug)]
pub struct Caller {
    /// Who it is.
    pub subject: Subject,
    /// The tenant whose data it works on.
    pub tenant: Tenant,
    /// The tenant that its credential belongs to; another than `tenant` only for administrators who sent `X-Tenant`.
    pub home: Tenant,
    /// What it showed to be who it is; nothing, for a part of Weir itself.
    pub bearer: Option<Arc<Bearer>>,
    /// The request that it made, or the batch's id for the writer.
    pub request_id: Arc<str>,
    /// What is known of its request besides: what it was allowed to change, and the key that it claimed.
    pub attempt: Attempt,
}

impl Caller {
    /// A part of Weir itself, such as `service:writer`, at work for a tenant.
    pub fn service(name: &str, tenant: &Tenant, request_id: impl Into<Arc<str>>) -> Self {
        Self {
            subject: Subject::service(name),
            tenant: tenant.clone(),
            home: tenant.clone(),
            bearer: None,
            request_id: request_id.into(),
            attempt: Attempt::default(),
        }
    }
}

/// What a caller wants to do with a resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    /// See it.
    Read,
    /// Create or change it.
    Write,
    /// Remove it.
    Delete,
    /// Change what it means to others: policies, validators, tenants.
    Admin,
}

impl Action {
    /// Every action, in the order of growing power.
    pub const ALL: [Self; 4] = [Self::Read, Self::Write, Self::Delete, Self::Admin];

    /// The word for it in policy files.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
            Self::Delete => "delete",
            Self::Admin => "admin",
        }
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What an action is done to: the object of a policy rule, such as `/timescale/sensors/room-4`.
///
/// Made from the ids that the router decoded, never from the raw path of a request, so that no spelling of a URL changes a decision.
/// A `/` inside an id is written `%2F`, so that one id is one segment; an object's name in a bucket keeps its slashes.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Resource(Arc<str>);

/// What would end a segment or look like another one.
const SEGMENT: &AsciiSet = &CONTROLS.add(b'/').add(b'%').add(b'?').add(b'#');
/// The same for names that may hold slashes.
const NAME: &AsciiSet = &CONTROLS.add(b'%').add(b'?').add(b'#');

impl Resource {
    /// `/platform/<collection>`: a collection of platform resources.
    pub fn platform(collection: &str) -> Self {
        Self(format!("/platform/{collection}").into())
    }

    /// `/platform/<collection>/<id>`: one platform resource.
    pub fn platform_one(collection: &str, id: &str) -> Self {
        Self(format!("/platform/{collection}/{}", segment(id)).into())
    }

    /// `/timescale/sensors`: all sensors of the tenant at once.
    pub fn sensors() -> Self {
        Self("/timescale/sensors".into())
    }

    /// `/timescale/sensors/<id>`: the readings of one sensor.
    pub fn sensor(id: &str) -> Self {
        Self(format!("/timescale/sensors/{}", segment(id)).into())
    }

    /// `/timescale/topics/<name>`: the readings that come through one topic.
    pub fn topic(name: &str) -> Self {
        Self(format!("/timescale/topics/{}", segment(name)).into())
    }

    /// `/timescale/ledger`: the books, of all topics.
    pub fn ledger() -> Self {
        Self("/timescale/ledger".into())
    }

    /// `/storage/buckets`: all buckets of the tenant.
    pub fn buckets() -> Self {
        Self("/storage/buckets".into())
    }

    /// `/storage/buckets/<name>`: one bucket itself.
    pub fn bucket(name: &str) -> Self {
        Self(format!("/storage/buckets/{}", segment(name)).into())
    }

    /// `/storage/files/<bucket>/<name…>`: one object.
    pub fn file(bucket: &str, name: &str) -> Self {
        Self(format!("/storage/files/{}/{}", segment(bucket), utf8_percent_encode(name, NAME)).into())
    }

    /// One of this collection.
    #[must_use]
    pub fn one(&self, key: &str) -> Self {
        Self(format!("{}/{}", self.0, segment(key)).into())
    }

    /// A resource as it stands on the command line or in a policy's test case.
    pub fn named(path: &str) -> Self {
        Self(path.into())
    }

    /// The path that policy patterns are matched against.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

fn segment(id: &str) -> impl fmt::Display + '_ {
    utf8_percent_encode(id, SEGMENT)
}

impl fmt::Display for Resource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What becomes of a reading that a schema or a module refuses, or whose check failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum ErrorStrategy {
    /// Refuse it: a 422 over HTTP; from Kafka it is counted as skipped, by the name of the rule.
    Reject,
    /// Keep it aside with the reason, readable and replayable.
    Quarantine,
    /// Store it with quality `suspect`. Where the check itself failed (trap, limit), it is quarantined instead.
    Flag,
    /// Stop the topic until somebody changes the rule. Over HTTP it is refused.
    Stop,
}

impl ErrorStrategy {
    /// The word for it in the API and in the database.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Reject => "reject",
            Self::Quarantine => "quarantine",
            Self::Flag => "flag",
            Self::Stop => "stop",
        }
    }

    /// Reads the word; `None` for any other.
    pub fn parse(word: &str) -> Option<Self> {
        [Self::Reject, Self::Quarantine, Self::Flag, Self::Stop].into_iter().find(|strategy| strategy.as_str() == word)
    }
}

/// What a validator checks, and with it the world that its module is of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Target {
    /// Readings, on their way through a topic.
    #[default]
    Readings,
    /// Resources of the platform.
    Documents,
    /// Files.
    Objects,
}

impl Target {
    /// All there are.
    pub const ALL: [Self; 3] = [Self::Readings, Self::Documents, Self::Objects];

    /// The word for it in the API and in the database.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Readings => "readings",
            Self::Documents => "documents",
            Self::Objects => "objects",
        }
    }

    /// Reads the word; `None` for any other.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|target| target.as_str() == word)
    }
}

/// What is to be done with a document.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Operation {
    /// It is new.
    #[default]
    Create,
    /// Some fields change.
    Update,
    /// It goes away.
    Delete,
}

/// What a deployment may grant a module beyond its own memory and time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Grant {
    /// Its configuration.
    Config,
    /// Lines for the tenant's own eyes.
    Log,
    /// The tenant's own last stored values.
    Lookup,
}

impl Grant {
    /// All there are.
    pub const ALL: [Self; 3] = [Self::Config, Self::Log, Self::Lookup];

    /// The word for it in the API, in the database and in the interface's name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Config => "config",
            Self::Log => "log",
            Self::Lookup => "lookup",
        }
    }

    /// Reads the word; `None` for any other.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|grant| grant.as_str() == word)
    }
}

/// How the rows of a topic meet rows that are already stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum WriteMode {
    /// A later value replaces the stored one; an equal one changes nothing.
    Upsert,
    /// Readings are only ever added; one that is already there is counted as a duplicate and left as it is.
    Append,
}

impl WriteMode {
    /// The word for it in the API and in the database.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Upsert => "upsert",
            Self::Append => "append",
        }
    }

    /// Reads the word; `None` for any other.
    pub fn parse(word: &str) -> Option<Self> {
        [Self::Upsert, Self::Append].into_iter().find(|mode| mode.as_str() == word)
    }
}

/// Which value counts where a topic brings two for one time of a series.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Conflict {
    /// The one that came later.
    #[default]
    KeepLast,
    /// The one that came first; what comes later is counted as a duplicate.
    KeepFirst,
}

impl Conflict {
    /// The word for it in the API and in the database.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::KeepLast => "keep-last",
            Self::KeepFirst => "keep-first",
        }
    }

    /// Reads the word; `None` for any other.
    pub fn parse(word: &str) -> Option<Self> {
        [Self::KeepLast, Self::KeepFirst].into_iter().find(|conflict| conflict.as_str() == word)
    }
}

/// How the messages of a topic are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum TopicFormat {
    /// JSON: a reading, an array of readings, or a reading a line.
    #[default]
    Json,
    /// Avro in Confluent's wire format: a zero byte, the schema's number in four bytes, one record.
    Avro,
}

impl TopicFormat {
    /// The word for it in the API and in the database.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Json => "json",
            Self::Avro => "avro",
        }
    }

    /// Reads the word; `None` for any other.
    pub fn parse(word: &str) -> Option<Self> {
        [Self::Json, Self::Avro].into_iter().find(|format| format.as_str() == word)
    }
}

/// The name of a Kafka topic: 1 to 249 of `a-z`, `A-Z`, `0-9`, `.`, `_` and `-`, and neither `.` nor `..` (Kafka's own rule).
pub fn check_topic_name(name: &str) -> Result<(), Error> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    if name.is_empty() || name.len() > limits::TOPIC_NAME_BYTES || name == "." || name == ".." || !name.chars().all(allowed) {
        return Err(Error::malformed("A topic's name has 1 to 249 of a-z, A-Z, 0-9, '.', '_' and '-'."));
    }
    Ok(())
}

/// A name that a user gives to a thing: 1 to [`limits::NAME_BYTES`] bytes, no control characters, no blanks at its ends.
/// `what` says whose name it is, for the error.
pub fn check_name(what: &str, name: &str) -> Result<(), Error> {
    if !is_name(name) {
        return Err(Error::malformed(format!(
            "{what} has 1 to {} bytes, no control characters and no blanks at its ends.",
            limits::NAME_BYTES
        )));
    }
    Ok(())
}

/// True for what [`check_name`] takes.
pub fn is_name(name: &str) -> bool {
    !name.is_empty() && name.len() <= limits::NAME_BYTES && name.trim() == name && !name.chars().any(char::is_control)
}

/// The time, handed in so that tests can choose it.
pub trait Clock: Send + Sync + fmt::Debug {
    /// Now, in UTC.
    fn now(&self) -> DateTime<Utc>;
}

/// The clock of the machine.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the machine's clock")]
    fn now(&self) -> DateTime<Utc> {
        Utc::now()
    }
}
