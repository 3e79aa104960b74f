//! The commands of `weir`, as an administrator types them.

use std::collections::BTreeMap;
use std::fs;
use std::process::{Command, Output};

use serde_json::json;
use wiremock::matchers::any;
use wiremock::{Mock, MockServer, ResponseTemplate};

use crate::support::app::App;
use crate::support::client::Client;
use crate::support::database::Databases;
use crate::support::issued::Signer;
use crate::support::services;

fn weir(arguments: &[&str], variables: &BTreeMap<&str, String>) -> Output {
    Command::new(env!("CARGO_BIN_EXE_weir")).args(arguments).env_clear().envs(variables).output().expect("weir runs")
}

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

fn variables(databases: &Databases) -> BTreeMap<&'static str, String> {
    BTreeMap::from([
        ("DATABASE_URL_PLATFORM", databases.platform.clone()),
        ("DATABASE_URL_TIMESCALE", databases.readings.clone()),
        ("WEIR_STORAGE_URL", format!("fs://{}", std::env::temp_dir().display())),
        ("WEIR_POLICIES", "policies".to_owned()),
    ])
}

#[tokio::test]
async fn a_token_from_the_shell_works() {
    let app = App::builder().policy("tenants/default.csv", "g, token:ops, administrator, default\n").start().await;
    let mut variables = variables(&app.databases);
    variables.insert("WEIR_POLICIES", app.policies().display().to_string());
    let made = weir(&["token", "create", "--name", "ops"], &variables);
    assert!(made.status.success(), "{}", said(&made));
    let secret = String::from_utf8(made.stdout).expect("text");
    Client::new(&app.base, Some(secret.trim())).get("/api/platform/tokens").await.expect(200);
    let again = weir(&["token", "create", "--name", "ops"], &variables);
    assert!(!again.status.success() && said(&again).starts_with("weir: "), "{}", said(&again));
    let nowhere = weir(&["token", "create", "--name", "x", "--tenant", "nowhere"], &variables);
    assert!(!nowhere.status.success() && said(&nowhere).contains("nowhere"), "{}", said(&nowhere));
    app.stop();
}

#[tokio::test]
async fn a_token_from_the_shell_may_act_for_a_user_and_within_scopes() {
    let app = App::start().await;
    let variables = variables(&app.databases);
    app.acme().post("/api/platform/users", &json!({ "email": "ann@acme.example" })).await.expect(201);
    let create = ["token", "create", "--tenant", "acme", "--name", "anns", "--user", "ann@acme.example"];
    let scope = ["--scope", "read:/timescale/**", "--scope", "write:/storage/files/reports/**"];
    let made = weir(&[&create[..], &scope, &["--expires-at", "2999-01-01T00:00:00Z"]].concat(), &variables);
    assert!(made.status.success(), "{}", said(&made));
    let secret = String::from_utf8(made.stdout).expect("text");
    let me = Client::new(&app.base, Some(secret.trim())).get("/api/auth/whoami").await.expect(200);
    assert_eq!((&me["data"]["subject"], &me["data"]["scopes"]), (&json!("user:ann@acme.example"), &json!([scope[1], scope[3]])));
    assert_eq!(me["data"]["expiresAt"], "2999-01-01T00:00:00.000000Z");
    let nobody = weir(&["token", "create", "--tenant", "acme", "--name", "x", "--user", "bob@acme.example"], &variables);
    assert!(!nobody.status.success() && said(&nobody).contains("bob@acme.example"), "{}", said(&nobody));
    let unreadable = weir(&["token", "create", "--name", "x", "--scope", "everything"], &variables);
    assert!(!unreadable.status.success() && said(&unreadable).contains("scopes"), "{}", said(&unreadable));
    app.stop();
}

#[tokio::test]
async fn doctor_asks_the_issuer_of_tokens() {
    let (databases, issuer) = (Databases::create().await, MockServer::start().await);
    let mut variables = variables(&databases);
    variables.insert("WEIR_OIDC_ISSUER", issuer.uri());
    variables.insert("WEIR_OIDC_AUDIENCE", "weir".to_owned());
    variables.insert("WEIR_OIDC_JWKS_URL", format!("{}/keys", issuer.uri()));
    let ill = weir(&["doctor"], &variables);
    assert!(said(&ill).contains("wrong  issuer of tokens"), "{}", said(&ill));
    let keys = json!({ "keys": [Signer::ec("a").jwk()] });
    Mock::given(any()).respond_with(ResponseTemplate::new(200).set_body_json(keys)).mount(&issuer).await;
    let healthy = weir(&["doctor"], &variables);
    assert!(said(&healthy).contains("ok     issuer of tokens"), "{}", said(&healthy));
}

