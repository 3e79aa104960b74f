//! Samples: readings that somebody made up, judged as live ones are. A version's tests, the cases in a module and `weir validator test`
//! all run here.

use std::sync::Arc;

use bytes::Bytes;
use chrono::{DateTime, Utc};

use crate::batch::{Batch, Source};
use crate::cases::Case;
use crate::error::Result;
use crate::guest::passage::Passage;
use crate::guest::{Engine, Run};
use crate::rules::Step;
use crate::schema::decode::{Collector, Fault};

/// What became of a sample.
#[derive(Clone, Debug)]
pub enum End {
    /// It was judged: its batch, and its place in it.
    Judged(Arc<Batch>, u32),
    /// It is no reading.
    Unreadable(Fault),
}

/// Shows readings to one validator as one request would; what became of each, in their order, and what the module did.
pub async fn judge(
    engine: &Engine,
    run: &Run<'_>,
    step: &Step,
    samples: &[Bytes],
    now: DateTime<Utc>,
) -> Result<(Vec<End>, Passage)> {
    let mut collector = Collector::new(now);
    let lost = || Fault { path: String::new(), message: "it was lost".to_owned() };
    let mut ends: Vec<End> = Vec::with_capacity(samples.len());
    for (index, sample) in (0_u64..).zip(samples) {
        ends.push(End::Unreadable(collector.add(sample, index).err().unwrap_or_else(lost)));
    }
    let mut all = Passage::default();
    for batch in collector.finish() {
        let judgement = engine.run(run, std::slice::from_ref(step), batch).await?;
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
    Ok((ends, all))
}

/// Where a case differs from what became of its readings, a line each.
pub fn differences(case: &Case, ends: &[End]) -> Vec<String> {
    let each = case.expect.iter().zip(ends).enumerate();
    let difference = |(at, (expected, end)): (usize, (&crate::cases::Expectation, &End))| {
        let different = match end {
            End::Unreadable(why) => Some(format!("it is no reading: {why}")),
            End::Judged(batch, reading) => expected.difference(batch, *reading),
        };
        different.map(|different| format!("reading {at}: {different}"))
    };
    each.filter_map(difference).collect()
}
