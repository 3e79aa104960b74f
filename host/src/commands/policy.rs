//! `weir policy`: checks files, runs their cases, explains decisions, and says what other files would change. All but `impact` needs nothing
//! but the files.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Subcommand};

use super::{Failure, FromFile, caller, print_json, print_line, settings};
use crate::gate::policies::{Difference, Impact};
use crate::model::{Action, Tenant};
use crate::policy::Mistake;
use crate::policy::ask::{self, Near, Rulebook};
use crate::policy::impact::Change;
use crate::{policy, serve};

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Read all policy files and run their cases; every mistake is a line with its file and number. The exit code is 0 where they are sound.
    Check {
        /// The folder of policy files.
        #[arg(default_value = "policies", env = "WEIR_POLICIES")]
        folder: PathBuf,
    },
    /// Run the cases one by one and say what decides each. The exit code is 0 where all hold.
    Test {
        /// The folder of policy files.
        #[arg(default_value = "policies", env = "WEIR_POLICIES")]
        folder: PathBuf,
    },
    /// Why something is decided as it is. The exit code is 0 where it is allowed.
    Explain {
        /// Who: `user:ann`, `token:gauge`, `service:writer`, or of another tenant `default/user:root`.
        subject: String,
        /// In which tenant.
        tenant: String,
        /// To what: one path, such as `/timescale/sensors/room-4`.
        object: String,
        /// `read`, `write`, `delete` or `admin`.
        #[arg(value_parser = action)]
        action: Action,
        #[command(flatten)]
        from: From,
    },
    /// Who may do something, of all that the rules name.
    WhoCan {
        /// To what: one path.
        object: String,
        /// `read`, `write`, `delete` or `admin`.
        #[arg(value_parser = action)]
        action: Action,
        /// In this tenant only.
        #[arg(long)]
        tenant: Option<String>,
        #[command(flatten)]
        from: From,
    },
    /// What the rules say of somebody, by name or by a role.
    Permissions {
        /// Who, with the home tenant: `acme/user:ann`; or without, of `--tenant`.
        subject: String,
        /// In this tenant only.
        #[arg(long)]
        tenant: Option<String>,
        #[command(flatten)]
        from: From,
    },
    /// What the files of another folder would change for the requests of the last days. The exit code is 1 where somebody would cross a
    /// tenant: such files are not put to work.
    Impact {
        /// The folder with the other files.
        folder: PathBuf,
        /// Days back.
        #[arg(long, default_value_t = 7)]
        days: u32,
        /// Print JSON.
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        file: FromFile,
    },
}

