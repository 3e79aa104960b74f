//! What was kept aside, once more through the straight line: decode → policy → JSON Schema → guests → store, as the caller.
//!
//! An entry leaves quarantine once and whole, in the transaction that stores its readings. What is refused again goes on waiting, with
//! the new reason; a denied sensor is refused by reading, and so is a topic that is denied or gone.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;
use uuid::Uuid;

use super::Gate;
use super::quarantine::all;
use super::readings::AdmitError;
use crate::batch::{Batch, Fate, Refusal, Refuser, Source};
use crate::error::{Error, Kind, Result};
use crate::ledger::{Counts, Origin};
use crate::limits;
use crate::model::{Action, Caller, ErrorStrategy, Resource};
use crate::policy::Permit;
use crate::rules::Step;
use crate::schema::decode::{Decoder, Format};
use crate::timescale::{Chosen, Kept, KeptFilter, Part, WriteError};

/// Which entries to replay.
#[derive(Clone, Debug)]
pub enum Choice {
    /// These.
    Ids(Vec<Uuid>),
    /// The oldest that wait and match, so many.
    Oldest(KeptFilter, u32),
}

/// What became of a replay.
#[derive(Clone, Debug, Default)]
pub struct Replay {
    /// The readings that left quarantine: those and no others stand in the books of the replay.
    pub counts: Counts,
    /// The batches of the replay.
    pub batches: Vec<Uuid>,
    /// What became of each entry, in the order of the choice.
    pub entries: Vec<Entry>,
    /// True where the bounds of one call left out entries that match.
    pub more: bool,
}

/// What became of one entry.
#[derive(Clone, Debug)]
pub struct Entry {
    /// The entry.
    pub id: Uuid,
    /// What happened.
    pub outcome: Outcome,
}

/// What a replay does with an entry.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// It left quarantine.
    Left {
        /// `stored` or `duplicate`.
        how: String,
        /// The readings that it became.
        readings: i64,
        /// The batch that they stand in.
        batch: Option<Uuid>,
    },
    /// It was refused again and goes on waiting.
    Refused(Refusal),
    /// It was replayed before, or by somebody else at the same time.
    Elsewhere,
    /// Somebody else replays it at this moment, or the bounds of one call left it out; it waits.
    Waiting,
    /// There is no such entry.
    Missing,
}

/// Readings of one topic and the entry that each comes from.
struct Group {
    batch: Batch,
    entries: Vec<Uuid>,
}

/// What is known so far.
#[derive(Default)]
struct Progress {
    replay: Replay,
    left: BTreeSet<Uuid>,
    refused: BTreeMap<Uuid, Refusal>,
}

/// An entry on its way through the decoder.
struct Unread {
    id: Uuid,
    source: Source,
    raw: Bytes,
}

impl Gate {
    /// Replays entries, through their topics' chains of today or through the one that is named.
    pub async fn quarantine_replay(&self, caller: &Caller, choice: &Choice, chain: Option<&[Uuid]>) -> Result<Replay> {
        let permit = self.authorise(caller, Action::Write, &all()).await?;
        let Chosen { entries, more } = match choice {
            Choice::Ids(ids) => self.timescale.kept_of(&permit, ids).await?,
            Choice::Oldest(filter, limit) => {
                let filter = KeptFilter { state: Some("waiting".to_owned()), ..filter.clone() };
                self.timescale.kept_oldest(&permit, &filter, *limit).await?
            }
        };
        let waiting: Vec<Kept> = entries.into_iter().filter(|kept| kept.state == "waiting").collect();
        let chosen: Vec<Uuid> = match choice {
            Choice::Ids(ids) => ids.clone(),
            Choice::Oldest(..) => waiting.iter().map(|kept| kept.id).collect(),
        };
        let chain = match chain {
            Some(ids) => Some(self.named_chain(caller, &waiting, ids).await?),
            None => None,
        };
        let mut progress = Progress::default();
        for group in self.decode_entries(caller, waiting).await? {
            self.replay_group(caller, group, chain.as_ref(), &mut progress).await?;
        }
        self.timescale.refused_again(&permit, &progress.refused).await?;
        self.report(&permit, &chosen, more, progress).await
    }

