//! How the gates run tenants' modules: within the tenant's budget of time, on record, and shadows beside them.

use std::slice;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::BoxFuture;
use serde_json::{Map, Value};

use super::{Gate, samples};
use crate::batch::Batch;
use crate::batch::compare::{Differences, DocumentPlace};
use crate::cases::End;
use crate::error::{Chain, Detail, Error, Kind, Result};
use crate::guest::documents::Document;
use crate::guest::passage::{Counts, Passage};
use crate::guest::{Judgement, LastValue, LastValues, Lookup, Room, Run, Shadowed, Spent};
use crate::ledger::Origin;
use crate::limits;
use crate::model::{Action, Caller, Operation, Resource, Tenant};
use crate::policy::Permit;
use crate::rules::{SchemaVersion, Step};
use crate::timescale::Timescale;
use crate::turns::Turns;

/// The last values of the permit's tenant. That a module sees them was decided when `lookup` was granted to its validator.
struct TenantsOwn {
    timescale: Arc<Timescale>,
    permit: Permit,
    turns: Turns,
}

impl LastValues for TenantsOwn {
    fn latest<'a>(&'a self, of: &'a [(String, String)]) -> BoxFuture<'a, Result<Vec<Option<LastValue>>>> {
        Box::pin(async move {
            let _turn = self.turns.take(self.permit.tenant()).await?;
            let found = self.timescale.last_values(&self.permit, of, limits::GUEST_LOOKUP_BYTES).await?.ok_or_else(|| {
                let most = limits::GUEST_LOOKUP_BYTES >> 20;
                Error::new(Kind::Refused, format!("The last values that were asked for have more than {most} MiB of text."))
            })?;
            Ok(found.into_iter().map(|last| last.map(|(time, value, unit)| LastValue { time, value, unit })).collect())
        })
    }
}

impl Gate {
    fn lookup(&self, permit: &Permit, chain: &[Step]) -> Lookup {
        let own = || {
            let (timescale, turns) = (Arc::clone(&self.timescale), self.lookups.clone());
            Arc::new(TenantsOwn { timescale, permit: permit.clone(), turns }) as _
        };
        chain.iter().any(|step| step.lookup).then(own)
    }

    /// Lets live readings pass a chain.
    pub(in crate::gate) async fn run_chain(
        &self,
        permit: &Permit,
        chain: &[Step],
        batch: Batch,
        origin: &Origin,
    ) -> Result<Batch> {
        if chain.is_empty() {
            return Ok(batch);
        }
        let tenant = permit.tenant();
        // The writer asks by itself, and waits.
        if !matches!(origin, Origin::Kafka { .. }) {
            self.time_allowed(tenant).await?;
        }
        let run = self.live(permit, chain);
        let Judgement { batch, passages, shadowed } = self.pass_chain(&run, chain, batch).await?;
        self.passed(permit, passages);
        for shadowed in shadowed {
            self.shadow(permit, shadowed);
        }
        Ok(batch)
    }

    /// Lets readings pass a chain on trial: nothing of it is remembered.
    pub(in crate::gate) async fn try_chain(&self, permit: &Permit, chain: &[Step], batch: Batch) -> Result<Judgement> {
        self.time_allowed(permit.tenant()).await?;
        self.pass_chain(&self.on_trial(permit, chain), chain, batch).await
    }

    /// Modules in a row are the engine's affair; a schema among them is judged here.
    async fn pass_chain(&self, run: &Run<'_>, chain: &[Step], mut batch: Batch) -> Result<Judgement> {
        let mut room = Room::of(&batch);
        let (mut passages, mut shadowed) = (Vec::with_capacity(chain.len()), Vec::new());
        for part in chain.chunk_by(|one, next| one.schema.is_none() && next.schema.is_none()) {
            if let [step] = part
                && let Some(schema) = &step.schema
            {
                let passage;
                (batch, passage) = self.pass_schema(run, step, schema, batch).await?;
                passages.push(passage);
                continue;
            }
            let judgement = self.guest.run_within(run, part, batch, &mut room).await?;
            batch = judgement.batch;
            passages.extend(judgement.passages);
            shadowed.extend(judgement.shadowed);
        }
        Ok(Judgement { batch, passages, shadowed })
    }

