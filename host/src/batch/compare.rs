//! Where two ways of judging the same readings differ.

use serde::Serialize;
use serde_json::{Map, Value as Json};

use super::{Batch, Refuser, Verdict};

/// Counts of readings that two ways were compared on, and the first of those on which they differ.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Differences {
    /// Readings that both judged.
    pub compared: u64,
    /// Passed by the first, refused by the second.
    pub accept_to_reject: u64,
    /// Refused by the first, passed by the second.
    pub reject_to_accept: u64,
    /// Passed by both, but otherwise: another value, unit, quality or derived value.
    pub changed: u64,
    /// Readings on which the second failed (trap, limit). They count as refused besides.
    pub failed: u64,
    /// Some of them.
    pub samples: Vec<Difference>,
}

/// A reading on which they differ.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Difference {
    /// `acceptToReject`, `rejectToAccept` or `changed`.
    pub kind: &'static str,
    /// The sensor.
    pub sensor_id: String,
    /// Microseconds since the Unix epoch, UTC.
    pub time_micros: i64,
    /// What the first made of it.
    pub active: Judged,
    /// What the second made of it.
    pub candidate: Judged,
}

/// What became of one reading.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Judged {
    /// `accept`, `suspect`, `reject` or `failed`.
    pub verdict: &'static str,
    /// Why it is refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Who refused it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    /// Its values, by metric; none where it is refused.
    #[serde(skip_serializing_if = "Map::is_empty")]
    pub values: Map<String, Json>,
    /// The units of those that have one, by metric.
    #[serde(skip_serializing_if = "Map::is_empty")]
    pub units: Map<String, Json>,
}

impl Judged {
    fn passes(&self) -> bool {
        matches!(self.verdict, "accept" | "suspect")
    }
}

impl Batch {
    /// What became of each reading so far, in their order.
    pub fn judged(&self) -> Vec<Judged> {
        let blank = |reading: &super::Reading| {
            let (verdict, refusal) = match &reading.verdict {
                Verdict::Accepted => ("accept", None),
                Verdict::Suspect => ("suspect", None),
                Verdict::Refused(refusal) if refusal.fault => ("failed", Some(refusal)),
                Verdict::Refused(refusal) => ("reject", Some(refusal)),
            };
            let by = refusal.map(|refusal| Refuser::name(&refusal.by).to_owned());
            let reason = refusal.map(|refusal| refusal.reason.clone());
            Judged { verdict, reason, by, values: Map::new(), units: Map::new() }
        };
        let mut judged: Vec<Judged> = self.readings.iter().map(blank).collect();
        let columns = &self.columns;
        for row in 0..columns.rows() {
            let one = &mut judged[columns.reading[row] as usize];
            if !one.passes() {
                continue;
            }
            let metric = &columns.metrics[columns.metric[row] as usize];
            one.values.insert(metric.clone(), columns.json_of(row));
            let unit = &columns.units[columns.unit[row] as usize];
            if !unit.is_empty() {
                one.units.insert(metric.clone(), unit.as_str().into());
            }
        }
        judged
    }

    /// The sensor and the time of a reading; `None` where it could not be read, so that it has no rows.
    pub fn place_of(&self, reading: u32) -> Option<(&str, i64)> {
        let row = self.columns.reading.iter().position(|of| *of == reading)?;
        Some((&self.columns.sensors[self.columns.sensor[row] as usize], self.columns.time[row]))
    }
}

impl Differences {
    /// Compares what two ways made of the same readings, those of `before` that had not been refused yet.
    pub fn of(before: &Batch, active: &Batch, candidate: &Batch, samples: usize) -> Self {
        let mut differences = Self::default();
        let pairs = active.judged().into_iter().zip(candidate.judged());
        for (reading, (active, candidate)) in (0u32..).zip(pairs) {
            if !before.stands(reading) {
                continue;
            }
            differences.compared += 1;
            differences.failed += u64::from(candidate.verdict == "failed");
            let kind = match (active.passes(), candidate.passes()) {
                (true, false) => "acceptToReject",
                (false, true) => "rejectToAccept",
                (true, true) if active != candidate => "changed",
                _ => continue,
            };
            match kind {
                "acceptToReject" => differences.accept_to_reject += 1,
                "rejectToAccept" => differences.reject_to_accept += 1,
                _ => differences.changed += 1,
            }
            if differences.samples.len() < samples
                && let Some((sensor, time)) = before.place_of(reading)
            {
                let sensor_id = sensor.to_owned();
                differences.samples.push(Difference { kind, sensor_id, time_micros: time, active, candidate });
            }
        }
        differences
    }

    /// Adds those of further readings.
    pub fn add(&mut self, other: Self, samples: usize) {
        self.compared += other.compared;
        self.accept_to_reject += other.accept_to_reject;
        self.reject_to_accept += other.reject_to_accept;
        self.changed += other.changed;
        self.failed += other.failed;
        let room = samples.saturating_sub(self.samples.len());
        self.samples.extend(other.samples.into_iter().take(room));
    }

    /// True where nothing differs and nothing failed.
    pub fn is_clean(&self) -> bool {
        self.accept_to_reject + self.reject_to_accept + self.changed + self.failed == 0
    }
}
