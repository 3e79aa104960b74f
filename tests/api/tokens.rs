//! Tokens that act for users, and tokens with scopes.

use serde_json::{Value, json};

use crate::support::app::App;
use crate::support::client::Client;

const TOKENS: &str = "/api/platform/tokens";
const USERS: &str = "/api/platform/users";
const SENSORS: &str = "/api/timescale/sensors";
const READINGS: &str = "/api/timescale/sensor-readings";

const RULES: &str = "g, token:administrator, administrator, acme\n\
                     g, user:ann@acme.example, reader, acme\n\
                     p, user:ann@acme.example, acme, /platform/tokens, write, allow\n\
                     g, user:bob@acme.example, administrator, acme\n\
                     g, token:device, device, acme\n";

async fn app() -> App {
    App::builder().policy("tenants/acme.csv", RULES).start().await
}

async fn user(client: &Client, email: &str) -> String {
    let made = client.post(USERS, &json!({ "email": email, "password": "correct horse battery" })).await.expect(201);
    made["data"]["id"].as_str().expect("an id").to_owned()
}

async fn token(app: &App, maker: &Client, form: &Value) -> Client {
    let made = maker.post(TOKENS, form).await.expect(201);
    assert_eq!(made["data"]["userId"], form["userId"]);
    Client::new(&app.base, made["data"]["secret"].as_str())
}

#[tokio::test]
async fn a_token_acts_as_its_user_until_they_may_not() {
    let app = app().await;
    let ann = user(&app.acme(), "ann@acme.example").await;
    let token = token(&app, &app.acme(), &json!({ "name": "anns", "userId": ann })).await;
    token.get(SENSORS).await.expect(200);
    token.get(USERS).await.expect_error(403);
    let me = token.get("/api/auth/whoami").await.expect(200);
    assert_eq!((&me["data"]["subject"], &me["data"]["user"]["id"]), (&json!("user:ann@acme.example"), &json!(ann)));
    assert_eq!((&me["data"]["credential"], &me["data"]["roles"]), (&json!("token"), &json!(["reader"])));
    let one = format!("{USERS}/{ann}");
    app.acme().put(&one, &json!({ "status": "suspended" })).await.expect(200);
    token.get(SENSORS).await.expect_error(401);
    app.acme().put(&one, &json!({ "status": "active" })).await.expect(200);
    token.get(SENSORS).await.expect(200);
    app.acme().delete(&one).await.expect(204);
    token.get(SENSORS).await.expect_error(401);
    assert!(!app.acme().get(TOKENS).await.expect(200).to_string().contains("anns"));
    app.stop();
}

#[tokio::test]
async fn a_token_for_somebody_else_takes_the_right_to_administer_them() {
    let app = app().await;
    let (ann, bob) = (user(&app.acme(), "ann@acme.example").await, user(&app.acme(), "bob@acme.example").await);
    let login = json!({ "email": "ann@acme.example", "password": "correct horse battery" });
    let session = app.nobody().post("/api/auth/login", &login).await.expect(200);
    let session = Client::new(&app.base, session["data"]["token"].as_str());
    let own = token(&app, &session, &json!({ "name": "own", "userId": ann })).await;
    own.get(SENSORS).await.expect(200);
    // So does a token of hers.
    token(&app, &own, &json!({ "name": "own-too", "userId": ann })).await;
    session.post(TOKENS, &json!({ "name": "bobs", "userId": bob })).await.expect_error(403);
    let bobs = token(&app, &app.acme(), &json!({ "name": "bobs", "userId": bob })).await;
    bobs.get(USERS).await.expect(200);
    // Another tenant's users are nobody here.
    let foreign = user(&app.globex(), "eve@globex.example").await;
    app.acme().post(TOKENS, &json!({ "name": "eves", "userId": foreign })).await.expect_error(400);
    app.acme().post(TOKENS, &json!({ "name": "eves", "userId": "eve" })).await.expect_error(400);
    app.stop();
}

#[tokio::test]
async fn a_scope_takes_away_and_never_gives() {
    let app = app().await;
    let acme = app.acme();
    acme.post(READINGS, &json!({ "sensorId": "room-4", "timestamp": "2026-05-04T12:00:00Z", "value": 1 })).await.expect(201);
    let bob = user(&acme, "bob@acme.example").await;
    let scopes = json!(["read:/timescale/**", "*:/storage/files/reports/**"]);
    let made = acme.post(TOKENS, &json!({ "name": "narrow", "userId": bob, "scopes": scopes })).await.expect(201);
    let id = made["data"]["id"].as_str().expect("an id");
    assert_eq!(made["data"]["scopes"], scopes);
    assert_eq!(acme.get(&format!("{TOKENS}/{id}")).await.expect(200)["data"]["scopes"], scopes);
    let narrow = Client::new(&app.base, made["data"]["secret"].as_str());
    assert_eq!(narrow.get("/api/auth/whoami").await.expect(200)["data"]["scopes"], scopes);
    narrow.get(SENSORS).await.expect(200);
    let reading = json!({ "sensorId": "room-4", "timestamp": "2026-05-04T12:00:01Z", "value": 2 });
    let said = narrow.post(READINGS, &reading).await.expect_error(403);
    assert!(said.contains("scopes of this token"), "{said}");
    narrow.get(USERS).await.expect_error(403);
    let denied = acme.get("/api/platform/audit?outcome=denied&object=/platform/users").await.expect(200);
    let reason = denied["data"][0]["details"]["reason"].as_str().expect("a reason");
    assert!(reason.contains("no scope of the token") && reason.contains("read:/timescale/**"), "{reason}");
    // What the policy denies stays denied.
    let wide = json!({ "name": "wide", "scopes": ["*:/**"] });
    let wide = acme.post(TOKENS, &wide).await.expect(201);
    let wide = Client::new(&app.base, wide["data"]["secret"].as_str());
    assert!(wide.get(SENSORS).await.expect_error(403).contains("The policy does not allow"));
    app.stop();
}

#[tokio::test]
async fn scopes_are_read_when_they_are_written_and_handed_on_only_in_part() {
    let app = app().await;
    let acme = app.acme();
    for (scope, words) in [
        ("timescale", "form"),
        ("look:/timescale/**", "begins with `read`"),
        ("read:/timescales/**", "no resource begins"),
        ("read:/timescale/**/x", "whole last segment"),
        ("read:", "begin with `/`"),
    ] {
        let refused = acme.post(TOKENS, &json!({ "name": "x", "scopes": ["read:/timescale/**", scope] })).await.expect(400);
        let detail = &refused["details"][0];
        assert_eq!(detail["path"], "/scopes/1");
        assert!(detail["message"].as_str().is_some_and(|message| message.contains(words)), "{scope}: {detail}");
    }
    let many = vec!["read:/timescale/**"; 65];
    acme.post(TOKENS, &json!({ "name": "x", "scopes": many })).await.expect_error(400);
    let bob = user(&acme, "bob@acme.example").await;
    let form = json!({ "name": "maker", "userId": bob, "scopes": ["write:/platform/tokens", "read:/timescale/**"] });
    let maker = token(&app, &acme, &form).await;
    maker.post(TOKENS, &json!({ "name": "free", "userId": bob })).await.expect_error(403);
    maker.post(TOKENS, &json!({ "name": "free", "scopes": ["read:/**"] })).await.expect_error(403);
    maker.post(TOKENS, &json!({ "name": "free", "scopes": ["read:/timescale/**", "*:/timescale/**"] })).await.expect_error(403);
    token(&app, &maker, &json!({ "name": "less", "userId": bob, "scopes": ["read:/timescale/sensors"] })).await;
    app.stop();
}
