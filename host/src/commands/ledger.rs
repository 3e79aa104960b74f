//! `weir ledger verify`: recounts the books from the rows and says where they differ.

use std::process::ExitCode;

use chrono::{DateTime, Utc};
use clap::Subcommand;
use serde_json::json;

use super::{Failure, caller, print_json, print_line, time};
use crate::gate::ledger::BooksFilter;
use crate::serve;
use crate::settings::Settings;

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Recount rows, quarantine and offsets; the exit code is 0 where books and rows agree. It reads all of the tenant's rows.
    Verify {
        /// Whose books.
        #[arg(long, default_value = "default")]
        tenant: String,
        /// Of this topic only; empty for readings without one.
        #[arg(long)]
        topic: Option<String>,
        /// Batches that were entered at or after this time.
        #[arg(long, value_parser = time)]
        from: Option<DateTime<Utc>>,
        /// Batches that were entered before this time.
        #[arg(long, value_parser = time)]
        to: Option<DateTime<Utc>>,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
}

pub(super) async fn run(settings: Settings, command: Command) -> Result<ExitCode, Failure> {
    let Command::Verify { tenant, topic, from, to, json: as_json } = command;
    let gate = serve::gate(&settings).await?;
    let caller = caller(&gate, &tenant).await?;
    let recount = gate.ledger_verify(&caller, &BooksFilter { topic, partition: None, from, to }).await?;
    if as_json {
        let differences: Vec<_> = recount
            .differences
            .iter()
            .map(|found| {
                json!({
                    "kind": found.kind, "topic": found.topic, "batchId": found.batch, "booked": found.booked, "found": found.found,
                    "what": found.what,
                })
            })
            .collect();
        print_json(&json!({
            "tenant": tenant, "batches": recount.batches, "rows": recount.rows, "differences": recount.number, "listed": differences,
        }))?;
    } else {
        for difference in &recount.differences {
            print_line(&format!("differs  {}: {}", difference.kind, difference.what))?;
        }
        let verdict = match recount.number {
            0 => "books and rows agree".to_owned(),
            number => format!("{number} differences, of which {} are listed", recount.differences.len()),
        };
        print_line(&format!("{} batches, {} rows of tenant {tenant}: {verdict}.", recount.batches, recount.rows))?;
    }
    Ok(if recount.number == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
