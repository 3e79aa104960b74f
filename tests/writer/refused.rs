//! A database that refuses to keep anything aside.

use std::time::Duration;

use sqlx::Executor as _;

use super::load::Load;
use crate::support::app::App;
use crate::support::broker::Broker;

/// The quarantine refuses until it is mended. The bad messages that wait for it hold their partitions, and nothing is lost.
async fn refuses(spoil: &'static str, mend: &'static str, words: &str) {
    let broker = Broker::connect();
    let topic = broker.topic(4).await;
    let app = App::builder().with_kafka().set("WEIR_WRITER_FLUSH_READINGS", "500").start().await;
    let (pool, load) = Load::start(&app, &broker, &topic, 4).await;
    pool.execute(spoil).await.expect("spoilt");
    let said = app
        .health(Duration::from_mins(1), "partitions are held", |said| {
            said["details"]["kafka"]["held"].as_object().is_some_and(|held| !held.is_empty())
        })
        .await;
    assert!(said["details"]["kafka"]["held"].to_string().contains(words), "{said}");
    load.more(2_000).await;
    pool.execute(mend).await.expect("mended");
    load.settle(&pool, Duration::from_mins(1)).await;
    app.health(Duration::from_secs(30), "all is well again", |said| said["status"] == "healthy").await;
    app.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_quarantine_without_permission_holds_and_goes_on_when_it_is_given() {
    refuses("revoke insert on quarantine from weir", "grant insert on quarantine to weir", "permission denied").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_quarantine_that_is_gone_holds_and_goes_on_when_it_is_back() {
    refuses("alter table quarantine rename to elsewhere", "alter table elsewhere rename to quarantine", "does not exist").await;
}
