//! A measured value with its interval, its number format, and which direction is better.

use super::interval::Interval;

/// A measured scalar with its 95 % interval. Two estimates that are both NaN are equal.
#[derive(Debug, Clone, Copy)]
pub struct Estimate {
    /// The value; NaN if it is undefined.
    pub value: f64,
    /// Its 95 % interval, if it has one.
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
    /// Higher values are better.
    Higher,
    /// Lower values are better.
    Lower,
}

impl Better {
    /// Whether `one` is better than `other`; false if either is NaN.
    pub fn prefers(self, one: f64, other: f64) -> bool {
        match self {
            Self::Higher => one > other,
            Self::Lower => one < other,
        }
    }
}

/// The number format of a measure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// A share, 0 to 1, shown in percent with two decimals; differences are in percentage points.
    Percent,
    /// Like `Percent`, but next to per-class scores it is shown in their format, such as `.946`.
    Score,
    /// The value itself, with four decimals.
    Ratio,
}

impl Format {
    /// The factor between the value and the displayed number, and the number of decimals.
    pub fn scale(self) -> (f64, usize) {
        match self {
            Self::Percent | Self::Score => (100.0, 2),
            Self::Ratio => (1.0, 4),
        }
    }

    /// The unit of a value and of a difference, each with a leading space.
    pub fn units(self) -> (&'static str, &'static str) {
        match self {
            Self::Percent | Self::Score => (" %", " points"),
            Self::Ratio => ("", ""),
        }
    }
}
