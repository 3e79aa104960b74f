//! Samples: readings, documents and objects that somebody made up, judged as live ones are. A version's tests, the cases in a module
//! and `weir validator test` all run here.

use std::slice;
use std::sync::Arc;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use serde_json::{Map, Value};

use super::objects::check_given_type;
use crate::batch::compare::Judged;
use crate::batch::{Batch, Source};
use crate::cases::{self, Case, DocumentSample, Example, ObjectSample, Stored};
use crate::error::{Error, Kind, Result};
use crate::guest::documents::Document;
use crate::guest::objects::{ObjectFacts, Refused};
use crate::guest::passage::Passage;
use crate::guest::{Engine, Judgement, Run};
use crate::model::Target;
use crate::rules::Step;
use crate::schema::decode::{Collector, Fault};

/// What became of a reading.
#[derive(Clone, Debug)]
pub enum End {
    /// It was judged: its batch, and its place in it.
    Judged(Arc<Batch>, u32),
    /// It is no reading.
    Unreadable(Fault),
}

/// Shows readings to one validator as one request would; what became of each, in their order, and what the module did.
pub async fn judge_readings(
    engine: &Engine,
    run: &Run<'_>,
    step: &Step,
    samples: &[Bytes],
    now: DateTime<Utc>,
) -> Result<(Vec<End>, Passage)> {
    let (mut ends, batches) = read(samples, now);
    let mut all = Passage::default();
    for batch in batches {
        settle(&mut ends, &mut all, engine.run(run, slice::from_ref(step), batch).await?);
    }
    Ok((ends, all))
}

/// Reads samples as one request would; what is no reading has its end already.
pub(super) fn read(samples: &[Bytes], now: DateTime<Utc>) -> (Vec<End>, Vec<Batch>) {
    let mut collector = Collector::new(now);
    let lost = || Fault { path: String::new(), message: "it was lost".to_owned() };
    let mut ends: Vec<End> = Vec::with_capacity(samples.len());
    for (index, sample) in (0_u64..).zip(samples) {
        ends.push(End::Unreadable(collector.add(sample, index).err().unwrap_or_else(lost)));
    }
    (ends, collector.finish())
}

/// Puts what became of a batch where its samples are.
pub(super) fn settle(ends: &mut [End], all: &mut Passage, judgement: Judgement) {
    for passage in judgement.passages {
        all.add(passage);
    }
    let judged = Arc::new(judgement.batch);
    for (place, reading) in (0_u32..).zip(judged.readings()) {
        if let Source::Http { index } = reading.source
            && let Some(end) = usize::try_from(index).ok().and_then(|at| ends.get_mut(at))
        {
            *end = End::Judged(Arc::clone(&judged), place);
        }
    }
}

/// Shows a document to one validator; what became of it, and what the module did. `subject` asks where the sample does not say who.
pub async fn judge_document(
    engine: &Engine,
    run: &Run<'_>,
    step: &Step,
    sample: &DocumentSample,
    subject: &str,
) -> Result<(cases::End<Map<String, Value>>, Passage)> {
    let mut passages = Vec::new();
    let body = engine.document(run, slice::from_ref(step), document(sample, subject), &mut passages).await;
    document_ended(sample, body, passages)
}

/// A sample as it would come; `subject` asks where it does not say who.
pub(super) fn document(sample: &DocumentSample, subject: &str) -> Document {
    Document {
        kind: sample.kind.clone(),
        operation: sample.operation,
        subject: sample.subject.clone().unwrap_or_else(|| subject.to_owned()),
        id: sample.id.clone(),
        body: Value::Object(sample.body.clone()),
    }
}

/// What became of a sample, and what was done with it.
pub(super) fn document_ended(
    sample: &DocumentSample,
    body: Result<Value>,
    passages: Vec<Passage>,
) -> Result<(cases::End<Map<String, Value>>, Passage)> {
    let all = sum(passages);
    let end = match body {
        Ok(Value::Object(now)) => cases::End::Passed { changed: now != sample.body, now },
        Ok(_) => return Err(Error::internal("a document is no object any more")),
        Err(error) => ended(&error, &all).ok_or(error)?,
    };
    Ok((end, all))
}

/// What became of a document that a validator was shown; `None` where it could not be judged.
pub(super) fn document_end(body: &Result<Value>, before: &Value, did: Option<&Passage>) -> Option<cases::End<Value>> {
    match body {
        Ok(now) => Some(cases::End::Passed { changed: now != before, now: now.clone() }),
        Err(error) => ended(error, did?),
    }
}

