//! Messages without end, so that a fault strikes a writer that is at work: before, during and after.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use tokio::task::JoinHandle;

use super::message;
use crate::support::broker::Broker;

/// Messages that are sent together; partitions share them evenly.
const CHUNK: u32 = 100;
/// The time between two chunks: 1,000 messages a second, which leaves the machine room for what a test is about.
const PAUSE: Duration = Duration::from_millis(100);

/// A producer at work. Message `i` goes to partition `i` modulo their number, as by [`Broker::produce`].
pub struct Load {
    enough: Arc<AtomicBool>,
    produced: Arc<AtomicU32>,
    task: JoinHandle<()>,
}

impl Load {
    /// Produces messages `0..` until told otherwise. The number of partitions divides 100.
    pub fn start(broker: &Broker, topic: &str, partitions: i32) -> Self {
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
        Self { enough, produced, task }
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

    /// Produces no more; how many messages there are.
    pub async fn stop(self) -> u32 {
        self.enough.store(true, Ordering::SeqCst);
        self.task.await.expect("all is produced");
        self.produced.load(Ordering::SeqCst)
    }
}
