//! Databases of a run's own, on a cluster that makes what it says durable, and what is counted in them.

use postgres::{Client, NoTls};

use crate::failure::{Doing as _, Failure, Result};
use crate::load::Load;
use crate::usage;

/// A cluster and a superuser's connection to it.
pub struct Cluster {
    client: Client,
    superuser: String,
    /// The postmaster's process id; all of the cluster's processes are its children.
    pub pid: u32,
    /// The version of the server.
    pub version: String,
    /// Whether a commit waits for the disk.
    pub durable: bool,
}

/// A database that is removed when it is dropped.
pub struct Database {
    name: String,
    cluster: String,
    /// The address for the role that owns it, which is no superuser.
    pub url: String,
    /// The address for the superuser.
    pub superuser: String,
}

impl Cluster {
    /// Connects, and finds out what there is.
    pub fn connect(superuser: &str) -> Result<Self> {
        let mut client = Client::connect(superuser, NoTls).doing("PostgreSQL does not answer")?;
        let sql = "select pg_backend_pid(), current_setting('server_version'), \
            current_setting('fsync') = 'on' and current_setting('synchronous_commit') = 'on' and current_setting('full_page_writes') = 'on'";
        let row = client.query_one(sql, &[]).doing("PostgreSQL does not say what it is")?;
        let pid = u32::try_from(row.get::<_, i32>(0)).doing("a process id")?;
        let pid = usage::parent(pid).ok_or_else(|| Failure::new("the cluster must run on this machine"))?;
        let role = "do $$ begin create role weir login; exception when duplicate_object then null; end $$";
        client.batch_execute(role).doing("the role cannot be made")?;
        Ok(Self { client, superuser: superuser.to_owned(), pid, version: row.get(1), durable: row.get(2) })
    }

    /// A new database with TimescaleDB in it.
    pub fn create(&mut self, name: &str) -> Result<Database> {
        let what = format!("database {name} cannot be made");
        self.client.batch_execute(&format!("drop database if exists {name} with (force)")).doing(&what)?;
        self.client.batch_execute(&format!("create database {name} owner weir")).doing(&what)?;
        let base = self.superuser.rsplit_once('/').map_or(self.superuser.as_str(), |(base, _)| base);
        let superuser = format!("{base}/{name}");
        let database = Database {
            name: name.to_owned(),
            cluster: self.superuser.clone(),
            url: superuser.replace("postgres@", "weir@"),
            superuser,
        };
        database
            .client()?
            .batch_execute("create extension if not exists timescaledb")
            .doing("TimescaleDB cannot be installed")?;
        Ok(database)
    }

    /// Writes down what earlier runs left, so that this one does not pay for it.
    pub fn checkpoint(&mut self) -> Result<()> {
        self.client.batch_execute("checkpoint").doing("the checkpoint failed")
    }

    /// The version of TimescaleDB that is installed.
    pub fn timescale(&mut self) -> String {
        let sql = "select default_version from pg_available_extensions where name = 'timescaledb'";
        self.client.query_opt(sql, &[]).ok().flatten().map_or_else(|| "none".to_owned(), |row| row.get(0))
    }
}

impl Database {
    /// A superuser's connection.
    pub fn client(&self) -> Result<Client> {
        Client::connect(&self.superuser, NoTls).doing("the database does not answer")
    }

    /// The owner's connection.
    pub fn owner(&self) -> Result<Client> {
        Client::connect(&self.url, NoTls).doing("the database does not answer")
    }

    /// Fails unless the table has exactly the rows of the load: their number and their sum.
    pub fn verify(&self, table: &str, load: Load) -> Result<()> {
        let sql = format!("select count(*), coalesce(sum(round(value * 100)::bigint), 0)::bigint from {table}");
        let row = self.client()?.query_one(&sql, &[]).doing("the rows cannot be counted")?;
        let found: (i64, i64) = (row.get(0), row.get(1));
        let wanted = (load.rows().cast_signed(), load.sum());
        if found == wanted {
            return Ok(());
        }
        Err(Failure::new(format!("{table} has {} rows with the sum {}, not {} with {}", found.0, found.1, wanted.0, wanted.1)))
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        // A database that stays is removed with the cluster.
        if let Ok(mut client) = Client::connect(&self.cluster, NoTls) {
            let _ = client.batch_execute(&format!("drop database if exists {} with (force)", self.name));
        }
    }
}
