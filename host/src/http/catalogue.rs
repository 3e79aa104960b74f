//! `/api/platform/kafka-topics` and `/api/platform/schemas`.

use axum::extract::State;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;
use uuid::Uuid;

use super::App;
use super::input::{Json, PageQuery, Path, Query, cursor};
use super::reply::{Envelope, ErrorBody, Page, Reply, created, no_content, ok, page};
use crate::error::Error;
use crate::gate::catalogue::{AVRO, JSON_SCHEMA, SchemaRow, TopicChange, TopicRow};
use crate::model::{Caller, Conflict, ErrorStrategy, TopicFormat, WriteMode, sent};
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
    #[schema(value_type = Option<String>)]
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
#[utoipa::path(get, path = "/kafka-topics", tag = "kafka-topics", params(PageQuery),
    responses((status = 200, body = Page<Topic>), (status = "4XX", body = ErrorBody)))]
pub(super) async fn list_topics(caller: Caller, State(app): State<App>, Query(query): Query<PageQuery>) -> Reply<Vec<Topic>> {
    let found = app.gate.topic_list(&caller, &query.page()?).await?;
    page(found.items.into_iter().map(Into::into).collect(), found.next.as_deref().map(cursor))
}

/// One topic.
#[utoipa::path(get, path = "/kafka-topics/{name}", tag = "kafka-topics", params(("name" = String, Path)),
    responses((status = 200, body = Envelope<Topic>), (status = "4XX", body = ErrorBody)))]
pub(super) async fn get_topic(caller: Caller, State(app): State<App>, Path(name): Path<String>) -> Reply<Topic> {
    ok(app.gate.topic_get(&caller, &name).await?.into())
}

/// Change the fields that are sent.
#[utoipa::path(put, path = "/kafka-topics/{name}", tag = "kafka-topics", params(("name" = String, Path)), request_body = TopicFields,
    responses((status = 200, body = Envelope<Topic>), (status = "4XX", body = ErrorBody)))]
pub(super) async fn update_topic(
    caller: Caller,
    State(app): State<App>,
    Path(name): Path<String>,
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
    ok(app.gate.topic_update(&caller, &name, &change).await?.into())
}

/// Take a topic out of the catalogue. What it stored stays.
#[utoipa::path(delete, path = "/kafka-topics/{name}", tag = "kafka-topics", params(("name" = String, Path)),
    responses((status = 204), (status = "4XX", body = ErrorBody)))]
pub(super) async fn delete_topic(caller: Caller, State(app): State<App>, Path(name): Path<String>) -> Reply<()> {
    app.gate.topic_delete(&caller, &name).await?;
    no_content()
}

/// Give a topic a schema.
#[utoipa::path(put, path = "/kafka-topics/{name}/schema", tag = "kafka-topics", params(("name" = String, Path)),
    request_body = TopicSchema, responses((status = 200, body = Envelope<Topic>), (status = "4XX", body = ErrorBody)))]
pub(super) async fn set_topic_schema(
    caller: Caller,
    State(app): State<App>,
    Path(name): Path<String>,
    Json(form): Json<TopicSchema>,
) -> Reply<Topic> {
    let change = TopicChange { schema_id: Some(Some(form.schema_id)), ..TopicChange::default() };
    ok(app.gate.topic_update(&caller, &name, &change).await?.into())
}

/// Take a topic's schema away.
#[utoipa::path(delete, path = "/kafka-topics/{name}/schema", tag = "kafka-topics", params(("name" = String, Path)),
    responses((status = 200, body = Envelope<Topic>), (status = "4XX", body = ErrorBody)))]
pub(super) async fn clear_topic_schema(caller: Caller, State(app): State<App>, Path(name): Path<String>) -> Reply<Topic> {
    let change = TopicChange { schema_id: Some(None), ..TopicChange::default() };
    ok(app.gate.topic_update(&caller, &name, &change).await?.into())
}

/// A version of a schema.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Schema {
    id: Uuid,
    name: String,
    /// Counted from 1 by name.
    version: i32,
    /// `json-schema` or `avro`.
    r#type: String,
    /// What stands in front of Avro messages that are written by it, in four bytes.
    number: i32,
    definition: Value,
    compatibility: String,
    created_at: String,
    updated_at: String,
}

impl TryFrom<SchemaRow> for Schema {
    type Error = Error;

    fn try_from(row: SchemaRow) -> Result<Self, Error> {
        Ok(Self {
            id: row.id,
            name: row.name,
            version: row.version,
            r#type: row.kind,
            number: row.number,
            definition: serde_json::from_str(&row.definition).map_err(Error::internal)?,
            compatibility: row.compatibility,
            created_at: rfc3339(row.created_at),
            updated_at: rfc3339(row.updated_at),
        })
    }
}

