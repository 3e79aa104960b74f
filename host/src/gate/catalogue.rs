//! Topics and schemas.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::sync::watch;
use uuid::Uuid;

use super::Gate;
use super::documents::{SCHEMAS, Sent, TOPICS};
use crate::error::{Error, Result};
use crate::model::{Action, Caller, Operation, Resource, check_name, check_topic_name};
use crate::paging::{Listed, PageOf};
pub use crate::platform::catalogue::{IngestTopic, TopicChange, TopicRow};
pub use crate::platform::schemas::{AVRO, JSON_SCHEMA, SchemaRow};

/// A new topic, as a document.
#[derive(Serialize, Deserialize)]
struct NewTopic {
    name: String,
    #[serde(flatten)]
    change: TopicChange,
}

/// A new schema, as a document.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct NewSchema {
    name: String,
    r#type: String,
    definition: Value,
}

fn no_topic(name: &str) -> Error {
    Error::not_found(format!("topic `{name}`"))
}

/// Refused readings go to another topic than the one that they came through.
fn check_dead_letter(name: &str, change: &TopicChange) -> Result<()> {
    let Some(Some(dead_letter)) = &change.dead_letter_topic else { return Ok(()) };
    let wrong = |sentence: String| Error::malformed(sentence.clone()).at("/deadLetterTopic", sentence);
    check_topic_name(dead_letter).map_err(|error| wrong(error.sentence().to_owned()))?;
    if dead_letter == name {
        return Err(wrong("A topic's `deadLetterTopic` is another topic; its own would be read and refused again.".to_owned()));
    }
    Ok(())
}

impl Gate {
    /// Registers a topic.
    pub async fn topic_create(&self, caller: &Caller, name: &str, change: &TopicChange) -> Result<TopicRow> {
        let permit = self.authorise(caller, Action::Write, &Resource::platform(TOPICS)).await?;
        let sent = Sent { kind: TOPICS, operation: Operation::Create, id: None };
        let new = NewTopic { name: name.to_owned(), change: change.clone() };
        let NewTopic { name, change } = self.document(&permit, sent, new).await?;
        check_topic_name(&name)?;
        check_dead_letter(&name, &change)?;
        self.platform.topic_create(&permit, &name, &change).await
    }

    /// One page of the tenant's topics.
    pub async fn topic_list(&self, caller: &Caller, page: &PageOf) -> Result<Listed<TopicRow>> {
        let permit = self.authorise(caller, Action::Read, &Resource::platform(TOPICS)).await?;
        self.platform.topic_list(&permit, page).await
    }

    /// One topic.
    pub async fn topic_get(&self, caller: &Caller, name: &str) -> Result<TopicRow> {
        let permit = self.authorise(caller, Action::Read, &Resource::platform_one(TOPICS, name)).await?;
        self.platform.topic_get(&permit, name).await?.ok_or_else(|| no_topic(name))
    }

    /// Changes the fields that are given.
    pub async fn topic_update(&self, caller: &Caller, name: &str, change: &TopicChange) -> Result<TopicRow> {
        let permit = self.authorise(caller, Action::Write, &Resource::platform_one(TOPICS, name)).await?;
        let sent = Sent { kind: TOPICS, operation: Operation::Update, id: Some(name) };
        let change = self.document(&permit, sent, change.clone()).await?;
        check_dead_letter(name, &change)?;
        self.platform.topic_update(&permit, name, &change).await?.ok_or_else(|| no_topic(name))
    }

    /// Takes a topic out of the catalogue; its stored readings stay.
    pub async fn topic_delete(&self, caller: &Caller, name: &str) -> Result<()> {
        let permit = self.authorise(caller, Action::Delete, &Resource::platform_one(TOPICS, name)).await?;
        self.document_deleted(&permit, TOPICS, name).await?;
        if self.platform.topic_delete(&permit, name).await? { Ok(()) } else { Err(no_topic(name)) }
    }

    /// The topics that the writer consumes. It asks the policy for each batch, so this list needs no permit.
    pub async fn ingest_topics(&self) -> Result<Vec<IngestTopic>> {
        self.platform.ingest_topics().await
    }

    /// Counts up with every change of the catalogue that this replica hears of.
    pub fn catalogue_changes(&self) -> watch::Receiver<u64> {
        self.platform.changes()
    }

    /// Registers the next version of a schema, `kind` being `json-schema` or `avro`. A definition that cannot be used, or would cost
    /// too much, is refused here.
    pub async fn schema_create(&self, caller: &Caller, name: &str, kind: &str, definition: Value) -> Result<SchemaRow> {
        let permit = self.authorise(caller, Action::Write, &Resource::platform(SCHEMAS)).await?;
        let sent = Sent { kind: SCHEMAS, operation: Operation::Create, id: None };
        let new = NewSchema { name: name.to_owned(), r#type: kind.to_owned(), definition };
        let NewSchema { name, r#type: kind, definition } = self.document(&permit, sent, new).await?;
        check_name("A schema's `name`", &name)?;
        let definition = definition.to_string();
        match kind.as_str() {
            AVRO => self.schemas.avro_check(&definition)?,
            JSON_SCHEMA => self.schemas.compile_check(&definition)?,
            _ => return Err(Error::malformed("`type` is `json-schema` or `avro`.").at("/type", "unknown type")),
        }
        self.platform.schema_create(&permit, &name, &kind, &definition).await
    }

    /// One page of the tenant's schemas.
    pub async fn schema_list(&self, caller: &Caller, page: &PageOf) -> Result<Listed<SchemaRow>> {
        let permit = self.authorise(caller, Action::Read, &Resource::platform(SCHEMAS)).await?;
        self.platform.schema_list(&permit, page).await
    }

    /// One schema.
    pub async fn schema_get(&self, caller: &Caller, id: Uuid) -> Result<SchemaRow> {
        let permit = self.authorise(caller, Action::Read, &Resource::platform_one(SCHEMAS, &id.to_string())).await?;
        self.platform.schema_get(&permit, id).await?.ok_or_else(|| Error::not_found(format!("schema `{id}`")))
    }

    /// The schema of a number, as it stands in front of Avro messages.
    pub async fn schema_by_number(&self, caller: &Caller, number: i32) -> Result<SchemaRow> {
        let permit = self.authorise(caller, Action::Read, &Resource::platform(SCHEMAS)).await?;
        let found = self.platform.schema_by_number(&permit, number).await?;
        found.ok_or_else(|| Error::not_found(format!("schema of number {number}")))
    }

    /// All versions of a schema, newest first.
    pub async fn schema_versions(&self, caller: &Caller, name: &str) -> Result<Vec<SchemaRow>> {
        let permit = self.authorise(caller, Action::Read, &Resource::platform(SCHEMAS)).await?;
        let versions = self.platform.schema_versions(&permit, name).await?;
        if versions.is_empty() { Err(Error::not_found(format!("schema `{name}`"))) } else { Ok(versions) }
    }

    /// Deletes a schema that nothing uses.
    pub async fn schema_delete(&self, caller: &Caller, id: Uuid) -> Result<()> {
        let permit = self.authorise(caller, Action::Delete, &Resource::platform_one(SCHEMAS, &id.to_string())).await?;
        self.document_deleted(&permit, SCHEMAS, &id.to_string()).await?;
        if self.platform.schema_delete(&permit, id).await? { Ok(()) } else { Err(Error::not_found(format!("schema `{id}`"))) }
    }
}
