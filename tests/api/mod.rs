//! The REST API, resource by resource, as the contract has it.

mod accounts;
mod auth;
mod catalogue;
mod errors;
mod explain;
mod files;
mod health;
mod ledger;
mod oidc;
mod quarantine;
mod quotas;
mod rates;
mod readings;
mod tokens;
mod validators;
