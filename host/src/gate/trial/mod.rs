//! Evidence about a version before it runs: samples of somebody's own, the cases that it carries, and (`replay`) what is stored already;
//! judged as live and never stored.

mod replay;

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde_json::{Map, Value};
use uuid::Uuid;

pub use self::replay::{ReplayRow, ReplaySource, Replayed};
use super::Gate;
use super::samples::{self, End};
use super::validators::{check_config, no_validator, one};
use crate::batch::compare::Judged;
use crate::cases;
use crate::error::{Detail, Error, Kind, Result};
use crate::guest::ModuleFacts;
use crate::guest::documents::{Document, Operation};
use crate::guest::objects::ObjectFacts;
use crate::guest::passage::Passage;
pub use crate::guest::passage::{FaultReport, Line};
use crate::limits;
use crate::model::{Action, Caller, ErrorStrategy, Target};
use crate::platform::validators::ValidatorRow;
use crate::platform::validators::versions::VersionRow;
use crate::policy::Permit;
use crate::rules::{Digest, Step, StepBounds};

/// What to try a version on.
#[derive(Clone, Debug)]
pub struct Samples {
    /// The version; the active one where it is not given, the newest where none is active.
    pub version: Option<i32>,
    /// Another configuration than the validator's.
    pub config: Option<Value>,
    /// Readings, documents or objects, as JSON.
    pub samples: Vec<Value>,
}

/// What became of the samples.
#[derive(Clone, Debug)]
pub struct Tried {
    /// The version that was tried.
    pub version: i32,
    /// For each sample.
    pub results: Vec<Judged>,
    /// What the module logged.
    pub log: Vec<Line>,
    /// Log lines beyond the bounds.
    pub dropped_lines: u64,
    /// Calls of the module.
    pub calls: u32,
    /// Time in the module, in microseconds.
    pub micros: u64,
    /// Linear memory at its largest, in bytes.
    pub peak_memory_bytes: u64,
    /// The last fault.
    pub fault: Option<FaultReport>,
}

impl Gate {
    /// Tries a version on samples.
    pub async fn validator_test(&self, caller: &Caller, id: Uuid, samples: &Samples) -> Result<Tried> {
        let permit = self.authorise(caller, Action::Write, &one(id)).await?;
        if samples.samples.is_empty() || samples.samples.len() > limits::SAMPLES {
            return Err(Error::malformed(format!("Send 1 to {} `samples`.", limits::SAMPLES))
                .at("/samples", format!("{} are given", samples.samples.len())));
        }
        samples.config.as_ref().map_or(Ok(()), check_config)?;
        let row = self.platform.validator_get(&permit, id).await?.ok_or_else(|| no_validator(id))?;
        let Some(version) = samples.version.or(row.active_version) else {
            return Err(Error::conflict("This validator has no module yet; upload one first."));
        };
        let (row, found) = self.version_for(&permit, id, version).await?;
        let step = self.step_of(&permit, &row, named(&found)?, samples.config.as_ref()).await?;
        match Target::parse(&row.target).unwrap_or_default() {
            Target::Readings => self.try_readings(&permit, &step, &samples.samples).await,
            Target::Documents => self.try_documents(&permit, &step, &samples.samples).await,
            Target::Objects => self.try_objects(&permit, &step, &samples.samples).await,
        }
    }

    /// A version in the place that it would have in a chain.
    async fn step_of(
        &self,
        permit: &Permit,
        row: &ValidatorRow,
        (version, digest): (i32, Digest),
        config: Option<&Value>,
    ) -> Result<Step> {
        let tenant = self.platform.tenant_bounds(permit).await?;
        let least = |a: Option<i64>, b: Option<i64>| a.into_iter().chain(b).min();
        let time = least(row.time_ms.map(i64::from), tenant.time_ms.map(i64::from));
        let memory = least(row.memory_bytes, tenant.memory_bytes);
        Ok(Step {
            validator: row.id,
            name: row.name.as_str().into(),
            version,
            digest,
            config: config.unwrap_or(&row.config).to_string().into(),
            strategy: ErrorStrategy::Reject,
            bounds: StepBounds {
                time: time.and_then(|time| u64::try_from(time).ok()).map(Duration::from_millis),
                memory_bytes: memory.and_then(|bytes| usize::try_from(bytes).ok()),
            },
            lookup: row.grants.iter().any(|grant| grant == "lookup"),
            shadow: None,
        })
    }

