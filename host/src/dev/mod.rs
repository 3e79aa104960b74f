//! `weir dev`: everything on this machine, with no service to install.
//!
//! A private PostgreSQL cluster, files in a folder, a Kafka broker in this process, a sample tenant with topic, validator and token.
//! What serves is exactly `weir serve`; only its surroundings are made here. Data stays between starts, except Kafka's.

mod kafka;
mod postgres;
mod sample;

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use clap::Args;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use self::kafka::Broker;
use self::postgres::Cluster;
use crate::commands::Failure;
use crate::platform::identity::{TOKEN, new_secret};
use crate::serve;
use crate::settings::Settings;

/// The port where clients find the broker, unless `WEIR_DEV_KAFKA_PORT` says otherwise: Kafka's own.
const KAFKA_PORT: u16 = 9092;

/// Options of `weir dev`.
#[derive(Debug, Args)]
pub struct Options {
    /// Start over: remove the data of earlier starts.
    #[arg(long)]
    fresh: bool,
    /// The folder of built guests, for the sample validator; `make guests` builds them.
    #[arg(long, value_name = "FOLDER")]
    guests: Option<PathBuf>,
}

/// Runs until Ctrl-C.
pub async fn run(options: Options, mut environment: BTreeMap<String, String>) -> Result<(), Failure> {
    let data = PathBuf::from(environment.remove("WEIR_DATA").unwrap_or_else(|| ".weir".to_owned()));
    fs::create_dir_all(&data).map_err(|error| Failure(format!("WEIR_DATA: cannot make {}: {error}", data.display())))?;
    if options.fresh {
        forget(&data)?;
    }
    let port = match environment.remove("WEIR_DEV_KAFKA_PORT") {
        None => KAFKA_PORT,
        Some(port) => port.parse().map_err(|_| Failure(format!("WEIR_DEV_KAFKA_PORT: `{port}` is not a port")))?,
    };
    let stop = CancellationToken::new();
    let tracker = TaskTracker::new();
    serve::stop_on_signals(stop.clone());
    tracing::info!("starting a private PostgreSQL cluster (the first time takes some seconds)");
    let start = {
        let data = data.clone();
        move || Cluster::start(&data, options.fresh)
    };
    let cluster = tokio::task::spawn_blocking(start).await??;
    let served = with_cluster(&cluster, &data, port, options.guests, environment, stop, &tracker).await;
    tracing::info!("stopping PostgreSQL");
    cluster.stop()?;
    served
}

async fn with_cluster(
    cluster: &Cluster,
    data: &Path,
    kafka_port: u16,
    guests: Option<PathBuf>,
    mut environment: BTreeMap<String, String>,
    stop: CancellationToken,
    tracker: &TaskTracker,
) -> Result<(), Failure> {
    for database in ["platform", "readings"] {
        cluster.create_database(database)?;
    }
    let broker = Broker::start(kafka_port).await?;
    broker.create_topic(sample::TOPIC, sample::PARTITIONS)?;
    let kafka = broker.address()?;
    let token = bootstrap_token(data, environment.get("WEIR_BOOTSTRAP_TOKEN").cloned())?;
    let files = fs::canonicalize(data)?.join("files");
    fs::create_dir_all(&files)?;
    let own = [
        ("DATABASE_URL_PLATFORM", cluster.url("platform")),
        ("DATABASE_URL_TIMESCALE", cluster.url("readings")),
        ("WEIR_STORAGE_URL", format!("fs://{}", files.display())),
        ("KAFKA_BROKERS", broker.bootstrap_servers()),
        ("WEIR_KAFKA_LOG_ID", broker.log_id().to_owned()),
        ("WEIR_BOOTSTRAP_TOKEN", token.clone()),
    ];
    environment.extend(own.map(|(name, value)| (name.to_owned(), value)));
    environment.entry("HOST".to_owned()).or_insert_with(|| "127.0.0.1".to_owned());
    let settings = Settings::load(None, &environment)?;
    tracker.spawn(broker.forward(stop.clone()));
    let data = data.to_path_buf();
    serve::run_until(settings, stop, tracker, async move |running| {
        let demo = sample::load(&running.gate, &data, guests.as_deref()).await?;
        sample::greet(running.address, kafka, &data, &token, &demo)
    })
    .await
}

/// The administrator's token: the one given, the one of the last start, or a new one.
///
/// A given token counts on an empty database only, so it is kept, and a later start with another one is told.
fn bootstrap_token(data: &Path, given: Option<String>) -> Result<String, Failure> {
    let kept = data.join("token");
    match (fs::read_to_string(&kept).ok(), given) {
        (Some(kept), Some(given)) if kept.trim() != given => Err(Failure(
            "WEIR_BOOTSTRAP_TOKEN differs from that of the first start, which alone counts; leave it out, or start over with --fresh".to_owned(),
        )),
        (Some(kept), _) => Ok(kept.trim().to_owned()),
        (None, given) => {
            let token = given.unwrap_or_else(|| new_secret(TOKEN));
            keep_secret(&kept, &token)?;
            Ok(token)
        }
    }
}

/// Writes a file that only its owner can read.
fn keep_secret(path: &Path, secret: &str) -> Result<(), Failure> {
    fs::write(path, secret)?;
    Ok(fs::set_permissions(path, fs::Permissions::from_mode(0o600))?)
}

/// Removes what earlier starts left in the folder, and nothing else that may lie there.
fn forget(data: &Path) -> Result<(), Failure> {
    for name in ["token", "demo-token"] {
        let path = data.join(name);
        if path.exists() {
            fs::remove_file(path)?;
        }
    }
    let files = data.join("files");
    if files.exists() {
        fs::remove_dir_all(files)?;
    }
    Ok(())
}
