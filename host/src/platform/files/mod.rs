//! Objects and their versions: the row that makes bytes current.
//!
//! A version's row is there before its bytes and goes after them, so the store holds nothing that no row names. What is current changes
//! in one transaction with its audit, under locks taken in one order: the bucket, then the object. Of two uploads to one name the one
//! that commits last stays. It knows nothing of the store: it says which keys are free to go, and somebody else removes their bytes.

pub mod history;
pub mod leftovers;
pub mod listing;

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde_json::json;
use sqlx::postgres::PgConnection;
use sqlx::types::Json;
use sqlx::{FromRow, Row as _};
use uuid::Uuid;

use super::resource::buckets::Bucket;
use super::resource::{Resource as _, Unchanged};
use super::{Platform, audit, exactly_one, failed, stale, statements};
use crate::error::{Error, Kind, Result};
use crate::policy::Permit;
use crate::rules::Digest;

/// Where a version's bytes lie, below their tenant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromRow)]
pub struct VersionKey {
    /// The bucket.
    pub bucket_id: Uuid,
    /// The object.
    pub object_id: Uuid,
    /// The version.
    pub version_id: Uuid,
}

/// An object as it is now.
#[derive(Clone, Debug, FromRow)]
pub struct ObjectRow {
    /// Its name in the bucket.
    pub name: String,
    /// Where its bytes lie.
    #[sqlx(flatten)]
    pub key: VersionKey,
    /// In bytes.
    pub size: i64,
    /// SHA-256 of its bytes.
    pub digest: Vec<u8>,
    /// As it was uploaded.
    pub content_type: String,
    /// When this version became current.
    pub modified_at: DateTime<Utc>,
    /// What else was said of it.
    pub metadata: Json<Metadata>,
}

/// What else is said of a file: words by names.
pub type Metadata = BTreeMap<String, String>;

/// Facts of an upload that is whole in the store.
#[derive(Clone, Debug)]
pub struct Upload {
    /// In bytes.
    pub size: u64,
    /// SHA-256 of the bytes.
    pub digest: Digest,
    /// As the client named it.
    pub content_type: String,
    /// What else the client said of it.
    pub metadata: Metadata,
}

/// What the current version must be for a change to happen (`If-Match`).
#[derive(Clone, Debug)]
pub enum Expected {
    /// There must be one.
    Some,
    /// It must have one of these digests.
    OneOf(Vec<Digest>),
}

impl Expected {
    fn holds(&self, digest: Option<&[u8]>) -> bool {
        match (self, digest) {
            (_, None) => false,
            (Self::Some, Some(_)) => true,
            (Self::OneOf(wanted), Some(digest)) => wanted.iter().any(|wanted| wanted.0 == digest),
        }
    }
}

/// What became of an upload.
#[derive(Clone, Debug)]
pub struct MadeCurrent {
    /// The object as it is now.
    pub row: ObjectRow,
    /// True where there was none of this name.
    pub created: bool,
    /// The version that it replaced, where that is free to go.
    pub replaced: Option<VersionKey>,
}

