//! The table and the file of results.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::process::Command;

use serde_json::{Map, Value, json};

use super::cells::{Cell, Line, Size, Verb};
use super::measure::{Bench, Outcome};
use super::options::Options;
use super::store;
use crate::failure::{Doing as _, Result};
use crate::machine;
use crate::spread::Spread;
use crate::usage;

/// The sound cells of a round.
pub type Round = BTreeMap<(Line, Cell), Outcome>;

/// Everything that was measured.
pub struct Results {
    /// MiB of the big objects.
    pub big_mib: u16,
    /// All rounds.
    pub rounds: Vec<Round>,
    /// Cells that came to nothing, and why.
    pub void: Vec<String>,
}

/// What Weir's rate has to be at the least: of the store's for whatever is large, for what is small, and of what it replaces.
const LARGE_BAR: f64 = 0.95;
const SMALL_BAR: f64 = 0.70;
const EXPRESS_BAR: f64 = 5.0;
/// The most memory that Weir may have, in MiB, while so many objects of so many MiB are under way.
const PEAK_BAR: f64 = 150.0;
const PEAK_AT: (u16, usize) = (256, 32);

/// One of the ratios: a line's rate divided by another line's; of Weir's where nothing else is in its name.
struct Ratio {
    name: String,
    spread: Spread,
    bar: Option<f64>,
}

impl Results {
    /// None yet.
    pub fn new(big_mib: u16) -> Self {
        Self { big_mib, rounds: Vec::new(), void: Vec::new() }
    }

    /// The cells that any line has, by verb, size and number at once.
    fn cells(&self) -> Vec<Cell> {
        let mut cells: Vec<Cell> = self.rounds.iter().flat_map(|round| round.keys().map(|(_, cell)| *cell)).collect();
        cells.sort_unstable();
        cells.dedup();
        cells
    }

    fn of(&self, line: Line, cell: Cell, what: impl Fn(&Outcome) -> Option<f64>) -> Option<Spread> {
        Spread::of(self.rounds.iter().filter_map(|round| what(round.get(&(line, cell))?)))
    }

    /// Objects a second of the small ones, MiB a second of all others.
    fn rate(&self, line: Line, cell: Cell) -> Option<Spread> {
        let units = cell.size.units(self.big_mib);
        self.of(line, cell, |outcome| Some(outcome.rate() * units))
    }

    /// Of each round by itself: what slows a whole round down does not count.
    fn ratio(&self, cell: Cell, above: Line, below: Line) -> Option<Spread> {
        Spread::of(
            self.rounds.iter().filter_map(|round| Some(round.get(&(above, cell))?.rate() / round.get(&(below, cell))?.rate())),
        )
    }

    fn ratios(&self) -> Vec<Ratio> {
        let mut ratios = Vec::new();
        let mut enter = |above: Line, below: Line, bar: fn(Size) -> Option<f64>| {
            for cell in self.cells() {
                let Some(spread) = self.ratio(cell, above, below) else { continue };
                let above = if above == Line::Weir { String::new() } else { format!("_{}", above.name()) };
                let name = format!("{}{above}_vs_{}", cell.name(self.big_mib), below.name());
                ratios.push(Ratio { name, spread, bar: bar(cell.size) });
            }
        };
        enter(Line::Weir, Line::Direct, |size| Some(if size == Size::Small { SMALL_BAR } else { LARGE_BAR }));
        enter(Line::Weir, Line::Parts, |_| None);
        enter(Line::Weir, Line::Express, |size| (size == Size::Small).then_some(EXPRESS_BAR));
        // What whoever asks the store for everything can come to at the most.
        enter(Line::Direct, Line::Express, |_| None);
        ratios
    }

