//! The functions that `make fuzz` runs for hours, here for a moment: on sound inputs cut, changed and repeated at every place.

#[path = "../fuzz/src/lib.rs"]
mod targets;

/// Sound inputs for a target.
fn tried(target: fn(&[u8]), seeds: &[Vec<u8>]) {
    for seed in seeds {
        target(seed);
        for place in 0..seed.len() {
            target(&seed[..place]);
            target(&[&seed[..place], &seed[place / 2..]].concat());
            for byte in [0, b'"', b'0', b'{', b'}', 0x7f, 0x80, 0xff] {
                let mut changed = seed.clone();
                changed[place] = byte;
                target(&changed);
            }
        }
    }
}

const READINGS: [&str; 4] = [
    r#"{"sensorId":"s","timestamp":0,"values":{"t":1.5,"on":true,"mode":"e\u0063o"},"unit":{"t":"Cel"},"quality":"bad"}"#,
    r#"[{"sensorId":"s","timestamp":"2026-05-04T12:00:00Z","value":1},{"sensorId":"t","timestamp":1,"value":9007199254740993}]"#,
    "{\"sensorId\":\"s\",\"timestamp\":0,\"value\":1}\n\n{\"sensorId\":\"s\",\"timestamp\":1,\"value\":1e999}",
    r#"{"readings":[{"sensorId":"s","timestamp":0,"value":1},{"sensorId":"s","timestamp":0,"value":1,"topic":"t"}]}"#,
];

#[test]
fn no_json_breaks_the_decoder() {
    let seeds: Vec<Vec<u8>> = READINGS.iter().map(|seed| seed.as_bytes().to_vec()).collect();
    tried(targets::json_message, &seeds);
    tried(targets::json_bulk, &seeds);
}

#[test]
fn no_avro_breaks_the_decoder() {
    let double = 1.5f64.to_le_bytes();
    let seeds = [
        [&[0, 2, b's', 0, 4, 2, b't', 2], &double[..], &[2, b'n', 4, 7, 0]].concat(),
        [&[1, 2, 2, 2, b't', 2, b'C', 0, 2, b's', 2, 0, 2, 1, 4, 2, b't', 2, 6, 0, 0][..]].concat(),
        [&[2, 2, b's', 40], &b"2026-05-04T12:00:00Z"[..], &[2], &double[..], &[1, 0, 2, 2, b't']].concat(),
    ];
    tried(targets::avro_message, &seeds);
}

#[test]
fn no_avro_schema_breaks_its_reader() {
    let mut seeds: Vec<Vec<u8>> = targets::SCHEMAS.iter().map(|schema| schema.as_bytes().to_vec()).collect();
    let referring = r#"{"type":"record","name":"r","namespace":"a","fields":[{"name":"sensorId","type":"string"},
        {"name":"timestamp","type":"long"},{"name":"values","type":"b.V"}]}"#;
    let referred = r#"{"type":"record","name":"V","namespace":"b","fields":[{"name":"t","type":"double"}]}"#;
    seeds.push([referring, referred, referred].join("\0").into_bytes());
    tried(targets::avro_schema, &seeds);
}
