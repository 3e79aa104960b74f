//! The table and the file of results.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;

use serde_json::{Map, Value, json};

use crate::failure::{Doing as _, Result};
use crate::figures::Figures;
use crate::lines::Line;
use crate::machine::machine;
use crate::options::Options;
use crate::spread::Spread;

/// Nanoseconds a reading of the sound cells of a round: by line, and by readings of a batch.
pub type Round = BTreeMap<(Line, usize), f64>;

/// Everything that was measured.
#[derive(Default)]
pub struct Results {
    /// All rounds.
    pub rounds: Vec<Round>,
    /// What is not in the table.
    pub figures: Option<Figures>,
    /// Cells that came to nothing, and why.
    pub void: Vec<String>,
}

/// Readings of a batch that the bars are set for.
const AT: usize = 1_000;

/// What a ratio may be.
#[derive(Clone, Copy)]
enum Bar {
    AtMost(f64),
    AtLeast(f64),
    None,
}

/// The ratios: name, line above, line below (none: the line above by itself, in nanoseconds), bar.
const RATIOS: &[(&str, Line, Option<Line>, Bar)] = &[
    ("ns_per_reading_at_1000", Line::Columns, None, Bar::AtMost(60.0)),
    ("columns_vs_native_at_1000", Line::Columns, Some(Line::Native), Bar::AtMost(10.0)),
    ("records_vs_columns_at_1000", Line::Records, Some(Line::Columns), Bar::AtLeast(5.0)),
    ("extism_vs_columns_at_1000", Line::Extism, Some(Line::Columns), Bar::AtLeast(20.0)),
    ("extism_reused_vs_columns_at_1000", Line::ExtismReused, Some(Line::Columns), Bar::None),
];

impl Results {
    fn of(&self, line: Line, size: usize) -> Option<Spread> {
        Spread::of(self.rounds.iter().filter_map(|round| round.get(&(line, size)).copied()))
    }

    /// Of each round by itself: what slows a whole round down does not count.
    fn ratio(&self, above: Line, below: Option<Line>) -> Option<Spread> {
        Spread::of(self.rounds.iter().filter_map(|round| {
            let above = round.get(&(above, AT))?;
            Some(above / below.map_or(Some(&1.0), |below| round.get(&(below, AT)))?)
        }))
    }

    fn sizes(&self) -> Vec<usize> {
        let mut sizes: Vec<usize> = self.rounds.iter().flat_map(|round| round.keys().map(|(_, size)| *size)).collect();
        sizes.sort_unstable();
        sizes.dedup();
        sizes
    }
}

/// The cells of a line, as they are told while the bench runs.
pub fn told(round: &Round, line: Line) -> String {
    let cells = round.iter().filter(|((of, _), _)| *of == line);
    let cells: Vec<String> = cells.map(|((_, size), taken)| format!("{} at {size}", nanoseconds(*taken))).collect();
    format!("{} ns a reading", cells.join(", "))
}

/// A figure with as many digits as mean something.
fn nanoseconds(taken: f64) -> String {
    if taken < 100.0 { format!("{taken:.1}") } else { format!("{taken:.0}") }
}

fn spread(spread: Spread) -> String {
    format!("{} ({}–{})", nanoseconds(spread.median), nanoseconds(spread.least), nanoseconds(spread.most))
}

/// The table, as Markdown.
pub fn table(results: &Results) -> String {
    let sizes = results.sizes();
    let mut out = String::from("| ns a reading, in batches of");
    for size in &sizes {
        let _ = write!(out, " | {size}");
    }
    let _ = writeln!(out, " |\n|---{}|", "|--:".repeat(sizes.len()));
    for line in Line::ALL {
        if results.rounds.iter().all(|round| round.keys().all(|(of, _)| *of != line)) {
            continue;
        }
        let _ = write!(out, "| ({}) {}", line.letter(), line.title());
        for size in &sizes {
            let _ = write!(out, " | {}", results.of(line, *size).map_or("–".to_owned(), spread));
        }
        let _ = writeln!(out, " |");
    }
    out += "\n| ratio, of each round | median (least–most) | bar | |\n|---|--:|--:|---|\n";
    for (name, above, below, bar) in RATIOS {
        let Some(ratio) = results.ratio(*above, *below) else { continue };
        let (bar, met) = match bar {
            Bar::AtMost(most) => (format!("≤ {most:.0}"), verdict(ratio.median <= *most)),
            Bar::AtLeast(least) => (format!("≥ {least:.0}"), verdict(ratio.median >= *least)),
            Bar::None => (String::new(), ""),
        };
        let _ = writeln!(out, "| `{name}` | {:.2} ({:.2}–{:.2}) | {bar} | {met} |", ratio.median, ratio.least, ratio.most);
    }
    if let Some(figures) = &results.figures {
        out += &table_of_figures(figures);
    }
    out
}

