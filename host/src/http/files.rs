//! `/api/storage`: buckets and files, whose bodies stream through in both directions.
//!
//! A file's `ETag` is the SHA-256 of its bytes, so the same bytes have the same tag wherever they lie. What is sent out is never shown
//! by a browser as a page of this host: it comes as an attachment whose type is not guessed.

use std::ops::Range;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use axum::response::{IntoResponse as _, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use futures_util::stream::{self, Stream, StreamExt as _};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::{Deserialize, Serialize};
use tokio::time::timeout;
use utoipa::{IntoParams, ToSchema};

use super::App;
use super::buckets::Existence;
use super::input::{Path, Query};
use super::reply::{self, Envelope, ErrorBody, Problem, Reply, created, no_content, ok};
use crate::error::{Error, Kind, Result};
use crate::gate::objects::{Download, Expected, Metadata, NewObject, ObjectRow, Put, too_large};
use crate::limits;
use crate::model::Caller;
use crate::rules::Digest;
use crate::terms::{Binary, ObjectName};
use crate::times::rfc3339;

/// A file.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct File {
    /// Its name in the bucket.
    #[schema(example = "2026/may.pdf")]
    name: String,
    /// In bytes.
    size: i64,
    /// Of its bytes, in hex; also its `ETag`.
    sha256: String,
    /// As it was uploaded.
    content_type: String,
    /// What else was said of it.
    metadata: Metadata,
    /// Names this content of it.
    version: uuid::Uuid,
    /// When this content was stored.
    modified_at: String,
}

impl From<ObjectRow> for File {
    fn from(row: ObjectRow) -> Self {
        Self {
            sha256: sha256(&row),
            name: row.name,
            size: row.size,
            content_type: row.content_type,
            metadata: row.metadata.0,
            version: row.key.version_id,
            modified_at: rfc3339(row.modified_at),
        }
    }
}

/// Which version of a file.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct VersionQuery {
    /// An earlier version; the current one where it is not given.
    version: Option<uuid::Uuid>,
}

/// Whether there is such a file.
#[utoipa::path(get, path = "/files/exists/{bucket}/{*name}", tag = "files",
    params(("bucket" = String, Path), ("name" = inline(ObjectName), Path, description = "The rest of the path, slashes included.")),
    responses((status = 200, body = Envelope<Existence>), (status = "4XX", body = ErrorBody)))]
pub(super) async fn object_exists(
    caller: Caller,
    State(app): State<App>,
    Path((bucket, name)): Path<(String, String)>,
) -> Reply<Existence> {
    ok(Existence { exists: app.gate.object_exists(&caller, &bucket, &name).await? })
}

/// Upload a file, streamed; it takes the place of the one of its name, whole or not at all.
///
/// `If-Match` with an `ETag` replaces that content only.
#[utoipa::path(put, path = "/files/{bucket}/{*name}", tag = "files",
    params(("bucket" = String, Path), ("name" = inline(ObjectName), Path, description = "The rest of the path, slashes included.")),
    request_body(content = inline(Binary), content_type = "application/octet-stream"),
    responses((status = 200, body = Envelope<File>, description = "It replaced another."),
        (status = 201, body = Envelope<File>, description = "It is new."), (status = "default", body = ErrorBody)))]
pub(super) async fn upload(
    caller: Caller,
    State(app): State<App>,
    Path((bucket, name)): Path<(String, String)>,
    request: Request,
) -> Reply<File> {
    let headers = request.headers();
    let announced = headers.get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    if announced.is_some_and(|length| length > limits::OBJECT_BYTES) {
        return Err(too_large().into());
    }
    if headers.contains_key(header::CONTENT_RANGE) {
        return Err(Error::malformed("A file is uploaded whole; leave `Content-Range` out.")
            .at("Content-Range", "not taken")
            .into());
    }
    let content_type = match headers.get(header::CONTENT_TYPE).map(|value| value.to_str()) {
        None => "application/octet-stream".to_owned(),
        Some(Ok(value)) => value.to_owned(),
        Some(Err(_)) => return Err(Error::malformed("`Content-Type` is not ASCII.").at("Content-Type", "not ASCII").into()),
    };
    let expected = expected(headers);
    let body = Box::pin(bytes_of(request.into_body()));
    let new = NewObject {
        bucket: &bucket,
        name: &name,
        content_type: &content_type,
        metadata: Metadata::new(),
        expected: expected.as_ref(),
        size: announced,
    };
    let Put { row, created: new } = app.gate.object_put(&caller, new, body).await?;
    let etag = etag(&row)?;
    let location = location(&bucket, &name);
    let reply = if new { created(&location, row.into()) } else { ok(row.into()) };
    reply.map(|success| success.with(header::ETAG, etag))
}

