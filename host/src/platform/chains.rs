//! Chains: which validators readings, documents and objects pass, in which order, and the steps that follow from them.
//!
//! The steps of documents and objects are kept in memory as the rules of topics are, until the database announces a change.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use sqlx::{FromRow, Postgres, Transaction};
use uuid::Uuid;

use super::catalogue::strategy;
use super::{Platform, audit, failed, statements, unreadable};
use crate::error::Result;
use crate::model::Grant;
use crate::policy::Permit;
use crate::rules::{ChainOf, Digest, SchemaVersion, Step, StepBounds};

/// The steps of what `$from` selects as `c`, validators that are inactive or have neither module nor schema left out.
macro_rules! steps {
    ($from:literal) => {
        concat!(
            "select v.id, v.name, v.config, v.error_strategy, v.grants, w.version, w.digest, \
                least(v.time_ms, t.guest_time_ms) as time_ms, least(v.memory_bytes, t.guest_memory_bytes) as memory_bytes, \
                s.version as shadow_version, s.digest as shadow_digest, \
                j.id as schema_id, j.name as schema_name, j.version as schema_version, j.definition as schema_definition \
             from ",
            $from,
            " join validators v on v.tenant = $1 and v.id = c.validator_id \
             join tenants t on t.slug = v.tenant \
             left join validator_versions w on w.validator_id = v.id and w.version = v.active_version \
             left join validator_versions s on s.validator_id = v.id and s.version = v.shadow_version \
             left join schemas j on j.tenant = v.tenant and j.id = v.schema_id \
             where v.status = 'active' and (w.version is not null or j.id is not null) order by c.position"
        )
    };
}

statements! {
    STEPS = steps!("(select validator_id, position from chains where tenant = $1 and place = $2) c");
    /// Those of a chain that is named.
    STEPS_NAMED = steps!("unnest($2::uuid[]) with ordinality as c (validator_id, position)");
    CHAIN = "select validator_id from chains where tenant = $1 and place = $2 order by position";
    CLEAR = "delete from chains where tenant = $1 and place = $2";
    INSERT = "insert into chains (tenant, topic, resource, bucket, position, validator_id)
              select $1, $2, $3, $4, ordinality, validator from unnest($5::uuid[]) with ordinality as t (validator, ordinality)";
}

#[derive(FromRow)]
struct StepRow {
    id: Uuid,
    name: String,
    config: Value,
    error_strategy: String,
    grants: Vec<String>,
    version: Option<i32>,
    digest: Option<Vec<u8>>,
    time_ms: Option<i32>,
    memory_bytes: Option<i64>,
    shadow_version: Option<i32>,
    shadow_digest: Option<Vec<u8>>,
    schema_id: Option<Uuid>,
    schema_name: Option<String>,
    schema_version: Option<i32>,
    schema_definition: Option<String>,
}

impl Platform {
    /// The steps of a chain of documents or objects; those of a topic are part of its rules.
    pub async fn chain_steps(&self, permit: &Permit, chain: &ChainOf) -> Result<Arc<[Step]>> {
        let key = (permit.tenant().clone(), chain.place());
        let generation = match self.chains.look(&key) {
            Ok(steps) => return Ok(steps),
            Err(generation) => generation,
        };
        let mut transaction = self.begin(permit).await?;
        let steps: Arc<[Step]> = steps_of(&mut transaction, permit, chain).await?.into();
        self.chains.keep(generation, key, &steps);
        Ok(steps)
    }

    /// The steps of these validators, in this order; those that are not there, inactive or without module and schema are missing.
    pub async fn validator_steps(&self, permit: &Permit, validators: &[Uuid]) -> Result<Vec<Step>> {
        let mut transaction = self.begin(permit).await?;
        let rows: Vec<StepRow> = sqlx::query_as(STEPS_NAMED)
            .bind(permit.tenant().as_str())
            .bind(validators)
            .fetch_all(&mut *transaction)
            .await
            .map_err(failed)?;
        rows.into_iter().map(step).collect()
    }

    /// The validators of a chain, in their order.
    pub async fn chain_get(&self, permit: &Permit, chain: &ChainOf) -> Result<Vec<Uuid>> {
        let mut transaction = self.begin(permit).await?;
        sqlx::query_scalar(CHAIN)
            .bind(permit.tenant().as_str())
            .bind(chain.place())
            .fetch_all(&mut *transaction)
            .await
            .map_err(failed)
    }

    /// Gives a chain these validators, in this order.
    pub async fn chain_set(&self, permit: &Permit, chain: &ChainOf, validators: &[Uuid]) -> Result<()> {
        let tenant = permit.tenant().as_str();
        let (topic, resource, bucket) = match chain {
            ChainOf::Topic(name) => (Some(name), None, None),
            ChainOf::Documents(name) => (None, Some(name), None),
            ChainOf::Objects(name) => (None, None, Some(name)),
        };
        let mut transaction = self.begin(permit).await?;
        let before: Vec<Uuid> =
            sqlx::query_scalar(CHAIN).bind(tenant).bind(chain.place()).fetch_all(&mut *transaction).await.map_err(failed)?;
        sqlx::query(CLEAR).bind(tenant).bind(chain.place()).execute(&mut *transaction).await.map_err(failed)?;
        sqlx::query(INSERT)
            .bind(tenant)
            .bind(topic)
            .bind(resource)
            .bind(bucket)
            .bind(validators)
            .execute(&mut *transaction)
            .await
            .map_err(failed)?;
        audit::record(&mut transaction, permit, json!({ "before": before, "after": validators })).await?;
        self.commit_announced(transaction).await
    }
}

pub(super) async fn steps_of(transaction: &mut Transaction<'_, Postgres>, permit: &Permit, chain: &ChainOf) -> Result<Vec<Step>> {
    let rows: Vec<StepRow> = sqlx::query_as(STEPS)
        .bind(permit.tenant().as_str())
        .bind(chain.place())
        .fetch_all(&mut **transaction)
        .await
        .map_err(failed)?;
    rows.into_iter().map(step).collect()
}

fn step(row: StepRow) -> Result<Step> {
    let digest = |bytes: &[u8]| Digest::from_slice(bytes).ok_or_else(|| unreadable("validator_versions.digest", "its length"));
    let shadow = row.shadow_version.zip(row.shadow_digest);
    let schema = (|| Some((row.schema_id?, row.schema_name?, row.schema_version?, row.schema_definition?)))();
    let (version, code, schema) = match (row.version.zip(row.digest), schema) {
        (_, Some((id, name, version, definition))) => {
            let schema = SchemaVersion { id, label: format!("{name}@{version}").into(), definition: definition.into() };
            (version, Digest::of(schema.definition.as_bytes()), Some(schema))
        }
        (Some((version, bytes)), None) => (version, digest(&bytes)?, None),
        (None, None) => return Err(unreadable("validators", "neither module nor schema")),
    };
    Ok(Step {
        validator: row.id,
        name: row.name.into(),
        version,
        digest: code,
        config: row.config.to_string().into(),
        strategy: strategy("validators.error_strategy", &row.error_strategy)?,
        bounds: StepBounds {
            time: row.time_ms.and_then(|time| u64::try_from(time).ok()).map(Duration::from_millis),
            memory_bytes: row.memory_bytes.and_then(|bytes| usize::try_from(bytes).ok()),
        },
        lookup: row.grants.iter().any(|grant| grant == Grant::Lookup.as_str()),
        schema,
        shadow: shadow.map(|(version, bytes)| digest(&bytes).map(|digest| (version, digest))).transpose()?,
    })
}
