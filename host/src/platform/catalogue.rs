//! The catalogue: topics and chains, and the rules that follow from them and from schemas for a batch.
//!
//! Rules are kept in memory until the database announces a change (`listen`); what is kept is bounded and never outlives one.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sqlx::types::Json;
use sqlx::{FromRow, Postgres, Transaction};
use utoipa::IntoParams;
use uuid::Uuid;

use super::chains::steps_of;
use super::schemas::{AVRO, JSON_SCHEMA};
use super::{Platform, act_as, audit, exactly_one, failed, stale, statements};
use crate::error::{Error, Kind, Result};
use crate::forms::sent;
use crate::model::{Conflict, ErrorStrategy, Tenant, TopicFormat, WriteMode};
use crate::paging::{Listed, PageOf};
use crate::policy::Permit;
use crate::rules::{ChainOf, Rules, SchemaVersion, Step};

/// A Kafka topic.
#[derive(Clone, Debug, FromRow)]
pub struct TopicRow {
    /// Its name in Kafka.
    pub name: String,
    /// Whose it is.
    pub tenant: String,
    /// `json` or `avro`.
    pub format: String,
    /// The schema that its readings must satisfy.
    pub schema_id: Option<Uuid>,
    /// Whether the writer consumes it.
    pub ingest: bool,
    /// `upsert` or `append`.
    pub mode: String,
    /// `keep-last` or `keep-first`.
    pub conflict: String,
    /// The Kafka topic that what is refused is sent to as well.
    pub dead_letter_topic: Option<String>,
    /// What becomes of readings that cannot be read or that the schema refuses.
    pub error_strategy: String,
    /// For people.
    pub description: String,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When it was last changed.
    pub updated_at: DateTime<Utc>,
}

/// The fields of a topic that a request gives; `None` leaves a field as it is, or takes its default.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TopicChange {
    /// How its messages are written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub format: Option<TopicFormat>,
    /// The schema; `Some(None)` takes it away.
    #[serde(default, deserialize_with = "sent", skip_serializing_if = "Option::is_none")]
    pub schema_id: Option<Option<Uuid>>,
    /// Whether the writer consumes it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ingest: Option<bool>,
    /// How rows meet stored rows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mode: Option<WriteMode>,
    /// Which of two values counts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub conflict: Option<Conflict>,
    /// Where what is refused is sent to as well; `Some(None)` ends that.
    #[serde(default, deserialize_with = "sent", skip_serializing_if = "Option::is_none")]
    pub dead_letter_topic: Option<Option<String>>,
    /// What becomes of refused readings.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error_strategy: Option<ErrorStrategy>,
    /// For people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
}

/// A topic that the writer consumes, and whose it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IngestTopic {
    /// The tenant.
    pub tenant: Tenant,
    /// The topic's name in Kafka.
    pub name: String,
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

statements! {
    TOPIC_LOCK = "lock table kafka_topics in share row exclusive mode";
    TOPIC_INSERT = "insert into kafka_topics (name, tenant, schema_id, ingest, mode, error_strategy, description, format, conflict,
                                              dead_letter_topic)
                    values ($1, $2, $3, coalesce($4, true), coalesce($5, 'upsert'), coalesce($6, 'quarantine'), coalesce($7, ''),
                            coalesce($8, 'json'), coalesce($9, 'keep-last'), $10)
                    returning *";
    TOPIC_LIST = "select * from kafka_topics where tenant = $1 and ($2::text is null or name > $2)
                  and ($4::jsonb ->> 'format' is null or format = $4 ->> 'format')
                  and ($4 ->> 'schemaId' is null or schema_id = ($4 ->> 'schemaId')::uuid)
                  and ($4 ->> 'ingest' is null or ingest = ($4 ->> 'ingest')::boolean) order by name limit $3";
    TOPIC_GET = "select * from kafka_topics where tenant = $1 and name = $2";
    TOPIC_UPDATE = "update kafka_topics set schema_id = case when $3 then $4 else schema_id end, ingest = coalesce($5, ingest),
                    mode = coalesce($6, mode), error_strategy = coalesce($7, error_strategy),
                    description = coalesce($8, description), format = coalesce($9, format), conflict = coalesce($10, conflict),
                    dead_letter_topic = case when $11 then $12 else dead_letter_topic end, updated_at = now()
                    where tenant = $1 and name = $2 returning *";
    TOPIC_SCHEMA = "select s.id, s.name, s.version, s.type, s.definition from kafka_topics k join schemas s on s.id = k.schema_id
                    where k.tenant = $1 and k.name = $2";
    /// What is consumed must not be where refused readings go: they would be read and refused without an end. And where one tenant's
    /// readings go is no other tenant's to consume.
    TOPIC_CONSUMED = "select exists (select from kafka_topics k join kafka_topics d on d.name = k.dead_letter_topic
                                     where $1 in (k.name, d.name) and (d.ingest or d.tenant <> k.tenant))";
    TOPIC_SHARED = "select exists (select from kafka_topics k join kafka_topics o on o.dead_letter_topic = k.dead_letter_topic
                                   where k.name = $1 and o.tenant <> k.tenant)";
    TOPIC_DELETE = "delete from kafka_topics where tenant = $1 and name = $2";
    INGEST_TOPICS = "select k.name, k.tenant from kafka_topics k join tenants t on t.slug = k.tenant
                     where k.ingest and t.status = 'active' order by k.name";
}

