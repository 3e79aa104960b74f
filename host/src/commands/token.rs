//! `weir token create`: an API token from the shell, for whoever can reach the platform database.

use clap::Subcommand;

use super::{Failure, caller, print_line};
use crate::serve;
use crate::settings::Settings;

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Create a token and print it; it is shown this once.
    Create {
        /// The tenant that it belongs to.
        #[arg(long, default_value = "default")]
        tenant: String,
        /// Its name; policy files speak of it as `token:<name>`.
        #[arg(long)]
        name: String,
    },
}

pub(super) async fn run(settings: Settings, command: Command) -> Result<(), Failure> {
    let Command::Create { tenant, name } = command;
    let gate = serve::gate(&settings).await?;
    let caller = caller(&gate, &tenant).await?;
    let created = gate.token_create(&caller, &name, None).await?;
    print_line(&created.secret)
}
