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
use super::samples;
use super::validators::{check_config, no_validator, one};
use crate::batch::compare::Judged;
use crate::cases::{self, DocumentSample, ObjectSample, Stored};
use crate::error::{Detail, Error, Kind, Result};
use crate::guest::ModuleFacts;
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
        if row.schema_id.is_some() {
            return self.try_schema(&permit, id, samples).await;
        }
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
            schema: None,
            shadow: None,
        })
    }

    /// The same for a validator that is a schema: it has no versions and no configuration.
    async fn try_schema(&self, permit: &Permit, id: Uuid, samples: &Samples) -> Result<Tried> {
        if samples.version.is_some() || samples.config.is_some() {
            let sentence = "This validator is a JSON Schema: it has neither versions nor a configuration to try.";
            return Err(
                Error::malformed(sentence).at(if samples.version.is_some() { "/version" } else { "/config" }, "of a module")
            );
        }
        let steps = self.platform.validator_steps(permit, &[id]).await?;
        let step = steps.first().ok_or_else(|| Error::conflict("This validator is inactive; activate it to try it."))?;
        let row = self.platform.validator_get(permit, id).await?.ok_or_else(|| no_validator(id))?;
        match Target::parse(&row.target).unwrap_or_default() {
            Target::Readings => self.try_readings(permit, step, &samples.samples).await,
            Target::Documents | Target::Objects => self.try_documents(permit, step, &samples.samples).await,
        }
    }

    async fn try_readings(&self, permit: &Permit, step: &Step, samples: &[Value]) -> Result<Tried> {
        self.time_allowed(permit.tenant()).await?;
        let samples: Vec<Bytes> = samples.iter().map(|sample| Bytes::from(sample.to_string())).collect();
        let (mut ends, batches) = samples::read(&samples, self.clock.now());
        let mut passage = Passage::default();
        for batch in batches {
            samples::settle(&mut ends, &mut passage, self.try_chain(permit, std::slice::from_ref(step), batch).await?);
        }
        let result = |(index, end): (usize, samples::End)| match end {
            samples::End::Judged(batch, reading) => Ok(batch.judged().swap_remove(reading as usize)),
            samples::End::Unreadable(fault) => {
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
        if cases.is_empty() {
            return Ok(());
        }
        self.time_allowed(permit.tenant()).await?;
        let mut wrong = Vec::new();
        for (at, case) in cases.iter().enumerate() {
            let config: Value = serde_json::from_str(&case.config).map_err(Error::internal)?;
            let step = self.step_of(permit, row, (0, facts.digest), Some(&config)).await?;
            let run = self.on_trial(permit, std::slice::from_ref(&step));
            let (differences, _) = samples::run_case(&self.guest, &run, &step, facts.target, case, self.clock.now()).await?;
            let path = format!("cases/{at}");
            wrong.extend(differences.into_iter().map(|difference| Detail {
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
        let run = self.on_trial(permit, std::slice::from_ref(step));
        for (index, sample) in samples.iter().enumerate() {
            let sample: DocumentSample = form(sample, index)?;
            self.time_allowed(permit.tenant()).await?;
            let document = samples::document(&sample, permit.subject().as_str());
            let mut passages = Vec::new();
            let body = self.pass_document(&run, step, document, &mut passages).await;
            let (end, passage) = samples::document_ended(&sample, body, passages)?;
            results.push(samples::judged(end, step, |body| body));
            all.add(passage);
        }
        Ok(tried(step, results, all))
    }

    async fn try_objects(&self, permit: &Permit, step: &Step, samples: &[Value]) -> Result<Tried> {
        let mut results = Vec::with_capacity(samples.len());
        let mut all = Passage::default();
        let run = self.on_trial(permit, std::slice::from_ref(step));
        for (index, sample) in samples.iter().enumerate() {
            let sample: ObjectSample = form(sample, index)?;
            self.time_allowed(permit.tenant()).await?;
            let (end, passage) = samples::judge_object(&self.guest, &run, step, &sample, permit.subject().as_str()).await?;
            results.push(samples::judged(end, step, |stored| changes(&sample, stored)));
            all.add(passage);
        }
        Ok(tried(step, results, all))
    }
}

fn named(version: &VersionRow) -> Result<(i32, Digest)> {
    let digest = Digest::from_slice(&version.digest).ok_or_else(|| Error::internal("a digest of another length"))?;
    Ok((version.version, digest))
}

fn form<T: serde::de::DeserializeOwned>(sample: &Value, index: usize) -> Result<T> {
    serde_path_to_error::deserialize(sample).map_err(|error| {
        let path = format!("/samples/{index}{}", cases::pointer(error.path()));
        Error::malformed(format!("Sample {index} is not one: {}.", error.inner())).at(path, error.inner().to_string())
    })
}

/// What is different of an object that passes.
fn changes(sample: &ObjectSample, stored: Stored) -> Map<String, Value> {
    let Stored { bytes, media_type } = stored;
    let mut values = Map::new();
    if bytes != sample.bytes {
        values.insert("size".to_owned(), bytes.len().into());
        values.insert("base64".to_owned(), STANDARD.encode(&bytes).into());
    }
    if media_type != sample.media_type {
        values.insert("mediaType".to_owned(), media_type.into());
    }
    values
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
