//! Every bound, with the reason beside the number.
//!
//! What an operator may want to move has a setting of the same name in `settings.rs`, and the number here is its default.
//! The others are bounds of the contract or of safety and are the same everywhere.

mod guests;

use std::time::Duration;

pub use self::guests::*;

// ── HTTP ────────────────────────────────────────────────────────────────────────────────────────────────────────────

/// A JSON body, in bytes: 10,000 readings of 500 bytes and room; more goes by NDJSON, which is streamed.
pub const JSON_BODY_BYTES: usize = 8 << 20;
/// One line of an NDJSON body, in bytes; the same as the largest reading.
pub const READING_BYTES: usize = 1 << 20;
/// Readings of an NDJSON body that are decided and stored together; PERFORMANCE puts the knee of COPY at 10 k rows.
pub const BULK_CHUNK_READINGS: usize = 10_000;
/// Refused readings that the answer to a bulk request lists, about 150 bytes each; it says how many there are in all.
pub const BULK_REJECTED: usize = 10_000;
/// A file's body, in bytes: what S3 itself takes in 10,000 parts of 8 MiB is 80 GB, and no upload here should reach it.
pub const OBJECT_BYTES: u64 = 50 << 30;
/// A compiled-to-be module, in bytes. Guests bring their engine along: JavaScript's are 2 to 13 MB, Python with its library is 18.5 MB.
pub const MODULE_BYTES: usize = 32 << 20;
/// Time for a request without a streamed body, end to end.
pub const REQUEST_TIME: Duration = Duration::from_secs(30);
/// How long a streamed body may stay silent before the connection counts as dead.
pub const BODY_IDLE: Duration = Duration::from_secs(30);
/// How long a health check waits for a store.
pub const HEALTH_TIME: Duration = Duration::from_secs(2);
/// How long a health check's findings are given again to others who ask.
pub const HEALTH_KEPT: Duration = Duration::from_millis(500);
/// Connections that may be open at once; each costs a few kB and a file descriptor.
pub const CONNECTIONS: usize = 4_096;
/// `Retry-After` where nothing better is known.
pub const RETRY_AFTER: Duration = Duration::from_secs(2);
/// What S3 copies by itself at once, in bytes.
pub const OBJECT_COPY_BYTES: u64 = 5 << 30;
/// Time for such a copy.
pub const OBJECT_COPY_TIME: Duration = Duration::from_mins(5);
/// Versions that are cleared up at once.
pub const LEFTOVERS_AT_ONCE: i64 = 500;
/// How often bytes that nothing points to are cleared up.
pub const LEFTOVERS_EVERY: Duration = Duration::from_mins(1);
/// Versions that a scan names, of each kind of trouble.
pub const SCAN_NAMED: usize = 100;
/// Names and words of a file's metadata.
pub const METADATA_ENTRIES: usize = 32;
/// The same, in bytes together; S3 has 2 kB.
pub const METADATA_BYTES: usize = 2_048;
/// Media types that a bucket names.
pub const BUCKET_MEDIA_TYPES: usize = 64;
/// Length of an `X-Request-Id` that is taken over, in bytes; a longer one is replaced.
pub const REQUEST_ID_BYTES: usize = 128;
/// Rows of a list when the client names no number.
pub const PAGE_DEFAULT: u32 = 100;
/// Rows of a list at the most.
pub const PAGE_MAX: u32 = 1_000;
/// Details that one error lists; the sentence says how many more there are.
pub const ERROR_DETAILS: usize = 100;

/// Resources that one request may make.
pub const BULK_ITEMS: usize = 1_000;
/// JSON of one field of a resource (metadata, definition, configuration), in bytes: what PostgreSQL and a page of a list can carry.
pub const FIELD_BYTES: usize = 256 << 10;
/// Text of one field of a resource, in bytes.
pub const TEXT_FIELD_BYTES: usize = 4 << 10;
/// An email, in bytes (RFC 5321, 4.5.3.1.3, without the brackets).
pub const EMAIL_BYTES: usize = 254;
/// Characters of a password: the least by NIST SP 800-63B, the most so that hashing it stays cheap.
pub const PASSWORD_CHARACTERS: std::ops::RangeInclusive<usize> = 8..=256;
/// Passwords that are hashed at once: 19 MiB and tens of milliseconds of a core each.
pub const PASSWORDS_AT_ONCE: usize = 4;