/// Where a file is downloaded.
pub(super) fn location(bucket: &str, name: &str) -> String {
    format!("/api/storage/files/download/{bucket}/{}", utf8_percent_encode(name, PATH))
}

/// Delete a file, or one of its versions for good. `If-Match` with an `ETag` deletes that content only. Where the bucket keeps what is deleted,
/// the file's versions stay.
#[utoipa::path(delete, path = "/files/{bucket}/{*name}", tag = "files",
    params(("bucket" = String, Path), ("name" = inline(ObjectName), Path, description = "The rest of the path, slashes included."),
        VersionQuery),
    responses((status = 204), (status = "4XX", body = ErrorBody)))]
pub(super) async fn delete_object(
    caller: Caller,
    State(app): State<App>,
    Path((bucket, name)): Path<(String, String)>,
    Query(query): Query<VersionQuery>,
    headers: HeaderMap,
) -> Reply<()> {
    match query.version {
        None => app.gate.object_delete(&caller, &bucket, &name, expected(&headers).as_ref()).await?,
        // A version never changes, so there is nothing for `If-Match` to find changed.
        Some(version) => app.gate.version_delete(&caller, &bucket, &name, version).await?,
    }
    no_content()
}

/// Download a file, streamed: whole, or one `Range` of it.
#[utoipa::path(get, path = "/files/download/{bucket}/{*name}", tag = "files",
    params(("bucket" = String, Path), ("name" = inline(ObjectName), Path, description = "The rest of the path, slashes included."),
        VersionQuery),
    responses((status = 200, body = inline(Binary), content_type = "*/*"),
        (status = 206, body = inline(Binary), content_type = "*/*"), (status = 304), (status = 416, body = ErrorBody),
        (status = "default", body = ErrorBody)))]
pub(super) async fn download(
    caller: Caller,
    State(app): State<App>,
    Path((bucket, name)): Path<(String, String)>,
    Query(query): Query<VersionQuery>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let choose = |row: &ObjectRow| {
        let size = u64::try_from(row.size).map_err(Error::internal)?;
        let part = part(&headers, &etag(row)?, size);
        // Nothing is fetched for an answer that `layers::not_modified` makes a 304, nor for a range that is not there.
        let range = match &part {
            _ if knows(&headers, &etag(row)?) => None,
            Part::Whole => Some(0..size),
            Part::Some(range) => Some(range.clone()),
            Part::Outside => None,
        };
        Ok((part, range))
    };
    let Download { row, wanted, content } = app.gate.object_read(&caller, (&bucket, &name, query.version), choose).await?;
    let known = content.is_none();
    let body = content.map_or_else(Body::empty, Body::from_stream);
    let range = match wanted {
        Part::Some(range) if !known => Some(range),
        Part::Outside if !knows(&headers, &etag(&row)?) => return Ok(outside(&row)),
        _ => None,
    };
    Ok(reply::content(described(&row, range.as_ref())?, range.is_some(), body))
}

/// What a download would say, without its bytes.
#[utoipa::path(head, path = "/files/download/{bucket}/{*name}", tag = "files",
    params(("bucket" = String, Path), ("name" = inline(ObjectName), Path, description = "The rest of the path, slashes included."),
        VersionQuery),
    responses((status = 200), (status = 304), (status = "4XX")))]
pub(super) async fn look(
    caller: Caller,
    State(app): State<App>,
    Path((bucket, name)): Path<(String, String)>,
    Query(query): Query<VersionQuery>,
) -> Result<Response, Problem> {
    let row = app.gate.object_get(&caller, &bucket, &name, query.version).await?;
    Ok(reply::content(described(&row, None)?, false, Body::empty()))
}

