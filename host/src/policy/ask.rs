//! Questions about rules: what a decision rests on, who may do something, what somebody may do.
//!
//! They are asked of the rules at work or of files that nobody has put to work yet, and answered by what decides requests: who may do
//! something is whoever it is decided for.

use std::collections::BTreeSet;
use std::fmt;
use std::path::Path;
use std::sync::Arc;

use serde::Serialize;
use utoipa::ToSchema;

use super::book::{Book, Domain, Placed};
use super::files::{self, Mistake, Snapshot, Summary};
use super::line::{self, Rule};
use super::pattern;
use crate::limits;
use crate::model::{Action, Caller, Resource, Tenant};

/// Rules that questions may be asked of.
#[derive(Clone)]
pub struct Rulebook(pub(super) Arc<Book>);

impl fmt::Debug for Rulebook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Rulebook").field(&self.0.revision).finish()
    }
}

/// Why something is decided as it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = PolicyExplanation)]
pub struct Explanation {
    /// Whether it is allowed.
    pub allowed: bool,
    /// The rule that allows or denies it and where it stands, or that there is none.
    pub reason: String,
    /// The roles of whoever asked, roles of roles included.
    pub roles: Vec<String>,
    /// Where it is denied and is a list: the rule by which it is answered all the same, limited to what rules allow.
    pub lists_some: Option<String>,
    /// Where it is denied, the rules that came nearest, and what of them does not fit.
    pub nearest: Vec<Near>,
    /// The revision of the rules.
    pub revision: String,
}

/// A rule that would allow something else.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = PolicyNearRule)]
pub struct Near {
    /// Where it stands, such as `policies/roles.csv:12`.
    pub place: String,
    /// What it says.
    pub rule: String,
    /// What does not fit, such as `action: it allows read, not write`.
    pub fails: String,
}

/// Somebody who may do something.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = PolicyHolder)]
pub struct Holder {
    /// In this tenant; `*` for those that have no rules of their own.
    pub tenant: String,
    /// A subject with its home tenant, or a part of Weir.
    pub subject: String,
    /// The rule that allows it.
    pub reason: String,
}

/// A rule that speaks of somebody.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = PolicyPermission)]
pub struct Permission {
    /// In this tenant; `*` for all.
    pub tenant: String,
    /// The object's pattern.
    pub object: String,
    /// What may be done; `*` for everything.
    pub action: String,
    /// Whether it is allowed, or denied.
    pub allowed: bool,
    /// Whom the rule names: the subject itself, or a role of its.
    pub by: String,
    /// Where it stands.
    pub place: String,
}

/// One case and what became of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tried {
    /// Where it stands.
    pub place: String,
    /// What it wants, as it is written.
    pub case: String,
    /// Whether the rules decide so.
    pub holds: bool,
    /// The rule that decides, or that there is none.
    pub reason: String,
}

impl Rulebook {
    /// The rules of a folder, checked as a start would.
    pub fn open(folder: &Path) -> Result<(Self, Summary), Vec<Mistake>> {
        let (book, summary) = Snapshot::read(folder)?.assemble()?;
        Ok((Self(Arc::new(book)), summary))
    }

    /// The revision of the rules.
    pub fn revision(&self) -> &Arc<str> {
        &self.0.revision
    }

    /// The tenants that have rules of their own, by name.
    pub fn tenants(&self) -> Vec<Tenant> {
        let mut tenants: Vec<Tenant> = self.0.owners().cloned().collect();
        tenants.sort_by(|a, b| a.as_str().cmp(b.as_str()));
        tenants
    }

    /// Why this is decided as it is.
    pub fn explain(&self, caller: &Caller, action: Action, resource: &Resource) -> Explanation {
        let decision = self.0.decide(caller, action, resource);
        let (allowed, reason) = match &decision {
            Ok(rule) => (true, rule),
            Err(reason) => (false, reason),
        };
        Explanation {
            allowed,
            reason: reason.to_string(),
            roles: self.0.roles(caller),
            lists_some: if allowed { None } else { self.0.lists_some(caller, action, resource).map(|rule| rule.to_string()) },
            nearest: if allowed { Vec::new() } else { self.0.nearest(caller, action, resource) },
            revision: self.0.revision.to_string(),
        }
    }

