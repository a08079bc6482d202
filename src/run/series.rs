//! Curves of bounded size.

use serde::{Deserialize, Serialize};

use crate::event::{F32, F64};

/// Greatest number of buckets of a curve: more than twice the columns of a screen.
const CAPACITY: usize = 2048;

/// Statistics of the points in one interval of a curve.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Bucket {
    /// Number of finite points.
    #[serde(rename = "n", default, skip_serializing_if = "is_zero")]
    pub count: u32,
    /// Number of points that were NaN or infinite.
    #[serde(rename = "x", default, skip_serializing_if = "is_zero")]
    pub non_finite: u32,
    /// Sum of the finite points.
    #[serde(rename = "s", default, skip_serializing_if = "is_zero")]
    pub sum: f64,
    /// Smallest finite point.
    #[serde(rename = "a", default, skip_serializing_if = "is_zero")]
    pub min: f32,
    /// Largest finite point.
    #[serde(rename = "b", default, skip_serializing_if = "is_zero")]
    pub max: f32,
}

fn is_zero<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

impl Bucket {
    /// Mean of the finite points, if there are any.
    pub fn mean(&self) -> Option<f64> {
        (self.count > 0).then(|| self.sum / f64::from(self.count))
    }

    /// Adds a point.
    pub fn push(&mut self, value: f32) {
        if !value.is_finite() {
            self.non_finite = self.non_finite.saturating_add(1);
            return;
        }
        let first = self.count == 0;
        self.min = if first { value } else { self.min.min(value) };
        self.max = if first { value } else { self.max.max(value) };
        self.sum += f64::from(value);
        self.count = self.count.saturating_add(1);
    }

    /// Adds the points of another bucket.
    pub fn merge(&mut self, other: &Self) {
        self.non_finite = self.non_finite.saturating_add(other.non_finite);
        if other.count == 0 {
            return;
        }
        let first = self.count == 0;
        self.min = if first {
            other.min
        } else {
            self.min.min(other.min)
        };
        self.max = if first {
            other.max
        } else {
            self.max.max(other.max)
        };
        self.sum += other.sum;
        self.count = self.count.saturating_add(other.count);
    }
}

/// A curve over steps in bounded memory. Each bucket covers `stride` steps; when the curve is full, pairs of buckets
/// are merged and the stride doubles. Minima and maxima are never lost.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Series {
    stride: u64,
    buckets: Vec<Bucket>,
    last: Option<F64>,
}

impl Default for Series {
    fn default() -> Self {
        Self::new()
    }
}

impl Series {
    /// A curve without points.
    pub const fn new() -> Self {
        Self {
            stride: 1,
            buckets: Vec::new(),
            last: None,
        }
    }

    /// Adds the point of a step. Steps can be in any order and have gaps.
    pub fn push(&mut self, step: u64, value: f32) {
        self.push_within(CAPACITY, step, value);
    }

    /// As [`Self::push`], for a curve of at most `buckets` buckets.
    pub(super) fn push_within(&mut self, buckets: usize, step: u64, value: f32) {
        self.stride = self.stride.max(1);
        while step / self.stride >= buckets as u64 {
            self.halve();
        }
        let index = (step / self.stride) as usize;
        if index >= self.buckets.len() {
            self.buckets.resize(index + 1, Bucket::default());
        }
        if let Some(bucket) = self.buckets.get_mut(index) {
            bucket.push(value);
        }
        self.last = Some(F64(f64::from(value)));
    }

    /// Adds the points of consecutive steps. Points of the same bucket are accumulated in a local copy, which is twice
    /// as fast.
    pub(super) fn extend(&mut self, first: u64, values: &[F32]) {
        let (mut step, mut values) = (first, values);
        while let Some((value, rest)) = values.split_first() {
            self.push(step, value.0);
            let in_bucket = self.stride() - step % self.stride() - 1;
            let (here, after) = rest.split_at(rest.len().min(in_bucket as usize));
            let index = (step / self.stride()) as usize;
            if let Some(place) = self.buckets.get_mut(index) {
                let mut bucket = *place;
                here.iter().for_each(|value| bucket.push(value.0));
                *place = bucket;
            }
            if let Some(value) = here.last() {
                self.last = Some(F64(f64::from(value.0)));
            }
            (step, values) = (step.saturating_add(1 + here.len() as u64), after);
        }
    }

    fn halve(&mut self) {
        self.buckets = self
            .buckets
            .chunks(2)
            .map(|pair| {
                let mut merged = Bucket::default();
                pair.iter().for_each(|bucket| merged.merge(bucket));
                merged
            })
            .collect();
        self.stride = self.stride.saturating_mul(2);
    }

    /// Number of steps per bucket.
    pub fn stride(&self) -> u64 {
        self.stride.max(1)
    }

    /// The buckets in the order of steps; bucket `i` covers the steps from `i * stride`.
    pub fn buckets(&self) -> &[Bucket] {
        &self.buckets
    }

    /// The point added last, finite or not.
    pub fn last(&self) -> Option<f64> {
        self.last.map(|value| value.0)
    }

    /// Whether the curve has no points.
    pub fn is_empty(&self) -> bool {
        self.last.is_none()
    }

