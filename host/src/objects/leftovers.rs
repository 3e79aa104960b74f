//! Bytes that are to go, and what a scan asks of the store. Of any tenant: what is asked for here, a row said or will say.

use futures_util::{Stream, TryStreamExt as _};
use opendal::options::ListOptions;
use tokio::time::timeout;

use super::{Key, ObjectStore, away};
use crate::error::Result;
use crate::limits;
use crate::model::Tenant;

impl ObjectStore {
    /// Removes the bytes of a version that nothing points to. It is no error that they are gone already.
    pub async fn remove_leftover(&self, tenant: &str, key: &Key) -> Result<()> {
        let path = key.path_of(tenant);
        timeout(limits::OBJECT_STORE_TIME, self.patient.delete(&path)).await.map_err(away)?.map_err(away)
    }

    /// How many bytes a version has; `None` where the store has none.
    pub async fn size_of(&self, tenant: &str, key: &Key) -> Result<Option<u64>> {
        let path = key.path_of(tenant);
        match timeout(limits::OBJECT_STORE_TIME, self.patient.stat(&path)).await.map_err(away)? {
            Ok(found) => Ok(Some(found.content_length())),
            Err(error) if error.kind() == opendal::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(away(error)),
        }
    }

    /// All keys that the store has; what is no key of Weir's is passed over.
    pub async fn keys(&self) -> Result<impl Stream<Item = Result<(String, Key)>> + Unpin> {
        let options = ListOptions { recursive: true, ..ListOptions::default() };
        let lister = self.patient.lister_options("", options).await.map_err(away)?;
        Ok(lister.map_err(away).try_filter_map(|entry| {
            let key = if entry.metadata().is_file() { key_of(entry.path()) } else { None };
            std::future::ready(Ok(key))
        }))
    }
}

/// The tenant and the key that a path is made of.
fn key_of(path: &str) -> Option<(String, Key)> {
    let mut parts = path.trim_start_matches('/').split('/');
    let tenant = parts.next().filter(|tenant| Tenant::parse(tenant).is_ok())?;
    let mut id = || parts.next()?.parse().ok();
    let key = Key { bucket: id()?, object: id()?, version: id()? };
    parts.next().is_none().then(|| (tenant.to_owned(), key))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_read_from_its_path_and_nothing_else_is_one() {
        let id = "01890000-0000-7000-8000-000000000000";
        let (tenant, key) = key_of(&format!("acme/{id}/{id}/{id}")).expect("a key");
        assert_eq!((tenant.as_str(), key.path_of("acme")), ("acme", format!("acme/{id}/{id}/{id}")));
        for path in
            ["", ".probe/x", &format!("acme/{id}/{id}"), &format!("acme/{id}/{id}/{id}/x"), &format!("Acme/{id}/{id}/{id}")]
        {
            assert!(key_of(path).is_none(), "{path}");
        }
    }
}
