//! The documents of `weir:validator@1` and the host's own.

use wasmtime::Store;

use self::exports::weir::validator::documents as wit;
use crate::error::Detail;
use crate::guest::cut;
use crate::guest::documents::{Document, Said};
use crate::guest::grants::State;
use crate::limits;
use crate::model::Operation;

wasmtime::component::bindgen!({
    path: "wit/v1.1.0",
    world: "document-validator",
    with: {
        "weir:validator/config": super::granted::config,
        "weir:validator/log": super::granted::log,
        "weir:validator/lookup": super::granted::lookup,
    },
    imports: { default: trappable },
    exports: { default: async },
});

/// What the guest said about a document.
pub(in crate::guest) struct Answer(wit::Verdict);

/// Calls `check` on a fresh instance.
pub(in crate::guest) async fn call(
    store: &mut Store<State>,
    module: &DocumentValidatorPre<State>,
    shown: &wit::Document,
) -> wasmtime::Result<Result<Answer, String>> {
    let instance = module.instantiate_async(&mut *store).await?;
    let verdict = instance.weir_validator_documents().call_check(store, shown).await?;
    Ok(verdict.map(Answer))
}

/// Bytes that an answer about this may take on the host: it is read as JSON, which takes many times as much in memory as in writing.
pub(in crate::guest) fn answer_bytes(shown: &wit::Document) -> usize {
    (limits::GUEST_DOCUMENT_LEAST_BYTES + 4 * shown.body.len()).min(limits::GUEST_DOCUMENT_BYTES)
}

/// A document in the guest's form.
pub(in crate::guest) fn shown(document: &Document) -> wit::Document {
    wit::Document {
        kind: document.kind.clone(),
        operation: match document.operation {
            Operation::Create => wit::Operation::Create,
            Operation::Update => wit::Operation::Update,
            Operation::Delete => wit::Operation::Delete,
        },
        subject: document.subject.clone(),
        id: document.id.clone(),
        body: document.body.to_string(),
    }
}

impl Answer {
    /// The verdict in the host's terms, or why it cannot be used.
    pub(in crate::guest) fn read(self, document: &Document) -> Result<Said, String> {
        match self.0 {
            wit::Verdict::Accept => Ok(Said::Accepted),
            wit::Verdict::Reject(problems) if problems.is_empty() => Err("`reject` names no problem".to_owned()),
            wit::Verdict::Reject(problems) => {
                Ok(Said::Rejected(problems.iter().take(limits::GUEST_PROBLEMS).map(detail).collect()))
            }
            wit::Verdict::Replace(_) if document.operation == Operation::Delete => {
                Err("`replace` is not for a document that is to be deleted".to_owned())
            }
            wit::Verdict::Replace(body) => match serde_json::from_str(&body) {
                Ok(body @ serde_json::Value::Object(_)) => Ok(Said::Replaced(body)),
                Ok(_) => Err("`replace` is JSON, but no object".to_owned()),
                Err(error) => Err(cut(&format!("`replace` is not JSON: {error}"))),
            },
        }
    }
}

fn detail(problem: &wit::Problem) -> Detail {
    Detail { path: cut(&problem.path), message: cut(&problem.reason), validator: None }
}
