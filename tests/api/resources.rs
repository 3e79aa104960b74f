//! Projects, users, pipelines and connectors: what all resources have in common, and what one alone has.

use futures_util::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::app::{App, Builder};
use crate::support::client::{Answer, Client};

const PROJECTS: &str = "/api/platform/projects";
const USERS: &str = "/api/platform/users";
const PIPELINES: &str = "/api/platform/pipelines";
const CONNECTORS: &str = "/api/platform/connectors";
const NOBODY: &str = "01890000-0000-7000-8000-000000000000";

const OLD_KEY: &str = "old:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
const NEW_KEY: &str = "new:AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=";

fn sealing() -> Builder {
    App::builder().set("WEIR_SECRET_KEYS", OLD_KEY)
}

async fn made(client: &Client, path: &str, form: &Value) -> Value {
    client.post(path, form).await.expect(201)["data"].clone()
}

fn id(of: &Value) -> &str {
    of["id"].as_str().expect("an id")
}

fn etag(answer: &Answer) -> String {
    answer.header("etag").expect("a tag").to_owned()
}

#[tokio::test]
async fn each_resource_is_made_found_changed_and_deleted() {
    let app = App::start().await;
    let acme = app.acme();
    let project = made(&acme, PROJECTS, &json!({ "name": "plant" })).await;
    let of_project = json!({ "projectId": project["id"] });
    let cases = [
        (PROJECTS, json!({ "name": "attic", "description": "up there" }), json!({ "metadata": { "floor": 3 } })),
        (USERS, json!({ "email": "ada@acme.example", "name": "Ada" }), json!({ "name": "Ada L." })),
        (
            PIPELINES,
            merged(&of_project, &json!({ "name": "clean", "definition": { "steps": [] } })),
            json!({ "status": "active" }),
        ),
        (
            CONNECTORS,
            merged(&of_project, &json!({ "name": "plc", "protocol": "opc-ua", "endpoint": "opc.tcp://plc:4840" })),
            json!({ "config": { "interval": 5 } }),
        ),
    ];
    for (path, form, change) in cases {
        let answer = acme.post(path, &form).await;
        let location = answer.header("location").expect("where it is").to_owned();
        let first = answer.expect(201)["data"].clone();
        for (field, value) in form.as_object().expect("a form") {
            assert_eq!(&first[field], value, "{path} {field}");
        }
        assert_eq!(location, format!("{path}/{}", id(&first)));
        assert_eq!(acme.get(&location).await.expect(200)["data"], first);
        let changed = acme.put(&location, &change).await.expect(200)["data"].clone();
        let mut expected = merged(&first, &change);
        expected["updatedAt"] = changed["updatedAt"].clone();
        assert_eq!(changed, expected, "{path}: what is sent changes, and nothing else");
        let listed = acme.get(path).await.expect(200)["data"].clone();
        assert!(listed.as_array().expect("a list").contains(&changed), "{path}: {listed}");
        app.globex().get(&location).await.expect_error(404);
        app.globex().put(&location, &change).await.expect_error(404);
        app.globex().delete(&location).await.expect_error(404);
        acme.delete(&location).await.expect(204);
        acme.get(&location).await.expect_error(404);
        acme.delete(&location).await.expect_error(404);
    }
    app.stop();
}

fn merged(first: &Value, second: &Value) -> Value {
    let mut all = first.as_object().expect("an object").clone();
    all.extend(second.as_object().expect("an object").clone());
    all.into()
}

