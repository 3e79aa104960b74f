//! Avro topics: schemas of Weir's own registry and of a Confluent-compatible one.

use std::time::Duration;

use apache_avro::Schema;
use apache_avro::types::Value as Avro;
use apache_avro::writer::datum::GenericDatumWriter;
use serde_json::{Value, json};
use sqlx::PgPool;
use wiremock::matchers::{any, basic_auth, path};
use wiremock::{Mock, MockServer, ResponseTemplate};

use super::{accounted_for, wait_for};
use crate::support::app::App;
use crate::support::broker::Broker;

const TOPICS: &str = "/api/platform/kafka-topics";
const SCHEMAS: &str = "/api/platform/schemas";

/// The schema of a reading whose one value has this type.
fn schema(value: &Value) -> Value {
    json!({ "type": "record", "name": "Reading", "namespace": "org.example", "fields": [
        { "name": "sensorId", "type": "string" },
        { "name": "timestamp", "type": { "type": "long", "logicalType": "timestamp-millis" } },
        { "name": "value", "type": value },
    ] })
}

/// Message `number`, written by a schema that has this number in its registry.
fn message(schema: &Value, registered: i64, number: i64, value: Avro) -> Vec<u8> {
    let schema = Schema::parse(schema).expect("a schema");
    let record = [
        ("sensorId", Avro::String("room".into())),
        ("timestamp", Avro::TimestampMillis(1_777_896_000_000 + number)),
        ("value", value),
    ];
    let record = Avro::Record(record.map(|(name, value)| (name.to_owned(), value)).into());
    let writer = GenericDatumWriter::builder(&schema).build().expect("a writer");
    let datum = writer.write_value_to_vec(record).expect("a record of the schema");
    let registered = u32::try_from(registered).expect("a number of four bytes");
    [&[0], registered.to_be_bytes().as_slice(), &datum].concat()
}

/// Read, stored and quarantined, and the reasons in the order of the messages.
async fn outcome(pool: &PgPool) -> ((i64, i64, i64), Vec<String>) {
    let books = sqlx::query_as("select sum(read)::bigint, sum(stored)::bigint, sum(quarantined)::bigint from batches");
    let reasons = sqlx::query_scalar("select reason from quarantine order by message_offset");
    (books.fetch_one(pool).await.expect("books"), reasons.fetch_all(pool).await.expect("rows"))
}

#[tokio::test(flavor = "multi_thread")]
async fn records_are_read_by_the_tenants_own_schemas_and_by_no_others() {
    let broker = Broker::connect();
    let topic = broker.topic(1).await;
    let app = App::builder().with_kafka().start().await;
    let body = |value: &Value| json!({ "name": "room", "type": "avro", "definition": schema(value) });
    let (double, text) = (json!("double"), json!(["null", "string"]));
    let first = app.acme().post(SCHEMAS, &body(&double)).await.expect(201)["data"].clone();
    let second = app.acme().post(SCHEMAS, &body(&text)).await.expect(201)["data"].clone();
    let foreign = app.globex().post(SCHEMAS, &body(&double)).await.expect(201)["data"].clone();
    let number = |schema: &Value| schema["number"].as_i64().expect("a number");
    app.acme().post(TOPICS, &json!({ "name": topic, "format": "avro", "schemaId": first["id"] })).await.expect(201);
    let good = |one: i64| message(&schema(&double), number(&first), one, Avro::Double(0.1));
    let word = Avro::Union(1, Box::new(Avro::String("eco".into())));
    let payloads = [
        good(1),
        message(&schema(&text), number(&second), 2, word),
        message(&schema(&double), number(&foreign), 3, Avro::Double(1.0)),
        message(&schema(&double), number(&first), 4, Avro::Double(f64::NAN)),
        [good(5), vec![0]].concat(),
        br#"{"sensorId":"room","timestamp":6,"value":1}"#.to_vec(),
        Vec::new(),
        good(8),
    ];
    broker.produce(&topic, 1, payloads).await;
    let pool = app.databases.readings().await;
    wait_for(&pool, 8, Duration::from_mins(1)).await;
    let (counts, reasons) = outcome(&pool).await;
    assert_eq!(counts, (8, 3, 5), "{reasons:?}");
    for (reason, part) in reasons.iter().zip(["there is no schema", "finite", "left after", "wire format", "wire format"]) {
        assert!(reason.contains(part), "{part}: {reasons:?}");
    }
    let rows: Vec<(Option<f64>, Option<String>)> =
        sqlx::query_as("select value, text from readings order by time").fetch_all(&pool).await.expect("rows");
    assert_eq!((rows[0].0, rows[1].0, rows[1].1.as_deref()), (Some(0.1), None, Some("eco")));
    app.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_registry_by_url_is_asked_and_while_it_is_away_nothing_is_lost() {
    let registry = MockServer::start().await;
    let away = Mock::given(any()).respond_with(ResponseTemplate::new(503)).mount_as_scoped(&registry).await;
    let broker = Broker::connect();
    let topic = broker.topic(1).await;
    let app = App::builder()
        .with_kafka()
        .set("WEIR_REGISTRY_URL", registry.uri())
        .set("WEIR_REGISTRY_USERNAME", "weir")
        .set("WEIR_REGISTRY_PASSWORD", "hunter22")
        .start()
        .await;
    app.acme().post(TOPICS, &json!({ "name": topic, "format": "avro" })).await.expect(201);
    let whole = schema(&json!({ "type": "enum", "name": "Mode", "symbols": ["eco", "boost"] }));
    let good = |one: i64| message(&whole, 700, one, Avro::Enum(1, "boost".into()));
    let payloads = [good(1), message(&whole, 701, 2, Avro::Enum(0, "eco".into())), good(3)];
    broker.produce(&topic, 1, payloads).await;
    let pool = app.databases.readings().await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(accounted_for(&pool).await, 0, "nothing is decided while the registry is away");
    drop(away);
    // The schema names a type that another subject defines.
    let referring = json!({ "schema": schema(&json!("Mode")).to_string(), "references": [
        { "name": "org.example.Mode", "subject": "modes", "version": 3 },
    ] });
    let mode = json!({ "type": "enum", "name": "Mode", "namespace": "org.example", "symbols": ["eco", "boost"] });
    let known = [
        ("/schemas/ids/700", 200, referring),
        ("/subjects/modes/versions/3", 200, json!({ "subject": "modes", "version": 3, "id": 9, "schema": mode.to_string() })),
        ("/schemas/ids/701", 404, json!({ "error_code": 40403, "message": "Schema not found" })),
    ];
    for (at, status, body) in known {
        let answer = ResponseTemplate::new(status).set_body_json(body);
        Mock::given(path(at)).and(basic_auth("weir", "hunter22")).respond_with(answer).mount(&registry).await;
    }
    wait_for(&pool, 3, Duration::from_mins(1)).await;
    let (counts, reasons) = outcome(&pool).await;
    assert_eq!((counts, reasons), ((3, 2, 1), vec!["there is no schema 701".to_owned()]));
    let texts: Vec<Option<String>> = sqlx::query_scalar("select text from readings").fetch_all(&pool).await.expect("rows");
    assert_eq!(texts, [Some("boost".to_owned()), Some("boost".to_owned())]);
    app.stop();
}
