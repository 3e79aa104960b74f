//! The OpenAPI document against the program: schemathesis makes requests of the document, sound ones and broken ones, and holds every
//! answer against it.
//!
//! `schemathesis.toml` says what it is to overlook and why, `schemathesis.py` what no schema can say.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::every_route::things;
use crate::support::app::{ADMINISTRATOR, App};
use crate::support::services;

/// Requests that are made up of each operation, beside those that go through the bounds of its fields one by one.
const EXAMPLES: u32 = 3;
/// The same in the long form.
const MANY_EXAMPLES: u32 = 300;
/// Operations that did what they are for at least once, of about 130. The others need what a run of chance does not come by, such as a
/// module that fits or an offset in Kafka.
const DONE: usize = 100;
/// Bytes of what schemathesis printed that a failure shows.
const SHOWN: usize = 12_000;

#[tokio::test]
async fn every_answer_is_one_that_the_document_has() {
    the_document_holds(EXAMPLES, &["--generation-deterministic"], Duration::from_mins(6)).await;
}

#[tokio::test]
#[ignore = "takes many minutes: make soak"]
async fn every_answer_is_one_that_the_document_has_in_a_soak() {
    the_document_holds(MANY_EXAMPLES, &["--generation-database", "none"], Duration::from_hours(3)).await;
}

/// It runs as an administrator of the platform at work in `acme`: a token that no request of the run can revoke, since it is another
/// tenant's, and that reaches the tenants besides.
async fn the_document_holds(examples: u32, more: &[&str], patience: Duration) {
    let app = App::start().await;
    things(&app).await;
    let home = tempfile::tempdir().expect("a folder");
    let (printed, report) = (home.path().join("printed"), home.path().join("report.json"));
    let mut command = Command::new(services::schemathesis());
    command
        .args(["--config-file", "tests/schemathesis.toml", "run", &format!("{}/api/openapi.json", app.base)])
        .args(["--header", &format!("Authorization: Bearer {ADMINISTRATOR}"), "--header", "X-Tenant: acme"])
        .args(["--phases", "examples,coverage,fuzzing,stateful", "--mode", "all", "--workers", "1"])
        .args(["--max-examples", &examples.to_string(), "--continue-on-failure", "--no-color"])
        .args(["--report", "json", "--report-json-path", &report.display().to_string()])
        .args(more)
        // What it did not write does not lie about in the repository.
        .env("PYTHONDONTWRITEBYTECODE", "1");
    let ended = run(command, &printed, patience);
    let said = tail(&printed);
    assert!(ended.is_some_and(|status| status.success()), "schemathesis ended with {ended:?}:\n{said}");
    let document = app.nobody().get("/api/openapi.json").await.expect(200);
    let paths = document["paths"].as_object().expect("paths").iter();
    // All but the document itself, which it asks for to begin with.
    let items = paths.filter(|(path, _)| *path != "/api/openapi.json").filter_map(|(_, item)| item.as_object());
    let operations: usize = items.map(serde_json::Map::len).sum();
    let report: Value = serde_json::from_slice(&fs::read(&report).expect("a report")).expect("JSON");
    assert_eq!(report["operations"]["tested"], operations, "every operation was tested:\n{said}");
    let cases = report["test_cases"]["generated"].as_u64().expect("a number");
    assert!(cases > 20 * operations as u64, "only {cases} requests:\n{said}");
    let done = done(&app).await;
    println!("{cases} requests of {operations} operations, of which {done} did what they are for");
    assert!(done >= DONE, "only {done} operations did what they are for:\n{said}");
    app.administrator().of("acme").get("/api/auth/whoami").await.expect(200);
    app.stop();
}

/// Operations that answered with success, of which Weir itself keeps count.
async fn done(app: &App) -> usize {
    let text = String::from_utf8(app.nobody().get("/metrics").await.body).expect("text");
    let success = |line: &&str| line.starts_with("weir_http_requests_total{") && line.contains("status=\"2");
    text.lines().filter(success).filter_map(|line| line.split(",status=").next()).collect::<BTreeSet<_>>().len()
}

/// Runs it with what it prints in a file; `None` where it takes longer than that.
fn run(mut command: Command, printed: &Path, patience: Duration) -> Option<ExitStatus> {
    let file = File::create(printed).expect("a file");
    let mut child = command
        .stdin(Stdio::null())
        .stdout(file.try_clone().expect("the same file"))
        .stderr(file)
        .spawn()
        .expect("schemathesis starts");
    let deadline = Instant::now() + patience;
    while Instant::now() < deadline {
        if let Some(ended) = child.try_wait().expect("it is our child") {
            return Some(ended);
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    let _ = child.kill();
    let _ = child.wait();
    None
}

fn tail(printed: &Path) -> String {
    let printed = fs::read(printed).expect("the file");
    String::from_utf8_lossy(&printed[printed.len().saturating_sub(SHOWN)..]).into_owned()
}
