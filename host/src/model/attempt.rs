//! What a request was allowed to change, so that it can be written down where that is not done.

use std::sync::Arc;

use parking_lot::Mutex;

use super::{Action, Resource, Subject, Tenant};

/// What a request was last allowed to change, for the record of what was allowed and not done. Clones are the same one.
#[derive(Clone, Debug, Default)]
pub struct Attempt(Option<Arc<Mutex<Option<Attempted>>>>);

/// Something that was allowed.
#[derive(Clone, Debug)]
pub struct Attempted {
    /// Who.
    pub subject: Subject,
    /// Whose data.
    pub tenant: Tenant,
    /// What was to be done.
    pub action: Action,
    /// To what.
    pub resource: Resource,
    /// Under which revision of the policy.
    pub revision: Arc<str>,
}

impl Attempt {
    /// One that is looked at when the request has ended.
    pub fn watched() -> Self {
        Self(Some(Arc::default()))
    }

    /// Takes note of what is allowed, where anybody looks.
    pub fn note(&self, attempted: impl FnOnce() -> Attempted) {
        if let Some(noted) = &self.0 {
            *noted.lock() = Some(attempted());
        }
    }

    /// What was noted last.
    pub fn take(&self) -> Option<Attempted> {
        self.0.as_ref().and_then(|noted| noted.lock().take())
    }
}