statements! {
    BUCKET_SHARE = "select * from buckets where tenant = $1 and name = $2 for key share";
    BUCKET_SHARE_BY_ID = "select * from buckets where tenant = $1 and id = $2 for key share";
    /// All that is within reach, with its history. Their bytes go later.
    BUCKET_CLEAR = "with these as (select id from objects where tenant = $1 and bucket_id = $2 and weir_reaches(name, $3)),
                         versions as (update object_versions v set state = 'discarded', changed_at = clock_timestamp() from these t
                                      where v.tenant = $1 and v.object_id = t.id and v.state = 'stored')
                    update objects o set current_version = null from these t where o.tenant = $1 and o.id = t.id";
    BUCKET_NAMES = "delete from objects o where o.tenant = $1 and o.bucket_id = $2 and o.current_version is null
                    and not exists (select from object_versions v where v.object_id = o.id and v.state <> 'discarded')";
    BUCKET_EXCEEDED = "select b.quota_bytes from buckets b left join bucket_use u on u.bucket_id = b.id
                       where b.tenant = $1 and b.id = $2 and coalesce(u.bytes, 0) + $3 > b.quota_bytes";
    // The update that changes nothing locks the row and returns its id, whoever made it.
    OBJECT_ENSURE = "insert into objects (id, tenant, bucket_id, name) values ($1, $2, $3, $4)
                     on conflict (bucket_id, name) do update set created_at = objects.created_at returning id";
    // Without a join: a row that somebody changed while this waited would be joined to what the other table held before.
    OBJECT_LOCK = "select id, name, current_version from objects where tenant = $1 and id = $2 for update";
    OBJECT_LOCK_BY_NAME = "select id, name, current_version from objects
                           where tenant = $1 and bucket_id = $2 and name = $3 for update";
    OBJECT_POINT = "update objects set current_version = $3 where tenant = $1 and id = $2";
    OBJECT_FORGET = "delete from objects o where o.tenant = $1 and o.id = $2 and o.current_version is null
                     and not exists (select from object_versions v where v.object_id = o.id and v.state <> 'discarded')";
    OBJECT_GET = "select o.name, v.bucket_id, v.object_id, v.id as version_id, v.size, v.digest, v.content_type, v.created_at as modified_at, v.metadata
                  from buckets b join objects o on o.bucket_id = b.id
                  join object_versions v on v.object_id = o.id and v.id = o.current_version
                  where b.tenant = $1 and b.name = $2 and o.name = $3";
    VERSION_STAGE = "insert into object_versions (id, tenant, bucket_id, object_id) values ($1, $2, $3, $4)";
    VERSION_DIGEST = "select digest from object_versions where tenant = $1 and id = $2";
    VERSION_STORE = "update object_versions set state = 'stored', size = $3, digest = $4, content_type = $5, metadata = $6, kept = $7,
                     created_at = clock_timestamp(), changed_at = clock_timestamp()
                     where tenant = $1 and id = $2 and state = 'staged' returning created_at";
    VERSION_DISCARD = "update object_versions set state = 'discarded', changed_at = clock_timestamp()
                       where tenant = $1 and object_id = $2 and id = $3 and state = 'stored'";
    /// A version of this object and of no other: leave was given for its name.
    VERSION_KEPT = "select kept from object_versions where tenant = $1 and object_id = $2 and id = $3 and state = 'stored'";
    VERSION_MARK = "insert into object_versions (id, tenant, bucket_id, object_id, state, size, digest, content_type, kept, marker)
                    values ($1, $2, $3, $4, 'stored', 0, sha256(''), '', $5, true)";
    CURRENT_SIZE = "select case when v.kept then 0 else v.size end
                    from objects o join object_versions v on v.object_id = o.id and v.id = o.current_version
                    where o.tenant = $1 and o.id = $2";
    STORAGE_EXCEEDED = "select t.storage_bytes from tenants t left join storage_use u on u.tenant = t.slug
                        where t.slug = $1 and coalesce(u.bytes, 0) + $2 > t.storage_bytes";
    VERSION_FORGET = "delete from object_versions where tenant = $1 and id = $2 and state <> 'stored'";
}

/// An object under its lock.
#[derive(FromRow)]
struct Locked {
    id: Uuid,
    name: String,
    current_version: Option<Uuid>,
}

impl Locked {
    /// Refuses the change where the current version is not the expected one.
    async fn check(&self, connection: &mut PgConnection, tenant: &str, expected: Option<&Expected>) -> Result<()> {
        let Some(expected) = expected else { return Ok(()) };
        let digest = sqlx::query_scalar(VERSION_DIGEST).bind(tenant).bind(self.current_version);
        let digest: Option<Option<Vec<u8>>> = digest.fetch_optional(&mut *connection).await.map_err(failed)?;
        if expected.holds(digest.flatten().as_deref()) {
            return Ok(());
        }
        Err(Error::new(
            Kind::Stale,
            "`If-Match` names another version than the current one; read the object again and decide anew.",
        )
        .at("If-Match", "not the current version"))
    }
}

