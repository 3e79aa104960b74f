//! The gates: the straight lines from a caller's wish to a store, and the only place where deciders meet stores.
//!
//! Every method begins with [`Gate::authorise`], so that what follows holds a permit; a denial is audited there. Both entrances
//! end here, and nothing here knows HTTP or Kafka.

pub mod audit;
pub mod buckets;
pub mod catalogue;
pub mod chains;
pub mod documents;
pub mod explain;
pub mod guests;
pub mod health;
mod identity;
pub mod ledger;
pub mod leftovers;
pub mod objects;
pub mod policies;
pub mod quarantine;
pub mod readings;
pub mod records;
pub mod repeats;
pub mod replay;
pub mod resources;
pub mod samples;
pub mod schemas;
pub mod sessions;
pub mod tokens;
pub mod trial;
pub mod validators;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;

use crate::budget::Budget;
use crate::error::{Chain, Result};
use crate::guest::Engine;
use crate::issuer::Issuer;
use crate::model::{Action, Attempted, Caller, Clock, Resource};
use crate::objects::ObjectStore;
use crate::platform::Platform;
use crate::policy::{Collection, Denied, Permit, Policy};
use crate::rates::Rates;
use crate::registry::Registry;
use crate::schema::Schemas;
use crate::secrets::seal::Sealer;
use crate::timescale::Timescale;
use crate::turns::Turns;
use crate::vitals::Vitals;

/// Everything that a gate may use.
#[derive(Debug)]
pub struct Gate {
    /// Who may do what.
    pub policy: Arc<Policy>,
    /// What the platform knows.
    pub platform: Arc<Platform>,
    /// What the sensors said.
    pub timescale: Arc<Timescale>,
    /// Files.
    pub objects: Arc<ObjectStore>,
    /// The schema registry, where one is configured.
    pub registry: Option<Arc<Registry>>,
    /// Tenants' modules.
    pub guest: Arc<Engine>,
    /// What tenants may still bring.
    pub budget: Budget,
    /// How long their modules may still run, in milliseconds.
    pub guest_budget: Arc<Budget>,
    /// What their modules did, until it is written down.
    pub records: Arc<records::Records>,
    /// Versions of modules that run in the shadow of others.
    pub shadows: guests::Shadows,
    /// Turns at asking the database of readings for modules.
    pub lookups: Turns,
    /// Turns at uploading modules.
    pub uploads: Turns,
    /// What encrypts secrets, where the settings have a key for that.
    pub sealer: Option<Arc<Sealer>>,
    /// Another issuer of tokens, where one is configured.
    pub issuer: Option<Arc<Issuer>>,
    /// How many requests there have been lately.
    pub rates: Rates,
    /// How long a session lasts.
    pub session: Duration,
    /// Turns at hashing passwords.
    pub passwords: Arc<Semaphore>,
    /// Compiled JSON Schemas.
    pub schemas: Arc<Schemas>,
    /// Where things are counted and reported.
    pub vitals: Arc<Vitals>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// When the stores were last asked how they are.
    pub asked: health::Asked,
}

impl Gate {
    /// The policy's decision: a permit, or an error that is on record.
    async fn authorise(&self, caller: &Caller, action: Action, resource: &Resource) -> Result<Permit> {
        self.decided(caller, self.policy.authorise(caller, action, resource)).await
    }

    /// The same for a list, whose permit says what of it is within the caller's reach.
    async fn authorise_list(&self, caller: &Caller, action: Action, collection: &Collection) -> Result<Permit> {
        self.decided(caller, self.policy.authorise_list(caller, action, collection)).await
    }

    /// Puts a denial on record.
    async fn decided(&self, caller: &Caller, decision: Result<Permit, Denied>) -> Result<Permit> {
        let denied = match decision {
            Ok(permit) => {
                if permit.action() != Action::Read {
                    caller.attempt.note(|| attempted(&permit));
                }
                return Ok(permit);
            }
            Err(denied) => denied,
        };
        if let Err(error) = self.platform.audit_denial(&denied, &caller.request_id).await {
            // The caller is refused all the same; the log has what the audit lacks.
            tracing::warn!(error = %Chain(&error), subject = %caller.subject, "a denial could not be audited: {denied}");
        }
        Err(denied.into())
    }
}

fn attempted(permit: &Permit) -> Attempted {
    Attempted {
        subject: permit.subject().clone(),
        tenant: permit.tenant().clone(),
        action: permit.action(),
        resource: permit.resource().clone(),
        revision: Arc::clone(permit.revision()),
    }
}
