//! Documents: resources of the platform on their way to the database, through the chain of their kind.
//!
//! The gates of the resources call this between the policy and the store, with what was sent. What a module puts in its place is read
//! as strictly as what a client sends.

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::guests::ShadowedDocument;
use super::resources::{Connector, Pipeline, Project, Resource as _, Topic, User};
use super::{Gate, samples};
use crate::error::{Error, Kind, Result};
use crate::guest::Run;
use crate::guest::documents::Document;
use crate::guest::passage::Passage;
use crate::model::Operation;
use crate::policy::Permit;
use crate::rules::{ChainOf, Step};

/// The kinds of resources that may have a chain. Not validators: a chain of theirs could keep its tenant from ever changing it.
pub const KINDS: [&str; 7] =
    [Topic::COLLECTION, SCHEMAS, TOKENS, Project::COLLECTION, Pipeline::COLLECTION, Connector::COLLECTION, User::COLLECTION];
pub(in crate::gate) const SCHEMAS: &str = "schemas";
pub(in crate::gate) const TOKENS: &str = "tokens";

/// What is to be done with a resource.
#[derive(Clone, Copy)]
pub(in crate::gate) struct Sent<'a> {
    pub(in crate::gate) kind: &'static str,
    pub(in crate::gate) operation: Operation,
    pub(in crate::gate) id: Option<&'a str>,
}

impl Gate {
    /// Lets a change pass the chain of its kind; what comes out is what is to be stored.
    pub(in crate::gate) async fn document<T: Serialize + DeserializeOwned>(
        &self,
        permit: &Permit,
        sent: Sent<'_>,
        change: T,
    ) -> Result<T> {
        let chain = ChainOf::Documents(sent.kind.to_owned());
        let chain = self.platform.chain_steps(permit, &chain).await?;
        if chain.is_empty() {
            return Ok(change);
        }
        self.time_allowed(permit.tenant()).await?;
        let document = Document {
            kind: sent.kind.to_owned(),
            operation: sent.operation,
            subject: permit.subject().as_str().to_owned(),
            id: sent.id.map(str::to_owned),
            body: serde_json::to_value(&change).map_err(Error::internal)?,
        };
        let before = document.body.clone();
        let (mut passages, mut shadowed) = (Vec::new(), Vec::new());
        let body = self.pass(&self.live(permit, &chain), &chain, document, &mut passages, &mut shadowed).await;
        self.passed(permit, passages);
        for shadowed in shadowed {
            self.shadow_document(permit, shadowed);
        }
        let body = body?;
        if body == before {
            return Ok(change);
        }
        serde_path_to_error::deserialize(body).map_err(|error| {
            let (path, message) = (error.path().to_string(), error.inner().to_string());
            let sentence = format!("A validator of `{}` made something of this that cannot be stored: {message}.", sent.kind);
            Error::new(Kind::Refused, sentence).at(path, message)
        })
    }

    /// Shows a document to each validator of its chain, in turn, and keeps what is to be shown to their shadows.
    async fn pass(
        &self,
        run: &Run<'_>,
        chain: &[Step],
        mut document: Document,
        passages: &mut Vec<Passage>,
        shadowed: &mut Vec<ShadowedDocument>,
    ) -> Result<Value> {
        for step in chain {
            let body = self.pass_document(run, step, document.clone(), passages).await;
            if let Some((version, digest)) = step.shadow
                && let Some(after) = samples::document_end(&body, &document.body, passages.last())
            {
                let step = Step { version, digest, shadow: None, ..step.clone() };
                shadowed.push(ShadowedDocument { step, document: document.clone(), after });
            }
            document.body = body?;
        }
        Ok(document.body)
    }

    /// Lets a chain refuse what is to be deleted.
    pub(in crate::gate) async fn document_deleted(&self, permit: &Permit, kind: &'static str, id: &str) -> Result<()> {
        let sent = Sent { kind, operation: Operation::Delete, id: Some(id) };
        self.document(permit, sent, Map::<String, Value>::new()).await.map(drop)
    }
}
