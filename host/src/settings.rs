//! Every setting: its key in the TOML file, its name in the environment, its default, its check.
//!
//! Defaults, then the file, then the environment; the environment wins. The names of the platform that Weir replaces work as they
//! are. A wrong setting is an error of one line that names it, and so is a `WEIR_…` variable that nobody knows, since it is most
//! likely a known one mistyped.

mod identity;
mod kafka;
mod records;
mod registry;
mod storage;

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::fmt;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::time::Duration;

use config::{Config, File, FileFormat};
use serde::Deserialize;

pub use self::identity::{Auth, Oidc};
pub use self::kafka::{EndpointCheck, SaslMechanism, SecurityProtocol};
pub use self::records::{Audit, PolicySettings};
pub use self::registry::Registry;
pub use self::storage::{Place, Storage};
use crate::limits;
use crate::model::check_topic_name;

/// One setting, for the loader and for the reference that `weir settings` prints.
#[derive(Clone, Copy, Debug)]
pub struct Setting {
    /// Its key in the file.
    pub key: &'static str,
    /// Its name in the environment.
    pub environment: &'static str,
    /// Its default as text; `None` where it has none.
    pub default: Option<&'static str>,
    /// What it does.
    pub about: &'static str,
}

/// Variables that begin with `WEIR_` and are not settings: they are read before the settings, or by `weir dev` and the tests alone.
const OTHERS: &[&str] = &["WEIR_CONFIG", "WEIR_DATA", "WEIR_DEV_KAFKA_PORT", "WEIR_CACHE", "WEIR_LOG"];

macro_rules! settings {
    ($($key:literal $environment:literal $default:expr, $about:literal;)*) => {
        /// Every setting, in the order of the reference.
        pub const SETTINGS: &[Setting] =
            &[$(Setting { key: $key, environment: $environment, default: $default, about: $about }),*];
    };
}

