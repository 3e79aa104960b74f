//! The schema registry: versions of schemas, what each new one has to keep up with, and what it would do to what is stored.

use std::sync::Arc;
use std::time::Instant;

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use utoipa::ToSchema;
use uuid::Uuid;

use super::Gate;
use super::documents::{SCHEMAS, Sent};
use super::resources::Topic;
use crate::batch::{self, LongForm, Values};
use crate::error::{Detail, Error, Result};
use crate::limits;
use crate::model::{Action, Caller, Operation, Resource, check_name};
use crate::paging::{Listed, PageOf};
use crate::platform::resource::Unchanged;
use crate::platform::schemas::NewVersion;
pub use crate::platform::schemas::{AVRO, JSON_SCHEMA, SchemaFilter, SchemaRow};
use crate::policy::{Collection, Permit};
pub use crate::schema::compat::{Break, Compatibility, Direction};
use crate::schema::compat::{avro_breaks, json_breaks};
use crate::times::rfc3339;
use crate::timescale::{Filter, Order, StoredReading};

/// A new schema or a new version of one, as a document.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewSchema {
    /// Its name.
    pub name: String,
    /// `json-schema` or `avro`.
    pub r#type: String,
    /// The schema itself.
    pub definition: Value,
    /// What the version after it has to keep up with; that of the version before, where it is not given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub compatibility: Option<Compatibility>,
}

/// A change of a version, as a document.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SchemaChange {
    /// Another definition, as long as nothing uses it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub definition: Option<Value>,
    /// What the version after it has to keep up with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub compatibility: Option<Compatibility>,
}

/// Two versions beside each other.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Comparison {
    /// Data written with the first passes the second.
    pub backward: bool,
    /// Data written with the second passes the first.
    pub forward: bool,
    /// Both.
    pub full: bool,
    /// What keeps them from it.
    pub breaks: Vec<Break>,
}

/// What is to be known of a definition before it is registered.
#[derive(Clone, Debug)]
pub struct Checked {
    /// What it breaks of the newest version of its name, if there is one.
    pub comparison: Option<(SchemaRow, Comparison)>,
    /// What it would do to what is stored.
    pub stored: Option<Stored>,
}

impl Checked {
    /// True where the definition could be registered as the next version.
    pub fn is_compatible(&self) -> bool {
        self.comparison.as_ref().is_none_or(|(newest, comparison)| match compatibility_of(newest) {
            Compatibility::None => true,
            Compatibility::Backward => comparison.backward,
            Compatibility::Forward => comparison.forward,
            Compatibility::Full => comparison.full,
        })
    }
}

/// Stored readings that were held against a definition.
#[derive(Clone, Debug, Default, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Stored {
    /// Readings that were looked at.
    pub checked: u64,
    /// Those that it would refuse.
    pub failing: u64,
    /// False where there are more than are looked at in one go.
    pub complete: bool,
    /// The first that it would refuse.
    pub samples: Vec<Failing>,
}

/// A stored reading that a definition would refuse.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Failing {
    /// Whose it is.
    pub sensor_id: String,
    /// Of when.
    pub timestamp: String,
    /// Where in it.
    pub path: String,
    /// What is wrong there.
    pub message: String,
}

fn one(id: Uuid) -> Resource {
    Resource::platform_one(SCHEMAS, &id.to_string())
}

fn no_schema(id: Uuid) -> Error {
    Error::not_found(format!("schema `{id}`"))
}

fn compatibility_of(row: &SchemaRow) -> Compatibility {
    Compatibility::parse(&row.compatibility).unwrap_or_default()
}

