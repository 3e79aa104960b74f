//! `weir validator` as a tenant's developer types it: every template is built with its language's tools, tested, and judges what it is for.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use base64::Engine as _;
use reqwest::Method;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::app::App;
use crate::support::{guests, services};

/// A developer: a folder, and the toolchains.
struct Developer {
    home: TempDir,
    variables: BTreeMap<String, String>,
}

impl Developer {
    fn new() -> Self {
        let mut variables: BTreeMap<String, String> = std::env::vars().filter(|(name, _)| !name.starts_with("WEIR_")).collect();
        let path = format!("{}:{}", services::toolchains(), variables.get("PATH").cloned().unwrap_or_default());
        variables.insert("PATH".to_owned(), path);
        // Kept from run to run: what projects in Rust depend on is built once.
        let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("templates").display().to_string();
        variables.insert("CARGO_TARGET_DIR".to_owned(), target);
        Self { home: tempfile::tempdir().expect("a folder"), variables }
    }

    fn path(&self, inside: &str) -> String {
        self.home.path().join(inside).display().to_string()
    }

    fn run(&self, program: &str, arguments: &[&str], folder: &str) -> Output {
        let mut command = Command::new(program);
        command.args(arguments).env_clear().envs(&self.variables).current_dir(self.home.path().join(folder));
        command.output().unwrap_or_else(|error| panic!("{program}: {error}"))
    }

    fn weir(&self, arguments: &[&str]) -> Output {
        self.run(env!("CARGO_BIN_EXE_weir"), &[&["validator"], arguments].concat(), "")
    }

    /// Runs a command that must succeed, and gives what it said.
    fn does(&self, arguments: &[&str]) -> String {
        let done = self.weir(arguments);
        assert!(done.status.success(), "{arguments:?}: {}", said(&done));
        said(&done)
    }

    /// Runs a command that must fail, and gives what it said.
    fn fails(&self, arguments: &[&str]) -> String {
        let done = self.weir(arguments);
        assert!(!done.status.success(), "{arguments:?}: {}", said(&done));
        said(&done)
    }
}

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// From `new` to a version that runs, with its own configuration: the gateway, and the validator's id.
async fn runs(lang: &str, target: &str, cases: usize, own_test: &[&str], config: &Value) -> (App, String) {
    let developer = Developer::new();
    let name = format!("{target}-in-{lang}");
    developer.does(&["new", "--lang", lang, "--target", target, &name]);
    let built = developer.does(&["build", &name]);
    assert!(built.contains(&format!("carries {cases} cases")), "{built}");
    let tested = developer.run(own_test[0], &own_test[1..], &name);
    assert!(tested.status.success(), "its own test: {}", said(&tested));
    let tested = developer.does(&["test", &name]);
    assert!(tested.contains(&format!("{cases} of {cases} cases passed")) && tested.contains("peak memory"), "{tested}");

    let app = App::start().await;
    let pushed =
        developer.does(&["push", &name, "--url", &app.base, "--token", app.token("acme", "administrator"), "--activate"]);
    assert!(pushed.contains("a new validator, version 1") && pushed.contains("version 1 runs now"), "{pushed}");
    let id = pushed.split_once('(').and_then(|(_, rest)| rest.split_once(')')).expect("its id").0.to_owned();
    let change = json!({ "config": config, "errorStrategy": "reject" });
    app.acme().put(&format!("/api/platform/validators/{id}"), &change).await.expect(200);
    (app, id)
}

/// To a reading that the validator refuses.
async fn judges_readings(lang: &str, own_test: &[&str]) {
    let config = json!({ "limits": { "temperature": { "min": -40, "max": 85 } } });
    let (app, id) = runs(lang, "readings", 2, own_test, &config).await;
    let acme = app.acme();
    acme.post("/api/platform/kafka-topics", &json!({ "name": "rooms" })).await.expect(201);
    guests::chain(&acme, "rooms", &[&id]).await;
    let reading = |temperature: f64| {
        let values = json!({ "temperature": temperature, "open": true, "mode": "eco" });
        json!({ "sensorId": "room-4", "timestamp": "2026-05-04T12:00:00Z", "values": values, "topic": "rooms" })
    };
    acme.post("/api/timescale/sensor-readings", &reading(21.5)).await.expect(201);
    let sentence = acme.post("/api/timescale/sensor-readings", &reading(86.5)).await.expect_error(422);
    assert!(sentence.contains("temperature is 86.5, above the limit of 85"), "{sentence}");
    app.stop();
}

