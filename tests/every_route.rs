//! Every operation of the OpenAPI document, tried by nobody, by a stranger, with a revoked token and an expired session, by somebody without
//! rights and by another tenant.
//!
//! A new route is in it by itself. The list of exceptions may only shrink.

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::app::App;
use crate::support::client::Client;

/// What is outside the policy, by the contract.
const OPEN: [&str; 6] = ["/health", "/health/live", "/health/ready", "/api", "/api/openapi.json", "/metrics"];
/// Open as well, and takes a password in place of a credential.
const LOGIN: &str = "/api/auth/login";
/// For everybody with a credential that counts, whatever the policy says of them; and what it answers a token.
const ANYBODYS: [(&str, u16); 2] = [("/api/auth/whoami", 200), ("/api/auth/logout", 409)];

/// One of the document's operations, with the first tenant's own things in its path.
struct Operation {
    method: Method,
    template: String,
    path: String,
    document: Value,
}

/// What tenant `acme` has, by the names that the document's paths use.
pub async fn things(app: &App) -> Vec<(&'static str, String)> {
    let acme = app.acme();
    let id = |answer: Value| answer["data"]["id"].as_str().expect("an id").to_owned();
    let token = id(acme.post("/api/platform/tokens", &json!({ "name": "spare" })).await.expect(201));
    let validator = id(acme.post("/api/platform/validators", &json!({ "name": "limits" })).await.expect(201));
    let schema = acme.post("/api/platform/schemas", &json!({ "name": "room", "type": "json-schema", "definition": {} })).await;
    let schema = schema.expect(201);
    let (number, schema) = (schema["data"]["number"].to_string(), id(schema));
    acme.post("/api/platform/kafka-topics", &json!({ "name": "rooms" })).await.expect(201);
    // One that the schema refuses, in quarantine.
    let strict = json!({ "name": "strict", "type": "json-schema", "definition": { "required": ["quality"] } });
    let strict = id(acme.post("/api/platform/schemas", &strict).await.expect(201));
    acme.post("/api/platform/kafka-topics", &json!({ "name": "strict", "schemaId": strict })).await.expect(201);
    let refused = json!({ "sensorId": "room-4", "timestamp": "2026-05-04T12:00:00Z", "value": 1, "topic": "strict" });
    acme.post("/api/timescale/sensor-readings", &refused).await.expect_error(422);
    let kept = acme.get("/api/platform/quarantine").await.expect(200)["data"][0]["id"].as_str().expect("an id").to_owned();
    let reading =
        json!({ "sensorId": "room-4", "timestamp": "2026-05-04T12:00:00Z", "value": 1, "topic": "rooms", "schemaRef": "room" });
    acme.post("/api/timescale/sensor-readings", &reading).await.expect(201);
    acme.post("/api/storage/buckets", &json!({ "name": "reports" })).await.expect(201);
    let file = "/api/storage/files/reports/a.txt";
    assert!(matches!(
        acme.clone().with("content-type", "text/plain").ask(Method::PUT, file, "classified").await.status,
        200 | 201
    ));
    let key = json!({ "name": "build", "publicKey": "11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=" });
    let key = id(acme.post("/api/platform/signing-keys", &key).await.expect(201));
    let user = id(acme.post("/api/platform/users", &json!({ "email": "ann@acme.example" })).await.expect(201));
    let project = id(acme.post("/api/platform/projects", &json!({ "name": "secret" })).await.expect(201));
    let member = json!({ "userId": user, "role": "viewer" });
    acme.post(&format!("/api/platform/projects/{project}/members"), &member).await.expect(201);
    let pipeline = json!({ "name": "flow", "projectId": project });
    let pipeline = id(acme.post("/api/platform/pipelines", &pipeline).await.expect(201));
    let connector = json!({ "name": "line", "protocol": "mqtt", "endpoint": "mqtt://broker.example" });
    let connector = id(acme.post("/api/platform/connectors", &connector).await.expect(201));
    let entry = acme.get("/api/platform/audit").await.expect(200)["data"][0]["id"].as_str().expect("an id").to_owned();
    vec![
        ("/users/{id}", user.clone()),
        ("/projects/{id}", project.clone()),
        ("/pipelines/{id}", pipeline),
        ("/connectors/{id}", connector),
        ("/audit/{id}", entry),
        ("{userId}", user),
        ("{projectId}", project),
        ("{email}", "ann@acme.example".to_owned()),
        ("/signing-keys/{id}", key),
        ("/tokens/{id}", token),
        ("/validators/{id}", validator),
        ("{other}", schema.clone()),
        ("/schemas/{id}", schema),
        ("{number}", number),
        ("/schemas/name/{name}", "room".to_owned()),
        ("/kafka-topics/{name}", "rooms".to_owned()),
        ("/quarantine/{id}", kept),
        ("{partition}", "0".to_owned()),
        ("{offset}", "7".to_owned()),
        ("{topicName}", "rooms".to_owned()),
        ("{slug}", "acme".to_owned()),
        ("{sensorId}", "room-4".to_owned()),
        ("{timestamp}", "2026-05-04T12:00:00Z".to_owned()),
        ("{topic}", "rooms".to_owned()),
        ("{schemaRef}", "room".to_owned()),
        ("{resource}", "schemas".to_owned()),
        ("{bucket}", "reports".to_owned()),
        ("{file}", "roles.csv".to_owned()),
        ("{name}", "a.txt".to_owned()),
    ]
}

