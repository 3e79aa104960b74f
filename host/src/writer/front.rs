//! The front of a lane: gathers messages by topic, and decodes, judges and prepares what is due, while the back stores the flush
//! before.
//!
//! It loses nothing by ending at any point: positions move with the rows alone.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::Instant;
use uuid::Uuid;

use super::Options;
use super::lanes::{Name, Note, Shared};
use super::part::Part;
use crate::batch::{Batch, Refusal, Source};
use crate::error::Error;
use crate::gate::readings::{AdmitError, Judged};
use crate::kafka::{Message, Run};
use crate::ledger::{Log, OffsetRange, Origin};
use crate::limits;
use crate::model::{Caller, Clock as _, SystemClock, Tenant};
use crate::schema::decode::{Decoder, Format};

/// The front of one lane.
pub(super) struct Front {
    pub(super) name: Name,
    pub(super) shared: Shared,
    pub(super) runs: mpsc::Receiver<Run>,
    pub(super) ready: mpsc::Sender<Ready>,
}

/// What a tenant may have used up.
enum Quota<'a> {
    /// The time of the modules that judge this topic.
    Guests(&'a str),
    /// So many readings.
    Readings(u64),
}

/// A flush for the back: messages of one topic, and what was made of them.
pub(super) struct Ready {
    pub(super) topic: Arc<str>,
    pub(super) part: Part,
    pub(super) judged: Result<Judged, AdmitError>,
}

/// Messages of one topic, and since when.
#[derive(Debug)]
struct Gathered {
    part: Part,
    messages: usize,
    bytes: usize,
    since: Instant,
    /// When the last one came.
    last: Instant,
}

impl Front {
    /// Until its queue is closed; then it passes on what it has.
    pub(super) async fn run(mut self) {
        let mut gathered: HashMap<Arc<str>, Gathered> = HashMap::new();
        let mut open = true;
        while open || !gathered.is_empty() {
            let due = gathered
                .iter()
                .filter(|(_, topic)| !open || topic.is_full(&self.shared.options) || Instant::now() >= self.due(topic))
                .min_by_key(|(_, topic)| topic.since)
                .map(|(topic, _)| Arc::clone(topic));
            if let Some((topic, Gathered { part, .. })) = due.and_then(|topic| gathered.remove_entry(&topic)) {
                if !self.pass_on(topic, part).await {
                    return;
                }
            } else {
                let next = gathered.values().map(|topic| self.due(topic)).min();
                open = self.receive(&mut gathered, next).await;
            }
        }
    }

    /// When a topic's messages are passed on at the latest. What is worth a transaction does not wait for more where none comes and the
    /// back has nothing to do: the end of a backlog is stored at once.
    fn due(&self, topic: &Gathered) -> Instant {
        let aged = topic.since + self.shared.options.flush_age;
        let can_go = topic.is_worth_a_flush(&self.shared.options) && self.ready.capacity() > 0;
        if can_go { aged.min(topic.last + limits::FLUSH_QUIET) } else { aged }
    }

    /// Waits for messages until `due`, or until the back has room for what is worth it; false where none will come any more.
    async fn receive(&mut self, gathered: &mut HashMap<Arc<str>, Gathered>, due: Option<Instant>) -> bool {
        let due = due.unwrap_or_else(|| Instant::now() + Duration::from_hours(1));
        let options = &self.shared.options;
        let waits = self.ready.capacity() == 0 && gathered.values().any(|topic| topic.is_worth_a_flush(options));
        let first = tokio::select! {
            biased;
            run = self.runs.recv() => run,
            room = self.ready.reserve(), if waits => return room.is_ok(),
            () = tokio::time::sleep_until(due) => return true,
        };
        let Some(first) = first else { return false };
        let mut next = Some(first);
        while let Some(run) = next {
            let mut full = false;
            if self.shared.places.counts(&run) {
                let topic = gathered.entry(Arc::clone(&run.partition.topic)).or_insert_with(Gathered::new);
                topic.push(run);
                full = topic.is_full(&self.shared.options);
            }
            next = if full { None } else { self.runs.try_recv().ok() };
        }
        true
    }

    /// Judges a part and hands it to the back; false where there is no back any more.
    async fn pass_on(&self, topic: Arc<str>, mut part: Part) -> bool {
        part.retain(|run| self.shared.places.counts(run));
        if part.is_empty() {
            return true;
        }
        self.wait_for(Quota::Guests(&topic)).await;
        let judged = self.shared.judge(&self.name.tenant, &topic, &part, None).await;
        if let Ok(judged) = &judged {
            self.wait_for(Quota::Readings(judged.readings())).await;
        }
        self.ready.send(Ready { topic, part, judged }).await.is_ok()
    }

