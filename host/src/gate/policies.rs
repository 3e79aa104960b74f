//! The policy itself: the files at work, what other files would be and change, and what is decided and why.
//!
//! Files stay the truth: nothing here changes them. Whoever may read `/platform/policies` sees the rules of all tenants.

use std::collections::BTreeMap;
use std::sync::Arc;

use chrono::TimeDelta;

use super::Gate;
use crate::error::{Error, Kind, Result};
use crate::limits;
use crate::model::{Action, Caller, Resource, Tenant};
use crate::policy::ask;
pub use crate::policy::ask::{Explanation, Holder, Near, Permission, Rulebook};
use crate::policy::impact::Comparison;
pub use crate::policy::impact::{Difference, Impact};
pub use crate::policy::{Mistake, Permit, Summary};

/// Files that are to be put in the places of those at work, by their names beneath the folder: a text, or `None` where one is to go.
pub type Changes = BTreeMap<String, Option<String>>;

impl Gate {
    async fn authorise_policies(&self, caller: &Caller) -> Result<Permit> {
        self.authorise(caller, Action::Read, &Resource::platform("policies")).await
    }

    /// The names and sizes of the files at work, and their revision.
    pub async fn policies(&self, caller: &Caller) -> Result<(Arc<str>, Vec<(String, usize)>)> {
        self.authorise_policies(caller).await?;
        let files = self.policy.texts().into_iter().map(|(name, text)| (name, text.len())).collect();
        Ok((self.policy.revision(), files))
    }

    /// One of the files at work.
    pub async fn policy_file(&self, caller: &Caller, name: &str) -> Result<String> {
        self.authorise_policies(caller).await?;
        let found = self.policy.texts().into_iter().find(|(known, _)| known == name);
        found.map(|(_, text)| text).ok_or_else(|| Error::not_found(format!("policy file `{name}`")))
    }

    /// What the files at work would be with these in their places.
    pub async fn policy_check(&self, caller: &Caller, changes: Changes) -> Result<Result<Summary, Vec<Mistake>>> {
        self.authorise_policies(caller).await?;
        Ok(self.with(changes).await?.map(|(_, summary)| summary))
    }

    /// What they would change for the requests of the last days.
    pub async fn policy_impact(&self, caller: &Caller, changes: Changes, days: u32) -> Result<Impact> {
        let permit = self.authorise_policies(caller).await?;
        let (rules, _) = self.with(changes).await?.map_err(|mistakes| {
            let sentence = "These files have mistakes, so that they would not be put to work; `details` has each.";
            let unsound = Error::new(Kind::Refused, sentence);
            mistakes.into_iter().fold(unsound, |error, mistake| {
                let place = mistake.line.map_or_else(|| mistake.file.clone(), |line| format!("{}:{line}", mistake.file));
                error.at(place, mistake.message)
            })
        })?;
        self.impact(&permit, rules, days).await
    }

    /// What the rules of a folder would change.
    pub async fn policy_impact_of(&self, caller: &Caller, rules: Rulebook, days: u32) -> Result<Impact> {
        let permit = self.authorise_policies(caller).await?;
        self.impact(&permit, rules, days).await
    }

    async fn impact(&self, permit: &Permit, rules: Rulebook, days: u32) -> Result<Impact> {
        if days == 0 || days > limits::DECISIONS_DAYS {
            let sentence = format!("`days` lies between 1 and {}.", limits::DECISIONS_DAYS);
            return Err(Error::malformed(sentence).at("/days", "out of range"));
        }
        let since = self.clock.now() - TimeDelta::days(days.into());
        let mut comparison = Comparison::new(self.policy.rulebook(), rules);
        let mut after = None;
        loop {
            let (asked, next) = self.platform.decisions(permit, since, after.as_ref()).await?;
            let add = move || {
                for (asked, last) in &asked {
                    comparison.add(asked, Some(*last));
                }
                comparison
            };
            comparison = tokio::task::spawn_blocking(add).await.map_err(Error::internal)?;
            match next {
                Some(next) => after = Some(next),
                None => return Ok(comparison.end()),
            }
        }
    }

    async fn with(&self, changes: Changes) -> Result<Result<(Rulebook, Summary), Vec<Mistake>>> {
        let policy = Arc::clone(&self.policy);
        tokio::task::spawn_blocking(move || policy.with(&changes)).await.map_err(Error::internal)
    }

    /// Why something is decided as it is.
    pub async fn policy_explain(
        &self,
        caller: &Caller,
        subject: &str,
        tenant: &str,
        action: Action,
        object: &str,
    ) -> Result<Explanation> {
        self.authorise_policies(caller).await?;
        let (tenant, object) = (parse_tenant(tenant)?, parse_object(object)?);
        let rules = self.policy.rulebook();
        Ok(rules.explain(&parse_subject(subject, &tenant)?, action, &object))
    }

    /// Who may do something.
    pub async fn policy_who_can(
        &self,
        caller: &Caller,
        tenant: Option<&str>,
        action: Action,
        object: &str,
    ) -> Result<Vec<Holder>> {
        self.authorise_policies(caller).await?;
        let (tenant, object) = (tenant.map(parse_tenant).transpose()?, parse_object(object)?);
        let rules = self.policy.rulebook();
        tokio::task::spawn_blocking(move || rules.who_can(tenant.as_ref(), action, &object)).await.map_err(Error::internal)
    }

    /// What the rules say of somebody, in a tenant or in all.
    pub async fn policy_permissions(&self, caller: &Caller, subject: &str, tenant: Option<&str>) -> Result<Vec<Permission>> {
        self.authorise_policies(caller).await?;
        let tenant = tenant.map(parse_tenant).transpose()?;
        let subject = parse_subject(subject, tenant.as_ref().unwrap_or(&caller.tenant))?;
        let rules = self.policy.rulebook();
        tokio::task::spawn_blocking(move || rules.permissions(&subject, tenant.as_ref())).await.map_err(Error::internal)
    }
}

fn parse_tenant(name: &str) -> Result<Tenant> {
    Tenant::parse(name).map_err(|error| error.at("tenant", "not a tenant's name"))
}

fn parse_object(text: &str) -> Result<Resource> {
    ask::object(text).map_err(|wrong| Error::malformed(format!("`object`: {wrong}.")).at("object", wrong))
}

fn parse_subject(name: &str, tenant: &Tenant) -> Result<Caller> {
    ask::caller(name, tenant).map_err(|wrong| Error::malformed(format!("`subject`: {wrong}.")).at("subject", wrong))
}