    /// Who may do this, of all that the rules name: in one tenant, or in each that has rules of its own and in the others. At most so many.
    pub fn who_can(&self, tenant: Option<&Tenant>, action: Action, resource: &Resource) -> Vec<Holder> {
        let mut holders = BTreeSet::new();
        for (name, subject, decision) in self.0.decisions_of_all(tenant, action, resource) {
            if let Ok(rule) = decision {
                holders.insert(Holder { tenant: name, subject, reason: rule.to_string() });
            }
            if holders.len() > limits::POLICY_ANSWERS {
                break;
            }
        }
        holders.into_iter().collect()
    }

    /// The rules that speak of a subject, by its own name or by a role: in one tenant, or in all.
    pub fn permissions(&self, subject: &Caller, tenant: Option<&Tenant>) -> Vec<Permission> {
        let qualified = line::qualified(&subject.home, &subject.subject);
        self.0.rules_of(&qualified, tenant)
    }
}

/// Reads a folder and tries each of its cases, whether or not the others hold.
pub fn test(folder: &Path) -> Result<(Vec<Tried>, Summary), Vec<Mistake>> {
    let (book, cases, summary) = Snapshot::read(folder)?.build()?;
    let tried = cases.iter().map(|Placed { what: case, place }| {
        let decision = book.decide(&case.caller, case.action, &case.resource);
        let reason = decision.as_ref().map_or_else(ToString::to_string, ToString::to_string);
        Tried { place: place.to_string(), case: files::written(case), holds: decision.is_ok() == case.allow, reason }
    });
    Ok((tried.collect(), summary))
}

/// A caller as policy files name it: `acme/user:ann`, `service:writer`, or, in a tenant, `user:ann`.
pub fn caller(name: &str, tenant: &Tenant) -> Result<Caller, String> {
    line::caller(name, tenant)
}

/// An object as policy files name it, which is one and no pattern.
pub fn object(text: &str) -> Result<Resource, String> {
    line::object(text)
}

/// How much of a rule fits: how many parts, whether the subject is one of them, and how far the object begins alike.
type Nearness = (usize, bool, usize);

impl Domain {
    /// The rules that would allow something else, those first of which more fits.
    pub(super) fn nearest(&self, rules: &[Placed<Rule>], subject: &str, action: Action, path: &str) -> Vec<Near> {
        let applies = self.applies(subject);
        let mut near: Vec<(Nearness, &Placed<Rule>)> = Vec::new();
        for rule in self.rules(rules).filter(|rule| rule.what.allow) {
            let object = rule.what.object.as_str();
            let fits = [applies(&rule.what), rule.what.action.is_none_or(|of| of == action), pattern::matches(object, path)];
            let fitting = fits.iter().filter(|fits| **fits).count();
            // Of those whose object is another one, the one that begins most like it.
            let alike = object.bytes().zip(path.bytes()).take_while(|(a, b)| a == b).count();
            if fitting > 0 {
                // First what speaks of whoever asks: they have some right, and lack this one.
                near.push(((fitting, fits[0], alike), rule));
            }
        }
        near.sort_by(|(a, rule_a), (b, rule_b)| (b, &rule_a.place).cmp(&(a, &rule_b.place)));
        let most = near.first().map_or(0, |((fitting, ..), _)| *fitting);
        let near = near.into_iter().take_while(|((fitting, ..), _)| *fitting == most).take(limits::POLICY_NEAREST);
        let told = near.map(|(_, rule)| {
            let Rule { subject: of, object, action: allowed, .. } = &rule.what;
            let mut fails = Vec::new();
            if !applies(&rule.what) {
                fails.push(format!("subject: it speaks of {of}, which {subject} is not"));
            }
            if allowed.is_some_and(|of| of != action) {
                fails.push(format!("action: it allows {}, not {action}", allowed.map_or("*", Action::as_str)));
            }
            if !pattern::matches(object.as_str(), path) {
                fails.push(format!("object: {object} does not cover {path}"));
            }
            Near { place: rule.place.to_string(), rule: files::written_rule(&rule.what), fails: fails.join("; ") }
        });
        told.collect()
    }
}

