//! The poll thread: obeys orders, polls, and hands messages over within the budget.

use std::collections::VecDeque;
use std::sync::mpsc as std_mpsc;
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::{Duration, Instant};

use bytes::Bytes;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::KafkaError;
use rdkafka::message::{BorrowedMessage, Headers as _, Message as _};
use rdkafka::types::RDKafkaErrorCode;
use rdkafka::{Offset, TopicPartitionList};
use tokio::sync::{Semaphore, mpsc};

use super::context::{Context, ENDS_TIME, ends};
use super::examine::COMPLAINTS;
use super::{Command, Event, Message, Partition, Start};

/// The poll thread.
pub(super) struct Poll {
    pub(super) consumer: BaseConsumer<Context>,
    pub(super) control: mpsc::Sender<Event>,
    pub(super) messages: mpsc::Sender<Message>,
    pub(super) orders: std_mpsc::Receiver<Command>,
    pub(super) budget: Arc<Semaphore>,
    pub(super) budget_kib: u32,
    /// What was polled and found no room yet.
    pub(super) waiting: VecDeque<Message>,
    pub(super) stuck_since: Option<Instant>,
    pub(super) all_paused: bool,
    /// Positions that librdkafka would not take yet: a partition that was just assigned is not being fetched at once.
    pub(super) seeks: Vec<Start>,
}

/// How long the other side may take before fetching pauses; a pause throws away what was fetched ahead.
const STUCK: Duration = Duration::from_secs(1);
/// How long one poll waits; orders wait as long.
const POLL: Duration = Duration::from_millis(50);
/// How long the broker may take to be found before it is tried anew.
pub(super) const CONNECT: Duration = Duration::from_secs(5);

impl Poll {
    pub(super) fn run(mut self) {
        if !self.connect() {
            return;
        }
        loop {
            match self.obey() {
                Some(Command::Stop) | None => return,
                Some(_) => {}
            }
            self.seek();
            if self.hand_over() {
                self.pause_all(false);
                self.poll(POLL);
            } else if self.stuck_since.get_or_insert_with(Instant::now).elapsed() > STUCK {
                self.pause_all(true);
                self.poll(POLL);
            } else {
                thread::sleep(Duration::from_millis(2));
            }
        }
    }

    /// Waits for a broker; false where it was told to stop before.
    fn connect(&mut self) -> bool {
        loop {
            match self.consumer.fetch_metadata(None, CONNECT) {
                Ok(_) => {
                    let cluster = self.consumer.client().fetch_cluster_id(CONNECT);
                    return self.control.blocking_send(Event::Connected { cluster }).is_ok();
                }
                Err(error) => {
                    // What librdkafka has to say about it is told when it is polled for.
                    for _ in 0..COMPLAINTS {
                        let _ = self.consumer.poll(Duration::ZERO);
                    }
                    let trouble = self.consumer.context().trouble(&format_args!("no broker answers: {error}"));
                    if self.control.blocking_send(Event::Trouble(trouble)).is_err() {
                        return false;
                    }
                }
            }
            match self.orders.recv_timeout(POLL) {
                Ok(Command::Stop) | Err(std_mpsc::RecvTimeoutError::Disconnected) => return false,
                // Nothing is subscribed before the event of the connection.
                Ok(_) | Err(std_mpsc::RecvTimeoutError::Timeout) => {}
            }
        }
    }

    /// Carries out all orders that have come. `None` where nobody is left to give any.
    fn obey(&mut self) -> Option<Command> {
        loop {
            match self.orders.try_recv() {
                Ok(Command::Stop) => return Some(Command::Stop),
                Ok(command) => self.carry_out(command),
                Err(std_mpsc::TryRecvError::Empty) => return Some(Command::Subscribe(Vec::new())),
                Err(std_mpsc::TryRecvError::Disconnected) => return None,
            }
        }
    }

    fn carry_out(&mut self, command: Command) {
        match command {
            Command::Subscribe(topics) => {
                let names: Vec<&str> = topics.iter().map(String::as_str).collect();
                let done = if names.is_empty() {
                    self.consumer.unsubscribe();
                    Ok(())
                } else {
                    self.consumer.subscribe(&names)
                };
                if let Err(error) = done {
                    self.tell(Event::Ended(format!("cannot subscribe: {error}")));
                }
            }
            Command::Position(start) => {
                self.forget(&start.partition);
                self.seeks.push(start);
            }
            Command::Hold(partition) => {
                self.forget(&partition);
                let mut list = TopicPartitionList::new();
                list.add_partition(&partition.topic, partition.number);
                if let Err(error) = self.consumer.pause(&list) {
                    tracing::debug!(%error, %partition, "partition {partition} cannot be paused; it may be gone");
                }
            }
            Command::Stored(partition, next) => {
                // Fails for a partition that was just taken away, which then is somebody else's to commit.
                let _ = self.consumer.store_offset(&partition.topic, partition.number, next - 1);
            }
            Command::Stop => {}
        }
    }

    /// Drops what is under way of a partition: its messages belong to an epoch that has ended.
    fn forget(&mut self, partition: &Partition) {
        self.consumer.context().epochs.lock().remove(partition);
        self.waiting.retain(|message| message.partition != *partition);
        self.seeks.retain(|start| start.partition != *partition);
    }

