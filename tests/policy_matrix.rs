//! The policy as a picture: who may do what under the policies of the repository, printed to `policy_matrix.out`.
//!
//! A reviewer reads the change of a rule there, as a change of what people may do. `WEIR_UPDATE=1 cargo test policy_matrix` writes it anew.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use weir::model::{Action, Attempt, Caller, Resource, Subject, Tenant};
use weir::policy::{Options, Policy};
use weir::vitals::Vitals;

/// A tenant with a user for each role, beside what the repository has.
const ROLES: [&str; 5] = ["administrator", "operator", "developer", "device", "reader"];

/// Home tenant and subject.
const SUBJECTS: [(&str, &str); 10] = [
    ("default", "token:bootstrap"),
    ("default", "user:nobody"),
    ("acme", "user:administrator"),
    ("acme", "user:operator"),
    ("acme", "user:developer"),
    ("acme", "user:device"),
    ("acme", "user:reader"),
    ("acme", "token:bootstrap"),
    ("demo", "token:demo"),
    ("acme", "service:writer"),
];

fn policy() -> Policy {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path().join("policies");
    fs::create_dir_all(folder.join("tenants")).expect("tenants/");
    for name in ["model.conf", "platform.csv", "roles.csv", "tenants/demo.csv"] {
        fs::copy(Path::new("policies").join(name), folder.join(name)).expect("a file of the repository");
    }
    let links: Vec<String> = ROLES.iter().map(|role| format!("g, user:{role}, {role}, acme")).collect();
    fs::write(folder.join("tenants/acme.csv"), links.join("\n")).expect("written");
    Policy::load(Options { folder, vitals: Arc::new(Vitals::new()), log_allowed: 0 }).expect("sound policies")
}

fn resources() -> Vec<Resource> {
    let collections = [
        "tenants",
        "policies",
        "users",
        "tokens",
        "projects",
        "pipelines",
        "kafka-topics",
        "schemas",
        "connectors",
        "validators",
        "audit",
        "quarantine",
    ];
    let mut resources: Vec<Resource> =
        collections.iter().flat_map(|name| [Resource::platform(name), Resource::platform_one(name, "1")]).collect();
    resources.extend([
        Resource::sensors(),
        Resource::sensor("room-4"),
        Resource::topic("raw"),
        Resource::ledger(),
        Resource::buckets(),
        Resource::bucket("reports"),
        Resource::file("reports", "2026/may.pdf"),
    ]);
    resources
}

fn letter(action: Action) -> char {
    match action {
        Action::Read => 'r',
        Action::Write => 'w',
        Action::Delete => 'd',
        Action::Admin => 'a',
    }
}

#[test]
fn the_picture_is_the_one_that_was_reviewed() {
    let policy = policy();
    let mut picture =
        String::from("r read, w write, d delete, a admin; each subject acting in its own tenant and, behind `in`, in acme\n");
    for (home, subject) in SUBJECTS {
        for acting_in in if home == "acme" { vec![home] } else { vec![home, "acme"] } {
            writeln!(picture, "\n{home}/{subject} in {acting_in}").expect("a string takes it");
            let parse = |name| Tenant::parse(name).expect("a tenant");
            let caller = Caller {
                subject: Subject::named(subject),
                tenant: parse(acting_in),
                home: parse(home),
                bearer: None,
                request_id: "matrix".into(),
                attempt: Attempt::default(),
            };
            let mut nothing = true;
            for resource in resources() {
                let may = |action: Action| policy.authorise(&caller, action, &resource).is_ok();
                let letters: String = Action::ALL.iter().map(|action| if may(*action) { letter(*action) } else { '-' }).collect();
                if letters != "----" {
                    nothing = false;
                    writeln!(picture, "  {letters} {resource}").expect("a string takes it");
                }
            }
            if nothing {
                picture.push_str("  nothing\n");
            }
        }
    }
    let path = Path::new("tests/policy_matrix.out");
    if std::env::var_os("WEIR_UPDATE").is_some() {
        fs::write(path, &picture).expect("written");
    }
    let reviewed = fs::read_to_string(path).unwrap_or_default();
    assert!(reviewed == picture, "what the policies allow changed; look at it with WEIR_UPDATE=1 and git diff:\n{picture}");
}
