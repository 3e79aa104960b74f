//! The history of an object: versions that its bucket keeps, and markers of deletions.

use chrono::{DateTime, Utc};
use serde_json::json;
use sqlx::FromRow;
use sqlx::types::Json;
use uuid::Uuid;

use super::{Metadata, OBJECT_FORGET, OBJECT_POINT, ObjectRow, VERSION_DISCARD, VERSION_KEPT, VersionKey, locked_by_name, point};
use crate::error::{Error, Result};
use crate::paging::{Listed, PageOf};
use crate::platform::{Platform, audit, exactly_one, failed, statements};
use crate::policy::Permit;

/// A version in an object's history.
#[derive(Clone, Debug, FromRow)]
pub struct VersionRow {
    /// Where its bytes lie.
    #[sqlx(flatten)]
    pub key: VersionKey,
    /// In bytes.
    pub size: i64,
    /// SHA-256 of its bytes.
    pub digest: Vec<u8>,
    /// As it was uploaded.
    pub content_type: String,
    /// When it became current.
    pub modified_at: DateTime<Utc>,
    /// What else was said of it.
    pub metadata: Json<Metadata>,
    /// It has no bytes: the object was deleted then.
    pub marker: bool,
    /// It is what its object is.
    pub current: bool,
}

statements! {
    VERSION_RENEW = "update object_versions set created_at = clock_timestamp() where tenant = $1 and object_id = $2 and id = $3
                     and state = 'stored' and not marker returning id";
    VERSION_GET = "select o.name, v.bucket_id, v.object_id, v.id as version_id, v.size, v.digest, v.content_type, v.created_at as modified_at,
                          v.metadata
                   from buckets b join objects o on o.bucket_id = b.id
                   join object_versions v on v.object_id = o.id and v.id = $4 and v.state = 'stored' and not v.marker
                   where b.tenant = $1 and b.name = $2 and o.name = $3";
    VERSION_LIST = "select v.bucket_id, v.object_id, v.id as version_id, v.size, v.digest, v.content_type, v.created_at as modified_at,
                           v.metadata, v.marker,
                           coalesce(v.id = o.current_version, false)
                           or (v.marker and o.current_version is null and not exists (
                               select from object_versions n where n.object_id = o.id and n.state = 'stored'
                               and (n.created_at, n.id) > (v.created_at, v.id))) as current
                    from buckets b join objects o on o.bucket_id = b.id
                    join object_versions v on v.object_id = o.id and v.state = 'stored'
                    where b.tenant = $1 and b.name = $2 and o.name = $3
                    and ($4::timestamptz is null or (v.created_at, v.id) < ($4, $5::uuid))
                    order by v.created_at desc, v.id desc limit $6";
    /// What an object is when what it was is gone: the newest version, unless that says that it was deleted.
    VERSION_NEWEST = "select case when marker then null else id end from object_versions
                      where tenant = $1 and object_id = $2 and state = 'stored' order by created_at desc, id desc limit 1";
}

impl Platform {
    /// Deletes one version of an object for good, or a marker. Where it was current, the newest of those that are left is. `None` where there
    /// is no such version.
    pub async fn version_delete(&self, permit: &Permit, bucket: &str, name: &str, version: Uuid) -> Result<Option<VersionKey>> {
        let tenant = permit.tenant().as_str();
        let mut transaction = self.begin(permit).await?;
        let Some((bucket, locked)) = locked_by_name(&mut transaction, tenant, bucket, name).await? else { return Ok(None) };
        let key = VersionKey { bucket_id: bucket.id, object_id: locked.id, version_id: version };
        let there = sqlx::query_scalar(VERSION_KEPT).bind(tenant).bind(locked.id).bind(version).fetch_optional(&mut *transaction);
        let there: Option<bool> = there.await.map_err(failed)?;
        if there.is_none() {
            return Ok(None);
        }
        let repoint = |to: Option<Uuid>| sqlx::query(OBJECT_POINT).bind(tenant).bind(locked.id).bind(to);
        repoint(None).execute(&mut *transaction).await.map_err(failed)?;
        let done = sqlx::query(VERSION_DISCARD)
            .bind(tenant)
            .bind(locked.id)
            .bind(version)
            .execute(&mut *transaction)
            .await
            .map_err(failed)?;
        exactly_one(&done, "discard version")?;
        let newest = match locked.current_version {
            // What is current stays it, whatever was stored after it.
            Some(current) if current != version => Some(current),
            _ => {
                let newest = sqlx::query_scalar(VERSION_NEWEST).bind(tenant).bind(locked.id).fetch_optional(&mut *transaction);
                let newest: Option<Option<Uuid>> = newest.await.map_err(failed)?;
                newest.flatten()
            }
        };
        repoint(newest).execute(&mut *transaction).await.map_err(failed)?;
        sqlx::query(OBJECT_FORGET).bind(tenant).bind(locked.id).execute(&mut *transaction).await.map_err(failed)?;
        audit::record(&mut transaction, permit, json!({ "before": { "version": version }, "after": { "version": newest } }))
            .await?;
        transaction.commit().await.map_err(failed)?;
        Ok(Some(key))
    }

