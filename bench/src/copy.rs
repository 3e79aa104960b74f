//! Line a: COPY BINARY of rows that were encoded before the clock starts, into the table that Weir writes to.
//!
//! As many connections as Weir has lanes, as many rows in a transaction as Weir had, sorted as Weir sorts them, each transaction
//! with the readings of one partition. It is what PostgreSQL can do, with a client that does nothing.

use std::io::Write as _;
use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};

use postgres::Client;

use crate::database::Database;
use crate::failure::{Doing as _, Failure, Result};
use crate::load::{Load, METRICS, PARTITIONS};

const COPY: &str = "copy readings (time, series_id, value, batch_id, quality, text) from stdin (format binary)";
/// Microseconds from the Unix epoch to PostgreSQL's, 2000-01-01.
const EPOCH_MICROS: i64 = 946_684_800_000_000;

/// The rows of all transactions, encoded, each with those that its lane stores.
pub struct Encoded {
    lanes: Vec<Vec<Vec<u8>>>,
}

impl Encoded {
    /// Encodes the load for so many connections and (about) so many rows a transaction.
    pub fn new(load: Load, lanes: u8, rows: u64) -> Self {
        let messages = (rows / load.values as u64).max(1);
        let mut encoded: Vec<Vec<Vec<u8>>> = (0..lanes).map(|_| Vec::new()).collect();
        let mut first = 0;
        let mut number = 0;
        while first < load.messages_each {
            let last = (first + messages).min(load.messages_each);
            for partition in 0..PARTITIONS {
                encoded[number % usize::from(lanes)].push(encode(load, partition, first..last, number));
                number += 1;
            }
            first = last;
        }
        Self { lanes: encoded }
    }

    /// Stores them all; how long that took.
    pub fn store(&self, database: &Database) -> Result<Duration> {
        let clients = self.lanes.iter().map(|_| database.owner()).collect::<Result<Vec<_>>>()?;
        let start = Barrier::new(clients.len() + 1);
        thread::scope(|scope| {
            let running: Vec<_> = self
                .lanes
                .iter()
                .zip(clients)
                .map(|(transactions, mut client)| {
                    let start = &start;
                    scope.spawn(move || {
                        start.wait();
                        transactions.iter().try_for_each(|rows| transact(&mut client, rows))
                    })
                })
                .collect();
            start.wait();
            let began = Instant::now();
            for lane in running {
                lane.join().map_err(|_| Failure::new("a lane of COPY panicked"))??;
            }
            Ok(began.elapsed())
        })
    }
}

fn transact(client: &mut Client, rows: &[u8]) -> Result<()> {
    let mut transaction = client.transaction().doing("a transaction cannot begin")?;
    let mut copy = transaction.copy_in(COPY).doing("COPY does not begin")?;
    copy.write_all(rows).doing("COPY does not take the rows")?;
    copy.finish().doing("COPY does not end")?;
    transaction.commit().doing("COPY cannot be committed")
}

fn encode(load: Load, partition: u64, messages: std::ops::Range<u64>, transaction: usize) -> Vec<u8> {
    let mut rows: Vec<(i64, i64, f64)> = Vec::new();
    for number in messages {
        let message = load.message(partition, number);
        for metric in 0..load.values {
            let series = message.sensor * METRICS.len() as u64 + metric as u64 + 1;
            #[expect(clippy::cast_precision_loss, reason = "below 2^53")]
            let value = message.hundredths(metric) as f64 / 100.0;
            rows.push((series.cast_signed(), message.time * 1_000 - EPOCH_MICROS, value));
        }
    }
    rows.sort_unstable_by_key(|(series, time, _)| (*series, *time));
    let batch = (0x1234_5678_9abc_4def_8000_0000_0000_0000_u128 + transaction as u128).to_be_bytes();
    let mut out = Vec::with_capacity(21 + rows.len() * 68);
    out.extend_from_slice(b"PGCOPY\n\xff\r\n\0");
    out.extend_from_slice(&[0; 8]); // no flags, no header extension
    for (series, time, value) in rows {
        out.extend_from_slice(&6_i16.to_be_bytes());
        field(&mut out, time.to_be_bytes());
        field(&mut out, series.to_be_bytes());
        field(&mut out, value.to_be_bytes());
        field(&mut out, batch);
        field(&mut out, 0_i16.to_be_bytes());
        out.extend_from_slice(&(-1_i32).to_be_bytes()); // text: null
    }
    out.extend_from_slice(&(-1_i16).to_be_bytes());
    out
}

fn field<const LENGTH: usize>(out: &mut Vec<u8>, bytes: [u8; LENGTH]) {
    #[expect(clippy::cast_possible_truncation, clippy::cast_possible_wrap, reason = "16 at the most")]
    out.extend_from_slice(&(LENGTH as i32).to_be_bytes());
    out.extend_from_slice(&bytes);
}
