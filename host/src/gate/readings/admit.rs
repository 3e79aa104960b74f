//! The way of a reading: authorise → JSON Schema → guests → store. HTTP and Kafka both end here; only the origin differs.
//!
//! What was judged is stored whole in one transaction, or not at all. The ledger row in that transaction is the audit's record of
//! it: it names subject, request and policy revision.

use std::sync::Arc;
use std::time::Instant;

use crate::batch::{Batch, Fate, Refusal, Refuser, Source, Stopped};
use crate::error::{Detail, Error, Kind};
use crate::gate::Gate;
use crate::ledger::{Ledger, Origin};
use crate::model::{Action, Caller, ErrorStrategy, Resource};
use crate::policy::Permit;
use crate::rules::{Rules, Step};
use crate::timescale::{Part, Prepared, WriteError};
use crate::vitals::ReadingLabels;

/// Why a batch could not be admitted. Whoever sent it still has it.
#[derive(Debug, thiserror::Error)]
pub enum AdmitError {
    /// It may not or cannot be judged: no permission, no such topic, a backend away.
    #[error(transparent)]
    Unjudged(#[from] Error),
    /// A reading stops its topic.
    #[error("{} stops the topic: {}", .0.refusal.by.name(), .0.refusal.reason)]
    Stopped(Box<Stopped>),
    /// It was judged, but not stored.
    #[error(transparent)]
    Unstored(#[from] WriteError),
}

impl From<AdmitError> for Error {
    fn from(error: AdmitError) -> Self {
        match error {
            AdmitError::Unjudged(error) => error,
            AdmitError::Stopped(stopped) => Self::new(Kind::Refused, stopped.refusal.reason),
            AdmitError::Unstored(error) => error.into(),
        }
    }
}

/// Batches of one tenant that were judged and made ready for the store, with the permit to store them.
#[derive(Debug)]
pub struct Judged {
    permit: Permit,
    prepared: Prepared,
}

impl Judged {
    /// The batches, with what becomes of each reading.
    pub fn parts(&self) -> &[Part] {
        self.prepared.parts()
    }

    /// The number of readings, refused ones included.
    pub fn readings(&self) -> u64 {
        self.parts().iter().map(|part| part.batch.readings().len() as u64).sum()
    }
}

/// What became of readings that came together.
#[derive(Debug, Default)]
pub struct Admitted {
    /// The books, summed over the batches.
    pub ledger: Ledger,
    /// What was refused or kept aside, by its place in the request.
    pub refusals: Vec<Refused>,
}

/// A reading that was not stored.
#[derive(Clone, Debug)]
pub struct Refused {
    /// Its place in the request; for Kafka, its place in the batch.
    pub index: u64,
    /// Why.
    pub refusal: Refusal,
    /// True where it was kept aside.
    pub quarantined: bool,
}

impl Gate {
    /// Judges and stores batches that came together, each of one topic at most; with `atomic`, all of them or none.
    pub async fn readings_admit(
        &self,
        caller: &Caller,
        batches: Vec<Batch>,
        origin: &Origin,
        atomic: bool,
    ) -> Result<Admitted, AdmitError> {
        let Some((permit, parts)) = self.judge_all(caller, batches, origin).await? else { return Ok(Admitted::default()) };
        let refusals: Vec<Refused> = parts.iter().flat_map(refusals).collect();
        if atomic && !refusals.is_empty() {
            return Err(all_or_nothing(&refusals).into());
        }
        let prepared = self.timescale.prepare(&permit, parts, origin).await?;
        let ledger = self.readings_store(&Judged { permit, prepared }, origin).await?;
        Ok(Admitted { ledger, refusals })
    }

    /// Judges a batch and makes it ready for the store, which may be busy with the one before; [`Gate::readings_store`] is the rest of
    /// the way. `None` where there is nothing in it.
    pub async fn readings_judge(&self, caller: &Caller, batch: Batch, origin: &Origin) -> Result<Option<Judged>, AdmitError> {
        let started = Instant::now();
        let Some((permit, parts)) = self.judge_all(caller, vec![batch], origin).await? else { return Ok(None) };
        let prepared = self.timescale.prepare(&permit, parts, origin).await?;
        self.vitals.judge_seconds.observe(started.elapsed().as_secs_f64());
        Ok(Some(Judged { permit, prepared }))
    }

    /// Stores what was judged. From Kafka, `origin` says where the partitions stand by now.
    pub async fn readings_store(&self, judged: &Judged, origin: &Origin) -> Result<Ledger, WriteError> {
        let started = Instant::now();
        let ledger = self.timescale.store(&judged.permit, &judged.prepared, origin).await?;
        self.vitals.store_seconds.observe(started.elapsed().as_secs_f64());
        self.count(&judged.permit, origin, &ledger);
        Ok(ledger)
    }

    async fn judge_all(
        &self,
        caller: &Caller,
        batches: Vec<Batch>,
        origin: &Origin,
    ) -> Result<Option<(Permit, Vec<Part>)>, AdmitError> {
        let mut allowed = Vec::with_capacity(batches.len());
        for batch in batches.into_iter().filter(|batch| !batch.is_empty()) {
            allowed.push(self.authorise_batch(caller, batch, origin).await?);
        }
        // After the policy, so that who may not write uses nothing up; all at once, so that a request passes whole or not at all. The
        // writer asks by itself, and waits.
        if *origin == Origin::Http && !allowed.is_empty() {
            let readings: usize = allowed.iter().map(|(_, batch)| batch.readings().len()).sum();
            self.readings_allowed(&caller.tenant, readings as u64).await?;
        }
        let mut parts = Vec::with_capacity(allowed.len());
        let mut first = None;
        for (permit, batch) in allowed {
            let (permit, part) = self.judge(permit, batch, origin, None).await?;
            first.get_or_insert(permit);
            parts.push(part);
        }
        Ok(first.map(|permit| (permit, parts)))
    }

    /// For a replay: authorises a batch and takes it through a chain that is named in place of its topic's.
    pub(in crate::gate) async fn judge_through(
        &self,
        caller: &Caller,
        batch: Batch,
        origin: &Origin,
        chain: Option<&Arc<[Step]>>,
    ) -> Result<(Permit, Part), AdmitError> {
        let (permit, batch) = self.authorise_batch(caller, batch, origin).await?;
        self.judge(permit, batch, origin, chain).await
    }

    /// The straight line of one batch; a chain that is named takes the place of its topic's.
    async fn judge(
        &self,
        permit: Permit,
        mut batch: Batch,
        origin: &Origin,
        chain: Option<&Arc<[Step]>>,
    ) -> Result<(Permit, Part), AdmitError> {
        let topic = batch.topic().cloned();
        let Some(rules) = self.platform.rules_for(&permit, topic.as_deref()).await? else {
            return Self::without_rules(permit, batch, origin);
        };
        let rules = chain.map_or(Arc::clone(&rules), |chain| Arc::new(rules.through(chain)));
        if matches!(origin, Origin::Kafka { .. }) {
            batch.unreadable_follow(rules.strategy);
        }
        let batch = self.check_schema(&rules, batch).await?;
        let batch = self.run_chain(&permit, &rules.chain, batch, origin).await?;
        let stoppable = matches!(origin, Origin::Kafka { .. });
        let fates = batch.settle(stoppable).map_err(AdmitError::Stopped)?;
        Ok((permit, Part { rules, batch, fates }))
    }

    /// Decides about each sensor of the batch, and about its topic. What the policy denies is refused by reading; where nothing is
    /// allowed, the whole batch is.
    async fn authorise_batch(&self, caller: &Caller, mut batch: Batch, origin: &Origin) -> Result<(Permit, Batch), Error> {
        if let Some(topic) = batch.topic().cloned() {
            self.authorise(caller, Action::Write, &Resource::topic(&topic)).await?;
        }
        let sensors: Vec<_> = batch.columns().sensors.iter().map(|sensor| Resource::sensor(sensor)).collect();
        if sensors.is_empty() {
            // Nothing in it could be read; to have it counted and kept aside takes the right to write anything at all.
            let anything = batch.topic().map_or_else(Resource::sensors, |topic| Resource::topic(topic));
            return Ok((self.authorise(caller, Action::Write, &anything).await?, batch));
        }
        let decisions = self.policy.authorise_each(caller, Action::Write, &sensors);
        let Some(permit) = decisions.iter().find_map(|decision| decision.as_ref().ok()).cloned() else {
            return Err(self
                .authorise(caller, Action::Write, &sensors[0])
                .await
                .err()
                .unwrap_or_else(|| Error::internal("undecided")));
        };
        let strategy = if *origin == Origin::Http { ErrorStrategy::Reject } else { ErrorStrategy::Quarantine };
        let columns = batch.columns();
        let denied: Vec<(u32, String)> = (0..columns.rows())
            .filter_map(|row| {
                let denied = decisions[columns.sensor[row] as usize].as_ref().err()?;
                Some((columns.reading[row], denied.to_string()))
            })
            .collect();
        for (reading, reason) in denied {
            let path = Some("/sensorId".to_owned());
            batch.refuse(reading, Refusal { by: Refuser::Policy, reason, path, fault: false, strategy });
        }
        Ok((permit, batch))
    }

    /// A batch of a topic that is not registered: over HTTP its sender is told; what is consumed waits for the topic's rules.
    fn without_rules(permit: Permit, mut batch: Batch, origin: &Origin) -> Result<(Permit, Part), AdmitError> {
        let topic = batch.topic().cloned().unwrap_or_default();
        let reason =
            format!("There is no topic `{topic}`; register it with POST /api/platform/kafka-topics, or leave `topic` out.");
        if *origin != Origin::Http {
            return Err(Error::new(Kind::NotFound, reason).into());
        }
        for reading in 0..u32::try_from(batch.readings().len()).unwrap_or(u32::MAX) {
            let path = Some("/topic".to_owned());
            let refusal =
                Refusal { by: Refuser::Decoder, reason: reason.clone(), path, fault: false, strategy: ErrorStrategy::Reject };
            batch.refuse(reading, refusal);
        }
        let fates = batch.settle(false).map_err(AdmitError::Stopped)?;
        Ok((permit, Part { rules: Arc::new(Rules::without_topic()), batch, fates }))
    }

    /// JSON Schema on a thread where it can hold nobody up: 10,000 readings take it milliseconds.
    pub(in crate::gate) async fn check_schema(&self, rules: &Arc<Rules>, batch: Batch) -> Result<Batch, Error> {
        if rules.schema.is_none() {
            return Ok(batch);
        }
        let (schemas, rules) = (Arc::clone(&self.schemas), Arc::clone(rules));
        tokio::task::spawn_blocking(move || schemas.check(&rules, batch)).await.map_err(Error::internal)?
    }

    pub(in crate::gate) fn count(&self, permit: &Permit, origin: &Origin, ledger: &Ledger) {
        let origin = origin.as_str();
        let counts = &ledger.counts;
        for (outcome, number) in [
            ("stored", counts.stored),
            ("duplicate", counts.duplicate),
            ("quarantined", counts.quarantined),
            ("skipped", counts.skipped),
        ] {
            let labels = ReadingLabels { tenant: permit.tenant().to_string(), origin, outcome };
            self.vitals.readings.get_or_create(&labels).inc_by(number);
        }
        #[expect(clippy::cast_precision_loss, reason = "a batch has far fewer than 2^53 readings")]
        self.vitals.batch_readings.observe(counts.read as f64);
    }
}

fn refusals(part: &Part) -> impl Iterator<Item = Refused> {
    let fates = part.fates.iter().zip(part.batch.readings()).zip(0u64..);
    fates.filter_map(|((fate, reading), place)| {
        let (refusal, quarantined) = match fate {
            Fate::Store(_) => return None,
            Fate::Quarantine(refusal) => (refusal, true),
            Fate::Reject(refusal) => (refusal, false),
        };
        let index = if let Source::Http { index } = reading.source { index } else { place };
        Some(Refused { index, refusal: Refusal::clone(refusal), quarantined })
    })
}

fn all_or_nothing(refusals: &[Refused]) -> Error {
    let sentence =
        format!("Nothing was stored, since {} of the readings were refused and `atomic` was asked for.", refusals.len());
    Error::new(Kind::Refused, sentence).with_details(refusals.iter().map(|refused| Detail {
        path: format!("/readings/{}{}", refused.index, refused.refusal.path.as_deref().unwrap_or("")),
        message: refused.refusal.reason.clone(),
        validator: Some(refused.refusal.by.name().to_owned()),
    }))
}
