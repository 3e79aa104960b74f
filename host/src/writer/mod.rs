//! The writer: consumes the topics of the catalogue and hands what they say to the gate, exactly once.
//!
//! The position of a partition is stored with its rows, so this part may lose its partitions, its broker or its process at any
//! instruction. What it keeps in memory can be read again. It knows no store: it asks the gate.
//!
//! [`Writer::run`] is the loop that owns the consumer; [`lane`] gathers and flushes; [`faults`] decides what an error means.

mod faults;
mod lane;
mod places;

use std::collections::{BTreeMap, HashMap};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::Arc;
use std::time::Duration;

use backon::{BackoffBuilder as _, ExponentialBuilder};
use serde_json::json;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use self::lane::{Lane, Note};
use self::places::Places;
use crate::error::{Chain, Result};
use crate::gate::Gate;
use crate::kafka::{self, Consumer, Ends, Event, Events, Message, Partition, Start};
use crate::ledger::Log;
use crate::limits;
use crate::model::Tenant;
use crate::settings::OffsetOutOfRange;
use crate::vitals::{PartitionLabels, Standing};

/// How the writer gathers.
#[derive(Clone, Debug)]
pub struct Options {
    /// Lanes, each of which stores one batch at a time.
    pub lanes: usize,
    /// Messages of one topic that a lane gathers before it flushes.
    pub flush_readings: usize,
    /// Bytes of messages of one topic that a lane gathers before it flushes.
    pub flush_bytes: usize,
    /// The age of the oldest gathered message at which a lane flushes.
    pub flush_age: Duration,
    /// Consume only these topics of the catalogue.
    pub topics: Option<Vec<String>>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            lanes: limits::WRITER_LANES,
            flush_readings: limits::FLUSH_READINGS,
            flush_bytes: limits::FLUSH_BYTES,
            flush_age: limits::FLUSH_AGE,
            topics: None,
        }
    }
}

/// The writer of one process.
#[derive(Debug)]
pub struct Writer {
    options: Options,
    kafka: kafka::Options,
    gate: Arc<Gate>,
}

impl Writer {
    /// A writer that consumes nothing yet. Memory in flight is twice what all lanes gather.
    pub fn new(options: Options, kafka: kafka::Options, gate: Arc<Gate>) -> Self {
        let kafka = kafka::Options { in_flight_bytes: (options.lanes * options.flush_bytes * 2).max(1 << 20), ..kafka };
        Self { options, kafka, gate }
    }

    /// Consumes until `stop`, then stores what it has and leaves the group. A consumer that cannot go on is replaced.
    pub async fn run(self, stop: CancellationToken) {
        let mut waits =
            ExponentialBuilder::default().with_max_delay(limits::RETRY_WAIT).without_max_times().with_jitter().build();
        while !stop.is_cancelled() {
            let ended = match Consumer::start(&self.kafka) {
                Ok((consumer, events)) => Session::new(&self, consumer, &stop).run(events).await,
                Err(error) => Some(Chain(&error).to_string()),
            };
            let Some(reason) = ended else { return };
            tracing::warn!(reason, "the Kafka consumer ended; another one takes its place: {reason}");
            self.gate.vitals.report("kafka", Standing::Away, json!({ "error": reason }));
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(waits.next().unwrap_or(limits::RETRY_WAIT)) => {}
            }
        }
    }
}

/// The time of one consumer.
struct Session<'a> {
    writer: &'a Writer,
    stop: &'a CancellationToken,
    consumer: Consumer,
    cluster: Option<Arc<str>>,
    /// The tenant of each topic that is consumed.
    topics: BTreeMap<String, Tenant>,
    places: Arc<Places>,
    epoch: u64,
    lanes: Vec<mpsc::Sender<Message>>,
    running: JoinSet<()>,
    notes: mpsc::Receiver<Note>,
    /// Partitions that are to be positioned anew, and when.
    again: HashMap<Partition, Instant>,
    connected: bool,
    /// What librdkafka complained of since it last said that a broker is there.
    trouble: Option<String>,
    /// Why storing is being tried again.
    retrying: Option<String>,
    /// Why the catalogue could not be read when it last changed.
    stale: Option<String>,
}

