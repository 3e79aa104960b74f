//! The other tenant: it sends readings through its own module and reads them back, and takes down how long it waited.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::json;
use tokio::task::JoinHandle;

use crate::support::client::Client;
use crate::support::guests::{chain, deploy};

/// How much longer than while all is quiet it may wait: a wide margin, since a test shares its machine with other tests.
const FACTOR: f64 = 10.0;
/// What is added to that.
const MARGIN: Duration = Duration::from_millis(300);

/// Somebody who does what one does.
#[derive(Debug)]
pub struct Victim {
    waited: Arc<Mutex<Vec<Duration>>>,
    stop: Arc<AtomicBool>,
    task: JoinHandle<()>,
}

impl Victim {
    /// Begins.
    pub async fn start(client: Client) -> Self {
        let config = json!({ "limits": { "temperature": { "max": 85 } } });
        let id = deploy(&client, "range-check", &json!({ "name": "limits", "config": config, "errorStrategy": "reject" })).await;
        client.post("/api/platform/kafka-topics", &json!({ "name": "peaceful" })).await.expect(201);
        chain(&client, "peaceful", &[&id]).await;
        let (waited, stop) = (Arc::new(Mutex::new(Vec::new())), Arc::new(AtomicBool::new(false)));
        let task = tokio::spawn(live(client, Arc::clone(&waited), Arc::clone(&stop)));
        Self { waited, stop, task }
    }

    /// How long it has waited since it was told to forget.
    pub fn pace(&self) -> Pace {
        Pace(self.waited.lock().expect("not poisoned").clone())
    }

    /// Begins a new count.
    pub fn forget(&self) {
        self.waited.lock().expect("not poisoned").clear();
    }

    /// How long it waited, once it has so many answers.
    pub async fn answers(&self, number: usize, patience: Duration) -> Pace {
        let until = Instant::now() + patience;
        while self.pace().number() < number {
            assert!(Instant::now() < until && !self.task.is_finished(), "the other tenant got {} answers", self.pace().number());
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        self.pace()
    }

    /// Ends, and is content with each answer that it got.
    pub async fn stop(self) {
        self.stop.store(true, Ordering::Relaxed);
        self.task.await.expect("each of its requests was answered as it should be");
    }
}

async fn live(client: Client, waited: Arc<Mutex<Vec<Duration>>>, stop: Arc<AtomicBool>) {
    let note = |since: Instant| waited.lock().expect("not poisoned").push(since.elapsed());
    let mut number = 0_i64;
    while !stop.load(Ordering::Relaxed) {
        number += 1;
        // Every tenth is refused by its module, which is heard all the same.
        let temperature = if number % 10 == 0 { 900 } else { 20 };
        let time = 1_777_896_000_000_i64 + number;
        let reading =
            json!({ "sensorId": "s", "timestamp": time, "values": { "temperature": temperature }, "topic": "peaceful" });
        let since = Instant::now();
        let status = client.post("/api/timescale/sensor-readings", &reading).await.status;
        note(since);
        assert_eq!(status, if temperature == 900 { 422 } else { 201 });
        let since = Instant::now();
        client.get("/api/timescale/sensors/s/latest").await.expect(200);
        note(since);
        let since = Instant::now();
        client.get("/api/timescale/sensor-readings?sensorId=s&limit=10").await.expect(200);
        note(since);
    }
}

/// How long answers took.
#[derive(Clone, Debug, Default)]
pub struct Pace(Vec<Duration>);

impl Pace {
    /// How many there are.
    pub fn number(&self) -> usize {
        self.0.len()
    }

    /// Adds those of another time.
    pub fn add(&mut self, other: &Self) {
        self.0.extend(&other.0);
    }

    /// What a part of them, in thousandths, did not exceed.
    pub fn within(&self, thousandths: usize) -> Duration {
        let mut sorted = self.0.clone();
        sorted.sort_unstable();
        let last = sorted.len().saturating_sub(1);
        sorted.get((sorted.len() * thousandths / 1_000).min(last)).copied().unwrap_or_default()
    }

    /// Its p99 by that of another.
    pub fn p99_over(&self, other: &Self) -> f64 {
        self.within(990).as_secs_f64() / other.within(990).as_secs_f64()
    }

    /// It is not much longer than while all was quiet.
    pub fn is_near(&self, quiet: &Self, beside: &str) {
        let most = quiet.within(990).mul_f64(FACTOR) + MARGIN;
        assert!(self.within(990) <= most, "beside one that {beside}: {self}, and {quiet} while all was quiet");
    }
}

impl fmt::Display for Pace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [median, p99, longest] = [500, 990, 1_000].map(|part| self.within(part).as_secs_f64() * 1e3);
        write!(f, "{} answers: median {median:.1}, p99 {p99:.1}, longest {longest:.1} ms", self.number())
    }
}
