//! A catalogue of modules that mean no good, each run for real against one tenant: it is refused when it is uploaded, or it fails with its
//! own words, and in the meantime another tenant goes on as before.

mod bytes;
mod catalogue;
mod made;
mod shared;
mod together;
mod victim;

use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::{Value, json};

use self::catalogue::Hostile;
use self::victim::{Pace, Victim};
use crate::support::app::{App, Builder};
use crate::support::client::{Answer, Client};
use crate::support::guests::{self, chain, upload};

/// Where a module is caught, and the words that say so.
#[derive(Clone, Copy, Debug)]
pub enum Caught {
    /// It is refused when it is uploaded.
    Upload(&'static str),
    /// It is refused before it is read to its end.
    TooLarge,
    /// It runs, and fails: what it was shown counts as not judged.
    Fails(&'static str),
    /// It runs, and refuses what it was shown, as it may.
    Refuses(&'static str),
    /// It runs, and nothing comes of what it tries.
    Passes,
}

/// Readings of one request that a module is shown.
const READINGS: i64 = 40;
/// Answers that the other tenant must have got beside each module, for a p99 that says something.
const BESIDE: usize = 40;
/// How long one is given to harm the other tenant.
const ATTACK: Duration = Duration::from_secs(5);

/// A Weir in which a call has a quarter of a second and a compiler five.
fn builder() -> Builder {
    App::builder().set("WEIR_GUEST_TIME_MS", "250").set("WEIR_GUEST_COMPILE_S", "5")
}

/// A module with its place in the hostile tenant: a validator, and something that its chain guards.
struct Attack<'a> {
    client: Client,
    hostile: &'a Hostile,
    name: String,
    id: String,
}

impl<'a> Attack<'a> {
    async fn new(client: Client, number: usize, hostile: &'a Hostile) -> Self {
        let name = format!("hostile-{number}");
        let form = json!({ "name": name, "target": hostile.target, "errorStrategy": "reject" });
        let id = guests::validator(&client, &form).await;
        Self { client, hostile, name, id }
    }

    async fn upload(&self) -> Answer {
        upload(&self.client, &self.id, self.hostile.module.clone()).await
    }

    /// Puts it where it will be called.
    async fn deploy(&self) {
        match self.hostile.target {
            "readings" => {
                self.client.post("/api/platform/kafka-topics", &json!({ "name": self.name })).await.expect(201);
                chain(&self.client, &self.name, &[&self.id]).await;
            }
            "documents" => chain(&self.client, "documents/schemas", &[&self.id]).await,
            _ => {
                self.client.post("/api/storage/buckets", &json!({ "name": self.name })).await.expect(201);
                chain(&self.client, &format!("objects/{}", self.name), &[&self.id]).await;
            }
        }
    }

    /// Shows it something, and answers why that was refused; nothing where it was not.
    async fn strike(&self) -> Vec<String> {
        match self.hostile.target {
            "readings" => {
                let reading = |number| json!({ "sensorId": "a", "timestamp": 1_777_896_000_000_i64 + number, "value": number, "topic": self.name });
                let readings: Vec<Value> = (0..READINGS).map(reading).collect();
                let answer = self.client.post("/api/timescale/sensor-readings/bulk", &json!({ "readings": readings })).await;
                let outcome = answer.expect(200)["data"].clone();
                let rejected = outcome["rejected"].as_array().expect("a list");
                assert_eq!(
                    rejected.len() as u64 + outcome["accepted"].as_u64().expect("a number"),
                    READINGS.unsigned_abs(),
                    "{outcome}"
                );
                rejected.iter().map(|rejected| rejected["reason"].as_str().expect("a reason").to_owned()).collect()
            }
            "documents" => {
                let name = uuid::Uuid::now_v7();
                let schema = json!({ "name": name, "type": "json-schema", "definition": {} });
                refusal(self.client.post("/api/platform/schemas", &schema).await)
            }
            _ => {
                let path = format!("/api/storage/files/{}/file", self.name);
                let client = self.client.clone().with("content-type", "text/plain");
                refusal(client.ask(Method::PUT, &path, vec![7; 300 << 10]).await)
            }
        }
    }

    async fn withdraw(&self) {
        if self.hostile.target == "documents" {
            chain(&self.client, "documents/schemas", &[]).await;
        }
    }

    /// It does what it does; how it was caught otherwise than it should be.
    async fn mistake(&self) -> Option<String> {
        let uploaded = self.upload().await;
        let said = String::from_utf8_lossy(&uploaded.body).into_owned();
        let wanted = match self.hostile.caught {
            Caught::TooLarge => 413,
            Caught::Upload(_) => 422,
            Caught::Fails(_) | Caught::Refuses(_) | Caught::Passes => 201,
        };
        if uploaded.status != wanted {
            return Some(format!("the upload answers {}: {said}", uploaded.status));
        }
        let words = match self.hostile.caught {
            Caught::TooLarge => return None,
            Caught::Upload(words) => {
                let sentence = uploaded.expect_error(422);
                return is_unlike(&sentence, words).then_some(sentence);
            }
            Caught::Fails(words) | Caught::Refuses(words) => Some(words),
            Caught::Passes => None,
        };
        self.deploy().await;
        let reasons = self.strike().await;
        let all = if self.hostile.target == "readings" { READINGS } else { 1 };
        match words {
            None => reasons.first().cloned(),
            Some(_) if reasons.len() as u64 != all.unsigned_abs() => Some(format!("{} of {all} are refused", reasons.len())),
            Some(words) => reasons.into_iter().find(|reason| is_unlike(reason, words)),
        }
    }

    /// Once more, whatever comes of it.
    async fn again(&self) {
        match self.hostile.caught {
            Caught::TooLarge | Caught::Upload(_) => drop(self.upload().await),
            Caught::Fails(_) | Caught::Refuses(_) | Caught::Passes => drop(self.strike().await),
        }
    }
}

/// True where these are not the words, or more of them than anybody should get to read, or other than words.
fn is_unlike(said: &str, words: &str) -> bool {
    !said.contains(words) || said.len() > 3_000 || said.contains(char::is_control)
}

/// The sentence of a refusal; nothing where there is none.
fn refusal(answer: Answer) -> Vec<String> {
    if answer.status == 201 { Vec::new() } else { vec![answer.expect_error(422)] }
}

/// Tries these one after the other, and looks after another tenant all the while.
async fn each_is_caught(hostile: Vec<Hostile>) {
    let app = builder().start().await;
    let acme = app.acme();
    let victim = Victim::start(app.globex()).await;
    let quiet = victim.answers(400, Duration::from_mins(1)).await;
    println!("{quiet}, while nobody means harm");
    let (mut beside, mut mistakes) = (Pace::default(), Vec::new());
    for (number, hostile) in hostile.iter().enumerate() {
        victim.forget();
        let started = Instant::now();
        let attack = Attack::new(acme.clone(), number, hostile).await;
        mistakes.extend(attack.mistake().await.map(|mistake| format!("one that {}: {mistake}", hostile.does)));
        while victim.pace().number() < BESIDE && started.elapsed() < ATTACK {
            attack.again().await;
        }
        let pace = victim.answers(BESIDE, Duration::from_mins(1)).await;
        attack.withdraw().await;
        println!("{pace} ({:.1} ×) beside one that {} [{:?}]", pace.p99_over(&quiet), hostile.does, hostile.caught);
        pace.is_near(&quiet, hostile.does);
        beside.add(&pace);
    }
    println!("{beside} ({:.1} ×) beside all {} of them", beside.p99_over(&quiet), hostile.len());
    victim.stop().await;
    assert!(mistakes.is_empty(), "caught otherwise:\n{}", mistakes.join("\n"));
    let forged = app.log().lines().filter(|line| line.contains("\"message\":\"forged\"")).count();
    assert_eq!(forged, 0, "a guest wrote a line of its own into the log");
    println!("{} MiB at the most, {} MiB now", app.peak_memory(), app.memory());
    assert!(app.peak_memory() < 1_536, "{} MiB", app.peak_memory());
    app.nobody().get("/health/ready").await.expect(200);
    app.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn each_of_the_catalogue_is_caught_and_nobody_else_is_slowed() {
    let all = catalogue::all();
    assert!(all.len() >= 60, "{}", all.len());
    each_is_caught(all).await;
}
