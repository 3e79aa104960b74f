//! Kafka topics: which are consumed, how their messages are read, and what becomes of what is refused.
//!
//! Topics have one namespace for all tenants, as in Kafka. What batches must pass follows from them (`platform/catalogue.rs`), so every
//! change is announced.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use sqlx::{FromRow, Postgres, Transaction};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::{Form, Resource, Statements, check_text};
use crate::error::{Error, Result};
use crate::forms::sent;
use crate::model::{Conflict, ErrorStrategy, TopicFormat, WriteMode, check_topic_name};
use crate::platform::schemas::{AVRO, JSON_SCHEMA};
use crate::platform::{act_as, failed, statements};
use crate::policy::Permit;
use crate::terms::{LongText, TopicName};
use crate::times;

/// A Kafka topic.
#[derive(Clone, Debug, FromRow, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Topic {
    /// Its name in Kafka.
    pub name: String,
    /// `json` or `avro`.
    pub format: String,
    /// The schema that its readings must satisfy; where the format is `avro`, the one that they are expected to be written by.
    pub schema_id: Option<Uuid>,
    /// Whether the writer consumes it.
    pub ingest: bool,
    /// `upsert` or `append`.
    pub mode: String,
    /// `keep-last` or `keep-first`: which of two values for one time counts.
    pub conflict: String,
    /// The Kafka topic that what is refused is sent to as well.
    pub dead_letter_topic: Option<String>,
    /// What becomes of readings that cannot be read or that the schema refuses.
    pub error_strategy: String,
    /// For people.
    pub description: String,
    /// When it was made.
    #[serde(serialize_with = "times::micros")]
    pub created_at: DateTime<Utc>,
    /// When it was last changed.
    #[serde(serialize_with = "times::micros")]
    pub updated_at: DateTime<Utc>,
}

/// A topic to be registered.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NewTopic {
    /// Its name in Kafka.
    #[schema(value_type = TopicName)]
    name: String,
    /// `json` where it is not given.
    #[serde(skip_serializing_if = "Option::is_none")]
    format: Option<TopicFormat>,
    /// Of type `json-schema` where the format is `json`, of type `avro` where it is `avro`.
    #[serde(skip_serializing_if = "Option::is_none")]
    schema_id: Option<Uuid>,
    /// True where it is not given.
    #[serde(skip_serializing_if = "Option::is_none")]
    ingest: Option<bool>,
    /// `upsert` where it is not given.
    #[serde(skip_serializing_if = "Option::is_none")]
    mode: Option<WriteMode>,
    /// `keep-last` where it is not given.
    #[serde(skip_serializing_if = "Option::is_none")]
    conflict: Option<Conflict>,
    /// A Kafka topic that nobody consumes through Weir; what is refused is sent there as well, before it counts as handled.
    #[schema(value_type = Option<TopicName>)]
    #[serde(skip_serializing_if = "Option::is_none")]
    dead_letter_topic: Option<String>,
    /// `quarantine` where it is not given.
    #[serde(skip_serializing_if = "Option::is_none")]
    error_strategy: Option<ErrorStrategy>,
    #[schema(value_type = Option<LongText>)]
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<String>,
}

impl NewTopic {
    /// One with what a topic has where nothing is said.
    pub fn named(name: &str, description: &str) -> Self {
        Self {
            name: name.to_owned(),
            format: None,
            schema_id: None,
            ingest: None,
            mode: None,
            conflict: None,
            dead_letter_topic: None,
            error_strategy: None,
            description: Some(description.to_owned()),
        }
    }
}

/// A change of a topic; what is left out stays as it is.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TopicChange {
    #[serde(skip_serializing_if = "Option::is_none")]
    format: Option<TopicFormat>,
    /// Null takes the schema away.
    #[serde(default, deserialize_with = "sent", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Uuid>)]
    #[expect(clippy::option_option, reason = "null and nothing are two things in a change")]
    schema_id: Option<Option<Uuid>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ingest: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    mode: Option<WriteMode>,
    #[serde(skip_serializing_if = "Option::is_none")]
    conflict: Option<Conflict>,
    /// Null ends it.
    #[serde(default, deserialize_with = "sent", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<TopicName>)]
    #[expect(clippy::option_option, reason = "null and nothing are two things in a change")]
    dead_letter_topic: Option<Option<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error_strategy: Option<ErrorStrategy>,
    #[schema(value_type = Option<LongText>)]
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<String>,
}

impl TopicChange {
    /// Another schema, or none.
    pub fn schema(id: Option<Uuid>) -> Self {
        Self { schema_id: Some(id), ..Self::default() }
    }
}

/// What topics are filtered by.
#[derive(Debug, Default, Serialize, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase")]
#[into_params(parameter_in = Query)]
pub struct TopicFilter {
    /// Those of this format.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[param(inline)]
    pub format: Option<TopicFormat>,
    /// Those of this schema.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub schema_id: Option<Uuid>,
    /// Those that the writer consumes, or does not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ingest: Option<bool>,
}

impl Form for NewTopic {
    fn check(&self) -> Result<()> {
        check_topic_name(&self.name)?;
        check(self.dead_letter_topic.as_deref(), self.description.as_deref())
    }
}

impl Form for TopicChange {
    fn check(&self) -> Result<()> {
        check(self.dead_letter_topic.as_ref().and_then(Option::as_deref), self.description.as_deref())
    }
}

fn check(dead_letter_topic: Option<&str>, description: Option<&str>) -> Result<()> {
    if let Some(name) = dead_letter_topic {
        check_topic_name(name).map_err(|error| {
            let sentence = error.sentence().to_owned();
            error.at("/deadLetterTopic", sentence)
        })?;
    }
    check_text("description", description.unwrap_or_default())
}

