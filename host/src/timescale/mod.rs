//! What the sensors said: TimescaleDB, or plain PostgreSQL where the extension is not there.
//!
//! Promises: rows, books, quarantine and Kafka positions of a batch are stored in one transaction or not at all ([`write`]), and
//! whatever reads or writes readings has a [`Permit`](crate::policy::Permit), whose tenant is in every statement ([`read`]).
//! Without one there are only the migrations, the probe and the edition.
//!
//! The first connection is made when it is needed, so Weir starts and says so where the database is away.

mod books;
mod copy;
mod edition;
mod kept;
mod ledger;
mod lines;
mod quarantine;
mod read;
mod replay;
mod series;
mod sqlstate;
#[cfg(test)]
mod tests;
mod verify;
mod write;

use std::str::FromStr;

use sqlx::migrate::Migrator;
use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions};

pub use edition::Edition;
pub use kept::{Attempt, Cause, Kept, KeptFilter, Replayed};
pub use ledger::{Aside, Booked, BooksFilter, Sums, Trace};
pub use lines::Part;

pub use read::{Filter, Latest, Order, Page, Place, StoredReading, StoredSensor, StoredValue};
pub use replay::{Chosen, State};
pub use sqlstate::WriteError;
pub use verify::{Difference, Recount};
pub use write::Prepared;

use crate::error::{Error, Result};
use crate::limits;

