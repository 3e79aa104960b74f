//! What goes out: the envelope, `ETag`s, cursors, and the one place where an [`Error`] becomes a status code.
//!
//! Nothing below `http/` knows a status code, and no handler builds a body of its own.

use axum::body::Body;
use axum::http::{HeaderName, HeaderValue, Response, StatusCode, header};
use axum::response::IntoResponse;
use serde::Serialize;
use utoipa::ToSchema;

use crate::error::{Chain, Error, Kind};
use crate::limits;
use crate::model::{Clock as _, SystemClock};
use crate::times::rfc3339;

tokio::task_local! {
    /// The id of the request that is being answered; set by `layers`, read by error bodies.
    pub(super) static REQUEST_ID: std::sync::Arc<str>;
}

/// What every handler returns.
pub type Reply<T> = Result<Success<T>, Problem>;

/// The body of a success.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Envelope<T> {
    /// What was asked for.
    pub data: T,
    /// When it was answered.
    #[schema(example = "2026-05-04T12:00:00.000000Z")]
    pub timestamp: String,
}

/// The body of a list.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Page<T> {
    /// The items of this page.
    pub data: Vec<T>,
    /// What to send as `cursor` for the next page; null at the end.
    pub next_cursor: Option<String>,
    /// When it was answered.
    #[schema(example = "2026-05-04T12:00:00.000000Z")]
    pub timestamp: String,
}

/// The body of every error.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ErrorBody {
    /// A sentence that says what to do.
    pub error: String,
    /// The status code once more.
    pub code: u16,
    /// When it was answered.
    #[schema(example = "2026-05-04T12:00:00.000000Z")]
    pub timestamp: String,
    /// Finds this request in the log.
    pub request_id: String,
    /// Where and what, if that is known.
    pub details: Vec<ErrorDetail>,
}

/// One thing that is wrong with a request.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ErrorDetail {
    /// A JSON pointer into the body, or the name of a parameter or header.
    #[schema(example = "/values/temperature")]
    pub path: String,
    /// What is wrong there.
    pub message: String,
    /// The validator or schema that refused it, where one did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub validator: Option<String>,
}

/// A success: status, headers and what goes into the body.
#[derive(Debug)]
pub struct Success<T> {
    status: StatusCode,
    headers: Vec<(HeaderName, HeaderValue)>,
    content: Content<T>,
}

#[derive(Debug)]
enum Content<T> {
    Data(T),
    Page(T, Option<String>),
    Nothing,
}

/// 200 with `data`; a single resource gets a strong `ETag` over its JSON.
pub fn ok<T: Serialize>(data: T) -> Reply<T> {
    Ok(Success { status: StatusCode::OK, headers: Vec::new(), content: Content::Data(data) })
}

/// 201 with `data` and where it lives from now on.
pub fn created<T: Serialize>(location: &str, data: T) -> Reply<T> {
    let location = HeaderValue::from_str(location).map_err(Error::internal)?;
    Ok(Success { status: StatusCode::CREATED, headers: vec![(header::LOCATION, location)], content: Content::Data(data) })
}

/// 200 with one page of a list.
pub fn page<T: Serialize>(items: Vec<T>, next_cursor: Option<String>) -> Reply<Vec<T>> {
    Ok(Success { status: StatusCode::OK, headers: Vec::new(), content: Content::Page(items, next_cursor) })
}

/// 204.
pub fn no_content() -> Reply<()> {
    Ok(Success { status: StatusCode::NO_CONTENT, headers: Vec::new(), content: Content::Nothing })
}

impl<T> Success<T> {
    /// With one more header; an `ETag` takes the place of the one over the JSON.
    pub(super) fn with(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }
}

