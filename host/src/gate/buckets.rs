//! What is asked of buckets beyond what all resources have: whether there is one, what it holds, and its end with all that it holds.

use super::Gate;
use super::objects::no_bucket;
use super::resources::{Bucket, Resource as _, Unchanged};
use crate::error::Result;
use crate::model::{Action, Caller, Resource};
use crate::paging::{Listed, PageOf};
pub use crate::platform::files::ObjectRow;
pub use crate::platform::files::listing::Entry;
use crate::policy::Collection;

impl Gate {
    /// True where the tenant has a bucket of this name.
    pub async fn bucket_exists(&self, caller: &Caller, name: &str) -> Result<bool> {
        let permit = self.authorise(caller, Action::Read, &Resource::bucket(name)).await?;
        Ok(self.platform.resource_get::<Bucket>(&permit, name).await?.is_some())
    }

    /// Deletes a bucket with all of its files and their history, as far as the caller may delete them; where others are left, it stays. Their
    /// bytes go later.
    pub async fn bucket_delete_whole(&self, caller: &Caller, name: &str, unchanged: Unchanged<'_, Bucket>) -> Result<()> {
        self.authorise(caller, Action::Delete, &Bucket::one(name)).await?;
        let permit = self.authorise_list(caller, Action::Delete, &Collection::files(name)).await?;
        if !self.platform.bucket_clear(&permit, name, unchanged).await? {
            return Err(no_bucket(name));
        }
        self.resource_delete::<Bucket>(caller, name, unchanged).await
    }

    /// One page of a bucket's objects whose names begin with `prefix`, in the order of their names; `folded`, with those that go on with a
    /// slash behind it as one.
    pub async fn object_list(
        &self,
        caller: &Caller,
        bucket: &str,
        (prefix, folded): (&str, bool),
        page: &PageOf,
    ) -> Result<Listed<Entry>> {
        let permit = self.authorise_list(caller, Action::Read, &Collection::files(bucket)).await?;
        let row: Bucket = self.platform.resource_get(&permit, bucket).await?.ok_or_else(|| no_bucket(bucket))?;
        if folded {
            return self.platform.entry_list(&permit, &row, prefix, page).await;
        }
        let Listed { items, next } = self.platform.object_list(&permit, &row, prefix, page).await?;
        Ok(Listed { items: items.into_iter().map(|row| Entry::Object(Box::new(row))).collect(), next })
    }
}
