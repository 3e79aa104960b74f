//! The bench of the writer: how near Weir comes to what PostgreSQL can do, and how far it is from what it replaces. And the bench of
//! files, which asks the same about the S3 store.
//!
//! Each runs everything side by side on one machine, in rounds, prints a table and writes `target/bench/writer.json` or `files.json`.
//! They know Weir only as its users do: a program with settings, an HTTP API, and tables. `bench/README.md` says what the lines mean.

mod broker;
mod child;
mod copy;
mod database;
mod failure;
mod files;
mod load;
mod machine;
mod measure;
mod options;
mod report;
mod split;
mod spread;
mod usage;
mod weir;

use std::process::ExitCode;
use std::time::{SystemTime, UNIX_EPOCH};

use clap::Parser as _;

use crate::failure::{Doing as _, Failure, Result};
use crate::load::Load;
use crate::measure::{Bench, Outcome};
use crate::options::{Command, Line, Options, Part};
use crate::report::{Results, Round};

/// Rows in a transaction of COPY where nobody says how many and Weir is not measured: 10,000 messages of five values.
const COPY_ROWS: u64 = 50_000;

fn main() -> ExitCode {
    let done = match Command::parse().part {
        Part::Broker { messages_each, values, from } => broker::run(Load { messages_each, values, from }).map(|()| true),
        Part::Writer(options) => writer(&options),
        Part::Files(options) => files::run(&options),
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(failure) => {
            eprintln!("bench: {failure}");
            ExitCode::FAILURE
        }
    }
}

/// All rounds; false where a run was void.
fn writer(options: &Options) -> Result<bool> {
    let lines = options.lines();
    if lines.is_empty() {
        return Err(Failure::new("--lines names none of a, b, c, d, e, f, g"));
    }
    std::fs::create_dir_all(&options.out).doing("the folder of results cannot be made")?;
    let values = usize::from(options.values);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).doing("the clock stands before 1970")?.as_secs().cast_signed();
    let load = Load::of(options.rows, values, now);
    let peer_load = Load::of(options.peer_rows.min(options.rows), values, now);
    let mut bench = Bench::new(options)?;
    if !bench.cluster.durable {
        return Err(Failure::new("the cluster must have fsync, synchronous_commit and full_page_writes on"));
    }
    if options.split {
        split::split(bench.cluster.pid, machine::cores())?;
    }
    let mut results = Results { rows_a_transaction: COPY_ROWS, rounds: Vec::new(), flat: None, void: Vec::new() };
    if lines.iter().any(|line| !line.is_peer() && *line != Line::Copy) {
        // Warms up what all share, and says what a transaction of Weir is.
        let first = tell("first", Line::Plain, &bench.run(Line::Plain, load, COPY_ROWS, false))?;
        results.rows_a_transaction = first.rows_a_transaction.unwrap_or(COPY_ROWS);
    }
    results.rows_a_transaction = options.copy_rows.unwrap_or(results.rows_a_transaction);
    for number in 0..options.rounds as usize {
        let mut round = Round::new();
        // Each round begins with another line: what one leaves behind is not always the same one's to bear.
        for at in 0..lines.len() {
            let line = lines[(at + number) % lines.len()];
            let load = if line.is_peer() { peer_load } else { load };
            let profile = options.profile && line == Line::Plain && number == 0;
            let run = bench.run(line, load, results.rows_a_transaction, profile);
            match tell(&format!("round {}", number + 1), line, &run) {
                Ok(outcome) => drop(round.insert(line, outcome)),
                Err(_) => results.void.extend(run.err().map(|failure| format!("{}: {failure}", line.name()))),
            }
        }
        results.rounds.push(round);
    }
    if let Some(rows) = options.flat_rows {
        let run = bench.run(Line::Plain, Load::of(rows, values, now), COPY_ROWS, false);
        results.flat = tell("many rows", Line::Plain, &run).ok();
        results.void.extend(run.err().map(|failure| format!("many rows: {failure}")));
    }
    report::write(options, load, &results, &mut bench)?;
    println!("{}", report::table(&results));
    for void in &results.void {
        println!("void: {void}");
    }
    Ok(results.void.is_empty())
}

/// Says how a run went, as it goes.
fn tell(when: &str, line: Line, run: &Result<Outcome>) -> Result<Outcome> {
    match run {
        Ok(outcome) => {
            eprintln!("· {when}, ({}) {}: {:.0} rows/s in {:.1} s", line.letter(), line.title(), outcome.rate(), outcome.seconds);
            Ok(*outcome)
        }
        Err(failure) => {
            eprintln!("· {when}, ({}) {}: void: {failure}", line.letter(), line.title());
            Err(Failure::new(failure.to_string()))
        }
    }
}
