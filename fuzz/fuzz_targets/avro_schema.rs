//! An Avro schema that is to be registered.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| weir_fuzz::avro_schema(bytes));
