//! A private PostgreSQL cluster from the server binaries of this machine, for `weir dev`.
//!
//! It listens on the loopback interface only, on a free port, with a password that never leaves its folder. PostgreSQL refuses to
//! run as root, so as root it runs as user `postgres`; where that user cannot reach the wanted folder, it gets one that it can.

use std::fs;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::net::TcpListener;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::commands::Failure;

/// A running cluster; stopped by [`Cluster::stop`].
#[derive(Debug)]
pub(super) struct Cluster {
    binaries: PathBuf,
    folder: PathBuf,
    account: Option<(u32, u32)>,
    port: u16,
    password: String,
}

impl Cluster {
    /// Starts the cluster in `data/postgres`, making it if it is new; with `fresh`, what was there is removed first.
    pub(super) fn start(data: &Path, fresh: bool) -> Result<Self, Failure> {
        let binaries = binaries()?;
        let account = account()?;
        let folder = reachable(data.join("postgres"), account)?;
        let mut cluster = Self { binaries, folder, account, port: free_port()?, password: String::new() };
        if cluster.folder.join("cluster/postmaster.pid").exists() {
            // One that outlived its Weir, by kill -9.
            let _ = cluster.stop();
        }
        if fresh && cluster.folder.exists() {
            fs::remove_dir_all(&cluster.folder)?;
        }
        if !cluster.folder.join("cluster/PG_VERSION").exists() {
            cluster.initialise()?;
        }
        fs::read_to_string(cluster.folder.join("password"))?.trim().clone_into(&mut cluster.password);
        cluster.launch()?;
        Ok(cluster)
    }

    /// The address of one of its databases.
    pub(super) fn url(&self, database: &str) -> String {
        format!("postgres://weir:{}@127.0.0.1:{}/{database}", self.password, self.port)
    }

    fn initialise(&self) -> Result<(), Failure> {
        fs::create_dir_all(&self.folder)?;
        let password = self.folder.join("password");
        let random: [u8; 32] = rand::random();
        fs::write(&password, crate::rules::Digest(random).to_string())?;
        fs::set_permissions(&password, fs::Permissions::from_mode(0o600))?;
        if let Some((user, group)) = self.account {
            chown(&self.folder, Some(user), Some(group))?;
            chown(&password, Some(user), Some(group))?;
        }
        self.command("initdb")
            .args(["--username=weir", "--auth=scram-sha-256", "--encoding=UTF8", "--locale=C.UTF-8", "--no-instructions"])
            .arg(format!("--pwfile={}", password.display()))
            .run("initdb")
    }

    /// Starts the server; `pg_ctl` comes back once it answers.
    fn launch(&self) -> Result<(), Failure> {
        let mut options = format!("-p {} -c listen_addresses=127.0.0.1 -c unix_socket_directories=", self.port);
        if has_timescale(&self.binaries) {
            options.push_str(" -c shared_preload_libraries=timescaledb -c timescaledb.telemetry_level=off");
        }
        self.command("pg_ctl")
            .args(["start", "--wait", "--silent", "--options", &options])
            .arg(format!("--log={}", self.folder.join("log").display()))
            .run("pg_ctl start")
            .map_err(|Failure(line)| Failure(format!("{line}; its log is {}", self.folder.join("log").display())))
    }

    /// Creates a database where there is none of that name.
    pub(super) fn create_database(&self, name: &str) -> Result<(), Failure> {
        let mut create = self.command("createdb");
        create.0.env_remove("PGDATA").env("PGPASSWORD", &self.password);
        create.args(["--host=127.0.0.1", "--username=weir"]).arg(format!("--port={}", self.port)).arg(name.to_owned());
        match create.run("createdb") {
            Err(Failure(line)) if line.contains("already exists") => Ok(()),
            done => done,
        }
    }

    /// Stops it and waits until it is down.
    pub(super) fn stop(&self) -> Result<(), Failure> {
        self.command("pg_ctl").args(["stop", "--mode=fast", "--wait", "--silent"]).run("pg_ctl stop")
    }

