//! What tenants' modules do with live traffic, gathered in memory and written down every few seconds.
//!
//! Counts and notes of one version are kept under the permit under which it last ran, so that they are written as what its tenant may
//! write. What is gathered is bounded; where a process dies, the last seconds of statistics die with it, and nothing else.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use chrono::{DateTime, Utc};
use parking_lot::Mutex;
use serde_json::json;
use uuid::Uuid;

use super::Gate;
use crate::batch::compare::Differences;
use crate::error::Chain;
use crate::guest::passage::Passage;
use crate::limits;
use crate::platform::validators::record::{Note, Record, Tally};
use crate::policy::Permit;
use crate::rules::Step;

/// What waits to be written down, by validator and version.
#[derive(Debug, Default)]
pub struct Records(Mutex<HashMap<(Uuid, i32), (Permit, Record)>>);

fn count(readings: u64) -> i64 {
    i64::try_from(readings).unwrap_or(i64::MAX)
}

impl Records {
    fn of(&self, permit: &Permit, validator: Uuid, version: i32, change: impl FnOnce(&mut Record)) {
        let mut waiting = self.0.lock();
        let full = waiting.len() >= limits::RECORDS_WAITING;
        match waiting.entry((validator, version)) {
            Entry::Occupied(mut there) => change(&mut there.get_mut().1),
            Entry::Vacant(_) if full => {}
            Entry::Vacant(new) => {
                let mut record = Record { validator, version, tally: Tally::default(), notes: Vec::new() };
                change(&mut record);
                new.insert((permit.clone(), record));
            }
        }
    }

    /// What a chain did.
    pub(super) fn passed(&self, permit: &Permit, passages: Vec<Passage>, at: DateTime<Utc>) {
        for passage in passages {
            self.of(permit, passage.validator, passage.version, |record| add(record, passage, at));
        }
    }

    /// What a shadow did, and where it differs.
    pub(super) fn shadowed(&self, permit: &Permit, passages: Vec<Passage>, differences: Differences, at: DateTime<Utc>) {
        let Some(passage) = passages.into_iter().next() else { return };
        self.of(permit, passage.validator, passage.version, |record| {
            add(record, passage, at);
            let tally = &mut record.tally;
            tally.compared += count(differences.compared);
            tally.accept_to_reject += count(differences.accept_to_reject);
            tally.reject_to_accept += count(differences.reject_to_accept);
            tally.changed += count(differences.changed);
            for sample in differences.samples {
                note(record, "difference", at, json!(sample));
            }
        });
    }

    /// Readings that a shadow did not see.
    pub(super) fn not_compared(&self, permit: &Permit, shadow: &Step, readings: u64) {
        self.of(permit, shadow.validator, shadow.version, |record| record.tally.not_compared += count(readings));
    }
}

fn add(record: &mut Record, passage: Passage, at: DateTime<Utc>) {
    let tally = &mut record.tally;
    tally.calls += i64::from(passage.calls);
    tally.faults += i64::from(passage.faults);
    tally.rested += i64::from(passage.rested);
    tally.accepted += count(passage.counts.accepted);
    tally.replaced += count(passage.counts.replaced);
    tally.rejected += count(passage.counts.rejected);
    tally.failed += count(passage.counts.failed);
    tally.time(passage.calls, passage.took);
    tally.peak_memory_bytes = tally.peak_memory_bytes.max(count(passage.peak_memory_bytes as u64));
    tally.dropped_lines += count(passage.log.dropped);
    if let Some(fault) = passage.fault {
        note(record, "fault", at, json!(fault));
    }
    for line in passage.log.lines {
        note(record, "log", at, json!(line));
    }
}

/// Keeps a note, the newest ones if there are too many.
fn note(record: &mut Record, kind: &'static str, at: DateTime<Utc>, body: serde_json::Value) {
    if record.notes.len() >= limits::NOTES_WAITING {
        record.notes.remove(0);
        record.tally.dropped_lines += 1;
    }
    record.notes.push(Note { kind, at, body });
}

impl Gate {
    /// Writes down what modules did since the last time, and looks whether a version fails more often than the one before it. What
    /// cannot be written is tried again the next time.
    pub async fn records_write(&self) {
        let waiting = std::mem::take(&mut *self.records.0.lock());
        for (key, (permit, record)) in waiting {
            let faults = record.tally.faults;
            let record = [record];
            if let Err(error) = self.platform.validator_record(&permit, &record).await {
                tracing::debug!(error = %Chain(&error), "what a module did could not be written down");
                let [record] = record;
                self.records.0.lock().entry(key).or_insert((permit, record));
                continue;
            }
            if faults > 0 {
                self.validator_guard(&permit, key.0, key.1).await;
            }
        }
    }
}