#[tokio::test]
async fn doctor_says_what_is_wrong_and_what_to_do() {
    let databases = Databases::create().await;
    let mut variables = variables(&databases);
    variables.insert("KAFKA_BROKERS", services::brokers());
    assert!(weir(&["migrate"], &variables).status.success());
    let healthy = weir(&["doctor"], &variables);
    assert!(healthy.status.success(), "{}", said(&healthy));
    for part in ["policies", "platform database", "readings database", "object store", "kafka"] {
        assert!(said(&healthy).contains(&format!("ok     {part}")), "{}", said(&healthy));
    }
    let broken = tempfile::tempdir().expect("a folder");
    fs::write(broken.path().join("model.conf"), "nonsense").expect("written");
    variables.insert("WEIR_POLICIES", broken.path().display().to_string());
    variables.insert("KAFKA_BROKERS", "127.0.0.1:1".to_owned());
    variables.insert("DATABASE_URL_TIMESCALE", "postgres://weir:hunter2@127.0.0.1:1/none".to_owned());
    variables.insert("WEIR_STORAGE_URL", "fs:///proc/no-such-place".to_owned());
    let ill = weir(&["doctor"], &variables);
    assert!(!ill.status.success());
    for part in ["policies", "readings database", "object store", "kafka"] {
        assert!(said(&ill).contains(&format!("wrong  {part}")), "{}", said(&ill));
    }
    assert!(!said(&ill).contains("hunter2"), "{}", said(&ill));
}

#[tokio::test]
async fn a_wrong_setting_stops_the_start_with_one_line_that_names_it() {
    let databases = Databases::create().await;
    for (name, value) in [
        ("PORT", "many"),
        ("PORT", "99999"),
        ("WEIR_ROLE", "boss"),
        ("WEIR_PLATFORM_CONNECTIONS", "0"),
        ("WEIR_STORAGE_URL", "ftp://here"),
        ("WEIR_BOOTSTRAP_TOKEN", "short"),
        ("WEIR_GUEST_TIMES_MS", "5"),
        ("DATABASE_URL_PLATFORM", "mysql://here"),
    ] {
        let mut variables = variables(&databases);
        variables.insert(name, value.to_owned());
        let refused = weir(&["serve"], &variables);
        let line = said(&refused);
        assert!(!refused.status.success() && line.contains(name) && line.trim().lines().count() == 1, "{name}={value}: {line}");
    }
    let mut without = variables(&databases);
    without.remove("DATABASE_URL_PLATFORM");
    assert!(said(&weir(&["serve"], &without)).contains("DATABASE_URL_PLATFORM"));
}

#[test]
fn policy_check_counts_or_names_each_mistake() {
    let sound = weir(&["policy", "check", "policies"], &BTreeMap::new());
    assert!(sound.status.success() && said(&sound).contains("rules"), "{}", said(&sound));
    let folder = tempfile::tempdir().expect("a folder");
    fs::create_dir(folder.path().join("tenants")).expect("made");
    for name in ["model.conf", "platform.csv", "roles.csv"] {
        fs::copy(format!("policies/{name}"), folder.path().join(name)).expect("copied");
    }
    fs::write(
        folder.path().join("tenants/acme.csv"),
        "p, token:a, acme, /platform/**, read, Deny\n\np, token:a, globex, /platform/**, read, allow\n",
    )
    .expect("written");
    let wrong = weir(&["policy", "check", &folder.path().display().to_string()], &BTreeMap::new());
    assert!(!wrong.status.success());
    assert!(said(&wrong).contains("tenants/acme.csv:1: ") && said(&wrong).contains("tenants/acme.csv:3: "), "{}", said(&wrong));
}

#[test]
fn what_the_program_knows_of_itself_is_printed() {
    let settings = weir(&["settings"], &BTreeMap::new());
    assert!(said(&settings).contains("| `http.port` | `PORT` | `3010` |"), "{}", said(&settings));
    let document: serde_json::Value = serde_json::from_slice(&weir(&["openapi"], &BTreeMap::new()).stdout).expect("JSON");
    assert!(document["paths"].as_object().is_some_and(|paths| paths.len() > 20));
    assert!(!weir(&["no-such-command"], &BTreeMap::new()).status.success());
}

