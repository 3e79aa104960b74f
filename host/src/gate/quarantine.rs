//! What was kept aside, for whoever decides about it: lists, causes, one entry, removal.
//!
//! Whoever may read quarantine sees readings of all sensors in it, refused ones included; the policy gives it apart from them.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::Gate;
use crate::error::{Error, Result};
use crate::limits;
use crate::model::{Action, Caller, Resource};
use crate::paging::{Listed, PageOf};
pub use crate::timescale::{Attempt, Cause, Kept, KeptFilter, Replayed};

const QUARANTINE: &str = "quarantine";

pub(super) fn all() -> Resource {
    Resource::platform(QUARANTINE)
}

fn one(id: Uuid) -> Resource {
    Resource::platform_one(QUARANTINE, &id.to_string())
}

fn no_entry(id: Uuid) -> Error {
    Error::not_found(format!("entry `{id}` in quarantine"))
}

/// What became of a removal by filter.
#[derive(Clone, Copy, Debug)]
pub struct Discarded {
    /// How many entries it removed.
    pub entries: u64,
    /// True where the bound of one call left some.
    pub more: bool,
}

impl Gate {
    /// A page of what was kept aside, newest first.
    pub async fn quarantine_list(&self, caller: &Caller, filter: &KeptFilter, page: &PageOf) -> Result<Listed<Kept>> {
        let permit = self.authorise(caller, Action::Read, &all()).await?;
        let after = page.after.as_deref().map(place).transpose()?;
        let entries = self.timescale.kept(&permit, filter, after, page.limit + 1).await?;
        Ok(Listed::cut(entries, page.limit, |kept| format!("{}_{}", kept.time.timestamp_micros(), kept.id)))
    }

    /// What was kept aside, by cause, the most frequent first.
    pub async fn quarantine_causes(&self, caller: &Caller, filter: &KeptFilter) -> Result<Vec<Cause>> {
        let permit = self.authorise(caller, Action::Read, &all()).await?;
        self.timescale.kept_causes(&permit, filter, limits::CAUSES).await
    }

    /// One entry, whole.
    pub async fn quarantine_get(&self, caller: &Caller, id: Uuid) -> Result<Kept> {
        let permit = self.authorise(caller, Action::Read, &one(id)).await?;
        self.timescale.kept_one(&permit, id).await?.ok_or_else(|| no_entry(id))
    }

    /// Removes one entry. The books remember that it was there.
    pub async fn quarantine_discard_one(&self, caller: &Caller, id: Uuid) -> Result<()> {
        let permit = self.authorise(caller, Action::Delete, &one(id)).await?;
        if self.timescale.discard_one(&permit, id).await? { Ok(()) } else { Err(no_entry(id)) }
    }

    /// Removes entries, the oldest first. A filter that leaves everything in is refused: nobody should empty quarantine by a slip.
    pub async fn quarantine_discard(&self, caller: &Caller, filter: &KeptFilter) -> Result<Discarded> {
        let permit = self.authorise(caller, Action::Delete, &all()).await?;
        let KeptFilter { topic, from, to, refuser_kind, refuser, state } = filter;
        let texts = [topic, refuser_kind, refuser, state];
        if from.is_none() && to.is_none() && texts.into_iter().all(Option::is_none) {
            return Err(Error::malformed(
                "Say which entries to delete: give `topic`, `from`, `to`, `refuserKind`, `refuser` or `state`.",
            ));
        }
        let entries = self.timescale.discard(&permit, filter, limits::DISCARD_ENTRIES).await?;
        Ok(Discarded { entries, more: entries == u64::from(limits::DISCARD_ENTRIES) })
    }
}

/// The entry that a page begins after.
fn place(after: &str) -> Result<(DateTime<Utc>, Uuid)> {
    let place = after.split_once('_').and_then(|(micros, id)| {
        let time = DateTime::from_timestamp_micros(micros.parse().ok()?)?;
        Some((time, id.parse().ok()?))
    });
    place.ok_or_else(|| Error::malformed("`cursor` is not one that this endpoint gave.").at("cursor", "unreadable"))
}
