//! What is refused or kept aside, as dead letters: the reading as it came, and why.

use bytes::Bytes;

use super::lanes::Shared;
use crate::batch::{Fate, Reading, Refusal, Source};
use crate::error::Result;
use crate::gate::readings::Judged;
use crate::kafka::Outgoing;

impl Shared {
    /// Sends what was refused to the dead-letter topics of the rules, and waits for the broker: it is acknowledged before the flush is
    /// stored. Where storing is tried again the letters are sent again: they come at least once.
    pub(super) async fn send_letters(&self, judged: &Judged) -> Result<()> {
        for part in judged.parts() {
            let Some(dead_letter) = &part.rules.dead_letter else { continue };
            let topic = part.batch.topic().map_or("", |topic| topic);
            let fates = part.batch.readings().iter().zip(&part.fates);
            let letters: Vec<Outgoing> = fates
                .filter_map(|(reading, fate)| match fate {
                    Fate::Store(_) => None,
                    Fate::Quarantine(refusal) => Some(letter(topic, reading, refusal, "quarantine")),
                    Fate::Reject(refusal) => Some(letter(topic, reading, refusal, "reject")),
                })
                .collect();
            if !letters.is_empty() {
                self.letters.send(dead_letter, letters).await?;
            }
        }
        Ok(())
    }
}

fn letter(topic: &str, reading: &Reading, refusal: &Refusal, fate: &str) -> Outgoing {
    let mut letter = Outgoing { key: None, payload: reading.raw.clone(), headers: Vec::new() };
    let word = |name: &str, value: &str| (name.to_owned(), Some(Bytes::copy_from_slice(value.as_bytes())));
    if let Source::Kafka { partition, offset, key, headers } = &reading.source {
        letter.key.clone_from(key);
        letter.headers = headers.to_vec();
        letter.headers.push(word("weir-partition", &partition.to_string()));
        letter.headers.push(word("weir-offset", &offset.to_string()));
    }
    letter.headers.push(word("weir-topic", topic));
    letter.headers.push(word("weir-fate", fate));
    letter.headers.push(word("weir-refuser", refusal.by.name()));
    letter.headers.push(word("weir-reason", &refusal.reason));
    letter.headers.extend(refusal.path.as_deref().map(|path| word("weir-path", path)));
    letter
}
