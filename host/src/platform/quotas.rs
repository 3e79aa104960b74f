//! What bounds a tenant's use, as it stands beside its name. Kept in memory until the database announces a change (`listen`).

use std::num::NonZeroU32;

use sqlx::FromRow;

use super::{Platform, failed, statements};
use crate::error::Result;
use crate::model::Tenant;

statements! {
    QUOTAS = "select readings_per_second, requests_per_second, guest_cpu_ms_per_second from tenants where slug = $1";
}

/// A tenant's bounds; `None` is no bound.
#[derive(Clone, Copy, Debug, Default)]
pub struct Quotas {
    /// Readings that it may bring in a second.
    pub readings_per_second: Option<u32>,
    /// Requests that it may make in a second.
    pub requests_per_second: Option<NonZeroU32>,
    /// Milliseconds that its modules may run in a second, all together.
    pub guest_cpu_ms_per_second: Option<u32>,
}

#[derive(FromRow)]
#[expect(clippy::struct_field_names, reason = "the columns are named so")]
struct QuotasRow {
    readings_per_second: Option<i32>,
    requests_per_second: Option<i32>,
    guest_cpu_ms_per_second: Option<i32>,
}

impl Platform {
    /// What a tenant may bring and use. Without a permit: it is a bound on whoever has one, and the writer asks before it has read a
    /// message.
    pub async fn quotas(&self, tenant: &Tenant) -> Result<Quotas> {
        let generation = match self.quotas.look(tenant) {
            Ok(quotas) => return Ok(quotas),
            Err(generation) => generation,
        };
        let mut transaction = self.begin_as_weir().await?;
        let found: Option<QuotasRow> =
            sqlx::query_as(QUOTAS).bind(tenant.as_str()).fetch_optional(&mut *transaction).await.map_err(failed)?;
        let bound = |bound: Option<i32>| bound.and_then(|bound| u32::try_from(bound).ok());
        let quotas = found.map_or_else(Quotas::default, |row| Quotas {
            readings_per_second: bound(row.readings_per_second),
            requests_per_second: bound(row.requests_per_second).and_then(NonZeroU32::new),
            guest_cpu_ms_per_second: bound(row.guest_cpu_ms_per_second),
        });
        self.quotas.keep(generation, tenant.clone(), &quotas);
        Ok(quotas)
    }
}
