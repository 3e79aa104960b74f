//! Tenants: whose things everything else is. Kept over all of them, so that only who may administer the platform reaches one.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use sqlx::FromRow;
use utoipa::{IntoParams, ToSchema};

use super::users::Standing;
use super::{Form, Kept, Resource, Statements};
use crate::error::{Error, Result};
use crate::forms::{Object, sent_whole};
use crate::model::{self, Action, check_name};
use crate::platform::{Platform, failed, statements};
use crate::terms::{Name, Slug};
use crate::times;

/// A tenant.
#[derive(Clone, Debug, FromRow, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Tenant {
    /// Its name in credentials and policies.
    pub slug: String,
    /// Its name for people.
    pub name: String,
    /// `active`, or `suspended`: every access is refused.
    #[schema(value_type = Standing)]
    pub status: String,
    /// What bounds its use.
    #[sqlx(flatten)]
    pub quotas: Quotas,
    /// When it was made.
    #[serde(serialize_with = "times::micros")]
    pub created_at: DateTime<Utc>,
    /// When it was last changed.
    #[serde(serialize_with = "times::micros")]
    pub updated_at: DateTime<Utc>,
}

/// What bounds a tenant's use.
#[derive(Clone, Debug, FromRow, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Quotas {
    /// Bytes of its files, as they are now; null where there is no bound.
    pub storage_bytes: Option<i64>,
    /// Readings in a second, by HTTP and Kafka together, on each replica; null where there is no bound.
    pub readings_per_second: Option<i32>,
    /// Requests in a second, of all its credentials together, on each replica; null where there is no bound.
    pub requests_per_second: Option<i32>,
    /// Time of one call of a module, in milliseconds; null for the gateway's own bound.
    pub guest_time_ms: Option<i32>,
    /// Memory of one instance of a module, in bytes; null for the gateway's own bound.
    pub guest_memory_bytes: Option<i64>,
    /// Milliseconds that the tenant's modules may run in a second, on each replica; null where there is no bound.
    pub guest_cpu_ms_per_second: Option<i32>,
}

/// A new tenant.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NewTenant {
    #[schema(value_type = Slug)]
    slug: String,
    /// Its name for people; the slug where it is not given.
    #[schema(value_type = Option<Name>)]
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    /// `active` where it is not given.
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<Standing>,
    #[schema(value_type = Option<QuotasChange>)]
    #[serde(skip_serializing_if = "Option::is_none")]
    quotas: Option<Object<QuotasChange>>,
}

impl NewTenant {
    /// One with a name for people and without bounds.
    pub fn named(slug: &str, name: &str) -> Self {
        Self { slug: slug.to_owned(), name: Some(name.to_owned()), status: None, quotas: None }
    }
}

/// A change of a tenant; what is left out stays as it is.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TenantChange {
    #[schema(value_type = Option<Name>)]
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<Standing>,
    #[schema(value_type = Option<QuotasChange>)]
    #[serde(skip_serializing_if = "Option::is_none")]
    quotas: Option<Object<QuotasChange>>,
}

/// A change of what bounds a tenant's use; what is left out stays as it is, and null takes a bound away.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[expect(clippy::option_option, reason = "null and nothing are two things in a change")]
pub struct QuotasChange {
    /// Bytes of its files, as they are now: what goes beyond is a 413.
    #[serde(default, deserialize_with = "sent_whole", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<i64>, minimum = 1)]
    storage_bytes: Option<Option<i64>>,
    /// Readings in a second, by HTTP and Kafka together, on each replica: over HTTP more is a 429, from Kafka it waits.
    #[serde(default, deserialize_with = "sent_whole", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<i32>, minimum = 1)]
    readings_per_second: Option<Option<i32>>,
    /// Requests in a second, of all its credentials together, on each replica; more are a 429.
    #[serde(default, deserialize_with = "sent_whole", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<i32>, minimum = 1)]
    requests_per_second: Option<Option<i32>>,
    /// Time of one call of a module, in milliseconds, where that is less than the gateway's own bound.
    #[serde(default, deserialize_with = "sent_whole", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<i32>, minimum = 1, maximum = 60_000)]
    guest_time_ms: Option<Option<i32>>,
    /// Memory of one instance of a module, in bytes, where that is less than the gateway's own bound.
    #[serde(default, deserialize_with = "sent_whole", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<i64>, minimum = 65_536, maximum = 1_073_741_824)]
    guest_memory_bytes: Option<Option<i64>>,
    /// Milliseconds that the tenant's modules may run in a second, all together, on each replica: over HTTP more is a 429, from Kafka it
    /// waits.
    #[serde(default, deserialize_with = "sent_whole", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<i32>, minimum = 1)]
    guest_cpu_ms_per_second: Option<Option<i32>>,
}

