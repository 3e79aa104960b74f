//! Buckets and objects: authorise → the bucket is known → bytes through its chain of modules, staged → made current → what they replaced removed.
//!
//! An object is there whole or not at all: until the row points to its new version, everybody sees the one before. It knows neither
//! HTTP, SQL nor how a store is spoken to; bodies come and go as streams.

use std::collections::VecDeque;
use std::ops::Range;

use bytes::Bytes;
use futures_util::{Stream, TryStreamExt as _, stream};
use parking_lot::Mutex;

use super::Gate;
use crate::error::{Chain, Error, Kind, Result};
use crate::guest::objects::{Inspection, ObjectFacts, Refused};
use crate::limits;
use crate::model::{Action, Caller, Resource};
pub use crate::objects::{Content, too_large};
use crate::objects::{Key, Staged};
use crate::paging::{Listed, PageOf};
pub use crate::platform::files::{BucketRow, Expected, ObjectRow};
use crate::platform::files::{Upload, VersionKey};
use crate::policy::{Collection, Permit};
use crate::rules::{ChainOf, Step};
use crate::vitals::Word;

/// What stands behind `/files/` in paths of the API, and would hide a bucket of that name.
const RESERVED: [&str; 8] = ["copy", "download", "exists", "presigned-url", "restore", "upload", "upload-buffer", "versions"];

/// How often a reader follows an object that is replaced while it looks.
const LOOKS: usize = 3;

/// What became of an upload.
#[derive(Debug)]
pub struct Put {
    /// The object as it is now.
    pub row: ObjectRow,
    /// True where there was none of this name.
    pub created: bool,
}

/// An object on its way through a chain.
struct Way<B> {
    body: B,
    /// Away at the end, and after a refusal.
    inspection: Option<Inspection>,
    /// What passed and was not taken yet.
    passed: VecDeque<Bytes>,
}

/// An object on its way out.
pub struct Download<W> {
    /// The object as it is now.
    pub row: ObjectRow,
    /// What the caller chose on seeing it.
    pub wanted: W,
    /// The bytes that the caller chose; `None` where it wanted none.
    pub content: Option<Content>,
}

fn no_bucket(name: &str) -> Error {
    Error::not_found(format!("bucket `{name}`"))
}

fn no_object(bucket: &str, name: &str) -> Error {
    Error::not_found(format!("object `{name}` in bucket `{bucket}`"))
}

fn place(key: &VersionKey) -> Key {
    Key { bucket: key.bucket_id, object: key.object_id, version: key.version_id }
}

/// S3's rule for names of buckets.
fn check_bucket_name(name: &str) -> Result<()> {
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'.' | b'-');
    let firm = |byte: Option<&u8>| byte.is_some_and(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
    let bytes = name.as_bytes();
    let sound = limits::BUCKET_NAME_BYTES.contains(&bytes.len())
        && bytes.iter().copied().all(allowed)
        && firm(bytes.first())
        && firm(bytes.last());
    if !sound || name.contains("..") || name.parse::<std::net::Ipv4Addr>().is_ok() {
        let rule = "A bucket's name has 3 to 63 of a-z, 0-9, '.' and '-', begins and ends with a letter or a digit, has no '..' and is no IP address.";
        return Err(Error::malformed(rule).at("/name", "not a bucket's name"));
    }
    if RESERVED.contains(&name) {
        let sentence = format!("`{name}` is a word of the API's own paths below /files; choose another name.");
        return Err(Error::malformed(sentence).at("/name", "reserved"));
    }
    Ok(())
}

/// A name that is the same for every client, browser and policy pattern on its way.
fn check_object_name(name: &str) -> Result<()> {
    let odd = |segment: &str| matches!(segment, "" | "." | "..");
    if name.len() > limits::OBJECT_NAME_BYTES || name.chars().any(char::is_control) || name.split('/').any(odd) {
        return Err(Error::malformed(format!(
            "An object's name has 1 to {} bytes of UTF-8 without control characters; between its slashes stands something, and neither `.` nor `..`.",
            limits::OBJECT_NAME_BYTES
        ))
        .at("path", "not an object's name"));
    }
    Ok(())
}

