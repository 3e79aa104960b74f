//! `/api/platform`: the routes that all resources have, a line for each resource, and the few that one alone has.

use axum::extract::State;
use axum::routing;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::App;
use super::input::{IfMatch, Json, PageQuery, Path, Query, cursor};
use super::reply::{Envelope, ErrorBody, Page, Reply, created, no_content, ok, page};
use super::several::{Bulk, Several, make_each};
use crate::gate::resources::{
    Connector, ConnectorChange, ConnectorFilter, Member, NewConnector, NewPipeline, NewProject, NewSigningKey, NewTenant,
    NewTopic, NewUser, Pipeline, PipelineChange, PipelineFilter, Project, ProjectChange, ProjectFilter, Resource, Role,
    SigningKey, SigningKeyChange, SigningKeyFilter, Status, Tenant, TenantChange, TenantFilter, Topic, TopicChange, TopicFilter,
    User, UserChange, UserFilter,
};
use crate::model::Caller;
use crate::paging::Listed;
use crate::terms::Endpoint;

/// The routes of one resource: its list and creation, one by its key, and several at once. Where keys are names, one of them may be the word
/// that the path of several ends with: it is reached like any other.
macro_rules! resource {
    ($module:ident, $resource:ty, $filter:ty, $new:ty, $change:ty, $tag:literal, $all:literal, $bulk:literal, $one:literal,
     ($key:literal, $key_type:ty) $(, or one named $word:literal)?) => {
        pub(super) mod $module {
            use super::*;

            pub(in crate::http) fn routes() -> OpenApiRouter<App> {
                let routes = OpenApiRouter::new()
                    .routes(routes!(list, create))
                    .routes(routes!(create_several))
                    .routes(routes!(get, update, delete));
                $(
                    let key = || Path($word.to_owned());
                    let one = routing::get(move |caller: Caller, app: State<App>| get(caller, app, key()))
                        .put(move |caller: Caller, app: State<App>, if_match: IfMatch, change: Json<$change>| {
                            update(caller, app, key(), if_match, change)
                        })
                        .delete(move |caller: Caller, app: State<App>, if_match: IfMatch| delete(caller, app, key(), if_match));
                    let routes = routes.route($bulk, one);
                )?
                routes
            }

            #[utoipa::path(get, path = $all, tag = $tag, summary = concat!("List the ", $tag, "."), params(PageQuery, $filter),
                responses((status = 200, body = Page<$resource>), (status = "4XX", body = ErrorBody)))]
            pub(super) async fn list(
                caller: Caller,
                State(app): State<App>,
                Query(query): Query<PageQuery>,
                Query(filter): Query<$filter>,
            ) -> Reply<Vec<$resource>> {
                listed(app.gate.resource_list(&caller, &filter, &query.page()?).await?)
            }

            #[utoipa::path(post, path = $all, tag = $tag, summary = concat!("Make one of the ", $tag, "."), request_body = $new,
                responses((status = 201, body = Envelope<$resource>), (status = "4XX", body = ErrorBody)))]
            pub(super) async fn create(caller: Caller, State(app): State<App>, Json(new): Json<$new>) -> Reply<$resource> {
                let row: $resource = app.gate.resource_create(&caller, new).await?;
                created(&format!(concat!("/api/platform", $all, "/{}"), row.key()), row)
            }

            #[utoipa::path(post, path = $bulk, tag = $tag, summary = concat!("Make several of the ", $tag, ", with a result for each."),
                request_body = Several<$new>,
                responses((status = 200, body = Envelope<Bulk<$resource>>), (status = "4XX", body = ErrorBody)))]
            pub(super) async fn create_several(
                caller: Caller,
                State(app): State<App>,
                Json(several): Json<Several<$new>>,
            ) -> Reply<Bulk<$resource>> {
                make_each(several, |new| app.gate.resource_create(&caller, new)).await
            }

            #[utoipa::path(get, path = $one, tag = $tag, summary = concat!("One of the ", $tag, "."), params(($key = $key_type, Path)),
                responses((status = 200, body = Envelope<$resource>), (status = "4XX", body = ErrorBody)))]
            pub(super) async fn get(caller: Caller, State(app): State<App>, Path(id): Path<String>) -> Reply<$resource> {
                ok(app.gate.resource_get(&caller, &id).await?)
            }

            #[utoipa::path(put, path = $one, tag = $tag, summary = "Change the fields that are sent.",
                params(($key = $key_type, Path), ("If-Match" = Option<String>, Header)), request_body = $change,
                responses((status = 200, body = Envelope<$resource>), (status = "4XX", body = ErrorBody)))]
            pub(super) async fn update(
                caller: Caller,
                State(app): State<App>,
                Path(id): Path<String>,
                if_match: IfMatch,
                Json(change): Json<$change>,
            ) -> Reply<$resource> {
                ok(app.gate.resource_update(&caller, &id, change, &|row: &$resource| if_match.fits(row)).await?)
            }

            #[utoipa::path(delete, path = $one, tag = $tag, summary = concat!("Delete one of the ", $tag, "."),
                params(($key = $key_type, Path), ("If-Match" = Option<String>, Header)),
                responses((status = 204), (status = "4XX", body = ErrorBody)))]
            pub(super) async fn delete(
                caller: Caller,
                State(app): State<App>,
                Path(id): Path<String>,
                if_match: IfMatch,
            ) -> Reply<()> {
                app.gate.resource_delete(&caller, &id, &|row: &$resource| if_match.fits(row)).await?;
                no_content()
            }
        }
    };
}

