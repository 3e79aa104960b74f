//! (c) The same rule behind `list<record>`: a component, an instance from a pool for each batch, epochs on, as Weir has it.
//!
//! What Weir does besides is left out, in favour of this line: it is called on the spot and without async, and nobody takes turns,
//! sums memory or looks at the answer.

use std::fs;
use std::path::Path;
use std::thread;

use wasmtime::component::{Component, HasSelf, Linker};
use wasmtime::{Config, Enabled, Engine, InstanceAllocationStrategy, PoolingAllocationConfig, Store};
use weir::batch::Batch;
use weir::limits;

use self::bench::records::config::Host;
use self::exports::bench::records::readings::Reading;
use crate::failure::{Doing as _, Failure, Result};
use crate::lines::Judge;
use crate::readings::{CONFIG, refuse};

wasmtime::component::bindgen!({
    path: "../peers/records/wit",
    world: "checker",
    // Strings are lent to the guest from the columns; records that own theirs would cost more.
    ownership: Borrowing { duplicate_if_necessary: false },
    imports: { default: trappable },
});

/// The host's side of an instance.
struct State;

impl Host for State {
    fn json(&mut self) -> wasmtime::Result<String> {
        Ok(CONFIG.to_owned())
    }
}

/// The compiled component, ready to be instantiated.
pub struct Records {
    engine: Engine,
    checker: CheckerPre<State>,
}

impl Records {
    /// Compiles the component in the folder of peers.
    pub fn new(peers: &Path) -> Result<Self> {
        let path = peers.join("peer-records.wasm");
        let bytes = fs::read(&path).doing(&format!("{} cannot be read", path.display()))?;
        Self::compile(&bytes).map_err(said)
    }

    fn compile(bytes: &[u8]) -> wasmtime::Result<Self> {
        let mut pool = PoolingAllocationConfig::new();
        pool.max_memory_size(limits::GUEST_MEMORY_BYTES)
            .table_elements(limits::GUEST_TABLE_ELEMENTS)
            .linear_memory_keep_resident(64 << 10)
            .pagemap_scan(Enabled::Auto);
        let mut config = Config::new();
        config
            .epoch_interruption(true)
            .memory_reservation(1 << 30)
            .memory_guard_size(1 << 25)
            .memory_may_move(false)
            .allocation_strategy(InstanceAllocationStrategy::Pooling(pool));
        let engine = Engine::new(&config)?;
        let mut linker = Linker::new(&engine);
        Checker::add_to_linker::<_, HasSelf<_>>(&mut linker, |state: &mut State| state)?;
        let checker = CheckerPre::new(linker.instantiate_pre(&Component::new(&engine, bytes)?)?)?;
        let weak = engine.weak();
        thread::spawn(move || {
            while let Some(engine) = weak.upgrade() {
                engine.increment_epoch();
                drop(engine);
                thread::sleep(limits::GUEST_TICK);
            }
        });
        Ok(Self { engine, checker })
    }

    fn judge_one(&self, batch: &mut Batch) -> Result<()> {
        let columns = batch.columns();
        let readings: Vec<Reading<'_>> = (0..columns.rows())
            .filter(|row| batch.stands(columns.reading[*row]))
            .map(|row| Reading {
                sensor: &columns.sensors[columns.sensor[row] as usize],
                metric: &columns.metrics[columns.metric[row] as usize],
                time: columns.time[row],
                value: columns.value[row],
            })
            .collect();
        let mut store = Store::new(&self.engine, State);
        store.set_epoch_deadline(100);
        let instance = self.checker.instantiate(&mut store).map_err(said)?;
        let outcome = instance.bench_records_readings().call_check(&mut store, &readings).map_err(said)?;
        let outcome = outcome.map_err(Failure::new)?;
        for rejection in outcome.rejected {
            refuse(batch, rejection.row as usize, rejection.reason);
        }
        Ok(())
    }
}

#[expect(clippy::needless_pass_by_value, reason = "it is what `map_err` hands over")]
fn said(error: wasmtime::Error) -> Failure {
    Failure::new(format!("list<record>: {error:#}"))
}

impl Judge for Records {
    fn judge(&mut self, mut batches: Vec<Batch>) -> Result<Vec<Batch>> {
        batches.iter_mut().try_for_each(|batch| self.judge_one(batch))?;
        Ok(batches)
    }
}
