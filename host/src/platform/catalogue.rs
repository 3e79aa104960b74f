//! The catalogue: topics, schemas and chains, and the rules that follow from them for a batch.
//!
//! Rules are kept in memory until the database announces a change (`listen`); what is kept is bounded and never outlives one.

use std::collections::HashMap;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use parking_lot::Mutex;
use serde_json::{Value, json};
use sqlx::FromRow;
use uuid::Uuid;

use super::{Platform, audit, failed, statements};
use crate::error::{Error, Kind, Result};
use crate::limits;
use crate::model::{ErrorStrategy, Tenant, WriteMode};
use crate::paging::{Listed, PageOf};
use crate::policy::Permit;
use crate::rules::{Digest, Rules, SchemaVersion, Step};

/// A version of a schema.
#[derive(Clone, Debug, FromRow)]
pub struct SchemaRow {
    /// Its id.
    pub id: Uuid,
    /// Its name; versions share it.
    pub name: String,
    /// Its number, from 1.
    pub version: i32,
    /// `json-schema`.
    #[sqlx(rename = "type")]
    pub kind: String,
    /// The schema itself, as JSON text.
    pub definition: String,
    /// `none`.
    pub compatibility: String,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When it was last changed.
    pub updated_at: DateTime<Utc>,
}

/// A Kafka topic.
#[derive(Clone, Debug, FromRow)]
pub struct TopicRow {
    /// Its name in Kafka.
    pub name: String,
    /// `json`.
    pub format: String,
    /// The schema that its readings must satisfy.
    pub schema_id: Option<Uuid>,
    /// Whether the writer consumes it.
    pub ingest: bool,
    /// `upsert` or `append`.
    pub mode: String,
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
#[derive(Clone, Debug, Default)]
pub struct TopicChange {
    /// The schema; `Some(None)` takes it away.
    pub schema_id: Option<Option<Uuid>>,
    /// Whether the writer consumes it.
    pub ingest: Option<bool>,
    /// How rows meet stored rows.
    pub mode: Option<WriteMode>,
    /// What becomes of refused readings.
    pub error_strategy: Option<ErrorStrategy>,
    /// For people.
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

statements! {
    SCHEMA_INSERT = "insert into schemas (id, tenant, name, version, type, definition)
                     select $1, $2, $3, coalesce(max(version), 0) + 1, 'json-schema', $4 from schemas where tenant = $2 and name = $3
                     returning *";
    SCHEMA_LIST = "select * from schemas where tenant = $1 and ($2::uuid is null or id > $2) order by id limit $3";
    SCHEMA_GET = "select * from schemas where tenant = $1 and id = $2";
    SCHEMA_VERSIONS = "select * from schemas where tenant = $1 and name = $2 order by version desc";
    SCHEMA_USERS = "select name from kafka_topics where tenant = $1 and schema_id = $2 order by name";
    SCHEMA_DELETE = "delete from schemas where tenant = $1 and id = $2";
    TOPIC_INSERT = "insert into kafka_topics (name, tenant, schema_id, ingest, mode, error_strategy, description)
                    values ($1, $2, $3, coalesce($4, true), coalesce($5, 'upsert'), coalesce($6, 'quarantine'), coalesce($7, ''))
                    returning *";
    TOPIC_LIST = "select * from kafka_topics where tenant = $1 and ($2::text is null or name > $2) order by name limit $3";
    TOPIC_GET = "select * from kafka_topics where tenant = $1 and name = $2";
    TOPIC_UPDATE = "update kafka_topics set schema_id = case when $3 then $4 else schema_id end, ingest = coalesce($5, ingest),
                    mode = coalesce($6, mode), error_strategy = coalesce($7, error_strategy),
                    description = coalesce($8, description), updated_at = now()
                    where tenant = $1 and name = $2 returning *";
    TOPIC_DELETE = "delete from kafka_topics where tenant = $1 and name = $2";
    INGEST_TOPICS = "select k.name, k.tenant from kafka_topics k join tenants t on t.slug = k.tenant
                     where k.ingest and t.status = 'active' order by k.name";
    CHAIN = "select validator_id from chains where tenant = $1 and topic = $2 order by position";
    CHAIN_CLEAR = "delete from chains where tenant = $1 and topic = $2";
    CHAIN_INSERT = "insert into chains (tenant, topic, position, validator_id)
                    select $1, $2, ordinality, validator from unnest($3::uuid[]) with ordinality as t (validator, ordinality)";
    STEPS = "select v.id, v.name, v.config, v.error_strategy, w.version, w.digest
             from chains c join validators v on v.id = c.validator_id
             join validator_versions w on w.validator_id = v.id and w.version = v.active_version
             where c.tenant = $1 and c.topic = $2 and v.status = 'active' order by c.position";
}

#[derive(FromRow)]
struct StepRow {
    id: Uuid,
    name: String,
    config: Value,
    error_strategy: String,
    version: i32,
    digest: Vec<u8>,
}

/// The rules that were read, by tenant and topic, and how often they have been dropped.
#[derive(Debug, Default)]
pub(super) struct RulesCache(Mutex<(u64, KnownRules)>);

type KnownRules = HashMap<(Tenant, String), Arc<Rules>>;

impl RulesCache {
    pub(super) fn clear(&self) {
        let mut kept = self.0.lock();
        kept.0 += 1;
        kept.1.clear();
    }