#[tokio::test]
async fn lists_are_filtered_by_equality_and_paged_by_key() {
    let app = App::start().await;
    let acme = app.acme();
    let owner = made(&acme, USERS, &json!({ "email": "Ada@acme.example" })).await;
    for number in 0..5 {
        let form =
            json!({ "name": format!("p{}", number % 2), "ownerId": if number < 3 { owner["id"].clone() } else { Value::Null } });
        made(&acme, PROJECTS, &form).await;
    }
    let names = async |query: &str| -> Vec<String> {
        let found = acme.get(&format!("{PROJECTS}{query}")).await.expect(200);
        let names = found["data"].as_array().expect("a list").iter().map(|one| one["name"].as_str().expect("a name").to_owned());
        names.collect()
    };
    assert_eq!(names("?name=p1").await, ["p1", "p1"]);
    assert_eq!(names(&format!("?ownerId={}", id(&owner))).await, ["p0", "p1", "p0"]);
    assert_eq!(names(&format!("?ownerId={}&name=p1", id(&owner))).await, ["p1"]);
    let (mut pages, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = acme.get(&format!("{PROJECTS}?limit=2{cursor}")).await.expect(200);
        pages.extend(page["data"].as_array().expect("a list").clone());
        let Some(next) = page["nextCursor"].as_str() else { break };
        cursor = format!("&cursor={next}");
    }
    assert_eq!(pages, *acme.get(PROJECTS).await.expect(200)["data"].as_array().expect("a list"));
    let by_email = acme.get("/api/platform/user/email/ada@ACME.example").await.expect(200);
    assert_eq!(by_email["data"]["id"], owner["id"], "emails are one whatever their case");
    acme.get(&format!("{PROJECTS}?colour=red")).await.expect_error(400);
    acme.get(&format!("{PROJECTS}?ownerId=me")).await.expect_error(400);
    acme.get(&format!("{PROJECTS}?cursor=Zm9v")).await.expect_error(400);
    app.stop();
}

#[tokio::test]
async fn what_is_in_use_stays_and_what_is_wrong_is_said() {
    let app = App::start().await;
    let acme = app.acme();
    let ada = made(&acme, USERS, &json!({ "email": "ada@acme.example" })).await;
    let project = made(&acme, PROJECTS, &json!({ "name": "plant", "ownerId": ada["id"] })).await;
    made(&acme, PIPELINES, &json!({ "name": "clean", "projectId": project["id"] })).await;
    assert!(acme.delete(&format!("{PROJECTS}/{}", id(&project))).await.expect_error(409).contains("pipelines"));
    assert!(acme.delete(&format!("{USERS}/{}", id(&ada))).await.expect_error(409).contains("projects"));
    // What belongs to another tenant is not there.
    let theirs = made(&app.globex(), PROJECTS, &json!({ "name": "theirs" })).await;
    assert!(
        acme.post(PIPELINES, &json!({ "name": "x", "projectId": theirs["id"] }))
            .await
            .expect_error(409)
            .contains("no such project")
    );
    acme.post(USERS, &json!({ "email": "ADA@acme.example" })).await.expect_error(409);
    for (path, form, place) in [
        (PROJECTS, json!({ "name": "" }), "/name"),
        (PROJECTS, json!({ "name": "x", "colour": "red" }), "/colour"),
        (PROJECTS, json!({ "name": "x", "ownerId": "me" }), "/ownerId"),
        (PROJECTS, json!({ "name": "x", "description": "d".repeat(5_000) }), "/description"),
        (PROJECTS, json!({ "name": "x", "metadata": { "m": "m".repeat(300_000) } }), "/metadata"),
        (USERS, json!({ "email": "nobody" }), "/email"),
        (USERS, json!({ "email": "a@b", "password": "short" }), "/password"),
        (PIPELINES, json!({ "name": "x", "projectId": NOBODY, "status": "asleep" }), "/status"),
        (CONNECTORS, json!({ "name": "x", "protocol": "mqtt", "endpoint": "mqtt://u:p@host" }), "/endpoint"),
        (CONNECTORS, json!({ "name": "x", "protocol": "mqtt", "endpoint": "mqtt://ho st" }), "/endpoint"),
        (CONNECTORS, json!({ "name": "x", "protocol": "mqtt", "endpoint": "\u{19}" }), "/endpoint"),
    ] {
        let answer = acme.post(path, &form).await.expect(400);
        assert_eq!(answer["details"][0]["path"], place, "{answer}");
    }
    let zero = json!({ "name": "x", "metadata": { "m": "\u{0}" } });
    assert!(acme.post(PROJECTS, &zero).await.expect_error(400).contains("U+0000"));
    app.stop();
}