async fn operations(app: &App) -> Vec<Operation> {
    let things = things(app).await;
    let document = app.nobody().get("/api/openapi.json").await.expect(200);
    let mut operations = Vec::new();
    for (template, item) in document["paths"].as_object().expect("paths") {
        let mut path = template.clone();
        for (pattern, value) in &things {
            let segment = &pattern[pattern.find('{').expect("a parameter")..];
            path = path.replace(pattern, &pattern.replace(segment, value));
        }
        if path.ends_with("/quarantine") {
            path += "?topic=strict";
        }
        if path.ends_with("/policies/explain") {
            path += "?subject=user:ann@acme.example&tenant=acme&object=/timescale/sensors/room-4&action=read";
        }
        if path.ends_with("/policies/who-can") {
            path += "?object=/timescale/sensors/room-4&action=read";
        }
        if path.ends_with("/policies/permissions") {
            path += "?subject=user:ann@acme.example";
        }
        if path.ends_with("/range") {
            path += "?from=2026-05-04T00:00:00Z&to=2026-05-05T00:00:00Z";
        }
        assert!(!path.contains('{'), "every_route.rs does not know what to put into {template}");
        for (method, document) in item.as_object().expect("operations") {
            let method = Method::from_bytes(method.to_uppercase().as_bytes()).expect("a method");
            operations.push(Operation { method, template: template.clone(), path: path.clone(), document: document.clone() });
        }
    }
    assert!(operations.len() > 40, "only {} operations", operations.len());
    operations
}

impl Operation {
    fn is_open(&self) -> bool {
        OPEN.contains(&self.template.as_str())
    }

    /// A body that is sound, so that what is refused is the caller.
    fn body(&self) -> (&'static str, String) {
        let media = self.document["requestBody"]["content"].as_object().and_then(|content| content.keys().next().cloned());
        match media.as_deref() {
            None => ("", String::new()),
            Some("application/json") => {
                let body = body_of(&self.template);
                let body = body.unwrap_or_else(|| panic!("every_route.rs does not know a body for {}", self.template));
                ("application/json", body.to_string())
            }
            Some("multipart/form-data") => {
                let field = |name: &str, value: &str| {
                    format!("--x\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n")
                };
                let file = "--x\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a\"\r\n\r\nmine\r\n--x--\r\n";
                let form = [field("bucket", "reports"), field("objectName", "a.txt"), file.to_owned()].concat();
                ("multipart/form-data; boundary=x", form)
            }
            Some("application/wasm") => ("application/wasm", "\0asm\u{d}\0\u{1}\0".to_owned()),
            Some(_) => ("application/octet-stream", "overwritten".to_owned()),
        }
    }

    async fn tried_by(&self, client: &Client) -> (u16, String) {
        let (media, body) = self.body();
        let client = if media.is_empty() { client.clone() } else { client.clone().with("content-type", media) };
        let answer = client.ask(self.method.clone(), &self.path, body).await;
        (answer.status, String::from_utf8_lossy(&answer.body).into_owned())
    }
}

