//! The lines of the table, and how one of its cells is measured.

use std::time::{Duration, Instant};

use weir::batch::Batch;

use crate::failure::Result;
use crate::readings::Sample;

/// Readings that are judged without the clock being looked at, where batches are small.
const CHUNK_READINGS: usize = 20_000;
/// Batches of a chunk at the most.
const CHUNK_BATCHES: usize = 500;

/// A line of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Line {
    /// (a) The rule compiled into the host.
    Native,
    /// (b) Weir's live path.
    Columns,
    /// (c) The rule behind `list<record>`.
    Records,
    /// (d) The rule as an Extism plugin, an instance a batch.
    Extism,
    /// (e) The same with one instance for all batches.
    ExtismReused,
}

impl Line {
    /// All lines, in the table's order.
    pub const ALL: [Self; 5] = [Self::Native, Self::Columns, Self::Records, Self::Extism, Self::ExtismReused];

    /// Its letter in the options and in the table.
    pub fn letter(self) -> char {
        match self {
            Self::Native => 'a',
            Self::Columns => 'b',
            Self::Records => 'c',
            Self::Extism => 'd',
            Self::ExtismReused => 'e',
        }
    }

    /// Its name in the results.
    pub fn name(self) -> &'static str {
        match self {
            Self::Native => "native",
            Self::Columns => "columns",
            Self::Records => "records",
            Self::Extism => "extism",
            Self::ExtismReused => "extism_reused",
        }
    }

    /// What it is, for the table.
    pub fn title(self) -> &'static str {
        match self {
            Self::Native => "native Rust",
            Self::Columns => "Weir, columns",
            Self::Records => "`list<record>`",
            Self::Extism => "Extism and JSON",
            Self::ExtismReused => "Extism and JSON, instance reused",
        }
    }
}

/// Something that judges batches: what is measured.
pub trait Judge {
    /// Judges one batch after the other and gives them back with their verdicts.
    fn judge(&mut self, batches: Vec<Batch>) -> Result<Vec<Batch>>;
}

/// Nanoseconds a reading in batches such as the sample, from at least `least` of judging.
///
/// The clock runs from whole batches to judged batches. Making and dropping them is outside of it, as both are the same for all.
pub fn nanoseconds(judge: &mut dyn Judge, sample: &Sample, least: Duration) -> Result<f64> {
    let batches = (CHUNK_READINGS / sample.size()).clamp(1, CHUNK_BATCHES);
    let mut run = |least: Duration| -> Result<f64> {
        let (mut taken, mut readings) = (Duration::ZERO, 0);
        loop {
            let chunk = vec![sample.batch().clone(); batches];
            let started = Instant::now();
            let judged = judge.judge(chunk)?;
            taken += started.elapsed();
            readings += batches * sample.size();
            if taken >= least {
                sample.verify(&judged, batches)?;
                #[expect(clippy::cast_precision_loss, reason = "below 2^53")]
                return Ok(taken.as_secs_f64() * 1e9 / readings as f64);
            }
        }
    };
    // Caches, pools and branch predictors are those of a gateway that has been running for a while.
    run(least / 4)?;
    run(least)
}
