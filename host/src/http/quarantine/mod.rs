//! `/api/platform/quarantine`: what was kept aside, its causes and its removal; in `replay` its replay.

pub mod replay;

use axum::extract::State;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::App;
use super::input::{Path, Query, cursor, page_of};
use super::readings::form::Moment;
use super::reply::{Envelope, ErrorBody, Page, Reply, no_content, ok, page};
use crate::error::Error;
use crate::gate::quarantine::{Cause, Kept, KeptFilter};
use crate::model::Caller;
use crate::terms;
use crate::times::rfc3339;

/// What refused an entry.
#[derive(Clone, Copy, Debug, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum RefuserKind {
    /// It could not be read.
    Decoder,
    /// The policy denied its sensor.
    Policy,
    /// A JSON Schema.
    Schema,
    /// A WebAssembly module.
    Validator,
    /// The database.
    Store,
}

impl RefuserKind {
    fn as_str(self) -> &'static str {
        match self {
            Self::Decoder => "decoder",
            Self::Policy => "policy",
            Self::Schema => "schema",
            Self::Validator => "validator",
            Self::Store => "store",
        }
    }
}

/// Where an entry is.
#[derive(Clone, Copy, Debug, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum EntryState {
    /// Nobody replayed it.
    Waiting,
    /// A replay took it.
    Replayed,
}

impl EntryState {
    fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Replayed => "replayed",
        }
    }
}

/// Which entries.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query, rename_all = "camelCase")]
pub struct ListQuery {
    /// Of this topic; empty for entries without one.
    topic: Option<String>,
    /// Kept aside at or after this time: RFC 3339, or milliseconds since 1970.
    #[param(value_type = terms::Moment, required = false, inline)]
    from: Option<Moment>,
    /// Kept aside before this time.
    #[param(value_type = terms::Moment, required = false, inline)]
    to: Option<Moment>,
    /// Refused by something of this kind.
    #[param(inline)]
    refuser_kind: Option<RefuserKind>,
    /// Refused by the schema (`room@1`) or validator of this name.
    refuser: Option<String>,
    /// `waiting` where it is not given.
    #[param(inline)]
    state: Option<EntryState>,
    /// How many at most.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<u32>,
    /// The `nextCursor` of the page before.
    #[param(value_type = terms::Cursor, required = false, inline)]
    cursor: Option<String>,
}

/// Which entries, without pages.
#[derive(Debug, Default, Deserialize, IntoParams, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query, rename_all = "camelCase")]
pub struct FilterQuery {
    /// Of this topic; empty for entries without one.
    topic: Option<String>,
    /// Kept aside at or after this time: RFC 3339, or milliseconds since 1970.
    #[param(value_type = terms::Moment, required = false, inline)]
    #[schema(value_type = Option<terms::Moment>)]
    from: Option<Moment>,
    /// Kept aside before this time.
    #[param(value_type = terms::Moment, required = false, inline)]
    #[schema(value_type = Option<terms::Moment>)]
    to: Option<Moment>,
    /// Refused by something of this kind.
    #[param(inline)]
    refuser_kind: Option<RefuserKind>,
    /// Refused by the schema (`room@1`) or validator of this name.
    refuser: Option<String>,
    /// `waiting` or `replayed`.
    #[param(inline)]
    state: Option<EntryState>,
}

impl FilterQuery {
    fn filter(self) -> Result<KeptFilter, Error> {
        let Self { topic, from, to, refuser_kind, refuser, state } = self;
        let (from, to) = (from.map(|Moment(time)| time), to.map(|Moment(time)| time));
        if from.zip(to).is_some_and(|(from, to)| from > to) {
            let sentence = "`from` lies after `to`, so there is nothing between them.";
            return Err(Error::malformed(sentence).at("from", "lies after `to`"));
        }
        if [&topic, &refuser].into_iter().flatten().any(|name| name.contains('\0')) {
            return Err(Error::malformed("A name holds no NUL character."));
        }
        let refuser_kind = refuser_kind.map(|kind| kind.as_str().to_owned());
        Ok(KeptFilter { topic, from, to, refuser_kind, refuser, state: state.map(|state| state.as_str().to_owned()) })
    }
}

