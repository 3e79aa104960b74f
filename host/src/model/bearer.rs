//! What a caller showed to be who it is, and to what part of their rights that is limited.

use std::fmt;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::Action;

/// What a caller showed to be who it is.
#[derive(Clone, Debug)]
pub struct Bearer {
    /// The credential itself.
    pub credential: Credential,
    /// The user whom it stands for, where Weir knows them.
    pub user: Option<Uuid>,
    /// What it is limited to; nothing, where only the policy limits it.
    pub scopes: Arc<[Scope]>,
    /// When it ends.
    pub expires_at: Option<DateTime<Utc>>,
}

/// Which credential it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Credential {
    /// A session, from a login.
    Session(Uuid),
    /// An API token.
    Token(Uuid),
    /// What another issuer says.
    Issued,
}

/// A part of what the policy allows, to which a token is limited: `read:/timescale/**`. `policy::scope` reads it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scope {
    /// The action; `None` for any.
    pub action: Option<Action>,
    /// A pattern over resource paths, as in policy files.
    pub object: Arc<str>,
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.action.map_or("*", Action::as_str), self.object)
    }
}
