//! (d) and (e) The same rule as an Extism plugin, with JSON both ways, as Extism's documentation has it: a plugin that is compiled
//! once, its configuration in the manifest, `Json` as input and output.

use std::path::Path;

use extism::convert::Json;
use extism::{CompiledPlugin, Manifest, PluginBuilder, Wasm};
use serde::{Deserialize, Serialize};
use weir::batch::Batch;

use crate::failure::{Failure, Result};
use crate::lines::Judge;
use crate::readings::{CONFIG, refuse};

/// The compiled plugin, and its instance where one is kept.
pub struct Plugin {
    compiled: CompiledPlugin,
    kept: Option<extism::Plugin>,
}

/// A reading as it goes in. Only strings of the columns are named; no reading is copied before it is JSON.
#[derive(Serialize)]
struct Reading<'a> {
    sensor: &'a str,
    metric: &'a str,
    time: i64,
    value: f64,
}

#[derive(Deserialize)]
struct Outcome {
    rejected: Vec<Rejection>,
}

#[derive(Deserialize)]
struct Rejection {
    row: usize,
    reason: String,
}

impl Plugin {
    /// Compiles the plugin in the folder of peers; `reused` for one instance and all batches.
    pub fn new(peers: &Path, reused: bool) -> Result<Self> {
        // By its path: bytes in the manifest would be copied for each instance.
        let manifest = Manifest::new([Wasm::file(peers.join("peer-extism.wasm"))]).with_config_key("rule", CONFIG);
        let compiled = PluginBuilder::new(manifest).with_cache_disabled().compile().map_err(said)?;
        let kept = if reused { Some(extism::Plugin::new_from_compiled(&compiled).map_err(said)?) } else { None };
        Ok(Self { compiled, kept })
    }

    fn judge_one(&mut self, batch: &mut Batch) -> Result<()> {
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
        let Json(outcome): Json<Outcome> = match &mut self.kept {
            Some(plugin) => plugin.call("check", Json(readings)),
            None => extism::Plugin::new_from_compiled(&self.compiled).and_then(|mut plugin| plugin.call("check", Json(readings))),
        }
        .map_err(said)?;
        for rejection in outcome.rejected {
            refuse(batch, rejection.row, rejection.reason);
        }
        Ok(())
    }
}

#[expect(clippy::needless_pass_by_value, reason = "it is what `map_err` hands over")]
fn said(error: extism::Error) -> Failure {
    Failure::new(format!("Extism: {error:#}"))
}

impl Judge for Plugin {
    fn judge(&mut self, mut batches: Vec<Batch>) -> Result<Vec<Batch>> {
        batches.iter_mut().try_for_each(|batch| self.judge_one(batch))?;
        Ok(batches)
    }
}
