//! The table and the file of results.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;

use serde_json::{Map, Value, json};

use crate::failure::{Doing as _, Result};
use crate::load::Load;
use crate::machine;
use crate::measure::{Bench, Outcome};
use crate::options::{Line, Options};
use crate::spread::Spread;

/// The sound runs of a round.
pub type Round = BTreeMap<Line, Outcome>;

/// Everything that was measured.
pub struct Results {
    /// Weir's rows in a transaction, which COPY had too.
    pub rows_a_transaction: u64,
    /// All rounds.
    pub rounds: Vec<Round>,
    /// Line b with many rows.
    pub flat: Option<Outcome>,
    /// Runs that came to nothing, and why.
    pub void: Vec<String>,
}

/// The ratios that the bars are set for: name, line above, line below, bar.
const RATIOS: &[(&str, Line, Line, Option<f64>)] = &[
    ("plain_vs_copy", Line::Plain, Line::Copy, Some(0.90)),
    ("schema_vs_copy", Line::Schema, Line::Copy, None),
    ("wasm_vs_copy", Line::Wasm, Line::Copy, Some(0.85)),
    ("schema_and_wasm_vs_copy", Line::SchemaAndWasm, Line::Copy, Some(0.60)),
    ("plain_vs_kafkajs", Line::Plain, Line::KafkaJs, Some(10.0)),
    ("plain_vs_psycopg", Line::Plain, Line::Psycopg, Some(1.5)),
];
/// The most memory that the writer may have, in MiB.
const PEAK_BAR: f64 = 200.0;
/// Below this the rate falls with the number of rows.
const FLAT_BAR: f64 = 0.90;

impl Results {
    fn of(&self, line: Line, what: impl Fn(&Outcome) -> Option<f64>) -> Option<Spread> {
        Spread::of(self.rounds.iter().filter_map(|round| what(round.get(&line)?)))
    }

    /// Of each round by itself: what slows a whole round down does not count.
    fn ratio(&self, above: Line, below: Line) -> Option<Spread> {
        Spread::of(self.rounds.iter().filter_map(|round| Some(round.get(&above)?.rate() / round.get(&below)?.rate())))
    }

    fn flat_ratio(&self) -> Option<f64> {
        Some(self.flat?.rate() / self.of(Line::Plain, |outcome| Some(outcome.rate()))?.median)
    }

    /// The most memory that the writer had in any run.
    fn peak(&self) -> Option<f64> {
        let runs =
            self.rounds.iter().flat_map(|round| round.iter().filter(|(line, _)| !line.is_peer()).map(|(_, outcome)| *outcome));
        runs.chain(self.flat).filter_map(|outcome| outcome.peak_mib).max_by(f64::total_cmp)
    }
}

/// The table, as Markdown.
pub fn table(results: &Results) -> String {
    let mut out = String::from(
        "| line | rows | rows/s, median (least–most) | CPU s per 1 M rows: itself | PostgreSQL | broker | peak MiB |\n|---|--:|--:|--:|--:|--:|--:|\n",
    );
    let mut row = |letter: char, title: &str, outcomes: &[Outcome]| {
        let Some(rate) = Spread::of(outcomes.iter().map(Outcome::rate)) else { return };
        let per_million = |what: fn(&Outcome) -> f64| {
            #[expect(clippy::cast_precision_loss, reason = "below 2^53")]
            Spread::of(outcomes.iter().map(|outcome| what(outcome) * 1e6 / outcome.rows as f64))
                .map_or(0.0, |spread| spread.median)
        };
        let peak = Spread::of(outcomes.iter().filter_map(|outcome| outcome.peak_mib))
            .map_or("–".to_owned(), |spread| format!("{:.0}", spread.most));
        let _ = writeln!(
            out,
            "| ({letter}) {title} | {} | {:.0} ({:.0}–{:.0}) | {:.2} | {:.2} | {:.2} | {peak} |",
            outcomes[0].rows,
            rate.median,
            rate.least,
            rate.most,
            per_million(|outcome| outcome.own),
            per_million(|outcome| outcome.postgres),
            per_million(|outcome| outcome.broker),
        );
    };
    for line in Line::ALL {
        let outcomes: Vec<Outcome> = results.rounds.iter().filter_map(|round| round.get(&line).copied()).collect();
        row(line.letter(), line.title(), &outcomes);
    }
    if let Some(flat) = results.flat {
        row('b', "the same, many rows", &[flat]);
    }
    out += "\n| ratio, of each round | median (least–most) | bar | |\n|---|--:|--:|---|\n";
    for (name, above, below, bar) in RATIOS {
        let Some(ratio) = results.ratio(*above, *below) else { continue };
        let (bar, met) = bar.map_or((String::new(), ""), |bar| (format!("{bar:.2}"), verdict(ratio.median >= bar)));
        let _ = writeln!(out, "| `{name}` | {:.2} ({:.2}–{:.2}) | {bar} | {met} |", ratio.median, ratio.least, ratio.most);
    }
    if let Some(ratio) = results.flat_ratio() {
        let _ = writeln!(out, "| `flat_1m_to_20m` | {ratio:.2} | {FLAT_BAR:.2} | {} |", verdict(ratio >= FLAT_BAR));
    }
    if let Some(peak) = results.peak() {
        let _ = writeln!(out, "| the writer's peak memory, MiB | {peak:.0} | {PEAK_BAR:.0} | {} |", verdict(peak <= PEAK_BAR));
    }
    out
}

