//! The books, for whoever wants to know what became of readings: sums, one message, the recount.

use super::Gate;
use crate::error::Result;
use crate::model::{Action, Caller, Resource};
pub use crate::timescale::{Aside, Booked, BooksFilter, Difference, Recount, Sums, Trace};

impl Gate {
    /// The books by topic, partition and origin.
    pub async fn ledger_books(&self, caller: &Caller, filter: &BooksFilter) -> Result<Vec<Sums>> {
        let permit = self.authorise(caller, Action::Read, &Resource::ledger()).await?;
        self.timescale.books(&permit, filter).await
    }

    /// What the books say of one message, for each log that has its partition, the one that moved last first.
    pub async fn ledger_trace(&self, caller: &Caller, topic: &str, partition: i32, offset: i64) -> Result<Vec<Trace>> {
        let permit = self.authorise(caller, Action::Read, &Resource::ledger()).await?;
        self.timescale.trace(&permit, topic, partition, offset).await
    }

    /// Recounts the books from the rows.
    pub async fn ledger_verify(&self, caller: &Caller, filter: &BooksFilter) -> Result<Recount> {
        let permit = self.authorise(caller, Action::Read, &Resource::ledger()).await?;
        self.timescale.recount(&permit, filter).await
    }
}
