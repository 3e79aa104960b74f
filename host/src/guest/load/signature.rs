//! Signatures of modules: ed25519 of the component's bytes.

use aws_lc_rs::signature::{ED25519, UnparsedPublicKey};

/// True where `signature` is that key's, of these bytes.
pub fn vouches(public_key: &[u8], component: &[u8], signature: &[u8]) -> bool {
    UnparsedPublicKey::new(&ED25519, public_key).verify(component, signature).is_ok()
}
