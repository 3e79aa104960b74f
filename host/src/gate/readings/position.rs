//! Where the writer stands in a topic's partitions: with the rows, so in TimescaleDB.

use uuid::Uuid;

use crate::error::Result;
use crate::gate::Gate;
use crate::ledger::{Log, OffsetRange};
use crate::model::{Action, Caller, Resource, Tenant};

fn writer(tenant: &Tenant) -> Caller {
    Caller::service("writer", tenant, Uuid::now_v7().to_string())
}

impl Gate {
    /// Up to where each partition of a log is stored; partitions of which nothing is stored are missing.
    pub async fn writer_positions(&self, tenant: &Tenant, log: &Log) -> Result<Vec<(i32, i64)>> {
        let permit = self.authorise(&writer(tenant), Action::Write, &Resource::topic(&log.topic)).await?;
        self.timescale.positions(&permit, log).await
    }

    /// Moves a position without rows, where the log does not reach to it any more and a setting says where to go on.
    pub async fn writer_position_move(&self, tenant: &Tenant, log: &Log, partition: i32, from: i64, to: i64) -> Result<()> {
        let permit = self.authorise(&writer(tenant), Action::Write, &Resource::topic(&log.topic)).await?;
        self.timescale.position_move(&permit, log, OffsetRange { partition, expected: from, next: to }).await
    }
}
