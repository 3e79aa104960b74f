//! Resources: what the platform keeps by a key, each described in one file of this folder.
//!
//! A description is a row as clients see it, the two forms that they may send, the filters of its list, and its statements. The rest is
//! here, once for all: pages, preconditions, the audit entry with before and after in the transaction of the change, and the
//! announcement of it.

pub mod buckets;
pub mod connectors;
pub mod members;
pub mod pipelines;
pub mod projects;
pub mod signing_keys;
pub mod tenants;
pub mod topics;
pub mod users;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use sqlx::postgres::PgRow;
use sqlx::types::Json;
use sqlx::{FromRow, Postgres, Transaction};
use uuid::Uuid;

use super::{Platform, audit, failed, stale};
use crate::error::{Error, Result};
use crate::limits;
use crate::model::{Action, Resource as Object};
use crate::paging::{Listed, PageOf};
use crate::policy::{Collection, Permit};

/// The statements of a resource. All take the tenant as `$1`; a key is text.
#[derive(Clone, Copy, Debug)]
pub struct Statements {
    /// `$2` the key, `$3` the fields as JSON; returns the row.
    pub insert: &'static str,
    /// `$2` the key to go on after, `$3` the filters as JSON, `$4` rows at the most, `$5` the keys within reach; returns rows by key.
    pub list: &'static str,
    /// `$2` the key; returns the row.
    pub get: &'static str,
    /// The same, and nobody else changes the row before this transaction ends.
    pub lock: &'static str,
    /// `$2` the key, `$3` the fields that are given, as JSON; returns the row.
    pub update: &'static str,
    /// `$2` the key.
    pub delete: &'static str,
}

/// What a client sends of a resource.
pub trait Form: Serialize + DeserializeOwned + Send + Sync {
    /// What no type says about the fields; the error is for whoever sent them.
    fn check(&self) -> Result<()>;
}

/// A field whose content is write only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Secret {
    /// There is none.
    Nothing,
    /// The field `password`: a hash of it is kept.
    Password,
    /// Some of what is in the field `config`: it is kept encrypted.
    InConfig,
}

/// Whose the things of a kind are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kept {
    /// A tenant's own.
    ByTenant,
    /// The tenants themselves: whoever may administer them reaches all of them.
    OverTenants,
}

/// One kind of thing that the platform keeps. Serialised, it is what clients see.
pub trait Resource: Clone + Serialize + for<'r> FromRow<'r, PgRow> + Send + Sync + Unpin + 'static {
    /// Its collection, in paths, in policies and in the chains of documents.
    const COLLECTION: &'static str;
    /// One of it, in a sentence.
    const ONE: &'static str;
    /// Its statements.
    const STATEMENTS: Statements;
    /// Whose they are.
    const KEPT: Kept = Kept::ByTenant;
    /// Says what still uses one, where the database's own constraints do not: `$1` the tenant, `$2` the key; returns words and numbers.
    const USES: Option<&'static str> = None;
    /// What of it is write only.
    const SECRET: Secret = Secret::Nothing;
    /// True where what is kept in memory follows from them: it ends with each change, on every replica (the table has the `announce` trigger).
    const ANNOUNCED: bool = false;
    /// Taken before one is made, changed or deleted, where no other one may change until that is done.
    const ALONE: Option<&'static str> = None;
    /// A new one.
    type New: Form;
    /// A change of one.
    type Change: Form;
    /// What its list filters by. Serialised, it has what is asked for and nothing else.
    type Filter: Serialize + Send + Sync;

    /// Its key.
    fn key(&self) -> String;

    /// Refuses what it has become where no constraint of its table can tell, before the transaction ends.
    fn fits(
        &self,
        _transaction: &mut Transaction<'static, Postgres>,
        _permit: &Permit,
    ) -> impl Future<Output = Result<()>> + Send {
        async { Ok(()) }
    }

    /// Its secrets as they are kept: the key's name and what it sealed.
    fn sealed(&self) -> Option<(&str, &[u8])> {
        None
    }

    /// What the policy must allow for this to be done with one of them, or with all.
    fn action(action: Action) -> Action {
        action
    }

    /// All of them, as policies name them.
    fn whole() -> Object {
        Object::platform(Self::COLLECTION)
    }

    /// One of them, as policies name it.
    fn one(key: &str) -> Object {
        Object::platform_one(Self::COLLECTION, key)
    }

    /// What is listed together.
    fn collection() -> Collection {
        Collection::platform(Self::COLLECTION)
    }

    /// True for what can be a key at all.
    fn is_key(key: &str) -> bool {
        Uuid::try_parse(key).is_ok()
    }
}