settings! {
    "role" "WEIR_ROLE" Some("all"), "Which part runs: `api`, `writer` or `all`.";
    "policies" "WEIR_POLICIES" Some("policies"), "The folder of policy files.";
    "policy.log_allowed" "WEIR_POLICY_LOG_ALLOWED" Some("0"), "Of so many allowed decisions one is logged: 1 logs all, 100 one in a hundred, 0 none. Denied ones are all logged.";
    "policy.record_days" "WEIR_POLICY_RECORD_DAYS" Some("7"), "Days that decisions are kept on record, for `weir policy impact`.";
    "secret_keys" "WEIR_SECRET_KEYS" None, "Keys that encrypt the secrets of connectors: `name:base64` of 32 bytes each, separated by commas. The first encrypts, all of them decrypt.";
    "bootstrap_token" "WEIR_BOOTSTRAP_TOKEN" None, "On an empty platform database only: the API token of the first administrator, of tenant `default`. At least 16 characters.";
    "log_format" "WEIR_LOG_FORMAT" Some("json"), "`json` or `text`. What is logged is chosen by `WEIR_LOG`, such as `info,weir=debug`.";
    "http.host" "HOST" Some("0.0.0.0"), "The address that HTTP listens on.";
    "http.port" "PORT" Some("3010"), "The port that HTTP listens on; 0 takes a free one.";
    "http.connections" "WEIR_HTTP_CONNECTIONS" Some("4096"), "Connections at once; others wait until one ends.";
    "http.requests_per_second" "WEIR_REQUESTS_PER_SECOND" None, "Requests that one credential may make in a second, on each replica; more are a 429. Without it there is no bound. A tenant's own is among its quotas.";
    "auth.session_hours" "WEIR_SESSION_HOURS" Some("12"), "Hours that a session from a login lasts; parts of one as a fraction.";
    "oidc.issuer" "WEIR_OIDC_ISSUER" None, "The OpenID Connect issuer whose tokens (JWT) count, as its URL stands in `iss`. Without it, none do.";
    "oidc.audience" "WEIR_OIDC_AUDIENCE" None, "What has to be in `aud` of such tokens; needed with an issuer.";
    "oidc.tenant_claim" "WEIR_OIDC_TENANT_CLAIM" Some("tenant"), "The claim that names the tenant of the bearer.";
    "oidc.subject_claim" "WEIR_OIDC_SUBJECT_CLAIM" Some("email"), "The claim that names the bearer; policies speak of them as `user:<claim>`.";
    "oidc.jwks_url" "WEIR_OIDC_JWKS_URL" None, "Where the issuer's keys are. Without it, its discovery document says so.";
    "platform.url" "DATABASE_URL_PLATFORM" None, "The platform database, `postgres://user:password@host:port/name`.";
    "platform.connections" "WEIR_PLATFORM_CONNECTIONS" Some("8"), "Connections to the platform database.";
    "timescale.url" "DATABASE_URL_TIMESCALE" None, "The database of readings, `postgres://…`; with TimescaleDB or without.";
    "timescale.connections" "WEIR_TIMESCALE_CONNECTIONS" Some("8"), "Connections to the database of readings, besides the writer's lanes.";
    "timescale.direct_compress" "WEIR_TIMESCALE_DIRECT_COMPRESS" Some("auto"), "Whether the writer's COPY goes straight into the columnstore, where TimescaleDB's edition and version have that: `on`, `off` or `auto`. `auto` is off: with the unique index that counts each reading once, TimescaleDB does not do it.";
    "storage.url" "WEIR_STORAGE_URL" None, "Where objects lie: `fs:///folder` or `s3://bucket`. Without it, bucket `weir` at MINIO_ENDPOINT.";
    "storage.endpoint" "MINIO_ENDPOINT" None, "Host of the S3 service, or its whole URL.";
    "storage.port" "MINIO_PORT" Some("9000"), "Port of the S3 service, where the endpoint is a host.";
    "storage.use_ssl" "MINIO_USE_SSL" Some("false"), "Whether the S3 service speaks TLS, where the endpoint is a host.";
    "storage.region" "WEIR_STORAGE_REGION" Some("us-east-1"), "Region of the S3 service.";
    "storage.access_key" "MINIO_ACCESS_KEY" None, "Access key of the S3 service.";
    "storage.secret_key" "MINIO_SECRET_KEY" None, "Secret key of the S3 service.";
    "storage.upload_hours" "WEIR_UPLOAD_HOURS" Some("24"), "Hours after which an upload that did not end counts as broken off, and its bytes are removed.";
    "kafka.brokers" "KAFKA_BROKERS" None, "Kafka's bootstrap servers, `host:port,host:port`. Without them nothing is consumed.";
    "kafka.topics" "KAFKA_TOPICS" None, "Consume only these topics of the catalogue, separated by commas. Without it, all that are marked `ingest`.";
    "kafka.group_id" "KAFKA_GROUP_ID" Some("weir"), "The consumer group.";
    "kafka.group_instance_id" "WEIR_KAFKA_GROUP_INSTANCE_ID" None, "A fixed name of this replica in the group, so that its restart moves no partition.";
    "kafka.session_timeout_ms" "WEIR_KAFKA_SESSION_TIMEOUT_MS" Some("10000"), "How long a silent replica keeps its partitions.";
    "kafka.log_id" "WEIR_KAFKA_LOG_ID" None, "Names the cluster's log in stored positions in place of the broker's cluster id.";
    "kafka.offset_out_of_range" "WEIR_KAFKA_OFFSET_OUT_OF_RANGE" Some("stop"), "What to do where a stored position is no longer in the log: `stop` the partition, or go on at `earliest` or `latest`. It is reported either way.";
    "kafka.security_protocol" "WEIR_KAFKA_SECURITY_PROTOCOL" Some("plaintext"), "How to speak to the brokers: `plaintext`, `ssl`, `sasl_plaintext` or `sasl_ssl`.";
    "kafka.sasl_mechanism" "WEIR_KAFKA_SASL_MECHANISM" None, "How to log in: `PLAIN`, `SCRAM-SHA-256` or `SCRAM-SHA-512`.";
    "kafka.sasl_username" "WEIR_KAFKA_SASL_USERNAME" None, "Who logs in.";
    "kafka.sasl_password" "WEIR_KAFKA_SASL_PASSWORD" None, "That user's password.";
    "kafka.ssl_ca" "WEIR_KAFKA_SSL_CA" None, "File (PEM) of the authorities that sign the brokers' certificates. Without it, those of the machine.";
    "kafka.ssl_certificate" "WEIR_KAFKA_SSL_CERTIFICATE" None, "File (PEM) of the certificate that Weir shows to brokers which ask for one.";
    "kafka.ssl_key" "WEIR_KAFKA_SSL_KEY" None, "File (PEM) of that certificate's private key.";
    "kafka.ssl_key_password" "WEIR_KAFKA_SSL_KEY_PASSWORD" None, "Password of that key, where it is encrypted.";
    "kafka.ssl_endpoint_check" "WEIR_KAFKA_SSL_ENDPOINT_CHECK" Some("https"), "Whether a broker's certificate must name its host: `https`, or `none`.";
    "events.topic" "WEIR_EVENTS_TOPIC" Some("weir.events"), "The Kafka topic that changes of the platform are sent to, where there are brokers; `none` sends them nowhere.";
    "audit.keep_days" "WEIR_AUDIT_KEEP_DAYS" None, "Days that entries of the audit log are kept. Without it, for ever.";
    "registry.url" "WEIR_REGISTRY_URL" None, "A Confluent-compatible schema registry, for Avro topics that name no schema of Weir's own. Without it, Weir's own is asked for all.";
    "registry.username" "WEIR_REGISTRY_USERNAME" None, "Who asks the schema registry.";
    "registry.password" "WEIR_REGISTRY_PASSWORD" None, "That user's password.";
    "writer.lanes" "WEIR_WRITER_LANES" Some("4"), "Batches of one tenant that are stored side by side, each over a connection. There are three connections more: one for other tenants, two for late readings.";
    "writer.flush_readings" "WEIR_WRITER_FLUSH_READINGS" Some("10000"), "Readings that a lane gathers before it stores them.";
    "writer.flush_bytes" "WEIR_WRITER_FLUSH_BYTES" Some("1048576"), "Bytes of messages that a lane gathers before it stores them.";
    "writer.flush_age_ms" "WEIR_WRITER_FLUSH_AGE_MS" Some("200"), "Age of the oldest message at which a lane stores what it has.";
    "writer.memory_bytes" "WEIR_WRITER_MEMORY_BYTES" Some("8388608"), "Bytes of messages that have left the Kafka client and are not stored yet, all tenants together; each has its share.";
    "writer.late_after_s" "WEIR_WRITER_LATE_AFTER_S" Some("86400"), "Age in seconds from which on a reading counts as late. Partitions whose readings are mostly late are stored beside the others, over a connection of their own.";
    "guest.time_ms" "WEIR_GUEST_TIME_MS" Some("1000"), "Time of one call of a module.";
    "guest.memory_bytes" "WEIR_GUEST_MEMORY_BYTES" Some("67108864"), "Memory of one instance of a module.";
    "guest.instances" "WEIR_GUEST_INSTANCES" Some("16"), "Instances that run at once, each on a thread of its own, all tenants together; a quarter of them for one tenant.";
    "guest.inspections" "WEIR_GUEST_INSPECTIONS" Some("16"), "Objects that modules look at at once, all tenants together.";
    "guest.compile_s" "WEIR_GUEST_COMPILE_S" Some("120"), "Seconds that compiling one module may take, in a process of its own: on the clock, and of all cores together.";
}

