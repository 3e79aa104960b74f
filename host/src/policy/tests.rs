//! The folder as operators have it: sound, broken in each way, changed while it is watched.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::model::Attempt;
use crate::vitals::Standing;

const MODEL: &str = include_str!("../../../policies/model.conf");

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
    Options { folder: folder.to_owned(), vitals: Arc::new(Vitals::new()) }
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

#[test]
fn each_mistake_is_named_with_its_line() {
    let long = format!("p, {}, acme, /timescale/**, read, allow", "r".repeat(400));
    for (line, said) in [
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
        (&long, "longer than any name"),
    ] {
        let folder = folder(&[("roles.csv", ANY), ("x.csv", &format!("# a comment\n\n{line}\n"))]);
        let found = mistakes(&folder);
        assert_eq!(found.len(), 1, "{line}: {found:?}");
        assert!(found[0].starts_with("policies/x.csv:3: ") && found[0].contains(said), "{line}: {found:?}");
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
        ("allow, user:x, acme, /timescale/sensors/*, read", "one object"),
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

/// Waits until the condition holds; how long it took.
async fn within(limit: Duration, mut holds: impl FnMut() -> bool) -> Duration {
    let started = Instant::now();
    while !holds() {
        assert!(started.elapsed() < limit, "not within {limit:?}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    started.elapsed()
}

/// What a mended file may take, and as much again for a busy machine.
const LIVE: Duration = Duration::from_secs(6);

struct Watched {
    policy: Arc<Policy>,
    vitals: Arc<Vitals>,
    stop: CancellationToken,
    task: tokio::task::JoinHandle<()>,
}

impl Watched {
    async fn start(folder: &Path) -> Self {
        let options = options(folder);
        let vitals = options.vitals.clone();
        let policy = Arc::new(Policy::load(options).expect("sound files"));
        let stop = CancellationToken::new();
        let task = tokio::task::spawn(policy.clone().run(stop.clone()));
        tokio::time::sleep(Duration::from_millis(100)).await;
        Self { policy, vitals, stop, task }
    }

    fn may(&self, subject: &str) -> bool {
        self.policy.authorise(&caller("acme", subject, "acme"), Action::Read, &Resource::sensor("a")).is_ok()
    }

    fn state(&self) -> (Standing, Value) {
        let report = self.vitals.board().remove("policy").expect("a report");
        (report.standing, report.details)
    }

    async fn end(self) {
        self.stop.cancel();
        tokio::time::timeout(Duration::from_secs(5), self.task).await.expect("it stops").expect("it ends well");
    }
}

#[tokio::test]
async fn a_broken_edit_changes_nothing_and_a_mended_one_is_live() {
    let folder = folder(&[("roles.csv", ANY), ("tenants/acme.csv", "g, user:x, reader, acme\n")]);
    let watched = Watched::start(folder.path()).await;
    let first = watched.policy.revision();
    assert!(watched.may("user:x") && !watched.may("user:y"));

    write(folder.path(), "tenants/acme.csv", "g, user:y, reader, acme\np, reader, acme, /timescale/**, read, Deny\n");
    within(LIVE, || watched.state().0 == Standing::Degraded).await;
    let (_, details) = watched.state();
    assert!(details["file"].as_str().is_some_and(|file| file.ends_with("/tenants/acme.csv")), "{details}");
    assert_eq!((&details["line"], &details["message"]), (&2.into(), &"unknown effect `Deny`; write `deny`".into()));
    assert_eq!(details["revision"], Value::from(&*first));
    assert!(watched.may("user:x") && !watched.may("user:y") && watched.policy.revision() == first);

    write(folder.path(), "tenants/acme.csv", "g, user:y, reader, acme\n");
    let took = within(LIVE, || watched.may("user:y")).await;
    println!("a mended file was live after {took:?}");
    assert!(!watched.may("user:x") && watched.policy.revision() != first);
    within(LIVE, || watched.state().0 == Standing::Connected).await;
    assert_eq!(watched.state().1["revision"], Value::from(&*watched.policy.revision()));

    // Without its model the folder counts for nothing; put back as it was, it is sound again.
    fs::rename(folder.path().join("model.conf"), folder.path().join("model.conf.bak")).expect("renamed");
    within(LIVE, || watched.state().0 == Standing::Degraded).await;
    fs::rename(folder.path().join("model.conf.bak"), folder.path().join("model.conf")).expect("renamed");
    within(LIVE, || watched.state().0 == Standing::Connected).await;
    assert!(watched.may("user:y"));
    let loads = |kind| watched.vitals.policy_loads.get_or_create(&Word { kind }).get();
    assert_eq!((loads("loaded"), loads("refused")), (3, 2));
    watched.end().await;
}

#[tokio::test]
async fn files_changed_together_are_one_change() {
    let folder =
        folder(&[("roles.csv", "p, old, *, /timescale/**, read, allow\n"), ("tenants/acme.csv", "g, user:x, old, acme\n")]);
    let watched = Watched::start(folder.path()).await;
    let loaded = || watched.vitals.policy_loads.get_or_create(&Word { kind: "loaded" }).get();
    // Between the two writes user:x would have no role that gives anything.
    write(folder.path(), "roles.csv", "p, new, *, /timescale/**, read, allow\np, new, *, /storage/**, read, allow\n");
    tokio::time::sleep(Duration::from_millis(60)).await;
    write(folder.path(), "tenants/acme.csv", "g, user:x, new, acme\n");
    within(LIVE, || {
        assert!(watched.may("user:x"), "never denied in between");
        loaded() == 2
    })
    .await;
    tokio::time::sleep(Duration::from_millis(700)).await;
    assert_eq!(loaded(), 2, "one change, and Weir's own reading is none");
    watched.end().await;
}

#[tokio::test]
async fn links_swapped_like_a_config_map_are_seen() {
    let folder = folder(&[]);
    let at = |name: &str| folder.path().join(name);
    for (version, subject) in [("..1", "user:x"), ("..2", "user:y")] {
        fs::create_dir(at(version)).expect("a folder");
        fs::write(at(version).join("x.csv"), format!("p, {subject}, acme, /timescale/**, read, allow\n")).expect("written");
    }
    std::os::unix::fs::symlink("..1", at("..data")).expect("a link");
    std::os::unix::fs::symlink("..data/x.csv", at("x.csv")).expect("a link");
    let watched = Watched::start(folder.path()).await;
    assert!(watched.may("user:x"));
    std::os::unix::fs::symlink("..2", at("..data_tmp")).expect("a link");
    fs::rename(at("..data_tmp"), at("..data")).expect("swapped");
    within(LIVE, || watched.may("user:y")).await;
    assert!(!watched.may("user:x"));

    // The folder itself, put in the place of another: no event tells of it.
    let other = self::folder(&[("x.csv", "p, user:z, acme, /timescale/**, read, allow\n")]);
    let aside = folder.path().with_extension("aside");
    fs::rename(folder.path(), &aside).expect("moved aside");
    fs::rename(other.path(), folder.path()).expect("moved in");
    within(LIVE, || watched.may("user:z")).await;
    watched.end().await;
    fs::remove_dir_all(aside).expect("removed");
}
