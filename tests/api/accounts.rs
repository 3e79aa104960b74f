//! Tenants and tokens.

use serde_json::json;

use crate::support::app::App;
use crate::support::client::Client;

const TOKENS: &str = "/api/platform/tokens";

#[tokio::test]
async fn a_token_is_shown_once_and_revoked_at_once() {
    let app = App::start().await;
    let acme = app.acme();
    let created = acme.post(TOKENS, &json!({ "name": "gauge" })).await.expect(201);
    let (id, secret) = (created["data"]["id"].as_str().expect("an id"), created["data"]["secret"].as_str().expect("a secret"));
    let bearer = Client::new(&app.base, Some(secret));
    // It is somebody, who may do nothing.
    bearer.get(TOKENS).await.expect_error(403);
    let shown = acme.get(&format!("{TOKENS}/{id}")).await.expect(200);
    assert!(!shown.to_string().contains(secret), "{shown}");
    assert!(!acme.get(TOKENS).await.expect(200).to_string().contains(secret));
    acme.delete(&format!("{TOKENS}/{id}")).await.expect(204);
    bearer.get(TOKENS).await.expect_error(401);
    acme.delete(&format!("{TOKENS}/{id}")).await.expect_error(404);
    let kept: Vec<Vec<u8>> =
        sqlx::query_scalar("select digest from tokens").fetch_all(&app.databases.platform().await).await.expect("rows");
    assert!(kept.iter().all(|digest| digest.len() == 32), "only digests are kept");
    app.stop();
}

#[tokio::test]
async fn a_token_that_has_expired_counts_no_more() {
    let app = App::start().await;
    let soon = "2999-01-01T00:00:00Z";
    let created = app.acme().post(TOKENS, &json!({ "name": "reader", "expiresAt": soon })).await;
    assert_eq!(created.status, 409, "the name is taken");
    let created = app.acme().post(TOKENS, &json!({ "name": "brief", "expiresAt": soon })).await.expect(201);
    sqlx::query("update tokens set expires_at = now() - interval '1 s' where name = 'brief'")
        .execute(&app.databases.platform().await)
        .await
        .expect("time passes");
    let bearer = Client::new(&app.base, created["data"]["secret"].as_str());
    assert!(bearer.get(TOKENS).await.expect_error(401).contains("expired"));
    app.acme().post(TOKENS, &json!({ "name": "late", "expiresAt": "2001-01-01T00:00:00Z" })).await.expect_error(400);
    app.stop();
}

#[tokio::test]
async fn nobody_gives_itself_more_than_it_has_by_a_tokens_name() {
    let app = App::builder().policy("tenants/default.csv", "g, token:boss, administrator, default\n").start().await;
    let boss = app.administrator().post(TOKENS, &json!({ "name": "boss" })).await.expect(201);
    let boss = Client::new(&app.base, boss["data"]["secret"].as_str());
    let bootstrap = app.administrator().get(TOKENS).await.expect(200);
    let bootstrap =
        bootstrap["data"].as_array().and_then(|all| all.iter().find(|one| one["name"] == "bootstrap")).expect("it is there");
    boss.delete(&format!("{TOKENS}/{}", bootstrap["id"].as_str().expect("an id"))).await.expect(204);
    // The policy would make whoever bears this name the administrator of all tenants.
    boss.post(TOKENS, &json!({ "name": "bootstrap" })).await.expect_error(403);
    boss.post(TOKENS, &json!({ "name": "helper" })).await.expect(201);
    app.stop();
}

#[tokio::test]
async fn only_platform_administrators_see_tenants_or_act_in_another() {
    let app = App::start().await;
    app.acme().get("/api/platform/tenants").await.expect_error(403);
    app.acme().of("globex").get(TOKENS).await.expect_error(403);
    let names = app.administrator().of("globex").get(TOKENS).await.expect(200);
    assert_eq!(names["data"].as_array().map(Vec::len), Some(4));
    assert!(app.administrator().of("nowhere").get(TOKENS).await.expect_error(404).contains("nowhere"));
    app.administrator().of("No Tenant!").get(TOKENS).await.expect_error(400);
    let taken =
        app.administrator().post("/api/platform/tenants", &json!({ "slug": "acme", "name": "again" })).await.expect_error(409);
    assert!(taken.contains("exists already"), "{taken}");
    app.stop();
}

#[tokio::test]
async fn a_suspended_tenant_is_told_so() {
    let app = App::start().await;
    app.administrator().put("/api/platform/tenants/acme", &json!({ "status": "suspended" })).await.expect(200);
    assert!(app.acme().get(TOKENS).await.expect_error(403).contains("suspended"));
    app.globex().get(TOKENS).await.expect(200);
    app.administrator().put("/api/platform/tenants/acme", &json!({ "status": "asleep" })).await.expect_error(400);
    app.stop();
}

#[tokio::test]
async fn lists_are_paged_by_key() {
    let app = App::start().await;
    for number in 0..7 {
        app.acme().post(TOKENS, &json!({ "name": format!("gauge-{number}") })).await.expect(201);
    }
    let (mut seen, mut path) = (Vec::new(), format!("{TOKENS}?limit=3"));
    loop {
        let page = app.acme().get(&path).await.expect(200);
        seen.extend(page["data"].as_array().expect("a list").iter().map(|one| one["name"].to_string()));
        let Some(cursor) = page["nextCursor"].as_str() else { break };
        path = format!("{TOKENS}?limit=3&cursor={cursor}");
    }
    seen.sort();
    seen.dedup();
    assert_eq!(seen.len(), 11);
    for bad in ["limit=0", "limit=1001", "limit=x", "cursor=%00", "offset=3"] {
        app.acme().get(&format!("{TOKENS}?{bad}")).await.expect_error(400);
    }
    app.stop();
}

