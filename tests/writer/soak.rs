//! The long forms: `make soak` runs them one after the other, in an hour or so.

use super::commit::strikes;
use super::kill::kills_at_random_moments;
use crate::support::proxy::Commit;

/// Kills of the long form.
const KILLS: u32 = 100;
/// Commits that are struck in the long form.
const STRUCK: u32 = 1_000;

#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes many minutes: make soak"]
async fn a_hundred_kills_at_random_moments_lose_and_double_nothing() {
    kills_at_random_moments(KILLS).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes many minutes: make soak"]
async fn a_thousand_commits_without_an_answer_are_stored_once() {
    strikes(Commit::LoseAnswer, STRUCK).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes many minutes: make soak"]
async fn a_thousand_commits_that_did_not_arrive_are_stored_once() {
    strikes(Commit::LoseRequest, STRUCK).await;
}
