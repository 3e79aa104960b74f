//! The quick way against the definition: casbin over all rules, told the domains and nothing of patterns.

use std::collections::HashSet;
use std::time::Instant;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::super::conf;
use super::super::line::{Line, parse};
use super::super::reach::Reach;
use super::*;
use crate::model::{Attempt, Subject};

const MODEL: &str = include_str!("../../../policies/model.conf");
const TENANTS: [&str; 3] = ["acme", "beta", "none"];

fn made(texts: &[String]) -> Book {
    let mut rules = Vec::new();
    let mut links = Vec::new();
    for (number, text) in (1..).zip(texts) {
        let place = Place { file: "policies/x.csv".into(), line: number };
        match parse(text, None).expect("a sound line").expect("a line") {
            Line::Rule(what) => rules.push(Placed { what, place }),
            Line::Link(what) => links.push(Placed { what, place }),
        }
    }
    Book::new("r".into(), conf::parse(MODEL).expect("the model"), rules, links).expect("a book")
}

/// One casbin with every rule and every link; a link for `*` is there for each tenant and for the tenants' own domain.
fn plain_casbin(book: &Book) -> Enforcer {
    let none: [&Link; 0] = [];
    let mut casbin = enforcer("*", &book.model, none.into_iter()).expect("casbin");
    let rows: HashSet<Vec<String>> = book.rules.iter().map(|rule| row(&rule.what)).collect();
    casbin.get_mut_model().add_policies("p", "p", rows.into_iter().collect());
    let mut links = HashSet::new();
    for Placed { what: Link { member, role, tenant }, .. } in &book.links {
        let domains = match tenant {
            Some(tenant) => vec![tenant.as_str()],
            None => vec!["*", TENANTS[0], TENANTS[1], TENANTS[2]],
        };
        links.extend(domains.into_iter().map(|domain| vec![member.clone(), role.clone(), domain.to_owned()]));
    }
    casbin.get_mut_model().add_policies("g", "g", links.into_iter().collect());
    casbin.build_role_links().expect("links");
    casbin
}

fn pick<'a>(random: &mut StdRng, from: &[&'a str]) -> &'a str {
    from[random.random_range(0..from.len())]
}

const OBJECTS: [&str; 14] = [
    "/**",
    "/platform/**",
    "/platform/*",
    "/platform/tenants",
    "/platform/users/*",
    "/timescale/**",
    "/timescale/sensors/*",
    "/timescale/sensors/room-*",
    "/timescale/sensors/room-1",
    "/timescale/topics/*",
    "/storage/files/**",
    "/storage/files/*/a",
    "/storage/files/reports/**",
    "/storage/*/reports",
];

fn random_lines(random: &mut StdRng) -> Vec<String> {
    let mut lines = HashSet::new();
    for _ in 0..random.random_range(3..120) {
        let tenant = pick(random, &["acme", "acme", "beta", "*"]);
        let all = tenant == "*";
        let subjects: &[&str] = if all {
            &["acme/user:a", "beta/user:a", "acme/token:b", "reader", "operator", "admin", "service:writer"]
        } else {
            &["user:a", "token:b", "acme/user:a", "beta/user:a", "reader", "operator", "admin", "service:writer"]
        };
        let subject = pick(random, subjects);
        if random.random_bool(0.3) {
            // A role may stand above another only in this order, so that no circle comes about.
            let (member, role) = match subject {
                "reader" | "operator" => ("reader", "operator"),
                "admin" => ("operator", "admin"),
                other => (other, pick(random, &["reader", "operator", "admin"])),
            };
            lines.insert(format!("g, {member}, {role}, {tenant}"));
        } else {
            let object = pick(random, &OBJECTS);
            if !all && object == "/platform/tenants" {
                continue;
            }
            let action = pick(random, &["read", "write", "admin", "*"]);
            let effect = pick(random, &["allow", "allow", "allow", "allow", "allow", "allow", "allow", "deny"]);
            lines.insert(format!("p, {subject}, {tenant}, {object}, {action}, {effect}"));
        }
    }
    let mut lines: Vec<String> = lines.into_iter().collect();
    lines.sort();
    lines
}

