//! Buckets: where a tenant's files lie, with what bounds them.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use sqlx::FromRow;
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::{Form, Resource, Statements};
use crate::error::{Error, Result};
use crate::forms::sent_whole;
use crate::limits;
use crate::model::Resource as Object;
use crate::platform::statements;
use crate::policy::Collection;
use crate::terms::{BucketName, MediaTypePattern};
use crate::times;

/// A bucket.
#[derive(Clone, Debug, FromRow, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Bucket {
    /// Its id, a part of its objects' keys in the store.
    #[serde(skip)]
    pub id: Uuid,
    /// Its name, the tenant's own.
    pub name: String,
    /// `off`, `on`, or `suspended`: what is there is kept, and what comes is not.
    #[schema(value_type = Versioning)]
    pub versioning: String,
    /// The most that one file may have, in bytes; null for the gateway's own bound.
    pub max_object_bytes: Option<i64>,
    /// The most that all its files may have together, kept versions included, in bytes; null where there is no bound.
    pub quota_bytes: Option<i64>,
    /// The media types that it takes; empty for all.
    pub media_types: Vec<String>,
    /// When it was made.
    #[serde(serialize_with = "times::micros")]
    pub created_at: DateTime<Utc>,
    /// When it was last changed.
    #[serde(serialize_with = "times::micros")]
    pub updated_at: DateTime<Utc>,
}

/// Whether a bucket keeps what is replaced or deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Versioning {
    /// It does not.
    Off,
    /// It does.
    On,
    /// It keeps what it kept so far, and nothing more.
    Suspended,
}

/// A new bucket.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NewBucket {
    #[schema(value_type = BucketName, example = "reports")]
    name: String,
    /// `off` where it is not given.
    #[serde(skip_serializing_if = "Option::is_none")]
    versioning: Option<Versioning>,
    /// The most that one file may have, in bytes. Null for the gateway's own bound.
    #[serde(default, deserialize_with = "sent_whole", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<i64>, minimum = 1)]
    #[expect(clippy::option_option, reason = "null and nothing are two things in a change")]
    max_object_bytes: Option<Option<i64>>,
    /// The most that all its files may have together, kept versions included, in bytes. Null takes the bound away.
    #[serde(default, deserialize_with = "sent_whole", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<i64>, minimum = 1)]
    #[expect(clippy::option_option, reason = "null and nothing are two things in a change")]
    quota_bytes: Option<Option<i64>>,
    /// The media types that it takes, such as `application/pdf` and `image/*`; empty for all.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Vec<MediaTypePattern>>, max_items = 64)]
    media_types: Option<Vec<String>>,
}

/// A change of a bucket; what is left out stays as it is.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct BucketChange {
    #[serde(skip_serializing_if = "Option::is_none")]
    versioning: Option<Versioning>,
    /// The most that one file may have, in bytes. Null for the gateway's own bound.
    #[serde(default, deserialize_with = "sent_whole", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<i64>, minimum = 1)]
    #[expect(clippy::option_option, reason = "null and nothing are two things in a change")]
    max_object_bytes: Option<Option<i64>>,
    /// The most that all its files may have together, kept versions included, in bytes. Null takes the bound away.
    #[serde(default, deserialize_with = "sent_whole", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<i64>, minimum = 1)]
    #[expect(clippy::option_option, reason = "null and nothing are two things in a change")]
    quota_bytes: Option<Option<i64>>,
    /// The media types that it takes, such as `application/pdf` and `image/*`; empty for all.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Vec<MediaTypePattern>>, max_items = 64)]
    media_types: Option<Vec<String>>,
}

impl BucketChange {
    /// Another way with what is replaced.
    pub fn versioning(to: Versioning) -> Self {
        Self { versioning: Some(to), ..Self::default() }
    }
}

/// Buckets are filtered by nothing.
#[derive(Debug, Default, Serialize, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct BucketFilter {}

