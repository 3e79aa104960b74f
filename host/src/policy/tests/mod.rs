//! The folder as operators have it: sound, and broken in each way.

mod watched;

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use tempfile::TempDir;

use super::*;
use crate::model::Attempt;

const MODEL: &str = include_str!("../../../../policies/model.conf");

fn folder(files: &[(&str, &str)]) -> TempDir {
    let folder = tempfile::Builder::new().prefix("policies").tempdir().expect("a folder");
    fs::create_dir(folder.path().join("tenants")).expect("tenants/");
    write(folder.path(), "model.conf", MODEL);
    for (name, text) in files {
        write(folder.path(), name, text);
    }
    folder
}

fn write(folder: &Path, name: &str, text: &str) {
    fs::write(folder.join(name), text).expect("a file written");
}

fn options(folder: &Path) -> Options {
    Options { folder: folder.to_owned(), vitals: Arc::new(Vitals::new()), log_allowed: 0 }
}

fn load(folder: &TempDir) -> Policy {
    Policy::load(options(folder.path())).expect("sound files")
}

fn tenant(name: &str) -> Tenant {
    Tenant::parse(name).expect("a tenant")
}

fn caller(home: &str, subject: &str, acting_in: &str) -> Caller {
    Caller {
        subject: Subject::named(subject),
        tenant: tenant(acting_in),
        home: tenant(home),
        bearer: None,
        request_id: "r1".into(),
        attempt: Attempt::default(),
    }
}

/// The mistakes of a folder, each without the folder's random name.
fn mistakes(folder: &TempDir) -> Vec<String> {
    let root = folder.path().file_name().expect("a name").to_string_lossy().into_owned();
    let found = files::check(folder.path()).err().unwrap_or_default();
    found.iter().map(|mistake| mistake.to_string().replace(&root, "policies")).collect()
}

const ANY: &str = "p, reader, *, /timescale/**, read, allow\n";

#[test]
fn the_policies_of_the_repository_are_sound() {
    let summary = files::check(Path::new("policies")).unwrap_or_else(|mistakes| panic!("{mistakes:#?}"));
    assert!(summary.rules > 30 && summary.cases > 20 && summary.tenants == 1, "{summary:?}");
    assert_eq!(summary.revision.len(), 12);
}

