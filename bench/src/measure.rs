//! One run of one line: everything is made ready, the clock runs, the rows are counted.
//!
//! For those that consume, the clock starts when the broker hands out the first record and stops when the last row is committed.
//! Start-up, joining the group and migrations are outside of it. A run whose rows are not exactly the load's is void.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::child::Process;
use crate::copy::Encoded;
use crate::database::{Cluster, Database};
use crate::failure::{Doing as _, Failure, Result};
use crate::load::Load;
use crate::options::{Line, Options};
use crate::usage;
use crate::weir::{self, Weir};

/// How long a consumer may take until its first record.
const FIRST: Duration = Duration::from_mins(1);
/// How long a run may stand still.
const STILL: Duration = Duration::from_mins(1);
/// How often it is asked how far a run is: 1 % of the shortest sensible one.
const ASK: Duration = Duration::from_millis(10);

/// What a run took.
#[derive(Clone, Copy, Debug)]
pub struct Outcome {
    /// Rows that are in the table.
    pub rows: u64,
    /// From the first record to the last commit.
    pub seconds: f64,
    /// Processor seconds of the consumer itself.
    pub own: f64,
    /// Processor seconds of PostgreSQL.
    pub postgres: f64,
    /// Processor seconds of the broker.
    pub broker: f64,
    /// The most memory that the consumer had.
    pub peak_mib: Option<f64>,
    /// Rows of a transaction on the average, where it is known.
    pub rows_a_transaction: Option<u64>,
}

impl Outcome {
    /// Rows a second.
    #[expect(clippy::cast_precision_loss, reason = "below 2^53")]
    pub fn rate(&self) -> f64 {
        self.rows as f64 / self.seconds
    }
}

/// What all runs share: the cluster, and a broker for each load.
pub struct Bench<'a> {
    options: &'a Options,
    /// The cluster that all runs use.
    pub cluster: Cluster,
    brokers: HashMap<(u64, usize), Broker>,
    runs: u32,
}

struct Broker {
    process: Process,
    address: String,
}

/// Processor time up to now.
#[derive(Clone, Copy)]
struct Clock {
    at: Instant,
    own: f64,
    postgres: f64,
    broker: f64,
}

impl<'a> Bench<'a> {
    /// Connects to the cluster.
    pub fn new(options: &'a Options) -> Result<Self> {
        Ok(Self { options, cluster: Cluster::connect(&options.postgres)?, brokers: HashMap::new(), runs: 0 })
    }

    /// Runs a line once.
    pub fn run(&mut self, line: Line, load: Load, copy_rows: u64, profile: bool) -> Result<Outcome> {
        self.runs += 1;
        let name = format!("{}_{}", std::process::id(), self.runs);
        match line {
            Line::Copy => self.copy(&name, load, copy_rows),
            Line::KafkaJs | Line::Psycopg => self.peer(line, &name, load),
            Line::Plain | Line::Schema | Line::Wasm | Line::SchemaAndWasm => self.weir(line, &name, load, profile),
        }
    }

    fn copy(&mut self, name: &str, load: Load, rows: u64) -> Result<Outcome> {
        let encoded = Encoded::new(load, self.options.lanes, rows);
        let weir = Weir::prepare(self.options, &mut self.cluster, name)?;
        self.cluster.checkpoint()?;
        let pid = std::process::id();
        let before = self.clock(pid, None);
        let taken = encoded.store(&weir.readings)?;
        let after = self.clock(pid, None);
        weir.readings.verify("readings", load)?;
        Ok(Outcome { seconds: taken.as_secs_f64(), rows_a_transaction: Some(rows), ..spent(load, before, after, after.at) })
    }

