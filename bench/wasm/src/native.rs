//! (a) The sample validator's rule as a part of the program, over the same columns.

use weir::batch::Batch;
use weir_validator_sdk::{Config, Reading, Validator as _};

use crate::failure::{Failure, Result};
use crate::lines::Judge;
use crate::range_check::RangeCheck;
use crate::readings::{CONFIG, refuse};

/// The rule, made once.
pub struct Native(RangeCheck);

impl Native {
    /// Reads the configuration.
    pub fn new() -> Result<Self> {
        RangeCheck::new(Config::new(CONFIG)).map(Self).map_err(Failure::new)
    }

    fn judge_one(&self, batch: &mut Batch) {
        for row in 0..batch.columns().rows() {
            let columns = batch.columns();
            if !batch.stands(columns.reading[row]) {
                continue;
            }
            let metric = &columns.metrics[columns.metric[row] as usize];
            // All readings of the bench are numbers.
            let reading = Reading::new(metric, columns.value[row])
                .from_sensor(&columns.sensors[columns.sensor[row] as usize])
                .in_unit(&columns.units[columns.unit[row] as usize])
                .at(columns.time[row]);
            if let Some(reason) = self.0.check(&reading).rejection() {
                let reason = reason.to_owned();
                refuse(batch, row, reason);
            }
        }
    }
}

impl Judge for Native {
    fn judge(&mut self, mut batches: Vec<Batch>) -> Result<Vec<Batch>> {
        for batch in &mut batches {
            self.judge_one(batch);
        }
        Ok(batches)
    }
}