    async fn pass_schema(&self, run: &Run<'_>, step: &Step, schema: &SchemaVersion, batch: Batch) -> Result<(Batch, Passage)> {
        let standing = |batch: &Batch| (0u32..).zip(batch.readings()).filter(|(place, _)| batch.stands(*place)).count() as u64;
        let before = standing(&batch);
        let (schemas, judging, schema) = (Arc::clone(&self.schemas), step.clone(), schema.clone());
        let (judged, took) = self.guest.apart(run, move || schemas.judge(&judging, &schema, batch)).await?;
        let batch = judged?;
        let accepted = standing(&batch);
        let counts = Counts { accepted, rejected: before - accepted, ..Counts::default() };
        Ok((batch, passage(step, counts, took)))
    }

    /// Shows a document to one validator, module or schema.
    pub(in crate::gate) async fn pass_document(
        &self,
        run: &Run<'_>,
        step: &Step,
        document: Document,
        passages: &mut Vec<Passage>,
    ) -> Result<Value> {
        let Some(schema) = step.schema.clone() else {
            return self.guest.document(run, slice::from_ref(step), document, passages).await;
        };
        let Document { operation, body, .. } = document;
        // What is deleted has no body to be described.
        if operation == Operation::Delete {
            return Ok(body);
        }
        let schemas = Arc::clone(&self.schemas);
        let work = move || (schemas.objections(&schema, &body, operation == Operation::Update, limits::GUEST_PROBLEMS), body);
        let ((objections, body), took) = self.guest.apart(run, work).await?;
        let objections = objections?;
        let counts = if objections.is_empty() {
            Counts { accepted: 1, ..Counts::default() }
        } else {
            Counts { rejected: 1, ..Counts::default() }
        };
        passages.push(passage(step, counts, took));
        let Some((_, first)) = objections.first() else { return Ok(body) };
        let sentence = format!("The validator `{}` refuses this: {first}.", step.name);
        let name = Some(step.name.to_string());
        let details = objections.iter().map(|(path, message)| Detail {
            path: path.clone(),
            message: message.clone(),
            validator: name.clone(),
        });
        Err(Error::new(Kind::Refused, sentence).with_details(details))
    }

