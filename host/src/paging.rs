//! A page of a list, by key: what is asked for and what is found.

/// Which page: how many rows, and the key of the row before them.
#[derive(Clone, Debug)]
pub struct PageOf {
    /// Rows at the most.
    pub limit: u32,
    /// The key of the last row of the page before.
    pub after: Option<String>,
}

/// One page of a list.
#[derive(Clone, Debug)]
pub struct Listed<T> {
    /// Its items.
    pub items: Vec<T>,
    /// The key to go on after; `None` at the end.
    pub next: Option<String>,
}

impl<T> Listed<T> {
    /// Cuts what was read beyond `limit` to know whether more follows, and takes the key of the last row that remains.
    pub fn cut(mut items: Vec<T>, limit: u32, key: impl Fn(&T) -> String) -> Self {
        let more = items.len() > limit as usize;
        items.truncate(limit as usize);
        let next = if more { items.last().map(key) } else { None };
        Self { items, next }
    }
}
