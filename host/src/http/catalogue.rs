//! `/api/platform/kafka-topics`.

use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::App;
use super::input::{IfMatch, Json, PageQuery, Path, Query, cursor};
use super::reply::{Envelope, ErrorBody, Page, Reply, created, no_content, ok, page};
use crate::forms::sent;
use crate::gate::catalogue::{TopicChange, TopicFilter, TopicRow};
use crate::model::{Caller, Conflict, ErrorStrategy, TopicFormat, WriteMode};
use crate::terms::TopicName;
use crate::times::rfc3339;

/// A Kafka topic.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[expect(clippy::struct_field_names, reason = "a dead letter topic is what everybody calls it")]
pub struct Topic {
    name: String,
    /// `json` or `avro`.
    format: String,
    /// The schema that its readings must satisfy; where the format is `avro`, the one that they are expected to be written by.
    schema_id: Option<Uuid>,
    /// Whether the writer consumes it.
    ingest: bool,
    /// `upsert` or `append`.
    mode: String,
    /// `keep-last` or `keep-first`: which of two values for one time counts.
    conflict: String,
    /// The Kafka topic that what is refused is sent to as well.
    dead_letter_topic: Option<String>,
    /// What becomes of readings that cannot be read or that the schema refuses.
    error_strategy: String,
    description: String,
    created_at: String,
    updated_at: String,
}

impl From<TopicRow> for Topic {
    fn from(row: TopicRow) -> Self {
        Self {
            name: row.name,
            format: row.format,
            schema_id: row.schema_id,
            ingest: row.ingest,
            mode: row.mode,
            conflict: row.conflict,
            dead_letter_topic: row.dead_letter_topic,
            error_strategy: row.error_strategy,
            description: row.description,
            created_at: rfc3339(row.created_at),
            updated_at: rfc3339(row.updated_at),
        }
    }
}

/// A topic to be registered.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NewTopic {
    /// Its name in Kafka.
    #[schema(value_type = TopicName)]
    name: String,
    /// `json` where it is not given.
    format: Option<TopicFormat>,
    /// Of type `json-schema` where the format is `json`, of type `avro` where it is `avro`.
    schema_id: Option<Uuid>,
    /// True where it is not given.
    ingest: Option<bool>,
    /// `upsert` where it is not given.
    mode: Option<WriteMode>,
    /// `keep-last` where it is not given.
    conflict: Option<Conflict>,
    /// A Kafka topic that nobody consumes through Weir; what is refused is sent there as well, before it counts as handled.
    #[schema(value_type = Option<TopicName>)]
    dead_letter_topic: Option<String>,
    /// `quarantine` where it is not given.
    error_strategy: Option<ErrorStrategy>,
    description: Option<String>,
}

/// A change of a topic; what is left out stays as it is.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TopicFields {
    format: Option<TopicFormat>,
    /// Null takes the schema away.
    #[serde(default, deserialize_with = "sent")]
    #[schema(value_type = Option<Uuid>)]
    #[expect(clippy::option_option, reason = "null and nothing are two things in a change")]
    schema_id: Option<Option<Uuid>>,
    ingest: Option<bool>,
    mode: Option<WriteMode>,
    conflict: Option<Conflict>,
    /// Null ends it.
    #[serde(default, deserialize_with = "sent")]
    #[schema(value_type = Option<TopicName>)]
    #[expect(clippy::option_option, reason = "null and nothing are two things in a change")]
    dead_letter_topic: Option<Option<String>>,
    error_strategy: Option<ErrorStrategy>,
    description: Option<String>,
}

/// The schema of a topic.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TopicSchema {
    schema_id: Uuid,
}

/// Register a topic.
#[utoipa::path(post, path = "/kafka-topics", tag = "kafka-topics", request_body = NewTopic,
    responses((status = 201, body = Envelope<Topic>), (status = "4XX", body = ErrorBody)))]
pub(super) async fn create_topic(caller: Caller, State(app): State<App>, Json(form): Json<NewTopic>) -> Reply<Topic> {
    let change = TopicChange {
        format: form.format,
        schema_id: form.schema_id.map(Some),
        ingest: form.ingest,
        mode: form.mode,
        conflict: form.conflict,
        dead_letter_topic: form.dead_letter_topic.map(Some),
        error_strategy: form.error_strategy,
        description: form.description,
    };
    let row = app.gate.topic_create(&caller, &form.name, &change).await?;
    created(&format!("/api/platform/kafka-topics/{}", form.name), row.into())
}