// ── The audit log and its events ─────────────────────────────────────────────────────────────────────────────────────

/// Entries of the audit log that are looked through, or taken away, in one piece.
pub const AUDIT_LINKS: i64 = 5_000;
/// Broken places of the audit log that are told.
pub const AUDIT_BREAKS: usize = 20;
/// Changes of the platform that are sent to Kafka in one piece; a transaction is open while they are.
pub const EVENTS_AT_ONCE: u32 = 500;
/// How often the outbox is looked into.
pub const EVENTS_EVERY: Duration = Duration::from_millis(250);
/// How often what is too old is looked for.
pub const FORGET_EVERY: Duration = Duration::from_hours(1);

/// Breaks that are listed of each direction: as many as details of one error; whoever has more reads the first ones anyway.
pub const COMPAT_BREAKS: usize = 100;
/// Steps of one comparison in one direction. A definition of 64 KiB with 800 properties takes 15,000, a `oneOf` of 30 kinds of
/// objects 42,000. What multiplies its alternatives with one another is stopped here: after 50 ms as a rule, 300 ms at the worst.
pub const COMPAT_STEPS: u64 = 200_000;
/// How deep a comparison goes: an object in an object is one deep, an alternative one more. The stack of a thread has to hold it;
/// this is half a MiB without optimisation. No more than 128, since what borrows from what is kept in as many bits.
pub const COMPAT_DEPTH: usize = 128;
/// Characters of a name or a value that a reason shows.
pub const COMPAT_SHOWN: usize = 60;
/// Bytes of a regular expression that is read, to see which names it takes; longer ones are compared by their text.
pub const COMPAT_PATTERN_BYTES: usize = 256;
/// How often a version of a schema is compared again, where others are registered meanwhile.
pub const SCHEMA_TRIES: usize = 5;
/// How long one call holds stored readings against a definition before it answers with what it has; within the time of a request.
pub const SCHEMA_CHECK_TIME: Duration = Duration::from_secs(15);
/// Hours of stored readings that a definition is held against, at the most.
pub const SCHEMA_CHECK_HOURS: u32 = 24 * 366;

/// How long the answer to a request with an idempotency key is kept.
pub const IDEMPOTENT_TIME: Duration = Duration::from_hours(24);
/// How long a request with an idempotency key counts as under way: twice as long as one may take.
pub const IDEMPOTENT_LEASE: Duration = Duration::from_mins(1);
/// Bytes of an answer that is kept: what a bulk request of the most items is told.
pub const IDEMPOTENT_BYTES: usize = 16 << 20;

// ── Readings ────────────────────────────────────────────────────────────────────────────────────────────────────────

/// A tenant's name, in bytes: as much as a label of a host's name (RFC 1035, 2.3.4).
pub const TENANT_NAME_BYTES: usize = 63;
/// A topic's name, in bytes, as Kafka has it.
pub const TOPIC_NAME_BYTES: usize = 249;
/// A bucket's name, in bytes, as S3 has it.
pub const BUCKET_NAME_BYTES: std::ops::RangeInclusive<usize> = 3..=63;
/// Times in queries and paths, in milliseconds since 1970: the years 1 to 9999, which RFC 3339 can write.
pub const MILLISECONDS: std::ops::RangeInclusive<i64> = -62_135_596_800_000..=253_402_300_799_999;
/// A user-given name (sensor, metric, unit, schema reference, bucket…), in bytes; an index row of PostgreSQL holds 2,700.
pub const NAME_BYTES: usize = 255;
/// A text value, in bytes.
pub const TEXT_BYTES: usize = 64 << 10;
/// Values of one reading; a row each.
pub const READING_VALUES: usize = 1_000;
/// Readings of one Kafka message: a message of 1 MB, the broker's own bound, has at most about 20,000 of the shortest.
pub const MESSAGE_READINGS: usize = 100_000;
/// The largest integer that an f64 holds exactly, 2^53; beyond it a number is refused, not rounded.
pub const EXACT_INTEGER: u64 = 1 << 53;
/// How far ahead of now a reading may lie: a device with a broken clock must not create a chunk for each year to 9999.
pub const READING_AHEAD: Duration = Duration::from_hours(366 * 24);

