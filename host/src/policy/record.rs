//! What was decided lately: each kind of request once in a while, with the path that it came with, to be written down by a job.
//!
//! A kind is what a decision is kept by: a subject, an action and the patterns that the path matches. So a million paths are a few notes, and
//! a decision costs a look at one number. What is waiting is bounded; what does not fit is left out and counted.

use std::sync::atomic::{AtomicU32, Ordering};

use parking_lot::Mutex;

use super::impact::Asked;
use crate::limits;

/// A decision on record.
#[derive(Clone, Debug)]
pub struct Noted {
    /// The request.
    pub asked: Asked,
    /// Whether it was allowed.
    pub allowed: bool,
    /// By which revision.
    pub revision: std::sync::Arc<str>,
}

/// The decisions that are to be written down.
#[derive(Debug)]
pub struct Record {
    /// Each kind of request is noted once a round.
    round: AtomicU32,
    waiting: Mutex<Vec<Noted>>,
}

impl Default for Record {
    fn default() -> Self {
        // Not 0, which nothing was noted in.
        Self { round: AtomicU32::new(1), waiting: Mutex::default() }
    }
}

impl Record {
    /// The round of this moment.
    pub(super) fn round(&self) -> u32 {
        self.round.load(Ordering::Relaxed)
    }

    /// Begins another round, in which each kind of request is noted once more.
    pub fn next_round(&self) {
        self.round.fetch_add(1, Ordering::Relaxed);
    }

    /// Puts a decision aside; false where no more fits.
    pub(super) fn note(&self, noted: impl FnOnce() -> Noted) -> bool {
        let mut waiting = self.waiting.lock();
        let fits = waiting.len() < limits::DECISIONS_WAITING;
        if fits {
            waiting.push(noted());
        }
        fits
    }

    /// Takes what is waiting.
    pub fn take(&self) -> Vec<Noted> {
        std::mem::take(&mut self.waiting.lock())
    }
}