    /// Makes an earlier version what its object is; what is free to go by that. `None` where there is no such version.
    pub async fn version_restore(
        &self,
        permit: &Permit,
        bucket: &str,
        name: &str,
        version: Uuid,
    ) -> Result<Option<Option<VersionKey>>> {
        let tenant = permit.tenant().as_str();
        let mut transaction = self.begin(permit).await?;
        let Some((bucket, locked)) = locked_by_name(&mut transaction, tenant, bucket, name).await? else { return Ok(None) };
        if locked.current_version == Some(version) {
            return Ok(Some(None));
        }
        let renewed = sqlx::query_scalar(VERSION_RENEW).bind(tenant).bind(locked.id).bind(version);
        let renewed: Option<Uuid> = renewed.fetch_optional(&mut *transaction).await.map_err(failed)?;
        if renewed.is_none() {
            return Ok(None);
        }
        let free = point(&mut transaction, tenant, &locked, Some(version)).await?;
        let before = locked.current_version.map(|version| json!({ "version": version }));
        audit::record(&mut transaction, permit, json!({ "before": before, "after": { "version": version } })).await?;
        transaction.commit().await.map_err(failed)?;
        Ok(Some(free.map(|version_id| VersionKey { bucket_id: bucket.id, object_id: locked.id, version_id })))
    }

    /// One version of an object, which need not be current.
    pub async fn version_get(&self, permit: &Permit, bucket: &str, name: &str, version: Uuid) -> Result<Option<ObjectRow>> {
        let mut transaction = self.begin(permit).await?;
        let row = sqlx::query_as(VERSION_GET).bind(permit.tenant().as_str()).bind(bucket).bind(name).bind(version);
        row.fetch_optional(&mut *transaction).await.map_err(failed)
    }

    /// One page of an object's history, the newest first.
    pub async fn version_list(&self, permit: &Permit, bucket: &str, name: &str, page: &PageOf) -> Result<Listed<VersionRow>> {
        let after = page.after.as_deref().map(place_of).transpose()?;
        let mut transaction = self.begin(permit).await?;
        let rows = sqlx::query_as(VERSION_LIST)
            .bind(permit.tenant().as_str())
            .bind(bucket)
            .bind(name)
            .bind(after.map(|(time, _)| time))
            .bind(after.map(|(_, version)| version))
            .bind(i64::from(page.limit) + 1)
            .fetch_all(&mut *transaction)
            .await
            .map_err(failed)?;
        let key = |row: &VersionRow| format!("{} {}", row.modified_at.timestamp_micros(), row.key.version_id);
        Ok(Listed::cut(rows, page.limit, key))
    }
}

/// Where a page of a history ends, as its cursor has it.
fn place_of(after: &str) -> Result<(DateTime<Utc>, Uuid)> {
    let place = || {
        let (time, version) = after.split_once(' ')?;
        Some((DateTime::from_timestamp_micros(time.parse().ok()?)?, version.parse().ok()?))
    };
    place().ok_or_else(|| Error::malformed("`cursor` is not one that this endpoint gave.").at("cursor", "of another list"))
}
