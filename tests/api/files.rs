//! Buckets and files, in a folder and in an S3 store.

use std::fmt::Write as _;
use std::time::Duration;

use futures_util::StreamExt as _;
use reqwest::{Body, Method};
use serde_json::json;
use sha2::Digest as _;

use crate::support::app::{App, Builder};
use crate::support::client::Client;
use crate::support::proxy::Proxy;
use crate::support::services;

const BUCKETS: &str = "/api/storage/buckets";

fn backends() -> [(&'static str, Builder); 2] {
    [("folder", App::builder()), ("s3", App::builder().with_s3())]
}

async fn put(client: &Client, name: &str, body: impl Into<Body>) -> u16 {
    client
        .clone()
        .with("content-type", "text/plain")
        .ask(Method::PUT, &format!("/api/storage/files/reports/{name}"), body)
        .await
        .status
}

fn download(name: &str) -> String {
    format!("/api/storage/files/download/reports/{name}")
}

#[tokio::test]
async fn a_file_comes_back_as_it_was_sent() {
    for (backend, builder) in backends() {
        let app = builder.start().await;
        let acme = app.acme();
        acme.post(BUCKETS, &json!({ "name": "reports" })).await.expect(201);
        assert_eq!(acme.get(&download("2026/a b.txt")).await.status, 404, "{backend}");
        assert_eq!(put(&acme, "2026/a b.txt", "first").await, 201, "{backend}");
        assert!(matches!(put(&acme, "2026/a b.txt", "second").await, 200 | 201), "{backend}");
        let whole = acme.get(&download("2026/a b.txt")).await;
        assert_eq!((whole.status, whole.body.as_slice()), (200, b"second".as_slice()), "{backend}");
        assert_eq!(whole.header("content-type"), Some("text/plain"));
        assert_eq!(whole.header("content-length"), Some("6"));
        assert_eq!(whole.header("x-content-type-options"), Some("nosniff"));
        assert!(whole.header("content-disposition").is_some_and(|how| how.starts_with("attachment")));
        let tag = whole.header("etag").expect("a tag").to_owned();
        assert_eq!(acme.clone().with("if-none-match", &tag).get(&download("2026/a b.txt")).await.status, 304);
        let head = acme.ask(Method::HEAD, &download("2026/a b.txt"), "").await;
        assert_eq!((head.status, head.header("content-length"), head.body.len()), (200, Some("6"), 0), "{backend}");
        assert_eq!(acme.get("/api/storage/files/exists/reports/2026/a b.txt").await.expect(200)["data"]["exists"], true);
        assert_eq!(put(&acme, "empty", "").await, 201);
        assert_eq!(acme.get(&download("empty")).await.body, b"");
        acme.delete("/api/storage/files/reports/2026/a b.txt").await.expect(204);
        acme.get(&download("2026/a b.txt")).await.expect_error(404);
        assert_eq!(acme.get("/api/storage/files/exists/reports/2026/a b.txt").await.expect(200)["data"]["exists"], false);
        app.stop();
    }
}

#[tokio::test]
async fn buckets_have_rules_and_go_only_when_empty() {
    let app = App::start().await;
    let acme = app.acme();
    for bad in ["", "ab", "UPPER", "a/b", "a b", "..", "-abc", &"x".repeat(64)] {
        acme.post(BUCKETS, &json!({ "name": bad })).await.expect_error(400);
    }
    acme.post(BUCKETS, &json!({ "name": "reports" })).await.expect(201);
    acme.post(BUCKETS, &json!({ "name": "reports" })).await.expect_error(409);
    // The same name in another tenant is another bucket.
    app.globex().post(BUCKETS, &json!({ "name": "reports" })).await.expect(201);
    put(&acme, "a", "x").await;
    acme.delete(&format!("{BUCKETS}/reports")).await.expect_error(409);
    app.globex().get(&download("a")).await.expect_error(404);
    acme.delete("/api/storage/files/reports/a").await.expect(204);
    acme.delete(&format!("{BUCKETS}/reports")).await.expect(204);
    assert_eq!(acme.get(&format!("{BUCKETS}/reports/exists")).await.expect(200)["data"]["exists"], false);
    assert_eq!(put(&acme, "a", "x").await, 404);
    app.stop();
}

#[tokio::test]
async fn objects_are_listed_in_the_order_of_their_names() {
    let app = App::start().await;
    let acme = app.acme();
    acme.post(BUCKETS, &json!({ "name": "reports" })).await.expect(201);
    for name in ["b/2", "a", "b/10", "B", "ä", "b/1"] {
        assert_eq!(put(&acme, name, "x").await, 201, "{name}");
    }
    let list = async |query: &str| {
        let page = acme.get(&format!("{BUCKETS}/reports/objects{query}")).await.expect(200);
        let names: Vec<String> =
            page["data"].as_array().expect("a list").iter().map(|one| one["name"].as_str().expect("a name").to_owned()).collect();
        (names, page["nextCursor"].as_str().map(str::to_owned))
    };
    assert_eq!(list("").await.0, ["B", "a", "b/1", "b/10", "b/2", "ä"]);
    let (first, cursor) = list("?prefix=b/&limit=2").await;
    assert_eq!(first, ["b/1", "b/10"]);
    assert_eq!(
        list(&format!("?prefix=b/&limit=2&cursor={}", cursor.expect("there is more"))).await,
        (vec!["b/2".to_owned()], None)
    );
    for bad in ["a//b", "a%00b", "a/", &"x".repeat(1_025)] {
        assert_eq!(put(&acme, bad, "x").await, 400, "{bad}");
    }
    app.stop();
}

/// A gigabyte that differs from place to place, in pieces of a mebibyte.
fn gigabyte() -> impl Iterator<Item = Vec<u8>> {
    (0u32..1_024).map(|piece| piece.to_le_bytes().repeat(1 << 18))
}

async fn up_and_down(backend: &str, builder: Builder) {
    let app = builder.set("WEIR_LOG", "info").start().await;
    let acme = app.acme();
    acme.post(BUCKETS, &json!({ "name": "reports" })).await.expect(201);
    let mut sent = sha2::Sha256::new();
    gigabyte().for_each(|piece| sent.update(piece));
    let sent = sent.finalize();
    let body = Body::wrap_stream(futures_util::stream::iter(gigabyte().map(Ok::<_, std::io::Error>)));
    let stored = acme
        .clone()
        .with("content-type", "application/octet-stream")
        .ask(Method::PUT, "/api/storage/files/reports/big", body)
        .await;
    let stored = stored.expect(201);
    let hex = sent.iter().fold(String::new(), |mut hex, byte| {
        let _ = write!(hex, "{byte:02x}");
        hex
    });
    assert_eq!((&stored["data"]["size"], &stored["data"]["sha256"]), (&(1_u64 << 30).into(), &hex.into()), "{backend}");
    let mut got = sha2::Sha256::new();
    let mut chunks = acme.send(Method::GET, &download("big"), "").await.bytes_stream();
    while let Some(chunk) = chunks.next().await {
        got.update(chunk.expect("it goes on to its end"));
    }
    assert_eq!(got.finalize(), sent, "{backend}");
    let peak = app.peak_memory();
    eprintln!("{backend}: 1 GiB up and down with a peak of {peak} MiB");
    assert!(peak < 150, "{backend}: {peak} MiB");
    app.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gigabyte_passes_to_and_from_a_folder_in_little_memory() {
    up_and_down("folder", App::builder()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gigabyte_passes_to_and_from_s3_in_little_memory() {
    up_and_down("s3", App::builder().with_s3()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_that_breaks_off_leaves_nothing() {
    let app = App::start().await;
    let acme = app.acme();
    acme.post(BUCKETS, &json!({ "name": "reports" })).await.expect(201);
    put(&acme, "a", "before").await;
    let pieces = gigabyte().take(20).map(Ok).chain([Err(std::io::Error::other("cable cut"))]);
    let body = Body::wrap_stream(futures_util::stream::iter(pieces));
    assert!(acme.try_put("/api/storage/files/reports/a", body).await.is_err());
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(acme.get(&download("a")).await.body, b"before");
    let mut bytes = 0;
    for entry in walk(&app.files()) {
        bytes += entry.metadata().expect("a file").len();
    }
    assert!(bytes < 1_000, "{bytes} bytes are left over");
    app.stop();
}

fn walk(folder: &std::path::Path) -> Vec<std::path::PathBuf> {
    let entries = std::fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path());
    entries.flat_map(|path| if path.is_dir() { walk(&path) } else { vec![path] }).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_is_away_is_a_503_and_nothing_becomes_visible() {
    let endpoint = services::s3().into_iter().find(|(name, _)| *name == "MINIO_ENDPOINT").expect("it is set").1;
    let target = endpoint.trim_start_matches("http://").parse().expect("an address");
    let proxy = Proxy::to(target).await;
    let app = App::builder().with_s3().set("MINIO_ENDPOINT", format!("http://127.0.0.1:{}", proxy.port())).start().await;
    let acme = app.acme();
    acme.post(BUCKETS, &json!({ "name": "reports" })).await.expect(201);
    assert_eq!(put(&acme, "a", "before").await, 201);
    proxy.cut();
    let refused = acme.clone().with("content-type", "text/plain").ask(Method::PUT, "/api/storage/files/reports/a", "after").await;
    assert!(refused.header("retry-after").is_some(), "{refused:?}");
    refused.expect_error(503);
    acme.get(&download("a")).await.expect_error(503);
    let health = app.nobody().get("/health").await.expect(200);
    assert_eq!((&health["status"], &health["services"]["minio"]), (&"degraded".into(), &"disconnected".into()), "{health}");
    proxy.mend();
    assert_eq!(acme.get(&download("a")).await.body, b"before");
    app.stop();
}

#[tokio::test]
async fn a_store_that_answers_500_is_a_503() {
    let store = wiremock::MockServer::start().await;
    wiremock::Mock::given(wiremock::matchers::any()).respond_with(wiremock::ResponseTemplate::new(500)).mount(&store).await;
    let app = App::builder().with_s3().set("MINIO_ENDPOINT", store.uri()).start().await;
    let acme = app.acme();
    acme.post(BUCKETS, &json!({ "name": "reports" })).await.expect(201);
    assert_eq!(put(&acme, "a", "x").await, 503);
    acme.get(&download("a")).await.expect_error(404);
    app.stop();
}

/// Versions whose bytes are to go, or are on their way.
async fn leftovers(app: &App) -> i64 {
    let sql = "select count(*) from object_versions where state <> 'stored'";
    sqlx::query_scalar(sql).fetch_one(&app.databases.platform().await).await.expect("a count")
}

async fn bucket(client: &Client, form: &serde_json::Value) {
    client.post(BUCKETS, form).await.expect(201);
}

/// The history of a file: for each version whether it is current, a marker, and its size.
async fn history(client: &Client, name: &str) -> Vec<(bool, bool, u64, String)> {
    let found = client.get(&format!("/api/storage/files/versions/reports/{name}")).await.expect(200);
    let row = |row: &serde_json::Value| {
        let version = row["version"].as_str().expect("a version").to_owned();
        (row["isCurrent"] == true, row["isDeleteMarker"] == true, row["size"].as_u64().expect("a size"), version)
    };
    found["data"].as_array().expect("a list").iter().map(row).collect()
}

#[tokio::test]
async fn a_bucket_that_keeps_what_is_replaced_has_every_version_and_takes_it_back() {
    for (backend, builder) in backends() {
        let app = builder.start().await;
        let acme = app.acme();
        bucket(&acme, &json!({ "name": "reports", "versioning": "on" })).await;
        for body in ["1", "22", "333"] {
            assert!(matches!(put(&acme, "a", body).await, 200 | 201), "{backend}");
        }
        let all = history(&acme, "a").await;
        let shape: Vec<_> = all.iter().map(|(current, marker, size, _)| (*current, *marker, *size)).collect();
        assert_eq!(shape, [(true, false, 3), (false, false, 2), (false, false, 1)], "{backend}");
        let first = all[2].3.clone();
        assert_eq!(acme.get(&format!("{}?version={first}", download("a"))).await.body, b"1");
        // Deleted, it is gone, and its versions are not.
        acme.delete("/api/storage/files/reports/a").await.expect(204);
        acme.get(&download("a")).await.expect_error(404);
        let after: Vec<_> = history(&acme, "a").await.into_iter().map(|(current, marker, ..)| (current, marker)).collect();
        assert_eq!(after, [(true, true), (false, false), (false, false), (false, false)], "{backend}");
        let restore = json!({ "bucket": "reports", "objectName": "a", "version": first });
        assert_eq!(acme.post("/api/storage/files/restore", &restore).await.expect(200)["data"]["size"], 1);
        assert_eq!(acme.get(&download("a")).await.body, b"1", "{backend}");
        // A version that goes for good goes alone; where it was the current one, the newest of the others is.
        acme.delete(&format!("/api/storage/files/reports/a?version={first}")).await.expect(204);
        acme.get(&download("a")).await.expect_error(404);
        let marker = history(&acme, "a").await.into_iter().find(|(_, marker, ..)| *marker).expect("a marker").3;
        acme.delete(&format!("/api/storage/files/reports/a?version={marker}")).await.expect(204);
        assert_eq!(acme.get(&download("a")).await.body, b"333", "{backend}");
        acme.post("/api/storage/files/restore", &restore).await.expect_error(404);
        // What is not kept any more goes when it is replaced; what was kept stays.
        acme.put(&format!("{BUCKETS}/reports/versioning"), &json!({ "versioning": "suspended" })).await.expect(200);
        for body in ["55555", "666666"] {
            put(&acme, "a", body).await;
        }
        let sizes: Vec<u64> = history(&acme, "a").await.into_iter().map(|(.., size, _)| size).collect();
        assert_eq!(sizes, [6, 3, 2], "{backend}");
        assert!(acme.delete(&format!("{BUCKETS}/reports")).await.expect_error(409).contains("earlier versions"));
        acme.delete(&format!("{BUCKETS}/reports?force=true")).await.expect(204);
        acme.get(&download("a")).await.expect_error(404);
        app.stop();
    }
}

/// Leave is given for a file's name, so a version is reached by the name of its own file only.
#[tokio::test]
async fn a_version_is_reached_by_the_name_of_its_own_file_alone() {
    let rules = "g, token:administrator, administrator, acme\n\
                 p, token:reader, acme, /storage/files/reports/mine, *, allow\n";
    let app = App::builder().policy("tenants/acme.csv", rules).start().await;
    let (acme, reader) = (app.acme(), app.client("acme", "reader"));
    bucket(&acme, &json!({ "name": "reports", "versioning": "on" })).await;
    for name in ["mine", "theirs"] {
        assert_eq!(put(&acme, name, name).await, 201);
    }
    let theirs = history(&acme, "theirs").await[0].3.clone();
    reader.get(&format!("{}?version={theirs}", download("mine"))).await.expect_error(404);
    reader.delete(&format!("/api/storage/files/reports/mine?version={theirs}")).await.expect_error(404);
    let restore = json!({ "bucket": "reports", "objectName": "mine", "version": theirs });
    reader.post("/api/storage/files/restore", &restore).await.expect_error(404);
    let copy = json!({ "source": { "bucket": "reports", "objectName": "mine", "version": theirs },
                       "destination": { "bucket": "reports", "objectName": "mine" } });
    reader.post("/api/storage/files/copy", &copy).await.expect_error(404);
    for name in ["mine", "theirs"] {
        assert_eq!(acme.get(&download(name)).await.body, name.as_bytes(), "{name}");
    }
    app.stop();
}

#[tokio::test]
async fn a_bucket_has_bounds_and_says_which_one_is_met() {
    let app = App::start().await;
    let acme = app.acme();
    bucket(&acme, &json!({ "name": "reports", "maxObjectBytes": 10, "quotaBytes": 15, "mediaTypes": ["text/*"] })).await;
    assert_eq!(put(&acme, "a", "0123456789").await, 201);
    let file = "/api/storage/files/reports/b";
    let text = acme.clone().with("content-type", "text/plain");
    assert!(text.ask(Method::PUT, file, "0123456789a").await.expect_error(413).contains("maxObjectBytes"));
    // Without a length beforehand as well.
    let streamed = Body::wrap_stream(futures_util::stream::iter([Ok::<_, std::io::Error>("0123456"), Ok("789a")]));
    assert!(text.ask(Method::PUT, file, streamed).await.expect_error(413).contains("maxObjectBytes"));
    assert!(text.ask(Method::PUT, file, "012345").await.expect_error(413).contains("quotaBytes"));
    let image = acme.clone().with("content-type", "image/png");
    assert!(image.ask(Method::PUT, file, "0").await.expect_error(415).contains("text/*"));
    assert_eq!(put(&acme, "a", "01234567").await, 200, "what is replaced does not count");
    let page = acme.get(&format!("{BUCKETS}/reports")).await;
    let tag = page.header("etag").expect("a tag").to_owned();
    acme.put(&format!("{BUCKETS}/reports"), &json!({ "quotaBytes": null })).await.expect(200);
    acme.clone().with("if-match", &tag).put(&format!("{BUCKETS}/reports"), &json!({ "quotaBytes": 1 })).await.expect_error(412);
    text.ask(Method::PUT, file, "0123456789").await.expect(201);
    for wrong in [json!({ "maxObjectBytes": 0 }), json!({ "mediaTypes": ["text"] }), json!({ "versioning": "ON" })] {
        acme.put(&format!("{BUCKETS}/reports"), &wrong).await.expect_error(400);
    }
    assert_eq!(leftovers(&app).await, 0);
    app.stop();
}

#[tokio::test]
async fn a_listing_with_a_delimiter_shows_folders_as_one_item_and_skips_what_is_in_them() {
    let app = App::start().await;
    let acme = app.acme();
    bucket(&acme, &json!({ "name": "reports" })).await;
    for name in ["a", "b/1", "b/2", "b/c/3", "b0", "b-", "ä/x", "z"] {
        assert_eq!(put(&acme, name, "x").await, 201, "{name}");
    }
    let list = async |query: &str| {
        let page = acme.get(&format!("{BUCKETS}/reports/objects?delimiter=/{query}")).await.expect(200);
        let item = |one: &serde_json::Value| one["name"].as_str().or(one["prefix"].as_str()).expect("a name").to_owned();
        let names: Vec<String> = page["data"].as_array().expect("a list").iter().map(item).collect();
        (names, page["nextCursor"].as_str().map(str::to_owned))
    };
    assert_eq!(list("").await.0, ["a", "b-", "b/", "b0", "z", "ä/"]);
    assert_eq!(list("&prefix=b/").await.0, ["b/1", "b/2", "b/c/"]);
    assert_eq!(list("&prefix=b").await.0, ["b-", "b/", "b0"]);
    let (mut all, mut query) = (Vec::new(), "&limit=1".to_owned());
    loop {
        let (names, cursor) = list(&query).await;
        all.extend(names);
        match cursor {
            Some(cursor) => query = format!("&limit=1&cursor={cursor}"),
            None => break,
        }
    }
    assert_eq!(all, ["a", "b-", "b/", "b0", "z", "ä/"]);
    acme.get(&format!("{BUCKETS}/reports/objects?delimiter=-")).await.expect_error(400);
    app.stop();
}

#[tokio::test]
async fn a_file_is_copied_with_what_is_said_of_it_also_from_an_earlier_version() {
    for (backend, builder) in backends() {
        let app = builder.start().await;
        let acme = app.acme();
        bucket(&acme, &json!({ "name": "reports", "versioning": "on" })).await;
        bucket(&acme, &json!({ "name": "archive" })).await;
        let form = json!({ "bucket": "reports", "objectName": "a", "buffer": "Zmlyc3Q=", "contentType": "text/plain", "metadata": { "by": "ann" } });
        let first = acme.post("/api/storage/files/upload-buffer", &form).await.expect(201)["data"].clone();
        assert_eq!((&first["size"], &first["metadata"]["by"]), (&json!(5), &json!("ann")), "{backend}");
        put(&acme, "a", "second").await;
        let copy = async |source: serde_json::Value, to: &str| {
            let form = json!({ "source": source, "destination": { "bucket": "archive", "objectName": to } });
            acme.post("/api/storage/files/copy", &form).await
        };
        let made = copy(json!({ "bucket": "reports", "objectName": "a" }), "x/b").await.expect(201)["data"].clone();
        assert_eq!(
            (&made["name"], &made["contentType"], &made["size"]),
            (&json!("x/b"), &json!("text/plain"), &json!(6)),
            "{backend}"
        );
        let earlier = json!({ "bucket": "reports", "objectName": "a", "version": first["version"] });
        let made = copy(earlier, "x/b").await.expect(200)["data"].clone();
        assert_eq!((&made["sha256"], &made["metadata"]), (&first["sha256"], &first["metadata"]), "{backend}");
        assert_eq!(acme.get("/api/storage/files/download/archive/x/b").await.body, b"first", "{backend}");
        copy(json!({ "bucket": "reports", "objectName": "none" }), "c").await.expect_error(404);
        acme.post("/api/storage/files/upload-buffer", &json!({ "bucket": "reports", "objectName": "a", "buffer": "?" }))
            .await
            .expect_error(400);
        app.stop();
    }
}

#[tokio::test]
async fn a_form_with_a_file_is_streamed_and_its_file_comes_last() {
    let app = App::start().await;
    let acme = app.acme();
    bucket(&acme, &json!({ "name": "reports" })).await;
    let field = |name: &str, value: &str| format!("--x\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n");
    let file = |bytes: &str| {
        format!(
            "--x\r\nContent-Disposition: form-data; name=\"file\"; filename=\"m.txt\"\r\nContent-Type: text/csv\r\n\r\n{bytes}\r\n"
        )
    };
    let send = async |parts: &[String]| {
        let client = acme.clone().with("content-type", "multipart/form-data; boundary=x");
        client.ask(Method::POST, "/api/storage/files/upload", format!("{}--x--\r\n", parts.concat())).await
    };
    let (to, name) = (field("bucket", "reports"), field("objectName", "2026/m.txt"));
    let made = send(&[to.clone(), name.clone(), field("metadata", r#"{"by": "ann"}"#), file("a;b")]).await;
    assert!(made.header("etag").is_some());
    let made = made.expect(201)["data"].clone();
    assert_eq!((&made["contentType"], &made["metadata"]["by"], &made["size"]), (&json!("text/csv"), &json!("ann"), &json!(3)));
    assert_eq!(acme.get(&download("2026/m.txt")).await.body, b"a;b");
    for (parts, said) in [
        (vec![to.clone(), file("x"), name.clone()], "`objectName` has to come before"),
        (vec![to.clone(), name.clone(), file("x"), field("metadata", "{}")], "`file` is the last field"),
        (vec![to.clone(), name.clone()], "has no `file`"),
        (vec![to.clone(), name.clone(), field("colour", "red"), file("x")], "Unknown field `colour`"),
        (vec![to.clone(), name.clone(), field("metadata", "[1]"), file("x")], "JSON object"),
    ] {
        let sentence = send(&parts).await.expect_error(400);
        assert!(sentence.contains(said), "{said}: {sentence}");
    }
    assert_eq!(acme.get(&download("2026/m.txt")).await.body, b"a;b", "what was refused changed nothing");
    acme.post("/api/storage/files/upload", &json!({})).await.expect_error(415);
    assert_eq!(leftovers(&app).await, 0);
    app.stop();
}

#[tokio::test]
async fn what_broke_off_is_cleared_up_and_a_scan_finds_what_is_missing_or_nobodys() {
    let mut app = App::start().await;
    let acme = app.acme();
    bucket(&acme, &json!({ "name": "reports" })).await;
    put(&acme, "a", "there").await;
    put(&acme, "b", "away").await;
    // An upload of yesterday that never ended, with the bytes that it left.
    let database = app.databases.platform().await;
    let sql = "insert into object_versions (id, tenant, bucket_id, object_id, created_at)
               select '01890000-0000-7000-8000-000000000001', tenant, bucket_id, id, now() - interval '2 days' from objects where name = 'a'
               returning 'acme/' || bucket_id || '/' || object_id || '/' || id";
    let left: String = sqlx::query_scalar(sql).fetch_one(&database).await.expect("a row");
    std::fs::write(app.files().join(&left), "half").expect("written");
    let stray = left.replace("01890000-0000-7000-8000-000000000001", "01890000-0000-7000-8000-000000000002");
    std::fs::write(app.files().join(&stray), "nobody's").expect("written");
    let gone: String = sqlx::query_scalar(
        "select 'acme/' || v.bucket_id || '/' || v.object_id || '/' || v.id from object_versions v join objects o on o.current_version = v.id where o.name = 'b'",
    )
    .fetch_one(&database)
    .await
    .expect("a row");
    std::fs::remove_file(app.files().join(&gone)).expect("removed");

    let (sound, scan) = app.shell_json(&["files", "scan", "--json"]);
    assert!(!sound, "a file has lost its bytes: {scan}");
    assert_eq!((&scan["missing"], &scan["unknown"], &scan["removed"]), (&json!([gone]), &json!(1), &json!(0)), "{scan}");
    assert_eq!(app.shell_json(&["files", "scan", "--remove", "--json"]).1["removed"], 1);
    assert!(!app.files().join(&stray).exists());
    // The sweeper of a Weir that starts anew comes by at once.
    app.terminate();
    app.restart();
    let deadline = std::time::Instant::now() + Duration::from_secs(20);
    while app.files().join(&left).exists() || leftovers(&app).await > 0 {
        assert!(std::time::Instant::now() < deadline, "the upload that broke off is still there");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(app.acme().get(&download("a")).await.body, b"there");
    app.stop();
}
