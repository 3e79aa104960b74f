//! The object store: a folder or an S3 service, through OpenDAL.
//!
//! It makes the keys, `{tenant}/{bucket id}/{object id}/{version id}`, from a permit and from ids, so no key can lie outside the permit's
//! tenant. A version is written once: [`ObjectStore::stage`] says that it is whole and what its SHA-256 is, or leaves nothing behind as
//! far as the store lets it. What is current, what a bucket is called and who may do what, this file must not know.
//!
//! A writer of OpenDAL drops what it holds when a write fails, and one that is asked again can end with a shorter object. So uploads
//! have no retries: a failed one is given up, and whoever sent it sends it again. Reads and deletions are repeated.

mod leftovers;

use std::fmt;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::{self, BoxStream};
use futures_util::{Stream, StreamExt as _, TryStreamExt as _};
use opendal::layers::{RetryLayer, TimeoutLayer};
use opendal::options::WriteOptions;
use opendal::services::{Fs, S3};
use opendal::{Operator, Writer};
use parking_lot::Mutex;
use sha2::Digest as _;
use tokio::time::timeout;
use tokio_util::task::TaskTracker;
use uuid::Uuid;

use crate::error::{Chain, Error, Kind, Result};
use crate::limits;
use crate::policy::Permit;
use crate::rules::Digest;
use crate::turns::{Turn, Turns};

/// Where objects lie.
#[derive(Clone)]
pub enum Location {
    /// Below a folder of this machine, or of a file system that all replicas share.
    Folder(PathBuf),
    /// In one bucket of an S3 service.
    S3 {
        /// The service's URL.
        endpoint: String,
        /// Its region.
        region: String,
        /// The bucket, which must exist.
        bucket: String,
        /// The access key; where it is empty, the machine's own credentials are looked for.
        access_key: String,
        /// The secret key.
        secret_key: String,
    },
}

impl fmt::Debug for Location {
    /// Without the keys.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Folder(folder) => write!(f, "folder {}", folder.display()),
            Self::S3 { endpoint, bucket, .. } => write!(f, "bucket {bucket} at {endpoint}"),
        }
    }
}

/// How to reach the store.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where objects lie.
    pub location: Location,
}

/// One version of an object, below its tenant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Key {
    /// The bucket's id.
    pub bucket: Uuid,
    /// The object's id.
    pub object: Uuid,
    /// The version's id.
    pub version: Uuid,
}

impl Key {
    fn path(&self, permit: &Permit) -> String {
        self.path_of(permit.tenant().as_str())
    }

    fn path_of(&self, tenant: &str) -> String {
        format!("{tenant}/{}/{}/{}", self.bucket, self.object, self.version)
    }
}

/// What was staged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Staged {
    /// In bytes.
    pub size: u64,
    /// SHA-256 of the bytes.
    pub digest: Digest,
}

/// The bytes of an object.
pub type Content = BoxStream<'static, Result<Bytes>>;

/// The object store.
pub struct ObjectStore {
    location: Location,
    /// With a limit on time only: for writing.
    once: Operator,
    /// With retries: for reading and removing.
    patient: Operator,
    parts_at_once: usize,
    uploads: Turns,
    /// Uploads whose future was dropped are given up behind it.
    cleaning: TaskTracker,
}

impl fmt::Debug for ObjectStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ObjectStore").field("location", &self.location).finish_non_exhaustive()
    }
}

