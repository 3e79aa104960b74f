//! Encryption at rest: AES-256-GCM under a key from the settings, a random nonce for each sealing, the tenant as what it belongs to.
//!
//! Keys have names. The first one seals, all of them open, so a key is replaced by putting a new one in front and sealing anew.

use std::fmt;

use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use aws_lc_rs::hkdf::{HKDF_SHA256, Salt};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::error::{Error, Kind, Result};

/// Bytes of a key.
const KEY_BYTES: usize = 32;

/// What seals and opens.
pub struct Sealer {
    keys: Vec<(String, RandomizedNonceKey)>,
}

impl fmt::Debug for Sealer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.keys.iter().map(|(name, _)| name)).finish()
    }
}

/// What is sealed, and by which key.
#[derive(Debug)]
pub struct Sealed {
    /// The key's name.
    pub by: String,
    /// Nonce, ciphertext and tag.
    pub bytes: Vec<u8>,
}

impl Sealer {
    /// Reads `name:key[,name:key…]`, keys being 32 bytes in base64.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut keys: Vec<(String, RandomizedNonceKey)> = Vec::new();
        for part in text.split(',').map(str::trim) {
            let (name, key) = part.split_once(':').ok_or("each key has the form `name:base64`")?;
            if name.is_empty() || keys.iter().any(|(known, _)| known == name) {
                return Err("each key has a name of its own".to_owned());
            }
            let bytes = STANDARD.decode(key).ok().filter(|bytes| bytes.len() == KEY_BYTES);
            let bytes = bytes
                .ok_or_else(|| format!("key `{name}` is not {KEY_BYTES} bytes in base64 (openssl rand -base64 {KEY_BYTES})"))?;
            let key = RandomizedNonceKey::new(&AES_256_GCM, &bytes).map_err(|error| error.to_string())?;
            keys.push((name.to_owned(), key));
        }
        Ok(Self { keys })
    }

    /// For what only the bearer of a credential shall read: the key is made of it (HKDF-SHA256), and of a salt that need not be secret.
    pub fn of_credential(bearer: &str, salt: &str) -> Result<Self> {
        let made = Salt::new(HKDF_SHA256, salt.as_bytes()).extract(bearer.as_bytes());
        let mut bytes = [0; KEY_BYTES];
        made.expand(&[b"weir answers"], HKDF_SHA256).and_then(|key| key.fill(&mut bytes)).map_err(Error::internal)?;
        let key = RandomizedNonceKey::new(&AES_256_GCM, &bytes).map_err(Error::internal)?;
        Ok(Self { keys: vec![("credential".to_owned(), key)] })
    }

    /// The name of the key that seals.
    pub fn current(&self) -> &str {
        self.keys.first().map_or("", |(name, _)| name)
    }

    /// Seals bytes for `owner`, who has to be named again to open them.
    pub fn seal(&self, owner: &str, plain: &[u8]) -> Result<Sealed> {
        let (name, key) = self.keys.first().ok_or_else(|| Error::internal("there is no key to seal with"))?;
        let mut sealed = plain.to_vec();
        let nonce = key.seal_in_place_append_tag(Aad::from(owner.as_bytes()), &mut sealed).map_err(Error::internal)?;
        let bytes = [nonce.as_ref().as_slice(), &sealed].concat();
        Ok(Sealed { by: name.clone(), bytes })
    }

    /// Opens what was sealed by the key of this name for `owner`.
    pub fn open(&self, owner: &str, by: &str, sealed: &[u8]) -> Result<Vec<u8>> {
        let unreadable = |cause: String| {
            let sentence =
                "Secrets of this are sealed by a key that this Weir does not have; its administrator has to give it the key.";
            Error::new(Kind::Unavailable, sentence).caused_by(cause)
        };
        let key = self.keys.iter().find(|(name, _)| name == by);
        let (_, key) = key.ok_or_else(|| unreadable(format!("there is no key `{by}` in WEIR_SECRET_KEYS")))?;
        let (nonce, bytes) = sealed.split_at_checked(NONCE_LEN).ok_or_else(|| unreadable("too short".to_owned()))?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(Error::internal)?;
        let mut bytes = bytes.to_vec();
        let opened = key.open_in_place(nonce, Aad::from(owner.as_bytes()), &mut bytes);
        let opened =
            opened.map_err(|_| unreadable(format!("key `{by}` does not open it: another key of this name, or damaged")))?;
        Ok(opened.to_vec())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OLD: &str = "old:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
    const NEW: &str = "new:AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=";

    #[test]
    fn what_is_sealed_is_opened_by_its_key_for_its_owner_only() {
        let sealer = Sealer::parse(OLD).expect("a key");
        let kept = sealer.seal("acme", b"hunter2").expect("sealed");
        assert!(!kept.bytes.windows(7).any(|part| part == b"hunter2"));
        assert_eq!(sealer.open("acme", "old", &kept.bytes).expect("opened"), b"hunter2");
        sealer.open("globex", "old", &kept.bytes).expect_err("another tenant's");
        let mut damaged = kept.bytes.clone();
        *damaged.last_mut().expect("bytes") ^= 1;
        sealer.open("acme", "old", &damaged).expect_err("damaged");
        assert_ne!(sealer.seal("acme", b"hunter2").expect("sealed").bytes, kept.bytes, "no two sealings are alike");
    }

    #[test]
    fn a_new_key_in_front_seals_and_the_old_one_still_opens() {
        let sealed = Sealer::parse(OLD).expect("a key").seal("acme", b"x").expect("sealed");
        let both = Sealer::parse(&format!("{NEW}, {OLD}")).expect("two keys");
        assert_eq!((both.current(), both.seal("acme", b"x").expect("sealed").by.as_str()), ("new", "new"));
        assert_eq!(both.open("acme", "old", &sealed.bytes).expect("opened"), b"x");
    }

    #[test]
    fn what_is_sealed_for_a_credential_is_opened_with_it_only() {
        let sealer = |bearer, salt| Sealer::of_credential(bearer, salt).expect("a key");
        let kept = sealer("weir_a", "k1").seal("acme", b"x").expect("sealed").bytes;
        assert_eq!(sealer("weir_a", "k1").open("acme", "credential", &kept).expect("opened"), b"x");
        sealer("weir_b", "k1").open("acme", "credential", &kept).expect_err("another credential");
        sealer("weir_a", "k2").open("acme", "credential", &kept).expect_err("another salt");
    }

    #[test]
    fn a_key_that_is_none_is_said_plainly() {
        assert!(Sealer::parse("k:AAAA").expect_err("too short").contains("32 bytes"));
        assert!(Sealer::parse("AAAA").expect_err("no name").contains("name:base64"));
        assert!(Sealer::parse(&format!("{OLD},{OLD}")).expect_err("twice").contains("of its own"));
    }
}