/// Which part of Weir runs in this process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// HTTP and the writer.
    All,
    /// HTTP alone.
    Api,
    /// The writer alone, with HTTP for health and metrics only.
    Writer,
}

impl Role {
    /// True where this process answers the API.
    pub fn serves(self) -> bool {
        matches!(self, Self::All | Self::Api)
    }

    /// True where this process consumes from Kafka.
    pub fn writes(self) -> bool {
        matches!(self, Self::All | Self::Writer)
    }
}

/// How log lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// One JSON object a line.
    Json,
    /// For people.
    Text,
}

/// What to do where a stored position is no longer in Kafka's log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OffsetOutOfRange {
    /// Hold the partition until somebody decides.
    Stop,
    /// Go on at the oldest message.
    Earliest,
    /// Go on at the next new message.
    Latest,
}

/// A value that must not be printed.
#[derive(Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    /// Wraps a secret.
    pub fn new(secret: impl Into<String>) -> Self {
        Self(secret.into())
    }

    /// The secret itself.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(secret)")
    }
}

/// HTTP.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Http {
    /// The address to listen on.
    pub host: String,
    /// The port to listen on.
    pub port: u16,
    /// Connections at once.
    pub connections: usize,
    /// Requests of one credential in a second.
    pub requests_per_second: Option<NonZeroU32>,
}

