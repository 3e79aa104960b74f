//! The integration tests: one binary, one harness (`support`), real services, each test in a tenant or database of its own.

mod tidy;
