//! Whole, and with `kill -9` at random moments.

use std::time::Duration;

use super::{accounted_for, assert_exactly_once, message, register, wait_for};
use crate::support::app::App;
use crate::support::broker::Broker;

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_thousand_readings_are_stored_exactly_once() {
    let number = 100_000;
    let broker = Broker::connect();
    let topic = broker.topic(4).await;
    let app = App::builder().with_kafka().start().await;
    register(&app, &topic).await;
    broker.produce(&topic, 4, (0..number).map(message)).await;
    let pool = app.databases.readings().await;
    wait_for(&pool, number, Duration::from_mins(4)).await;
    assert_exactly_once(&pool, &topic, number).await;
    // And it can be read by REST.
    let latest = app.acme().get("/api/timescale/sensors/s39/latest").await.expect(200);
    assert_eq!(latest["data"]["values"]["value"], 99_999, "{latest}");
    app.globex().get("/api/timescale/sensors/s39/latest").await.expect_error(404);
    app.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn twenty_kills_at_random_moments_lose_and_double_nothing() {
    let (number, kills) = (100_000, 20);
    let broker = Broker::connect();
    let topic = broker.topic(4).await;
    // Small batches, so that many are under way; a short session, so that a restarted one has its partitions back soon.
    let mut app = App::builder()
        .with_kafka()
        .set("WEIR_KAFKA_SESSION_TIMEOUT_MS", "1000")
        .set("WEIR_WRITER_FLUSH_READINGS", "500")
        .set("WEIR_WRITER_FLUSH_AGE_MS", "20")
        .start()
        .await;
    register(&app, &topic).await;
    let (sender, to) = (
        tokio::spawn({
            let topic = topic.clone();
            async move {
                for part in 0..kills {
                    let first = number / kills * part;
                    broker.produce(&topic, 4, (first..first + number / kills).map(message)).await;
                }
            }
        }),
        app.databases.readings().await,
    );
    let mut moments = Vec::new();
    for _ in 0..kills {
        // It is at work, with batches under way in all stages.
        let before = accounted_for(&to).await;
        wait_for(&to, before + 1, Duration::from_mins(1)).await;
        let moment = Duration::from_micros(rand::random_range(0..200_000));
        tokio::time::sleep(moment).await;
        app.kill();
        moments.push((moment, accounted_for(&to).await));
        app.restart();
    }
    eprintln!("killed at these moments, with so many readings accounted for: {moments:?}");
    sender.await.expect("all is produced");
    wait_for(&to, number, Duration::from_mins(4)).await;
    assert_exactly_once(&to, &topic, number).await;
    app.stop();
}
