//! The Kafka broker, as a producer and an administrator see it; and a broker of one's own that can be stopped, killed and cut off.

use std::collections::BTreeMap;
use std::fs::File;
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer as _, StreamConsumer};
use rdkafka::message::{Header, Message as _, OwnedHeaders, ToBytes};
use rdkafka::metadata::{MetadataPartition, MetadataTopic};
use rdkafka::producer::{FutureProducer, FutureRecord};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};
use tempfile::TempDir;

use super::database::unique;
use super::services;

/// A producer, and what an administrator does.
#[derive(Clone)]
pub struct Broker {
    brokers: String,
    producer: FutureProducer,
}

/// How long a broker may refuse or be away before what is to be produced counts as lost.
const PATIENCE: Duration = Duration::from_mins(5);

/// A message, in full.
#[derive(Clone, Debug, Default)]
pub struct Record {
    /// Its value; without one it is a tombstone.
    pub value: Option<Vec<u8>>,
    /// Its key.
    pub key: Option<Vec<u8>>,
    /// Its headers.
    pub headers: Vec<(String, Option<Vec<u8>>)>,
}

impl Record {
    /// A message with a value and nothing else.
    pub fn of(value: impl Into<Vec<u8>>) -> Self {
        Self { value: Some(value.into()), ..Self::default() }
    }
}

impl Broker {
    /// Of the broker of scripts/services.
    pub fn connect() -> Self {
        Self::at(&services::brokers())
    }

    /// Of the broker at this address. It keeps what it cannot send for five minutes.
    pub fn at(brokers: &str) -> Self {
        let producer = config(brokers)
            .set("linger.ms", "5")
            .set("message.timeout.ms", "300000")
            .set("message.max.bytes", "16000000")
            .set("reconnect.backoff.max.ms", "1000")
            // One broken connection must not put a message before its elder.
            .set("max.in.flight.requests.per.connection", "1")
            .create()
            .expect("a producer");
        Self { brokers: brokers.to_owned(), producer }
    }

    /// A new topic with a name of its own.
    pub async fn topic(&self, partitions: i32) -> String {
        let name = unique("readings");
        self.make(&name, partitions).await;
        name
    }

    /// A new topic.
    pub async fn make(&self, name: &str, partitions: i32) {
        let topic = NewTopic::new(name, partitions, TopicReplication::Fixed(1));
        for one in self.administrator().create_topics([&topic], &AdminOptions::new()).await.expect("the broker answers") {
            one.expect("the topic is made");
        }
    }

    /// Deletes a topic with all that is in it.
    pub async fn delete(&self, name: &str) {
        for one in self.administrator().delete_topics(&[name], &AdminOptions::new()).await.expect("the broker answers") {
            one.expect("the topic is deleted");
        }
    }

    fn administrator(&self) -> AdminClient<DefaultClientContext> {
        config(&self.brokers).create().expect("an admin client")
    }

    /// Produces payloads and waits until the broker has them all. Payload `i` goes to partition `i` modulo `partitions`.
    ///
    /// What a broker that is going down or coming up refuses is sent again.
    pub async fn produce(&self, topic: &str, partitions: i32, payloads: impl IntoIterator<Item = impl ToBytes>) {
        let mut left: Vec<(i32, _)> = (0i32..).map(|number| number % partitions).zip(payloads).collect();
        let deadline = Instant::now() + PATIENCE;
        loop {
            let sends = left.iter().map(|(partition, payload)| {
                let record = FutureRecord::<(), _>::to(topic).payload(payload).partition(*partition);
                self.producer.send(record, PATIENCE)
            });
            let sent = join_all(sends).await;
            let Some(error) = sent.iter().find_map(|sent| sent.as_ref().err().map(|(error, _)| error.clone())) else { return };
            assert!(Instant::now() < deadline, "the broker does not take it: {error}");
            left = left.into_iter().zip(sent).filter(|(_, sent)| sent.is_err()).map(|(message, _)| message).collect();
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    }

    /// Produces messages to one partition, in their order, and waits until the broker has them all.
    pub async fn send(&self, topic: &str, partition: i32, records: &[Record]) {
        let sends = records.iter().map(|record| {
            let mut headers = OwnedHeaders::new();
            for (key, value) in &record.headers {
                headers = headers.insert(Header { key, value: value.as_ref() });
            }
            let mut sent = FutureRecord::<Vec<u8>, Vec<u8>>::to(topic).partition(partition).headers(headers);
            sent.payload = record.value.as_ref();
            sent.key = record.key.as_ref();
            self.producer.send(sent, PATIENCE)
        });
        for sent in join_all(sends).await {
            sent.map_err(|(error, _)| error).expect("the broker takes it");
        }
    }

    /// The messages of a partition from its beginning on, as soon as there are so many.
    pub async fn read(&self, topic: &str, partition: i32, number: usize) -> Vec<Record> {
        let consumer: StreamConsumer = config(&self.brokers).set("group.id", unique("reader")).create().expect("a consumer");
        let mut from = TopicPartitionList::new();
        from.add_partition_offset(topic, partition, Offset::Beginning).expect("an offset");
        consumer.assign(&from).expect("assigned");
        let mut records = Vec::with_capacity(number);
        while records.len() < number {
            let message = tokio::time::timeout(PATIENCE, consumer.recv()).await;
            let message = message.unwrap_or_else(|_| panic!("{} of {number} messages came", records.len())).expect("a message");
            let headers = message.headers().into_iter().flat_map(rdkafka::message::Headers::iter);
            records.push(Record {
                value: message.payload().map(<[u8]>::to_vec),
                key: message.key().map(<[u8]>::to_vec),
                headers: headers.map(|header| (header.key.to_owned(), header.value.map(<[u8]>::to_vec))).collect(),
            });
        }
        records
    }

    /// The oldest offset of each partition, and one past its newest.
    pub fn ends(&self, topic: &str) -> BTreeMap<i32, (i64, i64)> {
        let patience = Duration::from_secs(30);
        let consumer: BaseConsumer = config(&self.brokers).create().expect("a consumer");
        let metadata = consumer.fetch_metadata(Some(topic), patience).expect("the broker answers");
        let partitions = metadata.topics().iter().flat_map(MetadataTopic::partitions).map(MetadataPartition::id);
        let ends = partitions.map(|id| (id, consumer.fetch_watermarks(topic, id, patience).expect("the broker answers")));
        ends.collect()
    }
}

fn config(brokers: &str) -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", brokers);
    config
}

