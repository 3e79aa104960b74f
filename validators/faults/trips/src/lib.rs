//! Panics if a row is from the sensor `trap`, accepts otherwise: one bad reading among good ones.

use weir_validator_sdk::bindings::{self, Batch, Guest, Outcome};

struct Fault;

impl Guest for Fault {
    fn check(batch: Batch) -> Result<Outcome, String> {
        let Batch { sensors, sensor, .. } = batch;
        let trap = sensors.iter().position(|name| name == "trap").and_then(|index| u32::try_from(index).ok());
        assert!(!trap.is_some_and(|trap| sensor.contains(&trap)), "this guest panics over the sensor named trap");
        Ok(Outcome { rejected: vec![], suspect: vec![], value: vec![], text: vec![], unit: vec![], derived: vec![] })
    }
}

bindings::export!(Fault);