/// What stands behind `/files/` in paths of the API, and would hide a bucket of that name.
const RESERVED: [&str; 9] =
    ["copy", "download", "exists", "presigned-url", "restore", "resumable", "upload", "upload-buffer", "versions"];

fn check_name(name: &str) -> Result<()> {
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

fn check(bytes: [(&str, Option<i64>); 2], media_types: Option<&[String]>) -> Result<()> {
    for (field, bound) in bytes {
        if bound.is_some_and(|bound| bound < 1) {
            let sentence = format!("`{field}` is at least 1; null takes the bound away.");
            return Err(Error::malformed(sentence).at(format!("/{field}"), "out of range"));
        }
    }
    let media_types = media_types.unwrap_or_default();
    if media_types.len() > limits::BUCKET_MEDIA_TYPES {
        let sentence = format!("A bucket names at most {} `mediaTypes`.", limits::BUCKET_MEDIA_TYPES);
        return Err(Error::malformed(sentence).at("/mediaTypes", "too many"));
    }
    for (index, pattern) in media_types.iter().enumerate() {
        if !is_media_type_pattern(pattern) {
            let sentence = "`mediaTypes` are such as `application/pdf` and `image/*`, in small letters and without parameters.";
            return Err(Error::malformed(sentence).at(format!("/mediaTypes/{index}"), "not a media type"));
        }
    }
    Ok(())
}

fn is_media_type_pattern(text: &str) -> bool {
    let token = |part: &str| {
        !part.is_empty()
            && part.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"!#$&-^_.+".contains(&byte))
    };
    text.len() <= limits::NAME_BYTES && text.split_once('/').is_some_and(|(kind, of)| token(kind) && (of == "*" || token(of)))
}

impl Bucket {
    /// Whether it takes files of this media type, whose parameters do not count.
    pub fn takes(&self, content_type: &str) -> bool {
        let essence = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        let fits = |pattern: &String| match pattern.strip_suffix('*') {
            Some(kind) => essence.starts_with(kind),
            None => essence == *pattern,
        };
        self.media_types.is_empty() || self.media_types.iter().any(fits)
    }

    /// Whether a version that is stored now stays when it is replaced.
    pub fn keeps(&self) -> bool {
        self.versioning == "on"
    }
}

impl Form for NewBucket {
    fn check(&self) -> Result<()> {
        check_name(&self.name)?;
        let bytes = [("maxObjectBytes", self.max_object_bytes.flatten()), ("quotaBytes", self.quota_bytes.flatten())];
        check(bytes, self.media_types.as_deref())
    }
}

impl Form for BucketChange {
    fn check(&self) -> Result<()> {
        let bytes = [("maxObjectBytes", self.max_object_bytes.flatten()), ("quotaBytes", self.quota_bytes.flatten())];
        check(bytes, self.media_types.as_deref())
    }
}

impl Resource for Bucket {
    const COLLECTION: &'static str = "buckets";
    const ONE: &'static str = "bucket";
    const STATEMENTS: Statements =
        Statements { insert: INSERT, list: LIST, get: GET, lock: LOCK, update: UPDATE, delete: DELETE };
    const USES: Option<&'static str> = Some(USES);
    type New = NewBucket;
    type Change = BucketChange;
    type Filter = BucketFilter;

    fn key(&self) -> String {
        self.name.clone()
    }

    fn is_key(key: &str) -> bool {
        check_name(key).is_ok()
    }

    fn whole() -> Object {
        Object::buckets()
    }

    fn one(key: &str) -> Object {
        Object::bucket(key)
    }

    fn collection() -> Collection {
        Collection::buckets()
    }
}

