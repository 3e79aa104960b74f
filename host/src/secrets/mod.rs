//! What must be kept and never shown: passwords as hashes, the secrets of a configuration encrypted.
//!
//! Values in, values out: where they are kept is others' affair.

pub mod config;
pub mod password;
pub mod seal;
