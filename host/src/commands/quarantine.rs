//! `weir quarantine`: what was kept aside, from the shell.

use chrono::{DateTime, SecondsFormat, Utc};
use clap::{Args, Subcommand};
use uuid::Uuid;

use super::{Failure, caller, print_json, print_line, time};
use crate::gate::quarantine::KeptFilter;
use crate::gate::replay::Choice;
use crate::http::quarantine::replay::ReplayBody;
use crate::http::quarantine::{CauseBody, EntryBody};
use crate::limits;
use crate::paging::PageOf;
use crate::serve;
use crate::settings::Settings;

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// List entries, newest first.
    List {
        #[command(flatten)]
        filter: Filter,
        /// How many at most.
        #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=i64::from(limits::PAGE_MAX)))]
        limit: u32,
        #[command(flatten)]
        of: Of,
    },
    /// List why entries were kept aside, the most frequent cause first.
    Causes {
        #[command(flatten)]
        filter: Filter,
        #[command(flatten)]
        of: Of,
    },
    /// Show one entry, whole, as JSON.
    Show {
        /// The entry.
        id: Uuid,
        #[command(flatten)]
        of: Of,
    },
    /// Let entries pass once more: these, or the oldest that match the filter.
    Replay {
        /// The entries; without them, the oldest that wait.
        ids: Vec<Uuid>,
        #[command(flatten)]
        filter: Filter,
        /// How many at most, where no entries are named.
        #[arg(long, default_value_t = limits::PAGE_DEFAULT,
            value_parser = clap::value_parser!(u32).range(1..=i64::from(limits::REPLAY_ENTRIES)))]
        limit: u32,
        /// A validator in place of those of the topic; several in their order.
        #[arg(long = "validator", value_name = "ID")]
        validators: Vec<Uuid>,
        /// Through no validator at all.
        #[arg(long, conflicts_with = "validators")]
        no_validators: bool,
        #[command(flatten)]
        of: Of,
    },
    /// Delete entries: these, or those that match the filter, of which there has to be some.
    Delete {
        /// The entries.
        ids: Vec<Uuid>,
        #[command(flatten)]
        filter: Filter,
        #[command(flatten)]
        of: Of,
    },
}

/// Which entries.
#[derive(Debug, Args)]
pub(super) struct Filter {
    /// Of this topic; empty for entries without one.
    #[arg(long)]
    topic: Option<String>,
    /// Kept aside at or after this time.
    #[arg(long, value_parser = time)]
    from: Option<DateTime<Utc>>,
    /// Kept aside before this time.
    #[arg(long, value_parser = time)]
    to: Option<DateTime<Utc>>,
    /// Refused by something of this kind.
    #[arg(long, value_parser = ["decoder", "policy", "schema", "validator", "store"])]
    refuser_kind: Option<String>,
    /// Refused by the schema (`room@1`) or validator of this name.
    #[arg(long)]
    refuser: Option<String>,
    /// Those that wait, or those that were replayed.
    #[arg(long, value_parser = ["waiting", "replayed"])]
    state: Option<String>,
}

impl Filter {
    fn filter(self) -> KeptFilter {
        let Self { topic, from, to, refuser_kind, refuser, state } = self;
        KeptFilter { topic, from, to, refuser_kind, refuser, state }
    }

    fn waiting(self) -> KeptFilter {
        let filter = self.filter();
        KeptFilter { state: filter.state.or_else(|| Some("waiting".to_owned())), ..filter }
    }
}

/// Whose, and how it is printed.
#[derive(Debug, Args)]
pub(super) struct Of {
    /// The tenant.
    #[arg(long, default_value = "default")]
    tenant: String,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(settings: Settings, command: Command) -> Result<(), Failure> {
    let gate = serve::gate(&settings).await?;
    match command {
        Command::List { filter, limit, of } => {
            let caller = caller(&gate, &of.tenant).await?;
            let found = gate.quarantine_list(&caller, &filter.waiting(), &PageOf { limit, after: None }).await?;
            if of.json {
                return print_json(&found.items.into_iter().map(EntryBody::from).collect::<Vec<_>>());
            }
            let rows = found.items.into_iter().map(|kept| {
                let time = kept.time.to_rfc3339_opts(SecondsFormat::Secs, true);
                [kept.id.to_string(), time, kept.topic, kept.state, kept.refuser, kept.reason]
            });
            table(["id", "time", "topic", "state", "refuser", "reason"], rows)?;
            if found.next.is_some() {
                print_line("There are more; narrow them down, or raise --limit.")?;
            }
        }
        Command::Causes { filter, of } => {
            let caller = caller(&gate, &of.tenant).await?;
            let causes = gate.quarantine_causes(&caller, &filter.waiting()).await?;
            if of.json {
                return print_json(&causes.into_iter().map(CauseBody::from).collect::<Vec<_>>());
            }
            let rows = causes.into_iter().map(|cause| {
                let last = cause.last.to_rfc3339_opts(SecondsFormat::Secs, true);
                [cause.entries.to_string(), cause.topic, cause.refuser_kind, cause.refuser, last, cause.cause]
            });
            table(["entries", "topic", "kind", "refuser", "last", "cause"], rows)?;
        }
        Command::Show { id, of } => {
            let caller = caller(&gate, &of.tenant).await?;
            print_json(&EntryBody::from(gate.quarantine_get(&caller, id).await?))?;
        }
        Command::Replay { ids, filter, limit, validators, no_validators, of } => {
            let caller = caller(&gate, &of.tenant).await?;
            let choice = if ids.is_empty() { Choice::Oldest(filter.filter(), limit) } else { Choice::Ids(ids) };
            let chain = (no_validators || !validators.is_empty()).then_some(validators.as_slice());
            let replay = gate.quarantine_replay(&caller, &choice, chain).await?;
            let body = ReplayBody::from(replay);
            if of.json {
                return print_json(&body);
            }
            table(["id", "outcome", "reason"], body.outcomes().map(|(id, outcome, reason)| [id.to_string(), outcome, reason]))?;
            print_line(&body.to_string())?;
        }
        Command::Delete { ids, filter, of } => {
            let caller = caller(&gate, &of.tenant).await?;
            let mut deleted = 0;
            for id in &ids {
                gate.quarantine_discard_one(&caller, *id).await?;
                deleted += 1;
            }
            let mut more = ids.is_empty();
            let filter = filter.filter();
            while more {
                let done = gate.quarantine_discard(&caller, &filter).await?;
                deleted += done.entries;
                more = done.more;
            }
            if of.json {
                return print_json(&serde_json::json!({ "deleted": deleted }));
            }
            print_line(&format!("{deleted} entries are deleted; the books remember them."))?;
        }
    }
    Ok(())
}

/// Prints columns as wide as their widest cell, but for the last one.
fn table<const N: usize>(head: [&str; N], rows: impl Iterator<Item = [String; N]>) -> Result<(), Failure> {
    let mut lines = vec![head.map(str::to_owned)];
    lines.extend(rows.map(|row| row.map(|cell| cell.replace(char::is_control, " "))));
    let width = |column: usize| lines.iter().map(|line| line[column].chars().count()).max().unwrap_or_default();
    let widths: Vec<usize> = (0..N).map(width).collect();
    for line in &lines {
        let cells = line.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}"));
        print_line(cells.collect::<Vec<_>>().join("  ").trim_end())?;
    }
    Ok(())
}