/// Shows a whole object to one validator; what would be stored of it, and what the module did.
pub async fn judge_object(
    engine: &Engine,
    run: &Run<'_>,
    step: &Step,
    sample: &ObjectSample,
    subject: &str,
) -> Result<(cases::End<Stored>, Passage)> {
    let facts = ObjectFacts {
        bucket: sample.bucket.clone(),
        name: sample.object_name.clone(),
        media_type: sample.media_type.clone(),
        size: Some(sample.bytes.len() as u64),
        metadata: Vec::new(),
        subject: sample.subject.clone().unwrap_or_else(|| subject.to_owned()),
    };
    let passed = async {
        let mut inspection = engine.object(run, slice::from_ref(step), facts).await?;
        let mut bytes = Vec::new();
        for piece in engine.object_chunk(run, &mut inspection, sample.bytes.clone()).await? {
            bytes.extend_from_slice(&piece);
        }
        let passed = engine.object_finish(run, inspection).await?;
        for piece in &passed.rest {
            bytes.extend_from_slice(piece);
        }
        if let Some(given) = &passed.media_type
            && let Err(error) = check_given_type(given)
        {
            return Err(Refused { error, passages: passed.passages });
        }
        Ok::<_, Refused>((bytes, passed.media_type, passed.passages))
    };
    match passed.await {
        Ok((bytes, given, passages)) => {
            let now = Stored { bytes: bytes.into(), media_type: given.or_else(|| sample.media_type.clone()) };
            let changed = now.bytes != sample.bytes || now.media_type != sample.media_type;
            Ok((cases::End::Passed { changed, now }, sum(passages)))
        }
        Err(Refused { error, passages }) => {
            let all = sum(passages);
            Ok((ended(&error, &all).ok_or(error)?, all))
        }
    }
}

/// What an error of a module's says of what it was shown; `None` where it says that nothing could be judged.
fn ended<T>(error: &Error, did: &Passage) -> Option<cases::End<T>> {
    if error.kind() != Kind::Refused {
        return None;
    }
    Some(match error.details().first() {
        Some(detail) if did.counts.failed > 0 => cases::End::Failed(detail.message.clone()),
        _ => cases::End::Refused(error.details().to_vec()),
    })
}

/// What became of one document or object: empty where it passes as it is, else what `values` makes of what passes.
pub(super) fn judged<T>(end: cases::End<T>, step: &Step, values: impl FnOnce(T) -> Map<String, Value>) -> Judged {
    let (verdict, reason) = (end.verdict(), end.reason());
    let by = reason.is_some().then(|| step.name.to_string());
    let values = match end {
        cases::End::Passed { changed: true, now } => values(now),
        _ => Map::new(),
    };
    Judged { verdict, reason, by, values, units: Map::new() }
}

fn sum(passages: Vec<Passage>) -> Passage {
    let mut passages = passages.into_iter();
    let mut all = passages.next().unwrap_or_default();
    passages.for_each(|passage| all.add(passage));
    all
}

/// Runs a case in a module that judges `target`, whose `step` has the case's configuration: where what became of it differs from what
/// it expects, a line each, and what the module did.
pub async fn run_case(
    engine: &Engine,
    run: &Run<'_>,
    step: &Step,
    target: Target,
    case: &Case,
    now: DateTime<Utc>,
) -> Result<(Vec<String>, Passage)> {
    if let Some(misplaced) = case.misplaced(target) {
        return Ok((vec![misplaced], Passage::default()));
    }
    match &case.example {
        Example::Readings { readings, expect } => {
            let (ends, passage) = judge_readings(engine, run, step, readings, now).await?;
            let different = expect.iter().zip(&ends).enumerate().filter_map(|(at, (expected, end))| {
                let different = match end {
                    End::Unreadable(why) => Some(format!("it is no reading: {why}")),
                    End::Judged(batch, reading) => expected.difference(batch, *reading),
                };
                different.map(|different| format!("reading {at}: {different}"))
            });
            Ok((different.collect(), passage))
        }
        Example::Document { document, expect } => {
            let (end, passage) = judge_document(engine, run, step, document, cases::SUBJECT).await?;
            Ok((Vec::from_iter(expect.difference(&end)), passage))
        }
        Example::Object { object, expect } => {
            let (end, passage) = judge_object(engine, run, step, object, cases::SUBJECT).await?;
            Ok((Vec::from_iter(expect.difference(&end)), passage))
        }
    }
}
