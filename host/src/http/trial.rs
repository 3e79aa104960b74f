//! `/api/platform/validators/{id}/test`, `/replay` and `/stats`: evidence about versions.

use axum::extract::State;
use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;
use utoipa::openapi::schema::Type;
use uuid::Uuid;

use super::App;
use super::input::{Json, Path};
use super::reply::{Envelope, ErrorBody, Page, Reply, created, ok, page};
use crate::batch::compare::Judged;
use crate::error::Error;
use crate::forms::{whole, whole_if_any};
use crate::gate::trial::{FaultReport, Line, ReplayRow, ReplaySource, Replayed, Samples, Tried};
use crate::gate::validators::{NoteRow, Stats, StatsRow};
use crate::model::Caller;
use crate::terms::Way;
use crate::times::rfc3339;

/// What to try a version on.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TestForm {
    /// The active one where it is not given.
    #[serde(default, deserialize_with = "whole_if_any")]
    version: Option<i32>,
    /// A configuration to try in place of the validator's.
    #[schema(value_type = Option<Object>)]
    config: Option<Value>,
    /// Readings, as they are sent; of a validator of documents `{kind, operation?, id?, subject?, body}`, without a `body` where the
    /// operation is `delete`; of objects `{objectName, text or base64, bucket?, mediaType?, subject?}`. The same forms stand in cases.
    #[schema(value_type = Vec<Object>, min_items = 1, max_items = 1000)]
    samples: Vec<Value>,
}

/// What became of the samples. Nothing was stored.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Test {
    version: i32,
    /// For each sample, in their order.
    results: Vec<Outcome>,
    logs: Vec<LogLine>,
    /// Log lines beyond the bounds.
    dropped_lines: u64,
    /// Calls of the module; more than one where it failed and parts were tried.
    calls: u32,
    /// Time in the module, in microseconds.
    micros: u64,
    /// Linear memory at its largest.
    peak_memory_bytes: u64,
    /// The last fault, where there was one.
    fault: Option<Fault>,
}

/// What became of a sample.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = SampleVerdict)]
pub struct Outcome {
    /// `accept`, `suspect`, `replace`, `reject`, or `failed` where the module did.
    verdict: &'static str,
    reason: Option<String>,
    /// Its values as they would be stored; of a document what it is replaced with; of an object `size` and `base64` of other bytes and
    /// another `mediaType`; empty where it is refused.
    #[schema(value_type = Object)]
    values: Map<String, Value>,
    /// The units of those that have one.
    #[schema(value_type = Object)]
    units: Map<String, Value>,
}

impl From<Judged> for Outcome {
    fn from(judged: Judged) -> Self {
        Self { verdict: judged.verdict, reason: judged.reason, values: judged.values, units: judged.units }
    }
}

/// A line of a module's log.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct LogLine {
    /// `debug`, `info`, `warn` or `error`.
    level: &'static str,
    message: String,
}

impl From<Line> for LogLine {
    fn from(line: Line) -> Self {
        Self { level: line.level.as_str(), message: line.message }
    }
}

/// How a call failed.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Fault {
    reason: String,
    /// The module's functions, the innermost first.
    backtrace: Vec<String>,
}

impl From<FaultReport> for Fault {
    fn from(fault: FaultReport) -> Self {
        Self { reason: fault.reason, backtrace: fault.backtrace }
    }
}

impl From<Tried> for Test {
    fn from(tried: Tried) -> Self {
        Self {
            version: tried.version,
            results: tried.results.into_iter().map(Into::into).collect(),
            logs: tried.log.into_iter().map(Into::into).collect(),
            dropped_lines: tried.dropped_lines,
            calls: tried.calls,
            micros: tried.micros,
            peak_memory_bytes: tried.peak_memory_bytes,
            fault: tried.fault.map(Into::into),
        }
    }
}

/// Try a version on samples. It runs as it would on live data, and nothing is stored.
#[utoipa::path(post, path = "/validators/{id}/test", tag = "validators", params(("id" = Uuid, Path)), request_body = TestForm,
    responses((status = 200, body = Envelope<Test>), (status = "4XX", body = ErrorBody)))]