    /// One of the server's programs, as the right user, in a process group of its own: Ctrl-C is for Weir, which then stops it.
    fn command(&self, program: &str) -> Program {
        let mut command = Command::new(self.binaries.join(program));
        command.env("PGDATA", self.folder.join("cluster")).current_dir("/").process_group(0);
        if let Some((user, group)) = self.account {
            command.uid(user).gid(group);
        }
        Program(command)
    }
}

struct Program(Command);

impl Program {
    fn args<const N: usize>(&mut self, arguments: [&str; N]) -> &mut Self {
        self.0.args(arguments);
        self
    }

    fn arg(&mut self, argument: String) -> &mut Self {
        self.0.arg(argument);
        self
    }

    /// Runs it to its end. Its output goes to a file of the system's, not a pipe: the server that `pg_ctl` leaves behind would
    /// hold a pipe open for ever.
    fn run(&mut self, name: &str) -> Result<(), Failure> {
        let output = fs::File::options().read(true).write(true).create_new(true).open(scratch(name))?;
        let path = scratch(name);
        let status = self.0.stdin(Stdio::null()).stdout(output.try_clone()?).stderr(output).status();
        let said = fs::read_to_string(&path).unwrap_or_default();
        fs::remove_file(&path)?;
        let status = status?;
        if status.success() {
            return Ok(());
        }
        Err(Failure(format!("{name} failed ({status}): {}", said.split_whitespace().collect::<Vec<_>>().join(" "))))
    }
}

fn scratch(name: &str) -> PathBuf {
    std::env::temp_dir().join(format!("weir-{}-{}", std::process::id(), name.replace(' ', "-")))
}

/// The newest server on this machine, in Debian's place or on the PATH.
fn binaries() -> Result<PathBuf, Failure> {
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().filter_map(Result::ok);
    let newest = versions
        .filter(|version| version.path().join("bin/postgres").exists())
        .max_by_key(|version| version.file_name().to_string_lossy().parse::<u32>().unwrap_or(0))
        .map(|version| version.path().join("bin"));
    let on_path = || {
        std::env::split_paths(&std::env::var_os("PATH")?)
            .find(|folder| folder.join("postgres").exists() && folder.join("initdb").exists())
    };
    newest
        .or_else(on_path)
        .ok_or_else(|| Failure("no PostgreSQL server is installed; `apt-get install postgresql` brings one".to_owned()))
}

fn has_timescale(binaries: &Path) -> bool {
    binaries.parent().is_some_and(|home| home.join("lib/timescaledb.so").exists())
}

/// As root, the user and group `postgres`.
fn account() -> Result<Option<(u32, u32)>, Failure> {
    if fs::metadata("/proc/self")?.uid() != 0 {
        return Ok(None);
    }
    let users = fs::read_to_string("/etc/passwd")?;
    let ids = users.lines().find_map(|line| {
        let mut fields = line.split(':');
        (fields.next()? == "postgres").then_some(())?;
        Some((fields.nth(1)?.parse().ok()?, fields.next()?.parse().ok()?))
    });
    ids.map(Some).ok_or_else(|| {
        Failure(
            "PostgreSQL does not run as root and there is no user `postgres`; `apt-get install postgresql` makes it".to_owned(),
        )
    })
}

/// `wanted`, or a folder under `/var/lib` where the account may not pass through to it (as below `/root`).
fn reachable(wanted: PathBuf, account: Option<(u32, u32)>) -> Result<PathBuf, Failure> {
    if account.is_none() {
        return Ok(wanted);
    }
    let data = wanted.parent().unwrap_or(&wanted);
    fs::create_dir_all(data)?;
    let whole = data.canonicalize()?;
    let passable = |folder: &Path| fs::metadata(folder).is_ok_and(|metadata| metadata.mode() & 0o001 != 0);
    if whole.ancestors().all(passable) {
        return Ok(whole.join("postgres"));
    }
    let mut hasher = DefaultHasher::new();
    whole.hash(&mut hasher);
    let folder = PathBuf::from(format!("/var/lib/weir-dev/{:016x}", hasher.finish()));
    tracing::info!("user `postgres` cannot reach {}; the database lies in {}", whole.display(), folder.display());
    Ok(folder)
}

fn free_port() -> Result<u16, Failure> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}
