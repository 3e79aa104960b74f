//! A version and the one that it is to replace, beside each other over what is there already: stored readings, or quarantine.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use serde_json::json;
use uuid::Uuid;

use super::{micros, named};
use crate::batch::compare::Differences;
use crate::batch::{Batch, BatchBuilder, Reading, Row, Source, Verdict};
use crate::error::{Error, Result};
use crate::gate::Gate;
use crate::gate::validators::{no_validator, one};
use crate::guest::passage::Passage;
use crate::limits;
use crate::model::{Action, Caller, Resource, Target};
pub use crate::platform::validators::record::ReplayRow;
use crate::policy::Permit;
use crate::rules::Step;
use crate::schema::decode::Collector;
use crate::timescale::{Filter, KeptFilter, Order, StoredReading};

/// What a version is to be replayed over.
#[derive(Clone, Debug)]
pub struct Replayed {
    /// The version.
    pub version: i32,
    /// The version that it is compared with; the active one where it is not given.
    pub against: Option<i32>,
    /// Stored readings, or what is kept in quarantine.
    pub source: ReplaySource,
    /// Readings of this topic; of all topics whose chain has the validator, where it is not given.
    pub topic: Option<String>,
    /// From this time on.
    pub from: DateTime<Utc>,
    /// Before this time.
    pub to: DateTime<Utc>,
}

/// Where a replay takes its readings from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum ReplaySource {
    /// The database.
    #[default]
    Readings,
    /// What waits in quarantine and can be read.
    Quarantine,
}

/// What a replay went over.
#[derive(Default)]
struct Course {
    differences: Differences,
    active: Option<Passage>,
    candidate: Option<Passage>,
    /// Entries that cannot be read as readings.
    unreadable: u64,
    complete: bool,
}

impl Gate {
    /// Lets a version and the one that it is compared with judge what is there already, and keeps what came of it.
    pub async fn validator_replay(&self, caller: &Caller, id: Uuid, wanted: &Replayed) -> Result<ReplayRow> {
        let permit = self.authorise(caller, Action::Write, &one(id)).await?;
        // What it tells of readings, its caller must be allowed to read.
        self.authorise(caller, Action::Read, &Resource::sensors()).await?;
        let (row, candidate) = self.version_for(&permit, id, wanted.version).await?;
        if row.target != Target::Readings.as_str() {
            return Err(Error::conflict("Only validators of readings can be replayed; `test` tries any version."));
        }
        let candidate = self.step_of(&permit, &row, named(&candidate)?, None).await?;
        let against = wanted.against.or(row.active_version);
        let active = match against {
            Some(version) => {
                let (row, found) = self.version_for(&permit, id, version).await?;
                Some(self.step_of(&permit, &row, named(&found)?, None).await?)
            }
            None => None,
        };
        let topics = match &wanted.topic {
            Some(topic) => vec![topic.clone()],
            None => self.platform.validator_topics(&permit, id).await?,
        };
        let mut course = Course { complete: true, ..Course::default() };
        let until = Instant::now() + limits::REPLAY_TIME;
        for topic in topics {
            match wanted.source {
                ReplaySource::Readings => {
                    self.replay_stored(&permit, wanted, &topic, (active.as_ref(), &candidate), until, &mut course).await?;
                }
                ReplaySource::Quarantine => {
                    self.replay_kept(&permit, wanted, &topic, (active.as_ref(), &candidate), &row.name, &mut course).await?;
                }
            }
        }
        let Course { differences, active, candidate, unreadable, complete } = course;
        let clean = complete && differences.is_clean() && differences.compared > 0;
        let cost = |passage: Option<Passage>| {
            passage.map(|passage| {
                json!({
                    "calls": passage.calls, "faults": passage.faults, "micros": micros(passage.took),
                    "peakMemoryBytes": passage.peak_memory_bytes, "fault": passage.fault,
                })
            })
        };
        let report = json!({
            "source": wanted.source, "from": wanted.from, "to": wanted.to, "topic": wanted.topic, "complete": complete,
            "differences": differences, "unreadable": unreadable, "active": cost(active), "candidate": cost(candidate),
        });
        self.platform.validator_replay_keep(&permit, id, (wanted.version, against), &row.config, (clean, &report)).await
    }

