//! The books of a batch: where its readings came from and what became of each.
//!
//! For every batch `read = stored + duplicate + quarantined + skipped`, in readings; [`Counts::balance`] says whether it holds.

use std::collections::BTreeMap;
use std::sync::Arc;

use uuid::Uuid;

use crate::batch::Refusal;

/// Names one Kafka log and one group's position in it: the key of a stored offset, less the partition.
///
/// The cluster's id is part of it, so that a broker that forgot everything, or another one under the same address, starts anew.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Log {
    /// The cluster's id, as the broker gives it or as a setting overrides it.
    pub cluster: Arc<str>,
    /// The consumer group.
    pub group: Arc<str>,
    /// The topic.
    pub topic: Arc<str>,
}

/// A half-open interval of one partition's offsets that a batch covers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OffsetRange {
    /// The partition.
    pub partition: i32,
    /// The position that must be stored now for the batch to count; the first offset that it covers.
    pub expected: i64,
    /// The position that is stored with the batch: one past the last offset that it covers.
    pub next: i64,
}

/// Which entrance a batch came through.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// A request.
    Http,
    /// Kafka: the rows and the new positions are stored together or not at all.
    Kafka {
        /// The log.
        log: Log,
        /// What the batch covers of each partition.
        ranges: Vec<OffsetRange>,
    },
    /// Quarantine: the rows are stored and the entries marked together or not at all. What is refused again stays where it is, so it
    /// is not counted as read.
    Replay {
        /// The entry that each reading comes from, through all batches; an entry may have become several readings.
        entries: Vec<Uuid>,
    },
}

impl Origin {
    /// The word for it in the books and in metrics.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Kafka { .. } => "kafka",
            Self::Replay { .. } => "replay",
        }
    }
}

/// How many readings went where.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// All readings of the batch; a message that cannot be decoded counts as one.
    pub read: u64,
    /// New, or replacing an older value.
    pub stored: u64,
    /// Of those stored, the ones that replaced an older value.
    pub replaced: u64,
    /// Already there with the same values.
    pub duplicate: u64,
    /// Kept aside.
    pub quarantined: u64,
    /// Refused: over HTTP its sender was told, from Kafka the ledger names the rule.
    pub skipped: u64,
}

impl Counts {
    /// True where every reading is accounted for exactly once.
    pub fn balance(&self) -> bool {
        self.read == self.stored + self.duplicate + self.quarantined + self.skipped
    }

    /// Adds another batch's counts.
    pub fn add(&mut self, other: &Self) {
        self.read += other.read;
        self.stored += other.stored;
        self.replaced += other.replaced;
        self.duplicate += other.duplicate;
        self.quarantined += other.quarantined;
        self.skipped += other.skipped;
    }
}

/// What became of a batch, once it is on disk.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ledger {
    /// The batch ids under which it stands in the books: one by HTTP, one per partition from Kafka.
    pub batches: Vec<Uuid>,
    /// How many went where.
    pub counts: Counts,
    /// Skipped readings by the name of what refused them.
    pub skipped_by: BTreeMap<String, u64>,
    /// What was refused or kept aside, by the reading's place in the batch.
    pub refusals: Vec<(u32, Refusal)>,
}
