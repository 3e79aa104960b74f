//! The gates: the straight lines from a caller's wish to a store, and the only place where deciders meet stores.
//!
//! Every method begins with [`Gate::authorise`], so that what follows holds a permit; a denial is audited there. Both entrances
//! end here, and nothing here knows HTTP or Kafka.

pub mod health;

use std::sync::Arc;

use crate::model::Clock;
use crate::vitals::Vitals;

/// Everything that a gate may use.
#[derive(Debug)]
pub struct Gate {
    /// Where things are counted and reported.
    pub vitals: Arc<Vitals>,
    /// The time.
    pub clock: Arc<dyn Clock>,
}

impl Gate {
    /// Stands in until the identity gate lands.
    pub async fn identify(
        &self,
        _bearer: &str,
        _tenant: Option<&str>,
        _request_id: Arc<str>,
    ) -> crate::error::Result<crate::model::Caller> {
        Err(crate::error::Error::new(crate::error::Kind::Unauthenticated, "This token is not known."))
    }
}
