//! The objects of version 1.1.0.

wit_bindgen::generate!({
    path: "../../wit/v1.1.0",
    inline: "
        package weir:sdk;
        world judges-objects {
            export weir:validator/objects@1.1.0;
        }
    ",
    world: "weir:sdk/judges-objects",
    pub_export_macro: true,
    default_bindings_module: "weir_validator_sdk::bindings::objects",
    generate_all,
});

pub use self::exports::weir::validator::objects::{Beginning, Closing, Ending, Guest, Object, Piece};