/// Static SQL with a name, so that a test can prepare each statement against the migrated database.
macro_rules! statements {
    ($($(#[$meta:meta])* $name:ident = $sql:expr;)+) => {
        $($(#[$meta])* pub(super) const $name: &str = $sql;)+
        /// Every statement of this file, by name.
        pub(super) const ALL: &[(&str, &str)] = &[$((stringify!($name), $name)),+];
    };
}
use statements;

statements! {
    EXAMINE = "select current_setting('server_version'), current_user::text, has_schema_privilege('public', 'create'), \
        to_regclass('readings') is not null, \
        (select default_version from pg_available_extensions where name = 'timescaledb')";
    /// What is acknowledged is on disk, whatever the server's default. Stricter settings are kept.
    DURABLE = "select set_config('synchronous_commit', 'on', false) where current_setting('synchronous_commit') = 'off'";
    /// Without effect where the edition or the version does not have it.
    DIRECT_COMPRESS = "select set_config(name, 'on', false) from pg_settings where name = 'timescaledb.enable_direct_compress_copy'";
}

/// Every statement that this store sends, by name.
pub const STATEMENTS: &[&[(&str, &str)]] = &[
    ALL,
    books::ALL,
    edition::ALL,
    kept::ALL,
    ledger::ALL,
    quarantine::ALL,
    read::ALL,
    replay::ALL,
    series::ALL,
    write::ALL,
    verify::ALL,
];

/// How the store is reached.
#[derive(Clone, Debug)]
pub struct Options {
    /// `postgres://user:password@host:port/database`.
    pub url: String,
    /// Connections for requests.
    pub connections: u32,
    /// Connections for batches from Kafka, kept apart so that requests cannot starve the writer, nor it them.
    pub lanes: usize,
    /// Whether COPY goes straight into the columnstore, where the database can.
    pub direct_compress: bool,
}

/// The store of readings.
#[derive(Debug)]
pub struct Timescale {
    requests: PgPool,
    lanes: PgPool,
    series: series::Dictionary,
    edition: edition::Found,
    merging: write::Merging,
}

impl Timescale {
    /// A store that connects when it is first used; fails only where the URL cannot be read.
    pub fn connect(options: &Options) -> Result<Self> {
        // The URL may hold a password: neither it nor sqlx's words about it go into the sentence.
        let connect = PgConnectOptions::from_str(&options.url)
            .map_err(|cause| Error::malformed("The address of the readings database cannot be read.").caused_by(cause))?
            .application_name("weir")
            .options([
                // A generic plan looks at every chunk; one with the values at hand leaves most of them out.
                ("plan_cache_mode", "force_custom_plan".to_owned()),
                ("timezone", "UTC".to_owned()),
                ("statement_timeout", limits::STATEMENT_TIME.as_millis().to_string()),
                // A writer that was stopped in the middle of a batch must not hold its partitions for whoever took over.
                ("idle_in_transaction_session_timeout", limits::STALLED_TRANSACTION.as_millis().to_string()),
                ("tcp_keepalives_idle", "10".to_owned()),
                ("tcp_keepalives_interval", "5".to_owned()),
                ("tcp_keepalives_count", "3".to_owned()),
            ]);
        let pool = |connections: u32, direct_compress: bool| {
            PgPoolOptions::new()
                .max_connections(connections.max(1))
                .acquire_timeout(limits::ACQUIRE_TIME)
                // It costs a round trip for every statement; a read on a dead connection is tried again instead.
                .test_before_acquire(false)
                .after_connect(move |connection, _| {
                    Box::pin(async move {
                        sqlx::query(DURABLE).execute(&mut *connection).await?;
                        if direct_compress {
                            sqlx::query(DIRECT_COMPRESS).execute(connection).await?;
                        }
                        Ok(())
                    })
                })
                .connect_lazy_with(connect.clone())
        };
        Ok(Self {
            requests: pool(options.connections, false),
            lanes: pool(u32::try_from(options.lanes).unwrap_or(u32::MAX), options.direct_compress),
            series: series::Dictionary::new(limits::SERIES_CACHED),
            edition: edition::Found::default(),
            merging: write::Merging::default(),
        })
    }

    /// Brings the schema up to date, under a lock: two replicas may start at once.
    pub async fn migrate(&self) -> Result<()> {
        let mut migrator: Migrator = sqlx::migrate!("migrations/timescale");
        // A name of its own, so that both stores may share a database.
        migrator.dangerous_set_table_name("weir_timescale_migrations");
        // An older replica must still start beside a newer schema during a rolling update.
        migrator.set_ignore_missing(true);
        let mut connection = self.requests.acquire().await.map_err(away)?;
        // Closed afterwards: the migration's own settings and a lock after a failure end with it.
        connection.close_on_drop();
        sqlx::query("set statement_timeout = 0").execute(&mut *connection).await.map_err(away)?;
        migrator.run_direct(None, &mut *connection, false).await.map_err(|cause| Error::unavailable("readings database", cause))
    }

    /// Asks the database for a sign of life.
    pub async fn probe(&self) -> Result<()> {
        self.read(|| async { sqlx::query("select 1").execute(&self.requests).await }).await.map(drop)
    }

    /// What an operator should know about the database, on one line; an error where Weir cannot work with it.
    pub async fn examine(&self) -> Result<String> {
        let facts = || async {
            sqlx::query_as::<_, (String, String, bool, bool, Option<String>)>(EXAMINE).fetch_one(&self.requests).await
        };
        let (version, role, creates, migrated, available) = self.read(facts).await?;
        if !creates {
            return Err(Error::conflict(format!("role `{role}` may not create tables in schema `public`")));
        }
        let edition =
            if migrated { format!("edition {}", self.edition().await?.as_str()) } else { "not migrated yet".to_owned() };
        let available = match available {
            Some(version) => format!("timescaledb {version} is installed"),
            None => "timescaledb is not installed".to_owned(),
        };
        Ok(format!("PostgreSQL {version}, as role `{role}`; {available}; {edition}"))
    }

    /// Closes all connections, after their present statements.
    pub async fn close(&self) {
        futures_util::future::join(self.requests.close(), self.lanes.close()).await;
    }

    /// Reads with one of the requests' connections.
    async fn read<T, F: Future<Output = Result<T, sqlx::Error>>>(&self, ask: impl Fn() -> F) -> Result<T> {
        self.ask(&self.requests, ask).await
    }

    /// Runs a statement that may run twice, within the time that a statement has.
    async fn ask<T, F: Future<Output = Result<T, sqlx::Error>>>(&self, pool: &PgPool, ask: impl Fn() -> F) -> Result<T> {
        // The server stops the statement first; this is for a server that says nothing any more.
        match tokio::time::timeout(limits::STATEMENT_TIME + limits::ACQUIRE_TIME, alive(pool, ask)).await {
            Ok(answer) => answer.map_err(away),
            Err(late) => Err(Error::unavailable("readings database", late)),
        }
    }
}

/// Runs a statement that may run twice: pooled connections are not tried before use, so after a restart of the database each of them may
/// turn out to be dead, once.
async fn alive<T, F: Future<Output = Result<T, sqlx::Error>>>(pool: &PgPool, ask: impl Fn() -> F) -> Result<T, sqlx::Error> {
    let mut dead = pool.size();
    loop {
        match ask().await {
            Err(error) if dead > 0 && sqlstate::is_dead_connection(&error) => dead -= 1,
            answer => return answer,
        }
    }
}

fn away(cause: sqlx::Error) -> Error {
    Error::unavailable("readings database", cause)
}
