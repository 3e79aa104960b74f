//! Cases: what a validator's author says that it does, as examples inside the component.
//!
//! They lie in a custom section of the component itself, named [`SECTION`], so that they travel with the bytes, are part of their
//! digest, and can be run wherever the module can. Here are their form, how they are read and how they are put in, and how an outcome
//! is compared; running them is the guest engine's business. The bytes come from outside: whatever is wrong with them is an error that names the place.
//!
//! ```json
//! [{
//!   "name": "frost is rejected",
//!   "config": {"lowest": 0},
//!   "readings": [{"sensorId": "room-4", "timestamp": "2026-05-04T12:00:00Z", "values": {"temperature": -4.5}}],
//!   "expect": [{"verdict": "reject", "reason": "below the limit"}]
//! }]
//! ```

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;

use bytes::Bytes;
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use crate::batch::{Batch, Value, Verdict};
use crate::error::{Error, Kind, Result};
use crate::limits;

/// The name of the custom section.
pub const SECTION: &str = "weir:cases";

/// One example: readings that are shown together, as one batch, and what is to become of each.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Case {
    /// What it shows, for people.
    #[serde(deserialize_with = "name")]
    pub name: String,
    /// The validator's configuration, as JSON text; `{}` where it is not given.
    #[serde(default = "no_config", deserialize_with = "object")]
    pub config: String,
    /// The readings, each as the API takes it; the decoder says whether they are any.
    #[serde(deserialize_with = "readings")]
    pub readings: Vec<Bytes>,
    /// One for each reading, in their order.
    pub expect: Vec<Expectation>,
}

/// What is to become of a reading.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Expectation {
    /// The verdict.
    pub verdict: Expected,
    /// A part of the reason that its sender is told.
    #[serde(default)]
    pub reason: Option<String>,
    /// Values that the reading has afterwards, by metric, derived ones included; others are not looked at.
    #[serde(default, deserialize_with = "values")]
    pub values: BTreeMap<String, Value>,
}

/// A verdict that is expected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Expected {
    /// It is stored, unmarked.
    Accept,
    /// It is refused, whatever the error strategy then makes of it.
    Reject,
    /// It is stored with the quality `suspect`.
    Suspect,
}

impl fmt::Display for Expected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Accept => "accept",
            Self::Reject => "reject",
            Self::Suspect => "suspect",
        })
    }
}

impl Expectation {
    /// How a reading that was judged differs from what is expected; `None` where it does not.
    pub fn difference(&self, batch: &Batch, reading: u32) -> Option<String> {
        let (found, reason) = match &batch.readings()[reading as usize].verdict {
            Verdict::Accepted => (Expected::Accept, None),
            Verdict::Suspect => (Expected::Suspect, None),
            Verdict::Refused(refusal) => (Expected::Reject, Some(refusal.reason.as_str())),
        };
        let because = reason.map(|reason| format!(", since {reason}")).unwrap_or_default();
        if found != self.verdict {
            return Some(format!("expected {}, found {found}{because}", self.verdict));
        }
        if let Some(part) = &self.reason
            && !reason.is_some_and(|reason| reason.contains(part.as_str()))
        {
            return Some(format!(
                "expected a reason with `{part}`, found {}",
                reason.map_or("none".into(), |reason| format!("`{reason}`"))
            ));
        }
        let values = values_of(batch, reading);
        self.values.iter().find_map(|(metric, expected)| match values.get(metric) {
            None => Some(format!("expected {metric} to be {}, found no such value", Shown(expected))),
            Some(found) if !is_same(found, expected) => {
                Some(format!("expected {metric} to be {}, found {}", Shown(expected), Shown(found)))
            }
            Some(_) => None,
        })
    }
}

/// The values of a reading as they stand in its batch, by metric.
pub fn values_of(batch: &Batch, reading: u32) -> BTreeMap<String, Value> {
    let columns = batch.columns();
    let rows = (0_u32..).zip(&columns.reading).filter(|(_, of)| **of == reading);
    let value = |(row, _): (u32, &u32)| {
        let number = columns.value[row as usize];
        let value = match columns.text_of(row) {
            None => Value::Number(number),
            Some(text) if number.is_nan() => Value::Text(text.to_owned()),
            Some(_) => Value::Bool(number != 0.0),
        };
        (columns.metrics[columns.metric[row as usize] as usize].clone(), value)
    };
    rows.map(value).collect()
}

