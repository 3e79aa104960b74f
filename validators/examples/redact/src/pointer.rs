//! JSON Pointers (RFC 6901): where in a document something is.

use serde_json::Value;

/// A place in a document, never the whole of it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Pointer {
    /// The text for what contains the place.
    parent: String,
    /// The name or index in it, unescaped.
    last: String,
    text: String,
}

impl Pointer {
    /// Reads a pointer such as `/owner/email`.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        match text.rsplit_once('/') {
            Some((parent, last)) if text.starts_with('/') => {
                Ok(Self { parent: parent.to_owned(), last: unescaped(last), text: text.to_owned() })
            }
            _ => Err(format!("`{text}` is no JSON Pointer to a field: begin it with `/`")),
        }
    }

    /// The value there, if there is one.
    pub(crate) fn of<'v>(&self, document: &'v mut Value) -> Option<&'v mut Value> {
        document.pointer_mut(&self.text)
    }

    /// Takes the value away. In an array a null stays, so that the others keep their places.
    pub(crate) fn remove_from(&self, document: &mut Value) {
        match document.pointer_mut(&self.parent) {
            Some(Value::Object(fields)) => {
                fields.remove(&self.last);
            }
            Some(Value::Array(_)) => {
                if let Some(value) = self.of(document) {
                    *value = Value::Null;
                }
            }
            _ => {}
        }
    }

    /// Whether a place, as [`step`] writes it, is this one or within it.
    pub(crate) fn covers(&self, place: &str) -> bool {
        place.strip_prefix(self.text.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }
}

/// The place of a field or an element within the place of what contains it.
pub(crate) fn step(place: &str, name: &str) -> String {
    format!("{place}/{}", name.replace('~', "~0").replace('/', "~1"))
}

fn unescaped(name: &str) -> String {
    name.replace("~1", "/").replace("~0", "~")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn without(document: Value, pointer: &str) -> Value {
        let mut document = document;
        Pointer::parse(pointer).unwrap().remove_from(&mut document);
        document
    }

    #[test]
    fn fields_go_and_elements_leave_a_null() {
        assert_eq!(without(json!({"a": {"b": 1, "c": 2}}), "/a/b"), json!({"a": {"c": 2}}));
        assert_eq!(without(json!({"a": [1, {"b": 2, "c": 3}]}), "/a/1/c"), json!({"a": [1, {"b": 2}]}));
        assert_eq!(without(json!({"a": [1, 2, 3]}), "/a/1"), json!({"a": [1, null, 3]}));
        assert_eq!(without(json!({"a/b": {"c~d": 1}}), "/a~1b/c~0d"), json!({"a/b": {}}));
    }

    #[test]
    fn what_is_not_there_is_no_matter() {
        for pointer in ["/b", "/a/b/c", "/a/7", "/a/b", "/a/-"] {
            assert_eq!(without(json!({"a": [1]}), pointer), json!({"a": [1]}));
        }
        assert_eq!(without(json!({"a": 1}), "/a/b"), json!({"a": 1}));
    }

    #[test]
    fn a_place_is_covered_by_whole_names() {
        let pointer = Pointer::parse("/a~1b").unwrap();
        assert!(pointer.covers(&step("", "a/b")) && pointer.covers(&step(&step("", "a/b"), "c")));
        assert!(!pointer.covers(&step("", "a/bc")) && !pointer.covers(""));
    }
}
