//! Who may do what: `authorise` → [`Permit`] or [`Denied`] with its reasons.
//!
//! casbin decides, over files that were read strictly ([`files`]), had their cases run, and were swapped in whole. This is the only place
//! that can make a [`Permit`], and no store acts without one. Explaining a decision is making it: there is no second path.
//! It must not know HTTP, SQL or who authenticated the caller.
//!
//! Rules know a caller by its qualified name, `<home tenant>/<subject>`: tenants name their users and tokens as they like, so a bare name
//! in a rule means the rule's own tenant's, and a rule for all tenants has to say whose it means. Weir's own parts (`service:…`, `job:…`)
//! have no home. `/platform/tenants` belongs to no tenant: only rules and links for `*` count there.

pub mod ask;
mod book;
mod conf;
pub mod files;
pub mod impact;
mod line;
mod pattern;
mod reach;
pub mod record;
mod roles;
pub mod scope;
mod watch;

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arc_swap::ArcSwap;
use prometheus_client::metrics::counter::Counter;

use crate::error::{Error, Kind};
use crate::model::{Action, Bearer, Caller, Resource, Subject, Tenant};
use crate::vitals::{Vitals, Word};

pub use files::{Mistake, Summary};
pub use reach::{Collection, Reach};

use ask::Rulebook;
use book::Book;
use files::Snapshot;
use impact::Asked;
use reach::Reached;
use record::{Noted, Record};
use uuid::Uuid;

/// What a policy is made from.
#[derive(Clone, Debug)]
pub struct Options {
    /// The folder with `model.conf` and the rules.
    pub folder: PathBuf,
    /// Where loads and decisions are counted and the state is shown.
    pub vitals: Arc<Vitals>,
    /// Of so many allowed decisions one is logged; of 0, none. Denied ones all are.
    pub log_allowed: u64,
}

/// The rules at work.
pub struct Policy {
    folder: PathBuf,
    vitals: Arc<Vitals>,
    book: ArcSwap<Book>,
    allowed: Counter,
    denied: Counter,
    unrecorded: Counter,
    log_allowed: u64,
    /// Allowed decisions since the last one that was logged.
    unlogged: AtomicU64,
    record: Record,
    /// Requests that were denied lately and would have crossed a tenant.
    crossings: ArcSwap<Vec<Asked>>,
}

impl fmt::Debug for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Policy").field("folder", &self.folder).field("revision", &self.revision()).finish_non_exhaustive()
    }
}

impl Policy {
    /// Reads and checks the files; at a start there is no last good one, so any mistake is an error. It blocks.
    pub fn load(options: Options) -> Result<Self, Vec<Mistake>> {
        let Options { folder, vitals, log_allowed } = options;
        let (book, summary) = Snapshot::read(&folder)
            .and_then(|snapshot| snapshot.assemble())
            .inspect_err(|mistakes| watch::report_refused(&vitals, mistakes, None))?;
        watch::report_loaded(&vitals, &summary);
        let counted = |kind| vitals.decisions.get_or_create(&Word { kind }).clone();
        let (allowed, denied, unrecorded) = (counted("allowed"), counted("denied"), counted("unrecorded"));
        Ok(Self {
            folder,
            vitals,
            book: ArcSwap::from_pointee(book),
            allowed,
            denied,
            unrecorded,
            log_allowed,
            unlogged: AtomicU64::new(0),
            record: Record::default(),
            crossings: ArcSwap::default(),
        })
    }

    /// The revision of the rules at work: a short hash of all files.
    pub fn revision(&self) -> Arc<str> {
        self.book.load().revision.clone()
    }

    /// The rules at work, to be asked about.
    pub fn rulebook(&self) -> Rulebook {
        Rulebook(self.book.load_full())
    }

    /// The files at work, by their names beneath the folder.
    pub fn texts(&self) -> Vec<(String, String)> {
        let beneath = |name: &str| name.split_once('/').map_or(name, |(_, rest)| rest).to_owned();
        self.book.load().files.iter().map(|(name, text)| (beneath(name), text.clone())).collect()
    }

