//! `POST` of readings: one, many in a JSON body, or any number as NDJSON.

use std::time::Duration;

use axum::extract::{Request, State};
use axum::http::header;
use bytes::Bytes;
use chrono::DateTime;
use futures_util::{StreamExt as _, TryStreamExt as _};
use serde::{Deserialize, Serialize};
use tokio_util::codec::{AnyDelimiterCodec, AnyDelimiterCodecError, FramedRead};
use tokio_util::io::StreamReader;
use utoipa::openapi::schema::Type;
use utoipa::{IntoParams, ToSchema};

use crate::batch::Refuser;
use crate::error::{Detail, Error, Kind};
use crate::gate::readings::{Admitted, Refused};
use crate::http::App;
use crate::http::input::{self, JsonBytes, Query};
use crate::http::reply::{Envelope, ErrorBody, Reply, created, ok};
use crate::ledger::Origin;
use crate::limits;
use crate::model::Caller;
use crate::schema::decode::{self, Collector};
use crate::terms::{self, Name, NameOrNothing, TopicName, Units, Values, Way};
use crate::times::rfc3339;

/// A reading to be stored.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[expect(dead_code, reason = "it is the form for the OpenAPI document; schema::decode reads the bytes")]
pub struct NewReading {
    /// The sensor.
    #[schema(value_type = Name, example = "room-4")]
    sensor_id: String,
    /// From 1970 to a year ahead of now.
    #[schema(value_type = terms::Moment, example = "2026-05-04T12:00:00Z")]
    timestamp: String,
    /// A number, true, false or a text by metric.
    #[schema(value_type = Option<Values>)]
    values: Option<()>,
    /// Short for `values` with one metric called `value`.
    #[schema(value_type = Option<terms::Scalar>)]
    value: Option<()>,
    /// The topic whose rules apply.
    #[schema(value_type = Option<TopicName>)]
    topic: Option<String>,
    /// The schema that it follows, for your own use.
    #[schema(value_type = Option<NameOrNothing>)]
    schema_ref: Option<String>,
    /// `good`, `suspect` or `bad`.
    quality: Option<crate::batch::Quality>,
    /// The unit by metric; of metrics that have a value.
    #[schema(value_type = Option<Units>)]
    unit: Option<()>,
}

impl NewReading {
    /// Several values or one.
    pub(in crate::http) const WAYS: [Way<'static>; 2] = [
        Way { with: &[("values", &[Type::Object])], without: &["value"] },
        Way { with: &[("value", &[Type::Number, Type::Boolean, Type::String])], without: &["values"] },
    ];
}

/// Many readings to be stored.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "it is the form for the OpenAPI document; schema::decode reads the bytes")]
pub struct NewReadings {
    #[schema(min_items = 1)]
    readings: Vec<NewReading>,
}

/// What became of one reading.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = StoredReading)]
pub struct Stored {
    /// The sensor.
    sensor_id: String,
    /// Its time, as it is stored.
    timestamp: String,
    /// `stored`, `replaced` (there was another value) or `unchanged` (it was there already).
    outcome: &'static str,
}

/// Store one reading.
///
/// A reading that a schema or a validator refuses is a 422 with its name and reason, also where it is kept in quarantine.
#[utoipa::path(post, path = "/sensor-readings", tag = "readings", request_body = NewReading,
    responses((status = 201, body = Envelope<Stored>), (status = "default", body = ErrorBody)))]
pub(in crate::http) async fn create(caller: Caller, State(app): State<App>, JsonBytes(body): JsonBytes) -> Reply<Stored> {
    let mut collector = Collector::new(app.gate.clock.now());
    collector.add(&body, 0).map_err(Error::from)?;
    let batches = collector.finish();
    let columns = batches[0].columns();
    let sensor = columns.sensors[0].clone();
    let timestamp = rfc3339(DateTime::from_timestamp_micros(columns.time[0]).unwrap_or_default());
    let admitted = app.gate.readings_admit(&caller, batches, &Origin::Http, false).await.map_err(Error::from)?;
    if let Some(refused) = admitted.refusals.into_iter().next() {
        return Err(refusal(refused).into());
    }
    let counts = admitted.ledger.counts;
    let outcome = match (counts.replaced, counts.duplicate) {
        (0, 0) => "stored",
        (0, _) => "unchanged",
        _ => "replaced",
    };
    let escaped = percent_encoding::utf8_percent_encode(&sensor, percent_encoding::NON_ALPHANUMERIC);
    let location = format!("/api/timescale/sensor-readings/{escaped}/{timestamp}");
    created(&location, Stored { sensor_id: sensor, timestamp, outcome })
}

