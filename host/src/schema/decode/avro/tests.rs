//! Records of every shape, written by the library and read by the plan; and what is refused.

use apache_avro::Schema;
use apache_avro::types::Value;
use proptest::prelude::*;
use serde_json::json;

use super::super::tests::{now, reasons, rows, source, standing};
use super::super::{Decoder, Format};
use super::*;
use crate::batch::Batch;

const NUMBER: i32 = 7;

fn message_of(datum: &[u8]) -> Vec<u8> {
    [&[0], NUMBER.to_be_bytes().as_slice(), datum].concat()
}

fn write(definition: &str, record: Value) -> Vec<u8> {
    let schema = Schema::parse_str(definition).expect("a schema");
    let writer = apache_avro::writer::datum::GenericDatumWriter::builder(&schema).build().expect("a writer");
    message_of(&writer.write_value_to_vec(record).expect("a record of it"))
}

fn decoded(definition: &str, messages: impl IntoIterator<Item = Vec<u8>>) -> Batch {
    let plan = Plan::new(definition, &[]).map(Arc::new).map_err(Into::into);
    let schemas = Schemas([(NUMBER, plan)].into());
    let mut decoder = Decoder::new(&"t".into(), Format::Avro(Arc::new(schemas)), now());
    for message in messages {
        decoder.message(message.into(), source());
    }
    decoder.finish()
}

/// A schema of readings with these types of `values` and of `timestamp`.
fn schema(values: &serde_json::Value, timestamp: &serde_json::Value) -> String {
    let fields = json!([
        { "name": "sensorId", "type": "string" },
        { "name": "unit", "type": ["null", { "type": "map", "values": "string" }], "default": null },
        { "name": "timestamp", "type": timestamp },
        { "name": "values", "type": values },
        { "name": "quality", "type": ["null", { "type": "enum", "name": "Quality", "symbols": ["good", "suspect", "bad"] }] },
        { "name": "schemaRef", "type": ["null", "string"] },
    ]);
    json!({ "type": "record", "name": "Reading", "namespace": "org.example", "fields": fields }).to_string()
}

fn map() -> serde_json::Value {
    json!({ "type": "map", "values": ["null", "double", "float", "int", "long", "boolean", "string"] })
}

fn union(branch: u32, value: Value) -> Value {
    Value::Union(branch, Box::new(value))
}

