//! The extractor that authenticates: a handler that takes a [`Caller`] cannot run without one. And where a request comes from.

use std::convert::Infallible;
use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::{ConnectInfo, FromRequestParts};
use axum::http::header;
use axum::http::request::Parts;

use super::App;
use super::listen::Peer;
use super::reply::{Problem, REQUEST_ID};
use crate::error::{Error, Kind};
use crate::model::{Attempt, Caller};

impl FromRequestParts<App> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Self::Rejection> {
        // Who asks twice (`repeats`) is one request, and counts as one.
        if let Some(caller) = parts.extensions.get::<Self>() {
            return Ok(caller.clone());
        }
        let request_id = REQUEST_ID.try_with(Arc::clone).unwrap_or_else(|_| "".into());
        let tenant = match parts.headers.get("x-tenant").map(|value| value.to_str()) {
            None => None,
            Some(Ok(tenant)) => Some(tenant),
            Some(Err(_)) => {
                return Err(Error::malformed("`X-Tenant` is not a tenant's name.").at("X-Tenant", "not ASCII").into());
            }
        };
        let attempt = parts.extensions.get::<Attempt>().cloned().unwrap_or_default();
        Ok(Self { attempt, ..app.gate.identify(bearer(parts)?, tenant, request_id).await? })
    }
}

/// The address that a request comes from: a proxy's, where there is one before Weir.
#[derive(Clone, Copy, Debug)]
pub(super) struct Address(pub(super) Option<IpAddr>);

impl FromRequestParts<App> for Address {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &App) -> Result<Self, Self::Rejection> {
        Ok(Self(parts.extensions.get::<ConnectInfo<Peer>>().map(|ConnectInfo(Peer(address))| *address)))
    }
}

/// The credential of `Authorization: Bearer …`.
pub(super) fn bearer(parts: &Parts) -> Result<&str, Error> {
    let missing = || Error::new(Kind::Unauthenticated, "Send `Authorization: Bearer <token>`; this request has no credentials.");
    let value = parts.headers.get(header::AUTHORIZATION).ok_or_else(missing)?;
    let value = value.to_str().map_err(|_| missing())?;
    match value.split_once(' ') {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") && !token.trim().is_empty() => Ok(token.trim()),
        _ => Err(missing()),
    }
}
