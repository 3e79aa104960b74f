//! Which validators are quick: their calls end sooner than a thread of the guests takes to wake up, so the way there costs more than they do.
//!
//! A validator has to show it, call after call, and one slow call sends it back to the guests' threads until it has shown it again: so
//! what a hostile one gains by behaving first is one call, on a thread that nobody else waits for.

use std::collections::HashMap;
use std::time::Duration;

use parking_lot::Mutex;
use uuid::Uuid;

use super::threads::Place;
use crate::limits;
use crate::rules::Step;

/// How many quick calls each validator and version had in a row.
#[derive(Debug, Default)]
pub(super) struct Pace(Mutex<HashMap<(Uuid, i32), u32>>);

impl Pace {
    /// Where its next call is to run. Who may look up stored values waits for the database, and does so apart.
    pub(super) fn place(&self, step: &Step) -> Place {
        let quick = !step.lookup
            && self.0.lock().get(&(step.validator, step.version)).is_some_and(|calls| *calls >= limits::GUEST_QUICK_CALLS);
        if quick { Place::Here } else { Place::Apart }
    }

    /// What a call took.
    pub(super) fn learn(&self, step: &Step, took: Duration) {
        let key = (step.validator, step.version);
        let mut paces = self.0.lock();
        if took > limits::GUEST_QUICK_TIME {
            paces.remove(&key);
            return;
        }
        // All have to show it again, which costs each of them a few ways to a thread.
        if paces.len() >= limits::BREAKERS_KEPT && !paces.contains_key(&key) {
            paces.clear();
        }
        let calls = paces.entry(key).or_default();
        *calls = calls.saturating_add(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::guest::breaker::tests::step;

    #[test]
    fn a_validator_shows_that_it_is_quick_and_one_slow_call_undoes_it() {
        let (pace, step) = (Pace::default(), step());
        for _ in 0..limits::GUEST_QUICK_CALLS {
            assert_eq!(pace.place(&step), Place::Apart);
            pace.learn(&step, limits::GUEST_QUICK_TIME);
        }
        assert_eq!(pace.place(&step), Place::Here);
        assert_eq!(pace.place(&Step { version: 2, ..step.clone() }), Place::Apart, "another version has shown nothing");
        assert_eq!(pace.place(&Step { lookup: true, ..step.clone() }), Place::Apart, "it may wait for the database");
        pace.learn(&step, limits::GUEST_QUICK_TIME + Duration::from_micros(1));
        assert_eq!(pace.place(&step), Place::Apart);
    }
}