// ── Object store ────────────────────────────────────────────────────────────────────────────────────────────────────

/// Bytes of one part of an upload: the store's minimum is 5 MiB, and 8 MiB × 4 measured best through OpenDAL.
pub const OBJECT_PART_BYTES: usize = 8 << 20;
/// Parts of one upload that are under way at once.
pub const OBJECT_PARTS_AT_ONCE: usize = 4;
/// Uploads of more than one part that may be under way at once, all tenants together: at most 48 MiB of memory each.
pub const OBJECT_UPLOADS_AT_ONCE: usize = 16;
/// An object's name, in bytes, as S3 has it.
pub const OBJECT_NAME_BYTES: usize = 1_024;
/// How long a call to the object store may take; a part of 8 MiB over a slow line included.
pub const OBJECT_STORE_TIME: Duration = Duration::from_mins(1);
/// How long a sign of life of the object store may take.
pub const OBJECT_PROBE_TIME: Duration = Duration::from_secs(5);

// ── Databases ───────────────────────────────────────────────────────────────────────────────────────────────────────

/// Connections to the platform database.
pub const PLATFORM_CONNECTIONS: u32 = 8;
/// Connections to TimescaleDB, besides the writer's lanes.
pub const TIMESCALE_CONNECTIONS: u32 = 8;
/// How long a request waits for a free connection before it is told that the database is away.
pub const ACQUIRE_TIME: Duration = Duration::from_secs(3);
/// How long one statement may run before the database stops it.
pub const STATEMENT_TIME: Duration = Duration::from_secs(25);
/// How long storing one batch may take in all; beyond it the connection counts as dead and the outcome as not known.
pub const STORE_TIME: Duration = Duration::from_mins(1);
/// How long a transaction may stand idle before the database ends it: a writer that was stopped in the middle of a batch must not hold
/// its partitions for longer than that.
pub const STALLED_TRANSACTION: Duration = Duration::from_secs(10);
/// Bytes of rows that go to the database in one piece: many for a system call, few for a buffer that each connection keeps.
pub const COPY_PIECE_BYTES: usize = 128 << 10;
/// Values on one page of readings; beyond it the page ends early, with whole readings. A thousand readings may have a thousand values each.
pub const PAGE_VALUES: usize = 50_000;
/// Bytes of an entry of quarantine that a list shows: enough to see what it is, and a page of a thousand is a megabyte.
pub const KEPT_SHOWN_BYTES: i32 = 1_024;
/// Causes of quarantine that are listed, the most frequent first; whoever has more narrows them down by topic or time.
pub const CAUSES: u32 = 200;
/// Characters of a reason that tell one cause from another.
pub const CAUSE_CHARACTERS: i32 = 300;
/// Entries of quarantine that one call deletes: a statement's time is bounded, and the answer says whether there are more.
pub const DISCARD_ENTRIES: u32 = 10_000;
/// Entries that one call replays, all judged and stored before it answers.
pub const REPLAY_ENTRIES: u32 = 1_000;
/// Bytes of the entries that one call replays; as much as a request may bring.
pub const REPLAY_BYTES: i64 = 8 << 20;
/// Lines of the books that one answer sums up; whoever has more partitions asks by topic.
pub const LEDGER_LINES: i64 = 10_000;
/// Logs (clusters and consumer groups) in which a message is looked for.
pub const LEDGER_LOGS: i64 = 16;
/// Differences that a recount lists of each kind; it says how many there are in all.
pub const DIFFERENCES: usize = 100;
/// Years that get partitions of their own in plain PostgreSQL, a month each; rows outside them share one, so that no sender can make
/// tables without end.
pub const PARTITION_YEARS: std::ops::RangeInclusive<i32> = 2000..=2099;
/// Tenants whose use of their quota is remembered, about 100 bytes each; beyond it, those that owe nothing are forgotten first.
pub const BUDGETS_KEPT: usize = 10_000;
/// Entries of the series dictionary that are kept in memory, about 200 bytes each.
pub const SERIES_CACHED: usize = 500_000;

