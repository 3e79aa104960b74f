//! The interface as it is: batches in columns, one call for all rows. For guests that [`Validator`](crate::Validator) does not
//! suit, as one that judges a batch as a whole.

#![expect(missing_docs, clippy::pedantic, reason = "wit-bindgen generates it")]

wit_bindgen::generate!({
    path: "../../wit/v1.0.0",
    world: "reading-validator",
    pub_export_macro: true,
    default_bindings_module: "weir_validator_sdk::bindings",
});

pub use self::exports::weir::validator::readings::{Batch, Derived, Guest, Outcome, Rejection};
