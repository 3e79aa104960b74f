//! A valid component of another world: Weir has to refuse it when it is uploaded, as there is nothing in it to call.

#![expect(unsafe_code, clippy::pedantic, reason = "wit-bindgen generates it")]

mod bindings {
    wit_bindgen::generate!({ path: "wit", world: "greeter" });
}

use self::bindings::exports::other::thing::greeting::Guest;

struct Fault;

impl Guest for Fault {
    fn greet(name: String) -> String {
        format!("hello {name}")
    }
}

bindings::export!(Fault with_types_in bindings);
