//! What librdkafka calls back, turned into events.
//!
//! It runs on librdkafka's threads and on the poll thread, never on one of the runtime's: it may wait for the writer's answer.

use std::collections::HashMap;
use std::sync::mpsc as std_mpsc;
use std::sync::{Arc, OnceLock, Weak};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::base_consumer::PartitionQueue;
use rdkafka::consumer::{BaseConsumer, Consumer as _, ConsumerContext};
use rdkafka::error::KafkaError;
use rdkafka::statistics::Statistics;
use rdkafka::types::{RDKafkaErrorCode, RDKafkaRespErr};
use rdkafka::{Offset, TopicPartitionList};
use tokio::sync::mpsc;

use super::{Ends, Event, Partition, Start, trouble};

/// What librdkafka calls back.
pub(super) struct Context {
    control: mpsc::Sender<Event>,
    topics: Mutex<HashMap<String, Arc<str>>>,
    /// The consumer whose context this is: a partition's queue is split off with its `Arc`.
    consumer: OnceLock<Weak<BaseConsumer<Self>>>,
    /// Partitions given and taken since the poll thread last looked.
    changes: Mutex<Vec<Change>>,
    /// What librdkafka complained of last: in words that name a setting, where that is known, and in its own.
    complaint: Mutex<(Option<String>, Option<String>)>,
    /// How long the group may take to settle.
    settle: Duration,
    /// Since when it has not been settled.
    unsettled: Mutex<Option<Instant>>,
}

/// What a rebalance does to the poll thread's partitions.
pub(super) enum Change {
    /// It is this replica's now.
    Given {
        partition: Partition,
        queue: PartitionQueue<Context>,
        /// Where it begins; `None` where it is held.
        start: Option<Start>,
    },
    /// It is this replica's no more.
    Taken(Partition),
}

impl Context {
    pub(super) fn new(control: mpsc::Sender<Event>, settle: Duration) -> Self {
        Self {
            control,
            topics: Mutex::default(),
            consumer: OnceLock::new(),
            changes: Mutex::default(),
            complaint: Mutex::default(),
            settle,
            unsettled: Mutex::default(),
        }
    }

    /// Tells the context whose it is, once.
    pub(super) fn belongs_to(&self, consumer: &Arc<BaseConsumer<Self>>) {
        let _ = self.consumer.set(Arc::downgrade(consumer));
    }

    /// The partitions given and taken since the last call, in their order.
    pub(super) fn changes(&self) -> Vec<Change> {
        std::mem::take(&mut self.changes.lock())
    }

    /// What librdkafka complained of since a broker was last there. It says the same thing again after 30 s only, and that all brokers
    /// are down after each; so what names a setting goes before what does not.
    pub(super) fn last_error(&self) -> Option<String> {
        let complaint = self.complaint.lock();
        complaint.0.clone().or_else(|| complaint.1.as_ref().map(|words| format!("no broker answers: {words}")))
    }

    /// A group that does not settle has lost its leader or forgotten this member; a new member is what gets it going again.
    fn watch_group(&self, statistics: &Statistics) {
        let Some(group) = &statistics.cgrp else { return };
        let mut unsettled = self.unsettled.lock();
        // Before the first subscription there is nothing to join.
        if group.join_state == "steady" || (group.join_state == "init" && unsettled.is_none()) {
            *unsettled = None;
            return;
        }
        let since = *unsettled.get_or_insert_with(Instant::now);
        if since.elapsed() > self.settle {
            *unsettled = None;
            drop(unsettled);
            self.tell(Event::Ended(format!("the consumer group did not settle within {} s", self.settle.as_secs())));
        }
    }

    pub(super) fn partition(&self, topic: &str, number: i32) -> Partition {
        let mut topics = self.topics.lock();
        let topic = match topics.get(topic) {
            Some(known) => Arc::clone(known),
            None => Arc::clone(topics.entry(topic.to_owned()).or_insert_with(|| topic.into())),
        };
        Partition { topic, number }
    }

    fn partitions(&self, list: &TopicPartitionList) -> Vec<Partition> {
        list.elements().iter().map(|element| self.partition(element.topic(), element.partition())).collect()
    }

