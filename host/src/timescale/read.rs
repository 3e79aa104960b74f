//! Readings as they were sent: pages, the latest values, one reading, its removal, and the sensors there are.
//!
//! The values of one sensor at one time, from one topic and under one schema reference, are one reading again. Every statement begins at
//! `series` with the permit's tenant; rows of `readings` alone belong to nobody.

use chrono::{DateTime, Utc};
use futures_util::TryStreamExt as _;
use sqlx::Row as _;
use sqlx::postgres::PgRow;
use sqlx::types::Json;
use uuid::Uuid;

use super::{Timescale, away, statements};
use crate::batch::{Quality, Value};
use crate::error::Result;
use crate::limits;
use crate::policy::Permit;

/// A page of readings in one direction of time: `$1` tenant, `$2` to `$6` sensor, metric, topic, schema reference and quality or null,
/// `$7` and `$8` the bounds of time or null, `$9` to `$12` the last reading of the page before or null, `$13` how many, `$14` and `$15`
/// the sensors and topics within reach.
///
/// `heads` is the first row of each series that counts, `bound` the time by which as many readings as wanted have begun: no series is
/// read beyond it. `keys` are the page's readings, and the last part brings their values. So a page costs one look into the index for
/// each series, and then what it shows, however much other tenants have.
macro_rules! page {
    ($direction:literal, $before:literal, $bound:literal, $beyond:literal, $end:literal) => {
        concat!(
            "with heads as materialized ( \
                select s.id, s.sensor, s.topic, s.schema_ref, h.time from series s cross join lateral ( \
                    select o.time from readings o where o.series_id = s.id and ($6::int2 is null or o.quality = $6) \
                        and o.time >= coalesce($7, '-infinity'::timestamptz) and o.time < coalesce($8, 'infinity'::timestamptz) \
                        and ($9::timestamptz is null or o.time ", $before, "= $9) \
                        and ($9 is null or o.time ", $before, " $9 \
                            or (s.sensor, s.topic, s.schema_ref) ", $before, " ($10::text, $11::text, $12::text)) \
                    order by o.time ", $direction, " limit 1) h \
                where s.tenant = $1 and ($2::text is null or s.sensor = $2) and ($3::text is null or s.metric = $3) \
                    and ($4::text is null or s.topic = $4) and ($5::text is null or s.schema_ref = $5) \
                    and weir_reaches(s.sensor, $14) and weir_reaches(s.topic, $15)), \
            bound as materialized ( \
                select case when count(*) = $13 then ", $bound, "(b.time) end as time from ( \
                    select h.time from heads h group by h.time, h.sensor, h.topic, h.schema_ref \
                    order by h.time ", $direction, " limit $13) b), \
            keys as materialized ( \
                select r.time, h.sensor, h.topic, h.schema_ref from heads h cross join lateral ( \
                    select o.time from readings o where o.series_id = h.id and ($6 is null or o.quality = $6) \
                        and o.time >= coalesce($7, '-infinity'::timestamptz) and o.time < coalesce($8, 'infinity'::timestamptz) \
                        and o.time ", $before, "= h.time and o.time ", $beyond, " coalesce((select time from bound), ", $end, ") \
                    order by o.time ", $direction, " limit $13) r \
                group by 1, 2, 3, 4 \
                order by 1 ", $direction, ", 2 ", $direction, ", 3 ", $direction, ", 4 ", $direction, " limit $13) \
            select k.time, k.sensor, k.topic, k.schema_ref, s.metric, s.unit, v.value, v.text, v.quality from keys k \
            join series s on s.tenant = $1 and s.sensor = k.sensor and s.topic = k.topic and s.schema_ref = k.schema_ref \
                and ($3 is null or s.metric = $3) \
            cross join lateral (select o.value, o.text, o.quality from readings o \
                where o.series_id = s.id and o.time = k.time and ($6 is null or o.quality = $6) offset 0) v \
            order by 1 ", $direction, ", 2 ", $direction, ", 3 ", $direction, ", 4 ", $direction, ", s.metric, s.id"
        )
    };
}

