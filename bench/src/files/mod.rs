//! The bench of files: what storing and fetching them through Weir takes beside the S3 store itself, and beside what it replaces.
//!
//! All lines have the same client, the same store and the same objects, in rounds. It prints a table and writes
//! `target/bench/files.json`. It fails where an object that was fetched is not the one that was stored. `bench/README.md` says what the
//! lines mean.

mod cells;
mod client;
mod content;
mod crowd;
mod measure;
mod options;
mod parts;
mod report;
mod setup;
mod store;

use crate::failure::{Doing as _, Failure, Result};
use cells::{Cell, Line, Size, Verb};
use measure::{Bench, Outcome};
pub use options::Options;
use report::{Results, Round};
use setup::Setup;

/// All rounds; false where a cell was void.
pub fn run(options: &Options) -> Result<bool> {
    let lines = options.lines();
    if lines.is_empty() {
        return Err(Failure::new("--lines names none of a, b, c, d"));
    }
    std::fs::create_dir_all(&options.out).doing("the folder of results cannot be made")?;
    let room = options.sizes().into_iter().map(|size| measure::room(options, &lines, size)).max();
    store::check_room(&options.store, room.unwrap_or(0) + ROOM_BESIDES)?;
    let mut bench = Bench::new(options)?;
    if !bench.cluster.durable {
        return Err(Failure::new("the cluster must have fsync, synchronous_commit and full_page_writes on"));
    }
    let mut results = Results::new(options.big_mib);
    for number in 0..options.rounds as usize {
        let mut round = Round::new();
        for size in options.sizes() {
            let name = format!("{}_{number}_{}", std::process::id(), size.name(options.big_mib));
            let setup = Setup::start(options, &mut bench.cluster, &lines, size, &name)?;
            for at_once in options.at_once() {
                // Each round begins with another line: what one leaves behind is not always the same one's to bear.
                let turns = (0..lines.len()).map(|at| lines[(at + number) % lines.len()]);
                for line in turns.filter(|line| line.takes(size, at_once)) {
                    if let Err(failure) = both(&mut bench, &setup, line, (size, at_once), number, &mut round, options) {
                        let cell = format!("{}, {} × {at_once}", line.name(), size.title(options.big_mib));
                        eprintln!("· round {}, void: {cell}: {failure}", number + 1);
                        results.void.push(format!("{cell}: {failure}"));
                    }
                }
            }
        }
        results.rounds.push(round);
    }
    report::write(options, &results, &bench)?;
    println!("{}", report::table(&results));
    for void in &results.void {
        println!("void: {void}");
    }
    Ok(results.void.is_empty())
}

/// Bytes of disk for what is no object: the store's books, and the databases.
const ROOM_BESIDES: u64 = 2 << 30;

/// Stores objects, then fetches them.
fn both(
    bench: &mut Bench<'_>,
    setup: &Setup,
    line: Line,
    (size, at_once): (Size, usize),
    number: usize,
    round: &mut Round,
    options: &Options,
) -> Result<()> {
    let objects = bench.objects(setup, line, size, at_once)?;
    let mut enter = |verb: Verb, outcome: Outcome| {
        let cell = Cell { verb, size, at_once };
        eprintln!("· round {}, ({}) {}", number + 1, line.letter(), report::told(cell, &outcome, options.big_mib));
        round.insert((line, cell), outcome);
    };
    enter(Verb::Put, bench.put(setup, &objects)?);
    enter(Verb::Get, bench.get(setup, &objects, number)?);
    Ok(())
}
