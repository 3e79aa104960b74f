//! The rules of one revision, ready to decide.
//!
//! casbin decides; what is here makes it quick. A tenant has an enforcer of its own, with its rules and those for `*`. A rule whose
//! pattern does not cover the path has no say, so casbin is shown only the rules whose pattern does, and a decision holds for every path
//! that the same patterns cover: it is kept by (patterns, action, subject). Tests hold all of it against plain casbin over all rules.

use std::borrow::Borrow;
use std::cell::RefCell;
use std::collections::HashSet;
use std::fmt::Write as _;
use std::hash::Hash;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, OnceLock};

use casbin::function_map::{OperatorFunction, dynamic_to_str};
use casbin::rhai::Dynamic;
use casbin::{CoreApi, DefaultModel, Enforcer};
use futures_util::FutureExt;
use parking_lot::{Mutex, RwLock};

use crate::limits;
use crate::model::{Action, Caller, Resource, Tenant};

use super::files::Place;
use super::impact::Asked;
use super::line::{self, Link, Rule};
use super::pattern::{self, Quick, Set};
use super::reach::{Collection, Reached};
use super::roles;

/// A line with where it stands.
#[derive(Clone, Debug)]
pub(super) struct Placed<T> {
    pub(super) what: T,
    pub(super) place: Place,
}

/// Allowed, with the rule that allows it, or denied with the reason for the log.
pub(super) type Decision = Result<Arc<str>, Arc<str>>;

/// All rules of one revision.
pub(super) struct Book {
    pub(super) revision: Arc<str>,
    /// The files that it was made from, with their texts.
    pub(super) files: Vec<(Arc<str>, String)>,
    /// Subjects that a case lets do something in a tenant. Whoever writes one means it.
    pub(super) meant: HashSet<(String, Tenant)>,
    model: DefaultModel,
    pub(super) rules: Vec<Placed<Rule>>,
    pub(super) links: Vec<Placed<Link>>,
    /// The rules for `*` alone: for tenants without rules of their own, and for what belongs to no tenant.
    pub(super) everywhere: Domain,
    own: Quick<Tenant, Own>,
}

/// What a tenant adds; its domain is built when the tenant first comes, since most of many may not;
/// one with many rules is built at once.
#[derive(Default)]
struct Own {
    rules: Vec<usize>,
    links: Vec<usize>,
    domain: OnceLock<Result<Domain, String>>,
}

impl Book {
    /// Builds the book; the error says what casbin refused.
    pub(super) fn new(
        revision: Arc<str>,
        model: DefaultModel,
        rules: Vec<Placed<Rule>>,
        links: Vec<Placed<Link>>,
    ) -> Result<Self, String> {
        let mut own: Quick<Tenant, Own> = Quick::default();
        let mut all = Own::default();
        for (index, rule) in rules.iter().enumerate() {
            let owner = rule.what.tenant.as_ref();
            owner.map_or(&mut all, |tenant| own.entry(tenant.clone()).or_default()).rules.push(index);
        }
        for (index, link) in links.iter().enumerate() {
            let owner = link.what.tenant.as_ref();
            owner.map_or(&mut all, |tenant| own.entry(tenant.clone()).or_default()).links.push(index);
        }
        for tenant in own.values_mut() {
            tenant.rules.extend(&all.rules);
            tenant.links.extend(&all.links);
        }
        let everywhere = Domain::new("*", &model, &rules, &links, &all)?;
        // Building many rules takes time that no request should wait for.
        for (tenant, own) in own.iter().filter(|(_, own)| own.rules.len() + own.links.len() > limits::POLICY_RULES_AT_ONCE) {
            let built = Domain::new(tenant.as_str(), &model, &rules, &links, own)?;
            own.domain.get_or_init(|| Ok(built));
        }
        Ok(Self { revision, files: Vec::new(), meant: HashSet::new(), model, rules, links, everywhere, own })
    }

    /// Makes the rules of those tenants ready that are ready in a book that was at work.
    pub(super) fn make_ready_as(&self, other: &Self) {
        let came = other.own.iter().filter(|(_, own)| own.domain.get().is_some()).map(|(tenant, _)| tenant);
        for (tenant, own) in came.filter_map(|tenant| self.own.get_key_value(tenant)) {
            own.domain.get_or_init(|| Domain::new(tenant.as_str(), &self.model, &self.rules, &self.links, own));
        }
    }

    /// The tenants that have rules of their own.
    pub(super) fn owners(&self) -> impl Iterator<Item = &Tenant> {
        self.own.keys()
    }

    /// Whether a case says that whoever asks this may do something there.
    pub(super) fn means(&self, asked: &Asked) -> bool {
        self.meant.contains(&(line::qualified(&asked.home, &asked.subject), asked.tenant.clone()))
    }