/// True where the row is as the client thinks it is; no other row is changed.
pub type Unchanged<'a, R> = &'a (dyn Fn(&R) -> bool + Send + Sync);

impl Platform {
    /// Makes one of these fields.
    pub async fn resource_create<R: Resource>(&self, permit: &Permit, fields: &Value) -> Result<R> {
        let mut transaction = self.begin_change::<R>(permit).await?;
        let row: R = sqlx::query_as(R::STATEMENTS.insert)
            .bind(permit.tenant().as_str())
            .bind(Uuid::now_v7().to_string())
            .bind(Json(fields))
            .fetch_one(&mut *transaction)
            .await
            .map_err(failed)?;
        row.fits(&mut transaction, permit).await?;
        audit::record_made(&mut transaction, permit, &row.key(), json!(row)).await?;
        self.commit_resource::<R>(transaction).await?;
        Ok(row)
    }

    /// One page of the tenant's.
    pub async fn resource_list<R: Resource>(&self, permit: &Permit, filter: &R::Filter, page: &PageOf) -> Result<Listed<R>> {
        if page.after.as_deref().is_some_and(|after| !R::is_key(after)) {
            return Err(Error::malformed("`cursor` is not one that this endpoint gave.").at("cursor", "of another list"));
        }
        let mut transaction = self.begin_resource::<R>(permit).await?;
        let rows = sqlx::query_as(R::STATEMENTS.list)
            .bind(permit.tenant().as_str())
            .bind(&page.after)
            .bind(Json(filter))
            .bind(i64::from(page.limit) + 1)
            .bind(permit.reach().limits().map(Json))
            .fetch_all(&mut *transaction)
            .await
            .map_err(failed)?;
        Ok(Listed::cut(rows, page.limit, R::key))
    }

    /// One of the tenant's.
    pub async fn resource_get<R: Resource>(&self, permit: &Permit, key: &str) -> Result<Option<R>> {
        let mut transaction = self.begin_resource::<R>(permit).await?;
        fetch(&mut transaction, R::STATEMENTS.get, permit, key).await
    }

    /// Changes the fields that are given, where the row is as the client thinks it is. What is kept already may be a part of what they
    /// become.
    pub async fn resource_update<R: Resource>(
        &self,
        permit: &Permit,
        key: &str,
        fields: &(dyn Fn(&R) -> Result<Value> + Send + Sync),
        unchanged: Unchanged<'_, R>,
    ) -> Result<Option<R>> {
        let mut transaction = self.begin_change::<R>(permit).await?;
        let Some(before) = fetch::<R>(&mut transaction, R::STATEMENTS.lock, permit, key).await? else { return Ok(None) };
        if !unchanged(&before) {
            return Err(stale(R::ONE));
        }
        let row: R = sqlx::query_as(R::STATEMENTS.update)
            .bind(permit.tenant().as_str())
            .bind(key)
            .bind(Json(fields(&before)?))
            .fetch_one(&mut *transaction)
            .await
            .map_err(failed)?;
        row.fits(&mut transaction, permit).await?;
        audit::record(&mut transaction, permit, json!({ "before": before, "after": row })).await?;
        self.commit_resource::<R>(transaction).await?;
        Ok(Some(row))
    }

