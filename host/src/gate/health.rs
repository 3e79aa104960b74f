//! How Weir and its services are, for `/health` and `weir doctor`.

use std::collections::BTreeMap;
use std::time::Instant;

use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use tokio::sync::Mutex;

use super::Gate;
use crate::error::{Error, Result};
use crate::limits;
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

/// Until when what the stores answered last is given again: whoever asks without end does not ask the stores.
#[derive(Debug, Default)]
pub struct Asked(Mutex<Option<Instant>>);

impl Gate {
    /// Asks every store and reads what the other parts reported.
    pub async fn health(&self) -> Health {
        self.ask_stores().await;
        let services = self.vitals.board();
        let overall = match services.get("platform").map(|report| report.standing) {
            Some(Standing::Away) => Overall::Unhealthy,
            _ if services.values().all(|report| report.standing == Standing::Connected) => Overall::Healthy,
            _ => Overall::Degraded,
        };
        Health { overall, services, now: self.clock.now() }
    }

    async fn ask_stores(&self) {
        let mut asked = self.asked.0.lock().await;
        if asked.is_some_and(|at| at.elapsed() < limits::HEALTH_KEPT) {
            return;
        }
        let edition = async {
            self.timescale.probe().await?;
            // Before the migrations there is none.
            Ok(self.timescale.edition().await.map_or(Value::Null, |edition| json!({ "edition": edition.as_str() })))
        };
        let (platform, timescale, objects) = tokio::join!(
            ask(async { self.platform.probe().await.map(|()| Value::Null) }),
            ask(edition),
            ask(async { self.objects.probe().await.map(|()| Value::Null) })
        );
        for (name, (standing, details)) in [("platform", platform), ("timescale", timescale), ("minio", objects)] {
            self.vitals.report(name, standing, details);
        }
        if let Some(issuer) = &self.issuer {
            // Weir works without it for as long as what it knows of its keys counts.
            let standing = if issuer.answers() { Standing::Connected } else { Standing::Away };
            self.vitals.report("issuer", standing, Value::Null);
        }
        *asked = Some(Instant::now());
    }
}

/// A store that does not answer in time is away. Its error's sentence is for everybody; its cause is not.
async fn ask(probe: impl Future<Output = Result<Value>>) -> (Standing, Value) {
    let answer = tokio::time::timeout(limits::HEALTH_TIME, probe).await;
    match answer.unwrap_or_else(|late| Err(Error::unavailable("store", late))) {
        Ok(details) => (Standing::Connected, details),
        Err(error) => {
            tracing::debug!(error = %crate::error::Chain(&error), "a health check found a store away");
            (Standing::Away, json!({ "error": error.sentence() }))
        }
    }
}
