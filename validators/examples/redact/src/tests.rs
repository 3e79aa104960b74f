use serde_json::json;
use weir_validator_sdk::documents::Problem;

use super::*;

fn verdict(config: &Value, document: &Document<'_>) -> DocumentVerdict {
    Redact::new(Config::new(&config.to_string())).unwrap().check(document).unwrap()
}

/// What goes on in place of a document; the same, if it is accepted.
fn redacted(config: &Value, body: Value) -> Value {
    match verdict(config, &Document::new("connectors", &body.to_string())) {
        DocumentVerdict::Accept => body,
        DocumentVerdict::Replace(other) => serde_json::from_str(&other).unwrap(),
        DocumentVerdict::Reject(problems) => panic!("{problems:?}"),
    }
}

#[test]
fn fields_go_by_place_and_by_name_anywhere() {
    let config = json!({"fields": [
        {"pointer": "/owner/phone", "action": "mask", "keep": 4},
        {"name": "password", "action": "remove"},
    ]});
    let body = json!({
        "owner": {"phone": "+49 30 1234567", "name": "Ada"},
        "phone": "+49 30 7654321",
        "PassWord": "a",
        "nodes": [{"password": {"deep": 1}}, {"settings": {"password": null, "user": "weir"}}],
    });
    let expected = json!({
        "owner": {"phone": "***4567", "name": "Ada"},
        "phone": "+49 30 7654321",
        "nodes": [{}, {"settings": {"user": "weir"}}],
    });
    assert_eq!(redacted(&config, body), expected);
}

#[test]
fn a_hash_takes_a_key() {
    let config = json!({"hashKey": "0123456789abcdef", "fields": [{"name": "email", "action": "hash"}]});
    let once = redacted(&config, json!({"email": "ada@example.org"}));
    assert!(once["email"].as_str().unwrap().starts_with("hmac-sha256:"));
    assert_eq!(redacted(&config, once.clone()), once);
}

#[test]
fn a_document_without_such_a_field_is_not_touched() {
    let config = json!({"fields": [{"name": "password", "action": "remove"}]});
    let body = r#"{ "b": 1.10, "a": 0.30000000000000004 }"#;
    assert_eq!(verdict(&config, &Document::new("connectors", body)), DocumentVerdict::Accept);
}

#[test]
fn numbers_beside_a_field_come_out_as_they_were() {
    let config = json!({"fields": [{"name": "password", "action": "remove"}]});
    let body = r#"{"password": "a", "exact": 9007199254740993, "near": 0.30000000000000004, "small": 5e-324}"#;
    let expected = r#"{"exact":9007199254740993,"near":0.30000000000000004,"small":5e-324}"#;
    assert_eq!(verdict(&config, &Document::new("connectors", body)), DocumentVerdict::Replace(expected.to_owned()));
}

#[test]
fn only_some_kinds_and_nothing_that_is_deleted_is_looked_at() {
    let config = json!({"kinds": ["connectors"], "refuse": {"emails": true}});
    let body = r#"{"owner": "ada@example.org"}"#;
    assert!(matches!(verdict(&config, &Document::new("connectors", body)), DocumentVerdict::Reject(_)));
    assert_eq!(verdict(&config, &Document::new("schemas", body)), DocumentVerdict::Accept);
    assert_eq!(verdict(&config, &Document::new("connectors", "{}").to(Operation::Delete)), DocumentVerdict::Accept);
}

#[test]
fn leaks_are_refused_with_their_places_and_without_themselves() {
    let config = json!({"refuse": {"emails": true, "secrets": true, "except": ["/contact"]}});
    let body = json!({
        "contact": {"email": "ada@example.org"},
        "nodes": [{"a/b": "postgres://weir:hunter2@db/weir"}],
        "members": {"bob@example.org": true},
    });
    let problem = |path: &str, reason: &str| Problem { path: path.to_owned(), reason: reason.to_owned() };
    let expected = DocumentVerdict::Reject(vec![
        problem("/members", "the name of a field in here has what looks like an e-mail address, which must not be in here"),
        problem("/nodes/0/a~1b", "this has what looks like a URL with a password, which must not be in here"),
    ]);
    assert_eq!(verdict(&config, &Document::new("connectors", &body.to_string())), expected);
}

#[test]
fn what_a_rule_took_away_is_no_leak() {
    let config = json!({"fields": [{"name": "email", "action": "mask"}], "refuse": {"emails": true}});
    assert_eq!(redacted(&config, json!({"email": "ada@example.org"})), json!({"email": "***"}));
}

#[test]
fn no_more_problems_are_told_than_help() {
    let config = json!({"refuse": {"emails": true}});
    let body = json!({"names": vec!["ada@example.org"; 50]}).to_string();
    match verdict(&config, &Document::new("connectors", &body)) {
        DocumentVerdict::Reject(problems) => assert_eq!(problems.len(), 20),
        other => panic!("{other:?}"),
    }
}
