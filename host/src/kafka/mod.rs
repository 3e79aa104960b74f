//! librdkafka: a poll thread whose callbacks become events on a bounded channel, commands back to it, and runs of messages to
//! whoever was named to receive those of a partition.
//!
//! Promises: a run carries the *epoch* under which its partition was positioned, so that whoever repositions a partition can tell old
//! messages from new ones; memory in flight is bounded in bytes, by share, and a receiver without room holds up its own partitions
//! only; membership of the group is kept however long the other side takes. It knows nothing of readings, tenants or databases:
//! positions are told to it.

mod context;
mod poll;
mod run;

use std::fmt;
use std::sync::Arc;
use std::sync::mpsc as std_mpsc;
use std::thread;
use std::time::Duration;

use rdkafka::config::{ClientConfig, RDKafkaLogLevel};
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::KafkaError;
use tokio::sync::mpsc;

use self::context::Context;
use self::poll::{CONNECT, Poll};
#[cfg(test)]
pub(crate) use self::run::run_of;
pub use self::run::{Headers, Inlet, Memory, Message, Run, Share};
use crate::error::{Error, Result};
use crate::limits;
use crate::settings::OffsetOutOfRange;

/// Where and how to consume.
#[derive(Clone, Debug)]
pub struct Options {
    /// Bootstrap servers.
    pub brokers: String,
    /// The consumer group.
    pub group_id: String,
    /// A fixed name of this replica in the group.
    pub group_instance_id: Option<String>,
    /// How long a silent replica keeps its partitions.
    pub session_timeout: Duration,
    /// Names the cluster's log in place of the broker's cluster id.
    pub log_id: Option<String>,
    /// What to do where a stored position is no longer in the log.
    pub out_of_range: OffsetOutOfRange,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            brokers: String::new(),
            group_id: "weir".to_owned(),
            group_instance_id: None,
            session_timeout: Duration::from_secs(10),
            log_id: None,
            out_of_range: OffsetOutOfRange::Stop,
        }
    }
}

impl Options {
    fn config(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config
            .set("bootstrap.servers", &self.brokers)
            .set("group.id", &self.group_id)
            .set("client.id", "weir")
            .set("partition.assignment.strategy", "cooperative-sticky")
            .set("session.timeout.ms", self.session_timeout.as_millis().to_string())
            .set("heartbeat.interval.ms", (self.session_timeout.as_millis() / 4).max(250).to_string())
            // The poll thread answers rebalances whatever the stores do; a process that hangs is found out by its heartbeat.
            .set("max.poll.interval.ms", "86400000")
            // Positions are kept with the rows. What is committed here is a courtesy to lag tools.
            .set("enable.auto.commit", "true")
            .set("enable.auto.offset.store", "false")
            .set("auto.offset.reset", "error")
            .set("allow.auto.create.topics", "false")
            .set("topic.metadata.refresh.interval.ms", "10000")
            // A partition's queue is its own, so this holds for each of them.
            .set("queued.max.messages.kbytes", limits::KAFKA_AHEAD_KIB.to_string())
            .set("fetch.max.bytes", limits::KAFKA_FETCH_BYTES.to_string())
            .set("fetch.message.max.bytes", (limits::KAFKA_AHEAD_KIB << 10).to_string())
            // How soon a queue that was full is looked at again; the default of a second would be a second of standing still.
            .set("fetch.queue.backoff.ms", "5")
            .set("fetch.wait.max.ms", "100")
            .set("statistics.interval.ms", "2000")
            .set("reconnect.backoff.max.ms", "5000")
            .set_log_level(RDKafkaLogLevel::Critical);
        if let Some(instance) = &self.group_instance_id {
            config.set("group.instance.id", instance);
        }
        config
    }
}

/// Sessions that a group may take to settle: the first is over when a dead member is noticed, a second when its leader was another one.
const SETTLE_SESSIONS: u32 = 3;
/// However short a session is: brokers take some seconds for each of the steps of a rebalance.
const SETTLE_LEAST: Duration = Duration::from_secs(30);

/// A partition of a topic.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Partition {
    /// The topic.
    pub topic: Arc<str>,
    /// The partition's number.
    pub number: i32,
}

impl fmt::Display for Partition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.topic, self.number)
    }
}

impl fmt::Debug for Partition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Where a partition begins.
#[derive(Clone, Debug)]
pub struct Start {
    /// The partition.
    pub partition: Partition,
    /// Marks the messages that follow; never 0.
    pub epoch: u64,
    /// The first offset that is wanted; `None` for the oldest that there is.
    pub offset: Option<i64>,
    /// Where its messages go.
    pub inlet: Inlet,
}