statements! {
    NEWEST_FIRST = page!("desc", "<", "min", ">=", "'-infinity'::timestamptz");
    OLDEST_FIRST = page!("asc", ">", "max", "<=", "'infinity'::timestamptz");
    LATEST = "select distinct on (s.metric) r.time, s.sensor, s.topic, s.schema_ref, s.metric, s.unit, r.value, r.text, r.quality \
        from series s cross join lateral ( \
            select o.time, o.value, o.text, o.quality from readings o where o.series_id = s.id order by o.time desc limit 1) r \
        where s.tenant = $1 and s.sensor = $2 and weir_reaches(s.topic, $3) order by s.metric, r.time desc, s.id desc";
    /// One answer for each pair that has a value; the newest of all its topics and schema references.
    LAST_VALUES = "with last as ( \
            select distinct on (a.place) a.place, r.time, r.value, r.text, s.unit \
            from unnest($2::text[], $3::text[]) with ordinality as a (sensor, metric, place) \
            join series s on s.tenant = $1 and s.sensor = a.sensor and s.metric = a.metric cross join lateral ( \
                select o.time, o.value, o.text from readings o where o.series_id = s.id order by o.time desc limit 1) r \
            order by a.place, r.time desc, s.id desc), \
        summed as (select l.*, sum(coalesce(octet_length(l.text), 0)) over (order by l.place) as bytes from last l) \
        select place, time, value, case when bytes <= $4 then text end, unit, bytes > $4 from summed";
    ONE = "select r.time, s.sensor, s.topic, s.schema_ref, s.metric, s.unit, r.value, r.text, r.quality \
        from series s join readings r on r.series_id = s.id \
        where s.tenant = $1 and s.sensor = $2 and r.time = $3 \
            and ($4::text is null or s.topic = $4) and ($5::text is null or s.schema_ref = $5) and weir_reaches(s.topic, $6) \
        order by s.topic, s.schema_ref, s.metric, s.id";
    REMOVE = "with gone as ( \
            delete from readings r using series s where s.id = r.series_id and s.tenant = $1 and s.sensor = $2 and r.time = $3 \
                and s.topic = $4 and s.schema_ref = $5 \
            returning r.series_id), \
        counted as (select count(*) as rows from gone) \
        insert into removals (id, tenant, sensor, reading, topic, schema_ref, rows, subject, request_id) \
        select $6, $1, $2, $3, $4, $5, c.rows, $7, $8 from counted c where c.rows > 0 returning rows";
    SENSORS = "select s.sensor, array_agg(distinct s.metric order by s.metric) as metrics, \
            array_remove(array_agg(distinct s.topic order by s.topic), '') as topics \
        from series s where s.tenant = $1 and s.sensor >= $2 and starts_with(s.sensor, $2) and ($3::text is null or s.sensor > $3) \
            and weir_reaches(s.sensor, $5) and weir_reaches(s.topic, $6) \
        group by s.sensor order by s.sensor limit $4";
}

/// Which readings. An empty topic or schema reference means those without one.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// Of this sensor.
    pub sensor: Option<String>,
    /// Values of this metric only.
    pub metric: Option<String>,
    /// From this topic.
    pub topic: Option<String>,
    /// Under this schema reference.
    pub schema_ref: Option<String>,
    /// Values of this quality only.
    pub quality: Option<Quality>,
    /// At or after this time.
    pub from: Option<DateTime<Utc>>,
    /// Before this time.
    pub to: Option<DateTime<Utc>>,
}

/// A last value: microseconds since the Unix epoch, the value, its unit.
pub type LastOf = (i64, Value, String);

/// In which direction of time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Order {
    /// Oldest first.
    Asc,
    /// Newest first.
    #[default]
    Desc,
}

/// What a reading is known by; also where a page ends.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// Its time.
    pub time: DateTime<Utc>,
    /// Its sensor.
    pub sensor: String,
    /// Its topic; empty for none.
    pub topic: String,
    /// Its schema reference; empty for none.
    pub schema_ref: String,
}

/// One value of a stored reading.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredValue {
    /// What was measured.
    pub metric: String,
    /// Its unit; empty for none.
    pub unit: String,
    /// The value.
    pub value: Value,
}

/// A stored reading.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredReading {
    /// What it is known by.
    pub place: Place,
    /// The worst quality of its values.
    pub quality: Quality,
    /// Its values, by metric.
    pub values: Vec<StoredValue>,
}

/// A page of readings.
#[derive(Clone, Debug, PartialEq)]
pub struct Page {
    /// The readings, each whole.
    pub readings: Vec<StoredReading>,
    /// Where the next page begins; `None` at the end.
    pub next: Option<Place>,
}

