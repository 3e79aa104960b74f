//! Every statement of every store is prepared against the migrated tables: a renamed column shows here, not at night.

use sqlx::{Executor as _, SqlSafeStr as _};

use crate::support::app::App;

#[tokio::test]
async fn every_statement_fits_the_tables() {
    let app = App::start().await;
    let mut mistakes = Vec::new();
    let mut seen = 0;
    let platform = app.databases.platform().await;
    for (name, sql) in weir::platform::all_statements() {
        seen += 1;
        if let Err(error) = platform.prepare(sql.into_sql_str()).await {
            mistakes.push(format!("platform {name}: {error}"));
        }
    }
    let readings = app.databases.readings().await;
    for (name, sql) in weir::timescale::STATEMENTS.iter().flat_map(|statements| statements.iter()) {
        seen += 1;
        if let Err(error) = readings.prepare((*sql).into_sql_str()).await {
            mistakes.push(format!("readings {name}: {error}"));
        }
    }
    assert!(seen > 50, "only {seen} statements");
    assert!(mistakes.is_empty(), "\n{}", mistakes.join("\n"));
    app.stop();
}

#[tokio::test]
async fn a_query_that_forgets_the_tenant_sees_nothing() {
    let app = App::start().await;
    app.acme().post("/api/platform/kafka-topics", &serde_json::json!({ "name": "rooms" })).await.expect(201);
    // As Weir's own role, which is no superuser, and in a transaction that names no tenant.
    let mut connection = <sqlx::PgConnection as sqlx::Connection>::connect(&app.databases.platform).await.expect("it answers");
    for table in [
        "tokens",
        "kafka_topics",
        "validators",
        "schemas",
        "audit_log",
        "audit_heads",
        "outbox",
        "buckets",
        "objects",
        "users",
        "projects",
        "project_members",
        "pipelines",
        "connectors",
        "idempotency",
        "sessions",
        "login_failures",
        "storage_use",
    ] {
        let sql = format!("select count(*) from {table}");
        let seen: i64 = sqlx::query_scalar(sqlx::AssertSqlSafe(sql)).fetch_one(&mut connection).await.expect("a count");
        assert_eq!(seen, 0, "{table}");
    }
    sqlx::query("select set_config('weir.tenant', 'globex', false)").execute(&mut connection).await.expect("set");
    let seen: i64 = sqlx::query_scalar("select count(*) from kafka_topics").fetch_one(&mut connection).await.expect("a count");
    assert_eq!(seen, 0, "another tenant's");
    app.stop();
}

#[tokio::test]
async fn two_replicas_may_migrate_an_empty_database_at_once() {
    let databases = crate::support::database::Databases::create().await;
    let migrate = || {
        tokio::process::Command::new(env!("CARGO_BIN_EXE_weir"))
            .arg("migrate")
            .env("DATABASE_URL_PLATFORM", &databases.platform)
            .env("DATABASE_URL_TIMESCALE", &databases.readings)
            .env("WEIR_STORAGE_URL", "fs:///tmp")
            .output()
    };
    let (first, second, third) = tokio::join!(migrate(), migrate(), migrate());
    for done in [first, second, third] {
        let done = done.expect("it ran");
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    }
}
