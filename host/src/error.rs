//! The one error that crosses floors: what kind it is, what the client is told, what the log is told.
//!
//! It knows nothing of HTTP: `http/reply.rs` alone turns a [`Kind`] into a status code.
//! The sentence is written for the client and says what to do; it never carries SQL, a path of the host or a secret.
//! Whatever would explain the error to an operator goes into the cause, which only the log sees.

use std::borrow::Cow;
use std::error::Error as StdError;
use std::fmt;
use std::time::Duration;

/// Shorthand for results that fail with [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What kind of thing went wrong, from a short closed list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// The request cannot be read, or names something that does not exist in the contract.
    Malformed,
    /// No credentials, or none that count.
    Unauthenticated,
    /// The policy says no.
    Forbidden,
    /// Not there, or in another tenant.
    NotFound,
    /// The path exists, the method does not.
    MethodNotAllowed,
    /// Another thing is in the way: a name taken, a definition in use.
    Conflict,
    /// `If-Match` names a version that is no longer the current one.
    Stale,
    /// Larger than a named limit.
    TooLarge,
    /// The `Content-Type` is not one that this endpoint reads.
    UnsupportedMediaType,
    /// A validator refused the content.
    Refused,
    /// Too many requests or readings for now.
    RateLimited,
    /// A range outside the object.
    RangeNotSatisfiable,
    /// A backend is away; the same request may succeed later.
    Unavailable,
    /// A defect of Weir.
    Internal,
}

/// One thing that is wrong with a request: where and what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Detail {
    /// A JSON pointer into the body, or the name of a parameter or header.
    pub path: String,
    /// What is wrong there.
    pub message: String,
    /// The validator or schema that refused it, where one did.
    pub validator: Option<String>,
}

/// An error with a public face and a private cause.
#[derive(Debug)]
pub struct Error {
    kind: Kind,
    sentence: Cow<'static, str>,
    details: Vec<Detail>,
    retry_after: Option<Duration>,
    cause: Option<Box<dyn StdError + Send + Sync>>,
}

impl Error {
    /// An error of `kind` that tells the client `sentence`.
    pub fn new(kind: Kind, sentence: impl Into<Cow<'static, str>>) -> Self {
        Self { kind, sentence: sentence.into(), details: Vec::new(), retry_after: None, cause: None }
    }

    /// The request cannot be used as it is; `sentence` says what to change.
    pub fn malformed(sentence: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Kind::Malformed, sentence)
    }

    /// `what` (such as "bucket `reports`") is not there for this caller.
    pub fn not_found(what: impl fmt::Display) -> Self {
        Self::new(Kind::NotFound, format!("There is no {what}."))
    }

    /// Something else is in the way; `sentence` says what.
    pub fn conflict(sentence: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Kind::Conflict, sentence)
    }

    /// `backend` does not answer; the client may try again.
    pub fn unavailable(backend: &'static str, cause: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Self::new(Kind::Unavailable, format!("The {backend} is away at the moment; try again shortly."))
            .retry_after(crate::limits::RETRY_AFTER)
            .caused_by(cause)
    }

    /// A defect of Weir: the client is told nothing but that, the log gets `cause`.
    pub fn internal(cause: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Self::new(Kind::Internal, "Weir failed to handle this request; the request id finds it in the log.").caused_by(cause)
    }

    /// Adds where and what.
    #[must_use]
    pub fn at(mut self, path: impl Into<String>, message: impl Into<String>) -> Self {
        self.details.push(Detail { path: path.into(), message: message.into(), validator: None });
        self
    }

    /// Adds several details.
    #[must_use]
    pub fn with_details(mut self, details: impl IntoIterator<Item = Detail>) -> Self {
        self.details.extend(details);
        self
    }

    /// Says when to try again.
    #[must_use]
    pub fn retry_after(mut self, wait: Duration) -> Self {
        self.retry_after = Some(wait);
        self
    }

    /// Keeps what the log needs to know.
    #[must_use]
    pub fn caused_by(mut self, cause: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.cause = Some(cause.into());
        self
    }

    /// What kind of error this is.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// The sentence for the client.
    pub fn sentence(&self) -> &str {
        &self.sentence
    }

    /// Where and what, for the client.
    pub fn details(&self) -> &[Detail] {
        &self.details
    }

    /// How long the client should wait before it tries again.
    pub fn wait(&self) -> Option<Duration> {
        self.retry_after
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.sentence)?;
        for detail in &self.details {
            write!(f, " [{}: {}]", detail.path, detail.message)?;
        }
        Ok(())
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.cause.as_deref().map(|cause| cause as _)
    }
}

/// An error with all its causes on one line, for the log.
pub struct Chain<'a>(pub &'a (dyn StdError + 'static));

impl fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)?;
        let mut next = self.0.source();
        while let Some(cause) = next {
            write!(f, ": {cause}")?;
            next = cause.source();
        }
        Ok(())
    }
}
