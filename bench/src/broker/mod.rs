//! A Kafka broker that does next to nothing, so that it is not what is measured.
//!
//! It speaks what consumers need and no more: it serves record batches that were encoded before the first client came, copies them to
//! the socket and forgets nothing, since nothing is ever produced to it. Every topic name that a client asks for exists and has the
//! same log, so each run has a topic of its own without being loaded anew. All consumers of the comparison use it alike.
//!
//! On standard output it says `port N` when it listens, and `fetch TOPIC` when records of a topic are handed out for the first time:
//! that is when the clock of a run starts.

mod groups;
mod log;

use std::collections::HashSet;
use std::io::{self, BufWriter, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use kafka_protocol::ResponseError;
use kafka_protocol::messages::api_versions_response::ApiVersion;
use kafka_protocol::messages::fetch_response::{FetchableTopicResponse, PartitionData};
use kafka_protocol::messages::list_offsets_response::{ListOffsetsPartitionResponse, ListOffsetsTopicResponse};
use kafka_protocol::messages::metadata_response::{MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic};
use kafka_protocol::messages::{
    ApiKey, ApiVersionsResponse, BrokerId, FetchRequest, FetchResponse, FindCoordinatorResponse, ListOffsetsRequest,
    ListOffsetsResponse, MetadataRequest, MetadataResponse, RequestHeader, RequestKind, ResponseHeader, ResponseKind, TopicName,
};
use kafka_protocol::protocol::{Decodable as _, Encodable as _, StrBytes};

use self::groups::Groups;
use self::log::Log;
use crate::failure::{Doing as _, Result};
use crate::load::{Load, PARTITIONS};

/// What is spoken, and in which versions: none that knows topics by an id, and none older than the library has.
const SPOKEN: &[(ApiKey, i16, i16)] = &[
    // Nobody produces, but clients tell from it which form of records a broker has.
    (ApiKey::Produce, 3, 7),
    (ApiKey::Fetch, 4, 11),
    (ApiKey::ListOffsets, 1, 5),
    (ApiKey::Metadata, 0, 9),
    (ApiKey::OffsetCommit, 2, 7),
    (ApiKey::OffsetFetch, 1, 7),
    (ApiKey::FindCoordinator, 0, 3),
    (ApiKey::JoinGroup, 0, 7),
    (ApiKey::Heartbeat, 0, 4),
    (ApiKey::LeaveGroup, 0, 4),
    (ApiKey::SyncGroup, 0, 5),
    (ApiKey::ApiVersions, 0, 3),
];

/// The longest request that is taken; consumers send a few hundred bytes.
const REQUEST_BYTES: usize = 1 << 20;
/// The longest wait at the end of the log, whatever the client would wait: its other requests come by the same connection.
const WAIT: Duration = Duration::from_millis(500);

/// What all connections share.
struct Broker {
    port: u16,
    logs: Vec<Log>,
    groups: Mutex<Groups>,
    /// Topics of which records were handed out.
    begun: Mutex<HashSet<TopicName>>,
}

/// Fills the log, then serves until the process is killed.
pub fn run(load: Load) -> Result<()> {
    let logs = (0..PARTITIONS).map(|partition| Log::fill(load, partition)).collect::<Result<Vec<_>>>()?;
    let listener = TcpListener::bind(("127.0.0.1", 0)).doing("the broker cannot listen")?;
    let port = listener.local_addr().doing("the broker has no address")?.port();
    let broker = Arc::new(Broker { port, logs, groups: Mutex::default(), begun: Mutex::default() });
    say(&format!("port {port}"));
    for stream in listener.incoming() {
        let stream = stream.doing("a connection cannot be taken")?;
        let broker = Arc::clone(&broker);
        // A thread a connection: there are about three, and it is the least that there is to do.
        thread::spawn(move || {
            if let Err(error) = broker.serve(stream)
                && error.kind() != io::ErrorKind::UnexpectedEof
                && error.kind() != io::ErrorKind::ConnectionReset
                && error.kind() != io::ErrorKind::BrokenPipe
            {
                eprintln!("broker: {error}");
            }
        });
    }
    Ok(())
}

/// Whoever started this may have gone; then the process is about to be killed.
fn say(line: &str) {
    let mut out = io::stdout().lock();
    let _ = writeln!(out, "{line}").and_then(|()| out.flush());
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn wrong(what: impl std::fmt::Display) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("{what:#}"))
}