    async fn try_readings(&self, permit: &Permit, step: &Step, samples: &[Value]) -> Result<Tried> {
        self.time_allowed(permit.tenant()).await?;
        let samples: Vec<Bytes> = samples.iter().map(|sample| Bytes::from(sample.to_string())).collect();
        let run = self.on_trial(permit, std::slice::from_ref(step));
        let (ends, passage) = samples::judge(&self.guest, &run, step, &samples, self.clock.now()).await?;
        let result = |(index, end): (usize, End)| match end {
            End::Judged(batch, reading) => Ok(batch.judged().swap_remove(reading as usize)),
            End::Unreadable(fault) => {
                let path = format!("/samples/{index}{}", fault.path);
                Err(Error::malformed(format!("Sample {index} is not a reading: {}.", fault.message)).at(path, fault.message))
            }
        };
        let results = ends.into_iter().enumerate().map(result).collect::<Result<_>>()?;
        Ok(tried(step, results, passage))
    }

    /// Runs the cases that a module carries; where one fails, the module is refused with what differs.
    pub(in crate::gate) async fn check_cases(
        &self,
        permit: &Permit,
        row: &ValidatorRow,
        facts: &ModuleFacts,
        component: &[u8],
    ) -> Result<()> {
        let cases = cases::of(component)?;
        if cases.is_empty() || facts.target != Target::Readings {
            return Ok(());
        }
        self.time_allowed(permit.tenant()).await?;
        let mut wrong = Vec::new();
        for (at, case) in cases.iter().enumerate() {
            let config: Value = serde_json::from_str(&case.config).map_err(Error::internal)?;
            let step = self.step_of(permit, row, (0, facts.digest), Some(&config)).await?;
            let run = self.on_trial(permit, std::slice::from_ref(&step));
            let (ends, _) = samples::judge(&self.guest, &run, &step, &case.readings, self.clock.now()).await?;
            let path = format!("cases/{at}");
            wrong.extend(samples::differences(case, &ends).into_iter().map(|difference| Detail {
                path: path.clone(),
                message: format!("`{}`: {difference}", case.name),
                validator: None,
            }));
        }
        let Some(first) = wrong.first() else { return Ok(()) };
        let sentence = format!("The module does not do what its own cases say: {}.", first.message);
        Err(Error::new(Kind::Refused, sentence).with_details(wrong))
    }

    async fn try_documents(&self, permit: &Permit, step: &Step, samples: &[Value]) -> Result<Tried> {
        let mut results = Vec::with_capacity(samples.len());
        let mut all = Passage::default();
        for (index, sample) in samples.iter().enumerate() {
            let sample: DocumentSample = form(sample, index)?;
            let document = Document {
                kind: sample.kind,
                operation: sample.operation.unwrap_or(Operation::Create),
                subject: permit.subject().as_str().to_owned(),
                id: sample.id,
                body: Value::Object(sample.body),
            };
            self.time_allowed(permit.tenant()).await?;
            let mut passages = Vec::new();
            let run = self.on_trial(permit, std::slice::from_ref(step));
            let judged = self.guest.document(&run, std::slice::from_ref(step), document.clone(), &mut passages).await;
            let mut judged = verdict(judged.map(|body| if body == document.body { Map::new() } else { object(body) }), step)?;
            if passages.iter().any(|passage| passage.faults > 0) {
                judged.verdict = "failed";
            }
            results.push(judged);
            for passage in passages {
                all.add(passage);
            }
        }
        Ok(tried(step, results, all))
    }

    async fn try_objects(&self, permit: &Permit, step: &Step, samples: &[Value]) -> Result<Tried> {
        let mut results = Vec::with_capacity(samples.len());
        let mut all = Passage::default();
        for (index, sample) in samples.iter().enumerate() {
            let sample: ObjectSample = form(sample, index)?;
            let bytes = STANDARD.decode(&sample.base64).map_err(|error| {
                let sentence = format!("`base64` of sample {index} is not base64: {error}.");
                Error::malformed(sentence).at(format!("/samples/{index}/base64"), error.to_string())
            })?;
            let facts = ObjectFacts {
                bucket: sample.bucket.unwrap_or_else(|| "bucket".to_owned()),
                name: sample.object_name,
                media_type: sample.media_type,
                size: Some(bytes.len() as u64),
                metadata: Vec::new(),
                subject: permit.subject().as_str().to_owned(),
            };
            self.time_allowed(permit.tenant()).await?;
            let (judged, passages) = self.try_object(permit, step, facts, bytes.into()).await;
            let mut judged = verdict(judged, step)?;
            if passages.iter().any(|passage| passage.faults > 0) {
                judged.verdict = "failed";
            }
            results.push(judged);
            for passage in passages {
                all.add(passage);
            }
        }
        Ok(tried(step, results, all))
    }

