//! What bounds a tenant's use, as it stands beside its name. Kept in memory until the database announces a change (`listen`).

use std::collections::HashMap;

use parking_lot::Mutex;

use super::{Platform, failed, statements};
use crate::error::Result;
use crate::limits;
use crate::model::Tenant;

statements! {
    READINGS_PER_SECOND = "select readings_per_second from tenants where slug = $1";
}

/// The quotas that were read, by tenant, and how often they have been dropped.
#[derive(Debug, Default)]
pub(super) struct QuotasCache(Mutex<(u64, HashMap<Tenant, Option<u32>>)>);

impl QuotasCache {
    pub(super) fn clear(&self) {
        let mut kept = self.0.lock();
        kept.0 += 1;
        kept.1.clear();
    }
}

impl Platform {
    /// How many readings a tenant may bring in a second; `None` where there is no bound. Without a permit: it is a bound on whoever
    /// has one, and the writer asks before it has read a message.
    pub async fn readings_quota(&self, tenant: &Tenant) -> Result<Option<u32>> {
        let generation = {
            let kept = self.quotas.0.lock();
            if let Some(quota) = kept.1.get(tenant) {
                return Ok(*quota);
            }
            kept.0
        };
        let mut transaction = self.begin_as_weir().await?;
        let found: Option<Option<i32>> = sqlx::query_scalar(READINGS_PER_SECOND)
            .bind(tenant.as_str())
            .fetch_optional(&mut *transaction)
            .await
            .map_err(failed)?;
        let quota = found.flatten().and_then(|quota| u32::try_from(quota).ok());
        let mut kept = self.quotas.0.lock();
        // Unless a change was announced meanwhile: what was read may be older than it.
        if kept.0 == generation {
            if kept.1.len() >= limits::QUOTAS_CACHED {
                kept.1.clear();
            }
            kept.1.insert(tenant.clone(), quota);
        }
        Ok(quota)
    }
}
