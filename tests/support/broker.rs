//! The Kafka broker, as a producer sees it.

use std::time::Duration;

use futures_util::future::join_all;
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::message::ToBytes;
use rdkafka::producer::{FutureProducer, FutureRecord};

use super::database::unique;
use super::services;

/// A producer.
pub struct Broker {
    producer: FutureProducer,
}

impl Broker {
    /// Of the broker of scripts/services.
    pub fn connect() -> Self {
        let producer = config().set("linger.ms", "5").set("message.timeout.ms", "60000").create().expect("a producer");
        Self { producer }
    }

    /// A new topic with a name of its own.
    pub async fn topic(&self, partitions: i32) -> String {
        let name = unique("readings");
        let admin: AdminClient<DefaultClientContext> = config().create().expect("an admin client");
        let topic = NewTopic::new(&name, partitions, TopicReplication::Fixed(1));
        let made = admin.create_topics([&topic], &AdminOptions::new()).await.expect("the broker answers");
        for one in made {
            one.expect("the topic is made");
        }
        name
    }

    /// Produces payloads and waits until the broker has them all. Payload `i` goes to partition `i` modulo `partitions`.
    pub async fn produce(&self, topic: &str, partitions: i32, payloads: impl IntoIterator<Item = impl ToBytes>) {
        let payloads: Vec<_> = payloads.into_iter().collect();
        let sends = payloads.iter().zip(0i32..).map(|(payload, number)| {
            let record = FutureRecord::<(), _>::to(topic).payload(payload).partition(number % partitions);
            self.producer.send(record, Duration::from_mins(1))
        });
        for sent in join_all(sends).await {
            sent.map_err(|(error, _)| error).expect("the broker takes it");
        }
    }
}

fn config() -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", services::brokers());
    config
}
