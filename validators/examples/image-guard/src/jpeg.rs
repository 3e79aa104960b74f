//! JPEG (ITU T.81): markers, most with a segment that says its length, and the coded picture between them.

use crate::rules::Picture;
use crate::walk::{Fate, Format, Step, Then};

/// The profile is in segments that begin with this.
const PROFILE: &[u8] = b"ICC_PROFILE\0";
/// How a decoder is to read the colours.
const ADOBE: &[u8] = b"Adobe";
const JFIF: &[u8] = b"JFIF\0";
/// The length of a JFIF segment without a thumbnail.
const JFIF_BARE: u16 = 16;
/// The longest header of a scan: four components.
const SCAN_MAX: u16 = 14;

/// What is known of an image so far.
pub(crate) struct Jpeg {
    picture: Picture,
    begun: bool,
    measured: bool,
    pictured: bool,
}

impl Jpeg {
    pub(crate) fn new(picture: Picture) -> Self {
        Self { picture, begun: false, measured: false, pictured: false }
    }

    /// A segment, as far as its head shows it.
    fn segment(&mut self, marker: u8, length: u16, head: &[u8]) -> Result<Step, String> {
        let payload = usize::from(length) - 2;
        let shown = &head[4..];
        let look = |bytes: usize| bytes.min(payload);
        let (needed, fate) = match marker {
            // Where the picture is measured; the others in this row are tables and arithmetic conditions.
            0xc0..=0xc3 | 0xc5..=0xc7 | 0xc9..=0xcb | 0xcd..=0xcf => (look(5), Fate::Keep),
            0xc4 | 0xcc | 0xdb..=0xdf => (0, Fate::Keep),
            0xda => (payload.min(usize::from(SCAN_MAX)), Fate::Keep),
            0xe0 => (look(JFIF.len()), kept_if(shown == JFIF && length == JFIF_BARE, self.picture)),
            0xe2 => (look(PROFILE.len()), if shown == PROFILE { self.picture.profile() } else { self.picture.metadata() }),
            0xee => (look(ADOBE.len()), kept_if(shown == ADOBE, self.picture)),
            0xe1..=0xef | 0xfe => (0, self.picture.metadata()),
            _ => return Err(format!("the JPEG image has a marker ff{marker:02x}, which does not belong there")),
        };
        if shown.len() < needed {
            return Ok(Step::More(4 + needed));
        }
        let mut then = Then::Head(2);
        match (marker, shown) {
            (0xda, _) if !self.measured => return Err("the JPEG image begins before it says how large it is".to_owned()),
            (0xda, _) if length > SCAN_MAX => return Err("the JPEG image has a scan of too many components".to_owned()),
            (0xda, _) => {
                self.pictured = true;
                then = Then::Scan;
            }
            (0xc0..=0xcf, &[_, higher, height, wider, width]) => {
                self.picture.measure(u16::from_be_bytes([wider, width]).into(), u16::from_be_bytes([higher, height]).into())?;
                self.measured = true;
            }
            (0xc0..=0xcf, _) if !matches!(marker, 0xc4 | 0xcc) => return Err(damaged()),
            _ => {}
        }
        Ok(Step::Go { head: fate, run: (payload - shown.len()) as u64, fate, then })
    }
}

impl Format for Jpeg {
    fn first(&self) -> usize {
        2
    }

    fn step(&mut self, head: &mut [u8]) -> Result<Step, String> {
        if !self.begun {
            self.begun = true;
            return Ok(Step::Go { head: Fate::Keep, run: 0, fate: Fate::Keep, then: Then::Head(2) });
        }
        match *head {
            [0xff, 0xff] => Ok(Step::Shift),
            [0xff, 0xd9] if self.pictured => {
                let then = Then::Over(self.picture.metadata());
                Ok(Step::Go { head: Fate::Keep, run: 0, fate: Fate::Keep, then })
            }
            [0xff, 0xd9] => Err("the JPEG image has no picture in it".to_owned()),
            [0xff, 0 | 1 | 0xd0..=0xd8] => Err(damaged()),
            [0xff, _] => Ok(Step::More(4)),
            [0xff, marker, high, low, ..] => match u16::from_be_bytes([high, low]) {
                0 | 1 => Err(damaged()),
                length => self.segment(marker, length, head),
            },
            _ => Err(damaged()),
        }
    }
}

fn kept_if(it_is: bool, picture: Picture) -> Fate {
    if it_is { Fate::Keep } else { picture.metadata() }
}

fn damaged() -> String {
    "the JPEG image is damaged: its segments do not follow each other".to_owned()
}
