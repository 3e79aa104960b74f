//! The lines of the table, and how one of its cells is measured.

use std::time::{Duration, Instant};

use crate::failure::{Failure, Result};
use crate::requests::Request;

/// Decisions without the clock being looked at, at the most: few enough that requests are in the cache as ones that have just come are.
const CHUNK: usize = 100;
/// Decisions of a cell at the least, however long they take.
const LEAST: usize = 20;

/// A line of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Line {
    /// (a) One casbin with all rules.
    Casbin,
    /// (b) Weir, what was never asked before.
    Cold,
    /// (c) Weir, with paths that were never asked before.
    Warm,
    /// (d) Cedar with the policies of all tenants.
    Cedar,
    /// (e) Cedar with the policies of the tenant alone.
    CedarOwn,
}

impl Line {
    /// All lines, in the table's order.
    pub const ALL: [Self; 5] = [Self::Casbin, Self::Cold, Self::Warm, Self::Cedar, Self::CedarOwn];

    /// Its letter in the options and in the table.
    pub fn letter(self) -> char {
        match self {
            Self::Casbin => 'a',
            Self::Cold => 'b',
            Self::Warm => 'c',
            Self::Cedar => 'd',
            Self::CedarOwn => 'e',
        }
    }

    /// Its name in the results.
    pub fn name(self) -> &'static str {
        match self {
            Self::Casbin => "casbin",
            Self::Cold => "cold",
            Self::Warm => "warm",
            Self::Cedar => "cedar",
            Self::CedarOwn => "cedar_own",
        }
    }

    /// What it is, for the table.
    pub fn title(self) -> &'static str {
        match self {
            Self::Casbin => "casbin, all rules",
            Self::Cold => "Weir, for the first time",
            Self::Warm => "Weir, a new path each time",
            Self::Cedar => "Cedar, all policies",
            Self::CedarOwn => "Cedar, the tenant's policies",
        }
    }
}

/// Something that decides: what is measured.
pub trait Decider {
    /// A request in its own form, made while the clock stands.
    type Ready;

    /// Makes it.
    fn ready(&self, request: &Request, path: &str) -> Result<Self::Ready>;

    /// Yes or no.
    fn decide(&self, ready: &Self::Ready) -> Result<bool>;
}

/// What was decided first, by whichever line: all others have to say the same.
pub struct Answers {
    /// By request, with who said so.
    said: Vec<Option<(bool, Line)>>,
    /// How often a line was held against another.
    pub compared: usize,
    /// What differed, in sentences.
    pub differing: Vec<String>,
}

impl Answers {
    /// None so far.
    pub fn none(requests: usize) -> Self {
        Self { said: vec![None; requests], compared: 0, differing: Vec::new() }
    }

    /// Takes an answer, and holds it against the first one.
    pub fn take(&mut self, at: usize, request: &Request, line: Line, answer: bool) {
        match self.said[at] {
            None => self.said[at] = Some((answer, line)),
            Some((said, by)) => {
                self.compared += usize::from(by != line);
                if said != answer {
                    self.differing.push(format!(
                        "{} says {answer} and {} {said}: {} {} {} in {}",
                        line.name(),
                        by.name(),
                        request.qualified(),
                        request.action,
                        request.path(0),
                        request.tenant_name
                    ));
                }
            }
        }
    }

    /// How many of the requests are allowed, and how many were decided.
    pub fn allowed(&self) -> (usize, usize) {
        let decided = self.said.iter().flatten();
        (decided.clone().filter(|(allowed, _)| *allowed).count(), decided.count())
    }
}

/// What is asked: requests in turn, each with a number that no other has had.
pub struct Asked<'a> {
    /// The requests.
    pub requests: &'a [Request],
    /// What they were answered.
    pub answers: &'a mut Answers,
    /// The next number.
    pub number: &'a mut u64,
}

impl Asked<'_> {
    /// Requests from a place on, made ready.
    fn ready<D: Decider>(&mut self, decider: &D, from: usize, many: usize) -> Result<Vec<(usize, D::Ready)>> {
        let mut chunk = Vec::with_capacity(many);
        for at in from..from + many {
            let at = at % self.requests.len();
            *self.number += 1;
            chunk.push((at, decider.ready(&self.requests[at], &self.requests[at].path(*self.number))?));
        }
        Ok(chunk)
    }

    /// Microseconds a decision, from at least `least` of deciding and at least [`LEAST`] decisions.
    ///
    /// The clock runs from a request in the line's own form to its answer. Making it and comparing it are outside.
    pub fn microseconds<D: Decider>(&mut self, line: Line, decider: &D, from: usize, least: Duration) -> Result<f64> {
        let (mut taken, mut asked, mut many) = (Duration::ZERO, 0, 1);
        let mut said = Vec::with_capacity(CHUNK);
        while taken < least || asked < LEAST {
            let chunk = self.ready(decider, from + asked, many)?;
            said.clear();
            let started = Instant::now();
            for (_, ready) in &chunk {
                said.push(decider.decide(ready)?);
            }
            let this = started.elapsed();
            taken += this;
            asked += many;
            for ((at, _), answer) in chunk.iter().zip(&said) {
                self.answers.take(*at, &self.requests[*at], line, *answer);
            }
            if this < least / 16 {
                many = (many * 2).min(CHUNK);
            }
        }
        if taken.is_zero() {
            return Err(Failure::new("the clock stands"));
        }
        #[expect(clippy::cast_precision_loss, reason = "below 2^53")]
        Ok(taken.as_secs_f64() * 1e6 / asked as f64)
    }
}