    /// Keeps rules that were read at `generation`, unless a change was announced since: they may be older than it.
    fn keep(&self, generation: u64, key: (Tenant, String), rules: &Arc<Rules>) {
        let mut kept = self.0.lock();
        if kept.0 == generation {
            if kept.1.len() >= limits::RULES_CACHED {
                kept.1.clear();
            }
            kept.1.insert(key, Arc::clone(rules));
        }
    }
}

impl Platform {
    /// What readings of `topic` must pass; `None` where the tenant has no such topic.
    pub async fn rules_for(&self, permit: &Permit, topic: Option<&str>) -> Result<Option<Arc<Rules>>> {
        let Some(topic) = topic else { return Ok(Some(Arc::new(Rules::without_topic()))) };
        let key = (permit.tenant().clone(), topic.to_owned());
        let generation = {
            let kept = self.rules.0.lock();
            if let Some(rules) = kept.1.get(&key) {
                return Ok(Some(Arc::clone(rules)));
            }
            kept.0
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
        let schema: Option<SchemaRow> = match row.schema_id {
            Some(id) => {
                sqlx::query_as(SCHEMA_GET).bind(tenant).bind(id).fetch_optional(&mut *transaction).await.map_err(failed)?
            }
            None => None,
        };
        let steps: Vec<StepRow> =
            sqlx::query_as(STEPS).bind(tenant).bind(topic).fetch_all(&mut *transaction).await.map_err(failed)?;
        let schema = schema.map(|schema| SchemaVersion {
            id: schema.id,
            label: format!("{}@{}", schema.name, schema.version).into(),
            definition: schema.definition.into(),
        });
        let chain = steps.into_iter().map(step).collect::<Result<Arc<[Step]>>>()?;
        let names = schema.iter().map(|schema| schema.label.to_string());
        let revision: Vec<String> =
            names.chain(chain.iter().map(|step| format!("{}@{}:{}", step.name, step.version, step.digest))).collect();
        Ok(Some(Rules {
            topic: Some(row.name.as_str().into()),
            format: crate::model::TopicFormat::Json,
            conflict: crate::model::Conflict::KeepLast,
            dead_letter: None,
            mode: WriteMode::parse(&row.mode).ok_or_else(|| unreadable("kafka_topics.mode", &row.mode))?,
            strategy: strategy("kafka_topics.error_strategy", &row.error_strategy)?,
            schema,
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
        let row: TopicRow = sqlx::query_as(TOPIC_INSERT)
            .bind(name)
            .bind(permit.tenant().as_str())
            .bind(change.schema_id.flatten())
            .bind(change.ingest)
            .bind(change.mode.map(WriteMode::as_str))
            .bind(change.error_strategy.map(ErrorStrategy::as_str))
            .bind(&change.description)
            .fetch_one(&mut *transaction)
            .await
            .map_err(failed)?;
        audit::record(&mut transaction, permit, json!({ "after": topic_details(&row) })).await?;
        transaction.commit().await.map_err(failed)?;
        Ok(row)
    }

    /// One page of the tenant's topics.
    pub async fn topic_list(&self, permit: &Permit, page: &PageOf) -> Result<Listed<TopicRow>> {
        let mut transaction = self.begin(permit).await?;
        let rows = sqlx::query_as(TOPIC_LIST)
            .bind(permit.tenant().as_str())
            .bind(&page.after)
            .bind(i64::from(page.limit) + 1)
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

    /// Changes the fields that are given.
    pub async fn topic_update(&self, permit: &Permit, name: &str, change: &TopicChange) -> Result<Option<TopicRow>> {
        let mut transaction = self.begin(permit).await?;
        let row: Option<TopicRow> = sqlx::query_as(TOPIC_UPDATE)
            .bind(permit.tenant().as_str())
            .bind(name)
            .bind(change.schema_id.is_some())
            .bind(change.schema_id.flatten())
            .bind(change.ingest)
            .bind(change.mode.map(WriteMode::as_str))
            .bind(change.error_strategy.map(ErrorStrategy::as_str))
            .bind(&change.description)
            .fetch_optional(&mut *transaction)
            .await
            .map_err(failed)?;
        if let Some(row) = &row {
            audit::record(&mut transaction, permit, json!({ "after": topic_details(row) })).await?;
        }
        transaction.commit().await.map_err(failed)?;
        Ok(row)
    }

    /// Takes a topic out of the catalogue, with its chain; what it stored stays. False where there is none.
    pub async fn topic_delete(&self, permit: &Permit, name: &str) -> Result<bool> {
        let mut transaction = self.begin(permit).await?;
        let done = sqlx::query(TOPIC_DELETE)
            .bind(permit.tenant().as_str())
            .bind(name)
            .execute(&mut *transaction)
            .await
            .map_err(failed)?;
        if done.rows_affected() == 0 {
            return Ok(false);
        }
        audit::record(&mut transaction, permit, json!({ "deleted": name })).await?;
        transaction.commit().await.map_err(failed)?;
        Ok(true)
    }

    /// The validators of a topic, in their order.
    pub async fn chain_get(&self, permit: &Permit, topic: &str) -> Result<Vec<Uuid>> {
        let mut transaction = self.begin(permit).await?;
        sqlx::query_scalar(CHAIN).bind(permit.tenant().as_str()).bind(topic).fetch_all(&mut *transaction).await.map_err(failed)
    }

    /// Gives a topic these validators, in this order.
    pub async fn chain_set(&self, permit: &Permit, topic: &str, validators: &[Uuid]) -> Result<()> {
        let tenant = permit.tenant().as_str();
        let mut transaction = self.begin(permit).await?;
        sqlx::query(CHAIN_CLEAR).bind(tenant).bind(topic).execute(&mut *transaction).await.map_err(failed)?;
        sqlx::query(CHAIN_INSERT).bind(tenant).bind(topic).bind(validators).execute(&mut *transaction).await.map_err(failed)?;
        audit::record(&mut transaction, permit, json!({ "after": validators })).await?;
        transaction.commit().await.map_err(failed)
    }

    /// Registers the next version of a schema.
    pub async fn schema_create(&self, permit: &Permit, name: &str, definition: &str) -> Result<SchemaRow> {
        let mut transaction = self.begin(permit).await?;
        let row: SchemaRow = sqlx::query_as(SCHEMA_INSERT)
            .bind(Uuid::now_v7())
            .bind(permit.tenant().as_str())
            .bind(name)
            .bind(definition)
            .fetch_one(&mut *transaction)
            .await
            .map_err(failed)?;
        audit::record(&mut transaction, permit, json!({ "after": { "id": row.id, "name": name, "version": row.version } }))
            .await?;
        transaction.commit().await.map_err(failed)?;
        Ok(row)
    }

    /// One page of the tenant's schemas.
    pub async fn schema_list(&self, permit: &Permit, page: &PageOf) -> Result<Listed<SchemaRow>> {
        let after: Option<Uuid> = page.after.as_deref().and_then(|after| after.parse().ok());
        let mut transaction = self.begin(permit).await?;
        let rows = sqlx::query_as(SCHEMA_LIST)
            .bind(permit.tenant().as_str())
            .bind(after)
            .bind(i64::from(page.limit) + 1)
            .fetch_all(&mut *transaction)
            .await
            .map_err(failed)?;
        Ok(Listed::cut(rows, page.limit, |row: &SchemaRow| row.id.to_string()))
    }

    /// One schema.
    pub async fn schema_get(&self, permit: &Permit, id: Uuid) -> Result<Option<SchemaRow>> {
        let mut transaction = self.begin(permit).await?;
        sqlx::query_as(SCHEMA_GET).bind(permit.tenant().as_str()).bind(id).fetch_optional(&mut *transaction).await.map_err(failed)
    }

    /// All versions of a schema, newest first.
    pub async fn schema_versions(&self, permit: &Permit, name: &str) -> Result<Vec<SchemaRow>> {
        let mut transaction = self.begin(permit).await?;
        sqlx::query_as(SCHEMA_VERSIONS)
            .bind(permit.tenant().as_str())
            .bind(name)
            .fetch_all(&mut *transaction)
            .await
            .map_err(failed)
    }

    /// Deletes a schema; refused while topics use it, with their names. False where there is none.
    pub async fn schema_delete(&self, permit: &Permit, id: Uuid) -> Result<bool> {
        let tenant = permit.tenant().as_str();
        let mut transaction = self.begin(permit).await?;
        let users: Vec<String> =
            sqlx::query_scalar(SCHEMA_USERS).bind(tenant).bind(id).fetch_all(&mut *transaction).await.map_err(failed)?;
        if !users.is_empty() {
            return Err(Error::conflict(format!(
                "This schema is in use by the topics: {}. Give them another first.",
                users.join(", ")
            )));
        }
        let done = sqlx::query(SCHEMA_DELETE).bind(tenant).bind(id).execute(&mut *transaction).await.map_err(failed)?;
        if done.rows_affected() == 0 {
            return Ok(false);
        }
        audit::record(&mut transaction, permit, json!({ "deleted": id })).await?;
        transaction.commit().await.map_err(failed)?;
        Ok(true)
    }
}

fn topic_details(row: &TopicRow) -> Value {
    json!({
        "name": row.name, "schemaId": row.schema_id, "ingest": row.ingest, "mode": row.mode,
        "errorStrategy": row.error_strategy, "description": row.description,
    })
}

fn step(row: StepRow) -> Result<Step> {
    Ok(Step {
        validator: row.id,
        name: row.name.into(),
        version: row.version,
        digest: Digest::from_slice(&row.digest).ok_or_else(|| unreadable("validator_versions.digest", "its length"))?,
        config: row.config.to_string().into(),
        strategy: strategy("validators.error_strategy", &row.error_strategy)?,
    })
}

fn strategy(column: &'static str, word: &str) -> Result<ErrorStrategy> {
    ErrorStrategy::parse(word).ok_or_else(|| unreadable(column, word))
}

/// A value that the table's own check should have refused.
fn unreadable(column: &'static str, value: &str) -> Error {
    Error::new(Kind::Internal, "Weir failed to handle this request; the request id finds it in the log.")
        .caused_by(format!("column {column} holds `{value}`"))
}
