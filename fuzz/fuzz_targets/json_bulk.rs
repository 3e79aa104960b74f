//! The body of a bulk request.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| weir_fuzz::json_bulk(bytes));
