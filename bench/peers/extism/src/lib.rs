//! The rule of `range-check` as an Extism plugin, written as its documentation does: a `#[plugin_fn]` that takes and gives `Json`, the
//! configuration from the manifest.

#![expect(missing_docs, reason = "`plugin_fn` makes an undocumented function of it")]

use std::sync::OnceLock;

use bench_rule::{Rule, Verdict};
use extism_pdk::{Error, FnResult, Json, config, plugin_fn};
use serde::{Deserialize, Serialize};

/// A reading as it comes. The strings are the plugin's own: `Json` has nothing that could be borrowed from.
#[derive(Deserialize)]
pub struct Reading {
    #[expect(dead_code, reason = "the rule does not ask who measured; a plugin is told all the same")]
    sensor: String,
    metric: String,
    #[expect(dead_code, reason = "the rule does not ask when; a plugin is told all the same")]
    time: i64,
    value: f64,
}

/// What is said about the readings that are not simply accepted.
#[derive(Default, Serialize)]
pub struct Outcome {
    rejected: Vec<Rejection>,
    suspect: Vec<u32>,
}

#[derive(Serialize)]
struct Rejection {
    row: u32,
    reason: String,
}

/// Kept from call to call where the instance is.
static RULE: OnceLock<Rule> = OnceLock::new();

fn rule() -> Result<&'static Rule, Error> {
    if let Some(rule) = RULE.get() {
        return Ok(rule);
    }
    let json = config::get("rule")?.unwrap_or_default();
    let rule = Rule::new(&json).map_err(Error::msg)?;
    Ok(RULE.get_or_init(|| rule))
}

#[plugin_fn]
pub fn check(Json(readings): Json<Vec<Reading>>) -> FnResult<Json<Outcome>> {
    let rule = rule()?;
    let mut outcome = Outcome::default();
    for (row, reading) in (0_u32..).zip(&readings) {
        match rule.judge(&reading.metric, reading.value) {
            Verdict::Accept => {}
            Verdict::Suspect => outcome.suspect.push(row),
            Verdict::Reject(reason) => outcome.rejected.push(Rejection { row, reason }),
        }
    }
    Ok(Json(outcome))
}
