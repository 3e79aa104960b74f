//! (b, c) Weir's policy, loaded from a folder and asked as its gates ask it.

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use weir::model::{Action, Attempt, Caller, Resource, Subject, Tenant};
use weir::policy::{Options, Policy};
use weir::vitals::Vitals;

use crate::failure::{Doing as _, Failure, Result};
use crate::lines::Decider;
use crate::requests::Request;

/// The rules at work.
#[derive(Clone)]
pub struct Gateway(Arc<Policy>);

impl Gateway {
    /// Loads a folder, as a start does.
    pub fn load(folder: &Path) -> Result<Self> {
        let options = Options { folder: folder.to_owned(), vitals: Arc::new(Vitals::new()), log_allowed: 0 };
        let policy = Policy::load(options).map_err(|mistakes| {
            let said: Vec<String> = mistakes.iter().take(3).map(ToString::to_string).collect();
            Failure::new(format!("Weir refuses the rules: {}", said.join("; ")))
        })?;
        Ok(Self(Arc::new(policy)))
    }

    /// The policy itself.
    pub fn policy(&self) -> &Arc<Policy> {
        &self.0
    }

    /// Microseconds of the first decision in a tenant, on something that nobody else asks for.
    pub fn first_of_tenant(&self, tenant: &str) -> Result<f64> {
        let ready = (caller(tenant, tenant, "user:first")?, Action::Read, Resource::named("/timescale/ledger"));
        let started = Instant::now();
        self.decide(&ready)?;
        Ok(started.elapsed().as_secs_f64() * 1e6)
    }
}

fn caller(home: &str, tenant: &str, subject: &str) -> Result<Caller> {
    Ok(Caller {
        subject: Subject::named(subject),
        tenant: Tenant::parse(tenant).doing("the tenant has no name")?,
        home: Tenant::parse(home).doing("the tenant has no name")?,
        bearer: None,
        request_id: "bench".into(),
        attempt: Attempt::default(),
    })
}

impl Decider for Gateway {
    type Ready = (Caller, Action, Resource);

    fn ready(&self, request: &Request, path: &str) -> Result<Self::Ready> {
        Ok((caller(&request.home, &request.tenant_name, &request.subject)?, request.action, Resource::named(path)))
    }

    fn decide(&self, (caller, action, resource): &Self::Ready) -> Result<bool> {
        Ok(self.0.authorise(caller, *action, resource).is_ok())
    }
}
