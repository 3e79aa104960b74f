//! The REST API, resource by resource, as the contract has it.

mod accounts;
mod audit;
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
mod repeats;
mod resources;
mod tokens;
mod validators;
