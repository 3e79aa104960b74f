//! All lines with rules of one size, and one round of them.

use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};

use tokio::runtime::Runtime;

use crate::cedar::Cedar;
use crate::failure::{Failure, Result};
use crate::folder::Folder;
use crate::gateway::Gateway;
use crate::lines::{Answers, Asked, Decider as _, Line};
use crate::machine;
use crate::plain::Plain;
use crate::report::Round;
use crate::requests::{Request, requests};
use crate::rules::Rules;

/// Decisions that each of several threads makes without looking at the clock.
const AT_ONCE: usize = 100;
/// What the numbers of the threads' paths begin with: far from each other and from all others.
const NUMBERS: u64 = 1_000_000_000;

/// Rules of one size with everything that decides by them.
pub struct Site {
    /// How many rules there are.
    pub size: usize,
    /// The rules.
    pub rules: Rules,
    /// The files.
    pub folder: Folder,
    /// What is asked.
    pub requests: Vec<Request>,
    /// What was answered.
    pub answers: Answers,
    /// Seconds that casbin and Cedar took to be made ready, where they were.
    pub built: (Option<f64>, Option<f64>),
    plain: Option<Plain>,
    cedar: Option<Cedar>,
    number: u64,
}

impl Site {
    /// Writes, parses and builds what these lines need.
    pub fn new(size: usize, lines: &[Line], runtime: &Runtime) -> Result<Self> {
        let rules = Rules::of(size);
        let folder = Folder::write(&rules)?;
        let requests = requests(&rules);
        let mut built = (None, None);
        let (mut plain, mut cedar) = (None, None);
        if lines.contains(&Line::Casbin) {
            let started = Instant::now();
            plain = Some(Plain::new(&rules, runtime)?);
            built.0 = Some(started.elapsed().as_secs_f64());
        }
        if lines.iter().any(|line| matches!(line, Line::Cedar | Line::CedarOwn)) {
            let started = Instant::now();
            cedar = Some(Cedar::new(&rules)?);
            built.1 = Some(started.elapsed().as_secs_f64());
        }
        let answers = Answers::none(requests.len());
        Ok(Self { size, rules, folder, requests, answers, built, plain, cedar, number: 0 })
    }

    /// Tenants whose rules are made ready when they first come.
    pub fn is_lazy(&self, tenant: usize) -> bool {
        self.rules.common.count() + self.rules.tenants[tenant].lines.count() <= weir::limits::POLICY_RULES_AT_ONCE
    }

    /// Measures the cells of a round, beginning with another line each time.
    pub fn measure(&mut self, lines: &[Line], number: usize, cell: Duration, round: &mut Round) -> Result<()> {
        for at in 0..lines.len() {
            let line = lines[(at + number) % lines.len()];
            let mut asked = Asked { requests: &self.requests, answers: &mut self.answers, number: &mut self.number };
            // Slow lines answer some of the requests a round: each time others.
            let from = self.requests.len() / 7 * number;
            let taken = match (line, &self.plain, &self.cedar) {
                (Line::Casbin, Some(plain), _) => asked.microseconds(line, plain, from, cell)?,
                (Line::Cedar, _, Some(cedar)) => asked.microseconds(line, &cedar.all(), from, cell)?,
                (Line::CedarOwn, _, Some(cedar)) => asked.microseconds(line, &cedar.own(), from, cell)?,
                (Line::Cold, ..) => {
                    self.gateway(lines, cell, round)?;
                    continue;
                }
                // Both are of one policy: what was asked for the first time is warm afterwards.
                (Line::Warm, ..) => {
                    if !lines.contains(&Line::Cold) {
                        self.gateway(lines, cell, round)?;
                    }
                    continue;
                }
                _ => return Err(Failure::new("a line has nothing that decides")),
            };
            round.cells.insert((line, self.size), taken);
        }
        Ok(())
    }

    /// A policy loaded afresh: first decisions of tenants, what was never asked before, and then the same with new paths.
    fn gateway(&mut self, lines: &[Line], cell: Duration, round: &mut Round) -> Result<()> {
        let started = Instant::now();
        let gateway = Gateway::load(&self.folder.path())?;
        round.loads.insert(self.size, started.elapsed().as_secs_f64());
        let mut firsts = Vec::new();
        for (at, tenant) in self.rules.tenants.iter().enumerate() {
            let first = gateway.first_of_tenant(&tenant.name)?;
            if self.is_lazy(at) {
                firsts.push(first);
            }
        }
        round.firsts.insert(self.size, firsts);

        let mut asked = Asked { requests: &self.requests, answers: &mut self.answers, number: &mut self.number };
        let mut each = Vec::with_capacity(self.requests.len());
        for (at, request) in self.requests.iter().enumerate() {
            *asked.number += 1;
            let ready = gateway.ready(request, &request.path(*asked.number))?;
            let started = Instant::now();
            let answer = gateway.decide(&ready)?;
            each.push(started.elapsed().as_secs_f64() * 1e6);
            asked.answers.take(at, request, Line::Cold, answer);
        }
        if lines.contains(&Line::Cold) {
            #[expect(clippy::cast_precision_loss, reason = "few")]
            round.cells.insert((Line::Cold, self.size), each.iter().sum::<f64>() / each.len() as f64);
            round.colds.insert(self.size, each);
        }
        if lines.contains(&Line::Warm) {
            // Caches and branch predictors are those of a gateway that has been running for a while.
            asked.microseconds(Line::Warm, &gateway, 0, cell / 4)?;
            let warm = asked.microseconds(Line::Warm, &gateway, 0, cell)?;
            round.cells.insert((Line::Warm, self.size), warm);
            round.threads.insert(self.size, self.threads(&gateway, cell)?);
        }
        Ok(())
    }

    /// Microseconds a decision of each thread, while as many threads as there are cores decide, with new paths. Each makes its requests in
    /// between, as the threads of a gateway have other things to do in between.
    fn threads(&mut self, gateway: &Gateway, least: Duration) -> Result<Vec<f64>> {
        let cores = machine::cores().max(1);
        let (barrier, requests) = (Barrier::new(cores), &self.requests);
        let deciding = |thread: usize| -> Result<f64> {
            // Each begins elsewhere, or they would go from tenant to tenant together.
            let mut requests = requests.iter().cycle().skip(thread * requests.len() / cores);
            let mut numbers = (thread as u64 + 1) * NUMBERS..;
            let (mut taken, mut decided) = (Duration::ZERO, 0_u32);
            barrier.wait();
            while taken < least {
                let next = requests.by_ref().zip(&mut numbers).take(AT_ONCE);
                let chunk =
                    next.map(|(request, number)| gateway.ready(request, &request.path(number))).collect::<Result<Vec<_>>>()?;
                let started = Instant::now();
                for ready in &chunk {
                    gateway.decide(ready)?;
                }
                taken += started.elapsed();
                decided += u32::try_from(chunk.len()).unwrap_or(u32::MAX);
            }
            Ok(taken.as_secs_f64() * 1e6 / f64::from(decided))
        };
        thread::scope(|scope| {
            let running: Vec<_> = (0..cores).map(|thread| scope.spawn(move || deciding(thread))).collect();
            running.into_iter().map(|thread| thread.join().map_err(|_| Failure::new("a thread broke off"))?).collect()
        })
    }
}
