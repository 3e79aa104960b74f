//! Converts numbers to the unit that their metric is to have.

mod settings;
mod table;
mod unit;

use std::collections::HashMap;

use weir_validator_sdk::{Config, Reading, Validator, Value, Verdict};

use self::settings::{Conversion, Settings};
use self::unit::Unit;

/// The validator: metric to conversion.
struct UnitConvert(HashMap<String, Conversion>);

impl Validator for UnitConvert {
    fn new(config: Config<'_>) -> Result<Self, String> {
        config.parse().and_then(Settings::conversions).map(Self)
    }

    fn check(&self, reading: &Reading<'_>) -> Verdict {
        match (self.0.get(reading.metric), reading.value) {
            (Some(conversion), Value::Number(number)) => conversion.judge(reading, number),
            _ => Verdict::accept(),
        }
    }
}

impl Conversion {
    fn judge(&self, reading: &Reading<'_>, number: f64) -> Verdict {
        let to = self.to;
        if reading.unit == to.code {
            return Verdict::accept();
        }
        // What the sensor says about its own number counts for more than what somebody configured.
        let from = if reading.unit.is_empty() { self.from } else { Unit::of(reading.unit) };
        match from {
            Some(from) if from.converts_to(to) => Verdict::replace(from.convert(number, to)).with_unit(to.code),
            _ => Verdict::reject(refusal(reading, to)),
        }
    }
}

fn refusal(reading: &Reading<'_>, to: &Unit) -> String {
    let Reading { metric, unit, .. } = reading;
    let to = to.code;
    match *unit {
        "" => format!("{metric} has no unit and is to be stored in {to}: send the unit"),
        unit => format!("{metric} is in {unit}, which cannot be converted to {to}"),
    }
}

weir_validator_sdk::export!(UnitConvert);

#[cfg(test)]
mod tests {
    use super::*;

    const CONFIG: &str = r#"{"convert": {"temperature": {"from": "[degF]", "to": "Cel"}, "distance": {"to": "km"}}}"#;

    fn verdict(reading: &Reading<'_>) -> Verdict {
        UnitConvert::new(Config::new(CONFIG)).unwrap().check(reading)
    }

    #[test]
    fn a_number_without_unit_is_in_the_configured_one() {
        assert_eq!(verdict(&Reading::new("temperature", 212.0)), Verdict::replace(100.0).with_unit("Cel"));
    }

    #[test]
    fn the_unit_of_the_reading_wins() {
        let kelvin = Reading::new("temperature", 273.15).in_unit("K");
        assert_eq!(verdict(&kelvin), Verdict::replace(0.0).with_unit("Cel"));
    }

    #[test]
    fn what_is_in_the_right_unit_stays() {
        assert_eq!(verdict(&Reading::new("temperature", 21.5).in_unit("Cel")), Verdict::accept());
    }

    #[test]
    fn what_cannot_be_converted_is_rejected_with_a_reason() {
        let reason = |reading: &Reading<'_>| verdict(reading).rejection().map(str::to_owned).unwrap();
        let wrong = reason(&Reading::new("temperature", 1.0).in_unit("kg"));
        assert_eq!(wrong, "temperature is in kg, which cannot be converted to Cel");
        let unknown = reason(&Reading::new("temperature", 1.0).in_unit("degrees"));
        assert_eq!(unknown, "temperature is in degrees, which cannot be converted to Cel");
        let missing = reason(&Reading::new("distance", 1.0));
        assert_eq!(missing, "distance has no unit and is to be stored in km: send the unit");
    }

    #[test]
    fn other_metrics_and_other_values_stay() {
        assert_eq!(verdict(&Reading::new("humidity", 40.0)), Verdict::accept());
        assert_eq!(verdict(&Reading::new("temperature", "hot")), Verdict::accept());
        assert_eq!(verdict(&Reading::new("temperature", true)), Verdict::accept());
    }
}