#[tokio::test]
async fn quarantine_from_the_shell_is_listed_replayed_and_deleted() {
    let app = App::start().await;
    let acme = app.acme();
    let form = serde_json::json!({ "name": "strict", "type": "json-schema", "definition": { "required": ["quality"] } });
    let schema = acme.post("/api/platform/schemas", &form).await.expect(201)["data"]["id"].clone();
    acme.post("/api/platform/kafka-topics", &serde_json::json!({ "name": "strict", "schemaId": schema })).await.expect(201);
    for second in 0..3 {
        let timestamp = format!("2026-05-04T12:00:0{second}Z");
        let reading = serde_json::json!({ "sensorId": "s", "timestamp": timestamp, "value": 1, "topic": "strict" });
        acme.post("/api/timescale/sensor-readings", &reading).await.expect_error(422);
    }
    let mut variables = variables(&app.databases);
    variables.insert("WEIR_POLICIES", app.policies().display().to_string());
    let run = |arguments: &[&str]| {
        let done = weir(&[arguments, &["--tenant", "acme"]].concat(), &variables);
        assert!(done.status.success(), "{arguments:?}: {}", said(&done));
        String::from_utf8(done.stdout).expect("text")
    };
    let listed = run(&["quarantine", "list", "--topic", "strict"]);
    assert!(listed.lines().count() == 4 && listed.starts_with("id ") && listed.contains("strict@1"), "{listed}");
    let listed: serde_json::Value = serde_json::from_str(&run(&["quarantine", "list", "--json"])).expect("JSON");
    let id = listed[0]["id"].as_str().expect("an id");
    assert!(run(&["quarantine", "show", id]).contains(id));
    assert!(run(&["quarantine", "causes"]).lines().nth(1).is_some_and(|line| line.starts_with('3')));
    assert!(run(&["quarantine", "replay", "--limit", "1"]).contains("1 entries wait on"));
    acme.delete("/api/platform/kafka-topics/strict/schema").await.expect(200);
    assert!(run(&["quarantine", "replay", id]).contains("stored 1 readings"));
    assert!(run(&["quarantine", "delete", "--topic", "strict", "--state", "waiting"]).starts_with("2 entries"));
    assert!(run(&["ledger", "verify"]).contains("books and rows agree"));
    let emptied = weir(&["quarantine", "delete", "--tenant", "acme"], &variables);
    assert!(!emptied.status.success() && said(&emptied).contains("Say which"), "{}", said(&emptied));
    let nowhere = weir(&["ledger", "verify", "--tenant", "nowhere"], &variables);
    assert!(!nowhere.status.success() && said(&nowhere).contains("nowhere"), "{}", said(&nowhere));
    app.stop();
}

/// A folder with the roles of the repository and a tenant `acme` of these lines.
fn policies(acme: &str, cases: &str) -> tempfile::TempDir {
    let folder = tempfile::Builder::new().prefix("policies").tempdir().expect("a folder");
    fs::create_dir(folder.path().join("tenants")).expect("made");
    for name in ["model.conf", "platform.csv", "roles.csv"] {
        fs::copy(format!("policies/{name}"), folder.path().join(name)).expect("copied");
    }
    fs::write(folder.path().join("tenants/acme.csv"), acme).expect("written");
    fs::write(folder.path().join("tenants/acme.test.csv"), cases).expect("written");
    folder
}

#[test]
fn policy_test_says_of_each_case_what_decides_it() {
    let folder = policies(
        "g, user:ann, reader, acme\n",
        "allow, user:ann, acme, /timescale/sensors/a, read\nallow, user:bob, acme, /timescale/sensors/a, read\n",
    );
    let tested = weir(&["policy", "test", &folder.path().display().to_string()], &BTreeMap::new());
    let lines = said(&tested);
    assert!(!tested.status.success(), "{lines}");
    assert!(
        lines.contains("ok      ") && lines.contains("acme.test.csv:1: allow, user:ann, acme, /timescale/sensors/a, read"),
        "{lines}"
    );
    assert!(lines.contains("FAILED  ") && lines.contains("1 of 2 cases hold"), "{lines}");
    assert!(weir(&["policy", "test", "policies"], &BTreeMap::new()).status.success());
}

#[test]
fn policy_explain_names_the_rule_or_the_nearest_ones() {
    let folder = policies("g, user:ann, reader, acme\np, user:bob, acme, /timescale/sensors/building-7-*, read, allow\n", "");
    let path = folder.path().display().to_string();
    let explain = |subject: &str, object: &str, action: &str| {
        weir(&["policy", "explain", subject, "acme", object, action, "--policies", &path], &BTreeMap::new())
    };
    let allowed = explain("user:ann", "/timescale/sensors/room-4", "read");
    assert!(allowed.status.success(), "{}", said(&allowed));
    assert!(
        said(&allowed).contains("allowed: ")
            && said(&allowed).contains("roles.csv:")
            && said(&allowed).contains("in acme: reader")
    );
    let action = explain("user:ann", "/timescale/sensors/room-4", "write");
    assert!(!action.status.success());
    assert!(said(&action).contains("action: it allows read, not write"), "{}", said(&action));
    let object = explain("user:bob", "/timescale/sensors/building-8-a", "read");
    assert!(said(&object).contains("object: /timescale/sensors/building-7-* does not cover"), "{}", said(&object));
    let list = explain("user:bob", "/timescale/sensors", "read");
    assert!(!list.status.success());
    assert!(
        said(&list).contains("but a list of it is answered, limited") && said(&list).contains("acme.csv:2"),
        "{}",
        said(&list)
    );
    assert!(!said(&explain("user:bob", "/timescale/sensors", "write")).contains("but a list"));
    assert!(said(&explain("user:ann", "/timescale/sensors/*", "read")).contains("an object is one"));
    let tenant =
        weir(&["policy", "explain", "reader", "acme", "/timescale/sensors/a", "read", "--policies", &path], &BTreeMap::new());
    assert!(said(&tenant).contains("is a role"), "{}", said(&tenant));
}

