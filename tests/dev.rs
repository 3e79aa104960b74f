//! `weir dev`, as somebody sees it who tries Weir for the first time.

use std::io::{BufRead as _, BufReader, Read as _, Seek as _};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use rdkafka::ClientConfig;
use rdkafka::producer::{FutureProducer, FutureRecord};
use serde_json::json;

use crate::support::client::Client;
use crate::support::services;

/// A running `weir dev`.
struct Dev {
    child: Child,
    base: String,
    kafka: u16,
    /// What it printed until it was ready.
    printed: String,
}

fn free_port() -> u16 {
    TcpListener::bind(("127.0.0.1", 0)).and_then(|listener| listener.local_addr()).expect("a free port").port()
}

impl Dev {
    /// Another test may take a port between its being found free and its being listened on: then once more, with others.
    fn start(data: &Path, more: &[&str]) -> Self {
        for _ in 0..5 {
            match Self::try_start(data, more) {
                Ok(dev) => return dev,
                Err(said) => assert!(said.contains("Address already in use"), "it did not start: {said}"),
            }
        }
        panic!("its ports are taken every time");
    }

    /// What it said, where it did not start.
    fn try_start(data: &Path, more: &[&str]) -> Result<Self, String> {
        let (port, kafka) = (free_port(), free_port());
        let mut said = tempfile::tempfile().expect("a file");
        let mut child = Command::new(env!("CARGO_BIN_EXE_weir"))
            .args(["dev", "--guests", &services::guests()])
            .args(more)
            .env("PORT", port.to_string())
            .env("WEIR_DEV_KAFKA_PORT", kafka.to_string())
            .env("WEIR_DATA", data)
            .stdout(Stdio::piped())
            .stderr(said.try_clone().expect("the same file"))
            .spawn()
            .expect("weir starts");
        let mut printed = String::new();
        for line in BufReader::new(child.stdout.as_mut().expect("piped")).lines() {
            let line = line.expect("text");
            printed += &line;
            printed.push('\n');
            if line.contains("Ctrl-C stops") {
                break;
            }
        }
        if printed.contains("Ctrl-C stops") {
            return Ok(Self { child, base: format!("http://127.0.0.1:{port}"), kafka, printed });
        }
        child.wait().expect("it ended");
        let mut text = String::new();
        said.rewind().and_then(|()| said.read_to_string(&mut text)).expect("what it said");
        Err(text)
    }

    fn token(&self) -> String {
        let line = self.printed.lines().find(|line| line.contains("Tenant demo")).expect("the token is printed");
        line.split_whitespace().last().expect("a token").to_owned()
    }

    /// The commands as they are printed, run by a shell.
    fn commands(&self) -> Vec<String> {
        let text = self.printed.replace("\\\n", " ");
        text.lines().map(str::trim).filter(|line| line.starts_with("curl ")).map(str::to_owned).collect()
    }

    /// Ctrl-C.
    fn stop(mut self) {
        kill(Pid::from_raw(self.child.id().try_into().expect("a process id")), Signal::SIGINT).expect("it runs");
        let ended = self.child.wait().expect("it ends");
        assert!(ended.success(), "{ended}");
    }
}

impl Drop for Dev {
    fn drop(&mut self) {
        // Where a test failed: softly, since its cluster is to go with it.
        if let Ok(None) = self.child.try_wait()
            && let Ok(pid) = self.child.id().try_into()
        {
            let _ = kill(Pid::from_raw(pid), Signal::SIGINT);
            let _ = self.child.wait();
        }
    }
}

async fn produce(kafka: u16, payload: &str) {
    let servers = format!("127.0.0.1:{kafka}");
    let producer: FutureProducer =
        ClientConfig::new().set("bootstrap.servers", servers).set("message.timeout.ms", "20000").create().expect("a producer");
    let record = FutureRecord::<(), _>::to("demo.readings").payload(payload).partition(1);
    producer.send(record, std::time::Duration::from_secs(20)).await.map_err(|(error, _)| error).expect("the broker takes it");
}

async fn latest(client: &Client, sensor: &str, value: i64) {
    for _ in 0..300 {
        let answer = client.get(&format!("/api/timescale/sensors/{sensor}/latest")).await;
        if answer.status == 200 && answer.expect(200)["data"]["values"]["temperature"] == value {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    panic!("{sensor} never had {value}");
}

fn message(second: u32, value: i64) -> String {
    json!({ "sensorId": "from-kafka", "timestamp": format!("2026-05-04T12:00:{second:02}Z"), "values": { "temperature": value } })
        .to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_it_prints_works_and_data_stays_until_fresh() {
    let data = tempfile::tempdir().expect("a folder");
    let dev = Dev::start(data.path(), &[]);
    let answers: Vec<String> = dev
        .commands()
        .iter()
        .map(|command| {
            String::from_utf8(Command::new("sh").args(["-c", command]).output().expect("curl runs").stdout).expect("text")
        })
        .collect();
    assert_eq!(answers.len(), 3, "{}", dev.printed);
    assert!(answers[0].contains("\"outcome\":\"stored\""), "{answers:?}");
    assert!(answers[1].contains("\"temperature\":21.5"), "{answers:?}");
    assert!(answers[2].contains("\"code\":422") && answers[2].contains("range-check"), "{answers:?}");
    produce(dev.kafka, &message(1, 1)).await;
    latest(&Client::new(&dev.base, Some(&dev.token())), "from-kafka", 1).await;
    let token = dev.token();
    dev.stop();

    // Kafka has forgotten, so its first message has the same offset as the first one then: it is another log, and is read.
    let again = Dev::start(data.path(), &[]);
    assert_eq!(again.token(), token);
    let client = Client::new(&again.base, Some(&token));
    client.get("/api/timescale/sensors/room-4/latest").await.expect(200);
    produce(again.kafka, &message(2, 2)).await;
    latest(&client, "from-kafka", 2).await;
    again.stop();

    let fresh = Dev::start(data.path(), &["--fresh"]);
    let client = Client::new(&fresh.base, Some(&fresh.token()));
    client.get("/api/timescale/sensors/room-4/latest").await.expect_error(404);
    fresh.stop();
}
