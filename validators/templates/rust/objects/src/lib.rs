//! Lets only texts pass, of a bearable size, with line feeds at the ends of their lines.

use std::mem;

use serde::Deserialize;
use weir_validator_sdk::objects::{Beginning, Closing, Piece};
use weir_validator_sdk::{Config, Object, ObjectValidator, log};

/// The configuration that the validator is deployed with. A misspelt name is an error, not a limit that never applies.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Settings {
    /// The most bytes that an object may have, as it is sent.
    max_bytes: u64,
}

/// The validator of one object. It never holds more of it than a carriage return.
struct Texts {
    settings: Settings,
    /// How many bytes were shown.
    seen: u64,
    /// The last byte was a carriage return: what becomes of it depends on the next.
    held: bool,
    /// The sender did not say what it is.
    untyped: bool,
}

impl ObjectValidator for Texts {
    /// Called once for each object. An error refuses the object: it says what is wrong with the configuration.
    fn new(config: Config<'_>) -> Result<Self, String> {
        Ok(Self { settings: config.parse()?, seen: 0, held: false, untyped: false })
    }

    /// Called before the bytes come.
    fn begin(&mut self, object: &Object<'_>) -> Result<Beginning, String> {
        self.untyped = object.media_type.is_none();
        Ok(match object.size {
            Some(size) if size > self.settings.max_bytes => {
                log::info(format!("{}/{} has {size} bytes", object.bucket, object.name));
                Beginning::Reject(self.too_large())
            }
            _ => Beginning::Inspect,
        })
    }

    /// Called for each piece of the bytes, in turn. Where they are cut has no meaning.
    fn chunk(&mut self, bytes: &[u8]) -> Result<Piece, String> {
        let mut passed = Vec::with_capacity(bytes.len() + 1);
        for byte in bytes {
            self.seen += 1;
            if self.seen > self.settings.max_bytes {
                return Ok(Piece::Reject(self.too_large()));
            }
            match byte {
                0 => return Ok(Piece::Reject(format!("byte {} is zero, and a text has none", self.seen))),
                b'\n' => self.held = false,
                _ if mem::take(&mut self.held) => passed.push(b'\r'),
                _ => {}
            }
            match byte {
                b'\r' => self.held = true,
                other => passed.push(*other),
            }
        }
        Ok(if passed == bytes { Piece::Keep } else { Piece::Replace(passed) })
    }

    /// Called after the last of them.
    fn finish(&mut self) -> Result<Closing, String> {
        Ok(Closing::Store {
            append: if self.held { b"\r".to_vec() } else { Vec::new() },
            media_type: self.untyped.then(|| "text/plain".to_owned()),
        })
    }
}

impl Texts {
    fn too_large(&self) -> String {
        format!("it has more than {} bytes, which is the limit", self.settings.max_bytes)
    }
}

weir_validator_sdk::export_objects!(Texts);

#[cfg(test)]
mod tests {
    use weir_validator_sdk::objects::{Judged, judge_object};

    use super::*;

    fn judged(object: &Object<'_>, chunks: &[&[u8]]) -> Judged {
        let mut texts = Texts::new(Config::new(r#"{"maxBytes": 12}"#)).unwrap();
        judge_object(&mut texts, object, chunks.iter().copied()).unwrap()
    }

    fn stored(bytes: &[u8]) -> Judged {
        Judged::Stored { bytes: bytes.to_vec(), media_type: None }
    }

    const NOTES: Object<'_> = Object::new("files", "notes.txt").of_type("text/plain");

    #[test]
    fn lines_end_in_line_feeds_wherever_the_bytes_are_cut() {
        assert_eq!(judged(&NOTES, &[b"one\ntwo"]), stored(b"one\ntwo"));
        let sent = b"a\r\n\rb\r\r\nc\r";
        let expected = stored(b"a\n\rb\r\nc\r");
        for at in 0..=sent.len() {
            let (first, second) = sent.split_at(at);
            assert_eq!(judged(&NOTES, &[first, second]), expected, "cut at {at}");
        }
    }

    #[test]
    fn what_is_no_text_or_too_large_is_rejected() {
        assert_eq!(judged(&NOTES, &[b"on\0e"]), Judged::Rejected("byte 3 is zero, and a text has none".to_owned()));
        let too_large = Judged::Rejected("it has more than 12 bytes, which is the limit".to_owned());
        assert_eq!(judged(&NOTES, &[b"one two ", b"three"]), too_large);
        assert_eq!(judged(&NOTES.of_size(13), &[]), too_large);
    }

    #[test]
    fn what_has_no_media_type_gets_one() {
        let text = Judged::Stored { bytes: b"one".to_vec(), media_type: Some("text/plain".to_owned()) };
        assert_eq!(judged(&Object::new("files", "notes"), &[b"one"]), text);
    }

    #[test]
    fn a_wrong_configuration_is_named() {
        assert!(Texts::new(Config::new(r#"{"maxBytes": -1}"#)).is_err_and(|problem| problem.contains("maxBytes")));
    }
}
