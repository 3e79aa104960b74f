//! What comes in: bodies, query parameters and path parameters, whose faults are the contract's errors.
//!
//! Forms derive `Deserialize` with `deny_unknown_fields`, so a mistyped name is an error that names it.

use std::convert::Infallible;

use axum::body::Body;
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, header};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use utoipa::IntoParams;

use super::App;
use super::reply::{Problem, is_unchanged};
use crate::error::{Error, Kind};
use crate::limits;
use crate::paging::PageOf;
use crate::terms::Cursor;

/// A JSON body of at most [`limits::JSON_BODY_BYTES`].
#[derive(Debug)]
pub struct Json<T>(pub T);

impl<T: DeserializeOwned> FromRequest<App> for Json<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &App) -> Result<Self, Self::Rejection> {
        let body = json_bytes(request).await?;
        Ok(Self(parse(&body)?))
    }
}

/// The bytes of a JSON body, for decoders that read them themselves.
#[derive(Debug)]
pub struct JsonBytes(pub Bytes);

impl FromRequest<App> for JsonBytes {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &App) -> Result<Self, Self::Rejection> {
        Ok(Self(json_bytes(request).await?))
    }
}

async fn json_bytes(request: Request) -> Result<Bytes, Error> {
    expect_media_type(request.headers(), "application/json")?;
    let body = read(request.into_body(), limits::JSON_BODY_BYTES).await?;
    if body.iter().all(u8::is_ascii_whitespace) {
        return Err(Error::malformed("The body is empty; send a JSON object."));
    }
    Ok(body)
}

/// Reads a body whole, up to `limit` bytes.
pub(super) async fn read(body: Body, limit: usize) -> Result<Bytes, Error> {
    axum::body::to_bytes(body, limit).await.map_err(|error| {
        let too_large = std::error::Error::source(&error).is_some_and(|cause| cause.to_string().contains("limit"));
        if too_large {
            Error::new(Kind::TooLarge, format!("The body is larger than the {limit} bytes that this endpoint takes."))
        } else {
            Error::malformed("The body broke off before its end.").caused_by(error)
        }
    })
}

/// Refuses any other `Content-Type` than `wanted`; its parameters do not count.
pub(super) fn expect_media_type(headers: &HeaderMap, wanted: &str) -> Result<(), Error> {
    let found = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or("");
    let essence = found.split(';').next().unwrap_or("").trim();
    if essence.eq_ignore_ascii_case(wanted) {
        return Ok(());
    }
    let found = if essence.is_empty() { "none".to_owned() } else { format!("`{essence}`") };
    Err(Error::new(Kind::UnsupportedMediaType, format!("Send `Content-Type: {wanted}`; this request has {found}.")))
}

fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, Error> {
    // An array would be taken as the fields in their order.
    if body.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'[') {
        return Err(Error::malformed("The body is an array; this endpoint takes a JSON object."));
    }
    let mut deserializer = serde_json::Deserializer::from_slice(body);
    let value = serde_path_to_error::deserialize(&mut deserializer).map_err(|error| {
        let path = pointer(error.path());
        let inner = error.into_inner();
        let sentence = match inner.classify() {
            serde_json::error::Category::Data => "The body does not have the form that this endpoint takes.",
            _ => "The body is not valid JSON.",
        };
        Error::malformed(sentence).at(path, inner.to_string())
    })?;
    deserializer.end().map_err(|error| Error::malformed("The body goes on after its JSON value.").at("", error.to_string()))?;
    Ok(value)
}

fn pointer(path: &serde_path_to_error::Path) -> String {
    use serde_path_to_error::Segment;
    path.iter().fold(String::new(), |mut pointer, segment| {
        pointer.push('/');
        match segment {
            Segment::Seq { index } => pointer.push_str(&index.to_string()),
            Segment::Map { key } => pointer.push_str(&key.replace('~', "~0").replace('/', "~1")),
            Segment::Enum { variant } => pointer.push_str(variant),
            Segment::Unknown => pointer.push('?'),
        }
        pointer
    })
}

/// Query parameters.
#[derive(Debug)]
pub struct Query<T>(pub T);

impl<T: DeserializeOwned> FromRequestParts<App> for Query<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &App) -> Result<Self, Self::Rejection> {
        let axum::extract::Query(query) = axum::extract::Query::try_from_uri(&parts.uri).map_err(|rejection| {
            let cause = std::error::Error::source(&rejection).map_or_else(|| rejection.to_string(), ToString::to_string);
            Error::malformed("A query parameter cannot be read.").at("query", cause)
        })?;
        Ok(Self(query))
    }
}

/// Path parameters.
#[derive(Debug)]
pub struct Path<T>(pub T);

impl<T: DeserializeOwned + Send> FromRequestParts<App> for Path<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Self::Rejection> {
        let axum::extract::Path(path) = axum::extract::Path::from_request_parts(parts, app)
            .await
            .map_err(|rejection| Error::malformed("A part of the path cannot be read.").at("path", rejection.body_text()))?;
        Ok(Self(path))
    }
}

/// What `If-Match` says: the request is about a thing as it was when the client read it.
#[derive(Debug)]
pub struct IfMatch(Option<HeaderValue>);

impl IfMatch {
    /// True where the thing is still as the client read it, or the client does not say.
    pub fn fits<T: Serialize>(&self, now: &T) -> bool {
        is_unchanged(self.0.as_ref(), now)
    }
}

impl FromRequestParts<App> for IfMatch {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &App) -> Result<Self, Self::Rejection> {
        Ok(Self(parts.headers.get(header::IF_MATCH).cloned()))
    }
}

/// Query parameters of a list. Those of its filters stand beside them; what no endpoint knows is refused before (`layers`).
#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct PageQuery {
    /// Items of a page.
    #[param(minimum = 1, maximum = 1000, default = 100)]
    limit: Option<u32>,
    /// `nextCursor` of the page before.
    #[param(value_type = Cursor, required = false, inline)]
    cursor: Option<String>,
}

impl PageQuery {
    /// The page that is asked for.
    pub fn page(&self) -> Result<PageOf, Error> {
        page_of(self.limit, self.cursor.as_deref())
    }
}

/// The page that `limit` and `cursor` ask for. A cursor is the last key in base64url; clients do not look inside.
pub fn page_of(limit: Option<u32>, cursor: Option<&str>) -> Result<PageOf, Error> {
    let limit = limit.unwrap_or(limits::PAGE_DEFAULT);
    if limit == 0 || limit > limits::PAGE_MAX {
        let problem = format!("must lie from 1 to {}", limits::PAGE_MAX);
        return Err(Error::malformed(format!("`limit` {problem}.")).at("limit", problem));
    }
    let after = cursor.map(|cursor| {
        let bytes = URL_SAFE_NO_PAD.decode(cursor).ok().and_then(|bytes| String::from_utf8(bytes).ok());
        bytes.ok_or_else(|| Error::malformed("`cursor` is not one that this endpoint gave.").at("cursor", "unreadable"))
    });
    Ok(PageOf { limit, after: after.transpose()? })
}

/// What to send as `cursor` for the page after `key`.
pub fn cursor(key: &str) -> String {
    URL_SAFE_NO_PAD.encode(key)
}
