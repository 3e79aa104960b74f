#![doc = include_str!("../README.md")]
#![expect(clippy::test_attr_in_doctest, reason = "the README shows a whole crate, and its test is part of that")]

pub mod batches;
pub mod bindings;
mod config;
pub mod documents;
mod history;
pub mod log;
pub mod lookup;
pub mod objects;
mod outcome;
mod reading;
mod rows;
mod run;
mod verdict;

pub use self::batches::{BatchValidator, judge_batch};
pub use self::config::Config;
pub use self::documents::{Document, DocumentValidator, DocumentVerdict};
pub use self::history::{Before, History, whole_readings};
pub use self::objects::{Object, ObjectValidator, judge_object};
pub use self::reading::{Reading, Value};
pub use self::run::{judge, run};
pub use self::verdict::{NewValue, Verdict};

/// Judges readings, one value at a time.
///
/// Weir makes an instance for a batch and drops it afterwards: nothing that a validator remembers reaches the next batch, and
/// therefore [`check`](Self::check) does not get it mutably.
pub trait Validator: Sized {
    /// Makes the validator from what it was deployed with.
    ///
    /// An error is a sentence that says what is wrong with the configuration. The batch then fails with it, as no reading can be
    /// judged. [`Config::parse`] makes such sentences.
    fn new(config: Config<'_>) -> Result<Self, String>;

    /// Judges one value of a reading.
    fn check(&self, reading: &Reading<'_>) -> Verdict;
}

/// Makes the component's export of a type that is a [`Validator`]. Once per crate.
///
/// ```
/// use weir_validator_sdk::{Config, Reading, Validator, Verdict};
///
/// struct AcceptsAll;
///
/// impl Validator for AcceptsAll {
///     fn new(_: Config<'_>) -> Result<Self, String> {
///         Ok(Self)
///     }
///
///     fn check(&self, _: &Reading<'_>) -> Verdict {
///         Verdict::accept()
///     }
/// }
///
/// weir_validator_sdk::export!(AcceptsAll);
/// # fn main() {}
/// ```
#[macro_export]
macro_rules! export {
    ($validator:ty) => {
        const _: () = {
            struct Exported;

            impl $crate::bindings::Guest for Exported {
                fn check(
                    batch: $crate::bindings::Batch,
                ) -> ::core::result::Result<$crate::bindings::Outcome, ::std::string::String> {
                    $crate::run::<$validator>(&batch)
                }
            }

    $crate::bindings::export!(Exported with_types_in $crate::bindings);
        };
    };
}
