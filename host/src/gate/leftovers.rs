//! Bytes that are to go: what nothing points to any more, uploads that broke off, and what a scan finds besides.
//!
//! It is Weir itself that clears up, of all tenants; what it takes nobody can see any more. One replica at a time.

use std::collections::HashSet;

use chrono::{DateTime, TimeDelta, Utc};
use futures_util::StreamExt as _;
use serde::Serialize;
use uuid::Uuid;

use super::Gate;
use super::objects::place;
use crate::error::{Chain, Result};
use crate::limits;
use crate::model::{Action, Caller, Resource};
use crate::objects::Key;

/// What was cleared up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Swept {
    /// Versions whose bytes are gone.
    pub removed: u64,
    /// Versions whose bytes would not go; their rows stay, and they are tried again.
    pub failed: u64,
}

/// What a look through the store found.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Scan {
    /// Versions that nothing points to, whose bytes are to go.
    pub discarded: i64,
    /// Uploads that broke off.
    pub broken_off: i64,
    /// Stored versions that were looked for.
    pub stored: u64,
    /// Stored versions whose bytes are not there, or not all: `tenant/bucket id/object id/version id`. The first of them.
    pub missing: Vec<String>,
    /// How many those are.
    pub missing_in_all: u64,
    /// Keys in the store that no row names.
    pub unknown: u64,
    /// How many of those were removed.
    pub removed: u64,
}

impl Gate {
    /// Clears up what nothing points to, and uploads that have not ended for so long. `None` where another replica is at it.
    pub async fn leftovers_sweep(&self, older: TimeDelta) -> Result<Option<Swept>> {
        let Some(_turn) = self.platform.leftovers_turn().await? else { return Ok(None) };
        let (mut swept, mut after) = (Swept::default(), None);
        loop {
            let leftovers = self.platform.leftovers_take(self.clock.now() - older, after).await?;
            let Some(last) = leftovers.last() else { return Ok(Some(swept)) };
            after = Some(last.key.version_id);
            for leftover in &leftovers {
                let gone = async {
                    self.objects.remove_leftover(&leftover.tenant, &place(&leftover.key)).await?;
                    self.platform.leftover_forget(leftover).await
                };
                match gone.await {
                    Ok(()) => swept.removed += 1,
                    Err(error) => {
                        swept.failed += 1;
                        tracing::debug!(error = %Chain(&error), version = %leftover.key.version_id, "bytes that are to go remain");
                    }
                }
            }
        }
    }

    /// Looks whether each stored version has its bytes, and for bytes that no row names; those it removes, if it is to, where they are older
    /// than any upload.
    pub async fn files_scan(&self, caller: &Caller, older: TimeDelta, remove: bool) -> Result<Scan> {
        self.authorise(caller, Action::Admin, &Resource::platform("tenants")).await?;
        let before = self.clock.now() - older;
        let (discarded, broken_off) = self.platform.leftovers_count(before).await?;
        let mut scan = Scan { discarded, broken_off, ..Scan::default() };
        self.scan_rows(&mut scan).await?;
        self.scan_keys(&mut scan, before, remove).await?;
        Ok(scan)
    }

    async fn scan_rows(&self, scan: &mut Scan) -> Result<()> {
        let mut after = None;
        loop {
            let stored = self.platform.stored_versions(after).await?;
            let Some(last) = stored.last() else { return Ok(()) };
            after = Some(last.key.version_id);
            for version in &stored {
                scan.stored += 1;
                let found = self.objects.size_of(&version.tenant, &place(&version.key)).await?;
                if found == Some(version.size.unsigned_abs()) || (found.is_none() && version.size == 0) {
                    continue;
                }
                // Deleted while this looked: then its row says so by now.
                let known = self.platform.known_versions(&[version.key.version_id]).await?;
                if known.is_empty() {
                    continue;
                }
                scan.missing_in_all += 1;
                if scan.missing.len() < limits::SCAN_NAMED {
                    let key = &version.key;
                    scan.missing.push(format!("{}/{}/{}/{}", version.tenant, key.bucket_id, key.object_id, key.version_id));
                }
            }
        }
    }

    async fn scan_keys(&self, scan: &mut Scan, before: DateTime<Utc>, remove: bool) -> Result<()> {
        let keys = self.objects.keys().await?;
        let mut pages = keys.chunks(usize::try_from(limits::LEFTOVERS_AT_ONCE).unwrap_or(usize::MAX));
        while let Some(page) = pages.next().await {
            let page: Vec<(String, Key)> = page.into_iter().collect::<Result<_>>()?;
            let ids: Vec<Uuid> = page.iter().map(|(_, key)| key.version).collect();
            let known: HashSet<Uuid> = self.platform.known_versions(&ids).await?.into_iter().collect();
            for (tenant, key) in page.iter().filter(|(_, key)| !known.contains(&key.version)) {
                scan.unknown += 1;
                if remove && is_older(key.version, before) {
                    self.objects.remove_leftover(tenant, key).await?;
                    scan.removed += 1;
                }
            }
        }
        Ok(())
    }
}

/// Whether a version was begun before then: its id has the time in it. Of what has none, nobody knows.
fn is_older(version: Uuid, before: DateTime<Utc>) -> bool {
    let begun = version.get_timestamp().and_then(|time| {
        let (seconds, nanoseconds) = time.to_unix();
        DateTime::from_timestamp(i64::try_from(seconds).ok()?, nanoseconds)
    });
    begun.is_some_and(|begun| begun < before)
}
