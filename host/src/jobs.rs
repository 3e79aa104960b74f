//! What Weir does by itself, without input: on a timer, on every replica, and so that a second one at it does no harm.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use chrono::TimeDelta;
use serde_json::json;
use tokio_util::sync::CancellationToken;

use crate::error::{Chain, Result};
use crate::gate::Gate;
use crate::kafka::{Outgoing, Producer};
use crate::limits;
use crate::vitals::Standing;

/// Writes down what tenants' modules did, every few seconds and once more at the end.
pub async fn record_modules(gate: Arc<Gate>, stop: CancellationToken) {
    while !stop.is_cancelled() {
        rest(&stop, limits::RECORD_EVERY).await;
        gate.records_write().await;
    }
}

/// Writes down what the policy decided, and learns which requests, denied lately on any replica, new rules must not let through.
pub async fn record_decisions(gate: Arc<Gate>, keep: TimeDelta, stop: CancellationToken) {
    let (record, mut since) = (gate.policy.record(), Instant::now());
    while !stop.is_cancelled() {
        rest(&stop, limits::DECISIONS_EVERY).await;
        if since.elapsed() >= limits::DECISIONS_ROUND {
            since = Instant::now();
            record.next_round();
        }
        let noted = record.take();
        if !noted.is_empty()
            && let Err(error) = gate.platform.decisions_keep(&noted).await
        {
            tracing::debug!(error = %Chain(&error), decisions = noted.len(), "decisions could not be written down, and are in no record");
        }
        match gate.platform.decisions_crossing(gate.clock.now() - keep).await {
            Ok(asked) => gate.policy.set_crossings(asked),
            Err(error) => tracing::debug!(error = %Chain(&error), "requests that would have crossed a tenant could not be read"),
        }
    }
}

/// Takes away decisions that are older than they are to be kept.
pub async fn forget_decisions(gate: Arc<Gate>, keep: TimeDelta, stop: CancellationToken) {
    while !stop.is_cancelled() {
        match gate.platform.decisions_forget(gate.clock.now(), keep).await {
            Ok(decisions) => {
                tracing::debug!(decisions, "{decisions} decisions on record were old, and are gone");
            }
            Err(error) => tracing::debug!(error = %Chain(&error), "old decisions could not be taken away"),
        }
        rest(&stop, limits::FORGET_EVERY).await;
    }
}

/// Sends changes of the platform to a topic, in order and at least once. While the broker is away they wait in the outbox.
pub async fn send_events(gate: Arc<Gate>, producer: Producer, topic: String, stop: CancellationToken) {
    while !stop.is_cancelled() {
        let sent = gate.platform.outbox_send(async |events| {
            let messages = events.into_iter().map(|event| Outgoing {
                key: Some(event.key.into()),
                payload: event.body.into(),
                headers: vec![("id".to_owned(), Some(Bytes::from(event.id.to_string())))],
            });
            producer.send(&topic, messages.collect()).await
        });
        let wait = match sent.await {
            // There may be more.
            Ok(sent) if sent == limits::EVENTS_AT_ONCE as usize => Duration::ZERO,
            Ok(_) => {
                gate.vitals.report("events", Standing::Connected, json!({ "topic": topic }));
                limits::EVENTS_EVERY
            }
            Err(error) => {
                tracing::debug!(error = %Chain(&error), "changes of the platform wait for Kafka");
                gate.vitals.report("events", Standing::Degraded, json!({ "topic": topic, "waitsFor": error.sentence() }));
                limits::RETRY_WAIT
            }
        };
        rest(&stop, wait).await;
    }
}

/// Takes away audit entries that are older than they are to be kept.
pub async fn forget_audit(gate: Arc<Gate>, keep: TimeDelta, stop: CancellationToken) {
    while !stop.is_cancelled() {
        let forgotten: Result<u64> = gate.platform.audit_forget(gate.clock.now() - keep).await;
        match forgotten {
            Ok(0) => {}
            Ok(entries) => tracing::info!(entries, "{entries} audit entries were older than they are to be kept, and are gone"),
            Err(error) => tracing::debug!(error = %Chain(&error), "old audit entries could not be taken away"),
        }
        rest(&stop, limits::FORGET_EVERY).await;
    }
}

/// Forgets answers to requests with an idempotency key that are older than they are to be kept.
pub async fn forget_answers(gate: Arc<Gate>, stop: CancellationToken) {
    while !stop.is_cancelled() {
        if let Err(error) = gate.platform.idempotency_forget().await {
            tracing::debug!(error = %Chain(&error), "old answers could not be forgotten");
        }
        rest(&stop, limits::FORGET_EVERY).await;
    }
}

/// Clears up bytes that nothing points to, and uploads that broke off.
pub async fn sweep_files(gate: Arc<Gate>, older: TimeDelta, stop: CancellationToken) {
    while !stop.is_cancelled() {
        match gate.leftovers_sweep(older).await {
            Ok(Some(swept)) if swept.removed + swept.failed > 0 => {
                let (removed, failed) = (swept.removed, swept.failed);
                tracing::info!(removed, failed, "cleared up after {removed} versions of files; {failed} remain for now");
            }
            Ok(_) => {}
            Err(error) => tracing::debug!(error = %Chain(&error), "what files left behind could not be cleared up"),
        }
        rest(&stop, limits::LEFTOVERS_EVERY).await;
    }
}

/// Takes away sessions that have ended.
pub async fn forget_sessions(gate: Arc<Gate>, stop: CancellationToken) {
    while !stop.is_cancelled() {
        match gate.platform.sessions_forget(gate.clock.now()).await {
            Ok(sessions) => tracing::debug!(sessions, "{sessions} sessions had ended, and are gone"),
            Err(error) => tracing::debug!(error = %Chain(&error), "sessions that ended could not be taken away"),
        }
        rest(&stop, limits::FORGET_EVERY).await;
    }
}

async fn rest(stop: &CancellationToken, time: Duration) {
    tokio::select! {
        () = stop.cancelled() => {}
        () = tokio::time::sleep(time) => {}
    }
}
