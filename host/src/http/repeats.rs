//! `Idempotency-Key`: a POST that is sent again under the same key gets the first one's answer, for a day.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{FromRequestParts as _, Request, State};
use axum::http::{HeaderMap, Method, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use serde::{Deserialize, Serialize};
use tracing::Instrument as _;

use super::App;
use super::caller::bearer;
use super::input;
use super::reply::{self, Problem, REQUEST_ID};
use crate::error::{Chain, Error};
use crate::gate::repeats::Claim;
use crate::limits;
use crate::model::Caller;
use crate::rules::Digest;

/// Where a client names the key.
pub(super) const KEY: &str = "idempotency-key";
/// Headers of an answer that are given again.
const KEPT: [header::HeaderName; 3] = [header::CONTENT_TYPE, header::ETAG, header::LOCATION];

/// An answer, as it is kept.
#[derive(Serialize, Deserialize)]
struct Kept {
    status: u16,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

/// Does a request once.
pub(super) async fn once(State(app): State<App>, request: Request, next: Next) -> Response {
    // Without credentials there is nobody whose key it is: a login, or what is refused anyway.
    let keyed = request.headers().contains_key(KEY) && request.headers().contains_key(header::AUTHORIZATION);
    if request.method() != Method::POST || !keyed {
        return next.run(request).await;
    }
    match answered(&app, request, next).await {
        Ok(response) => response,
        Err(error) => Problem(error).into_response(),
    }
}

async fn answered(app: &App, request: Request, next: Next) -> Result<Response, Error> {
    let key = key(request.headers())?;
    let (mut parts, body) = request.into_parts();
    let mut caller = Caller::from_request_parts(&mut parts, app).await.map_err(|Problem(error)| error)?;
    let bearer = bearer(&parts)?.to_owned();
    let body = input::read(body, limits::JSON_BODY_BYTES).await?;
    let asked = [parts.uri.to_string().as_bytes(), b"\n", &body].concat();
    match app.gate.repeat_claim(&caller, &bearer, &key, Digest::of(&asked)).await? {
        Claim::Answered(answer) => {
            let Kept { status, headers, body } = serde_json::from_slice(&answer).map_err(Error::internal)?;
            return reply::again(status, &headers, body);
        }
        Claim::Other => {
            let sentence = "This `Idempotency-Key` was used for another request, or with another credential; choose a new one for each request.";
            return Err(Error::conflict(sentence).at("Idempotency-Key", "used before"));
        }
        Claim::UnderWay => {
            let sentence = "The first request of this `Idempotency-Key` is still under way; ask again for its answer.";
            return Err(Error::conflict(sentence).retry_after(limits::RETRY_AFTER));
        }
        Claim::Lost => {
            let sentence = "The first request of this `Idempotency-Key` was done, at least in part, but its answer is lost. Look for what \
                            it made, and choose a new key for anything else.";
            return Err(Error::conflict(sentence).at("Idempotency-Key", "done, without an answer"));
        }
        Claim::New(claim) => caller.attempt.claim = Some(claim),
    }
    parts.extensions.insert(caller.clone());
    // In a task of its own: who hangs up is who sends it again, and must find the answer and not a key without one.
    let (app, request) = (app.clone(), Request::from_parts(parts, Body::from(body)));
    let tracker = app.begun.clone();
    let done = async move { settle(&app, &caller, &bearer, &key, next.run(request).await).await };
    let id = REQUEST_ID.try_with(Arc::clone).unwrap_or_else(|_| "".into());
    tracker.spawn(REQUEST_ID.scope(id, done).in_current_span()).await.map_err(Error::internal)?
}

/// Keeps what was answered. What may go otherwise next time (a backend away, too many requests, a defect) leaves the key free.
async fn settle(app: &App, caller: &Caller, bearer: &str, key: &str, response: Response) -> Result<Response, Error> {
    let status = response.status().as_u16();
    let (parts, body) = response.into_parts();
    let body = input::read(body, limits::IDEMPOTENT_BYTES).await?;
    let last = status < 500 && status != 429;
    let text =
        |name: &header::HeaderName| parts.headers.get(name)?.to_str().ok().map(|value| (name.to_string(), value.to_owned()));
    let kept = Kept { status, headers: KEPT.iter().filter_map(text).collect(), body: body.to_vec() };
    let kept = serde_json::to_vec(&kept).map_err(Error::internal)?;
    if let Err(error) = app.gate.repeat_settle(caller, bearer, key, last.then_some(&kept[..])).await {
        // The answer stands. Who repeats the request waits until the claim is too old to be under way.
        tracing::warn!(error = %Chain(&error), "an answer could not be kept for its idempotency key");
    }
    Ok(Response::from_parts(parts, Body::from(body)))
}

fn key(headers: &HeaderMap) -> Result<String, Error> {
    let key = headers.get(KEY).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let sound = (1..=limits::NAME_BYTES).contains(&key.len()) && key.bytes().all(|byte| byte.is_ascii_graphic());
    if sound {
        return Ok(key.to_owned());
    }
    let sentence = format!("An `Idempotency-Key` has 1 to {} printable ASCII characters and no blanks.", limits::NAME_BYTES);
    Err(Error::malformed(sentence).at("Idempotency-Key", "not a key"))
}
