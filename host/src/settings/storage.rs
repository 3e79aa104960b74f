//! Where objects lie.

use std::path::PathBuf;

use chrono::TimeDelta;
use serde::Deserialize;

use super::{Mistake, Secret};

/// The object store.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Storage {
    /// `fs:///folder` or `s3://bucket`.
    pub url: Option<String>,
    /// Host or URL of the S3 service.
    pub endpoint: Option<String>,
    /// Its port, where the endpoint is a host.
    pub port: u16,
    /// Whether it speaks TLS, where the endpoint is a host.
    pub use_ssl: bool,
    /// Its region.
    pub region: String,
    /// Its access key.
    pub access_key: Option<Secret>,
    /// Its secret key.
    pub secret_key: Option<Secret>,
    /// Hours after which an upload that did not end counts as broken off.
    pub upload_hours: u32,
}

/// Where objects lie, read from [`Storage`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// A folder of this machine.
    Folder(PathBuf),
    /// A bucket of an S3 service.
    S3 {
        /// The bucket.
        bucket: String,
        /// The service's URL.
        endpoint: String,
    },
}

impl Storage {
    /// How long an upload may take.
    pub fn upload_time(&self) -> TimeDelta {
        TimeDelta::hours(self.upload_hours.into())
    }

    /// Where objects lie.
    pub fn place(&self) -> Result<Place, Mistake> {
        let url = self.url.as_deref().unwrap_or("s3://weir");
        if let Some(folder) = url.strip_prefix("fs://") {
            if !folder.starts_with('/') {
                return Err(Mistake::of("storage.url", "write a whole path, as in `fs:///var/lib/weir`"));
            }
            return Ok(Place::Folder(folder.into()));
        }
        let Some(bucket) = url.strip_prefix("s3://").map(|rest| rest.trim_end_matches('/')).filter(|bucket| !bucket.is_empty())
        else {
            return Err(Mistake::of("storage.url", "write `fs:///folder` or `s3://bucket`"));
        };
        let Some(endpoint) = self.endpoint.as_deref() else {
            return Err(Mistake::of("storage.endpoint", "is needed for `s3://…`; or set WEIR_STORAGE_URL to `fs:///folder`"));
        };
        let endpoint = if endpoint.contains("://") {
            endpoint.to_owned()
        } else {
            format!("{}://{endpoint}:{}", if self.use_ssl { "https" } else { "http" }, self.port)
        };
        Ok(Place::S3 { bucket: bucket.to_owned(), endpoint })
    }
}
