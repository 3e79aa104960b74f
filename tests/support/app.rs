//! A Weir of one's own: a child process with its own databases, files and policies.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::client::Client;
use super::database::{Databases, unique};
use super::services;

/// The administrator's token of every test's Weir.
pub const ADMINISTRATOR: &str = "weir_administrator_of_the_tests";

/// The tenants that every test's Weir has, each with a token for these roles.
pub const TENANTS: [&str; 2] = ["acme", "globex"];
const ROLES: [&str; 4] = ["administrator", "device", "reader", "nobody"];

/// What is to be started.
#[derive(Debug)]
pub struct Builder {
    variables: BTreeMap<String, String>,
    databases: Option<Databases>,
    policies: Vec<(String, String)>,
}

/// A running Weir. Dropping it kills it; [`App::stop`] stops it as an operator does and looks at its log.
#[derive(Debug)]
pub struct App {
    /// Where it answers.
    pub base: String,
    /// Its databases.
    pub databases: Arc<Databases>,
    process: Process,
    variables: BTreeMap<String, String>,
    home: Arc<TempDir>,
    tokens: BTreeMap<(String, String), String>,
}

/// The child and what it logs.
#[derive(Debug)]
struct Process {
    child: Child,
    log: Arc<Mutex<Vec<String>>>,
}

impl App {
    /// A Weir without Kafka, with files in a folder.
    pub async fn start() -> Self {
        Self::builder().start().await
    }

    /// A Weir to be set up.
    pub fn builder() -> Builder {
        Builder { variables: BTreeMap::new(), databases: None, policies: Vec::new() }
    }

    /// The folder of its policy files, which tests may edit.
    pub fn policies(&self) -> PathBuf {
        self.home.path().join("policies")
    }

    /// The folder of its files.
    pub fn files(&self) -> PathBuf {
        self.home.path().join("files")
    }

    /// The token of a tenant's role.
    pub fn token(&self, tenant: &str, role: &str) -> &str {
        self.tokens.get(&(tenant.to_owned(), role.to_owned())).expect("a tenant and role of the harness")
    }

    /// A client with the token of a tenant's role.
    pub fn client(&self, tenant: &str, role: &str) -> Client {
        Client::new(&self.base, Some(self.token(tenant, role)))
    }

    /// The administrator of tenant `acme`.
    pub fn acme(&self) -> Client {
        self.client("acme", "administrator")
    }

    /// The administrator of tenant `globex`.
    pub fn globex(&self) -> Client {
        self.client("globex", "administrator")
    }

    /// The platform administrator.
    pub fn administrator(&self) -> Client {
        Client::new(&self.base, Some(ADMINISTRATOR))
    }

    /// Somebody without a token.
    pub fn nobody(&self) -> Client {
        Client::new(&self.base, None)
    }

    /// Starts another replica on the same databases, files and policies.
    pub fn replica(&self) -> Self {
        self.replica_as("all")
    }

    /// Starts another replica, in this role.
    pub fn replica_as(&self, role: &str) -> Self {
        self.replica_with(&[("WEIR_ROLE", role)])
    }