/// A reading, or a message that could not be read, that was kept aside.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct EntryBody {
    id: Uuid,
    /// When it was kept aside.
    time: String,
    /// The batch in whose books it stands as quarantined.
    batch_id: Uuid,
    topic: String,
    /// The message's partition, from Kafka.
    partition: Option<i32>,
    /// The message's offset, from Kafka.
    offset: Option<i64>,
    /// The message's key, where it is text.
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<String>,
    /// The message's key in base64, where it is no text.
    #[serde(skip_serializing_if = "Option::is_none")]
    key_base64: Option<String>,
    /// The message's headers: `[name, value in base64 or null]` each.
    #[serde(skip_serializing_if = "Option::is_none")]
    headers: Option<serde_json::Value>,
    /// Its place among the readings of the request or message.
    index: i64,
    /// `decoder`, `policy`, `schema`, `validator` or `store`.
    refuser_kind: String,
    refuser: String,
    reason: String,
    /// A JSON pointer to what is wrong.
    path: Option<String>,
    /// True where the check itself failed: the reading may be good.
    fault: bool,
    /// What the database answered, where it refused.
    sqlstate: Option<String>,
    /// Its bytes as they came, where they are text; in a list, the first kilobyte.
    #[serde(skip_serializing_if = "Option::is_none")]
    raw: Option<String>,
    /// The same in base64, where they are no text.
    #[serde(skip_serializing_if = "Option::is_none")]
    raw_base64: Option<String>,
    /// How many bytes there are.
    raw_bytes: i32,
    /// `waiting` or `replayed`.
    state: String,
    /// Replays that refused it again.
    attempts: i32,
    /// What the last of them said.
    last_attempt: Option<AttemptBody>,
    /// Where it went.
    replayed: Option<ReplayedBody>,
}

/// A replay that refused an entry again.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct AttemptBody {
    time: String,
    refuser_kind: String,
    refuser: String,
    reason: String,
}

/// A replay that took an entry.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ReplayedBody {
    time: String,
    /// The batch in whose books its readings stand.
    batch_id: Uuid,
    /// How many readings it became.
    readings: i64,
    /// `stored` or `duplicate`.
    outcome: String,
}

impl From<Kept> for EntryBody {
    fn from(kept: Kept) -> Self {
        let (raw, raw_base64) = text(kept.raw, kept.raw_bytes);
        let (key, key_base64) = kept.key.map_or((None, None), |key| text(key, i32::MAX));
        Self {
            id: kept.id,
            time: rfc3339(kept.time),
            batch_id: kept.batch,
            topic: kept.topic,
            partition: kept.message.map(|(partition, _)| partition),
            offset: kept.message.map(|(_, offset)| offset),
            key,
            key_base64,
            headers: kept.headers,
            index: kept.index,
            refuser_kind: kept.refuser_kind,
            refuser: kept.refuser,
            reason: kept.reason,
            path: kept.path,
            fault: kept.fault,
            sqlstate: kept.sqlstate,
            raw,
            raw_base64,
            raw_bytes: kept.raw_bytes,
            state: kept.state,
            attempts: kept.attempts,
            last_attempt: kept.last.map(|last| AttemptBody {
                time: rfc3339(last.time),
                refuser_kind: last.refuser_kind,
                refuser: last.refuser,
                reason: last.reason,
            }),
            replayed: kept.replayed.map(|replayed| ReplayedBody {
                time: rfc3339(replayed.time),
                batch_id: replayed.batch,
                readings: replayed.readings,
                outcome: replayed.outcome,
            }),
        }
    }
}

/// Bytes as text, or in base64. Where they were cut, the cut may go through a character.
fn text(bytes: Vec<u8>, whole: i32) -> (Option<String>, Option<String>) {
    let cut = i32::try_from(bytes.len()).is_ok_and(|length| length < whole);
    match String::from_utf8(bytes) {
        Ok(text) => (Some(text), None),
        Err(error) if cut && error.utf8_error().error_len().is_none() => {
            let sound = error.utf8_error().valid_up_to();
            (Some(String::from_utf8_lossy(&error.as_bytes()[..sound]).into_owned()), None)
        }
        Err(error) => (None, Some(BASE64.encode(error.as_bytes()))),
    }
}

