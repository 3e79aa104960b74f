//! A part of a topic's messages, by reference into their runs: what a flush takes, and what halving, taking away and stopping leave of
//! it.
//!
//! Pure. The messages of a partition keep their order through all of it, and no message is in two parts.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use crate::kafka::{Message, Partition, Run};

/// Messages of one topic, in the order in which they came.
#[derive(Clone, Debug, Default)]
pub(super) struct Part {
    pieces: Vec<Piece>,
}

/// Some messages of a run.
#[derive(Clone, Debug)]
struct Piece {
    run: Arc<Run>,
    messages: Range<usize>,
}

/// What a part has of one partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) partition: Partition,
    pub(super) epoch: u64,
    /// The offset of its first message.
    pub(super) first: i64,
    /// One past the offset of its last message.
    pub(super) next: i64,
}

impl Part {
    /// Appends a run.
    pub(super) fn push(&mut self, run: Run) {
        let messages = 0..run.len();
        self.pieces.push(Piece { run: Arc::new(run), messages });
    }

    /// The number of messages.
    pub(super) fn len(&self) -> usize {
        self.pieces.iter().map(|piece| piece.messages.len()).sum()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.pieces.iter().all(|piece| piece.messages.is_empty())
    }

    /// The messages with the number of their partition.
    pub(super) fn messages(&self) -> impl Iterator<Item = (i32, Message)> {
        self.pieces.iter().flat_map(|piece| piece.messages.clone().map(|at| (piece.run.partition.number, piece.run.message(at))))
    }

    /// What it has of each partition, by their numbers.
    pub(super) fn spans(&self) -> Vec<Span> {
        let mut spans: BTreeMap<i32, Span> = BTreeMap::new();
        for Piece { run, messages } in self.pieces.iter().filter(|piece| !piece.messages.is_empty()) {
            let next = run.offset(messages.end - 1) + 1;
            spans.entry(run.partition.number).and_modify(|span| span.next = next).or_insert_with(|| Span {
                partition: run.partition.clone(),
                epoch: run.epoch,
                first: run.offset(messages.start),
                next,
            });
        }
        spans.into_values().collect()
    }

    /// Drops the messages of runs that do not count any more; true where there were any.
    pub(super) fn retain(&mut self, counts: impl Fn(&Run) -> bool) -> bool {
        let before = self.pieces.len();
        self.pieces.retain(|piece| counts(&piece.run));
        self.pieces.len() < before
    }

    /// Drops the messages of a partition from an offset on.
    pub(super) fn cut(&mut self, number: i32, offset: i64) {
        for Piece { run, messages } in self.pieces.iter_mut().filter(|piece| piece.run.partition.number == number) {
            while messages.start < messages.end && run.offset(messages.end - 1) >= offset {
                messages.end -= 1;
            }
        }
        self.pieces.retain(|piece| !piece.messages.is_empty());
    }

    /// The first and the second half of its messages. Of one message the second half is empty.
    pub(super) fn halve(mut self) -> (Self, Self) {
        let mut left = self.len().div_ceil(2);
        let at = self.pieces.iter().position(|piece| {
            let within = piece.messages.len() >= left;
            if !within {
                left -= piece.messages.len();
            }
            within
        });
        let Some(at) = at else { return (self, Self::default()) };
        let mut second = self.pieces.split_off(at + 1);
        let middle = self.pieces[at].messages.start + left;
        let rest = middle..self.pieces[at].messages.end;
        if !rest.is_empty() {
            second.insert(0, Piece { run: Arc::clone(&self.pieces[at].run), messages: rest });
        }
        self.pieces[at].messages.end = middle;
        (self, Self { pieces: second })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::kafka::{Memory, run_of};

    /// Parts of up to three partitions, in runs of up to nine messages; offsets have holes between runs, as after a compaction.
    fn parts() -> impl Strategy<Value = Part> {
        prop::collection::vec((0..3_i32, 1..10_usize, 0..3_i64), 0..12).prop_map(|runs| {
            let share = Memory::new(1 << 20).share();
            let mut next = [0_i64; 3];
            let mut part = Part::default();
            for (number, length, hole) in runs {
                let partition = Partition { topic: "t".into(), number };
                let offset = &mut next[usize::try_from(number).expect("small")];
                *offset += hole;
                let payloads: Vec<&[u8]> = vec![b"x"; length];
                part.push(run_of(&partition, 1, *offset, &payloads, &share));
                *offset += i64::try_from(length).expect("small");
            }
            part
        })
    }

    fn offsets(part: &Part) -> Vec<(i32, i64)> {
        part.messages().map(|(number, message)| (number, message.offset)).collect()
    }

    /// All messages that halving reaches when it goes on until each is alone.
    fn singles(part: Part, into: &mut Vec<(i32, i64)>) {
        if part.len() <= 1 {
            into.extend(offsets(&part));
            return;
        }
        let (one, other) = part.halve();
        singles(one, into);
        singles(other, into);
    }

    proptest! {
        #[test]
        fn halves_are_equal_in_number_and_lose_double_and_reorder_nothing(part in parts()) {
            let all = offsets(&part);
            let (first, second) = part.halve();
            prop_assert_eq!(first.len(), all.len().div_ceil(2));
            prop_assert_eq!([offsets(&first), offsets(&second)].concat(), all);
        }

        #[test]
        fn halving_until_each_is_alone_reaches_every_message_once_in_order(part in parts()) {
            let all = offsets(&part);
            let mut found = Vec::new();
            singles(part, &mut found);
            prop_assert_eq!(found, all);
        }

        #[test]
        fn the_spans_of_halves_follow_each_other(part in parts()) {
            let whole = part.spans();
            let (first, second) = part.halve();
            for span in whole {
                let of = |part: &Part| part.spans().into_iter().find(|one| one.partition == span.partition);
                match (of(&first), of(&second)) {
                    (Some(one), Some(other)) => {
                        prop_assert!(one.next <= other.first);
                        prop_assert_eq!((one.first, other.next), (span.first, span.next));
                    }
                    (Some(one), None) | (None, Some(one)) => prop_assert_eq!((one.first, one.next), (span.first, span.next)),
                    (None, None) => prop_assert!(false, "a partition vanished"),
                }
            }
        }

        #[test]
        fn a_cut_leaves_what_lies_before_it(part in parts(), number in 0..3_i32, offset in 0..30_i64) {
            let mut rest = part.clone();
            rest.cut(number, offset);
            let wanted: Vec<_> = offsets(&part).into_iter().filter(|(of, at)| *of != number || *at < offset).collect();
            prop_assert_eq!(offsets(&rest), wanted);
        }
    }
}
