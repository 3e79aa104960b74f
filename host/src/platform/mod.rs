//! The platform database: a pool, transactions that say for whom they act, and the class of each SQLSTATE.
//!
//! Every public method of this folder takes a [`Permit`] first. The exceptions are migrations, health probes, the look-up of a
//! credential (which is what a permit begins with), the bootstrap of an empty database, the writer's list of topics, and a tenant's quota.
//! The pool connects when it is first used, so Weir starts without its database and says what it waits for.

pub mod audit;
pub mod catalogue;
pub mod chains;
mod code;
pub mod decisions;
pub mod files;
pub mod idempotency;
pub mod identity;
mod listen;
mod memory;
pub mod outbox;
pub mod quotas;
pub mod resource;
pub mod schemas;
pub mod tokens;
pub mod validators;

use std::str::FromStr as _;
use std::sync::Arc;

use sqlx::migrate::{MigrateError, Migrator};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{PgPool, Postgres, Transaction};
use tokio::sync::watch;
use tokio_util::task::TaskTracker;

use self::memory::Memory;
use self::quotas::Quotas;
use self::schemas::KnownAvro;
use crate::error::{Error, Kind, Result};
use crate::limits;
use crate::model::Tenant;
use crate::policy::Permit;
use crate::rules::{Rules, Step};

static MIGRATIONS: Migrator = sqlx::migrate!("migrations/platform");

/// How to reach the database.
#[derive(Clone, Debug)]
pub struct Options {
    /// `postgres://…`, with credentials.
    pub url: String,
    /// Connections at the most.
    pub connections: u32,
    /// Whether changes are put into the outbox; where nobody sends them, they would only lie there.
    pub events: bool,
}

/// The platform database.
#[derive(Debug)]
pub struct Platform {
    pool: PgPool,
    beginning: TaskTracker,
    rules: Memory<(Tenant, String), Arc<Rules>>,
    /// Steps of chains of documents and objects, by tenant and place.
    chains: Memory<(Tenant, String), Arc<[Step]>>,
    avro: KnownAvro,
    quotas: Memory<Tenant, Quotas>,
    changes: watch::Sender<u64>,
}

