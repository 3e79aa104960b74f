//! WebP (RFC 9649): chunks in a RIFF container.
//!
//! The container says in front how long it is, before anybody can know what is to be dropped. So nothing is: what has to go is made a
//! chunk of zeros that readers skip, of the same length, and the flags in front no longer announce it. That takes no memory, however
//! large the image is, and the price is a file that does not get smaller.

use crate::rules::Picture;
use crate::walk::{Fate, Format, Step, Then};

/// The container's name, size and kind.
const CONTAINER: usize = 12;
/// Name and size of a chunk.
const CHUNK_HEAD: usize = 8;
/// Payload of the chunk that announces the others.
const EXTENDED: u32 = 10;
/// What stands in front of the chunks of a frame.
const FRAME: u32 = 16;
/// What a chunk is called that nobody is to read.
const JUNK: &[u8; 4] = b"JUNK";

const PROFILE_FLAG: u8 = 0x20;
const EXIF_FLAG: u8 = 0x08;
const XMP_FLAG: u8 = 0x04;

/// What is known of an image so far.
pub(crate) struct Webp {
    picture: Picture,
    stage: Stage,
    pictured: bool,
    /// Bytes of the container that no head has accounted for yet.
    left: u32,
    /// The same of the frame that they are in.
    in_frame: u32,
}

#[derive(PartialEq)]
enum Stage {
    Container,
    FirstChunk,
    Chunks,
}

impl Webp {
    pub(crate) fn new(picture: Picture) -> Self {
        Self { picture, stage: Stage::Container, pictured: false, left: 0, in_frame: 0 }
    }

    fn container(&mut self, size: u32) -> Result<Step, String> {
        if size % 2 != 0 || size < 12 {
            return Err(damaged());
        }
        self.stage = Stage::FirstChunk;
        self.left = size - 4;
        Ok(Step::Go { head: Fate::Keep, run: 0, fate: Fate::Keep, then: Then::Head(CHUNK_HEAD) })
    }

    fn chunk(&mut self, name: [u8; 4], length: u32, head: &mut [u8]) -> Result<Step, String> {
        let first = self.stage == Stage::FirstChunk;
        let needed = match (&name, first) {
            (b"VP8X", true) => EXTENDED,
            (b"VP8 ", _) => 10,
            (b"VP8L", _) => 5,
            (b"ANMF", false) if self.in_frame == 0 => FRAME,
            (b"VP8X" | b"ANMF", _) | (_, true) => return Err(damaged()),
            _ => 0,
        };
        // In 64 bits, as a chunk may say that it is as long as 32 can say.
        let padded = u64::from(length) + u64::from(length % 2);
        let room = if self.in_frame > 0 { self.in_frame } else { self.left };
        let whole = CHUNK_HEAD as u64 + padded;
        if length < needed
            || whole > u64::from(room)
            || (name == *b"VP8X" && length != EXTENDED)
            || (name == *b"ANMF" && length % 2 != 0)
        {
            return Err(damaged());
        }
        let shown = CHUNK_HEAD + needed as usize;
        if head.len() < shown {
            return Ok(Step::More(shown));
        }
        self.stage = Stage::Chunks;
        let fate = self.judge(name, head)?;
        if fate == Fate::Blank {
            head[..4].copy_from_slice(JUNK);
        }
        // The chunks of a frame follow its head, so of the frame itself only the head is accounted for.
        let run = if name == *b"ANMF" { 0 } else { padded - u64::from(needed) };
        let taken = u32::try_from(shown as u64 + run).map_err(|_| damaged())?;
        if name == *b"ANMF" {
            self.in_frame = length - FRAME;
        } else {
            self.in_frame = self.in_frame.saturating_sub(taken);
        }
        self.left = self.left.checked_sub(taken).ok_or_else(damaged)?;
        Ok(Step::Go { head: Fate::Keep, run, fate, then: self.next()? })
    }

    /// What becomes of a chunk, which is measured if it is a picture.
    fn judge(&mut self, name: [u8; 4], head: &mut [u8]) -> Result<Fate, String> {
        let [_, _, _, _, _, _, _, _, payload @ ..] = head else { return Err(damaged()) };
        match (&name, payload) {
            (b"VP8X", [flags, _, _, _, width @ .., h0, h1, h2]) => {
                self.picture.measure(below(width), below(&[*h0, *h1, *h2]))?;
                *flags &= !self.cleared();
            }
            (b"ANMF", [_, _, _, _, _, _, w0, w1, w2, h0, h1, h2, ..]) => {
                self.picture.measure(below(&[*w0, *w1, *w2]), below(&[*h0, *h1, *h2]))?;
            }
            // The upper two bits of each are for scaling.
            (b"VP8 ", [tag, _, _, 0x9d, 0x01, 0x2a, w0, w1, h0, h1]) if *tag & 1 == 0 => {
                let side = |low, high| u32::from(u16::from_le_bytes([low, high]) & 0x3fff);
                self.picture.measure(side(*w0, *w1), side(*h0, *h1))?;
                self.pictured = true;
            }
            (b"VP8L", [0x2f, bits @ ..]) => {
                let bits = bits.iter().rev().fold(0, |bits, byte| bits << 8 | u32::from(*byte));
                self.picture.measure((bits & 0x3fff) + 1, (bits >> 14 & 0x3fff) + 1)?;
                self.pictured = true;
            }
            (b"VP8X" | b"ANMF" | b"VP8 " | b"VP8L", _) => return Err(damaged()),
            (b"ICCP", _) => return Ok(blank_if(self.picture.strip_profile)),
            (b"ALPH" | b"ANIM", _) => {}
            _ => return Ok(blank_if(self.picture.strip)),
        }
        Ok(Fate::Keep)
    }

    /// The flags of chunks that will not be there any more.
    fn cleared(&self) -> u8 {
        let metadata = if self.picture.strip { EXIF_FLAG | XMP_FLAG } else { 0 };
        metadata | if self.picture.strip_profile { PROFILE_FLAG } else { 0 }
    }

    fn next(&self) -> Result<Then, String> {
        match self.left {
            0 if !self.pictured => Err("the WebP image has no picture in it".to_owned()),
            0 => Ok(Then::Over(self.picture.metadata())),
            // Not even enough for a head.
            1..8 => Err(damaged()),
            _ => Ok(Then::Head(CHUNK_HEAD)),
        }
    }
}

impl Format for Webp {
    fn first(&self) -> usize {
        CONTAINER
    }

    fn step(&mut self, head: &mut [u8]) -> Result<Step, String> {
        match *head {
            [_, _, _, _, a, b, c, d, ..] if self.stage == Stage::Container => self.container(u32::from_le_bytes([a, b, c, d])),
            [n, a, m, e, a0, b0, c0, d0, ..] => self.chunk([n, a, m, e], u32::from_le_bytes([a0, b0, c0, d0]), head),
            _ => Ok(Step::More(CHUNK_HEAD)),
        }
    }
}

fn blank_if(it_goes: bool) -> Fate {
    if it_goes { Fate::Blank } else { Fate::Keep }
}

/// A side that is stored as what is one below it, in 24 bits.
fn below(bytes: &[u8]) -> u32 {
    bytes.iter().rev().fold(0, |side, byte| side << 8 | u32::from(*byte)) + 1
}

fn damaged() -> String {
    "the WebP image is damaged: its chunks do not follow each other".to_owned()
}
