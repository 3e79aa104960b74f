//! A database that takes connections and says nothing, and one that takes its time.

use std::time::Duration;

use super::load::Load;
use super::{accounted_for, wait_for};
use crate::support::app::App;
use crate::support::broker::Broker;
use crate::support::database::{Cluster, Databases};
use crate::support::proxy::{Proxy, Way};
use crate::support::services;

/// Longer than a batch may take before its connection counts as dead.
const GIVEN_UP: Duration = Duration::from_mins(3);

/// The database of readings behaves so until Weir has given up on it, and then well again.
async fn hangs(way: Way) {
    let broker = Broker::connect();
    let topic = broker.topic(4).await;
    let cluster = Cluster::create();
    let databases = Databases::create_on(&cluster.url()).await;
    let proxy = Proxy::to(cluster.address()).await;
    let app = App::builder()
        .with_kafka()
        .set("WEIR_WRITER_FLUSH_READINGS", "500")
        .set("DATABASE_URL_TIMESCALE", proxy.before(&databases.readings))
        .on(databases)
        .start()
        .await;
    let (pool, load) = Load::start(&app, &broker, &topic, 4).await;
    proxy.set(way);
    app.health(Duration::from_secs(30), "the database is away", |said| said["services"]["timescale"] == "disconnected").await;
    app.health(GIVEN_UP, "storing is tried again", |said| said["details"]["kafka"]["retrying"].is_string()).await;
    // What was sent to the silent database reaches it now, after Weir has given up on it: it must count for nothing.
    proxy.mend();
    let before = accounted_for(&pool).await;
    wait_for(&pool, before + 1_000, Duration::from_mins(2)).await;
    load.settle(&pool, Duration::from_mins(2)).await;
    app.health(Duration::from_mins(1), "all is well again", |said| said["status"] == "healthy").await;
    assert!(!app.log().contains("partitions revoked"), "membership of the group is kept meanwhile");
    app.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_says_nothing_is_given_up_and_what_it_hears_late_counts_once() {
    // Side by side: each waits for longer than a minute.
    tokio::join!(hangs(Way::Silent), hangs(Way::Mute));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_database_slows_and_loses_nothing() {
    let broker = Broker::connect();
    let topic = broker.topic(4).await;
    let databases = Databases::create().await;
    let target = services::postgres_address();
    let proxy = Proxy::to(target).await;
    let app =
        App::builder().with_kafka().set("DATABASE_URL_TIMESCALE", proxy.before(&databases.readings)).on(databases).start().await;
    let (pool, load) = Load::start(&app, &broker, &topic, 4).await;
    proxy.set(Way::Slow);
    load.more(5_000).await;
    proxy.mend();
    load.settle(&pool, Duration::from_mins(2)).await;
    app.stop();
}
