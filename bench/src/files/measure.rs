//! How a cell is measured: the disk is at rest, connections are open, the clock runs, and what was fetched is what was stored.

use std::sync::Arc;
use std::time::Instant;

use tokio::runtime::Runtime;

use super::cells::{Line, Size};
use super::client::{Address, Client};
use super::content::{Content, Noise};
use super::crowd;
use super::options::Options;
use super::setup::Setup;
use super::store;
use crate::database::Cluster;
use crate::failure::{Doing as _, Failure, Result};
use crate::usage;

/// What a cell took.
#[derive(Clone, Copy, Debug)]
pub struct Outcome {
    /// Objects that were stored or fetched.
    pub requests: u32,
    /// From the first request to the end of the last answer.
    pub seconds: f64,
    /// Processor seconds meanwhile.
    pub processor: Processor,
    /// The most memory of the service before the store, meanwhile.
    pub peak_mib: Option<f64>,
    /// What it had when the clock started: what earlier cells left with it, and it did not give back.
    pub rest_mib: Option<f64>,
    /// How often a client was told to come later, and came.
    pub turned_away: u32,
}

impl Outcome {
    /// Requests a second.
    pub fn rate(&self) -> f64 {
        f64::from(self.requests) / self.seconds
    }
}

/// Processor seconds, by who had them.
#[derive(Clone, Copy, Debug)]
pub struct Processor {
    /// The bench itself.
    pub client: f64,
    /// What stands before the store.
    pub service: f64,
    /// The store.
    pub store: f64,
    /// All of PostgreSQL.
    pub postgres: f64,
}

/// Objects of two cells: they are stored in one and fetched in the other.
pub struct Objects {
    line: Line,
    size: Size,
    at_once: usize,
    /// Those that are stored before the clock starts come first.
    all: Arc<[(Address, Content)]>,
}

/// What all cells share.
pub struct Bench<'a> {
    options: &'a Options,
    runtime: Runtime,
    /// The cluster of Weir's databases.
    pub cluster: Cluster,
    noise: Noise,
    numbers: u64,
}

impl<'a> Bench<'a> {
    /// Connects to the cluster.
    pub fn new(options: &'a Options) -> Result<Self> {
        Ok(Self {
            options,
            // Tasks on as many threads as there are cores, the same for all lines.
            runtime: Runtime::new().doing("the runtime cannot be made")?,
            cluster: Cluster::connect(&options.postgres)?,
            noise: Noise::new(),
            numbers: 0,
        })
    }

    /// Objects that no cell has had yet, with addresses that are made, and signed, before the clock starts.
    pub fn objects(&mut self, setup: &Setup, line: Line, size: Size, at_once: usize) -> Result<Objects> {
        let count = (size.warm_puts(at_once) + size.puts(at_once)) as u64;
        let bytes = size.bytes(self.options.big_mib);
        let first = self.numbers;
        self.numbers += count;
        let one = |number| Ok((setup.address(line, number)?, self.noise.object(number, bytes)));
        Ok(Objects { line, size, at_once, all: (first..first + count).map(one).collect::<Result<_>>()? })
    }

    /// Stores objects.
    pub fn put(&mut self, setup: &Setup, objects: &Objects) -> Result<Outcome> {
        let Objects { size, at_once, .. } = *objects;
        let warm = size.warm_puts(at_once);
        let client = Client::new();
        let put = |from: usize| {
            let (client, all) = (client.clone(), Arc::clone(&objects.all));
            move |number: usize| {
                let (client, all) = (client.clone(), Arc::clone(&all));
                async move {
                    let (address, content) = &all[from + number];
                    client.put(address, content).await
                }
            }
        };
        self.rest()?;
        self.runtime.block_on(crowd::run(warm, at_once, put(0)))?;
        self.clocked(setup, objects.line, size.puts(at_once), at_once, put(warm))
    }

    /// Fetches objects that were stored; one of them, another one each round, is held against what was stored before the clock starts.
    pub fn get(&mut self, setup: &Setup, objects: &Objects, round: usize) -> Result<Outcome> {
        let Objects { size, at_once, .. } = *objects;
        let bytes = size.bytes(self.options.big_mib);
        let client = Client::new();
        let get = {
            let (client, all) = (client.clone(), Arc::clone(&objects.all));
            move |number: usize| {
                let (client, all) = (client.clone(), Arc::clone(&all));
                async move { Ok(client.get(&all[number % all.len()].0, bytes, false).await?.turned_away) }
            }
        };
        self.rest()?;
        let (address, content) = &objects.all[(round * 7_919 + at_once) % objects.all.len()];
        let fetched = self.runtime.block_on(client.get(address, bytes, true))?;
        if fetched.sha256 != Some(content.clone().sha256()) {
            return Err(Failure::new("an object came with other bytes than it was stored with"));
        }
        self.runtime.block_on(crowd::run(size.warm_gets(at_once), at_once, get.clone()))?;
        self.clocked(setup, objects.line, size.gets(at_once), at_once, get)
    }

    /// What earlier cells wrote is on disk and does not disturb this one.
    fn rest(&mut self) -> Result<()> {
        self.cluster.checkpoint()?;
        store::settle(&self.options.store)
    }

    fn clocked<F>(
        &self,
        setup: &Setup,
        line: Line,
        requests: usize,
        at_once: usize,
        one: impl Fn(usize) -> F + Clone + Send + 'static,
    ) -> Result<Outcome>
    where
        F: Future<Output = Result<u32>> + Send,
    {
        let service = setup.service(line);
        service.map(usage::forget_peak);
        let rest_mib = service.and_then(usage::resident_mib);
        let before = self.processor(setup, service);
        let started = Instant::now();
        let turned_away = self.runtime.block_on(crowd::run(requests, at_once, one))?;
        let seconds = started.elapsed().as_secs_f64();
        let after = self.processor(setup, service);
        Ok(Outcome {
            requests: u32::try_from(requests).doing("so many requests")?,
            seconds,
            processor: Processor {
                client: after.client - before.client,
                service: after.service - before.service,
                store: after.store - before.store,
                postgres: after.postgres - before.postgres,
            },
            peak_mib: service.and_then(usage::peak_mib),
            rest_mib,
            turned_away,
        })
    }

    fn processor(&self, setup: &Setup, service: Option<u32>) -> Processor {
        Processor {
            client: usage::seconds(std::process::id()),
            service: service.map_or(0.0, usage::seconds),
            store: usage::seconds(setup.store.id()),
            postgres: usage::seconds_with_children(self.cluster.pid),
        }
    }
}

/// Bytes that a setup holds at its end, all lines together.
pub fn room(options: &Options, lines: &[Line], size: Size) -> u64 {
    let cells = options.at_once().into_iter().map(|at_once| {
        let lines = lines.iter().filter(|line| line.takes(size, at_once)).count();
        lines * (size.warm_puts(at_once) + size.puts(at_once))
    });
    cells.sum::<usize>() as u64 * size.bytes(options.big_mib)
}
