//! The connection breaks at the worst moment: while a transaction is being committed.

use std::time::Duration;

use super::accounted_for;
use super::load::Load;
use crate::support::app::App;
use crate::support::broker::Broker;
use crate::support::database::Databases;
use crate::support::proxy::{Commit, Proxy};
use crate::support::services;

/// Commits that are struck in the test that everybody runs; `soak.rs` has the long form.
const STRUCK: u32 = 20;

pub(super) async fn strikes(commit: Commit, number: u32) {
    let broker = Broker::connect();
    let topic = broker.topic(4).await;
    let databases = Databases::create().await;
    let proxy = Proxy::to(services::postgres_address()).await;
    let app = App::builder()
        .with_kafka()
        .set("WEIR_WRITER_FLUSH_READINGS", "50")
        .set("WEIR_WRITER_FLUSH_AGE_MS", "50")
        .set("DATABASE_URL_TIMESCALE", proxy.before(&databases.readings))
        .on(databases)
        .start()
        .await;
    let (pool, load) = Load::start(&app, &broker, &topic, 4).await;
    // Every second one, so that it gets on in between.
    proxy.strike(commit, 2);
    let mut read = 0;
    while proxy.struck() < number {
        let (struck, before) = (proxy.struck(), read);
        tokio::time::sleep(Duration::from_secs(10)).await;
        read = accounted_for(&pool).await;
        assert!(
            proxy.struck() > struck || read > before,
            "nothing moves: {struck} commits struck, {read} readings accounted for"
        );
    }
    proxy.relent();
    let produced = load.settle(&pool, Duration::from_mins(3)).await;
    eprintln!("{} commits of {produced} messages struck", proxy.struck());
    app.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_committed_without_an_answer_is_stored_once() {
    strikes(Commit::LoseAnswer, STRUCK).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_asked_to_be_committed_and_was_not_is_stored_once() {
    strikes(Commit::LoseRequest, STRUCK).await;
}