/// Refuses what would take a tenant's files or a bucket over its bound, where so many bytes take the place of an object's current ones; so
/// many of them are counted already. What is no larger than what it replaces passes, also where a bound was lowered below what there is.
async fn within_bounds(
    connection: &mut PgConnection,
    tenant: &str,
    bucket: &Bucket,
    object: Uuid,
    (size, counted): (i64, i64),
) -> Result<()> {
    let current = sqlx::query_scalar(CURRENT_SIZE).bind(tenant).bind(object).fetch_optional(&mut *connection);
    let current: i64 = current.await.map_err(failed)?.unwrap_or(0);
    if size <= current {
        return Ok(());
    }
    let more = size.saturating_sub(current) - counted;
    let exceeded = sqlx::query_scalar(STORAGE_EXCEEDED).bind(tenant).bind(more).fetch_optional(&mut *connection);
    let exceeded: Option<i64> = exceeded.await.map_err(failed)?;
    if let Some(bound) = exceeded {
        let sentence = format!(
            "With this, your tenant's files would take more than its `storageBytes`, {bound} bytes; delete others first, or ask your \
             platform administrator for more."
        );
        return Err(Error::new(Kind::TooLarge, sentence));
    }
    let exceeded = sqlx::query_scalar(BUCKET_EXCEEDED).bind(tenant).bind(bucket.id).bind(more);
    let exceeded: Option<i64> = exceeded.fetch_optional(&mut *connection).await.map_err(failed)?;
    match exceeded {
        None => Ok(()),
        Some(bound) => {
            let name = &bucket.name;
            let sentence = format!(
                "With this, bucket `{name}` would hold more than its `quotaBytes`, {bound} bytes, kept versions included; delete others \
                 first, or raise it."
            );
            Err(Error::new(Kind::TooLarge, sentence))
        }
    }
}

/// Refuses what a bucket does not take.
pub(crate) fn admitted(bucket: &Bucket, size: Option<u64>, content_type: &str) -> Result<()> {
    if !bucket.takes(content_type) {
        let (name, types) = (&bucket.name, bucket.media_types.join(", "));
        let sentence =
            format!("Bucket `{name}` takes files of these media types only: {types}. Send the file's own `Content-Type`.");
        return Err(Error::new(Kind::UnsupportedMediaType, sentence).at("Content-Type", "not taken by this bucket"));
    }
    match bucket.max_object_bytes {
        Some(most) if size.is_some_and(|size| size > most.unsigned_abs()) => Err(larger_than(&bucket.name, most)),
        _ => Ok(()),
    }
}

/// The error for a file that is larger than its bucket lets one be.
pub(crate) fn larger_than(bucket: &str, most: i64) -> Error {
    Error::new(Kind::TooLarge, format!("A file of bucket `{bucket}` has at most {most} bytes (`maxObjectBytes`)."))
}

impl Platform {
    /// Discards all that a bucket holds and that is within reach, where it is as the client thinks it is. False where there is none.
    pub async fn bucket_clear(&self, permit: &Permit, name: &str, unchanged: Unchanged<'_, Bucket>) -> Result<bool> {
        let tenant = permit.tenant().as_str();
        let mut transaction = self.begin(permit).await?;
        let lock = sqlx::query_as(Bucket::STATEMENTS.lock).bind(tenant).bind(name);
        let Some(bucket): Option<Bucket> = lock.fetch_optional(&mut *transaction).await.map_err(failed)? else {
            return Ok(false);
        };
        if !unchanged(&bucket) {
            return Err(stale(Bucket::ONE));
        }
        let cleared = sqlx::query(BUCKET_CLEAR)
            .bind(tenant)
            .bind(bucket.id)
            .bind(permit.reach().limits().map(Json))
            .execute(&mut *transaction)
            .await
            .map_err(failed)?;
        sqlx::query(BUCKET_NAMES).bind(tenant).bind(bucket.id).execute(&mut *transaction).await.map_err(failed)?;
        audit::record(&mut transaction, permit, json!({ "cleared": cleared.rows_affected() })).await?;
        transaction.commit().await.map_err(failed)?;
        Ok(true)
    }

    /// Writes down a key that bytes of this media type may now go to, so many of them where that is known already; nothing can be seen of
    /// it yet. `None` where there is no such bucket.
    pub async fn object_reserve(
        &self,
        permit: &Permit,
        (bucket, name): (&str, &str),
        content_type: &str,
        size: Option<u64>,
    ) -> Result<Option<(Bucket, VersionKey)>> {
        let tenant = permit.tenant().as_str();
        let mut transaction = self.begin(permit).await?;
        let bucket: Option<Bucket> =
            sqlx::query_as(BUCKET_SHARE).bind(tenant).bind(bucket).fetch_optional(&mut *transaction).await.map_err(failed)?;
        let Some(bucket) = bucket else { return Ok(None) };
        admitted(&bucket, size, content_type)?;
        let bucket_id = bucket.id;
        let object_id: Uuid = sqlx::query_scalar(OBJECT_ENSURE)
            .bind(Uuid::now_v7())
            .bind(tenant)
            .bind(bucket_id)
            .bind(name)
            .fetch_one(&mut *transaction)
            .await
            .map_err(failed)?;
        if let Some(size) = size {
            let size = i64::try_from(size).unwrap_or(i64::MAX);
            within_bounds(&mut transaction, tenant, &bucket, object_id, (size, 0)).await?;
        }
        let version_id = Uuid::now_v7();
        sqlx::query(VERSION_STAGE)
            .bind(version_id)
            .bind(tenant)
            .bind(bucket_id)
            .bind(object_id)
            .execute(&mut *transaction)
            .await
            .map_err(failed)?;
        transaction.commit().await.map_err(failed)?;
        Ok(Some((bucket, VersionKey { bucket_id, object_id, version_id })))
    }

