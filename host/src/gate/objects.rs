//! Buckets and objects: authorise → the bucket is known → bytes through its chain of modules, staged → made current → what they replaced removed.
//!
//! An object is there whole or not at all: until the row points to its new version, everybody sees the one before. It knows neither
//! HTTP, SQL nor how a store is spoken to; bodies come and go as streams.

use std::collections::VecDeque;
use std::ops::Range;

use bytes::Bytes;
use futures_util::{Stream, TryStreamExt as _, stream};
use parking_lot::Mutex;
use uuid::Uuid;

use super::Gate;
use crate::error::{Chain, Error, Kind, Result};
use crate::guest::objects::{Inspection, ObjectFacts, Refused};
use crate::limits;
use crate::model::{Action, Caller, Resource};
pub use crate::objects::{Content, too_large};
use crate::objects::{Key, Staged};
use crate::paging::{Listed, PageOf};
pub use crate::platform::files::history::VersionRow;
pub use crate::platform::files::{Expected, Metadata, ObjectRow};
use crate::platform::files::{Upload, VersionKey, larger_than};
use crate::platform::resource::buckets::Bucket;
use crate::policy::Permit;
use crate::rules::{ChainOf, Digest, Step};
use crate::vitals::Word;

/// How often a reader follows an object that is replaced while it looks.
const LOOKS: usize = 3;

/// A file that is to be stored.
#[derive(Clone, Debug)]
pub struct NewObject<'a> {
    /// Its bucket.
    pub bucket: &'a str,
    /// Its name in there.
    pub name: &'a str,
    /// Its media type.
    pub content_type: &'a str,
    /// What else is said of it.
    pub metadata: Metadata,
    /// What it is to take the place of, if that matters.
    pub expected: Option<&'a Expected>,
    /// How many bytes it has, where that is known.
    pub size: Option<u64>,
}

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

pub(in crate::gate) fn no_bucket(name: &str) -> Error {
    Error::not_found(format!("bucket `{name}`"))
}

fn no_version(bucket: &str, name: &str, version: Uuid) -> Error {
    Error::not_found(format!("version `{version}` of object `{name}` in bucket `{bucket}`"))
}

fn no_object(bucket: &str, name: &str) -> Error {
    Error::not_found(format!("object `{name}` in bucket `{bucket}`"))
}

pub(in crate::gate) fn place(key: &VersionKey) -> Key {
    Key { bucket: key.bucket_id, object: key.object_id, version: key.version_id }
}

/// S3's rule for names of buckets.
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