    /// Waits for room: the receiver reads it at all times, and where it is gone nobody needs to know.
    fn tell(&self, event: Event) {
        let _ = self.control.blocking_send(event);
    }

    fn assigned(&self, consumer: &BaseConsumer<Self>, list: &mut TopicPartitionList) -> Result<(), KafkaError> {
        let partitions = self.partitions(list);
        let with_ends = partitions.iter().map(|partition| (partition.clone(), ends(consumer, partition))).collect();
        let (reply, answer) = std_mpsc::sync_channel(1);
        self.tell(Event::Assigned { partitions: with_ends, reply });
        // Nobody answers where the writer is stopping: everything is held then.
        let starts = answer.recv().unwrap_or_default();
        let mut changes = Vec::with_capacity(partitions.len());
        let itself = self.consumer.get().and_then(Weak::upgrade);
        for partition in partitions {
            let start = starts.iter().find(|start| start.partition == partition).cloned();
            let offset = start.as_ref().and_then(|start| start.offset).map_or(Offset::Beginning, Offset::Offset);
            list.set_partition_offset(&partition.topic, partition.number, offset)?;
            // Before it is fetched: librdkafka then leaves the queue as it is.
            let queue = itself.as_ref().and_then(|consumer| consumer.split_partition_queue(&partition.topic, partition.number));
            let Some(queue) = queue else {
                self.tell(Event::Ended(format!("the queue of {partition} cannot be split off")));
                continue;
            };
            changes.push(Change::Given { partition, queue, start });
        }
        self.changes.lock().append(&mut changes);
        consumer.incremental_assign(list)
    }

    fn revoked(&self, consumer: &BaseConsumer<Self>, list: &TopicPartitionList) -> Result<(), KafkaError> {
        let partitions = self.partitions(list);
        self.changes.lock().extend(partitions.iter().cloned().map(Change::Taken));
        self.tell(Event::Revoked(partitions));
        consumer.incremental_unassign(list)
    }
}

impl ClientContext for Context {
    fn stats(&self, statistics: Statistics) {
        self.watch_group(&statistics);
        let connected = statistics.brokers.values().any(|broker| broker.state == "UP");
        if connected {
            *self.complaint.lock() = (None, None);
        }
        let ends = statistics.topics.iter().flat_map(|(topic, found)| {
            found
                .partitions
                .values()
                .filter(|found| found.partition >= 0 && found.hi_offset >= 0)
                .map(move |found| (topic, found))
        });
        let ends = ends.map(|(topic, found)| (self.partition(topic, found.partition), found.hi_offset)).collect();
        self.tell(Event::Ends { ends, connected });
    }

    fn error(&self, error: KafkaError, reason: &str) {
        tracing::debug!(%error, reason, "Kafka: {reason}");
        let words = error.rdkafka_error_code().and_then(|code| trouble::in_words(code, reason));
        let mut complaint = self.complaint.lock();
        match words {
            Some(words) => complaint.0 = Some(words),
            None => complaint.1 = Some(reason.to_owned()),
        }
    }

    fn log(&self, _: RDKafkaLogLevel, facility: &str, line: &str) {
        tracing::debug!(facility, "librdkafka: {line}");
    }
}

impl ConsumerContext for Context {
    fn rebalance(&self, consumer: &BaseConsumer<Self>, error: RDKafkaRespErr, list: &mut TopicPartitionList) {
        let done = match error {
            RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS => self.assigned(consumer, list),
            RDKafkaRespErr::RD_KAFKA_RESP_ERR__REVOKE_PARTITIONS => self.revoked(consumer, list),
            other => {
                self.tell(Event::Trouble(format!("rebalancing failed: {}", RDKafkaErrorCode::from(other))));
                self.revoked(consumer, list)
            }
        };
        if let Err(error) = done {
            self.tell(Event::Ended(format!("the assignment could not be taken: {error}")));
        }
    }
}

/// How long the ends of one partition may take; where they do not come, the position is tried as it is.
pub(super) const ENDS_TIME: Duration = Duration::from_secs(3);

pub(super) fn ends(consumer: &BaseConsumer<Context>, partition: &Partition) -> Option<Ends> {
    consumer.fetch_watermarks(&partition.topic, partition.number, ENDS_TIME).ok()
}
