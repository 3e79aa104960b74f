//! The interface as it is: batches in columns, one call for all rows. For guests that need what the traits of this crate hide.
//!
//! Here are the readings of version 1.0.0, the oldest that has them, so that every host runs what is built on them; the modules have
//! what 1.1.0 added. Their worlds name their export alone: whatever a world of this crate imports under the number 1.1.0,
//! `wit-component` would raise to that number in every guest. `config` and `log` are therefore imported as 1.0.0 throughout, which
//! says the same.

#![expect(missing_docs, clippy::pedantic, reason = "wit-bindgen generates it")]

pub mod batches;
pub mod documents;
pub mod lookup;
pub mod objects;

wit_bindgen::generate!({
    path: "../../wit/v1.0.0",
    world: "reading-validator",
    pub_export_macro: true,
    default_bindings_module: "weir_validator_sdk::bindings",
});

pub use self::exports::weir::validator::readings::{Batch, Derived, Guest, Outcome, Rejection};
