//! The table and the file of results.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;

use serde_json::{Map, Value, json};

use crate::failure::{Doing as _, Result};
use crate::lines::Line;
use crate::machine::machine;
use crate::options::Options;
use crate::reload::Reload;
use crate::spread::Spread;

/// What one round measured; everything by number of rules.
#[derive(Debug, Default)]
pub struct Round {
    /// Microseconds a decision, of each line.
    pub cells: BTreeMap<(Line, usize), f64>,
    /// Seconds that Weir took to read, check and build the rules.
    pub loads: BTreeMap<usize, f64>,
    /// Microseconds of the first decision of each tenant whose rules are made ready then.
    pub firsts: BTreeMap<usize, Vec<f64>>,
    /// Microseconds of each decision that was never made before.
    pub colds: BTreeMap<usize, Vec<f64>>,
    /// Microseconds a decision of each of several threads.
    pub threads: BTreeMap<usize, Vec<f64>>,
}

/// What is known of the rules of a size.
#[derive(Debug)]
pub struct About {
    /// Lines `p`.
    pub rules: usize,
    /// Lines `g`.
    pub links: usize,
    /// Tenants.
    pub tenants: usize,
    /// Requests that differ.
    pub requests: usize,
    /// How many of them are allowed.
    pub allowed: usize,
    /// How often one line's answer was held against another's.
    pub compared: usize,
    /// Seconds that casbin and Cedar took to be made ready.
    pub built: (Option<f64>, Option<f64>),
}

/// Everything that was measured.
#[derive(Debug, Default)]
pub struct Results {
    /// All rounds.
    pub rounds: Vec<Round>,
    /// The rules, by their number.
    pub about: BTreeMap<usize, About>,
    /// What came of the edits.
    pub reload: Option<Reload>,
    /// Answers that differ, in sentences.
    pub differing: Vec<String>,
}

