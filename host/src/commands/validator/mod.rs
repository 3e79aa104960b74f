//! `weir validator`: from nothing to a tenant's own validator on live data.
//!
//! `new` writes a project, `build` makes the component, `test` runs it in the engine that serves traffic, `push` uploads it. Nothing
//! here needs settings or a database: a developer has this program and a token.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Subcommand;

use self::project::{Language, Project, Target};
use super::{Failure, on_runtime, print_line};

mod build;
mod new;
mod project;
mod push;
mod test;

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Start a project: a small validator that works, with tests, cases and a README.
    New {
        /// The language that it is written in.
        #[arg(long)]
        lang: Language,
        /// What it judges.
        #[arg(long, default_value = "readings")]
        target: Target,
        /// Its name: lower-case letters, digits and dashes. The project becomes a folder of this name.
        name: String,
    },
    /// Build a project into a component, with its cases in it.
    Build {
        /// The project's folder.
        #[arg(default_value = ".")]
        folder: PathBuf,
    },
    /// Run a component as Weir would, within the same limits: its cases, and samples of your own.
    Test {
        /// A project's folder, or a component's file.
        #[arg(default_value = ".")]
        path: PathBuf,
        /// The configuration for the samples, as JSON.
        #[arg(long, default_value = "{}", value_name = "JSON")]
        config: String,
        /// A file of readings, or of documents: a JSON array, or one a line. For a validator of objects the file is the object. May be
        /// given several times.
        #[arg(long, value_name = "FILE")]
        samples: Vec<PathBuf>,
    },
    /// Upload a component as the next version of a validator, which is made where there is none of that name.
    Push {
        /// A project's folder, or a component's file.
        #[arg(default_value = ".")]
        path: PathBuf,
        #[command(flatten)]
        to: push::To,
    },
}

pub(super) fn run(command: Command) -> Result<ExitCode, Failure> {
    match command {
        Command::New { lang, target, name } => {
            let folder = new::write(lang, target, &name, Path::new("."))?;
            let shown = folder.display();
            print_line(&format!(
                "{name} is in {shown}; its README says how to build, test and push it. Next: weir validator build {name}"
            ))?;
        }
        Command::Build { folder } => {
            let project = Project::load(&folder)?;
            let built = build::run(&project)?;
            print_line(&format!("{} has {} KiB and carries {} cases.", built.path.display(), built.size >> 10, built.cases))?;
        }
        Command::Test { path, config, samples } => {
            let component = component(&path)?;
            return on_runtime(test::run(component, config, &samples));
        }
        Command::Push { path, to } => {
            let name = if path.is_dir() { Some(Project::load(&path)?.name) } else { None };
            on_runtime(push::run(component(&path)?, name, to))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// The bytes of a component: of a project that was built, or of a file.
fn component(path: &Path) -> Result<Vec<u8>, Failure> {
    let file = if path.is_dir() { Project::load(path)?.component() } else { path.to_owned() };
    std::fs::read(&file).map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound if path.is_dir() => {
            Failure(format!("there is no {}; run `weir validator build {}` first", file.display(), path.display()))
        }
        _ => Failure(format!("{} cannot be read: {error}", file.display())),
    })
}
