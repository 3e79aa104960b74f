//! `weir:validator@1` and the host's own values, a module for each world. The next version gets a folder of its own.
//!
//! The newest minor version is what is spoken here. wasmtime finds an older guest's `readings@1.0.0` by the name of `readings@1.1.0`
//! and compares their types, and a published interface only grows, so that an older guest needs no code of its own.

pub(super) mod documents;
pub(super) mod objects;
pub(super) mod readings;

pub(super) use self::readings::weir::validator as granted;
