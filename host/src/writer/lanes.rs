//! The lanes: each tenant has its own, so that one tenant's flood, its slow module or its quota holds up nobody else's readings.
//!
//! A lane has two stages at work at once: the front gathers, decodes and judges a flush ([`super::front`]) while the back stores the
//! one before ([`super::back`]). A partition is in one lane, so the order of its messages is kept. A tenant has up to
//! [`Options::lanes`] of them for its live readings, and one for partitions whose readings are mostly late: those touch old chunks,
//! which is slow, and live data must not wait for it. Lanes take turns at the database's connections.

use std::collections::{HashMap, HashSet};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::Arc;

use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::Options;
use super::back::Back;
use super::front::Front;
use super::places::Places;
use crate::gate::Gate;
use crate::kafka::{Inlet, Memory, Partition, Producer};
use crate::limits;
use crate::model::Tenant;
use crate::turns::Turns;

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
    Retrying(Name, Option<String>),
    /// The tenant's quota is used up, or (`false`) has room again.
    OverQuota(Name, bool),
    /// The partition's readings are mostly late now, or (`false`) are not any more.
    Late(Partition, bool),
}

/// Which lane.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Name {
    pub(super) tenant: Tenant,
    /// Of the tenant's lanes for live readings.
    number: usize,
    /// True for the one lane of late readings.
    pub(super) late: bool,
}

impl Name {
    /// The lane of a partition. Partitions of one topic go to different lanes.
    pub(super) fn of(tenant: Tenant, partition: &Partition, late: bool, lanes: usize) -> Self {
        if late {
            return Self { tenant, number: 0, late };
        }
        let mut hasher = DefaultHasher::new();
        partition.topic.hash(&mut hasher);
        let at = hasher.finish().wrapping_add(partition.number.unsigned_abs().into());
        Self { tenant, number: usize::try_from(at % lanes.max(1) as u64).unwrap_or(0), late }
    }
}

/// What all lanes share.
#[derive(Clone)]
pub(super) struct Shared {
    pub(super) options: Arc<Options>,
    pub(super) group: Arc<str>,
    pub(super) gate: Arc<Gate>,
    pub(super) places: Arc<Places>,
    pub(super) notes: mpsc::Sender<Note>,
    pub(super) stop: CancellationToken,
    /// Turns at the connections for live readings.
    pub(super) turns: Turns,
    /// Turns at the connections for late ones.
    pub(super) late: Turns,
    pub(super) letters: Arc<Producer>,
}

/// The lanes that there are.
pub(super) struct Lanes {
    shared: Shared,
    memory: Arc<Memory>,
    inlets: HashMap<Name, Inlet>,
    running: JoinSet<()>,
}

impl Lanes {
    pub(super) fn new(shared: Shared, memory: Arc<Memory>) -> Self {
        Self { shared, memory, inlets: HashMap::new(), running: JoinSet::new() }
    }

    /// Where messages of this lane go; the lane is started where there is none yet.
    pub(super) fn inlet(&mut self, name: &Name) -> Inlet {
        if let Some(inlet) = self.inlets.get(name) {
            return inlet.clone();
        }
        // Those that ended are forgotten here, so that lanes that come and go leave nothing behind.
        while self.running.try_join_next().is_some() {}
        let (runs, gathered) = mpsc::channel(limits::LANE_QUEUE);
        let (ready, judged) = mpsc::channel(1);
        let front = Front { name: name.clone(), shared: self.shared.clone(), runs: gathered, ready };
        let back = Back { name: name.clone(), shared: self.shared.clone(), ready: judged };
        self.running.spawn(front.run());
        self.running.spawn(back.run());
        let inlet = Inlet { runs, share: self.memory.share() };
        self.inlets.insert(name.clone(), inlet.clone());
        inlet
    }

    /// Lets lanes go that have no partition any more: they end when the last message in them is stored or dropped.
    pub(super) fn retain(&mut self, used: &HashSet<Name>) {
        self.inlets.retain(|name, _| used.contains(name));
    }

    /// Lets all of them go.
    pub(super) fn close(&mut self) {
        self.inlets.clear();
    }

    /// Waits until a lane's stage has ended; false where none is left.
    pub(super) async fn ended(&mut self) -> bool {
        self.running.join_next().await.is_some()
    }
}
