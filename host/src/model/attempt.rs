//! What a request was allowed to change, so that it can be written down where that is not done.

use std::sync::Arc;

use parking_lot::Mutex;
use uuid::Uuid;

use super::{Action, Resource, Subject, Tenant};

/// What a request was allowed to change, for the record of what was allowed and not done. Clones are the same one.
#[derive(Clone, Debug, Default)]
pub struct Attempt {
    noted: Option<Arc<Mutex<Option<Attempted>>>>,
    /// The claim of an idempotency key that it is done under.
    pub claim: Option<Uuid>,
}

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
        Self { noted: Some(Arc::default()), claim: None }
    }

    /// Takes note of what is allowed first, where anybody looks: that is what the request is about, and not what else it had to ask for.
    pub fn note(&self, attempted: impl FnOnce() -> Attempted) {
        if let Some(noted) = &self.noted {
            noted.lock().get_or_insert_with(attempted);
        }
    }

    /// What was noted.
    pub fn take(&self) -> Option<Attempted> {
        self.noted.as_ref().and_then(|noted| noted.lock().take())
    }
}
