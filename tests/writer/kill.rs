//! Whole, and with `kill -9` at random moments.

use std::time::Duration;

use super::{accounted_for, assert_exactly_once, assert_exactly_once_from, message, register, wait_for};
use crate::support::app::App;
use crate::support::broker::{Broker, OwnBroker};

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

/// Kills of the test that everybody runs; `soak.rs` has the long form.
const KILLS: u32 = 20;
/// Messages for each kill: more than a writer stores between its start and its end, so that there always are some under way.
const MESSAGES: u32 = 10_000;
/// How long a group may take to notice that a member is dead and to settle without it. Seconds suffice; where the machine is busy the
/// broker may have to be given a new member, which Weir does after half a minute.
const SETTLE: Duration = Duration::from_mins(3);

#[tokio::test(flavor = "multi_thread")]
async fn kills_at_random_moments_lose_and_double_nothing() {
    kills_at_random_moments(KILLS).await;
}

pub(super) async fn kills_at_random_moments(kills: u32) {
    let number = kills * MESSAGES;
    let own = OwnBroker::create();
    let broker = Broker::at(&own.brokers());
    let topic = broker.topic(4).await;
    // Small batches, so that many are under way; a short session, so that a restarted one has its partitions back soon.
    let mut app = App::builder()
        .with_kafka()
        .set("KAFKA_BROKERS", own.brokers())
        .set("WEIR_KAFKA_SESSION_TIMEOUT_MS", "2000")
        .set("WEIR_WRITER_FLUSH_READINGS", "50")
        .set("WEIR_WRITER_FLUSH_AGE_MS", "20")
        .start()
        .await;
    register(&app, &topic).await;
    let to = app.databases.readings().await;
    let mut moments = Vec::new();
    let mut at_work = 0;
    for part in 0..kills {
        // At most two parts wait: the tests' broker answers a fetch in a time that grows with all that is behind it, and has none left
        // for the group's heartbeats.
        wait_for(&to, MESSAGES * part.saturating_sub(1), SETTLE).await;
        let before = accounted_for(&to).await;
        let sending = tokio::spawn({
            let (broker, topic) = (broker.clone(), topic.clone());
            async move { broker.produce(&topic, 4, (MESSAGES * part..MESSAGES * (part + 1)).map(message)).await }
        });
        // It is at work, with batches under way in all stages.
        wait_for(&to, before + 1, SETTLE).await;
        let moment = Duration::from_micros(rand::random_range(0..60_000));
        tokio::time::sleep(moment).await;
        app.kill();
        let done = accounted_for(&to).await;
        at_work += u32::from(done < MESSAGES * (part + 1));
        moments.push((moment, done));
        app.restart();
        sending.await.expect("all is produced");
    }
    eprintln!("killed at these moments, with so many readings accounted for: {moments:?}");
    assert!(at_work * 2 >= kills, "only {at_work} of {kills} kills came while there was something to do");
    wait_for(&to, number, SETTLE + Duration::from_mins(4)).await;
    assert_exactly_once_from(&broker, &to, &topic, number).await;
    app.stop();
}
