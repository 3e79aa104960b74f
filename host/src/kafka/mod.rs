//! librdkafka: a poll thread whose callbacks become events on a bounded channel, commands back to it, and runs of messages to
//! whoever was named to receive those of a partition.
//!
//! Promises: a run carries the *epoch* under which its partition was positioned, so that whoever repositions a partition can tell old
//! messages from new ones; memory in flight is bounded in bytes, by share, and a receiver without room holds up its own partitions
//! only; membership of the group is kept however long the other side takes. It knows nothing of readings, tenants or databases:
//! positions are told to it.

mod context;
mod examine;
mod options;
mod poll;
mod producer;
mod run;
mod trouble;

use std::fmt;
use std::sync::Arc;
use std::sync::mpsc as std_mpsc;
use std::thread;
use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, Consumer as _};
use tokio::sync::mpsc;

use self::context::Context;
pub use self::examine::examine;
pub use self::options::{Options, Security};
use self::poll::Poll;
pub use self::producer::{Outgoing, Producer};
pub use self::run::{Headers, Inlet, Memory, Message, Run, Share};
use crate::error::{Error, Result};

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

#[cfg(test)]
pub(crate) use self::run::run_of;
