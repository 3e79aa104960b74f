//! Modules that judge files.

use reqwest::Method;
use serde_json::json;

use crate::support::app::App;
use crate::support::guests::{VALIDATORS, chain, component, deploy, upload};

/// A PNG of one pixel with a text chunk.
fn png() -> Vec<u8> {
    let mut bytes = b"\x89PNG\r\n\x1a\n".to_vec();
    for (kind, data) in [
        (b"IHDR", &b"\0\0\0\x01\0\0\0\x01\x08\0\0\0\0"[..]),
        (b"tEXt", b"Author\0Ann"),
        (b"IDAT", b"\x78\x9c\x63\x60\0\0\0\x02\0\x01"),
        (b"IEND", b""),
    ] {
        bytes.extend_from_slice(&u32::try_from(data.len()).expect("small").to_be_bytes());
        let from = bytes.len();
        bytes.extend_from_slice(kind);
        bytes.extend_from_slice(data);
        let crc = crc(&bytes[from..]);
        bytes.extend_from_slice(&crc.to_be_bytes());
    }
    bytes
}

/// PNG's checksum (ISO 3309), bit by bit.
fn crc(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(u32::MAX, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| if crc & 1 == 1 { crc >> 1 ^ 0xedb8_8320 } else { crc >> 1 })
    })
}

#[tokio::test]
async fn a_file_is_rewritten_or_refused_on_its_way() {
    let app = App::start().await;
    let acme = app.acme();
    acme.post("/api/storage/buckets", &json!({ "name": "photos" })).await.expect(201);
    let config = json!({ "allow": ["png"], "onMismatch": "correct" });
    let id = deploy(&acme, "image-guard", &json!({ "name": "image-guard", "target": "objects", "config": config })).await;
    chain(&acme, "objects/photos", &[&id]).await;
    let put = async |name: &str, kind: &str, bytes: Vec<u8>| {
        acme.clone().with("content-type", kind).ask(Method::PUT, &format!("/api/storage/files/photos/{name}"), bytes).await
    };

    put("one.png", "application/octet-stream", png()).await.expect(201);
    let stored = acme.get("/api/storage/files/download/photos/one.png").await;
    assert_eq!(stored.headers["content-type"], "image/png", "what it is, not what it said");
    assert!(stored.body.starts_with(b"\x89PNG") && !stored.body.windows(3).any(|bytes| bytes == b"Ann"), "the author is gone");
    assert!(stored.body.len() < png().len());

    let sentence = put("two.png", "image/png", b"\xff\xd8\xff\xe0 rubbish".to_vec()).await.expect_error(422);
    assert!(sentence.contains("`image-guard` refuses this object"), "{sentence}");
    put("big.png", "image/png", vec![7; 3 << 20]).await.expect_error(422);
    for name in ["two.png", "big.png"] {
        acme.get(&format!("/api/storage/files/download/photos/{name}")).await.expect_error(404);
    }
    // Other buckets have no chain, and the bytes of what was refused are gone.
    acme.post("/api/storage/buckets", &json!({ "name": "other" })).await.expect(201);
    let other = acme.clone().with("content-type", "image/png");
    other.ask(Method::PUT, "/api/storage/files/other/two.png", b"rubbish".to_vec()).await.expect(201);
    let kept: i64 = sqlx::query_scalar("select count(*) from object_versions where state <> 'discarded'")
        .fetch_one(&app.databases.platform().await)
        .await
        .expect("a count");
    assert_eq!(kept, 2);
    app.stop();
}

#[tokio::test]
async fn a_shadow_of_objects_is_refused_and_not_forgotten() {
    let app = App::start().await;
    let acme = app.acme();
    let id = deploy(&acme, "image-guard", &json!({ "name": "image-guard", "target": "objects" })).await;
    upload(&acme, &id, component("image-guard")).await.expect(201);
    let shadow = format!("{VALIDATORS}/{id}/shadow");
    let sentence = acme.post(&shadow, &json!({ "version": 2 })).await.expect_error(409);
    assert!(sentence.contains("A validator of objects has no shadow"), "{sentence}");
    // To have none is fine.
    let none = acme.post(&shadow, &json!({ "version": null })).await.expect(200)["data"].clone();
    assert_eq!(none["shadowVersion"], serde_json::Value::Null);
    app.stop();
}
