//! `weir serve`: settings → parts → roles, and the way down: soft stop, drain, hard stop.
//!
//! The one place that names all parts together and the only one that spawns tasks; a part is handed its future's place here.

use std::sync::Arc;
use std::time::Duration;

use backon::{BackoffBuilder as _, ExponentialBuilder};
use chrono::TimeDelta;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::commands::Failure;
use crate::error::{Chain, Error, Result};
use crate::gate::Gate;
use crate::guest::Engine;
use crate::issuer::Issuer;
use crate::kafka::{self, Producer};
use crate::model::SystemClock;
use crate::objects::ObjectStore;
use crate::platform::Platform;
use crate::policy::Policy;
use crate::registry::Registry;
use crate::schema::Schemas;
use crate::secrets::seal::Sealer;
use crate::settings::{DirectCompress, Place, Settings};
use crate::timescale::Timescale;
use crate::vitals::{Standing, Vitals};
use crate::writer::Writer;
use crate::{http, issuer, jobs, limits, objects, platform, policy, registry, timescale, writer};

/// The platform database of these settings; it connects when it is first used.
pub fn platform(settings: &Settings) -> Result<Platform> {
    Platform::connect(&platform::Options {
        url: settings.platform.url.reveal().to_owned(),
        connections: settings.platform.connections,
        events: settings.events_topic().is_some(),
    })
}

/// The database of readings of these settings; it connects when it is first used.
pub fn timescale(settings: &Settings) -> Result<Timescale> {
    Timescale::connect(&timescale::Options {
        url: settings.timescale.url.reveal().to_owned(),
        connections: settings.timescale.connections,
        // One more that a single tenant cannot take, and two for late readings.
        lanes: settings.writer.lanes + 3,
        direct_compress: settings.timescale.direct_compress == DirectCompress::On,
    })
}

/// The object store of these settings.
pub fn objects(settings: &Settings) -> Result<ObjectStore> {
    let place = settings.storage.place().map_err(Error::internal)?;
    let reveal =
        |secret: &Option<crate::settings::Secret>| secret.as_ref().map_or_else(String::new, |key| key.reveal().to_owned());
    ObjectStore::connect(objects::Options {
        location: match place {
            Place::Folder(folder) => objects::Location::Folder(folder),
            Place::S3 { bucket, endpoint } => objects::Location::S3 {
                endpoint,
                region: settings.storage.region.clone(),
                bucket,
                access_key: reveal(&settings.storage.access_key),
                secret_key: reveal(&settings.storage.secret_key),
            },
        },
    })
}

/// The schema registry of these settings, if they name one; it is asked when it is first needed.
pub fn registry(settings: &Settings) -> Result<Option<Arc<Registry>>> {
    let Some(url) = settings.registry.url.clone() else { return Ok(None) };
    let (username, password) = (settings.registry.username.clone(), settings.registry.password.clone());
    Registry::connect(registry::Options { url, username, password }).map(|registry| Some(Arc::new(registry)))
}

/// The issuer of tokens of these settings, if they name one; its keys are asked for when the first token of its comes.
pub fn issuer(settings: &Settings) -> Result<Option<Arc<Issuer>>> {
    let oidc = settings.oidc.clone();
    let (Some(url), Some(audience)) = (oidc.issuer, oidc.audience) else { return Ok(None) };
    let (tenant_claim, subject_claim, keys) = (oidc.tenant_claim, oidc.subject_claim, oidc.jwks_url);
    Issuer::connect(issuer::Options { url, audience, tenant_claim, subject_claim, keys }).map(|issuer| Some(Arc::new(issuer)))
}

/// What encrypts secrets, where there is a key for it.
fn sealer(settings: &Settings) -> Result<Option<Arc<Sealer>>, Failure> {
    let Some(keys) = &settings.secret_keys else { return Ok(None) };
    let sealer =
        Sealer::parse(keys.reveal()).map_err(|wrong| Failure(format!("setting `secret_keys` (WEIR_SECRET_KEYS): {wrong}")))?;
    Ok(Some(Arc::new(sealer)))
}

/// Where and how to consume; `None` where no broker is configured.
pub fn kafka_options(settings: &Settings) -> Option<kafka::Options> {
    let brokers = settings.kafka.brokers.clone()?;
    Some(kafka::Options {
        brokers,
        group_id: settings.kafka.group_id.clone(),
        group_instance_id: settings.kafka.group_instance_id.clone(),
        session_timeout: Duration::from_millis(settings.kafka.session_timeout_ms.into()),
        log_id: settings.kafka.log_id.clone(),
        out_of_range: settings.kafka.offset_out_of_range,
        security: kafka_security(&settings.kafka),
    })
}

