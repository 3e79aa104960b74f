//! Many of them at once, from one tenant: side by side, and one behind the other.

use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::json;

use super::victim::Victim;
use super::{Attack, Caught, builder, catalogue, made};
use crate::support::guests::{chain, upload, validator};

/// How long they are let go on.
const TOGETHER: Duration = Duration::from_secs(6);

#[tokio::test(flavor = "multi_thread")]
async fn all_at_once_they_slow_nobody_else() {
    // One chain guards all schemas of a tenant: of the modules for documents only one could be in its place.
    let hostile: Vec<_> = catalogue::all().into_iter().filter(|hostile| hostile.target != "documents").collect();
    let app = builder().start().await;
    let acme = app.acme();
    let victim = Victim::start(app.globex()).await;
    let quiet = victim.answers(400, Duration::from_mins(1)).await;
    let mut attacks = Vec::new();
    for (number, hostile) in hostile.iter().enumerate() {
        let attack = Attack::new(acme.clone(), number, hostile).await;
        if matches!(hostile.caught, Caught::Fails(_) | Caught::Refuses(_) | Caught::Passes) {
            attack.upload().await.expect(201);
            attack.deploy().await;
        }
        attacks.push(attack);
    }
    victim.forget();
    let until = Instant::now() + TOGETHER;
    let going_on = attacks.iter().map(|attack| async move {
        let mut strikes = 0_u32;
        while Instant::now() < until {
            attack.again().await;
            strikes += 1;
        }
        strikes
    });
    let strikes = futures_util::future::join_all(going_on).await;
    let pace = victim.answers(100, Duration::from_mins(1)).await;
    println!("{quiet}, while nobody means harm");
    println!(
        "{pace} ({:.1} ×) beside {} modules at once, {} strikes",
        pace.p99_over(&quiet),
        strikes.len(),
        strikes.iter().sum::<u32>()
    );
    pace.is_near(&quiet, "is many");
    victim.stop().await;
    println!("{} MiB at the most, {} MiB now", app.peak_memory(), app.memory());
    assert!(app.peak_memory() < 2_048, "{} MiB", app.peak_memory());
    app.nobody().get("/health/ready").await.expect(200);
    app.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn links_of_a_chain_may_not_multiply_an_object() {
    let app = builder().start().await;
    let acme = app.acme();
    // A megabyte in place of each piece: five of them pass, eighty do not.
    let answer = made::grown_to(100) + &*made::says(&[(4, 1), (8, 65_536), (12, 1 << 20)]);
    let module = made::objects("", &answer, &made::says(&[(4, 0), (8, 0), (12, 0)]));
    let mut links = Vec::new();
    for name in ["first", "second", "third", "fourth"] {
        let id = validator(&acme, &json!({ "name": name, "target": "objects", "errorStrategy": "reject" })).await;
        upload(&acme, &id, module.clone()).await.expect(201);
        links.push(id);
    }
    acme.post("/api/storage/buckets", &json!({ "name": "large" })).await.expect(201);
    let put = async || {
        let client = acme.clone().with("content-type", "text/plain");
        client.ask(Method::PUT, "/api/storage/files/large/file", vec![7; 300 << 10]).await
    };
    chain(&acme, "objects/large", &[&links[0]]).await;
    put().await.expect(201);
    let links: Vec<_> = links.iter().map(String::as_str).collect();
    chain(&acme, "objects/large", &links).await;
    let sentence = put().await.expect_error(422);
    assert!(sentence.contains("`second`") && sentence.contains("more than 16 MiB larger"), "{sentence}");
    assert!(app.peak_memory() < 512, "{} MiB", app.peak_memory());
    app.stop();
}
