//! The commands of `weir`: the same calls that serve traffic, from a shell.

use std::collections::BTreeMap;
use std::io::{IsTerminal as _, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;

use chrono::{DateTime, Utc};
use clap::{Args, Parser, Subcommand};

use crate::error::Chain;
use crate::gate::Gate;
use crate::model::{Caller, Tenant};
use crate::settings::{LogFormat, SETTINGS, Settings};
use crate::{dev, guest, serve};

mod audit;
mod doctor;
mod files;
mod ledger;
mod policy;
mod quarantine;
mod secrets;
mod token;
mod validator;

/// A storage gateway for IoT platforms.
#[derive(Debug, Parser)]
#[command(name = "weir", version, about, propagate_version = true)]
pub struct Weir {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve: HTTP, the writer, or both, as `WEIR_ROLE` says.
    Serve(FromFile),
    /// Everything on this machine, with no service to install: databases, Kafka, files, sample data.
    Dev(dev::Options),
    /// Bring both databases to this version's tables. Safe to run at any time and by several at once.
    Migrate(FromFile),
    /// API tokens.
    Token {
        #[command(flatten)]
        file: FromFile,
        #[command(subcommand)]
        command: token::Command,
    },
    /// What was kept aside: list it, replay it, delete it.
    Quarantine {
        #[command(flatten)]
        file: FromFile,
        #[command(subcommand)]
        command: quarantine::Command,
    },
    /// The books: what became of readings.
    Ledger {
        #[command(flatten)]
        file: FromFile,
        #[command(subcommand)]
        command: ledger::Command,
    },
    /// The audit log.
    Audit {
        #[command(flatten)]
        file: FromFile,
        #[command(subcommand)]
        command: audit::Command,
    },
    /// Files and the bytes that they are made of.
    Files {
        #[command(flatten)]
        file: FromFile,
        #[command(subcommand)]
        command: files::Command,
    },
    /// Secrets that are kept encrypted.
    Secrets {
        #[command(flatten)]
        file: FromFile,
        #[command(subcommand)]
        command: secrets::Command,
    },
    /// Policy files.
    Policy {
        #[command(subcommand)]
        command: policy::Command,
    },
    /// A validator of one's own: start a project, build it, test it as Weir runs it, upload it.
    Validator {
        #[command(subcommand)]
        command: validator::Command,
    },
    /// Check each backend, version, privilege and policy file, and say what to do.
    Doctor(FromFile),
    /// Print every setting with its names, default and meaning.
    Settings,
    /// Print the OpenAPI document.
    Openapi,
    /// Compile a module from standard input to standard output; Weir calls this itself, with limits on memory and time.
    #[command(hide = true)]
    CompileModule {
        /// How long it may take.
        #[arg(long)]
        seconds: u64,
    },
}

/// Where settings come from besides the environment.
#[derive(Debug, Args)]
pub(crate) struct FromFile {
    /// A TOML file of settings; the environment wins over it.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

/// A command that failed: one line for standard error.
#[derive(Debug)]
pub struct Failure(pub String);

impl Failure {
    /// The line of an error and its causes.
    pub fn of(error: &(dyn std::error::Error + 'static)) -> Self {
        Self(Chain(error).to_string())
    }
}

impl<E: std::error::Error + 'static> From<E> for Failure {
    fn from(error: E) -> Self {
        Self::of(&error)
    }
}

/// Who acts for a command, in a tenant that there is: `service:command-line`, of which the policy speaks.
async fn caller(gate: &Gate, tenant: &str) -> Result<Caller, Failure> {
    let tenant = Tenant::parse(tenant)?;
    if !gate.platform.tenant_exists(&tenant).await? {
        return Err(Failure(format!("there is no tenant `{tenant}`; create it with POST /api/platform/tenants")));
    }
    Ok(Caller::service("command-line", &tenant, "command-line"))
}

/// A time on the command line.
fn time(text: &str) -> Result<DateTime<Utc>, String> {
    DateTime::parse_from_rfc3339(text)
        .map(|time| time.to_utc())
        .map_err(|error| format!("a time is RFC 3339, such as 2026-05-04T12:00:00Z ({error})"))
}

fn print_json(value: &impl serde::Serialize) -> Result<(), Failure> {
    print_line(&serde_json::to_string_pretty(value)?)
}

/// Runs a command; the exit code is 0 where it did what it was asked for.
pub fn run(weir: Weir) -> ExitCode {
    match act(weir.command) {
        Ok(code) => code,
        Err(Failure(line)) => {
            let _ = writeln!(std::io::stderr(), "weir: {line}");
            ExitCode::FAILURE
        }
    }
}

fn act(command: Command) -> Result<ExitCode, Failure> {
    match command {
        Command::Serve(file) => {
            let settings = settings(&file)?;
            log(settings.log_format);
            on_runtime(serve::run(settings))?;
        }
        Command::Dev(options) => {
            log(LogFormat::Text);
            on_runtime(dev::run(options, environment()))?;
        }
        Command::Migrate(file) => {
            let settings = settings(&file)?;
            log(settings.log_format);
            on_runtime(serve::migrate(&settings))?;
            print_line("Both databases have this version's tables.")?;
        }
        Command::Token { file, command } => on_runtime(token::run(settings(&file)?, command))?,
        Command::Quarantine { file, command } => on_runtime(quarantine::run(settings(&file)?, command))?,
        Command::Ledger { file, command } => return on_runtime(ledger::run(settings(&file)?, command)),
        Command::Audit { file, command } => return on_runtime(audit::run(settings(&file)?, command)),
        Command::Files { file, command } => return on_runtime(files::run(settings(&file)?, command)),
        Command::Secrets { file, command } => return on_runtime(secrets::run(settings(&file)?, command)),
        Command::Policy { command } => return policy::run(command),
        Command::Validator { command } => return validator::run(command),
        Command::Doctor(file) => return on_runtime(doctor::run(&settings(&file)?)),
        Command::Settings => print_settings()?,
        Command::Openapi => print_line(&crate::http::openapi())?,
        Command::CompileModule { seconds } => guest::load::compile_stdin_to_stdout(seconds)?,
    }
    Ok(ExitCode::SUCCESS)
}

fn on_runtime<T>(work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(work)
}

fn environment() -> BTreeMap<String, String> {
    std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?))).collect()
}

fn settings(file: &FromFile) -> Result<Settings, Failure> {
    Ok(Settings::load(file.config.as_deref(), &environment())?)
}

/// Sends the log to standard error, so that what a command prints can be piped.
fn log(format: LogFormat) {
    let filter = tracing_subscriber::EnvFilter::try_from_env("WEIR_LOG")
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("info,opendal=warn,sqlx=warn"));
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    match format {
        LogFormat::Json => builder.json().flatten_event(true).init(),
        LogFormat::Text => builder.with_target(false).with_ansi(std::io::stderr().is_terminal()).init(),
    }
}

fn print_line(line: &str) -> Result<(), Failure> {
    Ok(writeln!(std::io::stdout(), "{line}")?)
}

fn print_settings() -> Result<(), Failure> {
    print_line("| key | environment | default | what it does |\n|---|---|---|---|")?;
    for setting in SETTINGS {
        let default = setting.default.map_or_else(|| "none".to_owned(), |default| format!("`{default}`"));
        print_line(&format!("| `{}` | `{}` | {default} | {} |", setting.key, setting.environment, setting.about))?;
    }
    Ok(())
}
