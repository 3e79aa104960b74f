//! Buckets, objects and their versions: the row that makes bytes current.
//!
//! A version's row is there before its bytes and goes after them, so the store holds nothing that no row names. What is current changes
//! in one transaction with its audit, under locks taken in one order: the bucket, then the object. Of two uploads to one name the one
//! that commits last stays. It knows nothing of the store: it says which keys are free to go, and somebody else removes their bytes.

use chrono::{DateTime, Utc};
use serde_json::json;
use sqlx::postgres::PgConnection;
use sqlx::types::Json;
use sqlx::{FromRow, Row as _};
use uuid::Uuid;

use super::{Platform, audit, exactly_one, failed, statements};
use crate::error::{Error, Kind, Result};
use crate::paging::{Listed, PageOf};
use crate::policy::Permit;
use crate::rules::Digest;

/// A bucket.
#[derive(Clone, Debug, FromRow)]
pub struct BucketRow {
    /// Its id, a part of its objects' keys.
    pub id: Uuid,
    /// Its name, the tenant's own.
    pub name: String,
    /// When it was made.
    pub created_at: DateTime<Utc>,
}

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
}

/// Facts of an upload that is whole in the store.
#[derive(Clone, Debug)]
pub struct Upload {
    /// In bytes.
    pub size: u64,
    /// SHA-256 of the bytes.
    pub digest: Digest,
    /// As the client named it.
    pub content_type: String,
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
    /// The version that it replaced, free to go.
    pub replaced: Option<VersionKey>,
}

