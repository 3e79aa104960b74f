//! Topics whose producers compress, each in its own way.
//!
//! On librdkafka's test cluster, which keeps batches as they came; tansu takes them apart.

use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::mocking::MockCluster;
use rdkafka::producer::{FutureProducer, FutureRecord};

use super::{register, wait_for};
use crate::support::app::App;

#[tokio::test(flavor = "multi_thread")]
async fn every_codec_of_kafka_is_read() {
    let number = 500;
    let codecs = ["none", "gzip", "snappy", "lz4", "zstd"];
    let cluster = MockCluster::new(1).expect("a test cluster");
    let app = App::builder().with_kafka().set("KAFKA_BROKERS", cluster.bootstrap_servers()).start().await;
    for (codec, at) in codecs.into_iter().zip(0u32..) {
        let topic = format!("compressed-{codec}");
        cluster.create_topic(&topic, 1, 1).expect("a topic");
        let producer: FutureProducer = ClientConfig::new()
            .set("bootstrap.servers", cluster.bootstrap_servers())
            .set("compression.codec", codec)
            .set("linger.ms", "100")
            .create()
            .expect("a producer that has this codec");
        let payloads: Vec<String> = (0..number).map(|one| reading(at * number + one)).collect();
        let sends = payloads.iter().map(|payload| {
            producer.send(FutureRecord::<(), _>::to(&topic).payload(payload).partition(0), Duration::from_mins(1))
        });
        for sent in futures_util::future::join_all(sends).await {
            sent.map_err(|(error, _)| error).expect("the broker takes it");
        }
        register(&app, &topic).await;
    }
    let pool = app.databases.readings().await;
    let all = number * u32::try_from(codecs.len()).expect("few");
    wait_for(&pool, all, Duration::from_mins(1)).await;
    let (count, distinct): (i64, i64) =
        sqlx::query_as("select count(*), count(distinct value) from readings").fetch_one(&pool).await.expect("rows");
    assert_eq!((count, distinct), (all.into(), all.into()));
    app.stop();
}

fn reading(number: u32) -> String {
    format!("{{\"sensorId\":\"s{}\",\"timestamp\":{},\"value\":{number}}}", number % 40, 1_777_896_000_000 + u64::from(number))
}
