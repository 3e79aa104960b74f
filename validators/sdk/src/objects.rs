//! Validators of objects: files on their way to the object store.

mod run;

use crate::Config;

pub use self::run::{Judged, judge_object};
#[doc(hidden)]
pub use self::run::{begin, chunk, finish};

/// Judges an object. An instance sees one: [`begin`](Self::begin), then [`chunk`](Self::chunk) for each piece of its bytes, then
/// [`finish`](Self::finish).
///
/// An error of any of them is a sentence that says why the object cannot be judged. The validator's error strategy then decides about
/// it. Nothing of an object that is refused, by whichever of them, is ever visible.
pub trait ObjectValidator: Sized {
    /// Makes the validator from what it was deployed with, as [`Validator::new`](crate::Validator::new) does; with an error no object
    /// can be judged.
    fn new(config: Config<'_>) -> Result<Self, String>;

    /// Looks at what is known before the bytes come. Without this method they are shown.
    fn begin(&mut self, object: &Object<'_>) -> Result<Beginning, String> {
        let _ = object;
        Ok(Beginning::Inspect)
    }

    /// Looks at the next bytes, at most 64 KiB. Where they are cut has no meaning.
    fn chunk(&mut self, bytes: &[u8]) -> Result<Piece, String>;

    /// Called after the last bytes. Without this method the object is stored.
    fn finish(&mut self) -> Result<Closing, String> {
        Ok(Closing::store())
    }
}

/// What is known of an object before its bytes come.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Object<'a> {
    /// Where it is to be stored.
    pub bucket: &'a str,
    /// May hold slashes.
    pub name: &'a str,
    /// As the sender gave it; none where it did not say.
    pub media_type: Option<&'a str>,
    /// In bytes, where the sender said it beforehand. It is not yet known to be true.
    pub size: Option<u64>,
    /// Names and values that are stored with the object.
    pub metadata: &'a [(String, String)],
    /// Who asks, as in the policy: `user:` or `token:` and an id.
    pub subject: &'a str,
}

impl<'a> Object<'a> {
    /// An object for a test: nothing else is known until the methods below say otherwise.
    pub const fn new(bucket: &'a str, name: &'a str) -> Self {
        Self { bucket, name, media_type: None, size: None, metadata: &[], subject: "" }
    }

    /// The same with a media type that the sender gave.
    #[must_use]
    pub const fn of_type(mut self, media_type: &'a str) -> Self {
        self.media_type = Some(media_type);
        self
    }

    /// The same with a size that the sender gave.
    #[must_use]
    pub const fn of_size(mut self, size: u64) -> Self {
        self.size = Some(size);
        self
    }

    /// The same with names and values.
    #[must_use]
    pub const fn with_metadata(mut self, metadata: &'a [(String, String)]) -> Self {
        self.metadata = metadata;
        self
    }

    /// The same, asked for by a subject.
    #[must_use]
    pub const fn asked_by(mut self, subject: &'a str) -> Self {
        self.subject = subject;
        self
    }
}

/// What is to happen with an object's bytes.
#[derive(Clone, Debug, PartialEq)]
#[must_use]
pub enum Beginning {
    /// They are shown.
    Inspect,
    /// It is stored as it is; no other method is called.
    Pass,
    /// It is not stored, for this reason.
    Reject(String),
}

/// What becomes of the bytes that were shown.
#[derive(Clone, Debug, PartialEq)]
#[must_use]
pub enum Piece {
    /// They pass as they are.
    Keep,
    /// These pass in their place; none drops or holds them back.
    Replace(Vec<u8>),
    /// They and all that follow pass as they are; no other method is called.
    Pass,
    /// The object is not stored, for this reason.
    Reject(String),
}

/// What becomes of an object whose bytes were all shown.
#[derive(Clone, Debug, PartialEq)]
#[must_use]
pub enum Closing {
    /// It is stored.
    Store {
        /// Further bytes, after all that passed.
        append: Vec<u8>,
        /// The media type to be stored; none leaves it as the sender gave it.
        media_type: Option<String>,
    },
    /// It is not stored, for this reason.
    Reject(String),
}

impl Closing {
    /// The object is stored with the bytes that passed.
    pub const fn store() -> Self {
        Self::Store { append: Vec::new(), media_type: None }
    }
}