    /// Whether the rules allow it, and why not.
    pub(super) fn decide(&self, caller: &Caller, action: Action, resource: &Resource) -> Decision {
        match self.domain(&caller.tenant, resource) {
            Ok(domain) => {
                let subject = line::pieces(&caller.home, &caller.subject);
                domain.look_up(&self.rules, subject, action, resource.as_str(), None).0
            }
            Err(message) => Err(message.as_str().into()),
        }
    }

    /// The same, and whether it is the first of its kind in this round.
    pub(super) fn decide_in(&self, round: u32, caller: &Caller, action: Action, resource: &Resource) -> (Decision, bool) {
        match self.domain(&caller.tenant, resource) {
            Ok(domain) => {
                let subject = line::pieces(&caller.home, &caller.subject);
                domain.look_up(&self.rules, subject, action, resource.as_str(), Some(round))
            }
            Err(message) => (Err(message.as_str().into()), false),
        }
    }

    /// What of a collection the caller may do this to.
    pub(super) fn reach(&self, caller: &Caller, action: Action, collection: &Collection) -> Result<Reached, String> {
        let subject = line::qualified(&caller.home, &caller.subject);
        let domain = self.domain(&caller.tenant, collection.whole()).map_err(Clone::clone)?;
        Ok(domain.reach(&self.rules, &subject, action, collection))
    }

    /// Whether a rule denies it, and not only that none allows it.
    pub(super) fn denies(&self, caller: &Caller, action: Action, resource: &Resource) -> bool {
        let subject = line::qualified(&caller.home, &caller.subject);
        self.domain(&caller.tenant, resource).is_ok_and(|domain| domain.denies_whole(&self.rules, &subject, action, resource))
    }

    /// The rule by which a list is answered, limited to some of its things, although none allows it as a whole.
    pub(super) fn lists_some(&self, caller: &Caller, action: Action, resource: &Resource) -> Option<Arc<str>> {
        let reached = self.reach(caller, action, &Collection::listed_at(resource)?).ok()?;
        reached.rule.filter(|_| !self.denies(caller, action, resource))
    }

    /// The roles that the caller has in the tenant that it acts in, roles of roles included.
    pub(super) fn roles(&self, caller: &Caller) -> Vec<String> {
        let subject = line::qualified(&caller.home, &caller.subject);
        let links = self.links.iter().map(|link| &link.what);
        roles::of(links.filter(|link| link.tenant.as_ref().is_none_or(|tenant| *tenant == caller.tenant)), &subject)
    }

    /// The tenants themselves belong to no tenant: whatever a tenant's file says, it cannot speak of them.
    pub(super) fn domain(&self, tenant: &Tenant, resource: &Resource) -> Result<&Domain, &String> {
        match self.own.get(tenant) {
            Some(own) if !pattern::is_over_tenants(resource.as_str()) => {
                let build = || Domain::new(tenant.as_str(), &self.model, &self.rules, &self.links, own);
                own.domain.get_or_init(build).as_ref()
            }
            _ => Ok(&self.everywhere),
        }
    }
}

/// A decision that is kept.
pub(super) struct Known {
    decision: Decision,
    /// The round that it was last noted in.
    noted: AtomicU32,
}

impl Known {
    fn is_first(&self, round: Option<u32>) -> bool {
        let noted = |round| self.noted.load(Ordering::Relaxed) != round && self.noted.swap(round, Ordering::Relaxed) != round;
        round.is_some_and(noted)
    }
}

thread_local! {
    /// The numbers of a look-up and what it is kept by: in one place for all of a thread, since most end with what is kept.
    static SCRATCH: RefCell<(Vec<u32>, Vec<u8>)> = RefCell::default();
}

/// A tenant's rules and those for `*`, with casbin over them.
pub(super) struct Domain {
    name: String,
    patterns: Set,
    /// The rules of each pattern, by its number.
    by_pattern: Vec<Vec<usize>>,
    casbin: Mutex<Enforcer>,
    kept: RwLock<Kept<Box<[u8]>, Arc<Known>>>,
    /// What subjects reach of collections.
    pub(super) reaches: RwLock<Kept<(String, Action, String), Reached>>,
}

impl Domain {
    fn new(
        name: &str,
        model: &DefaultModel,
        rules: &[Placed<Rule>],
        links: &[Placed<Link>],
        which: &Own,
    ) -> Result<Self, String> {
        let mut patterns = Set::new();
        let mut by_pattern: Vec<Vec<usize>> = Vec::new();
        for index in &which.rules {
            let fresh = u32::try_from(by_pattern.len()).map_err(|e| e.to_string())?;
            let id = patterns.insert(&rules[*index].what.object, fresh) as usize;
            if id == by_pattern.len() {
                by_pattern.push(Vec::new());
            }
            by_pattern[id].push(*index);
        }
        let links = which.links.iter().map(|index| &links[*index].what);
        let casbin = enforcer(name, model, links)?;
        Ok(Self {
            name: name.to_owned(),
            patterns,
            by_pattern,
            casbin: Mutex::new(casbin),
            kept: RwLock::new(Kept::of(limits::DECISIONS_CACHED)),
            reaches: RwLock::new(Kept::of(limits::REACHES_CACHED)),
        })
    }

