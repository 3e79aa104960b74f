//! The log: record batches, encoded once and kept in memory.

use bytes::{Bytes, BytesMut};
use kafka_protocol::indexmap::IndexMap;
use kafka_protocol::records::{
    Compression, NO_PARTITION_LEADER_EPOCH, NO_PRODUCER_EPOCH, NO_PRODUCER_ID, NO_SEQUENCE, Record, RecordBatchEncoder,
    RecordEncodeOptions, TimestampType,
};

use crate::failure::{Failure, Result};
use crate::load::Load;

/// Messages of a record batch: about 40 kB, as a producer that lingers a little makes them.
const BATCH: u64 = 256;

/// One partition's log. It begins at offset 0 and never changes.
#[derive(Debug)]
pub struct Log {
    bytes: Bytes,
    /// Where each batch begins in `bytes`, and where the last one ends.
    starts: Vec<usize>,
    /// One past the last offset.
    pub end: i64,
}

impl Log {
    /// Encodes all messages of a partition.
    pub fn fill(load: Load, partition: u64) -> Result<Self> {
        let mut bytes = BytesMut::new();
        let mut starts = vec![0];
        let mut first = 0;
        while first < load.messages_each {
            let last = (first + BATCH).min(load.messages_each);
            let records: Vec<Record> = (first..last).map(|number| record(load, partition, number)).collect();
            let options = RecordEncodeOptions { version: 2, compression: Compression::None };
            RecordBatchEncoder::encode(&mut bytes, &records, &options)
                .map_err(|cause| Failure::new(format!("a record batch cannot be encoded: {cause}")))?;
            starts.push(bytes.len());
            first = last;
        }
        Ok(Self { bytes: bytes.freeze(), starts, end: load.messages_each.cast_signed() })
    }

    /// Whole batches from the one that has `offset`: as many as fit into `most` bytes, and at least one. Empty at the end of the log,
    /// `None` outside of it.
    pub fn read(&self, offset: i64, most: usize) -> Option<Bytes> {
        if !(0..=self.end).contains(&offset) {
            return None;
        }
        if offset == self.end {
            return Some(Bytes::new());
        }
        let batch = usize::try_from(offset.cast_unsigned() / BATCH).ok()?;
        let begin = self.starts[batch];
        let fitting = self.starts.partition_point(|start| *start <= begin + most) - 1;
        Some(self.bytes.slice(begin..self.starts[fitting.max(batch + 1)]))
    }
}

fn record(load: Load, partition: u64, number: u64) -> Record {
    let message = load.message(partition, number);
    Record {
        transactional: false,
        control: false,
        delete_horizon: false,
        partition_leader_epoch: NO_PARTITION_LEADER_EPOCH,
        producer_id: NO_PRODUCER_ID,
        producer_epoch: NO_PRODUCER_EPOCH,
        timestamp_type: TimestampType::Creation,
        offset: number.cast_signed(),
        // The encoder begins a new batch where this does not follow the offset.
        sequence: NO_SEQUENCE.wrapping_add(i32::try_from(number % BATCH).unwrap_or(0)),
        timestamp: message.time,
        key: Some(message.name().into()),
        value: Some(message.json(load.values).into()),
        headers: IndexMap::new(),
    }
}

#[cfg(test)]
mod tests {
    use kafka_protocol::records::RecordBatchDecoder;

    use super::*;

    fn offsets(mut bytes: Bytes) -> Vec<i64> {
        let mut found = Vec::new();
        while !bytes.is_empty() {
            found.extend(RecordBatchDecoder::decode(&mut bytes).unwrap().records.iter().map(|record| record.offset));
        }
        found
    }

    #[test]
    fn a_read_begins_with_the_batch_that_has_the_offset() {
        let log = Log::fill(Load::of(4_800, 2, 1_777_896_000), 1).unwrap();
        assert_eq!(offsets(log.read(300, 1).unwrap()), (256..512).collect::<Vec<_>>());
        assert_eq!(offsets(log.read(0, 1 << 20).unwrap()), (0..600).collect::<Vec<_>>());
        assert_eq!(offsets(log.read(599, 1 << 20).unwrap()), (512..600).collect::<Vec<_>>());
        assert_eq!(log.read(600, 1 << 20), Some(Bytes::new()));
        assert_eq!(log.read(601, 1 << 20), None);
        assert_eq!(log.read(-1, 1 << 20), None);
    }
}
