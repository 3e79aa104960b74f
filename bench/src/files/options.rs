//! What one run of the bench of files does.

use std::num::NonZeroU16;
use std::path::PathBuf;

use clap::Args;

use super::cells::{Line, Size};

/// What is measured, and with what.
#[derive(Clone, Debug, Args)]
pub struct Options {
    /// Lines of the table: a the S3 store itself, b Weir, c Express and the client `minio`, d the store in parts.
    #[arg(long, env = "BENCH_LINES", default_value = "abcd")]
    pub lines: String,
    /// Rounds; each measures every cell once.
    #[arg(long, env = "BENCH_ROUNDS", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    pub rounds: u32,
    /// How large objects are.
    #[arg(long, env = "BENCH_SIZES", value_delimiter = ',', default_value = "4kib,1mib,big")]
    pub sizes: Vec<Size>,
    /// How many requests are under way at once.
    #[arg(long, env = "BENCH_AT_ONCE", value_delimiter = ',', default_value = "1,32")]
    pub at_once: Vec<NonZeroU16>,
    /// MiB of the big objects. The bars and the names of their ratios are for 256.
    #[arg(long, env = "BENCH_BIG_MIB", default_value_t = 256, value_parser = clap::value_parser!(u16).range(2..=4096))]
    pub big_mib: u16,
    /// Leaves Nagle's algorithm on in the store, as garage has it, and turns it off otherwise: see `bench/README.md`.
    #[arg(long, env = "BENCH_DELAYED")]
    pub delayed: bool,
    /// More settings of Weir's, `NAME=value`.
    #[arg(long = "set", value_name = "NAME=VALUE")]
    pub settings: Vec<String>,
    /// The superuser's address of a cluster that this may make databases in.
    #[arg(long, env = "BENCH_POSTGRES_URL")]
    pub postgres: String,
    /// Weir's program.
    #[arg(long, env = "BENCH_WEIR")]
    pub weir: PathBuf,
    /// Garage's program, which is the S3 store.
    #[arg(long, env = "BENCH_GARAGE")]
    pub garage: PathBuf,
    /// The folder of `peers/express-files` with its packages.
    #[arg(long, env = "BENCH_EXPRESS")]
    pub express: PathBuf,
    /// A folder on a disk, for what the store holds. It is empty again at the end.
    #[arg(long, env = "BENCH_STORE", default_value = "/var/tmp")]
    pub store: PathBuf,
    /// The checkout: policies are taken from it.
    #[arg(long, default_value = ".")]
    pub checkout: PathBuf,
    /// Where the results go.
    #[arg(long, default_value = "target/bench")]
    pub out: PathBuf,
}

impl Options {
    /// The lines that were asked for.
    pub fn lines(&self) -> Vec<Line> {
        Line::ALL.into_iter().filter(|line| self.lines.contains(line.letter())).collect()
    }

    /// The sizes that were asked for, each once.
    pub fn sizes(&self) -> Vec<Size> {
        let mut sizes = self.sizes.clone();
        sizes.sort_unstable();
        sizes.dedup();
        sizes
    }

    /// How many at once, each once.
    pub fn at_once(&self) -> Vec<usize> {
        let mut at_once: Vec<usize> = self.at_once.iter().map(|clients| clients.get().into()).collect();
        at_once.sort_unstable();
        at_once.dedup();
        at_once
    }
}
