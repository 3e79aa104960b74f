//! Databases of one's own: on the shared cluster, or on a cluster of one's own that can be stopped.

use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use sqlx::postgres::PgPoolOptions;
use sqlx::{Connection as _, Executor as _, PgConnection, PgPool};

use super::broker::free_port;
use super::services;

static NUMBER: AtomicU32 = AtomicU32::new(0);

/// A name that no other test and no other run has.
pub fn unique(what: &str) -> String {
    format!("{what}_{}_{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed))
}

/// The two databases of one Weir, owned by a role that is no superuser, as in production: row-level security holds it back.
#[derive(Debug)]
pub struct Databases {
    /// The platform database, as Weir reaches it.
    pub platform: String,
    /// The database of readings, as Weir reaches it.
    pub readings: String,
}

impl Databases {
    /// New ones on the shared cluster.
    pub async fn create() -> Self {
        Self::create_on(&services::postgres()).await
    }

    /// New ones on the cluster that this address names.
    pub async fn create_on(superuser: &str) -> Self {
        let mut connection = PgConnection::connect(superuser).await.expect("the cluster of scripts/services answers");
        let role = "do $$ begin create role weir login; exception when duplicate_object or unique_violation then null; end $$";
        connection.execute(role).await.expect("the role is there");
        let mut urls = Vec::new();
        for what in ["platform", "readings"] {
            let name = unique(what);
            let sql = format!("create database {name} owner weir");
            connection.execute(sqlx::AssertSqlSafe(sql)).await.expect("a database is made");
            let base = superuser.rsplit_once('/').expect("an address with a database").0.replace("postgres@", "weir@");
            urls.push(format!("{base}/{name}"));
        }
        // As an administrator does: who owns a database may not bring an extension with code of its own.
        let readings = urls[1].replace("weir@", "postgres@");
        let mut connection = PgConnection::connect(&readings).await.expect("the new database answers");
        connection.execute("create extension timescaledb").await.expect("the extension is installed");
        let readings = urls.pop().expect("two were made");
        Self { platform: urls.pop().expect("two were made"), readings }
    }

    /// Connections to the readings, as the superuser: tests look at what no API shows.
    pub async fn readings(&self) -> PgPool {
        pool(&self.readings).await
    }

    /// Connections to the platform database, as the superuser: all tenants show.
    pub async fn platform(&self) -> PgPool {
        pool(&self.platform).await
    }
}

async fn pool(url: &str) -> PgPool {
    PgPoolOptions::new().max_connections(2).connect(&url.replace("weir@", "postgres@")).await.expect("the database answers")
}

/// A cluster of one's own, removed when dropped.
#[derive(Debug)]
pub struct Cluster {
    name: String,
    port: u16,
}

impl Cluster {
    /// A new cluster, started.
    pub fn create() -> Self {
        let port = free_port();
        let name = unique("own");
        script(&["create", &name, &port.to_string()]);
        Self { name, port }
    }

    /// The superuser's address.
    pub fn url(&self) -> String {
        format!("postgres://postgres@127.0.0.1:{}/postgres", self.port)
    }

    /// Starts it again.
    pub fn start(&self) {
        script(&["start", &self.name]);
    }

    /// Stops it; connections break.
    pub fn stop(&self) {
        script(&["stop", &self.name]);
    }

    /// Ends it at once, as a power cut does.
    pub fn kill(&self) {
        script(&["kill", &self.name]);
    }

    /// Gives it a file system of `mib` MiB in memory; its path, for a tablespace. Needs root.
    pub fn disk(&self, mib: u32) -> String {
        script(&["disk", &self.name, &mib.to_string()]);
        format!("/var/tmp/weir-postgres-{}/disk", self.name)
    }

    /// Where it listens.
    pub fn address(&self) -> std::net::SocketAddr {
        ([127, 0, 0, 1], self.port).into()
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        script(&["remove", &self.name]);
    }
}

fn script(arguments: &[&str]) {
    let done = Command::new("scripts/postgres").args(arguments).status().expect("scripts/postgres runs");
    assert!(done.success(), "scripts/postgres {arguments:?} failed");
}
