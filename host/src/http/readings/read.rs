//! `GET` and `DELETE` of readings.

use axum::extract::State;
use axum::http::{HeaderMap, header};
use serde::Deserialize;
use utoipa::openapi::Required;
use utoipa::openapi::path::{Parameter, ParameterIn};
use utoipa::{IntoParams, ToSchema};

use super::form::{self, LatestBody, Moment, ReadingBody};
use crate::batch::Quality;
use crate::error::Error;
use crate::gate::readings::{Filter, Order};
use crate::http::App;
use crate::http::input::{Path, Query};
use crate::http::reply::{self, Envelope, ErrorBody, Page, Reply, no_content, ok, page};
use crate::model::Caller;
use crate::terms;

/// Which readings, in which order, and which page of them.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query, rename_all = "camelCase")]
pub struct ListQuery {
    /// Of this sensor.
    sensor_id: Option<String>,
    /// Values of this metric only.
    metric: Option<String>,
    /// From this topic; empty for readings without one.
    topic: Option<String>,
    /// Under this schema reference; empty for readings without one.
    schema_ref: Option<String>,
    /// Values of this quality only.
    #[param(inline)]
    quality: Option<Quality>,
    /// At or after this time: RFC 3339, or milliseconds since 1970.
    #[param(value_type = terms::Moment, required = false, inline)]
    from: Option<Moment>,
    /// Before this time.
    #[param(value_type = terms::Moment, required = false, inline)]
    to: Option<Moment>,
    /// `desc`, newest first, is the default.
    #[param(inline)]
    order: Option<Order>,
    /// How many at most; a page with very many values ends earlier.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<u32>,
    /// The `nextCursor` of the page before.
    #[param(value_type = terms::Cursor, required = false, inline)]
    cursor: Option<String>,
}

impl ListQuery {
    async fn answer(self, app: &App, caller: &Caller, otherwise: Order) -> Reply<Vec<ReadingBody>> {
        let filter = Filter {
            sensor: self.sensor_id,
            metric: self.metric,
            topic: self.topic,
            schema_ref: self.schema_ref,
            quality: self.quality,
            from: self.from.map(|Moment(time)| time),
            to: self.to.map(|Moment(time)| time),
        };
        for name in [&filter.sensor, &filter.metric, &filter.topic, &filter.schema_ref].into_iter().flatten() {
            plain(name)?;
        }
        if filter.from.zip(filter.to).is_some_and(|(from, to)| from > to) {
            return Err(Error::malformed("`from` lies after `to`, so there is nothing between them.")
                .at("from", "lies after `to`")
                .into());
        }
        let after = self.cursor.as_deref().map(form::place).transpose()?;
        let limit = form::limit(self.limit)?;
        let found = app.gate.readings(caller, &filter, self.order.unwrap_or(otherwise), after.as_ref(), limit).await?;
        page(found.readings.into_iter().map(Into::into).collect(), found.next.as_ref().map(form::cursor))
    }
}

/// PostgreSQL has no text with a NUL, so nothing can be called that.
fn plain(name: &str) -> Result<(), Error> {
    if name.contains('\0') {
        return Err(Error::malformed("A name holds no NUL character."));
    }
    Ok(())
}

/// Readings, newest first.
///
/// Without `sensorId` it takes leave to read all sensors (or the topic), and shows those that the caller may read.
#[utoipa::path(get, path = "/sensor-readings", tag = "readings", params(ListQuery),
    responses((status = 200, body = Page<ReadingBody>), (status = "default", body = ErrorBody)))]
pub(in crate::http) async fn list(
    caller: Caller,
    State(app): State<App>,
    Query(query): Query<ListQuery>,
) -> Reply<Vec<ReadingBody>> {
    query.answer(&app, &caller, Order::Desc).await
}

