//! Types that JSON can represent without loss: floats with NaN and ±∞, and bytes as base64.
//!
//! JSON has no NaN: `serde_json` writes `null`, which it cannot read back as a float. The monitor is needed most for a
//! diverging run, so non-finite values are written as the strings `nan`, `inf` and `-inf`.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::de::{self, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Defines a float newtype in which NaN equals NaN, so that states that contain NaN can be compared.
macro_rules! number {
    ($(#[$doc:meta])* $name:ident, $float:ty, $serialize:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, Default, PartialOrd)]
        pub struct $name(pub $float);

        impl PartialEq for $name {
            fn eq(&self, other: &Self) -> bool {
                self.0 == other.0 || (self.0.is_nan() && other.0.is_nan())
            }
        }

        impl From<$float> for $name {
            fn from(value: $float) -> Self {
                Self(value)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                if self.0.is_finite() {
                    serializer.$serialize(self.0)
                } else if self.0.is_nan() {
                    serializer.serialize_str("nan")
                } else if self.0 > 0.0 {
                    serializer.serialize_str("inf")
                } else {
                    serializer.serialize_str("-inf")
                }
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct Reader;
                impl Visitor<'_> for Reader {
                    type Value = $name;
                    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                        f.write_str("a number, \"nan\", \"inf\" or \"-inf\"")
                    }
                    fn visit_f64<E: de::Error>(self, value: f64) -> Result<$name, E> {
                        Ok($name(value as $float))
                    }
                    fn visit_f32<E: de::Error>(self, value: f32) -> Result<$name, E> {
                        Ok($name(value.into()))
                    }
                    fn visit_i64<E: de::Error>(self, value: i64) -> Result<$name, E> {
                        Ok($name(value as $float))
                    }
                    fn visit_u64<E: de::Error>(self, value: u64) -> Result<$name, E> {
                        Ok($name(value as $float))
                    }
                    fn visit_str<E: de::Error>(self, value: &str) -> Result<$name, E> {
                        match value {
                            "nan" => Ok($name(<$float>::NAN)),
                            "inf" => Ok($name(<$float>::INFINITY)),
                            "-inf" => Ok($name(<$float>::NEG_INFINITY)),
                            _ => Err(E::invalid_value(de::Unexpected::Str(value), &self)),
                        }
                    }
                }
                deserializer.deserialize_any(Reader)
            }
        }
    };
}

number!(
    /// A single-precision number that may be NaN or infinite; written with the fewest digits that restore it exactly.
    F32, f32, serialize_f32
);
number!(
    /// A double-precision number that may be NaN or infinite.
    F64, f64, serialize_f64
);

/// Bytes, written as base64.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Pixels(pub Vec<u8>);

impl Serialize for Pixels {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&STANDARD.encode(&self.0))
    }
}

impl<'de> Deserialize<'de> for Pixels {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        STANDARD.decode(text).map(Self).map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failed unwrap is the test's failure")]
    use super::*;

    #[test]
    fn non_finite_numbers_survive_json() {
        let all = [
            F64(f64::NAN),
            F64(f64::INFINITY),
            F64(f64::NEG_INFINITY),
            F64(0.1),
            F64(-3.0),
        ];
        let json = serde_json::to_string(&all).unwrap();
        assert_eq!(json, r#"["nan","inf","-inf",0.1,-3.0]"#);
        assert_eq!(serde_json::from_str::<Vec<F64>>(&json).unwrap(), all);
    }

    #[test]
    fn f32_round_trips_exactly_with_few_digits() {
        let json = serde_json::to_string(&F32(0.1)).unwrap();
        assert_eq!(json, "0.1");
        for bits in (0..u32::MAX).step_by(7_919_777) {
            let value = f32::from_bits(bits);
            let json = serde_json::to_string(&F32(value)).unwrap();
            let back: F32 = serde_json::from_str(&json).unwrap();
            assert!(
                back.0.to_bits() == bits || value.is_nan(),
                "{value} became {}",
                back.0
            );
        }
    }

    #[test]
    fn invalid_strings_are_rejected() {
        assert!(serde_json::from_str::<F32>("\"many\"").is_err());
        assert!(serde_json::from_str::<Pixels>("\"@@\"").is_err());
    }
}
