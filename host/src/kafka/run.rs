//! Messages on their way: runs of one partition in one piece of memory, and the shares of memory that bound them.
//!
//! A run is what one look at a partition's queue found. Its keys and payloads lie one behind the other in a single allocation, so a
//! message costs no allocation of its own, and what is handed on of it is a slice. A run counts against the share of whoever receives
//! it until it is dropped, so whoever works on its slices keeps it until then.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use tokio::sync::mpsc;

use super::Partition;
use crate::limits;

/// Names and values of a message's headers, in their order.
pub type Headers = Arc<[(String, Option<Bytes>)]>;

/// Messages of one partition in the order of their offsets.
#[derive(Debug)]
pub struct Run {
    /// Where they came from.
    pub partition: Partition,
    /// The epoch under which the partition was positioned.
    pub epoch: u64,
    messages: Vec<Entry>,
    bytes: Bytes,
    held: Held,
}

#[derive(Debug)]
struct Entry {
    offset: i64,
    /// The payload's place in the run's bytes; the key lies before it, from the end of the message before.
    payload: Range<usize>,
    key: Option<usize>,
    headers: Option<Headers>,
}

/// A message of a run.
#[derive(Clone, Debug)]
pub struct Message {
    /// Its offset.
    pub offset: i64,
    /// Its key.
    pub key: Option<Bytes>,
    /// Its headers.
    pub headers: Headers,
    /// Its value; a message without one has an empty payload.
    pub payload: Bytes,
}

impl Run {
    /// The number of messages; at least one.
    pub fn len(&self) -> usize {
        self.messages.len()
    }

    /// True where it has none, which no run that was handed out is.
    pub fn is_empty(&self) -> bool {
        self.messages.is_empty()
    }

    /// The bytes that it holds in memory.
    pub fn bytes(&self) -> usize {
        self.held.bytes
    }

    /// The offset of message `at`.
    pub fn offset(&self, at: usize) -> i64 {
        self.messages[at].offset
    }

    /// Message `at`; its parts are slices of the run.
    pub fn message(&self, at: usize) -> Message {
        let entry = &self.messages[at];
        Message {
            offset: entry.offset,
            key: entry.key.map(|begin| self.bytes.slice(begin..entry.payload.start)),
            headers: entry.headers.clone().unwrap_or_else(no_headers),
            payload: self.bytes.slice(entry.payload.clone()),
        }
    }
}

/// A run that is being gathered. Its memory is used again for the next one.
#[derive(Default)]
pub(super) struct Gathering {
    messages: Vec<Entry>,
    bytes: Vec<u8>,
}

impl Gathering {
    pub(super) fn is_empty(&self) -> bool {
        self.messages.is_empty()
    }

    /// True where it is as large as a run should be.
    pub(super) fn is_full(&self) -> bool {
        self.bytes.len() >= limits::RUN_BYTES || self.messages.len() >= limits::RUN_MESSAGES
    }

    pub(super) fn push(&mut self, offset: i64, key: Option<&[u8]>, headers: Option<Headers>, payload: Option<&[u8]>) {
        let begin = self.bytes.len();
        self.bytes.extend_from_slice(key.unwrap_or_default());
        let middle = self.bytes.len();
        self.bytes.extend_from_slice(payload.unwrap_or_default());
        self.messages.push(Entry { offset, payload: middle..self.bytes.len(), key: key.map(|_| begin), headers });
    }

    /// The run, in memory of exactly its size: it may stay for long.
    pub(super) fn take(&mut self, partition: Partition, epoch: u64, share: &Arc<Share>) -> Run {
        let headers = self.messages.iter().filter(|entry| entry.headers.is_some()).count();
        let held = Held::of(share, self.bytes.len() + self.messages.len() * size_of::<Entry>() + headers * HEADERS_BYTES);
        let messages = self.messages.drain(..).collect();
        let bytes = Bytes::copy_from_slice(&self.bytes);
        self.bytes.clear();
        // One message of many megabytes is no reason to keep as much for ever.
        self.bytes.shrink_to(2 * limits::RUN_BYTES);
        Run { partition, epoch, messages, bytes, held }
    }
}

/// What a message's headers are taken to hold, in bytes: they are few, and counting them would cost more than it tells.
const HEADERS_BYTES: usize = 256;

/// Where a partition's runs go.
#[derive(Clone, Debug)]
pub struct Inlet {
    /// The queue.
    pub runs: mpsc::Sender<Run>,
    /// What it may hold.
    pub share: Arc<Share>,
}

