//! What goes wrong, in a sentence for whoever runs the bench.

use thiserror::Error;

/// Why the bench, or one of its runs, came to nothing.
#[derive(Debug, Error)]
#[error("{0}")]
pub struct Failure(String);

/// What a step of the bench ends in.
pub type Result<T> = std::result::Result<T, Failure>;

impl Failure {
    /// A failure with this sentence.
    pub fn new(sentence: impl Into<String>) -> Self {
        Self(sentence.into())
    }
}

/// Adds what was being done to an error.
pub trait Doing<T> {
    /// A failure that says what was being done, and the error.
    fn doing(self, what: &str) -> Result<T>;
}

impl<T, E: std::error::Error> Doing<T> for std::result::Result<T, E> {
    fn doing(self, what: &str) -> Result<T> {
        self.map_err(|error| {
            let mut words = vec![what.to_owned(), error.to_string()];
            let mut cause = error.source();
            while let Some(deeper) = cause {
                words.push(deeper.to_string());
                cause = deeper.source();
            }
            Failure(words.join(": "))
        })
    }
}
