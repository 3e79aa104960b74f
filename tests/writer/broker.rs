//! The broker away: killed, restarted, and not there yet.

use std::time::Duration;

use super::load::Load;
use super::{accounted_for, assert_exactly_once_from, message, register, wait_for};
use crate::support::app::{App, Builder};
use crate::support::broker::{Broker, OwnBroker, free_port};
use crate::support::database::unique;

/// How long a group may take to settle after its broker came back.
const SETTLE: Duration = Duration::from_mins(2);

fn on(broker: &OwnBroker) -> Builder {
    App::builder()
        .set("KAFKA_BROKERS", broker.brokers())
        .set("KAFKA_GROUP_ID", unique("group"))
        .set("WEIR_KAFKA_SESSION_TIMEOUT_MS", "6000")
        .set("WEIR_WRITER_FLUSH_READINGS", "500")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_is_killed_or_restarted_is_followed() {
    let mut own = OwnBroker::create();
    let broker = Broker::at(&own.brokers());
    let topic = broker.topic(4).await;
    let app = on(&own).start().await;
    let (pool, load) = Load::start(&app, &broker, &topic, 4).await;
    own.kill();
    app.health(Duration::from_secs(30), "the broker is away", |said| said["services"]["kafka"] == "disconnected").await;
    assert_eq!(app.acme().get("/api/platform/kafka-topics").await.status, 200, "the API goes on without it");
    own.start();
    load.more(1_000).await;
    let before = accounted_for(&pool).await;
    wait_for(&pool, before + 1_000, SETTLE).await;
    app.health(SETTLE, "all is well again", |said| said["services"]["kafka"] == "connected").await;
    own.stop();
    own.start();
    load.more(1_000).await;
    load.settle(&pool, SETTLE).await;
    app.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_is_away_at_the_start_is_found_when_it_comes() {
    let number = 5_000;
    let mut own = OwnBroker::prepare(free_port(), None);
    let app = on(&own).start().await;
    app.health(Duration::from_secs(30), "there is no broker", |said| said["services"]["kafka"] == "disconnected").await;
    let topic = unique("readings");
    register(&app, &topic).await;
    own.start();
    let broker = Broker::at(&own.brokers());
    // The broker is there before the topic is.
    app.health(SETTLE, "the broker is there", |said| said["services"]["kafka"] != "disconnected").await;
    broker.make(&topic, 4).await;
    broker.produce(&topic, 4, (0..number).map(message)).await;
    let pool = app.databases.readings().await;
    wait_for(&pool, number, SETTLE).await;
    assert_exactly_once_from(&broker, &pool, &topic, number).await;
    app.health(SETTLE, "all is well", |said| said["services"]["kafka"] == "connected").await;
    app.stop();
}