/// To a topic that the validator changes and one that it refuses.
async fn judges_documents(lang: &str, own_test: &[&str]) {
    let config = json!({ "prefixes": { "kafka-topics": "plant-" } });
    let (app, id) = runs(lang, "documents", 5, own_test, &config).await;
    let acme = app.acme();
    guests::chain(&acme, "documents/kafka-topics", &[&id]).await;
    let topics = "/api/platform/kafka-topics";
    let made = acme.post(topics, &json!({ "name": "plant-1", "description": " the first " })).await.expect(201);
    assert_eq!(made["data"]["description"], "the first", "{made}");
    let sentence = acme.post(topics, &json!({ "name": "office" })).await.expect_error(422);
    assert!(sentence.contains("begin the name with `plant-`"), "{sentence}");
    app.stop();
}

/// To a file that the validator changes and one that it refuses.
async fn judges_objects(lang: &str, own_test: &[&str]) {
    let (app, id) = runs(lang, "objects", 5, own_test, &json!({ "maxBytes": 200_000 })).await;
    let acme = app.acme();
    acme.post("/api/storage/buckets", &json!({ "name": "files" })).await.expect(201);
    guests::chain(&acme, "objects/files", &[&id]).await;
    let text = acme.clone().with("content-type", "text/plain");
    let put = async |name: &str, bytes: Vec<u8>| text.ask(Method::PUT, &format!("/api/storage/files/files/{name}"), bytes).await;
    put("list.txt", b"one\r\ntwo\r\n".repeat(9_000)).await.expect(201);
    let stored = acme.get("/api/storage/files/download/files/list.txt").await;
    assert!(stored.body == b"one\ntwo\n".repeat(9_000), "{} bytes", stored.body.len());
    let sentence = put("none.txt", b"on\0e".to_vec()).await.expect_error(422);
    assert!(sentence.contains("byte 3 is zero"), "{sentence}");
    put("big.txt", vec![b'a'; 300_000]).await.expect_error(422);
    app.stop();
}

#[tokio::test]
async fn the_template_in_rust_lives() {
    judges_readings("rust", &["cargo", "test", "--quiet"]).await;
}

#[tokio::test]
async fn the_template_for_documents_in_rust_lives() {
    judges_documents("rust", &["cargo", "test", "--quiet"]).await;
}

#[tokio::test]
async fn the_template_for_documents_in_javascript_lives() {
    judges_documents("js", &["node", "--test"]).await;
}

#[tokio::test]
async fn the_template_for_documents_in_python_lives() {
    judges_documents("python", &["python3", "-m", "unittest"]).await;
}

#[tokio::test]
async fn the_template_for_objects_in_rust_lives() {
    judges_objects("rust", &["cargo", "test", "--quiet"]).await;
}

#[tokio::test]
async fn the_template_in_javascript_lives() {
    judges_readings("js", &["node", "--test"]).await;
}

#[tokio::test]
async fn the_template_in_python_lives() {
    judges_readings("python", &["python3", "-m", "unittest"]).await;
}

#[tokio::test]
async fn the_template_in_c_lives() {
    judges_readings(
        "c",
        &["sh", "-c", "mkdir -p build && cc -Wall -Wextra -Werror -o build/test test.c validator.c weir.c && build/test"],
    )
    .await;
}

#[test]
fn the_bindings_of_the_template_in_c_are_what_wit_bindgen_makes() {
    let developer = Developer::new();
    let (wit, template) = (Path::new("wit/v1.0.0"), Path::new("validators/templates/c/readings/bindings"));
    let wit = wit.canonicalize().expect("the interface").display().to_string();
    let made = developer.run("wit-bindgen", &["c", &wit, "--world", "reading-validator", "--out-dir", "made"], "");
    assert!(made.status.success(), "{}", said(&made));
    for file in fs::read_dir(template).expect("a folder of the repository") {
        let name = file.expect("an entry of it").file_name();
        let fresh = fs::read(developer.home.path().join("made").join(&name)).expect("wit-bindgen makes it");
        assert!(fs::read(template.join(&name)).expect("a file") == fresh, "{} is out of date", name.display());
    }
}