impl<T: Serialize> IntoResponse for Success<T> {
    fn into_response(self) -> axum::response::Response {
        let timestamp = timestamp();
        let (body, etag) = match self.content {
            Content::Nothing => (None, None),
            Content::Data(data) => match serde_json::value::to_raw_value(&data) {
                Ok(data) => {
                    let etag = (self.status == StatusCode::OK).then(|| etag(data.get().as_bytes()));
                    (Some(serde_json::to_vec(&Envelope { data, timestamp })), etag)
                }
                Err(error) => (Some(Err(error)), None),
            },
            Content::Page(data, next_cursor) => {
                let page = PageOut { data, next_cursor, timestamp };
                (Some(serde_json::to_vec(&page)), None)
            }
        };
        let body = match body {
            None => return (self.status, header_map(self.headers)).into_response(),
            Some(Ok(body)) => body,
            Some(Err(error)) => return Problem(Error::internal(error)).into_response(),
        };
        let mut response = Response::new(Body::from(body));
        *response.status_mut() = self.status;
        response.headers_mut().extend(header_map(self.headers));
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if let Some(etag) = etag {
            response.headers_mut().entry(header::ETAG).or_insert(etag);
        }
        response
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct PageOut<T> {
    data: T,
    next_cursor: Option<String>,
    timestamp: String,
}

/// 200 with a body that is no JSON, or 206 where it is a part of one.
pub(super) fn content(headers: Vec<(HeaderName, HeaderValue)>, part: bool, body: Body) -> axum::response::Response {
    let status = if part { StatusCode::PARTIAL_CONTENT } else { StatusCode::OK };
    (status, header_map(headers), body).into_response()
}

/// An answer that was given before.
pub(super) fn again(status: u16, headers: &[(String, String)], body: Vec<u8>) -> Result<axum::response::Response, Error> {
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = StatusCode::from_u16(status).map_err(Error::internal)?;
    for (name, value) in headers {
        let name = HeaderName::try_from(name).map_err(Error::internal)?;
        response.headers_mut().insert(name, HeaderValue::from_str(value).map_err(Error::internal)?);
    }
    response.headers_mut().insert("idempotency-replayed", HeaderValue::from_static("true"));
    Ok(response)
}

fn header_map(headers: Vec<(HeaderName, HeaderValue)>) -> axum::http::HeaderMap {
    headers.into_iter().collect()
}

/// The first half of the SHA-256 of the data, in quotes: the same data has the same tag on every replica.
fn etag(data: &[u8]) -> HeaderValue {
    let digest = crate::rules::Digest::of(data).to_string();
    let quoted = format!("\"{}\"", &digest[..32]);
    HeaderValue::from_str(&quoted).unwrap_or(HeaderValue::from_static("\"\""))
}

/// True where `If-Match` names no tag, any, or that of `data` as it is now.
pub(super) fn is_unchanged<T: Serialize>(if_match: Option<&HeaderValue>, data: &T) -> bool {
    let Some(wanted) = if_match else { return true };
    let Some(now) = serde_json::to_vec(data).ok().map(|data| etag(&data)) else { return false };
    let mut tags = wanted.to_str().unwrap_or("").split(',').map(str::trim);
    // The comparison is the strong one: a weak tag matches nothing.
    tags.any(|tag| tag == "*" || tag.as_bytes() == now.as_bytes())
}

fn timestamp() -> String {
    rfc3339(SystemClock.now())
}

/// 304 in place of a 200 whose `ETag` is among those that the client says it has.
pub(super) fn unless_known(known: &HeaderValue, response: axum::response::Response) -> axum::response::Response {
    let same = response.status() == StatusCode::OK
        && response.headers().get(header::ETAG).zip(known.to_str().ok()).is_some_and(|(etag, known)| {
            let mut tags = known.split(',').map(str::trim);
            tags.any(|tag| tag == "*" || tag.trim_start_matches("W/").as_bytes() == etag.as_bytes())
        });
    if !same {
        return response;
    }
    let (mut parts, _) = response.into_parts();
    parts.status = StatusCode::NOT_MODIFIED;
    parts.headers.remove(header::CONTENT_LENGTH);
    parts.headers.remove(header::CONTENT_TYPE);
    axum::response::Response::from_parts(parts, Body::empty())
}

/// The answer of a health check: 503 where the API cannot work, so that a balancer turns elsewhere.
pub(super) fn health<T: Serialize>(works: bool, body: T) -> axum::response::Response {
    let status = if works { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, axum::Json(body)).into_response()
}

/// An [`Error`] on its way out.
#[derive(Debug)]
pub struct Problem(pub Error);

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        Self(error)
    }
}

/// What an answer's client was told is wrong, for those that see the answer on its way out.
#[derive(Clone, Debug)]
pub(super) struct Told(pub(super) String);

/// The status code of each kind of error.
fn status(kind: Kind) -> StatusCode {
    match kind {
        Kind::Malformed => StatusCode::BAD_REQUEST,
        Kind::Unauthenticated => StatusCode::UNAUTHORIZED,
        Kind::Forbidden => StatusCode::FORBIDDEN,
        Kind::NotFound => StatusCode::NOT_FOUND,
        Kind::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
        Kind::Conflict => StatusCode::CONFLICT,
        Kind::Stale => StatusCode::PRECONDITION_FAILED,
        Kind::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        Kind::UnsupportedMediaType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
        Kind::Refused => StatusCode::UNPROCESSABLE_ENTITY,
        Kind::RateLimited => StatusCode::TOO_MANY_REQUESTS,
        Kind::RangeNotSatisfiable => StatusCode::RANGE_NOT_SATISFIABLE,
        Kind::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        Kind::Internal => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

/// What a client is told of an error. Errors end here, so they are logged here: once, with their causes, and only where the operator has
/// something to do.
pub(super) fn told(error: &Error) -> (StatusCode, ErrorBody) {
    let status = status(error.kind());
    let request_id = REQUEST_ID.try_with(ToString::to_string).unwrap_or_default();
    match error.kind() {
        Kind::Internal => tracing::error!(request_id, error = %Chain(error), "request {request_id} failed"),
        Kind::Unavailable => tracing::warn!(request_id, error = %Chain(error), "request {request_id} found a backend away"),
        _ => tracing::debug!(request_id, error = %Chain(error), "request {request_id} was refused"),
    }
    let details = error.details().iter().take(limits::ERROR_DETAILS).map(|detail| ErrorDetail {
        path: detail.path.clone(),
        message: detail.message.clone(),
        validator: detail.validator.clone(),
    });
    let (details, code) = (details.collect(), status.as_u16());
    (status, ErrorBody { error: error.sentence().to_owned(), code, timestamp: timestamp(), request_id, details })
}

impl IntoResponse for Problem {
    fn into_response(self) -> axum::response::Response {
        let Self(error) = self;
        let (status, body) = told(&error);
        let told = Told(body.error.clone());
        let mut response = (status, axum::Json(body)).into_response();
        response.extensions_mut().insert(told);
        if let Some(wait) = error.wait() {
            response
                .headers_mut()
                .insert(header::RETRY_AFTER, HeaderValue::from((wait.as_secs() + u64::from(wait.subsec_nanos() > 0)).max(1)));
        }
        if status == StatusCode::PAYLOAD_TOO_LARGE {
            // The rest of the body is not read, so the connection cannot carry another request.
            response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        if status == StatusCode::UNAUTHORIZED {
            response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}
