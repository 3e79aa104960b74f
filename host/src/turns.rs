//! Turns at something that few may do at once: so many in all, and of them a quarter for one tenant, so that nobody keeps the others
//! out.
//!
//! The one noun that waits: guests and uploads take turns alike, and neither may know the other.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::error::{Error, Result};
use crate::limits;
use crate::model::Tenant;

/// Who may have a turn now.
#[derive(Debug)]
pub struct Turns {
    all: Arc<Semaphore>,
    tenants: Mutex<HashMap<Tenant, Arc<Semaphore>>>,
    each: usize,
}

/// A tenant's turn, given back when dropped.
#[derive(Debug)]
pub struct Turn {
    _tenant: OwnedSemaphorePermit,
    _all: OwnedSemaphorePermit,
}

impl Turns {
    /// At most `all` turns at once; at least one, and at least one for each tenant.
    pub fn new(all: usize) -> Self {
        let all = all.max(1);
        Self { all: Arc::new(Semaphore::new(all)), tenants: Mutex::default(), each: (all / 4).max(1) }
    }

    /// Waits for a turn, in the order of asking.
    pub async fn take(&self, tenant: &Tenant) -> Result<Turn> {
        let own = {
            let mut tenants = self.tenants.lock();
            if tenants.len() >= limits::TENANTS_IN_TURN {
                // Nobody waits for or has a turn of a semaphore that only this map holds.
                tenants.retain(|_, turns| Arc::strong_count(turns) > 1);
            }
            Arc::clone(tenants.entry(tenant.clone()).or_insert_with(|| Arc::new(Semaphore::new(self.each))))
        };
        // The tenant's own first: who waits for it holds up nobody else.
        let tenant = own.acquire_owned().await.map_err(Error::internal)?;
        let all = Arc::clone(&self.all).acquire_owned().await.map_err(Error::internal)?;
        Ok(Turn { _tenant: tenant, _all: all })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn one_tenant_never_has_them_all() {
        let turns = Turns::new(8);
        let (greedy, other) = (Tenant::parse("greedy").expect("a name"), Tenant::parse("other").expect("a name"));
        let _first = turns.take(&greedy).await.expect("a turn");
        let second = turns.take(&greedy).await.expect("a turn");
        let third = turns.take(&greedy);
        tokio::pin!(third);
        assert!(futures_util::poll!(&mut third).is_pending());
        turns.take(&other).await.expect("another tenant does not wait");
        drop(second);
        third.await.expect("its own turn comes");
    }
}
