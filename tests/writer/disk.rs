//! A full disk under the readings.

use std::time::Duration;

use sqlx::error::DatabaseError;
use sqlx::{Connection as _, Executor as _, PgConnection};

use super::load::Load;
use super::{accounted_for, wait_for};
use crate::support::app::App;
use crate::support::broker::Broker;
use crate::support::database::{Cluster, Databases};

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_holds_the_topic_and_says_so_until_there_is_room() {
    let broker = Broker::connect();
    let topic = broker.topic(4).await;
    let cluster = Cluster::create();
    let disk = cluster.disk(32);
    let databases = Databases::create_on(&cluster.url()).await;
    let mut superuser = PgConnection::connect(&cluster.url()).await.expect("the cluster answers");
    let name = databases.readings.rsplit_once('/').expect("an address with a database").1;
    for sql in [
        format!("create tablespace small location '{disk}'"),
        "grant create on tablespace small to weir".to_owned(),
        format!("alter database {name} set default_tablespace = 'small'"),
    ] {
        superuser.execute(sqlx::AssertSqlSafe(sql)).await.expect("the tablespace is made");
    }
    let app = App::builder().with_kafka().set("WEIR_WRITER_FLUSH_READINGS", "500").on(databases).start().await;
    let (pool, load) = Load::start(&app, &broker, &topic, 4).await;
    pool.execute("create table ballast (stone text storage plain) tablespace small").await.expect("a table");
    let full = loop {
        // Ever smaller stones, until not one fits any more.
        let stones = "insert into ballast select repeat('x', 7000) from generate_series(1, 100)";
        if let Err(error) = pool.execute(stones).await {
            break error;
        }
    };
    assert_eq!(full.as_database_error().and_then(DatabaseError::code).as_deref(), Some("53100"), "{full}");
    while pool.execute("insert into ballast values (repeat('x', 7000))").await.is_ok() {}
    let said = app
        .health(Duration::from_mins(1), "the topic is held", |said| {
            said["details"]["kafka"]["held"].as_object().is_some_and(|held| !held.is_empty())
        })
        .await;
    let why = said["details"]["kafka"]["held"].to_string();
    assert!(why.contains("No space left on device"), "{said}");
    assert_eq!((&said["status"], &said["services"]["kafka"]), (&"degraded".into(), &"degraded".into()), "{said}");
    load.more(2_000).await;
    let before = accounted_for(&pool).await;
    assert!(before < load.produced(), "it did hold");
    pool.execute("drop table ballast").await.expect("dropped");
    wait_for(&pool, before + 1_000, Duration::from_mins(1)).await;
    load.settle(&pool, Duration::from_mins(1)).await;
    app.health(Duration::from_secs(30), "all is well again", |said| said["status"] == "healthy").await;
    app.stop();
}