    /// Its rules, those for `*` included.
    pub(super) fn rules<'a>(&'a self, rules: &'a [Placed<Rule>]) -> impl Iterator<Item = &'a Placed<Rule>> {
        self.by_pattern.iter().flatten().map(|index| &rules[*index])
    }

    /// Whether a rule speaks of a subject, by its name or by a role, as casbin sees it.
    pub(super) fn applies(&self, subject: &str) -> impl Fn(&Rule) -> bool {
        let roles = self.casbin.lock().get_role_manager();
        move |rule| rule.subject == subject || roles.read().has_link(subject, &rule.subject, Some(&self.name))
    }

    pub(super) fn decide(&self, rules: &[Placed<Rule>], subject: &str, action: Action, path: &str) -> Decision {
        self.look_up(rules, ["", "", subject], action, path, None).0
    }

    /// The decision, and whether it is the first of its kind in this round, where one is given. The subject's name is in pieces.
    fn look_up(
        &self,
        rules: &[Placed<Rule>],
        subject: [&str; 3],
        action: Action,
        path: &str,
        round: Option<u32>,
    ) -> (Decision, bool) {
        let kept = SCRATCH.with_borrow_mut(|(matching, key)| {
            self.patterns.matching_into(path, matching);
            write_key(key, matching, action, subject);
            let kept = self.kept.read().look(&key[..], |known| (known.decision.clone(), known.is_first(round)));
            kept.ok_or_else(|| (matching.clone(), key.clone()))
        });
        match kept {
            Ok(kept) => kept,
            Err((matching, key)) => self.look_up_afresh(rules, &subject.concat(), action, path, round, (&matching, key)),
        }
    }

    fn look_up_afresh(
        &self,
        rules: &[Placed<Rule>],
        subject: &str,
        action: Action,
        path: &str,
        round: Option<u32>,
        (matching, key): (&[u32], Vec<u8>),
    ) -> (Decision, bool) {
        let candidates: Vec<&Placed<Rule>> =
            matching.iter().flat_map(|id| &self.by_pattern[*id as usize]).map(|index| &rules[*index]).collect();
        let decision = self.decide_afresh(&candidates, subject, action, path);
        // What casbin failed at is not kept: the next request may try again.
        match decision {
            Ok(decision) => {
                let known = Known { decision: decision.clone(), noted: AtomicU32::new(0) };
                let first = known.is_first(round);
                self.kept.write().put(key.into(), Arc::new(known));
                (decision, first)
            }
            Err(failure) => {
                tracing::error!(subject, action = action.as_str(), path, failure, "casbin failed; the request is denied");
                (Err("casbin failed; the log says how".into()), round.is_some())
            }
        }
    }

    /// Asks casbin, showing it `candidates` only. The error is casbin's own failure.
    fn decide_afresh(&self, candidates: &[&Placed<Rule>], subject: &str, action: Action, path: &str) -> Result<Decision, String> {
        if candidates.is_empty() {
            return Ok(Err(format!("no rule's object covers {path}").into()));
        }
        let mut casbin = self.casbin.lock();
        let asked = catch_unwind(AssertUnwindSafe(|| {
            let model = casbin.get_mut_model().get_mut_model();
            let shown = model.get_mut("p").and_then(|p| p.get_mut("p")).ok_or("the model lost its `p`")?.get_mut_policy();
            shown.clear();
            for rule in candidates.iter().filter(|rule| rule.what.action.is_none_or(|of| of == action)) {
                shown.insert(row(&rule.what));
            }
            if shown.is_empty() {
                return Ok(false);
            }
            casbin.enforce((subject, self.name.as_str(), path, action.as_str())).map_err(|error| error.to_string())
        }));
        match asked {
            Ok(Ok(true)) => Ok(Ok(self.allowing(&casbin, candidates, subject, action).into())),
            Ok(Ok(false)) => Ok(Err(self.reason(&casbin, candidates, subject, action, path).into())),
            Ok(Err(failure)) => Err(failure),
            Err(_) => Err("it panicked".to_owned()),
        }
    }

    /// The first rule that allows it, in one sentence.
    fn allowing(&self, casbin: &Enforcer, candidates: &[&Placed<Rule>], subject: &str, action: Action) -> String {
        let roles = casbin.get_role_manager();
        let roles = roles.read();
        let allows = |rule: &Rule| {
            rule.allow
                && rule.action.is_none_or(|of| of == action)
                && (rule.subject == subject || roles.has_link(subject, &rule.subject, Some(&self.name)))
        };
        let rule = candidates.iter().find(|rule| allows(&rule.what));
        rule.map_or_else(String::new, |rule| format!("{} allows it to {}", rule.place, rule.what.subject))
    }

