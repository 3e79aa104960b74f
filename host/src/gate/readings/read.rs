//! Readings on their way out: authorise, ask the store, and leave out what the policy keeps from this caller.
//!
//! What names a sensor needs leave for that sensor. Any other list shows the sensors that the caller may read, and needs a rule for one of
//! them at the least, or for the list itself. A rule that denies a sensor or a topic holds in every list.

use chrono::{DateTime, Utc};

use super::{Filter, Latest, Order, Page, Place, StoredReading, StoredSensor};
use crate::error::{Error, Result};
use crate::gate::Gate;
use crate::model::{Action, Caller, Resource};
use crate::policy::Permit;

impl Gate {
    /// A page of readings, at most `limit`, after `after`.
    pub async fn readings(
        &self,
        caller: &Caller,
        filter: &Filter,
        order: Order,
        after: Option<&Place>,
        limit: u32,
    ) -> Result<Page> {
        let permit = self.authorise_readings(caller, filter.sensor.as_deref(), filter.topic.as_deref()).await?;
        self.timescale.page(&permit, filter, order, after, limit).await
    }

    /// The latest value of each metric of a sensor.
    pub async fn latest(&self, caller: &Caller, sensor: &str) -> Result<Vec<Latest>> {
        let permit = self.authorise_readings(caller, Some(sensor), None).await?;
        let latest = self.timescale.latest(&permit, sensor).await?;
        if latest.is_empty() {
            return Err(Error::not_found(format_args!("reading of sensor `{sensor}`")));
        }
        Ok(latest)
    }

    /// The reading of a sensor at a time. Where several topics or schema references have one then, it takes their names to choose.
    pub async fn reading(
        &self,
        caller: &Caller,
        sensor: &str,
        time: DateTime<Utc>,
        topic: Option<&str>,
        schema_ref: Option<&str>,
    ) -> Result<StoredReading> {
        let permit = self.authorise_readings(caller, Some(sensor), None).await?;
        only(sensor, self.timescale.at(&permit, sensor, time, topic, schema_ref).await?)
    }

    /// Removes the reading that [`Gate::reading`] would return, if `unchanged` agrees with what it is now.
    pub async fn reading_remove(
        &self,
        caller: &Caller,
        sensor: &str,
        time: DateTime<Utc>,
        topic: Option<&str>,
        schema_ref: Option<&str>,
        unchanged: impl FnOnce(&StoredReading) -> bool + Send,
    ) -> Result<()> {
        let permit = self.authorise(caller, Action::Delete, &Resource::sensor(sensor)).await?;
        let reading = only(sensor, self.timescale.at(&permit, sensor, time, topic, schema_ref).await?)?;
        if !unchanged(&reading) {
            return Err(Error::new(crate::error::Kind::Stale, "This reading has changed since; read it again."));
        }
        match self.timescale.remove(&permit, &reading.place).await? {
            0 => Err(Error::not_found(format_args!("reading of sensor `{sensor}` at that time"))),
            _ => Ok(()),
        }
    }

    /// Sensors by name, after `after`, at most `limit`; and where the next page begins.
    pub async fn sensors(
        &self,
        caller: &Caller,
        prefix: &str,
        after: Option<&str>,
        limit: u32,
    ) -> Result<(Vec<StoredSensor>, Option<String>)> {
        let permit = self.authorise_readings(caller, None, None).await?;
        let mut sensors = self.timescale.sensors(&permit, prefix, after, limit + 1).await?;
        let more = sensors.len() > limit as usize;
        sensors.truncate(limit as usize);
        let next = sensors.last().filter(|_| more).map(|last| last.sensor.clone());
        Ok((sensors, next))
    }

    /// Leave to read one sensor, or what the caller may read of a topic or of all sensors.
    async fn authorise_readings(&self, caller: &Caller, sensor: Option<&str>, topic: Option<&str>) -> Result<Permit> {
        self.decided(caller, self.policy.authorise_readings(caller, Action::Read, sensor, topic)).await
    }
}

/// The one reading among those at a time.
fn only(sensor: &str, mut found: Vec<StoredReading>) -> Result<StoredReading> {
    if found.len() > 1 {
        let several = found.iter().map(|reading| {
            let Place { topic, schema_ref, .. } = &reading.place;
            (String::from("topic"), format!("topic `{topic}`, schemaRef `{schema_ref}`"))
        });
        let sentence = "Several readings of this sensor have this time; choose one by `topic` and `schemaRef` (empty for none).";
        return Err(several.fold(Error::conflict(sentence), |error, (path, message)| error.at(path, message)));
    }
    found.pop().ok_or_else(|| Error::not_found(format_args!("reading of sensor `{sensor}` at that time")))
}
