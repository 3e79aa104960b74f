//! Tokens of an `OpenID` Connect issuer.

use std::time::{Duration, Instant};

use chrono::{TimeDelta, Utc};
use serde_json::{Value, json};
use wiremock::matchers::path;
use wiremock::{Mock, MockServer, ResponseTemplate};

use crate::support::app::{App, Builder};
use crate::support::client::Client;
use crate::support::issued::{self, Signer};

const SENSORS: &str = "/api/timescale/sensors";
const USERS: &str = "/api/platform/users";
const RULES: &str = "g, token:administrator, administrator, acme\ng, user:ann@acme.example, reader, acme\n";

async fn lists(issuer: &MockServer, keys: &[Value]) {
    issuer.reset().await;
    let document = json!({ "issuer": issuer.uri(), "jwks_uri": format!("{}/keys", issuer.uri()) });
    let answer = ResponseTemplate::new(200).set_body_json(document);
    Mock::given(path("/.well-known/openid-configuration")).respond_with(answer).mount(issuer).await;
    let answer = ResponseTemplate::new(200).set_body_json(json!({ "keys": keys }));
    Mock::given(path("/keys")).respond_with(answer).mount(issuer).await;
}

fn builder(issuer: &MockServer) -> Builder {
    let builder = App::builder().policy("tenants/acme.csv", RULES);
    builder.set("WEIR_OIDC_ISSUER", issuer.uri()).set("WEIR_OIDC_AUDIENCE", "weir")
}

#[expect(clippy::disallowed_methods, reason = "an issuer has a clock of its own")]
fn claims(issuer: &MockServer) -> Value {
    let end = Utc::now() + TimeDelta::minutes(5);
    json!({ "iss": issuer.uri(), "aud": "weir", "exp": end.timestamp(), "email": "ann@acme.example", "tenant": "acme" })
}

fn with(claims: &Value, name: &str, value: Value) -> Value {
    let mut claims = claims.clone();
    claims[name] = value;
    claims
}

fn bearer(app: &App, token: &str) -> Client {
    Client::new(&app.base, Some(token))
}

#[tokio::test]
async fn an_issuers_word_makes_somebody_whom_the_policy_knows() {
    let (issuer, signer) = (MockServer::start().await, Signer::rsa("a"));
    lists(&issuer, &[signer.jwk()]).await;
    let app = builder(&issuer).start().await;
    let ann = bearer(&app, &signer.sign(&claims(&issuer)));
    ann.get(SENSORS).await.expect(200);
    assert!(ann.get(USERS).await.expect_error(403).contains("user:ann@acme.example"));
    let me = ann.get("/api/auth/whoami").await.expect(200);
    assert_eq!((&me["data"]["user"], &me["data"]["subject"]), (&Value::Null, &json!("user:ann@acme.example")));
    assert_eq!((&me["data"]["credential"], &me["data"]["roles"]), (&json!("issued"), &json!(["reader"])));
    assert!(me["data"]["expiresAt"].is_string());
    ann.post("/api/auth/logout", &json!({})).await.expect_error(409);
    // Whom the policy does not name may do nothing, and nobody reaches another tenant.
    let bob = with(&claims(&issuer), "email", json!("bob@acme.example"));
    bearer(&app, &signer.sign(&bob)).get(SENSORS).await.expect_error(403);
    ann.of("globex").get(SENSORS).await.expect_error(403);
    app.acme().get(SENSORS).await.expect(200);
    // A user of that email is them, as they were written down, and as suspended as they are.
    let made = app.acme().post(USERS, &json!({ "email": "ann@acme.example" })).await.expect(201);
    let shouted = with(&claims(&issuer), "email", json!("Ann@ACME.example"));
    let ann = bearer(&app, &signer.sign(&shouted));
    let me = ann.get("/api/auth/whoami").await.expect(200);
    assert_eq!((&me["data"]["user"]["id"], &me["data"]["subject"]), (&made["data"]["id"], &json!("user:ann@acme.example")));
    let one = format!("{USERS}/{}", made["data"]["id"].as_str().expect("an id"));
    app.acme().put(&one, &json!({ "status": "suspended" })).await.expect(200);
    assert!(ann.get(SENSORS).await.expect_error(403).contains("suspended"));
    app.stop();
}

