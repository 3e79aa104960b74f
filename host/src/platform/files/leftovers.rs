//! Versions whose bytes are to go: what nothing points to, and uploads that never ended. Of all tenants, without a permit: it is Weir that
//! clears up, and what it takes nobody can see any more.

use chrono::{DateTime, Utc};
use sqlx::{FromRow, Postgres, Transaction};
use uuid::Uuid;

use super::{VersionKey, forget};
use crate::error::Result;
use crate::limits;
use crate::platform::{Platform, failed, statements};

/// A version of some tenant.
#[derive(Clone, Debug, FromRow)]
pub struct Leftover {
    /// Whose it is.
    pub tenant: String,
    /// Where its bytes lie.
    #[sqlx(flatten)]
    pub key: VersionKey,
}

/// A stored version of some tenant.
#[derive(Clone, Debug, FromRow)]
pub struct StoredVersion {
    /// Whose it is.
    pub tenant: String,
    /// Where its bytes lie.
    #[sqlx(flatten)]
    pub key: VersionKey,
    /// How many they are.
    pub size: i64,
}

statements! {
    /// Versions that nothing points to, and uploads that began before then and never ended. They are taken out of the way first, so that an
    /// upload that lives after all finds that it was given up.
    LEFT_OVER = "update object_versions v set state = 'discarded', changed_at = case when v.state = 'staged' then clock_timestamp() else v.changed_at end
                 where v.id in (select id from object_versions where (state = 'discarded' or (state = 'staged' and created_at < $1))
                                and ($2::uuid is null or id > $2) order by id limit $3 for update skip locked)
                 returning v.tenant, v.bucket_id, v.object_id, v.id as version_id";
    LEFT_OVER_COUNT = "select count(*) filter (where state = 'discarded'), count(*) filter (where state = 'staged' and created_at < $1)
                       from object_versions where state <> 'stored'";
    STORED_PAGE = "select v.tenant, v.bucket_id, v.object_id, v.id as version_id, v.size from object_versions v
                   where v.state = 'stored' and not v.marker and ($1::uuid is null or v.id > $1) order by v.id limit $2";
    KNOWN = "select id from object_versions where id = any($1)";
    SWEEP_TURN = "select pg_try_advisory_xact_lock(hashtext('weir files'))";
}

/// While it is there, no other replica clears up.
#[derive(Debug)]
pub struct Turn(#[expect(dead_code, reason = "its end is what it is for")] Transaction<'static, Postgres>);

impl Platform {
    /// A turn at clearing up; `None` where another replica is at it.
    pub async fn leftovers_turn(&self) -> Result<Option<Turn>> {
        let mut transaction = self.begin_as_weir().await?;
        let turn: bool = sqlx::query_scalar(SWEEP_TURN).fetch_one(&mut *transaction).await.map_err(failed)?;
        Ok(turn.then_some(Turn(transaction)))
    }

    /// The next versions whose bytes are to go, after `after`: what nothing points to, and uploads that began before then.
    pub async fn leftovers_take(&self, before: DateTime<Utc>, after: Option<Uuid>) -> Result<Vec<Leftover>> {
        let mut transaction = self.begin_as_weir().await?;
        let mut rows: Vec<Leftover> = sqlx::query_as(LEFT_OVER)
            .bind(before)
            .bind(after)
            .bind(limits::LEFTOVERS_AT_ONCE)
            .fetch_all(&mut *transaction)
            .await
            .map_err(failed)?;
        transaction.commit().await.map_err(failed)?;
        rows.sort_by_key(|row| row.key.version_id);
        Ok(rows)
    }

    /// Drops the row of a version whose bytes are gone.
    pub async fn leftover_forget(&self, leftover: &Leftover) -> Result<()> {
        let mut transaction = self.begin_as_weir().await?;
        forget(&mut transaction, &leftover.tenant, &leftover.key).await?;
        transaction.commit().await.map_err(failed)
    }

    /// How many versions nothing points to, and how many uploads began before then and never ended.
    pub async fn leftovers_count(&self, before: DateTime<Utc>) -> Result<(i64, i64)> {
        let mut transaction = self.begin_as_weir().await?;
        sqlx::query_as(LEFT_OVER_COUNT).bind(before).fetch_one(&mut *transaction).await.map_err(failed)
    }

    /// The next stored versions, after `after`, of all tenants.
    pub async fn stored_versions(&self, after: Option<Uuid>) -> Result<Vec<StoredVersion>> {
        let mut transaction = self.begin_as_weir().await?;
        let rows = sqlx::query_as(STORED_PAGE).bind(after).bind(limits::LEFTOVERS_AT_ONCE).fetch_all(&mut *transaction);
        rows.await.map_err(failed)
    }

    /// Which of these versions have a row.
    pub async fn known_versions(&self, ids: &[Uuid]) -> Result<Vec<Uuid>> {
        let mut transaction = self.begin_as_weir().await?;
        sqlx::query_scalar(KNOWN).bind(ids).fetch_all(&mut *transaction).await.map_err(failed)
    }
}