#[tokio::test]
async fn a_change_of_what_has_changed_meanwhile_is_refused() {
    let app = App::start().await;
    let acme = app.acme();
    let project = made(&acme, PROJECTS, &json!({ "name": "plant" })).await;
    let path = format!("{PROJECTS}/{}", id(&project));
    let read = etag(&acme.get(&path).await);
    let careful = acme.clone().with("if-match", &read);
    let changed = careful.put(&path, &json!({ "description": "first" })).await;
    assert_ne!(etag(&changed), read);
    assert_eq!(etag(&changed), etag(&acme.get(&path).await), "the answer's tag is the one to go on with");
    careful.put(&path, &json!({ "description": "second" })).await.expect_error(412);
    careful.delete(&path).await.expect_error(412);
    assert_eq!(acme.get(&path).await.expect(200)["data"]["description"], "first");
    let known = acme.clone().with("if-none-match", &etag(&acme.get(&path).await));
    assert_eq!(known.get(&path).await.status, 304);
    acme.clone().with("if-match", "*").delete(&path).await.expect(204);
    app.stop();
}

#[tokio::test]
async fn of_two_hundred_careful_updates_at_once_exactly_one_wins_each_round() {
    let app = App::start().await;
    // Two replicas: what one changes, the other one sees.
    let replica = app.replica();
    let (one, other) = (app.acme(), replica.acme());
    let project = made(&one, PROJECTS, &json!({ "name": "plant" })).await;
    let path = format!("{PROJECTS}/{}", id(&project));
    for round in 0..5 {
        let read = etag(&other.get(&path).await);
        let updates = (0..200).map(|number| {
            let client = if number % 2 == 0 { &one } else { &other }.clone().with("if-match", &read);
            let path = path.clone();
            async move { client.put(&path, &json!({ "metadata": { "round": round, "winner": number } })).await }
        });
        let answers = join_all(updates).await;
        let won: Vec<&Answer> = answers.iter().filter(|answer| answer.status == 200).collect();
        assert_eq!(won.len(), 1, "round {round}: {:?}", answers.iter().map(|answer| answer.status).collect::<Vec<_>>());
        assert!(answers.iter().all(|answer| matches!(answer.status, 200 | 412)), "round {round}");
        let won: Value = serde_json::from_slice(&won[0].body).expect("JSON");
        assert_eq!(one.get(&path).await.expect(200)["data"], won["data"], "round {round}: the winner's stays");
    }
    replica.stop();
    app.stop();
}

#[tokio::test]
async fn several_are_made_at_once_with_a_result_for_each() {
    let app = App::start().await;
    let acme = app.acme();
    let items = json!({ "items": [
        { "email": "ada@acme.example" }, { "email": "nobody" }, { "email": "ada@acme.example" }, { "email": "bob@acme.example" },
    ] });
    let told = acme.post(&format!("{USERS}/bulk"), &items).await.expect(200)["data"].clone();
    assert_eq!((&told["created"], &told["failed"]), (&json!(2), &json!(2)));
    let codes: Vec<_> = (0..4).map(|at| told["results"][at]["error"]["code"].as_u64()).collect();
    assert_eq!(codes, [None, Some(400), Some(409), None]);
    assert_eq!(told["results"][3]["data"]["email"], "bob@acme.example");
    assert_eq!(acme.get(USERS).await.expect(200)["data"].as_array().map(Vec::len), Some(2));
    acme.post(&format!("{USERS}/bulk"), &json!({ "items": [] })).await.expect_error(400);
    acme.post(&format!("{USERS}/bulk"), &json!({ "items": vec![json!({ "email": "a@b" }); 1_001] })).await.expect_error(400);
    app.client("acme", "reader").post(&format!("{USERS}/bulk"), &items).await.expect_error(403);
    app.stop();
}

