//! The writer: consumes the topics of the catalogue and hands what they say to the gate, exactly once.
//!
//! The position of a partition is stored with its rows, so this part may lose its partitions, its broker or its process at any
//! instruction. What it keeps in memory can be read again. It knows no store: it asks the gate.
//!
//! [`session`] is the loop that owns the consumer and positions partitions; [`lanes`] are what their messages go through, the
//! [`front`] of one gathers and judges while its [`back`] stores and decides what an error means.

mod back;
mod front;
mod lanes;
mod letters;
mod part;
mod places;
mod session;

use std::sync::Arc;
use std::time::Duration;

use backon::{BackoffBuilder as _, ExponentialBuilder};
use serde_json::json;
use tokio_util::sync::CancellationToken;

use self::session::Session;
use crate::error::Chain;
use crate::gate::Gate;
use crate::kafka::{self, Consumer, Producer};
use crate::limits;
use crate::vitals::Standing;

/// How the writer gathers.
#[derive(Clone, Debug)]
pub struct Options {
    /// Database connections that store batches side by side, and lanes of one tenant.
    pub lanes: usize,
    /// Messages of one topic that a lane gathers before it flushes.
    pub flush_readings: usize,
    /// Bytes of messages of one topic that a lane gathers before it flushes.
    pub flush_bytes: usize,
    /// The age of the oldest gathered message at which a lane flushes.
    pub flush_age: Duration,
    /// Bytes of messages on their way, all lanes together.
    pub memory_bytes: usize,
    /// The age from which on a reading counts as late.
    pub late_after: Duration,
    /// Consume only these topics of the catalogue.
    pub topics: Option<Vec<String>>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            lanes: limits::WRITER_LANES,
            flush_readings: limits::FLUSH_READINGS,
            flush_bytes: limits::FLUSH_BYTES,
            flush_age: limits::FLUSH_AGE,
            memory_bytes: limits::WRITER_MEMORY_BYTES,
            late_after: limits::LATE_AFTER,
            topics: None,
        }
    }
}

/// The writer of one process.
#[derive(Debug)]
pub struct Writer {
    options: Options,
    kafka: kafka::Options,
    gate: Arc<Gate>,
}

impl Writer {
    /// A writer that consumes nothing yet.
    pub fn new(options: Options, kafka: kafka::Options, gate: Arc<Gate>) -> Self {
        Self { options, kafka, gate }
    }

    /// Consumes until `stop`, then stores what it has and leaves the group. A consumer that cannot go on is replaced.
    pub async fn run(self, stop: CancellationToken) {
        let mut waits =
            ExponentialBuilder::default().with_max_delay(limits::RETRY_WAIT).without_max_times().with_jitter().build();
        while !stop.is_cancelled() {
            let started =
                Producer::new(&self.kafka, "dead-letter topic").and_then(|letters| Ok((letters, Consumer::start(&self.kafka)?)));
            let ended = match started {
                Ok((letters, (consumer, events))) => Session::new(&self, consumer, letters, &stop).run(events).await,
                Err(error) => Some(Chain(&error).to_string()),
            };
            let Some(reason) = ended else { return };
            tracing::warn!(reason, "the Kafka consumer ended; another one takes its place: {reason}");
            self.gate.vitals.report("kafka", Standing::Away, json!({ "error": reason }));
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(waits.next().unwrap_or(limits::RETRY_WAIT)) => {}
            }
        }
    }
}