    /// Starts another replica, with these variables set otherwise.
    pub fn replica_with(&self, others: &[(&str, &str)]) -> Self {
        let mut variables = self.variables.clone();
        variables.extend(others.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        let (base, process) = Process::start(&variables);
        Self {
            base,
            process,
            databases: Arc::clone(&self.databases),
            variables,
            home: Arc::clone(&self.home),
            tokens: self.tokens.clone(),
        }
    }

    /// Ends it at once, as a power cut does.
    pub fn kill(&mut self) {
        self.process.end(Signal::SIGKILL);
    }

    /// Ends it as an operator does, to be started again.
    pub fn terminate(&mut self) {
        let code = self.process.end(Signal::SIGTERM);
        assert_eq!(code, Some(0), "it stops cleanly; its log:\n{}", self.log());
    }

    /// Stops all its threads where they are, as a machine does that is out of breath.
    pub fn freeze(&self) {
        self.process.signal(Signal::SIGSTOP);
    }

    /// Lets it go on after [`App::freeze`], not knowing that time has passed.
    pub fn thaw(&self) {
        self.process.signal(Signal::SIGCONT);
    }

    /// Sets a variable for its next start.
    pub fn set(&mut self, name: &str, value: &str) {
        self.variables.insert(name.to_owned(), value.to_owned());
    }

    /// Starts it again after [`App::kill`] or [`App::terminate`].
    pub fn restart(&mut self) {
        let (base, process) = Process::start(&self.variables);
        self.base = base;
        self.process = process;
    }

    /// Stops it as an operator does. Errors in its log fail the test.
    pub fn stop(mut self) {
        let code = self.process.end(Signal::SIGTERM);
        assert_eq!(code, Some(0), "it stops cleanly; its log:\n{}", self.log());
        // sqlx has a word of its own for a connection that breaks while it is being set up, which Weir then tries again.
        let is_error = |line: &&str| line.contains("\"level\":\"ERROR\"") && !line.contains("error returned from after_connect");
        let errors: Vec<String> = self.log().lines().filter(is_error).map(str::to_owned).collect();
        assert!(errors.is_empty(), "errors in the log:\n{}", errors.join("\n"));
    }

    /// Waits until `/health` is as wanted, and returns what it says.
    pub async fn health(&self, patience: Duration, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let deadline = Instant::now() + patience;
        loop {
            let answer = self.nobody().get("/health").await;
            let said: Value = serde_json::from_slice(&answer.body).expect("JSON");
            if wanted(&said) {
                return said;
            }
            assert!(Instant::now() < deadline, "/health does not say that {what} within {patience:?}: {said}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Runs `weir` from a shell beside it, with its databases, files and policies, and these variables besides.
    pub fn shell(&self, arguments: &[&str], more: &[(&str, &str)]) -> std::process::Output {
        Command::new(env!("CARGO_BIN_EXE_weir"))
            .args(arguments)
            .env_clear()
            .env("DATABASE_URL_PLATFORM", &self.databases.platform)
            .env("DATABASE_URL_TIMESCALE", &self.databases.readings)
            .env("WEIR_STORAGE_URL", format!("fs://{}", self.files().display()))
            .env("WEIR_POLICIES", self.policies())
            .envs(more.iter().copied())
            .output()
            .expect("weir runs")
    }

    /// The same for what prints JSON; true where it ends with 0.
    pub fn shell_json(&self, arguments: &[&str]) -> (bool, Value) {
        let done = self.shell(arguments, &[]);
        let told = String::from_utf8_lossy(&done.stdout);
        let told = serde_json::from_str(&told).unwrap_or_else(|_| panic!("{told}{}", String::from_utf8_lossy(&done.stderr)));
        (done.status.success(), told)
    }

    /// What it has logged.
    pub fn log(&self) -> String {
        self.process.log.lock().expect("no test panicked with it").join("\n")
    }

    /// The most memory that it ever had, in MiB.
    pub fn peak_memory(&self) -> u64 {
        self.memory_of("VmHWM:")
    }

    /// The memory that it has, in MiB.
    pub fn memory(&self) -> u64 {
        self.memory_of("VmRSS:")
    }

    fn memory_of(&self, figure: &str) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.process.child.id())).expect("it runs");
        let line = status.lines().find(|line| line.starts_with(figure)).expect("Linux says it");
        let kib: u64 = line.split_whitespace().nth(1).and_then(|number| number.parse().ok()).expect("a number");
        kib >> 10
    }
}

impl Builder {
    /// Sets a variable of its environment.
    pub fn set(mut self, name: &str, value: impl Into<String>) -> Self {
        self.variables.insert(name.to_owned(), value.into());
        self
    }

    /// Gives it the broker, in a consumer group of its own.
    pub fn with_kafka(self) -> Self {
        let group = unique("group");
        self.set("KAFKA_BROKERS", services::brokers()).set("KAFKA_GROUP_ID", group).set("WEIR_KAFKA_SESSION_TIMEOUT_MS", "6000")
    }

    /// Keeps files in the S3 store.
    pub fn with_s3(mut self) -> Self {
        self.variables.extend(services::s3().into_iter().map(|(name, value)| (name.to_owned(), value)));
        self
    }

    /// Uses these databases.
    pub fn on(mut self, databases: Databases) -> Self {
        self.databases = Some(databases);
        self
    }

    /// Writes one more policy file, or another one in place of the harness's, such as `tenants/acme.csv`.
    pub fn policy(mut self, file: &str, text: &str) -> Self {
        self.policies.push((file.to_owned(), text.to_owned()));
        self
    }

    /// Starts it, waits until it is ready, and makes the tenants and tokens.
    pub async fn start(self) -> App {
        let home = tempfile::tempdir().expect("a folder");
        let databases = match self.databases {
            Some(databases) => databases,
            None => Databases::create().await,
        };
        fs::create_dir(home.path().join("files")).expect("a folder of files");
        write_policies(&home.path().join("policies"), &self.policies);
        let path = |name: &str| home.path().join(name).display().to_string();
        let mut variables: BTreeMap<String, String> = [
            ("HOST", "127.0.0.1".to_owned()),
            ("PORT", "0".to_owned()),
            ("DATABASE_URL_PLATFORM", databases.platform.clone()),
            ("DATABASE_URL_TIMESCALE", databases.readings.clone()),
            ("WEIR_STORAGE_URL", format!("fs://{}", path("files"))),
            ("WEIR_POLICIES", path("policies")),
            ("WEIR_BOOTSTRAP_TOKEN", ADMINISTRATOR.to_owned()),
            ("WEIR_EVENTS_TOPIC", "none".to_owned()),
            ("WEIR_LOG", std::env::var("WEIR_TEST_LOG").unwrap_or_else(|_| "info,weir=debug".to_owned())),
        ]
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value))
        .collect();
        variables.extend(self.variables);
        let (base, process) = Process::start(&variables);
        let (home, databases) = (Arc::new(home), Arc::new(databases));
        let mut app = App { base, databases, process, variables, home, tokens: BTreeMap::new() };
        app.make_tenants().await;
        app
    }
}