/// Bounds on what else is said of a file.
fn check_metadata(metadata: &Metadata) -> Result<()> {
    let bytes: usize = metadata.iter().map(|(name, word)| name.len() + word.len()).sum();
    let odd = |text: &str| text.chars().any(char::is_control);
    let sound = metadata.len() <= limits::METADATA_ENTRIES
        && bytes <= limits::METADATA_BYTES
        && metadata.iter().all(|(name, word)| !name.is_empty() && !odd(name) && !odd(word));
    if sound {
        return Ok(());
    }
    let (entries, bytes) = (limits::METADATA_ENTRIES, limits::METADATA_BYTES);
    let sentence = format!("`metadata` has at most {entries} words by names, {bytes} bytes together, and no control characters.");
    Err(Error::malformed(sentence).at("/metadata", "too much, or with control characters"))
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
    /// Stores an object, in place of the one of its name if there is one.
    pub async fn object_put(
        &self,
        caller: &Caller,
        new: NewObject<'_>,
        body: impl Stream<Item = Result<Bytes>> + Unpin,
    ) -> Result<Put> {
        let NewObject { bucket, name, content_type, ref metadata, size, .. } = new;
        let permit = self.authorise(caller, Action::Write, &Resource::file(bucket, name)).await?;
        check_object_name(name)?;
        check_content_type(content_type)?;
        check_metadata(metadata)?;
        let chain = self.platform.chain_steps(&permit, &ChainOf::Objects(bucket.to_owned())).await?;
        let reserved = self.platform.object_reserve(&permit, (bucket, name), content_type, size).await?;
        let (row, key) = reserved.ok_or_else(|| no_bucket(bucket))?;
        let most = row.max_object_bytes.map_or(limits::OBJECT_BYTES, i64::unsigned_abs).min(limits::OBJECT_BYTES);
        let facts = || ObjectFacts {
            bucket: bucket.to_owned(),
            name: name.to_owned(),
            media_type: Some(content_type.to_owned()),
            size,
            metadata: metadata.clone().into_iter().collect(),
            subject: permit.subject().as_str().to_owned(),
        };
        let staged = if chain.is_empty() {
            self.objects.stage(&permit, &place(&key), most, body).await.map(|staged| (staged, None))
        } else {
            self.stage_through(&permit, &chain, facts(), (&key, most), body).await
        };
        let (staged, media_type) = match staged {
            Ok(staged) => staged,
            Err(error) => {
                // Where the store went away, it may yet finish what it was sent: its row stays, for whoever clears up.
                if error.kind() != Kind::Unavailable {
                    self.discard(&permit, &key).await;
                }
                return Err(match row.max_object_bytes {
                    Some(bound) if error.kind() == Kind::TooLarge => larger_than(bucket, bound),
                    _ => error,
                });
            }
        };
        self.vitals.object_bytes.get_or_create(&Word { kind: "in" }).inc_by(staged.size);
        let upload = Upload {
            size: staged.size,
            digest: staged.digest,
            content_type: media_type.unwrap_or_else(|| content_type.to_owned()),
            metadata: new.metadata,
        };
        self.make_current(&permit, (bucket, &key), upload, new.expected).await
    }

    /// Lets an object be what was staged, and clears up what that replaced, or what was staged where it cannot be.
    async fn make_current(
        &self,
        permit: &Permit,
        (bucket, key): (&str, &VersionKey),
        upload: Upload,
        expected: Option<&Expected>,
    ) -> Result<Put> {
        let made = self.platform.object_make_current(permit, key, upload, expected).await;
        let made = match made.and_then(|made| made.ok_or_else(|| no_bucket(bucket))) {
            Ok(made) => made,
            Err(error) => {
                // Where the database went away, it may have committed all the same: only it knows whether these bytes may go.
                if !matches!(error.kind(), Kind::Unavailable | Kind::Internal) {
                    self.discard(permit, key).await;
                }
                return Err(error);
            }
        };
        if let Some(replaced) = &made.replaced {
            self.discard(permit, replaced).await;
        }
        Ok(Put { row: made.row, created: made.created })
    }

    /// Makes an object of another one, or of an earlier version of it. Where no module has to see the bytes and the store can, it copies them
    /// by itself.
    pub async fn object_copy(
        &self,
        caller: &Caller,
        (bucket, name, version): (&str, &str, Option<Uuid>),
        to: NewObject<'_>,
    ) -> Result<Put> {
        let from = self.authorise(caller, Action::Read, &Resource::file(bucket, name)).await?;
        let row = self.object_row(&from, bucket, name, version).await?;
        let size = u64::try_from(row.size).map_err(Error::internal)?;
        let to = NewObject {
            content_type: if to.content_type.is_empty() { &row.content_type } else { to.content_type },
            metadata: if to.metadata.is_empty() { row.metadata.0.clone() } else { to.metadata },
            size: Some(size),
            ..to
        };
        let permit = self.authorise(caller, Action::Write, &Resource::file(to.bucket, to.name)).await?;
        check_object_name(to.name)?;
        let chain = self.platform.chain_steps(&permit, &ChainOf::Objects(to.bucket.to_owned())).await?;
        if chain.is_empty() && size <= limits::OBJECT_COPY_BYTES {
            check_content_type(to.content_type)?;
            check_metadata(&to.metadata)?;
            let reserved = self.platform.object_reserve(&permit, (to.bucket, to.name), to.content_type, Some(size)).await?;
            let (_, key) = reserved.ok_or_else(|| no_bucket(to.bucket))?;
            match self.objects.copy(&permit, &place(&row.key), &place(&key), size).await {
                Ok(true) => {
                    let digest = Digest::from_slice(&row.digest).ok_or_else(|| Error::internal("a digest of another length"))?;
                    let upload = Upload { size, digest, content_type: to.content_type.to_owned(), metadata: to.metadata };
                    return self.make_current(&permit, (to.bucket, &key), upload, to.expected).await;
                }
                Ok(false) => self.discard(&permit, &key).await,
                Err(error) => return Err(error),
            }
        }
        let content = self.objects.read(&from, &place(&row.key), 0..size).await?;
        let content = content.ok_or_else(|| Error::unavailable("object store", "what is to be copied was replaced meanwhile"))?;
        self.object_put(caller, to, content).await
    }

    /// Stages what a bucket's chain lets through, as it comes. What it refuses is given up, and nobody ever sees it.
    async fn stage_through(
        &self,
        permit: &Permit,
        chain: &[Step],
        facts: ObjectFacts,
        (key, most): (&VersionKey, u64),
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
        let staged = self.objects.stage(permit, &place(key), most, Box::pin(pieces)).await?;
        Ok((staged, media_type.into_inner()))
    }

    /// One object's row.
    pub async fn object_get(&self, caller: &Caller, bucket: &str, name: &str, version: Option<Uuid>) -> Result<ObjectRow> {
        let permit = self.authorise(caller, Action::Read, &Resource::file(bucket, name)).await?;
        self.object_row(&permit, bucket, name, version).await
    }

    async fn object_row(&self, permit: &Permit, bucket: &str, name: &str, version: Option<Uuid>) -> Result<ObjectRow> {
        match version {
            None => self.platform.object_get(permit, bucket, name).await?.ok_or_else(|| no_object(bucket, name)),
            Some(version) => {
                let found = self.platform.version_get(permit, bucket, name, version).await?;
                found.ok_or_else(|| no_version(bucket, name, version))
            }
        }
    }

    /// True where there is an object of this name.
    pub async fn object_exists(&self, caller: &Caller, bucket: &str, name: &str) -> Result<bool> {
        let permit = self.authorise(caller, Action::Read, &Resource::file(bucket, name)).await?;
        if self.platform.object_get(&permit, bucket, name).await?.is_some() {
            return Ok(true);
        }
        self.platform.resource_get::<Bucket>(&permit, bucket).await?.map(|_| false).ok_or_else(|| no_bucket(bucket))
    }

    /// Opens an object for reading. `choose` sees what it is now and says which of its bytes are wanted, if any.
    pub async fn object_read<W>(
        &self,
        caller: &Caller,
        (bucket, name, version): (&str, &str, Option<Uuid>),
        choose: impl Fn(&ObjectRow) -> Result<(W, Option<Range<u64>>)>,
    ) -> Result<Download<W>> {
        let permit = self.authorise(caller, Action::Read, &Resource::file(bucket, name)).await?;
        // Replaced between these two looks, a version's bytes are gone; then there is another version to look at.
        for _ in 0..LOOKS {
            let row = self.object_row(&permit, bucket, name, version).await?;
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
        let free = self.platform.object_delete(&permit, bucket, name, expected).await?.ok_or_else(|| no_object(bucket, name))?;
        if let Some(key) = free {
            self.discard(&permit, &key).await;
        }
        Ok(())
    }

    /// One page of an object's history, the newest first.
    pub async fn versions(&self, caller: &Caller, bucket: &str, name: &str, page: &PageOf) -> Result<Listed<VersionRow>> {
        let permit = self.authorise(caller, Action::Read, &Resource::file(bucket, name)).await?;
        let found = self.platform.version_list(&permit, bucket, name, page).await?;
        if found.items.is_empty() && page.after.is_none() { Err(no_object(bucket, name)) } else { Ok(found) }
    }

    /// Deletes one version of an object for good.
    pub async fn version_delete(&self, caller: &Caller, bucket: &str, name: &str, version: Uuid) -> Result<()> {
        let permit = self.authorise(caller, Action::Delete, &Resource::file(bucket, name)).await?;
        let key = self.platform.version_delete(&permit, bucket, name, version).await?;
        self.discard(&permit, &key.ok_or_else(|| no_version(bucket, name, version))?).await;
        Ok(())
    }

    /// Makes an earlier version what its object is.
    pub async fn version_restore(&self, caller: &Caller, bucket: &str, name: &str, version: Uuid) -> Result<ObjectRow> {
        let permit = self.authorise(caller, Action::Write, &Resource::file(bucket, name)).await?;
        let free = self.platform.version_restore(&permit, bucket, name, version).await?;
        if let Some(key) = free.ok_or_else(|| no_version(bucket, name, version))? {
            self.discard(&permit, &key).await;
        }
        self.platform.object_get(&permit, bucket, name).await?.ok_or_else(|| no_object(bucket, name))
    }

    /// Removes the bytes of a version that nothing points to, then its row. What fails here changes no answer: the row stays and says it.
    pub(in crate::gate) async fn discard(&self, permit: &Permit, key: &VersionKey) {
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
