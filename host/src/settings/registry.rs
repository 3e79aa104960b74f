//! The schema registry that numbers in front of Avro messages are looked up in, where it is not Weir's own.

use serde::Deserialize;

use super::{Mistake, Secret};

/// A Confluent-compatible schema registry.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Registry {
    /// Its URL; without one there is none.
    pub url: Option<String>,
    /// Who asks.
    pub username: Option<String>,
    /// That user's password.
    pub password: Option<Secret>,
}

impl Registry {
    /// Refuses what could not work.
    pub(super) fn check(&self) -> Result<(), Mistake> {
        let whole = |url: &String| url.starts_with("http://") || url.starts_with("https://");
        match &self.url {
            Some(url) if !whole(url) => Err(Mistake::of("registry.url", "must begin with `http://` or `https://`")),
            Some(url) if url.contains('@') => {
                Err(Mistake::of("registry.url", "holds credentials; use `registry.username` and `registry.password`"))
            }
            None if self.username.is_some() => Err(Mistake::of("registry.username", "has no effect without `registry.url`")),
            _ if self.password.is_some() && self.username.is_none() => {
                Err(Mistake::of("registry.password", "has no effect without `registry.username`"))
            }
            _ => Ok(()),
        }
    }
}
