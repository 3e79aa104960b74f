//! `weir validator test`: a component in the engine that serves traffic, within the same limits.
//!
//! [`Bench`] is the only part that calls the engine: it takes readings and a configuration and gives what became of each.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use parking_lot::Mutex;
use serde_json::value::RawValue;
use uuid::Uuid;

use super::Failure;
use crate::batch::Verdict;
use crate::cases;
use crate::commands::print_line;
use crate::error::Result;
use crate::gate::samples::{self, End};
use crate::guest::passage::Passage;
use crate::guest::{Claim, CodeCache, Engine, LastValue, LastValues, ModuleFacts, Options, Run};
use crate::limits;
use crate::model::{Clock as _, ErrorStrategy, SystemClock, Tenant};
use crate::rules::{Digest, Step, StepBounds};
use crate::settings::LogFormat;
use crate::vitals::Vitals;

/// Runs a component's cases, and the samples of a file; the exit code is 0 where all cases passed.
pub(super) async fn run(component: Vec<u8>, config: String, samples: Option<&Path>) -> Result<ExitCode, Failure> {
    // What the module logs is shown as it comes.
    crate::commands::log(LogFormat::Text);
    let cases = cases::of(&component)?;
    let samples = samples.map(read_samples).transpose()?;
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
    if cases.is_empty() && samples.is_none() {
        return Err(Failure("there is nothing to run: write cases.json and build again, or give --samples FILE".to_owned()));
    }
    let mut failed = 0;
    for case in &cases {
        let run = bench.run(&case.readings, &case.config).await?;
        let differences = samples::differences(case, &run.ends);
        failed += usize::from(!differences.is_empty());
        let word = if differences.is_empty() { "ok  " } else { "FAIL" };
        print_line(&format!("{word}  {}  ({} readings, {})", case.name, case.readings.len(), run.took()))?;
        for difference in differences {
            print_line(&format!("      {difference}"))?;
        }
    }
    if !cases.is_empty() {
        print_line(&format!("{} of {} cases passed", cases.len() - failed, cases.len()))?;
    }
    if let Some(samples) = samples {
        let run = bench.run(&samples, &config).await?;
        for (at, end) in run.ends.iter().enumerate() {
            print_line(&format!("{at}  {}", describe(end)))?;
        }
        print_line(&format!("{} samples in {}", samples.len(), run.took()))?;
    }
    Ok(if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// A component that is ready to run.
struct Bench {
    engine: Engine,
    facts: ModuleFacts,
    tenant: Tenant,
}

/// What one run gave.
struct Done {
    /// What became of each reading, in their order.
    ends: Vec<End>,
    passage: Passage,
}

impl Done {
    fn took(&self) -> String {
        let Passage { took, peak_memory_bytes, .. } = &self.passage;
        format!("{:.1} ms, peak memory {} KiB", took.as_secs_f64() * 1_000.0, peak_memory_bytes >> 10)
    }
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

    /// Shows readings to the module as one request would.
    async fn run(&self, readings: &[Bytes], config: &str) -> Result<Done, Failure> {
        let step = Step {
            validator: Uuid::nil(),
            name: "validator".into(),
            version: 1,
            digest: self.facts.digest,
            config: config.into(),
            strategy: ErrorStrategy::Reject,
            bounds: StepBounds::default(),
            lookup: true,
            shadow: None,
        };
        let run = Run { tenant: &self.tenant, lookup: Some(Arc::new(NothingStored)), live: false, spent: Arc::new(|_| {}) };
        let (ends, passage) = samples::judge(&self.engine, &run, &step, readings, SystemClock.now()).await?;
        passage.write_log(&self.tenant);
        Ok(Done { ends, passage })
    }
}

/// The line of a sample.
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

/// Readings of a file: an array of them, or one a line.
fn read_samples(path: &Path) -> Result<Vec<Bytes>, Failure> {
    let unreadable = |error: &dyn std::fmt::Display| Failure(format!("{} cannot be read: {error}", path.display()));
    let text = std::fs::read_to_string(path).map_err(|error| unreadable(&error))?;
    if !text.trim_start().starts_with('[') {
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
        return Ok(lines.map(|line| Bytes::from(line.to_owned())).collect());
    }
    let readings: Vec<&RawValue> = serde_json::from_str(&text).map_err(|error| unreadable(&error))?;
    Ok(readings.into_iter().map(|reading| Bytes::from(reading.get().to_owned())).collect())
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