#[tokio::test]
async fn tenants_are_resources_like_others() {
    let app = App::start().await;
    let administrator = app.administrator();
    let path = "/api/platform/tenants/acme";
    let read = administrator.get(path).await;
    let etag = read.header("etag").expect("a tag").to_owned();
    assert_eq!(read.expect(200)["data"]["quotas"]["storageBytes"], json!(null));
    let careful = administrator.clone().with("if-match", &etag);
    let changed = careful.put(path, &json!({ "name": "Acme Ltd", "quotas": { "storageBytes": 1_000_000 } })).await.expect(200);
    assert_eq!((&changed["data"]["name"], &changed["data"]["quotas"]["storageBytes"]), (&json!("Acme Ltd"), &json!(1_000_000)));
    careful.put(path, &json!({ "name": "Acme Inc" })).await.expect_error(412);
    let left = administrator.put(path, &json!({ "quotas": { "readingsPerSecond": 5 } })).await.expect(200);
    assert_eq!(left["data"]["quotas"]["storageBytes"], json!(1_000_000), "what is left out stays");

    let named = administrator.get("/api/platform/tenants?name=Acme%20Ltd").await.expect(200);
    assert_eq!(named["data"].as_array().map(Vec::len), Some(1));
    administrator.put("/api/platform/tenants/globex", &json!({ "status": "suspended" })).await.expect(200);
    let suspended = administrator.get("/api/platform/tenants?status=suspended").await.expect(200);
    assert_eq!((&suspended["data"][0]["slug"], suspended["data"].as_array().map(Vec::len)), (&json!("globex"), Some(1)));
    for (form, place) in [
        (json!({ "slug": "Not a slug" }), "/slug"),
        (json!({ "slug": "x", "name": "" }), "/name"),
        (json!({ "slug": "x", "quotas": { "storageBytes": 0 } }), "/quotas/storageBytes"),
        (json!({ "slug": "x", "quotas": { "guestTimeMs": 60_001 } }), "/quotas/guestTimeMs"),
        (json!({ "slug": "x", "quotas": { "colour": 1 } }), "/quotas/colour"),
    ] {
        let refused = administrator.post("/api/platform/tenants", &form).await.expect(400);
        assert_eq!(refused["details"][0]["path"], place, "{form}");
    }
    app.stop();
}

#[tokio::test]
async fn a_tenant_goes_when_it_is_suspended_and_has_nothing_left() {
    let app = App::start().await;
    let (administrator, acme, path) = (app.administrator(), app.acme(), "/api/platform/tenants/acme");
    let project = acme.post("/api/platform/projects", &json!({ "name": "plant" })).await.expect(201);
    let reading = json!({ "sensorId": "room-4", "timestamp": "2026-05-04T12:00:00Z", "value": 1 });
    acme.post("/api/timescale/sensor-readings", &reading).await.expect(201);
    assert!(administrator.delete(path).await.expect_error(409).contains("suspend it first"));
    administrator.put(path, &json!({ "status": "suspended" })).await.expect(200);
    assert!(administrator.delete(path).await.expect_error(409).contains("readings"));
    let there = administrator.of("acme");
    there.delete("/api/timescale/sensor-readings/room-4/2026-05-04T12:00:00Z").await.expect(204);
    assert!(administrator.delete(path).await.expect_error(409).contains("1 projects"));
    let project = project["data"]["id"].as_str().expect("an id");
    there.delete(&format!("/api/platform/projects/{project}")).await.expect(204);
    administrator.clone().with("if-match", "\"0\"").delete(path).await.expect_error(412);
    administrator.delete(path).await.expect(204);
    administrator.get(path).await.expect_error(404);
    administrator.delete(path).await.expect_error(404);
    let again = json!({ "slug": "acme", "name": "another" });
    let used = administrator.post("/api/platform/tenants", &again).await.expect_error(409);
    assert!(used.contains("was deleted"), "what is on record of the first is not the second's to see: {used}");
    assert!(acme.get(TOKENS).await.expect_error(401).contains("not known"), "its credentials went with it");
    app.globex().get(TOKENS).await.expect(200);
    app.acme().delete("/api/platform/tenants/globex").await.expect_error(401);
    app.globex().delete("/api/platform/tenants/globex").await.expect_error(403);
    app.stop();
}

#[tokio::test]
async fn tokens_are_filtered_and_revoked_with_care() {
    let app = App::start().await;
    let acme = app.acme();
    let user = acme.post("/api/platform/users", &json!({ "email": "ann@acme.example" })).await.expect(201);
    let user = user["data"]["id"].as_str().expect("an id").to_owned();
    let made = acme.post(TOKENS, &json!({ "name": "anns", "userId": user })).await.expect(201);
    let names = async |query: &str| -> Vec<String> {
        let found = acme.get(&format!("{TOKENS}{query}")).await.expect(200);
        found["data"].as_array().expect("a list").iter().map(|one| one["name"].as_str().expect("a name").to_owned()).collect()
    };
    assert_eq!(names(&format!("?userId={user}")).await, ["anns"]);
    assert_eq!(names("?name=reader").await, ["reader"]);
    assert_eq!(names(&format!("?name=reader&userId={user}")).await, [""; 0]);
    let path = format!("{TOKENS}/{}", made["data"]["id"].as_str().expect("an id"));
    acme.clone().with("if-match", "\"0\"").delete(&path).await.expect_error(412);
    let etag = acme.get(&path).await.header("etag").expect("a tag").to_owned();
    acme.clone().with("if-match", &etag).delete(&path).await.expect(204);
    app.stop();
}
