//! `/api/storage/buckets`: buckets, what bounds them, and what they hold.

use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::App;
use super::files::File;
use super::input::{IfMatch, Json, PageQuery, Path, Query, cursor, page_of};
use super::reply::{Envelope, ErrorBody, Page, Reply, created, no_content, ok, page};
use super::several::{Bulk, Several, make_each};
use crate::error::Error;
use crate::gate::buckets::Entry;
use crate::gate::resources::{Bucket, BucketChange, BucketFilter, NewBucket, Versioning};
use crate::model::Caller;
use crate::terms::Cursor;

/// Whether something is there.
#[derive(Debug, Serialize, ToSchema)]
pub struct Existence {
    /// It is, or it is not.
    pub exists: bool,
}

/// List the buckets.
#[utoipa::path(get, path = "/buckets", tag = "buckets", params(PageQuery),
    responses((status = 200, body = Page<Bucket>), (status = "4XX", body = ErrorBody)))]
pub(super) async fn list(caller: Caller, State(app): State<App>, Query(query): Query<PageQuery>) -> Reply<Vec<Bucket>> {
    let found = app.gate.resource_list(&caller, &BucketFilter::default(), &query.page()?).await?;
    page(found.items, found.next.as_deref().map(cursor))
}

/// Make a bucket.
#[utoipa::path(post, path = "/buckets", tag = "buckets", request_body = NewBucket,
    responses((status = 201, body = Envelope<Bucket>), (status = "4XX", body = ErrorBody)))]
pub(super) async fn create(caller: Caller, State(app): State<App>, Json(form): Json<NewBucket>) -> Reply<Bucket> {
    let row: Bucket = app.gate.resource_create(&caller, form).await?;
    created(&format!("/api/storage/buckets/{}", row.name), row)
}

/// Make several buckets, with a result for each.
#[utoipa::path(post, path = "/buckets/bulk", tag = "buckets", request_body = Several<NewBucket>,
    responses((status = 200, body = Envelope<Bulk<Bucket>>), (status = "4XX", body = ErrorBody)))]
pub(super) async fn create_several(
    caller: Caller,
    State(app): State<App>,
    Json(several): Json<Several<NewBucket>>,
) -> Reply<Bulk<Bucket>> {
    make_each(several, |new| app.gate.resource_create(&caller, new)).await
}

/// One bucket.
#[utoipa::path(get, path = "/buckets/{bucket}", tag = "buckets", params(("bucket" = String, Path)),
    responses((status = 200, body = Envelope<Bucket>), (status = "4XX", body = ErrorBody)))]
pub(super) async fn get(caller: Caller, State(app): State<App>, Path(bucket): Path<String>) -> Reply<Bucket> {
    ok(app.gate.resource_get(&caller, &bucket).await?)
}

/// Change the fields that are sent. What is stored already stays, whatever the new bounds.
#[utoipa::path(put, path = "/buckets/{bucket}", tag = "buckets",
    params(("bucket" = String, Path), ("If-Match" = Option<String>, Header)), request_body = BucketChange,
    responses((status = 200, body = Envelope<Bucket>), (status = "4XX", body = ErrorBody)))]
pub(super) async fn update(
    caller: Caller,
    State(app): State<App>,
    Path(bucket): Path<String>,
    if_match: IfMatch,
    Json(change): Json<BucketChange>,
) -> Reply<Bucket> {
    ok(app.gate.resource_update(&caller, &bucket, change, &|row: &Bucket| if_match.fits(row)).await?)
}

/// How a bucket is deleted.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct DeleteQuery {
    /// With all that it holds, kept versions included.
    #[serde(default)]
    force: bool,
}

/// Delete a bucket: one that holds nothing, or with `force` with all that it holds.
#[utoipa::path(delete, path = "/buckets/{bucket}", tag = "buckets",
    params(("bucket" = String, Path), DeleteQuery, ("If-Match" = Option<String>, Header)),
    responses((status = 204), (status = "4XX", body = ErrorBody)))]
pub(super) async fn delete(
    caller: Caller,
    State(app): State<App>,
    Path(bucket): Path<String>,
    Query(query): Query<DeleteQuery>,
    if_match: IfMatch,
) -> Reply<()> {
    let unchanged = |row: &Bucket| if_match.fits(row);
    if query.force {
        app.gate.bucket_delete_whole(&caller, &bucket, &unchanged).await?;
    } else {
        app.gate.resource_delete::<Bucket>(&caller, &bucket, &unchanged).await?;
    }
    no_content()
}

/// Whether there is such a bucket.
#[utoipa::path(get, path = "/buckets/{bucket}/exists", tag = "buckets", params(("bucket" = String, Path)),
    responses((status = 200, body = Envelope<Existence>), (status = "4XX", body = ErrorBody)))]