    /// Which rules came nearest, in one sentence for the log.
    fn reason(&self, casbin: &Enforcer, candidates: &[&Placed<Rule>], subject: &str, action: Action, path: &str) -> String {
        const NAMED: usize = 3;
        let roles = casbin.get_role_manager();
        let roles = roles.read();
        let applies = |rule: &Rule| rule.subject == subject || roles.has_link(subject, &rule.subject, Some(&self.name));
        let acts = |rule: &Rule| rule.action.is_none_or(|of| of == action);
        if let Some(rule) = candidates.iter().find(|rule| !rule.what.allow && acts(&rule.what) && applies(&rule.what)) {
            return format!("{} denies it to {}", rule.place, rule.what.subject);
        }
        let other_action = candidates.iter().filter(|rule| rule.what.allow && !acts(&rule.what) && applies(&rule.what));
        let other_subject = candidates.iter().filter(|rule| rule.what.allow && acts(&rule.what));
        let mut said = String::new();
        for rule in other_action.take(NAMED) {
            let allowed = rule.what.action.map_or("*", Action::as_str);
            let _ = write!(said, "; {} allows {allowed} but not {action}", rule.place);
        }
        if said.is_empty() {
            for rule in other_subject.take(NAMED) {
                let _ = write!(said, "; {} allows it to {}, which {subject} is not", rule.place, rule.what.subject);
            }
        }
        match said.strip_prefix("; ") {
            Some(said) => said.to_owned(),
            None => format!("no rule allows {action} on {path}"),
        }
    }
}

/// A rule as casbin has it.
fn row(rule: &Rule) -> Vec<String> {
    let tenant = rule.tenant.as_ref().map_or("*", Tenant::as_str);
    let action = rule.action.map_or("*", Action::as_str);
    let effect = if rule.allow { "allow" } else { "deny" };
    [&rule.subject, tenant, rule.object.as_str(), action, effect].map(str::to_owned).into()
}

/// casbin with the links of one domain; those for `*` hold in it as if they named it.
fn enforcer<'a>(name: &str, model: &DefaultModel, links: impl Iterator<Item = &'a Link>) -> Result<Enforcer, String> {
    // Nothing in it waits, since neither model nor rules come from a file.
    let made = Enforcer::new_raw(model.clone(), ()).now_or_never().ok_or("casbin waited while it was built")?;
    let mut casbin = made.map_err(|error| error.to_string())?;
    casbin.add_function("pathMatch", OperatorFunction::Arg2(path_match));
    let rows = links.map(|link| vec![link.member.clone(), link.role.clone(), name.to_owned()]).collect();
    casbin.get_mut_model().add_policies("g", "g", rows);
    casbin.build_role_links().map_err(|error| error.to_string())?;
    Ok(casbin)
}

#[expect(clippy::needless_pass_by_value, reason = "casbin's signature")]
fn path_match(path: Dynamic, pattern: Dynamic) -> Dynamic {
    pattern::matches(&dynamic_to_str(&pattern), &dynamic_to_str(&path)).into()
}

/// What a decision is kept by. The count stands before the numbers, and the subject is the rest, so that no two keys run together.
fn write_key(key: &mut Vec<u8>, matching: &[u32], action: Action, subject: [&str; 3]) {
    key.clear();
    key.push(action as u8);
    key.extend(matching.len().to_le_bytes());
    for id in matching {
        key.extend(id.to_le_bytes());
    }
    for piece in subject {
        key.extend(piece.as_bytes());
    }
}

/// What was found out, in two generations: when the younger is full the older goes, and what was asked lately stays.
pub(super) struct Kept<K, V> {
    most: usize,
    young: Quick<K, V>,
    old: Quick<K, V>,
}

impl<K: Hash + Eq, V: Clone> Kept<K, V> {
    fn of(most: usize) -> Self {
        Self { most, young: Quick::default(), old: Quick::default() }
    }

    pub(super) fn get<Q: Hash + Eq + ?Sized>(&self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
    {
        self.look(key, V::clone)
    }

    /// What of it is wanted.
    fn look<Q: Hash + Eq + ?Sized, T>(&self, key: &Q, what: impl Fn(&V) -> T) -> Option<T>
    where
        K: Borrow<Q>,
    {
        self.young.get(key).or_else(|| self.old.get(key)).map(what)
    }

    pub(super) fn put(&mut self, key: K, value: V) {
        if self.young.len() >= self.most / 2 {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(key, value);
    }
}

#[cfg(test)]
#[path = "book_tests.rs"]
mod tests;