    /// The files at work with others in their places, checked as a change of the folder would be: a text, or `None` where a file is to go.
    /// It blocks.
    pub fn with(&self, changes: &BTreeMap<String, Option<String>>) -> Result<(Rulebook, Summary), Vec<Mistake>> {
        let (book, summary) = Snapshot::with(&self.book.load().files, changes)?.assemble()?;
        Ok((Rulebook(Arc::new(book)), summary))
    }

    /// What was decided lately.
    pub fn record(&self) -> &Record {
        &self.record
    }

    /// Says which requests were denied lately that would have crossed a tenant: rules that allow one of them are refused.
    pub fn set_crossings(&self, asked: Vec<Asked>) {
        self.crossings.store(Arc::new(asked));
    }

    /// The roles that the caller has in the tenant that it acts in, by name.
    pub fn roles(&self, caller: &Caller) -> Vec<String> {
        self.book.load().roles(caller)
    }

    /// Whether the caller may do it. It never waits for anything but, the first time, casbin.
    pub fn authorise(&self, caller: &Caller, action: Action, resource: &Resource) -> Result<Permit, Denied> {
        self.authorise_by(&self.book.load(), caller, action, resource)
    }

    /// The same decision for whoever only wants to know it: nobody asked to do it, so it is neither counted nor on record.
    pub fn consider(&self, caller: &Caller, action: Action, resource: &Resource) -> Result<Permit, Denied> {
        let book = self.book.load();
        // Who explains a list says what enforces it.
        let decision = book.decide(caller, action, resource).map_err(|reason| match book.lists_some(caller, action, resource) {
            Some(rule) => format!("{reason}; a list of it is answered all the same, limited to what rules allow: {rule}").into(),
            None => reason,
        });
        let decision = scoped(decision, caller, action, resource);
        decision
            .map(|rule| permit(&book, caller, action, resource, rule))
            .map_err(|why| denied(&book, caller, action, resource, why))
    }

    /// The same for many resources, all by one revision; in their order.
    pub fn authorise_each(&self, caller: &Caller, action: Action, resources: &[Resource]) -> Vec<Result<Permit, Denied>> {
        let book = self.book.load();
        let decisions: Vec<_> = resources.iter().map(|resource| self.decide(&book, caller, action, resource)).collect();
        // A batch of a thousand sensors that are denied for one reason is one line.
        let mut denied = decisions.iter().filter_map(|decision| decision.as_ref().err());
        if let Some(first) = denied.next() {
            log_denied(first, 1 + denied.count());
        }
        decisions
    }

    /// Whether the caller may do it to a collection's things, and to which: the permit's reach. A rule for some of them is enough, and a
    /// reach that turns out to be empty is one. No: where a rule denies the list as a whole, or none allows anything in it.
    pub fn authorise_list(&self, caller: &Caller, action: Action, collection: &Collection) -> Result<Permit, Denied> {
        let book = self.book.load();
        self.authorise_list_by(&book, caller, action, collection)
    }

    /// The same for readings: of one sensor, or a list of them. Its reach of topics is what no rule denies.
    pub fn authorise_readings(
        &self,
        caller: &Caller,
        action: Action,
        sensor: Option<&str>,
        topic: Option<&str>,
    ) -> Result<Permit, Denied> {
        let book = self.book.load();
        let permit = match (sensor, topic.filter(|topic| !topic.is_empty())) {
            (Some(sensor), _) => self.authorise_by(&book, caller, action, &Resource::sensor(sensor))?,
            (None, Some(topic)) => self.authorise_list_by(&book, caller, action, &Collection::of_topic(topic))?,
            (None, None) => self.authorise_list_by(&book, caller, action, &Collection::sensors())?,
        };
        let topics = book
            .reach(caller, action, &Collection::topics())
            .map_err(|reason| self.denied(&book, caller, action, permit.resource(), (false, reason.into())))?;
        Ok(Permit { topics: Some(topics.reach.denials().into()), ..permit })
    }

    fn authorise_by(&self, book: &Book, caller: &Caller, action: Action, resource: &Resource) -> Result<Permit, Denied> {
        self.decide(book, caller, action, resource).inspect_err(|denied| log_denied(denied, 1))
    }

