//! What was read of the catalogue and is kept in memory until the database announces a change (`listen`).

use std::collections::HashMap;
use std::hash::Hash;

use parking_lot::Mutex;

use crate::limits;

/// Values by key, and how often they have been dropped. What is kept never outlives an announced change, and is bounded.
#[derive(Debug)]
pub(super) struct Memory<K, V>(Mutex<(u64, HashMap<K, V>)>);

impl<K, V> Default for Memory<K, V> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<K: Eq + Hash, V: Clone> Memory<K, V> {
    /// What is kept under a key, or the generation that what is read now belongs to.
    pub(super) fn look(&self, key: &K) -> Result<V, u64> {
        let kept = self.0.lock();
        kept.1.get(key).cloned().ok_or(kept.0)
    }

    /// Keeps what was read at `generation`, unless a change was announced since: it may be older than that.
    pub(super) fn keep(&self, generation: u64, key: K, value: &V) {
        let mut kept = self.0.lock();
        if kept.0 == generation {
            if kept.1.len() >= limits::RULES_CACHED {
                kept.1.clear();
            }
            kept.1.insert(key, value.clone());
        }
    }

    /// Drops everything.
    pub(super) fn clear(&self) {
        let mut kept = self.0.lock();
        kept.0 += 1;
        kept.1.clear();
    }
}
