//! New rules while decisions are made: one file of many is edited, and how long that takes, and whom it keeps waiting.

use std::collections::HashSet;
use std::fs::{self, File};
use std::os::unix::fs::FileExt as _;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};
use tokio::runtime::Runtime;
use tokio_util::sync::CancellationToken;
use weir::limits;
use weir::policy::files;

use crate::failure::{Failure, Result};
use crate::folder::put;
use crate::gateway::Gateway;
use crate::lines::Decider as _;
use crate::requests::Request;
use crate::site::Site;
use crate::spread::Spread;

/// How long new rules may take before the bench gives up.
const PATIENCE: Duration = Duration::from_mins(1);
/// How often it is looked whether they are at work.
const LOOK: Duration = Duration::from_micros(500);
/// How long decisions are watched once they are: tenants come for the first time again, and the old rules go.
const AFTERWARDS: Duration = Duration::from_millis(700);
/// How long decisions are watched with nothing else going on.
const AT_REST: Duration = Duration::from_secs(3);
/// Files read and checked without anybody waiting for it.
const CHECKS: usize = 5;
/// A decision that is told of.
const LATE: Duration = Duration::from_millis(1);

/// What came of the edits.
#[derive(Clone, Debug)]
pub struct Reload {
    /// Rules in the folder.
    pub size: usize,
    /// Seconds from the edit until its rules were at work, of each edit.
    pub taken: Spread,
    /// The same without the time for which the files have to be quiet.
    pub without_quiet: Spread,
    /// Seconds that reading, checking and building take by themselves.
    pub check: Spread,
    /// Milliseconds of the slowest decision about each edit.
    pub slowest: Spread,
    /// Of the slowest decision of all, the milliseconds of processor time, and those for which it could have run and others did.
    pub slowest_processor: f64,
    /// See `slowest_processor`.
    pub slowest_queued: f64,
    /// Milliseconds of the slowest decision about each edit, without the time for which it could have run and others did: what else runs on
    /// the machine does not count.
    pub unqueued: Spread,
    /// By which rules the slowest decision of all was made, and whether it was its tenant's first by them.
    pub slowest_was: &'static str,
    /// Milliseconds of the slowest decision while nothing is edited.
    pub at_rest: f64,
    /// Decisions about all edits, and those of them that took longer than a millisecond.
    pub decisions: usize,
    /// See `decisions`.
    pub late: usize,
    /// Milliseconds of the slowest decisions that were their tenant's first by the new rules, and of all others.
    pub slowest_first: f64,
    /// See `slowest_first`.
    pub slowest_other: f64,
}

/// A decision that took its time.
#[derive(Clone, Copy, Debug, Default)]
struct Slow {
    taken: Duration,
    processor: Duration,
    queued: Duration,
    first: bool,
    new: bool,
}

/// What the deciding thread has seen since it was asked last.
#[derive(Clone, Copy, Debug, Default)]
struct Seen {
    slowest: Slow,
    slowest_unqueued: Duration,
    slowest_first: Duration,
    slowest_other: Duration,
    decisions: usize,
    late: usize,
}

/// Edits files of the site's folder so many times.
pub fn measure(site: &Site, edits: u32, runtime: &Runtime) -> Result<Reload> {
    let folder = site.folder.path();
    let mut check = Vec::with_capacity(CHECKS);
    for _ in 0..CHECKS {
        let started = Instant::now();
        files::check(&folder).map_err(|mistakes| Failure::new(format!("{} mistakes", mistakes.len())))?;
        check.push(started.elapsed().as_secs_f64());
    }
    let gateway = Gateway::load(&folder)?;
    let stop = CancellationToken::new();
    let watching = runtime.spawn(Arc::clone(gateway.policy()).run(stop.clone()));
    let over = AtomicBool::new(false);
    let seen = Mutex::new(Seen::default());
    let result = thread::scope(|scope| {
        let deciding = scope.spawn(|| decide(&gateway, &site.requests, &seen, &over));
        let edited = edit_all(site, &gateway, &seen, edits);
        over.store(true, Ordering::Relaxed);
        deciding.join().map_err(|_| Failure::new("the deciding thread broke off"))??;
        edited
    });
    stop.cancel();
    let _ = runtime.block_on(watching);
    let (at_rest, taken, all) = result?;
    let spread = |values: &mut dyn Iterator<Item = f64>| Spread::of(values).ok_or_else(|| Failure::new("nothing was edited"));
    let slowest = all.iter().map(|seen| seen.slowest).max_by_key(|slow| slow.taken).unwrap_or_default();
    Ok(Reload {
        size: site.size,
        taken: spread(&mut taken.iter().copied())?,
        without_quiet: spread(&mut taken.iter().map(|taken| taken - limits::POLICY_QUIET.as_secs_f64()))?,
        check: spread(&mut check.into_iter())?,
        slowest: spread(&mut all.iter().map(|seen| milliseconds(seen.slowest.taken)))?,
        slowest_processor: milliseconds(slowest.processor),
        slowest_queued: milliseconds(slowest.queued),
        unqueued: spread(&mut all.iter().map(|seen| milliseconds(seen.slowest_unqueued)))?,
        slowest_was: match (slowest.new, slowest.first) {
            (false, _) => "by the old rules",
            (true, true) => "its tenant's first by the new rules",
            (true, false) => "by the new rules",
        },
        at_rest: milliseconds(at_rest),
        decisions: all.iter().map(|seen| seen.decisions).sum(),
        late: all.iter().map(|seen| seen.late).sum(),
        slowest_first: all.iter().map(|seen| milliseconds(seen.slowest_first)).fold(0.0, f64::max),
        slowest_other: all.iter().map(|seen| milliseconds(seen.slowest_other)).fold(0.0, f64::max),
    })
}

