//! Two writers in one group.

use std::time::Duration;

use super::{assert_exactly_once, message, register, wait_for};
use crate::support::app::App;
use crate::support::broker::Broker;

#[tokio::test(flavor = "multi_thread")]
async fn when_one_of_two_replicas_dies_the_other_takes_over() {
    let number = 40_000;
    let broker = Broker::connect();
    let topic = broker.topic(4).await;
    let mut first = App::builder().with_kafka().set("WEIR_WRITER_FLUSH_READINGS", "500").start().await;
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
    wait_for(&pool, number, Duration::from_mins(2)).await;
    assert_exactly_once(&pool, &topic, number).await;
    second.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn partitions_move_between_living_replicas_without_loss() {
    let number = 40_000;
    let broker = Broker::connect();
    let topic = broker.topic(4).await;
    let first = App::builder().with_kafka().set("WEIR_WRITER_FLUSH_READINGS", "500").start().await;
    register(&first, &topic).await;
    let pool = first.databases.readings().await;
    broker.produce(&topic, 4, (0..number / 2).map(message)).await;
    let second = first.replica();
    broker.produce(&topic, 4, (number / 2..number).map(message)).await;
    wait_for(&pool, number / 2, Duration::from_mins(1)).await;
    second.stop();
    wait_for(&pool, number, Duration::from_mins(2)).await;
    assert_exactly_once(&pool, &topic, number).await;
    first.stop();
}
