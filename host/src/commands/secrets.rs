//! `weir secrets rotate`: encrypts what is kept anew, with the first key of `WEIR_SECRET_KEYS`.

use std::process::ExitCode;

use clap::Subcommand;

use super::{Failure, caller, print_line};
use crate::serve;
use crate::settings::Settings;

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Encrypt all secrets of all tenants that another key than the first one encrypted. Afterwards, the other keys are not needed.
    Rotate,
}

pub(super) async fn run(settings: Settings, command: Command) -> Result<ExitCode, Failure> {
    let Command::Rotate = command;
    let gate = serve::gate(&settings).await?;
    let rotated = gate.secrets_rotate(&caller(&gate, "default").await?).await?;
    print_line(&format!("{rotated} connectors have their secrets encrypted anew"))?;
    Ok(ExitCode::SUCCESS)
}