/// A broker of one's own, whose log outlives its process. Killed and removed when dropped.
#[derive(Debug)]
pub struct OwnBroker {
    home: TempDir,
    port: u16,
    advertised: u16,
    child: Option<Child>,
}

impl OwnBroker {
    /// One that is not started yet. Clients are sent to the port `advertised`, such as a proxy's, or else to its own.
    pub fn prepare(port: u16, advertised: Option<u16>) -> Self {
        let home = tempfile::tempdir().expect("a folder");
        Self { home, port, advertised: advertised.unwrap_or(port), child: None }
    }

    /// One on a free port, started.
    pub fn create() -> Self {
        let mut broker = Self::prepare(free_port(), None);
        broker.start();
        broker
    }

    /// The address that clients are sent to.
    pub fn brokers(&self) -> String {
        format!("127.0.0.1:{}", self.advertised)
    }

    /// Starts it, or starts it again with the log that it had.
    pub fn start(&mut self) {
        let log = File::create(self.home.path().join("log")).expect("a file");
        let url = |port: u16| format!("tcp://127.0.0.1:{port}");
        let child = Command::new(services::tansu())
            .args(["--storage-engine", "sqlite://tansu.db", "--listener-url", &url(self.port)])
            .args(["--advertised-listener-url", &url(self.advertised)])
            .current_dir(self.home.path())
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a file"))
            .stderr(log)
            .spawn()
            .expect("the broker starts");
        self.child = Some(child);
        let deadline = Instant::now() + Duration::from_secs(30);
        let address = SocketAddr::from(([127, 0, 0, 1], self.port));
        while std::net::TcpStream::connect(address).is_err() {
            assert!(Instant::now() < deadline, "the broker does not listen: {}", self.log());
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Ends it at once, as a power cut does.
    pub fn kill(&mut self) {
        self.end(Signal::SIGKILL);
    }

    /// Ends it as an operator does.
    pub fn stop(&mut self) {
        self.end(Signal::SIGTERM);
    }

    fn end(&mut self, signal: Signal) {
        let Some(mut child) = self.child.take() else { return };
        let _ = kill(Pid::from_raw(child.id().try_into().expect("a process id")), signal);
        let deadline = Instant::now() + Duration::from_secs(10);
        while child.try_wait().expect("it is our child").is_none() {
            if Instant::now() > deadline {
                let _ = child.kill();
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// What retention does: everything before `low` is gone from each partition. Only while it is stopped: it has no such command.
    pub fn forget_before(&self, low: i64) {
        assert!(self.child.is_none(), "its log is its own while it runs");
        let script = "import sqlite3, sys; log = sqlite3.connect(sys.argv[1]); \
            log.execute('delete from record where offset_id < ?', (int(sys.argv[2]),)); log.commit()";
        let done = Command::new("python3")
            .args(["-c", script, &self.home.path().join("tansu.db").display().to_string(), &low.to_string()])
            .status()
            .expect("python3 runs");
        assert!(done.success(), "the head of the log could not be removed");
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.home.path().join("log")).unwrap_or_default()
    }
}

impl Drop for OwnBroker {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A port that nobody listens on now.
pub fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
    listener.local_addr().expect("bound").port()
}
