//! PNG (W3C, third edition): a signature, then chunks that say their length and kind.

use crate::rules::Picture;
use crate::walk::{Fate, Format, Step, Then};

/// Length and kind of a chunk.
const CHUNK_HEAD: usize = 8;
/// The checksum after it.
const CHUNK_END: u64 = 4;
/// No chunk may be longer.
const LENGTH_MAX: u32 = (1 << 31) - 1;
/// Chunks without which a picture looks different. Of the others only the checksum would tell that they are gone.
const PICTURE: &[&[u8; 4]] = &[
    b"IHDR", b"PLTE", b"IDAT", b"IEND", b"tRNS", b"cHRM", b"cICP", b"gAMA", b"mDCV", b"cLLI", b"sBIT", b"sRGB", b"bKGD", b"pHYs",
    b"acTL", b"fcTL", b"fdAT",
];

/// What is known of an image so far.
pub(crate) struct Png {
    picture: Picture,
    stage: Stage,
}

#[derive(PartialEq)]
enum Stage {
    Signature,
    Header,
    Chunks { pictured: bool },
}

impl Png {
    pub(crate) fn new(picture: Picture) -> Self {
        Self { picture, stage: Stage::Signature }
    }

    fn chunk(&mut self, length: u32, kind: [u8; 4], head: &[u8]) -> Result<Step, String> {
        let shown = (head.len() - CHUNK_HEAD) as u64;
        let mut then = Then::Head(CHUNK_HEAD);
        match (&kind, &mut self.stage) {
            (b"IHDR", Stage::Header) if length == 13 => match sides(&head[CHUNK_HEAD..]) {
                Some((width, height)) => {
                    self.picture.measure(width, height)?;
                    self.stage = Stage::Chunks { pictured: false };
                }
                None => return Ok(Step::More(CHUNK_HEAD + 8)),
            },
            (_, Stage::Header) | (b"IHDR", _) => return Err("the PNG image does not begin with a header, or has two".to_owned()),
            (b"IDAT", Stage::Chunks { pictured }) => *pictured = true,
            (b"IEND", Stage::Chunks { pictured: true }) if length == 0 => then = Then::Over(self.picture.metadata()),
            (b"IEND", _) => return Err("the PNG image has no picture in it".to_owned()),
            _ => {}
        }
        let fate = self.fate(kind)?;
        Ok(Step::Go { head: fate, run: u64::from(length) + CHUNK_END - shown, fate, then })
    }

    fn fate(&self, kind: [u8; 4]) -> Result<Fate, String> {
        match &kind {
            b"iCCP" => Ok(self.picture.profile()),
            known if PICTURE.contains(&known) => Ok(Fate::Keep),
            [b'A'..=b'Z', ..] => Err(format!("the PNG image needs a chunk {}, which is unknown", kind.escape_ascii())),
            _ => Ok(self.picture.metadata()),
        }
    }
}

impl Format for Png {
    fn first(&self) -> usize {
        CHUNK_HEAD
    }

    fn step(&mut self, head: &mut [u8]) -> Result<Step, String> {
        if self.stage == Stage::Signature {
            self.stage = Stage::Header;
            return Ok(Step::Go { head: Fate::Keep, run: 0, fate: Fate::Keep, then: Then::Head(CHUNK_HEAD) });
        }
        let Some((length, [k, i, n, d, ..])) = head.split_first_chunk() else { return Ok(Step::More(CHUNK_HEAD)) };
        let (length, kind) = (u32::from_be_bytes(*length), [*k, *i, *n, *d]);
        if length > LENGTH_MAX || !kind.iter().all(u8::is_ascii_alphabetic) {
            return Err("the PNG image is damaged: its chunks do not follow each other".to_owned());
        }
        self.chunk(length, kind, head)
    }
}

/// The width and height that a header begins with, if as much of it is there.
fn sides(header: &[u8]) -> Option<(u32, u32)> {
    let (width, rest) = header.split_first_chunk()?;
    Some((u32::from_be_bytes(*width), u32::from_be_bytes(*rest.first_chunk()?)))
}
