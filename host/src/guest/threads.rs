//! Threads for tenants' code: so many, taken in turns, and behind the gateway's own in line for a core.
//!
//! A guest's second is a second of a core. On the runtime's own threads it would hold up requests of others, and beside them, with the
//! same priority, it would have as large a part of a small machine as everything else together. So it runs here, from the first byte that
//! is written into its memory to the last that is read out of its answer. The threads are as many as there are turns, and nothing queues
//! behind them: who waits, waits for its tenant's turn, without a thread.
//!
//! The way there and back is two threads woken up, which takes longer than a quick guest's whole call. Such a one runs where its batch is
//! ([`Place::Here`]), on a thread that has handed everything else that it was to do to another one first.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread;

use crossbeam_channel::{Receiver, Sender, unbounded};
use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::sync::oneshot;

use crate::error::{Error, Result};
use crate::limits;
use crate::model::Tenant;
use crate::turns::Turns;

type Work = Box<dyn FnOnce() + Send>;

/// Where work is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// On the thread of whoever asks, whose other tasks go to another thread meanwhile.
    Here,
    /// On a thread of the guests.
    Apart,
}

/// The threads. They end with it, each when it has done what it is at.
#[derive(Debug)]
pub(super) struct Threads {
    inlet: Sender<Work>,
    turns: Turns,
}

impl Threads {
    /// So many, a quarter of them for one tenant.
    pub(super) fn new(number: usize) -> Result<Self> {
        let number = number.max(1);
        // As long as there are turns: what is in it holds one.
        let (inlet, work) = unbounded();
        for _ in 0..number {
            let work = work.clone();
            thread::Builder::new().name("guest".to_owned()).spawn(move || serve(&work)).map_err(Error::internal)?;
        }
        Ok(Self { inlet, turns: Turns::new(number) })
    }

    /// Does this for a tenant, when it is its turn. Work that was begun is done to its end, also where nobody waits for it any more.
    pub(super) async fn run<T: Send + 'static>(&self, tenant: &Tenant, work: impl FnOnce() -> T + Send + 'static) -> Result<T> {
        self.run_at(Place::Apart, tenant, work).await
    }

    /// The same, at this place.
    pub(super) async fn run_at<T: Send + 'static>(
        &self,
        place: Place,
        tenant: &Tenant,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T> {
        let turn = self.turns.take(tenant).await?;
        let runtime = Handle::current();
        // A runtime of one thread has none to hand its tasks to.
        if place == Place::Here && runtime.runtime_flavor() == RuntimeFlavor::MultiThread {
            let _turn = turn;
            let done = tokio::task::block_in_place(|| catch_unwind(AssertUnwindSafe(work)));
            return done.map_err(|_| Error::internal("a guest's call panicked"));
        }
        let (tell, told) = oneshot::channel();
        let work = move || {
            let _turn = turn;
            if tell.is_closed() {
                return;
            }
            let _entered = runtime.enter();
            // A panic is told by the end of the channel, and the thread goes on.
            if let Ok(done) = catch_unwind(AssertUnwindSafe(work)) {
                let _ = tell.send(done);
            }
        };
        self.inlet.send(Box::new(work)).map_err(|_| Error::internal("the guests' threads are gone"))?;
        told.await.map_err(Error::internal)
    }
}

/// The life of a thread.
fn serve(work: &Receiver<Work>) {
    // On Linux this is the thread's own. Where it is refused, guests only have more of the machine than they should.
    if let Err(error) = rustix::process::nice(limits::GUEST_NICE) {
        tracing::debug!(%error, "a guests' thread keeps its priority");
    }
    for next in work {
        next();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use super::*;

    fn tenants() -> (Tenant, Tenant) {
        (Tenant::parse("greedy").expect("a name"), Tenant::parse("other").expect("a name"))
    }

    #[tokio::test]
    async fn a_tenant_that_fills_its_own_threads_keeps_nobody_waiting() {
        let threads = Arc::new(Threads::new(8).expect("threads"));
        let (greedy, other) = tenants();
        let (release, held) = unbounded::<()>();
        let waits = (0..16).map(|_| {
            let (threads, greedy, held) = (Arc::clone(&threads), greedy.clone(), held.clone());
            tokio::spawn(async move { threads.run(&greedy, move || held.recv().is_err()).await })
        });
        let waits: Vec<_> = waits.collect();
        tokio::task::yield_now().await;
        let done = tokio::time::timeout(Duration::from_secs(10), threads.run(&other, || 7)).await;
        assert_eq!(done.expect("it does not wait").expect("it is done"), 7);
        drop(release);
        for wait in waits {
            wait.await.expect("no panic").expect("it is done");
        }
    }

    #[tokio::test]
    async fn a_panic_is_an_error_and_the_thread_lives_on() {
        let threads = Threads::new(1).expect("threads");
        let (tenant, _) = tenants();
        threads.run(&tenant, || panic!("on purpose")).await.expect_err("it never answers");
        assert_eq!(threads.run(&tenant, || 7).await.expect("it answers"), 7);
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 1)]
    async fn what_runs_here_holds_up_nobody_on_its_runtime() {
        let threads = Threads::new(1).expect("threads");
        let (tenant, _) = tenants();
        let (tell, told) = std::sync::mpsc::channel();
        let work = tokio::spawn(async move {
            let other = tokio::spawn(async move { tell.send(()) });
            let asker = std::thread::current().id();
            let wait = move || (told.recv_timeout(Duration::from_secs(10)), std::thread::current().id());
            let (heard, thread) = threads.run_at(Place::Here, &tenant, wait).await.expect("it is done");
            assert_eq!(thread, asker, "it runs here");
            heard.expect("the only worker's other task ran meanwhile");
            other.await.expect("no panic").expect("it was heard");
            threads.run_at(Place::Here, &tenant, || panic!("on purpose")).await.expect_err("an error like any other");
        });
        work.await.expect("no panic");
    }

    #[tokio::test]
    async fn they_stand_behind_the_others_in_line() {
        let threads = Threads::new(1).expect("threads");
        let priority = || rustix::process::getpriority_process(None).expect("its own");
        let (tenant, _) = tenants();
        assert_eq!(threads.run(&tenant, priority).await.expect("a number"), (priority() + limits::GUEST_NICE).min(19));
    }
}