fn table_of_figures(figures: &Figures) -> String {
    let mut out = String::from("\n| Weir's guests | median (least–most) |\n|---|--:|\n");
    let microseconds = [
        ("a fresh instance and its call with one reading, on the guest's thread, µs", figures.instance),
        ("to the guest's thread and back, with nothing done there, µs", figures.hop),
        ("cold: code from the cache, made executable, linked, called with one reading, µs", figures.cold),
        ("a look at the component and compiling it in a process of its own, µs", figures.compile),
    ];
    for (what, taken) in microseconds {
        let _ = writeln!(out, "| {what} | {} |", spread(taken));
    }
    let _ = writeln!(
        out,
        "| all cores busy with {} tasks: ns a reading at {AT}, of each task | {} |\n| the same, million readings a second in all | {:.1} |",
        figures.tasks,
        spread(figures.busy),
        rate(figures),
    );
    let (component, code) = figures.sizes;
    let _ = writeln!(out, "| the component and its code, KiB | {} and {} |", component >> 10, code >> 10);
    out
}

/// Million readings a second of all tasks together.
#[expect(clippy::cast_precision_loss, reason = "below 2^53")]
fn rate(figures: &Figures) -> f64 {
    figures.tasks as f64 * 1e3 / figures.busy.median
}

fn verdict(met: bool) -> &'static str {
    if met { "met" } else { "**missed**" }
}

fn whole(spread: Spread) -> Value {
    json!({ "median": spread.median, "least": spread.least, "most": spread.most })
}

/// Writes `wasm.json` and `wasm.md`.
pub fn write(options: &Options, results: &Results) -> Result<()> {
    let mut ratios = Map::new();
    let mut ranges = Map::new();
    for (name, above, below, _) in RATIOS {
        if let Some(ratio) = results.ratio(*above, *below) {
            ratios.insert((*name).to_owned(), json!(ratio.median));
            ranges.insert((*name).to_owned(), json!([ratio.least, ratio.most]));
        }
    }
    let mut lines = Map::new();
    for line in Line::ALL {
        let cells = results.sizes().into_iter().filter_map(|size| Some((size.to_string(), whole(results.of(line, size)?))));
        lines.insert(line.name().to_owned(), Value::Object(cells.collect()));
    }
    let mut figures = json!({ "ns_per_reading": lines, "ratio_ranges": ranges });
    if let Some(more) = &results.figures {
        figures["fresh_instance_us"] = whole(more.instance);
        figures["thread_hop_us"] = whole(more.hop);
        figures["cold_load_us"] = whole(more.cold);
        figures["compile_us"] = whole(more.compile);
        figures["component_bytes"] = json!(more.sizes.0);
        figures["code_bytes"] = json!(more.sizes.1);
        figures["all_cores"] = json!({ "tasks": more.tasks, "ns_per_reading_at_1000": whole(more.busy),
            "million_readings_per_second": rate(more) });
    }
    figures["conditions"] =
        json!({ "rounds": options.rounds, "cell_ms": options.cell_ms, "sizes": options.sizes, "void": results.void });
    let result = json!({ "ratios": ratios, "figures": figures, "machine": machine(&options.checkout) });
    let text = serde_json::to_string_pretty(&result).doing("the results cannot be written")?;
    fs::create_dir_all(&options.out).doing("the folder of results cannot be made")?;
    fs::write(options.out.join("wasm.json"), text + "\n").doing("the results cannot be written")?;
    fs::write(options.out.join("wasm.md"), table(results)).doing("the table cannot be written")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ratio_is_the_median_of_the_rounds_ratios_and_a_bar_has_a_side() {
        let round = |columns, records| Round::from([((Line::Columns, AT), columns), ((Line::Records, AT), records)]);
        let void = Round::from([((Line::Records, AT), 1.0)]);
        let results =
            Results { rounds: vec![round(50.0, 200.0), round(100.0, 600.0), round(40.0, 100.0), void], ..Results::default() };
        let table = table(&results);
        assert!(table.contains("| `ns_per_reading_at_1000` | 50.00 (40.00–100.00) | ≤ 60 | met |"), "{table}");
        assert!(table.contains("| `records_vs_columns_at_1000` | 4.00 (2.50–6.00) | ≥ 5 | **missed** |"), "{table}");
        assert!(!table.contains("extism"), "{table}");
    }
}
