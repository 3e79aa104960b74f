//! Where two ways of judging the same readings, or the same document, differ.

use serde::Serialize;
use serde_json::{Map, Number, Value as Json};

use super::{Batch, Refuser, Verdict};
use crate::limits;
use crate::model::Operation;

/// Counts of readings or documents that two ways were compared on, and the first of those on which they differ.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Differences {
    /// Those that both judged.
    pub compared: u64,
    /// Passed by the first, refused by the second.
    pub accept_to_reject: u64,
    /// Refused by the first, passed by the second.
    pub reject_to_accept: u64,
    /// Passed by both, but otherwise: another value, unit, quality or derived value, another document.
    pub changed: u64,
    /// Those on which the second failed (trap, limit). They count as refused besides.
    pub failed: u64,
    /// Some of them.
    pub samples: Vec<Difference>,
}

/// A reading or a document on which they differ.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Difference {
    /// `acceptToReject`, `rejectToAccept` or `changed`.
    pub kind: &'static str,
    /// Which it is.
    #[serde(flatten)]
    pub of: Compared,
    /// What the first made of it.
    pub active: Judged,
    /// What the second made of it.
    pub candidate: Judged,
}

/// What two ways were compared on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase", untagged)]
pub enum Compared {
    /// A reading.
    Reading {
        /// The sensor.
        sensor_id: String,
        /// Microseconds since the Unix epoch, UTC.
        time_micros: i64,
    },
    /// A document. What is in it is not told: one of both may have refused or removed what is not to be kept.
    Document {
        /// Which.
        document: DocumentPlace,
        /// Where what the second lets through is not what the first does: JSON Pointers, the first few.
        #[serde(skip_serializing_if = "Vec::is_empty")]
        differs_at: Vec<String>,
    },
}

/// Which document it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DocumentPlace {
    /// The kind of resource, as in the path.
    pub kind: String,
    /// What is to be done with it.
    pub operation: Operation,
    /// Its name or id; none before it has one.
    pub id: Option<String>,
}

/// What became of one reading, document or object.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Judged {
    /// `accept`, `suspect` (of a reading), `replace` (of a document or an object), `reject` or `failed`.
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
        matches!(self.verdict, "accept" | "suspect" | "replace")
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
            let Some(kind) = differences.count(&active, &candidate, active != candidate) else { continue };
            if differences.samples.len() < samples
                && let Some((sensor, time)) = before.place_of(reading)
            {
                let of = Compared::Reading { sensor_id: sensor.to_owned(), time_micros: time };
                differences.samples.push(Difference { kind, of, active, candidate });
            }
        }
        differences
    }

    /// Compares what two ways made of the same document; what each lets through, where it does, is the second of the pair.
    pub fn of_document(document: DocumentPlace, active: (Judged, Option<&Json>), candidate: (Judged, Option<&Json>)) -> Self {
        let mut differences = Self::default();
        let ((active, first), (candidate, second)) = (active, candidate);
        let differs_at = match (first, second) {
            (Some(first), Some(second)) => places(first, second, Number::eq, limits::GUEST_PROBLEMS),
            _ => Vec::new(),
        };
        if let Some(kind) = differences.count(&active, &candidate, !differs_at.is_empty()) {
            let of = Compared::Document { document, differs_at };
            differences.samples.push(Difference { kind, of, active, candidate });
        }
        differences
    }

    /// Counts one that both judged, and says how they differ on it.
    fn count(&mut self, active: &Judged, candidate: &Judged, otherwise: bool) -> Option<&'static str> {
        self.compared += 1;
        self.failed += u64::from(candidate.verdict == "failed");
        let (kind, counted) = match (active.passes(), candidate.passes()) {
            (true, false) => ("acceptToReject", &mut self.accept_to_reject),
            (false, true) => ("rejectToAccept", &mut self.reject_to_accept),
            (true, true) if otherwise => ("changed", &mut self.changed),
            _ => return None,
        };
        *counted += 1;
        Some(kind)
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

/// Where two JSON values differ, as JSON Pointers; no more than `most` of them. `same` compares numbers.
pub fn places(first: &Json, second: &Json, same: fn(&Number, &Number) -> bool, most: usize) -> Vec<String> {
    let mut found = Vec::new();
    look((Some(first), Some(second)), String::new(), same, most, &mut found);
    found
}

fn look(
    pair: (Option<&Json>, Option<&Json>),
    place: String,
    same: fn(&Number, &Number) -> bool,
    most: usize,
    found: &mut Vec<String>,
) {
    if found.len() >= most {
        return;
    }
    match pair {
        (Some(Json::Object(first)), Some(Json::Object(second))) => {
            let new = second.keys().filter(|name| !first.contains_key(*name));
            for name in first.keys().chain(new) {
                let within = format!("{place}/{}", name.replace('~', "~0").replace('/', "~1"));
                look((first.get(name), second.get(name)), within, same, most, found);
            }
        }
        (Some(Json::Array(first)), Some(Json::Array(second))) => {
            for at in 0..first.len().max(second.len()) {
                look((first.get(at), second.get(at)), format!("{place}/{at}"), same, most, found);
            }
        }
        (Some(Json::Number(first)), Some(Json::Number(second))) if same(first, second) => {}
        (first, second) if first == second => {}
        _ => found.push(place),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_document_is_compared_by_what_passes_and_its_content_is_not_told() {
        let place = || DocumentPlace { kind: "kafka-topics".to_owned(), operation: Operation::Create, id: None };
        let judged = |verdict| Judged { verdict, reason: None, by: None, values: Map::new(), units: Map::new() };
        let (masked, open) = (json!({"name": "rooms", "description": "***"}), json!({"name": "rooms", "description": "Ann"}));
        let of = |active, candidate| Differences::of_document(place(), active, candidate);
        assert!(of((judged("accept"), Some(&open)), (judged("replace"), Some(&open))).is_clean());
        assert!(of((judged("reject"), None), (judged("reject"), None)).is_clean());
        let changed = of((judged("replace"), Some(&masked)), (judged("accept"), Some(&open)));
        assert_eq!((changed.compared, changed.changed), (1, 1));
        let sample = json!(changed.samples[0]);
        assert_eq!(
            sample,
            json!({
                "kind": "changed", "document": {"kind": "kafka-topics", "operation": "create", "id": null},
                "differsAt": ["/description"], "active": {"verdict": "replace"}, "candidate": {"verdict": "accept"},
            })
        );
        assert_eq!(of((judged("accept"), Some(&open)), (judged("reject"), None)).accept_to_reject, 1);
        assert_eq!(of((judged("reject"), None), (judged("replace"), Some(&masked))).reject_to_accept, 1);
        assert_eq!(of((judged("accept"), Some(&open)), (judged("failed"), None)).failed, 1);
    }

    #[test]
    fn places_are_pointers_to_what_differs() {
        let of = |first: Json, second: Json| places(&first, &second, Number::eq, 10);
        assert!(of(json!({"a": [1, {"b": null}]}), json!({"a": [1, {"b": null}]})).is_empty());
        assert_eq!(of(json!({"a": 1, "b/c": {"d~": 2}}), json!({"b/c": {"d~": 3}, "e": 4})), ["/a", "/b~1c/d~0", "/e"]);
        assert_eq!(of(json!({"a": [1, 2]}), json!({"a": [1, 3, null]})), ["/a/1", "/a/2"]);
        assert_eq!(of(json!([]), json!({})), [""]);
        assert_eq!(places(&json!([1, 2, 3]), &json!([]), Number::eq, 2), ["/0", "/1"]);
    }
}
