//! Messages without end, so that a fault strikes a writer that is at work: before, during and after.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use sqlx::PgPool;
use tokio::task::JoinHandle;

use super::{assert_exactly_once_from, message, register, wait_for};
use crate::support::app::App;
use crate::support::broker::Broker;

/// Messages that are sent together; partitions share them evenly.
const CHUNK: u32 = 100;
/// The time between two chunks: 1,000 messages a second, which leaves the machine room for what a test is about.
const PAUSE: Duration = Duration::from_millis(100);

/// Readings that are accounted for when a writer counts as at work.
const AT_WORK: u32 = 1_000;

/// A producer at work. Message `i` goes to partition `i` modulo their number, as by [`Broker::produce`].
pub struct Load {
    broker: Broker,
    topic: String,
    enough: Arc<AtomicBool>,
    produced: Arc<AtomicU32>,
    task: JoinHandle<()>,
}

impl Load {
    /// Registers the topic and produces messages `0..` until told otherwise; comes back with the database of readings when the writer
    /// is at work. The number of partitions divides 100.
    pub async fn start(app: &App, broker: &Broker, topic: &str, partitions: i32) -> (PgPool, Self) {
        register(app, topic).await;
        let (enough, produced) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU32::new(0)));
        let task = tokio::spawn({
            let (broker, topic, enough, produced) =
                (broker.clone(), topic.to_owned(), Arc::clone(&enough), Arc::clone(&produced));
            async move {
                while !enough.load(Ordering::SeqCst) {
                    let first = produced.load(Ordering::SeqCst);
                    broker.produce(&topic, partitions, (first..first + CHUNK).map(message)).await;
                    produced.store(first + CHUNK, Ordering::SeqCst);
                    tokio::time::sleep(PAUSE).await;
                }
            }
        });
        let pool = app.databases.readings().await;
        wait_for(&pool, AT_WORK, Duration::from_mins(1)).await;
        (pool, Self { broker: broker.clone(), topic: topic.to_owned(), enough, produced, task })
    }

    /// How many messages the broker has acknowledged.
    pub fn produced(&self) -> u32 {
        self.produced.load(Ordering::SeqCst)
    }

    /// Waits until the broker has acknowledged so many more.
    pub async fn more(&self, messages: u32) {
        let wanted = self.produced() + messages;
        while self.produced() < wanted {
            assert!(!self.task.is_finished(), "the producer has failed");
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Produces no more, and waits until every message is stored or kept aside exactly once. How many there are.
    pub async fn settle(self, pool: &PgPool, patience: Duration) -> u32 {
        self.enough.store(true, Ordering::SeqCst);
        self.task.await.expect("all is produced");
        let number = self.produced.load(Ordering::SeqCst);
        wait_for(pool, number, patience).await;
        assert_exactly_once_from(&self.broker, pool, &self.topic, number).await;
        number
    }
}