fn check_content_type(content_type: &str) -> Result<()> {
    if content_type.is_empty()
        || content_type.len() > limits::NAME_BYTES
        || !content_type.bytes().all(|byte| matches!(byte, b' '..=b'~'))
    {
        let rule = format!("`Content-Type` has 1 to {} visible ASCII characters.", limits::NAME_BYTES);
        return Err(Error::malformed(rule).at("Content-Type", "not a media type"));
    }
    Ok(())
}

/// The same for one that a validator gives an object.
pub(in crate::gate) fn check_given_type(media_type: &str) -> Result<()> {
    check_content_type(media_type).map_err(|error| {
        let sentence = format!("A validator gave this object a media type that cannot be stored: {}", error.sentence());
        Error::new(Kind::Refused, sentence).with_details(error.details().to_vec())
    })
}

impl Gate {
    /// Makes a bucket.
    pub async fn bucket_create(&self, caller: &Caller, name: &str) -> Result<BucketRow> {
        let permit = self.authorise(caller, Action::Write, &Resource::buckets()).await?;
        check_bucket_name(name)?;
        self.platform.bucket_create(&permit, name).await
    }

    /// One page of the tenant's buckets.
    pub async fn bucket_list(&self, caller: &Caller, page: &PageOf) -> Result<Listed<BucketRow>> {
        let permit = self.authorise_list(caller, Action::Read, &Collection::buckets()).await?;
        self.platform.bucket_list(&permit, page).await
    }

    /// True where the tenant has a bucket of this name.
    pub async fn bucket_exists(&self, caller: &Caller, name: &str) -> Result<bool> {
        let permit = self.authorise(caller, Action::Read, &Resource::bucket(name)).await?;
        Ok(self.platform.bucket_get(&permit, name).await?.is_some())
    }

    /// Deletes a bucket that holds nothing.
    pub async fn bucket_delete(&self, caller: &Caller, name: &str) -> Result<()> {
        let permit = self.authorise(caller, Action::Delete, &Resource::bucket(name)).await?;
        if self.platform.bucket_delete(&permit, name).await? { Ok(()) } else { Err(no_bucket(name)) }
    }

    /// One page of a bucket's objects whose names begin with `prefix`, in the order of their names.
    pub async fn object_list(&self, caller: &Caller, bucket: &str, prefix: &str, page: &PageOf) -> Result<Listed<ObjectRow>> {
        let permit = self.authorise_list(caller, Action::Read, &Collection::files(bucket)).await?;
        let row = self.platform.bucket_get(&permit, bucket).await?.ok_or_else(|| no_bucket(bucket))?;
        self.platform.object_list(&permit, &row, prefix, page).await
    }

