//! What becomes of a flush: stored, tried again, held, or halved until the message that the database refuses is alone.

use std::collections::BTreeMap;
use std::sync::Arc;

use backon::{BackoffBuilder as _, ExponentialBuilder};
use bytes::Bytes;
use uuid::Uuid;

use super::lane::{Lane, Note};
use crate::batch::{Batch, Refusal, Refuser, Source};
use crate::error::{Chain, Error, Kind};
use crate::gate::readings::{AdmitError, WriteError};
use crate::kafka::{Message, Partition};
use crate::ledger::{OffsetRange, Origin};
use crate::limits;
use crate::model::{Caller, Clock as _, ErrorStrategy, Subject, SystemClock};
use crate::schema::decode::{Decoder, Format};
use crate::vitals::Word;

/// How often one part of a flush is told that somebody else holds a partition of it before the topic is held.
const FENCED_MOST: u32 = 64;

impl Lane {
    /// Stores messages of one topic, in their order.
    pub(super) async fn flush(&self, topic: &Arc<str>, messages: Vec<Message>) {
        let mut parts = vec![(messages, None)];
        let mut stopped = None;
        let mut fenced = 0;
        let mut waits = ExponentialBuilder::default()
            .with_min_delay(std::time::Duration::from_millis(50))
            .with_max_delay(limits::RETRY_WAIT)
            .without_max_times()
            .with_jitter()
            .build();
        let mut retrying = false;
        while let Some((mut part, aside)) = parts.pop() {
            // Partitions may have been taken away or positioned anew while this waited.
            part.retain(|message| self.places.counts(message));
            if part.is_empty() {
                continue;
            }
            let error = match self.admit(topic, &part, aside.as_ref()).await {
                Ok(()) => {
                    self.stored(&part).await;
                    if std::mem::take(&mut retrying) {
                        self.say(Note::Retrying(None)).await;
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
                        self.say(Note::Retrying(Some(reason))).await;
                    }
                    tokio::select! {
                        // Nothing is lost by leaving: it is read again from the stored position.
                        () = self.stop.cancelled() => return,
                        () = tokio::time::sleep(waits.next().unwrap_or(limits::RETRY_WAIT)) => {}
                    }
                    parts.push((part, aside));
                }
                Fault::Fenced(number) if fenced < FENCED_MOST => {
                    fenced += 1;
                    let partition = Partition { topic: Arc::clone(topic), number };
                    self.places.invalidate(&partition);
                    self.say(Note::Fenced(partition)).await;
                    parts.push((part, aside));
                }
                Fault::Poison(..) if part.len() > 1 => {
                    let second = part.split_off(part.len() / 2);
                    parts.push((second, None));
                    parts.push((part, None));
                }
                Fault::Poison(sqlstate, reason) if aside.is_none() => {
                    parts.push((part, Some(poison(sqlstate, reason))));
                }
                Fault::Stop(number, offset, reason) => {
                    // What came before the reading is stored; it and what follows wait.
                    part.retain(|message| message.partition.number != number || message.offset < offset);
                    for (later, _) in &mut parts {
                        later.retain(|message| message.partition.number != number);
                    }
                    parts.push((part, aside));
                    stopped = Some(reason);
                }
                Fault::Standing | Fault::Fenced(_) | Fault::Poison(..) => {
                    let reason = Chain(&error).to_string();
                    parts.push((part, None));
                    let waiting = partitions(parts.iter().flat_map(|(messages, _)| messages));
                    for partition in waiting {
                        self.places.invalidate(&partition);
                        self.say(Note::Hold(partition, reason.clone())).await;
                    }
                    return;
                }
            }
        }
        if let Some(reason) = stopped {
            self.say(Note::StopTopic(Arc::clone(topic), reason)).await;
        }
    }

    /// One try: decode, judge, store.
    async fn admit(&self, topic: &Arc<str>, part: &[Message], aside: Option<&Refusal>) -> Result<(), AdmitError> {
        // Taken away this instant: the next look at the places drops it.
        let gone = || Error::unavailable("Kafka partition", "it was taken away");
        let standing = self.places.standing(&part[0].partition).ok_or_else(gone)?;
        let caller = Caller {
            subject: Subject::service("writer"),
            tenant: standing.tenant.clone(),
            home: standing.tenant,
            token: None,
            request_id: Uuid::now_v7().to_string().into(),
        };
        let batch = self.decode(topic, part, aside).await.map_err(Error::internal)?;
        let mut log = standing.log;
        log.group = Arc::clone(&self.group);
        let origin = Origin::Kafka { log, ranges: self.ranges(part) };
        self.gate.readings_admit(&caller, vec![batch], &origin, false).await.map(drop)
    }

    /// Decoding 10,000 messages takes milliseconds, so it happens where it holds nobody up.
    async fn decode(&self, topic: &Arc<str>, part: &[Message], aside: Option<&Refusal>) -> Result<Batch, tokio::task::JoinError> {
        let sources: Vec<(Bytes, Source)> = part.iter().map(|message| (message.payload.clone(), source(message))).collect();
        let (topic, aside) = (Arc::clone(topic), aside.cloned());
        tokio::task::spawn_blocking(move || {
            let now = SystemClock.now();
            let mut decoder = Decoder::new(&topic, Format::Json, now);
            for (payload, source) in sources {
                match &aside {
                    Some(refusal) => decoder.unreadable(payload, source, refusal.clone()),
                    None => decoder.message(&payload, source),
                }
            }
            decoder.finish()
        })
        .await
    }

    /// What the part covers of each partition: from the stored position to behind its last message.
    fn ranges(&self, part: &[Message]) -> Vec<OffsetRange> {
        let mut ranges: BTreeMap<i32, OffsetRange> = BTreeMap::new();
        for message in part {
            let range = ranges.entry(message.partition.number).or_insert_with(|| OffsetRange {
                partition: message.partition.number,
                expected: self.places.standing(&message.partition).map_or(message.offset, |standing| standing.next),
                next: 0,
            });
            range.next = range.next.max(message.offset + 1);
        }
        ranges.into_values().collect()
    }

    async fn stored(&self, part: &[Message]) {
        let mut ends: BTreeMap<&Partition, (u64, i64)> = BTreeMap::new();
        for message in part {
            let end = ends.entry(&message.partition).or_insert((message.epoch, 0));
            end.1 = end.1.max(message.offset + 1);
        }
        for (partition, (epoch, next)) in ends {
            self.places.advance(partition, epoch, next);
            self.say(Note::Stored(partition.clone(), next)).await;
        }
    }

    fn count(&self, fault: &Fault) {
        let kind = match fault {
            Fault::Transient => "transient",
            Fault::Standing => "standing",
            Fault::Poison(..) => "poison",
            Fault::Fenced(_) => "fenced",
            Fault::Stop(..) => "stopped",
        };
        self.gate.vitals.retries.get_or_create(&Word { kind }).inc();
    }

    /// The loop that listens outlives the lanes.
    async fn say(&self, note: Note) {
        let _ = self.notes.send(note).await;
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
            AdmitError::Unjudged(_) | AdmitError::Unstored(WriteError::Standing(_)) => Self::Standing,
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

fn source(message: &Message) -> Source {
    Source::Kafka {
        partition: message.partition.number,
        offset: message.offset,
        key: message.key.clone(),
        headers: Arc::clone(&message.headers),
    }
}

fn partitions<'a>(messages: impl Iterator<Item = &'a Message>) -> Vec<Partition> {
    let mut found: Vec<Partition> = messages.map(|message| message.partition.clone()).collect();
    found.sort();
    found.dedup();
    found
}
