//! How many requests a credential and a tenant may make in a second, and how many logins may be tried.
//!
//! Promises: over time no more than the number passes; a second's worth (a minute's, of logins) may come at once; what is remembered is
//! bounded. It holds for one replica: replicas do not tell one another what they let pass. Readings are counted in `budget`, where a
//! batch may be larger than a second's worth.

use std::collections::HashMap;
use std::fmt;
use std::hash::{BuildHasher as _, Hash, RandomState};
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use governor::clock::{Clock, DefaultClock};
use governor::state::keyed::HashMapStateStore;
use governor::state::{InMemoryState, NotKeyed};
use governor::{Quota, RateLimiter};
use parking_lot::Mutex;

use crate::limits;
use crate::model::Tenant;

type Keyed = RateLimiter<u64, HashMapStateStore<u64>, DefaultClock>;
type Single = RateLimiter<NotKeyed, InMemoryState, DefaultClock>;

/// What has been made of requests lately.
pub struct Rates {
    clock: DefaultClock,
    /// Nobody can choose keys that share a place with another's.
    hasher: RandomState,
    credential: Option<Quota>,
    credentials: Mutex<Arc<Keyed>>,
    tenants: Mutex<HashMap<Tenant, (NonZeroU32, Arc<Single>)>>,
    logins: Keyed,
}

impl fmt::Debug for Rates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rates").field("credential", &self.credential).finish_non_exhaustive()
    }
}

impl Rates {
    /// With so many requests in a second for each credential, or without a bound.
    pub fn new(credential: Option<NonZeroU32>) -> Self {
        let credential = credential.map(Quota::per_second);
        Self {
            clock: DefaultClock::default(),
            hasher: RandomState::new(),
            credentials: Mutex::new(Arc::new(keyed(credential.unwrap_or(Quota::per_second(NonZeroU32::MIN))))),
            credential,
            tenants: Mutex::default(),
            logins: keyed(Quota::per_minute(NonZeroU32::new(limits::LOGINS_A_MINUTE).unwrap_or(NonZeroU32::MIN))),
        }
    }

    /// Counts a request of a credential, or says how long it is until there may be one.
    pub fn of_credential(&self, credential: impl Hash) -> Result<(), Duration> {
        let Some(quota) = self.credential else { return Ok(()) };
        let key = self.hasher.hash_one(credential);
        let credentials = {
            let mut credentials = self.credentials.lock();
            if credentials.len() >= limits::RATES_KEPT {
                credentials.retain_recent();
                if credentials.len() >= limits::RATES_KEPT {
                    *credentials = Arc::new(keyed(quota));
                }
            }
            Arc::clone(&credentials)
        };
        credentials.check_key(&key).map_err(|until| until.wait_time_from(self.clock.now()))
    }

    /// Counts a request of a tenant that may make `quota` in a second, or says how long it is until there may be one.
    pub fn of_tenant(&self, tenant: &Tenant, quota: NonZeroU32) -> Result<(), Duration> {
        let single = {
            let mut tenants = self.tenants.lock();
            match tenants.get(tenant) {
                Some((of, single)) if *of == quota => Arc::clone(single),
                _ => {
                    if tenants.len() >= limits::RATES_KEPT {
                        tenants.clear();
                    }
                    let single = Arc::new(RateLimiter::direct(Quota::per_second(quota)));
                    tenants.insert(tenant.clone(), (quota, Arc::clone(&single)));
                    single
                }
            }
        };
        single.check().map_err(|until| until.wait_time_from(self.clock.now()))
    }

    /// Counts a login that is tried, or says how long it is until there may be one.
    pub fn of_login(&self, who: impl Hash) -> Result<(), Duration> {
        let key = self.hasher.hash_one(who) % limits::LOGIN_PLACES;
        self.logins.check_key(&key).map_err(|until| until.wait_time_from(self.clock.now()))
    }
}

fn keyed(quota: Quota) -> Keyed {
    RateLimiter::hashmap(quota)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn many(number: u32) -> NonZeroU32 {
        NonZeroU32::new(number).expect("not zero")
    }

    #[test]
    fn a_seconds_worth_passes_at_once_and_the_rest_is_told_when_to_come() {
        let rates = Rates::new(Some(many(10)));
        let passed = (0..50).filter(|_| rates.of_credential("a").is_ok()).count();
        assert!((10..=12).contains(&passed), "{passed}");
        let wait = rates.of_credential("a").expect_err("none is left");
        assert!(wait <= Duration::from_millis(100), "{wait:?}");
        assert!(rates.of_credential("b").is_ok(), "another credential has its own");
        assert!((0..1_000).all(|_| Rates::new(None).of_credential("a").is_ok()));
    }

    #[test]
    fn a_tenants_new_number_counts_at_once() {
        let (rates, acme) = (Rates::new(None), Tenant::parse("acme").expect("a tenant"));
        assert!(rates.of_tenant(&acme, many(1)).is_ok());
        assert!(rates.of_tenant(&acme, many(1)).is_err());
        assert!((0..100).all(|_| rates.of_tenant(&acme, many(100)).is_ok()));
        assert!(rates.of_tenant(&Tenant::parse("globex").expect("a tenant"), many(1)).is_ok());
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let rates = Rates::new(Some(many(1)));
        for number in 0..limits::RATES_KEPT + 100 {
            let _ = rates.of_credential(number);
        }
        assert!(rates.credentials.lock().len() <= limits::RATES_KEPT);
        for number in 0..2 * limits::LOGIN_PLACES {
            let _ = rates.of_login(number);
        }
        assert!(rates.logins.len() as u64 <= limits::LOGIN_PLACES);
    }
}
