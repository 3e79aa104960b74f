//! Validators of documents: resources of the platform, such as topics and schemas, on their way to the database.

use serde::de::DeserializeOwned;

use crate::Config;
use crate::bindings::documents as interface;
pub use crate::bindings::documents::Operation;

/// Judges documents.
pub trait DocumentValidator: Sized {
    /// Makes the validator from what it was deployed with, as [`Validator::new`](crate::Validator::new) does; with an error no
    /// document can be judged.
    fn new(config: Config<'_>) -> Result<Self, String>;

    /// Judges a document.
    ///
    /// An error is a sentence that says why it cannot be judged. The document is refused then.
    fn check(&self, document: &Document<'_>) -> Result<DocumentVerdict, String>;
}

/// What a validator judges.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Document<'a> {
    /// The kind of resource, as in the path: `kafka-topics`.
    pub kind: &'a str,
    /// What is to be done with it.
    pub operation: Operation,
    /// Who asks, as in the policy: `user:` or `token:` and an id.
    pub subject: &'a str,
    /// Its name or id; none before it has one.
    pub id: Option<&'a str>,
    /// What was sent, a JSON object: all of a new resource, the changed fields of another, `{}` for one to be deleted.
    pub body: &'a str,
}

impl<'a> Document<'a> {
    /// A document for a test: it is to be created, by nobody and without an id, until the methods below say otherwise.
    pub const fn new(kind: &'a str, body: &'a str) -> Self {
        Self { kind, operation: Operation::Create, subject: "", id: None, body }
    }

    /// The same for another operation.
    #[must_use]
    pub const fn to(mut self, operation: Operation) -> Self {
        self.operation = operation;
        self
    }

    /// The same, asked for by a subject.
    #[must_use]
    pub const fn asked_by(mut self, subject: &'a str) -> Self {
        self.subject = subject;
        self
    }

    /// The same with a name or id.
    #[must_use]
    pub const fn with_id(mut self, id: &'a str) -> Self {
        self.id = Some(id);
        self
    }

    /// Reads the body into a type of the validator's own, or into a `serde_json::Value`.
    pub fn parse<T: DeserializeOwned>(&self) -> Result<T, String> {
        serde_json::from_str(self.body).map_err(|error| format!("the document cannot be read: {error}"))
    }
}

/// What becomes of a document.
#[derive(Clone, Debug, PartialEq)]
#[must_use]
pub enum DocumentVerdict {
    /// It goes on as it is.
    Accept,
    /// It goes on as this JSON object. Not for one to be deleted.
    Replace(String),
    /// It is refused, for these reasons.
    Reject(Vec<Problem>),
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq)]
pub struct Problem {
    /// A JSON Pointer into the body, such as `/name`; the empty string is the whole.
    pub path: String,
    /// What to do about it, for whoever sent the document.
    pub reason: String,
}

impl DocumentVerdict {
    /// The document is refused for one reason. The path is a JSON Pointer into the body, such as `/name`; the empty string is the
    /// whole.
    pub fn reject(path: impl Into<String>, reason: impl Into<String>) -> Self {
        Self::of(vec![Problem { path: path.into(), reason: reason.into() }])
    }

    /// The document is refused if there is a problem, accepted otherwise.
    pub fn of(problems: Vec<Problem>) -> Self {
        if problems.is_empty() { Self::Accept } else { Self::Reject(problems) }
    }
}

/// Makes the validator from what it was deployed with and judges a document. [`export_documents!`](crate::export_documents) calls
/// it.
#[doc(hidden)]
pub fn run<V: DocumentValidator>(document: &interface::Document) -> Result<interface::Verdict, String> {
    let json = crate::bindings::weir::validator::config::json();
    let document = Document {
        kind: &document.kind,
        operation: document.operation,
        subject: &document.subject,
        id: document.id.as_deref(),
        body: &document.body,
    };
    V::new(Config::new(&json))?.check(&document).map(into_interface)
}

fn into_interface(verdict: DocumentVerdict) -> interface::Verdict {
    let problem = |Problem { path, reason }| interface::Problem { path, reason };
    match verdict {
        DocumentVerdict::Accept => interface::Verdict::Accept,
        DocumentVerdict::Replace(body) => interface::Verdict::Replace(body),
        DocumentVerdict::Reject(problems) => interface::Verdict::Reject(problems.into_iter().map(problem).collect()),
    }
}

/// Makes the component's export of a type that is a [`DocumentValidator`](crate::DocumentValidator). Once per crate.
#[macro_export]
macro_rules! export_documents {
    ($validator:ty) => {
        const _: () = {
            struct Exported;

            impl $crate::bindings::documents::Guest for Exported {
                fn check(
                    document: $crate::bindings::documents::Document,
                ) -> ::core::result::Result<$crate::bindings::documents::Verdict, ::std::string::String> {
                    $crate::documents::run::<$validator>(&document)
                }
            }

    $crate::bindings::documents::export!(Exported with_types_in $crate::bindings::documents);
        };
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_without_a_problem_is_accepted() {
        assert_eq!(DocumentVerdict::of(vec![]), DocumentVerdict::Accept);
        let problem = Problem { path: "/name".to_owned(), reason: "too long".to_owned() };
        assert_eq!(DocumentVerdict::of(vec![problem]), DocumentVerdict::reject("/name", "too long"));
    }

    #[test]
    fn what_is_no_json_cannot_be_read() {
        let problem = Document::new("kafka-topics", "{").parse::<serde_json::Value>().unwrap_err();
        assert_eq!(problem, "the document cannot be read: EOF while parsing an object at line 1 column 1");
    }

    #[test]
    fn every_verdict_reaches_the_interface() {
        assert!(matches!(into_interface(DocumentVerdict::Accept), interface::Verdict::Accept));
        assert!(
            matches!(into_interface(DocumentVerdict::Replace("{}".to_owned())), interface::Verdict::Replace(body) if body == "{}")
        );
        let rejected = into_interface(DocumentVerdict::reject("/name", "too long"));
        assert!(matches!(rejected, interface::Verdict::Reject(problems) if problems[0].path == "/name"));
    }
}
