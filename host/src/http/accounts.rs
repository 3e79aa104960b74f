//! `/api/platform/tenants` and `/api/platform/tokens`.

use axum::extract::State;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::App;
use super::input::{Json, Object, PageQuery, Path, Query, cursor};
use super::reply::{Envelope, ErrorBody, Page, Reply, created, no_content, ok, page};
use crate::gate::accounts::{self as gate, TenantRow, TokenRow};
use crate::model::{Caller, sent};
use crate::times::rfc3339;

/// A tenant.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Tenant {
    /// Its name in credentials and policies.
    slug: String,
    /// Its name for people.
    name: String,
    /// `active` or `suspended`.
    status: String,
    /// What bounds its use.
    quotas: Quotas,
    created_at: String,
    updated_at: String,
}

/// What bounds a tenant's use.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Quotas {
    /// Readings in a second, by HTTP and Kafka together, on each replica; null where there is no bound.
    readings_per_second: Option<i32>,
    /// Requests in a second, of all its credentials together, on each replica; null where there is no bound.
    requests_per_second: Option<i32>,
    /// Time of one call of a module, in milliseconds; null for the gateway's own bound.
    guest_time_ms: Option<i32>,
    /// Memory of one instance of a module, in bytes; null for the gateway's own bound.
    guest_memory_bytes: Option<i64>,
    /// Milliseconds that the tenant's modules may run in a second, on each replica; null where there is no bound.
    guest_cpu_ms_per_second: Option<i32>,
}

impl From<TenantRow> for Tenant {
    fn from(row: TenantRow) -> Self {
        Self {
            slug: row.slug,
            name: row.name,
            status: row.status,
            quotas: Quotas {
                readings_per_second: row.readings_per_second,
                requests_per_second: row.requests_per_second,
                guest_time_ms: row.guest_time_ms,
                guest_memory_bytes: row.guest_memory_bytes,
                guest_cpu_ms_per_second: row.guest_cpu_ms_per_second,
            },
            created_at: rfc3339(row.created_at),
            updated_at: rfc3339(row.updated_at),
        }
    }
}

/// A new tenant.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NewTenant {
    /// 1 to 63 of a-z, 0-9 and '-'.
    slug: String,
    /// Its name for people; the slug where it is not given.
    name: Option<String>,
    #[schema(value_type = Option<QuotasChange>)]
    quotas: Option<Object<QuotasChange>>,
}

/// A change of a tenant; what is left out stays as it is.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TenantChange {
    name: Option<String>,
    /// `active` or `suspended`.
    status: Option<String>,
    #[schema(value_type = Option<QuotasChange>)]
    quotas: Option<Object<QuotasChange>>,
}

/// A change of what bounds a tenant's use; what is left out stays as it is.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct QuotasChange {
    /// Readings in a second, by HTTP and Kafka together, on each replica: over HTTP more is a 429, from Kafka it waits. Null takes the
    /// bound away.
    #[serde(default, deserialize_with = "sent")]
    #[schema(value_type = Option<i32>, minimum = 1)]
    #[expect(clippy::option_option, reason = "null and nothing are two things in a change")]
    readings_per_second: Option<Option<i32>>,
    /// Requests in a second, of all its credentials together, on each replica; more are a 429. Null takes the bound away.
    #[serde(default, deserialize_with = "sent")]
    #[schema(value_type = Option<i32>, minimum = 1)]
    #[expect(clippy::option_option, reason = "null and nothing are two things in a change")]
    requests_per_second: Option<Option<i32>>,
    /// Time of one call of a module, in milliseconds, where that is less than the gateway's own bound. Null takes it away.
    #[serde(default, deserialize_with = "sent")]
    #[schema(value_type = Option<i32>, minimum = 1)]
    #[expect(clippy::option_option, reason = "null and nothing are two things in a change")]
    guest_time_ms: Option<Option<i32>>,
    /// Memory of one instance of a module, in bytes, where that is less than the gateway's own bound. Null takes it away.
    #[serde(default, deserialize_with = "sent")]
    #[schema(value_type = Option<i64>, minimum = 65536)]
    #[expect(clippy::option_option, reason = "null and nothing are two things in a change")]
    guest_memory_bytes: Option<Option<i64>>,
    /// Milliseconds that the tenant's modules may run in a second, all together, on each replica: over HTTP more is a 429, from Kafka it
    /// waits. Null takes the bound away.
    #[serde(default, deserialize_with = "sent")]
    #[schema(value_type = Option<i32>, minimum = 1)]
    #[expect(clippy::option_option, reason = "null and nothing are two things in a change")]
    guest_cpu_ms_per_second: Option<Option<i32>>,
}

fn change(name: Option<String>, status: Option<String>, quotas: Option<Object<QuotasChange>>) -> gate::TenantChange {
    let Object(quotas) = quotas.unwrap_or_default();
    gate::TenantChange {
        name,
        status,
        readings_per_second: quotas.readings_per_second,
        requests_per_second: quotas.requests_per_second,
        guest_time_ms: quotas.guest_time_ms,
        guest_memory_bytes: quotas.guest_memory_bytes,
        guest_cpu_ms_per_second: quotas.guest_cpu_ms_per_second,
    }
}

/// Make a tenant. For platform administrators.
#[utoipa::path(post, path = "/tenants", tag = "tenants", request_body = NewTenant,
    responses((status = 201, body = Envelope<Tenant>), (status = "4XX", body = ErrorBody)))]