fn refusal(refused: Refused) -> Error {
    let Refused { refusal, quarantined, .. } = refused;
    let name = refusal.by.name();
    let kept = if quarantined { " It is kept in quarantine." } else { "" };
    let error = match refusal.by {
        Refuser::Decoder => Error::malformed(refusal.reason.clone()),
        Refuser::Policy => Error::new(Kind::Forbidden, refusal.reason.clone()),
        _ => Error::new(Kind::Refused, format!("`{name}` refuses this reading: {}.{kept}", refusal.reason.trim_end_matches('.'))),
    };
    let validator = Some(name.to_owned()).filter(|_| error.kind() == Kind::Refused);
    error.with_details([Detail { path: refusal.path.unwrap_or_default(), message: refusal.reason, validator }])
}

/// How many readings at once.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct BulkQuery {
    /// All or nothing: a refused reading makes it a 422, and nothing is stored.
    #[serde(default)]
    atomic: bool,
}

/// A reading that was refused.
#[derive(Debug, Serialize, ToSchema)]
pub struct Rejected {
    /// Its place in the body, from 0.
    index: u64,
    /// Why.
    reason: String,
    /// What refused it: a validator's or schema's name, `decoder` or `policy`.
    validator: String,
    /// Where in the reading.
    #[serde(skip_serializing_if = "Option::is_none")]
    path: Option<String>,
}

/// What became of many readings.
#[derive(Debug, Default, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct BulkOutcome {
    /// Stored, or there already with the same values.
    accepted: u64,
    /// Of those accepted, the ones that replaced another value.
    replaced: u64,
    /// Kept aside with the reason.
    quarantined: u64,
    /// Refused, those in quarantine left out.
    rejected_count: u64,
    /// The first 10,000 of those that were refused.
    rejected: Vec<Rejected>,
}

impl BulkOutcome {
    fn add(&mut self, admitted: Admitted) {
        let counts = admitted.ledger.counts;
        self.accepted += counts.stored + counts.duplicate;
        self.replaced += counts.replaced;
        self.quarantined += counts.quarantined;
        for Refused { index, refusal, .. } in admitted.refusals.into_iter().filter(|refused| !refused.quarantined) {
            self.reject(index, refusal.by.name(), refusal.reason, refusal.path);
        }
    }

    fn reject(&mut self, index: u64, validator: &str, reason: String, path: Option<String>) {
        self.rejected_count += 1;
        if self.rejected.len() < limits::BULK_REJECTED {
            self.rejected.push(Rejected { index, reason, validator: validator.to_owned(), path });
        }
    }
}

/// Store many readings.
///
/// As JSON, or as `application/x-ndjson` with a reading on each line and any length, of which 10,000 at a time are stored.
#[utoipa::path(post, path = "/sensor-readings/bulk", tag = "readings", params(BulkQuery),
    request_body(content((NewReadings = "application/json"), (String = "application/x-ndjson"))),
    responses((status = 200, body = Envelope<BulkOutcome>), (status = "default", body = ErrorBody)))]
pub(in crate::http) async fn bulk(
    caller: Caller,
    State(app): State<App>,
    Query(query): Query<BulkQuery>,
    request: Request,
) -> Reply<BulkOutcome> {
    let kind = request.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or("");
    if kind.split(';').next().is_some_and(|essence| essence.trim().eq_ignore_ascii_case("application/x-ndjson")) {
        return lines(&app, &caller, request, query.atomic).await;
    }
    input::expect_media_type(request.headers(), "application/json")?;
    let body = input::read(request.into_body(), limits::JSON_BODY_BYTES).await?;
    let readings = decode::bulk(&body)?;
    if readings.is_empty() {
        return Err(Error::malformed("`readings` is empty; send at least one.").at("/readings", "empty").into());
    }
    let mut chunk = Chunk::new(&app);
    for (reading, index) in readings.into_iter().zip(0..) {
        chunk.add(&reading, index);
    }
    let mut outcome = BulkOutcome::default();
    chunk.store(&app, &caller, query.atomic, &mut outcome).await?;
    ok(outcome)
}

/// Readings that are decided and stored together.
struct Chunk {
    collector: Collector,
    unreadable: Vec<(u64, decode::Fault)>,
    bytes: usize,
}

impl Chunk {
    fn new(app: &App) -> Self {
        Self { collector: Collector::new(app.gate.clock.now()), unreadable: Vec::new(), bytes: 0 }
    }

