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
