//! Units and the way from one to another.

use crate::table::UNITS;

/// What a unit measures. Units convert into each other only where this is the same.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Quantity {
    Temperature,
    Pressure,
    Length,
    Speed,
    Mass,
    Energy,
    Power,
    Volume,
    Flow,
    Time,
    Fraction,
    Voltage,
    Current,
}

/// A unit: `(number - zero) * multiply / divide` is the number in the first unit of its quantity.
///
/// A factor and a divisor instead of their quotient, since `5 / 9` and `1 / 1000` are no binary fractions: 212 \[degF\] are to be
/// 100 Cel and not 99.99999999999999.
#[derive(Debug)]
pub(crate) struct Unit {
    pub(crate) code: &'static str,
    quantity: Quantity,
    zero: f64,
    multiply: f64,
    divide: f64,
}

/// A unit whose zero is that of the first unit of its quantity.
pub(crate) const fn scaled(code: &'static str, quantity: Quantity, multiply: f64, divide: f64) -> Unit {
    shifted(code, quantity, 0.0, multiply, divide)
}

/// A unit in which the zero of the first unit of its quantity is another number.
pub(crate) const fn shifted(code: &'static str, quantity: Quantity, zero: f64, multiply: f64, divide: f64) -> Unit {
    Unit { code, quantity, zero, multiply, divide }
}

impl Unit {
    /// The unit of a UCUM code, if this validator knows it.
    pub(crate) fn of(code: &str) -> Option<&'static Self> {
        UNITS.iter().find(|unit| unit.code == code)
    }

    /// Whether numbers in this unit can be had in the other.
    pub(crate) fn converts_to(&self, other: &Self) -> bool {
        self.quantity == other.quantity
    }

    /// The number in another unit of the same quantity.
    pub(crate) fn convert(&self, number: f64, other: &Self) -> f64 {
        let first = (number - self.zero) * self.multiply / self.divide;
        first * other.divide / other.multiply + other.zero
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    fn convert(number: f64, from: &str, to: &str) -> f64 {
        let (from, to) = (Unit::of(from).unwrap(), Unit::of(to).unwrap());
        assert!(from.converts_to(to));
        from.convert(number, to)
    }

    #[test]
    fn known_pairs_come_out_right() {
        let pairs = [
            (212.0, "[degF]", 100.0, "Cel"),
            (-40.0, "[degF]", -40.0, "Cel"),
            (25.0, "Cel", 298.15, "K"),
            (32.0, "[degF]", 273.15, "K"),
            (1_013.25, "hPa", 1.0, "atm"),
            (1.0, "[psi]", 6_894.757_293_168_361, "Pa"),
            (29.92, "[in_i'Hg]", 1_013.204_536_96, "hPa"),
            (2.5, "bar", 250.0, "kPa"),
            (6.0, "[ft_i]", 1.8288, "m"),
            (26.2, "[mi_i]", 42.164_812_8, "km"),
            (36.0, "km/h", 10.0, "m/s"),
            (60.0, "[mi_i]/h", 96.560_64, "km/h"),
            (1.0, "[kn_i]", 1.852, "km/h"),
            (16.0, "[oz_av]", 1.0, "[lb_av]"),
            (2.0, "[lb_av]", 907.184_74, "g"),
            (1.0, "kW.h", 3.6e6, "J"),
            (1.0, "[HP]", 0.745_699_871_582_270_2, "kW"),
            (1.0, "[gal_us]", 3.785_411_784, "L"),
            (60.0, "L/min", 3.6, "m3/h"),
            (1.5, "h", 90.0, "min"),
            (400.0, "[ppm]", 0.04, "%"),
            (4.0, "mA", 0.004, "A"),
        ];
        for (number, from, expected, to) in pairs {
            let converted = convert(number, from, to);
            assert!(
                (converted - expected).abs() <= expected.abs() * 1e-14,
                "{number} {from} is {converted} {to}, not {expected}"
            );
        }
    }

    #[test]
    fn every_code_occurs_once_and_every_way_leads_back() {
        let codes: HashSet<_> = UNITS.iter().map(|unit| unit.code).collect();
        assert_eq!(codes.len(), UNITS.len());
        for from in UNITS {
            for to in UNITS.iter().filter(|to| from.converts_to(to)) {
                let back = to.convert(from.convert(12.5, to), from);
                assert!((back - 12.5).abs() < 1e-9, "12.5 {} is {back} after {}", from.code, to.code);
            }
        }
    }

    #[test]
    fn codes_are_case_sensitive_and_quantities_do_not_mix() {
        assert!(Unit::of("cel").is_none());
        assert!(Unit::of("").is_none());
        assert!(Unit::of("Cel").zip(Unit::of("kg")).is_some_and(|(temperature, mass)| !temperature.converts_to(mass)));
    }
}
