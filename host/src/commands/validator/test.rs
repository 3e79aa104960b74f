//! `weir validator test`: a component in the engine that serves traffic, within the same limits.
//!
//! [`Bench`] is the only part that calls the engine; how a case or a sample is shown to it is the gate's business, as it is at an upload.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use parking_lot::Mutex;
use serde_json::value::RawValue;
use serde_json::{Map, Value};
use uuid::Uuid;

use super::Failure;
use crate::batch::Verdict;
use crate::cases::{self, DocumentSample, ObjectSample, Stored};
use crate::commands::print_line;
use crate::error::Result;
use crate::gate::samples::{self, End};
use crate::guest::passage::Passage;
use crate::guest::{Claim, CodeCache, Engine, LastValue, LastValues, ModuleFacts, Options, Run};
use crate::limits;
use crate::model::{Clock as _, ErrorStrategy, SystemClock, Target, Tenant};
use crate::rules::{Digest, Step, StepBounds};
use crate::settings::LogFormat;
use crate::vitals::Vitals;

/// Runs a component's cases, and the samples of files; the exit code is 0 where all cases passed.
pub(super) async fn run(component: Vec<u8>, config: String, samples: &[PathBuf]) -> Result<ExitCode, Failure> {
    // What the module logs is shown as it comes.
    crate::commands::log(LogFormat::Text);
    let cases = cases::of(&component)?;
    check_config(&config)?;
    let started = Instant::now();
    let bench = Bench::new(component.into()).await?;
    let facts = &bench.facts;
    print_line(&format!(
        "{} of interface {}: {} KiB, compiled in {} ms",
        facts.world,
        facts.version,
        facts.size >> 10,
        started.elapsed().as_millis()
    ))?;
    if cases.is_empty() && samples.is_empty() {
        return Err(Failure("there is nothing to run: write cases.json and build again, or give --samples FILE".to_owned()));
    }
    let samples = read_samples(samples, facts.target)?;
    let mut failed = 0;
    for case in &cases {
        let step = bench.step(&case.config);
        let now = SystemClock.now();
        let (differences, passage) = samples::run_case(&bench.engine, &bench.trial(), &step, facts.target, case, now).await?;
        passage.write_log(&bench.tenant);
        failed += usize::from(!differences.is_empty());
        let word = if differences.is_empty() { "ok  " } else { "FAIL" };
        print_line(&format!("{word}  {}  ({}, {})", case.name, case.example, took(&passage)))?;
        for difference in differences {
            print_line(&format!("      {difference}"))?;
        }
    }
    if !cases.is_empty() {
        print_line(&format!("{} of {} cases passed", cases.len() - failed, cases.len()))?;
    }
    if let Some(samples) = samples {
        let (lines, passage) = bench.show(&samples, &config).await?;
        passage.write_log(&bench.tenant);
        for (at, line) in lines.iter().enumerate() {
            print_line(&format!("{at}  {line}"))?;
        }
        print_line(&format!("{} samples in {}", lines.len(), took(&passage)))?;
    }
    Ok(if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn took(passage: &Passage) -> String {
    let Passage { took, peak_memory_bytes, .. } = passage;
    format!("{:.1} ms, peak memory {} KiB", took.as_secs_f64() * 1_000.0, peak_memory_bytes >> 10)
}

/// Samples of what the module judges.
enum Samples {
    Readings(Vec<Bytes>),
    /// Each a document, or why it is none.
    Documents(Vec<Result<DocumentSample, String>>),
    Objects(Vec<ObjectSample>),
}

/// A component that is ready to run.
struct Bench {
    engine: Engine,
    facts: ModuleFacts,
    tenant: Tenant,
}

/// There is nothing stored on a developer's machine.
struct NothingStored;

impl LastValues for NothingStored {
    fn latest<'a>(&'a self, of: &'a [(String, String)]) -> BoxFuture<'a, Result<Vec<Option<LastValue>>>> {
        Box::pin(async move { Ok(vec![None; of.len()]) })
    }
}

impl Bench {
    async fn new(component: Bytes) -> Result<Self, Failure> {
        // A developer waits for a module of his own, on a machine of his own.
        let options = Options { compile_time: limits::PUSH_TIME, ..Options::default() };
        let engine = Engine::new(&options, Arc::new(Kept::default()), Arc::new(Vitals::new()))?;
        let tenant = Tenant::parse("test")?;
        let facts = engine.inspect(&tenant, component).await?;
        Ok(Self { engine, facts, tenant })
    }

    /// The module's place in a chain.
    fn step(&self, config: &str) -> Step {
        Step {
            validator: Uuid::nil(),
            name: "validator".into(),
            version: 1,
            digest: self.facts.digest,
            config: config.into(),
            strategy: ErrorStrategy::Reject,
            bounds: StepBounds::default(),
            lookup: true,
            schema: None,
            shadow: None,
        }
    }

    fn trial(&self) -> Run<'_> {
        Run { tenant: &self.tenant, lookup: Some(Arc::new(NothingStored)), live: false, spent: Arc::new(|_| {}) }
    }

    /// Shows samples to the module: readings together, as one request would, documents and objects one after the other. A line for each.
    async fn show(&self, samples: &Samples, config: &str) -> Result<(Vec<String>, Passage), Failure> {
        let (step, run) = (self.step(config), self.trial());
        let (mut lines, mut all) = (Vec::new(), Passage::default());
        match samples {
            Samples::Readings(readings) => {
                let (ends, passage) = samples::judge_readings(&self.engine, &run, &step, readings, SystemClock.now()).await?;
                lines.extend(ends.iter().map(describe));
                all = passage;
            }
            Samples::Documents(documents) => {
                for document in documents {
                    let document = match document {
                        Ok(document) => document,
                        Err(why) => {
                            lines.push(format!("no document: {why}"));
                            continue;
                        }
                    };
                    let (end, passage) = samples::judge_document(&self.engine, &run, &step, document, cases::SUBJECT).await?;
                    lines.push(describe_whole(&end, |body: &Map<String, Value>| Value::Object(body.clone()).to_string()));
                    all.add(passage);
                }
            }
            Samples::Objects(objects) => {
                for object in objects {
                    let (end, passage) = samples::judge_object(&self.engine, &run, &step, object, cases::SUBJECT).await?;
                    let line = describe_whole(&end, |Stored { bytes, media_type }: &Stored| {
                        let media_type = media_type.as_deref().map(|media_type| format!(", {media_type}")).unwrap_or_default();
                        format!("{} bytes, sha256 {}{media_type}", bytes.len(), Digest::of(bytes))
                    });
                    lines.push(format!("{line}  ({})", object.object_name));
                    all.add(passage);
                }
            }
        }
        Ok((lines, all))
    }
}

/// The line of a document or an object.
fn describe_whole<T>(end: &cases::End<T>, shown: impl FnOnce(&T) -> String) -> String {
    let what = match end {
        cases::End::Passed { now, .. } => shown(now),
        _ => end.reason().unwrap_or_default(),
    };
    format!("{:<8} {what}", end.verdict())
}

/// The line of a reading.
fn describe(end: &End) -> String {
    let (batch, reading) = match end {
        End::Unreadable(why) => return format!("no reading: {why}"),
        End::Judged(batch, reading) => (batch, *reading),
    };
    let mut line = match &batch.readings()[reading as usize].verdict {
        Verdict::Refused(refusal) => return format!("reject   {}", refusal.reason),
        Verdict::Accepted => "accept  ".to_owned(),
        Verdict::Suspect => "suspect ".to_owned(),
    };
    for (metric, value) in cases::values_of(batch, reading) {
        let _ = write!(line, " {metric}={}", cases::Shown(&value));
    }
    line
}

fn check_config(config: &str) -> Result<(), Failure> {
    serde_json::from_str::<serde_json::Map<String, serde_json::Value>>(config)
        .map(drop)
        .map_err(|error| Failure(format!("--config is no JSON object: {error}")))
}

/// The samples of files; none where no file is given.
fn read_samples(files: &[PathBuf], target: Target) -> Result<Option<Samples>, Failure> {
    if files.is_empty() {
        return Ok(None);
    }
    let samples = match target {
        Target::Readings => Samples::Readings(read_lists(files)?),
        Target::Documents => Samples::Documents(read_lists(files)?.iter().map(|document| read_document(document)).collect()),
        Target::Objects => Samples::Objects(files.iter().map(|file| read_object(file)).collect::<Result<_, _>>()?),
    };
    Ok(Some(samples))
}

/// What is in files, each of which has a JSON array or one piece of JSON a line.
fn read_lists(files: &[PathBuf]) -> Result<Vec<Bytes>, Failure> {
    let mut all = Vec::new();
    for path in files {
        let text = std::fs::read_to_string(path).map_err(|error| unreadable(path, &error))?;
        if text.trim_start().starts_with('[') {
            let listed: Vec<&RawValue> = serde_json::from_str(&text).map_err(|error| unreadable(path, &error))?;
            all.extend(listed.into_iter().map(|one| Bytes::from(one.get().to_owned())));
        } else {
            let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
            all.extend(lines.map(|line| Bytes::from(line.to_owned())));
        }
    }
    Ok(all)
}

fn read_document(json: &[u8]) -> Result<DocumentSample, String> {
    serde_path_to_error::deserialize(&mut serde_json::Deserializer::from_slice(json)).map_err(|error| {
        let place = cases::pointer(error.path());
        let at = if place.is_empty() { String::new() } else { format!("at {place}: ") };
        format!("{at}{}", error.into_inner())
    })
}

/// A file as an object of its name, by a sender who says nothing of its media type.
fn read_object(path: &Path) -> Result<ObjectSample, Failure> {
    let bytes = std::fs::read(path).map_err(|error| unreadable(path, &error))?;
    let object_name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    Ok(ObjectSample { bucket: "bucket".to_owned(), object_name, media_type: None, subject: None, bytes: bytes.into() })
}

fn unreadable(path: &Path, error: &dyn std::fmt::Display) -> Failure {
    Failure(format!("{} cannot be read: {error}", path.display()))
}

/// Compiled code for as long as the command runs.
#[derive(Default)]
struct Kept(Mutex<HashMap<Digest, (Bytes, Bytes)>>);

impl CodeCache for Kept {
    fn fetch<'a>(&'a self, digest: Digest, _: &'a str) -> BoxFuture<'a, Result<Option<Bytes>>> {
        Box::pin(async move { Ok(self.0.lock().get(&digest).map(|(_, code)| code.clone())) })
    }

    fn keep<'a>(&'a self, digest: Digest, _: &'a str, component: Bytes, code: Bytes) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move {
            self.0.lock().insert(digest, (component, code));
            Ok(())
        })
    }

    fn claim<'a>(&'a self, _: Digest, _: &'a str) -> BoxFuture<'a, Result<Option<Claim>>> {
        Box::pin(async { Ok(Some(Box::new(()) as Claim)) })
    }

    fn component(&self, digest: Digest) -> BoxFuture<'_, Result<Option<Bytes>>> {
        Box::pin(async move { Ok(self.0.lock().get(&digest).map(|(component, _)| component.clone())) })
    }
}