#[test]
fn a_mistake_of_the_developer_is_a_line_that_says_what_to_do() {
    let mut developer = Developer::new();
    assert!(developer.fails(&["build"]).contains("is no project: it has no weir.toml; start one with `weir validator new"));
    assert!(developer.fails(&["new", "--lang", "cobol", "x"]).contains("rust, js, python, c"));
    assert!(developer.fails(&["new", "--lang", "js", "../x"]).contains("`../x` is no name"));
    assert!(developer.fails(&["new", "--lang", "js", "x", "--target", "objects"]).contains("no template for objects in js"));
    developer.does(&["new", "--lang", "js", "x"]);
    assert!(developer.fails(&["new", "--lang", "c", "x"]).contains("is there already"));
    assert!(developer.fails(&["test", "x"]).contains("run `weir validator build x` first"));
    fs::write(developer.path("x/weir.toml"), "name = \"x\"\nlang = \"cobol\"\ntarget = \"readings\"\n").expect("written");
    assert!(developer.fails(&["build", "x"]).contains("weir.toml"));
    developer.variables.insert("PATH".to_owned(), developer.path("nothing"));
    for (lang, install) in [
        ("rust", "install Rust with rustup"),
        ("js", "run `npm install`"),
        ("python", "pip install -r requirements.txt"),
        ("c", "apt-get install clang lld wasi-libc"),
    ] {
        let name = format!("bare-{lang}");
        developer.does(&["new", "--lang", lang, &name]);
        let line = developer.fails(&["build", &name]);
        assert!(line.contains("is missing") && line.contains(install), "{lang}: {line}");
    }
}

#[test]
fn a_case_that_fails_says_what_was_expected_and_what_was_found() {
    let developer = Developer::new();
    developer.does(&["new", "--lang", "c", "x"]);
    let cases = json!([{
        "name": "all is well",
        "config": { "limits": { "t": { "min": 0, "max": 1 } } },
        "readings": [
            { "sensorId": "s", "timestamp": 1, "values": { "t": 2 } },
            { "sensorId": "s", "timestamp": 2, "values": { "t": 0.5 } },
            { "sensorId": "s", "timestamp": 3, "values": { "t": 0.25 } },
            { "sensorId": "s", "timestamp": 4, "values": { "t": -1 } },
            { "sensorId": "s" }
        ],
        "expect": [
            { "verdict": "accept" },
            { "verdict": "reject" },
            { "verdict": "accept", "values": { "t": 0.75 } },
            { "verdict": "reject", "reason": "above" },
            { "verdict": "accept" }
        ]
    }]);
    fs::write(developer.path("x/cases.json"), cases.to_string()).expect("written");
    developer.does(&["build", "x"]);
    let said = developer.fails(&["test", "x"]);
    for line in [
        "FAIL  all is well",
        "reading 0: expected accept, found reject, since t is 2, above the limit of 1",
        "reading 1: expected reject, found accept",
        "reading 2: expected t to be 0.75, found 0.25",
        "reading 3: expected a reason with `above`, found `t is -1, below the limit of 0`",
        "reading 4: it is no reading",
        "0 of 1 cases passed",
    ] {
        assert!(said.contains(line), "no `{line}` in: {said}");
    }
    fs::write(developer.path("samples"), "{\"sensorId\": \"s\", \"timestamp\": 1, \"values\": {\"t\": 2, \"u\": true}}\n{}\n")
        .expect("written");
    let config = r#"{"limits": {"u": {"min": 0, "max": 1}}}"#;
    let said = developer.fails(&["test", "x/x.wasm", "--samples", "samples", "--config", config]);
    assert!(said.contains("0  accept   t=2 u=true") && said.contains("1  no reading"), "{said}");
    // A case about what the project does not judge is said when it is built, and not when it is pushed.
    let document =
        json!([{ "name": "a document", "document": { "kind": "schemas", "body": {} }, "expect": { "verdict": "accept" } }]);
    fs::write(developer.path("x/cases.json"), document.to_string()).expect("written");
    let said = developer.fails(&["build", "x"]);
    assert!(said.contains("`a document` does not fit: it is about documents, and the module judges readings"), "{said}");
    fs::write(developer.path("x/cases.json"), "[{\"name\": 3}]").expect("written");
    let said = developer.fails(&["build", "x"]);
    assert!(said.contains("cases.json: ") && said.contains("/0/name"), "{said}");
}