impl<'a> Session<'a> {
    fn new(writer: &'a Writer, consumer: Consumer, stop: &'a CancellationToken) -> Self {
        let places = Arc::new(Places::default());
        let (say, notes) = mpsc::channel(1_024);
        let mut running = JoinSet::new();
        let lanes = (0..writer.options.lanes).map(|_| {
            let (queue, received) = mpsc::channel(limits::LANE_QUEUE);
            let lane = Lane {
                options: writer.options.clone(),
                group: writer.kafka.group_id.as_str().into(),
                gate: Arc::clone(&writer.gate),
                places: Arc::clone(&places),
                queue: received,
                notes: say.clone(),
                stop: stop.clone(),
            };
            running.spawn(lane.run());
            queue
        });
        Self {
            lanes: lanes.collect(),
            writer,
            stop,
            consumer,
            cluster: None,
            topics: BTreeMap::new(),
            places,
            epoch: 0,
            running,
            notes,
            again: HashMap::new(),
            connected: false,
            trouble: None,
            retrying: None,
            stale: None,
        }
    }

    /// Until `stop` (`None`) or the consumer's end (`Some` with the reason).
    async fn run(mut self, mut events: Events) -> Option<String> {
        let mut changes = self.writer.gate.catalogue_changes();
        changes.mark_changed();
        let mut stuck: Option<Message> = None;
        let ended = loop {
            let due = self.again.values().min().copied().unwrap_or_else(|| Instant::now() + Duration::from_hours(1));
            let lane = stuck.as_ref().map(|message| self.lanes[self.lane_of(&message.partition)].clone());
            tokio::select! {
                biased;
                () = self.stop.cancelled() => break None,
                event = events.control.recv() => match event {
                    None => break Some("its thread ended".to_owned()),
                    Some(Event::Ended(reason)) => break Some(reason),
                    Some(event) => self.heed(event).await,
                },
                Some(note) = self.notes.recv() => self.note(note),
                Ok(()) = changes.changed(), if self.cluster.is_some() => {
                    if !self.catalogue_changed().await {
                        changes.mark_changed();
                    }
                }
                () = tokio::time::sleep_until(due) => self.position_again().await,
                // A full lane holds up the messages behind this one, and nothing else.
                Ok(room) = async { match &lane { Some(lane) => lane.reserve().await, None => std::future::pending().await } } => {
                    if let Some(message) = stuck.take() {
                        room.send(message);
                    }
                }
                Some(message) = events.messages.recv(), if stuck.is_none() => {
                    let lane = self.lane_of(&message.partition);
                    if let Err(mpsc::error::TrySendError::Full(message)) = self.lanes[lane].try_send(message) {
                        stuck = Some(message);
                    }
                }
            }
        };
        drop(stuck);
        self.drain(events).await;
        ended
    }

    /// Lets the lanes store what they have, tells Kafka, and leaves the group.
    async fn drain(mut self, events: Events) {
        drop(events);
        self.lanes.clear();
        loop {
            tokio::select! {
                biased;
                Some(note) = self.notes.recv() => self.note(note),
                done = self.running.join_next() => if done.is_none() { break },
            }
        }
        while let Ok(note) = self.notes.try_recv() {
            self.note(note);
        }
        let Self { consumer, .. } = self;
        // Leaving takes a round trip; it may take no longer than the process has.
        let left = tokio::task::spawn_blocking(move || consumer.close());
        if tokio::time::timeout(Duration::from_secs(5), left).await.is_err() {
            tracing::warn!("the consumer group was not left in time; its session ends by itself");
        }
    }

    fn lane_of(&self, partition: &Partition) -> usize {
        let mut hasher = DefaultHasher::new();
        partition.topic.hash(&mut hasher);
        // Partitions of one topic go to different lanes.
        let at = hasher.finish().wrapping_add(partition.number.unsigned_abs().into());
        usize::try_from(at % self.lanes.len() as u64).unwrap_or(0)
    }