    fn weir(&mut self, line: Line, name: &str, load: Load, profile: bool) -> Result<Outcome> {
        let topic = format!("bench.{name}");
        let weir = Weir::prepare(self.options, &mut self.cluster, name)?;
        weir.register(line, &topic)?;
        self.broker(load)?;
        self.cluster.checkpoint()?;
        let options = self.options;
        let broker = self.broker(load)?;
        let mut writer = weir.writer(&broker.address, name)?;
        let pid = writer.id();
        // It needs a moment to begin, so it has the start in it too.
        let perf = if profile { Some(weir::profile(pid, &options.out)?) } else { None };
        let (began, broker_pid) = broker.first_record(&topic, &mut writer)?;
        let before = self.clock(pid, Some(broker_pid));
        let ended = wait_for_positions(&weir.readings, &mut writer, load)?;
        let after = self.clock(pid, Some(broker_pid));
        let peak_mib = usage::peak_mib(pid);
        if let Some(perf) = perf {
            finish_profile(perf, &options.out)?;
        }
        drop(writer);
        weir.readings.verify("readings", load)?;
        let rows_a_transaction = check_books(&weir.readings, load)?;
        let before = Clock { at: began, ..before };
        Ok(Outcome { peak_mib, rows_a_transaction: Some(rows_a_transaction), ..spent(load, before, after, ended) })
    }

    fn peer(&mut self, line: Line, name: &str, load: Load) -> Result<Outcome> {
        let topic = format!("bench.{name}");
        let database = self.cluster.create(&format!("bench_peer_{name}"))?;
        database.owner()?.batch_execute(PEER_TABLE).doing("the peers' table cannot be made")?;
        self.broker(load)?;
        self.cluster.checkpoint()?;
        let peers = &self.options.peers;
        let (title, mut command) = match line {
            Line::KafkaJs => ("kafkajs", Command::new("node")),
            _ => ("psycopg", Command::new(peers.join("venv/bin/python"))),
        };
        command.arg(peers.join(title).join(if line == Line::KafkaJs { "consumer.js" } else { "consumer.py" }));
        let broker = self.broker(load)?;
        command
            .env("BENCH_BROKER", &broker.address)
            .env("BENCH_TOPIC", &topic)
            .env("BENCH_DATABASE_URL", &database.url)
            .env("BENCH_MESSAGES", load.messages().to_string());
        let mut peer = Process::start(title, &mut command)?;
        let pid = peer.id();
        let (began, broker_pid) = broker.first_record(&topic, &mut peer)?;
        let before = self.clock(pid, Some(broker_pid));
        // Nobody stores fewer than a hundred messages a second.
        let patience = STILL + Duration::from_secs(load.messages() / 100);
        let (ended, ()) = peer.wait_for(patience, |line| (line == "done").then_some(()))?;
        let after = self.clock(pid, Some(broker_pid));
        let peak_mib = usage::peak_mib(pid);
        drop(peer);
        database.verify("sensor_readings", load)?;
        Ok(Outcome { peak_mib, ..spent(load, Clock { at: began, ..before }, after, ended) })
    }

    /// The broker that has this load, started where there is none yet.
    fn broker(&mut self, load: Load) -> Result<&mut Broker> {
        Ok(match self.brokers.entry((load.messages_each, load.values)) {
            Entry::Occupied(running) => running.into_mut(),
            Entry::Vacant(place) => place.insert(Broker::start(load)?),
        })
    }

    fn clock(&self, own: u32, broker: Option<u32>) -> Clock {
        Clock {
            at: Instant::now(),
            own: usage::seconds(own),
            postgres: usage::seconds_with_children(self.cluster.pid),
            broker: broker.map_or(0.0, usage::seconds),
        }
    }
}

/// What the peers' stack has: names in each row, a row a value, a hypertable, one row for a sensor's metric at a time.
const PEER_TABLE: &str = "create table sensor_readings (time timestamptz not null, sensor text not null, metric text not null, value float8 not null); \
    select create_hypertable('sensor_readings', 'time', chunk_time_interval => interval '7 days', create_default_indexes => false); \
    create unique index sensor_readings_key on sensor_readings (sensor, metric, time)";