/// The platform database.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Database {
    /// Where it is, with its credentials.
    pub url: Secret,
    /// Connections to it.
    pub connections: u32,
}

/// Whether COPY goes straight into the columnstore.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DirectCompress {
    /// As was measured to be best: not.
    Auto,
    /// Where the database can.
    On,
    /// Not.
    Off,
}

/// The database of readings.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReadingsDatabase {
    /// Where it is, with its credentials.
    pub url: Secret,
    /// Connections to it, besides the writer's.
    pub connections: u32,
    /// Whether COPY goes straight into the columnstore.
    pub direct_compress: DirectCompress,
}

/// Kafka.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Kafka {
    /// Bootstrap servers; none means that nothing is consumed.
    pub brokers: Option<String>,
    /// Consume only these topics.
    pub topics: Option<String>,
    /// The consumer group.
    pub group_id: String,
    /// A fixed name of this replica in the group.
    pub group_instance_id: Option<String>,
    /// How long a silent replica keeps its partitions, in milliseconds.
    pub session_timeout_ms: u32,
    /// Names the cluster's log in place of the broker's cluster id.
    pub log_id: Option<String>,
    /// What to do where a stored position is no longer in the log.
    pub offset_out_of_range: OffsetOutOfRange,
    /// How to speak to the brokers.
    pub security_protocol: SecurityProtocol,
    /// How to log in.
    pub sasl_mechanism: Option<SaslMechanism>,
    /// Who logs in.
    pub sasl_username: Option<String>,
    /// That user's password.
    pub sasl_password: Option<Secret>,
    /// The authorities that sign the brokers' certificates; those of the machine where it is not given.
    pub ssl_ca: Option<PathBuf>,
    /// The certificate that Weir shows.
    pub ssl_certificate: Option<PathBuf>,
    /// Its private key.
    pub ssl_key: Option<PathBuf>,
    /// The password of that key.
    pub ssl_key_password: Option<Secret>,
    /// Whether a broker's certificate must name its host.
    pub ssl_endpoint_check: EndpointCheck,
}

/// The writer.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WriterSettings {
    /// Database connections that store batches side by side.
    pub lanes: usize,
    /// Readings that a lane gathers.
    pub flush_readings: usize,
    /// Bytes that a lane gathers.
    pub flush_bytes: usize,
    /// Age of the oldest gathered message, in milliseconds.
    pub flush_age_ms: u64,
    /// Bytes of messages on their way.
    pub memory_bytes: usize,
    /// Age from which on a reading counts as late, in seconds.
    pub late_after_s: u64,
}

impl WriterSettings {
    /// Age of the oldest gathered message at which a lane flushes.
    pub fn flush_age(&self) -> Duration {
        Duration::from_millis(self.flush_age_ms)
    }
}

/// Tenants' modules.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GuestSettings {
    /// Time of one call, in milliseconds.
    pub time_ms: u64,
    /// Memory of one instance, in bytes.
    pub memory_bytes: usize,
    /// Instances that run at once.
    pub instances: u32,
    /// Objects that are looked at at once.
    pub inspections: u32,
    /// Time to compile one module, in seconds.
    pub compile_s: u64,
}

/// Changes of the platform as events.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Events {
    /// Where they are sent, or `none`.
    pub topic: String,
}

