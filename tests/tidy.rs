//! The house rules that a machine can check: who may import whom, which crate is named where, size and docs of files, frozen WIT.
//!
//! A rule that proves wrong is changed here and in ARCHITECTURE.md together.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Who may use whom, besides itself and floor 0.
const FLOORS: &[(&str, &[&str])] = &[
    // 0 nouns
    ("batch", &[]),
    ("cases", &[]),
    ("error", &[]),
    ("forms", &[]),
    ("ledger", &[]),
    ("limits", &[]),
    ("model", &[]),
    ("paging", &[]),
    ("rules", &[]),
    ("settings", &[]),
    ("terms", &[]),
    ("times", &[]),
    ("turns", &[]),
    ("vitals", &[]),
    // 1 deciders: not each other
    ("budget", &[]),
    ("rates", &[]),
    ("policy", &[]),
    ("schema", &[]),
    ("guest", &[]),
    ("secrets", &[]),
    // 2 stores: a permit, and the traits that deciders own
    (
        "platform",
        &[
            "policy::Collection",
            "policy::Denied",
            "policy::Permit",
            "policy::impact::Asked",
            "policy::record::Noted",
            "guest::load::CodeCache",
            "guest::Claim",
            "guest::CodeCache",
        ],
    ),
    ("timescale", &["policy::Permit"]),
    ("objects", &["policy::Permit"]),
    ("kafka", &["policy::Permit"]),
    ("registry", &["policy::Permit"]),
    ("issuer", &[]),
    // 3 gates
    (
        "gate",
        &[
            "budget",
            "rates",
            "policy",
            "schema",
            "guest",
            "secrets",
            "platform",
            "timescale",
            "objects",
            "kafka",
            "registry",
            "issuer",
        ],
    ),
    // 4 entrances: never a store, never each other
    ("http", &["gate", "schema::decode"]),
    ("writer", &["gate", "kafka", "schema::decode"]),
    ("jobs", &["gate", "kafka"]),
    // 5 start: everything
    ("commands", &["*"]),
    ("dev", &["*"]),
    ("serve", &["*"]),
    ("main", &["*"]),
    ("lib", &["*"]),
];

/// Floor 0: everybody may use it.
const NOUNS: &[&str] = &[
    "batch", "cases", "error", "forms", "ledger", "limits", "model", "paging", "rules", "settings", "terms", "times", "turns",
    "vitals",
];

/// Which external crate may be named where.
const CRATES: &[(&str, &[&str])] = &[
    ("axum", &["http", "serve"]),
    ("tower_http", &["http"]),
    ("sqlx", &["platform", "timescale"]),
    ("opendal", &["objects"]),
    ("rdkafka", &["kafka", "dev"]),
    ("reqwest", &["registry", "issuer", "commands"]),
    ("jsonwebtoken", &["issuer"]),
    ("governor", &["rates"]),
    ("apache_avro", &["schema"]),
    ("wasmtime", &["guest"]),
    ("wasmtime_wasi", &["guest"]),
    ("wasmparser", &["guest", "cases"]),
    ("wit_component", &["commands"]),
    ("casbin", &["policy"]),
    ("argon2", &["secrets"]),
    ("notify", &["policy"]),
    ("jsonschema", &["schema"]),
    ("clap", &["main", "commands", "dev"]),
];

/// Lines of a file, its tests aside.
const LINES_MAX: usize = 500;

struct Source {
    path: PathBuf,
    module: String,
    text: String,
}

impl Source {
    /// Its lines with numbers, without comments and without its test module.
    fn code(&self) -> impl Iterator<Item = (usize, &str)> {
        let lines = self.text.lines().take_while(|line| !line.starts_with("#[cfg(test)]")).enumerate();
        lines.filter(|(_, line)| !line.trim_start().starts_with("//")).map(|(at, line)| (at + 1, line))
    }
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn sources() -> Vec<Source> {
    let base = root().join("host/src");
    let mut files = Vec::new();
    collect(&base, &mut files);
    let module = |path: &Path| {
        let inside = path.strip_prefix(&base).expect("collected below base");
        let first = inside.components().next().expect("a file has a name").as_os_str().to_string_lossy().into_owned();
        first.trim_end_matches(".rs").to_owned()
    };
    files.into_iter().map(|path| Source { module: module(&path), text: read(&path), path }).collect()
}

fn collect(folder: &Path, into: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("a folder of the repository") {
        let path = entry.expect("an entry of it").path();
        if path.is_dir() {
            collect(&path, into);
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            into.push(path);
        }
    }
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).expect("a text file of the repository")
}

fn fail_on(mistakes: &[String]) {
    assert!(mistakes.is_empty(), "\n{}", mistakes.join("\n"));
}

/// The paths behind each `crate::` of a line, such as `policy::Permit`, with one level of `{…}` opened.
fn imports(line: &str) -> Vec<String> {
    let mut found = Vec::new();
    for (at, _) in line.match_indices("crate::") {
        if line[..at].ends_with(|before: char| before.is_alphanumeric() || before == '_') {
            continue;
        }
        let rest = &line[at + "crate::".len()..];
        let path: String = rest.chars().take_while(|c| c.is_alphanumeric() || matches!(c, '_' | ':')).collect();
        match rest[path.len()..].strip_prefix('{') {
            Some(group) => {
                let group = &group[..group.rfind('}').unwrap_or(group.len())];
                found.extend(group.split(',').map(|name| format!("{path}{}", name.trim())).filter(|name| !name.ends_with(':')));
            }
            None => found.push(path),
        }
    }
    found
}