/// The slowest decision at rest, and for each edit the seconds that it took and what was seen about it.
fn edit_all(site: &Site, gateway: &Gateway, seen: &Mutex<Seen>, edits: u32) -> Result<(Duration, Vec<f64>, Vec<Seen>)> {
    // The watcher reads the files once when it begins.
    thread::sleep(AT_REST);
    take(seen);
    thread::sleep(AT_REST);
    let at_rest = take(seen).slowest.taken;
    let (mut taken, mut all) = (Vec::new(), Vec::new());
    for number in 0..edits as usize {
        let tenant = &site.rules.tenants[number * 7 % site.rules.tenants.len()];
        let file = site.folder.file(&tenant.name);
        let text = fs::read_to_string(&file).map_err(|error| Failure::new(error.to_string()))?;
        let text = format!("{text}p, team-0, {}, /timescale/sensors/annex-{number}-*, read, allow\n", tenant.name);
        let before = gateway.policy().revision();
        take(seen);
        let started = Instant::now();
        put(&file, &text)?;
        while gateway.policy().revision() == before {
            if started.elapsed() > PATIENCE {
                return Err(Failure::new("new rules did not come to work"));
            }
            thread::sleep(LOOK);
        }
        taken.push(started.elapsed().as_secs_f64());
        thread::sleep(AFTERWARDS);
        all.push(take(seen));
    }
    Ok((at_rest, taken, all))
}

fn take(seen: &Mutex<Seen>) -> Seen {
    std::mem::take(&mut *seen.lock().unwrap_or_else(PoisonError::into_inner))
}

/// Decides without a pause, mixed tenants and a new path each time, and notes what takes long.
fn decide(gateway: &Gateway, requests: &[Request], seen: &Mutex<Seen>, over: &AtomicBool) -> Result<()> {
    let mut known: HashSet<usize> = HashSet::new();
    let mut revision = gateway.policy().revision();
    let mut changed = false;
    let queue = Queue::of_this_thread();
    for (number, request) in (0..).zip(requests.iter().cycle()) {
        if over.load(Ordering::Relaxed) {
            break;
        }
        let (caller, action, resource) = gateway.ready(request, &request.path(number))?;
        let (processor, queued) = (processor_time(), queue.time());
        let started = Instant::now();
        // With all that it holds let go, as at the end of a request.
        let by = match gateway.policy().authorise(&caller, action, &resource) {
            Ok(permit) => Arc::clone(permit.revision()),
            Err(denied) => Arc::clone(&denied.revision),
        };
        let taken = started.elapsed();
        let processor = processor_time().saturating_sub(processor);
        let queued = queue.time().saturating_sub(queued);
        if by != revision {
            revision = by;
            changed = true;
            known.clear();
        }
        let first = known.insert(request.tenant);
        let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
        // Taken and begun anew.
        changed &= seen.decisions > 0;
        let new = changed;
        seen.decisions += 1;
        seen.slowest_unqueued = taken.saturating_sub(queued).max(seen.slowest_unqueued);
        seen.late += usize::from(taken > LATE);
        let most = if new && first { &mut seen.slowest_first } else { &mut seen.slowest_other };
        *most = taken.max(*most);
        if taken > seen.slowest.taken {
            seen.slowest = Slow { taken, processor, queued, first, new };
        }
    }
    Ok(())
}

/// For how long a thread could have run so far, and others did.
struct Queue(Option<File>);

impl Queue {
    fn of_this_thread() -> Self {
        Self(File::open("/proc/thread-self/schedstat").ok())
    }

    /// Nothing, where the kernel does not count it.
    fn time(&self) -> Duration {
        let mut bytes = [0; 96];
        let read = self.0.as_ref().and_then(|file| file.read_at(&mut bytes, 0).ok()).unwrap_or_default();
        let text = std::str::from_utf8(&bytes[..read]).unwrap_or_default();
        text.split(' ').nth(1).and_then(|waited| waited.parse().ok()).map_or(Duration::ZERO, Duration::from_nanos)
    }
}

/// Processor time of this thread so far.
fn processor_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or_default())
}

fn milliseconds(taken: Duration) -> f64 {
    taken.as_secs_f64() * 1e3
}
