//! Cases about objects: an object as it is shown, and what is to be stored of it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde::{Deserialize, Deserializer};

use super::end::{End, Wanted};
use super::{brief, given};
use crate::limits;
use crate::rules::Digest;

/// An object as a sample.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "Sent")]
pub struct ObjectSample {
    /// Where it is to be stored.
    pub bucket: String,
    /// Its name.
    pub object_name: String,
    /// As its sender gives it.
    pub media_type: Option<String>,
    /// Who asks, where that is said.
    pub subject: Option<String>,
    /// What is sent.
    pub bytes: Bytes,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Sent {
    #[serde(default = "some_bucket", deserialize_with = "super::name")]
    bucket: String,
    #[serde(deserialize_with = "object_name")]
    object_name: String,
    media_type: Option<String>,
    #[serde(default, deserialize_with = "given")]
    subject: Option<String>,
    #[serde(default, deserialize_with = "given")]
    text: Option<String>,
    #[serde(default, deserialize_with = "base64")]
    base64: Option<Bytes>,
}

fn some_bucket() -> String {
    "bucket".to_owned()
}

impl TryFrom<Sent> for ObjectSample {
    type Error = &'static str;

    fn try_from(sent: Sent) -> Result<Self, Self::Error> {
        let Sent { bucket, object_name, media_type, subject, text, base64 } = sent;
        let bytes = one_of(text, base64)?.ok_or(NEITHER)?;
        Ok(Self { bucket, object_name, media_type, subject, bytes })
    }
}

const NEITHER: &str = "give the bytes as `text` or as `base64`";

fn one_of(text: Option<String>, base64: Option<Bytes>) -> Result<Option<Bytes>, &'static str> {
    match (text, base64) {
        (Some(_), Some(_)) => Err("give the bytes as `text` or as `base64`, not as both"),
        (Some(text), None) => Ok(Some(text.into())),
        (None, base64) => Ok(base64),
    }
}

/// What would be stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    /// The bytes.
    pub bytes: Bytes,
    /// The media type: the sender's, or another that the module gave it.
    pub media_type: Option<String>,
}

/// What is to become of an object.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "WrittenExpectation")]
pub struct ObjectExpectation {
    /// The verdict.
    pub verdict: Wanted,
    /// A part of the reason that its sender is told.
    pub reason: Option<String>,
    /// The media type that is stored with it.
    pub media_type: Option<String>,
    /// How many bytes are stored.
    pub size: Option<u64>,
    /// Their SHA-256, in hex.
    pub sha256: Option<String>,
    /// The bytes themselves.
    pub bytes: Option<Bytes>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct WrittenExpectation {
    verdict: Wanted,
    #[serde(default, deserialize_with = "given")]
    reason: Option<String>,
    #[serde(default, deserialize_with = "given")]
    media_type: Option<String>,
    #[serde(default, deserialize_with = "given")]
    size: Option<u64>,
    #[serde(default, deserialize_with = "sha256")]
    sha256: Option<String>,
    #[serde(default, deserialize_with = "given")]
    text: Option<String>,
    #[serde(default, deserialize_with = "base64")]
    base64: Option<Bytes>,
}

impl TryFrom<WrittenExpectation> for ObjectExpectation {
    type Error = &'static str;

    fn try_from(written: WrittenExpectation) -> Result<Self, Self::Error> {
        let WrittenExpectation { verdict, reason, media_type, size, sha256, text, base64 } = written;
        let bytes = one_of(text, base64)?;
        let stored = media_type.is_some() || size.is_some() || sha256.is_some() || bytes.is_some();
        match verdict {
            Wanted::Reject if stored => Err("of what is rejected nothing is stored: `reason` goes with it, and nothing else"),
            Wanted::Accept | Wanted::Replace if reason.is_some() => Err("`reason` goes with the verdict `reject` alone"),
            _ => Ok(Self { verdict, reason, media_type, size, sha256, bytes }),
        }
    }
}

impl ObjectExpectation {
    /// How an object that was judged differs from what is expected; `None` where it does not.
    pub fn difference(&self, end: &End<Stored>) -> Option<String> {
        let verdict = end.difference(self.verdict, self.reason.as_deref(), None);
        let End::Passed { now: Stored { bytes, media_type }, .. } = end else { return verdict };
        let found = media_type.as_deref();
        let media_type = self.media_type.as_deref().filter(|expected| found != Some(expected));
        let media_type = media_type
            .map(|expected| format!("expected the media type {}, found {}", brief(expected), found.map_or("none".into(), brief)));
        let size = self.size.filter(|expected| bytes.len() as u64 != *expected);
        let size = size.map(|expected| format!("expected {expected} bytes, found {}", bytes.len()));
        let content = || {
            let expected = self.bytes.as_ref().filter(|expected| *expected != bytes)?;
            if let (Ok(expected), Ok(found)) = (std::str::from_utf8(expected), std::str::from_utf8(bytes)) {
                return Some(format!("expected {:?}, found {:?}", brief(expected), brief(found)));
            }
            let same = expected.iter().zip(bytes).take_while(|(expected, found)| expected == found).count();
            Some(format!("expected {} bytes, found {}; they differ from byte {same} on", expected.len(), bytes.len()))
        };
        let digest = || {
            let found = Digest::of(bytes).to_string();
            let expected = self.sha256.as_ref().filter(|expected| **expected != found)?;
            Some(format!("expected bytes of SHA-256 {expected}, found {} of {found}", bytes.len()))
        };
        verdict.or(media_type).or(size).or_else(content).or_else(digest)
    }
}

fn object_name<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let name = String::deserialize(deserializer)?;
    if name.is_empty() || name.len() > limits::OBJECT_NAME_BYTES {
        let most = limits::OBJECT_NAME_BYTES;
        return Err(serde::de::Error::custom(format_args!("an object's name has 1 to {most} bytes")));
    }
    Ok(name)
}

fn base64<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Bytes>, D::Error> {
    let text = String::deserialize(deserializer)?;
    let bytes = STANDARD.decode(text).map_err(|error| serde::de::Error::custom(format_args!("this is not base64: {error}")))?;
    Ok(Some(bytes.into()))
}

fn sha256<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    let text = String::deserialize(deserializer)?;
    if text.len() == 64 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')) {
        return Ok(Some(text));
    }
    Err(serde::de::Error::custom("a SHA-256 has 64 digits of lower-case hex"))
}
