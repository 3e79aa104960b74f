//! Policy files that are edited while Weir runs.

use std::collections::BTreeSet;
use std::fs;
use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::app::App;
use crate::support::client::Client;

/// How soon an edit has to count.
const LIVE: Duration = Duration::from_secs(2);

async fn within(time: Duration, mut holds: impl AsyncFnMut() -> bool) -> bool {
    let deadline = Instant::now() + time;
    while Instant::now() < deadline {
        if holds().await {
            return true;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    false
}

#[tokio::test]
async fn a_broken_edit_leaves_the_last_good_one_and_a_mended_one_is_live_within_two_seconds() {
    let app = App::start().await;
    let file = app.policies().join("tenants/acme.csv");
    let good = fs::read_to_string(&file).expect("a policy file");
    let nobody = app.client("acme", "nobody");
    nobody.get("/api/platform/tokens").await.expect_error(403);
    fs::write(&file, format!("{good}p, token:nobody, acme, /platform/**, read, Allow\n")).expect("written");
    let told = within(LIVE, async || {
        let health = app.nobody().get("/health").await.expect(200);
        health["services"]["policy"] == "degraded"
            && health["details"]["policy"]["file"].as_str().is_some_and(|file| file.ends_with("tenants/acme.csv"))
            && health["details"]["policy"]["line"] == 4
    });
    assert!(told.await, "{}", app.nobody().get("/health").await.expect(200));
    nobody.get("/api/platform/tokens").await.expect_error(403);
    app.acme().get("/api/platform/tokens").await.expect(200);
    fs::write(&file, format!("{good}p, token:nobody, acme, /platform/**, read, allow\n")).expect("written");
    assert!(within(LIVE, async || nobody.get("/api/platform/tokens").await.status == 200).await, "the mended file is not live");
    assert!(within(LIVE, async || app.nobody().get("/health").await.expect(200)["services"]["policy"] == "connected").await);
    // And the other way: what is taken away is gone as soon.
    fs::write(&file, good).expect("written");
    assert!(within(LIVE, async || nobody.get("/api/platform/tokens").await.status == 403).await, "the rule still counts");
    app.stop();
}

#[tokio::test]
async fn a_file_that_vanishes_or_is_empty_takes_nobody_in() {
    let app = App::start().await;
    fs::remove_file(app.policies().join("model.conf")).expect("removed");
    let told = async || app.nobody().get("/health").await.expect(200)["services"]["policy"] == "degraded";
    assert!(within(LIVE, told).await);
    app.acme().get("/api/platform/tokens").await.expect(200);
    app.stop();
}

#[tokio::test]
async fn every_denial_is_on_record() {
    let app = App::start().await;
    app.client("acme", "nobody").with("x-request-id", "denied-1").get("/api/platform/tokens").await.expect_error(403);
    let (subject, tenant, object, action, outcome): (String, String, String, String, String) =
        sqlx::query_as("select subject, tenant, object, action, outcome from audit_log where request_id = 'denied-1'")
            .fetch_one(&app.databases.platform().await)
            .await
            .expect("one row");
    assert_eq!(
        (subject.as_str(), tenant.as_str(), object.as_str(), action.as_str(), outcome.as_str()),
        ("token:nobody", "acme", "/platform/tokens", "read", "denied")
    );
    app.stop();
}

/// Names of what a list shows, by the field that names it.
async fn shown(client: &Client, path: &str, field: &str) -> Vec<String> {
    let found = client.get(path).await.expect(200)["data"].clone();
    found.as_array().expect("a list").iter().map(|one| one[field].as_str().expect("a name").to_owned()).collect()
}

/// Sensors in two buildings, one of them secret, some through a topic that is nobody's business.
async fn buildings(app: &App) {
    let acme = app.acme();
    for topic in ["rooms", "secret"] {
        acme.post("/api/platform/kafka-topics", &json!({ "name": topic })).await.expect(201);
    }
    let reading = |sensor: &str, minute: u32, topic: &str| json!({ "sensorId": sensor, "timestamp": format!("2026-05-04T12:{minute:02}:00Z"), "value": minute, "topic": topic });
    let mut readings = Vec::new();
    for (sensor, topic) in [
        ("building-7-a", "rooms"),
        ("building-7-b", "rooms"),
        ("building-7-c", "secret"),
        ("building-8-a", "rooms"),
        ("a/b", "rooms"),
    ] {
        readings.extend((0..30).map(|minute| reading(sensor, minute, topic)));
    }
    acme.post("/api/timescale/sensor-readings/bulk", &json!({ "readings": readings })).await.expect(200);
}

#[tokio::test]
async fn a_rule_for_some_sensors_limits_every_list_to_them() {
    let rules = "g, token:administrator, administrator, acme\n\
                 p, token:reader, acme, /timescale/sensors/building-7-*, read, allow\n\
                 p, token:reader, acme, /timescale/sensors/building-7-b, read, deny\n\
                 p, token:device, acme, /timescale/**, read, allow\n\
                 p, token:device, acme, /timescale/topics/secret, read, deny\n\
                 p, token:nobody, acme, /timescale/sensors/building-9-*, read, allow\n";
    let app = App::builder().policy("tenants/acme.csv", rules).start().await;
    buildings(&app).await;
    let (reader, device, nobody) = (app.client("acme", "reader"), app.client("acme", "device"), app.client("acme", "nobody"));
    // As many pages as there would be if nothing else were there: the limit is in the query, not in what it shows.
    let page = reader.get("/api/timescale/sensor-readings?limit=60").await.expect(200);
    let sensors: BTreeSet<&str> =
        page["data"].as_array().expect("a list").iter().filter_map(|row| row["sensorId"].as_str()).collect();
    assert_eq!((page["data"].as_array().map(Vec::len), page["nextCursor"].is_null()), (Some(60), true));
    assert_eq!(sensors, BTreeSet::from(["building-7-a", "building-7-c"]));
    assert_eq!(shown(&reader, "/api/timescale/sensors", "sensorId").await, ["building-7-a", "building-7-c"]);
    assert_eq!(shown(&reader, "/api/timescale/topics/rooms/readings?limit=1000", "sensorId").await, vec!["building-7-a"; 30]);
    reader.get("/api/timescale/sensors/building-7-b/latest").await.expect_error(403);
    reader.get("/api/timescale/sensors/building-7-a/latest").await.expect(200);
    // A topic that is denied is denied in the lists of sensors, too.
    assert_eq!(
        shown(&device, "/api/timescale/sensors", "sensorId").await,
        ["a/b", "building-7-a", "building-7-b", "building-8-a"]
    );
    device.get("/api/timescale/topics/secret/readings").await.expect_error(403);
    device.get("/api/timescale/sensors/building-7-c/latest").await.expect_error(404);
    // A reach in which there is nothing shows nothing; none at all is a no.
    assert!(shown(&nobody, "/api/timescale/sensor-readings", "sensorId").await.is_empty());
    app.globex().with("x-tenant", "acme").get("/api/timescale/sensor-readings").await.expect_error(403);
    app.stop();
}

#[tokio::test]
async fn a_rule_for_some_files_limits_the_listing_to_them() {
    let rules = "g, token:administrator, administrator, acme\n\
                 p, token:reader, acme, /storage/files/reports/public/**, read, allow\n\
                 p, token:reader, acme, /storage/files/reports/*.txt, read, allow\n\
                 p, token:reader, acme, /storage/files/reports/public/draft-*, read, deny\n\
                 p, token:device, acme, /storage/**, read, allow\n\
                 p, token:device, acme, /storage/buckets/private, read, deny\n";
    let app = App::builder().policy("tenants/acme.csv", rules).start().await;
    let acme = app.acme();
    for bucket in ["reports", "private"] {
        acme.post("/api/storage/buckets", &json!({ "name": bucket })).await.expect(201);
    }
    for name in ["a.txt", "deep/b.txt", "public/draft-1", "public/2026/may (final).pdf", "publicity/x", "public.txt"] {
        let file = format!("/api/storage/files/reports/{}", name.replace(' ', "%20"));
        acme.clone().with("content-type", "text/plain").ask(Method::PUT, &file, "bytes").await.expect(201);
    }
    let reader = app.client("acme", "reader");
    let listing = "/api/storage/buckets/reports/objects";
    assert_eq!(shown(&reader, listing, "name").await, ["a.txt", "public.txt", "public/2026/may (final).pdf"]);
    assert_eq!(shown(&reader, &format!("{listing}?prefix=public/"), "name").await, ["public/2026/may (final).pdf"]);
    reader.get("/api/storage/buckets/private/objects").await.expect_error(403);
    assert_eq!(shown(&app.client("acme", "device"), "/api/storage/buckets", "name").await, ["reports"]);
    app.stop();
}

#[tokio::test]
async fn what_is_denied_by_its_id_is_in_no_list_and_a_scope_limits_lists_as_well() {
    let app = App::start().await;
    let acme = app.acme();
    let mut ids = Vec::new();
    for name in ["open", "hidden"] {
        let made = acme.post("/api/platform/projects", &json!({ "name": name })).await.expect(201);
        ids.push(made["data"]["id"].as_str().expect("an id").to_owned());
    }
    let file = app.policies().join("tenants/acme.csv");
    let before = fs::read_to_string(&file).expect("a policy file");
    fs::write(&file, format!("{before}p, token:reader, acme, /platform/projects/{}, read, deny\n", ids[1])).expect("written");
    let reader = app.client("acme", "reader");
    let hidden = async || shown(&reader, "/api/platform/projects", "name").await == ["open"];
    assert!(within(LIVE, hidden).await, "the list still shows it");
    buildings(&app).await;
    let form = json!({ "name": "narrow", "scopes": ["read:/timescale/sensors/building-8-*"] });
    let narrow = acme.post("/api/platform/tokens", &form).await.expect(201)["data"]["secret"].clone();
    let file = app.policies().join("tenants/acme.csv");
    fs::write(&file, format!("{before}g, token:narrow, reader, acme\n")).expect("written");
    let narrow = Client::new(&app.base, narrow.as_str());
    let live = async || narrow.get("/api/timescale/sensors").await.status == 200;
    assert!(within(LIVE, live).await);
    assert_eq!(shown(&narrow, "/api/timescale/sensors", "sensorId").await, ["building-8-a"]);
    narrow.get("/api/platform/projects").await.expect_error(403);
    app.stop();
}

#[tokio::test]
async fn rules_that_let_somebody_into_another_tenant_are_refused_until_somebody_says_that_it_is_meant() {
    let app = App::start().await;
    let stranger = app.client("globex", "reader").with("x-tenant", "acme");
    stranger.get("/api/platform/projects").await.expect_error(403);
    let on_record = async || {
        let sql = "select count(*) from decisions where home = 'globex' and not allowed";
        let count: i64 = sqlx::query_scalar(sql).fetch_one(&app.databases.platform().await).await.expect("a count");
        count > 0
    };
    assert!(within(Duration::from_secs(20), on_record).await, "the denial is not on record");
    // What is on record is known to the watcher with the next look at it.
    tokio::time::sleep(Duration::from_secs(3)).await;
    let file = app.policies().join("platform.csv");
    let before = fs::read_to_string(&file).expect("a policy file");
    fs::write(&file, format!("{before}\ng, globex/token:reader, platform-administrator, *\n")).expect("written");
    let told = within(LIVE, async || {
        let policy = app.nobody().get("/health").await.expect(200)["details"]["policy"].clone();
        policy["message"].as_str().is_some_and(|said| said.contains("reaches beyond its own tenant"))
    });
    assert!(told.await, "{}", app.nobody().get("/health").await.expect(200));
    stranger.get("/api/platform/projects").await.expect_error(403);
    let case = "allow, globex/token:reader, globex, /platform/tenants/acme, admin\n";
    fs::write(app.policies().join("meant.test.csv"), case).expect("written");
    assert!(within(LIVE, async || stranger.get("/api/platform/projects").await.status == 200).await, "it is meant");
    app.stop();
}

#[tokio::test]
async fn administrators_of_the_platform_read_check_weigh_and_explain_the_policy_by_rest() {
    let app = App::start().await;
    let administrator = app.administrator();
    app.client("acme", "nobody").get("/api/platform/projects").await.expect_error(403);
    let policies = administrator.get("/api/platform/policies").await.expect(200)["data"].clone();
    let names: Vec<&str> = policies["files"].as_array().expect("files").iter().filter_map(|file| file["name"].as_str()).collect();
    assert!(names.contains(&"model.conf") && names.contains(&"tenants/acme.csv"), "{names:?}");
    let file = administrator.get("/api/platform/policies/files/tenants/acme.csv").await.expect(200)["data"]["text"].clone();
    assert!(file.as_str().is_some_and(|text| text.contains("token:reader")), "{file}");
    administrator.get("/api/platform/policies/files/tenants/none.csv").await.expect_error(404);
    // It is about all tenants, so that nobody of one sees it.
    app.acme().get("/api/platform/policies").await.expect_error(403);

    let broken = json!({ "files": { "tenants/acme.csv": "p, reader, acme, /timescale/**, read, Deny\n" } });
    let checked = administrator.post("/api/platform/policies/check", &broken).await.expect(200)["data"].clone();
    assert_eq!((&checked["sound"], &checked["mistakes"][0]["line"]), (&json!(false), &json!(1)), "{checked}");
    assert!(administrator.post("/api/platform/policies/impact", &broken).await.expect_error(422).contains("have mistakes"));
    let more = format!("{}g, token:nobody, reader, acme\n", file.as_str().expect("text"));
    let sound = json!({ "files": { "tenants/acme.csv": more } });
    let checked = administrator.post("/api/platform/policies/check", &sound).await.expect(200)["data"].clone();
    assert_eq!((&checked["sound"], checked["mistakes"].as_array().map(Vec::len)), (&json!(true), Some(0)), "{checked}");
    let gains = async || {
        let impact = administrator.post("/api/platform/policies/impact", &sound).await.expect(200)["data"].clone();
        impact["differences"].as_array().is_some_and(|found| {
            found.iter().any(|one| one["change"] == "gains" && one["subject"] == "token:nobody" && one["tenant"] == "acme")
        })
    };
    assert!(within(Duration::from_secs(20), gains).await, "the denial is not weighed");

    let explain = "/api/platform/policies/explain?subject=token:reader&tenant=acme&object=/timescale/sensors/a";
    let denied = administrator.get(&format!("{explain}&action=write")).await.expect(200)["data"].clone();
    assert_eq!((&denied["allowed"], &denied["roles"]), (&json!(false), &json!(["reader"])), "{denied}");
    assert!(denied["nearest"][0]["fails"].as_str().is_some_and(|said| said.contains("action: ")), "{denied}");
    assert!(denied["listsSome"].is_null(), "{denied}");
    administrator.get(&format!("{explain}&action=look")).await.expect_error(400);
    let holders =
        administrator.get("/api/platform/policies/who-can?object=/timescale/sensors/a&action=read&tenant=acme").await.expect(200);
    let holders: Vec<&str> =
        holders["data"].as_array().expect("a list").iter().filter_map(|one| one["subject"].as_str()).collect();
    assert!(holders.contains(&"acme/token:reader") && !holders.contains(&"acme/token:nobody"), "{holders:?}");
    let of_reader = administrator.get("/api/platform/policies/permissions?subject=token:reader&tenant=acme").await.expect(200);
    assert!(of_reader["data"].as_array().is_some_and(|rules| rules.iter().all(|rule| rule["by"] == "reader")), "{of_reader}");
    app.stop();
}

#[tokio::test]
async fn decisions_are_in_the_log_with_their_revision_and_are_counted() {
    let app = App::builder().set("WEIR_POLICY_LOG_ALLOWED", "1").start().await;
    app.client("acme", "nobody").with("x-request-id", "no-1").get("/api/platform/projects").await.expect_error(403);
    app.client("acme", "reader").with("x-request-id", "yes-1").get("/api/platform/projects").await.expect(200);
    let administrator = app.administrator();
    let revision = administrator.get("/api/platform/policies").await.expect(200)["data"]["revision"].clone();
    let log = app.log();
    let line = |of: &str| {
        let found = log.lines().filter(|line| line.contains("weir::decisions")).find(|line| line.contains(of));
        let line = found.unwrap_or_else(|| panic!("no decision with {of} in the log:\n{log}"));
        serde_json::from_str::<Value>(line).expect("a line of the log is JSON")
    };
    let denied = line("token:nobody");
    assert_eq!(
        (&denied["object"], &denied["action"], &denied["revision"]),
        (&json!("/platform/projects"), &json!("read"), &revision)
    );
    assert!(denied["reason"].as_str().is_some_and(|reason| reason.contains("roles.csv:")), "{denied}");
    let allowed = line("yes-1");
    assert_eq!((&allowed["subject"], &allowed["revision"]), (&json!("token:reader"), &revision), "{allowed}");
    let metrics = app.nobody().ask(Method::GET, "/metrics", "").await;
    let metrics = String::from_utf8_lossy(&metrics.body).into_owned();
    for kind in ["allowed", "denied"] {
        let counted = metrics.lines().any(|line| line.starts_with("weir_policy_decisions_total") && line.contains(kind));
        assert!(counted, "{metrics}");
    }
    app.stop();
}
