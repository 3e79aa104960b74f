//! The guests of `validators/`, built by `scripts/guests`.

use std::fs;
use std::path::Path;

use super::services;

/// The component's bytes, such as of `range-check` or `fault-loops`.
pub fn component(name: &str) -> Vec<u8> {
    let path = Path::new(&services::guests()).join(format!("{name}.wasm"));
    fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}; run scripts/guests", path.display()))
}
