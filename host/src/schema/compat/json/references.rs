//! Where references lead, and which ones are not followed.

use serde_json::Value;

use super::doc::Dialect;

/// Finds a reference that is not `#/…` into the definition, or a part with an address of its own while there are references: what
/// such a reference means depends on where it stands. Weir's registry takes neither.
pub(super) fn obstacle(root: &Value, dialect: Dialect) -> Option<&Value> {
    let id = if dialect == Dialect::Draft4 { "id" } else { "$id" };
    let (mut references, mut address) = (false, None);
    let mut todo = vec![root];
    while let Some(here) = todo.pop() {
        match here {
            Value::Array(items) => todo.extend(items),
            Value::Object(members) => {
                for (name, member) in members {
                    match (name.as_str(), member) {
                        ("enum" | "const" | "default" | "examples", _) => {}
                        ("$ref", Value::String(text)) => {
                            references = true;
                            if resolve(root, text).is_none() {
                                return Some(member);
                            }
                        }
                        ("$dynamicRef" | "$recursiveRef", Value::String(_)) => return Some(member),
                        (name, Value::String(text)) if name == id && !text.starts_with('#') && !std::ptr::eq(here, root) => {
                            address = Some(member);
                        }
                        _ => todo.push(member),
                    }
                }
            }
            _ => {}
        }
    }
    address.filter(|_| references)
}

/// What `#` or `#/…` leads to.
pub(super) fn resolve<'a>(root: &'a Value, reference: &str) -> Option<&'a Value> {
    let pointer = reference.strip_prefix('#').filter(|rest| rest.is_empty() || rest.starts_with('/'))?;
    root.pointer(&decoded(pointer)?)
}

/// A pointer as it stands in a URI, without its percent signs.
fn decoded(pointer: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(pointer.len());
    let mut rest = pointer.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let hex = after.get(..2).filter(|_| *first == b'%').and_then(|hex| std::str::from_utf8(hex).ok());
        let byte = hex.and_then(|hex| u8::from_str_radix(hex, 16).ok());
        bytes.push(byte.unwrap_or(*first));
        rest = if byte.is_some() { &after[2..] } else { after };
    }
    String::from_utf8(bytes).ok()
}
