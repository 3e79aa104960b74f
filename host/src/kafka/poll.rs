//! The poll thread: obeys orders, serves librdkafka's callbacks, and hands what the partitions' queues hold to whoever has room.
//!
//! Each partition has a queue of its own. One whose receiver has no room is left alone: librdkafka then stops fetching it by itself,
//! without a pause that would throw away what was fetched ahead, and the others go on.

use std::sync::Arc;
use std::sync::mpsc as std_mpsc;
use std::thread;
use std::time::Duration;

use bytes::Bytes;
use rdkafka::Offset;
use rdkafka::consumer::base_consumer::PartitionQueue;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::KafkaError;
use rdkafka::message::{Headers as _, Message as _};
use rdkafka::types::RDKafkaErrorCode;
use tokio::sync::mpsc;

use super::context::{Change, Context, ENDS_TIME, ends};
use super::examine::COMPLAINTS;
use super::run::{Gathering, Headers, Inlet};
use super::{Command, Event, Partition, Start};
use crate::limits;

/// The poll thread.
pub(super) struct Poll {
    consumer: Arc<BaseConsumer<Context>>,
    control: mpsc::Sender<Event>,
    orders: std_mpsc::Receiver<Command>,
    /// The partitions of this replica.
    sources: Vec<Source>,
    /// Which of them has the first turn.
    first: usize,
    gathering: Gathering,
    /// Positions that librdkafka would not take yet: a partition that was just assigned is not being fetched at once.
    seeks: Vec<Start>,
}

/// An assigned partition.
struct Source {
    partition: Partition,
    queue: PartitionQueue<Context>,
    /// Where its messages go; `None` while it is held.
    flow: Option<Flow>,
}

struct Flow {
    epoch: u64,
    inlet: Inlet,
    /// The least offset that may come next.
    next: i64,
}

/// How long the broker may take to be found before it is tried anew.
pub(super) const CONNECT: Duration = Duration::from_secs(5);
/// How long orders are waited for between two tries to find the broker.
const RETRY: Duration = Duration::from_millis(50);

impl Poll {
    pub(super) fn new(
        consumer: Arc<BaseConsumer<Context>>,
        control: mpsc::Sender<Event>,
        orders: std_mpsc::Receiver<Command>,
    ) -> Self {
        let gathering = Gathering::default();
        Self { consumer, control, orders, sources: Vec::new(), first: 0, gathering, seeks: Vec::new() }
    }

