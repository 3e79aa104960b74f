//! The Kafka of `weir dev`: librdkafka's test cluster in this process, and a forwarder from the wanted port to its own.
//!
//! The test cluster picks its port itself. Clients only need the wanted port to bootstrap: from then on they follow the addresses
//! in the metadata. It keeps everything in memory, so each start has a new log, which [`Broker::log_id`] names.

use std::sync::Arc;

use rdkafka::mocking::MockCluster;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::commands::Failure;

/// A running broker; it ends when it is dropped.
pub(super) struct Broker {
    cluster: MockCluster<'static, rdkafka::producer::DefaultProducerContext>,
    listener: Arc<TcpListener>,
    log_id: String,
}

impl Broker {
    /// Starts a broker that clients reach at `port`.
    pub(super) async fn start(port: u16) -> Result<Self, Failure> {
        let cluster = MockCluster::new(1)?;
        let listener = TcpListener::bind(("127.0.0.1", port)).await.map_err(|error| {
            Failure(format!("WEIR_DEV_KAFKA_PORT: cannot listen on port {port}: {error}; set it to a free one"))
        })?;
        Ok(Self { cluster, listener: Arc::new(listener), log_id: format!("dev-{}", Uuid::now_v7()) })
    }

    /// Where the broker itself listens.
    pub(super) fn bootstrap_servers(&self) -> String {
        self.cluster.bootstrap_servers()
    }

    /// Creates a topic.
    pub(super) fn create_topic(&self, name: &str, partitions: i32) -> Result<(), Failure> {
        Ok(self.cluster.create_topic(name, partitions, 1)?)
    }

    /// Names this start's log: nothing of an earlier one is in it.
    pub(super) fn log_id(&self) -> &str {
        &self.log_id
    }

    /// Where clients bootstrap.
    pub(super) fn address(&self) -> Result<std::net::SocketAddr, Failure> {
        Ok(self.listener.local_addr()?)
    }

    /// Passes connections on until `stop`.
    pub(super) fn forward(&self, stop: CancellationToken) -> impl Future<Output = ()> + Send + use<> {
        let (target, listener) = (self.bootstrap_servers(), Arc::clone(&self.listener));
        async move {
            let connections = tokio_util::task::TaskTracker::new();
            loop {
                let accepted = tokio::select! {
                    () = stop.cancelled() => return,
                    accepted = listener.accept() => accepted,
                };
                let Ok((mut client, _)) = accepted else { continue };
                let (target, stop) = (target.clone(), stop.clone());
                connections.spawn(async move {
                    let Ok(mut broker) = TcpStream::connect(&target).await else { return };
                    tokio::select! {
                        () = stop.cancelled() => {}
                        // Either side hanging up ends it; there is nobody to tell.
                        _ = tokio::io::copy_bidirectional(&mut client, &mut broker) => {}
                    }
                });
            }
        }
    }
}