    /// The most memory that Weir had with the largest objects and the most of them at once; what they were.
    fn peak(&self) -> Option<(Size, usize, f64)> {
        let largest = |(line, cell): &&(Line, Cell)| (*line == Line::Weir).then_some((cell.size, cell.at_once));
        let (size, at_once) = self.rounds.iter().flat_map(BTreeMap::keys).filter_map(|key| largest(&key)).max()?;
        let most = [Verb::Put, Verb::Get].into_iter().filter_map(|verb| self.memory(Line::Weir, Cell { verb, size, at_once }));
        Some((size, at_once, most.map(|spread| spread.most).max_by(f64::total_cmp)?))
    }

    fn memory(&self, line: Line, cell: Cell) -> Option<Spread> {
        self.of(line, cell, |outcome| outcome.peak_mib)
    }

    /// The same, where it is what the bar is set for.
    fn peak_at_bar(&self) -> Option<f64> {
        self.peak().filter(|(size, at_once, _)| *size == Size::Big && (self.big_mib, *at_once) == PEAK_AT).map(|(.., peak)| peak)
    }
}

/// A cell, as it is told while the bench runs.
pub fn told(cell: Cell, outcome: &Outcome, big_mib: u16) -> String {
    let units = cell.size.units(big_mib);
    let rate = outcome.rate() * units;
    let unit = if cell.size == Size::Small { "a second" } else { "MiB/s" };
    let mut told =
        format!("{} {} × {}: {} {unit}", cell.verb.name().to_uppercase(), cell.size.title(big_mib), cell.at_once, figure(rate));
    let _ = write!(told, " in {:.1} s", outcome.seconds);
    if let Some(peak) = outcome.peak_mib {
        let _ = write!(told, ", {peak:.0} MiB");
    }
    if outcome.turned_away > 0 {
        let _ = write!(told, ", {} times told to come later", outcome.turned_away);
    }
    told
}

/// A figure with as many digits as mean something.
fn figure(value: f64) -> String {
    match value {
        ..10.0 => format!("{value:.2}"),
        10.0..100.0 => format!("{value:.1}"),
        _ => format!("{value:.0}"),
    }
}

fn spread(spread: Spread) -> String {
    format!("{} ({}–{})", figure(spread.median), figure(spread.least), figure(spread.most))
}

/// The tables, as Markdown.
pub fn table(results: &Results) -> String {
    let mut out = String::new();
    for verb in [Verb::Put, Verb::Get] {
        let name = verb.name().to_uppercase();
        section(&mut out, results, verb, &format!("{name}: objects a second of 4 KiB, MiB/s of others"), &|line, cell| {
            Some(spread(results.rate(line, cell)?))
        });
    }
    for verb in [Verb::Put, Verb::Get] {
        let name = verb.name().to_uppercase();
        let what = format!("{name}: processor ms an object of 4 KiB, a MiB of others: client + service + store + PostgreSQL");
        section(&mut out, results, verb, &what, &|line, cell| processor(results, line, cell));
    }
    for verb in [Verb::Put, Verb::Get] {
        let name = verb.name().to_uppercase();
        let what = format!("{name}: the service's peak memory, and what it had at the start, MiB");
        section(&mut out, results, verb, &what, &|line, cell| {
            let (peak, rest) = (results.memory(line, cell)?, results.of(line, cell, |outcome| outcome.rest_mib)?);
            Some(format!("{:.0} ({:.0}–{:.0}), {:.0}", peak.median, peak.least, peak.most, rest.median))
        });
    }
    out += "| ratio, of each round | median (least–most) | bar | |\n|---|--:|--:|---|\n";
    for Ratio { name, spread, bar } in results.ratios() {
        let (bar, met) = bar.map_or((String::new(), ""), |bar| (format!("≥ {bar:.2}"), verdict(spread.median >= bar)));
        let _ = writeln!(out, "| `{name}` | {:.2} ({:.2}–{:.2}) | {bar} | {met} |", spread.median, spread.least, spread.most);
    }
    if let Some((size, at_once, peak)) = results.peak() {
        let (bar, met) = match results.peak_at_bar() {
            Some(peak) => (format!("≤ {PEAK_BAR:.0}"), verdict(peak <= PEAK_BAR)),
            None => (String::new(), ""),
        };
        let size = size.title(results.big_mib);
        let _ = writeln!(out, "| Weir's peak memory at {size} × {at_once}, MiB | {peak:.0} | {bar} | {met} |");
    }
    out
}