    /// Shows a whole object; what passes is told by size and digest, and its bytes where they changed and are few.
    async fn try_object(
        &self,
        permit: &Permit,
        step: &Step,
        facts: ObjectFacts,
        bytes: Bytes,
    ) -> (Result<Map<String, Value>>, Vec<Passage>) {
        let run = self.on_trial(permit, std::slice::from_ref(step));
        let passed = async {
            let mut inspection = self.guest.object(&run, std::slice::from_ref(step), facts).await?;
            let mut out = Vec::new();
            for piece in self.guest.object_chunk(&run, &mut inspection, bytes.clone()).await? {
                out.extend_from_slice(&piece);
            }
            let passed = self.guest.object_finish(&run, inspection).await?;
            for piece in &passed.rest {
                out.extend_from_slice(piece);
            }
            Ok::<_, crate::guest::objects::Refused>((out, passed.media_type, passed.passages))
        };
        match passed.await {
            Err(refused) => (Err(refused.error), refused.passages),
            Ok((out, media_type, passages)) => {
                let mut values = Map::new();
                if out != bytes {
                    values.insert("size".to_owned(), out.len().into());
                    values.insert("base64".to_owned(), STANDARD.encode(&out).into());
                }
                if let Some(media_type) = media_type {
                    values.insert("mediaType".to_owned(), media_type.into());
                }
                (Ok(values), passages)
            }
        }
    }
}

fn named(version: &VersionRow) -> Result<(i32, Digest)> {
    let digest = Digest::from_slice(&version.digest).ok_or_else(|| Error::internal("a digest of another length"))?;
    Ok((version.version, digest))
}

/// A document as a sample.
#[derive(serde::Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct DocumentSample {
    kind: String,
    operation: Option<Operation>,
    id: Option<String>,
    body: Map<String, Value>,
}

/// An object as a sample.
#[derive(serde::Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct ObjectSample {
    bucket: Option<String>,
    object_name: String,
    media_type: Option<String>,
    base64: String,
}

fn form<T: serde::de::DeserializeOwned>(sample: &Value, index: usize) -> Result<T> {
    serde_path_to_error::deserialize(sample).map_err(|error| {
        let path = format!("/samples/{index}/{}", error.path().to_string().replace('.', "/"));
        Error::malformed(format!("Sample {index} is not one: {}.", error.inner())).at(path, error.inner().to_string())
    })
}

fn object(body: Value) -> Map<String, Value> {
    if let Value::Object(body) = body { body } else { Map::new() }
}

/// A verdict about one document or object: what became of it, empty where it passes as it is. What could not be judged at all is an error.
fn verdict(judged: Result<Map<String, Value>>, step: &Step) -> Result<Judged> {
    match judged {
        Ok(values) => {
            let verdict = if values.is_empty() { "accept" } else { "replace" };
            Ok(Judged { verdict, reason: None, by: None, values, units: Map::new() })
        }
        Err(error) if error.kind() == Kind::Refused => {
            let problem = |detail: &Detail| {
                if detail.path.is_empty() { detail.message.clone() } else { format!("{}: {}", detail.path, detail.message) }
            };
            let reasons: Vec<String> = error.details().iter().map(problem).collect();
            let by = Some(step.name.to_string());
            Ok(Judged { verdict: "reject", reason: Some(reasons.join("; ")), by, values: Map::new(), units: Map::new() })
        }
        Err(error) => Err(error),
    }
}

fn micros(took: Duration) -> u64 {
    u64::try_from(took.as_micros()).unwrap_or(u64::MAX)
}

fn tried(step: &Step, results: Vec<Judged>, all: Passage) -> Tried {
    Tried {
        version: step.version,
        results,
        calls: all.calls,
        micros: micros(all.took),
        peak_memory_bytes: all.peak_memory_bytes as u64,
        dropped_lines: all.log.dropped,
        log: all.log.lines,
        fault: all.fault,
    }
}
