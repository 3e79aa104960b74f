//! Several of a kind made in one request, with a result for each.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::reply::{self, ErrorBody, Reply, ok};
use crate::error::{Error, Kind};
use crate::forms::Object;
use crate::limits;

/// Several to be made at once.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Several<T> {
    /// At most 1,000.
    #[schema(value_type = Vec<T>, min_items = 1, max_items = 1000)]
    items: Vec<Object<T>>,
}

/// What became of each of several, in their order.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Bulk<T> {
    /// How many were made.
    created: usize,
    /// How many were refused; nothing of them was kept.
    failed: usize,
    results: Vec<ResultOf<T>>,
}

/// What became of one of several: `data` or `error`.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ResultOf<T> {
    /// Its place among the items, from 0.
    index: usize,
    /// It was made.
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<T>,
    /// It was refused, and why.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<ErrorBody>,
}

/// Makes one after the other, each by itself: what is wrong with one keeps none of the others.
pub async fn make_each<New, Made, Making>(several: Several<New>, make: impl Fn(New) -> Making) -> Reply<Bulk<Made>>
where
    Made: Serialize,
    Making: Future<Output = Result<Made, Error>>,
{
    let items = several.items.len();
    if items == 0 || items > limits::BULK_ITEMS {
        let sentence = format!("`items` has 1 to {} elements; this has {items}.", limits::BULK_ITEMS);
        return Err(Error::malformed(sentence).at("/items", "too few or too many").into());
    }
    let mut results = Vec::with_capacity(items);
    for (index, Object(new)) in several.items.into_iter().enumerate() {
        let (data, error) = match make(new).await {
            Ok(row) => (Some(row), None),
            // Whoever may not make one may make none, and where nothing answers the others would fare no better.
            Err(error) if index == 0 && matches!(error.kind(), Kind::Forbidden | Kind::Unavailable) => return Err(error.into()),
            Err(error) => (None, Some(reply::told(&error).1)),
        };
        results.push(ResultOf { index, data, error });
    }
    let created = results.iter().filter(|result| result.data.is_some()).count();
    ok(Bulk { created, failed: items - created, results })
}