#[test]
fn imports_go_down_only() {
    let floors: BTreeMap<_, _> = FLOORS.iter().copied().collect();
    let mut mistakes = Vec::new();
    for source in sources() {
        let allowed =
            floors.get(source.module.as_str()).unwrap_or_else(|| panic!("`{}` is not in the floor table", source.module));
        for (number, line) in source.code() {
            for import in imports(line) {
                let target = import.split("::").next().unwrap_or_default();
                let fine = target == source.module
                    || NOUNS.contains(&target)
                    || allowed
                        .iter()
                        .any(|prefix| *prefix == "*" || import == *prefix || import.starts_with(&format!("{prefix}::")));
                if !fine {
                    mistakes.push(format!(
                        "{}:{number}: `{}` may not use `crate::{import}`; it may use {allowed:?} and floor 0",
                        source.path.display(),
                        source.module
                    ));
                }
            }
        }
    }
    fail_on(&mistakes);
}

#[test]
fn external_crates_stay_where_they_belong() {
    let mut mistakes = Vec::new();
    for source in sources() {
        for (name, allowed) in CRATES {
            if allowed.contains(&source.module.as_str()) {
                continue;
            }
            let needle = format!("{name}::");
            for (number, line) in source.code() {
                let named =
                    line.match_indices(&needle).any(|(at, _)| !line[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_'));
                if named {
                    mistakes.push(format!("{}:{number}: `{name}` may be named in {allowed:?} only", source.path.display()));
                }
            }
        }
    }
    fail_on(&mistakes);
}

#[test]
fn status_codes_are_named_in_one_file() {
    let outside = sources().into_iter().filter(|source| !source.path.ends_with("http/reply.rs"));
    let named = outside.filter(|source| source.code().any(|(_, line)| line.contains("StatusCode")));
    let mistakes: Vec<_> =
        named.map(|source| format!("{}: status codes belong to http/reply.rs", source.path.display())).collect();
    fail_on(&mistakes);
}

#[test]
fn only_the_loader_of_compiled_modules_is_unsafe() {
    let outside = sources().into_iter().filter(|source| !source.path.ends_with("guest/load/mod.rs"));
    let named = outside.filter(|source| source.code().any(|(_, line)| line.contains("unsafe ") || line.contains("unsafe_code")));
    let mistakes: Vec<_> =
        named.map(|source| format!("{}: only guest/load/mod.rs may be unsafe", source.path.display())).collect();
    fail_on(&mistakes);
}

#[test]
fn tasks_are_spawned_by_serve_alone() {
    let outside = sources().into_iter().filter(|source| !matches!(source.module.as_str(), "serve" | "dev"));
    let named = outside.filter(|source| source.code().any(|(_, line)| line.contains("tokio::spawn(")));
    let mistakes: Vec<_> =
        named.map(|source| format!("{}: hand the future to serve.rs, which owns tasks", source.path.display())).collect();
    fail_on(&mistakes);
}

#[test]
fn every_file_says_what_it_is_for_and_stays_small() {
    let mut mistakes = Vec::new();
    for source in sources() {
        let path = source.path.display();
        if !source.text.starts_with("//!") {
            mistakes.push(format!("{path}: begin with `//!`: what it is for, what it promises, what it must not know"));
        }
        let lines = source.text.lines().take_while(|line| !line.starts_with("#[cfg(test)]")).count();
        if lines > LINES_MAX {
            mistakes.push(format!("{path}: {lines} lines; above {LINES_MAX} it becomes a folder of the same name"));
        }
        for word in ["todo!(", "unimplemented!(", "dbg!("] {
            if source.code().any(|(_, line)| line.contains(word)) {
                mistakes.push(format!("{path}: `{word}` is left in it"));
            }
        }
    }
    fail_on(&mistakes);
}

#[test]
fn no_module_is_named_after_nothing() {
    let nameless = ["utils", "util", "helpers", "helper", "common", "manager", "types", "misc"];
    let mut mistakes = Vec::new();
    for source in sources() {
        let stem = source.path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        if nameless.contains(&stem.as_str()) || nameless.contains(&source.module.as_str()) {
            mistakes.push(format!("{}: name it after what it is", source.path.display()));
        }
    }
    fail_on(&mistakes);
}

#[test]
fn a_landed_wit_version_never_changes() {
    let lock = read(&root().join("wit/LOCK"));
    let mut mistakes = Vec::new();
    for line in lock.lines().filter(|line| !line.trim().is_empty() && !line.starts_with('#')) {
        let (expected, file) = line.split_once("  ").expect("`sha256  path`, as sha256sum writes it");
        let found = weir::rules::Digest::of(&fs::read(root().join("wit").join(file)).expect("a locked file exists")).to_string();
        if found != expected {
            mistakes.push(format!("wit/{file}: a landed version is frozen; add a new version beside it"));
        }
    }
    let locked = |path: &Path| lock.contains(&path.strip_prefix(root().join("wit")).expect("below wit").display().to_string());
    for folder in fs::read_dir(root().join("wit")).expect("the wit folder").filter_map(Result::ok) {
        if folder.file_name().to_string_lossy().starts_with('v') {
            for file in
                fs::read_dir(folder.path()).expect("a version").filter_map(Result::ok).filter(|file| !locked(&file.path()))
            {
                mistakes.push(format!("{}: not in wit/LOCK", file.path().display()));
            }
        }
    }
    fail_on(&mistakes);
}

#[test]
fn the_map_in_architecture_names_every_module() {
    let map = read(&root().join("ARCHITECTURE.md"));
    let modules: std::collections::BTreeSet<_> = sources().into_iter().map(|source| source.module).collect();
    let missing: Vec<_> = modules.into_iter().filter(|module| !map.contains(&format!("`{module}"))).collect();
    assert!(missing.is_empty(), "ARCHITECTURE.md does not speak of {missing:?}");
}
