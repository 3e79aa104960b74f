//! A Kafka message of Avro.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| weir_fuzz::avro_message(bytes));
