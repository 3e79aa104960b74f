//! A store with what stands before it: made anew for each size of each round, since garage keeps what was deleted for ten minutes.

use std::process::Command;
use std::time::Duration;

use hyper::Uri;
use hyper::header::HeaderValue;
use serde_json::json;
use tempfile::TempDir;

use super::cells::{Line, Size};
use super::client::Address;
use super::options::Options;
use super::store::{self, Store};
use crate::child::Process;
use crate::database::{Cluster, Database};
use crate::failure::{Doing as _, Failure, Result};
use crate::weir;

/// The bucket of Weir's.
const BUCKET: &str = "files";
/// What lets a client of line c in.
const TOKEN: &str = "express_of_the_bench";
/// How long Node may take to start on a busy machine.
const START: Duration = Duration::from_mins(1);

/// A store and the services in front of it.
pub struct Setup {
    // They end before the store does.
    weir: Option<Service>,
    express: Option<Service>,
    /// The store.
    pub store: Store,
}

/// A running service in front of the store.
struct Service {
    process: Process,
    base: String,
    bucket: &'static str,
    /// What names of objects begin with.
    folder: &'static str,
    authorization: HeaderValue,
    // Removed when the process has ended.
    _databases: Vec<Database>,
    _home: Option<TempDir>,
}

impl Setup {
    /// Starts what these lines need for this size.
    pub fn start(options: &Options, cluster: &mut Cluster, lines: &[Line], size: Size, name: &str) -> Result<Self> {
        let store = Store::start(options)?;
        let needs = |line: Line| lines.contains(&line) && options.at_once().into_iter().any(|at_once| line.takes(size, at_once));
        let weir = if needs(Line::Weir) { Some(start_weir(options, cluster, &store, name)?) } else { None };
        let express = if needs(Line::Express) { Some(start_express(options, &store)?) } else { None };
        Ok(Self { weir, express, store })
    }

    /// The process of a line that stands before the store.
    pub fn service(&self, line: Line) -> Option<u32> {
        self.of(line).map(|service| service.process.id())
    }

    /// Where a line has the object with this number.
    pub fn address(&self, line: Line, number: u64) -> Result<Address> {
        let name = format!("{number:08}.bin");
        match line {
            Line::Direct => return self.store.address(&name),
            Line::Parts => return self.store.address_of_parts(&name),
            Line::Weir | Line::Express => {}
        }
        let Service { base, bucket, folder, authorization, .. } =
            self.of(line).ok_or_else(|| Failure::new("a line has no service"))?;
        let uri = |path: &str| {
            format!("{base}/api/storage/files/{path}{bucket}/{folder}/{name}").parse::<Uri>().doing("an object's address")
        };
        Ok(Address { put: uri("")?, get: uri("download/")?, authorization: Some(authorization.clone()), parts: None })
    }

    fn of(&self, line: Line) -> Option<&Service> {
        match line {
            Line::Direct | Line::Parts => None,
            Line::Weir => self.weir.as_ref(),
            Line::Express => self.express.as_ref(),
        }
    }
}

fn start_weir(options: &Options, cluster: &mut Cluster, store: &Store, name: &str) -> Result<Service> {
    let home = tempfile::tempdir().doing("a folder")?;
    weir::furnish(home.path(), &options.checkout)?;
    let platform = cluster.create(&format!("bench_files_platform_{name}"))?;
    let readings = cluster.create(&format!("bench_files_readings_{name}"))?;
    let databases = [platform.url.as_str(), readings.url.as_str()];
    weir::migrate(weir::command(&options.weir, "migrate", home.path(), databases))?;
    let mut command = weir::command(&options.weir, "serve", home.path(), databases);
    command
        .env("WEIR_ROLE", "api")
        .env("WEIR_STORAGE_URL", format!("s3://{}", store::BUCKET))
        .env("WEIR_STORAGE_REGION", store::REGION)
        .env("MINIO_ENDPOINT", store.endpoint())
        .env("MINIO_ACCESS_KEY", store::ACCESS_KEY)
        .env("MINIO_SECRET_KEY", store::SECRET_KEY);
    weir::set(&mut command, &options.settings)?;
    let mut process = Process::start("weir (api)", &mut command)?;
    let mut client = weir::Client::ready(&mut process)?;
    let token = client.make_tenant()?;
    client.post("/api/storage/buckets", &token, &json!({ "name": BUCKET }))?;
    Ok(Service {
        process,
        base: client.base,
        bucket: BUCKET,
        folder: "weir",
        authorization: bearer(&token)?,
        _databases: vec![platform, readings],
        _home: Some(home),
    })
}

fn start_express(options: &Options, store: &Store) -> Result<Service> {
    let mut command = Command::new("node");
    command
        .arg(options.express.join("server.js"))
        .env("NODE_ENV", "production")
        .env("BENCH_S3_HOST", "127.0.0.1")
        .env("BENCH_S3_PORT", store.port.to_string())
        .env("BENCH_S3_REGION", store::REGION)
        .env("BENCH_S3_ACCESS_KEY", store::ACCESS_KEY)
        .env("BENCH_S3_SECRET_KEY", store::SECRET_KEY)
        .env("BENCH_TOKEN", TOKEN);
    let mut process = Process::start("express-files", &mut command)?;
    let (_, port) = process.wait_for(START, |line| line.strip_prefix("port ").map(str::to_owned))?;
    Ok(Service {
        process,
        base: format!("http://127.0.0.1:{port}"),
        bucket: store::BUCKET,
        folder: "express",
        authorization: bearer(TOKEN)?,
        _databases: Vec::new(),
        _home: None,
    })
}

fn bearer(token: &str) -> Result<HeaderValue> {
    HeaderValue::try_from(format!("Bearer {token}")).doing("a token")
}
