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
use super::impact::{self, Asked};

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

    /// Waits until the files are quiet and reads them at one moment. A folder that never rests is read after a while
    /// at a moment at which nothing is being written.
    async fn read_when_quiet(&self) -> Option<(Fingerprint, Result<Snapshot, Vec<Mistake>>)> {
        let give_up = Instant::now() + limits::POLICY_UNQUIET;
        let mut before = self.fingerprint().await?;
        loop {
            sleep(limits::POLICY_QUIET).await;
            let now = self.fingerprint().await?;
            let (rested, late) = (now == before, Instant::now() >= give_up);
            before = now;
            if !rested && !late {
                continue;
            }
            let snapshot = self.snapshot().await?;
            if rested && self.fingerprint().await? == before {
                return Some((before, snapshot));
            }
            if late {
                // What is there twice was not read in the middle of being written.
                before = self.fingerprint().await?;
                sleep(limits::POLICY_STEADY).await;
                let again = self.snapshot().await?;
                if is_same(&snapshot, &again) {
                    return Some((before, again));
                }
            }
        }
    }

    async fn snapshot(&self) -> Option<Result<Snapshot, Vec<Mistake>>> {
        let folder = self.folder.clone();
        blocking(move || Snapshot::read(&folder)).await
    }

    async fn fingerprint(&self) -> Option<Fingerprint> {
        let folder = self.folder.clone();
        blocking(move || files::fingerprint(&folder)).await
    }

    /// Checks what was read and puts it to work, unless it is what was tried last.
    pub(super) async fn take(self: &Arc<Self>, snapshot: Result<Snapshot, Vec<Mistake>>, tried: &mut Tried) {
        let now = match &snapshot {
            Ok(snapshot) => Tried::Revision(snapshot.revision.clone()),
            Err(mistakes) => Tried::Unread(mistakes.clone()),
        };
        if now == *tried {
            return;
        }
        let policy = Arc::clone(self);
        let assembled = match snapshot {
            Ok(snapshot) => blocking(move || policy.assembled(&snapshot)).await.unwrap_or_else(|| {
                // Checking panicked, which would be a defect; the old rules stay.
                Err(vec![Mistake { file: "policies".to_owned(), line: None, message: "checking failed; see the log".to_owned() }])
            }),
            Err(mistakes) => Err(mistakes),
        };
        *tried = now;
        match assembled {
            Ok((book, summary)) => self.swap(book, &summary).await,
            Err(mistakes) => report_refused(&self.vitals, &mistakes, Some(&self.revision())),
        }
    }

    /// The book of a change, unless it lets somebody into another tenant who was kept out lately, and nobody said that it should.
    fn assembled(&self, snapshot: &Snapshot) -> Result<(Book, Summary), Vec<Mistake>> {
        let (book, summary) = snapshot.assemble()?;
        let crossings = self.crossings.load();
        let now = self.book.load();
        let crosses = |asked: &&Asked| {
            let caller = asked.caller();
            let was = now.decide(&caller, asked.action, &asked.object);
            was.is_err() && !book.means(asked) && book.decide(&caller, asked.action, &asked.object).is_ok()
        };
        // Who came lately comes again: not in a request are their rules made ready.
        book.make_ready_as(&now);
        let mistakes: Vec<Mistake> =
            crossings.iter().filter(crosses).take(limits::ERROR_DETAILS).map(|asked| crossing(&book, asked)).collect();
        if mistakes.is_empty() { Ok((book, summary)) } else { Err(mistakes) }
    }

    async fn swap(&self, book: Book, summary: &Summary) {
        let mut gone = self.book.swap(Arc::new(book));
        report_loaded(&self.vitals, summary);
        // Whoever held the old rules when they went would be the one to take them apart: tens of milliseconds, where there are many.
        let until = Instant::now() + limits::POLICY_FAREWELL;
        while Instant::now() < until {
            match Arc::try_unwrap(gone) {
                Ok(book) => {
                    blocking(move || drop(book)).await;
                    return;
                }
                Err(held) => gone = held,
            }
            sleep(limits::POLICY_HELD).await;
        }
    }
}

fn is_same(one: &Result<Snapshot, Vec<Mistake>>, other: &Result<Snapshot, Vec<Mistake>>) -> bool {
    match (one, other) {
        (Ok(one), Ok(other)) => one.revision == other.revision,
        (Err(one), Err(other)) => one == other,
        _ => false,
    }
}

/// What keeps a book from being put to work that lets somebody cross a tenant.
fn crossing(book: &Book, asked: &Asked) -> Mistake {
    let Asked { tenant, action, object, .. } = asked;
    let name = impact::name(asked);
    let rule = book.decide(&asked.caller(), *action, object).unwrap_or_default();
    // The rule's sentence begins with where it stands.
    let place = rule.split(' ').next().unwrap_or_default();
    let (file, line) = place.rsplit_once(':').map_or((place, None), |(file, line)| (file, line.parse().ok()));
    let message = format!(
        "this lets {name} {} {object} in tenant {tenant}, which reaches beyond its own tenant and was denied lately; if that is meant, say so \
         by a case in a `.test.csv`: `allow, {name}, {tenant}, {object}, {action}`",
        super::verb(*action)
    );
    Mistake { file: file.to_owned(), line, message }
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
