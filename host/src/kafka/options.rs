//! Where the brokers are and how librdkafka is to speak to them.
//!
//! Every client of Weir's begins with these options; nothing else here knows a key of librdkafka's.

use std::path::PathBuf;
use std::time::Duration;

use rdkafka::config::{ClientConfig, RDKafkaLogLevel};
use rdkafka::consumer::BaseConsumer;
use rdkafka::error::KafkaError;

use crate::error::{Error, Result};
use crate::limits;
use crate::settings::{EndpointCheck, OffsetOutOfRange, SaslMechanism, Secret, SecurityProtocol};

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
    /// In the clear or not, and who logs in.
    pub security: Security,
}

/// In the clear or by TLS, and who logs in. The settings' checks have passed.
#[derive(Clone, Debug, Default)]
pub struct Security {
    /// How to speak to the brokers.
    pub protocol: SecurityProtocol,
    /// How to log in, as whom, and with what password.
    pub login: Option<(SaslMechanism, String, Secret)>,
    /// The authorities that sign the brokers' certificates; those of the machine where it is not given.
    pub authority: Option<PathBuf>,
    /// The certificate that Weir shows, and its key.
    pub certificate: Option<(PathBuf, PathBuf)>,
    /// The password of that key.
    pub key_password: Option<Secret>,
    /// Whether a broker's certificate must name its host.
    pub endpoint: EndpointCheck,
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
            security: Security::default(),
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
        self.security.put_into(&mut config);
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
            // What the network or the broker's disk damaged is fetched anew; without it, it would be stored as it came.
            .set("check.crcs", "true")
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

    /// Has librdkafka read the certificates and keys, without a word to any broker. The error is one line that names the setting.
    pub fn check(&self) -> Result<()> {
        match self.config().create::<BaseConsumer>() {
            Ok(_) => Ok(()),
            // Without the error itself as a cause: of some kinds, its words hold the value that was refused.
            Err(error) => Err(Error::malformed(refused(&error))),
        }
    }
}

impl Security {
    fn put_into(&self, config: &mut ClientConfig) {
        config.set("security.protocol", self.protocol.as_str());
        if let Some((mechanism, username, password)) = &self.login {
            config
                .set("sasl.mechanism", mechanism.as_str())
                .set("sasl.username", username)
                .set("sasl.password", password.reveal());
        }
        if !self.protocol.has_tls() {
            return;
        }
        config.set("ssl.endpoint.identification.algorithm", self.endpoint.as_str());
        if let Some(authority) = &self.authority {
            config.set("ssl.ca.location", authority.to_string_lossy());
        }
        if let Some((certificate, key)) = &self.certificate {
            config.set("ssl.certificate.location", certificate.to_string_lossy()).set("ssl.key.location", key.to_string_lossy());
        }
        if let Some(password) = &self.key_password {
            config.set("ssl.key.password", password.reveal());
        }
    }
}

/// librdkafka's refusal with Weir's own name of the setting. Its words name files and reasons, never a password.
fn refused(error: &KafkaError) -> String {
    let KafkaError::ClientCreation(words) = error else {
        return "The settings `kafka.…` cannot be used.".to_owned();
    };
    let settings = [
        ("ssl.ca.location", "kafka.ssl_ca"),
        ("ssl.certificate.location", "kafka.ssl_certificate"),
        ("ssl.key.location", "kafka.ssl_key` or `kafka.ssl_key_password"),
        ("Private key check", "kafka.ssl_key` or `kafka.ssl_certificate"),
    ];
    let named = settings.iter().find(|(prefix, _)| words.starts_with(prefix)).map_or("kafka.…", |(_, setting)| setting);
    format!("setting `{named}`: {}", words.split_whitespace().collect::<Vec<_>>().join(" "))
}
