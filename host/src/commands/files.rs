//! `weir files scan`: holds the rows of files and the bytes in the store against each other.

use std::process::ExitCode;

use clap::Subcommand;

use super::{Failure, caller, print_json, print_line};
use crate::gate::leftovers::Scan;
use crate::serve;
use crate::settings::Settings;

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Look for stored files whose bytes are not there, and for bytes that no file has. It changes nothing without `--remove`. The exit code is
    /// 0 where every file has its bytes.
    Scan {
        /// Remove bytes that no file has and that are older than any upload.
        #[arg(long)]
        remove: bool,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
}

pub(super) async fn run(settings: Settings, command: Command) -> Result<ExitCode, Failure> {
    let Command::Scan { remove, json } = command;
    let gate = serve::gate(&settings).await?;
    let scan = gate.files_scan(&caller(&gate, "default").await?, settings.storage.upload_time(), remove).await?;
    let code = if scan.missing_in_all == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE };
    if json {
        print_json(&scan)?;
        return Ok(code);
    }
    let Scan { discarded, broken_off, stored, missing, missing_in_all, unknown, removed } = scan;
    for key in &missing {
        print_line(&format!("missing  {key}"))?;
    }
    print_line(&format!("{stored} stored versions, {missing_in_all} of them without their bytes"))?;
    print_line(&format!(
        "{discarded} versions that are to go, {broken_off} uploads that broke off: a running Weir clears them up"
    ))?;
    print_line(&format!("{unknown} keys in the store that no file has, {removed} of them removed"))?;
    Ok(code)
}