/// What all readings of one thing may be narrowed down by.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query, rename_all = "camelCase")]
pub struct RangeQuery {
    /// Values of this metric only.
    metric: Option<String>,
    /// At or after this time: RFC 3339, or milliseconds since 1970.
    #[param(value_type = terms::Moment, required = false, inline)]
    from: Option<Moment>,
    /// Before this time.
    #[param(value_type = terms::Moment, required = false, inline)]
    to: Option<Moment>,
    /// In which direction of time.
    #[param(inline)]
    order: Option<Order>,
    /// How many at most; a page with very many values ends earlier.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<u32>,
    /// The `nextCursor` of the page before.
    #[param(value_type = terms::Cursor, required = false, inline)]
    cursor: Option<String>,
}

impl RangeQuery {
    fn all(self) -> ListQuery {
        let Self { metric, from, to, order, limit, cursor } = self;
        ListQuery { sensor_id: None, metric, topic: None, schema_ref: None, quality: None, from, to, order, limit, cursor }
    }
}

/// The same, of which both times have to be given.
#[derive(Debug, Deserialize)]
#[serde(transparent)]
pub struct BetweenQuery(RangeQuery);

impl IntoParams for BetweenQuery {
    fn into_params(place: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        let mut parameters = RangeQuery::into_params(place);
        for parameter in parameters.iter_mut().filter(|parameter| matches!(parameter.name.as_str(), "from" | "to")) {
            parameter.required = Required::True;
        }
        parameters
    }
}

/// The readings of a sensor between two times, oldest first.
#[utoipa::path(get, path = "/sensors/{sensorId}/range", tag = "readings",
    params(("sensorId" = String, Path, description = "The sensor"), BetweenQuery),
    responses((status = 200, body = Page<ReadingBody>), (status = "default", body = ErrorBody)))]
pub(in crate::http) async fn range(
    caller: Caller,
    State(app): State<App>,
    Path(sensor): Path<String>,
    Query(BetweenQuery(query)): Query<BetweenQuery>,
) -> Reply<Vec<ReadingBody>> {
    if query.from.is_none() || query.to.is_none() {
        return Err(Error::malformed("A range takes `from` and `to`.").at("from", "give both times").into());
    }
    ListQuery { sensor_id: Some(sensor), ..query.all() }.answer(&app, &caller, Order::Asc).await
}

/// The readings that came through a topic, newest first.
#[utoipa::path(get, path = "/topics/{topic}/readings", tag = "readings",
    params(("topic" = String, Path, description = "The topic"), RangeQuery),
    responses((status = 200, body = Page<ReadingBody>), (status = "default", body = ErrorBody)))]
pub(in crate::http) async fn of_topic(
    caller: Caller,
    State(app): State<App>,
    Path(topic): Path<String>,
    Query(query): Query<RangeQuery>,
) -> Reply<Vec<ReadingBody>> {
    ListQuery { topic: Some(topic), ..query.all() }.answer(&app, &caller, Order::Desc).await
}

/// The readings under a schema reference, newest first.
#[utoipa::path(get, path = "/schemas/{schemaRef}/readings", tag = "readings",
    params(("schemaRef" = String, Path, description = "The schema reference"), RangeQuery),
    responses((status = 200, body = Page<ReadingBody>), (status = "default", body = ErrorBody)))]
pub(in crate::http) async fn of_schema(
    caller: Caller,
    State(app): State<App>,
    Path(schema_ref): Path<String>,
    Query(query): Query<RangeQuery>,
) -> Reply<Vec<ReadingBody>> {
    ListQuery { schema_ref: Some(schema_ref), ..query.all() }.answer(&app, &caller, Order::Desc).await
}

/// The latest value of each metric of a sensor.
#[utoipa::path(get, path = "/sensors/{sensorId}/latest", tag = "readings",
    params(("sensorId" = String, Path, description = "The sensor")),
    responses((status = 200, body = Envelope<LatestBody>), (status = "default", body = ErrorBody)))]
pub(in crate::http) async fn latest(caller: Caller, State(app): State<App>, Path(sensor): Path<String>) -> Reply<LatestBody> {
    plain(&sensor)?;
    let latest = app.gate.latest(&caller, &sensor).await?;
    ok(LatestBody::new(sensor, latest))
}