    /// Stores an object, in place of the one of its name if there is one. With `expected`, only in place of that.
    pub async fn object_put(
        &self,
        caller: &Caller,
        (bucket, name): (&str, &str),
        content_type: &str,
        expected: Option<&Expected>,
        size: Option<u64>,
        body: impl Stream<Item = Result<Bytes>> + Unpin,
    ) -> Result<Put> {
        let permit = self.authorise(caller, Action::Write, &Resource::file(bucket, name)).await?;
        check_object_name(name)?;
        check_content_type(content_type)?;
        let chain = self.platform.chain_steps(&permit, &ChainOf::Objects(bucket.to_owned())).await?;
        let key = self.platform.object_reserve(&permit, bucket, name, size).await?.ok_or_else(|| no_bucket(bucket))?;
        let facts = || ObjectFacts {
            bucket: bucket.to_owned(),
            name: name.to_owned(),
            media_type: Some(content_type.to_owned()),
            size,
            metadata: Vec::new(),
            subject: permit.subject().as_str().to_owned(),
        };
        let staged = if chain.is_empty() {
            self.objects.stage(&permit, &place(&key), body).await.map(|staged| (staged, None))
        } else {
            self.stage_through(&permit, &chain, facts(), &key, body).await
        };
        let (staged, media_type) = match staged {
            Ok(staged) => staged,
            Err(error) => {
                // Where the store went away, it may yet finish what it was sent: its row stays, for whoever clears up.
                if error.kind() != Kind::Unavailable {
                    self.discard(&permit, &key).await;
                }
                return Err(error);
            }
        };
        let upload = Upload {
            size: staged.size,
            digest: staged.digest,
            content_type: media_type.unwrap_or_else(|| content_type.to_owned()),
        };
        let made = self.platform.object_make_current(&permit, &key, upload, expected).await;
        let made = match made.and_then(|made| made.ok_or_else(|| no_bucket(bucket))) {
            Ok(made) => made,
            Err(error) => {
                // Where the database went away, it may have committed all the same: only it knows whether these bytes may go.
                if !matches!(error.kind(), Kind::Unavailable | Kind::Internal) {
                    self.discard(&permit, &key).await;
                }
                return Err(error);
            }
        };
        self.vitals.object_bytes.get_or_create(&Word { kind: "in" }).inc_by(staged.size);
        if let Some(replaced) = &made.replaced {
            self.discard(&permit, replaced).await;
        }
        Ok(Put { row: made.row, created: made.replaced.is_none() })
    }

    /// Stages what a bucket's chain lets through, as it comes. What it refuses is given up, and nobody ever sees it.
    async fn stage_through(
        &self,
        permit: &Permit,
        chain: &[Step],
        facts: ObjectFacts,
        key: &VersionKey,
        body: impl Stream<Item = Result<Bytes>> + Unpin,
    ) -> Result<(Staged, Option<String>)> {
        self.time_allowed(permit.tenant()).await?;
        let run = self.live(permit, chain);
        let recorded = |refused: Refused| {
            self.passed(permit, refused.passages);
            refused.error
        };
        let inspection = self.guest.object(&run, chain, facts).await.map_err(recorded)?;
        let media_type = Mutex::new(None);
        let way = Way { body, inspection: Some(inspection), passed: VecDeque::new() };
        let pieces = stream::try_unfold(way, async |mut way| {
            loop {
                if let Some(piece) = way.passed.pop_front() {
                    return Ok(Some((piece, way)));
                }
                let Some(mut inspection) = way.inspection.take() else { return Ok(None) };
                if let Some(bytes) = way.body.try_next().await? {
                    way.passed = self.guest.object_chunk(&run, &mut inspection, bytes).await.map_err(recorded)?.into();
                    way.inspection = Some(inspection);
                } else {
                    let done = self.guest.object_finish(&run, inspection).await.map_err(recorded)?;
                    self.passed(permit, done.passages);
                    if let Some(given) = &done.media_type {
                        check_given_type(given)?;
                    }
                    *media_type.lock() = done.media_type;
                    way.passed = done.rest.into();
                }
            }
        });
        let staged = self.objects.stage(permit, &place(key), Box::pin(pieces)).await?;
        Ok((staged, media_type.into_inner()))
    }

    /// One object's row.
    pub async fn object_get(&self, caller: &Caller, bucket: &str, name: &str) -> Result<ObjectRow> {
        let permit = self.authorise(caller, Action::Read, &Resource::file(bucket, name)).await?;
        self.platform.object_get(&permit, bucket, name).await?.ok_or_else(|| no_object(bucket, name))
    }

    /// True where there is an object of this name.
    pub async fn object_exists(&self, caller: &Caller, bucket: &str, name: &str) -> Result<bool> {
        let permit = self.authorise(caller, Action::Read, &Resource::file(bucket, name)).await?;
        if self.platform.object_get(&permit, bucket, name).await?.is_some() {
            return Ok(true);
        }
        self.platform.bucket_get(&permit, bucket).await?.map(|_| false).ok_or_else(|| no_bucket(bucket))
    }