/// The latest value of one metric.
#[derive(Clone, Debug, PartialEq)]
pub struct Latest {
    /// The reading that it came with.
    pub place: Place,
    /// Its quality.
    pub quality: Quality,
    /// The value.
    pub value: StoredValue,
}

/// A sensor that ever had a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredSensor {
    /// Its name.
    pub sensor: String,
    /// What it measures.
    pub metrics: Vec<String>,
    /// The topics that its readings came through.
    pub topics: Vec<String>,
}

impl Timescale {
    /// A page of at most `limit` readings after `after`.
    pub async fn page(&self, permit: &Permit, filter: &Filter, order: Order, after: Option<&Place>, limit: u32) -> Result<Page> {
        let sql = match order {
            Order::Asc => OLDEST_FIRST,
            Order::Desc => NEWEST_FIRST,
        };
        let limit = limit.clamp(1, limits::PAGE_MAX);
        self.read(|| async {
            let rows = sqlx::query(sql)
                .bind(permit.tenant().as_str())
                .bind(filter.sensor.as_deref())
                .bind(filter.metric.as_deref())
                .bind(filter.topic.as_deref())
                .bind(filter.schema_ref.as_deref())
                .bind(filter.quality.map(Quality::code))
                .bind(filter.from)
                .bind(filter.to)
                .bind(after.map(|place| place.time))
                .bind(after.map(|place| place.sensor.as_str()))
                .bind(after.map(|place| place.topic.as_str()))
                .bind(after.map(|place| place.schema_ref.as_str()))
                // One more than wanted says whether there is a next page.
                .bind(i64::from(limit) + 1)
                .bind(permit.reach().limits().map(Json))
                .bind(permit.topics().limits().map(Json))
                .fetch(&self.requests);
            collect(rows, limit as usize, limits::PAGE_VALUES).await
        })
        .await
    }

    /// The latest value of each of a sensor's metrics; empty where it never had one.
    pub async fn latest(&self, permit: &Permit, sensor: &str) -> Result<Vec<Latest>> {
        let topics = permit.topics().limits().map(Json);
        let ask = || async {
            sqlx::query(LATEST).bind(permit.tenant().as_str()).bind(sensor).bind(topics).fetch_all(&self.requests).await
        };
        let rows = self.read(ask).await?;
        let latest = |row: &PgRow| Ok(Latest { place: place(row)?, quality: quality(row)?, value: value(row)? });
        rows.iter().map(latest).collect::<Result<_, sqlx::Error>>().map_err(away)
    }

    /// The last value of each sensor and metric, with its time in microseconds and its unit, in the order of the pairs; `None` where their
    /// texts together are longer than `most` bytes, which then stay where they are.
    pub async fn last_values(
        &self,
        permit: &Permit,
        of: &[(String, String)],
        most: usize,
    ) -> Result<Option<Vec<Option<LastOf>>>> {
        let sensors: Vec<&str> = of.iter().map(|(sensor, _)| sensor.as_str()).collect();
        let metrics: Vec<&str> = of.iter().map(|(_, metric)| metric.as_str()).collect();
        let most = i64::try_from(most).unwrap_or(i64::MAX);
        let ask = || async {
            let query = sqlx::query(LAST_VALUES).bind(permit.tenant().as_str()).bind(&sensors).bind(&metrics).bind(most);
            query.fetch_all(&self.requests).await
        };
        let rows = self.read(ask).await?;
        let mut values = vec![None; of.len()];
        for row in &rows {
            if row.try_get(5).map_err(away)? {
                return Ok(None);
            }
            let (place, time): (i64, DateTime<Utc>) = (row.try_get(0).map_err(away)?, row.try_get(1).map_err(away)?);
            let value = stored(row.try_get(2).map_err(away)?, row.try_get(3).map_err(away)?);
            if let Some(at) = usize::try_from(place - 1).ok().and_then(|place| values.get_mut(place)) {
                *at = Some((time.timestamp_micros(), value, row.try_get(4).map_err(away)?));
            }
        }
        Ok(Some(values))
    }