/// Whose rules, and how the answer is printed.
#[derive(Debug, Args)]
pub(super) struct From {
    /// The folder of policy files.
    #[arg(long, default_value = "policies", env = "WEIR_POLICIES")]
    policies: PathBuf,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(command: Command) -> Result<ExitCode, Failure> {
    match command {
        Command::Check { folder } => check(&folder),
        Command::Test { folder } => test(&folder),
        Command::Explain { subject, tenant, object, action, from } => explain(&subject, &tenant, &object, action, &from),
        Command::WhoCan { object, action, tenant, from } => who_can(&object, action, tenant.as_deref(), &from),
        Command::Permissions { subject, tenant, from } => permissions(&subject, tenant.as_deref(), &from),
        Command::Impact { folder, days, json, file } => super::on_runtime(impact(file, folder, days, json)),
    }
}

fn action(text: &str) -> Result<Action, String> {
    let words = Action::ALL.map(Action::as_str).join(", ");
    Action::ALL.into_iter().find(|action| action.as_str() == text).ok_or_else(|| format!("an action is one of: {words}"))
}

fn refused(mistakes: Vec<Mistake>) -> Result<ExitCode, Failure> {
    for mistake in mistakes {
        print_line(&mistake.to_string())?;
    }
    Ok(ExitCode::FAILURE)
}

/// The rules of the folder; what is wrong with them is a line each.
fn open(folder: &Path) -> Result<Rulebook, Failure> {
    Rulebook::open(folder).map(|(rules, _)| rules).map_err(|mistakes| unsound(&mistakes))
}

fn unsound(mistakes: &[Mistake]) -> Failure {
    let lines: Vec<String> = mistakes.iter().map(ToString::to_string).collect();
    Failure(format!("the policy files have mistakes:\n{}", lines.join("\n")))
}

fn check(folder: &Path) -> Result<ExitCode, Failure> {
    match policy::files::check(folder) {
        Ok(summary) => {
            print_line(&summary.to_string())?;
            Ok(ExitCode::SUCCESS)
        }
        Err(mistakes) => refused(mistakes),
    }
}

fn test(folder: &Path) -> Result<ExitCode, Failure> {
    let (tried, summary) = match ask::test(folder) {
        Ok(done) => done,
        Err(mistakes) => return refused(mistakes),
    };
    let failed = tried.iter().filter(|tried| !tried.holds).count();
    for ask::Tried { place, case, holds, reason } in &tried {
        print_line(&format!("{}  {place}: {case}  ({reason})", if *holds { "ok    " } else { "FAILED" }))?;
    }
    let cases = tried.len();
    print_line(&format!("{} of {cases} cases hold; revision {}", cases - failed, summary.revision))?;
    Ok(if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn explain(subject: &str, tenant: &str, object: &str, action: Action, from: &From) -> Result<ExitCode, Failure> {
    let tenant = Tenant::parse(tenant)?;
    let (asker, resource) = (ask::caller(subject, &tenant).map_err(Failure)?, ask::object(object).map_err(Failure)?);
    let explanation = open(&from.policies)?.explain(&asker, action, &resource);
    let code = if explanation.allowed { ExitCode::SUCCESS } else { ExitCode::FAILURE };
    if from.json {
        print_json(&explanation)?;
        return Ok(code);
    }
    let verdict = if explanation.allowed { "allowed" } else { "denied" };
    print_line(&format!("{verdict}: {}", explanation.reason))?;
    if let Some(rule) = &explanation.lists_some {
        print_line(&format!("but a list of it is answered, limited to what rules allow: {rule}"))?;
    }
    let roles = if explanation.roles.is_empty() { "none".to_owned() } else { explanation.roles.join(", ") };
    print_line(&format!("roles of {subject} in {tenant}: {roles}"))?;
    for Near { place, rule, fails } in &explanation.nearest {
        print_line(&format!("near  {place}: {rule}\n      {fails}"))?;
    }
    print_line(&format!("revision {}", explanation.revision))?;
    Ok(code)
}

fn who_can(object: &str, action: Action, tenant: Option<&str>, from: &From) -> Result<ExitCode, Failure> {
    let resource = ask::object(object).map_err(Failure)?;
    let tenant = tenant.map(Tenant::parse).transpose()?;
    let holders = open(&from.policies)?.who_can(tenant.as_ref(), action, &resource);
    if from.json {
        print_json(&holders)?;
        return Ok(ExitCode::SUCCESS);
    }
    for holder in &holders {
        print_line(&format!("{}  {}  {}", holder.tenant, holder.subject, holder.reason))?;
    }
    if holders.is_empty() {
        print_line(&format!("nobody that the rules name may {action} {object}"))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn permissions(subject: &str, tenant: Option<&str>, from: &From) -> Result<ExitCode, Failure> {
    let tenant = tenant.map(Tenant::parse).transpose()?;
    let home = match (&tenant, subject.split_once('/')) {
        (Some(tenant), _) => tenant.clone(),
        (None, Some((home, _))) => Tenant::parse(home)?,
        (None, None) if subject.starts_with("service:") || subject.starts_with("job:") => Tenant::parse("default")?,
        (None, None) => {
            return Err(Failure(format!(
                "whose `{subject}`? Write `<home tenant>/{subject}`, or say which tenant with --tenant"
            )));
        }
    };
    let asker = ask::caller(subject, &home).map_err(Failure)?;
    let found = open(&from.policies)?.permissions(&asker, tenant.as_ref());
    if from.json {
        print_json(&found)?;
        return Ok(ExitCode::SUCCESS);
    }
    for one in &found {
        let effect = if one.allowed { "allow" } else { "deny" };
        print_line(&format!("{}  {effect} {} {}  by {}  {}", one.tenant, one.action, one.object, one.by, one.place))?;
    }
    if found.is_empty() {
        print_line(&format!("no rule speaks of {subject}"))?;
    }
    Ok(ExitCode::SUCCESS)
}

async fn impact(file: FromFile, folder: PathBuf, days: u32, json: bool) -> Result<ExitCode, Failure> {
    let gate = serve::gate(&settings(&file)?).await?;
    let opened = tokio::task::spawn_blocking(move || Rulebook::open(&folder)).await?;
    let rules = match opened {
        Ok((rules, _)) => rules,
        Err(mistakes) => return refused(mistakes),
    };
    let impact = gate.policy_impact_of(&caller(&gate, "default").await?, rules, days).await?;
    let code = if impact.loads { ExitCode::SUCCESS } else { ExitCode::FAILURE };
    if json {
        print_json(&impact)?;
        return Ok(code);
    }
    let Impact { now, then, requests, loads, differences, more } = impact;
    for Difference { change, subject, tenant, action, objects, requests, last, now, then } in differences {
        let what = match change {
            Change::Crosses => "CROSSES",
            Change::Gains => "gains",
            Change::Loses => "loses",
        };
        let last = last.map(crate::times::rfc3339).unwrap_or_default();
        print_line(&format!(
            "{what}  {subject} in {tenant}: {action} {}  ({requests} requests on record, the last {last})",
            objects.join(" ")
        ))?;
        print_line(&format!("      now:  {now}\n      then: {then}"))?;
    }
    if more > 0 {
        print_line(&format!("… and {more} requests more that would be decided otherwise"))?;
    }
    let verdict = if loads { "they would be put to work" } else { "they would be REFUSED: somebody would cross a tenant" };
    print_line(&format!("{requests} requests of the last {days} days, by revision {now} and by {then}; {verdict}"))?;
    Ok(code)
}
