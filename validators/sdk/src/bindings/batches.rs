//! The readings of version 1.1.0: what a guest has to export that uses `lookup`.

wit_bindgen::generate!({
    path: "../../wit/v1.1.0",
    inline: "
        package weir:sdk;
        world judges-batches {
            export weir:validator/readings@1.1.0;
        }
    ",
    world: "weir:sdk/judges-batches",
    pub_export_macro: true,
    default_bindings_module: "weir_validator_sdk::bindings::batches",
    generate_all,
});

pub use self::exports::weir::validator::readings::{Batch, Derived, Guest, Outcome, Rejection};
