//! The folder of policy files: read whole, checked whole, with a file and a line for every mistake.
//!
//! `model.conf`, `*.csv`, `tenants/<tenant>.csv` and cases beside them (`*.test.csv`). What is not expected here is refused rather than
//! passed over, since a rule in a file that nobody reads has vanished; hidden files, README and editors' leftovers are passed over.
//! casbin is handed only what came through; nothing of a folder counts while one thing in it is wrong.

use std::collections::{BTreeMap, HashMap};
use std::fmt::{self, Write as _};
use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use sha2::{Digest, Sha256};

use crate::limits;
use crate::model::{Action, Tenant};

use super::book::{Book, Placed};
use super::line::{self, Case, Line, Link, Rule};
use super::{conf, roles};

/// One thing that is wrong with the policy files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistake {
    /// The file, from the policy folder's own name on, such as `policies/tenants/acme.csv`.
    pub file: String,
    /// The line, counted from 1, where one is to blame.
    pub line: Option<usize>,
    /// What is wrong and what to write instead.
    pub message: String,
}

impl Mistake {
    fn new(file: &str, line: Option<usize>, message: impl Into<String>) -> Self {
        Self { file: file.to_owned(), line, message: message.into() }
    }
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            Some(line) => write!(f, "{}:{line}: {}", self.file, self.message),
            None => write!(f, "{}: {}", self.file, self.message),
        }
    }
}

/// Where a line stands.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    pub(super) file: Arc<str>,
    pub(super) line: usize,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file, self.line)
    }
}

/// What a sound folder holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Summary {
    /// The short hash of all files, which permits and ledgers carry.
    pub revision: Arc<str>,
    /// Files that were read.
    pub files: usize,
    /// `p` lines.
    pub rules: usize,
    /// `g` lines.
    pub links: usize,
    /// Cases that were run; all hold.
    pub cases: usize,
    /// Tenants that have rules of their own.
    pub tenants: usize,
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { revision, files, rules, links, cases, tenants } = self;
        write!(
            f,
            "{files} files, {rules} rules, {links} roles given, {tenants} tenants with rules of their own, {cases} cases that hold; "
        )?;
        write!(f, "revision {revision}")
    }
}

/// Reads and checks a folder as a start or a reload would, and changes nothing.
pub fn check(folder: &Path) -> Result<Summary, Vec<Mistake>> {
    Snapshot::read(folder)?.assemble().map(|(_, summary)| summary)
}

#[derive(Clone, Debug)]
enum Kind {
    Model,
    Rules(Option<Tenant>),
    Cases(Option<Tenant>),
}

#[derive(Debug)]
struct File {
    name: Arc<str>,
    kind: Kind,
    bytes: Vec<u8>,
}

/// What a folder comes to, its cases not yet tried.
pub(super) type Built = (Book, Vec<Placed<Case>>, Summary);

/// The bytes of all files at one moment.
#[derive(Debug)]
pub(super) struct Snapshot {
    files: Vec<File>,
    pub(super) revision: Arc<str>,
    root: String,
}

impl Snapshot {
    /// Reads all files of the folder.
    pub(super) fn read(folder: &Path) -> Result<Self, Vec<Mistake>> {
        let root = root_name(folder);
        let mut mistakes = Vec::new();
        let mut files = Vec::new();
        for entry in list(folder, &root, &mut mistakes) {
            match read_bounded(&entry.path) {
                Ok(bytes) if bytes.len() as u64 > limits::POLICY_FILE_BYTES => {
                    mistakes.push(too_large(&entry.name));
                }
                Ok(bytes) => files.push(File { name: entry.name.into(), kind: entry.kind, bytes }),
                Err(error) => mistakes.push(unreadable(&entry.name, &error)),
            }
        }
        if !mistakes.is_empty() {
            return Err(mistakes);
        }
        let revision = revision(&files);
        Ok(Self { files, revision, root })
    }

    /// Checks everything, builds the book and runs the cases against it.
    pub(super) fn assemble(&self) -> Result<(Book, Summary), Vec<Mistake>> {
        let (book, cases, summary) = self.build()?;
        let mut failed = run(&book, &cases);
        if !failed.is_empty() {
            failed.truncate(limits::ERROR_DETAILS);
            return Err(failed);
        }
        Ok((book, summary))
    }

