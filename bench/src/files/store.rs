//! The S3 store: a garage of its own, as `scripts/services` starts it, with addresses that are signed before the clock starts.
//!
//! Garage leaves Nagle's algorithm on, which S3 stores turn off: it sends the head of an answer, and keeps a small object back until the
//! head is acknowledged, for which Linux takes up to 40 ms. With that, a download of 4 KiB measures a timer, in all lines alike. So it is
//! turned off from outside, at the socket that garage listens on, from which each connection has it.

use std::fs;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use hyper::Uri;
use rustix::net::sockopt;
use rustix::process::{Pid, PidfdFlags, PidfdGetfdFlags, pidfd_getfd, pidfd_open};
use rusty_s3::{Bucket, Credentials, S3Action as _, UrlStyle};
use tempfile::TempDir;

use super::client::Address;
use super::options::Options;
use super::parts::Parts;
use crate::child::Process;
use crate::failure::{Doing as _, Failure, Result};

/// The store's region.
pub const REGION: &str = "garage";
/// Its bucket.
pub const BUCKET: &str = "weir-test";
/// Its access key.
pub const ACCESS_KEY: &str = "GK000000000000000000000001";
/// Its secret key.
pub const SECRET_KEY: &str = "0000000000000000000000000000000000000000000000000000000000000002";
/// How long a start may take on a busy machine.
const START: Duration = Duration::from_mins(1);
/// How long signed addresses are good for.
const SIGNED_FOR: Duration = Duration::from_hours(12);

/// A running store. What it holds is gone when it is dropped.
pub struct Store {
    process: Process,
    /// Where it answers.
    pub port: u16,
    bucket: Bucket,
    credentials: Credentials,
    _data: TempDir,
}

impl Store {
    /// Starts an empty one and waits until its bucket takes objects.
    pub fn start(options: &Options) -> Result<Self> {
        let data = tempfile::Builder::new().prefix("weir-bench-files.").tempdir_in(&options.store).doing("the store's folder")?;
        let (port, rpc) = (free_port()?, free_port()?);
        let config = data.path().join("garage.toml");
        fs::write(&config, settings(data.path(), port, rpc)).doing("the store's settings")?;
        let mut command = Command::new(&options.garage);
        command
            .arg("-c")
            .arg(&config)
            .args(["server", "--single-node", "--default-bucket"])
            .env("GARAGE_DEFAULT_ACCESS_KEY", ACCESS_KEY)
            .env("GARAGE_DEFAULT_SECRET_KEY", SECRET_KEY)
            .env("GARAGE_DEFAULT_BUCKET", BUCKET)
            .env("RUST_LOG", "warn");
        let process = Process::start("garage", &mut command)?;
        let endpoint = format!("http://127.0.0.1:{port}").parse().doing("the store's address")?;
        let bucket = Bucket::new(endpoint, UrlStyle::Path, BUCKET, REGION).doing("the store's bucket")?;
        let mut store = Self { process, port, bucket, credentials: Credentials::new(ACCESS_KEY, SECRET_KEY), _data: data };
        store.wait()?;
        if !options.delayed {
            let found = listener(store.id(), port).doing("the store's sockets")?;
            let socket = found.ok_or_else(|| Failure::new("the store's socket was not found; --delayed leaves it as it is"))?;
            sockopt::set_tcp_nodelay(socket, true).doing("the store's socket")?;
        }
        Ok(store)
    }