fn schemas(rows: Vec<SchemaRow>) -> Result<Vec<Schema>, Error> {
    rows.into_iter().map(TryInto::try_into).collect()
}

/// Types of schemas.
#[derive(Clone, Copy, Debug, Deserialize, ToSchema)]
pub enum SchemaType {
    /// JSON Schema, of the draft that its `$schema` names, else 2020-12.
    #[serde(rename = "json-schema")]
    JsonSchema,
    /// Avro: how messages of topics of format `avro` are written. It describes a reading, field by field.
    #[serde(rename = "avro")]
    Avro,
}

/// A new schema, or a new version of one.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NewSchema {
    name: String,
    r#type: SchemaType,
    /// The JSON Schema of one reading as it is sent, or the Avro schema of its record.
    definition: Value,
}

/// Register a schema; a name that exists gets its next version.
#[utoipa::path(post, path = "/schemas", tag = "schemas", request_body = NewSchema,
    responses((status = 201, body = Envelope<Schema>), (status = "4XX", body = ErrorBody)))]
pub(super) async fn create_schema(caller: Caller, State(app): State<App>, Json(form): Json<NewSchema>) -> Reply<Schema> {
    let kind = match form.r#type {
        SchemaType::JsonSchema => JSON_SCHEMA,
        SchemaType::Avro => AVRO,
    };
    let row = app.gate.schema_create(&caller, &form.name, kind, form.definition).await?;
    created(&format!("/api/platform/schemas/{}", row.id), row.try_into()?)
}

/// List the schemas.
#[utoipa::path(get, path = "/schemas", tag = "schemas", params(PageQuery),
    responses((status = 200, body = Page<Schema>), (status = "4XX", body = ErrorBody)))]
pub(super) async fn list_schemas(caller: Caller, State(app): State<App>, Query(query): Query<PageQuery>) -> Reply<Vec<Schema>> {
    let found = app.gate.schema_list(&caller, &query.page()?).await?;
    page(schemas(found.items)?, found.next.as_deref().map(cursor))
}

/// One version of a schema.
#[utoipa::path(get, path = "/schemas/{id}", tag = "schemas", params(("id" = Uuid, Path)),
    responses((status = 200, body = Envelope<Schema>), (status = "4XX", body = ErrorBody)))]
pub(super) async fn get_schema(caller: Caller, State(app): State<App>, Path(id): Path<Uuid>) -> Reply<Schema> {
    ok(app.gate.schema_get(&caller, id).await?.try_into()?)
}

/// The schema of a number, as it stands in front of Avro messages.
#[utoipa::path(get, path = "/schemas/number/{number}", tag = "schemas", params(("number" = i32, Path)),
    responses((status = 200, body = Envelope<Schema>), (status = "4XX", body = ErrorBody)))]
pub(super) async fn schema_by_number(caller: Caller, State(app): State<App>, Path(number): Path<i32>) -> Reply<Schema> {
    ok(app.gate.schema_by_number(&caller, number).await?.try_into()?)
}

/// Delete a version of a schema that nothing uses.
#[utoipa::path(delete, path = "/schemas/{id}", tag = "schemas", params(("id" = Uuid, Path)),
    responses((status = 204), (status = "4XX", body = ErrorBody)))]
pub(super) async fn delete_schema(caller: Caller, State(app): State<App>, Path(id): Path<Uuid>) -> Reply<()> {
    app.gate.schema_delete(&caller, id).await?;
    no_content()
}

/// All versions of a schema, newest first.
#[utoipa::path(get, path = "/schemas/name/{name}/versions", tag = "schemas", params(("name" = String, Path)),
    responses((status = 200, body = Page<Schema>), (status = "4XX", body = ErrorBody)))]
pub(super) async fn schema_versions(caller: Caller, State(app): State<App>, Path(name): Path<String>) -> Reply<Vec<Schema>> {
    page(schemas(app.gate.schema_versions(&caller, &name).await?)?, None)
}

/// The newest version of a schema.
#[utoipa::path(get, path = "/schemas/name/{name}/latest", tag = "schemas", params(("name" = String, Path)),
    responses((status = 200, body = Envelope<Schema>), (status = "4XX", body = ErrorBody)))]
pub(super) async fn latest_schema(caller: Caller, State(app): State<App>, Path(name): Path<String>) -> Reply<Schema> {
    let newest = app.gate.schema_versions(&caller, &name).await?.into_iter().next();
    ok(newest.ok_or_else(|| Error::not_found(format!("schema `{name}`")))?.try_into()?)
}