pub(super) async fn create_tenant(caller: Caller, State(app): State<App>, Json(form): Json<NewTenant>) -> Reply<Tenant> {
    let row = app.gate.tenant_create(&caller, &form.slug, &change(form.name, None, form.quotas)).await?;
    created(&format!("/api/platform/tenants/{}", row.slug), row.into())
}

/// List the tenants. For platform administrators.
#[utoipa::path(get, path = "/tenants", tag = "tenants", params(PageQuery),
    responses((status = 200, body = Page<Tenant>), (status = "4XX", body = ErrorBody)))]
pub(super) async fn list_tenants(caller: Caller, State(app): State<App>, Query(query): Query<PageQuery>) -> Reply<Vec<Tenant>> {
    let found = app.gate.tenant_list(&caller, &query.page()?).await?;
    page(found.items.into_iter().map(Into::into).collect(), found.next.as_deref().map(cursor))
}

/// One tenant. For platform administrators.
#[utoipa::path(get, path = "/tenants/{slug}", tag = "tenants", params(("slug" = String, Path)),
    responses((status = 200, body = Envelope<Tenant>), (status = "4XX", body = ErrorBody)))]
pub(super) async fn get_tenant(caller: Caller, State(app): State<App>, Path(slug): Path<String>) -> Reply<Tenant> {
    ok(app.gate.tenant_get(&caller, &slug).await?.into())
}

/// Rename a tenant, bound its use, suspend it, or let it act again. For platform administrators.
#[utoipa::path(put, path = "/tenants/{slug}", tag = "tenants", params(("slug" = String, Path)), request_body = TenantChange,
    responses((status = 200, body = Envelope<Tenant>), (status = "4XX", body = ErrorBody)))]
pub(super) async fn update_tenant(
    caller: Caller,
    State(app): State<App>,
    Path(slug): Path<String>,
    Json(form): Json<TenantChange>,
) -> Reply<Tenant> {
    ok(app.gate.tenant_update(&caller, &slug, &change(form.name, form.status, form.quotas)).await?.into())
}

/// An API token, without its secret.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Token {
    id: Uuid,
    /// Policy files speak of it as `token:<name>`, where it acts for no user.
    name: String,
    /// The user whom it acts for; null where it acts for itself alone.
    user_id: Option<Uuid>,
    /// What it is limited to; empty where only the policy limits it.
    scopes: Vec<String>,
    expires_at: Option<String>,
    created_at: String,
}

impl From<TokenRow> for Token {
    fn from(row: TokenRow) -> Self {
        let TokenRow { id, name, user_id, scopes, expires_at, created_at } = row;
        Self { id, name, user_id, scopes, expires_at: expires_at.map(rfc3339), created_at: rfc3339(created_at) }
    }
}

/// A token with its secret, which is shown this once.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct CreatedToken {
    #[serde(flatten)]
    token: Token,
    /// What to send as `Authorization: Bearer …`.
    secret: String,
}

/// A new token.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NewToken {
    /// Unique among the tenant's tokens.
    name: String,
    /// The user whom it acts for, as `user:<email>`. For another user than oneself that takes the right to administer them.
    user_id: Option<Uuid>,
    /// What it is limited to: it may do what the policy and one of these allow, `<action or *>:<object pattern>` as in policy files. Only the
    /// policy limits it where there are none.
    #[serde(default)]
    #[schema(max_items = 64, example = json!(["read:/timescale/**"]))]
    scopes: Vec<String>,
    /// When it ends; never, where it is not given.
    expires_at: Option<DateTime<Utc>>,
}

/// Create an API token. Its secret is in this answer and nowhere else.
#[utoipa::path(post, path = "/tokens", tag = "tokens", request_body = NewToken,
    responses((status = 201, body = Envelope<CreatedToken>), (status = "4XX", body = ErrorBody)))]
pub(super) async fn create_token(caller: Caller, State(app): State<App>, Json(form): Json<NewToken>) -> Reply<CreatedToken> {
    let NewToken { name, user_id, scopes, expires_at } = form;
    let made = app.gate.token_create(&caller, gate::NewToken { name, user_id, scopes, expires_at }).await?;
    let location = format!("/api/platform/tokens/{}", made.token.id);
    created(&location, CreatedToken { token: made.token.into(), secret: made.secret })
}

/// List the tenant's tokens.
#[utoipa::path(get, path = "/tokens", tag = "tokens", params(PageQuery),
    responses((status = 200, body = Page<Token>), (status = "4XX", body = ErrorBody)))]
pub(super) async fn list_tokens(caller: Caller, State(app): State<App>, Query(query): Query<PageQuery>) -> Reply<Vec<Token>> {
    let found = app.gate.token_list(&caller, &query.page()?).await?;
    page(found.items.into_iter().map(Into::into).collect(), found.next.as_deref().map(cursor))
}

/// One token.
#[utoipa::path(get, path = "/tokens/{id}", tag = "tokens", params(("id" = Uuid, Path)),
    responses((status = 200, body = Envelope<Token>), (status = "4XX", body = ErrorBody)))]
pub(super) async fn get_token(caller: Caller, State(app): State<App>, Path(id): Path<Uuid>) -> Reply<Token> {
    ok(app.gate.token_get(&caller, id).await?.into())
}

/// Revoke a token, at once.
#[utoipa::path(delete, path = "/tokens/{id}", tag = "tokens", params(("id" = Uuid, Path)),
    responses((status = 204), (status = "4XX", body = ErrorBody)))]
pub(super) async fn revoke_token(caller: Caller, State(app): State<App>, Path(id): Path<Uuid>) -> Reply<()> {
    app.gate.token_revoke(&caller, id).await?;
    no_content()
}
