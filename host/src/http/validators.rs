//! `/api/platform/validators`: deploying a tenant's code.

use axum::extract::{Request, State};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;
use uuid::Uuid;

use super::App;
use super::input::{self, IfMatch, Json, PageQuery, Path, Query, cursor};
use super::reply::{Envelope, ErrorBody, Page, Reply, created, no_content, ok, page};
use super::several::{Bulk, Several, make_each};
use crate::error::Error;
use crate::forms::{Object, sent_whole, whole, whole_if_any};
use crate::gate::resources::Status;
use crate::gate::validators::{
    ActivationRow, NewValidator, ValidatorChange, ValidatorFilter, ValidatorRow, VersionRow, of_a_module,
};
use crate::limits;
use crate::model::{Caller, ErrorStrategy, Grant, Target};
use crate::rules::Digest;
use crate::terms::{Binary, Name, Signature};
use crate::times::rfc3339;

/// Where the signature of a module stands.
const SIGNATURE: &str = "x-module-signature";

/// A validator.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Validator {
    id: Uuid,
    name: String,
    /// `wasm` or `json-schema`.
    #[schema(value_type = Kind)]
    kind: String,
    /// The schema that judges, where the kind is `json-schema`; else null.
    schema_id: Option<Uuid>,
    /// `readings`, `documents` or `objects`.
    target: String,
    /// What its module reads at the start of each batch.
    config: Value,
    /// What becomes of what it refuses.
    error_strategy: String,
    /// `active`, or `inactive`: left out of its chains.
    status: String,
    /// The version that runs; null before the first upload.
    active_version: Option<i32>,
    /// The version that runs beside it and decides nothing; null for none.
    shadow_version: Option<i32>,
    /// What its module is handed: `config`, `log`, `lookup`.
    grants: Vec<String>,
    limits: Limits,
    /// True where only a version may be activated that a clean replay, under the configuration of the moment, speaks for.
    require_clean_replay: bool,
    created_at: String,
    updated_at: String,
}

/// What a module may take; null for what its tenant may.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Limits {
    /// Time of one call, in milliseconds.
    time_ms: Option<i32>,
    /// Memory of one instance, in bytes.
    memory_bytes: Option<i64>,
}

/// A change of what a module may take; what is left out stays as it is.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LimitsChange {
    /// Time of one call, in milliseconds. Null takes the bound away.
    #[serde(default, deserialize_with = "sent_whole")]
    #[schema(value_type = Option<i32>, minimum = 1, maximum = 60000)]
    #[expect(clippy::option_option, reason = "null and nothing are two things in a change")]
    time_ms: Option<Option<i32>>,
    /// Memory of one instance, in bytes. Null takes the bound away.
    #[serde(default, deserialize_with = "sent_whole")]
    #[schema(value_type = Option<i64>, minimum = 65536, maximum = 1_073_741_824)]
    #[expect(clippy::option_option, reason = "null and nothing are two things in a change")]
    memory_bytes: Option<Option<i64>>,
}

impl From<ValidatorRow> for Validator {
    fn from(row: ValidatorRow) -> Self {
        Self {
            id: row.id,
            name: row.name,
            kind: row.kind,
            schema_id: row.schema_id,
            target: row.target,
            config: row.config,
            error_strategy: row.error_strategy,
            status: row.status,
            active_version: row.active_version,
            shadow_version: row.shadow_version,
            grants: row.grants,
            limits: Limits { time_ms: row.time_ms, memory_bytes: row.memory_bytes },
            require_clean_replay: row.clean_replay,
            created_at: rfc3339(row.created_at),
            updated_at: rfc3339(row.updated_at),
        }
    }
}

/// Kinds of validators.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// A WebAssembly component, to be uploaded.
    Wasm,
    /// A JSON Schema of the registry. Readings are judged in the long form (`values`), as the validators before it left them, without their
    /// topic and with a quality only where it is not good; documents as they are sent, a change without what it leaves as it is.
    JsonSchema,
}