    fn add(&mut self, raw: &Bytes, index: u64) {
        self.bytes += raw.len();
        if let Err(fault) = self.collector.add(raw, index) {
            self.unreadable.push((index, fault));
        }
    }

    fn is_full(&self) -> bool {
        self.collector.len() + self.unreadable.len() >= limits::BULK_CHUNK_READINGS || self.bytes >= limits::JSON_BODY_BYTES
    }

    async fn store(self, app: &App, caller: &Caller, atomic: bool, outcome: &mut BulkOutcome) -> Result<(), Error> {
        if atomic && !self.unreadable.is_empty() {
            let count = self.unreadable.len();
            let sentence =
                format!("Nothing was stored, since {count} of the readings cannot be read and `atomic` was asked for.");
            return Err(Error::new(Kind::Refused, sentence).with_details(self.unreadable.into_iter().map(|(index, fault)| {
                Detail {
                    path: format!("/readings/{index}{}", fault.path),
                    message: fault.message,
                    validator: Some(Refuser::Decoder.name().to_owned()),
                }
            })));
        }
        for (index, fault) in self.unreadable {
            let path = Some(fault.path).filter(|path| !path.is_empty());
            outcome.reject(index, Refuser::Decoder.name(), fault.message, path);
        }
        if !self.collector.is_empty() {
            outcome.add(app.gate.readings_admit(caller, self.collector.finish(), &Origin::Http, atomic).await?);
        }
        outcome.rejected.sort_by_key(|rejected| rejected.index);
        Ok(())
    }
}

/// NDJSON: a chunk is stored while the next one is still on its way, so any length passes in constant memory.
async fn lines(app: &App, caller: &Caller, request: Request, atomic: bool) -> Reply<BulkOutcome> {
    let body = request.into_body().into_data_stream().map_err(std::io::Error::other);
    let codec = AnyDelimiterCodec::new_with_max_length(b"\n".to_vec(), b"".to_vec(), limits::READING_BYTES);
    let mut lines = std::pin::pin!(FramedRead::new(StreamReader::new(body), codec));
    let mut outcome = BulkOutcome::default();
    let mut chunk = Chunk::new(app);
    let mut index = 0;
    while let Some(line) = next(lines.as_mut(), limits::BODY_IDLE).await.map_err(|error| so_far(error, index, &outcome))? {
        if line.iter().all(u8::is_ascii_whitespace) {
            continue;
        }
        chunk.add(&line, index);
        index += 1;
        if chunk.is_full() {
            if atomic {
                let sentence = format!(
                    "`atomic` takes at most {} readings and {} bytes.",
                    limits::BULK_CHUNK_READINGS,
                    limits::JSON_BODY_BYTES
                );
                return Err(Error::new(Kind::TooLarge, sentence).into());
            }
            let full = std::mem::replace(&mut chunk, Chunk::new(app));
            full.store(app, caller, false, &mut outcome).await.map_err(|error| so_far(error, index, &outcome))?;
        }
    }
    if index == 0 {
        return Err(Error::malformed("The body is empty; send a reading on each line.").into());
    }
    chunk.store(app, caller, atomic, &mut outcome).await.map_err(|error| so_far(error, index, &outcome))?;
    ok(outcome)
}

/// The next line, or `None` at the end.
async fn next(
    lines: std::pin::Pin<&mut impl futures_util::Stream<Item = Result<Bytes, AnyDelimiterCodecError>>>,
    idle: Duration,
) -> Result<Option<Bytes>, Error> {
    let mut lines = lines;
    match tokio::time::timeout(idle, lines.next()).await {
        Err(_) => Err(Error::malformed(format!("The body was silent for {} s and was given up.", idle.as_secs()))),
        Ok(None) => Ok(None),
        Ok(Some(Ok(line))) => Ok(Some(line)),
        Ok(Some(Err(AnyDelimiterCodecError::MaxChunkLengthExceeded))) => {
            Err(Error::new(Kind::TooLarge, format!("A line has at most {} bytes.", limits::READING_BYTES)))
        }
        Ok(Some(Err(AnyDelimiterCodecError::Io(error)))) => {
            Err(Error::malformed("The body broke off before its end.").caused_by(error))
        }
    }
}

/// An error in the middle says what is stored already, so that the client knows what to send again.
fn so_far(error: Error, index: u64, outcome: &BulkOutcome) -> Error {
    let done = outcome.accepted + outcome.quarantined + outcome.rejected_count;
    if done == 0 {
        return error;
    }
    error.at(format!("line {index}"), format!("the first {done} readings were handled: {} accepted", outcome.accepted))
}
