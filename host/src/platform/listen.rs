//! Hears of changes to the catalogue (LISTEN/NOTIFY), so that they reach every replica in seconds.

use std::sync::Arc;

use backon::{BackoffBuilder as _, ExponentialBuilder};
use sqlx::postgres::PgListener;
use tokio_util::sync::CancellationToken;

use super::Platform;
use crate::limits;

const CHANNEL: &str = "weir_catalogue";

impl Platform {
    /// Listens until `stop`. While the connection is away nothing is heard, so whatever is kept is dropped when it is back.
    pub async fn run(self: Arc<Self>, stop: CancellationToken) {
        let policy = ExponentialBuilder::default().with_max_delay(limits::RETRY_WAIT).without_max_times().with_jitter();
        let mut waits = policy.build();
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                heard = self.listen() => match heard {
                    Ok(()) => waits = policy.build(),
                    Err(error) => tracing::debug!(%error, "the platform database's announcements are away"),
                },
            }
            self.forget();
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(waits.next().unwrap_or(limits::RETRY_WAIT)) => {}
            }
        }
    }

    /// Listens on one connection until it breaks.
    async fn listen(&self) -> Result<(), sqlx::Error> {
        let mut listener = PgListener::connect_with(&self.pool).await?;
        listener.listen(CHANNEL).await?;
        self.forget();
        loop {
            // `None` is a lost connection: the listener would reconnect by itself, but what was announced meanwhile is gone.
            if listener.try_recv().await?.is_none() {
                return Ok(());
            }
            self.forget();
        }
    }
}