/// A new validator.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(as = NewValidator)]
pub struct NewForm {
    #[schema(value_type = Name)]
    name: String,
    /// `wasm`, which is also the default.
    kind: Option<Kind>,
    /// The schema that judges; with `json-schema`, and only with it.
    schema_id: Option<Uuid>,
    /// `readings` where it is not given.
    target: Option<Target>,
    /// Empty where it is not given.
    #[schema(value_type = Option<Object>)]
    config: Option<Value>,
    /// `quarantine` where it is not given; `reject` is the only one for documents and objects.
    error_strategy: Option<ErrorStrategy>,
    /// `config` and `log` where they are not given.
    grants: Option<Vec<Grant>>,
    #[schema(value_type = Option<LimitsChange>)]
    limits: Option<Object<LimitsChange>>,
    /// False where it is not given.
    require_clean_replay: Option<bool>,
}

impl TryFrom<NewForm> for NewValidator {
    type Error = Error;

    fn try_from(form: NewForm) -> Result<Self, Error> {
        let NewForm { name, kind, schema_id, target, config, error_strategy, grants, limits, require_clean_replay } = form;
        if (kind == Some(Kind::JsonSchema)) != schema_id.is_some() {
            let sentence = "A validator of kind `json-schema` has a `schemaId`, and only such a one has.";
            return Err(Error::malformed(sentence).at("/schemaId", "does not fit the kind"));
        }
        if schema_id.is_some() && (config.is_some() || grants.is_some() || limits.is_some() || require_clean_replay.is_some()) {
            return Err(of_a_module());
        }
        let mut new = NewValidator::named(&name);
        new.schema_id = schema_id;
        new.target = target.unwrap_or_default();
        new.strategy =
            error_strategy.unwrap_or(if new.target == Target::Readings { new.strategy } else { ErrorStrategy::Reject });
        new.config = config.unwrap_or(new.config);
        new.grants = grants.unwrap_or(new.grants);
        let Object(limits) = limits.unwrap_or_default();
        (new.time_ms, new.memory_bytes) = (limits.time_ms.flatten(), limits.memory_bytes.flatten());
        new.clean_replay = require_clean_replay.unwrap_or_default();
        Ok(new)
    }
}

/// A change of a validator; what is left out stays as it is.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ValidatorFields {
    #[schema(value_type = Option<Name>)]
    name: Option<String>,
    /// Of a validator that is a schema.
    schema_id: Option<Uuid>,
    #[schema(value_type = Option<Object>)]
    config: Option<Value>,
    error_strategy: Option<ErrorStrategy>,
    #[schema(value_type = Option<Status>)]
    status: Option<String>,
    /// A grant that the version that runs imports cannot be taken away.
    grants: Option<Vec<Grant>>,
    #[schema(value_type = Option<LimitsChange>)]
    limits: Option<Object<LimitsChange>>,
    require_clean_replay: Option<bool>,
}

/// Make a validator. Of kind `wasm`, upload its module next; of kind `json-schema` it is complete.
#[utoipa::path(post, path = "/validators", tag = "validators", request_body = NewForm,
    responses((status = 201, body = Envelope<Validator>), (status = "4XX", body = ErrorBody)))]
pub(super) async fn create(caller: Caller, State(app): State<App>, Json(form): Json<NewForm>) -> Reply<Validator> {
    let row = app.gate.validator_create(&caller, &form.try_into()?).await?;
    created(&format!("/api/platform/validators/{}", row.id), row.into())
}

/// Make several validators, with a result for each.
#[utoipa::path(post, path = "/validators/bulk", tag = "validators", request_body = Several<NewForm>,
    responses((status = 200, body = Envelope<Bulk<Validator>>), (status = "4XX", body = ErrorBody)))]
pub(super) async fn create_several(
    caller: Caller,
    State(app): State<App>,
    Json(several): Json<Several<NewForm>>,
) -> Reply<Bulk<Validator>> {
    make_each(several, async |form: NewForm| app.gate.validator_create(&caller, &form.try_into()?).await.map(Into::into)).await
}

/// List the validators.
#[utoipa::path(get, path = "/validators", tag = "validators", params(PageQuery, ValidatorFilter),
    responses((status = 200, body = Page<Validator>), (status = "4XX", body = ErrorBody)))]
