//! Logins and sessions.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::app::App;
use crate::support::client::{Answer, Client};

const LOGIN: &str = "/api/auth/login";
const LOGOUT: &str = "/api/auth/logout";
const WHOAMI: &str = "/api/auth/whoami";
const USERS: &str = "/api/platform/users";
const SENSORS: &str = "/api/timescale/sensors";
const ANN: &str = "ann@acme.example";
const PASSWORD: &str = "correct horse battery";

/// Ann of tenant `acme`, who may read.
const READER: &str = "g, token:administrator, administrator, acme\ng, user:ann@acme.example, reader, acme\n";

async fn with_ann() -> (App, String) {
    let app = App::builder().policy("tenants/acme.csv", READER).start().await;
    let id = user(&app.acme(), ANN, PASSWORD).await;
    (app, id)
}

async fn user(client: &Client, email: &str, password: &str) -> String {
    let made = client.post(USERS, &json!({ "email": email, "password": password })).await.expect(201);
    made["data"]["id"].as_str().expect("an id").to_owned()
}

async fn try_login(app: &App, email: &str, password: &str) -> Answer {
    app.nobody().post(LOGIN, &json!({ "email": email, "password": password })).await
}

fn bearer(app: &App, session: &Value) -> Client {
    Client::new(&app.base, session["data"]["token"].as_str())
}

async fn login(app: &App) -> Client {
    bearer(app, &try_login(app, ANN, PASSWORD).await.expect(200))
}

#[tokio::test]
async fn a_password_becomes_a_session_and_a_logout_ends_it_at_once() {
    let (app, id) = with_ann().await;
    let answer = try_login(&app, "Ann@ACME.example", PASSWORD).await;
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    let session = answer.expect(200);
    let token = session["data"]["token"].as_str().expect("a token");
    assert!(token.starts_with("weir_s_") && token.len() == 50, "{token}");
    assert_eq!(session["data"]["user"]["id"], id);
    assert!(!session.to_string().contains("argon2"), "{session}");
    let ann = bearer(&app, &session);
    ann.get(SENSORS).await.expect(200);
    ann.get(USERS).await.expect_error(403);
    let me = ann.get(WHOAMI).await.expect(200);
    let me = &me["data"];
    assert_eq!(me["user"]["email"], ANN);
    assert_eq!((&me["subject"], &me["credential"]), (&json!(format!("user:{ANN}")), &json!("session")));
    assert_eq!((&me["tenant"], &me["homeTenant"]), (&json!("acme"), &json!("acme")));
    assert_eq!((&me["roles"], &me["scopes"]), (&json!(["reader"]), &json!([])));
    assert_eq!(me["expiresAt"], session["data"]["expiresAt"]);
    let kept: Vec<Vec<u8>> =
        sqlx::query_scalar("select digest from sessions").fetch_all(&app.databases.platform().await).await.expect("rows");
    assert_eq!(kept.iter().map(Vec::len).collect::<Vec<_>>(), [32], "only its digest is kept");
    // Another session of hers is another one.
    let elsewhere = login(&app).await;
    ann.post(LOGOUT, &json!({})).await.expect(204);
    ann.get(SENSORS).await.expect_error(401);
    ann.post(LOGOUT, &json!({})).await.expect_error(401);
    elsewhere.get(SENSORS).await.expect(200);
    assert!(!app.log().contains(PASSWORD) && !app.log().contains(token));
    app.stop();
}

#[tokio::test]
async fn who_one_is_is_told_to_every_credential() {
    let app = App::start().await;
    let me = app.acme().get(WHOAMI).await.expect(200);
    assert_eq!((&me["data"]["user"], &me["data"]["subject"]), (&Value::Null, &json!("token:administrator")));
    assert_eq!((&me["data"]["roles"], &me["data"]["expiresAt"]), (&json!(["administrator"]), &Value::Null));
    let me = app.administrator().of("acme").get(WHOAMI).await.expect(200);
    assert_eq!((&me["data"]["tenant"], &me["data"]["homeTenant"]), (&json!("acme"), &json!("default")));
    assert_eq!(me["data"]["roles"], json!(["platform-administrator"]));
    app.nobody().get(WHOAMI).await.expect_error(401);
    // A token is not ended by a word that sounds harmless.
    assert!(app.acme().post(LOGOUT, &json!({})).await.expect_error(409).contains("revoke"));
    app.acme().get(WHOAMI).await.expect(200);
    app.stop();
}

