//! What other rules would change: the requests of the last days, decided by both.
//!
//! A request that nobody made is in nobody's record, so that nothing differs here does not mean that nothing would. It must not know where
//! the record is kept.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use serde::Serialize;
use utoipa::ToSchema;

use super::ask::Rulebook;
use super::pattern;
use crate::limits;
use crate::model::{Action, Attempt, Caller, Resource, Subject, Tenant};
use crate::times;

/// A request on record, in the policy's terms.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Asked {
    /// The tenant that it was about.
    pub tenant: Tenant,
    /// The tenant that the credential belongs to.
    pub home: Tenant,
    /// Who asked.
    pub subject: Subject,
    /// To do what.
    pub action: Action,
    /// To what.
    pub object: Resource,
}

impl Asked {
    /// What a caller asks for.
    pub fn of(caller: &Caller, action: Action, object: &Resource) -> Self {
        let Caller { subject, tenant, home, .. } = caller;
        Self { tenant: tenant.clone(), home: home.clone(), subject: subject.clone(), action, object: object.clone() }
    }

    pub(super) fn caller(&self) -> Caller {
        Caller {
            subject: self.subject.clone(),
            tenant: self.tenant.clone(),
            home: self.home.clone(),
            bearer: None,
            request_id: "record".into(),
            attempt: Attempt::default(),
        }
    }

    /// Whether it reaches beyond the tenant of whoever asks: into another, or to what is over all of them.
    pub(super) fn is_crossing(&self) -> bool {
        self.home != self.tenant || pattern::is_over_tenants(self.object.as_str())
    }
}

/// What becomes of requests that others decided otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = PolicyChange)]
pub enum Change {
    /// Denied now, allowed then, and in another tenant or over all of them: such rules are not put to work.
    Crosses,
    /// Allowed now, denied then.
    Loses,
    /// Denied now, allowed then.
    Gains,
}

/// Requests of one subject whose decision would change, for one reason.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = PolicyDifference)]
pub struct Difference {
    /// What would become of them.
    pub change: Change,
    /// Who asked, as policy files name them: `user:ann`, or of another tenant `acme/user:ann`.
    pub subject: String,
    /// In which tenant.
    pub tenant: String,
    /// To do what.
    pub action: Action,
    /// To what, some of them.
    pub objects: Vec<String>,
    /// How many such requests are on record.
    pub requests: u64,
    /// When the last of them was.
    #[serde(serialize_with = "times::micros_or_null")]
    pub last: Option<DateTime<Utc>>,
    /// The rule that decides now, or that there is none.
    pub now: String,
    /// The rule that would decide.
    pub then: String,
}

/// What other rules would change.
#[derive(Clone, Debug, Default, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = PolicyImpact)]
pub struct Impact {
    /// The revision at work.
    pub now: String,
    /// The revision of the others.
    pub then: String,
    /// Requests on record that were decided by both.
    pub requests: u64,
    /// Whether such rules would be put to work: none of the requests would cross a tenant.
    pub loads: bool,
    /// What differs, the worst first.
    pub differences: Vec<Difference>,
    /// Differences that are not shown, since there are too many.
    pub more: u64,
}

/// Compares two policies, request by request.
#[derive(Debug)]
pub struct Comparison {
    now: Rulebook,
    then: Rulebook,
    found: HashMap<(Change, String, String, Action, String), Difference>,
    impact: Impact,
}

impl Comparison {
    /// Of the rules at work and others.
    pub fn new(now: Rulebook, then: Rulebook) -> Self {
        let impact =
            Impact { now: now.revision().to_string(), then: then.revision().to_string(), loads: true, ..Impact::default() };
        Self { now, then, found: HashMap::new(), impact }
    }

    /// Has a request decided by both.
    pub fn add(&mut self, asked: &Asked, last: Option<DateTime<Utc>>) {
        self.impact.requests += 1;
        let caller = asked.caller();
        let now = self.now.0.decide(&caller, asked.action, &asked.object);
        let then = self.then.0.decide(&caller, asked.action, &asked.object);
        let change = match (&now, &then) {
            (Ok(_), Err(_)) => Change::Loses,
            (Err(_), Ok(_)) if asked.is_crossing() && !self.then.0.means(asked) => Change::Crosses,
            (Err(_), Ok(_)) => Change::Gains,
            _ => return,
        };
        self.impact.loads &= change != Change::Crosses;
        let said = |decision: &Result<_, _>| match decision {
            Ok(reason) | Err(reason) => std::sync::Arc::<str>::to_string(reason),
        };
        let subject = name(asked);
        let (now, then) = (said(&now), said(&then));
        // A loss has many reasons, each with its own path in it; what allowed it is one.
        let why = if change == Change::Loses { now.clone() } else { then.clone() };
        let key = (change, subject.clone(), asked.tenant.to_string(), asked.action, why);
        if !self.found.contains_key(&key) && self.found.len() >= limits::POLICY_ANSWERS {
            self.impact.more += 1;
            return;
        }
        let difference = self.found.entry(key).or_insert_with(|| Difference {
            change,
            subject,
            tenant: asked.tenant.to_string(),
            action: asked.action,
            objects: Vec::new(),
            requests: 0,
            last: None,
            now,
            then,
        });
        difference.requests += 1;
        difference.last = difference.last.max(last);
        if difference.objects.len() < limits::POLICY_NEAREST {
            difference.objects.push(asked.object.to_string());
        }
    }

    /// What was found.
    pub fn end(self) -> Impact {
        let mut differences: Vec<Difference> = self.found.into_values().collect();
        differences.sort_by(|a, b| {
            (a.change, &a.tenant, &a.subject, a.action.as_str(), &a.then).cmp(&(
                b.change,
                &b.tenant,
                &b.subject,
                b.action.as_str(),
                &b.then,
            ))
        });
        Impact { differences, ..self.impact }
    }
}

/// The subject as files of the tenant name it.
pub(super) fn name(asked: &Asked) -> String {
    let Asked { home, subject, tenant, .. } = asked;
    if home == tenant { subject.to_string() } else { super::line::qualified(home, subject) }
}
