//! Weir as an operator runs it: set up over HTTP by a replica that is then gone, measured as a writer of its own. What the bench of files
//! needs of it as well stands behind [`Weir`].

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::child::Process;
use crate::database::{Cluster, Database};
use crate::failure::{Doing as _, Failure, Result};
use crate::load;
use crate::options::{Line, Options};

const ADMINISTRATOR: &str = "weir_administrator_of_the_bench";
const TENANT: &str = "bench";
/// How long a start may take, migrations on a busy machine included.
const START: Duration = Duration::from_mins(2);

/// A Weir with databases and policies of its own.
pub struct Weir<'a> {
    options: &'a Options,
    home: TempDir,
    platform: Database,
    /// The database of readings.
    pub readings: Database,
}

impl<'a> Weir<'a> {
    /// Makes the databases; the program brings them to its tables.
    pub fn prepare(options: &'a Options, cluster: &mut Cluster, name: &str) -> Result<Self> {
        let home = tempfile::tempdir().doing("a folder")?;
        furnish(home.path(), &options.checkout)?;
        let platform = cluster.create(&format!("bench_platform_{name}"))?;
        let readings = cluster.create(&format!("bench_readings_{name}"))?;
        let weir = Self { options, home, platform, readings };
        migrate(weir.command("migrate"))?;
        Ok(weir)
    }

    fn command(&self, verb: &str) -> Command {
        command(&self.options.weir, verb, self.home.path(), [&self.platform.url, &self.readings.url])
    }

    /// Registers the topic with what the line asks for, over HTTP.
    pub fn register(&self, line: Line, topic: &str) -> Result<()> {
        let mut process = Process::start("weir (api)", self.command("serve").env("WEIR_ROLE", "api"))?;
        let mut client = Client::ready(&mut process)?;
        let token = client.make_tenant()?;
        let mut form = json!({ "name": topic });
        if matches!(line, Line::Schema | Line::SchemaAndWasm) {
            let schema = json!({ "name": "bench", "type": "json-schema", "definition": load::schema() });
            form["schemaId"] = client.post("/api/platform/schemas", &token, &schema)?["id"].clone();
        }
        client.post("/api/platform/kafka-topics", &token, &form)?;
        if matches!(line, Line::Wasm | Line::SchemaAndWasm) {
            let form = json!({ "name": "range-check", "errorStrategy": "reject", "config": load::limits() });
            let id = text(&client.post("/api/platform/validators", &token, &form)?, "id")?;
            let module = fs::read(self.options.guests.join("range-check.wasm")).doing("the guest range-check")?;
            client.module(&format!("/api/platform/validators/{id}/module"), &token, &module)?;
            client.put(&format!("/api/platform/validators/chain/{topic}"), &token, &json!({ "validatorIds": [id] }))?;
        }
        Ok(())
    }

    /// Starts the writer. It finds the topic in the catalogue and consumes it from its beginning.
    pub fn writer(&self, broker: &str, group: &str) -> Result<Process> {
        let mut command = self.command("serve");
        command
            .env("WEIR_ROLE", "writer")
            .env("KAFKA_BROKERS", broker)
            .env("KAFKA_GROUP_ID", group)
            .env("WEIR_WRITER_LANES", self.options.lanes.to_string());
        set(&mut command, &self.options.settings)?;
        Process::start("weir (writer)", &mut command)
    }
}

/// Puts what a Weir needs into an empty folder: a folder of files, the checkout's policies and a tenant's administrator.
pub fn furnish(home: &Path, checkout: &Path) -> Result<()> {
    let policies = home.join("policies");
    fs::create_dir_all(policies.join("tenants")).doing("a folder of policies")?;
    fs::create_dir(home.join("files")).doing("a folder of files")?;
    for file in ["model.conf", "platform.csv", "roles.csv"] {
        fs::copy(checkout.join("policies").join(file), policies.join(file)).doing("a policy file")?;
    }
    let rule = format!("g, token:bench, administrator, {TENANT}\n");
    fs::write(policies.join("tenants").join(format!("{TENANT}.csv")), rule).doing("a policy file")
}

