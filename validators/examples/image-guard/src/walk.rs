//! The way through an image, chunk by chunk.
//!
//! An image is heads and what follows them: a head says how much follows and what becomes of it. A format decides by heads, which are
//! short; the walk collects them wherever chunks end, and passes or drops the rest as it comes.

/// The longest head that a format may ask for.
pub(crate) const HEAD_MAX: usize = 32;

/// What becomes of bytes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Fate {
    Keep,
    Drop,
    /// Zeros pass in their place.
    Blank,
}

/// What a format says about a head.
#[derive(Debug, PartialEq)]
pub(crate) enum Step {
    /// It needs this many bytes to decide.
    More(usize),
    /// The first byte only fills up and passes; it needs one more.
    Shift,
    Go {
        head: Fate,
        run: u64,
        fate: Fate,
        then: Then,
    },
}

/// What comes after a run.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Then {
    /// A head of so many bytes, one at least.
    Head(usize),
    /// Bytes that pass, until 0xff and another byte than zero or a restart marker. These two begin a head.
    Scan,
    /// The image is over, and this becomes of all that follows.
    Over(Fate),
}

/// What knows how a kind of image is made.
pub(crate) trait Format {
    /// How long the first head is.
    fn first(&self) -> usize;

    /// Decides about a head, which it may change. An error is the reason to reject the image.
    fn step(&mut self, head: &mut [u8]) -> Result<Step, String>;
}

/// A walk through one image.
pub(crate) struct Walk {
    format: Box<dyn Format>,
    head: [u8; HEAD_MAX],
    have: usize,
    state: State,
}

#[derive(Clone, Copy)]
enum State {
    Head(usize),
    Run { left: u64, fate: Fate, then: Then },
    Scan { marked: bool },
    Over(Fate),
}

impl Walk {
    pub(crate) fn new(format: Box<dyn Format>) -> Self {
        let state = State::Head(format.first());
        Self { format, head: [0; HEAD_MAX], have: 0, state }
    }

    pub(crate) fn is_over(&self) -> bool {
        matches!(self.state, State::Over(_))
    }

    /// Looks at the next bytes and adds what passes. An error is the reason to reject the image.
    pub(crate) fn feed(&mut self, mut bytes: &[u8], passed: &mut Vec<u8>) -> Result<(), String> {
        while !bytes.is_empty() {
            bytes = match self.state {
                State::Head(want) => self.collect(want, bytes, passed)?,
                State::Run { left, fate, then } => {
                    let (now, rest) = bytes.split_at(usize::try_from(left).map_or(bytes.len(), |left| left.min(bytes.len())));
                    put(now, fate, passed);
                    self.state = run(left - now.len() as u64, fate, then);
                    rest
                }
                State::Scan { marked: false } => {
                    let end = bytes.iter().position(|byte| *byte == 0xff);
                    passed.extend_from_slice(&bytes[..end.unwrap_or(bytes.len())]);
                    self.state = State::Scan { marked: end.is_some() };
                    end.map_or(&[], |end| &bytes[end + 1..])
                }
                State::Scan { marked: true } => {
                    match bytes[0] {
                        byte @ (0 | 0xd0..=0xd7) => {
                            passed.extend_from_slice(&[0xff, byte]);
                            self.state = State::Scan { marked: false };
                        }
                        // Fills up, and the next byte is what counts.
                        0xff => passed.push(0xff),
                        marker => {
                            self.head[..2].copy_from_slice(&[0xff, marker]);
                            self.have = 2;
                            self.decide(passed)?;
                        }
                    }
                    &bytes[1..]
                }
                State::Over(fate) => {
                    put(bytes, fate, passed);
                    &[]
                }
            };
        }
        Ok(())
    }

    /// Adds to the head what it lacks, and hands back what comes after it.
    fn collect<'b>(&mut self, want: usize, bytes: &'b [u8], passed: &mut Vec<u8>) -> Result<&'b [u8], String> {
        let (now, rest) = bytes.split_at(bytes.len().min(want - self.have));
        self.head[self.have..self.have + now.len()].copy_from_slice(now);
        self.have += now.len();
        if self.have == want {
            self.decide(passed)?;
        }
        Ok(rest)
    }

    fn decide(&mut self, passed: &mut Vec<u8>) -> Result<(), String> {
        let head = &mut self.head[..self.have];
        match self.format.step(head)? {
            Step::More(want) => self.state = State::Head(want.clamp(self.have + 1, HEAD_MAX)),
            Step::Shift => {
                self.state = State::Head(self.have);
                put(&head[..1], Fate::Keep, passed);
                self.head.copy_within(1..self.have, 0);
                self.have -= 1;
            }
            Step::Go { head: fate, run: left, fate: next, then } => {
                put(head, fate, passed);
                self.have = 0;
                self.state = run(left, next, then);
            }
        }
        Ok(())
    }
}

fn run(left: u64, fate: Fate, then: Then) -> State {
    match then {
        _ if left > 0 => State::Run { left, fate, then },
        Then::Head(want) => State::Head(want.clamp(1, HEAD_MAX)),
        Then::Scan => State::Scan { marked: false },
        Then::Over(fate) => State::Over(fate),
    }
}

fn put(bytes: &[u8], fate: Fate, passed: &mut Vec<u8>) {
    match fate {
        Fate::Keep => passed.extend_from_slice(bytes),
        Fate::Blank => passed.resize(passed.len() + bytes.len(), 0),
        Fate::Drop => {}
    }
}
