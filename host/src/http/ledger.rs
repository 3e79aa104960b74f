//! `/api/timescale/ledger`: what became of readings, by topic and partition, and of one message.

use std::collections::BTreeMap;

use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::App;
use super::input::{Path, Query};
use super::readings::form::Moment;
use super::reply::{Envelope, ErrorBody, Reply, ok};
use crate::error::{Error, Kind};
use crate::gate::ledger::{Booked, BooksFilter, Sums, Trace};
use crate::ledger::Counts;
use crate::model::Caller;
use crate::terms;
use crate::times::rfc3339;

/// Which books.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query, rename_all = "camelCase")]
pub struct BooksQuery {
    /// Of this topic; empty for readings without one.
    topic: Option<String>,
    /// Of this partition.
    partition: Option<i32>,
    /// Batches that were entered at or after this time: RFC 3339, or milliseconds since 1970.
    #[param(value_type = terms::Moment, required = false, inline)]
    from: Option<Moment>,
    /// Batches that were entered before this time.
    #[param(value_type = terms::Moment, required = false, inline)]
    to: Option<Moment>,
}

/// What became of readings: `read = stored + duplicate + quarantined + skipped`.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct CountsBody {
    read: u64,
    stored: u64,
    /// Of those stored, the ones that replaced an older value.
    replaced: u64,
    duplicate: u64,
    quarantined: u64,
    skipped: u64,
    /// Skipped readings by the name of what refused them.
    skipped_by: BTreeMap<String, u64>,
    /// Rows that were written.
    rows: u64,
    /// Whether `read = stored + duplicate + quarantined + skipped`.
    balanced: bool,
}

impl CountsBody {
    fn new(counts: &Counts, skipped_by: BTreeMap<String, u64>, rows: u64) -> Self {
        let Counts { read, stored, replaced, duplicate, quarantined, skipped } = *counts;
        Self { read, stored, replaced, duplicate, quarantined, skipped, skipped_by, rows, balanced: counts.balance() }
    }
}

/// The books of a partition, or of what came by HTTP or by replay for one topic.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct LineBody {
    /// `kafka`, `http` or `replay`.
    origin: String,
    topic: String,
    /// Null for what did not come from Kafka.
    partition: Option<i32>,
    cluster: Option<String>,
    consumer_group: Option<String>,
    #[serde(flatten)]
    counts: CountsBody,
    batches: u64,
    /// When the first batch was entered.
    first_time: String,
    /// When the last was.
    last_time: String,
    first_offset: Option<i64>,
    /// One past the last offset.
    next_offset: Option<i64>,
    /// Places where a batch does not begin where the one before ended.
    gaps: u64,
}

/// The books.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct BooksBody {
    lines: Vec<LineBody>,
    /// Over all lines. What a replay stored was quarantined before, so it is read twice.
    totals: CountsBody,
}

/// The books, summed by topic, partition and origin.
#[utoipa::path(get, path = "/ledger", tag = "ledger", params(BooksQuery),
    responses((status = 200, body = Envelope<BooksBody>), (status = "4XX", body = ErrorBody)))]
pub(super) async fn books(caller: Caller, State(app): State<App>, Query(query): Query<BooksQuery>) -> Reply<BooksBody> {
    let BooksQuery { topic, partition, from, to } = query;
    let (from, to) = (from.map(|Moment(time)| time), to.map(|Moment(time)| time));
    if topic.as_ref().is_some_and(|topic| topic.contains('\0')) {
        return Err(Error::malformed("A name holds no NUL character.").into());
    }
    let sums = app.gate.ledger_books(&caller, &BooksFilter { topic, partition, from, to }).await?;
    let (mut counts, mut skipped_by, mut rows) = (Counts::default(), BTreeMap::new(), 0);
    for line in &sums {
        counts.add(&line.counts);
        rows += line.rows;
        for (name, skipped) in &line.skipped_by {
            *skipped_by.entry(name.clone()).or_default() += skipped;
        }
    }
    ok(BooksBody { lines: sums.into_iter().map(Into::into).collect(), totals: CountsBody::new(&counts, skipped_by, rows) })
}

impl From<Sums> for LineBody {
    fn from(sums: Sums) -> Self {
        let (cluster, consumer_group) = sums.log.unzip();
        Self {
            origin: sums.origin,
            topic: sums.topic,
            partition: sums.partition,
            cluster,
            consumer_group,
            counts: CountsBody::new(&sums.counts, sums.skipped_by, sums.rows),
            batches: sums.batches,
            first_time: rfc3339(sums.times.0),
            last_time: rfc3339(sums.times.1),
            first_offset: sums.offsets.map(|(first, _)| first),
            next_offset: sums.offsets.map(|(_, next)| next),
            gaps: sums.gaps,
        }
    }
}

