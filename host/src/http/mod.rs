//! The HTTP entrance: every route on one page, and the OpenAPI document that they write.
//!
//! A handler decodes, makes one call on the gate and replies. It knows neither stores nor policy. Routes are given below `/api`
//! as the contract has them; a handler's attribute holds the rest of its path.

mod audit;
mod auth;
mod buckets;
mod caller;
mod chains;
mod explain;
mod files;
mod history;
mod input;
mod layers;
pub mod ledger;
mod listen;
mod policies;
pub mod quarantine;
mod readings;
mod repeats;
pub mod reply;
mod resources;
mod schemas;
mod several;
mod system;
mod tokens;
mod trial;
mod uploads;
mod validators;
mod ways;

use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use tokio_util::task::TaskTracker;
use tower_http::catch_panic::CatchPanicLayer;
use utoipa::PartialSchema as _;
use utoipa::openapi::path::{Parameter, ParameterBuilder, ParameterIn};
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{ComponentsBuilder, InfoBuilder, OpenApi, OpenApiBuilder, PathItem, SecurityRequirement};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use utoipa_swagger_ui::{Config, SwaggerUi};

use self::readings::{read, write};
use self::reply::Problem;
use crate::error::{Error, Kind};
use crate::gate::Gate;
use crate::terms;

/// What handlers share.
#[derive(Clone, Debug)]
pub struct App {
    /// The only thing that they may call.
    pub gate: Arc<Gate>,
    openapi: Bytes,
    /// Requests that are done to their end, also where their client has hung up.
    begun: TaskTracker,
}

/// Every route. Those outside the policy are in `system` and `auth`; all others take a `Caller`.
///
/// Routes that stream a body either way stand outside the time limit: a large body takes what it takes, and silence ends it.
fn routes(api: bool) -> OpenApiRouter<App> {
    let system = OpenApiRouter::new()
        .routes(routes!(system::health))
        .routes(routes!(system::live))
        .routes(routes!(system::ready))
        .routes(routes!(system::entry))
        .routes(routes!(system::openapi))
        .routes(routes!(system::metrics));
    if !api {
        return OpenApiRouter::with_openapi(base()).merge(system.layer(from_fn(layers::time_limit)));
    }
    let platform = OpenApiRouter::new()
        .routes(routes!(tokens::list_tokens, tokens::create_token))
        .routes(routes!(tokens::create_tokens))
        .routes(routes!(tokens::get_token, tokens::revoke_token))
        .routes(routes!(schemas::list_schemas, schemas::create_schema))
        .routes(routes!(schemas::create_schemas))
        .routes(routes!(schemas::get_schema, schemas::update_schema, schemas::delete_schema))
        .routes(routes!(schemas::check_schema))
        .routes(routes!(schemas::compare_schemas))
        .routes(routes!(schemas::schema_by_name))
        .routes(routes!(schemas::schema_versions))
        .routes(routes!(schemas::latest_schema))
        .routes(routes!(schemas::schema_by_number))
        .routes(routes!(chains::get_topic, chains::set_topic))
        .routes(routes!(chains::get_documents, chains::set_documents))
        .routes(routes!(chains::get_objects, chains::set_objects))
        .routes(routes!(validators::list, validators::create))
        .routes(routes!(validators::create_several))
        .routes(routes!(validators::get, validators::update, validators::delete))
        .routes(routes!(validators::versions))
        .routes(routes!(validators::activate))
        .routes(routes!(validators::back))
        .routes(routes!(validators::shadow))
        .routes(routes!(validators::history))
        .routes(routes!(trial::test))
        .routes(routes!(trial::replays))
        .routes(routes!(trial::stats))
        .routes(routes!(validators::set_strategy))
        .routes(routes!(quarantine::list, quarantine::discard))
        .routes(routes!(quarantine::causes))
        .routes(routes!(quarantine::replay::replay))
        .routes(routes!(quarantine::get, quarantine::discard_one))
        .routes(routes!(policies::list))
        .routes(routes!(policies::file))
        .routes(routes!(policies::check))
        .routes(routes!(policies::impact))
        .routes(routes!(policies::explain))
        .routes(routes!(policies::who_can))
        .routes(routes!(policies::permissions))
        .routes(routes!(audit::list))
        .routes(routes!(audit::get))
        .merge(resources::routes());
    let auth = OpenApiRouter::new().routes(routes!(auth::login)).routes(routes!(auth::logout)).routes(routes!(auth::whoami));
    let explain = OpenApiRouter::new().routes(routes!(explain::explain));
    let modules = OpenApiRouter::new().routes(routes!(validators::upload)).routes(routes!(trial::replay));
    let readings = OpenApiRouter::new()
        .routes(routes!(read::list, write::create))
        .routes(routes!(read::one, read::remove))
        .routes(routes!(read::sensors))
        .routes(routes!(read::latest))
        .routes(routes!(read::range))
        .routes(routes!(read::of_topic))
        .routes(routes!(read::of_schema))
        .routes(routes!(ledger::books))
        .routes(routes!(ledger::trace));
    let bulk = OpenApiRouter::new().routes(routes!(write::bulk));
    let buckets = OpenApiRouter::new()
        .routes(routes!(buckets::list, buckets::create))
        .routes(routes!(buckets::create_several))
        .routes(routes!(buckets::get, buckets::update, buckets::delete))
        .routes(routes!(buckets::exists))
        .routes(routes!(buckets::versioning, buckets::set_versioning))
        .routes(routes!(buckets::objects))
        .routes(routes!(files::object_exists))
        .routes(routes!(history::versions))
        .routes(routes!(history::restore))
        .routes(routes!(uploads::buffer));
    let files = OpenApiRouter::new()
        .routes(routes!(files::upload, files::delete_object))
        .routes(routes!(files::download, files::look))
        .routes(routes!(history::copy))
        .routes(routes!(uploads::form));
    let brief = system
        .merge(explain)
        .nest("/api/auth", auth)
        .nest("/api/platform", platform)
        .nest("/api/timescale", readings)
        .nest("/api/storage", buckets);
    let streamed = OpenApiRouter::new().nest("/api/platform", modules).nest("/api/timescale", bulk).nest("/api/storage", files);
    OpenApiRouter::with_openapi(base()).merge(brief.layer(from_fn(layers::time_limit))).merge(streamed)
}

