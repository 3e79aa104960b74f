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
