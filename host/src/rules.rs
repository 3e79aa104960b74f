//! What a batch must pass: the rules of a topic, as the catalogue has them and the deciders apply them.

use std::sync::Arc;
use std::time::Duration;

use uuid::Uuid;

use crate::limits;
use crate::model::{Conflict, ErrorStrategy, Target, TopicFormat, WriteMode};

/// The rules for the readings of one topic, or of none. Immutable: a change of the catalogue makes new ones.
#[derive(Clone, Debug)]
pub struct Rules {
    /// The topic; `None` for readings that came by HTTP and name none.
    pub topic: Option<Arc<str>>,
    /// How messages from Kafka are written.
    pub format: TopicFormat,
    /// How rows meet rows that are already stored.
    pub mode: WriteMode,
    /// Which of two values for one time of a series counts, where the mode is upsert.
    pub conflict: Conflict,
    /// The Kafka topic that what is refused is sent to as well.
    pub dead_letter: Option<Arc<str>>,
    /// What becomes of readings that cannot be decoded or that the schema refuses.
    pub strategy: ErrorStrategy,
    /// The JSON Schema that each reading must satisfy.
    pub schema: Option<SchemaVersion>,
    /// The Avro schema of Weir's own registry that messages are expected to be written by; by it, numbers are of that registry.
    pub avro_schema: Option<Arc<str>>,
    /// The validators, in the order in which readings pass them.
    pub chain: Arc<[Step]>,
    /// Names this state of the rules in the ledger: schema version and module digests.
    pub revision: Arc<str>,
}

impl Rules {
    /// The rules for readings without a topic: no schema, no validators.
    pub fn without_topic() -> Self {
        Self {
            topic: None,
            format: TopicFormat::Json,
            mode: WriteMode::Upsert,
            conflict: Conflict::KeepLast,
            dead_letter: None,
            strategy: ErrorStrategy::Quarantine,
            schema: None,
            avro_schema: None,
            chain: Arc::new([]),
            revision: "".into(),
        }
    }

    /// The same with another chain, as a replay may name one.
    #[must_use]
    pub fn through(&self, chain: &Arc<[Step]>) -> Self {
        let schema = self.schema.iter().map(|schema| schema.label.to_string());
        let steps = chain.iter().map(|step| format!("{}@{}:{}", step.name, step.version, step.digest));
        let revision: Vec<String> = schema.chain(steps).collect();
        Self { chain: Arc::clone(chain), revision: revision.join(" ").into(), ..self.clone() }
    }
}

/// One immutable version of a JSON Schema.
#[derive(Clone, Debug)]
pub struct SchemaVersion {
    /// Its id, by which compiled schemas are cached.
    pub id: Uuid,
    /// Name and version for people, such as `room@3`.
    pub label: Arc<str>,
    /// The JSON Schema itself, as text.
    pub definition: Arc<str>,
}

/// Whose chain it is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ChainOf {
    /// The readings of this topic.
    Topic(String),
    /// The resources of this kind, as in the path: `kafka-topics`.
    Documents(String),
    /// The objects of this bucket.
    Objects(String),
}

impl ChainOf {
    /// What its validators check.
    pub fn target(&self) -> Target {
        match self {
            Self::Topic(_) => Target::Readings,
            Self::Documents(_) => Target::Documents,
            Self::Objects(_) => Target::Objects,
        }
    }

    /// What it is known by in the database, and to people: `topics/rooms`.
    pub fn place(&self) -> String {
        match self {
            Self::Topic(name) => format!("topics/{name}"),
            Self::Documents(name) => format!("documents/{name}"),
            Self::Objects(name) => format!("objects/{name}"),
        }
    }

    /// The most validators that it may have.
    pub fn longest(&self) -> usize {
        match self {
            Self::Topic(_) | Self::Documents(_) => limits::CHAIN_LENGTH,
            Self::Objects(_) => limits::OBJECT_CHAIN_LENGTH,
        }
    }
}

/// A validator's place in a chain: which module runs, with what.
#[derive(Clone, Debug)]
pub struct Step {
    /// The validator.
    pub validator: Uuid,
    /// Its name, for people.
    pub name: Arc<str>,
    /// The module's version that is active.
    pub version: i32,
    /// SHA-256 of the component's bytes.
    pub digest: Digest,
    /// Its configuration, as JSON text; `{}` where it has none.
    pub config: Arc<str>,
    /// What becomes of readings that it refuses or fails on.
    pub strategy: ErrorStrategy,
    /// What it may take in a call, where that is less than the gateway's own bounds.
    pub bounds: StepBounds,
    /// True where it may ask for the tenant's last values.
    pub lookup: bool,
    /// The JSON Schema that judges in place of a module. Version and digest are then its own.
    pub schema: Option<SchemaVersion>,
    /// The version that runs beside the active one, and the digest of its bytes; it decides nothing.
    pub shadow: Option<(i32, Digest)>,
}

/// Bounds of a tenant or of a validator, the tighter of both.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StepBounds {
    /// Time of one call, wall clock.
    pub time: Option<Duration>,
    /// Linear memory of one instance, in bytes.
    pub memory_bytes: Option<usize>,
}

/// SHA-256 of a module's bytes: its identity everywhere.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Digest(pub [u8; 32]);

impl Digest {
    /// The digest of `bytes`.
    pub fn of(bytes: &[u8]) -> Self {
        use sha2::Digest as _;
        Self(sha2::Sha256::digest(bytes).into())
    }

    /// A digest as the database has it; `None` where it has not 32 bytes.
    pub fn from_slice(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }
}

impl std::fmt::Display for Digest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl std::fmt::Debug for Digest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{self}")
    }
}
