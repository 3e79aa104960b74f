//! `weir validator new`: the templates, and how a project is made of one.
//!
//! All of it lies in this program: the templates, the interface, and the SDK's sources, which a project in Rust takes along since they
//! are on no registry.

use std::fs;
use std::path::{Path, PathBuf};

use include_dir::{Dir, include_dir};

use super::project::{self, Language, Target};
use super::{Failure, project::MANIFEST};

static TEMPLATES: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/validators/templates");
static SDK: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/validators/sdk");
static WIT: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/wit");
/// What the SDK inherits, and the versions of its dependencies that are known to work.
const SDK_WORKSPACE: &str = include_str!("../../../../validators/Cargo.toml");
const SDK_LOCK: &str = include_str!("../../../../validators/Cargo.lock");

/// The interface that templates without the SDK are built for: the oldest that has what they need runs everywhere.
fn interface(target: Target) -> &'static str {
    match target {
        Target::Readings => "v1.0.0",
        Target::Documents | Target::Objects => "v1.1.0",
    }
}

/// Writes a project into a new folder inside `parent`, and says where it is.
pub(super) fn write(lang: Language, target: Target, name: &str, parent: &Path) -> Result<PathBuf, Failure> {
    project::check_name(name)?;
    let template = TEMPLATES
        .get_dir(format!("{lang}/{target}"))
        .ok_or_else(|| Failure(format!("there is no template for {target} in {lang}; there is one {}", templates_for(target))))?;
    let folder = parent.join(name);
    if folder.exists() {
        return Err(Failure(format!("{} is there already; choose another name or remove it", folder.display())));
    }
    put(&folder.join(MANIFEST), project::manifest(name, lang, target))?;
    unfold(template, template.path(), &folder, &|text| text.replace("{{name}}", name))?;
    if lang == Language::Rust {
        // As in the repository, so that the SDK's own paths hold. The lock file is shortened by cargo to what the project uses.
        unfold(&SDK, Path::new(""), &folder.join("weir/validators/sdk"), &str::to_owned)?;
        put(&folder.join("weir/validators/Cargo.toml"), SDK_WORKSPACE)?;
        unfold(&WIT, Path::new(""), &folder.join("weir/wit"), &str::to_owned)?;
        put(&folder.join("Cargo.lock"), SDK_LOCK)?;
    } else {
        let version = interface(target);
        let wit = WIT.get_dir(version).ok_or_else(|| Failure(format!("the interface {version} is not in this program")))?;
        unfold(wit, wit.path(), &folder.join("wit"), &str::to_owned)?;
    }
    Ok(folder)
}

fn templates_for(target: Target) -> String {
    let names = TEMPLATES.dirs().filter_map(|language| {
        let name = language.path().file_name()?.to_str()?;
        language.get_dir(language.path().join(target.to_string()))?;
        Some(format!("in {name}"))
    });
    let names: Vec<String> = names.collect();
    if names.is_empty() { "in no language yet".to_owned() } else { names.join(", ") }
}

/// Writes what is below `from` into `folder`; texts are changed on the way, and `_gitignore` is called so that it rests here unheeded.
fn unfold(from: &Dir<'_>, base: &Path, folder: &Path, change: &dyn Fn(&str) -> String) -> Result<(), Failure> {
    for file in from.files() {
        let inside = file.path().strip_prefix(base).map_err(|error| Failure::of(&error))?;
        let mut path = folder.join(inside);
        if inside.file_name().is_some_and(|name| name == "_gitignore") {
            path.set_file_name(".gitignore");
        }
        match file.contents_utf8() {
            Some(text) => put(&path, change(text))?,
            None => put(&path, file.contents())?,
        }
    }
    from.dirs().try_for_each(|inner| unfold(inner, base, folder, change))
}

fn put(path: &Path, content: impl AsRef<[u8]>) -> Result<(), Failure> {
    let folder = path.parent().unwrap_or(Path::new(""));
    fs::create_dir_all(folder)
        .and_then(|()| fs::write(path, content))
        .map_err(|error| Failure(format!("{} cannot be written: {error}", path.display())))
}

#[cfg(test)]
mod tests {
    use super::super::project::Project;
    use super::*;

    #[test]
    fn every_language_has_a_template_that_is_a_project() {
        let parent = tempfile::tempdir().expect("a folder");
        let all = [
            (Target::Readings, &[Language::Rust, Language::Js, Language::Python, Language::C][..]),
            (Target::Documents, &[Language::Rust, Language::Js, Language::Python]),
            (Target::Objects, &[Language::Rust]),
        ];
        for (target, langs) in all {
            let mut same: Option<Vec<u8>> = None;
            for lang in langs.iter().copied() {
                let name = format!("my-{target}-{lang}");
                let folder = write(lang, target, &name, parent.path()).map_err(|Failure(line)| line).expect("written");
                let project = Project::load(&folder).map_err(|Failure(line)| line).expect("a project");
                assert_eq!((&project.name, project.lang, project.target), (&name, lang, target));
                let cases = fs::read(folder.join("cases.json")).expect("every template has cases");
                let read = crate::cases::parse(&cases).expect("they are sound");
                assert!(!read.is_empty() && read.iter().all(|case| case.misplaced(target.into()).is_none()), "{name}");
                assert_eq!(same.get_or_insert_with(|| cases.clone()), &cases, "templates of a target do the same");
                assert!(fs::read_to_string(folder.join("README.md")).expect("a README").contains(&format!("# {name}")));
                assert!(folder.join(".gitignore").exists());
            }
        }
    }

    #[test]
    fn what_cannot_be_made_is_said() {
        let parent = tempfile::tempdir().expect("a folder");
        let refused =
            |lang, target, name: &str| write(lang, target, name, parent.path()).err().map(|Failure(line)| line).expect("refused");
        for name in ["", "../x", "Upper", "9x", "x/y", "x-", "a b"] {
            assert!(refused(Language::C, Target::Readings, name).contains("no name for a validator"), "{name}");
        }
        assert!(refused(Language::C, Target::Objects, "x").contains("no template for objects in c"));
        write(Language::C, Target::Readings, "x", parent.path()).map_err(|Failure(line)| line).expect("written");
        assert!(refused(Language::Js, Target::Readings, "x").contains("is there already"));
    }
}
