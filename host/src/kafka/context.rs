//! What librdkafka calls back, turned into events.
//!
//! It runs on librdkafka's threads and on the poll thread, never on one of the runtime's: it may wait for the writer's answer.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::mpsc as std_mpsc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer as _, ConsumerContext};
use rdkafka::error::KafkaError;
use rdkafka::statistics::Statistics;
use rdkafka::types::{RDKafkaErrorCode, RDKafkaRespErr};
use rdkafka::{Offset, TopicPartitionList};
use tokio::sync::mpsc;

use super::{Ends, Event, Partition, trouble};

/// What librdkafka calls back.
pub(super) struct Context {
    control: mpsc::Sender<Event>,
    topics: Mutex<HashMap<String, Arc<str>>>,
    /// The epoch of each partition that is assigned and positioned.
    pub(super) epochs: Mutex<HashMap<Partition, u64>>,
    /// How long the group may take to settle.
    settle: Duration,
    /// Since when it has not been settled.
    unsettled: Mutex<Option<Instant>>,
    /// What keeps brokers away, in words that name a setting. librdkafka says the same thing again after 30 s only, so it stands until
    /// a broker is there.
    complaint: Mutex<Option<String>>,
}

impl Context {
    pub(super) fn new(control: mpsc::Sender<Event>, settle: Duration) -> Self {
        Self {
            control,
            topics: Mutex::default(),
            epochs: Mutex::default(),
            settle,
            unsettled: Mutex::default(),
            complaint: Mutex::default(),
        }
    }

    /// The words for `error`, and what keeps brokers away where that is known.
    pub(super) fn trouble(&self, error: &dyn std::fmt::Display) -> String {
        self.complaint.lock().clone().unwrap_or_else(|| error.to_string())
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
        let mut held = TopicPartitionList::new();
        for partition in &partitions {
            if let Some(start) = starts.iter().find(|start| start.partition == *partition) {
                let offset = start.offset.map_or(Offset::Beginning, Offset::Offset);
                list.set_partition_offset(&partition.topic, partition.number, offset)?;
                self.epochs.lock().insert(partition.clone(), start.epoch);
            } else {
                list.set_partition_offset(&partition.topic, partition.number, Offset::Beginning)?;
                held.add_partition(&partition.topic, partition.number);
            }
        }
        consumer.incremental_assign(list)?;
        if held.count() > 0 { consumer.pause(&held) } else { Ok(()) }
    }

    fn revoked(&self, consumer: &BaseConsumer<Self>, list: &TopicPartitionList) -> Result<(), KafkaError> {
        let partitions = self.partitions(list);
        self.epochs.lock().retain(|partition, _| !partitions.contains(partition));
        self.tell(Event::Revoked(partitions));
        consumer.incremental_unassign(list)
    }
}

impl ClientContext for Context {
    fn stats(&self, statistics: Statistics) {
        self.watch_group(&statistics);
        let connected = statistics.brokers.values().any(|broker| broker.state == "UP");
        if connected {
            *self.complaint.lock() = None;
        }
        let epochs = self.epochs.lock();
        let ends = statistics.topics.iter().flat_map(|(topic, found)| {
            found
                .partitions
                .values()
                .filter(|found| found.partition >= 0 && found.hi_offset >= 0)
                .map(move |found| (topic, found))
        });
        let ends = ends
            .map(|(topic, found)| (self.partition(topic, found.partition), found.hi_offset))
            .filter(|(partition, _)| epochs.contains_key(partition))
            .collect();
        drop(epochs);
        self.tell(Event::Ends { ends, connected });
    }

    fn error(&self, error: KafkaError, reason: &str) {
        tracing::debug!(%error, reason, "Kafka: {reason}");
        if let Some(words) = error.rdkafka_error_code().and_then(|code| trouble::in_words(code, reason)) {
            *self.complaint.lock() = Some(words);
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
