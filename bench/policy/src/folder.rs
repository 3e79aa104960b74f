//! The rules as a folder of policy files: what Weir is loaded from.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use tempfile::TempDir;
use weir::model::Action;

use crate::failure::{Doing as _, Result};
use crate::rules::{Lines, Rules};

/// The model, as Weir and casbin are given it.
pub const MODEL: &str = include_str!("../../../policies/model.conf");

/// The files; they are gone when it is dropped.
pub struct Folder {
    // Of it Weir watches a folder within, as the folder's own name stands in what it says.
    root: TempDir,
}

impl Folder {
    /// Writes the files.
    pub fn write(rules: &Rules) -> Result<Self> {
        let this = Self { root: TempDir::new().doing("a folder for the rules cannot be made")? };
        fs::create_dir_all(this.path().join("tenants")).doing("a folder for the rules cannot be made")?;
        put(&this.path().join("model.conf"), MODEL)?;
        put(&this.path().join("roles.csv"), &text("*", &rules.common))?;
        for tenant in &rules.tenants {
            put(&this.file(&tenant.name), &text(&tenant.name, &tenant.lines))?;
        }
        Ok(this)
    }

    /// Where it is.
    pub fn path(&self) -> PathBuf {
        self.root.path().join("policies")
    }

    /// A tenant's file.
    pub fn file(&self, tenant: &str) -> PathBuf {
        self.path().join(format!("tenants/{tenant}.csv"))
    }
}

/// Writes one file as an editor that writes in place does.
pub fn put(path: &Path, text: &str) -> Result<()> {
    fs::write(path, text).doing("a policy file cannot be written")
}

/// Lines that hold in one tenant or, for `*`, in all. In its own file a tenant's people need not be said to be its own.
fn text(tenant: &str, lines: &Lines) -> String {
    let own = format!("{tenant}/");
    let named = |subject: &str| subject.strip_prefix(&own).unwrap_or(subject).to_owned();
    let mut text = format!("# {}\n\n", if tenant == "*" { "What holds in all tenants." } else { tenant });
    for link in &lines.links {
        let _ = writeln!(text, "g, {}, {}, {tenant}", named(&link.member), link.role);
    }
    for rule in &lines.rules {
        let (action, effect) = (rule.action.map_or("*", Action::as_str), if rule.allow { "allow" } else { "deny" });
        let _ = writeln!(text, "p, {}, {tenant}, {}, {action}, {effect}", named(&rule.subject), rule.object);
    }
    text
}
