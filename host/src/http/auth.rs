//! `/api/auth`: log in, log out, and who one is. Outside the policy.

use std::sync::Arc;

use axum::extract::State;
use axum::http::{HeaderValue, header};
use serde::Deserialize;
use utoipa::ToSchema;

use super::App;
use super::caller::Address;
use super::input::Json;
use super::reply::{Envelope, ErrorBody, REQUEST_ID, Reply, no_content, ok};
use crate::gate::sessions::{self, Session, Whoami};
use crate::model::Caller;
use crate::settings::Secret;
use crate::terms::Slug;

/// What somebody logs in with.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Login {
    /// Its case does not count.
    #[schema(format = Email)]
    email: String,
    #[schema(value_type = String, format = Password, write_only)]
    password: Secret,
    /// Needed where the email and password fit users of several tenants, which is a 409, and where more than five tenants have a user of this
    /// email.
    #[schema(value_type = Option<Slug>)]
    tenant: Option<String>,
}

/// Log in with a password. The answer's token is a session's; it is shown this once.
#[utoipa::path(post, path = "/login", tag = "auth", request_body = Login, security(()),
    responses((status = 200, body = Envelope<Session>), (status = "4XX", body = ErrorBody)))]
pub(super) async fn login(State(app): State<App>, Address(address): Address, Json(form): Json<Login>) -> Reply<Session> {
    let request_id = REQUEST_ID.try_with(Arc::clone).unwrap_or_else(|_| "".into());
    let Login { email, password, tenant } = form;
    let session = app.gate.login(sessions::Login { email, password, tenant }, address, &request_id).await?;
    Ok(ok(session)?.with(header::CACHE_CONTROL, HeaderValue::from_static("no-store")))
}

/// Log out: the session that this is sent with ends at once. Any other credential is a 409.
#[utoipa::path(post, path = "/logout", tag = "auth", responses((status = 204), (status = "4XX", body = ErrorBody)))]
pub(super) async fn logout(caller: Caller, State(app): State<App>) -> Reply<()> {
    app.gate.logout(&caller).await?;
    no_content()
}

/// Who one is, and as what.
#[utoipa::path(get, path = "/whoami", tag = "auth",
    responses((status = 200, body = Envelope<Whoami>), (status = "4XX", body = ErrorBody)))]
pub(super) async fn whoami(caller: Caller, State(app): State<App>) -> Reply<Whoami> {
    ok(app.gate.whoami(&caller).await?)
}