#[tokio::test]
async fn whatever_can_be_made_can_be_made_in_bulk_and_a_repeated_one_fails_alone() {
    let app = App::start().await;
    let acme = app.acme();
    let project = made(&acme, PROJECTS, &json!({ "name": "plant" })).await;
    let key = "11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=";
    // Each with what it refuses as the second of the same, where names or keys are unique, and with something that is no such thing.
    let kinds = [
        ("tenants", json!({ "slug": "initech" }), Some(409), json!({ "slug": "Not A Slug" })),
        ("users", json!({ "email": "ada@acme.example" }), Some(409), json!({ "email": "nobody" })),
        ("tokens", json!({ "name": "gauge" }), Some(409), json!({ "name": "a b" })),
        ("projects", json!({ "name": "other" }), None, json!({ "name": "" })),
        (
            "pipelines",
            json!({ "name": "clean", "projectId": project["id"] }),
            None,
            json!({ "name": "", "projectId": project["id"] }),
        ),
        ("kafka-topics", json!({ "name": "rooms" }), Some(409), json!({ "name": "no blanks" })),
        (
            "schemas",
            json!({ "name": "room", "type": "json-schema", "definition": {} }),
            None,
            json!({ "name": "", "type": "json-schema", "definition": {} }),
        ),
        (
            "connectors",
            json!({ "name": "line", "protocol": "mqtt", "endpoint": "mqtt://x" }),
            None,
            json!({ "name": "line", "protocol": "mqtt", "endpoint": "" }),
        ),
        ("validators", json!({ "name": "limits" }), Some(409), json!({ "name": "" })),
        (
            "signing-keys",
            json!({ "name": "build", "publicKey": key }),
            Some(409),
            json!({ "name": "build", "publicKey": "AAAA" }),
        ),
    ];
    let administrator = app.administrator();
    for (kind, sound, again, wrong) in kinds {
        let client = if kind == "tenants" { &administrator } else { &acme };
        let items = json!({ "items": [sound, sound, wrong] });
        let told = client.post(&format!("/api/platform/{kind}/bulk"), &items).await.expect(200)["data"].clone();
        let codes: Vec<_> = (0..3).map(|at| told["results"][at]["error"]["code"].as_u64()).collect();
        assert_eq!(codes, [None, again, Some(400)], "{kind}: {told}");
        assert_eq!(told["created"], if again.is_some() { 1 } else { 2 }, "{kind}");
        assert!(told["results"][0]["data"].is_object(), "{kind}");
    }
    app.stop();
}

#[tokio::test]
async fn a_topic_and_a_tenant_named_bulk_are_reached_like_any_other() {
    let app = App::start().await;
    let (acme, administrator) = (app.acme(), app.administrator());
    let topic = "/api/platform/kafka-topics/bulk";
    acme.get(topic).await.expect_error(404);
    made(&acme, "/api/platform/kafka-topics", &json!({ "name": "bulk" })).await;
    let tag = etag(&acme.get(topic).await);
    assert_eq!(acme.put(topic, &json!({ "description": "rooms" })).await.expect(200)["data"]["description"], "rooms");
    let stale = acme.clone().with("if-match", &tag);
    stale.put(topic, &json!({ "description": "halls" })).await.expect_error(412);
    acme.delete(topic).await.expect(204);
    made(&administrator, "/api/platform/tenants", &json!({ "slug": "bulk" })).await;
    assert_eq!(administrator.get("/api/platform/tenants/bulk").await.expect(200)["data"]["slug"], "bulk");
    app.stop();
}