impl ObjectStore {
    /// The store at `options.location`. A folder is made; an S3 service is first spoken to when it is used.
    pub fn connect(options: Options) -> Result<Self> {
        // The HTTP client of all S3 services; without it each call fails as if its settings were wrong. Only the first call counts.
        opendal::install_default();
        let wrong = |error: opendal::Error| {
            Error::malformed("The object store's settings cannot be used; check WEIR_STORAGE_URL and MINIO_ENDPOINT.")
                .caused_by(error)
        };
        let (bare, parts_at_once) = match &options.location {
            // Without a folder for unfinished files: a version's name is new, and nobody looks there before a row says that it is whole.
            Location::Folder(folder) => (Operator::new(Fs::default().root(&folder.to_string_lossy())).map_err(wrong)?, 2),
            Location::S3 { endpoint, region, bucket, access_key, secret_key } => {
                let mut service = S3::default().endpoint(endpoint).region(region).bucket(bucket);
                if !access_key.is_empty() {
                    service = service
                        .access_key_id(access_key)
                        .secret_access_key(secret_key)
                        .disable_config_load()
                        .disable_ec2_metadata();
                }
                (Operator::new(service).map_err(wrong)?, limits::OBJECT_PARTS_AT_ONCE)
            }
        };
        let time = TimeoutLayer::new().with_timeout(limits::OBJECT_STORE_TIME).with_io_timeout(limits::OBJECT_STORE_TIME);
        let once = bare.layer(time);
        let retries = RetryLayer::new().with_min_delay(Duration::from_millis(100)).with_max_times(3).with_jitter();
        let patient = once.clone().layer(retries);
        Ok(Self {
            location: options.location,
            once,
            patient,
            parts_at_once,
            uploads: Turns::new(limits::OBJECT_UPLOADS_AT_ONCE),
            cleaning: TaskTracker::new(),
        })
    }

    /// Asks for nothing but an answer, within [`limits::OBJECT_PROBE_TIME`].
    pub async fn probe(&self) -> Result<()> {
        timeout(limits::OBJECT_PROBE_TIME, self.once.check()).await.map_err(away)?.map_err(away)
    }

    /// Writes, reads and deletes an object outside of all tenants; the answer is a sentence for `weir doctor`.
    pub async fn examine(&self) -> Result<String> {
        // No tenant's name begins with a dot.
        let path = format!(".probe/{}", Uuid::now_v7());
        let sent = path.clone().into_bytes();
        let tried = async {
            self.once.write(&path, sent.clone()).await?;
            let found = self.once.read(&path).await?;
            self.once.delete(&path).await?;
            Ok(found.to_vec() == sent)
        };
        let same = timeout(limits::OBJECT_STORE_TIME, tried).await.map_err(away)?.map_err(|error: opendal::Error| away(error))?;
        if !same {
            return Err(Error::unavailable("object store", "a probe object read back differently"));
        }
        Ok(format!("{:?}, which writes, reads and deletes", self.location))
    }

    /// Writes `bytes`, at most `most` of them, to a key that has none yet. After an error, or when this is dropped, what was written is given up and removed.
    pub async fn stage(
        &self,
        permit: &Permit,
        key: &Key,
        most: u64,
        mut bytes: impl Stream<Item = Result<Bytes>> + Unpin,
    ) -> Result<Staged> {
        let path = key.path(permit);
        let options = WriteOptions { concurrent: self.parts_at_once, ..WriteOptions::default() };
        let writer = self.once.writer_options(&path, options).await.map_err(away)?;
        let mut upload = Unfinished { store: self, path, writer: Some(writer) };
        match self.pour(permit, &mut upload, most, &mut bytes).await {
            Ok(staged) => {
                upload.writer = None;
                Ok(staged)
            }
            Err(error) => {
                upload.give_up().await;
                Err(error)
            }
        }
    }

    /// The straight line of an upload: gather a part, hand it over, and at the end see that all of it is on disk.
    ///
    /// What it holds: the part that is being gathered, the one that OpenDAL keeps back until it knows that another follows, those under way
    /// (`parts_at_once`, 4 at S3 and 2 in a folder), and none that waits, since gathering stops meanwhile. That is 6 × 8 MiB = 48 MiB, taken
    /// from the system once and used again for each next part; an object of less than a part takes about its own size. Frames of the
    /// client are copied into parts, so that a body in frames of one byte does not hold a frame's overhead for each.
    async fn pour(
        &self,
        permit: &Permit,
        upload: &mut Unfinished<'_>,
        most: u64,
        bytes: &mut (impl Stream<Item = Result<Bytes>> + Unpin),
    ) -> Result<Staged> {
        let parts = Parts::default();
        let mut part = parts.next();
        let mut sha256 = sha2::Sha256::new();
        let mut size = 0_u64;
        // Only what is larger than a part needs more than its own size, and waits for its turn.
        let mut turn = None;
        while let Some(mut frame) = bytes.try_next().await? {
            sha256.update(&frame);
            size += frame.len() as u64;
            if size > most {
                return Err(too_large());
            }
            while !frame.is_empty() {
                part.take(&mut frame);
                if part.bytes.len() == limits::OBJECT_PART_BYTES {
                    if turn.is_none() {
                        turn = Some(self.turn(permit).await?);
                    }
                    upload.write(std::mem::replace(&mut part, parts.next())).await?;
                }
            }
        }
        if !part.bytes.is_empty() {
            upload.write(part).await?;
        }
        upload.close().await?;
        self.settle(&upload.path).await?;
        Ok(Staged { size, digest: Digest(sha256.finalize().into()) })
    }

