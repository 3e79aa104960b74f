//! Where each partition stands: shared by the writer's loop, which positions, and the lanes, which advance.
//!
//! An epoch is the answer to "does this message still count?": whoever positions, holds or loses a partition ends its epoch, and
//! what a lane still has of it is dropped without harm, since it will be read again from the stored position.

use std::collections::{HashMap, HashSet};

use parking_lot::Mutex;

use super::lanes::Name;
use super::part::Span;
use crate::kafka::{Partition, Run};
use crate::ledger::{Log, OffsetRange};

#[derive(Debug)]
struct Place {
    /// 0 while the partition is held.
    epoch: u64,
    lane: Name,
    log: Log,
    /// The stored position.
    next: i64,
    /// One past the newest message, where it is known.
    end: Option<i64>,
}

/// Where each partition of this replica stands.
#[derive(Debug, Default)]
pub(super) struct Places {
    places: Mutex<HashMap<Partition, Place>>,
    /// Why partitions wait, those included that never got a place.
    held: Mutex<HashMap<Partition, String>>,
}

impl Places {
    pub(super) fn begin(&self, partition: Partition, lane: Name, log: Log, epoch: u64, next: i64) {
        self.held.lock().remove(&partition);
        let mut places = self.places.lock();
        let end = places.get(&partition).and_then(|place| place.end);
        places.insert(partition, Place { epoch, lane, log, next, end });
    }

    pub(super) fn remove(&self, partition: &Partition) {
        self.places.lock().remove(partition);
        self.held.lock().remove(partition);
    }

    /// True while the partition is this replica's.
    pub(super) fn has(&self, partition: &Partition) -> bool {
        self.places.lock().contains_key(partition)
    }

    pub(super) fn partitions(&self) -> Vec<Partition> {
        self.places.lock().keys().cloned().collect()
    }

    /// The lanes that partitions are in.
    pub(super) fn lanes(&self) -> HashSet<Name> {
        self.places.lock().values().map(|place| place.lane.clone()).collect()
    }

    /// Ends the epoch; true where it was not held for this reason already.
    pub(super) fn hold(&self, partition: &Partition, reason: &str) -> bool {
        self.invalidate(partition);
        self.held.lock().insert(partition.clone(), reason.to_owned()).as_deref() != Some(reason)
    }

    /// Ends the epoch without a reason to show.
    pub(super) fn invalidate(&self, partition: &Partition) {
        if let Some(place) = self.places.lock().get_mut(partition) {
            place.epoch = 0;
        }
    }

    pub(super) fn counts(&self, run: &Run) -> bool {
        self.places.lock().get(&run.partition).is_some_and(|place| place.epoch == run.epoch)
    }

    /// The log of these spans and what they cover: from the stored position to behind their last message. `None` where one of them does
    /// not count any more.
    pub(super) fn ranges(&self, spans: &[Span]) -> Option<(Log, Vec<OffsetRange>)> {
        let places = self.places.lock();
        let mut log = None;
        let mut ranges = Vec::with_capacity(spans.len());
        for span in spans {
            let place = places.get(&span.partition).filter(|place| place.epoch == span.epoch)?;
            log.get_or_insert_with(|| place.log.clone());
            ranges.push(OffsetRange { partition: span.partition.number, expected: place.next, next: span.next });
        }
        Some((log?, ranges))
    }

    /// Everything of the span is stored, if its epoch is still this one.
    pub(super) fn advance(&self, span: &Span) {
        if let Some(place) = self.places.lock().get_mut(&span.partition)
            && place.epoch == span.epoch
        {
            place.next = span.next;
            place.end = place.end.map(|end| end.max(span.next));
        }
    }

    pub(super) fn end(&self, partition: &Partition, end: i64) {
        if let Some(place) = self.places.lock().get_mut(partition) {
            place.end = Some(end);
        }
    }

    pub(super) fn lags(&self) -> Vec<(Partition, i64)> {
        let places = self.places.lock();
        places.iter().filter_map(|(partition, place)| Some((partition.clone(), (place.end? - place.next).max(0)))).collect()
    }

    pub(super) fn of_topic(&self, topic: &str) -> Vec<Partition> {
        self.places.lock().keys().filter(|partition| &*partition.topic == topic).cloned().collect()
    }

    /// Partitions whose readings are mostly late, and which have a lane of their own for that.
    pub(super) fn late(&self) -> Vec<Partition> {
        let places = self.places.lock();
        places.iter().filter(|(_, place)| place.lane.late).map(|(partition, _)| partition.clone()).collect()
    }

    pub(super) fn held(&self) -> Vec<Partition> {
        self.held.lock().keys().cloned().collect()
    }

    pub(super) fn reasons(&self) -> Vec<(Partition, String)> {
        self.held.lock().iter().map(|(partition, reason)| (partition.clone(), reason.clone())).collect()
    }

    pub(super) fn count(&self) -> usize {
        self.places.lock().len()
    }
}