    /// Makes a staged version the one that its object is. `None` where the bucket went away meanwhile.
    pub async fn object_make_current(
        &self,
        permit: &Permit,
        key: &VersionKey,
        upload: Upload,
        expected: Option<&Expected>,
    ) -> Result<Option<MadeCurrent>> {
        let tenant = permit.tenant().as_str();
        let size = i64::try_from(upload.size).map_err(Error::internal)?;
        let mut transaction = self.begin(permit).await?;
        let bucket = sqlx::query_as(BUCKET_SHARE_BY_ID).bind(tenant).bind(key.bucket_id).fetch_optional(&mut *transaction);
        let Some(bucket): Option<Bucket> = bucket.await.map_err(failed)? else { return Ok(None) };
        admitted(&bucket, Some(upload.size), &upload.content_type)?;
        let locked: Option<Locked> = sqlx::query_as(OBJECT_LOCK)
            .bind(tenant)
            .bind(key.object_id)
            .fetch_optional(&mut *transaction)
            .await
            .map_err(failed)?;
        let Some(locked) = locked else { return Ok(None) };
        locked.check(&mut transaction, tenant, expected).await?;
        let stored = sqlx::query(VERSION_STORE)
            .bind(tenant)
            .bind(key.version_id)
            .bind(size)
            .bind(&upload.digest.0[..])
            .bind(&upload.content_type)
            .bind(Json(&upload.metadata))
            .bind(bucket.keeps())
            .fetch_optional(&mut *transaction)
            .await
            .map_err(failed)?;
        let Some(stored) = stored else {
            return Err(Error::conflict("This upload took so long that it was given up; send it again."));
        };
        let modified_at = stored.try_get("created_at").map_err(failed)?;
        within_bounds(&mut transaction, tenant, &bucket, key.object_id, (size, size)).await?;
        let replaced = point(&mut transaction, tenant, &locked, Some(key.version_id)).await?;
        let after = json!({ "version": key.version_id, "size": size, "sha256": upload.digest.to_string(), "contentType": upload.content_type });
        audit::record(
            &mut transaction,
            permit,
            json!({ "before": locked.current_version.map(|version| json!({ "version": version })), "after": after }),
        )
        .await?;
        transaction.commit().await.map_err(failed)?;
        let replaced = replaced.map(|version_id| VersionKey { version_id, ..*key });
        let Upload { digest, content_type, metadata, .. } = upload;
        let digest = digest.0.to_vec();
        let row = ObjectRow { name: locked.name, key: *key, size, digest, content_type, modified_at, metadata: Json(metadata) };
        Ok(Some(MadeCurrent { row, created: locked.current_version.is_none(), replaced }))
    }

    /// One object as it is now.
    pub async fn object_get(&self, permit: &Permit, bucket: &str, name: &str) -> Result<Option<ObjectRow>> {
        let mut transaction = self.begin(permit).await?;
        let row = sqlx::query_as(OBJECT_GET).bind(permit.tenant().as_str()).bind(bucket).bind(name);
        row.fetch_optional(&mut *transaction).await.map_err(failed)
    }