    async fn turn(&self, permit: &Permit) -> Result<Turn> {
        match timeout(limits::OBJECT_STORE_TIME, self.uploads.take(permit.tenant())).await {
            Ok(turn) => turn,
            Err(_) => Err(Error::new(Kind::Unavailable, "Too many large uploads are under way; try again shortly.")
                .retry_after(limits::RETRY_AFTER)),
        }
    }

    /// Sees to it that a new file's name outlives a loss of power, as its content already does: each folder down to it is written to disk.
    async fn settle(&self, path: &str) -> Result<()> {
        let Location::Folder(root) = &self.location else { return Ok(()) };
        let mut folder = root.clone();
        let mut levels = path.split('/').collect::<Vec<_>>();
        levels.pop();
        for level in std::iter::once("").chain(levels) {
            folder.push(level);
            let synced = async { tokio::fs::File::open(&folder).await?.sync_all().await };
            synced.await.map_err(away)?;
        }
        Ok(())
    }

    /// The bytes of a version from `range.start` up to `range.end`, without holding them. `None` where the store has no such key.
    pub async fn read(&self, permit: &Permit, key: &Key, range: Range<u64>) -> Result<Option<Content>> {
        if range.is_empty() {
            return Ok(Some(stream::empty().boxed()));
        }
        let path = key.path(permit);
        let opened = async {
            let reader = self.patient.reader(&path).await?;
            // In one piece: OpenDAL then passes on what arrives, and gathers nothing.
            let mut bytes = reader.into_bytes_stream(range).await?;
            // The store is asked with the first bytes, and only here can the answer still be that they are not there.
            let first = bytes.try_next().await?;
            Ok::<_, std::io::Error>(stream::iter(first.map(Ok)).chain(bytes))
        };
        match timeout(limits::OBJECT_STORE_TIME, opened).await.map_err(away)? {
            Ok(bytes) => Ok(Some(bytes.map_err(away).boxed())),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(away(error)),
        }
    }

    /// Has the store make `to` of `from` by itself, so that no byte comes through here. False where it cannot: a folder does not write copies
    /// to disk before it answers, and S3 copies at most 5 GiB at once.
    pub async fn copy(&self, permit: &Permit, from: &Key, to: &Key, size: u64) -> Result<bool> {
        if matches!(self.location, Location::Folder(_)) || size > limits::OBJECT_COPY_BYTES {
            return Ok(false);
        }
        let (from, to) = (from.path(permit), to.path(permit));
        match timeout(limits::OBJECT_COPY_TIME, self.once.copy(&from, &to)).await.map_err(away)? {
            Ok(_) => Ok(true),
            Err(error) if error.kind() == opendal::ErrorKind::Unsupported => Ok(false),
            Err(error) => Err(away(error)),
        }
    }

    /// Removes a version's bytes. It is no error that they are gone already.
    pub async fn remove(&self, permit: &Permit, key: &Key) -> Result<()> {
        let path = key.path(permit);
        timeout(limits::OBJECT_STORE_TIME, self.patient.delete(&path)).await.map_err(away)?.map_err(away)
    }
}

/// The error for a body beyond [`limits::OBJECT_BYTES`].
pub fn too_large() -> Error {
    let limit = limits::OBJECT_BYTES >> 30;
    Error::new(Kind::TooLarge, format!("An object has at most {limit} GiB; split it into several."))
}

fn away(error: impl std::error::Error + Send + Sync + 'static) -> Error {
    Error::unavailable("object store", error)
}

/// An upload until it is whole; dropped before that, it is given up.
struct Unfinished<'a> {
    store: &'a ObjectStore,
    path: String,
    writer: Option<Writer>,
}