fn verdict(met: bool) -> &'static str {
    if met { "met" } else { "**missed**" }
}

/// Writes `writer.json` and `writer.md`.
pub fn write(options: &Options, load: Load, results: &Results, bench: &mut Bench<'_>) -> Result<()> {
    let mut ratios: Map<String, Value> = RATIOS
        .iter()
        .filter_map(|(name, above, below, _)| Some(((*name).to_owned(), json!(results.ratio(*above, *below)?.median))))
        .collect();
    ratios.extend(results.flat_ratio().map(|ratio| ("flat_1m_to_20m".to_owned(), json!(ratio))));
    let mut figures = Map::new();
    for line in Line::ALL {
        let Some(rate) = results.of(line, |outcome| Some(outcome.rate())) else { continue };
        let runs: Vec<Value> = results.rounds.iter().filter_map(|round| round.get(&line)).map(figure).collect();
        let peak = results.of(line, |outcome| outcome.peak_mib).map(|spread| spread.most);
        figures.insert(
            line.name().to_owned(),
            json!({ "rows_per_second": { "median": rate.median, "least": rate.least, "most": rate.most },
                "peak_memory_mib": peak, "runs": runs }),
        );
    }
    figures.insert("peak_memory_mib".to_owned(), json!(results.peak()));
    figures.insert("plain_many_rows".to_owned(), json!(results.flat.as_ref().map(figure)));
    figures.insert(
        "conditions".to_owned(),
        json!({ "rows": load.rows(), "values_per_message": load.values, "lanes": options.lanes, "split": options.split, "rounds": options.rounds,
            "rows_a_transaction": results.rows_a_transaction, "settings": options.settings, "void": results.void }),
    );
    let ranges: Map<String, Value> = RATIOS
        .iter()
        .filter_map(|(name, above, below, _)| {
            let ratio = results.ratio(*above, *below)?;
            Some(((*name).to_owned(), json!([ratio.least, ratio.most])))
        })
        .collect();
    figures.insert("ratio_ranges".to_owned(), Value::Object(ranges));
    let whole = json!({ "ratios": ratios, "figures": figures, "machine": machine(options, bench) });
    let text = serde_json::to_string_pretty(&whole).doing("the results cannot be written")?;
    fs::write(options.out.join("writer.json"), text + "\n").doing("the results cannot be written")?;
    fs::write(options.out.join("writer.md"), table(results)).doing("the table cannot be written")
}

fn figure(outcome: &Outcome) -> Value {
    json!({ "rows": outcome.rows, "seconds": outcome.seconds, "rows_per_second": outcome.rate(), "cpu_seconds": outcome.own,
        "cpu_seconds_postgres": outcome.postgres, "cpu_seconds_broker": outcome.broker, "peak_memory_mib": outcome.peak_mib,
        "rows_a_transaction": outcome.rows_a_transaction })
}

/// What it ran on, with the database.
fn machine(options: &Options, bench: &mut Bench<'_>) -> Value {
    let mut machine = machine::machine(&options.checkout);
    machine["postgresql"] = json!(bench.cluster.version);
    machine["timescaledb"] = json!(bench.cluster.timescale());
    machine["durable"] = json!(bench.cluster.durable);
    machine
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(rows: u64, seconds: f64) -> Outcome {
        Outcome { rows, seconds, own: 1.0, postgres: 2.0, broker: 0.1, peak_mib: Some(90.0), rows_a_transaction: None }
    }

    #[test]
    fn a_ratio_is_the_median_of_the_rounds_ratios() {
        let round = |copy, plain| Round::from([(Line::Copy, outcome(100, copy)), (Line::Plain, outcome(100, plain))]);
        let void = Round::from([(Line::Copy, outcome(100, 1.0))]);
        let rounds = vec![round(1.0, 2.0), round(10.0, 10.0), round(1.0, 1.25), void];
        let results = Results { rows_a_transaction: 10, rounds, flat: None, void: Vec::new() };
        let ratio = results.ratio(Line::Plain, Line::Copy).unwrap();
        assert!((ratio.median - 0.8).abs() < 1e-9 && (ratio.least - 0.5).abs() < 1e-9 && (ratio.most - 1.0).abs() < 1e-9);
        let table = table(&results);
        assert!(table.contains("| `plain_vs_copy` | 0.80 (0.50–1.00) | 0.90 | **missed** |"), "{table}");
        assert!(table.contains("| the writer's peak memory, MiB | 90 | 200 | met |"), "{table}");
    }
}
