//! Forms that are filled in in one of several ways. No attribute of a field says so, so the document is told here.

use utoipa::openapi::{ComponentsBuilder, OpenApi};

use super::readings::write::NewReading;
use super::{explain, quarantine, trial};
use crate::terms::{Way, in_one_way};

/// The form's name in the document, and its ways.
const FORMS: [(&str, &[Way<'static>]); 4] = [
    ("ExplainForm", &explain::ExplainForm::WAYS),
    ("NewReading", &NewReading::WAYS),
    ("QuarantineReplay", &quarantine::replay::ReplayForm::WAYS),
    ("ValidatorReplay", &trial::ReplayForm::WAYS),
];

/// Narrows the forms down to their ways.
pub(super) fn narrow(document: &mut OpenApi) {
    let components = document.components.get_or_insert_with(|| ComponentsBuilder::new().build());
    for (name, ways) in FORMS {
        if let Some(form) = components.schemas.remove(name) {
            components.schemas.insert(name.to_owned(), in_one_way(form, ways));
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::FORMS;

    #[test]
    fn every_form_with_ways_is_in_the_document() {
        let document: Value = serde_json::from_str(&crate::http::openapi()).expect("it is JSON");
        for (name, ways) in FORMS {
            let form = &document["components"]["schemas"][name]["allOf"][1]["oneOf"];
            assert_eq!(form.as_array().map(Vec::len), Some(ways.len()), "{name}");
        }
    }
}