#[tokio::test]
async fn a_project_has_members_and_a_user_has_projects() {
    let app = App::start().await;
    let acme = app.acme();
    let ada = made(&acme, USERS, &json!({ "email": "ada@acme.example" })).await;
    let own = made(&acme, PROJECTS, &json!({ "name": "own", "ownerId": ada["id"] })).await;
    let other = made(&acme, PROJECTS, &json!({ "name": "other" })).await;
    made(&acme, PROJECTS, &json!({ "name": "foreign" })).await;
    let members = format!("{PROJECTS}/{}/members", id(&other));
    let member = made(&acme, &members, &json!({ "userId": ada["id"], "role": "viewer" })).await;
    assert_eq!((&member["userId"], &member["role"]), (&ada["id"], &json!("viewer")));
    assert!(
        acme.post(&members, &json!({ "userId": ada["id"], "role": "owner" })).await.expect_error(409).contains("member already")
    );
    acme.post(&members, &json!({ "userId": NOBODY, "role": "owner" })).await.expect_error(409);
    acme.post(&members, &json!({ "userId": ada["id"], "role": "king" })).await.expect_error(400);
    let one = format!("{members}/{}", id(&ada));
    assert_eq!(acme.put(&one, &json!({ "role": "editor" })).await.expect(200)["data"]["role"], "editor");
    assert_eq!(acme.get(&members).await.expect(200)["data"][0]["role"], "editor");
    for path in [format!("{USERS}/{}/projects", id(&ada)), format!("{PROJECTS}/user/{}", id(&ada))] {
        let found = acme.get(&path).await.expect(200)["data"].clone();
        let names: Vec<&Value> = found.as_array().expect("a list").iter().map(|project| &project["name"]).collect();
        assert_eq!(names, ["own", "other"], "{path}");
        app.globex().get(&path).await.expect_error(404);
    }
    acme.delete(&one).await.expect(204);
    acme.delete(&one).await.expect_error(404);
    acme.put(&one, &json!({ "role": "viewer" })).await.expect_error(404);
    acme.delete(&format!("{PROJECTS}/{}", id(&own))).await.expect(204);
    app.stop();
}

#[tokio::test]
async fn a_pipeline_is_put_to_work_and_counted_up() {
    let app = App::start().await;
    let acme = app.acme();
    let project = made(&acme, PROJECTS, &json!({ "name": "plant" })).await;
    let pipeline = made(&acme, PIPELINES, &json!({ "name": "clean", "projectId": project["id"] })).await;
    assert_eq!((&pipeline["status"], &pipeline["version"]), (&json!("inactive"), &json!(1)));
    let path = format!("{PIPELINES}/{}", id(&pipeline));
    let does =
        async |method: Method, what: &str| acme.ask(method, &format!("{path}/{what}"), "").await.expect(200)["data"].clone();
    assert_eq!(does(Method::POST, "activate").await["status"], "active");
    assert_eq!(does(Method::PUT, "version").await["version"], 2);
    assert_eq!(does(Method::PUT, "version").await["version"], 3);
    assert_eq!(does(Method::POST, "deactivate").await["status"], "inactive");
    let of_project = acme.get(&format!("{PIPELINES}/project/{}", id(&project))).await.expect(200);
    assert_eq!(of_project["data"][0]["version"], 3);
    app.stop();
}

#[tokio::test]
async fn secrets_of_a_connector_are_kept_encrypted_and_never_shown() {
    let app = sealing().start().await;
    let acme = app.acme();
    let config = json!({ "user": "plc", "password": "hunter2-hunter2", "tls": { "privateKey": "key-of-the-plant" }, "pin": { "$secret": 4711 } });
    let form = json!({ "name": "plc", "protocol": "mqtt", "endpoint": "mqtts://plc:8883", "config": config });
    let connector = made(&acme, CONNECTORS, &form).await;
    let masked = json!({ "user": "plc", "password": "********", "tls": { "privateKey": "********" }, "pin": "********" });
    assert_eq!(connector["config"], masked);
    let path = format!("{CONNECTORS}/{}", id(&connector));
    // A form that sends back what it was shown, with one thing changed.
    let changed = json!({ "config": { "user": "plc2", "password": "********", "tls": { "privateKey": "another-key-here" }, "pin": "********" } });
    let connector = acme.put(&format!("{path}/config"), &changed).await.expect(200)["data"].clone();
    assert_eq!(
        connector["config"],
        json!({ "user": "plc2", "password": "********", "tls": { "privateKey": "********" }, "pin": "********" })
    );
    assert_eq!(
        acme.put(&format!("{path}/endpoint"), &json!({ "endpoint": "mqtts://plc-2:8883" })).await.expect(200)["data"]["config"],
        connector["config"]
    );
    acme.put(&format!("{path}/schema"), &json!({})).await.expect_error(400);
    assert_eq!(
        acme.put(&format!("{path}/schema"), &json!({ "schemaId": null })).await.expect(200)["data"]["schemaId"],
        json!(null)
    );
    let lost = acme.put(&path, &json!({ "config": { "token": "********" } })).await.expect(400);
    assert_eq!(lost["details"][0]["path"], "/config/token");

    let shown = [acme.get(&path).await, acme.get(CONNECTORS).await, acme.get("/api/platform/audit").await];
    let kept: Vec<String> =
        sqlx::query_scalar("select c::text from connectors c").fetch_all(&app.databases.platform().await).await.expect("rows");
    let texts = shown.iter().map(|answer| String::from_utf8_lossy(&answer.body).into_owned()).chain(kept).chain([app.log()]);
    for text in texts {
        for secret in ["hunter2", "key-of-the-plant", "another-key", "4711"] {
            assert!(!text.contains(secret), "{secret} shows: {text}");
        }
    }
    app.stop();
}