#[tokio::test]
async fn a_wrong_password_and_an_unknown_email_are_one_answer() {
    let (app, _) = with_ann().await;
    user(&app.acme(), "bob@acme.example", PASSWORD).await;
    app.acme().post(USERS, &json!({ "email": "mute@acme.example" })).await.expect(201);
    let mut said = Vec::new();
    for (email, password) in [
        (ANN, "wrong horse battery"),
        ("nobody@acme.example", PASSWORD),
        ("mute@acme.example", PASSWORD),
        ("", ""),
        (&*"x".repeat(10_000), PASSWORD),
        ("bob@acme.example", "x"),
        ("bob@acme.example", &*"x".repeat(10_000)),
        ("nul\0@acme.example", PASSWORD),
    ] {
        let begun = Instant::now();
        let answer = try_login(&app, email, password).await;
        assert_eq!(answer.header("www-authenticate"), Some("Bearer"));
        said.push(answer.expect_error(401));
        assert!(begun.elapsed() >= Duration::from_millis(390), "{email}: {:?}", begun.elapsed());
    }
    said.dedup();
    assert_eq!(said.len(), 1, "{said:?}");
    app.nobody().post(LOGIN, &json!({ "email": ANN })).await.expect_error(400);
    app.nobody().post(LOGIN, &json!({ "email": ANN, "password": PASSWORD, "remember": true })).await.expect_error(400);
    app.nobody().post(LOGIN, &json!({ "email": ANN, "password": PASSWORD, "tenant": "Not One" })).await.expect_error(400);
    app.nobody().post(LOGIN, &json!({ "email": ANN, "password": PASSWORD, "tenant": "globex" })).await.expect_error(401);
    // On record are those of users that there are, and nobody's password.
    let entries = app.acme().get("/api/platform/audit?object=/auth/login").await.expect(200);
    let entries = entries["data"].as_array().expect("a list");
    let seen: Vec<_> = entries.iter().map(|entry| (entry["subject"].as_str(), entry["outcome"].as_str())).collect();
    assert_eq!(seen, [(Some("user:bob@acme.example"), Some("failed")), (Some("user:ann@acme.example"), Some("failed"))]);
    login(&app).await;
    let entries = app.acme().get("/api/platform/audit?object=/auth/login&outcome=allowed").await.expect(200);
    assert_eq!(entries["data"][0]["subject"], format!("user:{ANN}"));
    assert!(!app.log().contains("horse"), "no password is logged");
    app.stop();
}

#[tokio::test]
async fn guesses_lock_a_user_out_on_every_replica_and_for_longer_each_time() {
    let (app, id) = with_ann().await;
    let replica = app.replica_as("api");
    for number in 0..5 {
        let at = if number % 2 == 0 { &app } else { &replica };
        try_login(at, ANN, "wrong horse battery").await.expect_error(401);
    }
    let mut waits = Vec::new();
    for at in [&app, &replica] {
        let refused = try_login(at, ANN, PASSWORD).await;
        waits.push(refused.header("retry-after").and_then(|wait| wait.parse::<u64>().ok()).expect("seconds"));
        refused.expect_error(429);
    }
    assert!(waits.iter().all(|wait| (20..=30).contains(wait)), "{waits:?}");
    let pool = app.databases.platform().await;
    let passes = || async {
        let sql = "update login_failures set locked_until = now() - interval '1 s'";
        sqlx::query(sql).execute(&pool).await.expect("time passes");
    };
    passes().await;
    try_login(&app, ANN, "wrong horse battery").await.expect_error(401);
    let refused = try_login(&app, ANN, PASSWORD).await;
    let wait: u64 = refused.header("retry-after").and_then(|wait| wait.parse().ok()).expect("seconds");
    assert!((45..=60).contains(&wait), "{wait}");
    // Once it is over the right password counts, and the count begins anew.
    passes().await;
    login(&app).await;
    try_login(&app, ANN, "wrong horse battery").await.expect_error(401);
    login(&app).await;
    // A new password lets them in at once.
    for _ in 0..5 {
        try_login(&app, ANN, "wrong horse battery").await.expect_error(401);
    }
    try_login(&app, ANN, PASSWORD).await.expect_error(429);
    app.acme().put(&format!("{USERS}/{id}"), &json!({ "password": "another horse battery" })).await.expect(200);
    try_login(&app, ANN, "another horse battery").await.expect(200);
    replica.stop();
    app.stop();
}