resource!(
    tenants,
    Tenant,
    TenantFilter,
    NewTenant,
    TenantChange,
    "tenants",
    "/tenants",
    "/tenants/bulk",
    "/tenants/{slug}",
    ("slug", String),
    or one named "bulk"
);
resource!(
    kafka_topics,
    Topic,
    TopicFilter,
    NewTopic,
    TopicChange,
    "kafka-topics",
    "/kafka-topics",
    "/kafka-topics/bulk",
    "/kafka-topics/{name}",
    ("name", String),
    or one named "bulk"
);
resource!(
    projects,
    Project,
    ProjectFilter,
    NewProject,
    ProjectChange,
    "projects",
    "/projects",
    "/projects/bulk",
    "/projects/{id}",
    ("id", Uuid)
);
resource!(users, User, UserFilter, NewUser, UserChange, "users", "/users", "/users/bulk", "/users/{id}", ("id", Uuid));
resource!(
    signing_keys,
    SigningKey,
    SigningKeyFilter,
    NewSigningKey,
    SigningKeyChange,
    "signing-keys",
    "/signing-keys",
    "/signing-keys/bulk",
    "/signing-keys/{id}",
    ("id", Uuid)
);
resource!(
    pipelines,
    Pipeline,
    PipelineFilter,
    NewPipeline,
    PipelineChange,
    "pipelines",
    "/pipelines",
    "/pipelines/bulk",
    "/pipelines/{id}",
    ("id", Uuid)
);
resource!(
    connectors,
    Connector,
    ConnectorFilter,
    NewConnector,
    ConnectorChange,
    "connectors",
    "/connectors",
    "/connectors/bulk",
    "/connectors/{id}",
    ("id", Uuid)
);

/// All of them.
pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .merge(tenants::routes())
        .merge(kafka_topics::routes())
        .routes(routes!(set_topic_schema, clear_topic_schema))
        .merge(projects::routes())
        .merge(users::routes())
        .merge(signing_keys::routes())
        .merge(pipelines::routes())
        .merge(connectors::routes())
        .routes(routes!(user_by_email))
        .routes(routes!(projects_of_user))
        .routes(routes!(projects_of))
        .routes(routes!(members, add_member))
        .routes(routes!(change_member, remove_member))
        .routes(routes!(pipelines_of))
        .routes(routes!(activate_pipeline))
        .routes(routes!(deactivate_pipeline))
        .routes(routes!(next_version))
        .routes(routes!(set_connector_config))
        .routes(routes!(set_connector_endpoint))
        .routes(routes!(set_connector_schema))
}

fn listed<T: Serialize>(found: Listed<T>) -> Reply<Vec<T>> {
    page(found.items, found.next.as_deref().map(cursor))
}

/// The user with this email.
#[utoipa::path(get, path = "/user/email/{email}", tag = "users", params(("email" = String, Path)),
    responses((status = 200, body = Envelope<User>), (status = "4XX", body = ErrorBody)))]
async fn user_by_email(caller: Caller, State(app): State<App>, Path(email): Path<String>) -> Reply<User> {
    ok(app.gate.user_by_email(&caller, &email).await?)
}

/// List the projects that a user owns or belongs to.
#[utoipa::path(get, path = "/users/{id}/projects", tag = "users", params(("id" = Uuid, Path), PageQuery),
    responses((status = 200, body = Page<Project>), (status = "4XX", body = ErrorBody)))]
async fn projects_of_user(caller: Caller, app: State<App>, user: Path<Uuid>, query: Query<PageQuery>) -> Reply<Vec<Project>> {
    projects_of(caller, app, user, query).await
}

/// List the projects that a user owns or belongs to.
#[utoipa::path(get, path = "/projects/user/{userId}", tag = "projects", params(("userId" = Uuid, Path), PageQuery),
    responses((status = 200, body = Page<Project>), (status = "4XX", body = ErrorBody)))]
