//! The time of one consumer: the loop that positions partitions, listens to what lanes and librdkafka have to say, and reports.
//!
//! Messages do not pass through it: they go from the poll thread to their lane.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::Writer;
use super::lanes::{Lanes, Name, Note, Shared};
use super::places::Places;
use crate::error::{Chain, Result};
use crate::kafka::{Consumer, Ends, Event, Memory, Partition, Producer, Start};
use crate::ledger::Log;
use crate::limits;
use crate::model::{Clock as _, SystemClock, Tenant};
use crate::settings::OffsetOutOfRange;
use crate::turns::Turns;
use crate::vitals::{PartitionLabels, Standing};

/// The time of one consumer.
pub(super) struct Session<'a> {
    writer: &'a Writer,
    stop: &'a CancellationToken,
    consumer: Consumer,
    cluster: Option<Arc<str>>,
    /// The tenant of each topic that is consumed.
    topics: BTreeMap<String, Tenant>,
    places: Arc<Places>,
    epoch: u64,
    lanes: Lanes,
    memory: Arc<Memory>,
    notes: mpsc::Receiver<Note>,
    /// Partitions that are to be positioned anew, and when.
    again: HashMap<Partition, Instant>,
    /// What the broker said of the logs of partitions whose position is outside: it is not asked again, since a log that grows past
    /// the position later would hide that the messages before are others.
    outside: HashMap<Partition, Ends>,
    /// Partitions whose readings are mostly late.
    late: HashSet<Partition>,
    connected: bool,
    /// What librdkafka complained of since it last said that a broker is there.
    trouble: Option<String>,
    /// Lanes in which storing is being tried again, and why.
    retrying: HashMap<Name, String>,
    /// Lanes that wait for their tenant's quota.
    over_quota: HashSet<Name>,
    /// Why the catalogue could not be read when it last changed.
    stale: Option<String>,
    /// When that was tried in vain, and is to be tried again.
    catalogue: Option<Instant>,
    /// The latest positions that were moved because the log did not reach to them, newest first.
    moved: VecDeque<String>,
    /// When something was last stored.
    last_flush: Option<String>,
}

/// Moved positions that `/health` shows.
const MOVED_SHOWN: usize = 10;

/// The longest wait before the catalogue is read again where it could not be.
const CATALOGUE_WAIT: Duration = Duration::from_secs(1);

impl<'a> Session<'a> {
    pub(super) fn new(writer: &'a Writer, consumer: Consumer, letters: Producer, stop: &'a CancellationToken) -> Self {
        let places = Arc::new(Places::default());
        let memory = Memory::new(writer.options.memory_bytes);
        let (say, notes) = mpsc::channel(1_024);
        let shared = Shared {
            options: Arc::new(writer.options.clone()),
            group: writer.kafka.group_id.as_str().into(),
            gate: Arc::clone(&writer.gate),
            places: Arc::clone(&places),
            notes: say,
            stop: stop.clone(),
            turns: Turns::with_one_spare(writer.options.lanes),
            late: Turns::with_one_spare(1),
            letters: Arc::new(letters),
        };
        Self {
            lanes: Lanes::new(shared, Arc::clone(&memory)),
            memory,
            writer,
            stop,
            consumer,
            cluster: None,
            topics: BTreeMap::new(),
            places,
            epoch: 0,
            notes,
            again: HashMap::new(),
            outside: HashMap::new(),
            late: HashSet::new(),
            connected: false,
            trouble: None,
            retrying: HashMap::new(),
            over_quota: HashSet::new(),
            stale: None,
            catalogue: None,
            moved: VecDeque::new(),
            last_flush: None,
        }
    }

    /// Until `stop` (`None`) or the consumer's end (`Some` with the reason).
    pub(super) async fn run(mut self, mut events: mpsc::Receiver<Event>) -> Option<String> {
        let mut changes = self.writer.gate.catalogue_changes();
        changes.mark_changed();
        let ended = loop {
            let far = || Instant::now() + Duration::from_hours(1);
            let due = self.again.values().min().copied().unwrap_or_else(far);
            let catalogue = self.catalogue.unwrap_or_else(far);
            tokio::select! {
                biased;
                () = self.stop.cancelled() => break None,
                event = events.recv() => match event {
                    None => break Some("its thread ended".to_owned()),
                    Some(Event::Ended(reason)) => break Some(reason),
                    Some(event) => self.heed(event).await,
                },
                Some(note) = self.notes.recv() => self.note(note),
                Ok(()) = changes.changed(), if self.cluster.is_some() => self.catalogue_changed().await,
                () = tokio::time::sleep_until(catalogue) => self.catalogue_changed().await,
                () = tokio::time::sleep_until(due) => self.position_again().await,
            }
        };
        self.drain(events).await;
        ended
    }

