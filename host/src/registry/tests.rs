//! Against a server that answers as a registry does, well and badly.

use serde_json::json;
use wiremock::matchers::{any, basic_auth, method, path};
use wiremock::{Mock, MockServer, ResponseTemplate};

use super::*;
use crate::error::Kind;

fn registry(server: &MockServer) -> Registry {
    let options = Options { url: server.uri(), username: Some("weir".into()), password: Some(Secret::new("hunter22")) };
    Registry::connect(options).expect("an address")
}

async fn answers(server: &MockServer, at: &str, status: u16, body: serde_json::Value, times: u64) {
    let answer = ResponseTemplate::new(status).set_body_json(body);
    Mock::given(method("GET"))
        .and(path(at))
        .and(basic_auth("weir", "hunter22"))
        .respond_with(answer)
        .expect(times)
        .mount(server)
        .await;
}

#[tokio::test]
async fn a_schema_is_asked_for_once_and_comes_with_what_it_refers_to() {
    let server = MockServer::start().await;
    let refers = |subject: &str| json!([{ "name": "org.example.Type", "subject": subject, "version": 2 }]);
    answers(&server, "/schemas/ids/7", 200, json!({ "schema": "main", "references": refers("a/b") }), 1).await;
    // It refers to itself as well, which is fetched once all the same.
    let both = json!({ "schema": "one", "id": 1, "version": 2, "subject": "a/b", "references": [
        { "name": "x", "subject": "c", "version": 2 }, { "name": "y", "subject": "a/b", "version": 2 },
    ] });
    answers(&server, "/subjects/a%2Fb/versions/2", 200, both, 1).await;
    answers(&server, "/subjects/c/versions/2", 200, json!({ "schema": "two" }), 1).await;
    let registry = registry(&server);
    for _ in 0..3 {
        let found = registry.look_up(7).await.expect("an answer").expect("it is there").expect("it is Avro");
        assert_eq!(*found, Definition { schema: "main".into(), references: vec!["one".into(), "two".into()] });
    }
}

#[tokio::test]
async fn what_is_not_there_is_kept_for_a_while_and_of_another_type_for_good() {
    let server = MockServer::start().await;
    answers(&server, "/schemas/ids/8", 404, json!({ "error_code": 40403, "message": "Schema not found" }), 1).await;
    answers(&server, "/schemas/ids/9", 200, json!({ "schema": "syntax…", "schemaType": "PROTOBUF" }), 1).await;
    let lost = json!({ "schema": "main", "references": [{ "name": "x", "subject": "gone", "version": 1 }] });
    answers(&server, "/schemas/ids/10", 200, lost, 1).await;
    answers(&server, "/subjects/gone/versions/1", 404, json!({ "error_code": 40401, "message": "Subject not found" }), 1).await;
    let registry = registry(&server);
    for _ in 0..2 {
        assert!(registry.look_up(8).await.expect("an answer").is_none());
        let reason = |found: Option<Result<_, Arc<str>>>| found.expect("it is there").expect_err("it cannot be used");
        assert!(reason(registry.look_up(9).await.expect("an answer")).contains("PROTOBUF"));
        assert!(reason(registry.look_up(10).await.expect("an answer")).contains("`gone`"));
    }
}

#[tokio::test]
async fn every_other_answer_is_none_and_is_not_kept() {
    let big = json!({ "schema": "x".repeat(limits::REGISTRY_BYTES) });
    for answer in [
        ResponseTemplate::new(500),
        ResponseTemplate::new(401).set_body_json(json!({ "error_code": 401 })),
        // Of something on the way, not of the registry.
        ResponseTemplate::new(404).set_body_string("<html>not found</html>"),
        ResponseTemplate::new(302).insert_header("location", "/elsewhere"),
        ResponseTemplate::new(200).set_body_string("not JSON"),
        ResponseTemplate::new(200).set_body_json(big),
    ] {
        let server = MockServer::start().await;
        let registry = registry(&server);
        let bad = Mock::given(any()).respond_with(answer).expect(1).mount_as_scoped(&server).await;
        let error = registry.look_up(7).await.expect_err("no answer");
        assert_eq!(error.kind(), Kind::Unavailable);
        drop(bad);
        answers(&server, "/schemas/ids/7", 200, json!({ "schema": "main" }), 1).await;
        assert!(registry.look_up(7).await.expect("an answer").is_some(), "it is asked again");
    }
    let nobody = Options { url: "http://127.0.0.1:1".into(), username: None, password: None };
    let error = Registry::connect(nobody).expect("an address").look_up(7).await.expect_err("nobody listens");
    assert_eq!(error.kind(), Kind::Unavailable);
}
