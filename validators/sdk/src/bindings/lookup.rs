//! The last stored values, which version 1.1.0 added.

wit_bindgen::generate!({
    path: "../../wit/v1.1.0",
    inline: "
        package weir:sdk;
        world asks-for-last-values {
            import weir:validator/lookup@1.1.0;
        }
    ",
    world: "weir:sdk/asks-for-last-values",
    ownership: Borrowing { duplicate_if_necessary: false },
    generate_all,
});

pub use self::weir::validator::lookup::{Last, latest};