impl App {
    async fn make_tenants(&mut self) {
        let administrator = self.administrator();
        for tenant in TENANTS {
            administrator.post("/api/platform/tenants", &json!({ "slug": tenant, "name": tenant })).await.expect(201);
            for role in ROLES {
                let created = administrator.of(tenant).post("/api/platform/tokens", &json!({ "name": role })).await.expect(201);
                let secret = created["data"]["secret"].as_str().expect("it is shown once").to_owned();
                self.tokens.insert((tenant.to_owned(), role.to_owned()), secret);
            }
        }
    }
}

/// The repository's own policies, and a file for each tenant of the harness.
fn write_policies(folder: &Path, more: &[(String, String)]) {
    fs::create_dir_all(folder.join("tenants")).expect("a folder of policies");
    for name in ["model.conf", "platform.csv", "roles.csv"] {
        fs::copy(Path::new("policies").join(name), folder.join(name)).expect("a file of the repository");
    }
    for tenant in TENANTS {
        let rules: Vec<String> = ROLES[..3].iter().map(|role| format!("g, token:{role}, {role}, {tenant}")).collect();
        fs::write(folder.join(format!("tenants/{tenant}.csv")), rules.join("\n") + "\n").expect("written");
    }
    for (name, text) in more {
        fs::write(folder.join(name), text).expect("written");
    }
}

/// How long a start may take, migrations on a busy machine included.
const START: Duration = Duration::from_mins(1);

impl Process {
    /// Starts `weir serve` and waits until it is ready.
    fn start(variables: &BTreeMap<String, String>) -> (String, Self) {
        let mut child = Command::new(env!("CARGO_BIN_EXE_weir"))
            .arg("serve")
            .env_clear()
            .envs(variables)
            .stdin(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("weir starts");
        let log = Arc::new(Mutex::new(Vec::new()));
        let lines = follow(child.stderr.take().expect("piped"), Arc::clone(&log));
        let process = Self { child, log };
        let base = process.address(&lines);
        process.wait_until_ready(&base);
        (base, process)
    }

    fn address(&self, lines: &Receiver<String>) -> String {
        let deadline = Instant::now() + START;
        while let Ok(line) = lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
            let Ok(entry) = serde_json::from_str::<Value>(&line) else { continue };
            if let Some(address) = entry["address"].as_str() {
                return format!("http://{address}");
            }
        }
        panic!("weir did not start; its log:\n{}", self.log.lock().expect("not poisoned").join("\n"));
    }

    fn wait_until_ready(&self, base: &str) {
        let address = base.trim_start_matches("http://");
        let deadline = Instant::now() + START;
        while Instant::now() < deadline {
            if status_of(address, "/health/ready") == Some(200) {
                return;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        panic!("weir is not ready; its log:\n{}", self.log.lock().expect("not poisoned").join("\n"));
    }

    fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(self.child.id().try_into().expect("a process id"));
        kill(pid, signal).expect("it is ours");
    }

    /// Sends a signal and waits for the end; its exit code, if it had one.
    fn end(&mut self, signal: Signal) -> Option<i32> {
        if let Ok(Some(ended)) = self.child.try_wait() {
            return ended.code();
        }
        self.signal(signal);
        let deadline = Instant::now() + Duration::from_secs(30);
        while Instant::now() < deadline {
            if let Some(ended) = self.child.try_wait().expect("it is our child") {
                return ended.code();
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        let _ = self.child.kill();
        panic!("weir did not stop within 30 s; its log:\n{}", self.log.lock().expect("not poisoned").join("\n"));
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking()
            && let Ok(log) = self.log.lock()
        {
            let last = log.len().saturating_sub(20);
            let whole = std::env::temp_dir().join(format!("{}.log", unique("weir_test")));
            let _ = fs::write(&whole, log.join("\n"));
            eprintln!("the last lines of Weir's log ({} has all of it):\n{}", whole.display(), log[last..].join("\n"));
        }
    }
}

fn follow(stderr: std::process::ChildStderr, log: Arc<Mutex<Vec<String>>>) -> Receiver<String> {
    let (send, lines) = channel();
    std::thread::spawn(move || {
        for line in BufReader::new(stderr).lines().map_while(Result::ok) {
            if let Ok(mut log) = log.lock() {
                log.push(line.clone());
            }
            // After the start nobody listens any more; the log goes on.
            let _ = send.send(line);
        }
    });
    lines
}

/// The status of a GET by hand: the harness starts processes outside of any runtime.
fn status_of(address: &str, path: &str) -> Option<u16> {
    use std::io::{Read as _, Write as _};
    let mut stream = std::net::TcpStream::connect(address).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(5))).ok()?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n").ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    answer.split_whitespace().nth(1)?.parse().ok()
}