impl Gate {
    /// Registers the next version of a schema. A definition that cannot be used, would cost too much, or breaks what the version before it
    /// promises, is refused here.
    pub async fn schema_create(&self, caller: &Caller, new: NewSchema) -> Result<SchemaRow> {
        let permit = self.authorise(caller, Action::Write, &Resource::platform(SCHEMAS)).await?;
        let sent = Sent { kind: SCHEMAS, operation: Operation::Create, id: None };
        let NewSchema { name, r#type: kind, definition, compatibility } = self.document(&permit, sent, new).await?;
        check_name("A schema's `name`", &name)?;
        let definition = definition.to_string();
        self.definition_check(&kind, &definition)?;
        // Another version may be registered while this one is compared with the newest.
        for _ in 0..limits::SCHEMA_TRIES {
            let newest = self.platform.schema_versions(&permit, &name).await?.into_iter().next();
            if let Some(newest) = &newest {
                keeps_up(newest, &kind, &definition, compatibility_of(newest)).await?;
            }
            let kept = compatibility.or_else(|| newest.as_ref().map(compatibility_of)).unwrap_or_default().as_str();
            let after = newest.map_or(0, |newest| newest.version);
            let new = NewVersion { name: &name, kind: &kind, definition: &definition, compatibility: kept, after };
            if let Some(row) = self.platform.schema_create(&permit, &new).await? {
                return Ok(row);
            }
        }
        Err(Error::conflict("Other versions of this schema are being registered at the same time; try again."))
    }

    /// Changes what the next version has to keep up with, or the definition of a version that nothing uses.
    pub async fn schema_update(
        &self,
        caller: &Caller,
        id: Uuid,
        change: SchemaChange,
        unchanged: Unchanged<'_, SchemaRow>,
    ) -> Result<SchemaRow> {
        let permit = self.authorise(caller, Action::Write, &one(id)).await?;
        let key = id.to_string();
        let sent = Sent { kind: SCHEMAS, operation: Operation::Update, id: Some(&key) };
        let SchemaChange { definition, compatibility } = self.document(&permit, sent, change).await?;
        let definition = definition.map(|definition| definition.to_string());
        let row = self.platform.schema_get(&permit, id).await?.ok_or_else(|| no_schema(id))?;
        if let Some(definition) = &definition {
            if row.kind == AVRO {
                let sentence = "The number of an Avro schema stands in front of messages that were written by it, so its definition stays; register a new version.";
                return Err(Error::conflict(sentence));
            }
            self.definition_check(&row.kind, definition)?;
            let versions = self.platform.schema_versions(&permit, &row.name).await?;
            if let Some(before) = versions.iter().find(|other| other.version < row.version) {
                keeps_up(before, &row.kind, definition, compatibility_of(before)).await?;
            }
        }
        let change = (definition.as_deref(), compatibility.map(Compatibility::as_str));
        self.platform.schema_update(&permit, id, change, unchanged).await?.ok_or_else(|| no_schema(id))
    }

    fn definition_check(&self, kind: &str, definition: &str) -> Result<()> {
        match kind {
            AVRO => self.schemas.avro_check(definition),
            JSON_SCHEMA => self.schemas.compile_check(definition),
            _ => Err(Error::malformed("`type` is `json-schema` or `avro`.").at("/type", "unknown type")),
        }
    }

    /// One page of the tenant's schemas.
    pub async fn schema_list(&self, caller: &Caller, filter: &SchemaFilter, page: &PageOf) -> Result<Listed<SchemaRow>> {
        let permit = self.authorise_list(caller, Action::Read, &Collection::platform(SCHEMAS)).await?;
        self.platform.schema_list(&permit, filter, page).await
    }

    /// One schema.
    pub async fn schema_get(&self, caller: &Caller, id: Uuid) -> Result<SchemaRow> {
        let permit = self.authorise(caller, Action::Read, &one(id)).await?;
        self.platform.schema_get(&permit, id).await?.ok_or_else(|| no_schema(id))
    }

    /// The schema of a number, as it stands in front of Avro messages.
    pub async fn schema_by_number(&self, caller: &Caller, number: i32) -> Result<SchemaRow> {
        let permit = self.authorise(caller, Action::Read, &Resource::platform(SCHEMAS)).await?;
        let found = self.platform.schema_by_number(&permit, number).await?;
        found.ok_or_else(|| Error::not_found(format!("schema of number {number}")))
    }

    /// All versions of a schema, newest first.
    pub async fn schema_versions(&self, caller: &Caller, name: &str) -> Result<Vec<SchemaRow>> {
        let permit = self.authorise_list(caller, Action::Read, &Collection::platform(SCHEMAS)).await?;
        let versions = self.platform.schema_versions(&permit, name).await?;
        if versions.is_empty() { Err(Error::not_found(format!("schema `{name}`"))) } else { Ok(versions) }
    }

    /// Deletes a schema that nothing uses.
    pub async fn schema_delete(&self, caller: &Caller, id: Uuid, unchanged: Unchanged<'_, SchemaRow>) -> Result<()> {
        let permit = self.authorise(caller, Action::Delete, &one(id)).await?;
        self.document_deleted(&permit, SCHEMAS, &id.to_string()).await?;
        if self.platform.schema_delete(&permit, id, unchanged).await? { Ok(()) } else { Err(no_schema(id)) }
    }

    /// Puts two schemas beside each other, the second as if it followed the first.
    pub async fn schema_compare(&self, caller: &Caller, first: Uuid, second: Uuid) -> Result<Comparison> {
        let first = self.schema_get(caller, first).await?;
        let second = self.schema_get(caller, second).await?;
        compare(&first, &second.kind, &second.definition).await
    }

    /// Looks at a definition as a registration would, and at what it would do to the readings that a topic brought in the last hours.
    /// Nothing is kept.
    pub async fn schema_check(
        &self,
        caller: &Caller,
        kind: &str,
        definition: &Value,
        name: Option<&str>,
        topic: Option<(&str, u32)>,
    ) -> Result<Checked> {
        let permit = self.authorise(caller, Action::Read, &Resource::platform(SCHEMAS)).await?;
        let definition = definition.to_string();
        self.definition_check(kind, &definition)?;
        let newest = match name {
            Some(name) => self.platform.schema_versions(&permit, name).await?.into_iter().next(),
            None => None,
        };
        let comparison = match newest {
            Some(newest) => {
                let comparison = compare(&newest, kind, &definition).await?;
                Some((newest, comparison))
            }
            None => None,
        };
        let stored = match topic {
            None => None,
            Some(_) if kind == AVRO => {
                let sentence =
                    "Readings are not stored as Avro, so only a JSON Schema can be held against them; leave `topic` out.";
                return Err(Error::malformed(sentence).at("/topic", "not with an Avro schema"));
            }
            Some((topic, hours)) => {
                // What it tells of readings, its caller must be allowed to read.
                let permit = self.authorise(caller, Action::Read, &Resource::sensors()).await?;
                let to = self.clock.now();
                Some(self.hold_stored_against(&permit, definition, topic, (to - TimeDelta::hours(hours.into()), to)).await?)
            }
        };
        Ok(Checked { comparison, stored })
    }

    async fn hold_stored_against(
        &self,
        permit: &Permit,
        definition: String,
        topic: &str,
        (from, to): (DateTime<Utc>, DateTime<Utc>),
    ) -> Result<Stored> {
        if self.platform.resource_get::<Topic>(permit, topic).await?.is_none() {
            return Err(Error::malformed(format!("There is no topic `{topic}`.")).at("/topic", "no such topic"));
        }
        let filter = Filter { topic: Some(topic.to_owned()), from: Some(from), to: Some(to), ..Filter::default() };
        let (mut stored, mut after) = (Stored { complete: true, ..Stored::default() }, None);
        let until = Instant::now() + limits::SCHEMA_CHECK_TIME;
        loop {
            if stored.checked >= limits::REPLAY_READINGS || Instant::now() >= until {
                stored.complete = false;
                return Ok(stored);
            }
            let page = self.timescale.page(permit, &filter, Order::Desc, after.as_ref(), limits::REPLAY_PAGE).await?;
            let sent: Vec<Value> = page.readings.iter().map(as_sent).collect();
            let (schemas, definition) = (Arc::clone(&self.schemas), definition.clone());
            let work = move || schemas.first_errors(&definition, &sent);
            let errors = tokio::task::spawn_blocking(work).await.map_err(Error::internal)??;
            for (reading, error) in page.readings.iter().zip(errors) {
                stored.checked += 1;
                let Some((path, message)) = error else { continue };
                stored.failing += 1;
                if stored.samples.len() < limits::REPLAY_SAMPLES {
                    let (sensor_id, timestamp) = (reading.place.sensor.clone(), rfc3339(reading.place.time));
                    stored.samples.push(Failing { sensor_id, timestamp, path, message });
                }
            }
            match page.next {
                None => return Ok(stored),
                next => after = next,
            }
        }
    }
}

/// Refuses what is of another type than the version before it, or breaks its promise.
async fn keeps_up(before: &SchemaRow, kind: &str, definition: &str, promise: Compatibility) -> Result<()> {
    let breaks = breaks(before, kind, definition, promise).await?;
    if breaks.is_empty() {
        return Ok(());
    }
    let details = breaks.iter().map(|one| Detail {
        path: format!("/definition{}", one.path),
        message: format!("{} ({})", one.reason, one.direction),
        validator: None,
    });
    let sentence = format!(
        "Version {} of `{}` promises that the next one is compatible ({}), and this is not: the details name each break. Mend them, or change \
         its `compatibility` first.",
        before.version,
        before.name,
        promise.as_str()
    );
    Err(Error::conflict(sentence).with_details(details))
}

async fn compare(first: &SchemaRow, kind: &str, definition: &str) -> Result<Comparison> {
    let breaks = breaks(first, kind, definition, Compatibility::Full).await?;
    let broken = |direction| breaks.iter().any(|one: &Break| one.direction == direction);
    let (backward, forward) = (!broken(Direction::Backward), !broken(Direction::Forward));
    Ok(Comparison { backward, forward, full: backward && forward, breaks })
}

/// What a definition breaks of a version. On a blocking thread: a comparison may take a tenth of a second.
async fn breaks(before: &SchemaRow, kind: &str, definition: &str, promise: Compatibility) -> Result<Vec<Break>> {
    if before.kind != kind {
        let sentence = format!(
            "Version {} of `{}` is of type `{}`, and all versions of a schema are of one type.",
            before.version, before.name, before.kind
        );
        return Err(Error::conflict(sentence).at("/type", format!("not `{}`", before.kind)));
    }
    let (avro, old, new) = (kind == AVRO, before.definition.clone(), definition.to_owned());
    let work = move || {
        if avro {
            return avro_breaks(&old, &new, promise);
        }
        let read = |text: &str| serde_json::from_str::<Value>(text).map_err(Error::internal);
        Ok(json_breaks(&read(&old)?, &read(&new)?, promise))
    };
    tokio::task::spawn_blocking(work).await.map_err(Error::internal)?
}

/// A stored reading as a client would have sent it, in the long form.
fn as_sent(reading: &StoredReading) -> Value {
    let value = |value: &batch::Value| match value {
        batch::Value::Number(number) => json!(number),
        batch::Value::Bool(on) => json!(on),
        batch::Value::Text(text) => json!(text),
    };
    let values: Map<String, Value> = reading.values.iter().map(|one| (one.metric.clone(), value(&one.value))).collect();
    let units: Map<String, Value> =
        reading.values.iter().filter(|one| !one.unit.is_empty()).map(|one| (one.metric.clone(), json!(one.unit))).collect();
    let place = &reading.place;
    let sent = LongForm { sensor: &place.sensor, time: place.time, schema_ref: &place.schema_ref, quality: reading.quality };
    sent.with(Values { values, units })
}
