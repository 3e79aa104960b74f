//! Brokers that want TLS, a certificate or a login: what is right is taken, what is wrong is said in words that name the setting.

use std::time::{Duration, Instant};

use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::producer::{FutureProducer, FutureRecord};
use serde_json::Value;

use super::{register, wait_for};
use crate::support::app::{App, Builder};
use crate::support::database::unique;
use crate::support::front::{Authority, Front, Login, Wants};

const HOST: &str = "127.0.0.1";
const PASSWORD: &str = "correct-horse-battery";

fn login(mechanism: &'static str, password: &'static str) -> Login {
    Login { mechanism, username: "weir", password }
}

/// Weir that goes to this broker, with these settings besides.
fn weir(front: &Front, settings: &[(&str, &str)]) -> Builder {
    let builder = App::builder().with_kafka().set("KAFKA_BROKERS", front.brokers());
    settings.iter().fold(builder, |builder, (name, value)| builder.set(name, *value))
}

/// The settings of a login over TLS.
fn secure<'a>(authority: &'a str, mechanism: &'a str) -> Vec<(&'a str, &'a str)> {
    vec![
        ("WEIR_KAFKA_SECURITY_PROTOCOL", "sasl_ssl"),
        ("WEIR_KAFKA_SSL_CA", authority),
        ("WEIR_KAFKA_SASL_MECHANISM", mechanism),
        ("WEIR_KAFKA_SASL_USERNAME", "weir"),
        ("WEIR_KAFKA_SASL_PASSWORD", PASSWORD),
    ]
}

/// Makes a topic and produces to it while the front wants nothing.
async fn produce(front: &Front, wants: Wants, number: u32) -> String {
    front.want(Wants::default());
    let topic = unique("secure");
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", front.brokers());
    let admin: AdminClient<DefaultClientContext> = config.create().expect("an admin client");
    let new = NewTopic::new(&topic, 1, TopicReplication::Fixed(1));
    admin.create_topics([&new], &AdminOptions::new()).await.expect("the broker answers");
    let producer: FutureProducer = config.create().expect("a producer");
    for at in 0..number {
        let payload = super::message(1_000 + at * 100);
        let record = FutureRecord::<(), _>::to(&topic).payload(&payload);
        producer.send(record, Duration::from_mins(1)).await.map_err(|(error, _)| error).expect("the broker takes it");
    }
    front.want(wants);
    topic
}