/// A ratio: name, line above, line below (none: the line above by itself, in microseconds), rules, bar.
type Ratio = (&'static str, Line, Option<Line>, usize, Option<f64>);

/// The ratios of the table's cells.
const RATIOS: &[Ratio] = &[
    ("warm_us_at_10", Line::Warm, None, 10, Some(1.0)),
    ("warm_us_at_1000", Line::Warm, None, 1_000, Some(1.0)),
    ("warm_us_at_10000", Line::Warm, None, 10_000, Some(1.0)),
    ("warm_us_at_100000", Line::Warm, None, 100_000, Some(1.0)),
    ("cold_us_at_10000", Line::Cold, None, 10_000, Some(50.0)),
    ("cold_us_at_100000", Line::Cold, None, 100_000, None),
    ("casbin_vs_warm_at_1000", Line::Casbin, Some(Line::Warm), 1_000, None),
    ("casbin_vs_warm_at_100000", Line::Casbin, Some(Line::Warm), 100_000, None),
    ("cedar_vs_warm_at_1000", Line::Cedar, Some(Line::Warm), 1_000, None),
    ("cedar_vs_warm_at_100000", Line::Cedar, Some(Line::Warm), 100_000, None),
    ("cedar_own_vs_warm_at_1000", Line::CedarOwn, Some(Line::Warm), 1_000, None),
    ("cedar_own_vs_warm_at_100000", Line::CedarOwn, Some(Line::Warm), 100_000, None),
];
/// The rules that are edited have to be so many for the ratios of their names.
pub const RELOAD_AT: usize = 100_000;
/// Seconds until an edit is at work, and milliseconds that a decision may take meanwhile: of every edit, not of the one in the middle.
const RELOAD_BAR: f64 = 2.0;
const SLOWEST_BAR: f64 = 5.0;

impl Results {
    fn of(&self, line: Line, size: usize) -> Option<Spread> {
        Spread::of(self.rounds.iter().filter_map(|round| round.cells.get(&(line, size)).copied()))
    }

    /// Of each round by itself: what slows a whole round down does not count.
    fn ratio(&self, above: Line, below: Option<Line>, size: usize) -> Option<Spread> {
        Spread::of(self.rounds.iter().filter_map(|round| {
            let above = round.cells.get(&(above, size))?;
            Some(above / below.map_or(Some(&1.0), |below| round.cells.get(&(below, size)))?)
        }))
    }

    fn sizes(&self) -> Vec<usize> {
        self.about.keys().copied().collect()
    }

    fn loads(&self, size: usize) -> Option<Spread> {
        Spread::of(self.rounds.iter().filter_map(|round| round.loads.get(&size).copied()))
    }

    /// Of all rounds together.
    fn firsts(&self, size: usize) -> Option<Spread> {
        Spread::of(self.rounds.iter().filter_map(|round| round.firsts.get(&size)).flatten().copied())
    }

    fn threads(&self, size: usize) -> Option<Spread> {
        Spread::of(self.rounds.iter().filter_map(|round| round.threads.get(&size)).flatten().copied())
    }

    /// Million decisions a second of all threads together.
    fn rate(&self, size: usize) -> Option<Spread> {
        let together = |round: &Round| Some(round.threads.get(&size)?.iter().map(|taken| 1.0 / taken).sum());
        Spread::of(self.rounds.iter().filter_map(together))
    }

    /// Of a hundred first times the slowest but one, in each round.
    fn slow_colds(&self, size: usize) -> Option<Spread> {
        Spread::of(self.rounds.iter().filter_map(|round| {
            let mut each = round.colds.get(&size)?.clone();
            each.sort_by(f64::total_cmp);
            each.get(each.len().saturating_sub(1) * 99 / 100).copied()
        }))
    }
}

/// The cells of a size, as they are told while the bench runs.
pub fn told(round: &Round, size: usize) -> String {
    let cells = round.cells.iter().filter(|((_, of), _)| *of == size);
    let cells: Vec<String> = cells.map(|((line, _), taken)| format!("({}) {}", line.letter(), figure(*taken))).collect();
    format!("{} µs a decision", cells.join(", "))
}

/// A figure with as many digits as mean something.
fn figure(taken: f64) -> String {
    match taken {
        ..10.0 => format!("{taken:.2}"),
        10.0..100.0 => format!("{taken:.1}"),
        _ => format!("{taken:.0}"),
    }
}

fn spread(spread: Spread) -> String {
    format!("{} ({}–{})", figure(spread.median), figure(spread.least), figure(spread.most))
}

fn cell(of: Option<Spread>) -> String {
    of.map_or("–".to_owned(), spread)
}

/// The table, as Markdown.
pub fn table(results: &Results) -> String {
    let sizes = results.sizes();
    let mut out = String::from("| µs a decision, with rules");
    for size in &sizes {
        let _ = write!(out, " | {size}");
    }
    let _ = writeln!(out, " |\n|---{}|", "|--:".repeat(sizes.len()));
    let mut row = |what: &str, of: &dyn Fn(usize) -> Option<Spread>| {
        if sizes.iter().any(|size| of(*size).is_some()) {
            let cells: Vec<String> = sizes.iter().map(|size| cell(of(*size))).collect();
            let _ = writeln!(out, "| {what} | {} |", cells.join(" | "));
        }
    };
    for line in Line::ALL {
        row(&format!("({}) {}", line.letter(), line.title()), &|size| results.of(line, size));
    }
    row("(b) the slowest but one of a hundred", &|size| results.slow_colds(size));
    row("Weir, a tenant's first, where its rules are made ready then", &|size| results.firsts(size));
    row("(c) on all cores at once, each thread", &|size| results.threads(size));
    row("the same, million decisions a second in all", &|size| results.rate(size));
    row("Weir reads, checks and builds the rules, s", &|size| results.loads(size));

    out += "\n| ratio, of each round | median (least–most) | bar | |\n|---|--:|--:|---|\n";
    for (name, above, below, size, bar) in RATIOS {
        let Some(ratio) = results.ratio(*above, *below, *size) else { continue };
        let (bar, met) = bar.map_or((String::new(), ""), |bar| (format!("≤ {bar}"), verdict(ratio.median <= bar)));
        let _ = writeln!(out, "| `{name}` | {} | {bar} | {met} |", spread(ratio));
    }
    if let Some(reload) = &results.reload {
        out += &table_of_reload(reload);
    }
    out
}

fn table_of_reload(reload: &Reload) -> String {
    let size = reload.size;
    let mut out =
        format!("\n| an edit of one file, {size} rules | median (least–most) | bar, for the most | |\n|---|--:|--:|---|\n");
    let mut row = |what: &str, value: String, bar: Option<(f64, f64)>| {
        let (bar, met) = bar.map_or((String::new(), ""), |(bar, most)| (format!("≤ {bar}"), verdict(most <= bar)));
        let _ = writeln!(out, "| {what} | {value} | {bar} | {met} |");
    };
    row(&format!("`reload_{size}_s`: until its rules are at work"), spread(reload.taken), Some((RELOAD_BAR, reload.taken.most)));
    row("the same without the time for which files have to be quiet, s", spread(reload.without_quiet), None);
    row("reading, checking and building alone, s", spread(reload.check), None);
    let slowest = Some((SLOWEST_BAR, reload.slowest.most));
    row("`slowest_decision_during_reload_ms`, of each edit", spread(reload.slowest), slowest);
    let without = "the same without the time for which a decision could have run and others did, ms";
    row(without, spread(reload.unqueued), None);
    let of_slowest = format!("{} and {}", figure(reload.slowest_processor), figure(reload.slowest_queued));
    row(&format!("the slowest of all, {}: its processor time and that time, ms", reload.slowest_was), of_slowest, None);
    row("the slowest that was its tenant's first by new rules, ms", figure(reload.slowest_first), None);
    row("the slowest that was not, ms", figure(reload.slowest_other), None);
    row("the slowest in three seconds without an edit, ms", figure(reload.at_rest), None);
    row("of so many decisions, longer than 1 ms", format!("{} of {}", reload.late, reload.decisions), None);
    out
}

fn verdict(met: bool) -> &'static str {
    if met { "met" } else { "**missed**" }
}

