//! `/api/platform/schemas`: the schema registry.

use axum::extract::State;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;
use uuid::Uuid;

use super::App;
use super::input::{IfMatch, Json, PageQuery, Path, Query, cursor};
use super::reply::{Envelope, ErrorBody, Page, Reply, created, no_content, ok, page};
use super::several::{Bulk, Several, make_each};
use crate::error::Error;
use crate::forms::whole_if_any;
use crate::gate::schemas::{self as gate, AVRO, Break, Comparison, Compatibility, JSON_SCHEMA, SchemaFilter, SchemaRow, Stored};
use crate::limits;
use crate::model::Caller;
use crate::terms::{Definition, Name};
use crate::times::rfc3339;

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
    /// What the version after it has to keep up with.
    #[schema(value_type = Compatibility)]
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

impl SchemaType {
    fn as_str(self) -> &'static str {
        match self {
            Self::JsonSchema => JSON_SCHEMA,
            Self::Avro => AVRO,
        }
    }
}

/// A new schema, or a new version of one.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NewSchema {
    #[schema(value_type = Name)]
    name: String,
    r#type: SchemaType,
    #[schema(value_type = Definition)]
    definition: Value,
    /// What the version after it has to keep up with; that of the version before, or `none`, where it is not given.
    compatibility: Option<Compatibility>,
}

impl From<NewSchema> for gate::NewSchema {
    fn from(form: NewSchema) -> Self {
        let NewSchema { name, r#type: kind, definition, compatibility } = form;
        Self { name, r#type: kind.as_str().to_owned(), definition, compatibility }
    }
}

/// A change of a version; what is left out stays as it is.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SchemaFields {
    /// Only of a JSON Schema that nothing uses.
    #[schema(value_type = Option<Definition>)]
    definition: Option<Value>,
    /// What the version after it has to keep up with.
    compatibility: Option<Compatibility>,
}

/// Register a schema; a name that exists gets its next version. One that breaks what the version before it promises is a 409 that lists
/// each break.
#[utoipa::path(post, path = "/schemas", tag = "schemas", request_body = NewSchema,
    responses((status = 201, body = Envelope<Schema>), (status = "4XX", body = ErrorBody)))]
pub(super) async fn create_schema(caller: Caller, State(app): State<App>, Json(form): Json<NewSchema>) -> Reply<Schema> {
    let row = app.gate.schema_create(&caller, form.into()).await?;
    created(&format!("/api/platform/schemas/{}", row.id), row.try_into()?)
}

/// Register several schemas, one after the other, with a result for each.
#[utoipa::path(post, path = "/schemas/bulk", tag = "schemas", request_body = Several<NewSchema>,
    responses((status = 200, body = Envelope<Bulk<Schema>>), (status = "4XX", body = ErrorBody)))]
pub(super) async fn create_schemas(
    caller: Caller,
    State(app): State<App>,
    Json(several): Json<Several<NewSchema>>,
) -> Reply<Bulk<Schema>> {
    make_each(several, async |form| app.gate.schema_create(&caller, form.into()).await?.try_into()).await
}

/// Change what the next version has to keep up with, or the definition of a version that nothing uses.
#[utoipa::path(put, path = "/schemas/{id}", tag = "schemas",
    params(("id" = Uuid, Path), ("If-Match" = Option<String>, Header)), request_body = SchemaFields,
    responses((status = 200, body = Envelope<Schema>), (status = "4XX", body = ErrorBody)))]
pub(super) async fn update_schema(
    caller: Caller,
    State(app): State<App>,
    Path(id): Path<Uuid>,
    if_match: IfMatch,
    Json(form): Json<SchemaFields>,
) -> Reply<Schema> {
    let change = gate::SchemaChange { definition: form.definition, compatibility: form.compatibility };
    ok(app.gate.schema_update(&caller, id, change, &|row| fits(&if_match, row)).await?.try_into()?)
}

fn fits(if_match: &IfMatch, row: &SchemaRow) -> bool {
    Schema::try_from(row.clone()).is_ok_and(|schema| if_match.fits(&schema))
}

