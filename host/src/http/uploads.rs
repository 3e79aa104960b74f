//! `/api/storage/files`: files that come in a form, or in JSON as base64.

use axum::extract::{Request, State};
use axum::http::header;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use futures_util::{Stream, StreamExt as _, stream};
use multer::{Field, Multipart};
use serde::Deserialize;
use utoipa::ToSchema;

use super::App;
use super::files::{self, File, bytes_of};
use super::input::Json;
use super::reply::{Envelope, ErrorBody, Reply, created, ok};
use crate::error::{Error, Kind, Result};
use crate::gate::objects::{Metadata, NewObject, Put};
use crate::limits;
use crate::model::Caller;
use crate::terms::{Base64, Binary, BucketName, ObjectName};

const OCTETS: &str = "application/octet-stream";

/// A form with a file. `file` comes last: it is streamed, and where it belongs has to be known by then.
#[derive(Debug, ToSchema)]
#[expect(dead_code, reason = "it describes a body that is read as a stream")]
#[schema(rename_all = "camelCase")]
pub struct UploadForm {
    #[schema(value_type = BucketName)]
    bucket: String,
    #[schema(value_type = ObjectName)]
    object_name: String,
    /// Words by names, as JSON.
    metadata: Option<String>,
    /// The bytes, with their own `Content-Type`.
    #[schema(value_type = Binary)]
    file: String,
}

/// What a form says before its file.
#[derive(Default)]
struct Fields {
    bucket: Option<String>,
    name: Option<String>,
    metadata: Metadata,
}

/// Upload a file by a form, streamed. `bucket`, `objectName` and `metadata` come before `file`.
#[utoipa::path(post, path = "/files/upload", tag = "files",
    request_body(content = UploadForm, content_type = "multipart/form-data"),
    responses((status = 200, body = Envelope<File>, description = "It replaced another."),
        (status = 201, body = Envelope<File>, description = "It is new."), (status = "default", body = ErrorBody)))]
pub(super) async fn form(caller: Caller, State(app): State<App>, request: Request) -> Reply<File> {
    let content_type = request.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let boundary = multer::parse_boundary(content_type).map_err(|error| {
        Error::new(Kind::UnsupportedMediaType, "A form with a file is `multipart/form-data`, with a boundary.")
            .at("Content-Type", "not multipart/form-data")
            .caused_by(error)
    })?;
    let mut form = Multipart::new(Box::pin(bytes_of(request.into_body())), boundary);
    let mut fields = Fields::default();
    let file = loop {
        let field = form.next_field().await.map_err(unreadable)?;
        let field = field.ok_or_else(|| Error::malformed("The form has no `file`.").at("/file", "missing"))?;
        match field.name() {
            Some("file") => break field,
            Some("bucket") => fields.bucket = Some(text(field).await?),
            Some("objectName") => fields.name = Some(text(field).await?),
            Some("metadata") => fields.metadata = metadata(&text(field).await?)?,
            other => return Err(unknown(other).into()),
        }
    };
    let missing = |what: &str| {
        Error::malformed(format!("The form's `{what}` has to come before its `file`."))
            .at(format!("/{what}"), "missing before the file")
    };
    let bucket = fields.bucket.ok_or_else(|| missing("bucket"))?;
    let name = fields.name.ok_or_else(|| missing("objectName"))?;
    let content_type = file.content_type().map_or_else(|| OCTETS.to_owned(), ToString::to_string);
    let new = NewObject {
        bucket: &bucket,
        name: &name,
        content_type: &content_type,
        metadata: fields.metadata,
        expected: None,
        size: None,
    };
    put(&app, &caller, new, Box::pin(last(form, file))).await
}

/// The bytes of the form's last field. A field behind it is a mistake, and then nothing is stored.
fn last(form: Multipart<'static>, file: Field<'static>) -> impl Stream<Item = Result<Bytes>> + Send {
    stream::try_unfold((form, Some(file)), async |(mut form, file)| {
        let Some(mut file) = file else { return Ok(None) };
        if let Some(bytes) = file.chunk().await.map_err(unreadable)? {
            return Ok(Some((bytes, (form, Some(file)))));
        }
        drop(file);
        match form.next_field().await.map_err(unreadable)? {
            None => Ok(None),
            Some(field) => {
                let name = field.name().unwrap_or_default().to_owned();
                Err(Error::malformed(format!("`file` is the last field of the form; `{name}` has to come before it."))
                    .at(format!("/{name}"), "behind the file"))
            }
        }
    })
}