/// The batch that a message was in.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct BatchBody {
    id: Uuid,
    time: String,
    rules_revision: String,
    policy_revision: String,
    subject: String,
    first_offset: i64,
    next_offset: i64,
    #[serde(flatten)]
    counts: CountsBody,
}

/// A reading of the message that was kept aside.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct AsideBody {
    /// Its entry, at `/api/platform/quarantine/{id}`.
    id: Uuid,
    /// `waiting` or `replayed`.
    state: String,
    /// Its place in the message.
    index: i64,
    refuser_kind: String,
    refuser: String,
    reason: String,
    /// `stored` or `duplicate`, where it was replayed.
    outcome: Option<String>,
}

/// What became of one message.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct TraceBody {
    cluster: String,
    consumer_group: String,
    /// Up to where the partition is stored.
    position: i64,
    /// `booked`: a batch covers it. `waiting`: it is not stored yet, or not in Kafka yet. `passedOver`: nothing was read at this offset; it
    /// was not in Kafka's log any more, or holds no message. `unknown`: it lies before everything that was ever read.
    state: String,
    /// What its readings may have become, by the batch's counts: `stored`, `duplicate`, `skipped`, `quarantined`, `deleted` (from
    /// quarantine).
    may_be: Vec<String>,
    /// True where there is one possibility only: the books count by batch, and name the offset of what was kept aside alone.
    certain: bool,
    batch: Option<BatchBody>,
    /// What of it was kept aside.
    quarantined: Vec<AsideBody>,
    /// How much of it was, in all.
    quarantined_count: u64,
}

/// What became of the message at an offset, in the log that moved last.
#[utoipa::path(get, path = "/ledger/offsets/{topic}/{partition}/{offset}", tag = "ledger",
    params(("topic" = String, Path), ("partition" = i32, Path, minimum = 0), ("offset" = i64, Path, minimum = 0)),
    responses((status = 200, body = Envelope<Vec<TraceBody>>), (status = "4XX", body = ErrorBody)))]
pub(super) async fn trace(
    caller: Caller,
    State(app): State<App>,
    Path((topic, partition, offset)): Path<(String, i32, i64)>,
) -> Reply<Vec<TraceBody>> {
    if topic.contains('\0') || offset < 0 || partition < 0 {
        return Err(Error::malformed("A message has a topic, a partition from 0 and an offset from 0.").into());
    }
    let traces = app.gate.ledger_trace(&caller, &topic, partition, offset).await?;
    if traces.is_empty() {
        let sentence = format!("Nothing was ever read from partition {partition} of topic `{topic}` for this tenant.");
        return Err(Error::new(Kind::NotFound, sentence).into());
    }
    ok(traces.into_iter().map(|trace| TraceBody::new(trace, offset)).collect())
}

impl TraceBody {
    fn new(trace: Trace, offset: i64) -> Self {
        let Trace { cluster, group, position, batch, aside, asides, discarded } = trace;
        let state = match &batch {
            Some(batch) if batch.counts.read == 0 => "passedOver",
            Some(_) => "booked",
            None if offset >= position => "waiting",
            None => "unknown",
        };
        let may_be = batch.as_ref().map_or_else(Vec::new, |batch| possible(batch, asides, discarded));
        Self {
            cluster,
            consumer_group: group,
            position,
            state: state.to_owned(),
            certain: may_be.len() == 1,
            may_be: may_be.into_iter().map(str::to_owned).collect(),
            batch: batch.map(|batch| BatchBody {
                id: batch.id,
                time: rfc3339(batch.time),
                rules_revision: batch.rules_revision,
                policy_revision: batch.policy_revision,
                subject: batch.subject,
                first_offset: batch.offsets.0,
                next_offset: batch.offsets.1,
                counts: CountsBody::new(&batch.counts, batch.skipped_by, batch.rows),
            }),
            quarantined: aside
                .into_iter()
                .map(|aside| AsideBody {
                    id: aside.id,
                    state: aside.state,
                    index: aside.index,
                    refuser_kind: aside.refuser_kind,
                    refuser: aside.refuser,
                    reason: aside.reason,
                    outcome: aside.outcome,
                })
                .collect(),
            quarantined_count: asides,
        }
    }
}

/// What can have become of a message's readings: what its batch has any of. A message may hold several, so what was kept aside of it says
/// nothing of the others, except where the whole batch was.
fn possible(batch: &Booked, asides: u64, discarded: u64) -> Vec<&'static str> {
    let Counts { stored, duplicate, skipped, .. } = batch.counts;
    let fates = [
        ("stored", stored > 0),
        ("duplicate", duplicate > 0),
        ("skipped", skipped > 0),
        ("quarantined", asides > 0),
        ("deleted", discarded > 0),
    ];
    fates.into_iter().filter(|(_, may)| *may).map(|(fate, _)| fate).collect()
}
