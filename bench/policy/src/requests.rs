//! What all lines are asked.
//!
//! A request is somebody, an action and a path with a gap for a number, so that no path comes twice. Of the same number of rules, no two
//! requests have the same tenant, subject, action and covering patterns: each is decided for the first time once.

use std::collections::HashSet;

use rand::rngs::StdRng;
use rand::seq::SliceRandom as _;
use rand::{RngExt, SeedableRng};
use weir::model::Action;

use crate::pattern::covers;
use crate::rules::{METRICS, Rule, Rules, Tenant};

/// Requests at the most, and tries to find them: where there are few rules there are not so many that differ.
const MOST: usize = 2_000;
const TRIES: usize = 20_000;
const SEED: u64 = 0xa5ced;

/// Who wants to do what, for any number in the path.
#[derive(Clone, Debug)]
pub struct Request {
    /// Which tenant it is about, in the order of [`Rules::tenants`].
    pub tenant: usize,
    /// Its name.
    pub tenant_name: String,
    /// Where the subject is at home.
    pub home: String,
    /// The subject, without its home.
    pub subject: String,
    /// What is to be done.
    pub action: Action,
    before: String,
    after: String,
}

impl Request {
    /// The path with a number in it.
    pub fn path(&self, number: u64) -> String {
        format!("{}{number}{}", self.before, self.after)
    }

    /// The subject as rules know it: with its home, or a part of Weir, which has none.
    pub fn qualified(&self) -> String {
        if self.subject.starts_with("service:") { self.subject.clone() } else { format!("{}/{}", self.home, self.subject) }
    }
}

/// The requests for these rules, in the order in which all lines are asked.
pub fn requests(rules: &Rules) -> Vec<Request> {
    let mut random = StdRng::seed_from_u64(SEED);
    let patterns: Vec<Vec<&str>> = rules.tenants.iter().map(|tenant| patterns(rules, tenant)).collect();
    let mut known = HashSet::new();
    let mut found = Vec::new();
    for _ in 0..TRIES {
        let request = Request::of(&mut random, rules);
        let path = request.path(1);
        let covering: Vec<usize> =
            (0..).zip(&patterns[request.tenant]).filter(|(_, pattern)| covers(pattern, &path)).map(|(id, _)| id).collect();
        if known.insert((request.tenant, request.qualified(), request.action, covering)) {
            found.push(request);
        }
        if found.len() == MOST {
            break;
        }
    }
    found.shuffle(&mut random);
    found
}

/// The patterns of a tenant and those for all, each once.
fn patterns<'a>(rules: &'a Rules, tenant: &'a Tenant) -> Vec<&'a str> {
    let mut patterns: Vec<&str> = rules.common.rules.iter().chain(&tenant.lines.rules).map(|rule| &*rule.object).collect();
    patterns.sort_unstable();
    patterns.dedup();
    patterns
}

impl Request {
    fn of(random: &mut StdRng, rules: &Rules) -> Self {
        let index = random.random_range(0..rules.tenants.len());
        let tenant = &rules.tenants[index];
        let rule = &tenant.lines.rules[random.random_range(0..tenant.lines.rules.len())];
        let somebody =
            |random: &mut StdRng, tenant: &Tenant| tenant.subjects[random.random_range(0..tenant.subjects.len())].clone();
        let subject = match random.random_range(0..20) {
            // Whom the rule speaks of.
            0..=9 => of_rule(random, tenant, rule),
            10..=15 => somebody(random, tenant),
            16 => somebody(random, &rules.tenants[(index + 1) % rules.tenants.len()]),
            17 => format!("{}/user:stranger-{}", tenant.name, random.random_range(0..3)),
            18 => "service:writer".to_owned(),
            _ => "default/user:admin".to_owned(),
        };
        let (home, subject) = match subject.split_once('/') {
            Some((home, subject)) => (home.to_owned(), subject.to_owned()),
            None => (tenant.name.clone(), subject),
        };
        let action = match rule.action {
            Some(action) if random.random_bool(0.6) => action,
            _ => [Action::Read, Action::Read, Action::Write, Action::Delete][random.random_range(0..4)],
        };
        let (before, after) = gap(random, &rule.object);
        Self { tenant: index, tenant_name: tenant.name.clone(), home, subject, action, before, after }
    }
}

/// The rule's subject, or somebody in its team.
fn of_rule(random: &mut StdRng, tenant: &Tenant, rule: &Rule) -> String {
    let mut members: Vec<&str> = Vec::new();
    if rule.subject.contains(':') {
        members.push(&rule.subject);
    }
    members.extend(tenant.lines.links.iter().filter(|link| link.role == rule.subject).map(|link| &*link.member));
    match members.len() {
        0 => tenant.subjects[0].clone(),
        some => members[random.random_range(0..some)].to_owned(),
    }
}

/// A path that the pattern covers, or that lies beside it, in two pieces around a gap.
fn gap(random: &mut StdRng, object: &str) -> (String, String) {
    let two = |before: &str, after: &str| (before.to_owned(), after.to_owned());
    let metric = METRICS[random.random_range(0..METRICS.len())];
    if let Some(rest) = object.strip_suffix("/**") {
        return match random.random_range(0..3) {
            0 => two(&format!("{rest}/"), ".pdf"),
            1 => two(&format!("{rest}/2026/may/"), ".csv"),
            _ => two(&format!("{rest}/2026/summary-"), ""),
        };
    }
    if let Some(metric) = object.strip_prefix("/timescale/sensors/*") {
        return two(&format!("/timescale/sensors/building-{}-", random.random_range(0..2)), metric);
    }
    match object.rsplit_once('*') {
        Some((before, after)) => {
            let before = before.replace('*', "2026");
            if before.starts_with("/timescale/sensors/") && random.random_bool(0.3) {
                two(&before, &format!("-{metric}"))
            } else {
                two(&before, after)
            }
        }
        // A rule for one thing by its name: that name with a number behind it is another thing.
        None => two(&format!("{object}-"), ""),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_many_and_a_number_does_not_change_what_covers_them() {
        let rules = Rules::of(1_000);
        let requests = requests(&rules);
        assert_eq!(requests.len(), MOST);
        for request in &requests {
            let patterns = patterns(&rules, &rules.tenants[request.tenant]);
            let (one, other) = (request.path(1), request.path(987_654));
            for pattern in patterns {
                assert_eq!(covers(pattern, &one), covers(pattern, &other), "{pattern} {one}");
            }
        }
    }
}
