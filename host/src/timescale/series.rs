//! The dictionary of series: tenant, sensor, metric, topic, schema reference and unit → the number that stands in each row.
//!
//! Series are never deleted or changed, so what is cached stays true. New ones are made outside the batch's transaction: it would hold
//! their index entries for as long as it runs, and a series without readings harms nobody.

use std::collections::HashMap;

use parking_lot::Mutex;
use sqlx::{PgPool, Row as _};

use super::sqlstate::WriteError;
use super::{alive, statements};
use crate::model::Tenant;

statements! {
    FIND = "select w.n, s.id \
        from unnest($2::text[], $3::text[], $4::text[], $5::text[], $6::text[]) with ordinality \
            as w (sensor, metric, topic, schema_ref, unit, n) \
        join series s on s.tenant = $1 and s.sensor = w.sensor and s.metric = w.metric and s.topic = w.topic \
            and s.schema_ref = w.schema_ref and s.unit = w.unit";
    MAKE = "insert into series (tenant, sensor, metric, topic, schema_ref, unit) \
        select $1, w.sensor, w.metric, w.topic, w.schema_ref, w.unit \
        from unnest($2::text[], $3::text[], $4::text[], $5::text[], $6::text[]) as w (sensor, metric, topic, schema_ref, unit) \
        order by 2, 3, 4, 5, 6 on conflict do nothing";
}

/// A series, less its tenant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Name<'a> {
    pub(super) sensor: &'a str,
    pub(super) metric: &'a str,
    pub(super) topic: &'a str,
    pub(super) schema_ref: &'a str,
    pub(super) unit: &'a str,
}

impl Name<'_> {
    /// All parts with their lengths before them, so that no two series share a key.
    fn key(&self, tenant: &Tenant, key: &mut Vec<u8>) {
        key.clear();
        for part in [tenant.as_str(), self.sensor, self.metric, self.topic, self.schema_ref, self.unit] {
            key.extend_from_slice(&part.len().to_le_bytes());
            key.extend_from_slice(part.as_bytes());
        }
    }
}

/// What is known of the dictionary, bounded: two generations, of which the older is forgotten when the younger is half the bound.
#[derive(Debug)]
pub(super) struct Dictionary {
    generations: Mutex<[HashMap<Box<[u8]>, i64>; 2]>,
    half: usize,
}

impl Dictionary {
    pub(super) fn new(bound: usize) -> Self {
        Self { generations: Mutex::default(), half: (bound / 2).max(1) }
    }

    /// The numbers of `names`, in their order; series that are new are made.
    pub(super) async fn resolve(&self, pool: &PgPool, tenant: &Tenant, names: &[Name<'_>]) -> Result<Vec<i64>, WriteError> {
        let mut ids: Vec<Option<i64>> = self.known(tenant, names);
        // Found, made, found again: a concurrent maker's rows show only in a statement that begins after it committed.
        for make in [false, true] {
            let missing: Vec<usize> = (0..names.len()).filter(|at| ids[*at].is_none()).collect();
            if missing.is_empty() {
                break;
            }
            let wanted: Vec<Name<'_>> = missing.iter().map(|at| names[*at]).collect();
            if make {
                alive(pool, || async { send(MAKE, tenant, &wanted).execute(pool).await }).await?;
            }
            for row in alive(pool, || async { send(FIND, tenant, &wanted).fetch_all(pool).await }).await? {
                let n: i64 = row.try_get(0)?;
                let at = usize::try_from(n - 1).ok().and_then(|n| missing.get(n)).ok_or(sqlx::Error::RowNotFound)?;
                ids[*at] = Some(row.try_get(1)?);
            }
            self.learn(tenant, names, &ids, &missing);
        }
        ids.into_iter().collect::<Option<Vec<i64>>>().ok_or_else(|| WriteError::Standing(sqlx::Error::RowNotFound))
    }

    fn known(&self, tenant: &Tenant, names: &[Name<'_>]) -> Vec<Option<i64>> {
        let mut key = Vec::new();
        let mut generations = self.generations.lock();
        names
            .iter()
            .map(|name| {
                name.key(tenant, &mut key);
                if let Some(id) = generations[0].get(key.as_slice()) {
                    return Some(*id);
                }
                let id = *generations[1].get(key.as_slice())?;
                keep(&mut generations, self.half, &key, id);
                Some(id)
            })
            .collect()
    }

    fn learn(&self, tenant: &Tenant, names: &[Name<'_>], ids: &[Option<i64>], which: &[usize]) {
        let mut key = Vec::new();
        let mut generations = self.generations.lock();
        for at in which {
            if let Some(id) = ids[*at] {
                names[*at].key(tenant, &mut key);
                keep(&mut generations, self.half, &key, id);
            }
        }
    }
}

fn keep(generations: &mut [HashMap<Box<[u8]>, i64>; 2], half: usize, key: &[u8], id: i64) {
    if generations[0].len() >= half {
        generations.swap(0, 1);
        generations[0].clear();
    }
    generations[0].insert(key.into(), id);
}

fn send<'q>(
    sql: &'static str,
    tenant: &'q Tenant,
    names: &[Name<'q>],
) -> sqlx::query::Query<'q, sqlx::Postgres, sqlx::postgres::PgArguments> {
    let column = |part: fn(&Name<'q>) -> &'q str| names.iter().map(part).collect::<Vec<&'q str>>();
    sqlx::query(sql)
        .bind(tenant.as_str())
        .bind(column(|name| name.sensor))
        .bind(column(|name| name.metric))
        .bind(column(|name| name.topic))
        .bind(column(|name| name.schema_ref))
        .bind(column(|name| name.unit))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_dictionary_is_bounded_and_forgets_what_is_not_used() {
        let dictionary = Dictionary::new(100);
        let tenant = Tenant::parse("acme").unwrap();
        let sensors: Vec<String> = (0..1_000).map(|n| format!("s{n}")).collect();
        let name = |sensor: &'static str| Name { sensor, metric: "m", topic: "", schema_ref: "", unit: "" };
        let often = [name("often")];
        dictionary.learn(&tenant, &often, &[Some(7)], &[0]);
        for sensor in &sensors {
            let rare = [Name { sensor, ..name("") }];
            dictionary.learn(&tenant, &rare, &[Some(1)], &[0]);
            assert_eq!(dictionary.known(&tenant, &often), [Some(7)]);
        }
        let kept: usize = dictionary.generations.lock().iter().map(HashMap::len).sum();
        assert!(kept <= 100, "{kept}");
        let other = Tenant::parse("other").unwrap();
        assert_eq!(dictionary.known(&other, &often), [None]);
        // Parts that read the same when put together are still two series.
        assert_eq!(dictionary.known(&tenant, &[Name { sensor: "ofte", metric: "nm", ..often[0] }]), [None]);
    }
}
