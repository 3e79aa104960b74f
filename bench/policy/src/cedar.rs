//! (d, e) Cedar with the same meaning.
//!
//! Somebody at work in a tenant is an entity, `Caller::"acme/user:ann in beta"`: a member of the roles that they have there, each of which
//! is a member of the role of that name in all tenants, and of themselves, `Subject::"acme/user:ann"`. So a rule's subject and tenant are
//! the head of a policy, which Cedar compares before anything else. The path is in the context, in segments, and a pattern is compared with them one by one:
//! Cedar's `like` would let a star cross a `/`. A path's entity could not be there before the path is, so what is acted on is the tenant.

use std::collections::{HashMap, HashSet};
use std::fmt::Write as _;
use std::str::FromStr as _;

use cedar_policy::{
    Authorizer, Context, Decision, Entities, Entity, EntityId, EntityTypeName, EntityUid, Policy, PolicyId, PolicySet,
    Request as Question, RestrictedExpression,
};

use crate::failure::{Doing as _, Failure, Result};
use crate::lines::Decider;
use crate::requests::Request;
use crate::rules::{Link, Rule, Rules};

/// The policies of all tenants, and of each by itself; entities are the same for both.
pub struct Cedar {
    authorizer: Authorizer,
    entities: Entities,
    all: PolicySet,
    own: Vec<PolicySet>,
    types: Types,
}

/// Cedar, asked with the policies of all tenants, or with those of the tenant and those for all.
pub struct Asking<'a> {
    cedar: &'a Cedar,
    own: bool,
}

/// Names of entity types, read once.
struct Types {
    caller: EntityTypeName,
    subject: EntityTypeName,
    role: EntityTypeName,
    tenant: EntityTypeName,
    action: EntityTypeName,
}

impl Cedar {
    /// Parses all policies and makes all entities.
    pub fn new(rules: &Rules) -> Result<Self> {
        let types = Types::new()?;
        let mut number = 0;
        let mut parsed = |tenant: Option<&str>, rules: &[Rule]| -> Result<Vec<Policy>> {
            let mut policies = Vec::with_capacity(rules.len());
            for rule in rules {
                number += 1;
                let id = PolicyId::new(format!("rule-{number}"));
                policies.push(Policy::parse(Some(id), policy(tenant, rule)).doing("Cedar refuses a policy")?);
            }
            Ok(policies)
        };
        let common = parsed(None, &rules.common.rules)?;
        let (mut all, mut own) = (PolicySet::new(), Vec::with_capacity(rules.tenants.len()));
        add(&mut all, &common)?;
        for tenant in &rules.tenants {
            let policies = parsed(Some(&tenant.name), &tenant.lines.rules)?;
            add(&mut all, &policies)?;
            let mut set = PolicySet::new();
            add(&mut set, &common)?;
            add(&mut set, &policies)?;
            own.push(set);
        }
        let entities = Entities::from_entities(entities(rules, &types), None).doing("Cedar refuses the entities")?;
        Ok(Self { authorizer: Authorizer::new(), entities, all, own, types })
    }

    /// Asked with the policies of all tenants.
    pub fn all(&self) -> Asking<'_> {
        Asking { cedar: self, own: false }
    }

    /// Asked with those of the tenant alone.
    pub fn own(&self) -> Asking<'_> {
        Asking { cedar: self, own: true }
    }
}

fn add(set: &mut PolicySet, policies: &[Policy]) -> Result<()> {
    policies.iter().try_for_each(|policy| set.add(policy.clone()).doing("Cedar refuses a policy"))
}

/// A rule as a policy.
fn policy(tenant: Option<&str>, rule: &Rule) -> String {
    let subject = &rule.subject;
    let principal = match (tenant, subject.contains(':')) {
        (Some(tenant), true) => format!("== Caller::\"{}\"", in_tenant(subject, tenant)),
        (Some(tenant), false) => format!("in Role::\"{}\"", in_tenant(subject, tenant)),
        (None, true) => format!("in Subject::\"{subject}\""),
        (None, false) => format!("in Role::\"{subject}\""),
    };
    let action = rule.action.map_or_else(String::new, |action| format!(" == Action::\"{action}\""));
    let resource = tenant.map_or_else(String::new, |tenant| format!(" == Tenant::\"{tenant}\""));
    let effect = if rule.allow { "permit" } else { "forbid" };
    format!("{effect}(principal {principal}, action{action}, resource{resource}) when {{ {} }};", condition(&rule.object))
}