statements! {
    BUCKET_INSERT = "insert into buckets (id, tenant, name) values ($1, $2, $3) returning id, name, created_at";
    BUCKET_LIST = "select id, name, created_at from buckets where tenant = $1 and ($2::text is null or name > $2)
                   and weir_reaches(name, $4) order by name limit $3";
    BUCKET_GET = "select id, name, created_at from buckets where tenant = $1 and name = $2";
    BUCKET_LOCK = "select id from buckets where tenant = $1 and name = $2 for update";
    BUCKET_SHARE = "select id from buckets where tenant = $1 and name = $2 for key share";
    BUCKET_SHARE_BY_ID = "select id from buckets where tenant = $1 and id = $2 for key share";
    BUCKET_USED = "select exists (select from objects where tenant = $1 and bucket_id = $2 and current_version is not null)";
    BUCKET_EMPTY = "delete from objects where tenant = $1 and bucket_id = $2 and current_version is null";
    BUCKET_DELETE = "delete from buckets where tenant = $1 and id = $2";
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
    OBJECT_GET = "select o.name, v.bucket_id, v.object_id, v.id as version_id, v.size, v.digest, v.content_type, v.created_at as modified_at
                  from buckets b join objects o on o.bucket_id = b.id
                  join object_versions v on v.object_id = o.id and v.id = o.current_version
                  where b.tenant = $1 and b.name = $2 and o.name = $3";
    OBJECT_LIST = "select o.name, v.bucket_id, v.object_id, v.id as version_id, v.size, v.digest, v.content_type, v.created_at as modified_at
                   from objects o join object_versions v on v.object_id = o.id and v.id = o.current_version
                   where o.tenant = $1 and o.bucket_id = $2 and o.name >= $3 and ($4::text is null or o.name < $4)
                   and ($5::text is null or o.name > $5) and weir_reaches(o.name, $7) order by o.name limit $6";
    VERSION_STAGE = "insert into object_versions (id, tenant, bucket_id, object_id) values ($1, $2, $3, $4)";
    VERSION_DIGEST = "select digest from object_versions where tenant = $1 and id = $2";
    VERSION_STORE = "update object_versions set state = 'stored', size = $3, digest = $4, content_type = $5,
                     created_at = clock_timestamp(), changed_at = clock_timestamp()
                     where tenant = $1 and id = $2 and state = 'staged' returning created_at";
    VERSION_DISCARD = "update object_versions set state = 'discarded', changed_at = clock_timestamp()
                       where tenant = $1 and id = $2 and state = 'stored'";
    CURRENT_SIZE = "select v.size from objects o join object_versions v on v.object_id = o.id and v.id = o.current_version
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

/// Refuses what would take a tenant's files over its bound, where so many bytes take the place of an object's current ones; so many of them
/// are counted already. What is no larger than what it replaces passes, also where the bound was lowered below what there is.
async fn within_storage(connection: &mut PgConnection, tenant: &str, object: Uuid, size: i64, counted: i64) -> Result<()> {
    let current = sqlx::query_scalar(CURRENT_SIZE).bind(tenant).bind(object).fetch_optional(&mut *connection);
    let current: i64 = current.await.map_err(failed)?.unwrap_or(0);
    if size <= current {
        return Ok(());
    }
    let exceeded = sqlx::query_scalar(STORAGE_EXCEEDED).bind(tenant).bind(size.saturating_sub(current) - counted);
    let exceeded: Option<i64> = exceeded.fetch_optional(&mut *connection).await.map_err(failed)?;
    match exceeded {
        None => Ok(()),
        Some(bound) => {
            let sentence = format!(
                "With this, your tenant's files would take more than its `storageBytes`, {bound} bytes; delete others first, or ask your \
                 platform administrator for more."
            );
            Err(Error::new(Kind::TooLarge, sentence))
        }
    }
}

/// The least name above every name that begins with `prefix`; `None` where there is none. The order is that of bytes, which in UTF-8 is
/// that of characters.
fn above(prefix: &str) -> Option<String> {
    let mut bound: Vec<char> = prefix.chars().collect();
    while let Some(last) = bound.pop() {
        // Between U+D7FF and U+E000 lie the surrogates, which are no characters.
        let next = if last == '\u{D7FF}' { Some('\u{E000}') } else { char::from_u32(u32::from(last) + 1) };
        if let Some(next) = next {
            bound.push(next);
            return Some(bound.into_iter().collect());
        }
    }
    None
}

impl Platform {
    /// Makes a bucket.
    pub async fn bucket_create(&self, permit: &Permit, name: &str) -> Result<BucketRow> {
        let mut transaction = self.begin(permit).await?;
        let row: BucketRow = sqlx::query_as(BUCKET_INSERT)
            .bind(Uuid::now_v7())
            .bind(permit.tenant().as_str())
            .bind(name)
            .fetch_one(&mut *transaction)
            .await
            .map_err(failed)?;
        audit::record_made(&mut transaction, permit, name, json!({ "id": row.id, "name": name })).await?;
        transaction.commit().await.map_err(failed)?;
        Ok(row)
    }

    /// One page of the tenant's buckets.
    pub async fn bucket_list(&self, permit: &Permit, page: &PageOf) -> Result<Listed<BucketRow>> {
        let mut transaction = self.begin(permit).await?;
        let rows = sqlx::query_as(BUCKET_LIST)
            .bind(permit.tenant().as_str())
            .bind(&page.after)
            .bind(i64::from(page.limit) + 1)
            .bind(permit.reach().limits().map(Json))
            .fetch_all(&mut *transaction)
            .await
            .map_err(failed)?;
        Ok(Listed::cut(rows, page.limit, |row: &BucketRow| row.name.clone()))
    }

    /// One bucket.
    pub async fn bucket_get(&self, permit: &Permit, name: &str) -> Result<Option<BucketRow>> {
        let mut transaction = self.begin(permit).await?;
        sqlx::query_as(BUCKET_GET)
            .bind(permit.tenant().as_str())
            .bind(name)
            .fetch_optional(&mut *transaction)
            .await
            .map_err(failed)
    }

    /// Deletes a bucket that holds nothing. Uploads under way to it find it gone when they end. False where there is none.
    pub async fn bucket_delete(&self, permit: &Permit, name: &str) -> Result<bool> {
        let tenant = permit.tenant().as_str();
        let mut transaction = self.begin(permit).await?;
        // Uploads that are about to become current share this lock, so the question below is asked after or before them, never between.
        let id: Option<Uuid> =
            sqlx::query_scalar(BUCKET_LOCK).bind(tenant).bind(name).fetch_optional(&mut *transaction).await.map_err(failed)?;
        let Some(id) = id else { return Ok(false) };
        let used: bool =
            sqlx::query_scalar(BUCKET_USED).bind(tenant).bind(id).fetch_one(&mut *transaction).await.map_err(failed)?;
        if used {
            return Err(Error::conflict("This bucket is not empty; delete its objects first."));
        }
        sqlx::query(BUCKET_EMPTY).bind(tenant).bind(id).execute(&mut *transaction).await.map_err(failed)?;
        let done = sqlx::query(BUCKET_DELETE).bind(tenant).bind(id).execute(&mut *transaction).await.map_err(failed)?;
        exactly_one(&done, "delete bucket")?;
        audit::record(&mut transaction, permit, json!({ "before": { "id": id, "name": name } })).await?;
        transaction.commit().await.map_err(failed)?;
        Ok(true)
    }

    /// Writes down a key that bytes may now go to, so many of them where that is known already; nothing can be seen of it yet. `None`
    /// where there is no such bucket.
    pub async fn object_reserve(
        &self,
        permit: &Permit,
        bucket: &str,
        name: &str,
        size: Option<u64>,
    ) -> Result<Option<VersionKey>> {
        let tenant = permit.tenant().as_str();
        let mut transaction = self.begin(permit).await?;
        let bucket_id: Option<Uuid> =
            sqlx::query_scalar(BUCKET_SHARE).bind(tenant).bind(bucket).fetch_optional(&mut *transaction).await.map_err(failed)?;
        let Some(bucket_id) = bucket_id else { return Ok(None) };
        let object_id: Uuid = sqlx::query_scalar(OBJECT_ENSURE)
            .bind(Uuid::now_v7())
            .bind(tenant)
            .bind(bucket_id)
            .bind(name)
            .fetch_one(&mut *transaction)
            .await
            .map_err(failed)?;
        if let Some(size) = size {
            within_storage(&mut transaction, tenant, object_id, i64::try_from(size).unwrap_or(i64::MAX), 0).await?;
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
        Ok(Some(VersionKey { bucket_id, object_id, version_id }))
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
        let bucket = sqlx::query(BUCKET_SHARE_BY_ID).bind(tenant).bind(key.bucket_id).fetch_optional(&mut *transaction).await;
        if bucket.map_err(failed)?.is_none() {
            return Ok(None);
        }
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
            .fetch_optional(&mut *transaction)
            .await
            .map_err(failed)?;
        let Some(stored) = stored else {
            return Err(Error::conflict("This upload took so long that it was given up; send it again."));
        };
        let modified_at = stored.try_get("created_at").map_err(failed)?;
        within_storage(&mut transaction, tenant, key.object_id, size, size).await?;
        point(&mut transaction, tenant, &locked, Some(key.version_id)).await?;
        let after = json!({ "version": key.version_id, "size": size, "sha256": upload.digest.to_string(), "contentType": upload.content_type });
        audit::record(
            &mut transaction,
            permit,
            json!({ "before": locked.current_version.map(|version| json!({ "version": version })), "after": after }),
        )
        .await?;
        transaction.commit().await.map_err(failed)?;
        let replaced = locked.current_version.map(|version_id| VersionKey { version_id, ..*key });
        let Upload { digest, content_type, .. } = upload;
        let row = ObjectRow { name: locked.name, key: *key, size, digest: digest.0.to_vec(), content_type, modified_at };
        Ok(Some(MadeCurrent { row, replaced }))
    }

    /// One object as it is now.
    pub async fn object_get(&self, permit: &Permit, bucket: &str, name: &str) -> Result<Option<ObjectRow>> {
        let mut transaction = self.begin(permit).await?;
        let row = sqlx::query_as(OBJECT_GET).bind(permit.tenant().as_str()).bind(bucket).bind(name);
        row.fetch_optional(&mut *transaction).await.map_err(failed)
    }

    /// One page of a bucket's objects whose names begin with `prefix`, in the order of their names.
    pub async fn object_list(
        &self,
        permit: &Permit,
        bucket: &BucketRow,
        prefix: &str,
        page: &PageOf,
    ) -> Result<Listed<ObjectRow>> {
        let mut transaction = self.begin(permit).await?;
        let rows = sqlx::query_as(OBJECT_LIST)
            .bind(permit.tenant().as_str())
            .bind(bucket.id)
            .bind(prefix)
            .bind(above(prefix))
            .bind(&page.after)
            .bind(i64::from(page.limit) + 1)
            .bind(permit.reach().limits().map(Json))
            .fetch_all(&mut *transaction)
            .await
            .map_err(failed)?;
        Ok(Listed::cut(rows, page.limit, |row: &ObjectRow| row.name.clone()))
    }

    /// Deletes an object; the answer is the version that is free to go. `None` where there is none.
    pub async fn object_delete(
        &self,
        permit: &Permit,
        bucket: &str,
        name: &str,
        expected: Option<&Expected>,
    ) -> Result<Option<VersionKey>> {
        let tenant = permit.tenant().as_str();
        let mut transaction = self.begin(permit).await?;
        let bucket_id: Option<Uuid> =
            sqlx::query_scalar(BUCKET_SHARE).bind(tenant).bind(bucket).fetch_optional(&mut *transaction).await.map_err(failed)?;
        let Some(bucket_id) = bucket_id else { return Ok(None) };
        let locked = sqlx::query_as(OBJECT_LOCK_BY_NAME).bind(tenant).bind(bucket_id).bind(name);
        let locked: Option<Locked> = locked.fetch_optional(&mut *transaction).await.map_err(failed)?;
        let Some((locked, version_id)) = locked.and_then(|locked| locked.current_version.map(|version| (locked, version))) else {
            return Ok(None);
        };
        locked.check(&mut transaction, tenant, expected).await?;
        point(&mut transaction, tenant, &locked, None).await?;
        sqlx::query(OBJECT_FORGET).bind(tenant).bind(locked.id).execute(&mut *transaction).await.map_err(failed)?;
        audit::record(&mut transaction, permit, json!({ "before": { "version": version_id } })).await?;
        transaction.commit().await.map_err(failed)?;
        Ok(Some(VersionKey { bucket_id, object_id: locked.id, version_id }))
    }

    /// Drops the row of a version whose bytes are gone, and its object's where nothing is left of that. A current version stays.
    pub async fn object_forget(&self, permit: &Permit, key: &VersionKey) -> Result<()> {
        let tenant = permit.tenant().as_str();
        let mut transaction = self.begin(permit).await?;
        // An upload that begins at this moment holds this lock; once it is ours, the statements below see its version.
        sqlx::query(OBJECT_LOCK).bind(tenant).bind(key.object_id).fetch_optional(&mut *transaction).await.map_err(failed)?;
        sqlx::query(VERSION_FORGET).bind(tenant).bind(key.version_id).execute(&mut *transaction).await.map_err(failed)?;
        sqlx::query(OBJECT_FORGET).bind(tenant).bind(key.object_id).execute(&mut *transaction).await.map_err(failed)?;
        transaction.commit().await.map_err(failed)
    }
}

/// Lets an object that is locked point to another version or to none, and frees the one it pointed to.
async fn point(connection: &mut PgConnection, tenant: &str, locked: &Locked, version: Option<Uuid>) -> Result<()> {
    let done =
        sqlx::query(OBJECT_POINT).bind(tenant).bind(locked.id).bind(version).execute(&mut *connection).await.map_err(failed)?;
    exactly_one(&done, "make version current")?;
    if let Some(before) = locked.current_version {
        let done = sqlx::query(VERSION_DISCARD).bind(tenant).bind(before).execute(&mut *connection).await.map_err(failed)?;
        exactly_one(&done, "discard version")?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bound_above_a_prefix() {
        assert_eq!(above(""), None);
        assert_eq!(above("a/").as_deref(), Some("a0"));
        assert_eq!(above("a\u{D7FF}").as_deref(), Some("a\u{E000}"));
        assert_eq!(above("a\u{10FFFF}").as_deref(), Some("b"));
        assert_eq!(above("\u{10FFFF}"), None);
        assert!(
            "grün".chars().all(char::is_alphabetic)
                && above("grü").is_some_and(|bound| "grün" < bound.as_str() && "grv" < bound.as_str())
        );
    }

    #[test]
    fn what_if_match_asks_for() {
        let digest = Digest::of(b"now");
        assert!(!Expected::Some.holds(None));
        assert!(Expected::Some.holds(Some(&digest.0)));
        assert!(Expected::OneOf(vec![Digest::of(b"then"), digest]).holds(Some(&digest.0)));
        assert!(!Expected::OneOf(vec![Digest::of(b"then")]).holds(Some(&digest.0)));
    }
}