#[test]
fn samples_of_documents_and_files_are_shown_line_by_line() {
    let developer = Developer::new();
    for guest in ["redact", "image-guard"] {
        fs::write(developer.path(&format!("{guest}.wasm")), guests::component(guest)).expect("written");
    }
    let documents = "{\"kind\": \"schemas\", \"body\": {\"name\": \"a\", \"secret\": 1}}\n\n\
                     {\"kind\": \"schemas\", \"body\": {\"name\": \"ann@example.com\"}}\n{\"kind\": \"schemas\"}\n";
    fs::write(developer.path("documents"), documents).expect("written");
    let config = r#"{"refuse": {"emails": true}, "fields": [{"name": "secret", "action": "remove"}]}"#;
    let said = developer.does(&["test", "redact.wasm", "--samples", "documents", "--config", config]);
    for line in [
        "8 of 8 cases passed",
        "ok    fields go by place and by name, and the others stay  (a document, ",
        r#"0  replace  {"name":"a"}"#,
        "1  reject   /name: this has what looks like an e-mail address",
        "2  no document: missing field `body`",
        "3 samples in ",
    ] {
        assert!(said.contains(line), "no `{line}` in: {said}");
    }
    fs::write(developer.path("one.txt"), "one").expect("written");
    fs::write(developer.path("two.png"), "two").expect("written");
    let samples = ["--samples", "one.txt", "--samples", "two.png", "--config", r#"{"otherFiles": "pass"}"#];
    let said = developer.does(&[&["test", "image-guard.wasm"], &samples[..]].concat());
    for line in
        ["9 of 9 cases passed", "0  accept   3 bytes, sha256 7692c3ad", "1  reject   the name ends in .png", "peak memory"]
    {
        assert!(said.contains(line), "no `{line}` in: {said}");
    }
    // What a case finds otherwise is told as for readings, and what a module fails on is no rejection.
    let case =
        json!([{ "name": "x", "object": { "objectName": "a", "text": "b" }, "expect": { "verdict": "accept", "size": 1 } }]);
    let failing = weir::cases::append(&guests::component("image-guard"), case.to_string().as_bytes()).expect("sound");
    fs::write(developer.path("failing.wasm"), failing).expect("written");
    let said = developer.fails(&["test", "failing.wasm"]);
    assert!(said.contains("FAIL  x  (an object, ") && said.contains("expected accept, found reject, since "), "{said}");
}

#[tokio::test]
async fn a_push_that_is_refused_shows_what_the_server_says() {
    let developer = Developer::new();
    let app = App::start().await;
    let (url, token) = (app.base.as_str(), app.token("acme", "administrator"));
    fs::write(developer.path("range.wasm"), guests::component("range-check")).expect("written");
    fs::write(developer.path("none.wasm"), b"\0asm\x01\0\0\0").expect("written");
    let push = |file: &'static str, more: &[&str]| developer.weir(&[&["push", file, "--name", "range"], more].concat());
    let first = push("range.wasm", &["--url", url, "--token", token]);
    assert!(said(&first).contains("a new validator, version 1, sha256 "), "{}", said(&first));
    let second = push("range.wasm", &["--url", &format!("{url}/"), "--token", token]);
    assert!(second.status.success() && !said(&second).contains("a new validator"), "{}", said(&second));
    for (file, more, words) in [
        ("none.wasm", ["--url", url, "--token", token], "refuses (422): The module cannot be used: it is a core module"),
        ("range.wasm", ["--url", url, "--token", "weir_wrong"], "refuses (401): "),
        ("range.wasm", ["--url", url, "--token", app.token("acme", "reader")], "refuses (403): "),
        ("range.wasm", ["--url", "http://127.0.0.1:1", "--token", token], "http://127.0.0.1:1 cannot be asked: "),
        ("range.wasm", ["--url", "nowhere", "--token", token], "nowhere cannot be asked: "),
    ] {
        let refused = push(file, &more);
        let line = said(&refused);
        assert!(!refused.status.success() && line.contains(words) && line.trim().lines().count() == 1, "{line}");
        assert!(!line.contains(token), "{line}");
    }
    assert!(said(&push("range.wasm", &["--url", url])).contains("--token"));
    app.stop();
}

#[tokio::test]
async fn a_push_is_signed_where_the_tenant_asks_for_it() {
    let developer = Developer::new();
    let app = App::start().await;
    let pair = rcgen::KeyPair::generate_for(&rcgen::PKCS_ED25519).expect("a key");
    let key = base64::engine::general_purpose::STANDARD.encode(pair.public_key_raw());
    app.acme().post("/api/platform/signing-keys", &json!({ "name": "build", "publicKey": key })).await.expect(201);
    fs::write(developer.path("key.pem"), pair.serialize_pem()).expect("written");
    fs::write(developer.path("none.pem"), "no key").expect("written");
    fs::write(developer.path("range.wasm"), guests::component("range-check")).expect("written");
    let to = ["push", "range.wasm", "--name", "range", "--url", &app.base, "--token", app.token("acme", "administrator")];
    assert!(developer.fails(&to).contains("signed modules only"));
    assert!(developer.fails(&[&to[..], &["--key", "none.pem"]].concat()).contains("openssl genpkey"));
    developer.does(&[&to[..], &["--key", "key.pem"]].concat());
    app.stop();
}