/// A pattern over the segments of the path. How many there are comes first, so that none is asked for that is not there.
fn condition(object: &str) -> String {
    let globs: Vec<&str> = object.trim_start_matches('/').split('/').collect();
    let (globs, compared) = match globs.split_last() {
        Some((&"**", globs)) => (globs, ">"),
        _ => (&globs[..], "=="),
    };
    let mut text = format!("context.depth {compared} {}", globs.len());
    for (at, glob) in globs.iter().enumerate() {
        let compared = if glob.contains('*') { "like" } else { "==" };
        let _ = write!(text, " && context.s{at} {compared} \"{glob}\"");
    }
    text
}

/// Somebody, or a role, in a tenant.
fn in_tenant(member: &str, tenant: &str) -> String {
    format!("{member} in {tenant}")
}

impl Types {
    fn new() -> Result<Self> {
        let name = |name: &str| EntityTypeName::from_str(name).doing("Cedar refuses a type");
        Ok(Self {
            caller: name("Caller")?,
            subject: name("Subject")?,
            role: name("Role")?,
            tenant: name("Tenant")?,
            action: name("Action")?,
        })
    }

    /// Somebody or a role, by its name in a tenant.
    fn member(&self, member: &str, tenant: &str) -> EntityUid {
        let of = if member.contains(':') { &self.caller } else { &self.role };
        uid(of, &in_tenant(member, tenant))
    }

    /// The same in all tenants.
    fn everywhere(&self, member: &str) -> EntityUid {
        uid(if member.contains(':') { &self.subject } else { &self.role }, member)
    }
}

fn uid(of: &EntityTypeName, name: &str) -> EntityUid {
    EntityUid::from_type_name_and_id(of.clone(), EntityId::new(name))
}

/// Everybody whom a rule or a link names, in the tenants where it does, with their parents.
fn entities(rules: &Rules, types: &Types) -> Vec<Entity> {
    let mut parents: HashMap<EntityUid, HashSet<EntityUid>> = HashMap::new();
    for tenant in &rules.tenants {
        let name = &tenant.name;
        let mut known = |member: &str| -> EntityUid {
            let uid = types.member(member, name);
            parents.entry(uid.clone()).or_default().insert(types.everywhere(member));
            uid
        };
        for rule in rules.common.rules.iter().chain(&tenant.lines.rules) {
            known(&rule.subject);
        }
        let mut linked = Vec::new();
        for Link { member, role } in rules.common.links.iter().chain(&tenant.lines.links) {
            linked.push((known(member), known(role)));
        }
        for (member, role) in linked {
            parents.entry(member).or_default().insert(role);
        }
    }
    parents.into_iter().map(|(uid, parents)| Entity::new_no_attrs(uid, parents)).collect()
}

impl Decider for Asking<'_> {
    type Ready = (usize, Question);

    fn ready(&self, request: &Request, path: &str) -> Result<Self::Ready> {
        let types = &self.cedar.types;
        let segments: Vec<&str> = path.trim_start_matches('/').split('/').collect();
        let depth = i64::try_from(segments.len()).doing("the path is too long")?;
        let mut pairs = vec![("depth".to_owned(), RestrictedExpression::new_long(depth))];
        for (at, segment) in segments.iter().enumerate() {
            pairs.push((format!("s{at}"), RestrictedExpression::new_string((*segment).to_owned())));
        }
        let question = Question::new(
            types.member(&request.qualified(), &request.tenant_name),
            uid(&types.action, request.action.as_str()),
            uid(&types.tenant, &request.tenant_name),
            Context::from_pairs(pairs).doing("Cedar refuses the path")?,
            None,
        );
        Ok((request.tenant, question.doing("Cedar refuses the request")?))
    }

    fn decide(&self, (tenant, question): &Self::Ready) -> Result<bool> {
        let policies = if self.own { &self.cedar.own[*tenant] } else { &self.cedar.all };
        let answer = self.cedar.authorizer.is_authorized(question, policies, &self.cedar.entities);
        if answer.diagnostics().errors().next().is_some() {
            return Err(Failure::new("Cedar could not evaluate a policy"));
        }
        Ok(answer.decision() == Decision::Allow)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_is_one_policy_with_subject_and_tenant_in_its_head() {
        let rule = |subject: &str, object: &str| Rule {
            subject: subject.to_owned(),
            object: object.to_owned(),
            action: Some(weir::model::Action::Read),
            allow: false,
        };
        assert_eq!(
            policy(Some("acme"), &rule("acme/user:ann", "/timescale/sensors/building-7-*")),
            "forbid(principal == Caller::\"acme/user:ann in acme\", action == Action::\"read\", resource == Tenant::\"acme\") \
             when { context.depth == 3 && context.s0 == \"timescale\" && context.s1 == \"sensors\" && context.s2 like \"building-7-*\" };"
        );
        assert!(
            policy(None, &rule("reader", "/**"))
                .contains("(principal in Role::\"reader\", action == Action::\"read\", resource) when")
        );
        assert_eq!(condition("/**"), "context.depth > 0");
    }
}