fn random_resource(random: &mut StdRng) -> Resource {
    let id = pick(random, &["room-1", "room-2", "hall", "a/b", "*"]);
    match random.random_range(0..8) {
        0 => Resource::platform("tenants"),
        1 => Resource::platform_one("tenants", "acme"),
        2 => Resource::platform_one("users", id),
        3 | 4 => Resource::sensor(id),
        5 => Resource::topic(id),
        6 => Resource::file(pick(random, &["reports", "b"]), pick(random, &["a", "x/a", "x/y/z"])),
        _ => Resource::bucket("reports"),
    }
}

fn random_caller(random: &mut StdRng) -> Caller {
    let subject = pick(random, &["user:a", "user:a", "token:b", "user:c", "service:writer", "reader", "acme/user:a"]);
    let tenant = Tenant::parse(pick(random, &TENANTS)).expect("a tenant");
    let home = if random.random_bool(0.8) { tenant.clone() } else { Tenant::parse(pick(random, &TENANTS)).expect("a tenant") };
    Caller { subject: Subject::named(subject), tenant, home, bearer: None, request_id: "t".into(), attempt: Attempt::default() }
}

#[test]
fn decisions_are_casbins_over_random_rules() {
    compare(7_041_776, 150);
}

/// `cargo test --release --lib policy::book -- --ignored`
#[test]
#[ignore = "takes minutes"]
fn decisions_are_casbins_over_many_random_rules() {
    compare(1_789, 20_000);
}

/// Rules, and 60 decisions over them, `rounds` times.
fn compare(seed: u64, rounds: usize) {
    let mut random = StdRng::seed_from_u64(seed);
    let (mut allowed, mut denied) = (0, 0);
    for round in 0..rounds {
        let lines = random_lines(&mut random);
        let book = made(&lines);
        let casbin = plain_casbin(&book);
        for _ in 0..60 {
            let caller = random_caller(&mut random);
            let resource = random_resource(&mut random);
            let action = Action::ALL[random.random_range(0..4)];
            let domain = if resource.as_str().starts_with("/platform/tenants") { "*" } else { caller.tenant.as_str() };
            let subject = line::qualified(&caller.home, &caller.subject);
            let wanted = casbin.enforce((subject.as_str(), domain, resource.as_str(), action.as_str())).expect("casbin decides");
            // Twice: as casbin says it, and as it is kept.
            for time in 0..2 {
                let got = book.decide(&caller, action, &resource);
                assert_eq!(got.is_ok(), wanted, "round {round} time {time}: {caller:?} {action} {resource}: {got:?}\n{lines:#?}");
            }
            if wanted { allowed += 1 } else { denied += 1 }
        }
    }
    assert!(allowed > rounds * 6 && denied > rounds * 6, "both outcomes have to come often: {allowed} {denied}");
}

/// What a query that is limited by this reach would show, as `weir_reaches` has it.
fn reaches(reach: &Reach, name: &str) -> bool {
    let Some(limits) = reach.limits() else { return true };
    let limits = serde_json::to_value(limits).expect("JSON");
    let among = |names: &serde_json::Value| {
        let fits = |text: &str| regex::RegexBuilder::new(text).dot_matches_new_line(true).build().expect("sound").is_match(name);
        names["these"].as_array().expect("names").iter().any(|this| this == name) || names["fitting"].as_str().is_some_and(fits)
    };
    let within = |names: Option<&serde_json::Value>| names.is_none_or(among);
    within(limits.get("allowed")) && within(limits.get("scoped")) && !among(&limits["denied"])
}