    fn decide(&self, book: &Book, caller: &Caller, action: Action, resource: &Resource) -> Result<Permit, Denied> {
        let (decision, first) = book.decide_in(self.record.round(), caller, action, resource);
        if first {
            self.note(book, caller, action, resource, decision.is_ok());
        }
        match scoped(decision, caller, action, resource) {
            Ok(rule) => Ok(self.permit(book, caller, action, resource, rule)),
            Err(why) => Err(self.denied(book, caller, action, resource, why)),
        }
    }

    fn note(&self, book: &Book, caller: &Caller, action: Action, resource: &Resource, allowed: bool) {
        let noted = || Noted { asked: Asked::of(caller, action, resource), allowed, revision: book.revision.clone() };
        if !self.record.note(noted) {
            self.unrecorded.inc();
        }
    }

    fn authorise_list_by(&self, book: &Book, caller: &Caller, action: Action, collection: &Collection) -> Result<Permit, Denied> {
        let whole = collection.whole();
        let deny = |why| Err(self.denied(book, caller, action, whole, why)).inspect_err(|denied| log_denied(denied, 1));
        let Reached { reach, rule: of_some } = match book.reach(caller, action, collection) {
            Ok(reached) => reached,
            Err(reason) => return deny((false, reason.into())),
        };
        let (decision, first) = book.decide_in(self.record.round(), caller, action, whole);
        if first {
            self.note(book, caller, action, whole, decision.is_ok());
        }
        let rule = match (decision, of_some) {
            (Ok(rule), _) => rule,
            (Err(_), Some(rule)) if !book.denies(caller, action, whole) => rule,
            (Err(reason), _) => return deny((false, reason)),
        };
        let bearer = caller.bearer.as_deref();
        let reach = reach.within(bearer, action, collection);
        if reach.is_out_of_scope()
            && let Some(reason) = scope::outside(bearer, action, whole)
        {
            return deny((true, reason));
        }
        if !reach.is_bounded() {
            return deny((false, "the rules name more things than a list can be limited to; name one of them".into()));
        }
        Ok(Permit { reach: Some(reach.into()), ..self.permit(book, caller, action, whole, rule) })
    }

    fn permit(&self, book: &Book, caller: &Caller, action: Action, resource: &Resource, rule: Arc<str>) -> Permit {
        self.allowed.inc();
        if self.log_allowed > 0 && self.unlogged.fetch_add(1, Ordering::Relaxed) + 1 >= self.log_allowed {
            self.unlogged.store(0, Ordering::Relaxed);
            let Caller { subject, home, tenant, request_id, .. } = caller;
            let revision = &*book.revision;
            tracing::info!(target: "weir::decisions", %subject, %home, %tenant, %action, object = %resource, rule = &*rule, revision,
                request_id = &**request_id, "the policy allows {subject} to {} {resource} in tenant {tenant}", verb(action));
        }
        permit(book, caller, action, resource, rule)
    }

    fn denied(&self, book: &Book, caller: &Caller, action: Action, object: &Resource, why: Why) -> Denied {
        self.denied.inc();
        denied(book, caller, action, object, why)
    }
}

/// Why something is denied: whether it is for the scopes, and the reason.
type Why = (bool, Arc<str>);

/// A decision within the scopes of a token. They take away and never give: what the policy denies is denied for its own reason.
fn scoped(decision: book::Decision, caller: &Caller, action: Action, resource: &Resource) -> Result<Arc<str>, Why> {
    let rule = decision.map_err(|reason| (false, reason))?;
    scope::outside(caller.bearer.as_deref(), action, resource).map_or(Ok(rule), |reason| Err((true, reason)))
}

fn permit(book: &Book, caller: &Caller, action: Action, resource: &Resource, rule: Arc<str>) -> Permit {
    Permit {
        caller: caller.clone(),
        action,
        resource: resource.clone(),
        rule,
        revision: book.revision.clone(),
        reach: None,
        topics: None,
    }
}

fn denied(book: &Book, caller: &Caller, action: Action, object: &Resource, (scoped, reason): Why) -> Denied {
    Denied {
        subject: caller.subject.clone(),
        home: caller.home.clone(),
        tenant: caller.tenant.clone(),
        action,
        object: object.clone(),
        revision: book.revision.clone(),
        reason,
        scoped,
    }
}

