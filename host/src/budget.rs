//! How many readings a tenant may bring in a second, and how long its modules may run, as a bucket for each.
//!
//! Promises: over time no more than the quota passes; a batch larger than a second's worth is not refused for ever, but overdraws the
//! bucket and is paid off before the next one; a new quota counts from the next batch on. It holds for one replica: replicas do not
//! tell one another what they let pass. It knows no clock: the time is handed in.
//!
//! `governor` is not used: its cells refuse for good what is larger than their burst.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::limits;
use crate::model::Tenant;

/// What each tenant may still bring.
#[derive(Debug, Default)]
pub struct Budget(Mutex<HashMap<Tenant, Bucket>>);

#[derive(Clone, Copy, Debug)]
struct Bucket {
    /// Readings that may pass now; below 0 is what is owed.
    credit: f64,
    /// When that was so.
    at: Instant,
    /// The quota by which it fills.
    rate: f64,
}

impl Bucket {
    /// Fills up by what has passed of time, to a second's worth at the most.
    fn fill(&mut self, now: Instant) {
        let passed = now.saturating_duration_since(self.at).as_secs_f64();
        self.credit = (self.credit + passed * self.rate).min(self.rate);
        self.at = now.max(self.at);
    }

    fn is_full(&self) -> bool {
        self.credit >= self.rate
    }
}

impl Budget {
    /// Takes `readings` out of what `tenant` may bring at `quota` readings a second; where nothing is left, takes nothing and says
    /// how long it is until there is.
    pub fn take(&self, tenant: &Tenant, quota: u32, readings: u64, now: Instant) -> Result<(), Duration> {
        let rate = f64::from(quota.max(1));
        let mut buckets = self.0.lock();
        make_room(&mut buckets, tenant, now);
        let bucket = buckets.entry(tenant.clone()).or_insert(Bucket { credit: rate, at: now, rate });
        // What is owed stays owed under a new quota, and is paid off by it.
        bucket.fill(now);
        bucket.rate = rate;
        bucket.credit = bucket.credit.min(rate);
        if bucket.credit < 1.0 {
            return Err(Duration::from_secs_f64((1.0 - bucket.credit) / rate));
        }
        #[expect(clippy::cast_precision_loss, reason = "a batch has far fewer than 2^53 readings")]
        let readings = readings as f64;
        bucket.credit -= readings;
        Ok(())
    }

    /// Takes what was used out of the bucket, however much is left in it: for what has a price that is known afterwards.
    pub fn charge(&self, tenant: &Tenant, used: f64) {
        if let Some(bucket) = self.0.lock().get_mut(tenant) {
            bucket.credit -= used;
        }
    }

    /// Forgets what a tenant owes: it has no quota any more.
    pub fn forget(&self, tenant: &Tenant) {
        self.0.lock().remove(tenant);
    }
}

/// Drops what a new bucket would be like anyway; where that is not enough, whoever owes least.
fn make_room(buckets: &mut HashMap<Tenant, Bucket>, tenant: &Tenant, now: Instant) {
    if buckets.len() < limits::BUDGETS_KEPT || buckets.contains_key(tenant) {
        return;
    }
    buckets.retain(|_, bucket| {
        bucket.fill(now);
        !bucket.is_full()
    });
    if buckets.len() >= limits::BUDGETS_KEPT {
        let least = buckets.iter().max_by(|(_, a), (_, b)| a.credit.total_cmp(&b.credit)).map(|(tenant, _)| tenant.clone());
        least.map(|tenant| buckets.remove(&tenant));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tenant(name: &str) -> Tenant {
        Tenant::parse(name).expect("a name")
    }

    /// What passes of batches of `each` within `seconds`, by someone who waits as long as told.
    fn passes(budget: &Budget, quota: u32, each: u64, seconds: u64, start: Instant) -> u64 {
        let (mut now, mut passed) = (start, 0);
        while now < start + Duration::from_secs(seconds) {
            match budget.take(&tenant("acme"), quota, each, now) {
                Ok(()) => passed += each,
                Err(wait) => now += wait + Duration::from_nanos(1),
            }
        }
        passed
    }

    #[test]
    fn no_more_than_the_quota_passes_whatever_the_size_of_batches() {
        let start = Instant::now();
        for each in [1, 7, 100, 1_000, 50_000] {
            let passed = passes(&Budget::default(), 1_000, each, 60, start);
            // A second's worth is there at the start, and the last batch may overdraw.
            let most = 61_000 + each;
            assert!((60_000..=most).contains(&passed), "batches of {each}: {passed}");
        }
    }

    #[test]
    fn a_batch_larger_than_a_second_passes_and_is_paid_off() {
        let (budget, acme, start) = (Budget::default(), tenant("acme"), Instant::now());
        assert_eq!(budget.take(&acme, 100, 1_000, start), Ok(()));
        let wait = budget.take(&acme, 100, 1, start).expect_err("900 are owed");
        assert!((8.9..9.1).contains(&wait.as_secs_f64()), "{wait:?}");
        assert!(budget.take(&acme, 100, 1, start + Duration::from_secs(5)).is_err());
        assert_eq!(budget.take(&acme, 100, 1, start + wait + Duration::from_millis(1)), Ok(()));
        assert_eq!(budget.take(&tenant("globex"), 100, 100, start), Ok(()), "another tenant owes nothing");
    }

    #[test]
    fn a_new_quota_counts_at_once() {
        let (budget, acme, start) = (Budget::default(), tenant("acme"), Instant::now());
        assert_eq!(budget.take(&acme, 10, 1_010, start), Ok(()));
        let slow = budget.take(&acme, 10, 1, start).expect_err("1,000 are owed");
        let fast = budget.take(&acme, 10_000, 1, start).expect_err("they are still owed");
        assert!(slow > Duration::from_secs(99) && fast < Duration::from_millis(200), "{slow:?} {fast:?}");
        budget.forget(&acme);
        assert_eq!(budget.take(&acme, 10, 1, start), Ok(()));
        // A smaller one has no more at once than its own second.
        assert_eq!(budget.take(&tenant("globex"), 1_000, 0, start), Ok(()));
        assert_eq!(budget.take(&tenant("globex"), 10, 10, start), Ok(()));
        assert!(budget.take(&tenant("globex"), 10, 1, start).is_err());
    }

    #[test]
    fn buckets_are_bounded_and_debts_are_what_is_kept() {
        let (budget, start) = (Budget::default(), Instant::now());
        assert_eq!(budget.take(&tenant("debtor"), 1, 1_000_000, start), Ok(()));
        for number in 0..limits::BUDGETS_KEPT + 50 {
            assert_eq!(budget.take(&tenant(&format!("t{number}")), 1, 2, start), Ok(()));
        }
        assert_eq!(budget.0.lock().len(), limits::BUDGETS_KEPT);
        assert!(budget.take(&tenant("debtor"), 1, 1, start).is_err());
    }
}
