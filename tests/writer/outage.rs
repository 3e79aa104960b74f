//! The database away during ingest: stopped, and killed.

use std::time::Duration;

use super::load::Load;
use super::{accounted_for, assert_exactly_once, message, register, wait_for};
use crate::support::app::App;
use crate::support::broker::Broker;
use crate::support::database::{Cluster, Databases};

#[tokio::test(flavor = "multi_thread")]
async fn ten_seconds_without_postgresql_lose_nothing() {
    let number = 60_000;
    let broker = Broker::connect();
    let topic = broker.topic(4).await;
    let cluster = Cluster::create();
    let app = App::builder()
        .with_kafka()
        .set("WEIR_WRITER_FLUSH_READINGS", "500")
        .on(Databases::create_on(&cluster.url()).await)
        .start()
        .await;
    register(&app, &topic).await;
    broker.produce(&topic, 4, (0..number / 3).map(message)).await;
    wait_for(&app.databases.readings().await, 1, Duration::from_mins(1)).await;
    cluster.stop();
    broker.produce(&topic, 4, (number / 3..number).map(message)).await;
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert_eq!(app.nobody().get("/health").await.status, 503);
    cluster.start();
    let pool = app.databases.readings().await;
    wait_for(&pool, number, Duration::from_mins(2)).await;
    assert_exactly_once(&pool, &topic, number).await;
    app.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_postgresql_that_is_killed_in_the_middle_of_batches_loses_nothing() {
    let broker = Broker::connect();
    let topic = broker.topic(4).await;
    let cluster = Cluster::create();
    let app = App::builder()
        .with_kafka()
        .set("WEIR_WRITER_FLUSH_READINGS", "100")
        .set("WEIR_WRITER_FLUSH_AGE_MS", "20")
        .on(Databases::create_on(&cluster.url()).await)
        .start()
        .await;
    let (_, load) = Load::start(&app, &broker, &topic, 4).await;
    for _ in 0..3 {
        let pool = app.databases.readings().await;
        let before = accounted_for(&pool).await;
        wait_for(&pool, before + 500, Duration::from_mins(1)).await;
        tokio::time::sleep(Duration::from_micros(rand::random_range(0..100_000))).await;
        cluster.kill();
        cluster.start();
    }
    let pool = app.databases.readings().await;
    load.settle(&pool, Duration::from_mins(2)).await;
    app.stop();
}