/// The ends of a partition's log: its oldest offset, and one past its newest.
pub type Ends = (i64, i64);

/// What happened, apart from messages.
#[derive(Debug)]
pub enum Event {
    /// The broker answers; its cluster's id, where it has one.
    Connected {
        /// The cluster's id.
        cluster: Option<String>,
    },
    /// Partitions were given to this replica. The answer names where each begins; those it leaves out are held.
    Assigned {
        /// The partitions, with the ends of their logs where the broker told them.
        partitions: Vec<(Partition, Option<Ends>)>,
        /// Takes the answer. Messages of these partitions wait for it.
        reply: std_mpsc::SyncSender<Vec<Start>>,
    },
    /// Partitions were taken from this replica.
    Revoked(Vec<Partition>),
    /// A partition's position is not in the log any more.
    OutOfRange {
        /// The partition.
        partition: Partition,
        /// The ends of its log, where the broker told them.
        ends: Option<Ends>,
    },
    /// The newest offsets, and whether any broker is connected; every two seconds.
    Ends {
        /// One past the newest offset of each partition.
        ends: Vec<(Partition, i64)>,
        /// True where at least one broker is connected.
        connected: bool,
    },
    /// Something that passes or that an operator should know of, such as a topic that does not exist yet.
    Trouble(String),
    /// The consumer cannot go on; a new one may.
    Ended(String),
}

#[derive(Debug)]
enum Command {
    Subscribe(Vec<String>),
    Position(Start),
    Hold(Partition),
    Stored(Partition, i64),
    Stop,
}

/// A running consumer. It leaves the group when it is closed or dropped.
#[derive(Debug)]
pub struct Consumer {
    commands: std_mpsc::Sender<Command>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Consumer {
    /// Starts the poll thread. It is subscribed to nothing yet. Events must be read at all times: assignments wait for answers.
    pub fn start(options: &Options) -> Result<(Self, mpsc::Receiver<Event>)> {
        let (control, events) = mpsc::channel(256);
        // Without a bound: the poll thread may be waiting for the writer, which must not wait for it. Orders come a few to a flush, and
        // flushes wait for messages, which are bounded.
        let (commands, orders) = std_mpsc::channel();
        let context = Context::new(control.clone(), (options.session_timeout * SETTLE_SESSIONS).max(SETTLE_LEAST));
        let consumer: BaseConsumer<Context> = options
            .config()
            .create_with_context(context)
            .map_err(|cause| Error::malformed("The Kafka settings cannot be used.").caused_by(cause))?;
        let consumer = Arc::new(consumer);
        consumer.context().belongs_to(&consumer);
        let poll = Poll::new(consumer, control, orders);
        let thread = thread::Builder::new().name("kafka-poll".to_owned()).spawn(move || poll.run()).map_err(Error::internal)?;
        Ok((Self { commands, thread: Some(thread) }, events))
    }

    /// Consumes these topics from now on, and no others.
    pub fn subscribe(&self, topics: Vec<String>) {
        self.order(Command::Subscribe(topics));
    }

    /// Moves an assigned partition; messages of its new epoch follow.
    pub fn position(&self, start: Start) {
        self.order(Command::Position(start));
    }

    /// Fetches nothing of a partition until it is positioned again.
    pub fn hold(&self, partition: Partition) {
        self.order(Command::Hold(partition));
    }

    /// Tells Kafka, as a courtesy, that everything before `next` is done.
    pub fn stored(&self, partition: Partition, next: i64) {
        self.order(Command::Stored(partition, next));
    }

    /// Leaves the group and ends the thread. It blocks until then.
    pub fn close(mut self) {
        self.order(Command::Stop);
        if let Some(thread) = self.thread.take() {
            // A panic of the thread was logged where it happened.
            let _ = thread.join();
        }
    }

    /// An order to a thread that has ended has no effect, and none is needed: its end was an event.
    fn order(&self, command: Command) {
        let _ = self.commands.send(command);
    }
}

impl Drop for Consumer {
    fn drop(&mut self) {
        self.order(Command::Stop);
    }
}

/// Brokers and topics, in a sentence for `weir doctor`. It blocks.
pub fn examine(options: &Options) -> Result<String> {
    let away = |cause: KafkaError| Error::unavailable("Kafka broker", cause);
    let consumer: BaseConsumer = options.config().create().map_err(away)?;
    let metadata = consumer.fetch_metadata(None, CONNECT).map_err(away)?;
    let cluster = consumer.client().fetch_cluster_id(CONNECT).unwrap_or_else(|| "without an id".to_owned());
    Ok(format!("cluster {cluster}: {} brokers, {} topics", metadata.brokers().len(), metadata.topics().len()))
}