impl Broker {
    fn start(load: Load) -> Result<Self> {
        let program = std::env::current_exe().doing("the bench does not find itself")?;
        let mut command = Command::new(program);
        command.args(["broker", &load.messages_each.to_string(), &load.values.to_string(), &load.from.to_string()]);
        let mut process = Process::start("the broker", &mut command)?;
        let (_, port) = process.wait_for(STILL * 5, |line| line.strip_prefix("port ").map(str::to_owned))?;
        Ok(Self { process, address: format!("127.0.0.1:{port}") })
    }

    /// When the first record of the topic was handed out, and the broker's process id.
    fn first_record(&mut self, topic: &str, consumer: &mut Process) -> Result<(Instant, u32)> {
        let wanted = format!("fetch {topic}");
        let (when, ()) = self
            .process
            .wait_for(FIRST, |line| (line == wanted).then_some(()))
            .map_err(|_| consumer.failure("did not begin to consume"))?;
        Ok((when, self.process.id()))
    }
}

fn spent(load: Load, before: Clock, after: Clock, ended: Instant) -> Outcome {
    Outcome {
        rows: load.rows(),
        seconds: ended.duration_since(before.at).as_secs_f64(),
        own: after.own - before.own,
        postgres: after.postgres - before.postgres,
        broker: after.broker - before.broker,
        peak_mib: None,
        rows_a_transaction: None,
    }
}

/// Waits until the positions, which move with the rows, are at the end of the log.
fn wait_for_positions(readings: &Database, writer: &mut Process, load: Load) -> Result<Instant> {
    let mut client = readings.client()?;
    let sql =
        client.prepare("select coalesce(sum(next), 0)::bigint from writer_offsets").doing("the positions cannot be read")?;
    let (mut last, mut moved) = (0, Instant::now());
    loop {
        let next: i64 = client.query_one(&sql, &[]).doing("the positions cannot be read")?.get(0);
        if next.cast_unsigned() >= load.messages() {
            return Ok(Instant::now());
        }
        if next > last {
            (last, moved) = (next, Instant::now());
        }
        if moved.elapsed() > STILL {
            return Err(writer.failure(&format!("stands still at {last} of {} messages", load.messages())));
        }
        std::thread::sleep(ASK);
    }
}

/// Weir's books must say the same as the rows. The rows of a transaction on the average.
fn check_books(readings: &Database, load: Load) -> Result<u64> {
    let sql = "select sum(read)::bigint, sum(stored)::bigint, sum(rows)::bigint, count(distinct xmin::text) from batches";
    let row = readings.client()?.query_one(sql, &[]).doing("the books cannot be read")?;
    let books: (i64, i64, i64) = (row.get(0), row.get(1), row.get(2));
    let wanted = (load.messages().cast_signed(), load.messages().cast_signed(), load.rows().cast_signed());
    if books != wanted {
        return Err(Failure::new(format!("the books say (read, stored, rows) = {books:?}, not {wanted:?}")));
    }
    Ok(load.rows() / row.get::<_, i64>(3).cast_unsigned().max(1))
}

/// Stops `perf` and writes its report as text.
fn finish_profile(perf: Process, out: &Path) -> Result<()> {
    let stopped = Command::new("kill").args(["-INT", &perf.id().to_string()]).status().doing("perf cannot be stopped")?;
    if !stopped.success() {
        return Err(Failure::new("perf had ended before"));
    }
    let data = out.join("writer.perf");
    perf.end();
    for (file, arguments) in [("writer-profile.txt", &["--no-children"][..]), ("writer-profile-callers.txt", &["--children"][..])]
    {
        let mut report = Command::new("perf");
        report
            .args(["report", "--stdio", "--percent-limit", "0.5", "--call-graph", "none"])
            .args(arguments)
            .arg("--input")
            .arg(&data);
        let text = report.output().doing("perf report cannot be started")?.stdout;
        std::fs::write(out.join(file), text).doing("the profile cannot be written")?;
    }
    Ok(())
}
