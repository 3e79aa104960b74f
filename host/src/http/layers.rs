//! What every request passes, whatever its route: a request id, a log line, metrics, a time limit, unknown parameters, `If-None-Match`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Instant;

use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderValue, Method, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use tracing::Instrument as _;
use utoipa::openapi::path::ParameterIn;
use utoipa::openapi::{OpenApi, RefOr};
use uuid::Uuid;

use super::App;
use super::reply::{self, Problem, REQUEST_ID, Told};
use crate::error::{Error, Kind};
use crate::limits;
use crate::model::Attempt;
use crate::vitals::RequestLabels;

/// Gives the request its id, logs and counts it, and puts the id on the answer.
pub(super) async fn observe(State(app): State<App>, request: Request, next: Next) -> Response {
    let started = Instant::now();
    let id = request_id(&request);
    let method = request.method().clone();
    let path = request.uri().path().to_owned();
    let route = request.extensions().get::<MatchedPath>().map_or_else(|| "unmatched".to_owned(), |path| path.as_str().to_owned());
    let span = tracing::info_span!("request", request_id = %id);
    let answer = REQUEST_ID.scope(Arc::clone(&id), next.run(request));
    let mut response = answer.instrument(span).await;
    if let Ok(value) = HeaderValue::from_str(&id) {
        response.headers_mut().insert("x-request-id", value);
    }
    let status = response.status().as_u16();
    let elapsed = started.elapsed().as_secs_f64();
    let vitals = &app.gate.vitals;
    vitals.request_seconds.observe(elapsed);
    let labels = RequestLabels { method: known_method(&method), route, status };
    vitals.requests.get_or_create(&labels).inc();
    // Orchestrators ask every second; what they find is on the board.
    if path.starts_with("/health") {
        tracing::debug!(request_id = %id, %method, path, status, seconds = elapsed, "{method} {path} {status}");
    } else {
        tracing::info!(request_id = %id, %method, path, status, seconds = elapsed, "{method} {path} {status}");
    }
    response
}

/// Methods are a label, so only the known ones are; anybody can make up others.
fn known_method(method: &Method) -> String {
    match method.as_str() {
        known @ ("GET" | "HEAD" | "POST" | "PUT" | "PATCH" | "DELETE" | "OPTIONS") => known.to_owned(),
        _ => "other".to_owned(),
    }
}

/// The client's own id where it is short and printable, else a new one.
fn request_id(request: &Request) -> Arc<str> {
    let sent = request.headers().get("x-request-id").and_then(|value| value.to_str().ok());
    let usable =
        |id: &&str| !id.is_empty() && id.len() <= limits::REQUEST_ID_BYTES && id.bytes().all(|byte| byte.is_ascii_graphic());
    sent.filter(usable).map_or_else(|| Uuid::now_v7().to_string().into(), Into::into)
}

/// Writes down what the policy allowed and was not done. Not of readings: what becomes of them is in the books and in quarantine, and they
/// are too many for a log in which each entry waits for the one before.
pub(super) async fn record_failures(State(app): State<App>, mut request: Request, next: Next) -> Response {
    let reads = matches!(*request.method(), Method::GET | Method::HEAD);
    if reads || request.uri().path().starts_with("/api/timescale/") {
        return next.run(request).await;
    }
    let attempt = Attempt::watched();
    request.extensions_mut().insert(attempt.clone());
    let response = next.run(request).await;
    if let Some(Told(sentence)) = response.extensions().get()
        && let Some(attempted) = attempt.take()
    {
        let request_id = REQUEST_ID.try_with(Arc::clone).unwrap_or_else(|_| "".into());
        app.gate.audit_failure(&attempted, &request_id, response.status().as_u16(), sentence).await;
    }
    response
}

/// Ends requests that take too long. Routes that stream a body either way are outside of it: they have a limit on silence instead.
pub(super) async fn time_limit(request: Request, next: Next) -> Response {
    match tokio::time::timeout(limits::REQUEST_TIME, next.run(request)).await {
        Ok(response) => response,
        Err(elapsed) => Problem(
            Error::new(Kind::Unavailable, "This took too long and was given up; ask for less at once, or try again shortly.")
                .retry_after(limits::RETRY_AFTER)
                .caused_by(elapsed),
        )
        .into_response(),
    }
}

/// The query parameters that each operation knows, from the document that its handlers wrote.
#[derive(Clone, Debug, Default)]
pub(super) struct KnownParameters(Arc<BTreeMap<(String, String), BTreeSet<String>>>);

impl KnownParameters {
    pub(super) fn of(document: &OpenApi) -> Self {
        let mut known = BTreeMap::new();
        for (path, item) in &document.paths.paths {
            let operations =
                [("GET", &item.get), ("PUT", &item.put), ("POST", &item.post), ("DELETE", &item.delete), ("HEAD", &item.head)];
            for (method, operation) in operations {
                let Some(operation) = operation else { continue };
                let query = operation.parameters.iter().flatten().filter_map(|parameter| match parameter {
                    RefOr::T(parameter) if parameter.parameter_in == ParameterIn::Query => Some(parameter.name.clone()),
                    _ => None,
                });
                known.insert((method.to_owned(), path.clone()), query.collect());
            }
        }
        Self(Arc::new(known))
    }
}

/// Refuses query parameters that the operation does not know, and names them.
pub(super) async fn known_parameters(State(known): State<KnownParameters>, request: Request, next: Next) -> Response {
    match unknown_parameters(&known, &request) {
        Ok(()) => next.run(request).await,
        Err(error) => Problem(error).into_response(),
    }
}

fn unknown_parameters(known: &KnownParameters, request: &Request) -> Result<(), Error> {
    let Some(query) = request.uri().query().filter(|query| !query.is_empty()) else { return Ok(()) };
    let Some(route) = request.extensions().get::<MatchedPath>() else { return Ok(()) };
    // A HEAD that has no operation of its own is answered by the GET.
    let find = |method: &str| known.0.get(&(method.to_owned(), route.as_str().to_owned()));
    let Some(names) = find(request.method().as_str()).or_else(|| find("GET")) else { return Ok(()) };
    let sent = query.split('&').filter(|pair| !pair.is_empty()).map(|pair| pair.split('=').next().unwrap_or(pair));
    let sent = sent.map(|name| percent_encoding::percent_decode_str(name).decode_utf8_lossy().into_owned());
    let unknown: Vec<String> = sent.filter(|name| !names.contains(name)).collect();
    if unknown.is_empty() {
        return Ok(());
    }
    let taken = if names.is_empty() { "none".to_owned() } else { names.iter().cloned().collect::<Vec<_>>().join(", ") };
    let sentence = format!("Unknown query parameter: {}. This endpoint takes: {taken}.", unknown.join(", "));
    Err(unknown.into_iter().fold(Error::malformed(sentence), |error, name| error.at(name, "unknown parameter")))
}

/// Answers 304 where the client has what it asks for.
pub(super) async fn not_modified(request: Request, next: Next) -> Response {
    let reads = matches!(*request.method(), Method::GET | Method::HEAD);
    let known = request.headers().get(header::IF_NONE_MATCH).filter(|_| reads).cloned();
    let response = next.run(request).await;
    match known {
        Some(known) => reply::unless_known(&known, response),
        None => response,
    }
}