    /// The newest replays of a validator's versions.
    pub async fn validator_replays(&self, caller: &Caller, id: Uuid) -> Result<Vec<ReplayRow>> {
        let permit = self.authorise(caller, Action::Read, &one(id)).await?;
        self.platform.validator_get(&permit, id).await?.ok_or_else(|| no_validator(id))?;
        self.platform.validator_replays(&permit, id).await
    }

    async fn replay_stored(
        &self,
        permit: &Permit,
        wanted: &Replayed,
        topic: &str,
        steps: (Option<&Step>, &Step),
        until: Instant,
        course: &mut Course,
    ) -> Result<()> {
        let filter = Filter { topic: Some(topic.to_owned()), from: Some(wanted.from), to: Some(wanted.to), ..Filter::default() };
        let mut after = None;
        loop {
            if course.differences.compared >= limits::REPLAY_READINGS || Instant::now() >= until {
                course.complete = false;
                return Ok(());
            }
            let page = self.timescale.page(permit, &filter, Order::Asc, after.as_ref(), limits::REPLAY_PAGE).await?;
            if !page.readings.is_empty() {
                self.compare(permit, steps, stored_batch(topic, &page.readings), course).await?;
            }
            match page.next {
                None => return Ok(()),
                next => after = next,
            }
        }
    }

    async fn replay_kept(
        &self,
        permit: &Permit,
        wanted: &Replayed,
        topic: &str,
        steps: (Option<&Step>, &Step),
        name: &str,
        course: &mut Course,
    ) -> Result<()> {
        let filter = KeptFilter {
            topic: Some(topic.to_owned()),
            refuser_kind: Some("validator".to_owned()),
            refuser: Some(name.to_owned()),
            from: Some(wanted.from),
            to: Some(wanted.to),
            state: Some("waiting".to_owned()),
        };
        let chosen = self.timescale.kept_oldest(permit, &filter, limits::REPLAY_PAGE).await?;
        course.complete &= !chosen.more;
        let mut collector = Collector::new(self.clock.now());
        for (index, kept) in (0u64..).zip(chosen.entries) {
            let raw = kept.raw.into();
            course.unreadable += u64::from(collector.add(&raw, index).is_err());
        }
        for batch in collector.finish() {
            self.compare(permit, steps, batch, course).await?;
        }
        Ok(())
    }

    async fn compare(
        &self,
        permit: &Permit,
        (active, candidate): (Option<&Step>, &Step),
        before: Batch,
        course: &mut Course,
    ) -> Result<()> {
        let active = match active {
            Some(step) => self.judged(permit, step, &before, &mut course.active).await?,
            None => before.clone(),
        };
        let candidate = self.judged(permit, candidate, &before, &mut course.candidate).await?;
        let differences = Differences::of(&before, &active, &candidate, limits::REPLAY_SAMPLES);
        course.differences.add(differences, limits::REPLAY_SAMPLES);
        Ok(())
    }

    async fn judged(&self, permit: &Permit, step: &Step, before: &Batch, did: &mut Option<Passage>) -> Result<Batch> {
        let judgement = self.try_chain(permit, std::slice::from_ref(step), before.clone()).await?;
        for passage in judgement.passages {
            did.get_or_insert_default().add(passage);
        }
        Ok(judgement.batch)
    }
}

/// Stored readings as a batch again.
fn stored_batch(topic: &str, readings: &[StoredReading]) -> Batch {
    let mut builder = BatchBuilder::new(Some(Arc::from(topic)));
    for (index, reading) in (0u64..).zip(readings) {
        let place = &reading.place;
        let blank = Reading {
            raw: Bytes::new(),
            source: Source::Http { index },
            schema_ref: place.schema_ref.as_str().into(),
            quality: reading.quality,
            verdict: Verdict::Accepted,
        };
        let rows =
            reading.values.iter().map(|value| Row { metric: &value.metric, unit: &value.unit, value: value.value.clone() });
        builder.push(blank, &place.sensor, place.time.timestamp_micros(), rows);
    }
    builder.build()
}