/// All settings of one process.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Which part runs.
    pub role: Role,
    /// The folder of policy files.
    pub policies: PathBuf,
    /// What is written down of decisions.
    pub policy: PolicySettings,
    /// Keys that encrypt secrets.
    pub secret_keys: Option<Secret>,
    /// The first administrator's token.
    pub bootstrap_token: Option<Secret>,
    /// How log lines look.
    pub log_format: LogFormat,
    /// HTTP.
    pub http: Http,
    /// Logins.
    pub auth: Auth,
    /// An issuer of tokens.
    #[serde(default)]
    pub oidc: Oidc,
    /// The platform database.
    pub platform: Database,
    /// The database of readings.
    pub timescale: ReadingsDatabase,
    /// The object store.
    pub storage: Storage,
    /// Kafka.
    pub kafka: Kafka,
    /// Changes of the platform as events.
    pub events: Events,
    /// The audit log.
    #[serde(default)]
    pub audit: Audit,
    /// The schema registry.
    #[serde(default)]
    pub registry: Registry,
    /// The writer.
    pub writer: WriterSettings,
    /// Tenants' modules.
    pub guest: GuestSettings,
}

/// A setting that stops the start: one line that names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistake(String);

impl Mistake {
    fn of(key: &str, problem: impl fmt::Display) -> Self {
        let environment = SETTINGS.iter().find(|setting| setting.key == key).map_or("", |setting| setting.environment);
        Self(format!("setting `{key}` (environment {environment}): {problem}"))
    }
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Mistake {}

impl Settings {
    /// The settings of this process: `file` if given (else the one that `WEIR_CONFIG` names), and `environment` over it.
    pub fn load(file: Option<&Path>, environment: &BTreeMap<String, String>) -> Result<Self, Mistake> {
        if let Some(unknown) = environment.keys().find(|name| is_unknown(name)) {
            return Err(Mistake(format!("environment {unknown}: Weir has no such setting{}", nearest(unknown))));
        }
        let mut builder = Config::builder();
        let wrong = |error: config::ConfigError| Mistake(one_line(&error.to_string()));
        for setting in SETTINGS {
            if let Some(default) = setting.default {
                builder = builder.set_default(setting.key, default).map_err(wrong)?;
            }
        }
        let file = file.map(Path::to_path_buf).or_else(|| environment.get("WEIR_CONFIG").map(PathBuf::from));
        if let Some(file) = file {
            builder = builder.add_source(File::from(file).format(FileFormat::Toml).required(true));
        }
        for setting in SETTINGS {
            let value = environment.get(setting.environment).filter(|value| !value.is_empty());
            builder = builder.set_override_option(setting.key, value.cloned()).map_err(wrong)?;
        }
        let loaded = builder.build().map_err(wrong)?;
        for key in ["platform.url", "timescale.url"] {
            let url =
                loaded.get_string(key).map_err(|_| Mistake::of(key, "is needed: `postgres://user:password@host:port/name`"))?;
            if !url.starts_with("postgres://") && !url.starts_with("postgresql://") {
                return Err(Mistake::of(key, "must begin with `postgres://`"));
            }
        }
        let settings: Self = loaded.try_deserialize().map_err(|error| named(&error))?;
        settings.check()?;
        Ok(settings)
    }

    /// The topic that changes of the platform are sent to, where there are brokers and it is not `none`.
    pub fn events_topic(&self) -> Option<&str> {
        self.kafka.brokers.as_ref()?;
        Some(self.events.topic.as_str()).filter(|topic| *topic != "none")
    }

