//! Tenants' WebAssembly modules: what they are, and how readings, documents and objects pass a chain of them.
//!
//! Promises: an instance sees one batch, document or object and is gone; a call ends within its time and its memory; what goes wrong
//! inside a module becomes a verdict on what it was shown and nothing else. `Err` means that nothing could be judged, since compiled
//! code could not be had. Knows no SQL, HTTP, Kafka or object store: compiled code comes through [`CodeCache`], stored values through
//! [`LastValues`].

mod breaker;
pub mod documents;
mod engine;
mod grants;
pub mod load;
pub mod objects;
mod pace;
pub mod passage;
mod readings;
mod threads;
mod v1;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;

use self::breaker::Breakers;
use self::engine::Runtime;
pub use self::grants::{LastValue, LastValues, Lookup};
use self::load::Modules;
pub use self::load::{Claim, CodeCache, ModuleFacts};
use self::pace::Pace;
use self::passage::Passage;
pub use self::readings::{Judgement, Shadowed};
use self::threads::{Place, Threads};
pub use self::v1::readings::Room;
use crate::error::Result;
use crate::limits;
use crate::model::Tenant;
use crate::rules::Step;
use crate::turns::Turns;
use crate::vitals::{GuestLabels, Vitals};

/// How modules run.
#[derive(Clone, Debug)]
pub struct Options {
    /// Time of one call, wall clock.
    pub time: Duration,
    /// Memory of one instance, in bytes.
    pub memory_bytes: usize,
    /// Instances of all tenants that run at once.
    pub instances: u32,
    /// Objects of all tenants that are looked at at once.
    pub inspections: u32,
    /// The program whose `compile-module` compiles; Weir itself where it is not given.
    pub compiler: Option<PathBuf>,
    /// How long it may take to compile one module.
    pub compile_time: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            time: limits::GUEST_TIME,
            memory_bytes: limits::GUEST_MEMORY_BYTES,
            instances: limits::GUEST_INSTANCES,
            inspections: limits::GUEST_INSPECTIONS,
            compiler: None,
            compile_time: limits::COMPILE_TIME,
        }
    }
}

/// Whose code is called, and what for.
#[derive(Clone)]
pub struct Run<'a> {
    /// The tenant.
    pub tenant: &'a Tenant,
    /// Who answers for its stored values; asked only where a validator is granted them.
    pub lookup: Lookup,
    /// Live traffic, or a trial of which nothing is remembered: no breaker opens, nothing is counted or written to the program's log.
    pub live: bool,
    /// Who is told of each call's time.
    pub spent: Spent,
}

/// Is told how long each call of a module took, when it has ended: also where whoever asked for it has hung up meanwhile.
pub type Spent = Arc<dyn Fn(Duration) + Send + Sync>;

/// Runs modules.
#[derive(Debug)]
pub struct Engine {
    runtime: Arc<Runtime>,
    modules: Modules,
    breakers: Breakers,
    pace: Pace,
    threads: Arc<Threads>,
    inspections: Turns,
    vitals: Arc<Vitals>,
}

impl Engine {
    /// An engine whose compiled code is kept in `cache`.
    pub fn new(options: &Options, cache: Arc<dyn CodeCache>, vitals: Arc<Vitals>) -> Result<Self> {
        let runtime = Arc::new(Runtime::new(options)?);
        let threads = Arc::new(Threads::new(options.instances as usize)?);
        let modules = Modules::new(Arc::clone(&runtime), Arc::clone(&threads), cache, options, Arc::clone(&vitals))?;
        let inspections = Turns::new(options.inspections as usize);
        Ok(Self { runtime, modules, breakers: Breakers::default(), pace: Pace::default(), threads, inspections, vitals })
    }

    /// Checks a module, compiles it and keeps it. What does not fit is refused with the reason, for whoever uploaded it.
    pub async fn inspect(&self, tenant: &Tenant, component: Bytes) -> Result<ModuleFacts> {
        self.modules.inspect(tenant, component).await
    }

    /// Does other work that takes as long as a tenant's own words make it, as its modules do: in the tenant's turn, on the guests' threads,
    /// at the tenant's cost.
    pub async fn apart<T: Send + 'static>(
        &self,
        run: &Run<'_>,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<(T, Duration)> {
        let spent = Arc::clone(&run.spent);
        let timed = move || {
            let started = Instant::now();
            let done = work();
            let took = started.elapsed();
            spent(took);
            (done, took)
        };
        self.threads.run(run.tenant, timed).await
    }

    /// Where a call on live traffic runs, or one of a trial, for which nobody waits so closely.
    fn place(&self, run: &Run<'_>, step: &Step) -> Place {
        if run.live { self.pace.place(step) } else { Place::Apart }
    }

    /// Remembers what a validator did with live traffic.
    fn learn(&self, run: &Run<'_>, passage: &Passage) {
        passage.write_log(run.tenant);
        for (outcome, calls) in
            [("answered", passage.calls - passage.faults), ("fault", passage.faults), ("open", u32::from(passage.rested))]
        {
            if calls > 0 {
                let labels = GuestLabels { tenant: run.tenant.to_string(), validator: passage.name.to_string(), outcome };
                self.vitals.guest_calls.get_or_create(&labels).inc_by(calls.into());
            }
        }
    }

    /// What a validator that rests says of everything.
    fn rests(step: &Step, last: &str) -> String {
        format!("validator `{}` rests after {} faults in a row; the last: {last}", step.name, limits::BREAKER_FAULTS)
    }
}

/// What a guest says, in a form that logs, answers and databases can take: cut to its bound, and what is not seen is written out.
fn cut(said: &str) -> String {
    let mut kept = String::new();
    for c in said.chars() {
        let before = kept.len();
        push_visible(&mut kept, c);
        if kept.len() > limits::GUEST_REASON_BYTES {
            kept.truncate(before);
            kept.push('…');
            break;
        }
    }
    kept
}

/// Characters that move the cursor, end a line, turn the direction of writing or that PostgreSQL does not take become `\n` or `\u{…}`.
fn push_visible(text: &mut String, c: char) {
    let unseen = matches!(c, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}');
    if c.is_control() || unseen { text.extend(c.escape_default()) } else { text.push(c) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_guest_says_is_cut_and_shows_all_that_is_in_it() {
        assert_eq!(cut("above 85 °C"), "above 85 °C");
        assert_eq!(cut("a\0b\r\n\x1b[31mred\u{202e}"), r"a\u{0}b\r\n\u{1b}[31mred\u{202e}");
        let long = cut(&"ä".repeat(1 << 20));
        assert!(long.ends_with("ä…") && long.len() <= limits::GUEST_REASON_BYTES + 3);
        assert!(cut(&"\0".repeat(1 << 20)).len() <= limits::GUEST_REASON_BYTES + 3);
    }
}