/// The program on a furnished folder and on its two databases, of the platform and of readings.
pub fn command(program: &Path, verb: &str, home: &Path, [platform, readings]: [&str; 2]) -> Command {
    let mut command = Command::new(program);
    command
        .arg(verb)
        .env_clear()
        .env("HOST", "127.0.0.1")
        .env("PORT", "0")
        .env("DATABASE_URL_PLATFORM", platform)
        .env("DATABASE_URL_TIMESCALE", readings)
        .env("WEIR_STORAGE_URL", format!("fs://{}", home.join("files").display()))
        .env("WEIR_POLICIES", home.join("policies"))
        .env("WEIR_BOOTSTRAP_TOKEN", ADMINISTRATOR)
        .env("WEIR_LOG", "info");
    command
}

/// Runs `weir migrate` to its end.
pub fn migrate(mut command: Command) -> Result<()> {
    let migrated = command.output().doing("weir migrate cannot be started")?;
    if migrated.status.success() {
        return Ok(());
    }
    Err(Failure::new(format!("weir migrate failed:\n{}", String::from_utf8_lossy(&migrated.stderr))))
}

/// Gives a command settings that are written `NAME=value`.
pub fn set(command: &mut Command, settings: &[String]) -> Result<()> {
    for setting in settings {
        let (name, value) = setting.split_once('=').ok_or_else(|| Failure::new(format!("{setting} is not NAME=value")))?;
        command.env(name, value);
    }
    Ok(())
}

/// Where the results of `perf` go, for the process with this id.
pub fn profile(pid: u32, out: &Path) -> Result<Process> {
    let mut command = Command::new("perf");
    let data = out.join("writer.perf");
    command
        .args(["record", "--freq", "499", "--call-graph", "dwarf,4096", "--output"])
        .arg(data)
        .args(["--pid", &pid.to_string()]);
    Process::start("perf", &mut command)
}

/// Sets a Weir up over HTTP.
pub struct Client {
    /// Where it answers.
    pub base: String,
    /// Whose things are meant, once there is one.
    tenant: Option<&'static str>,
    agent: ureq::Agent,
}

impl Client {
    /// Waits until the process says where it listens, and until it is ready.
    pub fn ready(process: &mut Process) -> Result<Self> {
        let (_, base) = process.wait_for(START, |line| {
            let entry: Value = serde_json::from_str(line).ok()?;
            Some(format!("http://{}", entry["address"].as_str()?))
        })?;
        let config = ureq::Agent::config_builder().http_status_as_error(false).timeout_global(Some(START));
        let client = Self { base, tenant: None, agent: config.build().new_agent() };
        for _ in 0..1_000 {
            let answer = client.agent.get(format!("{}/health/ready", client.base)).call();
            if answer.is_ok_and(|answer| answer.status() == 200) {
                return Ok(client);
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        Err(process.failure("was not ready in time"))
    }

    /// Makes the tenant; its administrator's token.
    pub fn make_tenant(&mut self) -> Result<String> {
        self.post("/api/platform/tenants", ADMINISTRATOR, &json!({ "slug": TENANT, "name": TENANT }))?;
        self.tenant = Some(TENANT);
        text(&self.post("/api/platform/tokens", ADMINISTRATOR, &json!({ "name": "bench" }))?, "secret")
    }

    /// What is posted, as Weir answers it.
    pub fn post(&self, path: &str, token: &str, body: &Value) -> Result<Value> {
        let mut request = self.agent.post(format!("{}{path}", self.base)).header("Authorization", format!("Bearer {token}"));
        if let Some(tenant) = self.tenant {
            request = request.header("X-Tenant", tenant);
        }
        read(path, request.send_json(body))
    }

    fn put(&self, path: &str, token: &str, body: &Value) -> Result<Value> {
        let request = self.agent.put(format!("{}{path}", self.base)).header("Authorization", format!("Bearer {token}"));
        read(path, request.send_json(body))
    }

    fn module(&self, path: &str, token: &str, module: &[u8]) -> Result<Value> {
        let request = self.agent.put(format!("{}{path}", self.base)).header("Authorization", format!("Bearer {token}"));
        read(path, request.header("Content-Type", "application/wasm").send(module))
    }
}

/// What the answer has as `data`.
fn read(path: &str, answer: std::result::Result<ureq::http::Response<ureq::Body>, ureq::Error>) -> Result<Value> {
    let mut answer = answer.doing(path)?;
    let status = answer.status();
    let body: Value = answer.body_mut().read_json().doing(path)?;
    if status.is_success() { Ok(body["data"].clone()) } else { Err(Failure::new(format!("{path} answered {status}: {body}"))) }
}

fn text(data: &Value, field: &str) -> Result<String> {
    data[field].as_str().map(str::to_owned).ok_or_else(|| Failure::new(format!("an answer has no {field}: {data}")))
}