#[tokio::test]
async fn what_is_not_the_issuers_word_to_weir_counts_for_nothing() {
    let (issuer, signer) = (MockServer::start().await, Signer::rsa("a"));
    lists(&issuer, &[signer.jwk()]).await;
    let app = builder(&issuer).start().await;
    let claims = claims(&issuer);
    bearer(&app, &signer.sign(&claims)).get(SENSORS).await.expect(200);
    let public = signer.jwk()["n"].as_str().expect("text").to_owned();
    for (what, token) in [
        ("another issuer", signer.sign(&with(&claims, "iss", json!("https://elsewhere.example")))),
        ("another audience", signer.sign(&with(&claims, "aud", json!("another")))),
        ("expired", signer.sign(&with(&claims, "exp", json!(1_700_000_000)))),
        ("not yet", signer.sign(&with(&claims, "nbf", json!(4_000_000_000_u64)))),
        ("another key of that name", Signer::rsa("a").sign(&claims)),
        ("a key that is not listed", Signer::rsa("b").sign(&claims)),
        ("none", format!("{}.", issued::message(&json!({ "alg": "none" }), &claims))),
        ("none, capital", format!("{}.AA", issued::message(&json!({ "alg": "NONE", "kid": "a" }), &claims))),
        ("a MAC", issued::maced(public.as_bytes(), &json!({ "alg": "HS256", "kid": "a" }), &claims)),
        ("no tenant", signer.sign(&with(&claims, "tenant", Value::Null))),
        ("nobody", signer.sign(&with(&claims, "email", json!("")))),
        ("no JWT", "eyJ.eyJ.eyJ".to_owned()),
    ] {
        let answer = bearer(&app, &token).get(SENSORS).await;
        assert_eq!(answer.header("www-authenticate"), Some("Bearer"), "{what}");
        answer.expect_error(401);
    }
    let nowhere = signer.sign(&with(&claims, "tenant", json!("nowhere")));
    assert!(bearer(&app, &nowhere).get(SENSORS).await.expect_error(403).contains("nowhere"));
    app.administrator().put("/api/platform/tenants/acme", &json!({ "status": "suspended" })).await.expect(200);
    assert!(bearer(&app, &signer.sign(&claims)).get(SENSORS).await.expect_error(403).contains("suspended"));
    app.stop();
}

#[tokio::test]
async fn without_an_issuer_nobodys_word_counts() {
    let (issuer, signer) = (MockServer::start().await, Signer::ec("a"));
    lists(&issuer, &[signer.jwk()]).await;
    let app = App::start().await;
    bearer(&app, &signer.sign(&claims(&issuer))).get(SENSORS).await.expect_error(401);
    assert_eq!(issuer.received_requests().await.map(|asked| asked.len()), Some(0));
    app.stop();
}

#[tokio::test]
async fn claims_and_keys_may_be_elsewhere() {
    let (issuer, signer) = (MockServer::start().await, Signer::ed("a"));
    let answer = ResponseTemplate::new(200).set_body_json(json!({ "keys": [signer.jwk()] }));
    Mock::given(path("/certificates")).respond_with(answer).mount(&issuer).await;
    let app = builder(&issuer)
        .set("WEIR_OIDC_JWKS_URL", format!("{}/certificates", issuer.uri()))
        .set("WEIR_OIDC_TENANT_CLAIM", "https://weir.example/tenant")
        .set("WEIR_OIDC_SUBJECT_CLAIM", "upn")
        .start()
        .await;
    let claims = with(&claims(&issuer), "upn", json!("ann@acme.example"));
    let claims = with(&with(&claims, "email", Value::Null), "https://weir.example/tenant", json!("acme"));
    bearer(&app, &signer.sign(&claims)).get(SENSORS).await.expect(200);
    app.stop();
}

#[tokio::test]
async fn a_new_key_counts_soon_and_an_issuer_that_is_away_is_nobodys_fault() {
    let (issuer, old, new) = (MockServer::start().await, Signer::ec("old"), Signer::ec("new"));
    let app = builder(&issuer).start().await;
    // Not there yet.
    let answer = bearer(&app, &old.sign(&claims(&issuer))).get(SENSORS).await;
    assert_eq!(answer.header("retry-after"), Some("10"));
    answer.expect_error(503);
    app.acme().get(SENSORS).await.expect(200);
    health_says(&app, "disconnected").await;
    lists(&issuer, &[old.jwk()]).await;
    until(&bearer(&app, &old.sign(&claims(&issuer)))).await;
    health_says(&app, "connected").await;
    lists(&issuer, &[new.jwk()]).await;
    until(&bearer(&app, &new.sign(&claims(&issuer)))).await;
    bearer(&app, &old.sign(&claims(&issuer))).get(SENSORS).await.expect_error(401);
    // Away again: what is known goes on to count.
    issuer.reset().await;
    bearer(&app, &new.sign(&claims(&issuer))).get(SENSORS).await.expect(200);
    app.stop();
}

/// What was found is told again for a moment.
async fn health_says(app: &App, wanted: &str) {
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        let health = app.nobody().get("/health").await.expect(200);
        if health["services"]["issuer"] == wanted {
            return;
        }
        assert!(Instant::now() < deadline, "{health}");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

/// It is asked every ten seconds at the most.
async fn until(client: &Client) {
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        let answer = client.get(SENSORS).await;
        if answer.status == 200 {
            return;
        }
        assert!(matches!(answer.status, 401 | 503) && Instant::now() < deadline, "{answer:?}");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}
