//! What it takes to read the messages of a topic: its format, and the schemas that they name.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};

use crate::error::{Error, Result};
use crate::gate::Gate;
use crate::limits;
use crate::model::{Action, Caller, Resource, TopicFormat};
use crate::registry::Definition;
use crate::schema::decode::{Format, avro};

impl Gate {
    /// How these messages of a topic are read. An error says that a registry is away: none of them can be judged yet.
    ///
    /// The numbers in front of Avro messages are of the tenant's own schemas where the topic names one of them or no registry is
    /// configured, else of the registry.
    pub async fn message_format(
        &self,
        caller: &Caller,
        topic: &str,
        messages: impl IntoIterator<Item = Bytes> + Send,
    ) -> Result<Format> {
        let permit = self.authorise(caller, Action::Write, &Resource::topic(topic)).await?;
        let Some(rules) = self.platform.rules_for(&permit, Some(topic)).await? else { return Ok(Format::Json) };
        if rules.format == TopicFormat::Json {
            return Ok(Format::Json);
        }
        let numbers = avro::numbers(messages);
        let schemas = match &self.registry {
            Some(registry) if rules.avro_schema.is_none() => {
                let asked =
                    numbers.into_iter().map(async |number| Ok::<_, Error>((number, registry.definition(&permit, number).await?)));
                let found: Vec<_> = stream::iter(asked).buffer_unordered(limits::REGISTRY_AT_ONCE).try_collect().await?;
                let plan = |(number, found): (i32, Option<Result<Arc<_>, _>>)| {
                    let plan = found?.and_then(|found: Arc<Definition>| self.schemas.plan(&found.schema, &found.references));
                    Some((number, plan))
                };
                found.into_iter().filter_map(plan).collect()
            }
            _ => {
                let found = self.platform.avro_schemas(&permit, &numbers).await?;
                found.into_iter().map(|(number, definition)| (number, self.schemas.plan(&definition, &[]))).collect()
            }
        };
        Ok(Format::Avro(Arc::new(avro::Schemas(schemas))))
    }
}
