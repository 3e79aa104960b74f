//! What a comparison has found out so far, with pairs of schemas that come back below themselves.
//!
//! A pair that is under way and comes back one step further into the value counts as shown: a value has an end, so what holds for
//! smaller values may be used for larger ones. What was shown by that holds only if the pair below does. It is remembered as
//! borrowed until all pairs that it borrows from are decided, and forgotten if one of them fails; and it may be used only further
//! into the value than they are, or two pairs could show one another without a step.

use std::collections::HashMap;

/// What tells one comparison from another one: the schemas that are given, what is known besides, and the schema that reads.
pub(super) type Key = Vec<usize>;

/// The frames that something was borrowed from, a bit each: there are no more of them than comparisons go deep.
type Loan = u128;

const _: () = assert!(crate::limits::COMPAT_DEPTH <= 128, "a frame is a bit");

/// What is known of a comparison.
#[derive(Clone, Copy)]
enum Known {
    Shown,
    NotShown,
    Borrowed(Loan),
}

/// A comparison that is under way.
struct Frame {
    key: Key,
    /// How many steps into the value it is about; none has fewer than the one below it.
    level: usize,
    /// How many were borrowed before it.
    borrowed: usize,
    /// What the frame below had borrowed before it.
    loan: Loan,
}

/// What is remembered.
#[derive(Default)]
pub(super) struct Memory {
    known: HashMap<Key, Known>,
    /// The keys of what is borrowed, in the order in which it was shown.
    borrowed: Vec<Key>,
    under_way: Vec<Frame>,
    /// What the frame on top has borrowed.
    loan: Loan,
}

/// What there is to remember of a comparison.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Recalled {
    Shown,
    NotShown,
    /// It is under way without a step into the value.
    Endless,
    Nothing,
}

fn bit(frame: usize) -> Loan {
    1 << (frame % 128)
}

impl Memory {
    /// What is known of a comparison, so many steps into the value.
    pub(super) fn recall(&mut self, key: &Key, level: usize) -> Recalled {
        match self.known.get(key) {
            Some(Known::Shown) => return Recalled::Shown,
            Some(Known::NotShown) => return Recalled::NotShown,
            Some(Known::Borrowed(loan)) => {
                let furthest = self.under_way.get(loan.checked_ilog2().map_or(usize::MAX, |top| top as usize));
                if furthest.is_some_and(|frame| level > frame.level) {
                    self.loan |= loan;
                    return Recalled::Shown;
                }
            }
            None => {}
        }
        let Some(at) = self.under_way.iter().position(|frame| frame.key == *key) else { return Recalled::Nothing };
        if self.under_way[at].level == level {
            return Recalled::Endless;
        }
        self.loan |= bit(at);
        Recalled::Shown
    }

    pub(super) fn begin(&mut self, key: Key, level: usize) {
        let loan = std::mem::take(&mut self.loan);
        self.under_way.push(Frame { key, level, borrowed: self.borrowed.len(), loan });
    }

    /// Ends the comparison that was begun last; `sure` is false where there was no more time to find out. Returns how much hung
    /// on it.
    pub(super) fn end(&mut self, shown: bool, sure: bool) -> usize {
        let Some(frame) = self.under_way.pop() else { return 0 };
        let own = bit(self.under_way.len());
        let loan = std::mem::replace(&mut self.loan, frame.loan) & !own;
        let since = self.borrowed.split_off(frame.borrowed);
        let number = since.len();
        if !shown {
            for key in since {
                self.known.remove(&key);
            }
            if sure {
                self.known.insert(frame.key, Known::NotShown);
            }
            return number;
        }
        self.loan |= loan;
        for key in since.into_iter().chain([frame.key]) {
            // What borrowed from this frame owes to those that it borrowed from.
            let left = match self.known.get(&key) {
                Some(Known::Borrowed(before)) if before & own == 0 => *before,
                Some(Known::Borrowed(before)) => (before & !own) | loan,
                _ => loan,
            };
            if left == 0 {
                self.known.insert(key, Known::Shown);
            } else {
                self.known.insert(key.clone(), Known::Borrowed(left));
                self.borrowed.push(key);
            }
        }
        number
    }

    /// Starts to watch whether something is borrowed from here on; `unwatch` takes what this returned.
    pub(super) fn watch(&mut self) -> Watch {
        Watch(std::mem::take(&mut self.loan))
    }

    /// True where nothing was borrowed since.
    pub(super) fn unwatch(&mut self, watch: Watch) -> bool {
        let free = self.loan == 0;
        self.loan |= watch.0;
        free
    }
}

/// What had been borrowed before.
#[derive(Clone, Copy)]
pub(super) struct Watch(Loan);
