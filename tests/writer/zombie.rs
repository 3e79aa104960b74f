//! A replica that stands still and wakes up when another one has its partitions.

use std::time::Duration;

use super::load::Load;
use super::{accounted_for, wait_for};
use crate::support::app::App;
use crate::support::broker::{Broker, OwnBroker};
use crate::support::database::Databases;
use crate::support::proxy::{Commit, Proxy};
use crate::support::services;

/// A dead member's session, a rebalance, and a machine with more to do.
const TAKEN_OVER: Duration = Duration::from_mins(5);

/// Waits until it has partitions of the group again.
async fn rejoins(app: &App) {
    app.health(TAKEN_OVER, "it has partitions again", |said| {
        said["services"]["kafka"] == "connected" && said["details"]["kafka"]["partitions"].as_u64() > Some(0)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_stands_still_at_any_moment_stores_nothing_after_the_other_took_over() {
    let own = OwnBroker::create();
    let broker = Broker::at(&own.brokers());
    let topic = broker.topic(4).await;
    let first = App::builder()
        .with_kafka()
        .set("KAFKA_BROKERS", own.brokers())
        .set("WEIR_WRITER_FLUSH_READINGS", "100")
        .set("WEIR_WRITER_FLUSH_AGE_MS", "20")
        .start()
        .await;
    let (pool, load) = Load::start(&first, &broker, &topic, 4).await;
    let second = first.replica();
    for (sleeper, other) in [(&first, &second), (&second, &first)] {
        rejoins(sleeper).await;
        rejoins(other).await;
        tokio::time::sleep(Duration::from_micros(rand::random_range(0..200_000))).await;
        sleeper.freeze();
        // All partitions move on: those of the one that stands still, too.
        takes_over(&pool, &topic).await;
        sleeper.thaw();
    }
    rejoins(&first).await;
    rejoins(&second).await;
    load.more(1_000).await;
    load.settle(&pool, TAKEN_OVER).await;
    second.stop();
    first.stop();
}

/// Waits until each partition has moved.
async fn takes_over(pool: &sqlx::PgPool, topic: &str) {
    let before = super::positions(pool, topic).await;
    let deadline = std::time::Instant::now() + TAKEN_OVER;
    // What was under way before counts as a move; what is behind a thousand more messages does not.
    let moved = async || super::positions(pool, topic).await.iter().zip(&before).all(|(now, then)| now.1 >= then.1 + 1_000);
    while !moved().await {
        assert!(std::time::Instant::now() < deadline, "nobody took over: {before:?}, {:?}", super::positions(pool, topic).await);
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_stands_still_in_a_commit_neither_blocks_nor_doubles() {
    let own = OwnBroker::create();
    let broker = Broker::at(&own.brokers());
    let topic = broker.topic(4).await;
    let databases = Databases::create().await;
    let direct = databases.readings.clone();
    let proxy = Proxy::to(services::postgres_address()).await;
    let first = App::builder()
        .with_kafka()
        .set("KAFKA_BROKERS", own.brokers())
        .set("WEIR_WRITER_FLUSH_READINGS", "100")
        .set("DATABASE_URL_TIMESCALE", proxy.before(&databases.readings))
        .on(databases)
        .start()
        .await;
    let (pool, load) = Load::start(&first, &broker, &topic, 4).await;
    // Rows are copied and positions moved, and the word that makes them count is on its way.
    proxy.strike(Commit::Stall, 1);
    while proxy.struck() == 0 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    first.freeze();
    proxy.relent();
    let second = first.replica_with(&[("DATABASE_URL_TIMESCALE", &direct)]);
    takes_over(&pool, &topic).await;
    let before = accounted_for(&pool).await;
    // The word arrives now, and whoever sent it wakes up.
    proxy.mend();
    first.thaw();
    wait_for(&pool, before + 1_000, TAKEN_OVER).await;
    rejoins(&first).await;
    load.settle(&pool, TAKEN_OVER).await;
    second.stop();
    first.stop();
}