/// The schema of a topic.
#[derive(FromRow)]
struct TopicSchema {
    id: Uuid,
    name: String,
    version: i32,
    #[sqlx(rename = "type")]
    kind: String,
    definition: String,
}

impl Platform {
    /// What readings of `topic` must pass; `None` where the tenant has no such topic.
    pub async fn rules_for(&self, permit: &Permit, topic: Option<&str>) -> Result<Option<Arc<Rules>>> {
        let Some(topic) = topic else { return Ok(Some(Arc::new(Rules::without_topic()))) };
        let key = (permit.tenant().clone(), topic.to_owned());
        let generation = match self.rules.look(&key) {
            Ok(rules) => return Ok(Some(rules)),
            Err(generation) => generation,
        };
        let Some(rules) = self.read_rules(permit, topic).await?.map(Arc::new) else { return Ok(None) };
        self.rules.keep(generation, key, &rules);
        Ok(Some(rules))
    }

    async fn read_rules(&self, permit: &Permit, topic: &str) -> Result<Option<Rules>> {
        let tenant = permit.tenant().as_str();
        let mut transaction = self.begin(permit).await?;
        let row: Option<TopicRow> =
            sqlx::query_as(TOPIC_GET).bind(tenant).bind(topic).fetch_optional(&mut *transaction).await.map_err(failed)?;
        let Some(row) = row else { return Ok(None) };
        let schema: Option<TopicSchema> =
            sqlx::query_as(TOPIC_SCHEMA).bind(tenant).bind(topic).fetch_optional(&mut *transaction).await.map_err(failed)?;
        let chain: Arc<[Step]> = steps_of(&mut transaction, permit, &ChainOf::Topic(topic.to_owned())).await?.into();
        let label = schema.as_ref().map(|schema| format!("{}@{}", schema.name, schema.version));
        let avro_schema = schema.as_ref().filter(|schema| schema.kind == AVRO).and(label.as_deref()).map(Into::into);
        // An Avro schema says how messages are written; only a JSON Schema judges readings.
        let schema = schema.filter(|schema| schema.kind == JSON_SCHEMA).map(|schema| SchemaVersion {
            id: schema.id,
            label: label.clone().unwrap_or_default().into(),
            definition: schema.definition.into(),
        });
        let names = label.into_iter();
        let revision: Vec<String> =
            names.chain(chain.iter().map(|step| format!("{}@{}:{}", step.name, step.version, step.digest))).collect();
        Ok(Some(Rules {
            topic: Some(row.name.as_str().into()),
            format: TopicFormat::parse(&row.format).ok_or_else(|| unreadable("kafka_topics.format", &row.format))?,
            mode: WriteMode::parse(&row.mode).ok_or_else(|| unreadable("kafka_topics.mode", &row.mode))?,
            conflict: Conflict::parse(&row.conflict).ok_or_else(|| unreadable("kafka_topics.conflict", &row.conflict))?,
            dead_letter: row.dead_letter_topic.map(Into::into),
            strategy: strategy("kafka_topics.error_strategy", &row.error_strategy)?,
            schema,
            avro_schema,
            chain,
            revision: revision.join(" ").into(),
        }))
    }

