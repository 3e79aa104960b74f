//! `/api/explain`: what would become of a reading, a document or a request, and why.

use axum::extract::State;
use chrono::DateTime;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::openapi::schema::{ObjectBuilder, Type};
use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

use super::App;
use super::input::Json;
use super::readings::write::NewReading;
use super::reply::{Envelope, ErrorBody, Reply, ok};
use super::trial::{Fault, LogLine};
use crate::batch::Quality;
use crate::error::Error;
use crate::forms::Object;
use crate::gate::documents;
use crate::gate::explain::{Decision, Document, End, Explained, Passage, Question, SchemaVerdict};
use crate::model::{Action, Caller, Operation};
use crate::terms::{SubjectName, Way};
use crate::times::rfc3339;

/// What is to be explained: one of `reading`, `document` and `request`.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ExplainForm {
    /// Whose wish it is, as the policy names it: `token:device-1`, `service:writer` for what comes from Kafka. The caller's own where it is
    /// not given.
    #[schema(value_type = Option<SubjectName>)]
    subject: Option<String>,
    #[schema(value_type = Option<NewReading>)]
    reading: Option<Value>,
    #[schema(value_type = Option<DocumentForm>)]
    document: Option<Object<DocumentForm>>,
    #[schema(value_type = Option<RequestForm>)]
    request: Option<Object<RequestForm>>,
}

impl ExplainForm {
    /// One question at a time.
    pub(super) const WAYS: [Way<'static>; 3] = [
        Way { with: &[("reading", &[Type::Object])], without: &["document", "request"] },
        Way { with: &[("document", &[Type::Object])], without: &["reading", "request"] },
        Way { with: &[("request", &[Type::Object])], without: &["reading", "document"] },
    ];
}

/// A resource of the platform, as it is sent.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct DocumentForm {
    #[schema(value_type = DocumentKind)]
    kind: String,
    /// `create` where it is not given.
    operation: Option<Operation>,
    id: Option<String>,
    #[schema(value_type = Object)]
    body: Map<String, Value>,
}

/// The collection of a document: one of those that may have a chain.
#[derive(Debug)]
pub struct DocumentKind;

impl PartialSchema for DocumentKind {
    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new().schema_type(Type::String).enum_values(Some(documents::KINDS)).into()
    }
}

impl ToSchema for DocumentKind {}

/// A request, in the policy's terms.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RequestForm {
    /// `read`, `write`, `delete` or `admin`.
    action: Action,
    /// A path as the policy has it: `/timescale/sensors/room-4`.
    object: String,
}

/// What would become of it. Nothing was stored.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Explanation {
    subject: String,
    /// `done`, `stored`, `quarantined` or `refused`.
    outcome: &'static str,
    /// Why it is not stored.
    reason: Option<String>,
    policy: PolicyPart,
    /// Schema version and module digests of the topic, as they stand in the ledger.
    pipeline: Option<String>,
    schema: Option<SchemaPart>,
    /// Each module that it was shown to, in the chain's order.
    modules: Vec<ModulePart>,
    /// What would be written.
    would_store: Option<StoredPart>,
}

/// The policy's part.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct PolicyPart {
    revision: String,
    decisions: Vec<DecisionPart>,
}

/// One decision.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct DecisionPart {
    object: String,
    action: Action,
    allowed: bool,
    /// The rule that allows it, or the ones that came nearest and the part of them that failed.
    rule: String,
}

/// The JSON Schema's part.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct SchemaPart {
    schema: String,
    accepted: bool,
    path: Option<String>,
    reason: Option<String>,
}

/// A module's part.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ModulePart {
    validator: String,
    version: i32,
    /// `accepted`, `replaced`, `rejected` or `failed`.
    outcome: &'static str,
    calls: u32,
    micros: u64,
    peak_memory_bytes: usize,
    fault: Option<Fault>,
    logs: Vec<LogLine>,
}