    /// The readings of a sensor at a time: several where they came from several topics or under several schema references.
    pub async fn at(
        &self,
        permit: &Permit,
        sensor: &str,
        time: DateTime<Utc>,
        topic: Option<&str>,
        schema_ref: Option<&str>,
    ) -> Result<Vec<StoredReading>> {
        self.read(|| async {
            let rows = sqlx::query(ONE)
                .bind(permit.tenant().as_str())
                .bind(sensor)
                .bind(time)
                .bind(topic)
                .bind(schema_ref)
                .bind(permit.topics().limits().map(Json))
                .fetch(&self.requests);
            collect(rows, usize::MAX, usize::MAX).await.map(|page| page.readings)
        })
        .await
    }

    /// Removes one reading and notes it in `removals`; the number of its rows, 0 where it is not there.
    pub async fn remove(&self, permit: &Permit, place: &Place) -> Result<u64> {
        let rows: Option<i64> = self
            .read(|| async {
                sqlx::query_scalar(REMOVE)
                    .bind(permit.tenant().as_str())
                    .bind(&place.sensor)
                    .bind(place.time)
                    .bind(&place.topic)
                    .bind(&place.schema_ref)
                    .bind(Uuid::now_v7())
                    .bind(permit.subject().as_str())
                    .bind(&**permit.request_id())
                    .fetch_optional(&self.requests)
                    .await
            })
            .await?;
        Ok(rows.unwrap_or_default().cast_unsigned())
    }

    /// The sensors whose names begin with `prefix`, by name, after `after`.
    pub async fn sensors(&self, permit: &Permit, prefix: &str, after: Option<&str>, limit: u32) -> Result<Vec<StoredSensor>> {
        let rows = self
            .read(|| async {
                sqlx::query(SENSORS)
                    .bind(permit.tenant().as_str())
                    .bind(prefix)
                    .bind(after)
                    .bind(i64::from(limit))
                    .bind(permit.reach().limits().map(Json))
                    .bind(permit.topics().limits().map(Json))
                    .fetch_all(&self.requests)
                    .await
            })
            .await?;
        let sensor =
            |row: &PgRow| Ok(StoredSensor { sensor: row.try_get(0)?, metrics: row.try_get(1)?, topics: row.try_get(2)? });
        rows.iter().map(sensor).collect::<Result<_, sqlx::Error>>().map_err(away)
    }
}

/// Puts rows together to readings, up to `most` of them, or fewer where they hold more than `values` together.
async fn collect(
    mut rows: impl futures_util::Stream<Item = Result<PgRow, sqlx::Error>> + Unpin,
    most: usize,
    values: usize,
) -> Result<Page, sqlx::Error> {
    let mut readings: Vec<StoredReading> = Vec::new();
    let mut taken = 0;
    while let Some(row) = rows.try_next().await? {
        let place = place(&row)?;
        taken += 1;
        match readings.last_mut() {
            Some(last) if last.place == place => {
                last.quality = last.quality.max(quality(&row)?);
                last.values.push(value(&row)?);
            }
            last => {
                if let Some(last) = last.filter(|_| taken > values) {
                    let next = Some(last.place.clone());
                    return Ok(Page { readings, next });
                }
                if readings.len() == most {
                    let next = readings.last().map(|last| last.place.clone());
                    return Ok(Page { readings, next });
                }
                readings.push(StoredReading { place, quality: quality(&row)?, values: vec![value(&row)?] });
            }
        }
    }
    Ok(Page { readings, next: None })
}

fn place(row: &PgRow) -> Result<Place, sqlx::Error> {
    Ok(Place { time: row.try_get(0)?, sensor: row.try_get(1)?, topic: row.try_get(2)?, schema_ref: row.try_get(3)? })
}

fn quality(row: &PgRow) -> Result<Quality, sqlx::Error> {
    Ok(Quality::from_code(row.try_get(8)?))
}

fn value(row: &PgRow) -> Result<StoredValue, sqlx::Error> {
    let value = stored(row.try_get(6)?, row.try_get(7)?);
    Ok(StoredValue { metric: row.try_get(4)?, unit: row.try_get(5)?, value })
}

/// A value as its two columns hold it.
fn stored(number: Option<f64>, text: Option<String>) -> Value {
    match (number, text) {
        (Some(number), None) => Value::Number(number),
        (Some(_), Some(text)) => Value::Bool(text == "true"),
        (None, text) => Value::Text(text.unwrap_or_default()),
    }
}