    /// Deletes one, where the row is as the client thinks it is. False where there is none.
    pub async fn resource_delete<R: Resource>(&self, permit: &Permit, key: &str, unchanged: Unchanged<'_, R>) -> Result<bool> {
        let mut transaction = self.begin_change::<R>(permit).await?;
        let Some(before) = fetch::<R>(&mut transaction, R::STATEMENTS.lock, permit, key).await? else { return Ok(false) };
        if !unchanged(&before) {
            return Err(stale(R::ONE));
        }
        unused::<R>(&mut transaction, permit, key).await?;
        let done = sqlx::query(R::STATEMENTS.delete)
            .bind(permit.tenant().as_str())
            .bind(key)
            .execute(&mut *transaction)
            .await
            .map_err(failed)?;
        super::exactly_one(&done, R::STATEMENTS.delete)?;
        audit::record(&mut transaction, permit, json!({ "before": before })).await?;
        self.commit_resource::<R>(transaction).await?;
        Ok(true)
    }

    async fn begin_resource<R: Resource>(&self, permit: &Permit) -> Result<Transaction<'static, Postgres>> {
        match R::KEPT {
            Kept::ByTenant => self.begin(permit).await,
            Kept::OverTenants => self.begin_over_tenants(permit).await,
        }
    }

    async fn begin_change<R: Resource>(&self, permit: &Permit) -> Result<Transaction<'static, Postgres>> {
        let mut transaction = self.begin_resource::<R>(permit).await?;
        if let Some(sql) = R::ALONE {
            sqlx::query(sql).execute(&mut *transaction).await.map_err(failed)?;
        }
        Ok(transaction)
    }

    async fn commit_resource<R: Resource>(&self, transaction: Transaction<'static, Postgres>) -> Result<()> {
        if R::ANNOUNCED { self.commit_announced(transaction).await } else { transaction.commit().await.map_err(failed) }
    }
}

/// Refuses what something still uses, and says what that is.
async fn unused<R: Resource>(transaction: &mut Transaction<'static, Postgres>, permit: &Permit, key: &str) -> Result<()> {
    let Some(sql) = R::USES else { return Ok(()) };
    let used: Vec<(String, i64)> =
        sqlx::query_as(sql).bind(permit.tenant().as_str()).bind(key).fetch_all(&mut **transaction).await.map_err(failed)?;
    if used.is_empty() {
        return Ok(());
    }
    let used: Vec<String> = used.into_iter().map(|(what, number)| format!("{number} {what}")).collect();
    Err(Error::conflict(format!("This {} still has {}; delete those first.", R::ONE, used.join(", "))))
}

async fn fetch<R: Resource>(
    transaction: &mut Transaction<'static, Postgres>,
    sql: &'static str,
    permit: &Permit,
    key: &str,
) -> Result<Option<R>> {
    if !R::is_key(key) {
        return Ok(None);
    }
    sqlx::query_as(sql).bind(permit.tenant().as_str()).bind(key).fetch_optional(&mut **transaction).await.map_err(failed)
}

/// Refuses JSON that is larger than a field of a resource may be.
fn check_size(field: &str, value: &impl Serialize) -> Result<()> {
    let size = serde_json::to_vec(value).map_err(Error::internal)?.len();
    if size > limits::FIELD_BYTES {
        let most = limits::FIELD_BYTES >> 10;
        return Err(Error::malformed(format!("`{field}` has at most {most} KiB of JSON.")).at(format!("/{field}"), "too large"));
    }
    Ok(())
}

/// Refuses text that is longer than a field of a resource may be.
fn check_text(field: &str, text: &str) -> Result<()> {
    if text.len() > limits::TEXT_FIELD_BYTES || text.contains('\0') {
        let sentence = format!("`{field}` has at most {} bytes and no character U+0000.", limits::TEXT_FIELD_BYTES);
        return Err(Error::malformed(sentence).at(format!("/{field}"), "too long, or with U+0000"));
    }
    Ok(())
}

/// `active` or `inactive`: whether something of the platform is at work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// At work.
    Active,
    /// Not at work.
    Inactive,
}
