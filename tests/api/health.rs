//! What is outside the policy.

use serde_json::Value;

use crate::support::app::App;
use crate::support::database::{Cluster, Databases};

#[tokio::test]
async fn health_names_every_service() {
    let app = App::builder().with_kafka().start().await;
    let body = eventually(&app, |body| body["status"] == "healthy" && !body["details"]["timescale"].is_null()).await;
    for service in ["platform", "timescale", "minio", "kafka", "policy"] {
        assert_eq!(body["services"][service], "connected", "{body}");
    }
    assert_eq!(body["details"]["timescale"]["edition"], "apache");
    app.nobody().get("/health/live").await.expect(200);
    app.nobody().get("/health/ready").await.expect(200);
    let entry = app.nobody().get("/api").await.expect(200);
    assert_eq!(entry["data"]["name"], "weir", "{entry}");
    app.stop();
}

#[tokio::test]
async fn the_page_to_read_and_try_the_document_needs_nothing_from_elsewhere() {
    let app = App::start().await;
    let nobody = app.nobody();
    let page = nobody.get("/api/docs/").await;
    assert!(page.header("content-type").is_some_and(|kind| kind.starts_with("text/html")));
    let text = String::from_utf8(page.body.clone()).expect("text");
    let of_page = |attribute: &str| {
        let opening = format!("{attribute}=\"");
        let parts = text.split(&opening).skip(1);
        parts.map(|part| part.split('"').next().expect("it ends").to_owned()).collect::<Vec<_>>()
    };
    let named = [of_page("src"), of_page("href")].concat();
    assert!(named.len() >= 3, "{text}");
    for name in &named {
        let own = !name.contains("//") && nobody.get(&format!("/api/docs/{name}")).await.status == 200;
        assert!(own, "{name}");
    }
    let start = nobody.get("/api/docs/swagger-initializer.js").await;
    assert!(String::from_utf8_lossy(&start.body).contains("/api/openapi.json"));
    let links = nobody.get("/api").await.expect(200);
    let followed = nobody.get(links["data"]["links"]["docs"].as_str().expect("a link")).await;
    assert_eq!((followed.status, followed.body), (200, page.body), "what the entry names leads there");
    app.stop();
}

/// What was found is told again for a moment, and Kafka takes one to be found.
async fn eventually(app: &App, wanted: impl Fn(&Value) -> bool) -> Value {
    let mut body = Value::Null;
    for _ in 0..200 {
        let answer = app.nobody().get("/health").await;
        body = serde_json::from_slice(&answer.body).expect("JSON");
        assert_eq!(answer.status, if body["status"] == "unhealthy" { 503 } else { 200 }, "{body}");
        if wanted(&body) {
            return body;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    panic!("it stays so: {body}");
}

#[tokio::test]
async fn without_its_database_the_api_says_so_and_recovers() {
    let cluster = Cluster::create();
    let app = App::builder().on(Databases::create_on(&cluster.url()).await).start().await;
    cluster.stop();
    let answer = app.acme().get("/api/platform/tokens").await;
    assert!(answer.header("retry-after").is_some());
    answer.expect_error(503);
    app.nobody().get("/health/live").await.expect(200);
    let health = eventually(&app, |body| body["status"] == "unhealthy").await;
    assert_eq!(health["services"]["platform"], "disconnected", "{health}");
    app.nobody().get("/health/ready").await.expect_error(503);
    assert!(!health.to_string().contains("weir@"), "no address in {health}");
    cluster.start();
    for _ in 0..100 {
        if app.acme().get("/api/platform/tokens").await.status == 200 {
            app.stop();
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    panic!("the API did not recover");
}

#[tokio::test]
async fn metrics_count_what_happened() {
    let app = App::start().await;
    app.acme().get("/api/platform/tokens").await.expect(200);
    app.nobody().get("/api/platform/tokens").await.expect_error(401);
    let text = String::from_utf8(app.nobody().get("/metrics").await.body).expect("text");
    assert!(text.contains(r#"weir_http_requests_total{method="GET",route="/api/platform/tokens",status="200"} 1"#), "{text}");
    assert!(text.contains(r#"weir_http_requests_total{method="GET",route="/api/platform/tokens",status="401"} 1"#), "{text}");
    assert!(text.contains("weir_policy_decisions_total{kind=\"allowed\"}"), "{text}");
    assert!(text.ends_with("# EOF\n"));
    app.stop();
}

#[tokio::test]
async fn a_request_id_is_taken_when_sent_and_made_when_not() {
    let app = App::start().await;
    let answer = app.nobody().with("x-request-id", "mine-1").get("/api").await;
    assert_eq!(answer.header("x-request-id"), Some("mine-1"));
    let made = app.nobody().get("/api").await;
    assert!(made.header("x-request-id").is_some_and(|id| id.len() > 10));
    let replaced = app.nobody().with("x-request-id", &"x".repeat(500)).get("/api").await;
    assert!(replaced.header("x-request-id").is_some_and(|id| id.len() < 129));
    app.stop();
}

#[tokio::test]
async fn a_writer_alone_answers_health_and_metrics_and_nothing_else() {
    let app = App::builder().with_kafka().start().await;
    let writer = app.replica_as("writer");
    writer.nobody().get("/health/ready").await.expect(200);
    assert_eq!(writer.nobody().get("/metrics").await.status, 200);
    writer.acme().get("/api/platform/tokens").await.expect_error(404);
    writer.stop();
    app.stop();
}
