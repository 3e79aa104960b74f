//! What the fuzz targets try, as functions: each takes any bytes and must not panic, and what it lets through must be sound.
//!
//! `tests/decoders.rs` calls them as well, so that they keep up with the decoders without a fuzzer.

use std::sync::Arc;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use weir::batch::{Batch, Source};
use weir::schema::decode::avro::{Plan, Schemas};
use weir::schema::decode::{Collector, Decoder, Format, bulk};

/// Avro schemas of readings in different shapes. The first byte of a message chooses one.
pub const SCHEMAS: [&str; 3] = [
    r#"{"type":"record","name":"r","fields":[{"name":"sensorId","type":"string"},{"name":"timestamp","type":"long"},
        {"name":"values","type":{"type":"map","values":["null","double","long","boolean","string"]}}]}"#,
    r#"{"type":"record","name":"r","fields":[{"name":"unit","type":["null",{"type":"map","values":"string"}]},
        {"name":"sensorId","type":"string"},{"name":"timestamp","type":{"type":"long","logicalType":"timestamp-micros"}},
        {"name":"quality","type":["null",{"type":"enum","name":"q","symbols":["good","suspect","bad"]}]},
        {"name":"values","type":["null",{"type":"map","values":["float","int"]}]},{"name":"value","type":["null","double"]}]}"#,
    r#"{"type":"record","name":"r","fields":[{"name":"sensorId","type":"string"},{"name":"timestamp","type":"string"},
        {"name":"values","type":{"type":"record","name":"v","fields":[{"name":"t","type":["null","double"]},
        {"name":"on","type":"boolean"}]}},{"name":"schemaRef","type":["null","string"]},{"name":"topic","type":["null","string"]}]}"#,
];

fn now() -> DateTime<Utc> {
    DateTime::from_timestamp(1_780_000_000, 0).unwrap_or_default()
}

fn source() -> Source {
    Source::Kafka { partition: 0, offset: 7, key: None, headers: [].into() }
}

/// A Kafka message of JSON.
pub fn json_message(bytes: &[u8]) {
    sound(&decoded(Format::Json, &Bytes::copy_from_slice(bytes)));
}

/// The body of a bulk request.
pub fn json_bulk(bytes: &[u8]) {
    let Ok(readings) = bulk(&Bytes::copy_from_slice(bytes)) else { return };
    let mut collector = Collector::new(now());
    let taken = readings.iter().zip(0..).filter(|(raw, index)| collector.add(raw, *index).is_ok()).count();
    assert_eq!(collector.len(), taken);
    let batches = collector.finish();
    assert_eq!(batches.iter().map(|batch| batch.readings().len()).sum::<usize>(), taken);
    batches.iter().for_each(sound);
}

/// A Kafka message of Avro: one of [`SCHEMAS`] by the first byte, and the record.
pub fn avro_message(bytes: &[u8]) {
    let Some((choice, record)) = bytes.split_first() else { return };
    let number = i32::from(*choice) % 4;
    // One number names nothing.
    let plans = SCHEMAS.iter().zip(0..).map(|(text, at)| (at, Plan::new(text, &[]).map(Arc::new).map_err(Into::into)));
    let schemas = Schemas(plans.collect());
    let payload: Bytes = [&[0][..], &number.to_be_bytes(), record].concat().into();
    let batch = decoded(Format::Avro(Arc::new(schemas)), &payload);
    assert_eq!(batch.readings().len(), 1);
    assert_eq!(batch.readings()[0].raw, payload);
    sound(&batch);
}

/// An Avro schema that is to be registered, and behind a NUL each, what it refers to.
pub fn avro_schema(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let mut parts = text.split('\0');
    let definition = parts.next().unwrap_or_default();
    let references: Vec<Arc<str>> = parts.map(Into::into).collect();
    let Ok(plan) = Plan::new(definition, &references) else { return };
    let schemas = Schemas([(0, Ok(Arc::new(plan)))].into());
    sound(&decoded(Format::Avro(Arc::new(schemas)), &Bytes::from_static(&[0, 0, 0, 0, 0, 2, b's', 2, 2, 2, 2, b't', 0, 0, 0])));
}

fn decoded(format: Format, payload: &Bytes) -> Batch {
    let mut decoder = Decoder::new(&"t".into(), format, now());
    decoder.message(payload.clone(), source());
    let batch = decoder.finish();
    assert!(!batch.is_empty(), "a message that leaves nothing behind is not accounted for");
    batch
}

/// What holds of every batch: columns of one length, names that occur, values that a row may hold, and rows of what stands alone.
fn sound(batch: &Batch) {
    let columns = batch.columns();
    let rows = columns.rows();
    for length in [columns.sensor.len(), columns.metric.len(), columns.unit.len(), columns.value.len(), columns.reading.len()] {
        assert_eq!(length, rows);
    }
    let mut valued = vec![false; batch.readings().len()];
    let mut named = vec![false; columns.sensors.len()];
    for row in 0..rows {
        named[columns.sensor[row] as usize] = true;
        assert!((columns.metric[row] as usize) < columns.metrics.len() && (columns.unit[row] as usize) < columns.units.len());
        assert!(columns.time[row] >= 0);
        let text = u32::try_from(row).ok().and_then(|row| columns.text_of(row));
        assert!(columns.value[row].is_finite() || text.is_some_and(|text| !text.contains('\0')));
        valued[columns.reading[row] as usize] = true;
    }
    assert!(named.iter().all(|named| *named), "a sensor that no row is of: the policy would be asked about it");
    for (reading, valued) in (0..).zip(valued) {
        assert_eq!(batch.stands(reading), valued, "what stands has values, and what is refused has none");
    }
}
