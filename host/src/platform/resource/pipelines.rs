//! Pipelines: how a project's data flows. What their definitions mean is the applications' affair.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use sqlx::FromRow;
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::{Form, Resource, Statements, Status, check_size};
use crate::error::Result;
use crate::model::check_name;
use crate::platform::statements;
use crate::terms::Name;
use crate::times;

/// A pipeline.
#[derive(Clone, Debug, FromRow, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Pipeline {
    /// Its id.
    pub id: Uuid,
    /// The project that it belongs to.
    pub project_id: Uuid,
    /// Its name for people.
    pub name: String,
    /// What it does, as its application writes it.
    #[schema(value_type = Object)]
    pub definition: Value,
    /// `active` or `inactive`.
    #[schema(value_type = Status)]
    pub status: String,
    /// Counted up by `PUT /pipelines/{id}/version`.
    pub version: i32,
    /// When it was made.
    #[serde(serialize_with = "times::micros")]
    pub created_at: DateTime<Utc>,
    /// When it was last changed.
    #[serde(serialize_with = "times::micros")]
    pub updated_at: DateTime<Utc>,
}

/// A new pipeline.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NewPipeline {
    project_id: Uuid,
    #[schema(value_type = Name)]
    name: String,
    #[schema(value_type = Option<Object>)]
    #[serde(skip_serializing_if = "Option::is_none")]
    definition: Option<Map<String, Value>>,
    /// `inactive` where it is not given.
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<Status>,
}

/// A change of a pipeline; what is left out stays as it is.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PipelineChange {
    #[schema(value_type = Option<Name>)]
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    #[schema(value_type = Option<Object>)]
    #[serde(skip_serializing_if = "Option::is_none")]
    definition: Option<Map<String, Value>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<Status>,
}

impl PipelineChange {
    /// Another status, and nothing else.
    pub fn status(status: Status) -> Self {
        Self { status: Some(status), ..Self::default() }
    }
}

/// What pipelines are filtered by.
#[derive(Debug, Default, Serialize, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase")]
#[into_params(parameter_in = Query)]
pub struct PipelineFilter {
    /// Those of this name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Those of this project.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub project_id: Option<Uuid>,
    /// Those of this status.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[param(inline)]
    pub status: Option<Status>,
}

impl Form for NewPipeline {
    fn check(&self) -> Result<()> {
        check_name("A pipeline's `name`", &self.name).map_err(|error| error.at("/name", "not a name"))?;
        check_size("definition", &self.definition)
    }
}

impl Form for PipelineChange {
    fn check(&self) -> Result<()> {
        if let Some(name) = &self.name {
            check_name("A pipeline's `name`", name).map_err(|error| error.at("/name", "not a name"))?;
        }
        check_size("definition", &self.definition)
    }
}

impl Resource for Pipeline {
    const COLLECTION: &'static str = "pipelines";
    const ONE: &'static str = "pipeline";
    const STATEMENTS: Statements =
        Statements { insert: INSERT, list: LIST, get: GET, lock: LOCK, update: UPDATE, delete: DELETE };
    type New = NewPipeline;
    type Change = PipelineChange;
    type Filter = PipelineFilter;

    fn key(&self) -> String {
        self.id.to_string()
    }
}

statements! {
    INSERT = "insert into pipelines (tenant, id, project_id, name, definition, status)
              select $1, $2::uuid, f.\"projectId\", f.name, coalesce(f.definition, '{}'), coalesce(f.status, 'inactive')
              from jsonb_to_record($3::jsonb) as f (\"projectId\" uuid, name text, definition jsonb, status text)
              returning *";
    LIST = "select * from pipelines where tenant = $1 and ($2::text is null or id > $2::uuid)
            and ($3::jsonb ->> 'name' is null or name = $3 ->> 'name')
            and ($3 ->> 'projectId' is null or project_id = ($3 ->> 'projectId')::uuid)
            and ($3 ->> 'status' is null or status = $3 ->> 'status') and weir_reaches(id::text, $5)
            order by id limit $4";
    GET = "select * from pipelines where tenant = $1 and id = $2::uuid";
    LOCK = "select * from pipelines where tenant = $1 and id = $2::uuid for update";
    /// `nextVersion` counts up; no form of a client has it.
    UPDATE = "update pipelines p set name = coalesce(f.name, p.name), definition = coalesce(f.definition, p.definition),
              status = coalesce(f.status, p.status), version = p.version + case when $3 ? 'nextVersion' then 1 else 0 end,
              updated_at = clock_timestamp()
              from jsonb_to_record($3::jsonb) as f (name text, definition jsonb, status text)
              where p.tenant = $1 and p.id = $2::uuid returning p.*";
    DELETE = "delete from pipelines where tenant = $1 and id = $2::uuid";
}
