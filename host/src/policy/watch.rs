//! Watching the policy files: what changed is read when it is quiet, checked, tried, and then one pointer moves.
//!
//! Events of the file system only wake the loop; a look at the folder each half second finds what they miss (links swapped by a
//! `ConfigMap`, network file systems, a folder put in the place of another). A folder that does not check out changes nothing but
//! `/health`, the log and a count.

use std::path::Path;
use std::sync::Arc;

use notify::event::{AccessKind, AccessMode};
use notify::{EventKind, RecommendedWatcher, RecursiveMode, Watcher};
use serde_json::json;
use tokio::sync::Notify;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep};
use tokio_util::sync::CancellationToken;

use crate::limits;
use crate::vitals::{Standing, Vitals, Word};

use super::Policy;
use super::book::Book;
use super::files::{self, Fingerprint, Mistake, Snapshot, Summary};

/// Looks between two that read the files whatever their dates say.
const LOOKS_UNREAD: u32 = 60;

/// What the last reading came to.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Tried {
    /// Files of this revision were checked, and are at work or were refused.
    Revision(Arc<str>),
    /// The files could not even be read.
    Unread(Vec<Mistake>),
}

impl Policy {
    /// Watches the files until `stop`; a sound change is live at once, any other leaves the rules as they are.
    pub async fn run(self: Arc<Self>, stop: CancellationToken) {
        let wake = Arc::new(Notify::new());
        // Kept to the end of the loop: dropping it ends the watch.
        let watcher = watch(&self.folder, wake.clone());
        if let Err(error) = &watcher {
            tracing::warn!(%error, "no events for the policy folder; it is looked at every half second instead");
        }
        let mut seen = Fingerprint::default();
        let mut tried = Tried::Revision(self.revision());
        let mut looks = interval(limits::POLICY_POLL);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut unread = 0;
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = wake.notified() => {}
                _ = looks.tick() => {
                    unread += 1;
                    if unread < LOOKS_UNREAD && self.fingerprint().await.is_some_and(|now| now == seen) {
                        continue;
                    }
                }
            }
            unread = 0;
            tokio::select! {
                () = stop.cancelled() => return,
                settled = self.read_when_quiet() => if let Some((mark, snapshot)) = settled {
                    seen = mark;
                    self.take(snapshot, &mut tried).await;
                }
            }
        }
    }

    /// Waits until the files are quiet and reads them at one moment. A folder that never rests is read as it is after a while.
    async fn read_when_quiet(&self) -> Option<(Fingerprint, Result<Snapshot, Vec<Mistake>>)> {
        let give_up = Instant::now() + limits::POLICY_UNQUIET;
        let mut before = self.fingerprint().await?;
        loop {
            sleep(limits::POLICY_QUIET).await;
            let now = self.fingerprint().await?;
            if now == before || Instant::now() >= give_up {
                let folder = self.folder.clone();
                let snapshot = blocking(move || Snapshot::read(&folder)).await?;
                before = self.fingerprint().await?;
                if before == now || Instant::now() >= give_up {
                    return Some((before, snapshot));
                }
            } else {
                before = now;
            }
        }
    }

    async fn fingerprint(&self) -> Option<Fingerprint> {
        let folder = self.folder.clone();
        blocking(move || files::fingerprint(&folder)).await
    }

    /// Checks what was read and puts it to work, unless it is what was tried last.
    async fn take(&self, snapshot: Result<Snapshot, Vec<Mistake>>, tried: &mut Tried) {
        let now = match &snapshot {
            Ok(snapshot) => Tried::Revision(snapshot.revision.clone()),
            Err(mistakes) => Tried::Unread(mistakes.clone()),
        };
        if now == *tried {
            return;
        }
        let assembled = match snapshot {
            Ok(snapshot) => blocking(move || snapshot.assemble()).await.unwrap_or_else(|| {
                // Checking panicked, which would be a defect; the old rules stay.
                Err(vec![Mistake { file: "policies".to_owned(), line: None, message: "checking failed; see the log".to_owned() }])
            }),
            Err(mistakes) => Err(mistakes),
        };
        *tried = now;
        match assembled {
            Ok((book, summary)) => self.swap(book, &summary),
            Err(mistakes) => report_refused(&self.vitals, &mistakes, Some(&self.revision())),
        }
    }

    fn swap(&self, book: Book, summary: &Summary) {
        self.book.store(Arc::new(book));
        report_loaded(&self.vitals, summary);
    }
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
    tokio::task::spawn_blocking(work).await.inspect_err(|error| tracing::error!(%error, "reading the policy files failed")).ok()
}

fn watch(folder: &Path, wake: Arc<Notify>) -> notify::Result<RecommendedWatcher> {
    let mut watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
        // Weir's own reading is an access too, and must not wake it.
        let own = |kind| matches!(kind, EventKind::Access(access) if access != AccessKind::Close(AccessMode::Write));
        if !event.is_ok_and(|event| own(event.kind)) {
            wake.notify_one();
        }
    })?;
    watcher.watch(folder, RecursiveMode::Recursive)?;
    Ok(watcher)
}

/// New rules are at work.
pub(super) fn report_loaded(vitals: &Vitals, summary: &Summary) {
    vitals.policy_loads.get_or_create(&Word { kind: "loaded" }).inc();
    let Summary { revision, files, rules, links, cases, tenants } = summary;
    vitals.report("policy", Standing::Connected, json!({ "revision": &**revision, "rules": rules + links, "tenants": tenants }));
    tracing::info!(%revision, files, rules, links, cases, tenants, "policy files loaded");
}

/// The files do not check out; the rules of `at_work` stay.
pub(super) fn report_refused(vitals: &Vitals, mistakes: &[Mistake], at_work: Option<&str>) {
    vitals.policy_loads.get_or_create(&Word { kind: "refused" }).inc();
    let Some(first) = mistakes.first() else { return };
    let details = json!({
        "file": first.file,
        "line": first.line,
        "message": first.message,
        "mistakes": mistakes.len(),
        "revision": at_work,
    });
    vitals.report("policy", Standing::Degraded, details);
    for mistake in mistakes {
        tracing::warn!(file = mistake.file, line = mistake.line, "policy files refused, the last good ones stay: {mistake}");
    }
}
