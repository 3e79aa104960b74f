//! The outbox: changes on their way to Kafka. Each is put in by the transaction that makes the change, and taken out when the broker has it.
//!
//! They are sent in the order of their numbers. Of two changes of one resource the second waits for the first one's lock, so it has the
//! higher number and is not seen before the first. What is sent is the audit entry.

use sqlx::{FromRow, Postgres, Transaction};
use uuid::Uuid;

use super::{Platform, failed, statements};
use crate::error::Result;
use crate::limits;

/// A change that is to be sent.
#[derive(Clone, Debug, FromRow)]
pub struct Event {
    /// Its place in line.
    pub seq: i64,
    /// Its id, the audit entry's: who hears it twice knows it by that.
    pub id: Uuid,
    /// What changed, `<tenant>/<object>`: events of one key keep their order.
    pub key: String,
    /// What is sent, as JSON text.
    pub body: String,
}

statements! {
    PUT = "insert into outbox (id, tenant, key, body)
           select id, tenant, tenant || object,
                  jsonb_build_object('id', id, 'seq', seq, 'time', to_char(time at time zone 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"'),
                                     'tenant', tenant, 'subject', subject, 'action', action, 'object', object,
                                     'requestId', request_id, 'data', details)
           from audit_log where id = $1 and current_setting('weir.events', true) = 'on'";
    /// One replica at a time sends; the others leave it alone.
    TURN = "select pg_try_advisory_xact_lock(hashtext('weir outbox'))";
    NEXT = "select seq, id, key, body::text as body from outbox order by seq limit $1";
    SENT = "delete from outbox where seq = any($1)";
}

/// Puts an audit entry of this transaction in.
pub(super) async fn put(transaction: &mut Transaction<'_, Postgres>, entry: Uuid) -> Result<()> {
    sqlx::query(PUT).bind(entry).execute(&mut **transaction).await.map(drop).map_err(failed)
}

impl Platform {
    /// Takes the next changes out, of all tenants, where `send` says that they are at the broker; how many they were. Nothing where another
    /// replica is at it. After an error they stay and are sent again. Without a permit: who may hear of them is Kafka's affair.
    pub async fn outbox_send(&self, send: impl AsyncFnOnce(Vec<Event>) -> Result<()>) -> Result<usize> {
        let mut transaction = self.begin_as_weir().await?;
        let turn: bool = sqlx::query_scalar(TURN).fetch_one(&mut *transaction).await.map_err(failed)?;
        if !turn {
            return Ok(0);
        }
        let events: Vec<Event> =
            sqlx::query_as(NEXT).bind(i64::from(limits::EVENTS_AT_ONCE)).fetch_all(&mut *transaction).await.map_err(failed)?;
        if events.is_empty() {
            return Ok(0);
        }
        let places: Vec<i64> = events.iter().map(|event| event.seq).collect();
        send(events).await?;
        sqlx::query(SENT).bind(&places).execute(&mut *transaction).await.map_err(failed)?;
        transaction.commit().await.map_err(failed)?;
        Ok(places.len())
    }
}
