//! Judges readings, but imports an interface that Weir does not grant: Weir has to refuse it when it is uploaded.

#![expect(unsafe_code, clippy::pedantic, reason = "wit-bindgen generates it")]

mod bindings {
    wit_bindgen::generate!({
        path: ["../../../wit/v1.0.0", "wit"],
        world: "other:thing/asks-for-more",
        generate_all,
    });
}

use self::bindings::exports::weir::validator::readings::{Batch, Guest, Outcome};
use self::bindings::other::thing::doors;

struct Fault;

impl Guest for Fault {
    fn check(_: Batch) -> Result<Outcome, String> {
        // Called, since an import that nothing uses does not reach the component.
        if doors::open("cellar") {
            return Err("the cellar is open".to_owned());
        }
        Ok(Outcome { rejected: vec![], suspect: vec![], value: vec![], text: vec![], unit: vec![], derived: vec![] })
    }
}

bindings::export!(Fault with_types_in bindings);
