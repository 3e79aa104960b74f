//! Passwords: argon2id, 19 MiB, two passes, one lane (OWASP's password storage cheat sheet), as a PHC string with its own salt.
//!
//! Both functions take tens of milliseconds of a core: call them where that holds nobody up.

use argon2::Argon2;
use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher as _, PasswordVerifier as _};

use crate::error::{Error, Result};

/// The hash of a password, with its parameters and a new salt.
pub fn hash(password: &str) -> Result<String> {
    let hash: PasswordHash =
        Argon2::default().hash_password(password.as_bytes()).map_err(|error| Error::internal(error.to_string()))?;
    Ok(hash.to_string())
}

/// True where the password is the one that was hashed. A hash that cannot be read fits none.
pub fn fits(password: &str, hash: &str) -> bool {
    PasswordHash::new(hash).is_ok_and(|hash| Argon2::default().verify_password(password.as_bytes(), &hash).is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_fits_its_own_hash_only_and_no_two_hashes_are_alike() {
        let hashed = hash("correct horse").expect("hashed");
        assert!(hashed.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{hashed}");
        assert!(fits("correct horse", &hashed));
        assert!(!fits("correct horsE", &hashed) && !fits("", &hashed) && !fits("correct horse", "no hash"));
        assert_ne!(hash("correct horse").expect("hashed"), hashed);
    }
}