    pub(super) fn run(mut self) {
        if !self.connect() {
            return;
        }
        let mut busy = false;
        loop {
            if !self.obey() {
                return;
            }
            self.seek();
            self.serve(if busy { Duration::ZERO } else { limits::KAFKA_REST });
            busy = self.hand_over();
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
                    // Complaints are told when they are polled for.
                    for _ in 0..COMPLAINTS {
                        let _ = self.consumer.poll(Duration::ZERO);
                    }
                    let words = self.consumer.context().last_error();
                    let words = words.unwrap_or_else(|| format!("no broker answers: {error}"));
                    if self.control.blocking_send(Event::Trouble(words)).is_err() {
                        return false;
                    }
                }
            }
            match self.orders.recv_timeout(RETRY) {
                Ok(Command::Stop) | Err(std_mpsc::RecvTimeoutError::Disconnected) => return false,
                // Nothing is subscribed before the event of the connection.
                Ok(_) | Err(std_mpsc::RecvTimeoutError::Timeout) => {}
            }
        }
    }

    /// Carries out all orders that have come; false where it is to end, or nobody is left to give any.
    fn obey(&mut self) -> bool {
        loop {
            match self.orders.try_recv() {
                Ok(Command::Stop) | Err(std_mpsc::TryRecvError::Disconnected) => return false,
                Ok(command) => self.carry_out(command),
                Err(std_mpsc::TryRecvError::Empty) => return true,
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
            Command::Hold(partition) => self.forget(&partition),
            Command::Stored(partition, next) => {
                // Fails for a partition that was just taken away, which then is somebody else's to commit.
                let _ = self.consumer.store_offset(&partition.topic, partition.number, next - 1);
            }
            Command::Stop => {}
        }
    }

    /// Hands nothing of a partition over any more: its epoch has ended.
    fn forget(&mut self, partition: &Partition) {
        self.seeks.retain(|start| start.partition != *partition);
        if let Some(source) = self.source(partition) {
            source.flow = None;
        }
    }

    fn source(&mut self, partition: &Partition) -> Option<&mut Source> {
        self.sources.iter_mut().find(|source| source.partition == *partition)
    }

    fn seek(&mut self) {
        for start in std::mem::take(&mut self.seeks) {
            if self.source(&start.partition).is_none() {
                // Taken away meanwhile.
                continue;
            }
            let offset = start.offset.map_or(Offset::Beginning, Offset::Offset);
            match self.consumer.seek(&start.partition.topic, start.partition.number, offset, ENDS_TIME) {
                Ok(()) => {
                    let flow = Flow { epoch: start.epoch, inlet: start.inlet, next: start.offset.unwrap_or(0) };
                    if let Some(source) = self.source(&start.partition) {
                        source.flow = Some(flow);
                    }
                }
                Err(error) => {
                    tracing::debug!(%error, partition = %start.partition, "a position is not taken yet");
                    self.seeks.push(start);
                    thread::sleep(Duration::from_millis(20));
                }
            }
        }
    }

    /// Serves what librdkafka has to say, waiting so long for the first of it.
    fn serve(&mut self, wait: Duration) {
        let mut wait = wait;
        while let Some(said) = self.consumer.poll(wait) {
            wait = Duration::ZERO;
            let event = match said {
                // Each partition's queue was split off before it was fetched. Going on would leave a hole behind this message.
                Ok(message) => Event::Ended(format!("{}/{} has no queue of its own", message.topic(), message.partition())),
                Err(error) => event(&error, self.consumer.context()),
            };
            self.tell(event);
        }
        for change in self.consumer.context().changes() {
            match change {
                Change::Given { partition, queue, start } => {
                    let flow =
                        start.map(|start| Flow { epoch: start.epoch, inlet: start.inlet, next: start.offset.unwrap_or(0) });
                    self.sources.push(Source { partition, queue, flow });
                }
                Change::Taken(partition) => {
                    self.sources.retain(|source| source.partition != partition);
                    self.seeks.retain(|start| start.partition != partition);
                }
            }
        }
    }

    /// Hands one run of each partition over where there is room for it; true where anything was.
    fn hand_over(&mut self) -> bool {
        let mut events = Vec::new();
        let mut busy = false;
        let number = self.sources.len();
        for turn in 0..number {
            let source = &mut self.sources[(self.first + turn) % number];
            busy |= source.hand_over(&mut self.gathering, &mut events);
        }
        self.first = (self.first + 1) % number.max(1);
        for (partition, error) in events {
            let event = match error.rdkafka_error_code() {
                Some(RDKafkaErrorCode::AutoOffsetReset | RDKafkaErrorCode::OffsetOutOfRange) => {
                    self.forget(&partition);
                    Event::OutOfRange { ends: ends(&self.consumer, &partition), partition }
                }
                _ => event(&error, self.consumer.context()),
            };
            self.tell(event);
        }
        busy
    }

    fn tell(&self, event: Event) {
        let _ = self.control.blocking_send(event);
    }
}

impl Drop for Poll {
    fn drop(&mut self) {
        // Queues hold the consumer, which closes when it is dropped.
        self.sources.clear();
        drop(self.consumer.context().changes());
    }
}

impl Source {
    fn hand_over(&mut self, gathering: &mut Gathering, events: &mut Vec<(Partition, KafkaError)>) -> bool {
        let Some(flow) = self.flow.as_mut().filter(|flow| flow.inlet.share.has_room()) else { return false };
        // Full, or its lane has ended and the partition will be taken or positioned anew.
        let Ok(place) = flow.inlet.runs.try_reserve() else { return false };
        while !gathering.is_full() {
            let message = match self.queue.poll(Duration::ZERO) {
                None => break,
                Some(Ok(message)) => message,
                Some(Err(error)) => {
                    events.push((self.partition.clone(), error));
                    break;
                }
            };
            if message.offset() < flow.next {
                continue;
            }
            flow.next = message.offset() + 1;
            let headers: Option<Headers> = message.headers().map(|headers| {
                headers.iter().map(|header| (header.key.to_owned(), header.value.map(Bytes::copy_from_slice))).collect()
            });
            gathering.push(message.offset(), message.key(), headers, message.payload());
        }
        if gathering.is_empty() {
            return false;
        }
        place.send(gathering.take(self.partition.clone(), flow.epoch, &flow.inlet.share));
        true
    }
}

fn event(error: &KafkaError, context: &Context) -> Event {
    match error.rdkafka_error_code() {
        Some(RDKafkaErrorCode::Fatal | RDKafkaErrorCode::FencedInstanceId) => Event::Ended(error.to_string()),
        _ => Event::Trouble(context.last_error().unwrap_or_else(|| error.to_string())),
    }
}
