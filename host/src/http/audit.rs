//! `/api/platform/audit`: who did what, and who was refused.

use axum::extract::State;
use uuid::Uuid;

use super::App;
use super::input::{PageQuery, Path, Query, cursor};
use super::reply::{Envelope, ErrorBody, Page, Reply, ok, page};
use crate::gate::audit::{AuditFilter, Entry};
use crate::model::Caller;

/// List the entries of the audit log, the newest first.
#[utoipa::path(get, path = "/audit", tag = "audit", params(PageQuery, AuditFilter),
    responses((status = 200, body = Page<Entry>), (status = "4XX", body = ErrorBody)))]
pub(super) async fn list(
    caller: Caller,
    State(app): State<App>,
    Query(query): Query<PageQuery>,
    Query(filter): Query<AuditFilter>,
) -> Reply<Vec<Entry>> {
    let found = app.gate.audit_list(&caller, &filter, &query.page()?).await?;
    page(found.items, found.next.as_deref().map(cursor))
}

/// One entry of the audit log.
#[utoipa::path(get, path = "/audit/{id}", tag = "audit", params(("id" = Uuid, Path)),
    responses((status = 200, body = Envelope<Entry>), (status = "4XX", body = ErrorBody)))]
pub(super) async fn get(caller: Caller, State(app): State<App>, Path(id): Path<Uuid>) -> Reply<Entry> {
    ok(app.gate.audit_get(&caller, id).await?)
}