    /// Opens an object for reading. `choose` sees what it is now and says which of its bytes are wanted, if any.
    pub async fn object_read<W>(
        &self,
        caller: &Caller,
        (bucket, name): (&str, &str),
        choose: impl Fn(&ObjectRow) -> Result<(W, Option<Range<u64>>)>,
    ) -> Result<Download<W>> {
        let permit = self.authorise(caller, Action::Read, &Resource::file(bucket, name)).await?;
        // Replaced between these two looks, a version's bytes are gone; then there is another version to look at.
        for _ in 0..LOOKS {
            let row = self.platform.object_get(&permit, bucket, name).await?.ok_or_else(|| no_object(bucket, name))?;
            let (wanted, range) = choose(&row)?;
            let Some(range) = range else { return Ok(Download { row, wanted, content: None }) };
            if let Some(content) = self.objects.read(&permit, &place(&row.key), range).await? {
                // The answer has begun when this fails, so the log is the only place left to say it.
                let sent = self.vitals.object_bytes.get_or_create(&Word { kind: "out" }).clone();
                let content = content.inspect_err(|error| tracing::warn!(error = %Chain(error), "a download broke off"));
                let content = Box::pin(content.inspect_ok(move |bytes| {
                    sent.inc_by(bytes.len() as u64);
                }));
                return Ok(Download { row, wanted, content: Some(content) });
            }
        }
        Err(Error::unavailable(
            "object store",
            format!("bytes of an object are not there, or it was replaced {LOOKS} times at once"),
        ))
    }

    /// Deletes an object. With `expected`, only where it is that.
    pub async fn object_delete(&self, caller: &Caller, bucket: &str, name: &str, expected: Option<&Expected>) -> Result<()> {
        let permit = self.authorise(caller, Action::Delete, &Resource::file(bucket, name)).await?;
        let key = self.platform.object_delete(&permit, bucket, name, expected).await?.ok_or_else(|| no_object(bucket, name))?;
        self.discard(&permit, &key).await;
        Ok(())
    }

    /// Removes the bytes of a version that nothing points to, then its row. What fails here changes no answer: the row stays and says it.
    async fn discard(&self, permit: &Permit, key: &VersionKey) {
        let gone = async {
            self.objects.remove(permit, &place(key)).await?;
            self.platform.object_forget(permit, key).await
        };
        if let Err(error) = gone.await {
            tracing::warn!(error = %Chain(&error), version = %key.version_id, "bytes that nothing points to remain for now");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_buckets() {
        for name in ["abc", "a-b", "1.2", "reports.2026", &"a".repeat(63)] {
            assert!(check_bucket_name(name).is_ok(), "{name}");
        }
        for name in ["", "ab", "Abc", "a_b", "-ab", "ab-", ".ab", "a..b", "10.0.0.1", "a/b", "äbc", "download", &"a".repeat(64)]
        {
            assert!(check_bucket_name(name).is_err(), "{name}");
        }
    }

    #[test]
    fn names_of_objects() {
        for name in ["a", "a/b", "2026/Bericht für März.pdf", "...", ".a", "a b", "%2F", &"ä".repeat(512)] {
            assert!(check_object_name(name).is_ok(), "{name}");
        }
        for name in ["", "/a", "a/", "a//b", ".", "..", "a/../b", "a/.", "a\nb", "a\0", "\u{85}", &"ä".repeat(513)] {
            assert!(check_object_name(name).is_err(), "{name}");
        }
    }

    #[test]
    fn content_types() {
        assert!(check_content_type("text/plain; charset=utf-8").is_ok());
        for content_type in ["", "text/plain\r\nX-A: b", "täxt/plain"] {
            assert!(check_content_type(content_type).is_err(), "{content_type}");
        }
    }
}