/// Numbers may differ in their last digits: who converts 72 °F does not want to write 22.22222222222222 down.
fn is_same(found: &Value, expected: &Value) -> bool {
    match (found, expected) {
        (Value::Number(found), Value::Number(expected)) => {
            (found - expected).abs() <= 1e-9 * found.abs().max(expected.abs()).max(1.0)
        }
        _ => found == expected,
    }
}

/// A value as JSON has it, for people.
#[derive(Debug)]
pub struct Shown<'a>(pub &'a Value);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Value::Number(number) => write!(f, "{number}"),
            Value::Bool(on) => write!(f, "{on}"),
            Value::Text(text) => write!(f, "{text:?}"),
        }
    }
}

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

/// Reads cases, strictly: an unknown field, an expectation too few or a bound that is passed is an error with its place.
pub fn parse(json: &[u8]) -> Result<Vec<Case>> {
    if json.len() > limits::CASES_BYTES {
        return Err(unusable("", format!("they have {} bytes; {} are allowed", json.len(), limits::CASES_BYTES)));
    }
    let mut reader = serde_json::Deserializer::from_slice(json);
    let List(cases) = serde_path_to_error::deserialize(&mut reader).map_err(|error| {
        let path = pointer(error.path());
        unusable(path, error.into_inner().to_string())
    })?;
    reader.end().map_err(|error| unusable("", error.to_string()))?;
    for (at, case) in cases.iter().enumerate() {
        let (readings, expected) = (case.readings.len(), case.expect.len());
        if readings != expected {
            let message = format!("`{}` has {readings} readings and expects something of {expected}", case.name);
            return Err(unusable(format!("/{at}/expect"), message));
        }
    }
    Ok(cases)
}

fn unusable(path: impl Into<String>, message: impl Into<String>) -> Error {
    let (path, message) = (path.into(), message.into());
    let place = if path.is_empty() { String::new() } else { format!(" at {path}") };
    Error::new(Kind::Refused, format!("The cases cannot be used{place}: {message}.")).at(path, message)
}

/// A path as a JSON pointer.
fn pointer(path: &serde_path_to_error::Path) -> String {
    use serde_path_to_error::Segment;
    let steps = path.iter().filter_map(|segment| match segment {
        Segment::Seq { index } => Some(format!("/{index}")),
        Segment::Map { key } => Some(format!("/{}", key.replace('~', "~0").replace('/', "~1"))),
        Segment::Enum { .. } | Segment::Unknown => None,
    });
    steps.collect()
}

/// The cases of a component, at most as many as are allowed: the rest is not even read.
struct List(Vec<Case>);

impl<'de> Deserialize<'de> for List {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        bounded(deserializer, "cases", limits::CASES).map(Self)
    }
}

fn bounded<'de, T: Deserialize<'de>, D: Deserializer<'de>>(
    deserializer: D,
    what: &'static str,
    most: usize,
) -> Result<Vec<T>, D::Error> {
    struct Elements<T>(&'static str, usize, std::marker::PhantomData<T>);
    impl<'de, T: Deserialize<'de>> serde::de::Visitor<'de> for Elements<T> {
        type Value = Vec<T>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            write!(f, "an array of {}", self.0)
        }

        fn visit_seq<A: serde::de::SeqAccess<'de>>(self, mut elements: A) -> Result<Vec<T>, A::Error> {
            let mut found = Vec::new();
            while let Some(element) = elements.next_element()? {
                if found.len() == self.1 {
                    return Err(serde::de::Error::custom(format_args!("there are more than {} {}", self.1, self.0)));
                }
                found.push(element);
            }
            Ok(found)
        }
    }
    deserializer.deserialize_seq(Elements(what, most, std::marker::PhantomData))
}

fn no_config() -> String {
    "{}".to_owned()
}

