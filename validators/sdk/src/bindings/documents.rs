//! The documents of version 1.1.0.

wit_bindgen::generate!({
    path: "../../wit/v1.1.0",
    inline: "
        package weir:sdk;
        world judges-documents {
            export weir:validator/documents@1.1.0;
        }
    ",
    world: "weir:sdk/judges-documents",
    pub_export_macro: true,
    default_bindings_module: "weir_validator_sdk::bindings::documents",
    generate_all,
});

pub use self::exports::weir::validator::documents::{Document, Guest, Operation, Problem, Verdict};