impl Unfinished<'_> {
    fn writer(&mut self) -> Result<&mut Writer> {
        self.writer.as_mut().ok_or_else(|| Error::internal("an upload was given up and goes on"))
    }

    async fn write(&mut self, part: Part) -> Result<()> {
        self.writer()?.write(Bytes::from_owner(part)).await.map_err(away)
    }

    async fn close(&mut self) -> Result<()> {
        self.writer()?.close().await.map(drop).map_err(away)
    }

    async fn give_up(mut self) {
        if let Some(writer) = self.writer.take() {
            give_up(writer, self.store.patient.clone(), std::mem::take(&mut self.path)).await;
        }
    }
}

impl Drop for Unfinished<'_> {
    fn drop(&mut self) {
        let Some(writer) = self.writer.take() else { return };
        // Outside of a runtime the process is ending; the version's row says that its bytes may go.
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            let left = give_up(writer, self.store.patient.clone(), std::mem::take(&mut self.path));
            self.store.cleaning.spawn_on(left, &runtime);
        }
    }
}

/// Tells the store to forget the parts, then removes what may be there all the same. A failure is no news to the client.
async fn give_up(mut writer: Writer, operator: Operator, path: String) {
    if let Err(error) = writer.abort().await
        && error.kind() != opendal::ErrorKind::Unsupported
    {
        tracing::debug!(error = %Chain(&error), path, "an upload could not be aborted");
    }
    drop(writer);
    if let Err(error) = operator.delete(&path).await {
        tracing::warn!(error = %Chain(&error), path, "bytes of an upload that broke off remain in the store");
    }
}

/// Buffers of one upload, used again and again: freed by one thread and taken anew by another, they would grow the heap of each.
#[derive(Clone, Default)]
struct Parts(Arc<Mutex<Vec<Vec<u8>>>>);

impl Parts {
    fn next(&self) -> Part {
        Part { bytes: self.0.lock().pop().unwrap_or_default(), home: self.clone() }
    }
}

/// One part of an upload; when the store has it, its buffer goes back.
struct Part {
    bytes: Vec<u8>,
    home: Parts,
}

impl Part {
    /// Takes what fits of `frame`. The buffer grows with what comes, and never beyond a part.
    fn take(&mut self, frame: &mut Bytes) {
        let length = self.bytes.len();
        let wanted = (length + frame.len()).min(limits::OBJECT_PART_BYTES);
        if self.bytes.capacity() < wanted {
            let capacity = (2 * self.bytes.capacity()).clamp(wanted, limits::OBJECT_PART_BYTES);
            self.bytes.reserve_exact(capacity - length);
        }
        self.bytes.extend_from_slice(&frame.split_to(wanted - length));
    }
}

impl AsRef<[u8]> for Part {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        let mut bytes = std::mem::take(&mut self.bytes);
        bytes.clear();
        self.home.0.lock().push(bytes);
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::model::{Action, Attempt, Caller, Resource, Subject, Tenant};
    use crate::policy::{self, Policy};
    use crate::vitals::Vitals;

    /// A permit of the first administrator, by the policy files of this repository.
    fn permit() -> Permit {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("policies");
        let policy =
            Policy::load(policy::Options { folder, vitals: Arc::new(Vitals::new()), log_allowed: 0 }).expect("sound files");
        let tenant = Tenant::parse("default").expect("a tenant");
        let caller = Caller {
            subject: Subject::token("bootstrap"),
            tenant: tenant.clone(),
            home: tenant,
            bearer: None,
            request_id: "r1".into(),
            attempt: Attempt::default(),
        };
        policy.authorise(&caller, Action::Write, &Resource::file("reports", "a")).expect("allowed")
    }

    fn store(folder: &Path) -> ObjectStore {
        ObjectStore::connect(Options { location: Location::Folder(folder.to_owned()) }).expect("a folder")
    }

    fn key() -> Key {
        Key { bucket: Uuid::now_v7(), object: Uuid::now_v7(), version: Uuid::now_v7() }
    }

    fn frames(bytes: &Bytes, length: usize) -> impl Stream<Item = Result<Bytes>> + Unpin {
        let bytes = bytes.clone();
        stream::iter((0..bytes.len()).step_by(length).map(move |at| Ok(bytes.slice(at..(at + length).min(bytes.len())))))
    }

    fn sample(length: usize) -> Bytes {
        (0..length).map(|at| u8::try_from(at * 31 % 251).unwrap_or_default()).collect()
    }

    async fn whole(content: Content) -> Vec<u8> {
        content
            .try_fold(Vec::new(), async |mut all, part| {
                all.extend_from_slice(&part);
                Ok(all)
            })
            .await
            .expect("readable")
    }

