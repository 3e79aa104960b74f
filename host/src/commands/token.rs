//! `weir token create`: an API token from the shell, for whoever can reach the platform database.

use chrono::{DateTime, Utc};
use clap::Subcommand;

use super::{Failure, caller, print_line, time};
use crate::gate::tokens::NewToken;
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
        /// The email of the user whom it acts for; itself alone, where it is not given.
        #[arg(long, value_name = "EMAIL")]
        user: Option<String>,
        /// What it is limited to, such as `read:/timescale/**`; may be given several times.
        #[arg(long = "scope", value_name = "SCOPE")]
        scopes: Vec<String>,
        /// When it ends.
        #[arg(long, value_name = "TIME", value_parser = time)]
        expires_at: Option<DateTime<Utc>>,
    },
}

pub(super) async fn run(settings: Settings, command: Command) -> Result<(), Failure> {
    let Command::Create { tenant, name, user, scopes, expires_at } = command;
    let gate = serve::gate(&settings).await?;
    let caller = caller(&gate, &tenant).await?;
    let user_id = match user {
        Some(email) => Some(gate.user_by_email(&caller, &email).await?.id),
        None => None,
    };
    let created = gate.token_create(&caller, NewToken { name, user_id, scopes, expires_at }).await?;
    print_line(&created.secret)
}
