//! Where the brokers are and how librdkafka is to speak to them.
//!
//! Every client of Weir's begins with these options; nothing else here knows a key of librdkafka's.

use std::time::Duration;

use rdkafka::config::{ClientConfig, RDKafkaLogLevel};

use crate::limits;
use crate::settings::OffsetOutOfRange;

/// Where and how to consume.
#[derive(Clone, Debug)]
pub struct Options {
    /// Bootstrap servers.
    pub brokers: String,
    /// The consumer group.
    pub group_id: String,
    /// A fixed name of this replica in the group.
    pub group_instance_id: Option<String>,
    /// How long a silent replica keeps its partitions.
    pub session_timeout: Duration,
    /// Names the cluster's log in place of the broker's cluster id.
    pub log_id: Option<String>,
    /// What to do where a stored position is no longer in the log.
    pub out_of_range: OffsetOutOfRange,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            brokers: String::new(),
            group_id: "weir".to_owned(),
            group_instance_id: None,
            session_timeout: Duration::from_secs(10),
            log_id: None,
            out_of_range: OffsetOutOfRange::Stop,
        }
    }
}

impl Options {
    /// What every client of these brokers begins with, whether it consumes or produces.
    pub(super) fn client(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config
            .set("bootstrap.servers", &self.brokers)
            .set("client.id", "weir")
            .set("topic.metadata.refresh.interval.ms", "10000")
            .set("reconnect.backoff.max.ms", "5000")
            .set_log_level(RDKafkaLogLevel::Critical);
        config
    }

    /// What the consumer adds to it.
    pub(super) fn config(&self) -> ClientConfig {
        let mut config = self.client();
        config
            .set("group.id", &self.group_id)
            .set("partition.assignment.strategy", "cooperative-sticky")
            .set("session.timeout.ms", self.session_timeout.as_millis().to_string())
            .set("heartbeat.interval.ms", (self.session_timeout.as_millis() / 4).max(250).to_string())
            // The poll thread answers rebalances whatever the stores do; a process that hangs is found out by its heartbeat.
            .set("max.poll.interval.ms", "86400000")
            // Positions are kept with the rows. What is committed here is a courtesy to lag tools.
            .set("enable.auto.commit", "true")
            .set("enable.auto.offset.store", "false")
            .set("auto.offset.reset", "error")
            .set("allow.auto.create.topics", "false")
            // A partition's queue is its own, so this holds for each of them.
            .set("queued.max.messages.kbytes", limits::KAFKA_AHEAD_KIB.to_string())
            .set("fetch.max.bytes", limits::KAFKA_FETCH_BYTES.to_string())
            .set("fetch.message.max.bytes", (limits::KAFKA_AHEAD_KIB << 10).to_string())
            // How soon a queue that was full is looked at again; the default of a second would be a second of standing still.
            .set("fetch.queue.backoff.ms", "5")
            .set("fetch.wait.max.ms", "100")
            .set("statistics.interval.ms", "2000");
        if let Some(instance) = &self.group_instance_id {
            config.set("group.instance.id", instance);
        }
        config
    }
}
