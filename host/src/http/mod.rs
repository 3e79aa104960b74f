//! The HTTP entrance: every route on one page, and the OpenAPI document that they write.
//!
//! A handler decodes, makes one call on the gate and replies. It knows neither stores nor policy. Routes are given below `/api`
//! as the contract has them; a handler's attribute holds the rest of its path.

mod caller;
mod input;
mod layers;
pub mod reply;
mod system;

use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use tower_http::catch_panic::CatchPanicLayer;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{ComponentsBuilder, InfoBuilder, OpenApi, OpenApiBuilder, SecurityRequirement};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use self::reply::Problem;
use crate::error::{Error, Kind};
use crate::gate::Gate;

/// What handlers share.
#[derive(Clone, Debug)]
pub struct App {
    /// The only thing that they may call.
    pub gate: Arc<Gate>,
    openapi: Bytes,
}

/// Every route. Those outside the policy are in `system`; all others take a `Caller`.
fn routes() -> OpenApiRouter<App> {
    let brief = OpenApiRouter::new()
        .routes(routes!(system::health))
        .routes(routes!(system::live))
        .routes(routes!(system::ready))
        .routes(routes!(system::entry))
        .routes(routes!(system::openapi))
        .routes(routes!(system::metrics));
    OpenApiRouter::with_openapi(base()).merge(brief.layer(from_fn(layers::time_limit)))
}

/// The router, ready to be served.
pub fn router(gate: Arc<Gate>) -> Router {
    let (router, document) = routes().split_for_parts();
    let known = layers::KnownParameters::of(&document);
    let app = App { gate, openapi: text(document).into() };
    router
        .layer(from_fn(layers::not_modified))
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
    text(routes().split_for_parts().1)
}

/// Path templates of the router may hold `{*name}` for the rest of a path; OpenAPI has only `{name}`.
fn text(mut document: OpenApi) -> String {
    let paths = std::mem::take(&mut document.paths.paths);
    document.paths.paths = paths.into_iter().map(|(path, item)| (path.replace("{*", "{"), item)).collect();
    document.to_json().unwrap_or_default()
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

/// Serves until `stop` resolves, then lets requests under way end.
pub async fn serve(
    listener: tokio::net::TcpListener,
    router: Router,
    stop: impl Future<Output = ()> + Send + 'static,
) -> std::io::Result<()> {
    axum::serve(listener, router).with_graceful_shutdown(stop).await
}
