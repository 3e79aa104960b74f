//! The integration tests: one binary, one harness (`support`), real services, each test in a tenant or database of its own.

#![expect(clippy::expect_used, clippy::panic, reason = "a test that cannot go on has failed")]

mod api;
mod contract;
mod decoders;
mod dev;
mod every_route;
mod guests;
mod policies;
mod policy_matrix;
mod shell;
mod statements;
mod support;
mod templates;
mod tidy;
mod writer;