pub(super) async fn test(
    caller: Caller,
    State(app): State<App>,
    Path(id): Path<Uuid>,
    Json(form): Json<TestForm>,
) -> Reply<Test> {
    let TestForm { version, config, samples } = form;
    ok(app.gate.validator_test(&caller, id, &Samples { version, config, samples }).await?.into())
}

/// What a version is to be replayed over.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(as = ValidatorReplay)]
pub struct ReplayForm {
    #[serde(deserialize_with = "whole")]
    version: i32,
    /// The version that it is compared with; the active one where it is not given.
    #[serde(default, deserialize_with = "whole_if_any")]
    against: Option<i32>,
    /// `readings` where it is not given.
    source: Option<ReplaySource>,
    /// All topics whose chain has the validator, where it is not given.
    topic: Option<String>,
    /// The last so many hours, in place of `from` and `to`.
    #[serde(default, deserialize_with = "whole_if_any")]
    hours: Option<u32>,
    from: Option<DateTime<Utc>>,
    to: Option<DateTime<Utc>>,
}

impl ReplayForm {
    /// The times are said or counted back from now.
    pub(super) const WAYS: [Way<'static>; 2] = [
        Way { with: &[("hours", &[Type::Integer])], without: &["from", "to"] },
        Way { with: &[("from", &[Type::String])], without: &["hours"] },
    ];
}

/// What a version would have made of what is there already.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ReplayReport {
    id: Uuid,
    version: i32,
    /// The version that it was compared with; null where none was active.
    against: Option<i32>,
    /// True where something was compared, all of it, and nothing differed or failed.
    clean: bool,
    /// Who asked.
    subject: String,
    at: String,
    /// Source and times, `differences` (`compared`, `acceptToReject`, `rejectToAccept`, `changed`, `failed`, `samples`), what both cost, and
    /// `complete`: false where the bounds of one replay left something out.
    #[schema(value_type = Object)]
    report: Value,
}

impl From<ReplayRow> for ReplayReport {
    fn from(row: ReplayRow) -> Self {
        let ReplayRow { id, version, against, clean, subject, report, .. } = row;
        Self { id, version, against, clean, subject, at: rfc3339(row.at), report }
    }
}

/// Let a version judge what is stored, or what is kept in quarantine, beside the version that it is to replace.
#[utoipa::path(post, path = "/validators/{id}/replay", tag = "validators", params(("id" = Uuid, Path)), request_body = ReplayForm,
    responses((status = 201, body = Envelope<ReplayReport>), (status = "4XX", body = ErrorBody)))]
pub(super) async fn replay(
    caller: Caller,
    State(app): State<App>,
    Path(id): Path<Uuid>,
    Json(form): Json<ReplayForm>,
) -> Reply<ReplayReport> {
    let now = app.gate.clock.now();
    let (from, to) = match (form.hours, form.from, form.to) {
        (Some(hours), None, None) => {
            (now.checked_sub_signed(TimeDelta::hours(hours.into())).unwrap_or(DateTime::UNIX_EPOCH), now)
        }
        (None, Some(from), to) => (from, to.unwrap_or(now)),
        _ => {
            let sentence = "Send `hours` (the last so many), or `from` and, if wanted, `to`.";
            return Err(Error::malformed(sentence).at("/hours", "neither or both are given").into());
        }
    };
    let source = form.source.unwrap_or_default();
    let wanted = Replayed { version: form.version, against: form.against, source, topic: form.topic, from, to };
    let row = app.gate.validator_replay(&caller, id, &wanted).await?;
    created(&format!("/api/platform/validators/{id}/replays"), row.into())
}

/// List the newest replays.
#[utoipa::path(get, path = "/validators/{id}/replays", tag = "validators", params(("id" = Uuid, Path)),
    responses((status = 200, body = Page<ReplayReport>), (status = "4XX", body = ErrorBody)))]
