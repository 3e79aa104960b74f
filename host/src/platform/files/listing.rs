//! What a bucket holds, in the order of its names: all of it, or what lies directly beneath a prefix.

use sqlx::postgres::PgRow;
use sqlx::types::Json;
use sqlx::{FromRow as _, Row as _};

use super::ObjectRow;
use crate::error::Result;
use crate::paging::{Listed, PageOf};
use crate::platform::resource::buckets::Bucket;
use crate::platform::{Platform, failed, statements};
use crate::policy::Permit;

/// What a name of a listing stands for.
#[derive(Clone, Debug)]
pub enum Entry {
    /// A file.
    Object(Box<ObjectRow>),
    /// All whose names begin so, up to the delimiter and with it.
    Folder(String),
}

statements! {
    OBJECT_LIST = "select o.name, v.bucket_id, v.object_id, v.id as version_id, v.size, v.digest, v.content_type, v.created_at as modified_at,
                          v.metadata
                   from objects o join object_versions v on v.object_id = o.id and v.id = o.current_version
                   where o.tenant = $1 and o.bucket_id = $2 and o.name >= $3 and ($4::text is null or o.name < $4)
                   and ($5::text is null or o.name > $5) and weir_reaches(o.name, $7) order by o.name limit $6";
    /// The same with all names that go on with `/` behind the prefix as one: `$5` and `$8` are where to go on, as `weir_next_entry` has it.
    ENTRY_LIST = "with recursive entries (name, next_after, next_onward, number) as (
                      (select e.*, 1 from weir_next_entry($1, $2, $3, $4, $5, $8, $7) e)
                      union all
                      select e.*, p.number + 1
                      from entries p cross join lateral weir_next_entry($1, $2, $3, $4, p.next_after, p.next_onward, $7) e
                      where p.number < $6)
                  select e.name, o.id is null as folder, v.bucket_id, v.object_id, v.id as version_id, v.size, v.digest, v.content_type,
                         v.created_at as modified_at, v.metadata
                  from entries e
                  left join objects o on o.tenant = $1 and o.bucket_id = $2 and o.name = e.name and e.next_after is not null
                  left join object_versions v on v.object_id = o.id and v.id = o.current_version
                  order by e.number";
}

/// The least name above every name that begins with `prefix`; `None` where there is none. The order is that of bytes, which in UTF-8 is
/// that of characters.
fn above(prefix: &str) -> Option<String> {
    let mut bound: Vec<char> = prefix.chars().collect();
    while let Some(last) = bound.pop() {
        // Between U+D7FF and U+E000 lie the surrogates, which are no characters.
        let next = if last == '\u{D7FF}' { Some('\u{E000}') } else { char::from_u32(u32::from(last) + 1) };
        if let Some(next) = next {
            bound.push(next);
            return Some(bound.into_iter().collect());
        }
    }
    None
}

impl Platform {
    /// One page of a bucket's objects whose names begin with `prefix`, in the order of their names.
    pub async fn object_list(&self, permit: &Permit, bucket: &Bucket, prefix: &str, page: &PageOf) -> Result<Listed<ObjectRow>> {
        let mut transaction = self.begin(permit).await?;
        let rows = sqlx::query_as(OBJECT_LIST)
            .bind(permit.tenant().as_str())
            .bind(bucket.id)
            .bind(prefix)
            .bind(above(prefix))
            .bind(&page.after)
            .bind(i64::from(page.limit) + 1)
            .bind(permit.reach().limits().map(Json))
            .fetch_all(&mut *transaction)
            .await
            .map_err(failed)?;
        Ok(Listed::cut(rows, page.limit, |row: &ObjectRow| row.name.clone()))
    }

    /// One page of what is directly beneath a prefix: files, and folders for all that goes on with a slash.
    pub async fn entry_list(&self, permit: &Permit, bucket: &Bucket, prefix: &str, page: &PageOf) -> Result<Listed<Entry>> {
        // Behind a folder lies what is above all that it holds. No file's name ends like a folder's.
        let (folder, file) = match &page.after {
            Some(after) if after.ends_with('/') => (above(after), None),
            after => (None, after.clone()),
        };
        let mut transaction = self.begin(permit).await?;
        let rows = sqlx::query(ENTRY_LIST)
            .bind(permit.tenant().as_str())
            .bind(bucket.id)
            .bind(prefix)
            .bind(above(prefix))
            .bind(file)
            .bind(i64::from(page.limit) + 1)
            .bind(permit.reach().limits().map(Json))
            .bind(folder)
            .fetch_all(&mut *transaction)
            .await
            .map_err(failed)?;
        let entry = |row: &PgRow| {
            let folder = row.try_get("folder")?;
            Ok(if folder { Entry::Folder(row.try_get("name")?) } else { Entry::Object(Box::new(ObjectRow::from_row(row)?)) })
        };
        let entries = rows.iter().map(entry).collect::<Result<Vec<_>, sqlx::Error>>().map_err(failed)?;
        Ok(Listed::cut(entries, page.limit, |entry| match entry {
            Entry::Object(row) => row.name.clone(),
            Entry::Folder(name) => name.clone(),
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bound_above_a_prefix() {
        assert_eq!(above(""), None);
        assert_eq!(above("a/").as_deref(), Some("a0"));
        assert_eq!(above("a\u{D7FF}").as_deref(), Some("a\u{E000}"));
        assert_eq!(above("a\u{10FFFF}").as_deref(), Some("b"));
        assert_eq!(above("\u{10FFFF}"), None);
        assert!(
            "grün".chars().all(char::is_alphabetic)
                && above("grü").is_some_and(|bound| "grün" < bound.as_str() && "grv" < bound.as_str())
        );
    }
}