    /// Lets the lanes store what they have, tells Kafka, and leaves the group.
    async fn drain(mut self, mut events: mpsc::Receiver<Event>) {
        // Assignments are not answered any more, so nothing new is begun; what librdkafka has to say is read, or its thread would wait.
        self.lanes.close();
        for partition in self.places.partitions() {
            self.consumer.hold(partition);
        }
        loop {
            tokio::select! {
                biased;
                Some(note) = self.notes.recv() => self.note(note),
                Some(_) = events.recv() => {}
                more = self.lanes.ended() => if !more { break },
            }
        }
        drop(events);
        while let Ok(note) = self.notes.try_recv() {
            self.note(note);
        }
        let Self { consumer, lanes, .. } = self;
        drop(lanes);
        // Leaving takes a round trip; it may take no longer than the process has.
        let left = tokio::task::spawn_blocking(move || consumer.close());
        if tokio::time::timeout(Duration::from_secs(5), left).await.is_err() {
            tracing::warn!("the consumer group was not left in time; its session ends by itself");
        }
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
                    self.outside.remove(&partition);
                    self.late.remove(&partition);
                    self.places.remove(&partition);
                    self.writer.gate.vitals.lag.remove(&labels(&partition));
                }
                self.lanes.retain(&self.places.lanes());
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
                let tenant = self.tenant(&partition)?;
                let lane = Name::of(tenant, &partition, self.late.contains(&partition), self.writer.options.lanes);
                let inlet = self.lanes.inlet(&lane);
                // What was never stored begins at the oldest message; books then begin at 0, which no offset lies before.
                self.places.begin(partition.clone(), lane, self.log(&partition.topic)?, self.epoch, stored.unwrap_or(0));
                Some(Start { partition, epoch: self.epoch, offset: stored, inlet })
            }
            Err(reason) => {
                self.hold(partition, &reason, Some(limits::RETRY_WAIT));
                None
            }
        }
    }

    /// The stored position, moved as the setting says where it is no longer in the log.
    async fn stored(&mut self, partition: &Partition, ends: Option<Ends>) -> Result<Option<i64>, String> {
        let tenant = self.tenant(partition).ok_or("its topic is not in the catalogue")?;
        let log = self.log(&partition.topic).ok_or("the cluster is not known yet")?;
        let positions = self.writer.gate.writer_positions(&tenant, &log).await.map_err(|error| Chain(&error).to_string())?;
        let stored = positions.into_iter().find(|(number, _)| *number == partition.number).map(|(_, next)| next);
        let (Some(stored), Some((low, high))) = (stored, ends) else { return Ok(stored) };
        if (low..=high).contains(&stored) {
            self.outside.remove(partition);
            return Ok(Some(stored));
        }
        self.outside.insert(partition.clone(), (low, high));
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
        moved.map_err(|error| Chain(&error).to_string())?;
        self.outside.remove(partition);
        self.moved.truncate(MOVED_SHOWN - 1);
        self.moved.push_front(format!("{partition} from {stored} to {to}"));
        Ok(Some(to))
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
                self.last_flush = Some(SystemClock.now().to_rfc3339_opts(chrono::SecondsFormat::Millis, true));
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
            Note::Retrying(lane, Some(reason)) => drop(self.retrying.insert(lane, reason)),
            Note::Retrying(lane, None) => drop(self.retrying.remove(&lane)),
            Note::OverQuota(lane, true) => drop(self.over_quota.insert(lane)),
            Note::OverQuota(lane, false) => drop(self.over_quota.remove(&lane)),
            Note::Late(partition, late) if self.places.has(&partition) => {
                tracing::info!(%partition, late, "the readings of {partition} are {}", if late { "mostly late" } else { "live again" });
                if late {
                    self.late.insert(partition.clone())
                } else {
                    self.late.remove(&partition)
                };
                // What its lane has of it is read again by the other one.
                self.places.invalidate(&partition);
                self.consumer.hold(partition.clone());
                self.again.insert(partition, Instant::now());
            }
            Note::Late(..) => return,
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
            let ends = self.outside.get(&partition).copied();
            if let Some(start) = self.start(partition, ends).await {
                self.consumer.position(start);
            }
        }
        self.lanes.retain(&self.places.lanes());
        self.report();
    }

    /// Subscribes to what the catalogue says now, and tries again whatever is held: the rule that held it may be another. Where it cannot
    /// be read it is tried again later.
    async fn catalogue_changed(&mut self) {
        self.catalogue = None;
        let listed = match self.writer.gate.ingest_topics().await {
            Ok(listed) => listed,
            Err(error) => {
                if self.stale.is_none() {
                    tracing::warn!(error = %Chain(&error), "the catalogue cannot be read; its topics stay as they are");
                }
                self.stale = Some(error.to_string());
                self.catalogue = Some(Instant::now() + CATALOGUE_WAIT);
                self.report();
                return;
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
        let troubled = self.trouble.is_some() || !self.retrying.is_empty() || self.stale.is_some();
        let standing = match (self.connected, held.is_empty() && !troubled) {
            (false, _) => Standing::Away,
            (true, false) => Standing::Degraded,
            (true, true) => Standing::Connected,
        };
        let late: BTreeSet<String> = self.places.late().iter().map(ToString::to_string).collect();
        let over_quota: BTreeSet<&str> = self.over_quota.iter().map(|lane| lane.tenant.as_str()).collect();
        let in_flight = self.memory.used();
        vitals.in_flight.set(i64::try_from(in_flight).unwrap_or(i64::MAX));
        let details = json!({
            "topics": self.topics.len(), "partitions": self.places.count(), "lag": lag, "held": held, "late": late,
            "overQuota": over_quota, "moved": self.moved, "inFlightBytes": in_flight, "lastFlush": self.last_flush,
            "trouble": self.trouble, "retrying": self.retrying.values().next(), "stale": self.stale,
        });
        vitals.report("kafka", standing, details);
    }
}

fn labels(partition: &Partition) -> PartitionLabels {
    PartitionLabels { topic: partition.topic.to_string(), partition: partition.number }
}