impl Book {
    fn nearest(&self, caller: &Caller, action: Action, resource: &Resource) -> Vec<Near> {
        let subject = line::qualified(&caller.home, &caller.subject);
        match self.domain(&caller.tenant, resource) {
            Ok(domain) => domain.nearest(&self.rules, &subject, action, resource.as_str()),
            Err(_) => Vec::new(),
        }
    }

    /// What is decided for each subject that the rules or links of a tenant name.
    fn decisions_of_all<'a>(
        &'a self,
        tenant: Option<&'a Tenant>,
        action: Action,
        resource: &'a Resource,
    ) -> impl Iterator<Item = (String, String, super::book::Decision)> + 'a {
        let owners: Vec<Option<&Tenant>> = match tenant {
            Some(tenant) => vec![Some(tenant)],
            None => std::iter::once(None).chain(self.owners().map(Some)).collect(),
        };
        owners.into_iter().flat_map(move |owner| {
            let domain = match owner {
                Some(tenant) => self.domain(tenant, resource).ok(),
                None => Some(&self.everywhere),
            };
            let name = owner.map_or_else(|| "*".to_owned(), ToString::to_string);
            let subjects: Vec<String> = if domain.is_some() { self.subjects_of(owner).into_iter().collect() } else { Vec::new() };
            subjects.into_iter().filter_map(move |subject| {
                let decision = domain?.decide(&self.rules, &subject, action, resource.as_str());
                Some((name.clone(), subject, decision))
            })
        })
    }

    /// The subjects that rules and links of a tenant name, those for `*` included; roles are none.
    fn subjects_of(&self, tenant: Option<&Tenant>) -> BTreeSet<String> {
        let here = |of: Option<&Tenant>| of.is_none() || of == tenant;
        let rules = self.rules.iter().filter(|rule| here(rule.what.tenant.as_ref())).map(|rule| &rule.what.subject);
        let links = self.links.iter().filter(|link| here(link.what.tenant.as_ref())).map(|link| &link.what.member);
        rules.chain(links).filter(|name| name.contains(':')).cloned().collect()
    }

    fn rules_of(&self, subject: &str, tenant: Option<&Tenant>) -> Vec<Permission> {
        let mut found = BTreeSet::new();
        let tenants: Vec<&Tenant> = match tenant {
            Some(tenant) => vec![tenant],
            None => self.owners().collect(),
        };
        let mut domains: Vec<(String, &Domain)> = tenants
            .into_iter()
            .filter_map(|tenant| Some((tenant.to_string(), self.domain(tenant, &Resource::sensors()).ok()?)))
            .collect();
        if tenant.is_none() {
            domains.push(("*".to_owned(), &self.everywhere));
        }
        for (name, domain) in domains {
            let applies = domain.applies(subject);
            for rule in domain.rules(&self.rules).filter(|rule| applies(&rule.what)) {
                found.insert(Permission {
                    tenant: name.clone(),
                    object: rule.what.object.to_string(),
                    action: rule.what.action.map_or("*", Action::as_str).to_owned(),
                    allowed: rule.what.allow,
                    by: rule.what.subject.clone(),
                    place: rule.place.to_string(),
                });
            }
        }
        // What holds everywhere is said once.
        let everywhere: Vec<Permission> = found.iter().filter(|one| one.tenant == "*").cloned().collect();
        found.retain(|one| one.tenant == "*" || !everywhere.iter().any(|all| all.place == one.place));
        found.into_iter().take(limits::POLICY_ANSWERS).collect()
    }
}
