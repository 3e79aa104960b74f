//! The contract's error shape, wherever a request can go wrong.

use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::json;

use crate::support::app::App;
use crate::support::client::Client;
use crate::support::database::Databases;
use crate::support::proxy::Proxy;
use crate::support::services;

const READINGS: &str = "/api/timescale/sensor-readings";

#[tokio::test]
async fn every_way_to_go_wrong_has_the_contracts_shape() {
    let app = App::start().await;
    let acme = app.acme();
    // No, unknown and malformed credentials.
    for client in [
        app.nobody(),
        Client::new(&app.base, Some("weir_unknown")),
        app.nobody().with("authorization", "Basic YTpi"),
        app.nobody().with("authorization", "Bearer"),
    ] {
        let answer = client.get("/api/platform/tokens").await;
        assert_eq!(answer.header("www-authenticate"), Some("Bearer"));
        answer.expect_error(401);
    }
    // Bodies.
    acme.json(Method::POST, "/api/platform/tokens", "[\"positional\", null]").await.expect_error(400);
    assert!(acme.json(Method::POST, READINGS, "{").await.expect_error(400).contains("not"));
    acme.json(Method::POST, READINGS, "").await.expect_error(400);
    acme.json(Method::POST, READINGS, "[]").await.expect_error(400);
    acme.json(Method::POST, "/api/platform/tokens", "\u{feff}{}").await.expect_error(400);
    acme.json(Method::POST, "/api/platform/tokens", vec![0xff, 0xfe]).await.expect_error(400);
    acme.json(Method::POST, "/api/platform/tokens", "{\"name\":\"a\"} {}").await.expect_error(400);
    let unknown = acme.post("/api/platform/tokens", &json!({ "name": "a", "nmae": "b" })).await.expect(400);
    assert!(unknown["details"][0]["message"].as_str().is_some_and(|message| message.contains("nmae")), "{unknown}");
    let unknown = acme.post(READINGS, &json!({ "sensorId": "a", "timestamp": 0, "value": 1, "sensor": "b" })).await.expect(400);
    assert!(unknown.to_string().contains("sensor"), "{unknown}");
    let large = acme.json(Method::POST, "/api/platform/tokens", vec![b' '; 9 << 20]).await;
    large.expect_error(413);
    // The rest of a request.
    assert!(acme.get("/api/platform/tokens?limt=3").await.expect_error(400).contains("limt"));
    let method = acme.put("/api/platform/tokens", &json!({})).await;
    assert!(method.header("allow").is_some_and(|allow| allow.contains("GET") && allow.contains("POST")), "{method:?}");
    method.expect_error(405);
    assert!(
        acme.clone()
            .with("content-type", "text/plain")
            .ask(Method::POST, READINGS, "{}")
            .await
            .expect_error(415)
            .contains("application/json")
    );
    acme.ask(Method::POST, READINGS, "{}").await.expect_error(415);
    acme.get("/api/platform/no-such-thing").await.expect_error(404);
    acme.get("/api/platform/tokens/not-a-uuid").await.expect_error(400);
    acme.get("/nowhere").await.expect_error(404);
    app.stop();
}

#[tokio::test]
async fn an_etag_is_strong_and_spares_the_body() {
    let app = App::start().await;
    let id = app.acme().post("/api/platform/tokens", &json!({ "name": "tagged" })).await.expect(201)["data"]["id"].clone();
    let path = format!("/api/platform/tokens/{}", id.as_str().expect("an id"));
    let first = app.acme().get(&path).await;
    let tag = first.header("etag").expect("a tag").to_owned();
    assert!(tag.starts_with('"') && tag.ends_with('"'), "{tag}");
    let again = app.acme().with("if-none-match", &tag).get(&path).await;
    assert_eq!((again.status, again.body.len()), (304, 0));
    assert_eq!(app.acme().with("if-none-match", "\"other\"").get(&path).await.status, 200);
    app.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_readings_database_the_platform_goes_on() {
    let databases = Databases::create().await;
    let server = services::postgres().parse::<reqwest::Url>().expect("an address");
    let target = format!("127.0.0.1:{}", server.port().expect("a port")).parse().expect("an address");
    let proxy = Proxy::to(target).await;
    let behind = databases.readings.replace(&target.port().to_string(), &proxy.port().to_string());
    let app = App::builder().on(databases).set("DATABASE_URL_TIMESCALE", behind).start().await;
    let reading = json!({ "sensorId": "a", "timestamp": "2026-05-04T12:00:00Z", "value": 1 });
    app.acme().post(READINGS, &reading).await.expect(201);
    proxy.cut();
    for answer in [app.acme().post(READINGS, &reading).await, app.acme().get(READINGS).await] {
        assert!(answer.header("retry-after").is_some(), "{answer:?}");
        answer.expect_error(503);
    }
    app.acme().get("/api/platform/tokens").await.expect(200);
    proxy.mend();
    assert_eq!(app.acme().post(READINGS, &reading).await.expect(201)["data"]["outcome"], "unchanged");
    app.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_that_hang_up_leave_no_transaction_open() {
    let app = App::start().await;
    let pool = app.databases.platform().await;
    for round in 0..80 {
        let hasty = (0..16).map(|number| {
            let (client, body) = (app.acme(), json!({ "name": format!("hasty-{round}-{number}") }));
            tokio::spawn(async move {
                let patience = Duration::from_micros(rand::random_range(0..8_000));
                let _ = tokio::time::timeout(patience, client.post("/api/platform/tokens", &body)).await;
            })
        });
        futures_util::future::join_all(hasty).await;
    }
    let left = "select count(*) from pg_stat_activity where datname = current_database() and state like 'idle in transaction%'";
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        let left: i64 = sqlx::query_scalar(left).fetch_one(&pool).await.expect("the database answers");
        if left == 0 {
            break;
        }
        assert!(Instant::now() < deadline, "{left} connections are idle in a transaction");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    app.stop();
}