/// The memory that messages on their way may hold in all, and among how many shares it is divided.
#[derive(Debug)]
pub struct Memory {
    bytes: usize,
    used: AtomicUsize,
    shares: AtomicUsize,
}

impl Memory {
    /// A memory of so many bytes.
    pub fn new(bytes: usize) -> Arc<Self> {
        Arc::new(Self { bytes, used: AtomicUsize::new(0), shares: AtomicUsize::new(0) })
    }

    /// Another share; all become smaller by it.
    pub fn share(self: &Arc<Self>) -> Arc<Share> {
        self.shares.fetch_add(1, Ordering::Relaxed);
        Arc::new(Share { memory: Arc::clone(self), used: AtomicUsize::new(0) })
    }

    /// Bytes that are held now.
    pub fn used(&self) -> usize {
        self.used.load(Ordering::Relaxed)
    }
}

/// One lane's part of the memory, so that a lane that stands still cannot take what the others need.
#[derive(Debug)]
pub struct Share {
    memory: Arc<Memory>,
    used: AtomicUsize,
}

impl Share {
    /// True while another run may be gathered. It may go over by one run, or by one message that is larger.
    pub fn has_room(&self) -> bool {
        let shares = self.memory.shares.load(Ordering::Relaxed).max(1);
        self.used.load(Ordering::Relaxed) < (self.memory.bytes / shares).max(limits::RUN_BYTES)
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.memory.shares.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Bytes of a share, given back when dropped.
struct Held {
    share: Arc<Share>,
    bytes: usize,
}

impl Held {
    fn of(share: &Arc<Share>, bytes: usize) -> Self {
        share.used.fetch_add(bytes, Ordering::Relaxed);
        share.memory.used.fetch_add(bytes, Ordering::Relaxed);
        Self { share: Arc::clone(share), bytes }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.share.used.fetch_sub(self.bytes, Ordering::Relaxed);
        self.share.memory.used.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

impl fmt::Debug for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes", self.bytes)
    }
}

/// Most messages have no headers; they share one empty list.
fn no_headers() -> Headers {
    static NONE: std::sync::OnceLock<Headers> = std::sync::OnceLock::new();
    Arc::clone(NONE.get_or_init(|| Arc::new([])))
}

/// A run of these payloads from `first` on, for tests of what receives runs.
#[cfg(test)]
pub(crate) fn run_of(partition: &Partition, epoch: u64, first: i64, payloads: &[&[u8]], share: &Arc<Share>) -> Run {
    let mut gathering = Gathering::default();
    for (payload, offset) in payloads.iter().zip(first..) {
        gathering.push(offset, None, None, Some(payload));
    }
    gathering.take(partition.clone(), epoch, share)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn partition() -> Partition {
        Partition { topic: "t".into(), number: 0 }
    }

    #[test]
    fn a_message_comes_out_as_it_went_in() {
        let share = Memory::new(1 << 20).share();
        let mut gathering = Gathering::default();
        let headers: Headers = Arc::new([("h".to_owned(), None)]);
        gathering.push(5, Some(b"key"), Some(Arc::clone(&headers)), Some(b"payload"));
        gathering.push(7, None, None, None);
        gathering.push(8, Some(b""), None, Some(b"x"));
        let run = gathering.take(partition(), 3, &share);
        let first = run.message(0);
        assert_eq!((first.offset, first.key.as_deref(), &*first.payload), (5, Some(b"key".as_slice()), b"payload".as_slice()));
        assert_eq!(first.headers, headers);
        let second = run.message(1);
        assert_eq!((second.offset, second.key, second.payload.len(), second.headers.len()), (7, None, 0, 0));
        assert_eq!((run.message(2).key.as_deref(), &*run.message(2).payload), (Some(b"".as_slice()), b"x".as_slice()));
    }

    #[test]
    fn a_share_is_given_back_and_no_share_takes_anothers() {
        let memory = Memory::new(4 * limits::RUN_BYTES);
        let (one, other) = (memory.share(), memory.share());
        let large = vec![0; 2 * limits::RUN_BYTES];
        let run = run_of(&partition(), 1, 0, &[&large], &one);
        assert!(!one.has_room() && other.has_room());
        drop(other);
        assert!(one.has_room(), "it has the other's part too");
        assert!(memory.used() >= large.len());
        drop(run);
        assert_eq!(memory.used(), 0);
    }
}
