//! Against a server that lists keys as an issuer does, well and badly, at a pace that tests can wait for.

use std::time::Duration;

use chrono::TimeDelta;
use serde_json::json;
use wiremock::matchers::{any, path};
use wiremock::{Mock, MockServer, ResponseTemplate};

use self::issued::Signer;
use super::keys::Pace;
use super::*;
use crate::model::{Clock as _, SystemClock};

#[path = "../../../tests/support/issued.rs"]
mod issued;

const EVERY: Duration = Duration::from_millis(300);

fn issuer(server: &MockServer, fresh: Duration, kept: Duration) -> Issuer {
    let options = Options {
        url: server.uri(),
        audience: "weir".into(),
        tenant_claim: "tenant".into(),
        subject_claim: "email".into(),
        keys: None,
    };
    let keys = Keys::connect(&options.url, None).expect("an address").at_pace(Pace { fresh, kept, every: EVERY });
    Issuer { options, keys: Arc::new(keys) }
}

const DAY: Duration = Duration::from_hours(24);

async fn discovery(server: &MockServer) {
    let document = json!({ "issuer": server.uri(), "jwks_uri": format!("{}/keys", server.uri()) });
    let answer = ResponseTemplate::new(200).set_body_json(document);
    Mock::given(path("/.well-known/openid-configuration")).respond_with(answer).mount(server).await;
}

async fn lists(server: &MockServer, keys: &[Value]) {
    server.reset().await;
    discovery(server).await;
    let answer = ResponseTemplate::new(200).set_body_json(json!({ "keys": keys }));
    Mock::given(path("/keys")).respond_with(answer).mount(server).await;
}

async fn asked(server: &MockServer) -> usize {
    let requests = server.received_requests().await.unwrap_or_default();
    requests.iter().filter(|request| request.url.path() == "/keys").count()
}

fn claims(server: &MockServer) -> Value {
    let end = (SystemClock.now() + TimeDelta::minutes(5)).timestamp();
    json!({ "iss": server.uri(), "aud": ["else", "weir"], "exp": end, "email": "ann@acme.example", "tenant": "acme" })
}

async fn says(issuer: &Issuer, token: &str) -> Result<Vouches> {
    issuer.vouches(token, SystemClock.now()).await
}

async fn sentence(issuer: &Issuer, token: &str) -> String {
    let error = says(issuer, token).await.expect_err(token);
    assert_eq!(error.kind(), Kind::Unauthenticated, "{error}");
    error.sentence().to_owned()
}

#[tokio::test]
async fn keys_of_each_kind_count_and_are_asked_for_once() {
    let server = MockServer::start().await;
    let signers = [Signer::ec("a"), Signer::ed("b"), Signer::rsa("c")];
    lists(&server, &signers.iter().map(Signer::jwk).collect::<Vec<_>>()).await;
    let issuer = issuer(&server, DAY, DAY);
    for signer in &signers {
        let vouches = says(&issuer, &signer.sign(&claims(&server))).await;
        let vouches = vouches.unwrap_or_else(|error| panic!("{}: {error}", signer.algorithm()));
        assert_eq!((vouches.tenant.as_str(), vouches.subject.as_str()), ("acme", "ann@acme.example"));
        // Without a name each of them is tried.
        says(&issuer, &signer.sign_as(&json!({ "alg": signer.algorithm() }), &claims(&server))).await.expect("found");
    }
    says(&issuer, &signers[2].sign_as(&json!({ "alg": "PS256", "kid": "c" }), &claims(&server))).await.expect("the same key");
    assert_eq!(asked(&server).await, 1);
}

#[tokio::test]
async fn claims_that_are_not_right_are_told_apart() {
    let server = MockServer::start().await;
    let signer = Signer::ec("a");
    lists(&server, &[signer.jwk()]).await;
    let issuer = issuer(&server, DAY, DAY);
    let now = SystemClock.now().timestamp();
    for (claim, value, words) in [
        ("iss", json!("https://elsewhere.example"), "of another issuer"),
        ("iss", json!([server.uri(), "https://elsewhere.example"]), "of another issuer"),
        ("aud", json!("else"), "for somebody else"),
        ("aud", Value::Null, "lacks one of"),
        ("exp", Value::Null, "lacks one of"),
        ("exp", json!("soon"), "lacks one of"),
        ("exp", json!(now - 31), "has expired"),
        ("exp", json!(1e300), "lacks one of"),
        ("exp", json!(1e15), "is no time"),
        ("nbf", json!(now + 60), "does not count yet"),
        ("nbf", json!("later"), "is no time"),
        ("email", Value::Null, "no claim `email`"),
        ("email", json!("a,b@acme.example"), "policy file"),
        ("email", json!("default/user:root"), "policy file"),
        ("email_verified", json!(false), "not verified"),
        ("tenant", json!(7), "no claim `tenant`"),
        ("tenant", json!("No Tenant"), "no tenant's name"),
    ] {
        let mut wrong = claims(&server);
        wrong[claim] = value.clone();
        let said = sentence(&issuer, &signer.sign(&wrong)).await;
        assert!(said.contains(words), "{claim} {value}: {said}");
    }
    // The clocks of two machines differ a little.
    for (claim, value) in [("exp", now - 10), ("nbf", now + 10)] {
        let mut near = claims(&server);
        near[claim] = json!(value);
        says(&issuer, &signer.sign(&near)).await.expect("within the leeway");
    }
}