async fn projects_of(
    caller: Caller,
    State(app): State<App>,
    Path(user): Path<Uuid>,
    Query(query): Query<PageQuery>,
) -> Reply<Vec<Project>> {
    listed(app.gate.projects_of(&caller, user, &query.page()?).await?)
}

/// List the members of a project.
#[utoipa::path(get, path = "/projects/{id}/members", tag = "projects", params(("id" = Uuid, Path), PageQuery),
    responses((status = 200, body = Page<Member>), (status = "4XX", body = ErrorBody)))]
async fn members(
    caller: Caller,
    State(app): State<App>,
    Path(project): Path<Uuid>,
    Query(query): Query<PageQuery>,
) -> Reply<Vec<Member>> {
    listed(app.gate.member_list(&caller, project, &query.page()?).await?)
}

/// A new member.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NewMember {
    user_id: Uuid,
    role: Role,
}

/// Make a user a member of a project.
#[utoipa::path(post, path = "/projects/{id}/members", tag = "projects", params(("id" = Uuid, Path)), request_body = NewMember,
    responses((status = 201, body = Envelope<Member>), (status = "4XX", body = ErrorBody)))]
async fn add_member(
    caller: Caller,
    State(app): State<App>,
    Path(project): Path<Uuid>,
    Json(new): Json<NewMember>,
) -> Reply<Member> {
    let member = app.gate.member_add(&caller, project, new.user_id, new.role).await?;
    created(&format!("/api/platform/projects/{project}/members/{}", member.user_id), member)
}

/// Another role.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct MemberChange {
    role: Role,
}

/// Give a member another role.
#[utoipa::path(put, path = "/projects/{id}/members/{userId}", tag = "projects",
    params(("id" = Uuid, Path), ("userId" = Uuid, Path)), request_body = MemberChange,
    responses((status = 200, body = Envelope<Member>), (status = "4XX", body = ErrorBody)))]
async fn change_member(
    caller: Caller,
    State(app): State<App>,
    Path((project, user)): Path<(Uuid, Uuid)>,
    Json(change): Json<MemberChange>,
) -> Reply<Member> {
    ok(app.gate.member_change(&caller, project, user, change.role).await?)
}

/// Take a member out of a project.
#[utoipa::path(delete, path = "/projects/{id}/members/{userId}", tag = "projects",
    params(("id" = Uuid, Path), ("userId" = Uuid, Path)),
    responses((status = 204), (status = "4XX", body = ErrorBody)))]
async fn remove_member(caller: Caller, State(app): State<App>, Path((project, user)): Path<(Uuid, Uuid)>) -> Reply<()> {
    app.gate.member_remove(&caller, project, user).await?;
    no_content()
}

/// List the pipelines of a project.
#[utoipa::path(get, path = "/pipelines/project/{projectId}", tag = "pipelines", params(("projectId" = Uuid, Path), PageQuery),
    responses((status = 200, body = Page<Pipeline>), (status = "4XX", body = ErrorBody)))]
async fn pipelines_of(
    caller: Caller,
    State(app): State<App>,
    Path(project): Path<Uuid>,
    Query(query): Query<PageQuery>,
) -> Reply<Vec<Pipeline>> {
    let filter = PipelineFilter { project_id: Some(project), ..PipelineFilter::default() };
    listed(app.gate.resource_list(&caller, &filter, &query.page()?).await?)
}

/// Put a pipeline to work.
#[utoipa::path(post, path = "/pipelines/{id}/activate", tag = "pipelines",
    params(("id" = Uuid, Path), ("If-Match" = Option<String>, Header)),
    responses((status = 200, body = Envelope<Pipeline>), (status = "4XX", body = ErrorBody)))]
async fn activate_pipeline(caller: Caller, State(app): State<App>, Path(id): Path<String>, if_match: IfMatch) -> Reply<Pipeline> {
    let change = PipelineChange::status(Status::Active);
    ok(app.gate.resource_update(&caller, &id, change, &|row: &Pipeline| if_match.fits(row)).await?)
}

/// Take a pipeline from work.
#[utoipa::path(post, path = "/pipelines/{id}/deactivate", tag = "pipelines",
    params(("id" = Uuid, Path), ("If-Match" = Option<String>, Header)),
    responses((status = 200, body = Envelope<Pipeline>), (status = "4XX", body = ErrorBody)))]
async fn deactivate_pipeline(
    caller: Caller,
    State(app): State<App>,
    Path(id): Path<String>,
    if_match: IfMatch,
) -> Reply<Pipeline> {
    let change = PipelineChange::status(Status::Inactive);
    ok(app.gate.resource_update(&caller, &id, change, &|row: &Pipeline| if_match.fits(row)).await?)
}