/// Lines that casbin would drop, misread or fail at, and what is said of them.
const MALFORMED: [(&str, &str); 58] = [
    ("d, reader, acme, /timescale/**, read, deny", "unknown kind of line `d`; a line begins with `p` or `g`"),
    ("P, reader, acme, /timescale/**, read, deny", "unknown kind of line `P`"),
    ("p2, reader, acme, /timescale/**, read, deny", "unknown kind of line `p2`"),
    ("p, reader, acme, /timescale/**, read, Deny", "unknown effect `Deny`; write `deny`"),
    ("p, reader, acme, /timescale/**, read, forbid", "unknown effect `forbid`; write `allow` or `deny`"),
    ("p, reader, acme, /timescale/**, read", "a `p` line has 6 fields"),
    ("p, reader, acme, /timescale/**, read, deny, x", "this one has 7"),
    ("p, reader, acme, /timescale/**, read, deny,", "this one has 7"),
    ("g, user:x, reader", "a `g` line has 4 fields"),
    ("p, reader, acme, /timescale/[a-, read, deny", "the character `[`"),
    ("p, reader, acme, /timescale/(.*, read, deny", "no resource begins"),
    ("p, reader, acme, /timescale/**, Read, deny", "unknown action `Read`; write `read`"),
    ("p, reader, acme, /timescale/**, get, deny", "unknown action `get`"),
    ("p, reader, acme, /timescale/**, , deny", "unknown action ``"),
    ("p, , acme, /timescale/**, read, deny", "no role's name"),
    ("p, reader, Acme, /timescale/**, read, deny", "`Acme` is no tenant's name"),
    ("p, reader, , /timescale/**, read, deny", "is no tenant's name"),
    ("p, *, acme, /timescale/**, read, deny", "without `*`"),
    ("p, user:*, acme, /timescale/**, read, deny", "without `*`"),
    ("p, usr:x, acme, /timescale/**, read, deny", "unknown kind of subject `usr:x`"),
    ("p, user:, acme, /timescale/**, read, deny", "unknown kind of subject"),
    ("p, acme/reader, acme, /timescale/**, read, deny", "unknown kind of subject"),
    ("p, Acme/user:x, acme, /timescale/**, read, deny", "`Acme` in `Acme/user:x` is no tenant's name"),
    ("p, user:x, *, /timescale/**, read, deny", "could be anybody of that name; say whose it is, such as `default/user:x`"),
    ("g, token:bootstrap, reader, *", "could be anybody"),
    ("g, user:x, user:y, acme", "no role's name"),
    ("p, administrator, acme, /platform/tenants/**, admin, allow", "belongs to no tenant"),
    ("p, \"reader\", acme, /timescale/**, read, deny", "quotes have no meaning"),
    ("p, reader, acme, /timescale/**, read, deny # all", "a line of its own"),
    ("p, reader, acme, /timescale/**, read, de\u{7}ny", "`\\u{7}`, which cannot be seen"),
    ("p, user:a\u{200b}nn, acme, /timescale/**, read, deny", "cannot be seen"),
    ("p, user:a\u{a0}nn, acme, /timescale/**, read, deny", "cannot be seen"),
    // casbin drops a line that is too short, and every later request of every tenant is an error.
    ("p", "this one has 1"),
    ("p,", "this one has 2"),
    ("g", "this one has 1"),
    ("g, user:x, reader, acme, x", "this one has 5"),
    ("p; reader; acme; /timescale/**; read; deny", "unknown kind of line"),
    ("p reader acme /timescale/** read deny", "unknown kind of line"),
    ("- p, reader, acme, /timescale/**, read, deny", "unknown kind of line `- p`"),
    ("p, reader, acme, timescale/**, read, deny", "has to begin with `/`"),
    ("p, reader, acme, /timescale/, read, deny", "ends in `/`"),
    ("p, reader, acme, /timescale//sensors, read, deny", "empty segment"),
    ("p, reader, acme, /timescale/**/x, read, deny", "whole last segment"),
    ("p, reader, acme, /timescale/sensors/a**, read, deny", "whole last segment"),
    ("p, reader, acme, /timescale/sensors/../x, read, deny", "segment `..`"),
    ("p, reader, acme, /timescale/sensor/x, read, deny", "no resource begins"),
    ("p, reader, acme, /storage/files/b/a%2Fb, read, deny", "keeps its slashes"),
    ("p, reader, acme, /timescale/sensors/a%2f, read, deny", "escapes that resources use"),
    ("p, reader, acme, /timescale/sensors/a%C3, read, deny", "part of a character"),
    ("p, reader, acme, /platform/policies, read, allow", "belongs to no tenant"),
    ("p, reader, acme, /timescale/**, read/write, deny", "unknown action `read/write`"),
    ("p, reader, acme, /timescale/**, read, ALLOW", "unknown effect `ALLOW`; write `allow`"),
    ("p, reader, acme, /timescale/**, read, ", "unknown effect ``"),
    ("p, re ader, acme, /timescale/**, read, deny", "no role's name"),
    ("g, user:x, , acme", "no role's name"),
    ("g, user:x, reader, ACME", "is no tenant's name"),
    ("g, \u{202e}user:x, reader, acme", "cannot be seen"),
    ("allow, user:x, acme, /timescale/sensors/a, read", "unknown kind of line `allow`"),
];

