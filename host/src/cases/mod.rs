//! Cases: what a validator's author says that it does, as examples inside the component.
//!
//! They lie in a custom section of the component itself, named [`SECTION`], so that they travel with the bytes, are part of their
//! digest, and can be run wherever the module can. Here are their form, how they are read and how they are put in, and how an outcome
//! is compared; running them is the guest engine's business. The bytes come from outside: whatever is wrong with them is an error that
//! names the place.
//!
//! A case shows what its module's world judges: readings, one document or one object, in the form in which `test` takes samples.
//!
//! ```json
//! [{
//!   "name": "frost is rejected",
//!   "config": {"lowest": 0},
//!   "readings": [{"sensorId": "room-4", "timestamp": "2026-05-04T12:00:00Z", "values": {"temperature": -4.5}}],
//!   "expect": [{"verdict": "reject", "reason": "below the limit"}]
//! }, {
//!   "name": "a description is masked",
//!   "document": {"kind": "kafka-topics", "operation": "create", "body": {"name": "rooms", "description": "ask Ann"}},
//!   "expect": {"verdict": "replace", "values": {"/description": "***"}}
//! }, {
//!   "name": "a text ends in a line",
//!   "object": {"objectName": "list.txt", "text": "one"},
//!   "expect": {"verdict": "replace", "text": "one\n"}
//! }]
//! ```

mod documents;
mod end;
mod objects;
mod readings;
mod section;

use std::fmt;

use bytes::Bytes;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

pub use self::documents::{DocumentExpectation, DocumentSample};
pub use self::end::{End, Wanted};
pub use self::objects::{ObjectExpectation, ObjectSample, Stored};
pub use self::readings::{Expectation, Expected, Shown, values_of};
pub use self::section::{SECTION, append, of};
use crate::error::{Error, Kind, Result};
use crate::limits;
use crate::model::Target;

/// Who asks in a case that does not say it: the same wherever the case is run.
pub const SUBJECT: &str = "user:somebody";

/// One example: what is shown to the module, under which configuration, and what is to become of it.
#[derive(Clone, Debug)]
pub struct Case {
    /// What it shows, for people.
    pub name: String,
    /// The validator's configuration, as JSON text; `{}` where it is not given.
    pub config: String,
    /// What is shown, and what is expected.
    pub example: Example,
}

/// What a case shows, with what is to become of it.
#[derive(Clone, Debug)]
pub enum Example {
    /// Readings that are shown together, as one batch.
    Readings {
        /// Each as the API takes it; the decoder says whether they are any.
        readings: Vec<Bytes>,
        /// One for each reading, in their order.
        expect: Vec<Expectation>,
    },
    /// A resource of the platform.
    Document {
        /// The document.
        document: DocumentSample,
        /// What is to become of it.
        expect: DocumentExpectation,
    },
    /// A file.
    Object {
        /// The object.
        object: ObjectSample,
        /// What is to become of it.
        expect: ObjectExpectation,
    },
}

impl Example {
    /// What a module judges that it can be shown to.
    pub fn target(&self) -> Target {
        match self {
            Self::Readings { .. } => Target::Readings,
            Self::Document { .. } => Target::Documents,
            Self::Object { .. } => Target::Objects,
        }
    }
}

impl fmt::Display for Example {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Readings { readings, .. } if readings.len() == 1 => f.write_str("1 reading"),
            Self::Readings { readings, .. } => write!(f, "{} readings", readings.len()),
            Self::Document { .. } => f.write_str("a document"),
            Self::Object { .. } => f.write_str("an object"),
        }
    }
}

impl Case {
    /// What is wrong with a case that does not show what its module judges.
    pub fn misplaced(&self, target: Target) -> Option<String> {
        (self.example.target() != target)
            .then(|| format!("it is about {}, and the module judges {}", self.example.target().as_str(), target.as_str()))
    }
}

/// A case as it is written. What is expected is read once it is known of what.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    #[serde(deserialize_with = "name")]
    name: String,
    #[serde(default = "no_config", deserialize_with = "config")]
    config: String,
    #[serde(default, deserialize_with = "readings::readings")]
    readings: Option<Vec<Bytes>>,
    #[serde(default, deserialize_with = "given")]
    document: Option<DocumentSample>,
    #[serde(default, deserialize_with = "given")]
    object: Option<ObjectSample>,
    expect: Box<RawValue>,
}

/// Reads cases, strictly: an unknown field, an expectation too few or a bound that is passed is an error with its place.
pub fn parse(json: &[u8]) -> Result<Vec<Case>> {
    if json.len() > limits::CASES_BYTES {
        return Err(unusable("", format!("they have {} bytes; {} are allowed", json.len(), limits::CASES_BYTES)));
    }
    let mut reader = serde_json::Deserializer::from_slice(json);
    let List(cases) = serde_path_to_error::deserialize(&mut reader).map_err(|error| {
        let path = pointer(error.path());
        unusable(path, error.into_inner().to_string())
    })?;
    reader.end().map_err(|error| unusable("", error.to_string()))?;
    cases.into_iter().enumerate().map(|(at, case)| case.read(at)).collect()
}