pub(super) async fn exists(caller: Caller, State(app): State<App>, Path(bucket): Path<String>) -> Reply<Existence> {
    ok(Existence { exists: app.gate.bucket_exists(&caller, &bucket).await? })
}

/// Whether a bucket keeps what is replaced or deleted.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct BucketVersioning {
    versioning: Versioning,
}

impl BucketVersioning {
    fn of(row: &Bucket) -> Result<Self, Error> {
        let word = serde_json::Value::from(row.versioning.as_str());
        serde_json::from_value(word).map(|versioning| Self { versioning }).map_err(Error::internal)
    }
}

/// Whether a bucket keeps what is replaced or deleted.
#[utoipa::path(get, path = "/buckets/{bucket}/versioning", tag = "buckets", params(("bucket" = String, Path)),
    responses((status = 200, body = Envelope<BucketVersioning>), (status = "4XX", body = ErrorBody)))]
pub(super) async fn versioning(caller: Caller, State(app): State<App>, Path(bucket): Path<String>) -> Reply<BucketVersioning> {
    ok(BucketVersioning::of(&app.gate.resource_get(&caller, &bucket).await?)?)
}

/// Have a bucket keep what is replaced or deleted, or not. What it kept so far stays.
#[utoipa::path(put, path = "/buckets/{bucket}/versioning", tag = "buckets",
    params(("bucket" = String, Path), ("If-Match" = Option<String>, Header)), request_body = BucketVersioning,
    responses((status = 200, body = Envelope<BucketVersioning>), (status = "4XX", body = ErrorBody)))]
pub(super) async fn set_versioning(
    caller: Caller,
    State(app): State<App>,
    Path(bucket): Path<String>,
    if_match: IfMatch,
    Json(form): Json<BucketVersioning>,
) -> Reply<BucketVersioning> {
    let change = BucketChange::versioning(form.versioning);
    let unchanged = |row: &Bucket| BucketVersioning::of(row).is_ok_and(|now| if_match.fits(&now));
    let row = app.gate.resource_update(&caller, &bucket, change, &unchanged).await?;
    ok(BucketVersioning::of(&row)?)
}

/// Which files of a bucket.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct ObjectsQuery {
    /// Only those whose names begin so.
    prefix: Option<String>,
    /// With `/`, all names that go on with a slash behind the prefix are one item, as in a folder.
    #[param(inline)]
    delimiter: Option<Delimiter>,
    /// Items of a page.
    #[param(minimum = 1, maximum = 1000, default = 100)]
    limit: Option<u32>,
    /// `nextCursor` of the page before.
    #[param(value_type = Cursor, required = false, inline)]
    cursor: Option<String>,
}

/// What names are taken together by.
#[derive(Clone, Copy, Debug, Deserialize, ToSchema)]
pub enum Delimiter {
    /// A slash.
    #[serde(rename = "/")]
    Slash,
}

/// An item of a listing.
#[derive(Debug, Serialize, ToSchema)]
#[serde(untagged)]
pub enum ListedFile {
    /// A file.
    File(Box<File>),
    /// Several, with `delimiter`.
    Folder(Folder),
}

/// All files whose names begin so.
#[derive(Debug, Serialize, ToSchema)]
pub struct Folder {
    /// What they begin with, the slash at its end included: the `prefix` that lists them.
    #[schema(example = "2026/")]
    prefix: String,
}

impl From<Entry> for ListedFile {
    fn from(entry: Entry) -> Self {
        match entry {
            Entry::Object(row) => Self::File(Box::new((*row).into())),
            Entry::Folder(prefix) => Self::Folder(Folder { prefix }),
        }
    }
}

/// List a bucket's files, in the order of their names; with `delimiter=/` what lies directly beneath the prefix.
#[utoipa::path(get, path = "/buckets/{bucket}/objects", tag = "buckets", params(("bucket" = String, Path), ObjectsQuery),
    responses((status = 200, body = Page<ListedFile>), (status = "4XX", body = ErrorBody)))]
pub(super) async fn objects(
    caller: Caller,
    State(app): State<App>,
    Path(bucket): Path<String>,
    Query(query): Query<ObjectsQuery>,
) -> Reply<Vec<ListedFile>> {
    let at = page_of(query.limit, query.cursor.as_deref())?;
    let which = (query.prefix.as_deref().unwrap_or(""), query.delimiter.is_some());
    let found = app.gate.object_list(&caller, &bucket, which, &at).await?;
    page(found.items.into_iter().map(Into::into).collect(), found.next.as_deref().map(cursor))
}
