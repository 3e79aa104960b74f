//! Roles of roles: what roles somebody has, and that no role may lead back to itself, and none may be deeper than casbin follows.
//!
//! casbin stops at ten levels without a word, so a role beyond them would vanish.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::limits;
use crate::model::Tenant;

use super::book::Placed;
use super::files::Place;
use super::line::Link;

/// The roles that a member has by these links, roles of roles included; sorted.
pub(super) fn of<'a>(links: impl Iterator<Item = &'a Link>, member: &str) -> Vec<String> {
    let mut by_member: HashMap<&str, Vec<&str>> = HashMap::new();
    for link in links {
        by_member.entry(&link.member).or_default().push(&link.role);
    }
    let mut found = BTreeSet::new();
    let mut waiting = vec![member];
    while let Some(member) = waiting.pop() {
        for role in by_member.get(member).into_iter().flatten() {
            if found.insert(*role) {
                waiting.push(role);
            }
        }
    }
    found.into_iter().map(str::to_owned).collect()
}

/// What is wrong with the links, in any tenant; each with the line that completes it.
pub(super) fn check(links: &[Placed<Link>]) -> Vec<(Place, String)> {
    let everywhere: Vec<&Placed<Link>> = links.iter().filter(|link| link.what.tenant.is_none()).collect();
    let mut by_tenant: BTreeMap<&Tenant, Vec<&Placed<Link>>> = BTreeMap::new();
    for link in links {
        if let Some(tenant) = &link.what.tenant {
            by_tenant.entry(tenant).or_insert_with(|| everywhere.clone()).push(link);
        }
    }
    let mut found: Vec<(Place, String)> = check_one(&everywhere).into_iter().collect();
    if found.is_empty() {
        found.extend(by_tenant.values().filter_map(|links| check_one(links)));
    }
    found
}

/// Takes away members that nobody is a member of, level by level; what is left over goes round in a circle.
fn check_one(links: &[&Placed<Link>]) -> Option<(Place, String)> {
    let mut incoming: HashMap<&str, usize> = HashMap::new();
    let mut outgoing: HashMap<&str, Vec<&Placed<Link>>> = HashMap::new();
    for link in links {
        *incoming.entry(&link.what.role).or_default() += 1;
        incoming.entry(&link.what.member).or_default();
        outgoing.entry(&link.what.member).or_default().push(link);
    }
    let mut level: Vec<&str> = incoming.iter().filter(|(_, count)| **count == 0).map(|(name, _)| *name).collect();
    let mut depth = 0;
    let mut left = links.len();
    while !level.is_empty() {
        let mut next = Vec::new();
        for link in level.iter().flat_map(|name| outgoing.remove(name).unwrap_or_default()) {
            left -= 1;
            if depth == limits::ROLE_DEPTH {
                let message = format!("the role `{}` is more than {} roles deep", link.what.role, limits::ROLE_DEPTH);
                return Some((link.place.clone(), message));
            }
            if let Some(count) = incoming.get_mut(link.what.role.as_str()) {
                *count -= 1;
                if *count == 0 {
                    next.push(link.what.role.as_str());
                }
            }
        }
        level = next;
        depth += 1;
    }
    if left == 0 { None } else { circle(&outgoing) }
}

/// Names a circle among the links that are left: each of them leads to one or stands in one.
fn circle(outgoing: &HashMap<&str, Vec<&Placed<Link>>>) -> Option<(Place, String)> {
    let mut path: Vec<&Placed<Link>> = Vec::new();
    let mut seen: HashMap<&str, usize> = HashMap::new();
    let mut at = *outgoing.keys().min()?;
    // Every name that is left has someone before it in a circle; but not every one has someone behind it, so walk backwards.
    let mut before: HashMap<&str, &Placed<Link>> = HashMap::new();
    for link in outgoing.values().flatten() {
        before.entry(&link.what.role).or_insert(link);
    }
    while !seen.contains_key(at) {
        seen.insert(at, path.len());
        let link = *before.get(at)?;
        path.push(link);
        at = &link.what.member;
    }
    let circle = &path[*seen.get(at)?..];
    let last = circle.iter().max_by(|a, b| a.place.cmp(&b.place))?;
    let mut names: Vec<&str> = circle.iter().rev().map(|link| link.what.member.as_str()).collect();
    names.push(at);
    Some((last.place.clone(), format!("a role leads back to itself: {}", names.join(" → "))))
}
