//! The network cut, in both directions, between Weir and the broker and between Weir and the database.

use std::time::Duration;

use super::load::Load;
use super::{accounted_for, wait_for};
use crate::support::app::App;
use crate::support::broker::{Broker, OwnBroker, free_port};
use crate::support::database::{Databases, unique};
use crate::support::proxy::{Proxy, Way};
use crate::support::services;

/// How long a group may take to settle after the network is whole again.
const SETTLE: Duration = Duration::from_mins(2);

#[tokio::test(flavor = "multi_thread")]
async fn between_weir_and_the_broker_loses_nothing() {
    let port = free_port();
    let proxy = Proxy::to(([127, 0, 0, 1], port).into()).await;
    // It sends its clients to the proxy, the producer among them.
    let mut own = OwnBroker::prepare(port, Some(proxy.port()));
    own.start();
    let broker = Broker::at(&own.brokers());
    let topic = broker.topic(4).await;
    let app = App::builder()
        .set("KAFKA_BROKERS", own.brokers())
        .set("KAFKA_GROUP_ID", unique("group"))
        .set("WEIR_KAFKA_SESSION_TIMEOUT_MS", "6000")
        .set("WEIR_WRITER_FLUSH_READINGS", "500")
        .start()
        .await;
    let (pool, load) = Load::start(&app, &broker, &topic, 4).await;
    // Shorter than a session, longer than a session, and without a word to say that it is gone.
    for (way, seconds) in [(Way::Cut, 2), (Way::Cut, 10), (Way::Silent, 3)] {
        proxy.set(way);
        tokio::time::sleep(Duration::from_secs(seconds)).await;
        proxy.mend();
        let before = accounted_for(&pool).await;
        wait_for(&pool, before + 1_000, SETTLE).await;
    }
    load.settle(&pool, SETTLE).await;
    app.health(SETTLE, "all is well again", |said| said["services"]["kafka"] == "connected").await;
    app.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn between_weir_and_the_database_loses_nothing() {
    let broker = Broker::connect();
    let topic = broker.topic(4).await;
    let databases = Databases::create().await;
    let proxy = Proxy::to(services::postgres_address()).await;
    let app = App::builder()
        .with_kafka()
        .set("WEIR_WRITER_FLUSH_READINGS", "100")
        .set("WEIR_WRITER_FLUSH_AGE_MS", "20")
        .set("DATABASE_URL_PLATFORM", proxy.before(&databases.platform))
        .set("DATABASE_URL_TIMESCALE", proxy.before(&databases.readings))
        .on(databases)
        .start()
        .await;
    let (pool, load) = Load::start(&app, &broker, &topic, 4).await;
    for _ in 0..20 {
        let before = accounted_for(&pool).await;
        wait_for(&pool, before + 100, Duration::from_mins(1)).await;
        tokio::time::sleep(Duration::from_micros(rand::random_range(0..100_000))).await;
        proxy.cut();
        tokio::time::sleep(Duration::from_micros(rand::random_range(0..500_000))).await;
        proxy.mend();
    }
    load.settle(&pool, Duration::from_mins(2)).await;
    app.health(Duration::from_mins(1), "all is well again", |said| said["status"] == "healthy").await;
    app.stop();
}