pub(super) async fn replays(caller: Caller, State(app): State<App>, Path(id): Path<Uuid>) -> Reply<Vec<ReplayReport>> {
    page(app.gate.validator_replays(&caller, id).await?.into_iter().map(Into::into).collect(), None)
}

/// What the versions of a module did with live traffic, summed over the replicas, some seconds old.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct StatsReport {
    active_version: Option<i32>,
    shadow_version: Option<i32>,
    /// The newest first.
    versions: Vec<VersionStats>,
    /// The newest faults, with a backtrace where the module has names.
    last_errors: Vec<Noted>,
    /// The newest lines of its log.
    last_logs: Vec<Noted>,
    /// The newest readings or documents on which the shadow and the active version differed. Of a document it says which one it is and
    /// where the two let different things through, and not what is in it.
    last_differences: Vec<Noted>,
}

/// One version's counts: of readings, documents or objects, except where it says calls.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct VersionStats {
    version: i32,
    calls: i64,
    /// Calls that failed.
    faults: i64,
    /// Batches that it was not shown, since its breaker was open.
    rested: i64,
    accepted: i64,
    replaced: i64,
    rejected: i64,
    /// Not judged, since it failed.
    failed: i64,
    /// Of a call, in microseconds.
    mean_micros: i64,
    /// Calls by their time: bucket i has those below 64 · 2^i microseconds, the last one the rest.
    histogram: Vec<i64>,
    peak_memory_bytes: i64,
    dropped_lines: i64,
    shadow: ShadowStats,
    updated_at: String,
}

/// What a version did in the shadow of others: readings or documents.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ShadowStats {
    compared: i64,
    /// Left out, since too many waited: what is live goes first.
    not_compared: i64,
    accept_to_reject: i64,
    reject_to_accept: i64,
    changed: i64,
}

/// A fault, a line or a difference.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Noted {
    version: i32,
    at: String,
    #[serde(flatten)]
    #[schema(value_type = Object)]
    body: Value,
}

impl From<StatsRow> for VersionStats {
    fn from(row: StatsRow) -> Self {
        let tally = row.tally;
        Self {
            version: row.version,
            calls: tally.calls,
            faults: tally.faults,
            rested: tally.rested,
            accepted: tally.accepted,
            replaced: tally.replaced,
            rejected: tally.rejected,
            failed: tally.failed,
            mean_micros: tally.micros.checked_div(tally.calls).unwrap_or(0),
            histogram: tally.histogram,
            peak_memory_bytes: tally.peak_memory_bytes,
            dropped_lines: tally.dropped_lines,
            shadow: ShadowStats {
                compared: tally.compared,
                not_compared: tally.not_compared,
                accept_to_reject: tally.accept_to_reject,
                reject_to_accept: tally.reject_to_accept,
                changed: tally.changed,
            },
            updated_at: rfc3339(row.updated_at),
        }
    }
}

/// What its versions did with live traffic.
#[utoipa::path(get, path = "/validators/{id}/stats", tag = "validators", params(("id" = Uuid, Path)),
    responses((status = 200, body = Envelope<StatsReport>), (status = "4XX", body = ErrorBody)))]
pub(super) async fn stats(caller: Caller, State(app): State<App>, Path(id): Path<Uuid>) -> Reply<StatsReport> {
    let Stats { validator, versions, notes } = app.gate.validator_stats(&caller, id).await?;
    let noted = |note: NoteRow| Noted { version: note.version, at: rfc3339(note.at), body: note.body };
    let (errors, others): (Vec<_>, Vec<_>) = notes.into_iter().partition(|note| note.kind == "fault");
    let (logs, differences): (Vec<_>, Vec<_>) = others.into_iter().partition(|note| note.kind == "log");
    ok(StatsReport {
        active_version: validator.active_version,
        shadow_version: validator.shadow_version,
        versions: versions.into_iter().map(Into::into).collect(),
        last_errors: errors.into_iter().map(noted).collect(),
        last_logs: logs.into_iter().map(noted).collect(),
        last_differences: differences.into_iter().map(noted).collect(),
    })
}