    /// Every topic that is to be consumed, of all tenants. Without a permit: the writer asks the policy for each batch.
    pub async fn ingest_topics(&self) -> Result<Vec<IngestTopic>> {
        let mut transaction = self.begin_as_weir().await?;
        let rows: Vec<(String, String)> = sqlx::query_as(INGEST_TOPICS).fetch_all(&mut *transaction).await.map_err(failed)?;
        rows.into_iter().map(|(name, tenant)| Ok(IngestTopic { tenant: Tenant::parse(&tenant)?, name })).collect()
    }

    /// Registers a topic.
    pub async fn topic_create(&self, permit: &Permit, name: &str, change: &TopicChange) -> Result<TopicRow> {
        let mut transaction = self.begin(permit).await?;
        sqlx::query(TOPIC_LOCK).execute(&mut *transaction).await.map_err(failed)?;
        let row: TopicRow = sqlx::query_as(TOPIC_INSERT)
            .bind(name)
            .bind(permit.tenant().as_str())
            .bind(change.schema_id.flatten())
            .bind(change.ingest)
            .bind(change.mode.map(WriteMode::as_str))
            .bind(change.error_strategy.map(ErrorStrategy::as_str))
            .bind(&change.description)
            .bind(change.format.map(TopicFormat::as_str))
            .bind(change.conflict.map(Conflict::as_str))
            .bind(change.dead_letter_topic.as_ref().and_then(Option::as_ref))
            .fetch_one(&mut *transaction)
            .await
            .map_err(failed)?;
        topic_check(&mut transaction, &row).await?;
        audit::record_made(&mut transaction, permit, &row.name, topic_details(&row)).await?;
        self.commit_announced(transaction).await?;
        Ok(row)
    }

    /// One page of the tenant's topics.
    pub async fn topic_list(&self, permit: &Permit, filter: &TopicFilter, page: &PageOf) -> Result<Listed<TopicRow>> {
        let mut transaction = self.begin(permit).await?;
        let rows = sqlx::query_as(TOPIC_LIST)
            .bind(permit.tenant().as_str())
            .bind(&page.after)
            .bind(i64::from(page.limit) + 1)
            .bind(Json(filter))
            .fetch_all(&mut *transaction)
            .await
            .map_err(failed)?;
        Ok(Listed::cut(rows, page.limit, |row: &TopicRow| row.name.clone()))
    }

    /// One topic.
    pub async fn topic_get(&self, permit: &Permit, name: &str) -> Result<Option<TopicRow>> {
        let mut transaction = self.begin(permit).await?;
        sqlx::query_as(TOPIC_GET)
            .bind(permit.tenant().as_str())
            .bind(name)
            .fetch_optional(&mut *transaction)
            .await
            .map_err(failed)
    }

    /// Changes the fields that are given, where the topic is as the client thinks it is.
    pub async fn topic_update(
        &self,
        permit: &Permit,
        name: &str,
        change: &TopicChange,
        unchanged: &(dyn Fn(&TopicRow) -> bool + Send + Sync),
    ) -> Result<Option<TopicRow>> {
        let mut transaction = self.begin(permit).await?;
        let Some(before) = topic_locked(&mut transaction, permit, name, unchanged).await? else { return Ok(None) };
        let row: TopicRow = sqlx::query_as(TOPIC_UPDATE)
            .bind(permit.tenant().as_str())
            .bind(name)
            .bind(change.schema_id.is_some())
            .bind(change.schema_id.flatten())
            .bind(change.ingest)
            .bind(change.mode.map(WriteMode::as_str))
            .bind(change.error_strategy.map(ErrorStrategy::as_str))
            .bind(&change.description)
            .bind(change.format.map(TopicFormat::as_str))
            .bind(change.conflict.map(Conflict::as_str))
            .bind(change.dead_letter_topic.is_some())
            .bind(change.dead_letter_topic.as_ref().and_then(Option::as_ref))
            .fetch_one(&mut *transaction)
            .await
            .map_err(failed)?;
        topic_check(&mut transaction, &row).await?;
        let details = json!({ "before": topic_details(&before), "after": topic_details(&row) });
        audit::record(&mut transaction, permit, details).await?;
        self.commit_announced(transaction).await?;
        Ok(Some(row))
    }

