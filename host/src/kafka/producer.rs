//! What Weir sends to Kafka: dead letters and changes of the platform, acknowledged before they count.

use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::{FuturesUnordered, StreamExt as _};
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{FutureProducer, FutureRecord};

use super::Options;
use crate::error::{Error, Result};
use crate::limits;

/// A message to be sent.
#[derive(Clone, Debug)]
pub struct Outgoing {
    /// Its key.
    pub key: Option<Bytes>,
    /// Its value.
    pub payload: Bytes,
    /// Its headers, in their order.
    pub headers: Vec<(String, Option<Bytes>)>,
}

/// Sends messages. Its queue is bounded by librdkafka's own settings; whoever sends waits for room.
pub struct Producer {
    producer: FutureProducer,
    what: &'static str,
}

impl Producer {
    /// A producer to `what`, such as "dead-letter topic"; it connects when it is first used.
    pub fn new(options: &Options, what: &'static str) -> Result<Self> {
        let producer = options
            .client()
            // All replicas have it, and a try again puts none of them twice.
            .set("acks", "all")
            .set("enable.idempotence", "true")
            .set("linger.ms", "5")
            .set("compression.type", "lz4")
            .set("queue.buffering.max.kbytes", limits::LETTERS_KIB.to_string())
            .set("message.timeout.ms", limits::LETTERS_TIME.as_millis().to_string())
            .create()
            .map_err(|cause| Error::malformed("The Kafka settings cannot be used.").caused_by(cause))?;
        Ok(Self { producer, what })
    }

    /// Sends messages to a topic and waits until the broker has them all. After an error some of them may be there.
    pub async fn send(&self, topic: &str, messages: Vec<Outgoing>) -> Result<()> {
        let mut sent: FuturesUnordered<_> = messages.iter().map(|message| self.send_one(topic, message)).collect();
        while let Some(done) = sent.next().await {
            done?;
        }
        Ok(())
    }

    async fn send_one(&self, topic: &str, message: &Outgoing) -> Result<()> {
        let headers =
            message.headers.iter().fold(OwnedHeaders::new_with_capacity(message.headers.len()), |headers, (key, value)| {
                headers.insert(Header { key, value: value.as_deref() })
            });
        let mut record = FutureRecord::<[u8], [u8]>::to(topic).payload(&message.payload[..]).headers(headers);
        if let Some(key) = &message.key {
            record = record.key(&key[..]);
        }
        let wait: Duration = limits::LETTERS_TIME;
        let sent = self.producer.send(record, wait).await;
        sent.map(drop).map_err(|(cause, _)| Error::unavailable(self.what, cause))
    }
}

impl std::fmt::Debug for Producer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Producer")
    }
}