    /// For live documents and objects.
    pub(in crate::gate) fn live<'a>(&self, permit: &'a Permit, chain: &[Step]) -> Run<'a> {
        Run { tenant: permit.tenant(), lookup: self.lookup(permit, chain), live: true, spent: self.spent(permit.tenant()) }
    }

    /// For documents and objects on trial.
    pub(in crate::gate) fn on_trial<'a>(&self, permit: &'a Permit, chain: &[Step]) -> Run<'a> {
        Run { live: false, ..self.live(permit, chain) }
    }

    /// Takes what modules cost from the tenant's budget, call by call: who hangs up before the answer pays all the same.
    fn spent(&self, tenant: &Tenant) -> Spent {
        let (budget, tenant) = (Arc::clone(&self.guest_budget), tenant.clone());
        Arc::new(move |took| budget.charge(&tenant, took.as_secs_f64() * 1e3))
    }

    /// Writes down what a chain did with live traffic.
    pub(in crate::gate) fn passed(&self, permit: &Permit, mut passages: Vec<Passage>) {
        // What each version of a module did is kept; a validator that is a schema has no versions of its own.
        passages.retain(|passage| passage.calls > 0 || passage.rested);
        self.records.passed(permit, passages, self.clock.now());
    }

    /// For the writer: how long to wait before messages of this topic are judged, where modules judge them and have run too long.
    /// Where that cannot be told, judging them says why.
    pub async fn guests_wait(&self, caller: &Caller, topic: &str) -> Option<Duration> {
        // Nearly always there is no wait, and nothing more to ask.
        let wait = self.time_left(&caller.tenant).await.ok()??;
        let permit = self.authorise(caller, Action::Write, &Resource::topic(topic)).await.ok()?;
        let rules = self.platform.rules_for(&permit, Some(topic)).await.ok()??;
        (!rules.chain.is_empty()).then_some(wait)
    }

    /// How long it is until the tenant's modules may run again; `None` where they may now.
    async fn time_left(&self, tenant: &Tenant) -> Result<Option<Duration>> {
        let Some(quota) = self.platform.quotas(tenant).await?.guest_cpu_ms_per_second else {
            self.guest_budget.forget(tenant);
            return Ok(None);
        };
        Ok(self.guest_budget.take(tenant, quota, 0, Instant::now()).err())
    }

    /// For a request: a refusal that says when to come again, where the tenant's modules have run too long.
    pub(in crate::gate) async fn time_allowed(&self, tenant: &Tenant) -> Result<()> {
        let Some(wait) = self.time_left(tenant).await? else { return Ok(()) };
        let sentence = "Your tenant's modules have used up the time that they may run in a second; wait as `Retry-After` says.";
        Err(Error::new(Kind::RateLimited, sentence).retry_after(wait))
    }

    /// Lets a version judge readings in the shadow of the active one.
    fn shadow(&self, permit: &Permit, shadowed: Shadowed) {
        let Shadowed { step, before, after } = shadowed;
        let (guest, tenant) = (Arc::clone(&self.guest), permit.tenant().clone());
        let (lookup, shadow, spent) = (self.lookup(permit, slice::from_ref(&step)), step.clone(), self.spent(permit.tenant()));
        let readings = before.readings().len() as u64;
        self.beside(permit, &step, readings, async move {
            let run = Run { tenant: &tenant, lookup, live: false, spent };
            let judgement = guest.run(&run, slice::from_ref(&shadow), before.clone()).await?;
            let differences = Differences::of(&before, &after, &judgement.batch, limits::SHADOW_SAMPLES);
            Ok((judgement.passages, differences))
        });
    }

    /// The same for a document that the active version has judged.
    pub(in crate::gate) fn shadow_document(&self, permit: &Permit, shadowed: ShadowedDocument) {
        let ShadowedDocument { step, document, after } = shadowed;
        let (guest, tenant) = (Arc::clone(&self.guest), permit.tenant().clone());
        let (lookup, shadow, spent) = (self.lookup(permit, slice::from_ref(&step)), step.clone(), self.spent(permit.tenant()));
        self.beside(permit, &step, 1, async move {
            let run = Run { tenant: &tenant, lookup, live: false, spent };
            let place = DocumentPlace { kind: document.kind.clone(), operation: document.operation, id: document.id.clone() };
            let before = document.body.clone();
            let mut passages = Vec::new();
            let body = guest.document(&run, slice::from_ref(&shadow), document, &mut passages).await;
            let candidate = samples::document_end(&body, &before, passages.last());
            let Some(candidate) = candidate else { return body.map(|_| (passages, Differences::default())) };
            let judged = |end: &End<Value>| samples::judged(end.clone(), &shadow, |_| Map::new());
            let differences =
                Differences::of_document(place, (judged(&after), after.passed()), (judged(&candidate), candidate.passed()));
            Ok((passages, differences))
        });
    }

    /// Lets a version judge beside what is live, and never in its way: where too many wait, it is left out.
    fn beside(
        &self,
        permit: &Permit,
        shadow: &Step,
        shown: u64,
        judging: impl Future<Output = Result<(Vec<Passage>, Differences)>> + Send + 'static,
    ) {
        let Ok(place) = Arc::clone(&self.shadows.places).try_acquire_owned() else {
            return self.records.not_compared(permit, shadow, shown);
        };
        let (records, permit, name) = (Arc::clone(&self.records), permit.clone(), Arc::clone(&shadow.name));
        let now = self.clock.now();
        self.shadows.tasks.spawn(async move {
            let _place = place;
            match judging.await {
                Ok((passages, differences)) => records.shadowed(&permit, passages, differences, now),
                Err(error) => tracing::debug!(error = %Chain(&error), validator = %name, "a shadow could not run"),
            }
        });
    }
}

/// What a schema did in a validator's place.
fn passage(step: &Step, counts: Counts, took: Duration) -> Passage {
    let (validator, name, version) = (step.validator, Arc::clone(&step.name), step.version);
    Passage { validator, name, version, counts, took, ..Passage::default() }
}

/// A document that a validator judged in whose shadow another version runs.
pub(in crate::gate) struct ShadowedDocument {
    /// The validator's place, with the shadow's version as the one that runs.
    pub(in crate::gate) step: Step,
    /// What it was shown.
    pub(in crate::gate) document: Document,
    /// What the active version made of it.
    pub(in crate::gate) after: End<Value>,
}

/// Versions that run beside the active ones.
#[derive(Debug)]
pub struct Shadows {
    places: Arc<tokio::sync::Semaphore>,
    tasks: tokio_util::task::TaskTracker,
}

impl Default for Shadows {
    fn default() -> Self {
        Self { places: Arc::new(tokio::sync::Semaphore::new(limits::SHADOWS)), tasks: tokio_util::task::TaskTracker::new() }
    }
}
