//! Connectors: how the platform reaches what is outside. Passwords and keys in `config` are kept encrypted and never shown.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use sqlx::FromRow;
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::{Form, Resource, Secret, Statements, Status, check_size, check_text};
use crate::error::Result;
use crate::forms::sent;
use crate::model::check_name;
use crate::platform::{Platform, failed, statements};
use crate::policy::Permit;
use crate::terms::{Endpoint, Name};
use crate::times;

/// A connector.
#[derive(Clone, Debug, FromRow, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Connector {
    /// Its id.
    pub id: Uuid,
    /// The project that it belongs to.
    pub project_id: Option<Uuid>,
    /// Its name for people.
    pub name: String,
    /// What is spoken, such as `mqtt` or `opc-ua`.
    pub protocol: String,
    /// Where, such as `mqtts://plant-2.example:8883`.
    pub endpoint: String,
    /// How. In the place of each secret stands `********`.
    #[schema(value_type = Object)]
    pub config: Value,
    /// The schema of what comes through it.
    pub schema_id: Option<Uuid>,
    /// `active` or `inactive`.
    #[schema(value_type = Status)]
    pub status: String,
    /// The secrets, encrypted.
    #[serde(skip)]
    pub sealed: Option<Vec<u8>>,
    /// The name of the key that encrypted them.
    #[serde(skip)]
    pub sealed_by: Option<String>,
    /// When it was made.
    #[serde(serialize_with = "times::micros")]
    pub created_at: DateTime<Utc>,
    /// When it was last changed.
    #[serde(serialize_with = "times::micros")]
    pub updated_at: DateTime<Utc>,
}

/// A new connector.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NewConnector {
    #[serde(skip_serializing_if = "Option::is_none")]
    project_id: Option<Uuid>,
    #[schema(value_type = Name)]
    name: String,
    #[schema(value_type = Name)]
    protocol: String,
    /// Without credentials: they belong into `config`.
    #[schema(value_type = Endpoint)]
    endpoint: String,
    /// What is called `password`, `secret`, `token`, `apiKey`, `privateKey` and the like is a secret: it is kept encrypted and shown as
    /// `********`. Anything else is one as `{"$secret": "…"}`.
    #[schema(value_type = Option<Object>)]
    #[serde(skip_serializing_if = "Option::is_none")]
    config: Option<Map<String, Value>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    schema_id: Option<Uuid>,
    /// `inactive` where it is not given.
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<Status>,
}

/// A change of a connector; what is left out stays as it is.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ConnectorChange {
    #[serde(default, deserialize_with = "sent", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Uuid>)]
    #[expect(clippy::option_option, reason = "null and nothing are two things in a change")]
    project_id: Option<Option<Uuid>>,
    #[schema(value_type = Option<Name>)]
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    #[schema(value_type = Option<Name>)]
    #[serde(skip_serializing_if = "Option::is_none")]
    protocol: Option<String>,
    #[schema(value_type = Option<Endpoint>)]
    #[serde(skip_serializing_if = "Option::is_none")]
    endpoint: Option<String>,
    /// In place of the whole `config`. A secret that is sent as `********` stays what it is.
    #[schema(value_type = Option<Object>)]
    #[serde(skip_serializing_if = "Option::is_none")]
    config: Option<Map<String, Value>>,
    #[serde(default, deserialize_with = "sent", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Uuid>)]
    #[expect(clippy::option_option, reason = "null and nothing are two things in a change")]
    schema_id: Option<Option<Uuid>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<Status>,
}

impl ConnectorChange {
    /// Another configuration, and nothing else.
    pub fn config(config: Map<String, Value>) -> Self {
        Self { config: Some(config), ..Self::default() }
    }

    /// Another endpoint, and nothing else.
    pub fn endpoint(endpoint: String) -> Self {
        Self { endpoint: Some(endpoint), ..Self::default() }
    }

    /// Another schema or none, and nothing else.
    pub fn schema(schema: Option<Uuid>) -> Self {
        Self { schema_id: Some(schema), ..Self::default() }
    }
}

/// What connectors are filtered by.
#[derive(Debug, Default, Serialize, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase")]
#[into_params(parameter_in = Query)]
pub struct ConnectorFilter {
    /// Those of this name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Those of this project.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub project_id: Option<Uuid>,
    /// Those of this schema.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub schema_id: Option<Uuid>,
    /// Those of this status.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[param(inline)]
    pub status: Option<Status>,
}

impl Form for NewConnector {
    fn check(&self) -> Result<()> {
        check(Some(&self.name), Some(&self.protocol), Some(&self.endpoint))?;
        check_size("config", &self.config)
    }
}

impl Form for ConnectorChange {
    fn check(&self) -> Result<()> {
        check(self.name.as_deref(), self.protocol.as_deref(), self.endpoint.as_deref())?;
        check_size("config", &self.config)
    }
}

