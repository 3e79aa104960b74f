//! `/api/platform/validators`: deploying a tenant's code.

use axum::extract::{Request, State};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;
use uuid::Uuid;

use super::App;
use super::input::{self, Json, PageQuery, Path, Query, cursor};
use super::reply::{Envelope, ErrorBody, Page, Reply, created, no_content, ok, page, rfc3339};
use crate::gate::validators::{ValidatorChange, ValidatorRow, VersionRow};
use crate::limits;
use crate::model::{Caller, ErrorStrategy};
use crate::rules::Digest;

/// A validator.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Validator {
    id: Uuid,
    name: String,
    /// `wasm`.
    kind: String,
    /// `readings`.
    target: String,
    /// What its module reads at the start of each batch.
    config: Value,
    /// What becomes of what it refuses.
    error_strategy: String,
    /// `active`, or `inactive`: left out of its chains.
    status: String,
    /// The version that runs; null before the first upload.
    active_version: Option<i32>,
    created_at: String,
    updated_at: String,
}

impl From<ValidatorRow> for Validator {
    fn from(row: ValidatorRow) -> Self {
        Self {
            id: row.id,
            name: row.name,
            kind: row.kind,
            target: row.target,
            config: row.config,
            error_strategy: row.error_strategy,
            status: row.status,
            active_version: row.active_version,
            created_at: rfc3339(row.created_at),
            updated_at: rfc3339(row.updated_at),
        }
    }
}

/// Kinds of validators.
#[derive(Clone, Copy, Debug, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// A WebAssembly component.
    Wasm,
}

/// What validators check.
#[derive(Clone, Copy, Debug, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Target {
    /// Readings.
    Readings,
}

/// A new validator.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NewValidator {
    name: String,
    /// `wasm`, which is also the default.
    kind: Option<Kind>,
    /// `readings`, which is also the default.
    target: Option<Target>,
    /// A JSON object; empty where it is not given.
    config: Option<Value>,
    /// `quarantine` where it is not given.
    error_strategy: Option<ErrorStrategy>,
}

/// A change of a validator; what is left out stays as it is.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ValidatorFields {
    name: Option<String>,
    config: Option<Value>,
    error_strategy: Option<ErrorStrategy>,
    /// `active` or `inactive`.
    status: Option<String>,
}

/// Make a validator; upload its module next.
#[utoipa::path(post, path = "/validators", tag = "validators", request_body = NewValidator,
    responses((status = 201, body = Envelope<Validator>), (status = "4XX", body = ErrorBody)))]
pub(super) async fn create(caller: Caller, State(app): State<App>, Json(form): Json<NewValidator>) -> Reply<Validator> {
    let NewValidator { name, kind: Some(Kind::Wasm) | None, target: Some(Target::Readings) | None, config, error_strategy } =
        form;
    let config = config.unwrap_or_else(|| Value::Object(serde_json::Map::new()));
    let strategy = error_strategy.unwrap_or(ErrorStrategy::Quarantine);
    let row = app.gate.validator_create(&caller, &name, &config, strategy).await?;
    created(&format!("/api/platform/validators/{}", row.id), row.into())
}

/// List the validators.
#[utoipa::path(get, path = "/validators", tag = "validators", params(PageQuery),
    responses((status = 200, body = Page<Validator>), (status = "4XX", body = ErrorBody)))]
pub(super) async fn list(caller: Caller, State(app): State<App>, Query(query): Query<PageQuery>) -> Reply<Vec<Validator>> {
    let found = app.gate.validator_list(&caller, &query.page()?).await?;
    page(found.items.into_iter().map(Into::into).collect(), found.next.as_deref().map(cursor))
}

/// One validator.
#[utoipa::path(get, path = "/validators/{id}", tag = "validators", params(("id" = Uuid, Path)),
    responses((status = 200, body = Envelope<Validator>), (status = "4XX", body = ErrorBody)))]
pub(super) async fn get(caller: Caller, State(app): State<App>, Path(id): Path<Uuid>) -> Reply<Validator> {
    ok(app.gate.validator_get(&caller, id).await?.into())
}

/// Change the fields that are sent.
#[utoipa::path(put, path = "/validators/{id}", tag = "validators", params(("id" = Uuid, Path)), request_body = ValidatorFields,
    responses((status = 200, body = Envelope<Validator>), (status = "4XX", body = ErrorBody)))]