fn name<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let name = String::deserialize(deserializer)?;
    if name.is_empty() || name.len() > limits::NAME_BYTES {
        return Err(serde::de::Error::custom(format_args!("a name has 1 to {} bytes", limits::NAME_BYTES)));
    }
    Ok(name)
}

fn object<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let config = Box::<RawValue>::deserialize(deserializer)?;
    if !config.get().starts_with('{') {
        return Err(serde::de::Error::custom("a configuration is a JSON object"));
    }
    if config.get().len() > limits::GUEST_CONFIG_BYTES {
        return Err(serde::de::Error::custom(format_args!("a configuration has at most {} bytes", limits::GUEST_CONFIG_BYTES)));
    }
    Ok(String::from(Box::<str>::from(config)))
}

fn readings<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Bytes>, D::Error> {
    let readings: Vec<Box<RawValue>> = bounded(deserializer, "readings", limits::CASE_READINGS)?;
    if readings.is_empty() {
        return Err(serde::de::Error::custom("a case shows at least one reading"));
    }
    Ok(readings.into_iter().map(|reading| Bytes::from(String::from(Box::<str>::from(reading)))).collect())
}

fn values<'de, D: Deserializer<'de>>(deserializer: D) -> Result<BTreeMap<String, Value>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged, expecting = "a value is a number, a boolean or a text")]
    enum Sent {
        Bool(bool),
        Number(f64),
        Text(String),
    }
    let sent = BTreeMap::<String, Sent>::deserialize(deserializer)?;
    let value = |sent| match sent {
        Sent::Bool(on) => Value::Bool(on),
        Sent::Number(number) => Value::Number(number),
        Sent::Text(text) => Value::Text(text),
    };
    Ok(sent.into_iter().map(|(metric, sent)| (metric, value(sent))).collect())
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
fn read_leb(bytes: &[u8], at: &mut usize) -> Option<usize> {
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

fn write_leb(bytes: &mut Vec<u8>, mut number: usize) {
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A component in which there is nothing.
    const EMPTY: &[u8] = b"\0asm\x0d\0\x01\0";
    const CASES: &str = r#"[{
        "name": "frost is rejected",
        "config": {"lowest": 0},
        "readings": [
            {"sensorId": "room-4", "timestamp": "2026-05-04T12:00:00Z", "values": {"temperature": -4.5}},
            {"sensorId": "room-4", "timestamp": 1777896000001, "value": 9007199254740993}
        ],
        "expect": [
            {"verdict": "reject", "reason": "below"},
            {"verdict": "suspect", "values": {"value": 1.5, "open": true, "mode": "eco"}}
        ]
    }]"#;

    fn refused(json: &str) -> (String, String) {
        let error = parse(json.as_bytes()).expect_err("it is refused");
        (error.details()[0].path.clone(), error.details()[0].message.clone())
    }

    #[test]
    fn what_is_put_in_comes_out() {
        let component = append(EMPTY, CASES.as_bytes()).expect("they are sound");
        assert!(wasmparser::Parser::new(0).parse_all(&component).all(|payload| payload.is_ok()));
        let cases = of(&component).expect("they are sound");
        assert_eq!((cases[0].name.as_str(), cases[0].config.as_str()), ("frost is rejected", r#"{"lowest": 0}"#));
        assert_eq!(cases[0].expect[0].verdict, Expected::Reject);
        assert_eq!(cases[0].expect[0].reason.as_deref(), Some("below"));
        assert_eq!(cases[0].expect[1].values["open"], Value::Bool(true));
        assert_eq!(cases[0].expect[1].values["value"], Value::Number(1.5));
        // A reading is kept as it was sent: the decoder judges its number, not this.
        assert!(cases[0].readings[1].ends_with(b"9007199254740993}"));
        assert!(of(EMPTY).expect("none are fine").is_empty());
    }

    #[test]
    fn cases_take_the_place_of_those_before() {
        let first = append(EMPTY, CASES.as_bytes()).expect("they are sound");
        let second = append(&first, b"[]").expect("they are sound");
        assert!(of(&second).expect("they are sound").is_empty());
        assert_eq!(append(&second, CASES.as_bytes()).expect("they are sound"), first);
        let twice = [&first[..], &first[EMPTY.len()..]].concat();
        assert!(of(&twice).expect_err("it is ambiguous").sentence().contains("more than one section"));
    }

    #[test]
    fn a_mistake_is_named_with_its_place() {
        let wrong = CASES.replace("\"suspect\"", "\"perhaps\"");
        assert_eq!(refused(&wrong).0, "/0/expect/1/verdict");
        let wrong = CASES.replace("\"mode\": \"eco\"", "\"mode\": [1]");
        assert!(refused(&wrong).1.contains("a number, a boolean or a text"), "{:?}", refused(&wrong));
        let wrong = CASES.replace("\"config\": {\"lowest\": 0}", "\"config\": 3");
        assert_eq!(refused(&wrong).0, "/0/config");
        assert_eq!(refused(&CASES.replace("\"name\"", "\"nom\"")).0, "/0/nom");
        assert_eq!(refused(&CASES.replace("{\"verdict\": \"reject\", \"reason\": \"below\"},", "")).0, "/0/expect");
        assert!(refused(&format!("{CASES} {{}}")).1.contains("trailing characters"));
        assert!(refused("{}").1.contains("an array of cases"));
        assert_eq!(refused(r#"[{"name": "x", "readings": [], "expect": []}]"#).0, "/0/readings");
        assert_eq!(refused(r#"[{"name": "", "readings": [{}], "expect": []}]"#).0, "/0/name");
    }

    #[test]
    fn bounds_are_kept() {
        let huge = format!("[{}]", " ".repeat(limits::CASES_BYTES));
        assert!(refused(&huge).1.contains("bytes"));
        let case = r#"{"name":"a","readings":[{}],"expect":[{"verdict":"accept"}]}"#;
        let many = format!("[{}]", vec![case; limits::CASES + 1].join(","));
        assert!(refused(&many).1.contains("more than"));
        assert_eq!(parse(format!("[{}]", vec![case; limits::CASES].join(",")).as_bytes()).expect("enough").len(), limits::CASES);
        let readings = vec!["{}"; limits::CASE_READINGS + 1].join(",");
        assert_eq!(refused(&format!(r#"[{{"name":"a","readings":[{readings}],"expect":[]}}]"#)).0, "/0/readings");
        for open in ["[", "{\"a\":", "[{\"name\":\"a\",\"config\":{\"a\":", "[{\"name\":\"a\",\"readings\":[{\"a\":"] {
            let nested = format!("{open}{}", "[".repeat(200_000));
            assert!(parse(nested.as_bytes()).is_err());
        }
    }

    #[test]
    fn what_is_no_component_is_refused() {
        for torn in [
            &b""[..],
            b"\0asm",
            b"\0asm\x0d\0\x01\0\0",
            b"\0asm\x0d\0\x01\0\0\xff\xff\xff\xff\x7f",
            b"\0asm\x0d\0\x01\0\0\x01\x05",
        ] {
            assert!(of(torn).is_err(), "{torn:?}");
        }
        let other = b"\0asm\x0d\0\x01\0\0\x06\x04name\0";
        assert!(of(other).expect("another section is none of ours").is_empty());
    }

    proptest! {
        #[test]
        fn any_bytes_are_an_answer(tail in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = of(&[EMPTY, &tail].concat());
            let _ = parse(&tail);
        }

        #[test]
        fn any_text_inside_the_section_is_an_answer(json in "[\\[\\]{}:,\"a-z0-9 ]{0,200}") {
            if let Ok(whole) = append(EMPTY, json.as_bytes()) {
                prop_assert!(of(&whole).is_ok());
            }
        }

        #[test]
        fn numbers_are_read_as_they_were_written(number in 0_usize..=0xffff_ffff) {
            let mut bytes = Vec::new();
            write_leb(&mut bytes, number);
            let mut at = 0;
            prop_assert_eq!(read_leb(&bytes, &mut at), Some(number));
            prop_assert_eq!(at, bytes.len());
        }
    }
}