/// What was kept aside, newest first.
#[utoipa::path(get, path = "/quarantine", tag = "quarantine", params(ListQuery),
    responses((status = 200, body = Page<EntryBody>), (status = "4XX", body = ErrorBody)))]
pub(super) async fn list(caller: Caller, State(app): State<App>, Query(query): Query<ListQuery>) -> Reply<Vec<EntryBody>> {
    let ListQuery { topic, from, to, refuser_kind, refuser, state, limit, cursor: after } = query;
    let at = page_of(limit, after.as_deref())?;
    let state = state.or(Some(EntryState::Waiting));
    let filter = FilterQuery { topic, from, to, refuser_kind, refuser, state }.filter()?;
    let found = app.gate.quarantine_list(&caller, &filter, &at).await?;
    page(found.items.into_iter().map(Into::into).collect(), found.next.as_deref().map(cursor))
}

/// Entries that were kept aside for the same reason.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct CauseBody {
    topic: String,
    refuser_kind: String,
    refuser: String,
    /// The reason, each number in it as `#`; where the database refused, its SQLSTATE.
    cause: String,
    entries: i64,
    /// When the first was kept aside.
    first: String,
    /// When the last was.
    last: String,
    /// The newest of them.
    example: Uuid,
}

impl From<Cause> for CauseBody {
    fn from(cause: Cause) -> Self {
        let Cause { topic, refuser_kind, refuser, cause, entries, first, last, example } = cause;
        Self { topic, refuser_kind, refuser, cause, entries, first: rfc3339(first), last: rfc3339(last), example }
    }
}

/// What was kept aside, by cause, the most frequent first; entries that wait, unless `state` says otherwise. At most 200.
#[utoipa::path(get, path = "/quarantine/causes", tag = "quarantine", params(FilterQuery),
    responses((status = 200, body = Envelope<Vec<CauseBody>>), (status = "4XX", body = ErrorBody)))]
pub(super) async fn causes(caller: Caller, State(app): State<App>, Query(query): Query<FilterQuery>) -> Reply<Vec<CauseBody>> {
    let query = FilterQuery { state: query.state.or(Some(EntryState::Waiting)), ..query };
    let causes = app.gate.quarantine_causes(&caller, &query.filter()?).await?;
    ok(causes.into_iter().map(Into::into).collect())
}

/// One entry, whole.
#[utoipa::path(get, path = "/quarantine/{id}", tag = "quarantine", params(("id" = Uuid, Path)),
    responses((status = 200, body = Envelope<EntryBody>), (status = "4XX", body = ErrorBody)))]
pub(super) async fn get(caller: Caller, State(app): State<App>, Path(id): Path<Uuid>) -> Reply<EntryBody> {
    ok(app.gate.quarantine_get(&caller, id).await?.into())
}

/// Delete one entry. The books remember that it was there.
#[utoipa::path(delete, path = "/quarantine/{id}", tag = "quarantine", params(("id" = Uuid, Path)),
    responses((status = 204), (status = "4XX", body = ErrorBody)))]
pub(super) async fn discard_one(caller: Caller, State(app): State<App>, Path(id): Path<Uuid>) -> Reply<()> {
    app.gate.quarantine_discard_one(&caller, id).await?;
    no_content()
}

/// What became of a removal by filter.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct DiscardedBody {
    /// How many entries were deleted.
    deleted: u64,
    /// True where the bound of one call, 10,000, left some; ask again.
    more: bool,
}

/// Delete the entries that match, the oldest first; a filter is needed.
#[utoipa::path(delete, path = "/quarantine", tag = "quarantine", params(FilterQuery),
    responses((status = 200, body = Envelope<DiscardedBody>), (status = "4XX", body = ErrorBody)))]
pub(super) async fn discard(caller: Caller, State(app): State<App>, Query(query): Query<FilterQuery>) -> Reply<DiscardedBody> {
    let done = app.gate.quarantine_discard(&caller, &query.filter()?).await?;
    ok(DiscardedBody { deleted: done.entries, more: done.more })
}
