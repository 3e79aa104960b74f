//! A lane: gathers messages by topic and flushes them on number, bytes or age.

use std::collections::HashMap;
use std::sync::Arc;

use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::Options;
use super::places::Places;
use crate::gate::Gate;
use crate::kafka::{Message, Partition};

/// What a lane has to say to the writer's loop.
#[derive(Debug)]
pub(super) enum Note {
    /// Everything of a partition before this offset is stored.
    Stored(Partition, i64),
    /// Somebody else moved the partition.
    Fenced(Partition),
    /// The partition waits for somebody to act.
    Hold(Partition, String),
    /// A reading stops its topic.
    StopTopic(Arc<str>, String),
    /// Storing is tried again because of this, or (`None`) works again.
    Retrying(Option<String>),
}

/// One lane. Its partitions are its own, so the order of a partition's messages is kept.
pub(super) struct Lane {
    pub(super) options: Options,
    pub(super) group: Arc<str>,
    pub(super) gate: Arc<Gate>,
    pub(super) places: Arc<Places>,
    pub(super) queue: mpsc::Receiver<Message>,
    pub(super) notes: mpsc::Sender<Note>,
    pub(super) stop: CancellationToken,
}

/// Messages of one topic, and since when.
#[derive(Debug)]
struct Gathered {
    messages: Vec<Message>,
    bytes: usize,
    since: Instant,
}

impl Lane {
    /// Until its queue is closed; then it stores what it has.
    pub(super) async fn run(mut self) {
        let mut gathered: HashMap<Arc<str>, Gathered> = HashMap::new();
        let mut received = Vec::new();
        loop {
            let oldest = gathered.values().map(|topic| topic.since).min();
            let due = oldest.map(|since| since + self.options.flush_age);
            let number = tokio::select! {
                number = self.queue.recv_many(&mut received, self.options.flush_readings) => Some(number),
                () = async { match due { Some(due) => tokio::time::sleep_until(due).await, None => std::future::pending().await } } => None,
            };
            for message in received.drain(..).filter(|message| self.places.counts(message)) {
                let topic = gathered.entry(Arc::clone(&message.partition.topic)).or_insert_with(Gathered::new);
                topic.bytes += message.payload.len();
                topic.messages.push(message);
            }
            let ends = number == Some(0);
            let now = Instant::now();
            let full: Vec<Arc<str>> = gathered
                .iter()
                .filter(|(_, topic)| ends || topic.is_due(&self.options, now))
                .map(|(topic, _)| Arc::clone(topic))
                .collect();
            for topic in full {
                if let Some(Gathered { messages, .. }) = gathered.remove(&topic) {
                    self.flush(&topic, messages).await;
                }
            }
            if ends {
                return;
            }
        }
    }
}

impl Gathered {
    fn new() -> Self {
        Self { messages: Vec::new(), bytes: 0, since: Instant::now() }
    }

    fn is_due(&self, options: &Options, now: Instant) -> bool {
        self.messages.len() >= options.flush_readings
            || self.bytes >= options.flush_bytes
            || now >= self.since + options.flush_age
    }
}
