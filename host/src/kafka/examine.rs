//! What `weir doctor` asks a broker.

use std::time::Duration;

use parking_lot::Mutex;
use rdkafka::client::ClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer as _, ConsumerContext};
use rdkafka::error::KafkaError;

use super::poll::CONNECT;
use super::{Options, trouble};
use crate::error::{Error, Kind, Result};

/// Keeps the last complaint that says more than that nobody answers.
#[derive(Default)]
struct Complaint(Mutex<Option<String>>);

impl ClientContext for Complaint {
    fn error(&self, error: KafkaError, reason: &str) {
        if let Some(words) = error.rdkafka_error_code().and_then(|code| trouble::in_words(code, reason)) {
            *self.0.lock() = Some(words);
        }
    }
}

impl ConsumerContext for Complaint {}

/// Brokers and topics, in a sentence for `weir doctor`. It blocks.
pub fn examine(options: &Options) -> Result<String> {
    options.check()?;
    let away = |cause: KafkaError| Error::unavailable("Kafka broker", cause);
    let consumer: BaseConsumer<Complaint> = options.config().create_with_context(Complaint::default()).map_err(away)?;
    let metadata = consumer.fetch_metadata(None, CONNECT).map_err(|error| {
        // Complaints are told when they are polled for.
        for _ in 0..COMPLAINTS {
            let _ = consumer.poll(Duration::ZERO);
        }
        match consumer.context().0.lock().take() {
            Some(words) => Error::new(Kind::Unavailable, words).caused_by(error),
            None => away(error),
        }
    })?;
    let cluster = consumer.client().fetch_cluster_id(CONNECT).unwrap_or_else(|| "without an id".to_owned());
    Ok(format!("cluster {cluster}: {} brokers, {} topics", metadata.brokers().len(), metadata.topics().len()))
}

/// Events that may wait before the complaint that is looked for: statistics, a line of the log, one for each broker.
pub(super) const COMPLAINTS: usize = 32;