/// Count a pipeline's version up by one.
#[utoipa::path(put, path = "/pipelines/{id}/version", tag = "pipelines",
    params(("id" = Uuid, Path), ("If-Match" = Option<String>, Header)),
    responses((status = 200, body = Envelope<Pipeline>), (status = "4XX", body = ErrorBody)))]
async fn next_version(caller: Caller, State(app): State<App>, Path(id): Path<String>, if_match: IfMatch) -> Reply<Pipeline> {
    ok(app.gate.pipeline_next_version(&caller, &id, &|row| if_match.fits(row)).await?)
}

/// A connector's configuration.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ConnectorConfig {
    /// A secret that is sent as `********` stays what it is.
    #[schema(value_type = Object)]
    config: Map<String, Value>,
}

/// Give a connector another configuration.
#[utoipa::path(put, path = "/connectors/{id}/config", tag = "connectors",
    params(("id" = Uuid, Path), ("If-Match" = Option<String>, Header)), request_body = ConnectorConfig,
    responses((status = 200, body = Envelope<Connector>), (status = "4XX", body = ErrorBody)))]
async fn set_connector_config(
    caller: Caller,
    State(app): State<App>,
    Path(id): Path<String>,
    if_match: IfMatch,
    Json(form): Json<ConnectorConfig>,
) -> Reply<Connector> {
    let change = ConnectorChange::config(form.config);
    ok(app.gate.resource_update(&caller, &id, change, &|row: &Connector| if_match.fits(row)).await?)
}

/// A connector's endpoint.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ConnectorEndpoint {
    #[schema(value_type = Endpoint)]
    endpoint: String,
}

/// Give a connector another endpoint.
#[utoipa::path(put, path = "/connectors/{id}/endpoint", tag = "connectors",
    params(("id" = Uuid, Path), ("If-Match" = Option<String>, Header)), request_body = ConnectorEndpoint,
    responses((status = 200, body = Envelope<Connector>), (status = "4XX", body = ErrorBody)))]
async fn set_connector_endpoint(
    caller: Caller,
    State(app): State<App>,
    Path(id): Path<String>,
    if_match: IfMatch,
    Json(form): Json<ConnectorEndpoint>,
) -> Reply<Connector> {
    let change = ConnectorChange::endpoint(form.endpoint);
    ok(app.gate.resource_update(&caller, &id, change, &|row: &Connector| if_match.fits(row)).await?)
}

/// A connector's schema.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ConnectorSchema {
    /// Null takes it away.
    #[serde(deserialize_with = "Option::deserialize")]
    #[schema(required = true)]
    schema_id: Option<Uuid>,
}

/// Give a connector another schema, or none.
#[utoipa::path(put, path = "/connectors/{id}/schema", tag = "connectors",
    params(("id" = Uuid, Path), ("If-Match" = Option<String>, Header)), request_body = ConnectorSchema,
    responses((status = 200, body = Envelope<Connector>), (status = "4XX", body = ErrorBody)))]
async fn set_connector_schema(
    caller: Caller,
    State(app): State<App>,
    Path(id): Path<String>,
    if_match: IfMatch,
    Json(form): Json<ConnectorSchema>,
) -> Reply<Connector> {
    let change = ConnectorChange::schema(form.schema_id);
    ok(app.gate.resource_update(&caller, &id, change, &|row: &Connector| if_match.fits(row)).await?)
}

/// The schema of a topic.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TopicSchema {
    schema_id: Uuid,
}

/// Give a topic a schema.
#[utoipa::path(put, path = "/kafka-topics/{name}/schema", tag = "kafka-topics",
    params(("name" = String, Path), ("If-Match" = Option<String>, Header)), request_body = TopicSchema,
    responses((status = 200, body = Envelope<Topic>), (status = "4XX", body = ErrorBody)))]
async fn set_topic_schema(
    caller: Caller,
    State(app): State<App>,
    Path(name): Path<String>,
    if_match: IfMatch,
    Json(form): Json<TopicSchema>,
) -> Reply<Topic> {
    let change = TopicChange::schema(Some(form.schema_id));
    ok(app.gate.resource_update(&caller, &name, change, &|row: &Topic| if_match.fits(row)).await?)
}

/// Take a topic's schema away.
#[utoipa::path(delete, path = "/kafka-topics/{name}/schema", tag = "kafka-topics",
    params(("name" = String, Path), ("If-Match" = Option<String>, Header)),
    responses((status = 200, body = Envelope<Topic>), (status = "4XX", body = ErrorBody)))]
async fn clear_topic_schema(caller: Caller, State(app): State<App>, Path(name): Path<String>, if_match: IfMatch) -> Reply<Topic> {
    let change = TopicChange::schema(None);
    ok(app.gate.resource_update(&caller, &name, change, &|row: &Topic| if_match.fits(row)).await?)
}
