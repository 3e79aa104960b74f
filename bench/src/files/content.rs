//! The bytes of objects. Each object has its own, or a store that keeps equal blocks once would have nothing to write; and each can be made
//! again, so that what is fetched can be held against what was stored.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use sha2::{Digest as _, Sha256};

/// Bytes that differ from object to object in their beginning alone: the blocks of the store, and a divisor of parts of uploads.
const BLOCK: u64 = 1 << 20;
/// Bytes that are handed to the socket at once, a divisor of a block.
const FRAME: u64 = 64 << 10;

/// Random bytes that all objects are made of: a store that compresses has no success with them, as with most files.
#[derive(Clone, Debug)]
pub struct Noise(Bytes);

impl Noise {
    /// The same ones each time.
    pub fn new() -> Self {
        let mut state = 0x5eed_u64;
        let mut word = || {
            // splitmix64
            state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            mixed ^ (mixed >> 31)
        };
        Self((0..BLOCK / 8).flat_map(|_| word().to_le_bytes()).collect())
    }

    /// The bytes of the object with this number, not begun yet.
    pub fn object(&self, number: u64, size: u64) -> Content {
        Content { bytes: self.0.clone(), number: Some(number), end: size, at: 0 }
    }
}

/// What is left of an object's bytes. As a body of a request it is never there whole.
#[derive(Clone, Debug)]
pub struct Content {
    /// What is said over and over until the end.
    bytes: Bytes,
    /// What makes an object's bytes its own.
    number: Option<u64>,
    end: u64,
    at: u64,
}

impl Content {
    /// A short text, or nothing.
    pub fn text(text: String) -> Self {
        Self { end: text.len() as u64, bytes: text.into(), number: None, at: 0 }
    }

    /// How many bytes are left.
    pub fn left(&self) -> u64 {
        self.end - self.at
    }

    /// Its parts of so many bytes, whole blocks each; the last one may be shorter.
    pub fn parts(&self, bytes: u64) -> Vec<Self> {
        let part = |at| Self { at, end: self.end.min(at + bytes), ..self.clone() };
        (0..self.left().div_ceil(bytes)).map(|number| part(self.at + number * bytes)).collect()
    }

    /// The SHA-256 of what is left.
    pub fn sha256(self) -> [u8; 32] {
        let mut hash = Sha256::new();
        for frame in self {
            hash.update(&frame);
        }
        hash.finalize().into()
    }
}

impl Iterator for Content {
    type Item = Bytes;

    fn next(&mut self) -> Option<Bytes> {
        let length = FRAME.min(self.left());
        if length == 0 {
            return None;
        }
        let within = self.at % BLOCK;
        let range = usize::try_from(within).ok()?..usize::try_from(within + length).ok()?;
        let frame = self.bytes.slice(range);
        let block = self.at / BLOCK;
        self.at += length;
        let Some(number) = self.number.filter(|_| within == 0) else { return Some(frame) };
        let mark = [number.to_le_bytes(), block.to_le_bytes()].concat();
        let mut marked = frame.to_vec();
        for (byte, mark) in marked.iter_mut().zip(mark) {
            *byte = mark;
        }
        Some(marked.into())
    }
}

impl Body for Content {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(self.get_mut().next().map(|frame| Ok(Frame::data(frame))))
    }

    fn is_end_stream(&self) -> bool {
        self.left() == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_block_of_each_object_is_its_own_and_the_same_each_time() {
        let noise = Noise::new();
        let of = |number, size| noise.object(number, size).flatten().collect::<Vec<u8>>();
        let size = 2 * BLOCK + 4_096;
        let object = of(1, size);
        assert_eq!(object.len() as u64, size);
        assert_eq!(object, of(1, size));
        let block = usize::try_from(BLOCK).unwrap();
        assert_ne!(object[..block], object[block..2 * block]);
        assert_ne!(object[..block], of(2, size)[..block]);
        assert_ne!(of(1, 4_096), of(2, 4_096));
        assert_eq!(noise.object(1, size).sha256(), <[u8; 32]>::from(Sha256::digest(&object)));
        let parts = noise.object(1, size).parts(BLOCK);
        assert_eq!(parts.len(), 3);
        assert_eq!(parts.into_iter().flatten().flatten().collect::<Vec<u8>>(), object);
        assert_eq!(Content::text("a text".to_owned()).flatten().collect::<Vec<u8>>(), b"a text");
        assert!(Content::text(String::new()).is_end_stream());
    }
}
