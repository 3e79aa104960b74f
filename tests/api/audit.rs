//! The audit log: what is on record, its chain, and changes as events.

use std::time::Duration;

use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, Executor as _};

use crate::support::app::App;
use crate::support::broker::Broker;
use crate::support::database::unique;
use crate::support::services;

const AUDIT: &str = "/api/platform/audit";
const PROJECTS: &str = "/api/platform/projects";

async fn entries(app: &App, query: &str) -> Vec<Value> {
    app.acme().get(&format!("{AUDIT}{query}")).await.expect(200)["data"].as_array().expect("a list").clone()
}

async fn make(app: &App, name: &str) -> String {
    let made = app.acme().post(PROJECTS, &json!({ "name": name })).await.expect(201);
    made["data"]["id"].as_str().expect("an id").to_owned()
}

/// Runs `weir audit verify`; true where it ends with 0.
fn verify(app: &App) -> (bool, Value) {
    app.shell_json(&["audit", "verify", "--json", "--tenant", "acme"])
}

/// What somebody with the database in their hands does, past every trigger.
async fn tamper(app: &App, sql: &str) {
    let sql = format!("alter table audit_log disable trigger user; {sql}; alter table audit_log enable trigger user;");
    app.databases.platform().await.execute(AssertSqlSafe(sql)).await.expect("done");
}

#[tokio::test]
async fn a_change_is_on_record_with_before_and_after_and_a_denial_with_its_reason() {
    let app = App::start().await;
    let id = make(&app, "plant").await;
    let path = format!("{PROJECTS}/{id}");
    app.acme().clone().with("x-request-id", "change-1").put(&path, &json!({ "name": "factory" })).await.expect(200);
    app.client("acme", "reader").delete(&path).await.expect_error(403);
    app.acme().delete(&path).await.expect(204);

    let object = format!("?object=/platform/projects/{id}");
    let all = entries(&app, &object).await;
    let seen: Vec<_> = all.iter().map(|entry| (entry["action"].as_str(), entry["outcome"].as_str())).collect();
    let (write, delete) = (Some("write"), Some("delete"));
    let (allowed, denied) = (Some("allowed"), Some("denied"));
    assert_eq!(seen, [(delete, allowed), (delete, denied), (write, allowed), (write, allowed)], "the newest first");
    let changed = &all[2];
    assert_eq!(
        (&changed["details"]["before"]["name"], &changed["details"]["after"]["name"]),
        (&json!("plant"), &json!("factory"))
    );
    assert_eq!((&changed["subject"], &changed["requestId"]), (&json!("token:administrator"), &json!("change-1")));
    assert_eq!(all[1]["subject"], "token:reader");
    assert!(all[1]["details"]["reason"].is_string(), "{}", all[1]);

    assert_eq!(entries(&app, &format!("{object}&outcome=denied")).await, [all[1].clone()]);
    assert_eq!(entries(&app, "?subject=token:reader").await, [all[1].clone()]);
    assert_eq!(entries(&app, &format!("{object}&action=write")).await.len(), 2);
    let from = format!("{object}&from={}", all[1]["time"].as_str().expect("a time"));
    assert_eq!(entries(&app, &from).await, all[..2]);
    let page = app.acme().get(&format!("{AUDIT}{object}&limit=3")).await.expect(200);
    let rest = entries(&app, &format!("{object}&cursor={}", page["nextCursor"].as_str().expect("there is more"))).await;
    assert_eq!(rest, all[3..]);
    let one = format!("{AUDIT}/{}", all[0]["id"].as_str().expect("an id"));
    assert_eq!(app.acme().get(&one).await.expect(200)["data"], all[0]);
    app.globex().get(&one).await.expect_error(404);
    app.client("acme", "device").get(AUDIT).await.expect_error(403);
    app.stop();
}