// ── The writer ──────────────────────────────────────────────────────────────────────────────────────────────────────

/// Lanes: database connections that store batches from Kafka side by side.
pub const WRITER_LANES: usize = 4;
/// Readings that a lane gathers before it flushes.
pub const FLUSH_READINGS: usize = 10_000;
/// Bytes of messages that a lane gathers before it flushes; what is made of them takes about five times as much memory.
pub const FLUSH_BYTES: usize = 1 << 20;
/// The age of the oldest message at which a lane flushes whatever it has.
pub const FLUSH_AGE: Duration = Duration::from_millis(200);
/// The part of a whole flush, as 1 in so many, that is worth a transaction where nothing more comes; below it readings wait for their age.
pub const FLUSH_SHARE: usize = 8;
/// How long nothing may come before such a part is flushed; a broker near by answers a fetch in less.
pub const FLUSH_QUIET: Duration = Duration::from_millis(10);
/// Bytes of messages that are handed to a lane in one piece; large enough that a piece costs nothing beside its messages.
pub const RUN_BYTES: usize = 256 << 10;
/// Messages that are handed to a lane in one piece; larger pieces would let one partition's turn hold up the others'.
pub const RUN_MESSAGES: usize = 2_000;
/// Pieces between the consumer and a lane; what bounds them is the memory below, this is for pieces of a few messages.
pub const LANE_QUEUE: usize = 1_024;
/// Bytes of messages that have left librdkafka and are not stored yet, all lanes together. What is made of them on the way (columns,
/// rows) is about five times as large, for the two flushes of a lane that are being worked on.
pub const WRITER_MEMORY_BYTES: usize = 8 << 20;
/// Bytes that librdkafka may hold ahead of the writer, a partition, in KiB: 5 ms of a partition at 200 MB/s.
pub const KAFKA_AHEAD_KIB: usize = 1_024;
/// Bytes of one answer of the broker, all partitions together; librdkafka holds it until its last message is handed over.
pub const KAFKA_FETCH_BYTES: usize = 8 << 20;
/// How long the poll thread rests when nothing came; orders and messages wait as long.
pub const KAFKA_REST: Duration = Duration::from_millis(5);
/// Bytes of dead letters and events that wait for the broker, in KiB.
pub const LETTERS_KIB: usize = 4_096;
/// How long the broker may take to acknowledge a dead letter or an event before it is tried again.
pub const LETTERS_TIME: Duration = Duration::from_secs(10);
/// The first wait between two tries.
pub const RETRY_WAIT_LEAST: Duration = Duration::from_millis(50);
/// The longest wait while a tenant's quota of readings or of its modules' time is used up before it is looked at again: it may have been raised meanwhile.
pub const QUOTA_WAIT: Duration = Duration::from_millis(500);
/// The age from which on a reading counts as late: it belongs into a chunk that others have left, and most likely was kept back.
pub const LATE_AFTER: Duration = Duration::from_hours(24);
/// The longest wait between two tries while the database is away.
pub const RETRY_WAIT: Duration = Duration::from_secs(5);
/// How long a soft stop may take to drain lanes and requests before the hard one.
pub const DRAIN_TIME: Duration = Duration::from_secs(20);

// ── Schemas and policies ────────────────────────────────────────────────────────────────────────────────────────────