/// A short field as text.
async fn text(mut field: Field<'static>) -> Result<String> {
    let mut bytes = Vec::new();
    while let Some(chunk) = field.chunk().await.map_err(unreadable)? {
        if bytes.len() + chunk.len() > limits::TEXT_FIELD_BYTES {
            return Err(Error::malformed(format!("A field of the form has at most {} bytes.", limits::TEXT_FIELD_BYTES)));
        }
        bytes.extend_from_slice(&chunk);
    }
    String::from_utf8(bytes).map_err(|error| Error::malformed("A field of the form is not UTF-8.").caused_by(error))
}

fn metadata(text: &str) -> Result<Metadata> {
    // What a browser sends of a field that nobody filled in.
    if text.is_empty() {
        return Ok(Metadata::new());
    }
    serde_json::from_str(text)
        .map_err(|error| Error::malformed("`metadata` is a JSON object of words by names.").at("/metadata", error.to_string()))
}

fn unknown(name: Option<&str>) -> Error {
    let name = name.unwrap_or_default();
    Error::malformed(format!("Unknown field `{name}`. A form takes: bucket, objectName, metadata, file."))
        .at(format!("/{name}"), "unknown field")
}

/// A form that cannot be read, or whose bytes did not come: then the error is the one of the bytes.
fn unreadable(error: multer::Error) -> Error {
    match error {
        multer::Error::StreamReadFailed(cause) => match cause.downcast::<Error>() {
            Ok(error) => *error,
            Err(cause) => Error::malformed("The form broke off before its end.").caused_by(cause.to_string()),
        },
        other => {
            let said = other.to_string();
            Error::malformed("The form cannot be read; check its boundary and the headers of its fields.").at("", said)
        }
    }
}

/// A file as base64.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct UploadBuffer {
    #[schema(value_type = BucketName)]
    bucket: String,
    #[schema(value_type = ObjectName)]
    object_name: String,
    /// The bytes, in base64.
    #[schema(value_type = Base64)]
    buffer: String,
    /// `application/octet-stream` where it is not given.
    content_type: Option<String>,
    metadata: Option<Metadata>,
}

/// Upload a small file in JSON. Larger ones go by a form or by PUT, which stream.
#[utoipa::path(post, path = "/files/upload-buffer", tag = "files", request_body = UploadBuffer,
    responses((status = 200, body = Envelope<File>, description = "It replaced another."),
        (status = 201, body = Envelope<File>, description = "It is new."), (status = "4XX", body = ErrorBody)))]
pub(super) async fn buffer(caller: Caller, State(app): State<App>, Json(form): Json<UploadBuffer>) -> Reply<File> {
    let bytes = STANDARD.decode(&form.buffer).map_err(|error| {
        Error::malformed("`buffer` is the file's bytes in base64, with padding.").at("/buffer", error.to_string())
    })?;
    let content_type = form.content_type.unwrap_or_else(|| OCTETS.to_owned());
    let new = NewObject {
        bucket: &form.bucket,
        name: &form.object_name,
        content_type: &content_type,
        metadata: form.metadata.unwrap_or_default(),
        expected: None,
        size: Some(bytes.len() as u64),
    };
    put(&app, &caller, new, stream::iter([Ok(Bytes::from(bytes))]).boxed()).await
}

async fn put(app: &App, caller: &Caller, new: NewObject<'_>, body: impl Stream<Item = Result<Bytes>> + Unpin) -> Reply<File> {
    let location = files::location(new.bucket, new.name);
    let Put { row, created: new } = app.gate.object_put(caller, new, body).await?;
    let etag = files::etag(&row)?;
    let reply = if new { created(&location, row.into()) } else { ok(row.into()) };
    reply.map(|success| success.with(header::ETAG, etag))
}