    fn seek(&mut self) {
        for start in std::mem::take(&mut self.seeks) {
            let Partition { topic, number } = &start.partition;
            let offset = start.offset.map_or(Offset::Beginning, Offset::Offset);
            let mut list = TopicPartitionList::new();
            list.add_partition(topic, *number);
            let sought = self
                .consumer
                .seek(topic, *number, offset, ENDS_TIME)
                .and_then(|()| if self.all_paused { Ok(()) } else { self.consumer.resume(&list) });
            match sought {
                Ok(()) => {
                    self.consumer.context().epochs.lock().insert(start.partition, start.epoch);
                }
                Err(error) if self.is_assigned(&start.partition) => {
                    tracing::debug!(%error, partition = %start.partition, "a position is not taken yet");
                    self.seeks.push(start);
                    thread::sleep(Duration::from_millis(20));
                }
                Err(_) => {}
            }
        }
    }

    fn is_assigned(&self, partition: &Partition) -> bool {
        self.consumer.assignment().is_ok_and(|list| list.find_partition(&partition.topic, partition.number).is_some())
    }

    /// Hands over what waits; true where nothing is left.
    fn hand_over(&mut self) -> bool {
        while let Some(message) = self.waiting.pop_front() {
            match self.messages.try_send(message) {
                Ok(()) => self.stuck_since = None,
                Err(mpsc::error::TrySendError::Full(message)) => {
                    self.waiting.push_front(message);
                    return false;
                }
                Err(mpsc::error::TrySendError::Closed(_)) => self.waiting.clear(),
            }
        }
        if self.budget.available_permits() == 0 {
            return false;
        }
        self.stuck_since = None;
        true
    }

    fn pause_all(&mut self, pause: bool) {
        if self.all_paused == pause {
            return;
        }
        let mut list = TopicPartitionList::new();
        for partition in self.consumer.context().epochs.lock().keys() {
            list.add_partition(&partition.topic, partition.number);
        }
        let done = if pause { self.consumer.pause(&list) } else { self.consumer.resume(&list) };
        match done {
            Ok(()) => self.all_paused = pause,
            Err(error) => tracing::debug!(%error, "partitions cannot be paused or resumed"),
        }
    }

    fn poll(&mut self, wait: Duration) {
        let taken = match self.consumer.poll(wait) {
            None => return,
            Some(Ok(message)) => self.take(&message),
            Some(Err(error)) => {
                let event = self.event(&error);
                self.tell(event);
                return;
            }
        };
        if let Some(message) = taken
            && let Err(mpsc::error::TrySendError::Full(message)) = self.messages.try_send(message)
        {
            self.waiting.push_back(message);
        }
    }

    /// Copies a message out of librdkafka, unless its epoch has ended. It waits for room in the budget.
    fn take(&self, message: &BorrowedMessage<'_>) -> Option<Message> {
        let context = self.consumer.context();
        let partition = context.partition(message.topic(), message.partition());
        let epoch = *context.epochs.lock().get(&partition)?;
        let bytes = message.payload_len() + message.key_len() + 256;
        let kib = u32::try_from(bytes.div_ceil(1 << 10)).unwrap_or(u32::MAX).min(self.budget_kib);
        let in_flight = loop {
            match Arc::clone(&self.budget).try_acquire_many_owned(kib) {
                Ok(permit) => break permit,
                // Shorter than a session: membership is the business of another thread of librdkafka.
                Err(_) if !self.messages.is_closed() => thread::sleep(Duration::from_millis(2)),
                Err(_) => return None,
            }
        };
        let headers = message.headers().map(|headers| {
            headers.iter().map(|header| (header.key.to_owned(), header.value.map(Bytes::copy_from_slice))).collect()
        });
        Some(Message {
            partition,
            offset: message.offset(),
            epoch,
            key: message.key().map(Bytes::copy_from_slice),
            headers: headers.unwrap_or_else(no_headers),
            payload: message.payload().map(Bytes::copy_from_slice).unwrap_or_default(),
            _in_flight: in_flight,
        })
    }

    fn event(&self, error: &KafkaError) -> Event {
        match error.rdkafka_error_code() {
            Some(RDKafkaErrorCode::Fatal | RDKafkaErrorCode::FencedInstanceId) => Event::Ended(error.to_string()),
            Some(RDKafkaErrorCode::AutoOffsetReset | RDKafkaErrorCode::OffsetOutOfRange) => self.out_of_range(error),
            _ => Event::Trouble(self.consumer.context().trouble(error)),
        }
    }

    /// librdkafka names the partition in its log alone; the one whose position lies outside of its log is looked for.
    fn out_of_range(&self, error: &KafkaError) -> Event {
        let known: Vec<Partition> = self.consumer.context().epochs.lock().keys().cloned().collect();
        let positions = self.consumer.position().ok();
        for partition in known {
            let Some((low, high)) = ends(&self.consumer, &partition) else { continue };
            let position = positions.as_ref().and_then(|list| list.find_partition(&partition.topic, partition.number));
            let outside = match position.map(|element| element.offset()) {
                Some(Offset::Offset(offset)) => offset < low || offset > high,
                // Nothing was handed out yet, so it is the position that it was given.
                _ => true,
            };
            if outside {
                return Event::OutOfRange { partition, ends: Some((low, high)) };
            }
        }
        Event::Trouble(error.to_string())
    }

    fn tell(&self, event: Event) {
        let _ = self.control.blocking_send(event);
    }
}

/// Names and values, in their order.
type Headers = Arc<[(String, Option<Bytes>)]>;

/// Most messages have no headers; they share one empty list.
fn no_headers() -> Headers {
    static NONE: OnceLock<Headers> = OnceLock::new();
    Arc::clone(NONE.get_or_init(|| Arc::new([])))
}