    fn wait(&mut self) -> Result<()> {
        let deadline = Instant::now() + START;
        let agent = ureq::Agent::config_builder().timeout_global(Some(START)).build().new_agent();
        let first = self.bucket.put_object(Some(&self.credentials), "first").sign(SIGNED_FOR);
        while Instant::now() < deadline {
            let listens = TcpStream::connect(("127.0.0.1", self.port)).is_ok();
            if listens && agent.put(first.as_str()).send("first").is_ok() {
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        Err(self.process.failure("did not take an object in time"))
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// Its address, for those who sign for themselves.
    pub fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Where an object of this name is, signed.
    pub fn address(&self, name: &str) -> Result<Address> {
        let key = format!("direct/{name}");
        let put = self.bucket.put_object(Some(&self.credentials), &key).sign(SIGNED_FOR);
        let get = self.bucket.get_object(Some(&self.credentials), &key).sign(SIGNED_FOR);
        let uri = |url: &str| url.parse::<Uri>().doing("a signed address");
        Ok(Address { put: uri(put.as_str())?, get: uri(get.as_str())?, authorization: None, parts: None })
    }

    /// The same for one that is stored in parts.
    pub fn address_of_parts(&self, name: &str) -> Result<Address> {
        let parts = Parts { bucket: self.bucket.clone(), credentials: self.credentials.clone(), key: format!("direct/{name}") };
        Ok(Address { parts: Some(parts), ..self.address(name)? })
    }
}

/// The socket by which another process, started by this one, listens on a port.
fn listener(pid: u32, port: u16) -> rustix::io::Result<Option<OwnedFd>> {
    let Some(process) = i32::try_from(pid).ok().and_then(Pid::from_raw) else { return Ok(None) };
    let process = pidfd_open(process, PidfdFlags::empty())?;
    let Ok(entries) = fs::read_dir(format!("/proc/{pid}/fd")) else { return Ok(None) };
    let sockets = entries.flatten().filter(|entry| {
        fs::read_link(entry.path()).is_ok_and(|target| target.to_str().is_some_and(|target| target.starts_with("socket:")))
    });
    for number in sockets.filter_map(|entry| entry.file_name().to_str()?.parse().ok()) {
        let socket = pidfd_getfd(&process, number, PidfdGetfdFlags::empty())?;
        let address = rustix::net::getsockname(&socket).ok().and_then(|address| SocketAddr::try_from(address).ok());
        let listens = sockopt::socket_acceptconn(&socket).unwrap_or(false);
        if listens && address.is_some_and(|address| address.port() == port) {
            return Ok(Some(socket));
        }
    }
    Ok(None)
}

/// Which store this is.
pub fn version(program: &Path) -> String {
    let told = Command::new(program).arg("--version").output();
    told.map(|told| String::from_utf8_lossy(&told.stdout).trim().to_owned()).unwrap_or_default()
}

fn settings(folder: &Path, port: u16, rpc: u16) -> String {
    let folder = folder.display();
    format!(
        "metadata_dir = \"{folder}/meta\"\n\
        data_dir = \"{folder}/data\"\n\
        db_engine = \"sqlite\"\n\
        replication_factor = 1\n\
        rpc_bind_addr = \"127.0.0.1:{rpc}\"\n\
        rpc_secret = \"{:064}\"\n\
        [s3_api]\n\
        s3_region = \"{REGION}\"\n\
        api_bind_addr = \"127.0.0.1:{port}\"\n",
        7
    )
}

fn free_port() -> Result<u16> {
    let listener = TcpListener::bind("127.0.0.1:0").doing("a port")?;
    listener.local_addr().map(|address| address.port()).doing("a port")
}

/// Fails where the disk below a folder has less than this.
pub fn check_room(folder: &Path, bytes: u64) -> Result<()> {
    let disk = rustix::fs::statvfs(folder).doing("the store's folder")?;
    let free = disk.f_bavail * disk.f_frsize;
    if free >= bytes {
        return Ok(());
    }
    let gib = |bytes: u64| bytes.div_ceil(1 << 30);
    Err(Failure::new(format!(
        "the store needs {} GiB in {}, which has {}; name another folder by BENCH_STORE, or smaller objects by --big-mib",
        gib(bytes),
        folder.display(),
        gib(free)
    )))
}

/// Writes down what earlier cells left, so that the next one does not pay for it.
pub fn settle(folder: &Path) -> Result<()> {
    let folder = fs::File::open(folder).doing("the store's folder")?;
    rustix::fs::syncfs(folder).doing("the disk")
}