/// A table with a row for each line that has anything to say about what is done.
fn section(out: &mut String, results: &Results, verb: Verb, what: &str, of: &dyn Fn(Line, Cell) -> Option<String>) {
    let cells: Vec<Cell> = results.cells().into_iter().filter(|cell| cell.verb == verb).collect();
    let _ = write!(out, "| {what}");
    for cell in &cells {
        let _ = write!(out, " | {} × {}", cell.size.title(results.big_mib), cell.at_once);
    }
    let _ = writeln!(out, " |\n|---{}|", "|--:".repeat(cells.len()));
    for line in Line::ALL {
        let told: Vec<Option<String>> = cells.iter().map(|cell| of(line, *cell)).collect();
        if told.iter().any(Option::is_some) {
            let told: Vec<String> = told.into_iter().map(|told| told.unwrap_or_else(|| "–".to_owned())).collect();
            let _ = writeln!(out, "| ({}) {} | {} |", line.letter(), line.title(), told.join(" | "));
        }
    }
    out.push('\n');
}

/// Medians of who had how much.
fn processor(results: &Results, line: Line, cell: Cell) -> Option<String> {
    let parts = by_part(results, line, cell).map(|(_, spread)| spread);
    let parts = parts.into_iter().map(|spread| Some(format!("{:.2}", spread?.median))).collect::<Option<Vec<_>>>()?;
    Some(parts.join(" + "))
}

/// Processor milliseconds an object of 4 KiB, or a MiB of others.
fn by_part(results: &Results, line: Line, cell: Cell) -> [(&'static str, Option<Spread>); 4] {
    let units = cell.size.units(results.big_mib);
    let of = |what: fn(&Outcome) -> f64| {
        results.of(line, cell, |outcome| Some(what(outcome) * 1e3 / f64::from(outcome.requests) / units))
    };
    [
        ("client", of(|outcome| outcome.processor.client)),
        ("service", of(|outcome| outcome.processor.service)),
        ("store", of(|outcome| outcome.processor.store)),
        ("postgresql", of(|outcome| outcome.processor.postgres)),
    ]
}

fn verdict(met: bool) -> &'static str {
    if met { "met" } else { "**missed**" }
}

fn whole(spread: Spread) -> Value {
    json!({ "median": spread.median, "least": spread.least, "most": spread.most })
}

/// Writes `files.json` and `files.md`.
pub fn write(options: &Options, results: &Results, bench: &Bench<'_>) -> Result<()> {
    let mut ratios = Map::new();
    let mut ranges = Map::new();
    for Ratio { name, spread, .. } in results.ratios() {
        ratios.insert(name.clone(), json!(spread.median));
        ranges.insert(name, json!([spread.least, spread.most]));
    }
    if let Some(peak) = results.peak_at_bar() {
        ratios.insert("peak_memory_mib".to_owned(), json!(peak));
    }
    let mut figures = Map::new();
    for line in Line::ALL {
        let cells =
            results.cells().into_iter().filter_map(|cell| Some((cell.name(results.big_mib), of_cell(results, line, cell)?)));
        figures.insert(line.name().to_owned(), Value::Object(cells.collect()));
    }
    figures.insert("ratio_ranges".to_owned(), Value::Object(ranges));
    let peak = results
        .peak()
        .map(|(size, at_once, peak)| json!({ "size": size.name(results.big_mib), "at_once": at_once, "mib": peak }));
    figures.insert("peak_memory".to_owned(), json!(peak));
    figures.insert(
        "conditions".to_owned(),
        json!({ "rounds": options.rounds, "big_mib": options.big_mib, "at_once": options.at_once(), "store_delayed": options.delayed, "peaks_are_of_cells": usage::forget_peak(std::process::id()),
            "settings": options.settings,
            "void": results.void }),
    );
    let mut machine = machine::machine(&options.checkout);
    machine["postgresql"] = json!(bench.cluster.version);
    machine["s3_store"] = json!(store::version(&options.garage));
    let node = Command::new("node").arg("--version").output();
    machine["node"] = json!(node.map(|told| String::from_utf8_lossy(&told.stdout).trim().to_owned()).ok());
    let result = json!({ "ratios": ratios, "figures": figures, "machine": machine });
    let text = serde_json::to_string_pretty(&result).doing("the results cannot be written")?;
    fs::write(options.out.join("files.json"), text + "\n").doing("the results cannot be written")?;
    fs::write(options.out.join("files.md"), table(results)).doing("the table cannot be written")
}