fn whole(spread: Spread) -> Value {
    json!({ "median": spread.median, "least": spread.least, "most": spread.most })
}

/// Writes `policy.json` and `policy.md`.
pub fn write(options: &Options, results: &Results) -> Result<()> {
    let mut ratios = Map::new();
    let mut ranges = Map::new();
    let mut ratio = |name: &str, value: f64, of: Spread| {
        ratios.insert(name.to_owned(), json!(value));
        ranges.insert(name.to_owned(), json!([of.least, of.most]));
    };
    for (name, above, below, size, _) in RATIOS {
        if let Some(of) = results.ratio(*above, *below, *size) {
            ratio(name, of.median, of);
        }
    }
    if let Some(reload) = results.reload.as_ref().filter(|reload| reload.size == RELOAD_AT) {
        ratio("reload_100000_s", reload.taken.most, reload.taken);
        ratio("slowest_decision_during_reload_ms", reload.slowest.most, reload.slowest);
    }
    let by_size = |of: &dyn Fn(usize) -> Option<Spread>| -> Value {
        Value::Object(results.sizes().into_iter().filter_map(|size| Some((size.to_string(), whole(of(size)?)))).collect())
    };
    let lines: Map<String, Value> =
        Line::ALL.into_iter().map(|line| (line.name().to_owned(), by_size(&|size| results.of(line, size)))).collect();
    let about: Map<String, Value> = results.about.iter().map(|(size, about)| (size.to_string(), told_of(about))).collect();
    let mut figures = json!({
        "us_per_decision": lines,
        "ratio_ranges": ranges,
        "cold_99_of_100_us": by_size(&|size| results.slow_colds(size)),
        "first_of_tenant_us": by_size(&|size| results.firsts(size)),
        "warm_all_cores_us": by_size(&|size| results.threads(size)),
        "warm_all_cores_million_per_second": by_size(&|size| results.rate(size)),
        "load_s": by_size(&|size| results.loads(size)),
        "rules": about,
        "conditions": { "rounds": options.rounds, "cell_ms": options.cell_ms, "differing": results.differing },
    });
    if let Some(reload) = &results.reload {
        figures["reload"] = json!({
            "rules": reload.size, "edits": options.edits,
            "s": whole(reload.taken), "without_quiet_s": whole(reload.without_quiet), "check_s": whole(reload.check),
            "slowest_decision_ms": whole(reload.slowest), "slowest_decision_processor_ms": reload.slowest_processor,
            "slowest_decision_queued_ms": reload.slowest_queued,
            "slowest_decision_without_queue_ms": whole(reload.unqueued),
            "slowest_decision_was": reload.slowest_was, "slowest_first_of_tenant_ms": reload.slowest_first,
            "slowest_other_ms": reload.slowest_other, "slowest_at_rest_ms": reload.at_rest,
            "decisions": reload.decisions, "decisions_over_1_ms": reload.late,
        });
    }
    let result = json!({ "ratios": ratios, "figures": figures, "machine": machine(&options.checkout) });
    let text = serde_json::to_string_pretty(&result).doing("the results cannot be written")?;
    fs::create_dir_all(&options.out).doing("the folder of results cannot be made")?;
    fs::write(options.out.join("policy.json"), text + "\n").doing("the results cannot be written")?;
    fs::write(options.out.join("policy.md"), table(results)).doing("the table cannot be written")
}

