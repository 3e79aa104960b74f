//! Turns at something that few may do at once: so many in all, so many of them for one tenant, and the next one always for the waiting
//! tenant that has the fewest, so that nobody keeps the others out.
//!
//! The one noun that waits: guests, uploads and lanes take turns alike, and none of them may know the others.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::oneshot;

use crate::error::{Error, Result};
use crate::model::Tenant;

/// Who may have a turn now.
#[derive(Clone, Debug)]
pub struct Turns {
    desk: Arc<Mutex<Desk>>,
    each: usize,
}

/// Only tenants that have a turn or wait for one are in it, so it is as large as what may be under way.
#[derive(Debug)]
struct Desk {
    free: usize,
    held: HashMap<Tenant, usize>,
    waiting: VecDeque<(Tenant, oneshot::Sender<Turn>)>,
}

/// A tenant's turn, given back when dropped.
#[derive(Debug)]
pub struct Turn {
    turns: Turns,
    tenant: Tenant,
}

impl Turns {
    /// At most `all` turns at once, and a quarter of them for one tenant; at least one, and at least one for each tenant.
    pub fn new(all: usize) -> Self {
        Self::of(all, all / 4)
    }

    /// At most `each` turns at once for one tenant, and one more in all: however long one tenant keeps its own, there is one for the
    /// others.
    pub fn with_one_spare(each: usize) -> Self {
        Self::of(each + 1, each)
    }

    fn of(all: usize, each: usize) -> Self {
        let desk = Desk { free: all.max(1), held: HashMap::new(), waiting: VecDeque::new() };
        Self { desk: Arc::new(Mutex::new(desk)), each: each.max(1) }
    }

    /// Waits for a turn; within a tenant in the order of asking.
    pub async fn take(&self, tenant: &Tenant) -> Result<Turn> {
        let (give, given) = oneshot::channel();
        self.desk.lock().waiting.push_back((tenant.clone(), give));
        self.give();
        given.await.map_err(Error::internal)
    }

    /// Gives what is free to those who wait.
    fn give(&self) {
        loop {
            let mut desk = self.desk.lock();
            let Some((tenant, waiting)) = desk.next(self.each) else { return };
            desk.free -= 1;
            *desk.held.entry(tenant.clone()).or_default() += 1;
            drop(desk);
            // Whoever does not wait any more gives the turn back at once, here.
            drop(waiting.send(Turn { turns: self.clone(), tenant }));
        }
    }
}

impl Desk {
    /// Who is next: of those that wait and may have more, the first one of the tenant with the fewest turns.
    fn next(&mut self, each: usize) -> Option<(Tenant, oneshot::Sender<Turn>)> {
        if self.free == 0 {
            return None;
        }
        self.waiting.retain(|(_, waiting)| !waiting.is_closed());
        let held = |tenant: &Tenant| self.held.get(tenant).copied().unwrap_or(0);
        let (fewest, at) = self.waiting.iter().enumerate().map(|(at, (tenant, _))| (held(tenant), at)).min()?;
        if fewest < each { self.waiting.remove(at) } else { None }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        {
            let mut desk = self.turns.desk.lock();
            desk.free += 1;
            if let Some(held) = desk.held.get_mut(&self.tenant) {
                *held -= 1;
                if *held == 0 {
                    desk.held.remove(&self.tenant);
                }
            }
        }
        self.turns.give();
    }
}

#[cfg(test)]
mod tests {
    use futures_util::poll;

    use super::*;

    fn tenants() -> (Tenant, Tenant) {
        (Tenant::parse("greedy").expect("a name"), Tenant::parse("other").expect("a name"))
    }

    #[tokio::test]
    async fn one_tenant_never_has_them_all() {
        let turns = Turns::new(8);
        let (greedy, other) = tenants();
        let _first = turns.take(&greedy).await.expect("a turn");
        let second = turns.take(&greedy).await.expect("a turn");
        let third = turns.take(&greedy);
        tokio::pin!(third);
        assert!(poll!(&mut third).is_pending());
        turns.take(&other).await.expect("another tenant does not wait");
        drop(second);
        third.await.expect("its own turn comes");
    }

    #[tokio::test]
    async fn the_next_turn_goes_to_whoever_has_the_fewest() {
        let turns = Turns::of(2, 2);
        let (greedy, other) = tenants();
        let first = turns.take(&greedy).await.expect("a turn");
        let _second = turns.take(&greedy).await.expect("a turn");
        let (third, another) = (turns.take(&greedy), turns.take(&other));
        tokio::pin!(third, another);
        assert!(poll!(&mut third).is_pending() && poll!(&mut another).is_pending());
        drop(first);
        let turn = another.await.expect("it asked later and has none, so it is next");
        assert!(poll!(&mut third).is_pending());
        drop(turn);
        third.await.expect("then the greedy one");
    }

    #[tokio::test]
    async fn there_is_one_that_a_tenant_alone_cannot_take() {
        let turns = Turns::with_one_spare(1);
        let (greedy, other) = tenants();
        let _first = turns.take(&greedy).await.expect("a turn");
        let second = turns.take(&greedy);
        tokio::pin!(second);
        assert!(poll!(&mut second).is_pending());
        turns.take(&other).await.expect("the spare one");
    }

    #[tokio::test]
    async fn who_gives_up_waiting_takes_no_turn_along() {
        let turns = Turns::with_one_spare(1);
        let (one, other) = tenants();
        let (held, _spare) = (turns.take(&one).await.expect("a turn"), turns.take(&other).await.expect("a turn"));
        {
            let leaver = turns.take(&one);
            tokio::pin!(leaver);
            assert!(poll!(&mut leaver).is_pending());
            drop(held);
            // The turn is on its way to somebody who leaves now.
        }
        turns.take(&one).await.expect("it came back");
    }
}
