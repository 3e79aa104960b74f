//! `weir audit verify`: looks through a tenant's audit log for entries that were changed, removed or put elsewhere.

use std::process::ExitCode;

use clap::Subcommand;

use super::{Failure, caller, print_json, print_line};
use crate::serve;
use crate::settings::Settings;

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Look through the whole chain; the exit code is 0 where it is unbroken. Write the printed head down elsewhere: a chain that was made
    /// anew from its beginning ends with another.
    Verify {
        /// Whose log.
        #[arg(long, default_value = "default")]
        tenant: String,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
}

pub(super) async fn run(settings: Settings, command: Command) -> Result<ExitCode, Failure> {
    let Command::Verify { tenant, json } = command;
    let gate = serve::gate(&settings).await?;
    let verified = gate.audit_verify(&caller(&gate, &tenant).await?).await?;
    if json {
        print_json(&verified)?;
    } else {
        for broken in &verified.breaks {
            print_line(&format!("broken  {broken}"))?;
        }
        let verdict = if verified.breaks.is_empty() { "unbroken" } else { "broken" };
        let (entries, first, last, head) = (verified.entries, verified.first, verified.last, &verified.head);
        print_line(&format!("{verdict}: {entries} entries of tenant `{tenant}`, {first} to {last}, ending with {head}"))?;
    }
    Ok(if verified.breaks.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
