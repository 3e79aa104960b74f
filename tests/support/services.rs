//! The services that `scripts/services up` started. Without them a test fails and says so; none is skipped.

use std::env;

fn variable(name: &str) -> String {
    env::var(name).unwrap_or_else(|_| {
        panic!("{name} is not set: run `make test`, or `eval \"$(scripts/services up)\"` and export WEIR_TEST_GUESTS=$(scripts/guests)")
    })
}

/// A superuser's address of the cluster with TimescaleDB, database `postgres`.
pub fn postgres() -> String {
    variable("WEIR_TEST_POSTGRES_URL")
}

/// Where that cluster listens.
pub fn postgres_address() -> std::net::SocketAddr {
    let url = postgres();
    let host = url.rsplit_once('@').and_then(|(_, rest)| rest.split_once('/')).expect("an address with a host and a database").0;
    host.parse().expect("a number of a host and a port")
}

/// Kafka's bootstrap servers.
pub fn brokers() -> String {
    variable("WEIR_TEST_KAFKA_BROKERS")
}

/// The broker's program, for a broker of one's own.
pub fn tansu() -> String {
    variable("WEIR_TEST_TANSU")
}

/// The folder of built guests.
pub fn guests() -> String {
    variable("WEIR_TEST_GUESTS")
}

/// Folders for the front of `PATH`: the toolchains that `scripts/toolchains` installed.
pub fn toolchains() -> String {
    env::var("WEIR_TEST_TOOLCHAINS")
        .unwrap_or_else(|_| panic!("WEIR_TEST_TOOLCHAINS is not set: run `make test`, or `eval \"$(scripts/toolchains)\"`"))
}

/// The program `st` of schemathesis.
pub fn schemathesis() -> String {
    env::var("WEIR_TEST_SCHEMATHESIS")
        .unwrap_or_else(|_| panic!("WEIR_TEST_SCHEMATHESIS is not set: run `make test`, or `eval \"$(scripts/schemathesis)\"`"))
}

/// The S3 store, as settings of Weir.
pub fn s3() -> Vec<(&'static str, String)> {
    vec![
        ("WEIR_STORAGE_URL", format!("s3://{}", variable("WEIR_TEST_S3_BUCKET"))),
        ("MINIO_ENDPOINT", variable("WEIR_TEST_S3_ENDPOINT")),
        ("WEIR_STORAGE_REGION", variable("WEIR_TEST_S3_REGION")),
        ("MINIO_ACCESS_KEY", variable("WEIR_TEST_S3_ACCESS_KEY")),
        ("MINIO_SECRET_KEY", variable("WEIR_TEST_S3_SECRET_KEY")),
    ]
}