    /// The steps of a chain that is named. To let a topic's readings pass others than its own validators is to change its chain for
    /// them, so it takes the same right.
    async fn named_chain(&self, caller: &Caller, entries: &[Kept], ids: &[Uuid]) -> Result<Arc<[Step]>> {
        if ids.len() > limits::CHAIN_LENGTH {
            return Err(Error::malformed(format!("A chain has at most {} validators.", limits::CHAIN_LENGTH))
                .at("/validatorIds", format!("{} are given", ids.len())));
        }
        let topics: BTreeSet<&str> = entries.iter().map(|kept| kept.topic.as_str()).collect();
        let mut permit = None;
        for topic in topics {
            let resource =
                if topic.is_empty() { Resource::platform("kafka-topics") } else { Resource::platform_one("kafka-topics", topic) };
            permit = Some(self.authorise(caller, Action::Admin, &resource).await?);
        }
        let Some(permit) = permit else { return Ok(Arc::new([])) };
        let steps = self.platform.validator_steps(&permit, ids).await?;
        for (place, id) in ids.iter().enumerate() {
            if ids[..place].contains(id) || !steps.iter().any(|step| step.validator == *id) {
                let what = "is named twice, does not exist, is inactive or has neither module nor schema";
                return Err(Error::malformed(format!("Validator `{id}` {what}.")).at(format!("/validatorIds/{place}"), what));
            }
        }
        Ok(steps.into())
    }

    /// Reads entries once more, in groups by topic and by whether they came as messages or by HTTP, the oldest entry of each first.
    async fn decode_entries(&self, caller: &Caller, entries: Vec<Kept>) -> Result<Vec<Group>> {
        let mut kinds: Vec<(Arc<str>, bool, Vec<Unread>)> = Vec::new();
        for Kept { id, topic, message, index, raw, .. } in entries {
            let kind = (&*topic, message.is_some());
            let at = kinds.iter().position(|(topic, is_message, _)| (&**topic, *is_message) == kind).unwrap_or_else(|| {
                kinds.push((topic.as_str().into(), message.is_some(), Vec::new()));
                kinds.len() - 1
            });
            kinds[at].2.push(Unread { id, source: Source::Http { index: index.cast_unsigned() }, raw: Bytes::from(raw) });
        }
        let now = self.clock.now();
        let mut groups = Vec::with_capacity(kinds.len());
        for (topic, is_message, entries) in kinds {
            // Only messages are written in their topic's format.
            let format = if is_message { self.format_of(caller, &topic, &entries).await? } else { Format::Json };
            // On a thread where it holds nobody up.
            let decode = move || {
                let mut decoder = Decoder::new(&topic, format, now);
                let mut of = Vec::with_capacity(entries.len());
                for Unread { id, source, raw } in entries {
                    decoder.message(raw, source);
                    of.resize(decoder.len(), id);
                }
                Group { batch: decoder.finish(), entries: of }
            };
            groups.push(tokio::task::spawn_blocking(decode).await.map_err(Error::internal)?);
        }
        Ok(groups)
    }

    /// How the entries of a topic are read. Of a topic that is denied or gone the way on says so, for each of them.
    async fn format_of(&self, caller: &Caller, topic: &str, entries: &[Unread]) -> Result<Format> {
        let messages: Vec<Bytes> = entries.iter().map(|entry| entry.raw.clone()).collect();
        match self.message_format(caller, topic, messages).await {
            Err(error) if matches!(error.kind(), Kind::Forbidden | Kind::NotFound) => Ok(Format::Json),
            format => format,
        }
    }

