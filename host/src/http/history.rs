//! `/api/storage/files`: what a file was, and copies of it.

use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::App;
use super::files::{self, File};
use super::input::{Json, PageQuery, Path, Query, cursor};
use super::reply::{Envelope, ErrorBody, Page, Reply, created, ok, page};
use crate::forms::Object;
use crate::gate::objects::{Metadata, NewObject, Put, VersionRow};
use crate::model::Caller;
use crate::rules::Digest;
use crate::terms::{BucketName, ObjectName};
use crate::times::rfc3339;

/// A version of a file.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct FileVersion {
    version: Uuid,
    /// It is what the file is, or says that there is none.
    is_current: bool,
    /// It has no bytes: the file was deleted then.
    is_delete_marker: bool,
    /// In bytes.
    size: i64,
    /// Of its bytes, in hex.
    sha256: String,
    content_type: String,
    metadata: Metadata,
    /// When it became current.
    modified_at: String,
}

impl From<VersionRow> for FileVersion {
    fn from(row: VersionRow) -> Self {
        Self {
            version: row.key.version_id,
            is_current: row.current,
            is_delete_marker: row.marker,
            size: row.size,
            sha256: Digest::from_slice(&row.digest).map_or_else(String::new, |digest| digest.to_string()),
            content_type: row.content_type,
            metadata: row.metadata.0,
            modified_at: rfc3339(row.modified_at),
        }
    }
}

/// The history of a file, the newest first: versions that its bucket keeps, and markers of deletions.
#[utoipa::path(get, path = "/files/versions/{bucket}/{*name}", tag = "files",
    params(("bucket" = String, Path), ("name" = inline(ObjectName), Path, description = "The rest of the path, slashes included."), PageQuery),
    responses((status = 200, body = Page<FileVersion>), (status = "4XX", body = ErrorBody)))]
pub(super) async fn versions(
    caller: Caller,
    State(app): State<App>,
    Path((bucket, name)): Path<(String, String)>,
    Query(query): Query<PageQuery>,
) -> Reply<Vec<FileVersion>> {
    let found = app.gate.versions(&caller, &bucket, &name, &query.page()?).await?;
    page(found.items.into_iter().map(Into::into).collect(), found.next.as_deref().map(cursor))
}

/// Which version is to be current again.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Restore {
    #[schema(value_type = BucketName)]
    bucket: String,
    #[schema(value_type = ObjectName)]
    object_name: String,
    version: Uuid,
}

/// Make an earlier version what its file is, also of a file that was deleted.
#[utoipa::path(post, path = "/files/restore", tag = "files", request_body = Restore,
    responses((status = 200, body = Envelope<File>), (status = "4XX", body = ErrorBody)))]
pub(super) async fn restore(caller: Caller, State(app): State<App>, Json(form): Json<Restore>) -> Reply<File> {
    ok(app.gate.version_restore(&caller, &form.bucket, &form.object_name, form.version).await?.into())
}

/// A copy that is to be made.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Copy {
    #[schema(value_type = CopySource)]
    source: Object<CopySource>,
    #[schema(value_type = CopyDestination)]
    destination: Object<CopyDestination>,
}

/// What is copied.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CopySource {
    #[schema(value_type = BucketName)]
    bucket: String,
    #[schema(value_type = ObjectName)]
    object_name: String,
    /// The current one where it is not given.
    version: Option<Uuid>,
}

/// Where to.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CopyDestination {
    #[schema(value_type = BucketName)]
    bucket: String,
    #[schema(value_type = ObjectName)]
    object_name: String,
    /// That of the source where it is not given.
    content_type: Option<String>,
    /// That of the source where it is not given.
    metadata: Option<Metadata>,
}

/// Copy a file, or an earlier version of it. The store copies the bytes by itself where it can.
#[utoipa::path(post, path = "/files/copy", tag = "files", request_body = Copy,
    responses((status = 200, body = Envelope<File>, description = "It replaced another."),
        (status = 201, body = Envelope<File>, description = "It is new."), (status = "4XX", body = ErrorBody)))]
pub(super) async fn copy(caller: Caller, State(app): State<App>, Json(form): Json<Copy>) -> Reply<File> {
    let Copy { source: Object(source), destination: Object(to) } = form;
    let content_type = to.content_type.unwrap_or_default();
    let new = NewObject {
        bucket: &to.bucket,
        name: &to.object_name,
        content_type: &content_type,
        metadata: to.metadata.unwrap_or_default(),
        expected: None,
        size: None,
    };
    let from = (source.bucket.as_str(), source.object_name.as_str(), source.version);
    let Put { row, created: new } = app.gate.object_copy(&caller, from, new).await?;
    let location = files::location(&to.bucket, &to.object_name);
    if new { created(&location, row.into()) } else { ok(row.into()) }
}
