//! `/api/platform/tokens`.

use axum::extract::State;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::App;
use super::input::{IfMatch, Json, PageQuery, Path, Query, cursor};
use super::reply::{Envelope, ErrorBody, Page, Reply, created, no_content, ok, page};
use super::several::{Bulk, Several, make_each};
use crate::gate::tokens::{self as gate, Token, TokenFilter};
use crate::model::Caller;
use crate::terms::{PolicyName, ScopeText};

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
    #[schema(value_type = PolicyName)]
    name: String,
    /// The user whom it acts for, as `user:<email>`. For another user than oneself that takes the right to administer them.
    user_id: Option<Uuid>,
    /// What it is limited to: it may do what the policy and one of these allow, `<action or *>:<object pattern>` as in policy files. Only the
    /// policy limits it where there are none.
    #[serde(default)]
    #[schema(value_type = Vec<ScopeText>, max_items = 64)]
    scopes: Vec<String>,
    /// When it ends; never, where it is not given.
    expires_at: Option<DateTime<Utc>>,
}

impl From<gate::CreatedToken> for CreatedToken {
    fn from(made: gate::CreatedToken) -> Self {
        Self { token: made.token, secret: made.secret }
    }
}

impl From<NewToken> for gate::NewToken {
    fn from(form: NewToken) -> Self {
        let NewToken { name, user_id, scopes, expires_at } = form;
        Self { name, user_id, scopes, expires_at }
    }
}

/// Create an API token. Its secret is in this answer and nowhere else.
#[utoipa::path(post, path = "/tokens", tag = "tokens", request_body = NewToken,
    responses((status = 201, body = Envelope<CreatedToken>), (status = "4XX", body = ErrorBody)))]
pub(super) async fn create_token(caller: Caller, State(app): State<App>, Json(form): Json<NewToken>) -> Reply<CreatedToken> {
    let made = app.gate.token_create(&caller, form.into()).await?;
    created(&format!("/api/platform/tokens/{}", made.token.id), made.into())
}

/// Create several tokens, with a result for each. Their secrets are in this answer and nowhere else.
#[utoipa::path(post, path = "/tokens/bulk", tag = "tokens", request_body = Several<NewToken>,
    responses((status = 200, body = Envelope<Bulk<CreatedToken>>), (status = "4XX", body = ErrorBody)))]
pub(super) async fn create_tokens(
    caller: Caller,
    State(app): State<App>,
    Json(several): Json<Several<NewToken>>,
) -> Reply<Bulk<CreatedToken>> {
    make_each(several, async |form| app.gate.token_create(&caller, form.into()).await.map(Into::into)).await
}

/// List the tenant's tokens.
#[utoipa::path(get, path = "/tokens", tag = "tokens", params(PageQuery, TokenFilter),
    responses((status = 200, body = Page<Token>), (status = "4XX", body = ErrorBody)))]
pub(super) async fn list_tokens(
    caller: Caller,
    State(app): State<App>,
    Query(query): Query<PageQuery>,
    Query(filter): Query<TokenFilter>,
) -> Reply<Vec<Token>> {
    let found = app.gate.token_list(&caller, &filter, &query.page()?).await?;
    page(found.items, found.next.as_deref().map(cursor))
}

/// One token.
#[utoipa::path(get, path = "/tokens/{id}", tag = "tokens", params(("id" = Uuid, Path)),
    responses((status = 200, body = Envelope<Token>), (status = "4XX", body = ErrorBody)))]
pub(super) async fn get_token(caller: Caller, State(app): State<App>, Path(id): Path<Uuid>) -> Reply<Token> {
    ok(app.gate.token_get(&caller, id).await?)
}

/// Revoke a token, at once.
#[utoipa::path(delete, path = "/tokens/{id}", tag = "tokens",
    params(("id" = Uuid, Path), ("If-Match" = Option<String>, Header)),
    responses((status = 204), (status = "4XX", body = ErrorBody)))]
pub(super) async fn revoke_token(caller: Caller, State(app): State<App>, Path(id): Path<Uuid>, if_match: IfMatch) -> Reply<()> {
    app.gate.token_revoke(&caller, id, &|token| if_match.fits(token)).await?;
    no_content()
}