/// Declares the statements of one resource: each a constant, all of them listed for the test that prepares them.
macro_rules! statements {
    ($($(#[$doc:meta])* $name:ident = $sql:expr;)*) => {
        $($(#[$doc])* const $name: &str = $sql;)*
        /// Every statement of this resource, by name.
        pub const STATEMENTS: &[(&str, &str)] = &[$((stringify!($name), $name)),*];
    };
}
use statements;

/// Every statement of the platform database, for the test that prepares each against the migrated tables.
pub fn all_statements() -> impl Iterator<Item = (&'static str, &'static str)> {
    [
        audit::STATEMENTS,
        catalogue::STATEMENTS,
        code::STATEMENTS,
        decisions::STATEMENTS,
        files::STATEMENTS,
        files::history::STATEMENTS,
        files::leftovers::STATEMENTS,
        files::listing::STATEMENTS,
        identity::STATEMENTS,
        chains::STATEMENTS,
        idempotency::STATEMENTS,
        outbox::STATEMENTS,
        quotas::STATEMENTS,
        resource::buckets::STATEMENTS,
        resource::connectors::STATEMENTS,
        resource::members::STATEMENTS,
        resource::pipelines::STATEMENTS,
        resource::projects::STATEMENTS,
        resource::signing_keys::STATEMENTS,
        resource::tenants::STATEMENTS,
        resource::topics::STATEMENTS,
        resource::users::STATEMENTS,
        tokens::STATEMENTS,
        validators::versions::STATEMENTS,
        validators::record::STATEMENTS,
        schemas::STATEMENTS,
        validators::STATEMENTS,
    ]
    .into_iter()
    .flatten()
    .copied()
}

impl Platform {
    /// The database at `options.url`; it connects when it is first used.
    pub fn connect(options: &Options) -> Result<Self> {
        let timeout = limits::STATEMENT_TIME.as_millis().to_string();
        let connect = PgConnectOptions::from_str(&options.url)
            .map_err(|error| Error::malformed("The platform database's address cannot be read.").caused_by(error))?
            .application_name("weir-platform")
            .options([("statement_timeout", timeout.as_str()), ("weir.events", if options.events { "on" } else { "off" })]);
        let pool = PgPoolOptions::new()
            .max_connections(options.connections)
            .acquire_timeout(limits::ACQUIRE_TIME)
            .test_before_acquire(false)
            .after_connect(|connection, _| {
                Box::pin(async move {
                    // What is acknowledged is on disk, whatever the server's default. Stricter settings are kept.
                    let on = "select set_config('synchronous_commit', 'on', false) where current_setting('synchronous_commit') = 'off'";
                    sqlx::query(on).execute(connection).await.map(drop)
                })
            })
            .connect_lazy_with(connect);
        Ok(Self {
            pool,
            beginning: TaskTracker::new(),
            rules: Memory::default(),
            chains: Memory::default(),
            avro: KnownAvro::default(),
            quotas: Memory::default(),
            changes: watch::channel(0).0,
        })
    }

    /// Brings the tables to this version, under a lock: several replicas may do it at once.
    pub async fn migrate(&self) -> Result<()> {
        MIGRATIONS.run(&self.pool).await.map_err(|error| match error {
            MigrateError::Execute(error) => failed(error),
            other => Error::unavailable("platform database", other),
        })
    }

    /// Asks for nothing but an answer.
    pub async fn probe(&self) -> Result<()> {
        sqlx::query("select 1").execute(&self.pool).await.map(drop).map_err(failed)
    }

    /// Version and privileges, in a sentence for `weir doctor`.
    pub async fn examine(&self) -> Result<String> {
        let (version, role, creates, superuser): (String, String, bool, bool) = sqlx::query_as(
            "select current_setting('server_version'), current_user::text, has_schema_privilege('public', 'create'),
                    (select rolsuper from pg_roles where rolname = current_user)",
        )
        .fetch_one(&self.pool)
        .await
        .map_err(failed)?;
        if !creates {
            return Err(Error::conflict(format!("role `{role}` may not create tables in schema `public`")));
        }
        let wall =
            if superuser { "; it is a superuser, which row-level security does not hold back: use an ordinary role" } else { "" };
        Ok(format!("PostgreSQL {version}, as role `{role}`{wall}"))
    }

    /// Counts up with every change of the catalogue that this replica hears of.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    /// A transaction on behalf of the permit's tenant: row-level security shows it that tenant's rows only.
    async fn begin(&self, permit: &Permit) -> Result<Transaction<'static, Postgres>> {
        self.begin_as(permit.tenant().as_str()).await
    }

    /// A transaction of Weir itself, which sees all tenants: for the exceptions named above.
    async fn begin_as_weir(&self) -> Result<Transaction<'static, Postgres>> {
        self.begin_as("*").await
    }

    /// A transaction about the tenants themselves: the policy decided who may see that list.
    async fn begin_over_tenants(&self, _permit: &Permit) -> Result<Transaction<'static, Postgres>> {
        self.begin_as("*").await
    }

    async fn begin_as(&self, tenant: &str) -> Result<Transaction<'static, Postgres>> {
        let pool = self.pool.clone();
        // A task, since a `begin` that is dropped half way, as when a client hangs up, would go back to the pool inside a transaction
        // that nobody ends (sqlx 0.9.0, its issue 4393). What the task hands to nobody is rolled back.
        let begun = self.beginning.spawn(async move {
            match pool.begin().await {
                // A pooled connection may have died with the server; the pool has dropped it, and a second one is new.
                Err(sqlx::Error::Io(_)) => pool.begin().await,
                begun => begun,
            }
        });
        let mut transaction = begun.await.map_err(Error::internal)?.map_err(failed)?;
        act_as(&mut transaction, tenant).await?;
        Ok(transaction)
    }

    /// Commits a change of the catalogue. The other replicas hear of it soon; who asks this one next, such as whoever made the change,
    /// finds it at once.
    async fn commit_announced(&self, transaction: Transaction<'static, Postgres>) -> Result<()> {
        transaction.commit().await.map_err(failed)?;
        self.forget();
        Ok(())
    }

    /// Drops what is kept in memory of the catalogue and tells those who wait for changes.
    fn forget(&self) {
        self.rules.clear();
        self.chains.clear();
        self.avro.lock().clear();
        self.quotas.clear();
        self.changes.send_modify(|count| *count += 1);
    }
}

/// Shows a transaction the rows of one tenant, or with `*` of all.
async fn act_as(transaction: &mut Transaction<'static, Postgres>, tenant: &str) -> Result<()> {
    let sql = "select set_config('weir.tenant', $1, true)";
    sqlx::query(sql).bind(tenant).execute(&mut **transaction).await.map(drop).map_err(failed)
}

const UNIQUE_VIOLATION: &str = "23505";
const FOREIGN_KEY_VIOLATION: &str = "23503";
const CHECK_VIOLATION: &str = "23514";
const NOT_IN_REPERTOIRE: &str = "22021";
const UNTRANSLATABLE: &str = "22P05";
const ROW_LEVEL_SECURITY: &str = "42501";
const QUERY_CANCELED: &str = "57014";

/// Classes of SQLSTATE that pass by themselves: connection, transaction rollback, resources, shutdown, system; and the one of a statement
/// that was prepared before a migration added a column to its answer.
const PASSING: [&str; 6] = ["08", "0A000", "40", "53", "57", "58"];

