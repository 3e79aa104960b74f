//! Rules as administrators write them, from a fixed seed: roles for all tenants, and what each tenant says of its own people and tokens.
//!
//! Only `p` lines are counted as rules. Tenants are of different sizes, from half the average to one and a half.

use std::collections::HashSet;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use weir::model::Action;

/// The roles of all tenants.
const ROLES: &str = include_str!("../roles.csv");
/// Rules a tenant at the least, as far as there may be a hundred tenants.
const LEAST_OF_TENANT: usize = 5;
const MOST_TENANTS: usize = 100;
/// Rules for each subject that a tenant's file speaks of, building and bucket of the tenant.
const RULES_A_SUBJECT: usize = 8;
const RULES_A_BUILDING: usize = 20;
const RULES_A_BUCKET: usize = 25;
const BUCKETS: [&str; 8] = ["reports", "exports", "contracts", "firmware", "images", "backups", "invoices", "models"];
/// What rooms measure.
pub const METRICS: [&str; 4] = ["temperature", "humidity", "pressure", "co2"];
const SEED: u64 = 0x5eed;

/// A line `p`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Rule {
    /// A role, or somebody with their home: `acme/user:ann`.
    pub subject: String,
    /// A pattern over paths.
    pub object: String,
    /// `None` for every action.
    pub action: Option<Action>,
    /// Allow or deny.
    pub allow: bool,
}

/// A line `g`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Link {
    /// A role, or somebody with their home.
    pub member: String,
    /// The role.
    pub role: String,
}

/// Lines that hold in the same tenants.
#[derive(Debug, Default)]
pub struct Lines {
    /// The lines `p`.
    pub rules: Vec<Rule>,
    /// The lines `g`.
    pub links: Vec<Link>,
}

impl Lines {
    /// All of them together.
    pub fn count(&self) -> usize {
        self.rules.len() + self.links.len()
    }
}

/// A tenant with what its file says.
#[derive(Debug)]
pub struct Tenant {
    /// Its name.
    pub name: String,
    /// Its own lines.
    pub lines: Lines,
    /// Its people and tokens, with their home.
    pub subjects: Vec<String>,
    /// Buildings, whose sensors rules speak of.
    pub buildings: usize,
    /// Buckets.
    pub buckets: Vec<String>,
}

/// All rules of a size.
#[derive(Debug)]
pub struct Rules {
    /// For all tenants.
    pub common: Lines,
    /// The tenants.
    pub tenants: Vec<Tenant>,
}

impl Rules {
    /// So many rules, `p` lines of all tenants together.
    pub fn of(size: usize) -> Self {
        let mut random = StdRng::seed_from_u64(SEED);
        let mut common = common();
        common.rules.truncate(size / 2);
        let own = size - common.rules.len();
        let tenants = (size / LEAST_OF_TENANT).clamp(1, MOST_TENANTS);
        let shares = shares(&mut random, own, tenants);
        let tenants = (1..).zip(shares).map(|(number, rules)| Tenant::of(&mut random, number, rules)).collect();
        Self { common, tenants }
    }

    /// All lines `p`.
    pub fn rules(&self) -> usize {
        self.common.rules.len() + self.tenants.iter().map(|tenant| tenant.lines.rules.len()).sum::<usize>()
    }

    /// All lines `g`.
    pub fn links(&self) -> usize {
        self.common.links.len() + self.tenants.iter().map(|tenant| tenant.lines.links.len()).sum::<usize>()
    }
}

/// As the file says it; only what is in it is understood.
fn common() -> Lines {
    let mut lines = Lines::default();
    for line in ROLES.lines() {
        let fields: Vec<&str> = line.split(", ").collect();
        match fields[..] {
            ["p", subject, "*", object, action, effect] => lines.rules.push(Rule {
                subject: subject.to_owned(),
                object: object.to_owned(),
                action: Action::ALL.into_iter().find(|known| known.as_str() == action),
                allow: effect == "allow",
            }),
            ["g", member, role, "*"] => lines.links.push(Link { member: member.to_owned(), role: role.to_owned() }),
            _ => {}
        }
    }
    lines
}

