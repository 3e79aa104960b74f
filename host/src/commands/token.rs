//! `weir token create`: an API token from the shell, for whoever can reach the platform database.

use std::sync::Arc;

use clap::Subcommand;

use super::{Failure, print_line};
use crate::model::{Caller, Subject, Tenant};
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
    let tenant = Tenant::parse(&tenant)?;
    let gate = serve::gate(&settings).await?;
    if !gate.platform.tenant_exists(&tenant).await? {
        return Err(Failure(format!("there is no tenant `{tenant}`; create it with POST /api/platform/tenants")));
    }
    let caller = Caller {
        subject: Subject::service("command-line"),
        tenant: tenant.clone(),
        home: tenant,
        token: None,
        request_id: Arc::from("command-line"),
    };
    let created = gate.token_create(&caller, &name, None).await?;
    print_line(&created.secret)
}
