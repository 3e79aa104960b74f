//! Chains: which validators readings, documents and objects pass, in which order.

use uuid::Uuid;

use super::resources::{Bucket, Resource as _, Topic};
use super::{Gate, documents};
use crate::error::{Error, Result};
use crate::model::{Action, Caller, Resource};
use crate::policy::Permit;
pub use crate::rules::ChainOf;

/// What a chain belongs to, as the policy knows it.
fn resource(chain: &ChainOf) -> Resource {
    match chain {
        ChainOf::Topic(name) => Resource::platform_one(Topic::COLLECTION, name),
        ChainOf::Documents(kind) => Resource::platform(kind),
        ChainOf::Objects(bucket) => Resource::bucket(bucket),
    }
}

impl Gate {
    /// The validators of a chain, in their order.
    pub async fn chain_get(&self, caller: &Caller, chain: &ChainOf) -> Result<Vec<Uuid>> {
        let permit = self.authorise(caller, Action::Read, &resource(chain)).await?;
        self.chain_exists(&permit, chain).await?;
        self.platform.chain_get(&permit, chain).await
    }

    /// Gives a chain these validators, in this order.
    pub async fn chain_set(&self, caller: &Caller, chain: &ChainOf, validators: &[Uuid]) -> Result<Vec<Uuid>> {
        let permit = self.authorise(caller, Action::Admin, &resource(chain)).await?;
        if validators.len() > chain.longest() {
            return Err(Error::malformed(format!("This chain has at most {} validators.", chain.longest()))
                .at("/validatorIds", format!("{} are given", validators.len())));
        }
        self.chain_exists(&permit, chain).await?;
        let target = chain.target().as_str();
        for (place, id) in validators.iter().enumerate() {
            let wrong =
                |what: String| Error::malformed(format!("Validator `{id}` {what}.")).at(format!("/validatorIds/{place}"), what);
            if validators[..place].contains(id) {
                return Err(wrong("is named twice; a chain names each once".to_owned()));
            }
            match self.platform.validator_get(&permit, *id).await? {
                None => return Err(wrong("does not exist".to_owned())),
                Some(row) if row.target != target => {
                    return Err(wrong(format!("checks {}, and this chain is of {target}", row.target)));
                }
                Some(_) => {}
            }
        }
        self.platform.chain_set(&permit, chain, validators).await?;
        Ok(validators.to_vec())
    }

    async fn chain_exists(&self, permit: &Permit, chain: &ChainOf) -> Result<()> {
        match chain {
            ChainOf::Topic(name) => match self.platform.resource_get::<Topic>(permit, name).await? {
                Some(_) => Ok(()),
                None => Err(Error::not_found(format!("topic `{name}`"))),
            },
            ChainOf::Objects(name) => match self.platform.resource_get::<Bucket>(permit, name).await? {
                Some(_) => Ok(()),
                None => Err(Error::not_found(format!("bucket `{name}`"))),
            },
            ChainOf::Documents(kind) if documents::KINDS.contains(&kind.as_str()) => Ok(()),
            ChainOf::Documents(kind) => {
                Err(Error::not_found(format!("chain of `{kind}`; these have one: {}", documents::KINDS.join(", "))))
            }
        }
    }
}
