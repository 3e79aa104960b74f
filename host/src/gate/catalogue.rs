//! Topics.

use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use super::Gate;
use super::documents::{Sent, TOPICS};
use crate::error::{Error, Result};
use crate::model::{Action, Caller, Operation, Resource, check_topic_name};
use crate::paging::{Listed, PageOf};
pub use crate::platform::catalogue::{IngestTopic, TopicChange, TopicFilter, TopicRow};
use crate::platform::resource::Unchanged;

/// A new topic, as a document.
#[derive(Serialize, Deserialize)]
struct NewTopic {
    name: String,
    #[serde(flatten)]
    change: TopicChange,
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
    pub async fn topic_list(&self, caller: &Caller, filter: &TopicFilter, page: &PageOf) -> Result<Listed<TopicRow>> {
        let permit = self.authorise(caller, Action::Read, &Resource::platform(TOPICS)).await?;
        self.platform.topic_list(&permit, filter, page).await
    }

    /// One topic.
    pub async fn topic_get(&self, caller: &Caller, name: &str) -> Result<TopicRow> {
        let permit = self.authorise(caller, Action::Read, &Resource::platform_one(TOPICS, name)).await?;
        self.platform.topic_get(&permit, name).await?.ok_or_else(|| no_topic(name))
    }

    /// Changes the fields that are given, where the topic is as the client thinks it is.
    pub async fn topic_update(
        &self,
        caller: &Caller,
        name: &str,
        change: &TopicChange,
        unchanged: Unchanged<'_, TopicRow>,
    ) -> Result<TopicRow> {
        let permit = self.authorise(caller, Action::Write, &Resource::platform_one(TOPICS, name)).await?;
        let sent = Sent { kind: TOPICS, operation: Operation::Update, id: Some(name) };
        let change = self.document(&permit, sent, change.clone()).await?;
        check_dead_letter(name, &change)?;
        self.platform.topic_update(&permit, name, &change, unchanged).await?.ok_or_else(|| no_topic(name))
    }

    /// Takes a topic out of the catalogue; its stored readings stay.
    pub async fn topic_delete(&self, caller: &Caller, name: &str, unchanged: Unchanged<'_, TopicRow>) -> Result<()> {
        let permit = self.authorise(caller, Action::Delete, &Resource::platform_one(TOPICS, name)).await?;
        self.document_deleted(&permit, TOPICS, name).await?;
        if self.platform.topic_delete(&permit, name, unchanged).await? { Ok(()) } else { Err(no_topic(name)) }
    }

    /// The topics that the writer consumes. It asks the policy for each batch, so this list needs no permit.
    pub async fn ingest_topics(&self) -> Result<Vec<IngestTopic>> {
        self.platform.ingest_topics().await
    }

    /// Counts up with every change of the catalogue that this replica hears of.
    pub fn catalogue_changes(&self) -> watch::Receiver<u64> {
        self.platform.changes()
    }
}
