//! The audit log: every change in its own transaction, every denial; rows are only ever added.

use serde_json::Value;
use sqlx::{Postgres, Transaction};
use uuid::Uuid;

use super::{Platform, failed, statements};
use crate::error::Result;
use crate::policy::{Denied, Permit};

statements! {
    INSERT = "insert into audit_log (id, tenant, subject, action, object, outcome, request_id, policy, details)
              values ($1, $2, $3, $4, $5, $6, $7, $8, $9)";
}

/// Writes down, in the transaction that makes the change, who made it, under which policy, and what it was.
pub(super) async fn record(transaction: &mut Transaction<'_, Postgres>, permit: &Permit, details: Value) -> Result<()> {
    sqlx::query(INSERT)
        .bind(Uuid::now_v7())
        .bind(permit.tenant().as_str())
        .bind(permit.subject().as_str())
        .bind(permit.action().as_str())
        .bind(permit.resource().as_str())
        .bind("allowed")
        .bind(&**permit.request_id())
        .bind(&**permit.revision())
        .bind(details)
        .execute(&mut **transaction)
        .await
        .map(drop)
        .map_err(failed)
}

impl Platform {
    /// Writes down that the policy said no.
    pub async fn audit_denial(&self, denied: &Denied, request_id: &str) -> Result<()> {
        let mut transaction = self.begin_as(denied.tenant.as_str()).await?;
        sqlx::query(INSERT)
            .bind(Uuid::now_v7())
            .bind(denied.tenant.as_str())
            .bind(denied.subject.as_str())
            .bind(denied.action.as_str())
            .bind(denied.object.as_str())
            .bind("denied")
            .bind(request_id)
            .bind(&*denied.revision)
            .bind(serde_json::json!({ "reason": denied.reason }))
            .execute(&mut *transaction)
            .await
            .map_err(failed)?;
        transaction.commit().await.map_err(failed)
    }
}
