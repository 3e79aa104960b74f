//! What a reading costs in one of Weir's guests, beside the same rule in native code and behind two other interfaces.
//!
//! Everything runs side by side in one process, in rounds; it prints a table and writes `target/bench/wasm.json`.
//! `bench/README.md` says what the lines mean.

// The sample validator knows its SDK by this name.
extern crate validator_sdk as weir_validator_sdk;

mod columns;
#[path = "../../src/failure.rs"]
mod failure;
mod figures;
mod lines;
#[path = "../../src/machine.rs"]
mod machine;
mod native;
mod options;
mod plugin;
// The sample validator's own code, natively. It is a guest, and Cargo would not optimise it across crates if it were a library as well.
#[path = "../../../validators/examples/range-check/src/lib.rs"]
mod range_check;
mod readings;
mod records;
mod report;
#[path = "../../src/spread.rs"]
mod spread;

use std::process::ExitCode;
use std::time::Duration;

use clap::Parser as _;
use tokio::runtime::Runtime;

use crate::columns::Columns;
use crate::failure::{Doing as _, Failure, Result};
use crate::figures::Figures;
use crate::lines::{Judge, Line, nanoseconds};
use crate::native::Native;
use crate::options::{Command, Options, Part};
use crate::plugin::Plugin;
use crate::readings::Sample;
use crate::records::Records;
use crate::report::{Results, Round};

fn main() -> ExitCode {
    let done = match Command::parse().part {
        Part::CompileModule { seconds } => {
            weir::guest::load::compile_stdin_to_stdout(seconds).doing("compile-module").map(|()| true)
        }
        Part::Measure(options) => measure(&options),
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

/// All rounds; false where verdicts were not what they must be.
fn measure(options: &Options) -> Result<bool> {
    let lines = options.lines();
    if lines.is_empty() {
        return Err(Failure::new("--lines names none of a, b, c, d, e"));
    }
    let samples: Vec<Sample> = options.sizes.iter().map(|size| Sample::of(size.get())).collect();
    // As Weir's own: tasks on as many threads as there are cores, guests on others.
    let runtime = Runtime::new().doing("the runtime cannot be made")?;
    let mut judges: Vec<(Line, Box<dyn Judge>)> = Vec::new();
    for line in lines {
        judges.push((line, judge(line, options, &runtime)?));
    }
    let mut results = Results::default();
    for number in 0..options.rounds as usize {
        let mut round = Round::new();
        for at in 0..judges.len() {
            // Each round begins with another line: what one leaves behind is not always the same one's to bear.
            let at = (at + number) % judges.len();
            let (line, judge) = &mut judges[at];
            for sample in &samples {
                match nanoseconds(judge.as_mut(), sample, Duration::from_millis(options.cell_ms)) {
                    Ok(taken) => drop(round.insert((*line, sample.size()), taken)),
                    Err(failure) => results.void.push(format!("{}, {} readings: {failure}", line.name(), sample.size())),
                }
            }
            eprintln!("· round {}, ({}) {}: {}", number + 1, line.letter(), line.title(), report::told(&round, *line));
        }
        results.rounds.push(round);
    }
    if options.figures {
        results.figures = Some(Figures::measure(options, &runtime)?);
    }
    report::write(options, &results)?;
    println!("{}", report::table(&results));
    for void in &results.void {
        println!("void: {void}");
    }
    Ok(results.void.is_empty())
}

/// What a line is made of, warm.
fn judge(line: Line, options: &Options, runtime: &Runtime) -> Result<Box<dyn Judge>> {
    Ok(match line {
        Line::Native => Box::new(Native::new()?),
        Line::Columns => Box::new(Columns::new(options, runtime.handle())?),
        Line::Records => Box::new(Records::new(&options.peers)?),
        Line::Extism => Box::new(Plugin::new(&options.peers, false)?),
        Line::ExtismReused => Box::new(Plugin::new(&options.peers, true)?),
    })
}