impl Broker {
    fn serve(&self, mut stream: TcpStream) -> io::Result<()> {
        stream.set_nodelay(true)?;
        let mut out = BufWriter::with_capacity(1 << 12, stream.try_clone()?);
        loop {
            let mut length = [0; 4];
            stream.read_exact(&mut length)?;
            let length = usize::try_from(i32::from_be_bytes(length)).map_err(wrong)?;
            if length > REQUEST_BYTES {
                return Err(wrong("a request is too long"));
            }
            let mut request = vec![0; length];
            stream.read_exact(&mut request)?;
            let response = self.answer(request.into())?;
            out.write_all(&i32::try_from(response.len()).map_err(wrong)?.to_be_bytes())?;
            out.write_all(&response)?;
            out.flush()?;
        }
    }

    /// From the bytes of a request to the bytes of its response, both without their length.
    fn answer(&self, mut request: Bytes) -> io::Result<BytesMut> {
        let (Some(key), Some(version)) = (short(&request, 0), short(&request, 2)) else {
            return Err(wrong("a request has no header"));
        };
        let api = ApiKey::try_from(key).map_err(|()| wrong(format!("unknown request {key}")))?;
        let spoken = SPOKEN.iter().find(|(spoken, ..)| *spoken == api);
        if !spoken.is_some_and(|(_, least, most)| (*least..=*most).contains(&version)) {
            if api == ApiKey::ApiVersions {
                // A client that is newer asks again in the form that it is told.
                let correlation = request.get(4..8).ok_or_else(|| wrong("a request has no header"))?;
                let mut out = BytesMut::from(correlation);
                let response = versions().with_error_code(ResponseError::UnsupportedVersion.code());
                response.encode(&mut out, 0).map_err(wrong)?;
                return Ok(out);
            }
            return Err(wrong(format!("{api:?} in version {version} is not spoken here")));
        }
        let header = RequestHeader::decode(&mut request, api.request_header_version(version)).map_err(wrong)?;
        let response = self.respond(RequestKind::decode(api, &mut request, version).map_err(wrong)?)?;
        let mut out = BytesMut::with_capacity(256);
        let answers = ResponseHeader::default().with_correlation_id(header.correlation_id);
        answers.encode(&mut out, response.header_version(version)).map_err(wrong)?;
        response.encode(&mut out, version).map_err(wrong)?;
        Ok(out)
    }

    fn respond(&self, request: RequestKind) -> io::Result<ResponseKind> {
        Ok(match request {
            RequestKind::ApiVersions(_) => versions().into(),
            RequestKind::Metadata(request) => self.metadata(request).into(),
            RequestKind::FindCoordinator(_) => FindCoordinatorResponse::default()
                .with_host(host())
                .with_port(self.port.into())
                .with_error_message(None)
                .with_node_id(BrokerId(0))
                .into(),
            RequestKind::JoinGroup(request) => lock(&self.groups).join(request).into(),
            RequestKind::SyncGroup(request) => lock(&self.groups).sync(request).into(),
            RequestKind::Heartbeat(request) => lock(&self.groups).heartbeat(&request).into(),
            RequestKind::LeaveGroup(_) => Groups::leave().into(),
            RequestKind::OffsetCommit(request) => lock(&self.groups).commit(request).into(),
            RequestKind::OffsetFetch(request) => lock(&self.groups).committed(request).into(),
            RequestKind::ListOffsets(request) => self.ends(request).into(),
            RequestKind::Fetch(request) => self.fetch(request).into(),
            other => return Err(wrong(format!("this broker does not serve {other:?}"))),
        })
    }

    fn log(&self, partition: i32) -> Option<&Log> {
        self.logs.get(usize::try_from(partition).ok()?)
    }