/// What tenants are filtered by.
#[derive(Debug, Default, Serialize, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase")]
#[into_params(parameter_in = Query)]
pub struct TenantFilter {
    /// Those of this name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Those of this status.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[param(inline)]
    pub status: Option<Standing>,
}

impl Form for NewTenant {
    fn check(&self) -> Result<()> {
        model::Tenant::parse(&self.slug).map_err(|error| error.at("/slug", "not a slug"))?;
        check(self.name.as_deref(), self.quotas.as_ref())
    }
}

impl Form for TenantChange {
    fn check(&self) -> Result<()> {
        check(self.name.as_deref(), self.quotas.as_ref())
    }
}

fn check(name: Option<&str>, quotas: Option<&Object<QuotasChange>>) -> Result<()> {
    if let Some(name) = name {
        check_name("A tenant's `name`", name).map_err(|error| error.at("/name", "not a name"))?;
    }
    let Some(Object(quotas)) = quotas else { return Ok(()) };
    let each = |bound: Option<Option<i32>>| bound.flatten().map(i64::from);
    let any = 1..=i64::MAX;
    let bounds = [
        ("storageBytes", quotas.storage_bytes.flatten(), any.clone()),
        ("readingsPerSecond", each(quotas.readings_per_second), any.clone()),
        ("requestsPerSecond", each(quotas.requests_per_second), any.clone()),
        ("guestTimeMs", each(quotas.guest_time_ms), 1..=60_000),
        ("guestMemoryBytes", quotas.guest_memory_bytes.flatten(), 1 << 16..=1 << 30),
        ("guestCpuMsPerSecond", each(quotas.guest_cpu_ms_per_second), any.clone()),
    ];
    for (field, bound, range) in bounds {
        if bound.is_some_and(|bound| !range.contains(&bound)) {
            let (least, most) = (range.start(), range.end());
            let sentence = if range == any {
                format!("`{field}` is at least 1; null takes the bound away, and `status` suspends a tenant.")
            } else {
                format!("`{field}` lies between {least} and {most}; null takes the bound away.")
            };
            return Err(Error::malformed(sentence).at(format!("/quotas/{field}"), "out of range"));
        }
    }
    Ok(())
}

impl Resource for Tenant {
    const COLLECTION: &'static str = "tenants";
    const ONE: &'static str = "tenant";
    const STATEMENTS: Statements =
        Statements { insert: INSERT, list: LIST, get: GET, lock: LOCK, update: UPDATE, delete: DELETE };
    const KEPT: Kept = Kept::OverTenants;
    const USES: Option<&'static str> = Some(USES);
    const ANNOUNCED: bool = true;
    type New = NewTenant;
    type Change = TenantChange;
    type Filter = TenantFilter;

    fn key(&self) -> String {
        self.slug.clone()
    }

    /// Whoever reaches one tenant's name reaches all of them, so that nothing less than administering them is enough.
    fn action(_action: Action) -> Action {
        Action::Admin
    }

    fn is_key(key: &str) -> bool {
        model::Tenant::parse(key).is_ok()
    }
}

