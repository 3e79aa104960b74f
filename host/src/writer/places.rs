//! Where each partition stands: shared by the writer's loop, which positions, and the lanes, which advance.
//!
//! An epoch is the answer to "does this message still count?": whoever positions, holds or loses a partition ends its epoch, and
//! what a lane still has of it is dropped without harm, since it will be read again from the stored position.

use std::collections::HashMap;

use parking_lot::Mutex;

use crate::kafka::{Message, Partition};
use crate::ledger::Log;
use crate::model::Tenant;

#[derive(Debug)]
struct Place {
    /// 0 while the partition is held.
    epoch: u64,
    tenant: Tenant,
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

/// What a lane needs to store what it has of a partition.
#[derive(Clone, Debug)]
pub(super) struct Standing {
    pub(super) tenant: Tenant,
    pub(super) log: Log,
    pub(super) next: i64,
}

impl Places {
    pub(super) fn begin(&self, partition: Partition, tenant: Tenant, log: Log, epoch: u64, next: i64) {
        self.held.lock().remove(&partition);
        let mut places = self.places.lock();
        let end = places.get(&partition).and_then(|place| place.end);
        places.insert(partition, Place { epoch, tenant, log, next, end });
    }

    pub(super) fn remove(&self, partition: &Partition) {
        self.places.lock().remove(partition);
        self.held.lock().remove(partition);
    }

    /// True while the partition is this replica's.
    pub(super) fn has(&self, partition: &Partition) -> bool {
        self.places.lock().contains_key(partition)
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

    pub(super) fn counts(&self, message: &Message) -> bool {
        self.places.lock().get(&message.partition).is_some_and(|place| place.epoch == message.epoch)
    }

    pub(super) fn standing(&self, partition: &Partition) -> Option<Standing> {
        let places = self.places.lock();
        let place = places.get(partition)?;
        Some(Standing { tenant: place.tenant.clone(), log: place.log.clone(), next: place.next })
    }

    /// Everything before `next` is stored, if the epoch is still this one.
    pub(super) fn advance(&self, partition: &Partition, epoch: u64, next: i64) {
        if let Some(place) = self.places.lock().get_mut(partition)
            && place.epoch == epoch
        {
            place.next = next;
            place.end = place.end.map(|end| end.max(next));
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
