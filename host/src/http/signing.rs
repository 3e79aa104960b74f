//! `/api/platform/signing-keys`: who may vouch for a tenant's modules.

use axum::extract::State;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::App;
use super::input::{Json, PageQuery, Path, Query, cursor};
use super::reply::{Envelope, ErrorBody, Page, Reply, created, no_content, page};
use crate::error::Error;
use crate::gate::validators::SigningKeyRow;
use crate::model::Caller;
use crate::terms::{Name, PublicKey};
use crate::times::rfc3339;

/// A public key.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct SigningKey {
    id: Uuid,
    name: String,
    /// The 32 bytes of the ed25519 public key, in base64.
    public_key: String,
    created_at: String,
}

impl From<SigningKeyRow> for SigningKey {
    fn from(row: SigningKeyRow) -> Self {
        Self { id: row.id, name: row.name, public_key: STANDARD.encode(row.public_key), created_at: rfc3339(row.created_at) }
    }
}

/// A key to be registered.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NewSigningKey {
    #[schema(value_type = Name)]
    name: String,
    #[schema(value_type = PublicKey)]
    public_key: String,
}

/// Register a key. From now on every module of the tenant needs a signature by one of its keys.
#[utoipa::path(post, path = "/signing-keys", tag = "validators", request_body = NewSigningKey,
    responses((status = 201, body = Envelope<SigningKey>), (status = "4XX", body = ErrorBody)))]
pub(super) async fn create(caller: Caller, State(app): State<App>, Json(form): Json<NewSigningKey>) -> Reply<SigningKey> {
    let bytes = STANDARD.decode(&form.public_key).ok().and_then(|bytes| <[u8; 32]>::try_from(bytes).ok());
    let public_key = bytes.ok_or_else(|| {
        Error::malformed("`publicKey` is the 32 bytes of an ed25519 public key, in base64.").at("/publicKey", "not a key")
    })?;
    let row = app.gate.signing_key_create(&caller, &form.name, &public_key).await?;
    created(&format!("/api/platform/signing-keys/{}", row.id), row.into())
}

/// List the keys.
#[utoipa::path(get, path = "/signing-keys", tag = "validators", params(PageQuery),
    responses((status = 200, body = Page<SigningKey>), (status = "4XX", body = ErrorBody)))]
pub(super) async fn list(caller: Caller, State(app): State<App>, Query(query): Query<PageQuery>) -> Reply<Vec<SigningKey>> {
    let found = app.gate.signing_key_list(&caller, &query.page()?).await?;
    page(found.items.into_iter().map(Into::into).collect(), found.next.as_deref().map(cursor))
}

/// Take a key away; the modules that it vouched for stay.
#[utoipa::path(delete, path = "/signing-keys/{id}", tag = "validators", params(("id" = Uuid, Path)),
    responses((status = 204), (status = "4XX", body = ErrorBody)))]
pub(super) async fn delete(caller: Caller, State(app): State<App>, Path(id): Path<Uuid>) -> Reply<()> {
    app.gate.signing_key_delete(&caller, id).await?;
    no_content()
}