pub(super) async fn list(
    caller: Caller,
    State(app): State<App>,
    Query(query): Query<PageQuery>,
    Query(filter): Query<ValidatorFilter>,
) -> Reply<Vec<Validator>> {
    let found = app.gate.validator_list(&caller, &filter, &query.page()?).await?;
    page(found.items.into_iter().map(Into::into).collect(), found.next.as_deref().map(cursor))
}

/// One validator.
#[utoipa::path(get, path = "/validators/{id}", tag = "validators", params(("id" = Uuid, Path)),
    responses((status = 200, body = Envelope<Validator>), (status = "4XX", body = ErrorBody)))]
pub(super) async fn get(caller: Caller, State(app): State<App>, Path(id): Path<Uuid>) -> Reply<Validator> {
    ok(app.gate.validator_get(&caller, id).await?.into())
}

/// Change the fields that are sent.
#[utoipa::path(put, path = "/validators/{id}", tag = "validators",
    params(("id" = Uuid, Path), ("If-Match" = Option<String>, Header)), request_body = ValidatorFields,
    responses((status = 200, body = Envelope<Validator>), (status = "4XX", body = ErrorBody)))]
pub(super) async fn update(
    caller: Caller,
    State(app): State<App>,
    Path(id): Path<Uuid>,
    if_match: IfMatch,
    Json(form): Json<ValidatorFields>,
) -> Reply<Validator> {
    let ValidatorFields { name, schema_id, config, error_strategy, status, grants, limits, require_clean_replay } = form;
    let Object(LimitsChange { time_ms, memory_bytes }) = limits.unwrap_or_default();
    let clean_replay = require_clean_replay;
    let change = ValidatorChange { name, schema_id, config, error_strategy, status, grants, time_ms, memory_bytes, clean_replay };
    ok(app.gate.validator_update(&caller, id, &change, &|row| if_match.fits(&Validator::from(row.clone()))).await?.into())
}

/// Delete a validator that no chain uses.
#[utoipa::path(delete, path = "/validators/{id}", tag = "validators",
    params(("id" = Uuid, Path), ("If-Match" = Option<String>, Header)),
    responses((status = 204), (status = "4XX", body = ErrorBody)))]
pub(super) async fn delete(caller: Caller, State(app): State<App>, Path(id): Path<Uuid>, if_match: IfMatch) -> Reply<()> {
    app.gate.validator_delete(&caller, id, &|row| if_match.fits(&Validator::from(row.clone()))).await?;
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
    /// What it must be granted for that.
    grants: Vec<String>,
    /// In bytes.
    size: i64,
    /// The key whose signature came with it, by name; null where the tenant had none.
    signed_by: Option<String>,
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
            grants: row.grants,
            size: row.size,
            signed_by: row.signed_by,
            created_at: rfc3339(row.created_at),
        }
    }
}

/// Upload a module: a WebAssembly component. It is checked and compiled before this answers, the cases that it carries are run, and it
/// becomes the next version. Where the tenant has signing keys, `X-Module-Signature` has the ed25519 signature of the component's bytes,
/// in base64.
#[utoipa::path(put, path = "/validators/{id}/module", tag = "validators",
    params(("id" = Uuid, Path), ("X-Module-Signature" = inline(Option<Signature>), Header)),
    request_body(content = inline(Binary), content_type = "application/wasm"),
    responses((status = 201, body = Envelope<Version>), (status = "4XX", body = ErrorBody)))]
pub(super) async fn upload(caller: Caller, State(app): State<App>, Path(id): Path<Uuid>, request: Request) -> Reply<Version> {
    input::expect_media_type(request.headers(), "application/wasm")?;
    let signature = request.headers().get(SIGNATURE).map(|value| STANDARD.decode(value.as_bytes())).transpose();
    let signature = signature
        .map_err(|error| Error::malformed("`X-Module-Signature` is not base64.").at("X-Module-Signature", error.to_string()))?;
    let body = input::read(request.into_body(), limits::MODULE_BYTES);
    let version = app.gate.validator_upload(&caller, id, body, signature.as_deref()).await?;
    created(&format!("/api/platform/validators/{id}/versions"), version.into())
}

/// List the versions of a module, newest first.
#[utoipa::path(get, path = "/validators/{id}/versions", tag = "validators", params(("id" = Uuid, Path), PageQuery),
    responses((status = 200, body = Page<Version>), (status = "4XX", body = ErrorBody)))]
