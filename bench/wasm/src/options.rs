//! What one run of the bench does.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use crate::lines::Line;

/// Measures what a reading costs in Weir's guests, beside native code and beside two other ways into WebAssembly.
#[derive(Debug, Parser)]
#[command(version, about)]
pub struct Command {
    /// What is to be done.
    #[command(subcommand)]
    pub part: Part,
}

/// The bench, or the compiler that Weir's engine starts for each module.
#[derive(Debug, Subcommand)]
pub enum Part {
    /// Measures and prints a table.
    Measure(Options),
    /// Compiles a component from standard input to standard output, as `weir compile-module` does. The engine starts it.
    CompileModule {
        /// Seconds of processor time that it may take.
        #[arg(long)]
        seconds: u64,
    },
}

/// What is measured, and with what.
#[derive(Clone, Debug, Args)]
pub struct Options {
    /// Lines of the table: a native, b columns, c records, d Extism, e Extism with one instance.
    #[arg(long, env = "BENCH_LINES", default_value = "abcde")]
    pub lines: String,
    /// Readings of a batch.
    #[arg(long, env = "BENCH_SIZES", value_delimiter = ',', default_value = "1,10,100,1000,10000")]
    pub sizes: Vec<NonZeroUsize>,
    /// Rounds; each measures every cell once.
    #[arg(long, env = "BENCH_ROUNDS", default_value_t = 7, value_parser = clap::value_parser!(u32).range(1..))]
    pub rounds: u32,
    /// Judging time of a cell in a round, in milliseconds, after a quarter of it to warm up.
    #[arg(long, env = "BENCH_CELL_MS", default_value_t = 250, value_parser = clap::value_parser!(u64).range(1..))]
    pub cell_ms: u64,
    /// Whether instances, loading, compiling and all cores are measured as well.
    #[arg(long, env = "BENCH_FIGURES", default_value_t = true, action = clap::ArgAction::Set)]
    pub figures: bool,
    /// The folder of Weir's built guests.
    #[arg(long, env = "BENCH_GUESTS")]
    pub guests: PathBuf,
    /// The folder of the peers' built guests.
    #[arg(long, env = "BENCH_PEER_GUESTS")]
    pub peers: PathBuf,
    /// The checkout, for the commit.
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
}