    /// All topics that are asked for are there; of those that nobody names there are none.
    fn metadata(&self, request: MetadataRequest) -> MetadataResponse {
        let here = BrokerId(0);
        let broker = MetadataResponseBroker::default().with_node_id(here).with_host(host()).with_port(self.port.into());
        let topics = request.topics.unwrap_or_default().into_iter().filter_map(|topic| topic.name).map(|name| {
            let partitions = (0..).zip(&self.logs).map(|(number, _)| {
                MetadataResponsePartition::default()
                    .with_partition_index(number)
                    .with_leader_id(here)
                    .with_leader_epoch(0)
                    .with_replica_nodes(vec![here])
                    .with_isr_nodes(vec![here])
            });
            MetadataResponseTopic::default().with_name(Some(name)).with_partitions(partitions.collect())
        });
        MetadataResponse::default()
            .with_brokers(vec![broker])
            .with_cluster_id(Some(StrBytes::from_static_str("bench")))
            .with_controller_id(here)
            .with_topics(topics.collect())
    }

    fn ends(&self, request: ListOffsetsRequest) -> ListOffsetsResponse {
        let topics = request.topics.into_iter().map(|topic| {
            let partitions = topic.partitions.into_iter().map(|asked| {
                let answer = ListOffsetsPartitionResponse::default().with_partition_index(asked.partition_index);
                match (self.log(asked.partition_index), asked.timestamp) {
                    (None, _) => answer.with_error_code(ResponseError::UnknownTopicOrPartition.code()),
                    // -1 asks for the end, -2 for the beginning.
                    (Some(log), -1) => answer.with_offset(log.end),
                    (Some(_), _) => answer.with_offset(0),
                }
            });
            ListOffsetsTopicResponse::default().with_name(topic.name.clone()).with_partitions(partitions.collect())
        });
        ListOffsetsResponse::default().with_topics(topics.collect())
    }

    fn fetch(&self, request: FetchRequest) -> FetchResponse {
        let mut left = usize::try_from(request.max_bytes).unwrap_or(0);
        let mut found = false;
        let mut topics = Vec::with_capacity(request.topics.len());
        for topic in request.topics {
            let mut partitions = Vec::with_capacity(topic.partitions.len());
            for asked in topic.partitions {
                let mut answer = PartitionData::default().with_partition_index(asked.partition).with_aborted_transactions(None);
                let most = usize::try_from(asked.partition_max_bytes).unwrap_or(0).min(left);
                match self.log(asked.partition).map(|log| (log, log.read(asked.fetch_offset, most))) {
                    None => answer.error_code = ResponseError::UnknownTopicOrPartition.code(),
                    Some((_, None)) => answer.error_code = ResponseError::OffsetOutOfRange.code(),
                    Some((log, Some(records))) => {
                        // One batch goes out however little is asked for, or nobody would get on; others wait for their turn.
                        let records = if found && left == 0 { Bytes::new() } else { records };
                        left = left.saturating_sub(records.len());
                        found |= !records.is_empty();
                        answer = answer
                            .with_high_watermark(log.end)
                            .with_last_stable_offset(log.end)
                            .with_log_start_offset(0)
                            .with_preferred_read_replica(BrokerId(-1))
                            .with_records(Some(records));
                    }
                }
                partitions.push(answer);
            }
            if found && lock(&self.begun).insert(topic.topic.clone()) {
                say(&format!("fetch {}", topic.topic.0));
            }
            topics.push(FetchableTopicResponse::default().with_topic(topic.topic).with_partitions(partitions));
        }
        if !found {
            // Nothing will come: as long as a broker would wait for something.
            let wait = u64::try_from(request.max_wait_ms).unwrap_or(0);
            thread::sleep(Duration::from_millis(wait).min(WAIT));
        }
        FetchResponse::default().with_responses(topics)
    }
}

fn short(bytes: &[u8], at: usize) -> Option<i16> {
    Some(i16::from_be_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}

fn host() -> StrBytes {
    StrBytes::from_static_str("127.0.0.1")
}

fn versions() -> ApiVersionsResponse {
    let keys = SPOKEN.iter().map(|(api, least, most)| {
        ApiVersion::default().with_api_key(*api as i16).with_min_version(*least).with_max_version(*most)
    });
    ApiVersionsResponse::default().with_api_keys(keys.collect())
}