#[tokio::test]
async fn no_route_but_the_open_ones_answers_without_a_token_or_a_rule() {
    let platform = std::fs::read_to_string("policies/platform.csv").expect("a file of the repository");
    let links = ["token:yesterday", "user:root@default.example"]
        .map(|subject| format!("g, default/{subject}, platform-administrator, *\n"));
    let app = App::builder().policy("platform.csv", &format!("{platform}\n{}", links.concat())).start().await;
    let stranger = Client::new(&app.base, Some("weir_unknown"));
    let yesterday = of_yesterday(&app).await;
    for operation in operations(&app).await {
        let Operation { method, template, .. } = &operation;
        if operation.is_open() {
            assert_eq!(operation.tried_by(&app.nobody()).await.0, 200, "{method} {template}");
            continue;
        }
        if template == LOGIN {
            assert_eq!(operation.tried_by(&app.nobody()).await.0, 401, "a guess is none");
            continue;
        }
        assert_eq!(operation.tried_by(&app.nobody()).await.0, 401, "{method} {template} as nobody");
        for (who, client) in &yesterday {
            assert_eq!(operation.tried_by(client).await.0, 401, "{method} {template} {who}");
        }
        assert_eq!(operation.tried_by(&stranger).await.0, 401, "{method} {template} with an unknown token");
        let (status, body) = operation.tried_by(&app.client("acme", "nobody")).await;
        let expected = ANYBODYS.iter().find(|(path, _)| path == template).map_or(403, |(_, status)| *status);
        assert_eq!(status, expected, "{method} {template} without a rule: {body}");
    }
    app.stop();
}

/// Nobody's id.
const NONE: &str = "01890000-0000-7000-8000-000000000000";

/// A sound JSON body for an operation. Several are made at once of what one is made of.
fn body_of(template: &str) -> Option<Value> {
    let none = NONE;
    let reading = json!({ "sensorId": "room-4", "timestamp": "2026-05-04T12:00:00Z", "value": 666, "topic": "rooms" });
    match template {
        LOGIN => return Some(json!({ "email": "ann@acme.example", "password": "a guess at it" })),
        "/api/explain" => return Some(json!({ "request": { "action": "read", "object": "/timescale/sensors/room-4" } })),
        "/api/storage/buckets" => return Some(json!({ "name": "theirs" })),
        "/api/storage/buckets/bulk" => return Some(json!({ "items": [{ "name": "theirs" }] })),
        "/api/storage/buckets/{bucket}" => return Some(json!({ "quotaBytes": 1 })),
        "/api/storage/buckets/{bucket}/versioning" => return Some(json!({ "versioning": "on" })),
        "/api/storage/files/restore" => return Some(json!({ "bucket": "reports", "objectName": "a.txt", "version": NONE })),
        "/api/storage/files/copy" => {
            let (source, destination) =
                (json!({ "bucket": "reports", "objectName": "a.txt" }), json!({ "bucket": "reports", "objectName": "b.txt" }));
            return Some(json!({ "source": source, "destination": destination }));
        }
        "/api/storage/files/upload-buffer" => {
            return Some(json!({ "bucket": "reports", "objectName": "a.txt", "buffer": "bWluZQ==" }));
        }
        "/api/timescale/sensor-readings/bulk" => return Some(json!({ "readings": [reading] })),
        "/api/timescale/sensor-readings" => return Some(reading),
        _ => {}
    }
    let rest = template.strip_prefix("/api/platform/")?;
    let (collection, rest) = rest.split_once('/').unwrap_or((rest, ""));
    Some(match (collection, rest) {
        (_, "bulk") => json!({ "items": [body_of(template.strip_suffix("/bulk")?)?] }),
        ("tenants", "") => json!({ "slug": "initech", "name": "i" }),
        ("tokens", "") => json!({ "name": "sneaky" }),
        ("kafka-topics" | "projects", "") => json!({ "name": "theirs" }),
        ("kafka-topics", "{name}") => json!({ "ingest": false }),
        ("kafka-topics", "{name}/schema") => json!({ "schemaId": none }),
        ("schemas", "") => json!({ "name": "x", "type": "json-schema", "definition": {} }),
        ("schemas", "{id}") => json!({ "compatibility": "full" }),
        ("schemas", "check") => json!({ "definition": {} }),
        ("validators", "") => json!({ "name": "x" }),
        ("validators", "{id}") => json!({ "status": "inactive" }),
        ("validators", "{id}/activate") => json!({ "version": 1 }),
        ("validators", "{id}/error-strategy") => json!({ "errorStrategy": "flag" }),
        ("validators", "{id}/test") => json!({ "samples": [{}] }),
        ("validators", "{id}/replay") => json!({ "version": 1, "hours": 1 }),
        ("validators", "{id}/shadow") => json!({ "version": null }),
        ("validators", chain) if chain.starts_with("chain/") => json!({ "validatorIds": [] }),
        ("signing-keys", "") => json!({ "name": "theirs", "publicKey": "11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=" }),
        ("policies", "check" | "impact") => json!({ "files": {} }),
        ("quarantine", "replay") => json!({ "filter": { "topic": "strict" } }),
        ("users", "") => json!({ "email": "eve@globex.example" }),
        ("projects", "{id}/members") => json!({ "userId": none, "role": "owner" }),
        ("projects", "{id}/members/{userId}") => json!({ "role": "owner" }),
        ("pipelines", "") => json!({ "name": "theirs", "projectId": none }),
        ("connectors", "") => json!({ "name": "theirs", "protocol": "mqtt", "endpoint": "mqtt://elsewhere.example" }),
        ("connectors", "{id}/config") => json!({ "config": {} }),
        ("connectors", "{id}/endpoint") => json!({ "endpoint": "mqtt://elsewhere.example" }),
        ("connectors", "{id}/schema") => json!({ "schemaId": null }),
        (_, "{id}" | "{slug}") => json!({ "name": "taken over" }),
        _ => return None,
    })
}