#[test]
fn each_mistake_is_named_with_its_line() {
    let long = format!("p, {}, acme, /timescale/**, read, allow", "r".repeat(400));
    for (line, said) in MALFORMED.into_iter().chain([(&long[..], "longer than any name")]) {
        let folder = folder(&[("roles.csv", ANY), ("x.csv", &format!("# a comment\n\n{line}\n"))]);
        let found = mistakes(&folder);
        assert_eq!(found.len(), 1, "{line}: {found:?}");
        assert!(found[0].starts_with("policies/x.csv:3: ") && found[0].contains(said), "{line}: {found:?}");
    }
}

#[tokio::test]
async fn no_mistake_changes_a_decision() {
    let folder = folder(&[("roles.csv", ANY), ("tenants/acme.csv", "g, user:x, reader, acme\n")]);
    let policy = Arc::new(load(&folder));
    let revision = policy.revision();
    let may = |subject: &str| policy.authorise(&caller("acme", subject, "acme"), Action::Read, &Resource::sensor("a")).is_ok();
    let refused = |policy: &Policy| policy.vitals.policy_loads.get_or_create(&Word { kind: "refused" }).get();
    for (number, (line, _)) in (1..).zip(MALFORMED) {
        // Beside the mistake, what would count if the file did.
        write(folder.path(), "x.csv", &format!("p, reader, *, /**, *, deny\n{line}\ng, user:y, reader, acme\n"));
        policy.take(Snapshot::read(folder.path()), &mut watch::Tried::Revision("".into())).await;
        assert!(may("user:x") && !may("user:y") && policy.revision() == revision, "{line}");
        assert_eq!(refused(&policy), number, "{line}");
    }
}

#[test]
fn a_tenants_file_speaks_of_that_tenant_only() {
    for (line, said) in [
        ("p, reader, *, /timescale/**, read, allow", "speaks of tenant `acme` only; write `acme` for `*`"),
        ("p, reader, beta, /timescale/**, read, allow", "write `acme` for `beta`"),
        ("g, user:x, administrator, beta", "write `acme` for `beta`"),
        ("g, user:x, administrator, *", "write `acme` for `*`"),
        ("g, default/user:x, administrator, acme", "cannot speak of `default/user:x`"),
        ("p, administrator, acme, /platform/tenants, admin, allow", "belongs to no tenant"),
    ] {
        let folder = folder(&[("roles.csv", ANY), ("tenants/acme.csv", &format!("{line}\n"))]);
        let found = mistakes(&folder);
        assert_eq!(found.len(), 1, "{line}: {found:?}");
        assert!(found[0].starts_with("policies/tenants/acme.csv:1: ") && found[0].contains(said), "{line}: {found:?}");
    }
    let folder = folder(&[("roles.csv", ANY), ("tenants/acme.test.csv", "deny, user:x, beta, /timescale/sensors/a, read\n")]);
    assert!(mistakes(&folder)[0].contains("speaks of tenant `acme` only"));
}

#[test]
fn several_mistakes_are_told_at_once_and_in_order() {
    let folder = folder(&[("roles.csv", "p, a\nx\n"), ("tenants/acme.csv", "\ng, b\n")]);
    let found = mistakes(&folder);
    let places: Vec<&str> = found.iter().map(|text| text.split(": ").next().unwrap_or_default()).collect();
    assert_eq!(places, ["policies/roles.csv:1", "policies/roles.csv:2", "policies/tenants/acme.csv:2"]);
}