fn told_of(about: &About) -> Value {
    json!({
        "rules": about.rules, "links": about.links, "tenants": about.tenants, "requests": about.requests, "allowed": about.allowed,
        "answers_compared": about.compared, "casbin_built_s": about.built.0, "cedar_built_s": about.built.1,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ratio_is_the_median_of_the_rounds_ratios_and_the_bar_of_an_edit_is_for_the_slowest() {
        let round = |casbin, warm| Round {
            cells: BTreeMap::from([((Line::Casbin, 1_000), casbin), ((Line::Warm, 1_000), warm)]),
            ..Round::default()
        };
        let about = About { rules: 1_000, links: 1, tenants: 1, requests: 1, allowed: 1, compared: 1, built: (None, None) };
        let some = |median, most| Spread { median, least: 0.5, most };
        let reload = Reload {
            size: RELOAD_AT,
            taken: some(1.0, 2.5),
            without_quiet: some(0.8, 2.3),
            check: some(0.5, 0.6),
            slowest: some(1.0, 4.0),
            slowest_processor: 1.0,
            slowest_queued: 0.0,
            unqueued: some(0.5, 1.0),
            slowest_was: "by the old rules",
            at_rest: 0.1,
            decisions: 1,
            late: 0,
            slowest_first: 1.0,
            slowest_other: 4.0,
        };
        let results = Results {
            rounds: vec![round(900.0, 0.5), round(800.0, 2.0), round(600.0, 0.6)],
            about: BTreeMap::from([(1_000, about)]),
            reload: Some(reload),
            differing: Vec::new(),
        };
        let table = table(&results);
        assert!(table.contains("| `warm_us_at_1000` | 0.60 (0.50–2.00) | ≤ 1 | met |"), "{table}");
        assert!(table.contains("| `casbin_vs_warm_at_1000` | 1000 (400–1800) |  |  |"), "{table}");
        assert!(table.contains("until its rules are at work | 1.00 (0.50–2.50) | ≤ 2 | **missed** |"), "{table}");
        assert!(table.contains("of each edit | 1.00 (0.50–4.00) | ≤ 5 | met |"), "{table}");
        assert!(!table.contains("Cedar"), "{table}");
    }
}
