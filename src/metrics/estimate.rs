//! A measured value: what it is with its interval, how it is written, which direction is better.

use super::interval::Interval;

/// A measured scalar with its 95 % interval. Two estimates that are both NaN are equal.
#[derive(Debug, Clone, Copy)]
pub struct Estimate {
    /// The value; NaN where it is undefined.
    pub value: f64,
    /// Its 95 % interval, where there is one.
    pub interval: Option<Interval>,
}

impl PartialEq for Estimate {
    fn eq(&self, other: &Self) -> bool {
        let same = self.value == other.value || (self.value.is_nan() && other.value.is_nan());
        same && self.interval == other.interval
    }
}

/// Which direction is better.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Better {
    /// Higher values.
    Higher,
    /// Lower values.
    Lower,
}

impl Better {
    /// Whether `one` is better than `other`; false where either is NaN.
    pub fn prefers(self, one: f64, other: f64) -> bool {
        match self {
            Self::Higher => one > other,
            Self::Lower => one < other,
        }
    }
}

/// How a value is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// A share, 0 to 1, in percent with two decimals; its differences are in points.
    Percent,
    /// The same; where it stands beside the scores of classes, as they are written: `.946`.
    Score,
    /// As it is, with four decimals.
    Ratio,
}

impl Format {
    /// The factor between the value and what is written, and the decimals.
    pub fn scale(self) -> (f64, usize) {
        match self {
            Self::Percent | Self::Score => (100.0, 2),
            Self::Ratio => (1.0, 4),
        }
    }

    /// The unit of a value and of a difference, each with a blank before it.
    pub fn units(self) -> (&'static str, &'static str) {
        match self {
            Self::Percent | Self::Score => (" %", " points"),
            Self::Ratio => ("", ""),
        }
    }
}
