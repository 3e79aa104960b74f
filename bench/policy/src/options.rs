//! What one run of the bench does.

use std::path::PathBuf;

use clap::Parser;

use crate::lines::Line;

/// Measures what one of Weir's decisions costs, beside plain casbin and beside Cedar, and how long new rules take.
#[derive(Clone, Debug, Parser)]
#[command(version, about)]
pub struct Options {
    /// Lines of the table: a casbin, b Weir for the first time, c Weir, d Cedar, e Cedar with a tenant's own policies.
    #[arg(long, env = "BENCH_LINES", default_value = "abcde")]
    pub lines: String,
    /// Rules of all tenants together.
    #[arg(long, env = "BENCH_RULES", value_delimiter = ',', default_value = "10,1000,10000,100000",
        value_parser = clap::value_parser!(u32).range(10..=150_000))]
    pub rules: Vec<u32>,
    /// Rounds; each measures every cell once.
    #[arg(long, env = "BENCH_ROUNDS", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    pub rounds: u32,
    /// Deciding time of a cell in a round, in milliseconds.
    #[arg(long, env = "BENCH_CELL_MS", default_value_t = 250, value_parser = clap::value_parser!(u64).range(1..))]
    pub cell_ms: u64,
    /// Whether a file of the largest folder is edited while decisions are made.
    #[arg(long, env = "BENCH_RELOAD", default_value_t = true, action = clap::ArgAction::Set)]
    pub reload: bool,
    /// Edits.
    #[arg(long, env = "BENCH_EDITS", default_value_t = 15, value_parser = clap::value_parser!(u32).range(1..))]
    pub edits: u32,
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

    /// The numbers of rules, each once.
    pub fn sizes(&self) -> Vec<usize> {
        let mut sizes: Vec<usize> = self.rules.iter().map(|rules| *rules as usize).collect();
        sizes.sort_unstable();
        sizes.dedup();
        sizes
    }
}