impl Resource for Topic {
    const COLLECTION: &'static str = "kafka-topics";
    const ONE: &'static str = "topic";
    const STATEMENTS: Statements =
        Statements { insert: INSERT, list: LIST, get: GET, lock: LOCK, update: UPDATE, delete: DELETE };
    const ANNOUNCED: bool = true;
    const ALONE: Option<&'static str> = Some(ALONE);
    type New = NewTopic;
    type Change = TopicChange;
    type Filter = TopicFilter;

    fn key(&self) -> String {
        self.name.clone()
    }

    fn is_key(key: &str) -> bool {
        check_topic_name(key).is_ok()
    }

    async fn fits(&self, transaction: &mut Transaction<'static, Postgres>, permit: &Permit) -> Result<()> {
        let tenant = permit.tenant().as_str();
        let schema: Option<(String, String)> =
            sqlx::query_as(SCHEMA).bind(tenant).bind(&self.name).fetch_optional(&mut **transaction).await.map_err(failed)?;
        if let Some((name, kind)) = schema {
            let expected = if self.format == TopicFormat::Avro.as_str() { AVRO } else { JSON_SCHEMA };
            if kind != expected {
                let format = &self.format;
                let sentence = format!(
                    "A topic of format `{format}` takes a schema of type `{expected}`, and `{name}` is of type `{kind}`."
                );
                return Err(Error::malformed(sentence).at("/schemaId", format!("not of type `{expected}`")));
            }
        }
        // That a name is taken is all that anybody learns of another tenant's.
        act_as(transaction, "*").await?;
        let consumed: bool = sqlx::query_scalar(CONSUMED).bind(&self.name).fetch_one(&mut **transaction).await.map_err(failed)?;
        let shared: bool = sqlx::query_scalar(SHARED).bind(&self.name).fetch_one(&mut **transaction).await.map_err(failed)?;
        act_as(transaction, tenant).await?;
        match (consumed, shared) {
            (true, _) => Err(Error::conflict(
                "Where refused readings go (`deadLetterTopic`) cannot be a topic that is consumed, or another tenant's. Choose another name.",
            )),
            (_, true) => Err(Error::conflict("This `deadLetterTopic` is taken; choose another one.")),
            (false, false) => Ok(()),
        }
    }
}

statements! {
    ALONE = "lock table kafka_topics in share row exclusive mode";
    // `$2` is an id that a topic has no use for: it is named so that it has a type.
    INSERT = "insert into kafka_topics (tenant, name, format, schema_id, ingest, mode, conflict, dead_letter_topic, error_strategy,
                                        description)
              select $1, f.name, coalesce(f.format, 'json'), f.\"schemaId\", coalesce(f.ingest, true), coalesce(f.mode, 'upsert'),
                     coalesce(f.conflict, 'keep-last'), f.\"deadLetterTopic\", coalesce(f.\"errorStrategy\", 'quarantine'),
                     coalesce(f.description, '')
              from jsonb_to_record($3::jsonb) as f (name text, format text, \"schemaId\" uuid, ingest boolean, mode text, conflict text,
                                                    \"deadLetterTopic\" text, \"errorStrategy\" text, description text)
              where $2::text is not null
              returning *";
    LIST = "select * from kafka_topics where tenant = $1 and ($2::text is null or name > $2)
            and ($3::jsonb ->> 'format' is null or format = $3 ->> 'format')
            and ($3 ->> 'schemaId' is null or schema_id = ($3 ->> 'schemaId')::uuid)
            and ($3 ->> 'ingest' is null or ingest = ($3 ->> 'ingest')::boolean) and weir_reaches(name, $5)
            order by name limit $4";
    GET = "select * from kafka_topics where tenant = $1 and name = $2";
    LOCK = "select * from kafka_topics where tenant = $1 and name = $2 for update";
    UPDATE = "update kafka_topics t set format = coalesce(f.format, t.format),
              schema_id = case when $3 ? 'schemaId' then f.\"schemaId\" else t.schema_id end,
              ingest = coalesce(f.ingest, t.ingest), mode = coalesce(f.mode, t.mode), conflict = coalesce(f.conflict, t.conflict),
              dead_letter_topic = case when $3 ? 'deadLetterTopic' then f.\"deadLetterTopic\" else t.dead_letter_topic end,
              error_strategy = coalesce(f.\"errorStrategy\", t.error_strategy),
              description = coalesce(f.description, t.description), updated_at = clock_timestamp()
              from jsonb_to_record($3::jsonb) as f (format text, \"schemaId\" uuid, ingest boolean, mode text, conflict text,
                                                    \"deadLetterTopic\" text, \"errorStrategy\" text, description text)
              where t.tenant = $1 and t.name = $2 returning t.*";
    DELETE = "delete from kafka_topics where tenant = $1 and name = $2";
    SCHEMA = "select s.name, s.type from kafka_topics k join schemas s on s.id = k.schema_id where k.tenant = $1 and k.name = $2";
    /// What is consumed must not be where refused readings go: they would be read and refused without an end. And where one tenant's
    /// readings go is no other tenant's to consume.
    CONSUMED = "select exists (select from kafka_topics k join kafka_topics d on d.name = k.dead_letter_topic
                               where $1 in (k.name, d.name) and (d.ingest or d.tenant <> k.tenant))";
    SHARED = "select exists (select from kafka_topics k join kafka_topics o on o.dead_letter_topic = k.dead_letter_topic
                             where k.name = $1 and o.tenant <> k.tenant)";
}
