//! Projects: what belongs together for people.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use sqlx::FromRow;
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::{Form, Resource, Statements, check_size, check_text};
use crate::error::Result;
use crate::forms::sent;
use crate::model::check_name;
use crate::platform::statements;
use crate::terms::{LongText, Name};
use crate::times;

/// A project.
#[derive(Clone, Debug, FromRow, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Project {
    /// Its id.
    pub id: Uuid,
    /// Its name for people.
    pub name: String,
    /// For people.
    pub description: String,
    /// The user whose it is.
    pub owner_id: Option<Uuid>,
    /// Whatever else is to be known about it.
    #[schema(value_type = Object)]
    pub metadata: Value,
    /// When it was made.
    #[serde(serialize_with = "times::micros")]
    pub created_at: DateTime<Utc>,
    /// When it was last changed.
    #[serde(serialize_with = "times::micros")]
    pub updated_at: DateTime<Utc>,
}

/// A new project.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NewProject {
    #[schema(value_type = Name)]
    name: String,
    #[schema(value_type = Option<LongText>)]
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<String>,
    /// A user of the tenant.
    #[serde(skip_serializing_if = "Option::is_none")]
    owner_id: Option<Uuid>,
    #[schema(value_type = Option<Object>)]
    #[serde(skip_serializing_if = "Option::is_none")]
    metadata: Option<Map<String, Value>>,
}

/// A change of a project; what is left out stays as it is.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ProjectChange {
    #[schema(value_type = Option<Name>)]
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    #[schema(value_type = Option<LongText>)]
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<String>,
    /// Null for nobody.
    #[serde(default, deserialize_with = "sent", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Uuid>)]
    #[expect(clippy::option_option, reason = "null and nothing are two things in a change")]
    owner_id: Option<Option<Uuid>>,
    #[schema(value_type = Option<Object>)]
    #[serde(skip_serializing_if = "Option::is_none")]
    metadata: Option<Map<String, Value>>,
}

/// What projects are filtered by.
#[derive(Debug, Default, Serialize, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase")]
#[into_params(parameter_in = Query)]
pub struct ProjectFilter {
    /// Those of this name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Those of this user.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub owner_id: Option<Uuid>,
}

impl Form for NewProject {
    fn check(&self) -> Result<()> {
        check_name("A project's `name`", &self.name).map_err(|error| error.at("/name", "not a name"))?;
        check_text("description", self.description.as_deref().unwrap_or_default())?;
        check_size("metadata", &self.metadata)
    }
}

impl Form for ProjectChange {
    fn check(&self) -> Result<()> {
        if let Some(name) = &self.name {
            check_name("A project's `name`", name).map_err(|error| error.at("/name", "not a name"))?;
        }
        check_text("description", self.description.as_deref().unwrap_or_default())?;
        check_size("metadata", &self.metadata)
    }
}

impl Resource for Project {
    const COLLECTION: &'static str = "projects";
    const ONE: &'static str = "project";
    const STATEMENTS: Statements =
        Statements { insert: INSERT, list: LIST, get: GET, lock: LOCK, update: UPDATE, delete: DELETE };
    type New = NewProject;
    type Change = ProjectChange;
    type Filter = ProjectFilter;

    fn key(&self) -> String {
        self.id.to_string()
    }
}

statements! {
    INSERT = "insert into projects (tenant, id, name, description, owner_id, metadata)
              select $1, $2::uuid, f.name, coalesce(f.description, ''), f.\"ownerId\", coalesce(f.metadata, '{}')
              from jsonb_to_record($3::jsonb) as f (name text, description text, \"ownerId\" uuid, metadata jsonb)
              returning *";
    LIST = "select * from projects where tenant = $1 and ($2::text is null or id > $2::uuid)
            and ($3::jsonb ->> 'name' is null or name = $3 ->> 'name')
            and ($3 ->> 'ownerId' is null or owner_id = ($3 ->> 'ownerId')::uuid) and weir_reaches(id::text, $5)
            order by id limit $4";
    GET = "select * from projects where tenant = $1 and id = $2::uuid";
    LOCK = "select * from projects where tenant = $1 and id = $2::uuid for update";
    UPDATE = "update projects p set name = coalesce(f.name, p.name), description = coalesce(f.description, p.description),
              owner_id = case when $3 ? 'ownerId' then f.\"ownerId\" else p.owner_id end,
              metadata = coalesce(f.metadata, p.metadata), updated_at = clock_timestamp()
              from jsonb_to_record($3::jsonb) as f (name text, description text, \"ownerId\" uuid, metadata jsonb)
              where p.tenant = $1 and p.id = $2::uuid returning p.*";
    DELETE = "delete from projects where tenant = $1 and id = $2::uuid";
}
