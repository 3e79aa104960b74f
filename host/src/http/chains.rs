//! `/api/platform/validators/chain`: which validators readings, documents and objects pass, in which order.

use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::App;
use super::input::{Json, Path};
use super::reply::{Envelope, ErrorBody, Reply, ok};
use crate::gate::chains::ChainOf;
use crate::model::Caller;

/// Validators, in the order in which they are passed.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Chain {
    /// Of validators of readings (documents, objects), each once; at most 16, of objects 4.
    #[schema(value_type = BTreeSet<Uuid>, max_items = 16)]
    validator_ids: Vec<Uuid>,
}

async fn read(caller: &Caller, app: &App, chain: &ChainOf) -> Reply<Chain> {
    ok(Chain { validator_ids: app.gate.chain_get(caller, chain).await? })
}

async fn write(caller: &Caller, app: &App, chain: &ChainOf, form: &Chain) -> Reply<Chain> {
    ok(Chain { validator_ids: app.gate.chain_set(caller, chain, &form.validator_ids).await? })
}

/// Read the chain of a topic.
#[utoipa::path(get, path = "/validators/chain/{topicName}", tag = "validators", params(("topicName" = String, Path)),
    responses((status = 200, body = Envelope<Chain>), (status = "4XX", body = ErrorBody)))]
pub(super) async fn get_topic(caller: Caller, State(app): State<App>, Path(name): Path<String>) -> Reply<Chain> {
    read(&caller, &app, &ChainOf::Topic(name)).await
}

/// Set the chain of a topic.
#[utoipa::path(put, path = "/validators/chain/{topicName}", tag = "validators", params(("topicName" = String, Path)), request_body = Chain,
    responses((status = 200, body = Envelope<Chain>), (status = "4XX", body = ErrorBody)))]
pub(super) async fn set_topic(
    caller: Caller,
    State(app): State<App>,
    Path(name): Path<String>,
    Json(form): Json<Chain>,
) -> Reply<Chain> {
    write(&caller, &app, &ChainOf::Topic(name), &form).await
}

/// Read the chain of a kind of resource: `kafka-topics`, `schemas` or `tokens`.
#[utoipa::path(get, path = "/validators/chain/documents/{resource}", tag = "validators", params(("resource" = String, Path)),
    responses((status = 200, body = Envelope<Chain>), (status = "4XX", body = ErrorBody)))]
pub(super) async fn get_documents(caller: Caller, State(app): State<App>, Path(name): Path<String>) -> Reply<Chain> {
    read(&caller, &app, &ChainOf::Documents(name)).await
}

/// Set the chain of a kind of resource: `kafka-topics`, `schemas` or `tokens`.
#[utoipa::path(put, path = "/validators/chain/documents/{resource}", tag = "validators", params(("resource" = String, Path)), request_body = Chain,
    responses((status = 200, body = Envelope<Chain>), (status = "4XX", body = ErrorBody)))]
pub(super) async fn set_documents(
    caller: Caller,
    State(app): State<App>,
    Path(name): Path<String>,
    Json(form): Json<Chain>,
) -> Reply<Chain> {
    write(&caller, &app, &ChainOf::Documents(name), &form).await
}

/// Read the chain of a bucket.
#[utoipa::path(get, path = "/validators/chain/objects/{bucket}", tag = "validators", params(("bucket" = String, Path)),
    responses((status = 200, body = Envelope<Chain>), (status = "4XX", body = ErrorBody)))]
pub(super) async fn get_objects(caller: Caller, State(app): State<App>, Path(name): Path<String>) -> Reply<Chain> {
    read(&caller, &app, &ChainOf::Objects(name)).await
}

/// Set the chain of a bucket.
#[utoipa::path(put, path = "/validators/chain/objects/{bucket}", tag = "validators", params(("bucket" = String, Path)), request_body = Chain,
    responses((status = 200, body = Envelope<Chain>), (status = "4XX", body = ErrorBody)))]
pub(super) async fn set_objects(
    caller: Caller,
    State(app): State<App>,
    Path(name): Path<String>,
    Json(form): Json<Chain>,
) -> Reply<Chain> {
    write(&caller, &app, &ChainOf::Objects(name), &form).await
}
