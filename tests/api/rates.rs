//! How many requests a credential and a tenant may make.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::app::App;
use crate::support::client::Client;

const SENSORS: &str = "/api/timescale/sensors";
const TENANT: &str = "/api/platform/tenants/acme";

/// Which of so many requests at once pass.
async fn pass(client: &Client, number: usize) -> usize {
    let answers = futures_util::future::join_all((0..number).map(|_| client.get(SENSORS))).await;
    assert!(answers.iter().all(|answer| matches!(answer.status, 200 | 429)), "{answers:?}");
    for answer in answers.iter().filter(|answer| answer.status == 429) {
        assert!(answer.header("retry-after").is_some_and(|wait| wait.parse::<u64>().is_ok()), "{answer:?}");
    }
    answers.iter().filter(|answer| answer.status == 200).count()
}

#[tokio::test]
async fn a_tenants_requests_are_bounded_and_nobody_elses_with_them() {
    let app = App::start().await;
    let quota = async |quota: &Value| {
        let changed = app.administrator().put(TENANT, &json!({ "quotas": { "requestsPerSecond": quota } })).await.expect(200);
        assert_eq!(changed["data"]["quotas"]["requestsPerSecond"], *quota);
    };
    assert_eq!(pass(&app.acme(), 60).await, 60);
    quota(&json!(5)).await;
    let begun = Instant::now();
    // Two credentials of one tenant.
    let (first, second) = (app.acme(), app.client("acme", "reader"));
    let (first, second) = tokio::join!(pass(&first, 40), pass(&second, 40));
    let most = 5 + usize::try_from(begun.elapsed().as_secs() + 1).expect("few") * 5;
    assert!((5..=most).contains(&(first + second)), "{first} {second}");
    assert_eq!(pass(&app.globex(), 60).await, 60);
    let refused = app.acme().get(SENSORS).await;
    if refused.status == 429 {
        assert!(refused.expect_error(429).contains("Your tenant's requests"));
    }
    // Who does not get in as themselves uses nothing up, and whoever waits gets through.
    tokio::time::sleep(Duration::from_secs(1)).await;
    app.acme().get(SENSORS).await.expect(200);
    app.administrator().put(TENANT, &json!({ "quotas": { "requestsPerSecond": 0 } })).await.expect_error(400);
    quota(&Value::Null).await;
    assert_eq!(pass(&app.acme(), 60).await, 60);
    app.stop();
}

#[tokio::test]
async fn a_credentials_requests_are_bounded_by_a_setting() {
    let mut app = App::start().await;
    app.terminate();
    app.set("WEIR_REQUESTS_PER_SECOND", "5");
    app.restart();
    let passed = pass(&app.acme(), 60).await;
    assert!((5..=30).contains(&passed), "{passed}");
    assert!(pass(&app.client("acme", "reader"), 1).await == 1, "another credential has its own");
    let deadline = Instant::now() + Duration::from_secs(5);
    loop {
        let answer = app.acme().get(SENSORS).await;
        if answer.status == 200 {
            break;
        }
        assert!(answer.expect_error(429).contains("This credential's requests"));
        assert!(Instant::now() < deadline, "it never passes again");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    app.stop();
}