#[test]
fn policy_who_can_and_permissions_answer_of_everybody_whom_the_rules_name() {
    let folder = policies(
        "g, user:ann, reader, acme\ng, token:gauge, device, acme\np, user:ann, acme, /timescale/sensors/secret, read, deny\n",
        "",
    );
    let path = folder.path().display().to_string();
    let ask = |rest: &[&str]| said(&weir(&[&["policy"], rest, &["--policies", &path]].concat(), &BTreeMap::new()));
    let readers = ask(&["who-can", "/timescale/sensors/room-4", "read", "--tenant", "acme"]);
    assert!(readers.contains("acme  acme/user:ann") && readers.contains("default/token:bootstrap"), "{readers}");
    assert!(!readers.contains("token:gauge"), "{readers}");
    let secret = ask(&["who-can", "/timescale/sensors/secret", "read", "--tenant", "acme"]);
    assert!(!secret.contains("user:ann"), "{secret}");
    let of_ann = ask(&["permissions", "acme/user:ann"]);
    assert!(of_ann.contains("deny read /timescale/sensors/secret  by acme/user:ann") && of_ann.contains("by reader"), "{of_ann}");
    assert!(ask(&["permissions", "user:ann"]).contains("--tenant"));
    assert!(ask(&["permissions", "user:nobody", "--tenant", "acme"]).contains("no rule speaks of"));
}

#[tokio::test]
async fn policy_impact_says_who_gains_and_loses_and_refuses_what_crosses_a_tenant() {
    let app = App::start().await;
    app.client("acme", "reader").get("/api/timescale/sensors").await.expect(200);
    app.client("acme", "nobody").get("/api/platform/projects").await.expect_error(403);
    app.client("globex", "reader").with("x-tenant", "acme").get("/api/platform/projects").await.expect_error(403);
    let kept = async || {
        let sql = "select count(*) from decisions where subject in ('token:reader', 'token:nobody')";
        let count: i64 = sqlx::query_scalar(sql).fetch_one(&app.databases.platform().await).await.expect("a count");
        count >= 3
    };
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(20);
    while !kept().await {
        assert!(std::time::Instant::now() < deadline, "the decisions are not on record");
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    let mut variables = variables(&app.databases);
    variables.insert("WEIR_POLICIES", app.policies().display().to_string());
    let other = tempfile::Builder::new().prefix("policies").tempdir().expect("a folder");
    let copied =
        std::process::Command::new("cp").arg("-r").arg(format!("{}/.", app.policies().display())).arg(other.path()).status();
    assert!(copied.expect("cp").success());
    let file = other.path().join("tenants/acme.csv");
    let rules = fs::read_to_string(&file).expect("a policy file");
    fs::write(&file, rules.replace("g, token:reader, reader, acme", "g, token:nobody, reader, acme")).expect("written");
    let folder = other.path().display().to_string();
    let told = weir(&["policy", "impact", &folder], &variables);
    let lines = said(&told);
    assert!(told.status.success(), "{lines}");
    assert!(lines.contains("gains  token:nobody in acme: read /platform/projects"), "{lines}");
    assert!(lines.contains("loses  token:reader in acme: read /timescale/sensors"), "{lines}");
    let platform = other.path().join("platform.csv");
    let rules = fs::read_to_string(&platform).expect("a policy file");
    fs::write(&platform, format!("{rules}\ng, globex/token:reader, platform-administrator, *\n")).expect("written");
    let told = weir(&["policy", "impact", &folder, "--json"], &variables);
    let impact: serde_json::Value = serde_json::from_slice(&told.stdout).expect("JSON");
    assert!(!told.status.success() && impact["loads"] == false, "{impact}");
    let first = &impact["differences"][0];
    assert_eq!((&first["change"], &first["subject"]), (&"crosses".into(), &"token:reader".into()), "{impact}");
    app.stop();
}
