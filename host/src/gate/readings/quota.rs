//! How fast a tenant's readings may come: one bucket for both entrances. Over HTTP the sender is told when to come again; from Kafka
//! nothing is dropped, and the writer waits.

use std::time::{Duration, Instant};

use crate::error::{Chain, Error, Kind, Result};
use crate::gate::Gate;
use crate::model::Tenant;
use crate::vitals::QuotaLabels;

impl Gate {
    /// For the writer: takes `readings` out of what the tenant may bring now, or says how long to wait before asking again. A batch
    /// of any size passes in the end. Where the quota cannot be read it does not hold: what was judged is not kept waiting for the
    /// platform database.
    pub async fn readings_wait(&self, tenant: &Tenant, readings: u64) -> Option<Duration> {
        match self.within_quota(tenant, readings, "kafka").await {
            Ok(wait) => wait,
            Err(error) => {
                tracing::debug!(error = %Chain(&error), %tenant, "the quota of {tenant} cannot be read; its readings pass");
                None
            }
        }
    }

    /// For a request: a refusal that says when to come again, where the tenant has brought too many.
    pub(super) async fn readings_allowed(&self, tenant: &Tenant, readings: u64) -> Result<()> {
        let Some(wait) = self.within_quota(tenant, readings, "http").await? else { return Ok(()) };
        let sentence =
            "Your tenant's readings per second are used up; wait as `Retry-After` says, then send again what was not stored.";
        Err(Error::new(Kind::RateLimited, sentence).retry_after(wait))
    }

    async fn within_quota(&self, tenant: &Tenant, readings: u64, origin: &'static str) -> Result<Option<Duration>> {
        let Some(quota) = self.platform.quotas(tenant).await?.readings_per_second else {
            self.budget.forget(tenant);
            return Ok(None);
        };
        let wait = self.budget.take(tenant, quota, readings, Instant::now()).err();
        if wait.is_some() {
            let labels = QuotaLabels { tenant: tenant.to_string(), origin };
            self.vitals.over_quota.get_or_create(&labels).inc_by(readings);
        }
        Ok(wait)
    }
}