/// What would be written.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct StoredPart {
    sensor_id: Option<String>,
    timestamp: Option<String>,
    /// `good`, `suspect` or `bad`; of a reading.
    quality: Option<Quality>,
    #[schema(value_type = Object)]
    values: Map<String, Value>,
    #[schema(value_type = Object)]
    units: Map<String, Value>,
}

impl From<Decision> for DecisionPart {
    fn from(decision: Decision) -> Self {
        let Decision { object, action, decided } = decision;
        let allowed = decided.is_ok();
        let rule = decided.unwrap_or_else(|reason| reason);
        Self { object, action, allowed, rule }
    }
}

impl From<SchemaVerdict> for SchemaPart {
    fn from(verdict: SchemaVerdict) -> Self {
        let accepted = verdict.refusal.is_none();
        let (path, reason) = verdict.refusal.map_or((None, None), |(path, reason)| (path, Some(reason)));
        Self { schema: verdict.schema, accepted, path, reason }
    }
}

impl From<Passage> for ModulePart {
    fn from(passage: Passage) -> Self {
        let counts = passage.counts;
        let outcome = match (counts.failed, counts.rejected, counts.replaced) {
            (1.., ..) => "failed",
            (_, 1.., _) => "rejected",
            (_, _, 1..) => "replaced",
            _ => "accepted",
        };
        Self {
            validator: passage.name.to_string(),
            version: passage.version,
            outcome,
            calls: passage.calls,
            micros: u64::try_from(passage.took.as_micros()).unwrap_or(u64::MAX),
            peak_memory_bytes: passage.peak_memory_bytes,
            fault: passage.fault.map(Into::into),
            logs: passage.log.lines.into_iter().map(Into::into).collect(),
        }
    }
}

impl From<Explained> for Explanation {
    fn from(explained: Explained) -> Self {
        let Explained { subject, policy, decisions, pipeline, schema, modules, place, end } = explained;
        let of_reading = place.is_some();
        let (sensor_id, time) = place.map_or((None, None), |(sensor, time)| (Some(sensor), Some(time)));
        let (outcome, reason, would_store) = match end {
            End::Done => ("done", None, None),
            End::Quarantined(reason) => ("quarantined", Some(reason), None),
            End::Refused(reason) => ("refused", Some(reason), None),
            End::Stored(quality, judged) => {
                let quality = of_reading.then_some(quality);
                let timestamp = time.and_then(DateTime::from_timestamp_micros).map(rfc3339);
                ("stored", None, Some(StoredPart { sensor_id, timestamp, quality, values: judged.values, units: judged.units }))
            }
        };
        Self {
            subject,
            outcome,
            reason,
            policy: PolicyPart { revision: policy, decisions: decisions.into_iter().map(Into::into).collect() },
            pipeline,
            schema: schema.map(Into::into),
            modules: modules.into_iter().map(Into::into).collect(),
            would_store,
        }
    }
}

/// Explain what would become of a reading, a document or a request. The deciders of live traffic are asked, and nothing is stored.
#[utoipa::path(post, path = "/api/explain", tag = "explain", request_body = ExplainForm,
    responses((status = 200, body = Envelope<Explanation>), (status = "4XX", body = ErrorBody)))]
pub(super) async fn explain(caller: Caller, State(app): State<App>, Json(form): Json<ExplainForm>) -> Reply<Explanation> {
    let question =
        match (form.reading, form.document.map(|Object(document)| document), form.request.map(|Object(request)| request)) {
            (Some(reading), None, None) => Question::Reading(reading),
            (None, Some(DocumentForm { kind, operation, id, body }), None) => Question::Document(Document {
                kind,
                operation: operation.unwrap_or(Operation::Create),
                subject: String::new(),
                id,
                body: Value::Object(body),
            }),
            (None, None, Some(RequestForm { action, object })) => Question::Request { action, object },
            _ => {
                return Err(Error::malformed("Send one of `reading`, `document` and `request`.")
                    .at("", "none or several")
                    .into());
            }
        };
    ok(app.gate.explain(&caller, form.subject.as_deref(), question).await?.into())
}
