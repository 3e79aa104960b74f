//! Several writers in one group, on a broker of their own: what other tests do to the shared one delays the group's heartbeats.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

use super::load::Load;
use super::{accounted_for, assert_exactly_once_from, message, register, wait_for};
use crate::support::app::App;
use crate::support::broker::{Broker, OwnBroker};

#[tokio::test(flavor = "multi_thread")]
async fn when_one_of_two_replicas_dies_the_other_takes_over() {
    let number = 40_000;
    let own = OwnBroker::create();
    let broker = Broker::at(&own.brokers());
    let topic = broker.topic(4).await;
    let mut first =
        App::builder().with_kafka().set("KAFKA_BROKERS", own.brokers()).set("WEIR_WRITER_FLUSH_READINGS", "500").start().await;
    register(&first, &topic).await;
    let pool = first.databases.readings().await;
    broker.produce(&topic, 4, (0..number / 4).map(message)).await;
    wait_for(&pool, 1, Duration::from_mins(1)).await;
    let second = first.replica();
    broker.produce(&topic, 4, (number / 4..number / 2).map(message)).await;
    wait_for(&pool, number / 2, Duration::from_mins(1)).await;
    // The one that leads the group.
    first.kill();
    broker.produce(&topic, 4, (number / 2..number).map(message)).await;
    wait_for(&pool, number, Duration::from_mins(5)).await;
    assert_exactly_once_from(&broker, &pool, &topic, number).await;
    second.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn partitions_move_between_living_replicas_without_loss() {
    let number = 40_000;
    let own = OwnBroker::create();
    let broker = Broker::at(&own.brokers());
    let topic = broker.topic(4).await;
    let first =
        App::builder().with_kafka().set("KAFKA_BROKERS", own.brokers()).set("WEIR_WRITER_FLUSH_READINGS", "500").start().await;
    register(&first, &topic).await;
    let pool = first.databases.readings().await;
    broker.produce(&topic, 4, (0..number / 2).map(message)).await;
    let second = first.replica();
    broker.produce(&topic, 4, (number / 2..number).map(message)).await;
    wait_for(&pool, number / 2, Duration::from_mins(1)).await;
    second.stop();
    wait_for(&pool, number, Duration::from_mins(5)).await;
    assert_exactly_once_from(&broker, &pool, &topic, number).await;
    first.stop();
}

/// The longest time without anything stored while replicas come and go: a session of one that was killed, a rebalance for each that
/// came meanwhile, and a machine with more to do.
const STALL: Duration = Duration::from_mins(1);

#[tokio::test(flavor = "multi_thread")]
async fn replicas_that_join_and_leave_under_load_lose_and_double_nothing() {
    let own = OwnBroker::create();
    let broker = Broker::at(&own.brokers());
    let topic = broker.topic(10).await;
    let first = App::builder()
        .with_kafka()
        .set("KAFKA_BROKERS", own.brokers())
        .set("WEIR_WRITER_FLUSH_READINGS", "100")
        .set("WEIR_WRITER_FLUSH_AGE_MS", "50")
        .start()
        .await;
    let (pool, load) = Load::start(&first, &broker, &topic, 10).await;
    let over = CancellationToken::new();
    let longest = tokio::spawn({
        let (pool, over) = (pool.clone(), over.clone());
        async move {
            let (mut read, mut since, mut longest) = (0, Instant::now(), Duration::ZERO);
            while !over.is_cancelled() {
                tokio::time::sleep(Duration::from_millis(100)).await;
                let now = accounted_for(&pool).await;
                if now > read {
                    (read, since) = (now, Instant::now());
                }
                longest = longest.max(since.elapsed());
            }
            longest
        }
    });
    let (mut replicas, pause) = (VecDeque::new(), Duration::from_secs(2));
    for _ in 0..3 {
        replicas.push_back(first.replica_as("writer"));
        tokio::time::sleep(pause).await;
    }
    for leaves in [Leaves::Stopped, Leaves::Killed, Leaves::Stopped] {
        let mut oldest: App = replicas.pop_front().expect("three have joined");
        match leaves {
            Leaves::Stopped => oldest.stop(),
            Leaves::Killed => oldest.kill(),
        }
        replicas.push_back(first.replica_as("writer"));
        tokio::time::sleep(pause).await;
    }
    load.more(2_000).await;
    load.settle(&pool, Duration::from_mins(3)).await;
    over.cancel();
    let longest = longest.await.expect("it looks on");
    eprintln!("nothing was stored for {longest:?} at the longest");
    assert!(longest < STALL, "nothing was stored for {longest:?}");
    replicas.into_iter().for_each(App::stop);
    first.stop();
}

enum Leaves {
    Stopped,
    Killed,
}
