//! Every metric, and the board where the parts report how they are.
//!
//! Metrics are declared on this page and nowhere else; labels have few values, so a tenant's name is one and a sensor's never is.

use std::collections::BTreeMap;

use parking_lot::Mutex;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};
use serde_json::Value;

/// Labels of an HTTP request.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct RequestLabels {
    /// The method.
    pub method: String,
    /// The route's template, such as `/api/storage/buckets/{bucket}`.
    pub route: String,
    /// The status code.
    pub status: u16,
}

/// Labels of readings that were accounted for.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct ReadingLabels {
    /// The tenant.
    pub tenant: String,
    /// `http` or `kafka`.
    pub origin: &'static str,
    /// `stored`, `duplicate`, `quarantined` or `skipped`.
    pub outcome: &'static str,
}

/// Labels of readings that came too fast.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct QuotaLabels {
    /// The tenant.
    pub tenant: String,
    /// `http` or `kafka`.
    pub origin: &'static str,
}

/// Labels of a partition.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct PartitionLabels {
    /// The topic.
    pub topic: String,
    /// The partition.
    pub partition: i32,
}

/// Labels of a guest's call.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct GuestLabels {
    /// The tenant.
    pub tenant: String,
    /// The validator's name.
    pub validator: String,
    /// `answered`, `fault` or `open` (the breaker kept it from running).
    pub outcome: &'static str,
}

/// One label with one word.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct Word {
    /// The word.
    pub kind: &'static str,
}

/// Every metric of the process. Fields are public: whoever causes a thing counts it.
#[derive(Debug)]
pub struct Vitals {
    /// Requests by method, route and status.
    pub requests: Family<RequestLabels, Counter>,
    /// Seconds from the request's head to the response's head.
    pub request_seconds: Histogram,
    /// Readings by tenant, origin and outcome.
    pub readings: Family<ReadingLabels, Counter>,
    /// Readings in a stored batch.
    pub batch_readings: Histogram,
    /// Readings that came too fast for their tenant's quota: refused over HTTP, made to wait from Kafka; counted at each try.
    pub over_quota: Family<QuotaLabels, Counter>,
    /// Seconds from a gathered batch to one that is ready for the store: decoding apart.
    pub judge_seconds: Histogram,
    /// Seconds that one store transaction took.
    pub store_seconds: Histogram,
    /// Tries again, by class of error (`transient`, `standing`).
    pub retries: Family<Word, Counter>,
    /// Messages between the stored position and the end of the log.
    pub lag: Family<PartitionLabels, Gauge>,
    /// Partitions that are held now.
    pub paused: Gauge,
    /// Bytes of Kafka messages that are not stored yet.
    pub in_flight: Gauge,
    /// Guest calls.
    pub guest_calls: Family<GuestLabels, Counter>,
    /// Seconds that one guest call took.
    pub guest_seconds: Histogram,
    /// Modules that this process had compiled; what is in the cache is not.
    pub guest_compilations: Counter,
    /// Policy decisions (`allowed`, `denied`).
    pub decisions: Family<Word, Counter>,
    /// Loads of the policy files (`loaded`, `refused`).
    pub policy_loads: Family<Word, Counter>,
    /// Bytes of objects (`in`, `out`).
    pub object_bytes: Family<Word, Counter>,
    registry: Registry,
    board: Mutex<BTreeMap<&'static str, Report>>,
}

/// How a part is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It works.
    Connected,
    /// It works in part; the details say what does not.
    Degraded,
    /// It does not answer.
    Away,
}

impl Standing {
    /// The word for it in `/health`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Connected => "connected",
            Self::Degraded => "degraded",
            Self::Away => "disconnected",
        }
    }
}

/// What a part reported last.
#[derive(Clone, Debug, PartialEq)]
pub struct Report {
    /// How it is.
    pub standing: Standing,
    /// More, for operators; never a secret.
    pub details: Value,
}

impl Default for Vitals {
    fn default() -> Self {
        Self::new()
    }
}

impl Vitals {
    /// The metrics, all at zero, and an empty board.
    pub fn new() -> Self {
        let mut vitals = Self {
            requests: Family::default(),
            request_seconds: seconds(),
            readings: Family::default(),
            over_quota: Family::default(),
            batch_readings: Histogram::new(exponential_buckets(1.0, 10.0, 6)),
            judge_seconds: seconds(),
            store_seconds: seconds(),
            retries: Family::default(),
            lag: Family::default(),
            paused: Gauge::default(),
            in_flight: Gauge::default(),
            guest_calls: Family::default(),
            guest_seconds: seconds(),
            guest_compilations: Counter::default(),
            decisions: Family::default(),
            policy_loads: Family::default(),
            object_bytes: Family::default(),
            registry: Registry::with_prefix("weir"),
            board: Mutex::default(),
        };
        vitals.register();
        vitals
    }

    fn register(&mut self) {
        let registry = &mut self.registry;
        registry.register("http_requests", "Requests by method, route and status", self.requests.clone());
        registry.register_with_unit("http_request", "Time to the response's head", Unit::Seconds, self.request_seconds.clone());
        registry.register("readings", "Readings by tenant, origin and outcome", self.readings.clone());
        registry.register("readings_over_quota", "Readings over their tenant's quota", self.over_quota.clone());
        registry.register("batch_readings", "Readings of a stored batch", self.batch_readings.clone());
        registry.register_with_unit(
            "judge",
            "Time of judging and preparing one batch",
            Unit::Seconds,
            self.judge_seconds.clone(),
        );
        registry.register_with_unit("store", "Time of one store transaction", Unit::Seconds, self.store_seconds.clone());
        registry.register("store_retries", "Tries again, by class of error", self.retries.clone());
        registry.register("kafka_lag_messages", "Messages behind the end of the log", self.lag.clone());
        registry.register("kafka_partitions_paused", "Partitions that are paused", self.paused.clone());
        registry.register_with_unit("kafka_in_flight", "Messages that are not stored yet", Unit::Bytes, self.in_flight.clone());
        registry.register("guest_calls", "Calls of WebAssembly modules", self.guest_calls.clone());
        registry.register("guest_compilations", "Modules that were compiled", self.guest_compilations.clone());
        registry.register_with_unit("guest_call", "Time of one guest call", Unit::Seconds, self.guest_seconds.clone());
        registry.register("policy_decisions", "Policy decisions", self.decisions.clone());
        registry.register("policy_loads", "Loads of the policy files", self.policy_loads.clone());
        registry.register_with_unit("object", "Bytes of objects, in and out", Unit::Bytes, self.object_bytes.clone());
    }

    /// A part says how it is; its last word stands until the next.
    pub fn report(&self, part: &'static str, standing: Standing, details: Value) {
        self.board.lock().insert(part, Report { standing, details });
    }

    /// What every part reported last, by its name.
    pub fn board(&self) -> BTreeMap<&'static str, Report> {
        self.board.lock().clone()
    }

    /// All metrics in Prometheus' text format.
    pub fn text(&self) -> Result<String, std::fmt::Error> {
        let mut text = String::new();
        encode(&mut text, &self.registry)?;
        Ok(text)
    }
}

/// 1 ms to about 16 s, doubling.
fn seconds() -> Histogram {
    Histogram::new(exponential_buckets(0.001, 2.0, 15))
}