    /// The buckets with points, each with its first step, in the order of steps.
    pub fn filled(&self) -> impl Iterator<Item = (u64, Bucket)> + '_ {
        let stride = self.stride();
        let with_step =
            move |(i, bucket): (usize, &Bucket)| ((i as u64).saturating_mul(stride), *bucket);
        let filled = |(_, bucket): &(u64, Bucket)| bucket.count > 0 || bucket.non_finite > 0;
        self.buckets
            .iter()
            .enumerate()
            .map(with_step)
            .filter(filled)
    }

    /// The bucket of a step, if it has points.
    pub fn bucket_at(&self, step: u64) -> Option<&Bucket> {
        let bucket = self.buckets.get((step / self.stride()) as usize);
        bucket.filter(|bucket| bucket.count > 0 || bucket.non_finite > 0)
    }

    /// The steps `from..to` divided into `columns` buckets, one per column of a chart.
    pub fn columns(&self, from: u64, to: u64, columns: usize) -> Vec<Bucket> {
        let mut out = vec![Bucket::default(); columns];
        let span = to.saturating_sub(from);
        if columns == 0 || span == 0 {
            return out;
        }
        let (stride, width) = (self.stride(), columns as u128);
        for (i, bucket) in self.buckets.iter().enumerate() {
            let step = (i as u64).saturating_mul(stride);
            if bucket.count == 0 && bucket.non_finite == 0 || step < from || step >= to {
                continue;
            }
            let column = (u128::from(step - from) * width / u128::from(span)) as usize;
            if let Some(target) = out.get_mut(column) {
                target.merge(bucket);
            }
        }
        out
    }
}

/// One bucket for each interval between neighbouring bounds, which must be ascending. The lower bound is included, the
/// upper is not. `points` are steps with their buckets, in the order of steps; those outside the bounds are skipped.
pub fn between(points: impl IntoIterator<Item = (u64, Bucket)>, bounds: &[u64]) -> Vec<Bucket> {
    let mut out = vec![Bucket::default(); bounds.len().saturating_sub(1)];
    let mut column = 0;
    for (step, bucket) in points {
        while bounds.get(column + 1).is_some_and(|upper| step >= *upper) {
            column += 1;
        }
        if bounds.get(column).is_none_or(|lower| step < *lower) {
            continue;
        }
        match out.get_mut(column) {
            Some(target) => target.merge(&bucket),
            None => break,
        }
    }
    out
}

/// Exponential moving average with bias correction (as in Adam, Kingma & Ba 2015, and in TensorBoard's smoothing):
/// `s ← w·s + (1−w)·x`, with the value `s / (1 − wⁿ)`. Non-finite points are skipped.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Ema {
    sum: f64,
    weight: f64,
}

impl Ema {
    /// Adds a point; `keep` is the weight of the previous average, 0 to 1.
    pub fn push(&mut self, keep: f64, value: f64) {
        if value.is_finite() {
            self.sum = keep * self.sum + (1.0 - keep) * value;
            self.weight = keep * self.weight + (1.0 - keep);
        }
    }

    /// The average; `None` before the first finite point.
    pub fn value(&self) -> Option<f64> {
        (self.weight > 0.0).then(|| self.sum / self.weight)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn ema_of_a_constant_is_the_constant_from_the_first_point() {
        let mut ema = Ema::default();
        for _ in 0..3 {
            ema.push(0.98, 2.5);
            ema.push(0.98, f64::NAN);
            assert!((ema.value().unwrap_or(0.0) - 2.5).abs() < 1e-12);
        }
    }

    #[test]
    fn extend_equals_pushing_one_by_one() {
        let values: Vec<F32> = (0..40_000)
            .map(|i| F32(if i % 97 == 5 { f32::NAN } else { i as f32 }))
            .collect();
        let (mut one_by_one, mut together) = (Series::default(), Series::default());
        for (first, chunk) in (0_u64..).step_by(7).zip(values.chunks(7)) {
            together.extend(1 + first, chunk);
            for (at, value) in (0..).zip(chunk) {
                one_by_one.push(1 + first + at, value.0);
            }
        }
        assert_eq!(one_by_one, together);
    }

    #[test]
    fn largest_possible_step_is_bounded() {
        let mut series = Series::default();
        series.push(u64::MAX, 1.0);
        series.push(0, 2.0);
        assert!(series.buckets().len() <= CAPACITY);
    }

    proptest! {
        #[test]
        fn extremes_and_non_finite_points_are_never_lost(values in prop::collection::vec(-1e6_f32..1e6, 1..9000), columns in 1_usize..200) {
            let mut series = Series::default();
            for (step, value) in values.iter().enumerate() {
                series.push(step as u64, if step % 97 == 5 { f32::NAN } else { *value });
            }
            prop_assert!(series.buckets().len() <= CAPACITY);
            let mut all = Bucket::default();
            series.columns(0, values.len() as u64, columns).iter().for_each(|b| all.merge(b));
            let finite: Vec<f32> = values.iter().enumerate().filter(|(i, _)| i % 97 != 5).map(|(_, v)| *v).collect();
            prop_assert_eq!(all.count as usize, finite.len());
            prop_assert_eq!(all.non_finite as usize, values.len() - finite.len());
            if let Some(max) = finite.iter().copied().reduce(f32::max) {
                prop_assert_eq!(all.max, max);
            }
        }
    }
}