    /// Waits for as long as a quota of the tenant is used up. What follows waits behind, in Kafka in the end.
    async fn wait_for(&self, quota: Quota<'_>) {
        let mut waited = false;
        while let Some(wait) = self.shared.used_up(&self.name.tenant, &quota).await {
            if !std::mem::replace(&mut waited, true) {
                self.shared.say(Note::OverQuota(self.name.clone(), true)).await;
            }
            tokio::select! {
                // Storing what is already here a little early is better than reading it all again.
                () = self.shared.stop.cancelled() => break,
                () = tokio::time::sleep(wait.min(limits::QUOTA_WAIT)) => {}
            }
        }
        if waited {
            self.shared.say(Note::OverQuota(self.name.clone(), false)).await;
        }
    }
}

/// The writer, on behalf of a tenant.
fn caller(tenant: &Tenant) -> Caller {
    Caller::service("writer", tenant, Uuid::now_v7().to_string())
}

impl Gathered {
    fn new() -> Self {
        let now = Instant::now();
        Self { part: Part::default(), messages: 0, bytes: 0, since: now, last: now }
    }

    fn push(&mut self, run: Run) {
        self.messages += run.len();
        self.bytes += run.bytes();
        self.last = Instant::now();
        self.part.push(run);
    }

    fn is_full(&self, options: &Options) -> bool {
        self.messages >= options.flush_readings || self.bytes >= options.flush_bytes
    }

    fn is_worth_a_flush(&self, options: &Options) -> bool {
        self.messages * limits::FLUSH_SHARE >= options.flush_readings || self.bytes * limits::FLUSH_SHARE >= options.flush_bytes
    }
}

impl Shared {
    async fn used_up(&self, tenant: &Tenant, quota: &Quota<'_>) -> Option<Duration> {
        match quota {
            Quota::Guests(topic) => self.gate.guests_wait(&caller(tenant), topic).await,
            Quota::Readings(readings) => self.gate.readings_wait(tenant, *readings).await,
        }
    }

    /// Decodes a part, judges it and makes it ready for the store; with `aside`, all of it is refused for that reason.
    pub(super) async fn judge(
        &self,
        tenant: &Tenant,
        topic: &Arc<str>,
        part: &Part,
        aside: Option<&Refusal>,
    ) -> Result<Judged, AdmitError> {
        let caller = caller(tenant);
        // Its own offsets are all that is certain yet; where the partitions stand is asked when it is stored.
        let ranges = part.spans().into_iter().map(|span| OffsetRange {
            partition: span.partition.number,
            expected: span.first,
            next: span.next,
        });
        let log = Log { cluster: "".into(), group: Arc::clone(&self.group), topic: Arc::clone(topic) };
        let origin = Origin::Kafka { log, ranges: ranges.collect() };
        let payloads = part.messages().map(|(_, message)| message.payload);
        let format = self.gate.message_format(&caller, topic, payloads).await?;
        let batch = self.decode(topic, format, part.clone(), aside.cloned()).await?;
        let judged = self.gate.readings_judge(&caller, batch, &origin).await?;
        Ok(judged.ok_or_else(|| Error::internal("a part without messages was judged"))?)
    }

    /// Decoding 10,000 messages takes milliseconds, so it happens where it holds nobody up.
    async fn decode(&self, topic: &Arc<str>, format: Format, part: Part, aside: Option<Refusal>) -> Result<Batch, Error> {
        let topic = Arc::clone(topic);
        let decoded = tokio::task::spawn_blocking(move || {
            let now = SystemClock.now();
            let mut decoder = Decoder::new(&topic, format, now);
            for (partition, Message { offset, key, headers, payload }) in part.messages() {
                let source = Source::Kafka { partition, offset, key, headers };
                match &aside {
                    Some(refusal) => decoder.unreadable(payload, source, refusal.clone()),
                    None => decoder.message(payload, source),
                }
            }
            decoder.finish()
        });
        decoded.await.map_err(Error::internal)
    }

    /// The loop that listens outlives the lanes.
    pub(super) async fn say(&self, note: Note) {
        let _ = self.notes.send(note).await;
    }
}

/// How many of a partition's readings in a flush are older than `age`, in the order of the partitions' numbers: `(partition, late,
/// all)`. Refused readings have no time and do not count.
pub(super) fn lateness(judged: &Judged, age: Duration) -> Vec<(i32, usize, usize)> {
    let before = (SystemClock.now() - age).timestamp_micros();
    let mut found: Vec<(i32, usize, usize)> = Vec::new();
    for part in judged.parts() {
        let columns = part.batch.columns();
        let mut last = u32::MAX;
        for (reading, time) in columns.reading.iter().zip(&columns.time) {
            if *reading == last {
                continue;
            }
            last = *reading;
            let Source::Kafka { partition, .. } = &part.batch.readings()[*reading as usize].source else { continue };
            let at = found.iter().position(|(number, ..)| number == partition).unwrap_or_else(|| {
                found.push((*partition, 0, 0));
                found.len() - 1
            });
            found[at].1 += usize::from(*time < before);
            found[at].2 += 1;
        }
    }
    found.sort_unstable();
    found
}