/// `own` in so many parts, the largest three times the smallest.
fn shares(random: &mut StdRng, own: usize, tenants: usize) -> Vec<usize> {
    let weights: Vec<usize> = (0..tenants).map(|_| random.random_range(500..1_500)).collect();
    let sum: usize = weights.iter().sum();
    let mut shares: Vec<usize> = weights.iter().map(|weight| (own * weight / sum).max(1)).collect();
    // Rounding leaves less than one for each.
    let left = own.saturating_sub(shares.iter().sum());
    shares.iter_mut().take(left).for_each(|share| *share += 1);
    shares
}

impl Tenant {
    fn of(random: &mut StdRng, number: usize, rules: usize) -> Self {
        let name = format!("tenant-{number:03}");
        let some = |each: usize, least: usize| (rules / each).max(least);
        let subjects: Vec<String> = (0..some(RULES_A_SUBJECT, 3)).map(|number| subject(&name, number)).collect();
        let teams: Vec<String> = (0..some(RULES_A_SUBJECT * 8, 1)).map(|number| format!("team-{number}")).collect();
        let buckets = (0..some(RULES_A_BUCKET, 2)).map(bucket).collect();
        let mut this = Self { name, lines: Lines::default(), subjects, buildings: some(RULES_A_BUILDING, 2), buckets };
        for subject in &this.subjects {
            let role = if subject.contains("token:") {
                ["device", "device", "reader"][random.random_range(0..3)]
            } else {
                let of_people = ["reader", "reader", "reader", "operator", "developer", "contractor", "administrator"];
                of_people[random.random_range(0..of_people.len())]
            };
            this.lines.links.push(Link { member: subject.clone(), role: role.to_owned() });
            if random.random_bool(0.25) {
                let team = teams[random.random_range(0..teams.len())].clone();
                this.lines.links.push(Link { member: subject.clone(), role: team });
            }
        }
        let mut known = HashSet::new();
        while this.lines.rules.len() < rules {
            let of_team = random.random_bool(0.3);
            let from = if of_team { &teams } else { &this.subjects };
            let rule = Rule {
                subject: from[random.random_range(0..from.len())].clone(),
                object: this.object(random),
                action: [
                    Some(Action::Read),
                    Some(Action::Read),
                    Some(Action::Write),
                    Some(Action::Write),
                    Some(Action::Delete),
                    None,
                ][random.random_range(0..6)],
                allow: random.random_bool(0.85),
            };
            // The same rule twice is refused, and nobody writes it.
            if known.insert(rule.clone()) {
                this.lines.rules.push(rule);
            }
        }
        this
    }

    fn object(&self, random: &mut StdRng) -> String {
        let building = random.random_range(0..self.buildings);
        let bucket = &self.buckets[random.random_range(0..self.buckets.len())];
        match random.random_range(0..20) {
            0..=6 => format!("/timescale/sensors/building-{building}-*"),
            7 | 8 => format!("/timescale/sensors/building-{building}-floor-{}-*", random.random_range(0..9)),
            9 => format!("/timescale/sensors/building-{building}-room-{}", random.random_range(100..999)),
            10 => format!("/timescale/sensors/*-{}", METRICS[random.random_range(0..METRICS.len())]),
            11 | 12 => format!("/timescale/topics/line-{building}.*"),
            13 | 14 => format!("/storage/files/{bucket}/**"),
            15 => format!("/storage/files/{bucket}/2026/**"),
            16 => format!("/storage/files/{bucket}/*/summary-*"),
            17 => format!("/storage/buckets/{bucket}"),
            18 => "/platform/projects/*".to_owned(),
            _ => format!("/platform/projects/project-{building}-*"),
        }
    }
}

/// Two people for each token.
fn subject(tenant: &str, number: usize) -> String {
    if number % 3 == 2 {
        format!("{tenant}/token:gateway-{number}")
    } else {
        format!("{tenant}/user:person-{number}@{tenant}.example")
    }
}

fn bucket(number: usize) -> String {
    let name = BUCKETS[number % BUCKETS.len()];
    match number / BUCKETS.len() {
        0 => name.to_owned(),
        again => format!("{name}-{again}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_as_many_rules_as_asked_for_and_they_are_always_the_same() {
        for size in [10, 11, 137, 1_000, 10_000] {
            let rules = Rules::of(size);
            assert_eq!(rules.rules(), size);
            assert_eq!(rules.tenants.len(), (size / 5).min(100));
            let again = Rules::of(size);
            let last = |rules: &Rules| rules.tenants.last().and_then(|tenant| tenant.lines.rules.last().cloned());
            assert_eq!(last(&rules), last(&again));
        }
    }
}