    async fn heed(&mut self, event: Event) {
        match event {
            Event::Connected { cluster } => {
                let named = self.writer.kafka.log_id.clone().or(cluster).unwrap_or_else(|| "unknown".to_owned());
                tracing::info!(cluster = named, "Kafka answers, cluster {named}");
                self.cluster = Some(named.into());
                self.connected = true;
                self.trouble = None;
            }
            Event::Assigned { partitions, reply } => {
                tracing::info!(?partitions, "partitions assigned");
                let mut starts = Vec::with_capacity(partitions.len());
                for (partition, ends) in partitions {
                    starts.extend(self.start(partition, ends).await);
                }
                // Without a receiver the consumer is at its end.
                let _ = reply.send(starts);
            }
            Event::Revoked(partitions) => {
                tracing::info!(?partitions, "partitions revoked");
                for partition in partitions {
                    self.again.remove(&partition);
                    self.places.remove(&partition);
                    self.writer.gate.vitals.lag.remove(&labels(&partition));
                }
            }
            Event::OutOfRange { partition, ends } => {
                if let Some(start) = self.start(partition, ends).await {
                    self.consumer.position(start);
                }
            }
            Event::Ends { ends, connected } => {
                self.connected = connected;
                if connected {
                    self.trouble = None;
                }
                for (partition, end) in ends {
                    self.places.end(&partition, end);
                }
            }
            Event::Trouble(trouble) => {
                tracing::warn!(trouble, "Kafka: {trouble}");
                self.trouble = Some(trouble);
            }
            Event::Ended(_) => {}
        }
        self.report();
    }

    /// Where a partition begins, as TimescaleDB has it; `None` where it is held for now.
    async fn start(&mut self, partition: Partition, ends: Option<Ends>) -> Option<Start> {
        match self.stored(&partition, ends).await {
            Ok(stored) => {
                self.epoch += 1;
                self.again.remove(&partition);
                // What was never stored begins at the oldest message; books then begin at 0, which no offset lies before.
                self.places.begin(
                    partition.clone(),
                    self.tenant(&partition)?,
                    self.log(&partition.topic)?,
                    self.epoch,
                    stored.unwrap_or(0),
                );
                Some(Start { partition, epoch: self.epoch, offset: stored })
            }
            Err(reason) => {
                self.hold(partition, &reason, Some(limits::RETRY_WAIT));
                None
            }
        }
    }

    /// The stored position, moved as the setting says where it is no longer in the log.
    async fn stored(&self, partition: &Partition, ends: Option<Ends>) -> Result<Option<i64>, String> {
        let tenant = self.tenant(partition).ok_or("its topic is not in the catalogue")?;
        let log = self.log(&partition.topic).ok_or("the cluster is not known yet")?;
        let positions = self.writer.gate.writer_positions(&tenant, &log).await.map_err(|error| Chain(&error).to_string())?;
        let stored = positions.into_iter().find(|(number, _)| *number == partition.number).map(|(_, next)| next);
        let (Some(stored), Some((low, high))) = (stored, ends) else { return Ok(stored) };
        if (low..=high).contains(&stored) {
            return Ok(Some(stored));
        }
        let to = match self.writer.kafka.out_of_range {
            OffsetOutOfRange::Stop => {
                return Err(format!(
                    "position {stored} is not in the log, which has {low} to {high}; set kafka.offset_out_of_range to `earliest` or `latest` to go on"
                ));
            }
            OffsetOutOfRange::Earliest => low,
            OffsetOutOfRange::Latest => high,
        };
        tracing::warn!(%partition, stored, low, high, to, "position {stored} of {partition} is not in the log; going on at {to}");
        let moved = self.writer.gate.writer_position_move(&tenant, &log, partition.number, stored, to).await;
        moved.map(|()| Some(to)).map_err(|error| Chain(&error).to_string())
    }

    fn tenant(&self, partition: &Partition) -> Option<Tenant> {
        self.topics.get(&*partition.topic).cloned()
    }

    fn log(&self, topic: &Arc<str>) -> Option<Log> {
        let cluster = self.cluster.clone()?;
        Some(Log { cluster, group: self.writer.kafka.group_id.as_str().into(), topic: Arc::clone(topic) })
    }

