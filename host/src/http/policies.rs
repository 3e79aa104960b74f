//! `/api/platform/policies`: the policy at work, what other files would be and change, and what is decided and why. Nothing here changes it.

use std::collections::BTreeMap;

use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::App;
use super::input::{Json, Path, Query};
use super::reply::{Envelope, ErrorBody, Reply, ok};
use crate::forms::whole_if_any;
use crate::gate::policies::{Explanation, Holder, Impact, Mistake, Permission, Summary};
use crate::model::{Action, Caller};
use crate::terms::{PolicyObject, Slug};

/// The policy at work.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Policies {
    /// A short hash over all files; decisions carry it.
    revision: String,
    files: Vec<PolicyFile>,
}

/// A file of the policy.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct PolicyFile {
    /// Its name beneath the folder, such as `tenants/acme.csv`.
    name: String,
    bytes: usize,
}

/// A file of the policy, with its text.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct PolicyText {
    name: String,
    text: String,
}

/// Other files, to be looked at in the places of those at work.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PolicyChanges {
    /// Texts by the names of the files, such as `tenants/acme.csv`; null for one that is to go. The others stay as they are.
    files: BTreeMap<String, Option<String>>,
}

/// The same, and how far to look back.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PolicyImpactForm {
    /// Texts by the names of the files; null for one that is to go.
    files: BTreeMap<String, Option<String>>,
    /// Days back; 7 where it is not given.
    #[serde(default, deserialize_with = "whole_if_any")]
    #[schema(minimum = 1, maximum = 90)]
    days: Option<u32>,
}

/// Whether files would be put to work.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct PolicyChecked {
    /// Whether they are without mistakes and their cases hold.
    sound: bool,
    /// What the files would be together; null where they are not sound.
    summary: Option<PolicySummary>,
    mistakes: Vec<PolicyMistake>,
}

/// What the files hold.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct PolicySummary {
    revision: String,
    files: usize,
    /// `p` lines.
    rules: usize,
    /// `g` lines.
    links: usize,
    /// Cases; all hold.
    cases: usize,
    /// Tenants that have rules of their own.
    tenants: usize,
}

/// One thing that is wrong.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct PolicyMistake {
    file: String,
    /// Counted from 1; null where no line is to blame.
    line: Option<usize>,
    /// What is wrong and what to write instead.
    message: String,
}

impl From<Result<Summary, Vec<Mistake>>> for PolicyChecked {
    fn from(checked: Result<Summary, Vec<Mistake>>) -> Self {
        match checked {
            Ok(Summary { revision, files, rules, links, cases, tenants }) => Self {
                sound: true,
                summary: Some(PolicySummary { revision: revision.to_string(), files, rules, links, cases, tenants }),
                mistakes: Vec::new(),
            },
            Err(mistakes) => Self {
                sound: false,
                summary: None,
                mistakes: mistakes
                    .into_iter()
                    .map(|Mistake { file, line, message }| PolicyMistake { file, line, message })
                    .collect(),
            },
        }
    }
}

/// A question about one decision.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase")]
#[into_params(parameter_in = Query)]
pub struct DecisionQuery {
    /// As policy files name it: `user:ann`, `default/user:root`, `service:writer`.
    #[param(example = "user:ann@acme.example")]
    subject: String,
    /// In which tenant.
    #[param(value_type = Slug, inline)]
    tenant: String,
    /// One object by its path.
    #[param(value_type = PolicyObject, inline)]
    object: String,
    #[param(inline)]
    action: Action,
}

/// A question about who may do something.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase")]
#[into_params(parameter_in = Query)]
pub struct HoldersQuery {
    /// One object by its path.
    #[param(value_type = PolicyObject, inline)]
    object: String,
    #[param(inline)]
    action: Action,
    /// In this tenant only.
    #[param(value_type = Slug, required = false, inline)]
    tenant: Option<String>,
}

/// A question about what somebody may do.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase")]
#[into_params(parameter_in = Query)]
pub struct PermissionsQuery {
    /// As policy files name it. Without a home tenant it is one of `tenant`, or of the caller's.
    #[param(example = "user:ann@acme.example")]
    subject: String,
    /// In this tenant only.
    #[param(value_type = Slug, required = false, inline)]
    tenant: Option<String>,
}

