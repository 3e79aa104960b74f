//! The back of a lane: what becomes of a flush. Stored, tried again, held, or halved until the message that the database refuses is
//! alone.

use std::collections::HashMap;
use std::sync::Arc;

use backon::{BackoffBuilder as _, ExponentialBuilder};
use tokio::sync::mpsc;

use super::front::{Ready, lateness};
use super::lanes::{Name, Note, Shared};
use super::part::{Part, Span};
use crate::batch::{Refusal, Refuser, Source};
use crate::error::{Chain, Error, Kind};
use crate::gate::readings::{AdmitError, Judged, WriteError};
use crate::kafka::Partition;
use crate::ledger::Origin;
use crate::limits;
use crate::model::ErrorStrategy;
use crate::vitals::Word;

/// How often one part of a flush is told that somebody else holds a partition of it before the topic is held.
const FENCED_MOST: u32 = 64;

/// The back of one lane.
pub(super) struct Back {
    pub(super) name: Name,
    pub(super) shared: Shared,
    pub(super) ready: mpsc::Receiver<Ready>,
}

/// A part of a flush that is not stored yet.
struct Open {
    part: Part,
    /// It is kept aside for this reason, whatever it holds.
    aside: Option<Refusal>,
    /// What was made of it; `None` where that has to be done, or done again.
    judged: Option<Result<Judged, AdmitError>>,
}

impl Open {
    fn new(part: Part) -> Self {
        Self { part, aside: None, judged: None }
    }
}

impl Back {
    /// Until the front has ended.
    pub(super) async fn run(mut self) {
        let mut lateness = Lateness::default();
        while let Some(ready) = self.ready.recv().await {
            let late = ready.judged.as_ref().ok().map(|judged| self::lateness(judged, self.shared.options.late_after));
            self.flush(&ready.topic, Open { part: ready.part, aside: None, judged: Some(ready.judged) }).await;
            for (number, late, all) in late.into_iter().flatten() {
                let partition = Partition { topic: Arc::clone(&ready.topic), number };
                if let Some(late) = lateness.changed(&partition, self.name.late, late, all) {
                    // Before the next flush: what the other lane reads again is then neither stored nor being stored by this one.
                    self.shared.places.invalidate(&partition);
                    self.shared.say(Note::Late(partition, late)).await;
                }
            }
        }
    }

    /// Stores messages of one topic, in their order.
    async fn flush(&self, topic: &Arc<str>, open: Open) {
        let Shared { places, stop, .. } = &self.shared;
        let mut parts = vec![open];
        let mut stopped = None;
        let mut fenced = 0;
        let mut waits = ExponentialBuilder::default()
            .with_min_delay(limits::RETRY_WAIT_LEAST)
            .with_max_delay(limits::RETRY_WAIT)
            .without_max_times()
            .with_jitter()
            .build();
        let mut retrying = false;
        while let Some(mut open) = parts.pop() {
            // Partitions may have been taken away or positioned anew while this waited.
            if open.part.retain(|run| places.counts(run)) {
                open.judged = None;
            }
            if open.part.is_empty() {
                continue;
            }
            let error = match self.attempt(topic, &mut open).await {
                Ok(()) => {
                    if std::mem::take(&mut retrying) {
                        self.say(Note::Retrying(self.name.clone(), None)).await;
                    }
                    continue;
                }
                Err(error) => error,
            };
            let fault = Fault::of(&error);
            self.count(&fault);
            match fault {
                Fault::Transient => {
                    tracing::debug!(error = %Chain(&error), %topic, "a batch of {topic} is tried again");
                    if !std::mem::replace(&mut retrying, true) {
                        let reason = Chain(&error).to_string();
                        self.say(Note::Retrying(self.name.clone(), Some(reason))).await;
                    }
                    // Jitter may double the wait; the bound holds with it.
                    let wait = waits.next().unwrap_or(limits::RETRY_WAIT).min(limits::RETRY_WAIT);
                    tokio::select! {
                        // Nothing is lost by leaving: it is read again from the stored position.
                        () = stop.cancelled() => break,
                        () = tokio::time::sleep(wait) => {}
                    }
                    parts.push(open);
                }
                Fault::Fenced(number) if fenced < FENCED_MOST => {
                    fenced += 1;
                    let partition = Partition { topic: Arc::clone(topic), number };
                    places.invalidate(&partition);
                    self.say(Note::Fenced(partition)).await;
                    parts.push(open);
                }
                Fault::Poison(..) if open.part.len() > 1 => {
                    let (first, second) = open.part.halve();
                    parts.push(Open::new(second));
                    parts.push(Open::new(first));
                }
                Fault::Poison(sqlstate, reason) if open.aside.is_none() => {
                    parts.push(Open { aside: Some(poison(sqlstate, reason)), ..Open::new(open.part) });
                }
                Fault::Stop(number, offset, reason) => {
                    // What came before the reading is stored; it and what follows wait.
                    open.part.cut(number, offset);
                    for later in &mut parts {
                        later.part.cut(number, i64::MIN);
                        later.judged = None;
                    }
                    parts.push(Open::new(open.part));
                    stopped = Some(reason);
                }
                Fault::Standing | Fault::Fenced(_) | Fault::Poison(..) => {
                    let reason = Chain(&error).to_string();
                    parts.push(open);
                    let waiting: Vec<Span> = parts.iter().flat_map(|open| open.part.spans()).collect();
                    for span in waiting {
                        places.invalidate(&span.partition);
                        self.say(Note::Hold(span.partition, reason.clone())).await;
                    }
                    break;
                }
            }
        }
        if retrying {
            self.say(Note::Retrying(self.name.clone(), None)).await;
        }
        if let Some(reason) = stopped {
            self.say(Note::StopTopic(Arc::clone(topic), reason)).await;
        }
    }

