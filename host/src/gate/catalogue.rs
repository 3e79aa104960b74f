//! What the writer asks of the catalogue.

use tokio::sync::watch;

use super::Gate;
use crate::error::Result;
pub use crate::platform::catalogue::IngestTopic;

impl Gate {
    /// The topics that the writer consumes. It asks the policy for each batch, so this list needs no permit.
    pub async fn ingest_topics(&self) -> Result<Vec<IngestTopic>> {
        self.platform.ingest_topics().await
    }

    /// Counts up with every change of the catalogue that this replica hears of.
    pub fn catalogue_changes(&self) -> watch::Receiver<u64> {
        self.platform.changes()
    }
}