    fn check(&self) -> Result<(), Mistake> {
        let within = |key, value: u64, least: u64, most: u64| {
            if (least..=most).contains(&value) {
                Ok(())
            } else {
                Err(Mistake::of(key, format!("must lie from {least} to {most}, not {value}")))
            }
        };
        within("http.connections", self.http.connections as u64, 1, 1_000_000)?;
        // Each module that is being compiled holds one, and its code is kept over another.
        within("platform.connections", self.platform.connections.into(), limits::COMPILING as u64 + 1, 1_000)?;
        within("timescale.connections", self.timescale.connections.into(), 2, 1_000)?;
        within("writer.lanes", self.writer.lanes as u64, 1, 64)?;
        within("writer.flush_readings", self.writer.flush_readings as u64, 1, 1_000_000)?;
        within("writer.flush_bytes", self.writer.flush_bytes as u64, 1 << 10, 1 << 30)?;
        within("writer.flush_age_ms", self.writer.flush_age_ms, 1, 60_000)?;
        within("writer.memory_bytes", self.writer.memory_bytes as u64, 1 << 20, 1 << 36)?;
        within("writer.late_after_s", self.writer.late_after_s, 1, 1 << 32)?;
        within("kafka.session_timeout_ms", self.kafka.session_timeout_ms.into(), 1_000, 3_600_000)?;
        within("guest.time_ms", self.guest.time_ms, 10, 60_000)?;
        within("guest.memory_bytes", self.guest.memory_bytes as u64, 1 << 20, 1 << 30)?;
        within("guest.instances", self.guest.instances.into(), 1, 1_000)?;
        within("guest.inspections", self.guest.inspections.into(), 1, 200)?;
        within("guest.compile_s", self.guest.compile_s, 1, 3_600)?;
        if self.bootstrap_token.as_ref().is_some_and(|token| token.reveal().len() < limits::BOOTSTRAP_TOKEN_CHARACTERS) {
            return Err(Mistake::of(
                "bootstrap_token",
                format!("must have at least {} characters", limits::BOOTSTRAP_TOKEN_CHARACTERS),
            ));
        }
        within("policy.record_days", self.policy.record_days.into(), 1, limits::DECISIONS_DAYS.into())?;
        if let Some(days) = self.audit.keep_days {
            within("audit.keep_days", days.into(), 1, 36_500)?;
        }
        if let Some(topic) = self.events_topic() {
            check_topic_name(topic).map_err(|error| Mistake::of("events.topic", error.sentence()))?;
        }
        self.kafka.check_security()?;
        self.registry.check()?;
        self.auth.check()?;
        self.oidc.check()?;
        within("storage.upload_hours", self.storage.upload_hours.into(), 1, 8_760)?;
        self.storage.place().map(drop)
    }
}

fn is_unknown(name: &str) -> bool {
    let known = |name: &str| OTHERS.contains(&name) || SETTINGS.iter().any(|setting| setting.environment == name);
    name.starts_with("WEIR_") && !name.starts_with("WEIR_TEST_") && !known(name)
}

/// The known name that shares the longest beginning with a mistyped one, and of several the one whose length is most alike.
fn nearest(unknown: &str) -> String {
    let shared = |name: &str| name.bytes().zip(unknown.bytes()).take_while(|(a, b)| a == b).count();
    let names = SETTINGS.iter().map(|setting| setting.environment);
    names
        .max_by_key(|name| (shared(name), Reverse(name.len().abs_diff(unknown.len()))))
        .map_or_else(String::new, |name| format!("; did you mean {name}?"))
}

/// The library's error with the environment's name of the setting beside its key.
fn named(error: &config::ConfigError) -> Mistake {
    let text = one_line(&error.to_string());
    match SETTINGS.iter().find(|setting| text.contains(&format!("`{}`", setting.key))) {
        Some(setting) => Mistake(format!("setting `{}` (environment {}): {text}", setting.key, setting.environment)),
        None => Mistake(format!("settings: {text}")),
    }
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        let least = [
            ("DATABASE_URL_PLATFORM", "postgres://localhost/platform"),
            ("DATABASE_URL_TIMESCALE", "postgres://localhost/readings"),
            ("WEIR_STORAGE_URL", "fs:///tmp/objects"),
        ];
        least.iter().chain(pairs).map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    fn mistake(pairs: &[(&str, &str)]) -> String {
        Settings::load(None, &environment(pairs)).expect_err("this setting is wrong").to_string()
    }

    #[test]
    fn defaults_hold_where_nothing_is_said() {
        let settings = Settings::load(None, &environment(&[])).expect("the least settings suffice");
        assert_eq!(settings.http.port, 3010);
        assert_eq!(settings.role, Role::All);
        assert_eq!(settings.http.connections, limits::CONNECTIONS);
        assert_eq!(settings.http.requests_per_second, None);
        assert_eq!(settings.auth.session(), Duration::from_secs_f64(limits::SESSION_HOURS * 3_600.0));
        assert_eq!(settings.platform.connections, limits::PLATFORM_CONNECTIONS);
        assert_eq!(settings.timescale.connections, limits::TIMESCALE_CONNECTIONS);
        assert_eq!(settings.guest.instances, limits::GUEST_INSTANCES);
        assert_eq!(settings.guest.inspections, limits::GUEST_INSPECTIONS);
        assert_eq!(settings.guest.compile_s, limits::COMPILE_TIME.as_secs());
        assert_eq!(settings.writer.flush_readings, limits::FLUSH_READINGS);
        assert_eq!(settings.writer.lanes, limits::WRITER_LANES);
        assert_eq!(settings.writer.flush_bytes, limits::FLUSH_BYTES);
        assert_eq!(settings.writer.memory_bytes, limits::WRITER_MEMORY_BYTES);
        assert_eq!(settings.writer.late_after_s, limits::LATE_AFTER.as_secs());
        assert_eq!(settings.guest.memory_bytes, limits::GUEST_MEMORY_BYTES);
        assert_eq!(settings.guest.time_ms, u64::try_from(limits::GUEST_TIME.as_millis()).expect("small"));
    }

    #[test]
    fn the_environment_wins_over_the_file() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("weir.toml");
        std::fs::write(&file, "[http]\nport = 4000\nhost = \"127.0.0.1\"\n").expect("written");
        let settings = Settings::load(Some(&file), &environment(&[("PORT", "5000")])).expect("both are sound");
        assert_eq!((settings.http.port, settings.http.host.as_str()), (5000, "127.0.0.1"));
    }

