//! Compiled modules in memory: so many, so many bytes, and each tenant's in the place of its own.
//!
//! A module lies here once for all tenants: it is known by the digest of its bytes, holds no state and never was an instance. It counts as
//! the property of whoever had it loaded. Where the shelf is full, the tenant that has most on it loses what it has not used for longest,
//! so that whoever brings module after module pushes out its own. What that may cost another, whose bytes are the same, is one load.

use std::collections::HashMap;

use crate::model::Tenant;
use crate::rules::Digest;

/// What is in memory.
#[derive(Debug)]
pub(super) struct Shelf<T> {
    kept: HashMap<Digest, Kept<T>>,
    /// Counts uses, so that the longest unused is known.
    clock: u64,
    most: usize,
    most_bytes: usize,
}

#[derive(Debug)]
struct Kept<T> {
    value: T,
    bytes: usize,
    tenant: Tenant,
    used: u64,
}

impl<T: Clone> Shelf<T> {
    /// A shelf for so many, and so many bytes of them.
    pub(super) fn new(most: usize, most_bytes: usize) -> Self {
        Self { kept: HashMap::new(), clock: 0, most, most_bytes }
    }

    pub(super) fn get(&mut self, digest: Digest) -> Option<T> {
        self.clock += 1;
        let kept = self.kept.get_mut(&digest)?;
        kept.used = self.clock;
        Some(kept.value.clone())
    }

    /// Keeps what `tenant` had loaded, and makes room for it.
    pub(super) fn put(&mut self, tenant: &Tenant, digest: Digest, value: T, bytes: usize) {
        self.clock += 1;
        self.kept.insert(digest, Kept { value, bytes, tenant: tenant.clone(), used: self.clock });
        while let Some(oldest) = self.surplus(digest) {
            self.kept.remove(&oldest);
        }
    }

    /// What has to go, if anything: of the tenant with the largest part of what there is too much of, the longest unused. What was brought
    /// just now stays.
    fn surplus(&self, new: Digest) -> Option<Digest> {
        let bytes: usize = self.kept.values().map(|kept| kept.bytes).sum();
        let by_number = self.kept.len() > self.most;
        if !by_number && bytes <= self.most_bytes {
            return None;
        }
        // A part, and whether there is anything in it that may go.
        let mut parts: HashMap<&Tenant, (usize, bool)> = HashMap::new();
        for (digest, kept) in &self.kept {
            let (part, may_go) = parts.entry(&kept.tenant).or_default();
            *part += if by_number { 1 } else { kept.bytes };
            *may_go |= *digest != new;
        }
        let parts = parts.into_iter().filter(|(_, (_, may_go))| *may_go);
        let (largest, _) = parts.max_by(|(a, of_a), (b, of_b)| of_a.cmp(of_b).then_with(|| b.as_str().cmp(a.as_str())))?;
        let theirs = self.kept.iter().filter(|(digest, kept)| **digest != new && kept.tenant == *largest);
        theirs.min_by_key(|(_, kept)| kept.used).map(|(digest, _)| *digest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digest(number: u8) -> Digest {
        Digest([number; 32])
    }

    fn tenants() -> (Tenant, Tenant) {
        (Tenant::parse("greedy").expect("a name"), Tenant::parse("other").expect("a name"))
    }

    #[test]
    fn whoever_brings_module_after_module_pushes_out_its_own() {
        let (greedy, other) = tenants();
        let mut shelf = Shelf::new(4, 1_000);
        shelf.put(&other, digest(200), "a", 10);
        shelf.put(&other, digest(201), "b", 10);
        for number in 0..100 {
            shelf.put(&greedy, digest(number), "g", 1);
        }
        assert_eq!((shelf.get(digest(200)), shelf.get(digest(201))), (Some("a"), Some("b")));
        assert_eq!((shelf.get(digest(99)), shelf.get(digest(98)), shelf.get(digest(97))), (Some("g"), Some("g"), None));
    }

    #[test]
    fn large_modules_push_out_those_of_whoever_has_most_bytes() {
        let (greedy, other) = tenants();
        let mut shelf = Shelf::new(100, 1_000);
        shelf.put(&other, digest(200), "a", 300);
        for number in 0..10 {
            shelf.put(&greedy, digest(number), "g", 250);
        }
        assert_eq!((shelf.get(digest(200)), shelf.get(digest(8)), shelf.get(digest(7))), (Some("a"), Some("g"), None));
        shelf.put(&greedy, digest(10), "g", 600);
        assert_eq!((shelf.get(digest(200)), shelf.get(digest(10)), shelf.get(digest(9))), (Some("a"), Some("g"), None));
    }

    #[test]
    fn what_was_used_last_is_kept_longest() {
        let (greedy, _) = tenants();
        let mut shelf = Shelf::new(2, 1_000);
        shelf.put(&greedy, digest(1), "a", 1);
        shelf.put(&greedy, digest(2), "b", 1);
        shelf.get(digest(1));
        shelf.put(&greedy, digest(3), "c", 1);
        assert_eq!((shelf.get(digest(1)), shelf.get(digest(2))), (Some("a"), None));
    }
}