#[tokio::test]
async fn members_chains_shadows_and_files_have_before_and_after_too() {
    let app = App::start().await;
    let acme = app.acme();
    let project = make(&app, "plant").await;
    let user = acme.post("/api/platform/users", &json!({ "email": "ann@acme.example" })).await.expect(201);
    let user = user["data"]["id"].as_str().expect("an id").to_owned();
    let members = format!("{PROJECTS}/{project}/members");
    acme.post(&members, &json!({ "userId": user, "role": "viewer" })).await.expect(201);
    acme.put(&format!("{members}/{user}"), &json!({ "role": "editor" })).await.expect(200);
    acme.delete(&format!("{members}/{user}")).await.expect(204);
    let of_project = entries(&app, &format!("?object=/platform/projects/{project}")).await;
    let roles: Vec<_> =
        of_project[..3].iter().map(|entry| (&entry["details"]["before"]["role"], &entry["details"]["after"]["role"])).collect();
    let (viewer, editor, nothing) = (json!("viewer"), json!("editor"), Value::Null);
    assert_eq!(roles, [(&editor, &nothing), (&viewer, &editor), (&nothing, &viewer)]);

    let schema = json!({ "name": "any", "type": "json-schema", "definition": {} });
    let schema = acme.post("/api/platform/schemas", &schema).await.expect(201)["data"]["id"].clone();
    let validator = json!({ "name": "any", "kind": "json-schema", "schemaId": schema });
    let validator = acme.post("/api/platform/validators", &validator).await.expect(201)["data"]["id"].clone();
    acme.post("/api/platform/kafka-topics", &json!({ "name": "rooms" })).await.expect(201);
    for chain in [json!([validator]), json!([])] {
        acme.put("/api/platform/validators/chain/rooms", &json!({ "validatorIds": chain })).await.expect(200);
    }
    let last = &entries(&app, "?object=/platform/kafka-topics/rooms").await[0];
    assert_eq!((&last["details"]["before"], &last["details"]["after"]), (&json!([validator]), &json!([])));

    acme.post("/api/storage/buckets", &json!({ "name": "reports" })).await.expect(201);
    let put = acme.clone().with("content-type", "text/plain");
    put.ask(reqwest::Method::PUT, "/api/storage/files/reports/a", "x").await.expect(201);
    acme.delete("/api/storage/files/reports/a").await.expect(204);
    let [gone, stored] = &entries(&app, "?object=/storage/files/reports/a").await[..] else { panic!("two entries") };
    assert_eq!(gone["details"]["before"]["version"], stored["details"]["after"]["version"]);
    assert_eq!(stored["details"]["before"], Value::Null);
    app.stop();
}

#[tokio::test]
async fn what_was_allowed_and_not_done_is_on_record_with_what_its_client_was_told() {
    let app = App::start().await;
    let before = entries(&app, "").await.len();
    let nobodys = json!({ "name": "x", "ownerId": "01890000-0000-7000-8000-000000000000" });
    let told = app.acme().with("x-request-id", "try-1").post(PROJECTS, &nobodys).await.expect_error(409);
    let all = entries(&app, "").await;
    assert_eq!(all.len(), before + 1, "and nothing of its having been done");
    let failed = &all[0];
    assert_eq!(entries(&app, "?outcome=failed").await, std::slice::from_ref(failed));
    assert_eq!(
        (&failed["object"], &failed["action"], &failed["status"], &failed["requestId"], &failed["subject"]),
        (&json!("/platform/projects"), &json!("write"), &json!(409), &json!("try-1"), &json!("token:administrator"))
    );
    assert!(told.contains(failed["details"]["error"].as_str().expect("a sentence")), "{told} | {failed}");

    // What nobody was allowed has not failed, and what only reads changes nothing.
    app.client("acme", "reader").post(PROJECTS, &json!({ "name": "x" })).await.expect_error(403);
    app.acme().get(&format!("{PROJECTS}/01890000-0000-7000-8000-000000000000")).await.expect_error(404);
    // It is entered as what was asked for, in the tenant of whoever asked, whatever else that had to look at.
    let administrator = app.administrator();
    administrator.delete("/api/platform/tenants/acme").await.expect_error(409);
    administrator.get("/api/platform/tenants/nowhere").await.expect_error(404);
    let own = administrator.get(&format!("{AUDIT}?outcome=failed")).await.expect(200);
    assert_eq!(
        (own["data"].as_array().map(Vec::len), &own["data"][0]["object"], &own["data"][0]["status"]),
        (Some(1), &json!("/platform/tenants/acme"), &json!(409))
    );
    // A repeat under an idempotency key fails once.
    let keyed = app.acme().with("idempotency-key", "k");
    for _ in 0..2 {
        assert_eq!(keyed.post(PROJECTS, &nobodys).await.status, 409);
    }
    assert_eq!(entries(&app, "?outcome=failed").await.len(), 2);
    let (sound, verified) = verify(&app);
    assert!(sound, "{verified}");
    tamper(&app, "update audit_log set status = 400 where outcome = 'failed'").await;
    assert!(verify(&app).1["breaks"].to_string().contains("was changed"), "the status is in the hash");
    app.stop();
}

