//! What one run of the bench does.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use crate::files;

/// Measures Weir's writer beside PostgreSQL's own COPY, its files beside the S3 store itself, and both beside the stack that they replace.
#[derive(Debug, Parser)]
#[command(version, about)]
pub struct Command {
    /// What is to be done.
    #[command(subcommand)]
    pub part: Part,
}

/// One of the benches, or the broker of the writer's, which is a process of its own so that its time can be told apart.
#[derive(Debug, Subcommand)]
pub enum Part {
    /// Measures the writer and prints a table.
    Writer(Box<Options>),
    /// Measures files and prints a table.
    Files(Box<files::Options>),
    /// Serves a log that never changes to Kafka clients. The bench starts it.
    Broker {
        /// Messages of each partition.
        messages_each: u64,
        /// Values of a message.
        values: usize,
        /// The first time, in milliseconds since the Unix epoch.
        from: i64,
    },
}

/// What is measured, and with what.
#[derive(Clone, Debug, Args)]
pub struct Options {
    /// Lines of the table: a COPY, b plain, c schema, d wasm, e schema and wasm, f KafkaJS, g psycopg.
    #[arg(long, env = "BENCH_LINES", default_value = "abcdefg")]
    pub lines: String,
    /// Rounds; each runs every line once.
    #[arg(long, env = "BENCH_ROUNDS", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    pub rounds: u32,
    /// Rows of the lines a to e.
    #[arg(long, env = "BENCH_ROWS", default_value_t = 1_000_000, value_parser = clap::value_parser!(u64).range(1..))]
    pub rows: u64,
    /// Rows of the lines f and g, at the most those of the others: they are slower, and rates are compared.
    #[arg(long, env = "BENCH_PEER_ROWS", default_value_t = 300_000, value_parser = clap::value_parser!(u64).range(1..))]
    pub peer_rows: u64,
    /// Values of a message; each is a row.
    #[arg(long, env = "BENCH_VALUES", default_value_t = 5, value_parser = clap::value_parser!(u8).range(1..=5))]
    pub values: u8,
    /// Weir's lanes, and connections of COPY.
    #[arg(long, env = "BENCH_LANES", default_value_t = 4, value_parser = clap::value_parser!(u8).range(1..))]
    pub lanes: u8,
    /// Rows of a transaction of COPY. Without it, as many as Weir had on the average in a first run that does not count.
    #[arg(long, env = "BENCH_COPY_ROWS", value_parser = clap::value_parser!(u64).range(1..))]
    pub copy_rows: Option<u64>,
    /// Runs line b once more with so many rows (20,000,000 for the bar), for the ratio `flat_1m_to_20m`.
    #[arg(long, env = "BENCH_FLAT_ROWS")]
    pub flat_rows: Option<u64>,
    /// Records Weir during line b with `perf` and writes what it found.
    #[arg(long, env = "BENCH_PROFILE")]
    pub profile: bool,
    /// Gives PostgreSQL one half of the cores and everything else the other, in all lines, as where the database has its own machine.
    #[arg(long, env = "BENCH_SPLIT")]
    pub split: bool,
    /// More settings of Weir's, `NAME=value`.
    #[arg(long = "set", value_name = "NAME=VALUE")]
    pub settings: Vec<String>,
    /// The superuser's address of a cluster that this may make databases in.
    #[arg(long, env = "BENCH_POSTGRES_URL")]
    pub postgres: String,
    /// Weir's program.
    #[arg(long, env = "BENCH_WEIR")]
    pub weir: PathBuf,
    /// The folder of built guests.
    #[arg(long, env = "BENCH_GUESTS")]
    pub guests: PathBuf,
    /// The folder that `bench/install-peers` filled.
    #[arg(long, env = "BENCH_PEERS")]
    pub peers: PathBuf,
    /// The checkout: policies are taken from it.
    #[arg(long, default_value = ".")]
    pub checkout: PathBuf,
    /// Where the results go.
    #[arg(long, default_value = "target/bench")]
    pub out: PathBuf,
}

/// A line of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Line {
    /// (a) Raw COPY BINARY of the same rows.
    Copy,
    /// (b) Weir, no validators.
    Plain,
    /// (c) Weir with a JSON Schema.
    Schema,
    /// (d) Weir with the `range-check` guest.
    Wasm,
    /// (e) Weir with both.
    SchemaAndWasm,
    /// (f) KafkaJS and Sequelize.
    KafkaJs,
    /// (g) confluent-kafka and psycopg.
    Psycopg,
}

impl Line {
    /// All lines, in the table's order.
    pub const ALL: [Self; 7] =
        [Self::Copy, Self::Plain, Self::Schema, Self::Wasm, Self::SchemaAndWasm, Self::KafkaJs, Self::Psycopg];

    /// Its letter in the options and in the table.
    pub fn letter(self) -> char {
        match self {
            Self::Copy => 'a',
            Self::Plain => 'b',
            Self::Schema => 'c',
            Self::Wasm => 'd',
            Self::SchemaAndWasm => 'e',
            Self::KafkaJs => 'f',
            Self::Psycopg => 'g',
        }
    }

    /// Its name in the results.
    pub fn name(self) -> &'static str {
        match self {
            Self::Copy => "copy",
            Self::Plain => "plain",
            Self::Schema => "schema",
            Self::Wasm => "wasm",
            Self::SchemaAndWasm => "schema_and_wasm",
            Self::KafkaJs => "kafkajs",
            Self::Psycopg => "psycopg",
        }
    }

    /// What it is, for the table.
    pub fn title(self) -> &'static str {
        match self {
            Self::Copy => "COPY BINARY of encoded rows",
            Self::Plain => "Weir, no validators",
            Self::Schema => "Weir, JSON Schema",
            Self::Wasm => "Weir, range-check (WASM)",
            Self::SchemaAndWasm => "Weir, JSON Schema and WASM",
            Self::KafkaJs => "KafkaJS + Sequelize bulkCreate",
            Self::Psycopg => "confluent-kafka + psycopg COPY",
        }
    }

    /// True for what others than Weir do with messages.
    pub fn is_peer(self) -> bool {
        matches!(self, Self::KafkaJs | Self::Psycopg)
    }
}

impl Options {
    /// The lines that were asked for.
    pub fn lines(&self) -> Vec<Line> {
        Line::ALL.into_iter().filter(|line| self.lines.contains(line.letter())).collect()
    }
}
