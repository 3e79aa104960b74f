//! What must not be in a document, and where it is.

use serde_json::Value;
use weir_validator_sdk::documents::Problem;

use crate::pointer::{Pointer, step};
use crate::shapes;

/// Problems that are told of a document: who sent it sees what is wrong from the first few.
const PROBLEMS_MAX: usize = 20;

/// What must not be in a document.
#[derive(Debug)]
pub(crate) struct Refusal {
    pub(crate) emails: bool,
    pub(crate) secrets: bool,
    /// Where it may be all the same.
    pub(crate) except: Vec<Pointer>,
}

impl Refusal {
    /// Everything in a document that must not be there. No reason has it in it, as reasons are written down.
    pub(crate) fn problems(&self, document: &Value) -> Vec<Problem> {
        let mut problems = Vec::new();
        if self.emails || self.secrets {
            self.look(document, String::new(), &mut problems);
        }
        problems
    }

    fn look(&self, value: &Value, place: String, problems: &mut Vec<Problem>) {
        if problems.len() == PROBLEMS_MAX || self.except.iter().any(|pointer| pointer.covers(&place)) {
            return;
        }
        match value {
            Value::String(text) => {
                if let Some(what) = self.leak(text) {
                    let reason = format!("this has what looks like {what}, which must not be in here");
                    problems.push(Problem { path: place, reason });
                }
            }
            Value::Array(elements) => {
                for (index, element) in elements.iter().enumerate() {
                    self.look(element, step(&place, &index.to_string()), problems);
                }
            }
            Value::Object(fields) => {
                for (name, value) in fields {
                    let within = step(&place, name);
                    match self.leak(name).filter(|_| !self.except.iter().any(|pointer| pointer.covers(&within))) {
                        // The path of the field would have its name in it.
                        Some(what) => {
                            let reason =
                                format!("the name of a field in here has what looks like {what}, which must not be in here");
                            problems.push(Problem { path: place.clone(), reason });
                        }
                        None => self.look(value, within, problems),
                    }
                }
            }
            _ => {}
        }
        problems.truncate(PROBLEMS_MAX);
    }

    fn leak(&self, text: &str) -> Option<&'static str> {
        let secret = self.secrets.then(|| shapes::secret(text)).flatten();
        secret.or_else(|| (self.emails && shapes::has_email(text)).then_some("an e-mail address"))
    }
}