    /// One try: judge, where that is not done, and store.
    async fn attempt(&self, topic: &Arc<str>, open: &mut Open) -> Result<(), AdmitError> {
        let judged = match open.judged.take() {
            Some(judged) => judged?,
            None => self.shared.judge(&self.name.tenant, topic, &open.part, open.aside.as_ref()).await?,
        };
        if let Err(error) = self.shared.send_letters(&judged).await {
            open.judged = Some(Ok(judged));
            return Err(error.into());
        }
        let spans = open.part.spans();
        // Taken away this instant: the next look at the places drops it.
        let gone = || Error::unavailable("Kafka partition", "it was taken away");
        let stored = {
            let turns = if self.name.late { &self.shared.late } else { &self.shared.turns };
            let _turn = turns.take(&self.name.tenant).await?;
            let (mut log, ranges) = self.shared.places.ranges(&spans).ok_or_else(gone)?;
            log.group = Arc::clone(&self.shared.group);
            self.shared.gate.readings_store(&judged, &Origin::Kafka { log, ranges }).await
        };
        if let Err(error) = stored {
            // It is as good as before, should it be tried again as it is.
            open.judged = Some(Ok(judged));
            return Err(error.into());
        }
        for span in spans {
            self.shared.places.advance(&span);
            self.say(Note::Stored(span.partition, span.next)).await;
        }
        Ok(())
    }

    fn count(&self, fault: &Fault) {
        let kind = match fault {
            Fault::Transient => "transient",
            Fault::Standing => "standing",
            Fault::Poison(..) => "poison",
            Fault::Fenced(_) => "fenced",
            Fault::Stop(..) => "stopped",
        };
        self.shared.gate.vitals.retries.get_or_create(&Word { kind }).inc();
    }

    async fn say(&self, note: Note) {
        self.shared.say(note).await;
    }
}

/// Flushes in a row that decide where a partition belongs: one alone may be a device that was offline for a while.
const LATE_FLUSHES: u8 = 3;

/// How many flushes in a row each partition seemed to belong into the other kind of lane.
#[derive(Default)]
struct Lateness(HashMap<Partition, u8>);

impl Lateness {
    /// `Some` where the partition belongs into the other kind of lane: mostly late among live ones, or hardly late among late ones.
    fn changed(&mut self, partition: &Partition, is_late: bool, late: usize, all: usize) -> Option<bool> {
        let seems_late = if is_late { late * 4 >= all } else { late * 4 > all * 3 };
        if seems_late == is_late || all == 0 {
            self.0.remove(partition);
            return None;
        }
        let flushes = self.0.entry(partition.clone()).or_default();
        *flushes += 1;
        (*flushes >= LATE_FLUSHES).then(|| {
            self.0.remove(partition);
            seems_late
        })
    }
}

/// What an error means for the flush.
#[derive(Debug, PartialEq, Eq)]
enum Fault {
    /// It may work in a moment.
    Transient,
    /// It works when somebody has acted.
    Standing,
    /// The database refuses something in it: SQLSTATE and words.
    Poison(Arc<str>, String),
    /// Somebody else moved this partition.
    Fenced(i32),
    /// The reading at this partition and offset stops the topic, for this reason.
    Stop(i32, i64, String),
}

impl Fault {
    fn of(error: &AdmitError) -> Self {
        match error {
            AdmitError::Unjudged(error) if error.kind() == Kind::Unavailable => Self::Transient,
            AdmitError::Unjudged(_) | AdmitError::Unstored(WriteError::Standing(_) | WriteError::Taken(_)) => Self::Standing,
            AdmitError::Unstored(WriteError::Transient(_)) => Self::Transient,
            AdmitError::Unstored(WriteError::Poison { sqlstate, reason }) => Self::Poison(Arc::clone(sqlstate), reason.clone()),
            AdmitError::Unstored(WriteError::Fenced { partition, .. }) => Self::Fenced(*partition),
            AdmitError::Stopped(stopped) => match &stopped.source {
                Source::Kafka { partition, offset, .. } => {
                    let reason = format!("offset {offset}: {} says: {}", stopped.refusal.by.name(), stopped.refusal.reason);
                    Self::Stop(*partition, *offset, reason)
                }
                Source::Http { .. } => Self::Standing,
            },
        }
    }
}

/// The refusal of a message that the database alone refuses.
fn poison(sqlstate: Arc<str>, reason: String) -> Refusal {
    Refusal { by: Refuser::Store(sqlstate), reason, path: None, fault: false, strategy: ErrorStrategy::Quarantine }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_partition_changes_lanes_after_some_flushes_in_a_row() {
        let partition = Partition { topic: "t".into(), number: 0 };
        let mut lateness = Lateness::default();
        let mut seen = |is_late, late, all| lateness.changed(&partition, is_late, late, all);
        assert_eq!([seen(false, 9, 10), seen(false, 9, 10), seen(false, 1, 10), seen(false, 9, 10)], [None; 4]);
        assert_eq!([seen(false, 9, 10), seen(false, 10, 10)], [None, Some(true)]);
        // A quarter late is still late for the late lane, so that it does not go back and forth.
        assert_eq!([seen(true, 3, 10), seen(true, 0, 0), seen(true, 1, 10), seen(true, 1, 10)], [None; 4]);
        assert_eq!(seen(true, 1, 10), Some(false));
    }
}
