//! Line d: an object that a client of the S3 store stores in parts, as large as Weir's and as many at once, because the store takes them
//! in quicker so. Its addresses are signed while the clock runs, since the store names the upload.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hyper::Method;
use rusty_s3::actions::{CompleteMultipartUpload, CreateMultipartUpload, UploadPart};
use rusty_s3::{Bucket, Credentials, S3Action as _};

use super::client::Client;
use super::content::Content;
use super::crowd;
use crate::failure::{Doing as _, Result};

/// Bytes of a part: `OBJECT_PART_BYTES` of Weir's limits.
const PART: u64 = 8 << 20;
/// Parts of an object that are under way at once: `OBJECT_PARTS_AT_ONCE`.
const AT_ONCE: usize = 4;
/// How long a signature is good for.
const SIGNED_FOR: Duration = Duration::from_hours(1);

/// Who signs for one object.
#[derive(Clone, Debug)]
pub struct Parts {
    /// The store's bucket.
    pub bucket: Bucket,
    /// Its keys.
    pub credentials: Credentials,
    /// The object's.
    pub key: String,
}

impl Parts {
    /// Stores the object.
    pub async fn put(&self, client: &Client, content: &Content) -> Result<u32> {
        let credentials = Some(&self.credentials);
        let create = CreateMultipartUpload::new(&self.bucket, credentials, &self.key).sign(SIGNED_FOR);
        let (_, told) = client.say(&Method::POST, create.as_str(), &Content::text(String::new())).await?;
        let upload = CreateMultipartUpload::parse_response(&told).doing("an upload in parts")?.upload_id().to_owned();

        let parts: Arc<[Content]> = content.parts(PART).into();
        let tags = Arc::new(Mutex::new(BTreeMap::new()));
        let (all, kept, signer, at, to) = (Arc::clone(&parts), Arc::clone(&tags), self.clone(), upload.clone(), client.clone());
        let one = move |number: usize| {
            let (all, kept, signer, at, to) = (Arc::clone(&all), Arc::clone(&kept), signer.clone(), at.clone(), to.clone());
            async move {
                let name = u16::try_from(number + 1).doing("so many parts")?;
                let url = UploadPart::new(&signer.bucket, Some(&signer.credentials), &signer.key, name, &at).sign(SIGNED_FOR);
                let (tag, _) = to.say(&Method::PUT, url.as_str(), &all[number]).await?;
                kept.lock().unwrap_or_else(PoisonError::into_inner).insert(name, tag);
                Ok(0)
            }
        };
        crowd::run(parts.len(), AT_ONCE, one).await?;

        let tags = std::mem::take(&mut *tags.lock().unwrap_or_else(PoisonError::into_inner));
        let complete =
            CompleteMultipartUpload::new(&self.bucket, credentials, &self.key, &upload, tags.values().map(String::as_str));
        let url = complete.sign(SIGNED_FOR);
        client.say(&Method::POST, url.as_str(), &Content::text(complete.body())).await?;
        Ok(0)
    }
}
