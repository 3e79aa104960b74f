//! Numbers of JSON, compared and divided without rounding: a bound that is a hair off must not count as the same bound.

use std::cmp::Ordering;

use serde_json::Number;

/// Compares two numbers exactly, an integer with a fraction too.
pub(super) fn compare(one: &Number, other: &Number) -> Ordering {
    match (integer(one), integer(other)) {
        (Some(one), Some(other)) => one.cmp(&other),
        (Some(one), None) => with_fraction(one, float(other)),
        (None, Some(other)) => with_fraction(other, float(one)).reverse(),
        (None, None) => float(one).total_cmp(&float(other)),
    }
}

/// True for 3 and for 3.0.
pub(super) fn is_integral(number: &Number) -> bool {
    integer(number).is_some() || float(number).fract() == 0.0
}

/// The greatest integer that is not above the number; what is beyond an `i128` is cut to it.
pub(super) fn floor(number: &Number) -> i128 {
    integer(number).unwrap_or_else(|| cut(float(number).floor()))
}

/// The least integer that is not below the number; what is beyond an `i128` is cut to it.
pub(super) fn ceil(number: &Number) -> i128 {
    integer(number).unwrap_or_else(|| cut(float(number).ceil()))
}

/// Whether the number is a whole multiple of the unit; `None` where that takes more digits than there are.
pub(super) fn divides(unit: &Number, number: &Number) -> Option<bool> {
    let ((unit, unit_scale), (number, scale)) = (decimal(unit)?, decimal(number)?);
    if unit == 0 {
        return None;
    }
    let common = unit_scale.max(scale);
    let unit = unit.checked_mul(10i128.checked_pow(common - unit_scale)?)?;
    let number = number.checked_mul(10i128.checked_pow(common - scale)?)?;
    Some(number % unit == 0)
}

fn integer(number: &Number) -> Option<i128> {
    number.as_i64().map(i128::from).or_else(|| number.as_u64().map(i128::from))
}

fn float(number: &Number) -> f64 {
    number.as_f64().unwrap_or(f64::NAN)
}

#[expect(clippy::cast_possible_truncation, reason = "what does not fit is cut, as the callers are told")]
fn cut(whole: f64) -> i128 {
    whole as i128
}

fn with_fraction(one: i128, other: f64) -> Ordering {
    let below = other.floor();
    one.cmp(&cut(below)).then(if other > below { Ordering::Less } else { Ordering::Equal })
}

/// The digits of a number and how many of them stand behind the point, as it is written.
fn decimal(number: &Number) -> Option<(i128, u32)> {
    let text = number.to_string();
    let (digits, exponent) = match text.split_once(['e', 'E']) {
        Some((digits, exponent)) => (digits, exponent.parse::<i32>().ok()?),
        None => (text.as_str(), 0),
    };
    let (whole, part) = digits.split_once('.').unwrap_or((digits, ""));
    let part = part.trim_end_matches('0');
    let value: i128 = format!("{whole}{part}").parse().ok()?;
    let scale = i32::try_from(part.len()).ok()? - exponent;
    match u32::try_from(scale) {
        Ok(scale) => Some((value, scale)),
        Err(_) => Some((value.checked_mul(10i128.checked_pow(scale.unsigned_abs())?)?, 0)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(text: &str) -> Number {
        serde_json::from_str(text).expect(text)
    }

    #[test]
    fn numbers_are_compared_exactly() {
        for (one, other, expected) in [
            ("1", "1.0", Ordering::Equal),
            ("1", "1.5", Ordering::Less),
            ("-1", "-1.5", Ordering::Greater),
            ("9007199254740993", "9007199254740992.0", Ordering::Greater),
            ("18446744073709551615", "1e300", Ordering::Less),
            ("-5", "-1e300", Ordering::Greater),
        ] {
            assert_eq!(compare(&number(one), &number(other)), expected, "{one} {other}");
            assert_eq!(compare(&number(other), &number(one)), expected.reverse(), "{other} {one}");
        }
    }

    #[test]
    fn multiples_are_found_exactly() {
        for (unit, of, expected) in [
            ("5", "10", Some(true)),
            ("0.1", "0.3", Some(true)),
            ("0.01", "1", Some(true)),
            ("0.3", "1", Some(false)),
            ("10", "5", Some(false)),
            ("1e-7", "2", Some(true)),
            ("1", "1e300", None),
        ] {
            assert_eq!(divides(&number(unit), &number(of)), expected, "{unit} {of}");
        }
    }
}