    /// Checks everything but the cases, and builds the book.
    pub(super) fn build(&self) -> Result<Built, Vec<Mistake>> {
        let mut parts = Parts::default();
        for file in &self.files {
            parts.take(file);
        }
        if parts.model.is_none() && parts.mistakes.is_empty() {
            let name = format!("{}/model.conf", self.root);
            parts.mistakes.push(Mistake::new(&name, None, "the file is missing"));
        }
        if parts.rules.is_empty() && parts.mistakes.is_empty() {
            // A folder caught while it is being filled would lock everybody out.
            parts.mistakes.push(Mistake::new(&self.root, None, "no file has a rule; nobody could do anything"));
        }
        parts.repeated();
        if parts.mistakes.is_empty() {
            parts.mistakes.extend(roles::check(&parts.links).into_iter().map(|(place, message)| at(&place, message)));
        }
        if !parts.mistakes.is_empty() {
            parts.mistakes.truncate(limits::ERROR_DETAILS);
            return Err(parts.mistakes);
        }
        let (rules, links, cases) = (parts.rules.len(), parts.links.len(), parts.cases.len());
        let mut book = Book::new(self.revision.clone(), parts.model.unwrap_or_default(), parts.rules, parts.links)
            .map_err(|message| vec![Mistake::new(&self.root, None, message)])?;
        let text = |file: &File| (file.name.clone(), String::from_utf8_lossy(&file.bytes).into_owned());
        book.files = self.files.iter().map(text).collect();
        let means = |case: &Case| (line::qualified(&case.caller.home, &case.caller.subject), case.caller.tenant.clone());
        book.meant = parts.cases.iter().filter(|case| case.what.allow).map(|case| means(&case.what)).collect();
        let (files, tenants) = (self.files.len(), book.owners().count());
        let summary = Summary { revision: self.revision.clone(), files, rules, links, cases, tenants };
        Ok((book, parts.cases, summary))
    }

    /// Files as they were read, with others in their places: a text, or `None` where a file is to go. Names are those beneath the folder.
    pub(super) fn with(files: &[(Arc<str>, String)], changes: &BTreeMap<String, Option<String>>) -> Result<Self, Vec<Mistake>> {
        let root = files.first().and_then(|(name, _)| name.split('/').next()).unwrap_or("policies").to_owned();
        let mut texts: BTreeMap<String, String> =
            files.iter().map(|(name, text)| (name[root.len() + 1..].to_owned(), text.clone())).collect();
        for (name, text) in changes {
            match text {
                Some(text) => drop(texts.insert(name.clone(), text.clone())),
                None => drop(texts.remove(name)),
            }
        }
        let (mut files, mut mistakes) = (Vec::new(), Vec::new());
        for (name, text) in texts {
            let shown = format!("{root}/{name}");
            match kind_of(&name) {
                _ if text.len() as u64 > limits::POLICY_FILE_BYTES => mistakes.push(too_large(&shown)),
                Ok(kind) => files.push(File { name: shown.into(), kind, bytes: text.into_bytes() }),
                Err(message) => mistakes.push(Mistake::new(&shown, None, message)),
            }
        }
        if !mistakes.is_empty() {
            return Err(mistakes);
        }
        let revision = revision(&files);
        Ok(Self { files, revision, root })
    }
}

/// A case as it is written.
pub(super) fn written(case: &Case) -> String {
    let Case { allow, caller, action, resource } = case;
    let subject = line::qualified(&caller.home, &caller.subject);
    let subject = subject.strip_prefix(&format!("{}/", caller.tenant)).unwrap_or(&subject);
    format!("{}, {subject}, {}, {resource}, {action}", if *allow { "allow" } else { "deny" }, caller.tenant)
}

/// A rule as it is written.
pub(super) fn written_rule(rule: &Rule) -> String {
    let Rule { subject, tenant, object, action, allow } = rule;
    let tenant = tenant.as_ref().map_or("*", Tenant::as_str);
    let (action, effect) = (action.map_or("*", Action::as_str), if *allow { "allow" } else { "deny" });
    format!("p, {subject}, {tenant}, {object}, {action}, {effect}")
}

/// What the files hold, as far as they were read.
#[derive(Default)]
struct Parts {
    model: Option<casbin::DefaultModel>,
    rules: Vec<Placed<Rule>>,
    links: Vec<Placed<Link>>,
    cases: Vec<Placed<Case>>,
    mistakes: Vec<Mistake>,
}