/// Callers whose credential counted once: a token that was revoked, and a session that has ended. Both of an administrator.
async fn of_yesterday(app: &App) -> [(&'static str, Client); 2] {
    let administrator = app.administrator();
    let made = administrator.post("/api/platform/tokens", &json!({ "name": "yesterday" })).await.expect(201);
    let revoked = Client::new(&app.base, made["data"]["secret"].as_str());
    administrator.delete(&format!("/api/platform/tokens/{}", made["data"]["id"].as_str().expect("an id"))).await.expect(204);
    let login = json!({ "email": "root@default.example", "password": "correct horse battery" });
    administrator.post("/api/platform/users", &login).await.expect(201);
    let session = app.nobody().post(LOGIN, &login).await.expect(200);
    let expired = Client::new(&app.base, session["data"]["token"].as_str());
    expired.get("/api/auth/whoami").await.expect(200);
    let sql = "update sessions set expires_at = now() - interval '1 s'";
    sqlx::query(sql).execute(&app.databases.platform().await).await.expect("time passes");
    [("with a revoked token", revoked), ("with an expired session", expired)]
}

/// The whole of what a tenant has, to be compared.
async fn picture(app: &App) -> Vec<Value> {
    let acme = app.acme();
    let mut seen = Vec::new();
    for path in [
        "/api/platform/tokens",
        "/api/platform/validators",
        "/api/platform/schemas",
        "/api/platform/kafka-topics",
        "/api/platform/validators/chain/rooms",
        "/api/platform/validators/chain/documents/schemas",
        "/api/platform/validators/chain/objects/reports",
        "/api/platform/signing-keys",
        "/api/platform/users",
        "/api/platform/projects",
        "/api/platform/pipelines",
        "/api/platform/connectors",
        "/api/platform/quarantine",
        "/api/timescale/sensor-readings",
        "/api/timescale/ledger",
        "/api/storage/buckets",
        "/api/storage/buckets/reports/objects",
    ] {
        seen.push(acme.get(path).await.expect(200)["data"].clone());
    }
    seen.push(String::from_utf8(acme.get("/api/storage/files/download/reports/a.txt").await.body).expect("text").into());
    seen
}

#[tokio::test]
async fn another_tenant_neither_sees_nor_changes_anything_on_any_route() {
    let app = App::start().await;
    let operations = operations(&app).await;
    let before = picture(&app).await;
    let foreign: Vec<String> = before.iter().flat_map(ids).collect();
    assert!(foreign.len() > 5, "{foreign:?}");
    for operation in operations.iter().filter(|operation| !operation.is_open()) {
        let Operation { method, template, .. } = operation;
        let (status, body) = operation.tried_by(&app.globex()).await;
        assert!(status < 500, "{method} {template}: {status} {body}");
        // What names something of the other tenant is not there, or not allowed; what names nothing shows and makes one's own.
        let names_something = template.contains('{') && !template.contains("{sensorId}/range");
        let own = ["/readings", "exists", "{resource}", "/pipelines/project/"].iter().any(|part| template.contains(part));
        if names_something && !own {
            assert!(matches!(status, 403 | 404), "{method} {template}: {status} {body}");
        }
        assert!(
            !foreign.iter().any(|id| body.contains(id.as_str()) && !operation.path.contains(id.as_str())),
            "{method} {template} shows the other tenant's: {body}"
        );
        assert!(!body.contains("classified"), "{method} {template} shows the other tenant's file: {body}");
    }
    assert_eq!(picture(&app).await, before, "and nothing has changed");
    app.stop();
}

fn ids(value: &Value) -> Vec<String> {
    match value {
        Value::Array(items) => items.iter().flat_map(ids).collect(),
        Value::Object(members) => members.get("id").and_then(Value::as_str).map(str::to_owned).into_iter().collect(),
        _ => Vec::new(),
    }
}