/// A JSON Schema's definition, in bytes.
pub const SCHEMA_BYTES: usize = 64 << 10;
/// Nesting of a JSON Schema.
pub const SCHEMA_DEPTH: usize = 32;
/// Paths through a schema's references: 22 doubling levels of `allOf` take 70 ms a validation, this bound stops them at 13.
pub const SCHEMA_PATHS: u64 = 10_000;
/// How long one call to the schema registry may take.
pub const REGISTRY_TIME: Duration = Duration::from_secs(10);
/// An answer of the schema registry, in bytes; the bound that Confluent's own has for a schema.
pub const REGISTRY_BYTES: usize = 1 << 20;
/// Schemas that one schema of the registry may refer to, those that they refer to included; each is a request.
pub const REGISTRY_REFERENCES: usize = 64;
/// How long a number that the registry did not know is not asked for again: messages without a schema must not become requests.
pub const REGISTRY_MISSING: Duration = Duration::from_secs(10);
/// Requests to the schema registry at once, for one flush.
pub const REGISTRY_AT_ONCE: usize = 8;
/// Topics whose rules, chains whose steps and tenants whose quotas are kept in memory, each so many; a topic's rules are a few kB.
pub const RULES_CACHED: usize = 10_000;
/// Compiled schemas that are kept in memory.
pub const SCHEMAS_CACHED: usize = 1_024;
/// One policy file, in bytes.
pub const POLICY_FILE_BYTES: u64 = 16 << 20;
/// Rules of all policy files together.
pub const POLICY_RULES: usize = 200_000;
/// How long the files must be quiet before they are read again, so that several changed together are one change.
pub const POLICY_QUIET: Duration = Duration::from_millis(200);
/// How often the policy files are looked at where no event tells of a change (links swapped by a `ConfigMap`, network file systems).
pub const POLICY_POLL: Duration = Duration::from_millis(500);
/// How long files that change without end may put off their being read: a mended file has to be live within 2 s.
pub const POLICY_UNQUIET: Duration = Duration::from_secs(1);
/// How long files that never rest have to be the same to be read.
pub const POLICY_STEADY: Duration = Duration::from_millis(100);
/// How long rules that were replaced are waited for, so that no request is the last to hold them.
pub const POLICY_FAREWELL: Duration = Duration::from_secs(1);
/// How often it is looked whether one still does; a decision takes microseconds.
pub const POLICY_HELD: Duration = Duration::from_millis(10);
/// Roles of roles; casbin follows ten levels and says nothing beyond.
pub const ROLE_DEPTH: usize = 8;
/// Rules of a tenant that are made ready at its first request; 1,000 take about a millisecond. More are made ready when they are loaded.
pub const POLICY_RULES_AT_ONCE: usize = 1_000;
/// Decisions that are kept for one tenant.
pub const DECISIONS_CACHED: usize = 10_000;
/// Decisions that wait to be written down; more are left out, and counted as `unrecorded`.
pub const DECISIONS_WAITING: usize = 10_000;
/// How often decisions are written down.
pub const DECISIONS_EVERY: Duration = Duration::from_secs(2);
/// How often each kind of request is noted anew.
pub const DECISIONS_ROUND: Duration = Duration::from_mins(10);
/// Requests on record of one tenant; of more, the oldest go.
pub const DECISIONS_OF_TENANT: i64 = 100_000;
/// Days that requests may be kept on record, and looked back over.
pub const DECISIONS_DAYS: u32 = 90;
/// Requests on record that are read at once.
pub const DECISIONS_PAGE: i64 = 5_000;
/// Requests that would have crossed a tenant, denied lately, that new rules are held against.
pub const CROSSINGS: i64 = 10_000;
/// Answers to one question about the policy.
pub const POLICY_ANSWERS: usize = 1_000;
/// Rules that came near, and objects of a difference, that are named.
pub const POLICY_NEAREST: usize = 5;
/// Reaches that are kept for one tenant: of so many subjects and collections.
pub const REACHES_CACHED: usize = 1_000;
/// Names that a list may be limited to by rules that name things one by one.
pub const REACH_NAMES: usize = 10_000;
/// The expression of all patterns that a list is limited to, in bytes.
pub const REACH_BYTES: usize = 16 << 10;

