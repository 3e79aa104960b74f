//! The guests of `validators/`, built by `scripts/guests`.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::{Value, json};

use super::client::{Answer, Client};
use super::services;

/// The path of validators.
pub const VALIDATORS: &str = "/api/platform/validators";

/// The component's bytes, such as of `range-check` or `fault-loops`.
pub fn component(name: &str) -> Vec<u8> {
    let path = Path::new(&services::guests()).join(format!("{name}.wasm"));
    fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}; run scripts/guests", path.display()))
}

/// Makes a validator; its id.
pub async fn validator(client: &Client, form: &Value) -> String {
    client.post(VALIDATORS, form).await.expect(201)["data"]["id"].as_str().expect("an id").to_owned()
}

/// Uploads a component as a validator's next version.
pub async fn upload(client: &Client, id: &str, bytes: impl Into<reqwest::Body>) -> Answer {
    client.clone().with("content-type", "application/wasm").ask(Method::PUT, &format!("{VALIDATORS}/{id}/module"), bytes).await
}

/// Makes a validator of a guest, such as `range-check`; its id.
pub async fn deploy(client: &Client, guest: &str, form: &Value) -> String {
    let id = validator(client, form).await;
    upload(client, &id, component(guest)).await.expect(201);
    id
}

/// Gives a chain these validators: `rooms` of a topic, `documents/schemas`, `objects/photos`.
pub async fn chain(client: &Client, of: &str, validators: &[&str]) {
    client.put(&format!("{VALIDATORS}/chain/{of}"), &json!({ "validatorIds": validators })).await.expect(200);
}

/// The statistics of a validator, once they are as wanted.
pub async fn stats(client: &Client, id: &str, wanted: impl Fn(&Value) -> bool) -> Value {
    let until = Instant::now() + Duration::from_secs(30);
    loop {
        let stats = client.get(&format!("{VALIDATORS}/{id}/stats")).await.expect(200)["data"].clone();
        if wanted(&stats) {
            return stats;
        }
        assert!(Instant::now() < until, "the statistics never became so: {stats}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}