impl Platform {
    /// True where this tenant exists. Without a permit: it is asked to find out whose permit is needed.
    pub async fn tenant_exists(&self, tenant: &model::Tenant) -> Result<bool> {
        let mut transaction = self.begin_as_weir().await?;
        sqlx::query_scalar(EXISTS).bind(tenant.as_str()).fetch_one(&mut *transaction).await.map_err(failed)
    }
}

statements! {
    EXISTS = "select exists (select from tenants where slug = $1)";
    // `$1` is the tenant of whoever asks, and `$2` of a new one an id that it has no use for: both are named so that they have a type.
    INSERT = "insert into tenants (slug, name, status, storage_bytes, readings_per_second, requests_per_second, guest_time_ms,
                                   guest_memory_bytes, guest_cpu_ms_per_second)
              select f.slug, coalesce(f.name, f.slug), coalesce(f.status, 'active'), (f.quotas ->> 'storageBytes')::bigint,
                     (f.quotas ->> 'readingsPerSecond')::integer, (f.quotas ->> 'requestsPerSecond')::integer,
                     (f.quotas ->> 'guestTimeMs')::integer, (f.quotas ->> 'guestMemoryBytes')::bigint,
                     (f.quotas ->> 'guestCpuMsPerSecond')::integer
              from jsonb_to_record($3::jsonb) as f (slug text, name text, status text, quotas jsonb)
              where $1::text is not null and $2::text is not null
              returning *";
    LIST = "select * from tenants where $1::text is not null and ($2::text is null or slug > $2)
            and ($3::jsonb ->> 'name' is null or name = $3 ->> 'name')
            and ($3 ->> 'status' is null or status = $3 ->> 'status') and weir_reaches(slug, $5)
            order by slug limit $4";
    GET = "select * from tenants where $1::text is not null and slug = $2";
    LOCK = "select * from tenants where $1::text is not null and slug = $2 for update";
    UPDATE = "update tenants t set name = coalesce(f.name, t.name), status = coalesce(f.status, t.status),
              storage_bytes = case when f.quotas ? 'storageBytes' then (f.quotas ->> 'storageBytes')::bigint else t.storage_bytes end,
              readings_per_second = case when f.quotas ? 'readingsPerSecond' then (f.quotas ->> 'readingsPerSecond')::integer
                                         else t.readings_per_second end,
              requests_per_second = case when f.quotas ? 'requestsPerSecond' then (f.quotas ->> 'requestsPerSecond')::integer
                                         else t.requests_per_second end,
              guest_time_ms = case when f.quotas ? 'guestTimeMs' then (f.quotas ->> 'guestTimeMs')::integer else t.guest_time_ms end,
              guest_memory_bytes = case when f.quotas ? 'guestMemoryBytes' then (f.quotas ->> 'guestMemoryBytes')::bigint
                                        else t.guest_memory_bytes end,
              guest_cpu_ms_per_second = case when f.quotas ? 'guestCpuMsPerSecond' then (f.quotas ->> 'guestCpuMsPerSecond')::integer
                                             else t.guest_cpu_ms_per_second end,
              updated_at = clock_timestamp()
              from jsonb_to_record($3::jsonb) as f (name text, status text, quotas jsonb)
              where $1::text is not null and t.slug = $2 returning t.*";
    DELETE = "delete from tenants where $1::text is not null and slug = $2";
    /// Its credentials go with it, and what was counted; what people made goes first.
    USES = "select what, number from (
                select 'users', count(*) from users where tenant = $2
                union all select 'projects', count(*) from projects where tenant = $2
                union all select 'connectors', count(*) from connectors where tenant = $2
                union all select 'topics', count(*) from kafka_topics where tenant = $2
                union all select 'schemas', count(*) from schemas where tenant = $2
                union all select 'validators', count(*) from validators where tenant = $2
                union all select 'buckets', count(*) from buckets where tenant = $2
                union all select 'files that are being cleared away', count(*) from object_versions where tenant = $2
            ) as used (what, number) where number > 0 and $1::text is not null";
}
