//! The REST API, resource by resource, as the contract has it.

mod accounts;
mod audit;
mod catalogue;
mod errors;
mod explain;
mod files;
mod health;
mod ledger;
mod quarantine;
mod quotas;
mod readings;
mod repeats;
mod resources;
mod validators;
