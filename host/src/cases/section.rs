//! The custom section in which cases lie: finding it in a component's bytes, and putting it there.

use std::ops::Range;

use super::{Case, parse, unusable};
use crate::error::Result;

/// The name of the custom section.
pub const SECTION: &str = "weir:cases";

/// The cases that a component carries; none where it carries no such section.
pub fn of(component: &[u8]) -> Result<Vec<Case>> {
    match section(component)? {
        Some(at) => parse(&component[at.json]),
        None => Ok(Vec::new()),
    }
}

/// The component with these cases in it, in place of those that it had.
pub fn append(component: &[u8], json: &[u8]) -> Result<Vec<u8>> {
    parse(json)?;
    let mut whole = match section(component)? {
        Some(at) => [&component[..at.whole.start], &component[at.whole.end..]].concat(),
        None => component.to_vec(),
    };
    whole.push(0);
    write_leb(&mut whole, leb_len(SECTION.len()) + SECTION.len() + json.len());
    write_leb(&mut whole, SECTION.len());
    whole.extend_from_slice(SECTION.as_bytes());
    whole.extend_from_slice(json);
    Ok(whole)
}

/// Where a section lies: with its header, and what is in it after the name.
struct Section {
    whole: Range<usize>,
    json: Range<usize>,
}

/// Finds the section among those of the component itself; what lies in modules inside it is not looked at.
fn section(component: &[u8]) -> Result<Option<Section>> {
    let torn = || unusable("", "the component's bytes are not sound");
    // Eight bytes of magic, version and layer; then sections: a byte for the kind, the size, the content.
    let mut at = 8;
    let mut found = None;
    if component.len() < at {
        return Err(torn());
    }
    while at < component.len() {
        let begin = at;
        let kind = component[at];
        at += 1;
        let size = read_leb(component, &mut at).ok_or_else(torn)?;
        let end = at.checked_add(size).filter(|end| *end <= component.len()).ok_or_else(torn)?;
        if kind == 0 {
            let length = read_leb(&component[..end], &mut at).ok_or_else(torn)?;
            let name_end = at.checked_add(length).filter(|name_end| *name_end <= end).ok_or_else(torn)?;
            if &component[at..name_end] == SECTION.as_bytes() {
                if found.is_some() {
                    return Err(unusable("", format!("the component has more than one section `{SECTION}`")));
                }
                found = Some(Section { whole: begin..end, json: name_end..end });
            }
        }
        at = end;
    }
    Ok(found)
}

/// An unsigned number of at most 32 bits, seven bits a byte, the lowest first.
pub(super) fn read_leb(bytes: &[u8], at: &mut usize) -> Option<usize> {
    let mut number = 0_u64;
    for shift in [0, 7, 14, 21, 28] {
        let byte = *bytes.get(*at)?;
        *at += 1;
        number |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return u32::try_from(number).ok().and_then(|number| usize::try_from(number).ok());
        }
    }
    None
}

pub(super) fn write_leb(bytes: &mut Vec<u8>, mut number: usize) {
    while number >= 0x80 {
        bytes.push(u8::try_from(number & 0x7f).unwrap_or(0) | 0x80);
        number >>= 7;
    }
    bytes.push(u8::try_from(number).unwrap_or(0));
}

fn leb_len(number: usize) -> usize {
    let mut bytes = Vec::new();
    write_leb(&mut bytes, number);
    bytes.len()
}