/// The frames of a body. Silence for [`limits::BODY_IDLE`] ends it, and so does a client that breaks off.
pub(super) fn bytes_of(body: Body) -> impl Stream<Item = Result<Bytes>> + Send {
    stream::try_unfold(body.into_data_stream(), async |mut frames| match timeout(limits::BODY_IDLE, frames.next()).await {
        Err(_) => {
            let idle = limits::BODY_IDLE.as_secs();
            Err(Error::malformed(format!("The body was silent for {idle} s and was given up; send it again.")))
        }
        Ok(None) => Ok(None),
        Ok(Some(Ok(frame))) => Ok(Some((frame, frames))),
        Ok(Some(Err(error))) => Err(Error::malformed("The body broke off before its end.").caused_by(error)),
    })
}

/// What `If-Match` asks for. The comparison is the strong one: a tag that is weak, or none of ours, matches nothing.
fn expected(headers: &HeaderMap) -> Option<Expected> {
    let wanted = headers.get(header::IF_MATCH)?.to_str().unwrap_or("");
    if wanted.trim() == "*" {
        return Some(Expected::Some);
    }
    Some(Expected::OneOf(wanted.split(',').filter_map(|tag| digest(tag.trim().strip_prefix('"')?.strip_suffix('"')?)).collect()))
}

fn digest(hex: &str) -> Option<Digest> {
    let pairs = hex.as_bytes().chunks(2).map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok());
    let bytes = pairs.collect::<Option<Vec<u8>>>().filter(|_| hex.len() == 64 && hex.is_ascii())?;
    Digest::from_slice(&bytes)
}

fn sha256(row: &ObjectRow) -> String {
    Digest::from_slice(&row.digest).map_or_else(String::new, |digest| digest.to_string())
}

pub(super) fn etag(row: &ObjectRow) -> Result<HeaderValue> {
    HeaderValue::from_str(&format!("\"{}\"", sha256(row))).map_err(Error::internal)
}

/// True where the client says that it has this content.
fn knows(headers: &HeaderMap, etag: &HeaderValue) -> bool {
    let Some(known) = headers.get(header::IF_NONE_MATCH).and_then(|known| known.to_str().ok()) else { return false };
    known.split(',').map(str::trim).any(|tag| tag == "*" || tag.trim_start_matches("W/").as_bytes() == etag.as_bytes())
}

/// What of a file is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Whole,
    Some(Range<u64>),
    Outside,
}

/// Reads `Range`. One that is not in bytes, not a range or more than one is left aside, as the standard allows: the answer is the whole.
/// So is one with an `If-Range` that names other content.
fn part(headers: &HeaderMap, etag: &HeaderValue, size: u64) -> Part {
    let Some(range) = headers.get(header::RANGE).and_then(|range| range.to_str().ok()) else { return Part::Whole };
    if headers.get(header::IF_RANGE).is_some_and(|wanted| wanted != etag) {
        return Part::Whole;
    }
    range_of(range, size).unwrap_or(Part::Whole)
}

fn range_of(range: &str, size: u64) -> Option<Part> {
    let (unit, range) = range.split_once('=')?;
    let (first, last) = range.trim().split_once('-')?;
    // A number beyond 2^64 is a valid one; it lies behind any file.
    let number = |digits: &str| {
        let valid = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
        valid.then(|| digits.parse().unwrap_or(u64::MAX))
    };
    if !unit.trim().eq_ignore_ascii_case("bytes") {
        return None;
    }
    let range = match (first, last) {
        ("", last) => size.saturating_sub(number(last)?)..size,
        (first, "") => number(first)?..size,
        (first, last) => {
            let (first, last) = (number(first)?, number(last)?);
            if last < first {
                return None;
            }
            first..last.saturating_add(1).min(size)
        }
    };
    Some(if range.is_empty() { Part::Outside } else { Part::Some(range) })
}

/// 416, with the size that there is.
fn outside(row: &ObjectRow) -> Response {
    let sentence = format!("The range lies outside of this file, which has {} bytes.", row.size);
    let mut response =
        Problem(Error::new(Kind::RangeNotSatisfiable, sentence).at("Range", "outside of the file")).into_response();
    if let Ok(size) = HeaderValue::from_str(&format!("bytes */{}", row.size)) {
        response.headers_mut().insert(header::CONTENT_RANGE, size);
    }
    response
}