    #[test]
    fn a_wrong_setting_is_one_line_that_names_it() {
        for (name, value) in [
            ("PORT", "http"),
            ("PORT", "70000"),
            ("WEIR_ROLE", "reader"),
            ("WEIR_WRITER_LANES", "0"),
            ("WEIR_BOOTSTRAP_TOKEN", "short"),
            ("WEIR_STORAGE_URL", "ftp://x"),
            ("DATABASE_URL_PLATFORM", "mysql://x"),
            ("WEIR_POLICY", "x"),
            ("WEIR_REGISTRY_URL", "registry:8081"),
            ("WEIR_REGISTRY_URL", "http://me:hunter22@registry:8081"),
            ("WEIR_REGISTRY_USERNAME", "me"),
            ("WEIR_SESSION_HOURS", "0"),
            ("WEIR_SESSION_HOURS", "NaN"),
            ("WEIR_REQUESTS_PER_SECOND", "0"),
            ("WEIR_OIDC_ISSUER", "https://login.example.com"),
            ("WEIR_OIDC_AUDIENCE", "weir"),
            ("WEIR_OIDC_JWKS_URL", "https://login.example.com/keys"),
            ("WEIR_REGISTRY_PASSWORD", "hunter22"),
        ] {
            let mistake = mistake(&[(name, value)]);
            assert!(mistake.contains(name), "{name}={value}: {mistake}");
            assert_eq!(mistake.lines().count(), 1, "{mistake}");
        }
    }

    #[test]
    fn a_mistyped_variable_is_answered_with_the_nearest_name() {
        assert!(mistake(&[("WEIR_POLICES", "x")]).contains("did you mean WEIR_POLICIES?"));
    }

    #[test]
    fn an_unknown_key_of_the_file_is_named() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("weir.toml");
        std::fs::write(&file, "[http]\nprot = 4000\n").expect("written");
        let mistake = Settings::load(Some(&file), &environment(&[])).expect_err("prot is no setting").to_string();
        assert!(mistake.contains("prot"), "{mistake}");
    }

    #[test]
    fn secrets_are_not_printed() {
        let settings = Settings::load(None, &environment(&[("MINIO_SECRET_KEY", "hunter22")])).expect("sound");
        assert!(!format!("{settings:?}").contains("hunter22"));
    }
}