fn of_cell(results: &Results, line: Line, cell: Cell) -> Option<Value> {
    let rate = results.rate(line, cell)?;
    let unit = if cell.size == Size::Small { "objects_per_second" } else { "mib_per_second" };
    let outcomes: Vec<&Outcome> = results.rounds.iter().filter_map(|round| round.get(&(line, cell))).collect();
    let parts = by_part(results, line, cell);
    let processor: Map<String, Value> =
        parts.into_iter().filter_map(|(name, spread)| Some((name.to_owned(), whole(spread?)))).collect();
    Some(json!({
        unit: whole(rate),
        "requests": outcomes.first()?.requests,
        "seconds": outcomes.iter().map(|outcome| outcome.seconds).collect::<Vec<_>>(),
        "processor_ms": processor,
        "peak_memory_mib": results.memory(line, cell).map(whole),
        "memory_at_start_mib": results.of(line, cell, |outcome| outcome.rest_mib).map(whole),
        "told_to_come_later": outcomes.iter().map(|outcome| outcome.turned_away).sum::<u32>(),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::measure::Processor;

    fn outcome(seconds: f64, peak_mib: Option<f64>) -> Outcome {
        let processor = Processor { client: 1.0, service: 2.0, store: 3.0, postgres: 4.0 };
        Outcome { requests: 100, seconds, processor, peak_mib, rest_mib: peak_mib.map(|peak| peak - 10.0), turned_away: 0 }
    }

    #[test]
    fn a_ratio_is_weirs_rate_by_the_others_and_the_bar_of_memory_is_for_one_size() {
        let cell = |size| Cell { verb: Verb::Get, size, at_once: 32 };
        let round = |direct, weir| {
            Round::from([
                ((Line::Direct, cell(Size::Small)), outcome(direct, None)),
                ((Line::Weir, cell(Size::Small)), outcome(weir, Some(40.0))),
                ((Line::Express, cell(Size::Small)), outcome(8.0, Some(90.0))),
                ((Line::Weir, cell(Size::Big)), outcome(2.0, Some(160.0))),
            ])
        };
        let mut results = Results::new(256);
        results.rounds = vec![round(1.0, 2.0), round(4.0, 5.0), round(1.0, 1.0)];
        let table = table(&results);
        assert!(table.contains("| `get_4kib_32_vs_direct` | 0.80 (0.50–1.00) | ≥ 0.70 | met |"), "{table}");
        assert!(table.contains("| `get_4kib_32_direct_vs_express` | 8.00 (2.00–8.00) |  |  |"), "{table}");
        assert!(table.contains("| `get_4kib_32_vs_express` | 4.00 (1.60–8.00) | ≥ 5.00 | **missed** |"), "{table}");
        assert!(table.contains("| Weir's peak memory at 256 MiB × 32, MiB | 160 | ≤ 150 | **missed** |"), "{table}");
        assert!(table.contains("| (b) Weir | 40 (40–40), 30 | 160 (160–160), 150 |"), "{table}");
        assert!(table.contains("| (a) the S3 store itself | 10.00 + 20.00 + 30.00 + 40.00 | – |"), "{table}");
        results.big_mib = 8;
        assert!(results.peak_at_bar().is_none() && results.peak().is_some());
    }
}
