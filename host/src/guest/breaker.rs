//! Breakers: a module that fails batch after batch rests for a while, instead of being given every batch to fail on.
//!
//! Only faults of the module count (trap, limit, an answer that makes no sense), never readings that it refuses.

use std::collections::HashMap;
use std::time::Instant;

use parking_lot::Mutex;
use uuid::Uuid;

use crate::limits;
use crate::rules::Step;

/// One for each validator and version: a version that is activated starts with a closed one.
#[derive(Debug, Default)]
pub(super) struct Breakers(Mutex<HashMap<(Uuid, i32), Breaker>>);

#[derive(Debug, Default)]
struct Breaker {
    faults: u32,
    last: String,
    until: Option<Instant>,
}

impl Breakers {
    /// The last fault, where the validator rests. When its rest is over, one batch is let through to try.
    pub(super) fn open(&self, step: &Step, now: Instant) -> Option<String> {
        let mut breakers = self.0.lock();
        let breaker = breakers.get_mut(&(step.validator, step.version))?;
        let until = breaker.until?;
        if now < until {
            return Some(breaker.last.clone());
        }
        // Others go on resting while this one tries.
        breaker.until = Some(now + limits::BREAKER_REST);
        None
    }

    /// What a batch showed: the module answered for some of it, or it failed on all that it was given.
    pub(super) fn learn(&self, step: &Step, answered: bool, fault: Option<String>, now: Instant) {
        let key = (step.validator, step.version);
        let mut breakers = self.0.lock();
        let Some(fault) = fault.filter(|_| !answered) else {
            breakers.remove(&key);
            return;
        };
        if breakers.len() >= limits::BREAKERS_KEPT {
            breakers.retain(|_, breaker| breaker.until.is_some_and(|until| until > now));
        }
        let breaker = breakers.entry(key).or_default();
        breaker.faults += 1;
        breaker.last = fault;
        if breaker.faults >= limits::BREAKER_FAULTS {
            breaker.until = Some(now + limits::BREAKER_REST);
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::model::ErrorStrategy;
    use crate::rules::{Digest, StepBounds};

    pub(in crate::guest) fn step() -> Step {
        Step {
            validator: Uuid::from_u128(1),
            name: "v".into(),
            version: 1,
            digest: Digest([0; 32]),
            config: "{}".into(),
            strategy: ErrorStrategy::Quarantine,
            bounds: StepBounds::default(),
            lookup: false,
            schema: None,
            shadow: None,
        }
    }

    #[test]
    fn it_opens_after_faults_in_a_row_and_lets_one_try_when_its_rest_is_over() {
        let (breakers, step, now) = (Breakers::default(), step(), Instant::now());
        for _ in 0..limits::BREAKER_FAULTS {
            assert_eq!(breakers.open(&step, now), None);
            breakers.learn(&step, false, Some("trapped".to_owned()), now);
        }
        assert_eq!(breakers.open(&step, now).as_deref(), Some("trapped"));
        let later = now + limits::BREAKER_REST;
        assert_eq!(breakers.open(&step, later), None);
        assert!(breakers.open(&step, later).is_some(), "only one tries");
        breakers.learn(&step, true, None, later);
        assert_eq!(breakers.open(&step, later), None);
    }

    #[test]
    fn a_batch_of_which_some_was_judged_closes_it() {
        let (breakers, step, now) = (Breakers::default(), step(), Instant::now());
        for _ in 0..100 {
            breakers.learn(&step, true, Some("trapped on one reading".to_owned()), now);
        }
        assert_eq!(breakers.open(&step, now), None);
    }
}
