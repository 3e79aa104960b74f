//! What is outside the policy: health, the entry page, the OpenAPI document, metrics.

use std::collections::BTreeMap;

use axum::extract::State;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde_json::{Value, json};
use utoipa::ToSchema;

use super::App;
use super::reply::{self, Problem, Reply, ok};
use crate::error::{Error, Kind};
use crate::gate::health::{Health, Overall};
use crate::times::rfc3339;
use crate::vitals::Standing;

/// How Weir and its services are.
#[derive(Debug, Serialize, ToSchema)]
pub struct HealthBody {
    /// `healthy`, `degraded` or `unhealthy`.
    #[schema(example = "healthy")]
    status: &'static str,
    /// `connected`, `degraded` or `disconnected`, by service.
    services: BTreeMap<&'static str, &'static str>,
    /// More about each service: edition, lag, the file and line of a policy's mistake.
    details: BTreeMap<&'static str, Value>,
    /// When it was found out.
    timestamp: String,
}

/// How Weir and its services are.
///
/// 200 while the API works, even in part; 503 where the platform database is away.
#[utoipa::path(get, path = "/health", tag = "system", security(()),
    responses((status = 200, body = HealthBody), (status = 503, body = HealthBody)))]
pub(super) async fn health(State(app): State<App>) -> Response {
    let Health { overall, services, now } = app.gate.health().await;
    let body = HealthBody {
        status: overall.as_str(),
        services: services.iter().map(|(name, report)| (*name, report.standing.as_str())).collect(),
        details: services
            .into_iter()
            .filter(|(_, report)| !report.details.is_null())
            .map(|(name, report)| (name, report.details))
            .collect(),
        timestamp: rfc3339(now),
    };
    reply::health(overall != Overall::Unhealthy, body)
}

/// The process runs.
#[utoipa::path(get, path = "/health/live", tag = "system", security(()), responses((status = 200)))]
pub(super) async fn live() -> Reply<&'static str> {
    ok("live")
}

/// The process can serve requests: policies are loaded and the platform database answers.
#[utoipa::path(get, path = "/health/ready", tag = "system", security(()),
    responses((status = 200), (status = 503, body = super::reply::ErrorBody)))]
pub(super) async fn ready(State(app): State<App>) -> Reply<&'static str> {
    let health = app.gate.health().await;
    let migrated = health.services.get("migrations").is_some_and(|report| report.standing == Standing::Connected);
    if health.overall != Overall::Unhealthy && migrated {
        return ok("ready");
    }
    let waiting = if migrated { "the platform database does not answer" } else { "the databases do not have their tables yet" };
    let away = Error::new(Kind::Unavailable, format!("Weir is not ready: {waiting}."));
    Err(Problem(away.retry_after(crate::limits::RETRY_AFTER)))
}

/// Name, version and where to go from here.
#[utoipa::path(get, path = "/api", tag = "system", security(()), responses((status = 200)))]
pub(super) async fn entry() -> Reply<Value> {
    ok(json!({
        "name": "weir",
        "version": env!("CARGO_PKG_VERSION"),
        "links": {
            "openapi": "/api/openapi.json", "docs": "/api/docs", "health": "/health", "metrics": "/metrics",
            "platform": "/api/platform", "timescale": "/api/timescale", "storage": "/api/storage",
        },
    }))
}

/// The OpenAPI document of this API, written by its handlers.
#[utoipa::path(get, path = "/api/openapi.json", tag = "system", security(()), responses((status = 200)))]
pub(super) async fn openapi(State(app): State<App>) -> Response {
    let json = HeaderValue::from_static("application/json");
    ([(header::CONTENT_TYPE, json)], app.openapi.clone()).into_response()
}

/// Metrics in Prometheus' text format.
#[utoipa::path(get, path = "/metrics", tag = "system", security(()), responses((status = 200, content_type = "application/openmetrics-text")))]
pub(super) async fn metrics(State(app): State<App>) -> Result<Response, Problem> {
    let text = app.gate.vitals.text().map_err(Error::internal)?;
    let kind = HeaderValue::from_static("application/openmetrics-text; version=1.0.0; charset=utf-8");
    Ok(([(header::CONTENT_TYPE, kind)], text).into_response())
}