fn kafka_security(settings: &crate::settings::Kafka) -> kafka::Security {
    let login = settings.sasl_mechanism.zip(settings.sasl_username.clone()).zip(settings.sasl_password.clone());
    kafka::Security {
        protocol: settings.security_protocol,
        login: login.map(|((mechanism, username), password)| (mechanism, username, password)),
        authority: settings.ssl_ca.clone(),
        certificate: settings.ssl_certificate.clone().zip(settings.ssl_key.clone()),
        key_password: settings.ssl_key_password.clone(),
        endpoint: settings.ssl_endpoint_check,
    }
}

/// All parts behind one gate, none of them running yet.
pub async fn gate(settings: &Settings) -> Result<Gate, Failure> {
    let vitals = Arc::new(Vitals::new());
    let files = policy::Options {
        folder: settings.policies.clone(),
        vitals: Arc::clone(&vitals),
        log_allowed: settings.policy.log_allowed,
    };
    let loaded = tokio::task::spawn_blocking(move || Policy::load(files)).await?;
    let policy = loaded.map_err(|mistakes| {
        let lines: Vec<_> = mistakes.iter().map(ToString::to_string).collect();
        Failure(format!("the policy files have mistakes:\n{}", lines.join("\n")))
    })?;
    let platform = Arc::new(platform(settings)?);
    let guest = Engine::new(
        &crate::guest::Options {
            time: Duration::from_millis(settings.guest.time_ms),
            memory_bytes: settings.guest.memory_bytes,
            instances: settings.guest.instances,
            inspections: settings.guest.inspections,
            compiler: None,
            compile_time: Duration::from_secs(settings.guest.compile_s),
        },
        Arc::clone(&platform) as _,
        Arc::clone(&vitals),
    )?;
    Ok(Gate {
        policy: Arc::new(policy),
        platform,
        timescale: Arc::new(timescale(settings)?),
        objects: Arc::new(objects(settings)?),
        registry: registry(settings)?,
        guest: Arc::new(guest),
        budget: crate::budget::Budget::default(),
        guest_budget: Arc::default(),
        records: Arc::default(),
        shadows: crate::gate::guests::Shadows::default(),
        lookups: crate::turns::Turns::new(limits::LOOKUPS_AT_ONCE),
        uploads: crate::turns::Turns::new(limits::MODULE_UPLOADS_AT_ONCE),
        sealer: sealer(settings)?,
        issuer: issuer(settings)?,
        rates: crate::rates::Rates::new(settings.http.requests_per_second),
        session: settings.auth.session(),
        passwords: Arc::new(tokio::sync::Semaphore::new(limits::PASSWORDS_AT_ONCE)),
        schemas: Arc::new(Schemas::default()),
        vitals,
        clock: Arc::new(SystemClock),
        asked: crate::gate::health::Asked::default(),
    })
}

/// Brings both databases to this version's tables.
pub async fn migrate(settings: &Settings) -> Result<(), Failure> {
    platform(settings)?.migrate().await?;
    timescale(settings)?.migrate().await?;
    Ok(())
}

/// Serves until the process is told to stop.
pub async fn run(settings: Settings) -> Result<(), Failure> {
    let stop = CancellationToken::new();
    let tracker = TaskTracker::new();
    stop_on_signals(stop.clone());
    run_until(settings, stop, &tracker, async |_| Ok(())).await
}