impl Parts {
    fn take(&mut self, file: &File) {
        let text = match std::str::from_utf8(&file.bytes) {
            // Some editors put a byte order mark in front.
            Ok(text) => text.strip_prefix('\u{feff}').unwrap_or(text),
            Err(error) => {
                let line = file.bytes[..error.valid_up_to()].split(|byte| *byte == b'\n').count();
                self.mistakes.push(Mistake::new(&file.name, Some(line), "this is not UTF-8"));
                return;
            }
        };
        if let Kind::Model = file.kind {
            match conf::parse(text) {
                Ok(model) => self.model = Some(model),
                Err(said) => self.mistakes.extend(said.into_iter().map(|(line, text)| Mistake::new(&file.name, line, text))),
            }
            return;
        }
        for (line, text) in (1..).zip(text.lines()) {
            let place = Place { file: file.name.clone(), line };
            if let Err(message) = self.take_line(&file.kind, text, &place) {
                self.mistakes.push(at(&place, message));
            }
            if self.rules.len() + self.links.len() > limits::POLICY_RULES {
                self.mistakes.push(at(&place, format!("all files together have more than {} rules", limits::POLICY_RULES)));
                return;
            }
            if self.mistakes.len() >= limits::ERROR_DETAILS {
                return;
            }
        }
    }

    fn take_line(&mut self, kind: &Kind, text: &str, place: &Place) -> Result<(), String> {
        match kind {
            Kind::Model => {}
            Kind::Cases(owner) => {
                self.cases.extend(line::parse_case(text, owner.as_ref())?.map(|what| Placed { what, place: place.clone() }));
            }
            Kind::Rules(owner) => match line::parse(text, owner.as_ref())? {
                Some(Line::Rule(what)) => self.rules.push(Placed { what, place: place.clone() }),
                Some(Line::Link(what)) => self.links.push(Placed { what, place: place.clone() }),
                None => {}
            },
        }
        Ok(())
    }

    /// A rule that stands twice outlives the removal of one of its lines.
    fn repeated(&mut self) {
        let mut rules = HashMap::new();
        for rule in &self.rules {
            if let Some(first) = rules.insert(&rule.what, &rule.place) {
                self.mistakes.push(at(&rule.place, format!("the same rule stands at {first}; remove one")));
            }
        }
        let mut links = HashMap::new();
        for link in &self.links {
            if let Some(first) = links.insert(&link.what, &link.place) {
                self.mistakes.push(at(&link.place, format!("the same line stands at {first}; remove one")));
            }
        }
    }
}

fn at(place: &Place, message: impl Into<String>) -> Mistake {
    Mistake::new(&place.file, Some(place.line), message)
}

/// Runs the cases; what differs is a mistake at the case's line.
fn run(book: &Book, cases: &[Placed<Case>]) -> Vec<Mistake> {
    let differing = cases.iter().filter_map(|Placed { what: case, place }| {
        let decision = book.decide(&case.caller, case.action, &case.resource);
        let message = match (case.allow, decision) {
            (true, Err(reason)) => format!("this case wants `allow`, the rules deny: {reason}"),
            (false, Ok(rule)) => format!("this case wants `deny`, the rules allow: {rule}"),
            _ => return None,
        };
        Some(at(place, message))
    });
    differing.collect()
}

/// Hash over names and contents, each with its length before it, so that no two folders run into each other.
fn revision(files: &[File]) -> Arc<str> {
    let mut hash = Sha256::new();
    for file in files {
        for part in [file.name.as_bytes(), &file.bytes] {
            hash.update((part.len() as u64).to_le_bytes());
            hash.update(part);
        }
    }
    let mut short = String::new();
    for byte in hash.finalize().iter().take(6) {
        let _ = write!(short, "{byte:02x}");
    }
    short.into()
}

struct Entry {
    name: String,
    path: PathBuf,
    kind: Kind,
}

/// The folder's own name, which says enough without saying where it lies.
fn root_name(folder: &Path) -> String {
    folder.file_name().map_or_else(|| "policies".to_owned(), |name| name.to_string_lossy().into_owned())
}

/// The files of the folder that count, by name; what has no business there is a mistake.
fn list(folder: &Path, root: &str, mistakes: &mut Vec<Mistake>) -> Vec<Entry> {
    let mut entries = Vec::new();
    for (name, path, is_folder) in names(folder, root, mistakes) {
        let shown = format!("{root}/{name}");
        if is_folder && name == "tenants" {
            for (file, path, is_folder) in names(&path, &shown, mistakes) {
                let shown = format!("{shown}/{file}");
                match tenant_file(&file) {
                    Ok(kind) if !is_folder => entries.push(Entry { name: shown, path, kind }),
                    Ok(_) => mistakes.push(Mistake::new(&shown, None, "this is a folder; tenants/ holds files only")),
                    Err(message) => mistakes.push(Mistake::new(&shown, None, message)),
                }
            }
        } else if is_folder {
            mistakes.push(Mistake::new(&shown, None, "no folder but tenants/ is read here"));
        } else {
            match kind_of(&name) {
                Ok(kind) => entries.push(Entry { name: shown, path, kind }),
                Err(message) => mistakes.push(Mistake::new(&shown, None, message)),
            }
        }
    }
    entries.sort_by(|a, b| a.name.cmp(&b.name));
    entries
}