    fn files(folder: &Path) -> Vec<PathBuf> {
        let mut found = Vec::new();
        for entry in std::fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() { found.extend(files(&path)) } else { found.push(path) }
        }
        found
    }

    #[tokio::test]
    async fn what_is_staged_is_read_back_whole_and_in_part() {
        let folder = tempfile::tempdir().expect("a folder");
        let (store, permit) = (store(folder.path()), permit());
        let part = limits::OBJECT_PART_BYTES;
        for (size, frame) in [(0, 1), (1, 1), (1000, 7), (part, 65_536), (part + 1, part), (3 * part + 5, 100_003)] {
            let (key, bytes) = (key(), sample(size));
            let staged = store.stage(&permit, &key, limits::OBJECT_BYTES, frames(&bytes, frame)).await.expect("staged");
            assert_eq!(staged, Staged { size: size as u64, digest: Digest::of(&bytes) });
            let path = format!("default/{}/{}/{}", key.bucket, key.object, key.version);
            assert_eq!(files(folder.path()), [folder.path().join(path)]);
            let found = store.read(&permit, &key, 0..size as u64).await.expect("readable").expect("there");
            assert!(whole(found).await == bytes, "{size}");
            if size > 10 {
                let middle = store.read(&permit, &key, 3..size as u64 - 2).await.expect("readable").expect("there");
                assert!(whole(middle).await == bytes[3..size - 2], "{size}");
            }
            store.remove(&permit, &key).await.expect("removed");
            store.remove(&permit, &key).await.expect("removed once more");
            assert!(size == 0 || store.read(&permit, &key, 0..1).await.expect("readable").is_none());
        }
    }

    #[tokio::test]
    async fn an_upload_that_breaks_off_leaves_nothing() {
        let folder = tempfile::tempdir().expect("a folder");
        let (store, permit) = (store(folder.path()), permit());
        let bytes = sample(3 * limits::OBJECT_PART_BYTES);
        let broken = frames(&bytes, 65_536).chain(stream::iter([Err(Error::malformed("The body broke off before its end."))]));
        let error = store.stage(&permit, &key(), limits::OBJECT_BYTES, broken).await.expect_err("broken");
        assert_eq!(error.kind(), Kind::Malformed);
        assert!(files(folder.path()).is_empty());
    }

    #[tokio::test]
    async fn an_upload_that_is_dropped_leaves_nothing() {
        let folder = tempfile::tempdir().expect("a folder");
        let (store, permit) = (store(folder.path()), permit());
        let bytes = sample(3 * limits::OBJECT_PART_BYTES);
        let silent = frames(&bytes, 65_536).chain(stream::pending());
        let staging = timeout(Duration::from_secs(1), store.stage(&permit, &key(), limits::OBJECT_BYTES, silent)).await;
        assert!(staging.is_err());
        store.cleaning.close();
        store.cleaning.wait().await;
        assert!(files(folder.path()).is_empty());
    }

    #[tokio::test]
    async fn a_store_that_is_away_is_said_to_be() {
        let location = Location::S3 {
            endpoint: "http://127.0.0.1:9".to_owned(),
            region: "us-east-1".to_owned(),
            bucket: "weir".to_owned(),
            access_key: "key".to_owned(),
            secret_key: "secret".to_owned(),
        };
        assert!(!format!("{location:?}").contains("secret"));
        let (store, permit) = (ObjectStore::connect(Options { location }).expect("lazy"), permit());
        let error = store.stage(&permit, &key(), limits::OBJECT_BYTES, frames(&sample(10), 10)).await.expect_err("away");
        assert_eq!(error.kind(), Kind::Unavailable);
        assert!(error.wait().is_some());
        // It was spoken to: a client that is not set up fails with the same kind.
        assert!(Chain(&error).to_string().contains("send http request"), "{}", Chain(&error));
        assert_eq!(store.probe().await.expect_err("away").kind(), Kind::Unavailable);
    }

    #[tokio::test]
    async fn doctor_and_probe() {
        let folder = tempfile::tempdir().expect("a folder");
        let store = store(folder.path());
        store.probe().await.expect("alive");
        assert!(store.examine().await.expect("sound").contains("reads"));
        assert!(files(folder.path()).is_empty());
    }
}
