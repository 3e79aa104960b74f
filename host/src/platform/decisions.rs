//! What the policy decided lately, so that other rules can be held against it before they are put to work.
//!
//! Written without a permit, by a job: it is Weir's own record. Reading all of it takes one.

use chrono::{DateTime, TimeDelta, Utc};
use sqlx::FromRow;

use super::{Platform, failed, statements, unreadable};
use crate::error::Result;
use crate::limits;
use crate::model::{Action, Resource, Subject, Tenant};
use crate::policy::Permit;
use crate::policy::impact::Asked;
use crate::policy::record::Noted;

/// Where a page of requests ends.
#[derive(Clone, Debug, FromRow)]
pub struct Last {
    tenant: String,
    home: String,
    subject: String,
    action: String,
    object: String,
}

#[derive(FromRow)]
struct Row {
    #[sqlx(flatten)]
    key: Last,
    last_seen: DateTime<Utc>,
}

statements! {
    /// Of one request that is there several times the last counts. What is about a tenant that has gone meanwhile is left out.
    KEEP = "insert into decisions (tenant, home, subject, action, object, allowed, revision)
            select distinct on (n.tenant, n.home, n.subject, n.action, n.object)
                   n.tenant, n.home, n.subject, n.action, n.object, n.allowed, n.revision
            from unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::boolean[], $7::text[])
                 with ordinality as n (tenant, home, subject, action, object, allowed, revision, place)
            join tenants t on t.slug = n.tenant
            order by n.tenant, n.home, n.subject, n.action, n.object, n.place desc
            on conflict (tenant, home, subject, action, object)
            do update set allowed = excluded.allowed, revision = excluded.revision, last_seen = now()";
    PAGE = "select tenant, home, subject, action, object, last_seen from decisions
            where last_seen >= $1 and ($2::text is null or (tenant, home, subject, action, object) > ($2, $3, $4, $5, $6))
            order by tenant, home, subject, action, object limit $7";
    CROSSINGS = "select tenant, home, subject, action, object, last_seen from decisions
                 where last_seen >= $1 and not allowed
                 and (home <> tenant or object like '/platform/tenants%' or object like '/platform/policies%')
                 order by last_seen desc limit $2";
    FORGET = "delete from decisions where last_seen < $1 or (tenant, home, subject, action, object) in (
                  select tenant, home, subject, action, object from (
                      select d.*, row_number() over (partition by tenant order by last_seen desc) as place from decisions d) d
                  where place > $2)";
}

impl Platform {
    /// Writes decisions down, of all tenants.
    pub async fn decisions_keep(&self, noted: &[Noted]) -> Result<()> {
        let text = |of: &dyn Fn(&Noted) -> String| noted.iter().map(of).collect::<Vec<String>>();
        let mut transaction = self.begin_as_weir().await?;
        sqlx::query(KEEP)
            .bind(text(&|noted| noted.asked.tenant.to_string()))
            .bind(text(&|noted| noted.asked.home.to_string()))
            .bind(text(&|noted| noted.asked.subject.to_string()))
            .bind(text(&|noted| noted.asked.action.to_string()))
            .bind(text(&|noted| noted.asked.object.to_string()))
            .bind(noted.iter().map(|noted| noted.allowed).collect::<Vec<_>>())
            .bind(text(&|noted| noted.revision.to_string()))
            .execute(&mut *transaction)
            .await
            .map_err(failed)?;
        transaction.commit().await.map_err(failed)
    }

    /// Requests on record since then, of all tenants, after `after`; and where the next page begins.
    pub async fn decisions(
        &self,
        permit: &Permit,
        since: DateTime<Utc>,
        after: Option<&Last>,
    ) -> Result<(Vec<(Asked, DateTime<Utc>)>, Option<Last>)> {
        let mut transaction = self.begin_over_tenants(permit).await?;
        let rows: Vec<Row> = sqlx::query_as(PAGE)
            .bind(since)
            .bind(after.map(|last| &last.tenant))
            .bind(after.map(|last| &last.home))
            .bind(after.map(|last| &last.subject))
            .bind(after.map(|last| &last.action))
            .bind(after.map(|last| &last.object))
            .bind(limits::DECISIONS_PAGE)
            .fetch_all(&mut *transaction)
            .await
            .map_err(failed)?;
        let next = rows.last().filter(|_| rows.len() as u64 == limits::DECISIONS_PAGE.unsigned_abs()).map(|row| row.key.clone());
        Ok((rows.into_iter().map(asked).collect::<Result<_>>()?, next))
    }

    /// Requests that were denied since then and would have crossed a tenant. Without a permit: what is done with them is to deny.
    pub async fn decisions_crossing(&self, since: DateTime<Utc>) -> Result<Vec<Asked>> {
        let mut transaction = self.begin_as_weir().await?;
        let rows: Vec<Row> =
            sqlx::query_as(CROSSINGS).bind(since).bind(limits::CROSSINGS).fetch_all(&mut *transaction).await.map_err(failed)?;
        rows.into_iter().map(|row| asked(row).map(|(asked, _)| asked)).collect()
    }

    /// Takes away what is older than it is to be kept, and what is more than a tenant may have on record.
    pub async fn decisions_forget(&self, now: DateTime<Utc>, keep: TimeDelta) -> Result<u64> {
        let mut transaction = self.begin_as_weir().await?;
        let done = sqlx::query(FORGET)
            .bind(now - keep)
            .bind(limits::DECISIONS_OF_TENANT)
            .execute(&mut *transaction)
            .await
            .map_err(failed)?;
        transaction.commit().await.map_err(failed)?;
        Ok(done.rows_affected())
    }
}

fn asked(row: Row) -> Result<(Asked, DateTime<Utc>)> {
    let Row { key: Last { tenant, home, subject, action, object }, last_seen } = row;
    let action = Action::ALL.into_iter().find(|known| known.as_str() == action);
    let asked = Asked {
        tenant: Tenant::parse(&tenant)?,
        home: Tenant::parse(&home)?,
        subject: Subject::named(&subject),
        action: action.ok_or_else(|| unreadable("decisions.action", "unknown"))?,
        object: Resource::named(&object),
    };
    Ok((asked, last_seen))
}