fn record(values: Value, timestamp: Value, unit: Value) -> Value {
    Value::Record(
        [
            ("sensorId", Value::String("room".into())),
            ("unit", unit),
            ("timestamp", timestamp),
            ("values", values),
            ("quality", union(1, Value::Enum(1, "suspect".into()))),
            ("schemaRef", union(1, Value::String("x@1".into()))),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .into(),
    )
}

fn no_unit() -> Value {
    union(0, Value::Null)
}

#[test]
fn every_type_of_value_is_read_exactly() {
    let values = [
        ("d", union(1, Value::Double(0.1))),
        ("f", union(2, Value::Float(0.5))),
        ("i", union(3, Value::Int(-7))),
        ("l", union(4, Value::Long(1 << 53))),
        ("b", union(5, Value::Boolean(true))),
        ("s", union(6, Value::String("eco".into()))),
        ("n", union(0, Value::Null)),
    ];
    let values = Value::Map(values.map(|(name, value)| (name.to_owned(), value)).into());
    let unit = union(1, Value::Map([("d".to_owned(), Value::String("Cel".into()))].into()));
    let millis = json!({ "type": "long", "logicalType": "timestamp-millis" });
    let definition = schema(&map(), &millis);
    let message = write(&definition, record(values, Value::TimestampMillis(1_777_896_000_000), unit));
    let batch = decoded(&definition, [message.clone()]);
    assert_eq!(standing(&batch), [true], "{:?}", reasons(&batch));
    let mut found = rows(&batch);
    found.sort_by(|one, other| one.2.cmp(&other.2));
    let row = |metric: &str, unit: &str, number: f64, text: Option<&str>| {
        (
            0,
            "room".to_owned(),
            metric.to_owned(),
            unit.to_owned(),
            1_777_896_000_000_000,
            number.to_bits(),
            text.map(str::to_owned),
        )
    };
    let expected = [
        row("b", "", 1.0, Some("true")),
        row("d", "Cel", 0.1, None),
        row("f", "", 0.5, None),
        row("i", "", -7.0, None),
        row("l", "", 9_007_199_254_740_992.0, None),
        row("s", "", f64::NAN, Some("eco")),
    ];
    assert_eq!(found, expected);
    let reading = &batch.readings()[0];
    assert_eq!((reading.quality, &*reading.schema_ref, &*reading.raw), (Quality::Suspect, "x@1", message.as_slice()));
}

#[test]
fn a_record_has_values_or_one_value_and_not_both() {
    let value = json!({ "name": "value", "type": ["null", "double"] });
    let mut definition: serde_json::Value = serde_json::from_str(&schema(&map(), &json!("long"))).expect("JSON");
    definition["fields"].as_array_mut().expect("fields").push(value);
    let definition = definition.to_string();
    let both = |value: Value| {
        let values = Value::Map([("a".to_owned(), union(1, Value::Double(1.0)))].into());
        let Value::Record(mut fields) = record(values, Value::Long(1_777_896_000_000), no_unit()) else { unreachable!() };
        fields.push(("value".to_owned(), value));
        write(&definition, Value::Record(fields))
    };
    let batch = decoded(&definition, [both(no_unit()), both(union(1, Value::Double(2.0)))]);
    assert_eq!(standing(&batch), [true, false]);
    assert!(reasons(&batch)[0].contains("not both"), "{:?}", reasons(&batch));
}

/// A value, as Avro and as JSON have it.
fn value() -> impl Strategy<Value = (Value, serde_json::Value)> {
    prop_oneof![
        any::<f64>()
            .prop_filter("finite", |number| number.is_finite())
            .prop_map(|number| (union(1, Value::Double(number)), json!(number))),
        (-(1i64 << 53)..=1 << 53).prop_map(|number| (union(4, Value::Long(number)), json!(number))),
        any::<bool>().prop_map(|on| (union(5, Value::Boolean(on)), json!(on))),
        "[^\\x00]{0,20}".prop_map(|text| (union(6, Value::String(text.clone())), json!(text))),
    ]
}

proptest! {
    #[test]
    fn a_record_becomes_the_rows_that_the_same_reading_in_json_becomes(
        values in proptest::collection::btree_map("[a-z]{1,3}", value(), 1..8),
        millis in 0i64..1_777_896_000_000,
    ) {
        let definition = schema(&map(), &json!("long"));
        let avro = values.iter().map(|(name, (avro, _))| (name.clone(), avro.clone())).collect();
        let json: serde_json::Map<_, _> = values.iter().map(|(name, (_, json))| (name.clone(), json.clone())).collect();
        let avro = decoded(&definition, [write(&definition, record(Value::Map(avro), Value::Long(millis), no_unit()))]);
        let json = json!({ "sensorId": "room", "timestamp": millis, "values": json, "quality": "suspect", "schemaRef": "x@1" });
        let mut decoder = Decoder::new(&"t".into(), Format::Json, now());
        decoder.message(json.to_string().into(), source());
        let json = decoder.finish();
        prop_assert_eq!(standing(&avro), standing(&json));
        let sorted = |batch: &Batch| {
            let mut rows = rows(batch);
            rows.sort();
            rows
        };
        prop_assert_eq!(sorted(&avro), sorted(&json));
    }
}

#[test]
fn a_record_of_values_and_every_form_of_time() {
    let values = json!({ "type": "record", "name": "Values", "fields": [
        { "name": "t", "type": "double" }, { "name": "on", "type": ["boolean", "null"] },
    ] });
    let logical = |name: &str| json!({ "type": "long", "logicalType": name });
    for (timestamp, value) in [
        (logical("timestamp-millis"), Value::TimestampMillis(1_000)),
        (logical("timestamp-micros"), Value::TimestampMicros(1_000_000)),
        (logical("timestamp-nanos"), Value::TimestampNanos(1_000_000_999)),
        (json!("long"), Value::Long(1_000)),
        (json!("string"), Value::String("1970-01-01T02:00:01+02:00".into())),
        (json!(["null", "string"]), union(1, Value::String("1970-01-01T00:00:01Z".into()))),
    ] {
        let definition = schema(&values, &timestamp);
        let fields = [("t", Value::Double(1.0)), ("on", union(1, Value::Null))].map(|(name, value)| (name.to_owned(), value));
        let batch = decoded(&definition, [write(&definition, record(Value::Record(fields.into()), value, no_unit()))]);
        assert_eq!(standing(&batch), [true], "{timestamp}: {:?}", reasons(&batch));
        assert_eq!(
            (batch.columns().time.as_slice(), batch.columns().metrics.as_slice()),
            ([1_000_000].as_slice(), ["t".to_owned()].as_slice())
        );
    }
}

#[test]
fn what_is_wrong_with_a_record_is_named_with_its_place() {
    let definition = schema(&map(), &json!("long"));
    let with = |value: Value| {
        let values = Value::Map([("t".to_owned(), value)].into());
        write(&definition, record(values, Value::Long(0), no_unit()))
    };
    let empty = || Value::Map([].into());
    let good = with(union(1, Value::Double(1.0)));
    let unit = |metric: &str, unit: &str| {
        let units = union(1, Value::Map([(metric.to_owned(), Value::String(unit.into()))].into()));
        write(&definition, record(Value::Map([("t".to_owned(), union(3, Value::Int(1)))].into()), Value::Long(0), units))
    };
    for (message, part) in [
        (with(union(1, Value::Double(f64::NAN))), "finite"),
        (with(union(2, Value::Float(f32::INFINITY))), "finite"),
        (with(union(4, Value::Long((1 << 53) + 1))), "2^53"),
        (with(union(4, Value::Long(i64::MIN))), "2^53"),
        (with(union(6, Value::String("\0".into()))), "NUL"),
        (with(union(6, Value::String("x".repeat(limits::TEXT_BYTES + 1)))), "at most"),
        (write(&definition, record(empty(), Value::Long(0), no_unit())), "at least one value"),
        (write(&definition, record(empty(), Value::Long(-1), no_unit())), "from 1970"),
        (write(&definition, record(empty(), Value::Long(i64::MAX), no_unit())), "beyond"),
        (unit("u", "Cel"), "no value of this metric"),
        (unit("t", ""), "a unit's name"),
        ([good.as_slice(), &[0]].concat(), "1 bytes are left"),
        (good[..good.len() - 1].to_vec(), "ends early"),
        (good[..4].to_vec(), "wire format"),
        (Vec::new(), "wire format"),
        (br#"{"sensorId":"s"}"#.to_vec(), "wire format"),
        ([&[0, 0, 0, 0, 8], &good[5..]].concat(), "there is no schema 8"),
        // A string, a map and a varint without an end.
        (message_of(&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01]), "negative"),
        (message_of(&[0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01]), "ends early"),
        (message_of(&[0xff; 100]), "64 bits"),
        (message_of(&[2, b'r', 2, 0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f]), "ends early"),
        (message_of(&[2, 0xff]), "UTF-8"),
        (message_of(&[2, b'r', 4]), "no such branch"),
    ] {
        let batch = decoded(&definition, [message.clone()]);
        assert_eq!(standing(&batch), [false], "{part}");
        assert!(reasons(&batch)[0].contains(part), "{part}: {:?}", reasons(&batch));
        assert_eq!((batch.columns().sensors.len(), batch.columns().rows()), (0, 0), "{part}");
    }
}

#[test]
fn a_metric_is_given_once_and_there_are_not_too_many() {
    let definition = schema(&json!({ "type": "map", "values": "boolean" }), &json!("long"));
    let entries = |names: &[String]| {
        let pairs =
            names.iter().flat_map(|name| [&[u8::try_from(name.len() * 2).expect("short")], name.as_bytes(), &[1]].concat());
        let mut long = Vec::new();
        let mut count = names.len() << 1;
        while count > 0x7f {
            long.push(u8::try_from(count & 0x7f).expect("seven bits") | 0x80);
            count >>= 7;
        }
        long.push(u8::try_from(count).expect("seven bits"));
        // room, no unit, time 0, the map in one block, no quality, no schemaRef
        message_of(&[&[8], b"room".as_slice(), &[0, 0], &long, &pairs.collect::<Vec<u8>>(), &[0, 0, 0]].concat())
    };
    let many: Vec<String> = (0..=limits::READING_VALUES).map(|number| format!("m{number}")).collect();
    let batch = decoded(
        &definition,
        [
            entries(&many[..2]),
            entries(&["a".to_owned(), "a".to_owned()]),
            entries(&many),
            entries(&many[..limits::READING_VALUES]),
        ],
    );
    assert_eq!(standing(&batch), [true, false, false, true], "{:?}", reasons(&batch));
    assert!(reasons(&batch)[0].contains("twice") && reasons(&batch)[1].contains("more than"));
}

#[test]
fn a_schema_that_describes_no_reading_says_what_is_missing() {
    let of = |fields: serde_json::Value| json!({ "type": "record", "name": "R", "fields": fields }).to_string();
    let string = |name: &str| json!({ "name": name, "type": "string" });
    let value = json!({ "name": "value", "type": "double" });
    for (definition, part) in [
        ("{".to_owned(), "no Avro schema"),
        (r#""string""#.to_owned(), "no record"),
        (r#"{"type":"record","name":"R","fields":[{"name":"a","type":"Nowhere"}]}"#.to_owned(), "no Avro schema"),
        (of(json!([string("timestamp"), value])), "`sensorId` is missing"),
        (of(json!([string("sensorId"), value])), "`timestamp` is missing"),
        (of(json!([string("sensorId"), string("timestamp")])), "`values` is missing"),
        (of(json!([string("sensorId"), string("timestamp"), value, string("colour")])), "`colour` is no field"),
        (of(json!([{ "name": "sensorId", "type": "int" }, string("timestamp"), value])), "`sensorId` is a string"),
        (of(json!([string("sensorId"), { "name": "timestamp", "type": "double" }, value])), "`timestamp` is"),
        (of(json!([string("sensorId"), string("timestamp"), { "name": "value", "type": "bytes" }])), "`value` is"),
        (
            of(json!([string("sensorId"), string("timestamp"), { "name": "values", "type": { "type": "map", "values": "R" } }])),
            "`values` is",
        ),
        (of(json!([string("sensorId"), string("timestamp"), { "name": "values", "type": "R" }])), "`values` is"),
        (
            of(
                json!([string("sensorId"), string("timestamp"), value, { "name": "unit", "type": { "type": "map", "values": "int" } }]),
            ),
            "`unit` is",
        ),
    ] {
        let found = Plan::new(&definition, &[]).expect_err(&definition);
        assert!(found.contains(part), "{definition}: {found}");
    }
}

#[test]
fn a_schema_may_name_types_of_its_references() {
    let quality: Arc<str> = r#"{"type":"enum","name":"org.example.Quality","symbols":["bad","good"]}"#.into();
    let definition = json!({ "type": "record", "name": "R", "namespace": "org.example", "fields": [
        { "name": "sensorId", "type": "string" },
        { "name": "timestamp", "type": "long" },
        { "name": "value", "type": "Quality" },
        { "name": "quality", "type": ["null", "org.example.Quality"] },
    ] })
    .to_string();
    assert!(Plan::new(&definition, &[]).is_err());
    let plan = Plan::new(&definition, &[quality]).expect("the reference is there");
    let schemas = Schemas([(NUMBER, Ok(Arc::new(plan)))].into());
    let mut decoder = Decoder::new(&"t".into(), Format::Avro(Arc::new(schemas)), now());
    decoder.message(message_of(&[2, b's', 0, 2, 2, 0]).into(), source());
    let batch = decoder.finish();
    assert_eq!(standing(&batch), [true], "{:?}", reasons(&batch));
    assert_eq!((batch.columns().text_of(0), batch.readings()[0].quality), (Some("good"), Quality::Bad));
}

mod properties {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn every_message_is_accounted_for(
            number in -1.0e9f64..1.0e9,
            text in "\\PC{0,8}",
            changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
        ) {
            let definition = schema(&map(), &json!("long"));
            let values = [("t".to_owned(), union(1, Value::Double(number))), ("s".to_owned(), union(6, Value::String(text)))];
            let mut message = write(&definition, record(Value::Map(values.into()), Value::Long(5), no_unit()));
            let sound = changes.is_empty();
            for (at, byte) in changes {
                let at = at.index(message.len());
                message[at] = byte;
            }
            let batch = decoded(&definition, [message]);
            prop_assert_eq!(batch.readings().len(), 1);
            rows(&batch);
            prop_assert!(!sound || batch.stands(0));
        }

        #[test]
        fn any_schema_is_a_plan_or_a_sentence(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            let _ = Plan::new(&String::from_utf8_lossy(&bytes), &[]);
        }
    }
}

/// A record whose one default lies in so many unions inside one another.
fn default_in_unions(levels: usize) -> String {
    let leaf = r#"{"type":"record","name":"r","fields":[]}"#.to_owned();
    let (kind, default) = (0..levels).fold((leaf, "{}".to_owned()), |(kind, default), level| {
        let kind = format!(r#"{{"type":"record","name":"n{level}","fields":[{{"name":"f","type":[{kind},"null"]}}]}}"#);
        (kind, format!(r#"{{"f":{default}}}"#))
    });
    format!(r#"{{"type":"record","name":"top","fields":[{{"name":"f","type":[{kind},"null"],"default":{default}}}]}}"#)
}

#[test]
fn a_default_in_many_unions_costs_nothing() {
    // `apache_avro` by itself takes twice as long for each level: for these, a minute.
    let started = std::time::Instant::now();
    Plan::new(&default_in_unions(28), &[]).expect_err("it describes no reading");
    assert!(started.elapsed() < std::time::Duration::from_secs(10), "{:?}", started.elapsed());
}