/// The headers of a file, or of the part `range` of it.
fn described(row: &ObjectRow, range: Option<&Range<u64>>) -> Result<Vec<(HeaderName, HeaderValue)>> {
    let text = |text: String| HeaderValue::try_from(text).map_err(Error::internal);
    let length = range.map_or_else(|| row.size.to_string(), |range| (range.end - range.start).to_string());
    let mut headers = vec![
        (header::CONTENT_TYPE, text(row.content_type.clone())?),
        (header::CONTENT_LENGTH, text(length)?),
        (header::ETAG, etag(row)?),
        (header::LAST_MODIFIED, text(row.modified_at.format("%a, %d %b %Y %H:%M:%S GMT").to_string())?),
        (header::CONTENT_DISPOSITION, text(attachment(&row.name))?),
        // Of the whole file also where only a part of it is sent.
        (HeaderName::from_static("repr-digest"), text(format!("sha-256=:{}:", STANDARD.encode(&row.digest)))?),
        (header::ACCEPT_RANGES, HeaderValue::from_static("bytes")),
        (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
        // It is for this caller alone, and the policy is asked each time.
        (header::CACHE_CONTROL, HeaderValue::from_static("private, no-cache")),
    ];
    if let Some(range) = range {
        headers.push((header::CONTENT_RANGE, text(format!("bytes {}-{}/{}", range.start, range.end - 1, row.size))?));
    }
    Ok(headers)
}

/// What a path may hold as it is: RFC 3986's unreserved characters and the slash between segments.
const PATH: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~').remove(b'/');
/// What `filename*` may hold as it is, after RFC 8187.
const FILENAME: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// `Content-Disposition` after RFC 6266: the last part of the name, in ASCII for old clients and whole for all others.
fn attachment(name: &str) -> String {
    let file = name.rsplit('/').next().unwrap_or(name);
    let plain: String =
        file.chars().map(|c| if matches!(c, ' '..='~') && !matches!(c, '"' | '\\' | '%') { c } else { '_' }).collect();
    format!("attachment; filename=\"{plain}\"; filename*=UTF-8''{}", utf8_percent_encode(file, FILENAME))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges() {
        let cases = [
            ("bytes=0-0", Some(Part::Some(0..1))),
            ("bytes=2-", Some(Part::Some(2..10))),
            ("bytes=-3", Some(Part::Some(7..10))),
            ("bytes=-30", Some(Part::Some(0..10))),
            ("bytes=5-99999999999999999999", Some(Part::Some(5..10))),
            ("Bytes = 1-2", Some(Part::Some(1..3))),
            ("bytes=10-", Some(Part::Outside)),
            ("bytes=-0", Some(Part::Outside)),
            ("bytes=3-2", None),
            ("bytes=0-1,3-4", None),
            ("bytes=a-b", None),
            ("bytes=+1-2", None),
            ("bytes=-", None),
            ("lines=0-1", None),
        ];
        for (text, expected) in cases {
            assert_eq!(range_of(text, 10), expected, "{text}");
        }
        assert_eq!(range_of("bytes=0-", 0), Some(Part::Outside));
    }

    #[test]
    fn a_range_counts_only_for_the_content_that_it_was_meant_for() {
        let etag = HeaderValue::from_static("\"aa\"");
        let mut headers = HeaderMap::new();
        headers.insert(header::RANGE, HeaderValue::from_static("bytes=0-1"));
        assert_eq!(part(&headers, &etag, 10), Part::Some(0..2));
        headers.insert(header::IF_RANGE, HeaderValue::from_static("\"bb\""));
        assert_eq!(part(&headers, &etag, 10), Part::Whole);
    }

    #[test]
    fn names_of_attachments() {
        assert_eq!(attachment("a/b.txt"), "attachment; filename=\"b.txt\"; filename*=UTF-8''b.txt");
        assert_eq!(
            attachment("März \"1\".pdf"),
            "attachment; filename=\"M_rz _1_.pdf\"; filename*=UTF-8''M%C3%A4rz%20%221%22.pdf"
        );
    }

    #[test]
    fn if_match() {
        let of = |value: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::IF_MATCH, HeaderValue::from_static(value));
            expected(&headers)
        };
        assert!(expected(&HeaderMap::new()).is_none());
        assert!(matches!(of("*"), Some(Expected::Some)));
        let tag = "\"ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad\"";
        assert!(matches!(of(tag), Some(Expected::OneOf(tags)) if tags == [Digest::of(b"abc")]));
        assert!(matches!(of("W/\"aa\", \"zz\", a"), Some(Expected::OneOf(tags)) if tags.is_empty()));
    }
}