#[test]
fn repeats_circles_and_depths_are_refused() {
    let deep = (0..=9).map(|n| format!("g, r{n}, r{}, acme", n + 1)).collect::<Vec<_>>().join("\n");
    for (text, line, said) in [
        ("p, a, acme, /**, read, allow\np, a,  acme,/**,read,allow\n", 2, "the same rule stands at"),
        ("g, user:x, a, acme\ng, acme/user:x, a, acme\n", 2, "the same line stands at"),
        ("g, a, b, acme\ng, b, c, *\ng, c, a, acme\n", 3, "leads back to itself: "),
        ("g, a, a, acme\n", 1, "leads back to itself: a → a"),
        ("g, user:x, a, acme\ng, a, b, acme\ng, b, a, *\n", 3, "leads back to itself"),
        (&deep, 9, "more than 8 roles deep"),
    ] {
        let folder = folder(&[("roles.csv", ANY), ("x.csv", text)]);
        let found = mistakes(&folder);
        assert_eq!(found.len(), 1, "{text}: {found:?}");
        assert!(found[0].starts_with(&format!("policies/x.csv:{line}: ")) && found[0].contains(said), "{text}: {found:?}");
    }
    // The same names in two tenants are two things.
    let folder = folder(&[("roles.csv", ANY), ("x.csv", "g, a, b, acme\ng, b, a, beta\n")]);
    assert_eq!(mistakes(&folder), [""; 0]);
}

#[test]
fn what_has_no_business_in_the_folder_is_refused() {
    for (name, said) in [
        ("acme.cvs", "end in `.csv`"),
        (".csv.txt", ""),
        ("roles.CSV", "end in `.csv`"),
        ("tenants/Acme.csv", "`Acme` is no tenant's name"),
        ("tenants/acme.conf", "end in `.csv`"),
        ("README.md", ""),
        ("roles.csv~", ""),
        (".roles.csv.swp", ""),
        ("tenants/.acme.csv", ""),
    ] {
        let folder = folder(&[("roles.csv", ANY), (name, "nonsense")]);
        let found = mistakes(&folder);
        assert_eq!(found.is_empty(), said.is_empty(), "{name}: {found:?}");
        assert!(found.iter().all(|text| text.starts_with(&format!("policies/{name}: ")) && text.contains(said)), "{found:?}");
    }
    let nested = folder(&[("roles.csv", ANY)]);
    fs::create_dir(nested.path().join("tenants/acme.csv")).expect("a folder");
    fs::create_dir(nested.path().join("tenant")).expect("a folder");
    assert_eq!(mistakes(&nested).len(), 2);
    let dangling = folder(&[("roles.csv", ANY)]);
    std::os::unix::fs::symlink("nowhere", dangling.path().join("tenants/acme.csv")).expect("a link");
    assert_eq!(mistakes(&dangling), ["policies/tenants/acme.csv: it is missing"]);
}

#[test]
fn a_folder_without_model_rules_or_text_is_refused() {
    let missing = folder(&[("roles.csv", ANY)]);
    fs::remove_file(missing.path().join("model.conf")).expect("removed");
    assert_eq!(mistakes(&missing), ["policies/model.conf: the file is missing"]);
    assert!(mistakes(&folder(&[]))[0].contains("no file has a rule"));
    let model = folder(&[("roles.csv", ANY), ("model.conf", &MODEL.replace("p.eft == deny", "p.eft == no"))]);
    assert!(mistakes(&model)[0].starts_with("policies/model.conf:13: `e` has to be"), "{:?}", mistakes(&model));
    let bytes = folder(&[("roles.csv", ANY)]);
    fs::write(bytes.path().join("x.csv"), b"# fine\n# gr\xfcn\n").expect("written");
    assert_eq!(mistakes(&bytes), ["policies/x.csv:2: this is not UTF-8"]);
    let gone = files::check(Path::new("/nowhere/policies")).expect_err("nothing there");
    assert_eq!(gone[0].to_string(), "policies: it is missing");
    let large = folder(&[("roles.csv", ANY)]);
    let file = fs::File::create(large.path().join("x.csv")).expect("a file");
    file.set_len(crate::limits::POLICY_FILE_BYTES + 1).expect("a length");
    assert!(mistakes(&large)[0].contains("is larger than"));
    assert_eq!(mistakes(&folder(&[("roles.csv", &format!("\u{feff}{ANY}\r\n"))])), [""; 0]);
}