#[tokio::test]
async fn the_chain_shows_a_changed_a_removed_and_a_swapped_row() {
    let app = App::start().await;
    for name in ["one", "two", "three", "four"] {
        make(&app, name).await;
    }
    let (sound, verified) = verify(&app);
    assert!(sound, "{verified}");
    let last = verified["last"].as_i64().expect("a number");
    assert_eq!((verified["entries"].as_i64(), verified["first"].as_i64()), (Some(last), Some(1)));
    let (second, third) = (last - 2, last - 1);
    let swap = |a: i64, b: i64| {
        format!(
            "update audit_log set seq = -seq where tenant = 'acme' and seq in ({a}, {b});
             update audit_log set seq = case seq when -{a} then {b} else {a} end where tenant = 'acme' and seq < 0"
        )
    };
    let changed = format!("update audit_log set subject = 'token:somebody-else' where tenant = 'acme' and seq = {second}");
    let back = format!("update audit_log set subject = 'token:administrator' where tenant = 'acme' and seq = {second}");
    for (does, undoes, words) in [
        (changed.as_str(), back.as_str(), format!("entry {second} was changed")),
        (swap(second, third).as_str(), swap(third, second).as_str(), format!("entry {second} does not follow the one before it")),
    ] {
        tamper(&app, does).await;
        let (sound, verified) = verify(&app);
        assert!(!sound && verified["breaks"].to_string().contains(&words), "{verified}");
        tamper(&app, undoes).await;
        assert!(verify(&app).0, "undone, it is sound again");
    }
    tamper(&app, &format!("delete from audit_log where tenant = 'acme' and seq = {last}")).await;
    assert!(verify(&app).1["breaks"].to_string().contains(&format!("entries {last} to {last} are missing")));
    tamper(&app, &format!("delete from audit_log where tenant = 'acme' and seq = {second}")).await;
    assert!(verify(&app).1["breaks"].to_string().contains(&format!("entries {second} to {second} are missing")));
    app.stop();
}

#[tokio::test]
async fn many_changes_at_once_are_one_chain() {
    let app = App::start().await;
    let replica = app.replica();
    let made = (0..60).map(|number| {
        let client = if number % 2 == 0 { app.acme() } else { replica.acme() };
        async move { client.post(PROJECTS, &json!({ "name": format!("p{number}") })).await.expect(201) }
    });
    futures_util::future::join_all(made).await;
    let (sound, verified) = verify(&app);
    assert!(sound && verified["last"].as_i64() > Some(60), "{verified}");
    replica.stop();
    app.stop();
}

