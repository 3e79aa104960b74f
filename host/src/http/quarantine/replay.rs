//! `POST /api/platform/quarantine/replay`: entries pass once more.

use std::collections::BTreeSet;
use std::fmt;

use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa::openapi::schema::Type;
use uuid::Uuid;

use super::{EntryState, FilterQuery};
use crate::error::Error;
use crate::forms::{Object, whole_if_any};
use crate::gate::replay::{Choice, Entry, Outcome, Replay};
use crate::http::App;
use crate::http::input::Json;
use crate::http::reply::{Envelope, ErrorBody, Reply, ok};
use crate::limits;
use crate::model::Caller;
use crate::terms::Way;

/// What to replay: `ids`, or the oldest entries of a `filter`.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(as = QuarantineReplay)]
pub struct ReplayForm {
    /// These entries, 1,000 at most.
    #[schema(min_items = 1, max_items = 1000)]
    ids: Option<Vec<Uuid>>,
    /// Entries that match and wait, the oldest first; `{}` for all.
    #[schema(value_type = Option<FilterQuery>)]
    filter: Option<Object<FilterQuery>>,
    /// How many at most; 100 where it is not given, 1,000 at most.
    #[serde(default, deserialize_with = "whole_if_any")]
    #[schema(minimum = 1, maximum = 1000)]
    limit: Option<u32>,
    /// Validators in place of those of their topics today, in this order, each once; empty for none.
    #[schema(value_type = Option<BTreeSet<Uuid>>, max_items = 16)]
    validator_ids: Option<Vec<Uuid>>,
}

/// What became of a replay.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ReplayBody {
    /// Readings that left quarantine for the store.
    stored: u64,
    /// Of those, the ones that replaced an older value.
    replaced: u64,
    /// Readings that left quarantine because they are in the store already.
    duplicate: u64,
    /// Entries that were refused again and go on waiting.
    refused: u64,
    /// The batches of the replay in the books.
    batch_ids: Vec<Uuid>,
    /// What became of each entry.
    entries: Vec<ReplayEntry>,
    /// True where the bounds of one call left out entries that match; ask again.
    more: bool,
}

/// What became of one entry.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ReplayEntry {
    id: Uuid,
    /// `stored`, `duplicate`, `refused`, `elsewhere` (replayed before or by somebody else), `waiting` (under way elsewhere, or beyond the
    /// bounds of one call) or `missing`.
    outcome: String,
    /// The readings that it became.
    #[serde(skip_serializing_if = "Option::is_none")]
    readings: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    batch_id: Option<Uuid>,
    #[serde(skip_serializing_if = "Option::is_none")]
    refuser: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

impl From<Replay> for ReplayBody {
    fn from(replay: Replay) -> Self {
        let refused = replay.entries.iter().filter(|entry| matches!(entry.outcome, Outcome::Refused(_))).count();
        Self {
            stored: replay.counts.stored,
            replaced: replay.counts.replaced,
            duplicate: replay.counts.duplicate,
            refused: refused as u64,
            batch_ids: replay.batches,
            entries: replay.entries.into_iter().map(Into::into).collect(),
            more: replay.more,
        }
    }
}

impl ReplayBody {
    /// What became of each entry, for the shell: id, outcome and reason.
    pub fn outcomes(&self) -> impl Iterator<Item = (Uuid, String, String)> {
        self.entries.iter().map(|entry| (entry.id, entry.outcome.clone(), entry.reason.clone().unwrap_or_default()))
    }
}

impl fmt::Display for ReplayBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { stored, replaced, duplicate, refused, more, .. } = self;
        write!(
            f,
            "stored {stored} readings ({replaced} replaced older ones), {duplicate} were there already; {refused} entries wait on"
        )?;
        if *more { f.write_str(", and more match") } else { Ok(()) }
    }
}

impl From<Entry> for ReplayEntry {
    fn from(Entry { id, outcome }: Entry) -> Self {
        let bare =
            |outcome: &str| Self { id, outcome: outcome.to_owned(), readings: None, batch_id: None, refuser: None, reason: None };
        match outcome {
            Outcome::Left { how, readings, batch } => Self { readings: Some(readings), batch_id: batch, ..bare(&how) },
            Outcome::Refused(refusal) => {
                let refuser = Some(refusal.by.name().to_owned());
                Self { refuser, reason: Some(refusal.reason), ..bare("refused") }
            }
            Outcome::Elsewhere => bare("elsewhere"),
            Outcome::Waiting => bare("waiting"),
            Outcome::Missing => bare("missing"),
        }
    }
}

impl ReplayForm {
    /// Entries are named or found.
    pub(in crate::http) const WAYS: [Way<'static>; 2] = [
        Way { with: &[("ids", &[Type::Array])], without: &["filter", "limit"] },
        Way { with: &[("filter", &[Type::Object])], without: &["ids"] },
    ];

    fn choice(ids: Option<Vec<Uuid>>, filter: Option<FilterQuery>, limit: Option<u32>) -> Result<Choice, Error> {
        let most = limits::REPLAY_ENTRIES;
        match (ids, filter) {
            (Some(_), None) if limit.is_some() => {
                Err(Error::malformed("`limit` goes with `filter`; `ids` are as many as they are.").at("/limit", "not with `ids`"))
            }
            (Some(ids), None) if ids.is_empty() || ids.len() > most as usize => {
                Err(Error::malformed(format!("Give 1 to {most} `ids`.")).at("/ids", format!("{} are given", ids.len())))
            }
            (Some(mut ids), None) => {
                let mut seen = BTreeSet::new();
                ids.retain(|id| seen.insert(*id));
                Ok(Choice::Ids(ids))
            }
            (None, Some(filter)) => {
                let limit = limit.unwrap_or(limits::PAGE_DEFAULT);
                if limit == 0 || limit > most {
                    return Err(
                        Error::malformed(format!("`limit` lies from 1 to {most}.")).at("/limit", format!("found {limit}"))
                    );
                }
                if matches!(filter.state, Some(EntryState::Replayed)) {
                    let sentence = "What was replayed is not replayed again; leave `state` out.";
                    return Err(Error::malformed(sentence).at("/filter/state", "only what waits"));
                }
                Ok(Choice::Oldest(filter.filter()?, limit))
            }
            _ => Err(Error::malformed("Give either `ids` or `filter`.")),
        }
    }
}

/// Let entries pass decoding, policy, schema and validators once more, as the caller, and store those that pass.
///
/// Each entry leaves quarantine once, however many replay it at the same time. What is refused again stays, with the new reason.
#[utoipa::path(post, path = "/quarantine/replay", tag = "quarantine", request_body = ReplayForm,
    responses((status = 200, body = Envelope<ReplayBody>), (status = "4XX", body = ErrorBody)))]
pub(in crate::http) async fn replay(caller: Caller, State(app): State<App>, Json(form): Json<ReplayForm>) -> Reply<ReplayBody> {
    let ReplayForm { ids, filter, limit, validator_ids } = form;
    let choice = ReplayForm::choice(ids, filter.map(|Object(filter)| filter), limit)?;
    ok(app.gate.quarantine_replay(&caller, &choice, validator_ids.as_deref()).await?.into())
}
