//! GIF (89a): a screen, then blocks, whose data is in sub-blocks of up to 255 bytes each.

use crate::rules::Picture;
use crate::walk::{Fate, Format, Step, Then};

/// Signature and logical screen.
const SCREEN: usize = 13;
/// An application extension, as far as the application's name and code.
const APPLICATION: usize = 14;
/// Separator, place and size of a frame.
const FRAME: usize = 10;

/// What is known of an image so far.
pub(crate) struct Gif {
    picture: Picture,
    stage: Stage,
    pictured: bool,
}

#[derive(Clone, Copy)]
enum Stage {
    Screen,
    Block,
    SubBlocks(Fate),
}

impl Gif {
    pub(crate) fn new(picture: Picture) -> Self {
        Self { picture, stage: Stage::Screen, pictured: false }
    }

    fn block(&mut self, head: &[u8]) -> Result<Step, String> {
        match *head {
            [0x3b, ..] if self.pictured => Ok(go(Fate::Keep, 0, Then::Over(self.picture.metadata()))),
            [0x3b, ..] => Err("the GIF image has no picture in it".to_owned()),
            [0x2c, _, _, _, _, width, wider, height, higher, flags] => {
                self.picture.measure(u16::from_le_bytes([width, wider]).into(), u16::from_le_bytes([height, higher]).into())?;
                self.pictured = true;
                self.stage = Stage::SubBlocks(Fate::Keep);
                // One more byte before the sub-blocks: the size of codes.
                Ok(go(Fate::Keep, table(flags) + 1, Then::Head(1)))
            }
            [0x2c, ..] => Ok(Step::More(FRAME)),
            [0x21] => Ok(Step::More(2)),
            [0x21, 0xff] => Ok(Step::More(APPLICATION)),
            [0x21, 0xff, 11, ref application @ ..] => {
                let fate = match application {
                    b"NETSCAPE2.0" | b"ANIMEXTS1.0" => Fate::Keep,
                    b"ICCRGBG1012" => self.picture.profile(),
                    _ => self.picture.metadata(),
                };
                Ok(self.extension(fate))
            }
            // How long a frame is shown, and a text that is part of the picture.
            [0x21, 0xf9 | 0x01] => Ok(self.extension(Fate::Keep)),
            [0x21, label] if label != 0xff => Ok(self.extension(self.picture.metadata())),
            _ => Err("the GIF image is damaged: its blocks do not follow each other".to_owned()),
        }
    }

    fn extension(&mut self, fate: Fate) -> Step {
        self.stage = Stage::SubBlocks(fate);
        Step::Go { head: fate, run: 0, fate, then: Then::Head(1) }
    }
}

impl Format for Gif {
    fn first(&self) -> usize {
        SCREEN
    }

    fn step(&mut self, head: &mut [u8]) -> Result<Step, String> {
        match (self.stage, &*head) {
            (Stage::Screen, &[_, _, _, _, _, _, width, wider, height, higher, flags, ..]) => {
                self.picture.measure(u16::from_le_bytes([width, wider]).into(), u16::from_le_bytes([height, higher]).into())?;
                self.stage = Stage::Block;
                Ok(go(Fate::Keep, table(flags), Then::Head(1)))
            }
            (Stage::Screen, _) => Ok(Step::More(SCREEN)),
            (Stage::Block, head) => self.block(head),
            (Stage::SubBlocks(fate), &[length, ..]) => {
                if length == 0 {
                    self.stage = Stage::Block;
                }
                Ok(go(fate, length.into(), Then::Head(1)))
            }
            (Stage::SubBlocks(_), []) => Ok(Step::More(1)),
        }
    }
}

fn go(fate: Fate, run: u64, then: Then) -> Step {
    Step::Go { head: fate, run, fate, then }
}

/// Bytes of the colour table that flags announce.
fn table(flags: u8) -> u64 {
    if flags & 0x80 == 0 { 0 } else { 3 << ((flags & 7) + 1) }
}