/// Waits until `/health` says this of Kafka.
async fn says(app: &App, wanted: &str) -> String {
    let deadline = Instant::now() + Duration::from_mins(1);
    loop {
        let body: Value = serde_json::from_slice(&app.nobody().get("/health").await.body).expect("JSON");
        let kafka = format!("{} {}", body["services"]["kafka"], body["details"]["kafka"]);
        assert!(!body.to_string().contains(PASSWORD), "a secret in {body}");
        if kafka.contains(wanted) {
            return kafka;
        }
        assert!(Instant::now() < deadline, "not `{wanted}` but {kafka}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// What was produced is stored, and no secret is in the log.
async fn stores(app: App, topic: &str, number: u32) {
    register(&app, topic).await;
    wait_for(&app.databases.readings().await, number, Duration::from_mins(1)).await;
    says(&app, "\"connected\"").await;
    assert!(!app.log().contains(PASSWORD), "a secret in the log");
    app.stop();
}

async fn logs_in_by(mechanism: &'static str) {
    let authority = Authority::new();
    let wants = Wants { tls: Some(authority.tls(HOST, None)), login: Some(login(mechanism, PASSWORD)) };
    let front = Front::start(Wants::default()).await;
    let topic = produce(&front, wants, 5).await;
    stores(weir(&front, &secure(&authority.file(), mechanism)).start().await, &topic, 5).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_over_tls() {
    logs_in_by("PLAIN").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proof_by_sha_256_over_tls() {
    logs_in_by("SCRAM-SHA-256").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proof_by_sha_512_over_tls() {
    logs_in_by("SCRAM-SHA-512").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_password_is_said_and_weir_connects_once_it_is_the_right_one() {
    for mechanism in ["PLAIN", "SCRAM-SHA-512"] {
        let front = Front::start(Wants::default()).await;
        let wants = |password| Wants { tls: None, login: Some(login(mechanism, password)) };
        let topic = produce(&front, wants("another one"), 3).await;
        let settings: Vec<_> = secure("", mechanism).into_iter().filter(|(name, _)| *name != "WEIR_KAFKA_SSL_CA").collect();
        let app = weir(&front, &settings).set("WEIR_KAFKA_SECURITY_PROTOCOL", "sasl_plaintext").start().await;
        let said = says(&app, "kafka.sasl_password").await;
        assert!(said.contains("\"disconnected\""), "{said}");
        // Not this mechanism at all.
        front.want(Wants { tls: None, login: Some(login("SCRAM-SHA-256", PASSWORD)) });
        says(&app, "it takes: SCRAM-SHA-256").await;
        front.want(wants(PASSWORD));
        stores(app, &topic, 3).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_of_a_stranger_or_of_another_host_is_said() {
    let (authority, stranger) = (Authority::new(), Authority::new());
    let tls = |authority: &Authority, host| Wants { tls: Some(authority.tls(host, None)), login: None };
    let file = authority.file();
    let settings = [("WEIR_KAFKA_SECURITY_PROTOCOL", "ssl"), ("WEIR_KAFKA_SSL_CA", file.as_str())];
    let front = Front::start(Wants::default()).await;
    let topic = produce(&front, tls(&stranger, HOST), 3).await;
    let app = weir(&front, &settings).start().await;
    assert!(says(&app, "kafka.ssl_ca").await.contains("\"disconnected\""));
    front.want(tls(&authority, "elsewhere.example"));
    let other = weir(&front, &settings).start().await;
    assert!(says(&other, "must name the host").await.contains("\"disconnected\""));
    // Whoever says that any host will do gets in.
    let careless = weir(&front, &settings).set("WEIR_KAFKA_SSL_ENDPOINT_CHECK", "none").start().await;
    stores(careless, &topic, 3).await;
    front.want(tls(&authority, HOST));
    says(&other, "\"connected\"").await;
    other.stop();
    stores(app, &topic, 3).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_asks_for_a_certificate_gets_weirs() {
    let (authority, clients) = (Authority::new(), Authority::new());
    let wants = Wants { tls: Some(authority.tls(HOST, Some(&clients))), login: None };
    let front = Front::start(Wants::default()).await;
    let topic = produce(&front, wants, 3).await;
    let (file, (certificate, key)) = (authority.file(), clients.issue("weir"));
    let settings = [("WEIR_KAFKA_SECURITY_PROTOCOL", "ssl"), ("WEIR_KAFKA_SSL_CA", file.as_str())];
    let without = weir(&front, &settings).start().await;
    says(&without, "kafka.ssl_certificate").await;
    without.stop();
    let with = weir(&front, &settings).set("WEIR_KAFKA_SSL_CERTIFICATE", certificate).set("WEIR_KAFKA_SSL_KEY", key);
    stores(with.start().await, &topic, 3).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_wrong_protocol_is_said() {
    let authority = Authority::new();
    let front = Front::start(Wants { tls: Some(authority.tls(HOST, None)), login: None }).await;
    let clear = weir(&front, &[]).start().await;
    says(&clear, "kafka.security_protocol").await;
    clear.stop();
    front.want(Wants::default());
    let file = authority.file();
    let secret = weir(&front, &[("WEIR_KAFKA_SECURITY_PROTOCOL", "ssl"), ("WEIR_KAFKA_SSL_CA", &file)]).start().await;
    says(&secret, "kafka.security_protocol").await;
    secret.stop();
}
