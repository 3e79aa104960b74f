//! A validator's way through an object.

use std::cell::RefCell;

use super::{Beginning, Closing, Object, ObjectValidator, Piece};
use crate::Config;
use crate::bindings::objects as interface;

/// What became of an object, bytes and all.
#[derive(Clone, Debug, PartialEq)]
pub enum Judged {
    /// It is stored.
    Stored {
        /// What is stored.
        bytes: Vec<u8>,
        /// The media type that the validator gave it, if it did.
        media_type: Option<String>,
    },
    /// It is not stored, for this reason.
    Rejected(String),
}

/// Shows an object to a validator as Weir does: how a test sees what will be stored.
pub fn judge_object<'b, V: ObjectValidator>(
    validator: &mut V,
    object: &Object<'_>,
    chunks: impl IntoIterator<Item = &'b [u8]>,
) -> Result<Judged, String> {
    let mut bytes = Vec::new();
    let mut passes = match validator.begin(object)? {
        Beginning::Inspect => false,
        Beginning::Pass => true,
        Beginning::Reject(reason) => return Ok(Judged::Rejected(reason)),
    };
    for chunk in chunks {
        match if passes { Piece::Keep } else { validator.chunk(chunk)? } {
            Piece::Keep => bytes.extend_from_slice(chunk),
            Piece::Replace(other) => bytes.extend_from_slice(&other),
            Piece::Pass => {
                passes = true;
                bytes.extend_from_slice(chunk);
            }
            Piece::Reject(reason) => return Ok(Judged::Rejected(reason)),
        }
    }
    if passes {
        return Ok(Judged::Stored { bytes, media_type: None });
    }
    Ok(match validator.finish()? {
        Closing::Store { append, media_type } => {
            bytes.extend_from_slice(&append);
            Judged::Stored { bytes, media_type }
        }
        Closing::Reject(reason) => Judged::Rejected(reason),
    })
}

/// Makes the validator from what it was deployed with, for the object that begins. [`export_objects!`](crate::export_objects) calls
/// it, as the two below.
#[doc(hidden)]
pub fn begin<V: ObjectValidator>(state: &RefCell<Option<V>>, object: &interface::Object) -> Result<interface::Beginning, String> {
    let json = crate::bindings::weir::validator::config::json();
    let object = Object {
        bucket: &object.bucket,
        name: &object.name,
        media_type: object.media_type.as_deref(),
        size: object.size,
        metadata: &object.metadata,
        subject: &object.subject,
    };
    let mut validator = V::new(Config::new(&json))?;
    let beginning = validator.begin(&object)?;
    state.replace(Some(validator));
    Ok(match beginning {
        Beginning::Inspect => interface::Beginning::Inspect,
        Beginning::Pass => interface::Beginning::Pass,
        Beginning::Reject(reason) => interface::Beginning::Reject(reason),
    })
}

#[doc(hidden)]
pub fn chunk<V: ObjectValidator>(state: &RefCell<Option<V>>, bytes: &[u8]) -> Result<interface::Piece, String> {
    Ok(match state.borrow_mut().as_mut().ok_or_else(not_begun)?.chunk(bytes)? {
        Piece::Keep => interface::Piece::Keep,
        Piece::Replace(bytes) => interface::Piece::Replace(bytes),
        Piece::Pass => interface::Piece::Pass,
        Piece::Reject(reason) => interface::Piece::Reject(reason),
    })
}

#[doc(hidden)]
pub fn finish<V: ObjectValidator>(state: &RefCell<Option<V>>) -> Result<interface::Closing, String> {
    Ok(match state.take().ok_or_else(not_begun)?.finish()? {
        Closing::Store { append, media_type } => interface::Closing::Store(interface::Ending { append, media_type }),
        Closing::Reject(reason) => interface::Closing::Reject(reason),
    })
}

fn not_begun() -> String {
    "an object has to begin first; this is an error in Weir, please report it".to_owned()
}

/// Makes the component's exports of a type that is an [`ObjectValidator`](crate::ObjectValidator). Once per crate.
#[macro_export]
macro_rules! export_objects {
    ($validator:ty) => {
        const _: () = {
            use $crate::bindings::objects::{Beginning, Closing, Guest, Object, Piece};

            struct Exported;

            ::std::thread_local! {
                static STATE: ::core::cell::RefCell<::core::option::Option<$validator>> =
                    const { ::core::cell::RefCell::new(::core::option::Option::None) };
            }

            impl Guest for Exported {
                fn begin(object: Object) -> ::core::result::Result<Beginning, ::std::string::String> {
                    STATE.with(|state| $crate::objects::begin(state, &object))
                }

                fn chunk(bytes: ::std::vec::Vec<u8>) -> ::core::result::Result<Piece, ::std::string::String> {
                    STATE.with(|state| $crate::objects::chunk(state, &bytes))
                }

                fn finish() -> ::core::result::Result<Closing, ::std::string::String> {
                    STATE.with($crate::objects::finish)
                }
            }

    $crate::bindings::objects::export!(Exported with_types_in $crate::bindings::objects);
        };
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Turns bytes to upper case until a full stop, refuses question marks, ends with an exclamation mark.
    struct Shouts;

    impl ObjectValidator for Shouts {
        fn new(_: Config<'_>) -> Result<Self, String> {
            Ok(Self)
        }

        fn chunk(&mut self, bytes: &[u8]) -> Result<Piece, String> {
            Ok(match bytes {
                b"." => Piece::Pass,
                b"?" => Piece::Reject("a question".to_owned()),
                other => Piece::Replace(other.to_ascii_uppercase()),
            })
        }

        fn finish(&mut self) -> Result<Closing, String> {
            Ok(Closing::Store { append: b"!".to_vec(), media_type: Some("text/loud".to_owned()) })
        }
    }

    fn judged(chunks: &[&[u8]]) -> Judged {
        judge_object(&mut Shouts, &Object::new("files", "letter"), chunks.iter().copied()).unwrap()
    }

    #[test]
    fn pieces_pass_replaced_and_the_ending_follows() {
        let stored = Judged::Stored { bytes: b"AHA!".to_vec(), media_type: Some("text/loud".to_owned()) };
        assert_eq!(judged(&[b"ah", b"a"]), stored);
    }

    #[test]
    fn after_a_pass_nobody_is_asked() {
        assert_eq!(judged(&[b"a", b".", b"?"]), Judged::Stored { bytes: b"A.?".to_vec(), media_type: None });
        assert_eq!(judged(&[b"a", b"?"]), Judged::Rejected("a question".to_owned()));
    }

    #[test]
    fn what_did_not_begin_is_an_error() {
        let state: RefCell<Option<Shouts>> = RefCell::new(None);
        assert!(chunk(&state, b"a").is_err_and(|problem| problem.starts_with("an object has to begin first")));
        assert!(finish(&state).is_err());
    }
}
