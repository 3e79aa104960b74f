//! The units that this validator knows.
//!
//! Sources of the factors: *SI* is the SI Brochure (BIPM, 9th edition, 2019), prefixes included; *UCUM* is the Unified Code for
//! Units of Measure, version 2.2, whose tables define what is not SI; *1959* is the international yard and pound agreement, whose
//! exact values UCUM takes over.

use crate::unit::{Quantity, Unit, scaled, shifted};

/// Every unit by its UCUM code, case sensitive. In each group the first unit is what the others are multiples of.
pub(crate) const UNITS: &[Unit] = &[
    // Temperature, the only units whose zeros differ.
    shifted("Cel", Quantity::Temperature, 0.0, 1.0, 1.0),     // SI
    shifted("K", Quantity::Temperature, 273.15, 1.0, 1.0),    // SI: 0 Cel is 273.15 K
    shifted("[degF]", Quantity::Temperature, 32.0, 5.0, 9.0), // UCUM: 5/9 K, 32 at the freezing point of water
    // Pressure
    scaled("Pa", Quantity::Pressure, 1.0, 1.0),                // SI
    scaled("hPa", Quantity::Pressure, 1e2, 1.0),               // SI
    scaled("kPa", Quantity::Pressure, 1e3, 1.0),               // SI
    scaled("MPa", Quantity::Pressure, 1e6, 1.0),               // SI
    scaled("bar", Quantity::Pressure, 1e5, 1.0),               // UCUM: 1e5 Pa
    scaled("mbar", Quantity::Pressure, 1e2, 1.0),              // UCUM: a thousandth of a bar
    scaled("atm", Quantity::Pressure, 101_325.0, 1.0),         // UCUM: 101325 Pa
    scaled("mm[Hg]", Quantity::Pressure, 133.322, 1.0),        // UCUM: m[Hg] is 133.3220 kPa
    scaled("[in_i'Hg]", Quantity::Pressure, 3_386.378_8, 1.0), // UCUM: 25.4 mm[Hg]
    // UCUM: [lbf_av]/[sin_i]; 1959: a pound-force is 4.4482216152605 N, a square inch is 6.4516e-4 m2
    scaled("[psi]", Quantity::Pressure, 4.448_221_615_260_5, 6.4516e-4),
    // Length
    scaled("m", Quantity::Length, 1.0, 1.0),            // SI
    scaled("mm", Quantity::Length, 1.0, 1e3),           // SI
    scaled("cm", Quantity::Length, 1.0, 1e2),           // SI
    scaled("km", Quantity::Length, 1e3, 1.0),           // SI
    scaled("[in_i]", Quantity::Length, 0.0254, 1.0),    // 1959: 2.54 cm
    scaled("[ft_i]", Quantity::Length, 0.3048, 1.0),    // 1959: 12 inches
    scaled("[yd_i]", Quantity::Length, 0.9144, 1.0),    // 1959: 3 feet
    scaled("[mi_i]", Quantity::Length, 1_609.344, 1.0), // 1959: 5280 feet
    scaled("[nmi_i]", Quantity::Length, 1_852.0, 1.0),  // UCUM: 1852 m
    // Speed
    scaled("m/s", Quantity::Speed, 1.0, 1.0),                // SI
    scaled("km/h", Quantity::Speed, 1e3, 3_600.0),           // SI: an hour is 3600 s
    scaled("[mi_i]/h", Quantity::Speed, 1_609.344, 3_600.0), // 1959: the mile above
    scaled("[ft_i]/s", Quantity::Speed, 0.3048, 1.0),        // 1959: the foot above
    scaled("[kn_i]", Quantity::Speed, 1_852.0, 3_600.0),     // UCUM: [nmi_i]/h
    // Mass
    scaled("kg", Quantity::Mass, 1.0, 1.0),                // SI
    scaled("g", Quantity::Mass, 1.0, 1e3),                 // SI
    scaled("mg", Quantity::Mass, 1.0, 1e6),                // SI
    scaled("t", Quantity::Mass, 1e3, 1.0),                 // SI: 1000 kg
    scaled("[lb_av]", Quantity::Mass, 0.453_592_37, 1.0),  // 1959: 0.45359237 kg
    scaled("[oz_av]", Quantity::Mass, 0.453_592_37, 16.0), // UCUM: a sixteenth of a pound
    // Energy
    scaled("J", Quantity::Energy, 1.0, 1.0),                     // SI
    scaled("kJ", Quantity::Energy, 1e3, 1.0),                    // SI
    scaled("MJ", Quantity::Energy, 1e6, 1.0),                    // SI
    scaled("W.h", Quantity::Energy, 3.6e3, 1.0),                 // SI: an hour is 3600 s
    scaled("kW.h", Quantity::Energy, 3.6e6, 1.0),                // SI
    scaled("MW.h", Quantity::Energy, 3.6e9, 1.0),                // SI
    scaled("cal", Quantity::Energy, 4.184, 1.0),                 // UCUM: the thermochemical calorie, 4.184 J
    scaled("kcal", Quantity::Energy, 4_184.0, 1.0),              // UCUM
    scaled("[Btu_IT]", Quantity::Energy, 1_055.055_852_62, 1.0), // UCUM: 1.05505585262 kJ
    // Power
    scaled("W", Quantity::Power, 1.0, 1.0),  // SI
    scaled("mW", Quantity::Power, 1.0, 1e3), // SI
    scaled("kW", Quantity::Power, 1e3, 1.0), // SI
    scaled("MW", Quantity::Power, 1e6, 1.0), // SI
    // UCUM: 550 [ft_i].[lbf_av]/s, which is 550 * 0.3048 * 4.4482216152605 W
    scaled("[HP]", Quantity::Power, 745.699_871_582_270_2, 1.0),
    // Volume
    scaled("m3", Quantity::Volume, 1.0, 1.0),                    // SI
    scaled("cm3", Quantity::Volume, 1.0, 1e6),                   // SI
    scaled("L", Quantity::Volume, 1.0, 1e3),                     // SI: a cubic decimetre
    scaled("l", Quantity::Volume, 1.0, 1e3),                     // UCUM: another code of the litre
    scaled("mL", Quantity::Volume, 1.0, 1e6),                    // SI
    scaled("[gal_us]", Quantity::Volume, 3.785_411_784e-3, 1.0), // UCUM: 231 cubic inches
    // Volume flow
    scaled("m3/s", Quantity::Flow, 1.0, 1.0),                       // SI
    scaled("m3/h", Quantity::Flow, 1.0, 3_600.0),                   // SI
    scaled("L/s", Quantity::Flow, 1.0, 1e3),                        // SI
    scaled("L/min", Quantity::Flow, 1.0, 6e4),                      // SI: a minute is 60 s
    scaled("[gal_us]/min", Quantity::Flow, 3.785_411_784e-3, 60.0), // UCUM: the gallon above
    // Time
    scaled("s", Quantity::Time, 1.0, 1.0),      // SI
    scaled("ms", Quantity::Time, 1.0, 1e3),     // SI
    scaled("min", Quantity::Time, 60.0, 1.0),   // SI
    scaled("h", Quantity::Time, 3_600.0, 1.0),  // SI
    scaled("d", Quantity::Time, 86_400.0, 1.0), // SI: 24 h
    // Fractions
    scaled("1", Quantity::Fraction, 1.0, 1.0),     // UCUM
    scaled("%", Quantity::Fraction, 1.0, 1e2),     // UCUM: 10*-2
    scaled("[ppm]", Quantity::Fraction, 1.0, 1e6), // UCUM: 10*-6
    // Voltage
    scaled("V", Quantity::Voltage, 1.0, 1.0),  // SI
    scaled("mV", Quantity::Voltage, 1.0, 1e3), // SI
    scaled("kV", Quantity::Voltage, 1e3, 1.0), // SI
    // Current
    scaled("A", Quantity::Current, 1.0, 1.0),  // SI
    scaled("mA", Quantity::Current, 1.0, 1e3), // SI
];