/// The router, ready to be served; without `api`, what is outside the policy alone.
pub fn router(gate: Arc<Gate>, api: bool) -> Router {
    let (router, document) = routes(api).split_for_parts();
    let known = layers::KnownParameters::of(&document);
    let app = App { gate, openapi: text(document).into(), begun: TaskTracker::new() };
    let router = if api { router.merge(docs()) } else { router };
    router
        .layer(from_fn(layers::not_modified))
        .route_layer(from_fn_with_state(app.clone(), repeats::once))
        .route_layer(from_fn_with_state(app.clone(), layers::record_failures))
        .route_layer(from_fn_with_state(known, layers::known_parameters))
        .fallback(async || Problem(Error::new(Kind::NotFound, "There is nothing at this path; GET /api lists where to begin.")))
        .method_not_allowed_fallback(async || {
            Problem(Error::new(
                Kind::MethodNotAllowed,
                "This path does not take this method; the `Allow` header lists those it takes.",
            ))
        })
        .layer(CatchPanicLayer::custom(panicked))
        // Bodies are bounded where they are read: JSON, modules and files each by their own limit.
        .layer(DefaultBodyLimit::disable())
        .layer(from_fn_with_state(app.clone(), layers::observe))
        .with_state(app)
}

/// The OpenAPI document as JSON text.
pub fn openapi() -> String {
    text(routes(true).split_for_parts().1)
}

/// Path templates of the router may hold `{*name}` for the rest of a path; OpenAPI has only `{name}`.
fn text(mut document: OpenApi) -> String {
    let paths = std::mem::take(&mut document.paths.paths);
    document.paths.paths = paths.into_iter().map(|(path, item)| (path.replace("{*", "{"), item)).collect();
    for (path, item) in &mut document.paths.paths {
        name_operations(path, item);
    }
    ways::narrow(&mut document);
    document.to_json().unwrap_or_default()
}

/// Names each operation after its method and path: handlers of different resources have the same names.
fn name_operations(path: &str, item: &mut PathItem) {
    let words = path.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !matches!(*word, "" | "api"));
    let path = words.collect::<Vec<_>>().join("_");
    let operations = [
        ("get", &mut item.get),
        ("put", &mut item.put),
        ("post", &mut item.post),
        ("delete", &mut item.delete),
        ("head", &mut item.head),
    ];
    for (method, operation) in operations {
        if let Some(operation) = operation {
            operation.operation_id = Some(format!("{method}_{path}"));
            if method == "post" {
                operation.parameters.get_or_insert_default().push(idempotency_key().into());
            }
        }
    }
}

/// What all operations take that make something.
fn idempotency_key() -> Parameter {
    ParameterBuilder::new()
        .name("Idempotency-Key")
        .parameter_in(ParameterIn::Header)
        .description(Some(
            "Sent again with the same key within 24 hours, the request gets the first one's answer and is not done again.",
        ))
        .schema(Some(terms::RepeatKey::schema()))
        .build()
}

/// The page to read the document and try it, all of it served from here.
fn docs() -> SwaggerUi {
    let config =
        Config::from("/api/openapi.json").validator_url("none").filter(true).doc_expansion("none").persist_authorization(true);
    SwaggerUi::new("/api/docs").config(config)
}

fn base() -> OpenApi {
    let token = SecurityScheme::Http(HttpBuilder::new().scheme(HttpAuthScheme::Bearer).build());
    OpenApiBuilder::new()
        .info(
            InfoBuilder::new()
                .title("Weir")
                .version(env!("CARGO_PKG_VERSION"))
                .description(Some("Storage gateway for IoT platforms.")),
        )
        .components(Some(ComponentsBuilder::new().security_scheme("token", token).build()))
        .security(Some([SecurityRequirement::new("token", Vec::<String>::new())]))
        .build()
}

/// A panic is a defect: it is logged by the hook with its place, and the client gets the error of the contract.
fn panicked(_: Box<dyn std::any::Any + Send>) -> Response<axum::body::Body> {
    Problem(Error::internal("a handler panicked")).into_response()
}

/// Serves so many connections at once until `stop` resolves, then lets requests under way end.
pub async fn serve(
    listener: tokio::net::TcpListener,
    connections: usize,
    router: Router,
    stop: impl Future<Output = ()> + Send + 'static,
) -> std::io::Result<()> {
    let router = router.into_make_service_with_connect_info::<listen::Peer>();
    axum::serve(listen::Bounded::new(listener, connections), router).with_graceful_shutdown(stop).await
}
