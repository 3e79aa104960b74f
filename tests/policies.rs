//! Policy files that are edited while Weir runs.

use std::fs;
use std::time::{Duration, Instant};

use crate::support::app::App;

/// How soon an edit has to count.
const LIVE: Duration = Duration::from_secs(2);

async fn within(time: Duration, mut holds: impl AsyncFnMut() -> bool) -> bool {
    let deadline = Instant::now() + time;
    while Instant::now() < deadline {
        if holds().await {
            return true;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    false
}

#[tokio::test]
async fn a_broken_edit_leaves_the_last_good_one_and_a_mended_one_is_live_within_two_seconds() {
    let app = App::start().await;
    let file = app.policies().join("tenants/acme.csv");
    let good = fs::read_to_string(&file).expect("a policy file");
    let nobody = app.client("acme", "nobody");
    nobody.get("/api/platform/tokens").await.expect_error(403);
    fs::write(&file, format!("{good}p, token:nobody, acme, /platform/**, read, Allow\n")).expect("written");
    let told = within(LIVE, async || {
        let health = app.nobody().get("/health").await.expect(200);
        health["services"]["policy"] == "degraded"
            && health["details"]["policy"]["file"].as_str().is_some_and(|file| file.ends_with("tenants/acme.csv"))
            && health["details"]["policy"]["line"] == 4
    });
    assert!(told.await, "{}", app.nobody().get("/health").await.expect(200));
    nobody.get("/api/platform/tokens").await.expect_error(403);
    app.acme().get("/api/platform/tokens").await.expect(200);
    fs::write(&file, format!("{good}p, token:nobody, acme, /platform/**, read, allow\n")).expect("written");
    assert!(within(LIVE, async || nobody.get("/api/platform/tokens").await.status == 200).await, "the mended file is not live");
    assert!(within(LIVE, async || app.nobody().get("/health").await.expect(200)["services"]["policy"] == "connected").await);
    // And the other way: what is taken away is gone as soon.
    fs::write(&file, good).expect("written");
    assert!(within(LIVE, async || nobody.get("/api/platform/tokens").await.status == 403).await, "the rule still counts");
    app.stop();
}

#[tokio::test]
async fn a_file_that_vanishes_or_is_empty_takes_nobody_in() {
    let app = App::start().await;
    fs::remove_file(app.policies().join("model.conf")).expect("removed");
    let told = async || app.nobody().get("/health").await.expect(200)["services"]["policy"] == "degraded";
    assert!(within(LIVE, told).await);
    app.acme().get("/api/platform/tokens").await.expect(200);
    app.stop();
}

#[tokio::test]
async fn every_denial_is_on_record() {
    let app = App::start().await;
    app.client("acme", "nobody").with("x-request-id", "denied-1").get("/api/platform/tokens").await.expect_error(403);
    let (subject, tenant, object, action, outcome): (String, String, String, String, String) =
        sqlx::query_as("select subject, tenant, object, action, outcome from audit_log where request_id = 'denied-1'")
            .fetch_one(&app.databases.platform().await)
            .await
            .expect("one row");
    assert_eq!(
        (subject.as_str(), tenant.as_str(), object.as_str(), action.as_str(), outcome.as_str()),
        ("token:nobody", "acme", "/platform/tokens", "read", "denied")
    );
    app.stop();
}
