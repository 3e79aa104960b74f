//! Which of the three databases this is, and what Weir does itself where it is plain PostgreSQL: make the partition of a month before
//! the first row of it comes.

use std::collections::HashMap;

use chrono::{DateTime, Datelike as _, TimeZone as _, Utc};
use parking_lot::Mutex;
use sqlx::PgPool;

use super::lines::Lines;
use super::sqlstate::WriteError;
use super::{Timescale, alive, statements};
use crate::error::Result;
use crate::limits;

statements! {
    DETECT = "select case when not exists (select from pg_inherits i join pg_class c on c.oid = i.inhrelid \
            where i.inhparent = 'readings'::regclass and c.relname = 'readings_default') \
        then coalesce(current_setting('timescaledb.license', true), 'apache') else 'none' end";
    MAKE_PARTITION = "select weir_readings_partition($1)";
}

/// What the database can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Edition {
    /// TimescaleDB with compression, continuous aggregates and jobs.
    Community,
    /// TimescaleDB's hypertables alone.
    Apache,
    /// Plain PostgreSQL: partitions by month.
    None,
}

impl Edition {
    /// The word for it in `/health`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Community => "community",
            Self::Apache => "apache",
            Self::None => "none",
        }
    }
}

/// What was found out, and which months have been seen to (with what came of it, for the log only).
#[derive(Debug, Default)]
pub(super) struct Found {
    edition: Mutex<Option<Edition>>,
    months: Mutex<HashMap<i32, bool>>,
}

impl Timescale {
    /// The edition, found out once after the migrations.
    pub async fn edition(&self) -> Result<Edition> {
        self.found_edition(&self.requests).await.map_err(super::away)
    }

    async fn found_edition(&self, pool: &PgPool) -> Result<Edition, sqlx::Error> {
        if let Some(edition) = *self.edition.edition.lock() {
            return Ok(edition);
        }
        let license: String = alive(pool, || async { sqlx::query_scalar(DETECT).fetch_one(pool).await }).await?;
        let edition = match license.as_str() {
            "none" => Edition::None,
            "timescale" => Edition::Community,
            _ => Edition::Apache,
        };
        *self.edition.edition.lock() = Some(edition);
        Ok(edition)
    }

    /// Sees to it that plain PostgreSQL has a partition for each of these times. Where it cannot be made, the default one takes the rows.
    pub(super) async fn prepare_partitions(&self, pool: &PgPool, lines: &[Lines]) -> Result<(), WriteError> {
        if self.found_edition(pool).await? != Edition::None {
            return Ok(());
        }
        let mut wanted: Vec<i32> = Vec::new();
        {
            let months = self.edition.months.lock();
            for month in lines.iter().flat_map(Lines::chosen).filter_map(|line| month_of(line.time)) {
                if !months.contains_key(&month) && !wanted.contains(&month) {
                    wanted.push(month);
                }
            }
        }
        for month in wanted {
            let Some(begin) = begin_of(month) else { continue };
            let made: bool =
                alive(pool, || async { sqlx::query_scalar(MAKE_PARTITION).bind(begin).fetch_one(pool).await }).await?;
            if !made {
                tracing::info!(month = %begin, "rows of this month go to the default partition");
            }
            self.edition.months.lock().insert(month, made);
        }
        Ok(())
    }
}

/// Months since year 0; `None` outside the years that get partitions of their own.
fn month_of(micros: i64) -> Option<i32> {
    let time = DateTime::<Utc>::from_timestamp_micros(micros)?;
    limits::PARTITION_YEARS.contains(&time.year()).then(|| time.year() * 12 + time.month0().cast_signed())
}

fn begin_of(month: i32) -> Option<DateTime<Utc>> {
    Utc.with_ymd_and_hms(month.div_euclid(12), month.rem_euclid(12).unsigned_abs() + 1, 1, 0, 0, 0).single()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_month_begins_where_it_should() {
        let time = |text: &str| text.parse::<DateTime<Utc>>().unwrap();
        for (at, begin) in [
            ("2026-11-23T21:00:00Z", "2026-11-01T00:00:00Z"),
            ("2026-12-31T23:59:59.999999Z", "2026-12-01T00:00:00Z"),
            ("2027-01-01T00:00:00Z", "2027-01-01T00:00:00Z"),
        ] {
            assert_eq!(begin_of(month_of(time(at).timestamp_micros()).unwrap()), Some(time(begin)), "{at}");
        }
        assert_eq!(month_of(time("1822-01-01T00:00:00Z").timestamp_micros()), None);
        assert_eq!(month_of(i64::MAX), None);
    }
}
