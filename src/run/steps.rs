//! The individual steps of a window, with the values of the curves that have one value per step.

use serde::{Deserialize, Serialize};

use super::curves::{CURVES, Curve, STEP_CURVES, Source};
use crate::event::{F32, F64, StepWindow};

/// The values of one step.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Sample {
    /// Counted from 1 over the run.
    pub step: u64,
    /// Values of the curves that have one value per step, in the order of the table; NaN where not reported.
    values: [F32; STEP_CURVES],
    /// Whether the gradient was clipped.
    pub clipped: bool,
}

impl Sample {
    /// The value of a curve at this step; `None` for a curve without one value per step.
    pub fn value(&self, curve: Curve) -> Option<F32> {
        self.values.get(curve as usize).copied()
    }
}

/// The steps of a window. Curves with fewer values than the longest list have no values at the last steps.
#[derive(Debug, Clone, Copy)]
pub struct Steps<'a> {
    window: &'a StepWindow,
    lists: [&'a [F32]; STEP_CURVES],
    count: usize,
}

impl<'a> Steps<'a> {
    /// The steps of a window.
    pub fn of(window: &'a StepWindow) -> Self {
        let list = |at: usize| match CURVES[at].source {
            Source::Steps(values) => values(window),
            Source::Shared(_) | Source::Sampled(_) | Source::Epoch(_) | Source::Evaluation(_) => {
                &[]
            }
        };
        let lists: [&[F32]; STEP_CURVES] = std::array::from_fn(list);
        let count = lists.iter().map(|list| list.len()).fold(0, usize::max);
        Self {
            window,
            lists,
            count,
        }
    }

    /// Number of steps.
    pub fn count(&self) -> usize {
        self.count
    }

    /// The first step, counted from 1 over the run.
    pub fn first(&self) -> u64 {
        let before = self.window.global_step.saturating_sub(self.count as u64);
        before.saturating_add(1)
    }

    /// The values of the step at an index, from 0.
    pub fn sample(&self, at: usize) -> Sample {
        let missing = F32(f32::NAN);
        Sample {
            step: self.first().saturating_add(at as u64),
            values: self
                .lists
                .map(|list| list.get(at).copied().unwrap_or(missing)),
            clipped: self.window.clipped.get(at).is_some_and(|flag| *flag != 0),
        }
    }

    /// The values of a source of [`Source::Shared`] for each step; `None` where it is unknown.
    pub fn shared(
        &self,
        values: fn(&StepWindow) -> (&[F64], F64),
    ) -> impl Iterator<Item = Option<F64>> {
        let (values, last) = values(self.window);
        (0..self.count).map(move |at| match values {
            [] => (at + 1 == self.count).then_some(last),
            [all] => Some(*all),
            values => values.get(at).copied(),
        })
    }

    /// Values of consecutive steps with their step numbers, which a damaged journal can have up to the greatest number.
    pub fn numbered<T>(
        &self,
        values: impl IntoIterator<Item = T>,
    ) -> impl Iterator<Item = (u64, T)> {
        let first = self.first();
        let numbered = values.into_iter().zip(0_u64..);
        numbered.map(move |(value, at)| (first.saturating_add(at), value))
    }

    /// The value of a curve for the step at an index, from 0.
    pub fn value(&self, curve: Curve, at: usize) -> Option<f64> {
        match curve.info().source {
            Source::Steps(values) => values(self.window).get(at).map(|value| value.0.into()),
            Source::Shared(values) => self.shared(values).nth(at)?.map(|value| value.0),
            Source::Sampled(values) => {
                let step = self.first().saturating_add(at as u64);
                let here = values(self.window).iter().find(|(known, _)| *known == step);
                here.map(|(_, value)| value.0.into())
            }
            Source::Epoch(_) | Source::Evaluation(_) => None,
        }
    }

    /// The values of all steps, in order.
    pub fn samples(&self) -> impl Iterator<Item = Sample> {
        (0..self.count).map(|at| self.sample(at))
    }
}