/// What a file of this name, beneath the folder, is; the error says where it should be.
fn kind_of(name: &str) -> Result<Kind, String> {
    match name.split_once('/') {
        Some(("tenants", file)) if !file.contains('/') => tenant_file(file),
        Some(_) => Err("no folder but tenants/ is read here".to_owned()),
        None if name == "model.conf" => Ok(Kind::Model),
        None if name.ends_with(".test.csv") => Ok(Kind::Cases(None)),
        None if name.strip_suffix(".csv").is_some_and(|stem| !stem.is_empty()) => Ok(Kind::Rules(None)),
        None => Err("policy files end in `.csv` or `.test.csv`; move this one elsewhere".to_owned()),
    }
}

fn too_large(name: &str) -> Mistake {
    Mistake::new(name, None, format!("the file is larger than {} bytes", limits::POLICY_FILE_BYTES))
}

fn tenant_file(name: &str) -> Result<Kind, String> {
    let Some(stem) = name.strip_suffix(".csv") else {
        return Err("files of tenants end in `.csv` or `.test.csv`; move this one elsewhere".to_owned());
    };
    let (tenant, cases) = stem.strip_suffix(".test").map_or((stem, false), |tenant| (tenant, true));
    let tenant =
        Tenant::parse(tenant).map_err(|_| format!("`{tenant}` is no tenant's name, which has 1 to 63 of a-z, 0-9 and '-'"))?;
    Ok(if cases { Kind::Cases(Some(tenant)) } else { Kind::Rules(Some(tenant)) })
}

/// Names, paths and whether each is a folder, links followed, without what is passed over.
fn names(folder: &Path, shown: &str, mistakes: &mut Vec<Mistake>) -> Vec<(String, PathBuf, bool)> {
    let listed = fs::read_dir(folder).and_then(Iterator::collect::<io::Result<Vec<_>>>);
    let listed = match listed {
        Ok(listed) => listed,
        Err(error) => {
            mistakes.push(unreadable(shown, &error));
            return Vec::new();
        }
    };
    let mut found = Vec::new();
    for entry in listed {
        let name = entry.file_name().to_string_lossy().into_owned();
        if is_passed_over(&name) {
            continue;
        }
        let path = entry.path();
        match fs::metadata(&path) {
            Ok(meta) if meta.is_dir() => found.push((name, path, true)),
            Ok(meta) if meta.is_file() => found.push((name, path, false)),
            // Reading a pipe would wait for ever.
            Ok(_) => mistakes.push(Mistake::new(&format!("{shown}/{name}"), None, "this is neither a file nor a folder")),
            Err(error) => mistakes.push(unreadable(&format!("{shown}/{name}"), &error)),
        }
    }
    found
}

/// Hidden files (also what a Kubernetes `ConfigMap` swaps its links by), prose, and what editors leave behind.
fn is_passed_over(name: &str) -> bool {
    let ending = name.rsplit_once('.').map_or("", |(_, ending)| ending);
    name.starts_with(['.', '#']) || name.ends_with('~') || matches!(ending, "md" | "swp" | "tmp" | "bak" | "orig")
}

fn unreadable(name: &str, error: &io::Error) -> Mistake {
    let message = match error.kind() {
        io::ErrorKind::NotFound => "it is missing".to_owned(),
        kind => format!("it cannot be read: {kind}"),
    };
    Mistake::new(name, None, message)
}

/// The file's bytes, one more than allowed at the most.
fn read_bounded(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    fs::File::open(path)?.take(limits::POLICY_FILE_BYTES + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// What shows that a file changed, without reading it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Fingerprint(Vec<(String, u64, Option<SystemTime>, u64)>);

/// The fingerprint of the folder at this moment; what is wrong in it is part of it.
pub(super) fn fingerprint(folder: &Path) -> Fingerprint {
    let mut mistakes = Vec::new();
    let entries = list(folder, "", &mut mistakes);
    let mut marks: Vec<_> = entries
        .into_iter()
        .map(|entry| match fs::metadata(&entry.path) {
            Ok(meta) => (entry.name, meta.len(), meta.modified().ok(), inode(&meta)),
            Err(_) => (entry.name, 0, None, 0),
        })
        .collect();
    marks.extend(mistakes.iter().map(|mistake| (mistake.to_string(), 0, None, 0)));
    Fingerprint(marks)
}

#[cfg(unix)]
fn inode(meta: &fs::Metadata) -> u64 {
    std::os::unix::fs::MetadataExt::ino(meta)
}

#[cfg(not(unix))]
fn inode(_: &fs::Metadata) -> u64 {
    0
}