#[tokio::test]
async fn of_many_guesses_at_once_no_more_count_than_one_after_the_other() {
    let (app, _) = with_ann().await;
    let guesses = (0..15).map(|_| try_login(&app, ANN, "wrong horse battery"));
    let answers = futures_util::future::join_all(guesses).await;
    // Those beyond the number are told that they came too late, as the right one among them would have been.
    let count = |status| answers.iter().filter(|answer| answer.status == status).count();
    assert_eq!((count(401), count(429)), (5, 10));
    try_login(&app, ANN, PASSWORD).await.expect_error(429);
    app.stop();
}

#[tokio::test]
async fn too_many_logins_from_one_address_are_stopped_whether_or_not_there_is_such_a_user() {
    let app = App::start().await;
    let tries = (0..30).map(|_| try_login(&app, "nobody@acme.example", PASSWORD));
    let answers = futures_util::future::join_all(tries).await;
    let stopped = answers.iter().filter(|answer| answer.status == 429).count();
    assert!((5..=10).contains(&stopped), "{stopped}");
    assert!(answers.iter().filter(|answer| answer.status == 429).all(|answer| answer.header("retry-after").is_some()));
    try_login(&app, "somebody@acme.example", PASSWORD).await.expect_error(401);
    app.stop();
}

#[tokio::test]
async fn a_session_ends_when_its_time_is_over_and_is_taken_away() {
    let mut app = App::builder().policy("tenants/acme.csv", READER).set("WEIR_SESSION_HOURS", "0.0005").start().await;
    user(&app.acme(), ANN, PASSWORD).await;
    let ann = login(&app).await;
    ann.get(SENSORS).await.expect(200);
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert!(ann.get(SENSORS).await.expect_error(401).contains("log in again"));
    let pool = app.databases.platform().await;
    let count =
        || async { sqlx::query_scalar::<_, i64>("select count(*) from sessions").fetch_one(&pool).await.expect("a count") };
    assert_eq!(count().await, 1);
    app.terminate();
    app.restart();
    let deadline = Instant::now() + Duration::from_secs(10);
    while count().await > 0 {
        assert!(Instant::now() < deadline, "it is still there");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    app.stop();
}

#[tokio::test]
async fn a_new_password_a_suspension_or_a_deletion_ends_all_sessions_at_once() {
    let (app, id) = with_ann().await;
    let one = format!("{USERS}/{id}");
    let (first, second) = (login(&app).await, login(&app).await);
    app.acme().put(&one, &json!({ "name": "Ann" })).await.expect(200);
    first.get(SENSORS).await.expect(200);
    app.acme().put(&one, &json!({ "password": "another horse battery" })).await.expect(200);
    for session in [first, second] {
        session.get(SENSORS).await.expect_error(401);
    }
    try_login(&app, ANN, PASSWORD).await.expect_error(401);
    let session = bearer(&app, &try_login(&app, ANN, "another horse battery").await.expect(200));
    app.acme().put(&one, &json!({ "status": "suspended" })).await.expect(200);
    session.get(SENSORS).await.expect_error(401);
    try_login(&app, ANN, "another horse battery").await.expect_error(401);
    app.acme().put(&one, &json!({ "status": "active" })).await.expect(200);
    session.get(SENSORS).await.expect_error(401);
    let session = bearer(&app, &try_login(&app, ANN, "another horse battery").await.expect(200));
    // A suspended tenant's users are told so; none of them logs in.
    app.administrator().put("/api/platform/tenants/acme", &json!({ "status": "suspended" })).await.expect(200);
    assert!(session.get(SENSORS).await.expect_error(403).contains("suspended"));
    try_login(&app, ANN, "another horse battery").await.expect_error(401);
    app.administrator().put("/api/platform/tenants/acme", &json!({ "status": "active" })).await.expect(200);
    session.get(SENSORS).await.expect(200);
    app.acme().delete(&one).await.expect(204);
    session.get(SENSORS).await.expect_error(401);
    try_login(&app, ANN, "another horse battery").await.expect_error(401);
    app.stop();
}

#[tokio::test]
async fn the_oldest_of_too_many_sessions_ends() {
    let (app, _) = with_ann().await;
    let first = login(&app).await;
    // As if they were of other addresses, since one may not log in so often.
    let sql = "insert into sessions (id, tenant, user_id, digest, expires_at)
               select gen_random_uuid(), tenant, user_id, sha256(number::text::bytea), expires_at
               from sessions, generate_series(1, 18) as number";
    sqlx::query(sql).execute(&app.databases.platform().await).await.expect("made");
    login(&app).await;
    first.get(SENSORS).await.expect(200);
    login(&app).await;
    first.get(SENSORS).await.expect_error(401);
    app.stop();
}

#[tokio::test]
async fn one_email_of_two_tenants_is_told_apart_by_password_or_by_tenant() {
    let (app, _) = with_ann().await;
    user(&app.globex(), ANN, "the other password").await;
    let tenant = |answer: Value| bearer(&app, &answer);
    let whose = async |client: Client| client.get(WHOAMI).await.expect(200)["data"]["tenant"].clone();
    assert_eq!(whose(tenant(try_login(&app, ANN, PASSWORD).await.expect(200))).await, "acme");
    assert_eq!(whose(tenant(try_login(&app, ANN, "the other password").await.expect(200))).await, "globex");
    let globex = app.globex().get(USERS).await.expect(200)["data"][0]["id"].as_str().expect("an id").to_owned();
    app.globex().put(&format!("{USERS}/{globex}"), &json!({ "password": PASSWORD })).await.expect(200);
    let said = try_login(&app, ANN, PASSWORD).await.expect_error(409);
    assert!(said.contains("`acme`") && said.contains("`globex`") && said.contains("`tenant`"), "{said}");
    let form = json!({ "email": ANN, "password": PASSWORD, "tenant": "globex" });
    let session = bearer(&app, &app.nobody().post(LOGIN, &form).await.expect(200));
    assert_eq!(whose(session.clone()).await, "globex");
    session.get(SENSORS).await.expect_error(403);
    app.stop();
}

#[tokio::test]
async fn nobody_becomes_somebody_who_reaches_further_by_giving_them_a_password() {
    let rules = "g, token:boss, administrator, default\n";
    let platform = std::fs::read_to_string("policies/platform.csv").expect("a file of the repository");
    let platform = format!("{platform}\ng, default/user:root@default.example, platform-administrator, *\n");
    let app = App::builder().policy("tenants/default.csv", rules).policy("platform.csv", &platform).start().await;
    let root = user(&app.administrator(), "root@default.example", PASSWORD).await;
    let boss = app.administrator().post("/api/platform/tokens", &json!({ "name": "boss" })).await.expect(201);
    let boss = Client::new(&app.base, boss["data"]["secret"].as_str());
    let other = user(&boss, "other@default.example", PASSWORD).await;
    boss.put(&format!("{USERS}/{root}"), &json!({ "password": "taken over by me" })).await.expect_error(403);
    boss.put(&format!("{USERS}/{other}"), &json!({ "email": "root@default.example" })).await.expect_error(403);
    boss.post("/api/platform/tokens", &json!({ "name": "r", "userId": root })).await.expect_error(403);
    boss.delete(&format!("{USERS}/{root}")).await.expect(204);
    boss.post(USERS, &json!({ "email": "root@default.example", "password": PASSWORD })).await.expect_error(403);
    app.stop();
}