/// Serves until `stop`; `ready` is called once with the gate, when the databases have their tables.
pub async fn run_until(
    settings: Settings,
    stop: CancellationToken,
    tracker: &TaskTracker,
    ready: impl AsyncFnOnce(Running) -> Result<(), Failure>,
) -> Result<(), Failure> {
    // A soft limit of 1,024 is common, and less than the connections that may be open.
    if let Err(error) = rlimit::increase_nofile_limit(u64::MAX) {
        tracing::debug!(%error, "the limit of open files stays as it is");
    }
    let kafka = kafka_options(&settings).filter(|_| settings.role.writes());
    if let Some(options) = &kafka {
        options.check()?;
    }
    let gate = Arc::new(gate(&settings).await?);
    let address = format!("{}:{}", settings.http.host, settings.http.port);
    let listener = TcpListener::bind(&address).await.map_err(|error| {
        Failure(format!("settings `http.host` and `http.port` (HOST, PORT): cannot listen on {address}: {error}"))
    })?;
    let bound = listener.local_addr()?;
    tracing::info!(address = %bound, "HTTP listens on {bound}");
    let router = http::router(Arc::clone(&gate), settings.role.serves());
    let http = tracker.spawn(http::serve(listener, settings.http.connections, router, stop.clone().cancelled_owned()));
    tracker.spawn(Arc::clone(&gate.policy).run(stop.clone()));
    if prepare(&gate, &settings, &stop).await {
        tracker.spawn(Arc::clone(&gate.platform).run(stop.clone()));
        tracker.spawn(jobs::record_modules(Arc::clone(&gate), stop.clone()));
        let keep = TimeDelta::days(settings.policy.record_days.into());
        tracker.spawn(jobs::record_decisions(Arc::clone(&gate), keep, stop.clone()));
        tracker.spawn(jobs::forget_decisions(Arc::clone(&gate), keep, stop.clone()));
        tracker.spawn(jobs::forget_answers(Arc::clone(&gate), stop.clone()));
        tracker.spawn(jobs::forget_sessions(Arc::clone(&gate), stop.clone()));
        tracker.spawn(jobs::sweep_files(Arc::clone(&gate), settings.storage.upload_time(), stop.clone()));
        if let Some(days) = settings.audit.keep_days {
            tracker.spawn(jobs::forget_audit(Arc::clone(&gate), TimeDelta::days(days.into()), stop.clone()));
        }
        if let (Some(topic), Some(options)) = (settings.events_topic(), kafka_options(&settings)) {
            let producer = Producer::new(&options, "topic of changes")?;
            tracker.spawn(jobs::send_events(Arc::clone(&gate), producer, topic.to_owned(), stop.clone()));
        }
        if let Some(options) = kafka {
            let writer = Writer::new(writer_options(&settings), options, Arc::clone(&gate));
            tracker.spawn(writer.run(stop.clone()));
        }
        ready(Running { gate: Arc::clone(&gate), address: bound }).await?;
    }
    stop.cancelled().await;
    tracing::info!("stopping: no new requests, what is under way ends");
    tracker.close();
    if tokio::time::timeout(limits::DRAIN_TIME, tracker.wait()).await.is_err() {
        tracing::warn!(
            "some work did not end within {:?} and is cut off; nothing acknowledged is lost by that",
            limits::DRAIN_TIME
        );
    }
    if http.is_finished() {
        http.await??;
    }
    Ok(())
}

/// What `ready` gets to see.
#[derive(Debug)]
pub struct Running {
    /// The gate that serves.
    pub gate: Arc<Gate>,
    /// Where HTTP listens.
    pub address: std::net::SocketAddr,
}

fn writer_options(settings: &Settings) -> writer::Options {
    writer::Options {
        lanes: settings.writer.lanes,
        flush_readings: settings.writer.flush_readings,
        flush_bytes: settings.writer.flush_bytes,
        flush_age: settings.writer.flush_age(),
        memory_bytes: settings.writer.memory_bytes,
        late_after: Duration::from_secs(settings.writer.late_after_s),
        topics: settings.kafka.topics.as_ref().map(|list| list.split(',').map(|topic| topic.trim().to_owned()).collect()),
    }
}

/// Brings the databases to this version's tables, however long they are away; false where the process was told to stop before.
async fn prepare(gate: &Gate, settings: &Settings, stop: &CancellationToken) -> bool {
    let mut waits = ExponentialBuilder::default().with_max_delay(limits::RETRY_WAIT).without_max_times().with_jitter().build();
    loop {
        let tried = async {
            gate.platform.migrate().await?;
            if let Some(token) = &settings.bootstrap_token {
                gate.platform.bootstrap(token.reveal()).await?;
            }
            gate.timescale.migrate().await
        };
        let error = match tried.await {
            Ok(()) => {
                gate.vitals.report("migrations", Standing::Connected, serde_json::Value::Null);
                return true;
            }
            Err(error) => error,
        };
        gate.vitals.report("migrations", Standing::Degraded, serde_json::json!({ "waitingFor": error.sentence() }));
        tracing::warn!(error = %Chain(&error), "the databases are not ready; trying again");
        tokio::select! {
            () = stop.cancelled() => return false,
            () = tokio::time::sleep(waits.next().unwrap_or(limits::RETRY_WAIT)) => {}
        }
    }
}

/// The first signal stops softly; a second one ends the process at once. Nobody waits for it: it waits until the process ends.
pub(crate) fn stop_on_signals(stop: CancellationToken) {
    tokio::spawn(async move {
        signal().await;
        stop.cancel();
        signal().await;
        tracing::warn!("a second signal: leaving at once");
        std::process::exit(130);
    });
}

async fn signal() {
    use tokio::signal::unix::{SignalKind, signal};
    match (signal(SignalKind::interrupt()), signal(SignalKind::terminate())) {
        (Ok(mut interrupt), Ok(mut terminate)) => {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
        }
        // Without handlers the signals' own effect, to end the process, is what remains.
        _ => std::future::pending().await,
    }
}