#[test]
fn too_many_rules_are_refused() {
    let mut text = String::new();
    for number in 0..=crate::limits::POLICY_RULES {
        writeln!(text, "p, r{number}, acme, /timescale/**, read, allow").expect("a string takes it");
    }
    let found = mistakes(&folder(&[("x.csv", &text)]));
    assert_eq!(found.len(), 1);
    assert!(found[0].starts_with("policies/x.csv:200001: ") && found[0].contains("more than 200000 rules"), "{found:?}");
}

#[test]
fn cases_are_run_and_have_to_hold() {
    let rules = "g, user:x, reader, acme\np, reader, acme, /timescale/sensors/secret, read, deny\n";
    let cases = "allow, user:x, acme, /timescale/sensors/a, read\n\
                 allow, user:x, acme, /timescale/sensors/secret, read\n\
                 deny, user:x, acme, /timescale/sensors/a, read\n\
                 allow, user:x, acme, /timescale/sensors/a, write\n\
                 maybe, user:x, acme, /timescale/sensors/a, write\n";
    let both = folder(&[("roles.csv", ANY), ("tenants/acme.csv", rules), ("tenants/acme.test.csv", cases)]);
    assert_eq!(mistakes(&both), ["policies/tenants/acme.test.csv:5: unknown outcome `maybe`; write `allow` or `deny`"]);
    write(both.path(), "tenants/acme.test.csv", &cases.replace("maybe", "deny"));
    let found = mistakes(&both);
    assert_eq!(found.len(), 3, "{found:?}");
    assert!(
        found[0].ends_with(
            "acme.test.csv:2: this case wants `allow`, the rules deny: policies/tenants/acme.csv:2 denies it to reader"
        )
    );
    let wanted = "acme.test.csv:3: this case wants `deny`, the rules allow: ";
    assert!(found[1].contains(wanted) && found[1].contains(" allows it to "), "{}", found[1]);
    assert!(found[2].contains(":4: ") && found[2].contains("roles.csv:1 allows read but not write"));
    for (case, said) in [
        ("allow, reader, acme, /timescale/sensors/a, read", "`reader` is a role"),
        ("allow, user:x, *, /timescale/sensors/a, read", "not `*`"),
        ("allow, user:x, acme, /timescale/sensors/*, read", "an object is one"),
        ("allow, user:x, acme, /timescale/sensors/a, *", "one action"),
        ("allow, user:x, acme, /timescale/sensors/a", "5 fields"),
    ] {
        let found = mistakes(&folder(&[("roles.csv", ANY), ("x.test.csv", case)]));
        assert!(found.len() == 1 && found[0].starts_with("policies/x.test.csv:1: ") && found[0].contains(said), "{found:?}");
    }
}