#[tokio::test]
async fn nobody_changes_the_log_by_the_way() {
    let app = App::start().await;
    make(&app, "plant").await;
    let mut weir = <sqlx::PgConnection as sqlx::Connection>::connect(&app.databases.platform).await.expect("it answers");
    weir.execute("select set_config('weir.tenant', 'acme', false)").await.expect("set");
    for sql in ["update audit_log set subject = 'x'", "delete from audit_log", "truncate audit_log"] {
        let refused = weir.execute(AssertSqlSafe(sql)).await.expect_err("it is append only").to_string();
        assert!(refused.contains("append only"), "{sql}: {refused}");
    }
    app.stop();
}

#[tokio::test]
async fn entries_that_are_older_than_they_are_to_be_kept_go_and_the_rest_is_a_chain() {
    let mut app = App::builder().set("WEIR_AUDIT_KEEP_DAYS", "30").start().await;
    let old = "insert into audit_log (id, time, tenant, subject, action, object, outcome, request_id, policy)
               select gen_random_uuid(), now() - interval '40 days', 'initech', 'token:x', 'write', '/x', 'allowed', 'r', 'p'
               from generate_series(1, 5)";
    let new = "insert into audit_log (id, tenant, subject, action, object, outcome, request_id, policy)
               select gen_random_uuid(), 'initech', 'token:x', 'write', '/x', 'allowed', 'r', 'p' from generate_series(1, 3)";
    let pool = app.databases.platform().await;
    for sql in [old, new] {
        pool.execute(AssertSqlSafe(sql.replace("initech", "acme"))).await.expect("entered");
    }
    let (_, before) = verify(&app);
    // It looks when it starts.
    app.terminate();
    app.restart();
    let deadline = std::time::Instant::now() + Duration::from_secs(20);
    loop {
        let (sound, after) = verify(&app);
        assert!(sound, "{after}");
        if after["first"].as_i64() > Some(5) {
            assert_eq!((&after["last"], &after["head"]), (&before["last"], &before["head"]));
            assert_eq!(after["entries"].as_i64(), Some(3), "{after}");
            break;
        }
        assert!(std::time::Instant::now() < deadline, "{after}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    app.stop();
}

#[tokio::test]
async fn changes_reach_kafka_in_their_order_with_an_id() {
    let broker = Broker::connect();
    let topic = unique("events");
    broker.make(&topic, 1).await;
    let app = App::builder().set("KAFKA_BROKERS", services::brokers()).set("WEIR_EVENTS_TOPIC", &topic).start().await;
    let id = make(&app, "plant").await;
    let path = format!("{PROJECTS}/{id}");
    for number in 0..20 {
        app.acme().put(&path, &json!({ "description": number.to_string() })).await.expect(200);
    }
    app.acme().delete(&path).await.expect(204);
    // The two tenants and their tokens come first.
    let events = broker.read(&topic, 0, 2 + 8 + 22).await;
    let key = format!("acme/platform/projects/{id}");
    let of_project: Vec<Value> = events
        .iter()
        .filter(|event| event.key.as_deref() == Some(key.as_bytes()))
        .map(|event| serde_json::from_slice(event.value.as_deref().expect("a value")).expect("JSON"))
        .collect();
    assert_eq!(of_project.len(), 22);
    assert_eq!((&of_project[0]["data"]["after"]["name"], &of_project[0]["tenant"]), (&json!("plant"), &json!("acme")));
    for (number, event) in of_project[1..21].iter().enumerate() {
        assert_eq!(event["data"]["after"]["description"], number.to_string(), "in their order");
    }
    assert_eq!(of_project[21]["action"], "delete");
    let ids: std::collections::BTreeSet<_> = events.iter().map(|event| event.headers.clone()).collect();
    assert_eq!(ids.len(), events.len(), "each has an id of its own");
    let left: i64 =
        sqlx::query_scalar("select count(*) from outbox").fetch_one(&app.databases.platform().await).await.expect("a count");
    assert_eq!(left, 0);
    app.stop();
}
