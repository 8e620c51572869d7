//! Durations and sizes as people write them: a whole number and a unit, or
//! the word `none`. No fractions, no sums, no bare numbers: nobody should have
//! to wonder whether `10` is seconds.

use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Deserialize, Deserializer, Error, Unexpected, Visitor};

const MILLISECONDS: &[(&str, u64)] =
    &[("ms", 1), ("s", 1000), ("m", 60 * 1000), ("h", 3600 * 1000), ("d", 24 * 3600 * 1000)];

const BYTES: &[(&str, u64)] =
    &[("B", 1), ("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30), ("TiB", 1 << 40)];

/// What the plan uses for "no bound".
const NONE: u64 = 0;

/// Reads `digits unit`. Zero is refused: it would mean "none" in the plan.
fn parse(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    if text == "none" {
        return Some(NONE);
    }
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at_checked(digits)?;
    let (_, factor) = units.iter().find(|(name, _)| *name == unit)?;
    number.parse::<u64>().ok()?.checked_mul(*factor).filter(|n| *n != NONE)
}

/// The largest unit that divides the number.
fn show(number: u64, units: &[(&str, u64)], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    match units.iter().rev().find(|(_, factor)| number.is_multiple_of(*factor)) {
        Some((unit, factor)) if number != NONE => write!(f, "{}{unit}", number / factor),
        _ => f.write_str("none"),
    }
}

macro_rules! unit_type {
    ($(#[$doc:meta])* $name:ident, $units:expr, $expecting:literal, $pattern:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub struct $name(pub u64);

        impl std::str::FromStr for $name {
            type Err = &'static str;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                parse(text, $units).map(Self).ok_or($expecting)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                show(self.0, $units, f)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct Text;

                impl Visitor<'_> for Text {
                    type Value = $name;

                    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                        f.write_str($expecting)
                    }

                    fn visit_str<E: Error>(self, text: &str) -> Result<$name, E> {
                        text.parse().map_err(|_| E::invalid_value(Unexpected::Str(text), &self))
                    }
                }

                deserializer.deserialize_str(Text)
            }
        }

        impl JsonSchema for $name {
            fn inline_schema() -> bool {
                true
            }

            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({ "type": "string", "pattern": $pattern })
            }
        }
    };
}

unit_type!(
    /// Milliseconds; 0 is "none".
    Millis, MILLISECONDS,
    "a duration such as \"500ms\", \"30s\", \"10m\", \"2h\" or \"1d\", or \"none\"",
    "^(none|[0-9]+(ms|s|m|h|d))$"
);
unit_type!(
    /// Bytes; 0 is "none".
    Bytes, BYTES,
    "a size such as \"512KiB\", \"64MiB\" or \"2GiB\", or \"none\"",
    "^(none|[0-9]+(B|KiB|MiB|GiB|TiB))$"
);

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        for (text, want) in [
            ("500ms", Some(500)),
            ("30s", Some(30_000)),
            ("10m", Some(600_000)),
            ("2h", Some(7_200_000)),
            ("1d", Some(86_400_000)),
            ("007s", Some(7_000)),
            ("none", Some(0)),
            ("0s", None),
            ("0ms", None),
            ("", None),
            ("10", None),
            ("m", None),
            ("5mm", None),
            ("1.5s", None),
            ("-1s", None),
            ("+1s", None),
            ("1 s", None),
            (" 1s", None),
            ("1S", None),
            ("1h30m", None),
            ("1_000s", None),
            ("None", None),
            ("\u{0661}s", None),
            ("18446744073709551615ms", Some(u64::MAX)),
            ("18446744073709551616ms", None),
            ("18446744073709551615s", None),
            ("213503982334d", Some(213_503_982_334 * 86_400_000)),
            ("213503982335d", None),
        ] {
            assert_eq!(text.parse::<Millis>().ok().map(|m| m.0), want, "{text:?}");
        }
    }

    #[test]
    fn sizes() {
        for (text, want) in [
            ("1B", Some(1)),
            ("512KiB", Some(512 << 10)),
            ("64MiB", Some(64 << 20)),
            ("2GiB", Some(2 << 30)),
            ("1TiB", Some(1 << 40)),
            ("none", Some(0)),
            ("0B", None),
            ("2GB", None),
            ("2G", None),
            ("2gib", None),
            ("2", None),
            ("16777215TiB", Some(16_777_215 << 40)),
            ("16777216TiB", None),
        ] {
            assert_eq!(text.parse::<Bytes>().ok().map(|b| b.0), want, "{text:?}");
        }
    }

    #[test]
    fn shown_as_written() {
        for text in ["500ms", "90s", "10m", "2h", "1d", "none"] {
            assert_eq!(text.parse::<Millis>().unwrap().to_string(), text);
        }
        for text in ["1B", "1000B", "512KiB", "3GiB", "none"] {
            assert_eq!(text.parse::<Bytes>().unwrap().to_string(), text);
        }
        assert_eq!(Millis(120_000).to_string(), "2m");
    }
}