    fn note(&mut self, note: Note) {
        match note {
            Note::Stored(partition, next) => {
                self.consumer.stored(partition, next);
                return;
            }
            // Taken away meanwhile: whoever has it now positions it.
            Note::Fenced(partition) | Note::Hold(partition, _) if !self.places.has(&partition) => return,
            Note::Fenced(partition) => {
                self.again.insert(partition, Instant::now() + Duration::from_millis(100));
            }
            Note::Hold(partition, reason) => self.hold(partition, &reason, Some(limits::RETRY_WAIT)),
            Note::StopTopic(topic, reason) => {
                for partition in self.places.of_topic(&topic) {
                    // Until the catalogue changes: trying again would let the other partitions creep on.
                    self.hold(partition, &reason, None);
                }
            }
            Note::Retrying(reason) => self.retrying = reason,
        }
        self.report();
    }

    fn hold(&mut self, partition: Partition, reason: &str, wait: Option<Duration>) {
        if self.places.hold(&partition, reason) {
            tracing::warn!(%partition, reason, "{partition} is held: {reason}");
        }
        self.consumer.hold(partition.clone());
        match wait {
            Some(wait) => self.again.insert(partition, Instant::now() + wait),
            None => self.again.remove(&partition),
        };
    }

    async fn position_again(&mut self) {
        let now = Instant::now();
        let due: Vec<Partition> =
            self.again.iter().filter(|(_, at)| **at <= now).map(|(partition, _)| partition.clone()).collect();
        for partition in due {
            self.again.remove(&partition);
            if let Some(start) = self.start(partition, None).await {
                self.consumer.position(start);
            }
        }
        self.report();
    }

    /// Subscribes to what the catalogue says now, and tries again whatever is held: the rule that held it may be another. False where the
    /// catalogue cannot be read.
    async fn catalogue_changed(&mut self) -> bool {
        let listed = match self.writer.gate.ingest_topics().await {
            Ok(listed) => listed,
            Err(error) => {
                tracing::warn!(error = %Chain(&error), "the catalogue cannot be read; its topics stay as they are");
                self.stale = Some(error.to_string());
                self.report();
                tokio::time::sleep(Duration::from_millis(200)).await;
                return false;
            }
        };
        let wanted = |name: &String| self.writer.options.topics.as_ref().is_none_or(|only| only.contains(name));
        let topics: BTreeMap<String, Tenant> =
            listed.into_iter().filter(|topic| wanted(&topic.name)).map(|topic| (topic.name, topic.tenant)).collect();
        if topics.keys().ne(self.topics.keys()) {
            tracing::info!(topics = ?topics.keys().collect::<Vec<_>>(), "consuming {} topics", topics.len());
            self.consumer.subscribe(topics.keys().cloned().collect());
        }
        self.topics = topics;
        for partition in self.places.held() {
            self.again.insert(partition, Instant::now());
        }
        self.stale = None;
        self.report();
        true
    }

    /// Says on the board how it stands.
    fn report(&self) {
        let vitals = &self.writer.gate.vitals;
        let mut lag = 0;
        for (partition, behind) in self.places.lags() {
            lag += behind;
            vitals.lag.get_or_create(&labels(&partition)).set(behind);
        }
        let held: BTreeMap<String, String> =
            self.places.reasons().into_iter().map(|(partition, why)| (partition.to_string(), why)).collect();
        vitals.paused.set(i64::try_from(held.len()).unwrap_or(i64::MAX));
        let standing = match (
            self.connected,
            held.is_empty() && [&self.trouble, &self.retrying, &self.stale].iter().all(|why| why.is_none()),
        ) {
            (false, _) => Standing::Away,
            (true, false) => Standing::Degraded,
            (true, true) => Standing::Connected,
        };
        let details = json!({
            "topics": self.topics.len(), "partitions": self.places.count(), "lag": lag, "held": held, "trouble": self.trouble, "retrying": self.retrying, "stale": self.stale,
        });
        vitals.report("kafka", standing, details);
    }
}

fn labels(partition: &Partition) -> PartitionLabels {
    PartitionLabels { topic: partition.topic.to_string(), partition: partition.number }
}
