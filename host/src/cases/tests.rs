//! Cases are read strictly, and an outcome that differs is told in a sentence.

use std::collections::BTreeMap;

use proptest::prelude::*;
use serde_json::{Map, Number, Value as Json, json};

use super::section::{read_leb, write_leb};
use super::*;
use crate::batch::Value;
use crate::batch::compare::places;
use crate::error::Detail;
use crate::model::Operation;

/// A component in which there is nothing.
const EMPTY: &[u8] = b"\0asm\x0d\0\x01\0";
const CASES: &str = r#"[{
    "name": "frost is rejected",
    "config": {"lowest": 0},
    "readings": [
        {"sensorId": "room-4", "timestamp": "2026-05-04T12:00:00Z", "values": {"temperature": -4.5}},
        {"sensorId": "room-4", "timestamp": 1777896000001, "value": 9007199254740993}
    ],
    "expect": [
        {"verdict": "reject", "reason": "below"},
        {"verdict": "suspect", "values": {"value": 1.5, "open": true, "mode": "eco"}}
    ]
}]"#;

fn refused(json: &str) -> (String, String) {
    let error = parse(json.as_bytes()).expect_err("it is refused");
    (error.details()[0].path.clone(), error.details()[0].message.clone())
}

#[test]
fn what_is_put_in_comes_out() {
    let component = append(EMPTY, CASES.as_bytes()).expect("they are sound");
    assert!(wasmparser::Parser::new(0).parse_all(&component).all(|payload| payload.is_ok()));
    let cases = of(&component).expect("they are sound");
    assert_eq!((cases[0].name.as_str(), cases[0].config.as_str()), ("frost is rejected", r#"{"lowest": 0}"#));
    let Example::Readings { readings, expect } = &cases[0].example else { panic!("{cases:?}") };
    assert_eq!(expect[0].verdict, Expected::Reject);
    assert_eq!(expect[0].reason.as_deref(), Some("below"));
    assert_eq!(expect[1].values["open"], Value::Bool(true));
    assert_eq!(expect[1].values["value"], Value::Number(1.5));
    // A reading is kept as it was sent: the decoder judges its number, not this.
    assert!(readings[1].ends_with(b"9007199254740993}"));
    assert!(of(EMPTY).expect("none are fine").is_empty());
}

#[test]
fn cases_take_the_place_of_those_before() {
    let first = append(EMPTY, CASES.as_bytes()).expect("they are sound");
    let second = append(&first, b"[]").expect("they are sound");
    assert!(of(&second).expect("they are sound").is_empty());
    assert_eq!(append(&second, CASES.as_bytes()).expect("they are sound"), first);
    let twice = [&first[..], &first[EMPTY.len()..]].concat();
    assert!(of(&twice).expect_err("it is ambiguous").sentence().contains("more than one section"));
}

#[test]
fn a_mistake_is_named_with_its_place() {
    let wrong = CASES.replace("\"suspect\"", "\"perhaps\"");
    assert_eq!(refused(&wrong).0, "/0/expect/1/verdict");
    let wrong = CASES.replace("\"mode\": \"eco\"", "\"mode\": [1]");
    assert!(refused(&wrong).1.contains("a number, a boolean or a text"), "{:?}", refused(&wrong));
    let wrong = CASES.replace("\"config\": {\"lowest\": 0}", "\"config\": 3");
    assert_eq!(refused(&wrong).0, "/0/config");
    assert_eq!(refused(&CASES.replace("\"name\"", "\"nom\"")).0, "/0/nom");
    assert_eq!(refused(&CASES.replace("{\"verdict\": \"reject\", \"reason\": \"below\"},", "")).0, "/0/expect");
    assert!(refused(&format!("{CASES} {{}}")).1.contains("trailing characters"));
    assert!(refused("{}").1.contains("an array of cases"));
    assert_eq!(refused(r#"[{"name": "x", "readings": [], "expect": []}]"#).0, "/0/readings");
    assert_eq!(refused(r#"[{"name": "", "readings": [{}], "expect": []}]"#).0, "/0/name");
}

#[test]
fn bounds_are_kept() {
    let huge = format!("[{}]", " ".repeat(limits::CASES_BYTES));
    assert!(refused(&huge).1.contains("bytes"));
    let case = r#"{"name":"a","readings":[{}],"expect":[{"verdict":"accept"}]}"#;
    let many = format!("[{}]", vec![case; limits::CASES + 1].join(","));
    assert!(refused(&many).1.contains("more than"));
    assert_eq!(parse(format!("[{}]", vec![case; limits::CASES].join(",")).as_bytes()).expect("enough").len(), limits::CASES);
    let readings = vec!["{}"; limits::CASE_READINGS + 1].join(",");
    assert_eq!(refused(&format!(r#"[{{"name":"a","readings":[{readings}],"expect":[]}}]"#)).0, "/0/readings");
    for open in [
        "[",
        "{\"a\":",
        "[{\"name\":\"a\",\"document\":{\"body\":{\"a\":",
        "[{\"name\":\"a\",\"readings\":[{}],\"expect\":",
        "[{\"name\":\"a\",\"config\":{\"a\":",
        "[{\"name\":\"a\",\"readings\":[{\"a\":",
    ] {
        let nested = format!("{open}{}", "[".repeat(200_000));
        assert!(parse(nested.as_bytes()).is_err());
    }
}

/// A case about a document, and one about an object, of which parts are replaced to make mistakes.
const WHOLES: &str = r#"[{
    "name": "a description is masked",
    "document": {"kind": "kafka-topics", "operation": "update", "subject": "user:ann", "id": "rooms", "body": {"description": "Ann"}},
    "expect": {"verdict": "replace", "values": {"/description": "***"}}
}, {
    "name": "a text ends in a line",
    "object": {"objectName": "a/list.txt", "mediaType": "text/plain", "text": "one"},
    "expect": {"verdict": "replace", "base64": "b25lCg==", "size": 4}
}]"#;

#[test]
fn documents_and_objects_are_shown_as_test_takes_them() {
    let cases = parse(WHOLES.as_bytes()).expect("they are sound");
    let Example::Document { document, expect } = &cases[0].example else { panic!("{cases:?}") };
    assert_eq!((document.kind.as_str(), document.operation), ("kafka-topics", Operation::Update));
    assert_eq!((document.subject.as_deref(), document.id.as_deref()), (Some("user:ann"), Some("rooms")));
    assert_eq!((expect.verdict, &expect.values["/description"]), (Wanted::Replace, &json!("***")));
    let Example::Object { object, expect } = &cases[1].example else { panic!("{cases:?}") };
    assert_eq!((object.bucket.as_str(), object.object_name.as_str(), &object.bytes[..]), ("bucket", "a/list.txt", &b"one"[..]));
    assert_eq!((expect.size, expect.bytes.as_deref()), (Some(4), Some(&b"one\n"[..])));
    assert_eq!((cases[0].config.as_str(), cases[0].example.to_string().as_str()), ("{}", "a document"));
    let deleted = r#"[{"name": "a", "document": {"kind": "schemas", "operation": "delete"}, "expect": {"verdict": "accept"}}]"#;
    assert!(parse(deleted.as_bytes()).is_ok());
    // What belongs elsewhere says so.
    assert_eq!(cases[0].misplaced(Target::Documents), None);
    assert_eq!(cases[1].misplaced(Target::Readings).as_deref(), Some("it is about objects, and the module judges readings"));
}

#[test]
fn a_mistake_about_a_document_or_an_object_is_named_with_its_place() {
    for (part, wrong, place, words) in [
        (r#""update""#, r#""patch""#, "/0/document/operation", "unknown variant `patch`"),
        (r#""kind": "kafka-topics""#, r#""kind": """#, "/0/document/kind", "a name has"),
        (r#""id""#, r#""name""#, "/0/document/name", "unknown field `name`"),
        (r#"{"description": "Ann"}"#, "[]", "/0/document/body", "expected a map"),
        (r#", "body": {"description": "Ann"}"#, "", "/0/document", "missing field `body`"),
        (r#""update""#, r#""delete""#, "/0/document", "no `body`"),
        (r#""replace", "values""#, r#""suspect", "values""#, "/0/expect/verdict", "unknown variant `suspect`"),
        (r#""replace", "values""#, r#""reject", "values""#, "/0/expect", "neither `body` nor `values`"),
        (r#""replace", "values""#, r#""replace", "reason": "a", "values""#, "/0/expect", "`reject` alone"),
        (r#""/description": "***""#, r#""description": "***""#, "/0/expect/values/description", "no JSON Pointer"),
        (r#""values": {"/description": "***"}"#, r#""value": {}"#, "/0/expect/value", "unknown field `value`"),
        (r#""document": {"#, r#""readings": [{}], "document": {"#, "/0", "either `readings`, a `document` or an `object`"),
        (r#""objectName": "a/list.txt", "#, "", "/1/object", "missing field `objectName`"),
        (r#""text": "one""#, r#""text": "one", "base64": """#, "/1/object", "not as both"),
        (r#", "text": "one""#, "", "/1/object", "`text` or as `base64`"),
        (r#""text": "one""#, r#""base64": "*""#, "/1/object/base64", "not base64"),
        (r#""b25lCg==""#, "null", "/1/expect/base64", "expected a string"),
        (r#""size": 4"#, r#""sha256": "AB""#, "/1/expect/sha256", "64 digits"),
        (r#""size": 4"#, r#""size": -4"#, "/1/expect/size", "expected u64"),
        (r#""replace", "base64""#, r#""reject", "base64""#, "/1/expect", "nothing is stored"),
        (r#", "text": "one"}"#, r#", "text": "one"}, "document": null"#, "/1/document", "invalid type: null"),
    ] {
        let json = WHOLES.replacen(part, wrong, 1);
        assert_ne!(json, WHOLES, "{part} is not there");
        let (found, message) = refused(&json);
        assert_eq!((found.as_str(), message.contains(words)), (place, true), "{wrong}: {message}");
    }
}

fn passed(changed: bool, now: Json) -> End<Map<String, Json>> {
    let Json::Object(now) = now else { panic!("{now}") };
    End::Passed { changed, now }
}

fn refusal<T>(path: &str, message: &str) -> End<T> {
    let other = Detail { path: "/other".to_owned(), message: "another".to_owned(), validator: None };
    End::Refused(vec![other, Detail { path: path.to_owned(), message: message.to_owned(), validator: None }])
}

fn document_difference(expect: &Json, end: &End<Map<String, Json>>) -> String {
    let expect: DocumentExpectation = serde_json::from_value(expect.clone()).expect("it is sound");
    expect.difference(end).unwrap_or_default()
}

#[test]
fn a_document_that_ends_otherwise_is_told_in_a_sentence() {
    let masked = passed(true, json!({"name": "rooms", "owner": {"phone": "***"}, "limit": 22.000_000_000_001, "size": 5}));
    for (expect, sentence) in [
        (json!({"verdict": "replace"}), ""),
        (json!({"verdict": "replace", "values": {"/owner/phone": "***", "/limit": 22, "/size": 5}}), ""),
        (json!({"verdict": "accept"}), "expected accept, found replace"),
        (json!({"verdict": "replace", "values": {"/size": 6}}), "expected /size to be 6, found 5"),
        (json!({"verdict": "replace", "values": {"/gone": null}}), "expected /gone to be null, found no such value"),
        (
            json!({"verdict": "replace", "body": {"name": "rooms", "owner": {"phone": "***"}, "limit": 22}}),
            "expected no /size, found 5",
        ),
        (
            json!({"verdict": "replace", "values": {"": {"name": "x"}}}),
            r#"expected the document to be {"name":"x"}, found {"limit":22.000000000001,"name":"rooms","owner":{"phone":"***"},"size":5}"#,
        ),
    ] {
        assert_eq!(document_difference(&expect, &masked), sentence, "{expect}");
    }
    let refused = refusal("/name", "begin it with `plant-`");
    for (expect, sentence) in [
        (json!({"verdict": "reject", "reason": "plant-", "path": "/name"}), ""),
        (json!({"verdict": "accept"}), "expected accept, found reject, since /other: another; /name: begin it with `plant-`"),
        (
            json!({"verdict": "reject", "reason": "plant-", "path": "/other"}),
            "expected a reason with `plant-` at `/other`, found `/other: another; /name: begin it with `plant-``",
        ),
    ] {
        assert_eq!(document_difference(&expect, &refused), sentence, "{expect}");
    }
    // That it fails is nobody's example of a rejection.
    let failed = End::Failed("it trapped".to_owned());
    assert_eq!(document_difference(&json!({"verdict": "reject"}), &failed), "expected reject, found failed, since it trapped");
}

#[test]
fn an_object_that_ends_otherwise_is_told_in_a_sentence() {
    let stored = |bytes: &'static [u8]| End::Passed {
        changed: true,
        now: Stored { bytes: Bytes::from_static(bytes), media_type: Some("text/plain".to_owned()) },
    };
    let sha256 = "2c8b08da5ce60398e1f19af0e5dccc744df274b826abe585eaba68c525434806";
    for (expect, end, sentence) in [
        (
            json!({"verdict": "replace", "text": "one\n", "size": 4, "sha256": sha256, "mediaType": "text/plain"}),
            stored(b"one\n"),
            "",
        ),
        (json!({"verdict": "accept"}), stored(b""), "expected accept, found replace"),
        (
            json!({"verdict": "replace", "mediaType": "image/png"}),
            stored(b""),
            "expected the media type image/png, found text/plain",
        ),
        (json!({"verdict": "replace", "size": 3}), stored(b"one\n"), "expected 3 bytes, found 4"),
        (json!({"verdict": "replace", "text": "one"}), stored(b"one\n"), r#"expected "one", found "one\n""#),
        (
            json!({"verdict": "replace", "base64": "b2//"}),
            stored(b"one\n"),
            "expected 3 bytes, found 4; they differ from byte 1 on",
        ),
        (json!({"verdict": "reject", "reason": "too large"}), refusal("", "it is too large"), ""),
        (
            json!({"verdict": "reject", "reason": "a text"}),
            refusal("", "it is too large"),
            "expected a reason with `a text`, found `/other: another; it is too large`",
        ),
    ] {
        let expectation: ObjectExpectation = serde_json::from_value(expect.clone()).expect("it is sound");
        assert_eq!(expectation.difference(&end).unwrap_or_default(), sentence, "{expect}");
    }
    let expect: ObjectExpectation = serde_json::from_value(json!({"verdict": "replace", "sha256": sha256})).expect("it is sound");
    assert!(expect.difference(&stored(b"one")).is_some_and(|line| line.contains("found 3 of 7692c3ad3540bb80")));
}

#[test]
fn what_is_no_component_is_refused() {
    for torn in
        [&b""[..], b"\0asm", b"\0asm\x0d\0\x01\0\0", b"\0asm\x0d\0\x01\0\0\xff\xff\xff\xff\x7f", b"\0asm\x0d\0\x01\0\0\x01\x05"]
    {
        assert!(of(torn).is_err(), "{torn:?}");
    }
    let other = b"\0asm\x0d\0\x01\0\0\x06\x04name\0";
    assert!(of(other).expect("another section is none of ours").is_empty());
}

/// JSON with the words of cases in it, so that it comes near to what is right.
fn json_of_any_kind() -> impl Strategy<Value = Json> {
    let word = prop::sample::select(vec![
        "kind",
        "operation",
        "subject",
        "id",
        "body",
        "delete",
        "objectName",
        "text",
        "base64",
        "bucket",
        "verdict",
        "accept",
        "replace",
        "reject",
        "reason",
        "path",
        "values",
        "sha256",
        "size",
        "/a",
        "",
        "QQ==",
    ]);
    let text = word.prop_map(str::to_owned);
    let leaf = prop_oneof![
        Just(Json::Null),
        any::<bool>().prop_map(Json::from),
        any::<i64>().prop_map(Json::from),
        text.clone().prop_map(Json::from),
    ];
    leaf.prop_recursive(3, 24, 6, move |inner| {
        let object = proptest::collection::hash_map(text.clone(), inner.clone(), 0..6);
        prop_oneof![
            proptest::collection::vec(inner, 0..6).prop_map(Json::from),
            object.prop_map(|fields| Json::Object(fields.into_iter().collect())),
        ]
    })
}

fn json_object() -> impl Strategy<Value = Map<String, Json>> {
    proptest::collection::hash_map("[a-z]{1,3}", json_of_any_kind(), 0..5).prop_map(|fields| fields.into_iter().collect())
}

proptest! {
    #[test]
    fn any_bytes_are_an_answer(tail in proptest::collection::vec(any::<u8>(), 0..300)) {
        let _ = of(&[EMPTY, &tail].concat());
        let _ = parse(&tail);
    }

    #[test]
    fn any_text_inside_the_section_is_an_answer(json in "[\\[\\]{}:,\"a-z0-9 ]{0,200}") {
        if let Ok(whole) = append(EMPTY, json.as_bytes()) {
            prop_assert!(of(&whole).is_ok());
        }
    }

    #[test]
    fn whatever_stands_where_a_document_or_an_object_does_is_an_answer(one in json_of_any_kind(), other in json_of_any_kind()) {
        for shows in ["document", "object"] {
            let case = json!([{ "name": "a", shows: one.clone(), "expect": other.clone() }]);
            let _ = parse(case.to_string().as_bytes());
            let sound = if shows == "document" { json!({"kind": "k", "body": {}}) } else { json!({"objectName": "o", "text": ""}) };
            let case = json!([{ "name": "a", shows: sound, "expect": other.clone() }]);
            let _ = parse(case.to_string().as_bytes());
        }
    }

    #[test]
    fn a_document_is_as_it_is_and_differs_where_it_is_changed(body in json_object(), change in json_of_any_kind()) {
        let end = End::Passed { changed: false, now: body.clone() };
        let values: BTreeMap<String, Json> =
            body.iter().map(|(name, value)| (format!("/{name}"), value.clone())).collect();
        let expect = json!({ "verdict": "accept", "body": body.clone(), "values": values });
        prop_assert_eq!(document_difference(&expect, &end), "");
        for name in body.keys() {
            let mut other = body.clone();
            other.insert(name.clone(), change.clone());
            let (first, second) = (Json::Object(body.clone()), Json::Object(other.clone()));
            let same = places(&first, &second, Number::eq, 1).is_empty();
            let expect = json!({ "verdict": "accept", "body": other });
            prop_assert_eq!(same, document_difference(&expect, &end).is_empty());
        }
    }

    #[test]
    fn bytes_are_as_they_are_and_differ_where_they_are_changed(bytes in proptest::collection::vec(any::<u8>(), 0..80), more in any::<u8>()) {
        use base64::Engine as _;
        let base64 = base64::engine::general_purpose::STANDARD.encode(&bytes);
        let expect: ObjectExpectation = serde_json::from_value(json!({ "verdict": "accept", "base64": base64 })).expect("it is sound");
        let end = |bytes: Vec<u8>| End::Passed { changed: false, now: Stored { bytes: bytes.into(), media_type: None } };
        prop_assert_eq!(expect.difference(&end(bytes.clone())), None);
        let longer = [&bytes[..], &[more]].concat();
        prop_assert!(expect.difference(&end(longer)).is_some());
    }

    #[test]
    fn numbers_are_read_as_they_were_written(number in 0_usize..=0xffff_ffff) {
        let mut bytes = Vec::new();
        write_leb(&mut bytes, number);
        let mut at = 0;
        prop_assert_eq!(read_leb(&bytes, &mut at), Some(number));
        prop_assert_eq!(at, bytes.len());
    }
}
