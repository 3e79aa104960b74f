//! `Idempotency-Key`: a request that is sent again is not done again.

use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::support::app::App;
use crate::support::client::Client;

const PROJECTS: &str = "/api/platform/projects";
const TOKENS: &str = "/api/platform/tokens";

async fn projects(app: &App) -> usize {
    app.acme().get(PROJECTS).await.expect(200)["data"].as_array().expect("a list").len()
}

#[tokio::test]
async fn a_request_that_is_sent_again_gets_the_first_answer() {
    let app = App::start().await;
    let replica = app.replica();
    let form = json!({ "name": "plant" });
    let keyed = |client: Client| client.with("idempotency-key", "order-1");
    let first = keyed(app.acme()).post(PROJECTS, &form).await;
    assert!(first.header("idempotency-replayed").is_none());
    let again = keyed(replica.acme()).post(PROJECTS, &form).await;
    assert_eq!((again.status, &again.body), (201, &first.body), "to the byte, by whichever replica");
    assert_eq!((again.header("location"), again.header("idempotency-replayed")), (first.header("location"), Some("true")));
    assert_eq!(projects(&app).await, 1);
    // The key is the caller's own.
    keyed(app.globex()).post(PROJECTS, &form).await.expect(201);
    assert!(keyed(app.acme()).post(PROJECTS, &json!({ "name": "other" })).await.expect_error(409).contains("another request"));
    assert!(keyed(app.acme()).post(TOKENS, &form).await.expect_error(409).contains("another request"));
    replica.stop();
    app.stop();
}

#[tokio::test]
async fn of_many_at_once_one_is_done() {
    let app = App::start().await;
    let form = json!({ "name": "plant" });
    let asked = (0..20).map(|_| {
        let acme = app.acme().with("idempotency-key", "once");
        let form = form.clone();
        async move { acme.post(PROJECTS, &form).await.status }
    });
    let statuses = join_all(asked).await;
    assert!(statuses.iter().all(|status| matches!(status, 201 | 409)), "{statuses:?}");
    assert_eq!(projects(&app).await, 1);
    app.stop();
}

#[tokio::test]
async fn a_refusal_is_an_answer_and_a_backend_that_is_away_is_none() {
    let app = App::start().await;
    let acme = app.acme().with("idempotency-key", "wrong");
    let wrong = json!({ "name": "" });
    acme.post(PROJECTS, &wrong).await.expect_error(400);
    let again = acme.post(PROJECTS, &wrong).await;
    assert_eq!((again.status, again.header("idempotency-replayed")), (400, Some("true")));
    for key in ["", "a b", &"k".repeat(256)] {
        let acme = app.acme().with("idempotency-key", key);
        acme.post(PROJECTS, &json!({ "name": "x" })).await.expect_error(400);
    }
    app.nobody().with("idempotency-key", "k").post(PROJECTS, &json!({ "name": "x" })).await.expect_error(401);
    app.stop();
}

#[tokio::test]
async fn an_answer_with_a_secret_is_kept_where_only_its_bearer_can_read_it() {
    let app = App::start().await;
    let acme = app.acme().with("idempotency-key", "token-1");
    let first: Value = acme.post(TOKENS, &json!({ "name": "gauge" })).await.expect(201);
    let again = acme.post(TOKENS, &json!({ "name": "gauge" })).await.expect(201);
    assert_eq!(first, again, "the secret is the same one");
    let secret = first["data"]["secret"].as_str().expect("a secret").as_bytes();
    let kept: Vec<Vec<u8>> =
        sqlx::query_scalar("select answer from idempotency").fetch_all(&app.databases.platform().await).await.expect("rows");
    assert!(kept.len() == 1 && !kept[0].windows(secret.len()).any(|part| part == secret), "it is encrypted");
    app.stop();
}

#[tokio::test]
async fn an_old_answer_is_forgotten_and_of_a_process_that_died_only_what_was_not_done_is_done_again() {
    let app = App::start().await;
    let acme = app.acme().with("idempotency-key", "order-1");
    acme.post(PROJECTS, &json!({ "name": "plant" })).await.expect(201);
    let pool = app.databases.platform().await;
    sqlx::query("update idempotency set created_at = now() - interval '25 hours'").execute(&pool).await.expect("time passes");
    acme.post(PROJECTS, &json!({ "name": "another" })).await.expect(201);
    sqlx::query("update idempotency set answer = null").execute(&pool).await.expect("as if under way");
    assert!(acme.post(PROJECTS, &json!({ "name": "another" })).await.expect_error(409).contains("under way"));
    sqlx::query("update idempotency set created_at = now() - interval '2 minutes'").execute(&pool).await.expect("time passes");
    assert!(acme.post(PROJECTS, &json!({ "name": "another" })).await.expect_error(409).contains("was done"));
    assert_eq!(projects(&app).await, 2);
    sqlx::query("update idempotency set done = false").execute(&pool).await.expect("as if it had died before");
    acme.post(PROJECTS, &json!({ "name": "another" })).await.expect(201);
    assert_eq!(projects(&app).await, 3);
    app.stop();
}
