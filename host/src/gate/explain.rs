//! What would become of a reading, a document or a request, and why: the deciders of live traffic, asked in the same order, and no store.
//!
//! Who may read `/platform/explain` sees which rules decide, of its own tenant and of all; so that is a right of its own.

use std::sync::Arc;

use bytes::Bytes;
use serde_json::Value;

use super::{Gate, documents};
use crate::batch::compare::Judged;
use crate::batch::{Batch, Fate, Quality, Verdict};
use crate::error::{Error, Kind, Result};
pub use crate::guest::documents::Document;
pub use crate::guest::passage::Passage;
use crate::model::{Action, Caller, Operation, Resource, Subject};
use crate::policy::Permit;
use crate::rules::ChainOf;
use crate::schema::decode::Collector;

/// What is to be explained.
#[derive(Clone, Debug)]
pub enum Question {
    /// A reading, as it is sent.
    Reading(Value),
    /// A resource of the platform, as it is sent.
    Document(Document),
    /// A request, in the policy's terms.
    Request {
        /// What is to be done.
        action: Action,
        /// To what: a path as the policy has it.
        object: String,
    },
}

/// One decision of the policy.
#[derive(Clone, Debug)]
pub struct Decision {
    /// To what.
    pub object: String,
    /// What was to be done.
    pub action: Action,
    /// The rule that allows it, or why it is denied.
    pub decided: Result<String, String>,
}

/// What the JSON Schema says.
#[derive(Clone, Debug)]
pub struct SchemaVerdict {
    /// Its name and version.
    pub schema: String,
    /// What is wrong and where, where it refuses.
    pub refusal: Option<(Option<String>, String)>,
}

/// What would become of it.
#[derive(Clone, Debug)]
pub enum End {
    /// It would be done.
    Done,
    /// It would be stored, with this quality, as these values.
    Stored(Quality, Judged),
    /// It would be kept aside.
    Quarantined(String),
    /// It would be refused; from Kafka a refusal may stop the topic.
    Refused(String),
}

/// The explanation.
#[derive(Clone, Debug)]
pub struct Explained {
    /// Whose wish was explained.
    pub subject: String,
    /// The revision of the policy.
    pub policy: String,
    /// Its decisions, in the order in which they are made.
    pub decisions: Vec<Decision>,
    /// The rules of the topic: schema version and module digests.
    pub pipeline: Option<String>,
    /// What the schema says, where the topic has one.
    pub schema: Option<SchemaVerdict>,
    /// What each module did.
    pub modules: Vec<Passage>,
    /// The sensor and the time, in microseconds since the Unix epoch, of a reading.
    pub place: Option<(String, i64)>,
    /// What would become of it.
    pub end: End,
}

impl Gate {
    /// Explains. `subject` is whose wish it is; the caller's own where it is not given.
    pub async fn explain(&self, caller: &Caller, subject: Option<&str>, question: Question) -> Result<Explained> {
        let permit = self.authorise(caller, Action::Read, &Resource::platform("explain")).await?;
        let wisher = match subject {
            None => caller.clone(),
            Some(name) => {
                let known = ["user:", "token:", "service:"].iter().any(|kind| name.starts_with(kind));
                if !known {
                    let sentence = "`subject` is `user:`, `token:` or `service:` and a name.";
                    return Err(Error::malformed(sentence).at("/subject", "not a subject"));
                }
                Caller { subject: Subject::named(name), home: caller.tenant.clone(), bearer: None, ..caller.clone() }
            }
        };
        let mut explained = Explained {
            subject: wisher.subject.as_str().to_owned(),
            policy: permit.revision().to_string(),
            decisions: Vec::new(),
            pipeline: None,
            schema: None,
            modules: Vec::new(),
            place: None,
            end: End::Done,
        };
        match question {
            Question::Request { action, object } => {
                let end = self.decide(&wisher, action, &Resource::named(&object), &mut explained).err();
                explained.end = end.map_or(End::Done, End::Refused);
            }
            Question::Reading(reading) => self.explain_reading(&wisher, &reading, &mut explained).await?,
            Question::Document(document) => self.explain_document(&wisher, document, &mut explained).await?,
        }
        Ok(explained)
    }

    /// One decision; the error is the sentence that the client would get.
    fn decide(&self, wisher: &Caller, action: Action, object: &Resource, explained: &mut Explained) -> Result<Permit, String> {
        let decided = self.policy.consider(wisher, action, object);
        explained.decisions.push(Decision {
            object: object.as_str().to_owned(),
            action,
            decided: match &decided {
                Ok(permit) => Ok(permit.rule().to_owned()),
                Err(denied) => Err(denied.reason.to_string()),
            },
        });
        decided.map_err(|denied| denied.to_string())
    }

