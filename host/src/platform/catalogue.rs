//! The catalogue: the rules for a batch that follow from its topic, its schema and its chain.
//!
//! Rules are kept in memory until the database announces a change (`listen`); what is kept is bounded and never outlives one.

use std::sync::Arc;

use sqlx::FromRow;
use uuid::Uuid;

use super::chains::steps_of;
use super::resource::Resource as _;
use super::resource::topics::Topic;
use super::schemas::{AVRO, JSON_SCHEMA};
use super::{Platform, failed, statements, unreadable};
use crate::error::Result;
use crate::model::{Conflict, ErrorStrategy, Tenant, TopicFormat, WriteMode};
use crate::policy::Permit;
use crate::rules::{ChainOf, Rules, SchemaVersion, Step};

/// A topic that the writer consumes, and whose it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IngestTopic {
    /// The tenant.
    pub tenant: Tenant,
    /// The topic's name in Kafka.
    pub name: String,
}

statements! {
    TOPIC_SCHEMA = "select s.id, s.name, s.version, s.type, s.definition from kafka_topics k join schemas s on s.id = k.schema_id
                    where k.tenant = $1 and k.name = $2";
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
        let row: Option<Topic> = sqlx::query_as(Topic::STATEMENTS.get)
            .bind(tenant)
            .bind(topic)
            .fetch_optional(&mut *transaction)
            .await
            .map_err(failed)?;
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
}

pub(super) fn strategy(column: &'static str, word: &str) -> Result<ErrorStrategy> {
    ErrorStrategy::parse(word).ok_or_else(|| unreadable(column, word))
}