    /// Deletes an object; where its bucket keeps what is deleted, a marker says so. The answer is the version that is free to go, if one
    /// is. `None` where there is no such object.
    pub async fn object_delete(
        &self,
        permit: &Permit,
        bucket: &str,
        name: &str,
        expected: Option<&Expected>,
    ) -> Result<Option<Option<VersionKey>>> {
        let tenant = permit.tenant().as_str();
        let mut transaction = self.begin(permit).await?;
        let Some((bucket, locked)) = locked_by_name(&mut transaction, tenant, bucket, name).await? else { return Ok(None) };
        let Some(version) = locked.current_version else { return Ok(None) };
        locked.check(&mut transaction, tenant, expected).await?;
        let free = point(&mut transaction, tenant, &locked, None).await?;
        if bucket.versioning != "off" {
            sqlx::query(VERSION_MARK)
                .bind(Uuid::now_v7())
                .bind(tenant)
                .bind(bucket.id)
                .bind(locked.id)
                .bind(bucket.keeps())
                .execute(&mut *transaction)
                .await
                .map_err(failed)?;
        }
        sqlx::query(OBJECT_FORGET).bind(tenant).bind(locked.id).execute(&mut *transaction).await.map_err(failed)?;
        audit::record(&mut transaction, permit, json!({ "before": { "version": version } })).await?;
        transaction.commit().await.map_err(failed)?;
        Ok(Some(free.map(|version_id| VersionKey { bucket_id: bucket.id, object_id: locked.id, version_id })))
    }

    /// Drops the row of a version whose bytes are gone, and its object's where nothing is left of that. A current version stays.
    pub async fn object_forget(&self, permit: &Permit, key: &VersionKey) -> Result<()> {
        let mut transaction = self.begin(permit).await?;
        forget(&mut transaction, permit.tenant().as_str(), key).await?;
        transaction.commit().await.map_err(failed)
    }
}

async fn forget(connection: &mut PgConnection, tenant: &str, key: &VersionKey) -> Result<()> {
    // An upload that begins at this moment holds this lock; once it is ours, the statements below see its version.
    sqlx::query(OBJECT_LOCK).bind(tenant).bind(key.object_id).fetch_optional(&mut *connection).await.map_err(failed)?;
    sqlx::query(VERSION_FORGET).bind(tenant).bind(key.version_id).execute(&mut *connection).await.map_err(failed)?;
    sqlx::query(OBJECT_FORGET).bind(tenant).bind(key.object_id).execute(&mut *connection).await.map(drop).map_err(failed)
}

/// A bucket, and its object of this name under its lock.
async fn locked_by_name(
    connection: &mut PgConnection,
    tenant: &str,
    bucket: &str,
    name: &str,
) -> Result<Option<(Bucket, Locked)>> {
    let bucket: Option<Bucket> =
        sqlx::query_as(BUCKET_SHARE).bind(tenant).bind(bucket).fetch_optional(&mut *connection).await.map_err(failed)?;
    let Some(bucket) = bucket else { return Ok(None) };
    let locked = sqlx::query_as(OBJECT_LOCK_BY_NAME).bind(tenant).bind(bucket.id).bind(name);
    let locked: Option<Locked> = locked.fetch_optional(&mut *connection).await.map_err(failed)?;
    Ok(locked.map(|locked| (bucket, locked)))
}

/// Lets an object that is locked point to another version or to none; the one that it pointed to, where that is not kept and may go.
async fn point(connection: &mut PgConnection, tenant: &str, locked: &Locked, version: Option<Uuid>) -> Result<Option<Uuid>> {
    let done =
        sqlx::query(OBJECT_POINT).bind(tenant).bind(locked.id).bind(version).execute(&mut *connection).await.map_err(failed)?;
    exactly_one(&done, "make version current")?;
    let Some(before) = locked.current_version else { return Ok(None) };
    let kept: bool = sqlx::query_scalar(VERSION_KEPT)
        .bind(tenant)
        .bind(locked.id)
        .bind(before)
        .fetch_one(&mut *connection)
        .await
        .map_err(failed)?;
    if kept {
        return Ok(None);
    }
    let done =
        sqlx::query(VERSION_DISCARD).bind(tenant).bind(locked.id).bind(before).execute(&mut *connection).await.map_err(failed)?;
    exactly_one(&done, "discard version")?;
    Ok(Some(before))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_if_match_asks_for() {
        let digest = Digest::of(b"now");
        assert!(!Expected::Some.holds(None));
        assert!(Expected::Some.holds(Some(&digest.0)));
        assert!(Expected::OneOf(vec![Digest::of(b"then"), digest]).holds(Some(&digest.0)));
        assert!(!Expected::OneOf(vec![Digest::of(b"then")]).holds(Some(&digest.0)));
    }
}
