//! A project: a folder with a `weir.toml` that says what it is written in and what it judges.

use std::fmt;
use std::path::{Path, PathBuf};

use clap::ValueEnum;
use serde::Deserialize;

use super::Failure;
use crate::model;

/// The file that makes a folder a project.
pub(super) const MANIFEST: &str = "weir.toml";

/// What a validator is written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(in crate::commands) enum Language {
    Rust,
    Js,
    Python,
    C,
}

/// What a validator judges.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(in crate::commands) enum Target {
    Readings,
    Documents,
    Objects,
}

impl fmt::Display for Language {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Rust => "rust",
            Self::Js => "js",
            Self::Python => "python",
            Self::C => "c",
        })
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Readings => "readings",
            Self::Documents => "documents",
            Self::Objects => "objects",
        })
    }
}

impl From<Target> for model::Target {
    fn from(target: Target) -> Self {
        match target {
            Target::Readings => Self::Readings,
            Target::Documents => Self::Documents,
            Target::Objects => Self::Objects,
        }
    }
}

impl Target {
    /// The world of the interface that a validator of this kind is built for.
    pub(super) fn world(self) -> &'static str {
        match self {
            Self::Readings => "reading-validator",
            Self::Documents => "document-validator",
            Self::Objects => "object-validator",
        }
    }
}

/// A project.
#[derive(Debug)]
pub(super) struct Project {
    pub(super) folder: PathBuf,
    pub(super) name: String,
    pub(super) lang: Language,
    pub(super) target: Target,
}

/// What `weir.toml` holds.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Manifest {
    name: String,
    lang: Language,
    target: Target,
}

impl Project {
    /// The project in this folder.
    pub(super) fn load(folder: &Path) -> Result<Self, Failure> {
        let path = folder.join(MANIFEST);
        let text = std::fs::read_to_string(&path).map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound => Failure(format!(
                "{} is no project: it has no {MANIFEST}; start one with `weir validator new --lang rust|js|python|c NAME`",
                folder.display()
            )),
            _ => Failure(format!("{} cannot be read: {error}", path.display())),
        })?;
        let source = config::File::from_str(&text, config::FileFormat::Toml);
        let manifest = config::Config::builder().add_source(source).build().and_then(config::Config::try_deserialize::<Manifest>);
        let manifest = manifest.map_err(|error| Failure(format!("{}: {error}", path.display())))?;
        check_name(&manifest.name)?;
        let Manifest { name, lang, target } = manifest;
        Ok(Self { folder: folder.to_owned(), name, lang, target })
    }

    /// Where `build` puts the component.
    pub(super) fn component(&self) -> PathBuf {
        self.folder.join(format!("{}.wasm", self.name))
    }
}

/// The text of a `weir.toml`.
pub(super) fn manifest(name: &str, lang: Language, target: Target) -> String {
    format!(
        "# What `weir validator build`, `test` and `push` go by.\nname = \"{name}\"\nlang = \"{lang}\"\ntarget = \"{target}\"\n"
    )
}

/// A name that is one of a folder, a crate and a package of npm alike.
pub(super) fn check_name(name: &str) -> Result<(), Failure> {
    let fits = name.len() <= 64
        && name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.ends_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit())
        && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-');
    if fits {
        return Ok(());
    }
    Err(Failure(format!(
        "`{name}` is no name for a validator: it begins with a lower-case letter, goes on with those, digits and dashes, and has at most 64"
    )))
}