/// Which of several readings of a sensor at one time.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query, rename_all = "camelCase")]
pub struct OneQuery {
    /// From this topic; empty for none.
    topic: Option<String>,
    /// Under this schema reference; empty for none.
    schema_ref: Option<String>,
}

/// One reading.
///
/// Where several topics or schema references have one of this sensor at this time, `topic` and `schemaRef` choose; without them it is a 409.
#[utoipa::path(get, path = "/sensor-readings/{sensorId}/{timestamp}", tag = "readings",
    params(("sensorId" = String, Path, description = "The sensor"), ("timestamp" = inline(terms::Moment), Path, description = "Its time"), OneQuery),
    responses((status = 200, body = Envelope<ReadingBody>), (status = "default", body = ErrorBody)))]
pub(in crate::http) async fn one(
    caller: Caller,
    State(app): State<App>,
    Path((sensor, time)): Path<(String, Moment)>,
    Query(query): Query<OneQuery>,
) -> Reply<ReadingBody> {
    let (topic, schema_ref) = query.names(&sensor)?;
    ok(app.gate.reading(&caller, &sensor, time.0, topic, schema_ref).await?.into())
}

/// Deletes one reading.
#[utoipa::path(delete, path = "/sensor-readings/{sensorId}/{timestamp}", tag = "readings",
    params(("sensorId" = String, Path, description = "The sensor"), ("timestamp" = inline(terms::Moment), Path, description = "Its time"), OneQuery),
    responses((status = 204, description = "It is gone"), (status = "default", body = ErrorBody)))]
pub(in crate::http) async fn remove(
    caller: Caller,
    State(app): State<App>,
    headers: HeaderMap,
    Path((sensor, time)): Path<(String, Moment)>,
    Query(query): Query<OneQuery>,
) -> Reply<()> {
    let (topic, schema_ref) = query.names(&sensor)?;
    let unchanged = |reading: &_| reply::is_unchanged(headers.get(header::IF_MATCH), &ReadingBody::from(Clone::clone(reading)));
    app.gate.reading_remove(&caller, &sensor, time.0, topic, schema_ref, unchanged).await?;
    no_content()
}

impl OneQuery {
    fn names(&self, sensor: &str) -> Result<(Option<&str>, Option<&str>), Error> {
        for name in [Some(sensor), self.topic.as_deref(), self.schema_ref.as_deref()].into_iter().flatten() {
            plain(name)?;
        }
        Ok((self.topic.as_deref(), self.schema_ref.as_deref()))
    }
}

/// Which sensors.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query, rename_all = "camelCase")]
pub struct SensorsQuery {
    /// Those whose names begin so.
    prefix: Option<String>,
    /// How many at most.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<u32>,
    /// The `nextCursor` of the page before.
    #[param(value_type = terms::Cursor, required = false, inline)]
    cursor: Option<String>,
}

/// A sensor that ever had a value.
#[derive(Debug, serde::Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct SensorBody {
    /// Its name.
    sensor_id: String,
    /// What it measures.
    metrics: Vec<String>,
    /// The topics that its readings came through.
    topics: Vec<String>,
}

/// Sensors, by name.
#[utoipa::path(get, path = "/sensors", tag = "readings", params(SensorsQuery),
    responses((status = 200, body = Page<SensorBody>), (status = "default", body = ErrorBody)))]
pub(in crate::http) async fn sensors(
    caller: Caller,
    State(app): State<App>,
    Query(query): Query<SensorsQuery>,
) -> Reply<Vec<SensorBody>> {
    let prefix = query.prefix.unwrap_or_default();
    plain(&prefix)?;
    let after: Option<String> = query.cursor.as_deref().map(form::unseal).transpose()?;
    let limit = form::limit(query.limit)?;
    let (sensors, next) = app.gate.sensors(&caller, &prefix, after.as_deref(), limit).await?;
    let body = |sensor: crate::gate::readings::StoredSensor| SensorBody {
        sensor_id: sensor.sensor,
        metrics: sensor.metrics,
        topics: sensor.topics,
    };
    page(sensors.into_iter().map(body).collect(), next.as_ref().map(form::seal))
}
