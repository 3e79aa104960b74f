//! How Weir and its services are, for `/health` and `weir doctor`.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};

use super::Gate;
use crate::vitals::{Report, Standing};

/// The sum of all parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Overall {
    /// Everything works.
    Healthy,
    /// The API works, a part does not.
    Degraded,
    /// The platform database is away: nobody can be authenticated.
    Unhealthy,
}

impl Overall {
    /// The word for it in `/health`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Healthy => "healthy",
            Self::Degraded => "degraded",
            Self::Unhealthy => "unhealthy",
        }
    }
}

/// The answer of a health check.
#[derive(Debug)]
pub struct Health {
    /// The sum.
    pub overall: Overall,
    /// Each service's report.
    pub services: BTreeMap<&'static str, Report>,
    /// When it was found out.
    pub now: DateTime<Utc>,
}

impl Gate {
    /// Asks every store and reads what the other parts reported.
    pub async fn health(&self) -> Health {
        let services = self.vitals.board();
        let overall = match services.get("platform").map(|report| report.standing) {
            Some(Standing::Away) => Overall::Unhealthy,
            _ if services.values().all(|report| report.standing == Standing::Connected) => Overall::Healthy,
            _ => Overall::Degraded,
        };
        Health { overall, services, now: self.clock.now() }
    }
}