fn check(name: Option<&str>, protocol: Option<&str>, endpoint: Option<&str>) -> Result<()> {
    for (field, value) in [("name", name), ("protocol", protocol)] {
        let Some(value) = value else { continue };
        check_name(&format!("A connector's `{field}`"), value).map_err(|error| error.at(format!("/{field}"), "not a name"))?;
    }
    let Some(endpoint) = endpoint else { return Ok(()) };
    check_text("endpoint", endpoint)?;
    let wrong = |sentence: &'static str, what: &str| Err(crate::error::Error::malformed(sentence).at("/endpoint", what));
    if endpoint.is_empty() || endpoint.chars().any(|c| c.is_control() || c.is_whitespace()) {
        return wrong("A connector's `endpoint` is an address, without blanks and control characters.", "not an address");
    }
    // `user:password@host`: it would be shown to everybody who may read the connector.
    let authority =
        endpoint.split_once("://").map_or(endpoint, |(_, rest)| rest).split(['/', '?', '#']).next().unwrap_or_default();
    if authority.rsplit_once('@').is_some_and(|(user, _)| user.contains(':')) {
        return wrong(
            "A connector's `endpoint` has no password; put it into `config`, which keeps it encrypted.",
            "has a password",
        );
    }
    Ok(())
}

impl Resource for Connector {
    const COLLECTION: &'static str = "connectors";
    const ONE: &'static str = "connector";
    const STATEMENTS: Statements =
        Statements { insert: INSERT, list: LIST, get: GET, lock: LOCK, update: UPDATE, delete: DELETE };
    const SECRET: Secret = Secret::InConfig;
    type New = NewConnector;
    type Change = ConnectorChange;
    type Filter = ConnectorFilter;

    fn key(&self) -> String {
        self.id.to_string()
    }

    fn sealed(&self) -> Option<(&str, &[u8])> {
        self.sealed_by.as_deref().zip(self.sealed.as_deref())
    }
}

statements! {
    /// What is sealed comes in base64.
    INSERT = "insert into connectors (tenant, id, project_id, name, protocol, endpoint, config, sealed, sealed_by, schema_id, status)
              select $1, $2::uuid, f.\"projectId\", f.name, f.protocol, f.endpoint, coalesce(f.config, '{}'), decode(f.sealed, 'base64'),
                     f.\"sealedBy\", f.\"schemaId\", coalesce(f.status, 'inactive')
              from jsonb_to_record($3::jsonb) as f (\"projectId\" uuid, name text, protocol text, endpoint text, config jsonb,
                                                    sealed text, \"sealedBy\" text, \"schemaId\" uuid, status text)
              returning *";
    LIST = "select * from connectors where tenant = $1 and ($2::text is null or id > $2::uuid)
            and ($3::jsonb ->> 'name' is null or name = $3 ->> 'name')
            and ($3 ->> 'projectId' is null or project_id = ($3 ->> 'projectId')::uuid)
            and ($3 ->> 'schemaId' is null or schema_id = ($3 ->> 'schemaId')::uuid)
            and ($3 ->> 'status' is null or status = $3 ->> 'status') and weir_reaches(id::text, $5)
            order by id limit $4";
    GET = "select * from connectors where tenant = $1 and id = $2::uuid";
    LOCK = "select * from connectors where tenant = $1 and id = $2::uuid for update";
    /// A new `config` comes with its own secrets, or with none.
    UPDATE = "update connectors c set project_id = case when $3 ? 'projectId' then f.\"projectId\" else c.project_id end,
              name = coalesce(f.name, c.name), protocol = coalesce(f.protocol, c.protocol), endpoint = coalesce(f.endpoint, c.endpoint),
              config = coalesce(f.config, c.config),
              sealed = case when f.config is null then c.sealed else decode(f.sealed, 'base64') end,
              sealed_by = case when f.config is null then c.sealed_by else f.\"sealedBy\" end,
              schema_id = case when $3 ? 'schemaId' then f.\"schemaId\" else c.schema_id end,
              status = coalesce(f.status, c.status), updated_at = clock_timestamp()
              from jsonb_to_record($3::jsonb) as f (\"projectId\" uuid, name text, protocol text, endpoint text, config jsonb,
                                                    sealed text, \"sealedBy\" text, \"schemaId\" uuid, status text)
              where c.tenant = $1 and c.id = $2::uuid returning c.*";
    DELETE = "delete from connectors where tenant = $1 and id = $2::uuid";
    /// A few of those that another key sealed, of any tenant.
    OTHERS = "select id, tenant, sealed, sealed_by from connectors where sealed_by <> $1 order by id limit 100 for update";
    RESEAL = "update connectors set sealed = $2, sealed_by = $3 where id = $1";
}

#[derive(FromRow)]
struct SealedRow {
    id: Uuid,
    tenant: String,
    sealed: Vec<u8>,
    sealed_by: String,
}

impl Platform {
    /// Replaces what another key than `current` sealed by what `again` makes of it; how many, of all tenants.
    pub async fn connectors_reseal(
        &self,
        permit: &Permit,
        current: &str,
        again: impl Fn(&str, &str, &[u8]) -> Result<(String, Vec<u8>)>,
    ) -> Result<usize> {
        let mut resealed = 0;
        loop {
            let mut transaction = self.begin_over_tenants(permit).await?;
            let rows: Vec<SealedRow> = sqlx::query_as(OTHERS).bind(current).fetch_all(&mut *transaction).await.map_err(failed)?;
            if rows.is_empty() {
                return Ok(resealed);
            }
            for row in &rows {
                let (by, sealed) = again(&row.tenant, &row.sealed_by, &row.sealed)?;
                sqlx::query(RESEAL).bind(row.id).bind(sealed).bind(by).execute(&mut *transaction).await.map_err(failed)?;
            }
            transaction.commit().await.map_err(failed)?;
            resealed += rows.len();
        }
    }
}