/// The policy's yes to one caller, action and resource. Only [`Policy::authorise`] makes one; stores ask for it.
#[derive(Clone, Debug)]
pub struct Permit {
    caller: Caller,
    action: Action,
    resource: Resource,
    rule: Arc<str>,
    revision: Arc<str>,
    /// `None` for everything.
    reach: Option<Arc<Reach>>,
    topics: Option<Arc<Reach>>,
}

impl Permit {
    /// The tenant whose data may be touched.
    pub fn tenant(&self) -> &Tenant {
        &self.caller.tenant
    }

    /// The tenant that the caller's credential belongs to.
    pub fn home(&self) -> &Tenant {
        &self.caller.home
    }

    /// Who acts.
    pub fn subject(&self) -> &Subject {
        &self.caller.subject
    }

    /// What the caller showed to be who it is.
    pub fn bearer(&self) -> Option<&Arc<Bearer>> {
        self.caller.bearer.as_ref()
    }

    /// What is allowed.
    pub fn action(&self) -> Action {
        self.action
    }

    /// What it is allowed on.
    pub fn resource(&self) -> &Resource {
        &self.resource
    }

    /// Which names of a list are within reach. A permit for one thing has no limit beside that thing.
    pub fn reach(&self) -> &Reach {
        self.reach.as_deref().unwrap_or(Reach::everything())
    }

    /// Which topics of readings are within reach.
    pub fn topics(&self) -> &Reach {
        self.topics.as_deref().unwrap_or(Reach::everything())
    }

    /// The rule that allows it and where it stands, in a sentence. For whoever may have decisions explained.
    pub fn rule(&self) -> &str {
        &self.rule
    }

    /// The claim of an idempotency key that its request is done under.
    pub fn claim(&self) -> Option<Uuid> {
        self.caller.attempt.claim
    }

    /// The revision of the rules that allowed it.
    pub fn revision(&self) -> &Arc<str> {
        &self.revision
    }

    /// The request that it serves.
    pub fn request_id(&self) -> &Arc<str> {
        &self.caller.request_id
    }
}

#[cfg(test)]
impl Permit {
    /// A permit of nobody in particular, for tests of the stores.
    pub(crate) fn stub(tenant: &crate::model::Tenant) -> Self {
        let caller = Caller::service("test", tenant, "test");
        Self {
            caller,
            action: Action::Admin,
            resource: Resource::named("/**"),
            rule: "".into(),
            revision: "test".into(),
            reach: None,
            topics: None,
        }
    }
}

/// The policy's no.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Denied {
    /// Who asked.
    pub subject: Subject,
    /// The tenant that the credential belongs to.
    pub home: Tenant,
    /// The tenant that it wanted to act in.
    pub tenant: Tenant,
    /// What it wanted to do.
    pub action: Action,
    /// To what.
    pub object: Resource,
    /// The revision of the rules that said no.
    pub revision: Arc<str>,
    /// The rules that came nearest, for the log and the audit; not for the client.
    pub reason: Arc<str>,
    /// True where the policy allows it and the scopes of the caller's token do not.
    pub scoped: bool,
}

/// The sentence for the client: what it knows already, and nothing of the rules.
impl fmt::Display for Denied {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { subject, home, tenant, action, object, .. } = self;
        let who = if self.scoped { "scopes of this token do" } else { "policy does" };
        write!(f, "The {who} not allow {subject} ")?;
        if home != tenant {
            write!(f, "of tenant {home} ")?;
        }
        write!(f, "to {} {object} in tenant {tenant}.", verb(*action))
    }
}

/// Writes a denial, or several of one reason, to the log.
fn log_denied(denied: &Denied, number: usize) {
    let Denied { subject, home, tenant, action, object, revision, reason, .. } = denied;
    tracing::info!(target: "weir::decisions", %subject, %home, %tenant, %action, %object, reason = &**reason, revision = &**revision,
        number, "{denied}");
}

fn verb(action: Action) -> &'static str {
    match action {
        Action::Admin => "administer",
        other => other.as_str(),
    }
}

impl From<Denied> for Error {
    fn from(denied: Denied) -> Self {
        let cause = format!("{} (policy revision {})", denied.reason, denied.revision);
        Self::new(Kind::Forbidden, denied.to_string()).caused_by(cause)
    }
}

#[cfg(test)]
mod tests;
