//! Requests that name an idempotency key: the first one is done, and whoever repeats it gets its answer.
//!
//! Answers are kept encrypted under a key that is made of the credential that asked, since some hold a secret that nobody shall see again.

use super::Gate;
use crate::error::Result;
use crate::model::Caller;
pub use crate::platform::idempotency::Claim;
use crate::rules::Digest;
use crate::secrets::seal::{Sealed, Sealer};

impl Gate {
    /// Claims a key for a request; an answer that there is already comes as it was given.
    pub async fn repeat_claim(&self, caller: &Caller, bearer: &str, key: &str, request: Digest) -> Result<Claim> {
        match self.platform.idempotency_claim(caller, key, request).await? {
            Claim::Answered(kept) => {
                let sealer = Sealer::of_credential(bearer, key)?;
                // By another credential of the same subject it cannot be read; to do the request again would be worse than to say so.
                Ok(sealer.open(caller.tenant.as_str(), sealer.current(), &kept).map_or(Claim::Other, Claim::Answered))
            }
            claim => Ok(claim),
        }
    }

    /// Keeps the answer to a request that claimed a key; without one, the key is free again.
    pub async fn repeat_settle(&self, caller: &Caller, bearer: &str, key: &str, answer: Option<&[u8]>) -> Result<()> {
        let sealed = match answer {
            Some(answer) => {
                let Sealed { bytes, .. } = Sealer::of_credential(bearer, key)?.seal(caller.tenant.as_str(), answer)?;
                Some(bytes)
            }
            None => None,
        };
        self.platform.idempotency_settle(caller, key, sealed.as_deref()).await
    }
}
