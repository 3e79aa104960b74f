//! A Kafka message of JSON.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| weir_fuzz::json_message(bytes));