    async fn explain_reading(&self, wisher: &Caller, reading: &Value, explained: &mut Explained) -> Result<()> {
        let mut collector = Collector::new(self.clock.now());
        collector.add(&Bytes::from(reading.to_string()), 0)?;
        let Some(batch) = collector.finish().into_iter().next() else { return Err(Error::internal("a reading left no batch")) };
        explained.place = batch.place_of(0).map(|(sensor, time)| (sensor.to_owned(), time));
        let topic = batch.topic().map(|topic| Resource::topic(topic));
        let sensors = batch.columns().sensors.iter().map(|sensor| Resource::sensor(sensor));
        let mut allowed = None;
        for object in topic.into_iter().chain(sensors) {
            match self.decide(wisher, Action::Write, &object, explained) {
                Ok(permit) => allowed = Some(permit),
                Err(sentence) => {
                    explained.end = End::Refused(sentence);
                    return Ok(());
                }
            }
        }
        let Some(permit) = allowed else { return Err(Error::internal("a reading names no sensor")) };
        let Some(rules) = self.platform.rules_for(&permit, batch.topic().map(|topic| &**topic)).await? else {
            explained.end = End::Refused("There is no topic of this name.".to_owned());
            return Ok(());
        };
        explained.pipeline = Some(rules.revision.to_string());
        let batch = self.check_schema(&rules, batch).await?;
        explained.schema = rules.schema.as_ref().map(|schema| schema_verdict(&schema.label, &batch));
        let judgement = self.try_chain(&permit, &rules.chain, batch).await?;
        explained.modules = judgement.passages;
        explained.end = end(&judgement.batch);
        Ok(())
    }

    async fn explain_document(&self, wisher: &Caller, document: Document, explained: &mut Explained) -> Result<()> {
        if !documents::KINDS.contains(&document.kind.as_str()) {
            let kinds = documents::KINDS.join(", ");
            return Err(Error::malformed(format!("`kind` is one of: {kinds}.")).at("/document/kind", "has no chain"));
        }
        let action = if document.operation == Operation::Delete { Action::Delete } else { Action::Write };
        let object = match &document.id {
            Some(id) => Resource::platform_one(&document.kind, id),
            None => Resource::platform(&document.kind),
        };
        let permit = match self.decide(wisher, action, &object, explained) {
            Ok(permit) => permit,
            Err(sentence) => {
                explained.end = End::Refused(sentence);
                return Ok(());
            }
        };
        let chain = self.platform.chain_steps(&permit, &ChainOf::Documents(document.kind.clone())).await?;
        self.time_allowed(permit.tenant()).await?;
        let mut document = Document { subject: wisher.subject.as_str().to_owned(), ..document };
        let run = self.on_trial(&permit, &chain);
        let mut body = Ok(document.body.clone());
        for step in &*chain {
            body = self.pass_document(&run, step, document.clone(), &mut explained.modules).await;
            let Ok(passed) = &body else { break };
            document.body.clone_from(passed);
        }
        explained.end = match body {
            Ok(Value::Object(values)) => {
                let stored = Judged { verdict: "accept", reason: None, by: None, values, units: serde_json::Map::new() };
                End::Stored(Quality::Good, stored)
            }
            Ok(_) => End::Done,
            Err(error) if error.kind() == Kind::Refused => End::Refused(error.sentence().to_owned()),
            Err(error) => return Err(error),
        };
        Ok(())
    }
}

fn schema_verdict(label: &Arc<str>, batch: &Batch) -> SchemaVerdict {
    let refusal = match &batch.readings()[0].verdict {
        Verdict::Refused(refusal) => Some((refusal.path.clone(), refusal.reason.clone())),
        Verdict::Accepted | Verdict::Suspect => None,
    };
    SchemaVerdict { schema: label.to_string(), refusal }
}

/// What becomes of the only reading of a batch.
fn end(batch: &Batch) -> End {
    let stops = |reason: String| End::Refused(format!("{reason} (from Kafka this stops the topic)"));
    match batch.settle(true) {
        Err(stopped) => stops(stopped.refusal.reason),
        Ok(fates) => match fates.into_iter().next() {
            Some(Fate::Store(quality)) => {
                batch.judged().into_iter().next().map_or(End::Done, |judged| End::Stored(quality, judged))
            }
            Some(Fate::Quarantine(refusal)) => End::Quarantined(refusal.reason),
            Some(Fate::Reject(refusal)) => End::Refused(refusal.reason),
            None => End::Done,
        },
    }
}
