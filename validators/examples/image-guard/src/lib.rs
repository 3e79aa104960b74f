//! Lets only images pass that are what they say, of a bearable size, and without their metadata.
//!
//! Bytes are looked at as they come and held back only until it is clear what becomes of them, a few at most. So an image of any size
//! takes the same memory, and where its bytes are cut into chunks changes nothing.

mod gif;
mod jpeg;
mod kind;
mod png;
mod rules;
mod settings;
mod walk;
mod webp;

use std::mem;

use weir_validator_sdk::objects::{Beginning, Closing, Piece};
use weir_validator_sdk::{Config, Object, ObjectValidator};

use self::kind::{Content, FRONT};
use self::rules::{Claims, Rules};
use self::settings::Settings;
use self::walk::Walk;

/// The validator of one object.
struct ImageGuard {
    rules: Rules,
    claims: Claims,
    seen: u64,
    stage: Stage,
}

/// How far the object has come.
enum Stage {
    /// What it is is not known yet: its first bytes.
    Front(Vec<u8>),
    Image(Walk),
    /// No image, and that is fine.
    Other,
}

impl ObjectValidator for ImageGuard {
    fn new(config: Config<'_>) -> Result<Self, String> {
        let rules = config.parse().and_then(Settings::rules)?;
        Ok(Self { rules, claims: Claims::default(), seen: 0, stage: Stage::Front(Vec::new()) })
    }

    fn begin(&mut self, object: &Object<'_>) -> Result<Beginning, String> {
        self.claims = Claims::of(object);
        Ok(match object.size {
            Some(size) if size > self.rules.max_bytes => Beginning::Reject(self.rules.too_large()),
            _ => Beginning::Inspect,
        })
    }

    fn chunk(&mut self, bytes: &[u8]) -> Result<Piece, String> {
        let mut passed = Vec::with_capacity(bytes.len() + FRONT);
        Ok(match self.look(bytes, &mut passed) {
            Err(reason) => Piece::Reject(reason),
            Ok(()) if passed == bytes => Piece::Keep,
            Ok(()) => Piece::Replace(passed),
        })
    }

    fn finish(&mut self) -> Result<Closing, String> {
        let mut append = Vec::new();
        Ok(match self.end(&mut append) {
            Err(reason) => Closing::Reject(reason),
            Ok(()) => Closing::Store { append, media_type: self.claims.correction() },
        })
    }
}

impl ImageGuard {
    /// Looks at the next bytes and adds what passes.
    fn look(&mut self, bytes: &[u8], passed: &mut Vec<u8>) -> Result<(), String> {
        // Those below the limit first, so that the reason is the same wherever the bytes are cut.
        let left = usize::try_from(self.rules.max_bytes - self.seen).unwrap_or(usize::MAX);
        let within = &bytes[..bytes.len().min(left)];
        self.seen += within.len() as u64;
        self.advance(within, passed)?;
        if within.len() < bytes.len() { Err(self.rules.too_large()) } else { Ok(()) }
    }

    fn advance(&mut self, bytes: &[u8], passed: &mut Vec<u8>) -> Result<(), String> {
        match &mut self.stage {
            Stage::Other => passed.extend_from_slice(bytes),
            Stage::Image(walk) => walk.feed(bytes, passed)?,
            Stage::Front(front) => {
                let (first, rest) = bytes.split_at(bytes.len().min(FRONT - front.len()));
                front.extend_from_slice(first);
                if front.len() == FRONT {
                    self.recognise(passed)?;
                    self.advance(rest, passed)?;
                }
            }
        }
        Ok(())
    }

    /// Decides by the first bytes what the object is, and whether it may be that.
    fn recognise(&mut self, passed: &mut Vec<u8>) -> Result<(), String> {
        let Stage::Front(front) = mem::replace(&mut self.stage, Stage::Other) else { return Ok(()) };
        let content = Content::of(&front);
        self.rules.admit(content, &self.claims)?;
        self.claims.settle(content);
        if let Content::Image(kind) = content {
            self.stage = Stage::Image(Walk::new(kind.format(self.rules.picture)));
        }
        self.advance(&front, passed)
    }

    fn end(&mut self, passed: &mut Vec<u8>) -> Result<(), String> {
        if matches!(self.stage, Stage::Front(_)) {
            self.recognise(passed)?;
        }
        match &self.stage {
            Stage::Image(walk) if !walk.is_over() => Err("the image ends before its end: send all of it".to_owned()),
            _ => Ok(()),
        }
    }
}

weir_validator_sdk::export_objects!(ImageGuard);

#[cfg(test)]
mod samples;
#[cfg(test)]
mod tests;
