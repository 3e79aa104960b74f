//! What a form says that serde alone would not read as the contract has it.

use std::fmt;
use std::marker::PhantomData;

use serde::de::value::MapAccessDeserializer;
use serde::de::{Error as _, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

use crate::limits;

/// A form within a form, which is a JSON object: of itself, serde would also take an array of the fields in their order.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(transparent)]
pub struct Object<T>(pub T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Members<T>(PhantomData<T>);

        impl<'de, T: Deserialize<'de>> Visitor<'de> for Members<T> {
            type Value = Object<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, members: A) -> Result<Self::Value, A::Error> {
                T::deserialize(MapAccessDeserializer::new(members)).map(Object)
            }
        }

        deserializer.deserialize_map(Members(PhantomData))
    }
}

/// A field that tells "not sent" (`None`) from null (`Some(None)`): a change leaves the first as it is and empties the second.
pub fn sent<'de, T, D>(deserializer: D) -> Result<Option<Option<T>>, D::Error>
where
    T: Deserialize<'de>,
    D: Deserializer<'de>,
{
    Deserialize::deserialize(deserializer).map(Some)
}

/// A whole number, also where it is written with a fraction of nothing: to JSON Schema `5.0` is an integer, and in many a client's language
/// all numbers are floats.
struct Whole<T>(T);

impl<'de, T: TryFrom<i64>> Deserialize<'de> for Whole<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let number = serde_json::Number::deserialize(deserializer)?;
        let found = number.as_i64().or_else(|| number.as_f64().and_then(exact)).and_then(|number| T::try_from(number).ok());
        found.map(Self).ok_or_else(|| D::Error::custom(format_args!("`{number}` is no whole number that fits here")))
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_precision_loss, reason = "exact below 2^53, which is checked")]
fn exact(number: f64) -> Option<i64> {
    (number.fract() == 0.0 && number.abs() <= limits::EXACT_INTEGER as f64).then_some(number as i64)
}

/// A number that is an integer to JSON Schema.
pub fn whole<'de, T: TryFrom<i64>, D: Deserializer<'de>>(deserializer: D) -> Result<T, D::Error> {
    Whole::deserialize(deserializer).map(|Whole(number)| number)
}

/// The same where it may be null. A field that may be left out is `default` besides.
pub fn whole_if_any<'de, T: TryFrom<i64>, D: Deserializer<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
    let number: Option<Whole<T>> = Deserialize::deserialize(deserializer)?;
    Ok(number.map(|Whole(number)| number))
}

/// The same for a field that tells "not sent" from null, as [`sent`] does.
pub fn sent_whole<'de, T: TryFrom<i64>, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Option<T>>, D::Error> {
    whole_if_any(deserializer).map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_whole_number_may_be_written_with_a_fraction_of_nothing() {
        #[derive(Deserialize)]
        struct Form {
            #[serde(default, deserialize_with = "whole_if_any")]
            version: Option<i32>,
        }
        let read = |text: &str| serde_json::from_str::<Form>(text).map(|form| form.version);
        for (text, version) in
            [(r#"{"version": 5}"#, Some(5)), (r#"{"version": -5.0}"#, Some(-5)), (r#"{"version": null}"#, None), ("{}", None)]
        {
            assert_eq!(read(text).unwrap(), version, "{text}");
        }
        for text in [r#"{"version": 5.5}"#, r#"{"version": 2147483648}"#, r#"{"version": 1e300}"#, r#"{"version": "5"}"#] {
            assert!(read(text).is_err(), "{text}");
        }
    }
}