// ── Credentials ─────────────────────────────────────────────────────────────────────────────────────────────────────

/// The least length of a bootstrap token, in characters; Weir's own tokens have 256 random bits.
pub const BOOTSTRAP_TOKEN_CHARACTERS: usize = 16;
/// Hours that a session lasts: a working day and what is left over.
pub const SESSION_HOURS: f64 = 12.0;
/// Sessions of one user; the oldest goes when there is one more. A person has a few devices, a script that logs in anew has them all.
pub const SESSIONS_OF_USER: i64 = 20;
/// Users of one email, each of another tenant, whose passwords a login without `tenant` is held against: each costs tens of milliseconds.
pub const LOGIN_CANDIDATES: i64 = 5;
/// Failed logins in a row after which a user is locked out.
pub const LOGIN_FAILURES: i32 = 5;
/// How long a failed login counts; longer than the longest lockout, so that each one after it is no shorter.
pub const LOGIN_FAILURES_KEPT: Duration = Duration::from_hours(1);
/// How long the first lockout takes; each failure after it takes twice as long as the one before.
pub const LOCKOUT_LEAST: Duration = Duration::from_secs(30);
/// How long a lockout takes at the most: whoever is kept out by somebody else's guesses gets in again the same hour.
pub const LOCKOUT_MOST: Duration = Duration::from_mins(15);
/// Logins a minute from one address for one email, whether or not there is such a user: a person mistypes, a guesser does not stop.
pub const LOGINS_A_MINUTE: u32 = 20;
/// The time that a login which is refused takes at the least, so that nobody can tell by it whose email there is.
pub const LOGIN_REFUSAL_TIME: Duration = Duration::from_millis(400);
/// Places in which such logins are counted, 8 bytes each and some; two that share one by chance share its number.
pub const LOGIN_PLACES: u64 = 1 << 16;
/// A password as it is sent, in bytes: the longest of four-byte characters. A longer one is no user's.
pub const PASSWORD_BYTES: usize = 1 << 10;
/// Scopes of one token.
pub const TOKEN_SCOPES: usize = 64;
/// One scope, in bytes.
pub const SCOPE_BYTES: usize = 512;
/// Credentials and tenants whose requests are counted, about 50 bytes each. Beyond it those that made none lately are forgotten, and if
/// that is not enough all of them: for a second each may make its number once more.
pub const RATES_KEPT: usize = 100_000;
/// How long one call to the issuer of tokens may take; a request waits for it where a key is not known yet.
pub const ISSUER_TIME: Duration = Duration::from_secs(5);
/// An answer of the issuer, in bytes: large providers have ten keys of 2 kB.
pub const ISSUER_BYTES: usize = 256 << 10;
/// Keys of the issuer that are looked at; the rest of its list is left out.
pub const ISSUER_KEYS: usize = 64;
/// How long the issuer's keys are taken as they are before they are asked for anew.
pub const ISSUER_KEYS_FRESH: Duration = Duration::from_mins(10);
/// How long they go on to count while the issuer does not answer. After that nobody can tell whether a key was withdrawn.
pub const ISSUER_KEYS_KEPT: Duration = Duration::from_hours(4);
/// How long is waited between two requests to the issuer: keys that nobody has must not become requests.
pub const ISSUER_EVERY: Duration = Duration::from_secs(10);
/// How long a failure of the issuer's to answer is told in `/health`: later nobody knows, since nobody has asked.
pub const ISSUER_SILENCE: Duration = Duration::from_mins(5);
/// How far the issuer's clock may be from Weir's.
pub const ISSUER_LEEWAY: Duration = Duration::from_secs(30);
/// A token of the issuer, in bytes; headers of requests end at 8 or 16 kB almost everywhere.
pub const ISSUED_TOKEN_BYTES: usize = 16 << 10;
