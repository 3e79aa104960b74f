//! What one of Weir's decisions costs, beside plain casbin and beside Cedar, and how long new rules take.
//!
//! Everything runs side by side in one process, in rounds; it prints a table and writes `target/bench/policy.json`. It fails where two
//! lines decide differently. `bench/README.md` says what the lines mean.

mod cedar;
#[path = "../../src/failure.rs"]
mod failure;
mod folder;
mod gateway;
mod lines;
#[path = "../../src/machine.rs"]
mod machine;
mod options;
mod pattern;
mod plain;
mod reload;
mod report;
mod requests;
mod rules;
mod site;
#[path = "../../src/spread.rs"]
mod spread;

use std::process::ExitCode;
use std::time::Duration;

use clap::Parser as _;
use tokio::runtime::Runtime;

use crate::failure::{Doing as _, Failure, Result};
use crate::options::Options;
use crate::report::{About, Results, Round};
use crate::site::Site;

/// Differences that are told of; a mistake makes many of them.
const TOLD: usize = 10;

fn main() -> ExitCode {
    match measure(&Options::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(failure) => {
            eprintln!("bench: {failure}");
            ExitCode::FAILURE
        }
    }
}

/// All rounds; false where answers differ.
fn measure(options: &Options) -> Result<bool> {
    let (lines, cell) = (options.lines(), Duration::from_millis(options.cell_ms));
    if lines.is_empty() {
        return Err(Failure::new("--lines names none of a, b, c, d, e"));
    }
    let runtime = Runtime::new().doing("the runtime cannot be made")?;
    let mut sites = Vec::new();
    for size in options.sizes() {
        let site = Site::new(size, &lines, &runtime)?;
        eprintln!(
            "· {} rules and {} roles given, of {} tenants",
            site.rules.rules(),
            site.rules.links(),
            site.rules.tenants.len()
        );
        sites.push(site);
    }
    let mut results = Results::default();
    for number in 0..options.rounds as usize {
        let mut round = Round::default();
        for site in &mut sites {
            site.measure(&lines, number, cell, &mut round)?;
            eprintln!("· round {}, {} rules: {}", number + 1, site.size, report::told(&round, site.size));
        }
        results.rounds.push(round);
    }
    for site in &sites {
        let (allowed, requests) = site.answers.allowed();
        let about = About {
            rules: site.rules.rules(),
            links: site.rules.links(),
            tenants: site.rules.tenants.len(),
            requests,
            allowed,
            compared: site.answers.compared,
            built: site.built,
        };
        results.about.insert(site.size, about);
        results.differing.extend(site.answers.differing.iter().take(TOLD).cloned());
    }
    // Last of all, since it changes the folder.
    if let Some(site) = sites.pop().filter(|_| options.reload) {
        drop(sites);
        eprintln!("· {} edits of {} rules, while decisions are made", options.edits, site.size);
        results.reload = Some(reload::measure(&site, options.edits, &runtime)?);
    }
    report::write(options, &results)?;
    println!("{}", report::table(&results));
    for differing in &results.differing {
        println!("differs: {differing}");
    }
    Ok(results.differing.is_empty())
}