pub(super) async fn update(
    caller: Caller,
    State(app): State<App>,
    Path(id): Path<Uuid>,
    Json(form): Json<ValidatorFields>,
) -> Reply<Validator> {
    let ValidatorFields { name, config, error_strategy, status } = form;
    ok(app.gate.validator_update(&caller, id, &ValidatorChange { name, config, error_strategy, status }).await?.into())
}

/// Delete a validator that no chain uses.
#[utoipa::path(delete, path = "/validators/{id}", tag = "validators", params(("id" = Uuid, Path)),
    responses((status = 204), (status = "4XX", body = ErrorBody)))]
pub(super) async fn delete(caller: Caller, State(app): State<App>, Path(id): Path<Uuid>) -> Reply<()> {
    app.gate.validator_delete(&caller, id).await?;
    no_content()
}

/// One version of a module.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[expect(clippy::struct_field_names, reason = "they are the contract's")]
pub struct Version {
    /// Counted from 1.
    version: i32,
    /// Of the component's bytes, in hex.
    sha256: String,
    /// The world that it targets.
    world: String,
    /// The version of the interface that it exports.
    wit_version: String,
    /// What it imports.
    imports: Vec<String>,
    /// In bytes.
    size: i64,
    created_at: String,
}

impl From<VersionRow> for Version {
    fn from(row: VersionRow) -> Self {
        Self {
            version: row.version,
            sha256: Digest::from_slice(&row.digest).map_or_else(String::new, |digest| digest.to_string()),
            world: row.world,
            wit_version: row.wit_version,
            imports: row.imports,
            size: row.size,
            created_at: rfc3339(row.created_at),
        }
    }
}

/// Upload a module: a WebAssembly component. It is checked and compiled before this answers, and becomes the next version.
#[utoipa::path(put, path = "/validators/{id}/module", tag = "validators", params(("id" = Uuid, Path)),
    request_body(content = Vec<u8>, content_type = "application/wasm"),
    responses((status = 201, body = Envelope<Version>), (status = "4XX", body = ErrorBody)))]
pub(super) async fn upload(caller: Caller, State(app): State<App>, Path(id): Path<Uuid>, request: Request) -> Reply<Version> {
    input::expect_media_type(request.headers(), "application/wasm")?;
    let component = input::read(request.into_body(), limits::MODULE_BYTES).await?;
    let version = app.gate.validator_upload(&caller, id, component).await?;
    created(&format!("/api/platform/validators/{id}/versions"), version.into())
}

/// All versions of a module, newest first.
#[utoipa::path(get, path = "/validators/{id}/versions", tag = "validators", params(("id" = Uuid, Path)),
    responses((status = 200, body = Page<Version>), (status = "4XX", body = ErrorBody)))]
pub(super) async fn versions(caller: Caller, State(app): State<App>, Path(id): Path<Uuid>) -> Reply<Vec<Version>> {
    page(app.gate.validator_versions(&caller, id).await?.into_iter().map(Into::into).collect(), None)
}

/// A version to be activated.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Activation {
    version: i32,
}

/// Make a version the one that runs, forward or back.
#[utoipa::path(post, path = "/validators/{id}/activate", tag = "validators", params(("id" = Uuid, Path)), request_body = Activation,
    responses((status = 200, body = Envelope<Validator>), (status = "4XX", body = ErrorBody)))]
pub(super) async fn activate(
    caller: Caller,
    State(app): State<App>,
    Path(id): Path<Uuid>,
    Json(form): Json<Activation>,
) -> Reply<Validator> {
    ok(app.gate.validator_activate(&caller, id, form.version).await?.into())
}

/// A validator's error strategy.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Strategy {
    error_strategy: ErrorStrategy,
}

/// Say what becomes of what the validator refuses or fails on.
#[utoipa::path(put, path = "/validators/{id}/error-strategy", tag = "validators", params(("id" = Uuid, Path)), request_body = Strategy,
    responses((status = 200, body = Envelope<Validator>), (status = "4XX", body = ErrorBody)))]
pub(super) async fn set_strategy(
    caller: Caller,
    State(app): State<App>,
    Path(id): Path<Uuid>,
    Json(form): Json<Strategy>,
) -> Reply<Validator> {
    let change = ValidatorChange { error_strategy: Some(form.error_strategy), ..ValidatorChange::default() };
    ok(app.gate.validator_update(&caller, id, &change).await?.into())
}