pub(super) async fn versions(
    caller: Caller,
    State(app): State<App>,
    Path(id): Path<Uuid>,
    Query(query): Query<PageQuery>,
) -> Reply<Vec<Version>> {
    let found = app.gate.validator_versions(&caller, id, &query.page()?).await?;
    page(found.items.into_iter().map(Into::into).collect(), found.next.as_deref().map(cursor))
}

/// A version to be activated.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Activation {
    #[serde(deserialize_with = "whole")]
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

/// Go back to the version that ran before the one that runs now.
#[utoipa::path(post, path = "/validators/{id}/return", tag = "validators", params(("id" = Uuid, Path)),
    responses((status = 200, body = Envelope<Validator>), (status = "4XX", body = ErrorBody)))]
pub(super) async fn back(caller: Caller, State(app): State<App>, Path(id): Path<Uuid>) -> Reply<Validator> {
    ok(app.gate.validator_return(&caller, id).await?.into())
}

/// A version to run beside the active one.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ShadowForm {
    /// Null ends it.
    #[serde(default, deserialize_with = "whole_if_any")]
    version: Option<i32>,
}

/// Let a version run beside the active one on live readings or documents; it decides nothing, and `stats` counts where it differs. A
/// validator of objects has no shadow.
#[utoipa::path(post, path = "/validators/{id}/shadow", tag = "validators", params(("id" = Uuid, Path)), request_body = ShadowForm,
    responses((status = 200, body = Envelope<Validator>), (status = "4XX", body = ErrorBody)))]
pub(super) async fn shadow(
    caller: Caller,
    State(app): State<App>,
    Path(id): Path<Uuid>,
    Json(form): Json<ShadowForm>,
) -> Reply<Validator> {
    ok(app.gate.validator_shadow(&caller, id, form.version).await?.into())
}

/// When a version began to run, and why.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ActivationEntry {
    version: i32,
    /// The version that ran before; null for the first.
    previous: Option<i32>,
    /// `upload` (the first), `activation`, `return` or `faults` (it was taken back by itself).
    cause: String,
    /// Who asked for it.
    subject: String,
    at: String,
    /// Of `faults`: calls, faults and rates of both versions.
    details: Value,
}

impl From<ActivationRow> for ActivationEntry {
    fn from(row: ActivationRow) -> Self {
        Self {
            version: row.version,
            previous: row.previous,
            cause: row.cause,
            subject: row.subject,
            at: rfc3339(row.at),
            details: row.details,
        }
    }
}

/// List what ran when, newest first.
#[utoipa::path(get, path = "/validators/{id}/history", tag = "validators", params(("id" = Uuid, Path), PageQuery),
    responses((status = 200, body = Page<ActivationEntry>), (status = "4XX", body = ErrorBody)))]
pub(super) async fn history(
    caller: Caller,
    State(app): State<App>,
    Path(id): Path<Uuid>,
    Query(query): Query<PageQuery>,
) -> Reply<Vec<ActivationEntry>> {
    let found = app.gate.validator_history(&caller, id, &query.page()?).await?;
    page(found.items.into_iter().map(Into::into).collect(), found.next.as_deref().map(cursor))
}

/// A validator's error strategy.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Strategy {
    error_strategy: ErrorStrategy,
}

/// Say what becomes of what the validator refuses or fails on.
#[utoipa::path(put, path = "/validators/{id}/error-strategy", tag = "validators",
    params(("id" = Uuid, Path), ("If-Match" = Option<String>, Header)), request_body = Strategy,
    responses((status = 200, body = Envelope<Validator>), (status = "4XX", body = ErrorBody)))]
pub(super) async fn set_strategy(
    caller: Caller,
    State(app): State<App>,
    Path(id): Path<Uuid>,
    if_match: IfMatch,
    Json(form): Json<Strategy>,
) -> Reply<Validator> {
    let change = ValidatorChange { error_strategy: Some(form.error_strategy), ..ValidatorChange::default() };
    ok(app.gate.validator_update(&caller, id, &change, &|row| if_match.fits(&Validator::from(row.clone()))).await?.into())
}
