//! Panics over a document that has the word `trap` in it, lets every other one pass as it is.

use weir_validator_sdk::bindings::documents::{self, Document, Guest, Verdict};

struct Fault;

impl Guest for Fault {
    fn check(document: Document) -> Result<Verdict, String> {
        assert!(!document.body.contains("trap"), "this guest panics over documents with the word trap");
        Ok(Verdict::Accept)
    }
}

documents::export!(Fault with_types_in documents);
