//! Topics, schemas and chains: what readings must pass.

use tokio::sync::watch;
use uuid::Uuid;

use super::Gate;
use crate::error::{Error, Result};
use crate::limits;
use crate::model::{Action, Caller, Resource, check_name, check_topic_name};
use crate::paging::{Listed, PageOf};
pub use crate::platform::catalogue::{IngestTopic, TopicChange, TopicRow};
pub use crate::platform::schemas::{AVRO, JSON_SCHEMA, SchemaRow};

const TOPICS: &str = "kafka-topics";

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
        check_topic_name(name)?;
        check_dead_letter(name, change)?;
        self.platform.topic_create(&permit, name, change).await
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
        check_dead_letter(name, change)?;
        self.platform.topic_update(&permit, name, change).await?.ok_or_else(|| no_topic(name))
    }

    /// Takes a topic out of the catalogue; its stored readings stay.
    pub async fn topic_delete(&self, caller: &Caller, name: &str) -> Result<()> {
        let permit = self.authorise(caller, Action::Delete, &Resource::platform_one(TOPICS, name)).await?;
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

    /// The validators of a topic, in their order.
    pub async fn chain_get(&self, caller: &Caller, topic: &str) -> Result<Vec<Uuid>> {
        let permit = self.authorise(caller, Action::Read, &Resource::platform_one(TOPICS, topic)).await?;
        self.platform.topic_get(&permit, topic).await?.ok_or_else(|| no_topic(topic))?;
        self.platform.chain_get(&permit, topic).await
    }

    /// Gives a topic these validators, in this order.
    pub async fn chain_set(&self, caller: &Caller, topic: &str, validators: &[Uuid]) -> Result<Vec<Uuid>> {
        let permit = self.authorise(caller, Action::Admin, &Resource::platform_one(TOPICS, topic)).await?;
        if validators.len() > limits::CHAIN_LENGTH {
            return Err(Error::malformed(format!("A chain has at most {} validators.", limits::CHAIN_LENGTH))
                .at("/validatorIds", format!("{} are given", validators.len())));
        }
        self.platform.topic_get(&permit, topic).await?.ok_or_else(|| no_topic(topic))?;
        for (place, id) in validators.iter().enumerate() {
            let wrong = |what| Error::malformed(format!("Validator `{id}` {what}.")).at(format!("/validatorIds/{place}"), what);
            if validators[..place].contains(id) {
                return Err(wrong("is named twice; a chain names each once"));
            }
            if self.platform.validator_get(&permit, *id).await?.is_none() {
                return Err(wrong("does not exist"));
            }
        }
        self.platform.chain_set(&permit, topic, validators).await?;
        Ok(validators.to_vec())
    }

    /// Registers the next version of a schema, `kind` being `json-schema` or `avro`. A definition that cannot be used, or would cost
    /// too much, is refused here.
    pub async fn schema_create(&self, caller: &Caller, name: &str, kind: &str, definition: &str) -> Result<SchemaRow> {
        let permit = self.authorise(caller, Action::Write, &Resource::platform("schemas")).await?;
        check_name("A schema's `name`", name)?;
        match kind {
            AVRO => self.schemas.avro_check(definition)?,
            _ => self.schemas.compile_check(definition)?,
        }
        self.platform.schema_create(&permit, name, kind, definition).await
    }

    /// One page of the tenant's schemas.
    pub async fn schema_list(&self, caller: &Caller, page: &PageOf) -> Result<Listed<SchemaRow>> {
        let permit = self.authorise(caller, Action::Read, &Resource::platform("schemas")).await?;
        self.platform.schema_list(&permit, page).await
    }

    /// One schema.
    pub async fn schema_get(&self, caller: &Caller, id: Uuid) -> Result<SchemaRow> {
        let permit = self.authorise(caller, Action::Read, &Resource::platform_one("schemas", &id.to_string())).await?;
        self.platform.schema_get(&permit, id).await?.ok_or_else(|| Error::not_found(format!("schema `{id}`")))
    }

    /// The schema of a number, as it stands in front of Avro messages.
    pub async fn schema_by_number(&self, caller: &Caller, number: i32) -> Result<SchemaRow> {
        let permit = self.authorise(caller, Action::Read, &Resource::platform("schemas")).await?;
        let found = self.platform.schema_by_number(&permit, number).await?;
        found.ok_or_else(|| Error::not_found(format!("schema of number {number}")))
    }

    /// All versions of a schema, newest first.
    pub async fn schema_versions(&self, caller: &Caller, name: &str) -> Result<Vec<SchemaRow>> {
        let permit = self.authorise(caller, Action::Read, &Resource::platform("schemas")).await?;
        let versions = self.platform.schema_versions(&permit, name).await?;
        if versions.is_empty() { Err(Error::not_found(format!("schema `{name}`"))) } else { Ok(versions) }
    }

    /// Deletes a schema that nothing uses.
    pub async fn schema_delete(&self, caller: &Caller, id: Uuid) -> Result<()> {
        let permit = self.authorise(caller, Action::Delete, &Resource::platform_one("schemas", &id.to_string())).await?;
        if self.platform.schema_delete(&permit, id).await? { Ok(()) } else { Err(Error::not_found(format!("schema `{id}`"))) }
    }
}