statements! {
    INSERT = "insert into buckets (tenant, id, name, versioning, max_object_bytes, quota_bytes, media_types)
              select $1, $2::uuid, f.name, coalesce(f.versioning, 'off'), f.\"maxObjectBytes\", f.\"quotaBytes\",
                     coalesce(f.\"mediaTypes\", '{}')
              from jsonb_to_record($3::jsonb) as f (name text, versioning text, \"maxObjectBytes\" bigint, \"quotaBytes\" bigint,
                                                    \"mediaTypes\" text[])
              returning *";
    LIST = "select * from buckets where tenant = $1 and ($2::text is null or name > $2) and $3::jsonb is not null
            and weir_reaches(name, $5) order by name limit $4";
    GET = "select * from buckets where tenant = $1 and name = $2";
    /// Uploads that are about to become current share it, so what is asked under it is asked after or before them, never between.
    LOCK = "select * from buckets where tenant = $1 and name = $2 for update";
    UPDATE = "update buckets b set versioning = coalesce(f.versioning, b.versioning),
              max_object_bytes = case when $3 ? 'maxObjectBytes' then f.\"maxObjectBytes\" else b.max_object_bytes end,
              quota_bytes = case when $3 ? 'quotaBytes' then f.\"quotaBytes\" else b.quota_bytes end,
              media_types = coalesce(f.\"mediaTypes\", b.media_types), updated_at = clock_timestamp()
              from jsonb_to_record($3::jsonb) as f (versioning text, \"maxObjectBytes\" bigint, \"quotaBytes\" bigint, \"mediaTypes\" text[])
              where b.tenant = $1 and b.name = $2 returning b.*";
    /// With it the names whose first upload is under way, or of which nothing is left.
    DELETE = "with gone as (select id from buckets where tenant = $1 and name = $2),
                   names as (delete from objects o using gone g where o.tenant = $1 and o.bucket_id = g.id),
                   counted as (delete from bucket_use u using gone g where u.tenant = $1 and u.bucket_id = g.id)
              delete from buckets b using gone g where b.tenant = $1 and b.id = g.id";
    USES = "select what, number from (
                select 'files', count(*) from objects o join buckets b on b.id = o.bucket_id
                where b.tenant = $1 and b.name = $2 and o.current_version is not null
                union all
                select 'earlier versions', count(*) from object_versions v join buckets b on b.id = v.bucket_id
                where b.tenant = $1 and b.name = $2 and v.state = 'stored'
                and not exists (select from objects o where o.id = v.object_id and o.current_version = v.id)
            ) as used (what, number) where number > 0";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_buckets() {
        for name in ["abc", "a-b", "1.2", "reports.2026", &"a".repeat(63)] {
            assert!(check_name(name).is_ok(), "{name}");
        }
        for name in ["", "ab", "Abc", "a_b", "-ab", "ab-", ".ab", "a..b", "10.0.0.1", "a/b", "äbc", "download", &"a".repeat(64)]
        {
            assert!(check_name(name).is_err(), "{name}");
        }
    }

    #[test]
    fn media_types_are_named_whole_or_by_kind() {
        for text in ["application/pdf", "image/*", "application/vnd.ms-excel", "image/svg+xml"] {
            assert!(is_media_type_pattern(text), "{text}");
        }
        for text in ["", "pdf", "*/*", "image/", "Image/png", "text/plain; charset=utf-8", "a/b/c"] {
            assert!(!is_media_type_pattern(text), "{text}");
        }
        let bucket = |types: &[&str]| Bucket {
            id: Uuid::nil(),
            name: "b".to_owned(),
            versioning: "off".to_owned(),
            max_object_bytes: None,
            quota_bytes: None,
            media_types: types.iter().map(|text| (*text).to_owned()).collect(),
            created_at: DateTime::UNIX_EPOCH,
            updated_at: DateTime::UNIX_EPOCH,
        };
        assert!(bucket(&[]).takes("text/plain"));
        let some = bucket(&["image/*", "text/plain"]);
        assert!(some.takes("image/png") && some.takes("Text/Plain; charset=utf-8"));
        assert!(!some.takes("text/html") && !some.takes("images/png"));
    }
}