impl Written {
    fn read(self, at: usize) -> Result<Case> {
        let Self { name, config, readings, document, object, expect } = self;
        let example = match (readings, document, object) {
            (Some(readings), None, None) => {
                let expect: Vec<Expectation> = expected(at, &expect)?;
                if readings.len() != expect.len() {
                    let (readings, expected) = (readings.len(), expect.len());
                    let message = format!("`{name}` has {readings} readings and expects something of {expected}");
                    return Err(unusable(format!("/{at}/expect"), message));
                }
                Example::Readings { readings, expect }
            }
            (None, Some(document), None) => Example::Document { document, expect: expected(at, &expect)? },
            (None, None, Some(object)) => Example::Object { object, expect: expected(at, &expect)? },
            _ => {
                let message = format!("`{name}` shows either `readings`, a `document` or an `object`");
                return Err(unusable(format!("/{at}"), message));
            }
        };
        Ok(Case { name, config, example })
    }
}

/// What a case expects, read as what goes with what it shows.
fn expected<T: DeserializeOwned>(at: usize, expect: &RawValue) -> Result<T> {
    let mut reader = serde_json::Deserializer::from_str(expect.get());
    serde_path_to_error::deserialize(&mut reader).map_err(|error| {
        let path = format!("/{at}/expect{}", pointer(error.path()));
        // Its line and column would be counted from where `expect` begins.
        let error = error.into_inner();
        let position = format!(" at line {} column {}", error.line(), error.column());
        let message = error.to_string();
        unusable(path, message.strip_suffix(&position).unwrap_or(&message))
    })
}

fn unusable(path: impl Into<String>, message: impl Into<String>) -> Error {
    let (path, message) = (path.into(), message.into());
    let place = if path.is_empty() { String::new() } else { format!(" at {path}") };
    Error::new(Kind::Refused, format!("The cases cannot be used{place}: {message}.")).at(path, message)
}

/// A path as a JSON pointer.
pub fn pointer(path: &serde_path_to_error::Path) -> String {
    use serde_path_to_error::Segment;
    let steps = path.iter().filter_map(|segment| match segment {
        Segment::Seq { index } => Some(format!("/{index}")),
        Segment::Map { key } => Some(format!("/{}", key.replace('~', "~0").replace('/', "~1"))),
        Segment::Enum { .. } | Segment::Unknown => None,
    });
    steps.collect()
}

/// The cases of a component, at most as many as are allowed: the rest is not even read.
struct List(Vec<Written>);

impl<'de> Deserialize<'de> for List {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        bounded(deserializer, "cases", limits::CASES).map(Self)
    }
}

fn bounded<'de, T: Deserialize<'de>, D: Deserializer<'de>>(
    deserializer: D,
    what: &'static str,
    most: usize,
) -> Result<Vec<T>, D::Error> {
    struct Elements<T>(&'static str, usize, std::marker::PhantomData<T>);
    impl<'de, T: Deserialize<'de>> serde::de::Visitor<'de> for Elements<T> {
        type Value = Vec<T>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            write!(f, "an array of {}", self.0)
        }

        fn visit_seq<A: serde::de::SeqAccess<'de>>(self, mut elements: A) -> Result<Vec<T>, A::Error> {
            let mut found = Vec::new();
            while let Some(element) = elements.next_element()? {
                if found.len() == self.1 {
                    return Err(serde::de::Error::custom(format_args!("there are more than {} {}", self.1, self.0)));
                }
                found.push(element);
            }
            Ok(found)
        }
    }
    deserializer.deserialize_seq(Elements(what, most, std::marker::PhantomData))
}

fn no_config() -> String {
    "{}".to_owned()
}

fn name<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let name = String::deserialize(deserializer)?;
    if name.is_empty() || name.len() > limits::NAME_BYTES {
        return Err(serde::de::Error::custom(format_args!("a name has 1 to {} bytes", limits::NAME_BYTES)));
    }
    Ok(name)
}

fn config<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let config = Box::<RawValue>::deserialize(deserializer)?;
    if !config.get().starts_with('{') {
        return Err(serde::de::Error::custom("a configuration is a JSON object"));
    }
    if config.get().len() > limits::GUEST_CONFIG_BYTES {
        return Err(serde::de::Error::custom(format_args!("a configuration has at most {} bytes", limits::GUEST_CONFIG_BYTES)));
    }
    Ok(String::from(Box::<str>::from(config)))
}

/// A field that may be left out, but not be null.
fn given<'de, T: Deserialize<'de>, D: Deserializer<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}

/// A text of a bounded length for an error's sentence.
fn brief(text: &str) -> String {
    match text.char_indices().find(|(at, c)| at + c.len_utf8() > limits::CASE_SHOWN_BYTES) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests;