#[tokio::test]
async fn a_key_is_replaced_by_a_new_one_in_front_and_a_rotation() {
    let mut app = sealing().start().await;
    let form =
        json!({ "name": "plc", "protocol": "mqtt", "endpoint": "mqtts://plc", "config": { "password": "hunter2-hunter2" } });
    let connector = made(&app.acme(), CONNECTORS, &form).await;
    let sealed_by = async |app: &App| -> String {
        sqlx::query_scalar("select sealed_by from connectors").fetch_one(&app.databases.platform().await).await.expect("a row")
    };
    assert_eq!(sealed_by(&app).await, "old");
    let both = format!("{NEW_KEY},{OLD_KEY}");
    let rotated = app.shell(&["secrets", "rotate"], &[("WEIR_SECRET_KEYS", &both)]);
    assert!(rotated.status.success(), "{}", String::from_utf8_lossy(&rotated.stderr));
    assert_eq!(sealed_by(&app).await, "new");
    // The old key is not needed any more: what was kept is still there to stay what it is.
    app.terminate();
    app.set("WEIR_SECRET_KEYS", NEW_KEY);
    app.restart();
    let path = format!("{CONNECTORS}/{}", id(&connector));
    app.acme().put(&path, &json!({ "config": { "password": "********", "qos": 1 } })).await.expect(200);
    // And with another one it cannot be read, which is said.
    app.terminate();
    app.set("WEIR_SECRET_KEYS", OLD_KEY);
    app.restart();
    app.acme().put(&path, &json!({ "config": { "password": "********" } })).await.expect_error(503);
    app.acme().put(&path, &json!({ "config": { "password": "another-secret" } })).await.expect_error(503);
    app.acme().put(&path, &json!({ "status": "active" })).await.expect(200);
    app.stop();
}

#[tokio::test]
async fn without_a_key_a_connector_has_no_secrets() {
    let app = App::start().await;
    let form = |config: Value| json!({ "name": "plc", "protocol": "mqtt", "endpoint": "mqtts://plc", "config": config });
    let refused = app.acme().post(CONNECTORS, &form(json!({ "password": "hunter2" }))).await.expect_error(409);
    assert!(refused.contains("WEIR_SECRET_KEYS"), "{refused}");
    made(&app.acme(), CONNECTORS, &form(json!({ "qos": 1 }))).await;
    app.stop();
}

#[tokio::test]
async fn a_form_within_a_form_is_an_object_too() {
    let app = App::start().await;
    let acme = app.acme();
    // serde by itself would take an array as the fields in their order.
    let bulk = json!({ "items": [["plant", null, null, null]] });
    assert_eq!(acme.post(&format!("{PROJECTS}/bulk"), &bulk).await.expect(400)["details"][0]["path"], "/items/0");
    let limits = json!({ "name": "v", "limits": [1, 65536] });
    assert_eq!(acme.post("/api/platform/validators", &limits).await.expect(400)["details"][0]["path"], "/limits");
    let filter = json!({ "filter": ["rooms"] });
    assert_eq!(acme.post("/api/platform/quarantine/replay", &filter).await.expect(400)["details"][0]["path"], "/filter");
    app.stop();
}