/// A definition that is to be looked at.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SchemaCheck {
    #[schema(value_type = Definition)]
    definition: Value,
    /// `json-schema` where it is not given.
    r#type: Option<SchemaType>,
    /// A schema whose newest version it is put beside.
    name: Option<String>,
    /// A topic whose stored readings are held against it.
    topic: Option<String>,
    /// How many hours back; 24 where it is not given.
    #[serde(default, deserialize_with = "whole_if_any")]
    #[schema(minimum = 1, maximum = 8784)]
    hours: Option<u32>,
}

/// What there is to say about a definition. Nothing was kept.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct SchemaChecked {
    /// The newest version of the name; null where there is none, or none was named.
    against: Option<i32>,
    /// True where it could be registered as the next version.
    compatible: bool,
    /// What keeps it from being fully compatible, whatever the version before promises.
    breaks: Vec<Break>,
    /// What it would do to stored readings, the newest first, in the long form (`values`); null where no topic was named.
    stored: Option<Stored>,
}

/// Look at a definition as a registration would, and at the stored readings that it would refuse. Nothing is kept.
#[utoipa::path(post, path = "/schemas/check", tag = "schemas", request_body = SchemaCheck,
    responses((status = 200, body = Envelope<SchemaChecked>), (status = "4XX", body = ErrorBody)))]
pub(super) async fn check_schema(caller: Caller, State(app): State<App>, Json(form): Json<SchemaCheck>) -> Reply<SchemaChecked> {
    let kind = form.r#type.unwrap_or(SchemaType::JsonSchema);
    let hours = form.hours.unwrap_or(24);
    if hours == 0 || hours > limits::SCHEMA_CHECK_HOURS {
        let sentence = format!("`hours` lies between 1 and {}.", limits::SCHEMA_CHECK_HOURS);
        return Err(Error::malformed(sentence).at("/hours", "out of range").into());
    }
    let topic = form.topic.as_deref().map(|topic| (topic, hours));
    let checked = app.gate.schema_check(&caller, kind.as_str(), &form.definition, form.name.as_deref(), topic).await?;
    let compatible = checked.is_compatible();
    let (against, breaks) = match checked.comparison {
        Some((row, comparison)) => (Some(row.version), comparison.breaks),
        None => (None, Vec::new()),
    };
    ok(SchemaChecked { against, compatible, breaks, stored: checked.stored })
}

/// Put two versions beside each other, the second as if it followed the first.
#[utoipa::path(get, path = "/schemas/{id}/compare/{other}", tag = "schemas", params(("id" = Uuid, Path), ("other" = Uuid, Path)),
    responses((status = 200, body = Envelope<Comparison>), (status = "4XX", body = ErrorBody)))]
pub(super) async fn compare_schemas(
    caller: Caller,
    State(app): State<App>,
    Path((first, second)): Path<(Uuid, Uuid)>,
) -> Reply<Comparison> {
    ok(app.gate.schema_compare(&caller, first, second).await?)
}

/// List the schemas.
#[utoipa::path(get, path = "/schemas", tag = "schemas", params(PageQuery, SchemaFilter),
    responses((status = 200, body = Page<Schema>), (status = "4XX", body = ErrorBody)))]
pub(super) async fn list_schemas(
    caller: Caller,
    State(app): State<App>,
    Query(query): Query<PageQuery>,
    Query(filter): Query<SchemaFilter>,
) -> Reply<Vec<Schema>> {
    let found = app.gate.schema_list(&caller, &filter, &query.page()?).await?;
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
#[utoipa::path(delete, path = "/schemas/{id}", tag = "schemas",
    params(("id" = Uuid, Path), ("If-Match" = Option<String>, Header)),
    responses((status = 204), (status = "4XX", body = ErrorBody)))]
pub(super) async fn delete_schema(caller: Caller, State(app): State<App>, Path(id): Path<Uuid>, if_match: IfMatch) -> Reply<()> {
    app.gate.schema_delete(&caller, id, &|row| fits(&if_match, row)).await?;
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

/// The newest version of a schema.
#[utoipa::path(get, path = "/schemas/name/{name}", tag = "schemas", params(("name" = String, Path)),
    responses((status = 200, body = Envelope<Schema>), (status = "4XX", body = ErrorBody)))]
pub(super) async fn schema_by_name(caller: Caller, State(app): State<App>, Path(name): Path<String>) -> Reply<Schema> {
    latest_schema(caller, State(app), Path(name)).await
}
