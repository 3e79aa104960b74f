//! How a resource of the platform passes a chain of validators.

use std::sync::Arc;
use std::time::Instant;

use serde_json::Value;

use super::engine::Fault;
use super::passage::Passage;
use super::{Engine, Run, v1};
use crate::error::{Detail, Error, Kind, Result};
use crate::model::Operation;
use crate::rules::Step;

/// A resource on its way to the platform database.
#[derive(Clone, Debug)]
pub struct Document {
    /// The kind of resource, as in the path: `kafka-topics`.
    pub kind: String,
    /// What is to be done with it.
    pub operation: Operation,
    /// Who asks.
    pub subject: String,
    /// Its name or id; none before it has one.
    pub id: Option<String>,
    /// What was sent, a JSON object.
    pub body: Value,
}

/// What one validator says of a document.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Said {
    Accepted,
    Replaced(Value),
    Rejected(Vec<Detail>),
}

impl Engine {
    /// Shows a document to each validator of a chain, in turn: what one replaces, the next sees so. The first that refuses it, or fails on
    /// it, ends the way; its word is the error. Whatever came of it, what each did is in `passages`.
    pub async fn document(
        &self,
        run: &Run<'_>,
        chain: &[Step],
        mut document: Document,
        passages: &mut Vec<Passage>,
    ) -> Result<Value> {
        for step in chain {
            let (said, passage) = self.document_step(run, step, &document).await?;
            if run.live {
                self.learn(run, &passage);
            }
            passages.push(passage);
            match said {
                Ok(Said::Accepted) => {}
                Ok(Said::Replaced(body)) => document.body = body,
                Ok(Said::Rejected(problems)) => return Err(refused(step, problems)),
                Err(reason) => {
                    let sentence = format!("The validator `{}` could not judge this: {reason}.", step.name);
                    let detail = Detail { path: String::new(), message: reason, validator: Some(step.name.to_string()) };
                    return Err(Error::new(Kind::Refused, sentence).with_details([detail]));
                }
            }
        }
        Ok(document.body)
    }

    async fn document_step(&self, run: &Run<'_>, step: &Step, document: &Document) -> Result<(Result<Said, String>, Passage)> {
        let module = self.modules.documents(run.tenant, step.digest).await?;
        let mut passage = Passage::of(step);
        if run.live
            && let Some(last) = self.breakers.open(step, Instant::now())
        {
            passage.rested = true;
            passage.counts.failed = 1;
            return Ok((Err(Self::rests(step, &last)), passage));
        }
        let (runtime, step_of_call, document_of_call) = (Arc::clone(&self.runtime), step.clone(), document.clone());
        let (lookup, spent) = (run.lookup.as_ref().filter(|_| step.lookup).cloned(), run.spent.clone());
        let call = move || {
            let started = Instant::now();
            let shown = v1::documents::shown(&document_of_call);
            let most = v1::documents::answer_bytes(&shown);
            let called =
                runtime.call_once(&step_of_call, lookup, most, async |store| v1::documents::call(store, &module, &shown).await);
            let said = called.result.and_then(|answer| answer.read(&document_of_call).map_err(Fault::Answer));
            let took = started.elapsed();
            spent(took);
            (said, called.log, called.peak_memory_bytes, took)
        };
        let (said, log, peak_memory_bytes, took) = self.threads.run_at(self.place(run, step), run.tenant, call).await?;
        if run.live {
            self.pace.learn(step, took);
        }
        self.vitals.guest_seconds.observe(took.as_secs_f64());
        passage.note(took, peak_memory_bytes, log);
        let said = match said {
            Ok(said) => {
                match said {
                    Said::Accepted => passage.counts.accepted = 1,
                    Said::Replaced(_) => passage.counts.replaced = 1,
                    Said::Rejected(_) => passage.counts.rejected = 1,
                }
                Ok(said)
            }
            Err(Fault::Unjudged(reason)) => {
                passage.counts.rejected = 1;
                Ok(Said::Rejected(vec![Detail { path: String::new(), message: reason, validator: None }]))
            }
            Err(fault) => {
                passage.counts.failed = 1;
                passage.failed(&fault);
                Err(fault.to_string())
            }
        };
        if run.live {
            let fault = passage.fault.as_ref().map(|fault| fault.reason.clone());
            self.breakers.learn(step, fault.is_none(), fault, Instant::now());
        }
        Ok((said, passage))
    }
}

fn refused(step: &Step, problems: Vec<Detail>) -> Error {
    let first = problems.first().map_or("it gives no reason", |problem| problem.message.as_str());
    let sentence = format!("The validator `{}` refuses this: {first}.", step.name);
    let name = step.name.to_string();
    Error::new(Kind::Refused, sentence)
        .with_details(problems.into_iter().map(|problem| Detail { validator: Some(name.clone()), ..problem }))
}