#[tokio::test]
async fn only_the_issuers_signature_counts() {
    let server = MockServer::start().await;
    let (signer, rsa, other) = (Signer::ec("a"), Signer::rsa("r"), Signer::ec("a"));
    // Neither a shared secret nor a key for encryption becomes a key for signatures by being listed.
    let secret = json!({ "kty": "oct", "kid": "s", "k": "c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0" });
    let mut sealing = other.jwk();
    (sealing["kid"], sealing["use"]) = (json!("e"), json!("enc"));
    lists(&server, &[signer.jwk(), rsa.jwk(), secret, sealing]).await;
    let issuer = issuer(&server, DAY, DAY);
    let claims = claims(&server);
    assert!(sentence(&issuer, &other.sign(&claims)).await.contains("signature"), "another key of the same name");
    assert!(
        sentence(&issuer, &other.sign_as(&json!({ "alg": "ES256", "kid": "e" }), &claims)).await.contains("none of the issuer's")
    );
    let none = format!("{}.", issued::message(&json!({ "alg": "none", "kid": "a" }), &claims));
    assert!(sentence(&issuer, &none).await.contains("algorithm"));
    let n = rsa.jwk()["n"].as_str().expect("text").to_owned();
    for (secret, kid) in [(n.as_bytes(), "r"), (b"secret-secret-secret-secret".as_slice(), "s")] {
        let maced = issued::maced(secret, &json!({ "alg": "HS256", "kid": kid }), &claims);
        assert!(sentence(&issuer, &maced).await.contains("algorithm"));
    }
    // A key of one kind does not verify what claims to be of another.
    assert!(sentence(&issuer, &signer.sign_as(&json!({ "alg": "RS256", "kid": "a" }), &claims)).await.contains("key"));
    let sound = signer.sign(&claims);
    let (body, signature) = sound.rsplit_once('.').expect("three parts");
    let mut changed = claims.clone();
    changed["tenant"] = json!("globex");
    let header = body.split('.').next().expect("a header");
    let forged = issued::message(&json!({}), &changed);
    let forged = format!("{header}.{}.{signature}", forged.split('.').nth(1).expect("claims"));
    assert!(sentence(&issuer, &forged).await.contains("signature"));
    let long = format!("{sound}{}", "A".repeat(limits::ISSUED_TOKEN_BYTES));
    assert!(sentence(&issuer, &long).await.contains("too long"));
}

#[tokio::test]
async fn a_new_key_is_asked_for_but_not_for_every_token() {
    let server = MockServer::start().await;
    let (old, new) = (Signer::ec("old"), Signer::ec("new"));
    lists(&server, &[old.jwk()]).await;
    let issuer = issuer(&server, DAY, DAY);
    says(&issuer, &old.sign(&claims(&server))).await.expect("known");
    lists(&server, &[new.jwk()]).await;
    let token = new.sign(&claims(&server));
    for _ in 0..3 {
        sentence(&issuer, &token).await;
    }
    assert_eq!(asked(&server).await, 0, "it was asked a moment ago");
    tokio::time::sleep(EVERY).await;
    says(&issuer, &token).await.expect("the new key");
    sentence(&issuer, &old.sign(&claims(&server))).await;
    assert_eq!(asked(&server).await, 1, "a key that nobody has does not become requests");
}

#[tokio::test]
async fn known_keys_outlast_an_outage_for_a_while() {
    let server = MockServer::start().await;
    let signer = Signer::ec("a");
    lists(&server, &[signer.jwk()]).await;
    let kept = Duration::from_secs(2);
    let issuer = issuer(&server, Duration::ZERO, kept);
    let token = signer.sign(&claims(&server));
    says(&issuer, &token).await.expect("known");
    server.reset().await;
    Mock::given(any()).respond_with(ResponseTemplate::new(500)).mount(&server).await;
    tokio::time::sleep(EVERY).await;
    says(&issuer, &token).await.expect("what is known goes on to count");
    // It may be a new one.
    let error = says(&issuer, &Signer::ec("b").sign(&claims(&server))).await.expect_err("nobody can tell");
    assert_eq!((error.kind(), error.wait()), (Kind::Unavailable, Some(EVERY)));
    tokio::time::sleep(kept).await;
    assert_eq!(says(&issuer, &token).await.expect_err("kept for too long").kind(), Kind::Unavailable);
    lists(&server, &[signer.jwk()]).await;
    tokio::time::sleep(EVERY).await;
    says(&issuer, &token).await.expect("it is back");
}

#[tokio::test]
async fn every_other_answer_is_none() {
    let signer = Signer::ec("a");
    let many = vec![json!({ "kty": "oct", "k": "AA" }); 100];
    for answer in [
        ResponseTemplate::new(404),
        ResponseTemplate::new(302).insert_header("location", "/elsewhere"),
        ResponseTemplate::new(200).set_body_string("not JSON"),
        ResponseTemplate::new(200).set_body_json(json!({ "keys": [] })),
        ResponseTemplate::new(200).set_body_json(json!({ "keys": many })),
        ResponseTemplate::new(200).set_body_json(json!({ "keys": [signer.jwk()], "pad": "x".repeat(limits::ISSUER_BYTES) })),
    ] {
        let server = MockServer::start().await;
        discovery(&server).await;
        Mock::given(path("/keys")).respond_with(answer).mount(&server).await;
        let issuer = issuer(&server, DAY, DAY);
        let error = says(&issuer, &signer.sign(&claims(&server))).await.expect_err("no keys");
        assert_eq!(error.kind(), Kind::Unavailable);
    }
    // A discovery document of somebody else.
    let server = MockServer::start().await;
    let document = json!({ "issuer": "https://elsewhere.example", "jwks_uri": format!("{}/keys", server.uri()) });
    Mock::given(any()).respond_with(ResponseTemplate::new(200).set_body_json(document)).mount(&server).await;
    let error = says(&issuer(&server, DAY, DAY), &signer.sign(&claims(&server))).await.expect_err("no keys");
    assert_eq!(error.kind(), Kind::Unavailable);
}