#[test]
fn names_taken_from_another_tenant_gain_nothing() {
    let folder = folder(&[
        ("platform.csv", "p, platform-administrator, *, /**, *, allow\ng, default/token:bootstrap, platform-administrator, *\n"),
        // As much as a tenant's file can say for itself.
        (
            "tenants/acme.csv",
            "p, all, acme, /**, *, allow\ng, user:x, all, acme\ng, user:x, platform-administrator, acme\n\
             p, user:y, acme, /platform/**, *, allow\n",
        ),
        ("tenants/beta.csv", "p, user:x, beta, /timescale/**, read, allow\n"),
    ]);
    let policy = load(&folder);
    let may = |home, subject, acting_in, resource: &Resource| {
        policy.authorise(&caller(home, subject, acting_in), Action::Read, resource).is_ok()
    };
    let (sensor, tenants, users) = (Resource::sensor("a"), Resource::platform("tenants"), Resource::platform("users"));
    for tenant in ["default", "acme", "beta", "nobody"] {
        assert!(may("default", "token:bootstrap", tenant, &sensor), "{tenant}");
        assert!(may("default", "token:bootstrap", tenant, &tenants), "{tenant}");
        // The administrator's name, taken in each tenant.
        for home in ["acme", "beta", "nobody"] {
            assert!(!may(home, "token:bootstrap", tenant, &sensor), "{home} in {tenant}");
            assert!(!may(home, "token:bootstrap", tenant, &tenants), "{home} in {tenant}");
        }
    }
    // Names that try to be a role, a qualified name or both.
    for subject in
        ["platform-administrator", "all", "default/token:bootstrap", "user:default/token:bootstrap", "token:x", "*", ""]
    {
        assert!(!may("acme", subject, "acme", &sensor), "{subject}");
    }
    // In another tenant only the qualified name counts: beta's rule for its own user:x is not for acme's.
    assert!(may("beta", "user:x", "beta", &sensor));
    assert!(!may("acme", "user:x", "beta", &sensor) && !may("beta", "user:x", "acme", &sensor));
    // Whatever acme's file gives, it does not reach the tenants, its own included.
    assert!(may("acme", "user:x", "acme", &users) && may("acme", "user:y", "acme", &users));
    for subject in ["user:x", "user:y"] {
        assert!(!may("acme", subject, "acme", &tenants));
        assert!(!may("acme", subject, "acme", &Resource::platform_one("tenants", "beta")));
        assert!(!may("acme", subject, "acme", &Resource::platform_one("tenants", "acme")));
        assert!(!may("acme", subject, "default", &tenants));
    }
}

#[test]
fn ids_cannot_escape_their_rule() {
    let folder = folder(&[(
        "x.csv",
        "p, user:x, acme, /timescale/sensors/*, read, allow\np, user:x, acme, /storage/files/public/**, read, allow\n",
    )]);
    let policy = load(&folder);
    let may = |resource: Resource| policy.authorise(&caller("acme", "user:x", "acme"), Action::Read, &resource).is_ok();
    assert!(may(Resource::sensor("a/b")) && may(Resource::sensor("../quarantine")) && may(Resource::sensor("**")));
    assert!(may(Resource::file("public", "a/b")));
    assert!(!may(Resource::file("private", "public/a")) && !may(Resource::file("public/../private", "a")));
    assert!(!may(Resource::ledger()) && !may(Resource::sensors()));
}

#[test]
fn a_denial_says_to_the_client_what_and_to_the_log_why() {
    let folder = folder(&[("roles.csv", ANY), ("tenants/acme.csv", "g, user:x, reader, acme\n")]);
    let policy = load(&folder);
    let denied =
        policy.authorise(&caller("acme", "user:y", "acme"), Action::Read, &Resource::sensor("room-4")).expect_err("denied");
    assert_eq!(denied.to_string(), "The policy does not allow user:y to read /timescale/sensors/room-4 in tenant acme.");
    assert!(denied.reason.ends_with("/roles.csv:1 allows it to reader, which acme/user:y is not"), "{}", denied.reason);
    let foreign = policy.authorise(&caller("beta", "user:x", "acme"), Action::Admin, &Resource::sensors()).expect_err("denied");
    assert_eq!(
        foreign.to_string(),
        "The policy does not allow user:x of tenant beta to administer /timescale/sensors in tenant acme."
    );
    assert_eq!(Error::from(foreign).kind(), Kind::Forbidden);
    let nothing = policy.authorise(&caller("acme", "user:x", "acme"), Action::Read, &Resource::buckets()).expect_err("denied");
    assert_eq!(&*nothing.reason, "no rule's object covers /storage/buckets");
    let permit = policy.authorise(&caller("acme", "user:x", "acme"), Action::Read, &Resource::sensor("a")).expect("allowed");
    assert_eq!((permit.tenant().as_str(), permit.revision()), ("acme", &policy.revision()));
    let each =
        policy.authorise_each(&caller("acme", "user:x", "acme"), Action::Read, &[Resource::sensor("a"), Resource::buckets()]);
    assert!(each[0].is_ok() && each[1].is_err());
    assert_eq!(policy.denied.get(), 4);
}