/// What a database error means to a caller. Where the database is the last judge (names, use), its constraints answer.
fn failed(error: sqlx::Error) -> Error {
    let Some(database) = error.as_database_error() else {
        return match error {
            sqlx::Error::Io(_)
            | sqlx::Error::PoolTimedOut
            | sqlx::Error::PoolClosed
            | sqlx::Error::Tls(_)
            | sqlx::Error::Protocol(_) => Error::unavailable("platform database", error),
            other => Error::internal(other),
        };
    };
    let code = database.code().unwrap_or_default().into_owned();
    let constraint = database.constraint().unwrap_or_default().to_owned();
    let kind = match code.as_str() {
        UNIQUE_VIOLATION => Error::conflict(taken(&constraint)),
        FOREIGN_KEY_VIOLATION => Error::conflict(in_use(&constraint)),
        CHECK_VIOLATION if constraint == "kafka_topics_dead_letter_topic_check" => {
            let sentence = "A topic's `deadLetterTopic` is another topic; its own would be read and refused again.";
            Error::malformed(sentence).at("/deadLetterTopic", "the topic itself")
        }
        CHECK_VIOLATION => Error::malformed("A field has a value that is not allowed.").at(constraint, "not allowed"),
        // The one character of UTF-8 that PostgreSQL does not take.
        NOT_IN_REPERTOIRE | UNTRANSLATABLE => {
            Error::malformed("A name or text of this request holds the character U+0000; leave it out.")
        }
        ROW_LEVEL_SECURITY | QUERY_CANCELED => Error::unavailable("platform database", code.clone()),
        _ if PASSING.iter().any(|class| code.starts_with(class)) => Error::unavailable("platform database", code.clone()),
        _ => Error::internal(code.clone()),
    };
    kind.caused_by(error)
}

fn taken(constraint: &str) -> &'static str {
    match constraint {
        "tenants_pkey" => "A tenant of this slug exists already.",
        "tenants_slug_once" => "A tenant of this slug was deleted, and its records are kept under it; choose another slug.",
        "tokens_name" => "A token of this name exists already; revoke it first, or choose another name.",
        "kafka_topics_pkey" => "This topic is registered already. Topic names are shared by all tenants of a broker.",
        "validators_tenant_name_key" => "A validator of this name exists already.",
        "chains_tenant_topic_validator_id_key" => "A chain names each validator once.",
        "users_email" => "A user with this email exists already.",
        "project_members_pkey" => "This user is a member already; change their role with PUT.",
        "buckets_tenant_name_key" => "A bucket of this name exists already.",
        _ => "Something of this name exists already.",
    }
}

fn in_use(constraint: &str) -> &'static str {
    match constraint {
        "kafka_topics_tenant_schema_id_fkey" => "There is no such schema, or topics still use it.",
        "chains_tenant_validator_id_fkey" => "There is no such validator, or chains still use it.",
        "chains_tenant_topic_fkey" => "There is no such topic.",
        "projects_tenant_owner_id_fkey" => "There is no such user, or projects are still theirs.",
        "project_members_tenant_user_id_fkey" | "tokens_tenant_user_id_fkey" => "There is no such user.",
        "pipelines_tenant_project_id_fkey" => "There is no such project, or pipelines still belong to it.",
        "connectors_tenant_project_id_fkey" => "There is no such project, or connectors still belong to it.",
        "validators_tenant_schema_id_fkey" => "There is no such schema, or validators still use it.",
        "connectors_tenant_schema_id_fkey" => "There is no such schema, or connectors still use it.",
        _ => "Something else still uses this, or it does not exist.",
    }
}

/// The client thinks that something is as it is not any more.
fn stale(one: &str) -> Error {
    let sentence = format!("This {one} has changed since you read it; read it again, then send the change with its new `ETag`.");
    Error::new(Kind::Stale, sentence)
}

/// The row of a write that must touch exactly one; anything else is a defect, and says expected and found.
fn exactly_one(done: &sqlx::postgres::PgQueryResult, what: &str) -> Result<()> {
    match done.rows_affected() {
        1 => Ok(()),
        found => Err(Error::new(Kind::Internal, "Weir failed to handle this request; the request id finds it in the log.")
            .caused_by(format!("{what}: expected to change 1 row, changed {found}"))),
    }
}

/// A value that the table's own check should have refused.
fn unreadable(column: &'static str, value: &str) -> Error {
    Error::new(Kind::Internal, "Weir failed to handle this request; the request id finds it in the log.")
        .caused_by(format!("column {column} holds `{value}`"))
}

/// The tenant that Weir makes on an empty database.
fn default_tenant() -> Result<Tenant> {
    Tenant::parse("default")
}