    async fn replay_group(
        &self,
        caller: &Caller,
        group: Group,
        chain: Option<&Arc<[Step]>>,
        progress: &mut Progress,
    ) -> Result<()> {
        let Group { batch, entries } = group;
        let origin = Origin::Replay { entries: entries.clone() };
        let (permit, part) = match self.judge_through(caller, batch, &origin, chain).await {
            Ok(judged) => judged,
            Err(AdmitError::Unjudged(error)) if matches!(error.kind(), Kind::Forbidden | Kind::NotFound) => {
                let by = if error.kind() == Kind::Forbidden { Refuser::Policy } else { Refuser::Decoder };
                let refusal = refusal(by, error.sentence());
                progress.refused.extend(entries.into_iter().map(|id| (id, refusal.clone())));
                return Ok(());
            }
            Err(error) => return Err(error.into()),
        };
        for (entry, fate) in entries.iter().zip(&part.fates) {
            if let Fate::Quarantine(refusal) | Fate::Reject(refusal) = fate {
                progress.refused.entry(*entry).or_insert_with(|| Refusal::clone(refusal));
            }
        }
        let standing: Vec<Uuid> = {
            let mut standing = entries.clone();
            standing.dedup();
            standing.retain(|id| !progress.refused.contains_key(id));
            standing
        };
        // The last of the list is next: halves keep the order in which entries came.
        let mut next = vec![standing];
        while let Some(mut ids) = next.pop() {
            if ids.is_empty() {
                continue;
            }
            match self.replay_part(&permit, only(&part, &entries, &ids), &origin, progress).await {
                Ok(()) => progress.left.extend(ids),
                Err(WriteError::Taken(taken)) => {
                    ids.retain(|id| !taken.contains(id));
                    next.push(ids);
                }
                Err(WriteError::Poison { sqlstate, reason }) if ids.len() == 1 => {
                    progress.refused.insert(ids[0], refusal(Refuser::Store(sqlstate), &reason));
                }
                Err(WriteError::Poison { .. }) => {
                    let later = ids.split_off(ids.len() / 2);
                    next.extend([later, ids]);
                }
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    async fn replay_part(&self, permit: &Permit, part: Part, origin: &Origin, progress: &mut Progress) -> Result<(), WriteError> {
        let prepared = self.timescale.prepare(permit, vec![part], origin).await?;
        let ledger = self.timescale.store(permit, &prepared, origin).await?;
        self.count(permit, origin, &ledger);
        progress.replay.counts.add(&ledger.counts);
        progress.replay.batches.extend(ledger.batches);
        Ok(())
    }

    /// What became of each, as the database has it by now.
    async fn report(&self, permit: &Permit, chosen: &[Uuid], more: bool, progress: Progress) -> Result<Replay> {
        let Progress { mut replay, left, mut refused } = progress;
        let states = self.timescale.kept_states(permit, chosen).await?;
        let outcome = |id: &Uuid| match (states.get(id), refused.remove(id)) {
            (None, _) => Outcome::Missing,
            (Some(state), _) if !state.waiting && left.contains(id) => {
                Outcome::Left { how: state.outcome.clone(), readings: state.readings, batch: state.batch }
            }
            (Some(state), _) if !state.waiting => Outcome::Elsewhere,
            (Some(_), Some(refusal)) => Outcome::Refused(refusal),
            (Some(_), None) => Outcome::Waiting,
        };
        let mut outcome = outcome;
        replay.entries = chosen.iter().map(|id| Entry { id: *id, outcome: outcome(id) }).collect();
        replay.more = more;
        Ok(replay)
    }
}

/// The readings of these entries alone; the others stay where they are.
fn only(part: &Part, entries: &[Uuid], ids: &[Uuid]) -> Part {
    let mut part = part.clone();
    let ids: BTreeSet<&Uuid> = ids.iter().collect();
    for (fate, _) in part.fates.iter_mut().zip(entries).filter(|(_, entry)| !ids.contains(entry)) {
        *fate = Fate::Reject(Box::new(refusal(Refuser::Decoder, "left where it is")));
    }
    part
}

fn refusal(by: Refuser, reason: &str) -> Refusal {
    Refusal { by, reason: reason.to_owned(), path: None, fault: false, strategy: ErrorStrategy::Quarantine }
}