    /// Takes a topic out of the catalogue, with its chain; what it stored stays. False where there is none.
    pub async fn topic_delete(
        &self,
        permit: &Permit,
        name: &str,
        unchanged: &(dyn Fn(&TopicRow) -> bool + Send + Sync),
    ) -> Result<bool> {
        let mut transaction = self.begin(permit).await?;
        let Some(before) = topic_locked(&mut transaction, permit, name, unchanged).await? else { return Ok(false) };
        let done = sqlx::query(TOPIC_DELETE)
            .bind(permit.tenant().as_str())
            .bind(name)
            .execute(&mut *transaction)
            .await
            .map_err(failed)?;
        exactly_one(&done, "delete a topic")?;
        audit::record(&mut transaction, permit, json!({ "before": topic_details(&before) })).await?;
        self.commit_announced(transaction).await?;
        Ok(true)
    }
}

/// A topic, where it is as the client thinks it is. No topic changes before the transaction ends.
async fn topic_locked(
    transaction: &mut Transaction<'static, Postgres>,
    permit: &Permit,
    name: &str,
    unchanged: &(dyn Fn(&TopicRow) -> bool + Send + Sync),
) -> Result<Option<TopicRow>> {
    sqlx::query(TOPIC_LOCK).execute(&mut **transaction).await.map_err(failed)?;
    let row: Option<TopicRow> = sqlx::query_as(TOPIC_GET)
        .bind(permit.tenant().as_str())
        .bind(name)
        .fetch_optional(&mut **transaction)
        .await
        .map_err(failed)?;
    match row {
        Some(row) if !unchanged(&row) => Err(stale("topic")),
        row => Ok(row),
    }
}

/// What no constraint of the table can say about a topic as it has become; called before the transaction commits, under the lock.
async fn topic_check(transaction: &mut Transaction<'static, Postgres>, row: &TopicRow) -> Result<()> {
    let schema: Option<TopicSchema> = sqlx::query_as(TOPIC_SCHEMA)
        .bind(&row.tenant)
        .bind(&row.name)
        .fetch_optional(&mut **transaction)
        .await
        .map_err(failed)?;
    if let Some(schema) = schema {
        let expected = if row.format == TopicFormat::Avro.as_str() { AVRO } else { JSON_SCHEMA };
        if schema.kind != expected {
            let sentence = format!(
                "A topic of format `{}` takes a schema of type `{expected}`, and `{}` is of type `{}`.",
                row.format, schema.name, schema.kind
            );
            return Err(Error::malformed(sentence).at("/schemaId", format!("not of type `{expected}`")));
        }
    }
    // Topics have one namespace for all tenants; that a name is taken is all that anybody learns of another's.
    act_as(transaction, "*").await?;
    let consumed: bool =
        sqlx::query_scalar(TOPIC_CONSUMED).bind(&row.name).fetch_one(&mut **transaction).await.map_err(failed)?;
    let shared: bool = sqlx::query_scalar(TOPIC_SHARED).bind(&row.name).fetch_one(&mut **transaction).await.map_err(failed)?;
    act_as(transaction, &row.tenant).await?;
    match (consumed, shared) {
        (true, _) => Err(Error::conflict(
            "Where refused readings go (`deadLetterTopic`) cannot be a topic that is consumed, or another tenant's. Choose another name.",
        )),
        (_, true) => Err(Error::conflict("This `deadLetterTopic` is taken; choose another one.")),
        (false, false) => Ok(()),
    }
}

fn topic_details(row: &TopicRow) -> Value {
    json!({
        "name": row.name, "format": row.format, "schemaId": row.schema_id, "ingest": row.ingest, "mode": row.mode,
        "conflict": row.conflict, "errorStrategy": row.error_strategy, "deadLetterTopic": row.dead_letter_topic,
        "description": row.description,
    })
}

pub(super) fn strategy(column: &'static str, word: &str) -> Result<ErrorStrategy> {
    ErrorStrategy::parse(word).ok_or_else(|| unreadable(column, word))
}

/// A value that the table's own check should have refused.
pub(super) fn unreadable(column: &'static str, value: &str) -> Error {
    Error::new(Kind::Internal, "Weir failed to handle this request; the request id finds it in the log.")
        .caused_by(format!("column {column} holds `{value}`"))
}