/// A list is limited to exactly what may be seen name by name.
#[test]
fn reaches_are_decisions_over_random_rules() {
    let mut random = StdRng::seed_from_u64(31_337);
    let (mut seen, mut hidden) = (0, 0);
    for round in 0..400 {
        let mut lines = random_lines(&mut random);
        for object in [
            "/timescale/sensors/*2F*",
            "/timescale/sensors/a%2F*",
            "/timescale/sensors/*",
            "/timescale/*/r*m-1",
            "/storage/files/reports/x/*",
        ] {
            let effect = pick(&mut random, &["allow", "allow", "deny"]);
            let subject = pick(&mut random, &["reader", "operator", "user:a"]);
            lines.push(format!("p, {subject}, acme, {object}, read, {effect}"));
        }
        lines.sort();
        lines.dedup();
        let book = made(&lines);
        for _ in 0..20 {
            let caller = random_caller(&mut random);
            let action = Action::ALL[random.random_range(0..4)];
            let files = random.random_bool(0.3);
            let collection = if files { Collection::files("reports") } else { Collection::sensors() };
            let reach = book.reach(&caller, action, &collection).expect("a domain").reach;
            for name in ["room-1", "room-2", "hall", "a/b", "*", "a2Fb", "x/a", "x/y/z", "a", "public/x\ny", "r.m-1", "é", "100%"]
            {
                let resource = if files { Resource::file("reports", name) } else { Resource::sensor(name) };
                let wanted = book.decide(&caller, action, &resource).is_ok();
                let got = reaches(&reach, name);
                assert_eq!(got, wanted, "round {round}: {caller:?} {action} {resource}: {reach:?}\n{lines:#?}");
                if wanted { seen += 1 } else { hidden += 1 }
            }
        }
    }
    assert!(seen > 10_000 && hidden > 10_000, "{seen} {hidden}");
}

#[test]
fn the_kept_decisions_are_bounded() {
    let lines = ["p, reader, *, /timescale/**, read, allow".to_owned()];
    let book = made(&lines);
    for number in 0..limits::DECISIONS_CACHED * 2 {
        let caller = Caller {
            subject: Subject::user(&format!("u{number}")),
            tenant: Tenant::parse("acme").expect("a tenant"),
            home: Tenant::parse("acme").expect("a tenant"),
            bearer: None,
            request_id: "t".into(),
            attempt: Attempt::default(),
        };
        assert!(book.decide(&caller, Action::Read, &Resource::sensors()).is_err());
    }
    let kept = book.everywhere.kept.read();
    assert!(kept.young.len() + kept.old.len() <= limits::DECISIONS_CACHED);
}

fn key(matching: &[u32], action: Action, subject: &str) -> Vec<u8> {
    let mut key = Vec::new();
    write_key(&mut key, matching, action, ["", "", subject]);
    key
}

#[test]
fn keys_do_not_run_together() {
    assert_ne!(key(&[1], Action::Read, "a"), key(&[], Action::Read, "\u{1}\0\0\0a"));
    assert_ne!(key(&[1], Action::Read, "a"), key(&[1], Action::Write, "a"));
    assert_ne!(key(&[1, 2], Action::Read, "a"), key(&[1], Action::Read, "\u{2}\0\0\0a"));
}

/// `cargo test --release --lib policy::book -- --ignored --nocapture`
#[test]
#[ignore = "a measurement"]
fn measure() {
    for rules in [10, 900, 10_000, 100_000] {
        let mut lines = vec!["g, user:x, reader, acme".to_owned()];
        for number in 0..rules {
            lines.push(format!("p, role-{}, acme, /timescale/sensors/site-{number}-*, read, allow", number % 97));
        }
        lines.push("p, reader, acme, /timescale/**, read, allow".to_owned());
        let started = Instant::now();
        let book = made(&lines);
        let built = started.elapsed();
        let caller = Caller {
            subject: Subject::user("x"),
            tenant: Tenant::parse("acme").expect("a tenant"),
            home: Tenant::parse("acme").expect("a tenant"),
            bearer: None,
            request_id: "t".into(),
            attempt: Attempt::default(),
        };
        let started = Instant::now();
        assert!(book.decide(&caller, Action::Read, &Resource::buckets()).is_err());
        let first = started.elapsed();
        let resources: Vec<Resource> = (0..200).map(|n| Resource::sensor(&format!("site-{n}-t"))).collect();
        let started = Instant::now();
        for resource in &resources {
            book.decide(&caller, Action::Read, resource).expect("allowed");
        }
        let cold = started.elapsed() / 200;
        let started = Instant::now();
        for _ in 0..500 {
            for resource in &resources {
                book.decide(&caller, Action::Read, resource).expect("allowed");
            }
        }
        let warm = started.elapsed() / 100_000;
        println!("{rules} rules: built {built:?}, tenant's first {first:?}, cold {cold:?}, warm {warm:?}");
    }
}