/// The policy at work: its revision and files.
#[utoipa::path(get, path = "/policies", tag = "policies",
    responses((status = 200, body = Envelope<Policies>), (status = "4XX", body = ErrorBody)))]
pub(super) async fn list(caller: Caller, State(app): State<App>) -> Reply<Policies> {
    let (revision, files) = app.gate.policies(&caller).await?;
    let files = files.into_iter().map(|(name, bytes)| PolicyFile { name, bytes }).collect();
    ok(Policies { revision: revision.to_string(), files })
}

/// One file of the policy at work.
#[utoipa::path(get, path = "/policies/files/{*file}", tag = "policies",
    params(("file" = String, Path, description = "Its name beneath the folder, such as `tenants/acme.csv`.")),
    responses((status = 200, body = Envelope<PolicyText>), (status = "4XX", body = ErrorBody)))]
pub(super) async fn file(caller: Caller, State(app): State<App>, Path(name): Path<String>) -> Reply<PolicyText> {
    let text = app.gate.policy_file(&caller, &name).await?;
    ok(PolicyText { name, text })
}

/// Check files in the places of those at work, as a change of the folder would be.
#[utoipa::path(post, path = "/policies/check", tag = "policies", request_body = PolicyChanges,
    responses((status = 200, body = Envelope<PolicyChecked>), (status = "4XX", body = ErrorBody)))]
pub(super) async fn check(caller: Caller, State(app): State<App>, Json(form): Json<PolicyChanges>) -> Reply<PolicyChecked> {
    ok(app.gate.policy_check(&caller, form.files).await?.into())
}

/// What files would change for the requests of the last days: who gains, who loses, and who would cross a tenant.
#[utoipa::path(post, path = "/policies/impact", tag = "policies", request_body = PolicyImpactForm,
    responses((status = 200, body = Envelope<Impact>), (status = "4XX", body = ErrorBody)))]
pub(super) async fn impact(caller: Caller, State(app): State<App>, Json(form): Json<PolicyImpactForm>) -> Reply<Impact> {
    ok(app.gate.policy_impact(&caller, form.files, form.days.unwrap_or(7)).await?)
}

/// Why something is decided as it is: the rule, or the rules that come nearest and what of them does not fit.
#[utoipa::path(get, path = "/policies/explain", tag = "policies", params(DecisionQuery),
    responses((status = 200, body = Envelope<Explanation>), (status = "4XX", body = ErrorBody)))]
pub(super) async fn explain(
    caller: Caller,
    State(app): State<App>,
    Query(DecisionQuery { subject, tenant, object, action }): Query<DecisionQuery>,
) -> Reply<Explanation> {
    ok(app.gate.policy_explain(&caller, &subject, &tenant, action, &object).await?)
}

/// Who may do something, of all that the rules name.
#[utoipa::path(get, path = "/policies/who-can", tag = "policies", params(HoldersQuery),
    responses((status = 200, body = Envelope<Vec<Holder>>), (status = "4XX", body = ErrorBody)))]
pub(super) async fn who_can(
    caller: Caller,
    State(app): State<App>,
    Query(HoldersQuery { object, action, tenant }): Query<HoldersQuery>,
) -> Reply<Vec<Holder>> {
    ok(app.gate.policy_who_can(&caller, tenant.as_deref(), action, &object).await?)
}

/// What the rules say of somebody, by name or by a role.
#[utoipa::path(get, path = "/policies/permissions", tag = "policies", params(PermissionsQuery),
    responses((status = 200, body = Envelope<Vec<Permission>>), (status = "4XX", body = ErrorBody)))]
pub(super) async fn permissions(
    caller: Caller,
    State(app): State<App>,
    Query(PermissionsQuery { subject, tenant }): Query<PermissionsQuery>,
) -> Reply<Vec<Permission>> {
    ok(app.gate.policy_permissions(&caller, &subject, tenant.as_deref()).await?)
}