/// List the topics.
#[utoipa::path(get, path = "/kafka-topics", tag = "kafka-topics", params(PageQuery, TopicFilter),
    responses((status = 200, body = Page<Topic>), (status = "4XX", body = ErrorBody)))]
pub(super) async fn list_topics(
    caller: Caller,
    State(app): State<App>,
    Query(query): Query<PageQuery>,
    Query(filter): Query<TopicFilter>,
) -> Reply<Vec<Topic>> {
    let found = app.gate.topic_list(&caller, &filter, &query.page()?).await?;
    page(found.items.into_iter().map(Into::into).collect(), found.next.as_deref().map(cursor))
}

/// One topic.
#[utoipa::path(get, path = "/kafka-topics/{name}", tag = "kafka-topics", params(("name" = String, Path)),
    responses((status = 200, body = Envelope<Topic>), (status = "4XX", body = ErrorBody)))]
pub(super) async fn get_topic(caller: Caller, State(app): State<App>, Path(name): Path<String>) -> Reply<Topic> {
    ok(app.gate.topic_get(&caller, &name).await?.into())
}

/// Change the fields that are sent.
#[utoipa::path(put, path = "/kafka-topics/{name}", tag = "kafka-topics",
    params(("name" = String, Path), ("If-Match" = Option<String>, Header)), request_body = TopicFields,
    responses((status = 200, body = Envelope<Topic>), (status = "4XX", body = ErrorBody)))]
pub(super) async fn update_topic(
    caller: Caller,
    State(app): State<App>,
    Path(name): Path<String>,
    if_match: IfMatch,
    Json(form): Json<TopicFields>,
) -> Reply<Topic> {
    let change = TopicChange {
        format: form.format,
        schema_id: form.schema_id,
        ingest: form.ingest,
        mode: form.mode,
        conflict: form.conflict,
        dead_letter_topic: form.dead_letter_topic,
        error_strategy: form.error_strategy,
        description: form.description,
    };
    ok(app.gate.topic_update(&caller, &name, &change, &|row| if_match.fits(&Topic::from(row.clone()))).await?.into())
}

/// Take a topic out of the catalogue. What it stored stays.
#[utoipa::path(delete, path = "/kafka-topics/{name}", tag = "kafka-topics",
    params(("name" = String, Path), ("If-Match" = Option<String>, Header)),
    responses((status = 204), (status = "4XX", body = ErrorBody)))]
pub(super) async fn delete_topic(
    caller: Caller,
    State(app): State<App>,
    Path(name): Path<String>,
    if_match: IfMatch,
) -> Reply<()> {
    app.gate.topic_delete(&caller, &name, &|row| if_match.fits(&Topic::from(row.clone()))).await?;
    no_content()
}

/// Give a topic a schema.
#[utoipa::path(put, path = "/kafka-topics/{name}/schema", tag = "kafka-topics",
    params(("name" = String, Path), ("If-Match" = Option<String>, Header)),
    request_body = TopicSchema, responses((status = 200, body = Envelope<Topic>), (status = "4XX", body = ErrorBody)))]
pub(super) async fn set_topic_schema(
    caller: Caller,
    State(app): State<App>,
    Path(name): Path<String>,
    if_match: IfMatch,
    Json(form): Json<TopicSchema>,
) -> Reply<Topic> {
    let change = TopicChange { schema_id: Some(Some(form.schema_id)), ..TopicChange::default() };
    ok(app.gate.topic_update(&caller, &name, &change, &|row| if_match.fits(&Topic::from(row.clone()))).await?.into())
}

/// Take a topic's schema away.
#[utoipa::path(delete, path = "/kafka-topics/{name}/schema", tag = "kafka-topics",
    params(("name" = String, Path), ("If-Match" = Option<String>, Header)),
    responses((status = 200, body = Envelope<Topic>), (status = "4XX", body = ErrorBody)))]
pub(super) async fn clear_topic_schema(
    caller: Caller,
    State(app): State<App>,
    Path(name): Path<String>,
    if_match: IfMatch,
) -> Reply<Topic> {
    let change = TopicChange { schema_id: Some(None), ..TopicChange::default() };
    ok(app.gate.topic_update(&caller, &name, &change, &|row| if_match.fits(&Topic::from(row.clone()))).await?.into())
}
