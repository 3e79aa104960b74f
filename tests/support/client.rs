//! A caller of the REST API.

use std::time::Duration;

use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use reqwest::{Body, Method, Response};
use serde_json::Value;

/// Somebody with a token, or without one.
#[derive(Clone, Debug)]
pub struct Client {
    base: String,
    headers: HeaderMap,
    http: reqwest::Client,
}

/// An answer, read whole.
#[derive(Debug)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: Vec<u8>,
}

impl Client {
    /// A caller of the Weir at `base`.
    pub fn new(base: &str, token: Option<&str>) -> Self {
        let http = reqwest::Client::builder().timeout(Duration::from_mins(2)).build().expect("a client");
        let client = Self { base: base.to_owned(), headers: HeaderMap::new(), http };
        match token {
            Some(token) => client.with("authorization", &format!("Bearer {token}")),
            None => client,
        }
    }

    /// The same caller with one more header.
    pub fn with(mut self, name: &str, value: &str) -> Self {
        let name = HeaderName::from_bytes(name.as_bytes()).expect("a header's name");
        self.headers.insert(name, HeaderValue::from_str(value).expect("a header's value"));
        self
    }

    /// The same caller, acting in another tenant.
    pub fn of(&self, tenant: &str) -> Self {
        self.clone().with("x-tenant", tenant)
    }

    /// Sends a request and leaves the answer's body unread.
    pub async fn send(&self, method: Method, path: &str, body: impl Into<Body>) -> Response {
        let request = self.http.request(method, format!("{}{path}", self.base)).headers(self.headers.clone()).body(body);
        request.send().await.unwrap_or_else(|error| panic!("{path}: {error:?}"))
    }

    /// Sends a request and reads the answer.
    pub async fn ask(&self, method: Method, path: &str, body: impl Into<Body>) -> Answer {
        let response = self.send(method, path, body).await;
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        Answer { status, headers, body: response.bytes().await.expect("a whole body").into() }
    }

    /// A PUT that may fail underway.
    pub async fn try_put(&self, path: &str, body: impl Into<Body>) -> reqwest::Result<Response> {
        self.http.put(format!("{}{path}", self.base)).headers(self.headers.clone()).body(body).send().await
    }

    /// GET.
    pub async fn get(&self, path: &str) -> Answer {
        self.ask(Method::GET, path, "").await
    }

    /// DELETE.
    pub async fn delete(&self, path: &str) -> Answer {
        self.ask(Method::DELETE, path, "").await
    }

    /// POST of JSON.
    pub async fn post(&self, path: &str, body: &Value) -> Answer {
        self.json(Method::POST, path, body.to_string()).await
    }

    /// PUT of JSON.
    pub async fn put(&self, path: &str, body: &Value) -> Answer {
        self.json(Method::PUT, path, body.to_string()).await
    }

    /// A body that says that it is JSON, whether it is or not.
    pub async fn json(&self, method: Method, path: &str, body: impl Into<Body>) -> Answer {
        self.clone().with("content-type", "application/json").ask(method, path, body).await
    }
}

impl Answer {
    /// The body as JSON, where the status is the one that was expected.
    #[track_caller]
    pub fn expect(self, status: u16) -> Value {
        assert_eq!(self.status, status, "{}", String::from_utf8_lossy(&self.body));
        if self.body.is_empty() { Value::Null } else { serde_json::from_slice(&self.body).expect("JSON") }
    }

    /// The body as an error of the contract's form; its sentence.
    #[track_caller]
    pub fn expect_error(self, status: u16) -> String {
        let header = self.headers.get("x-request-id").and_then(|id| id.to_str().ok()).map(str::to_owned);
        let body = self.expect(status);
        assert_eq!(body["code"], status, "{body}");
        assert_eq!(body["requestId"].as_str().map(str::to_owned), header, "{body}");
        assert!(body["timestamp"].as_str().is_some_and(|time| time.ends_with('Z')), "{body}");
        assert!(body["details"].is_array(), "{body}");
        let sentence = body["error"].as_str().expect("a sentence").to_owned();
        assert!(sentence.ends_with(['.', '?']) && sentence.len() > 15, "no sentence: {sentence}");
        for secret in ["postgres://", "select ", "insert into", "/var/", "/tmp/", "panicked"] {
            assert!(!body.to_string().contains(secret), "an error shows `{secret}`: {body}");
        }
        sentence
    }

    /// A header, if it is there and text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }
}
