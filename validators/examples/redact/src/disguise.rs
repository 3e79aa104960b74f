//! What takes the place of a value: a mask or a hash. Twice is the same as once, as a document may be sent back as it was read.

use std::fmt;

use hmac::{Hmac, KeyInit, Mac};
use serde_json::Value;
use sha2::Sha256;

/// What stands for what is not shown.
const MASK: &str = "***";
/// What a hash begins with, which says how it was made.
const HASHED: &str = "hmac-sha256:";
/// Bytes of a key: fewer can be guessed, and with the key what was hashed.
const KEY_MIN: usize = 16;

/// What takes the place of a value.
#[derive(Debug)]
pub(crate) enum Disguise {
    /// A mask, and as many of a text's last characters.
    Mask { keep: usize },
    /// Equal values have equal hashes; without the key nobody can try values out.
    Hash(Key),
}

/// The key of hashes.
#[derive(Clone)]
pub(crate) struct Key(Hmac<Sha256>);

impl Key {
    pub(crate) fn new(key: &str) -> Result<Self, String> {
        if key.len() < KEY_MIN {
            return Err(format!("it has {} bytes, and fewer than {KEY_MIN} can be guessed", key.len()));
        }
        Hmac::new_from_slice(key.as_bytes()).map(Self).map_err(|error| error.to_string())
    }

    fn hash(&self, text: &str) -> String {
        let mut code = self.0.clone();
        code.update(text.as_bytes());
        let digits = code.finalize().into_bytes().into_iter().flat_map(|byte| [byte >> 4, byte & 0xf]);
        HASHED.chars().chain(digits.filter_map(|digit| char::from_digit(digit.into(), 16))).collect()
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key")
    }
}

impl Disguise {
    /// Replaces a value. A null stays: there is nothing to hide.
    pub(crate) fn put_on(&self, value: &mut Value) {
        let disguised = match (self, &*value) {
            (_, Value::Null) => return,
            (Self::Mask { keep }, Value::String(text)) => masked(text, *keep),
            (Self::Mask { .. }, _) => MASK.to_owned(),
            (Self::Hash(_), Value::String(text)) if is_hash(text) => return,
            (Self::Hash(key), Value::String(text)) => key.hash(text),
            (Self::Hash(key), other) => key.hash(&other.to_string()),
        };
        *value = Value::String(disguised);
    }
}

/// The mask and the last characters, if at least as many stay hidden.
fn masked(text: &str, keep: usize) -> String {
    let count = text.chars().count();
    match text.strip_prefix(MASK) {
        Some(rest) if rest.chars().count() <= keep => text.to_owned(),
        _ if count < keep.saturating_mul(2) => MASK.to_owned(),
        _ => MASK.chars().chain(text.chars().skip(count - keep)).collect(),
    }
}

fn is_hash(text: &str) -> bool {
    text.strip_prefix(HASHED)
        .is_some_and(|rest| rest.len() == 64 && rest.bytes().all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f')))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn disguised(disguise: &Disguise, value: Value) -> Value {
        let mut once = value;
        disguise.put_on(&mut once);
        let mut twice = once.clone();
        disguise.put_on(&mut twice);
        assert_eq!(once, twice);
        once
    }

    #[test]
    fn a_mask_shows_the_end_of_what_is_long_enough() {
        let mask = |keep, value| disguised(&Disguise::Mask { keep }, value);
        assert_eq!(mask(0, json!("hunter2")), json!("***"));
        assert_eq!(mask(4, json!("+49 30 1234567")), json!("***4567"));
        assert_eq!(mask(4, json!("1234567")), json!("***"));
        assert_eq!(mask(2, json!("größe")), json!("***ße"));
        assert_eq!(mask(4, json!(12_345_678)), json!("***"));
        assert_eq!(mask(4, json!({"a": 1})), json!("***"));
        assert_eq!(mask(usize::MAX, json!("hunter2")), json!("***"));
        assert_eq!(mask(0, json!("")), json!("***"));
        assert_eq!(mask(4, json!(null)), json!(null));
    }

    #[test]
    fn a_hash_is_that_of_rfc_4231() {
        // Test case 6: a key longer than a block.
        let key = Key(Hmac::new_from_slice(&[0xaa; 131]).unwrap());
        let hash = disguised(&Disguise::Hash(key), json!("Test Using Larger Than Block-Size Key - Hash Key First"));
        assert_eq!(hash, json!("hmac-sha256:60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54"));
    }

    #[test]
    fn equal_values_have_equal_hashes_and_a_null_stays() {
        let hash = |value| disguised(&Disguise::Hash(Key::new("0123456789abcdef").unwrap()), value);
        assert_eq!(hash(json!("a")), hash(json!("a")));
        assert_ne!(hash(json!("a")), hash(json!("b")));
        assert_eq!(hash(json!(12)), hash(json!("12")));
        assert_eq!(hash(json!(null)), json!(null));
    }
}
