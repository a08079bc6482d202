//! The steps of a window, one by one, with the values of the curves that have one for each.

use serde::{Deserialize, Serialize};

use super::curves::{CURVES, Curve, STEP_CURVES, Source};
use crate::event::{F32, StepWindow};

/// One step, exactly.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Sample {
    /// Counted from 1 over the run.
    pub step: u64,
    /// The value of each curve that has one for each step, in the order of the table; NaN where it was not reported.
    values: [F32; STEP_CURVES],
    /// Whether the gradient was scaled down.
    pub clipped: bool,
}

impl Sample {
    /// The value of a curve at this step; none of a curve that has no value for each step.
    pub fn value(&self, curve: Curve) -> Option<F32> {
        self.values.get(curve as usize).copied()
    }
}

/// The steps of a window. Lists that are shorter than the longest have no values for the last steps.
#[derive(Debug, Clone, Copy)]
pub struct Steps<'a> {
    window: &'a StepWindow,
    lists: [&'a [F32]; STEP_CURVES],
    count: usize,
}

impl<'a> Steps<'a> {
    /// Those of a window.
    pub fn of(window: &'a StepWindow) -> Self {
        let list = |at: usize| match CURVES[at].source {
            Source::Steps(values) => values(window),
            Source::Window(_) | Source::Sampled(_) | Source::Epoch(_) => &[],
        };
        let lists: [&[F32]; STEP_CURVES] = std::array::from_fn(list);
        let count = lists.iter().map(|list| list.len()).fold(0, usize::max);
        Self {
            window,
            lists,
            count,
        }
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.count
    }

    /// The first one, counted from 1 over the run.
    pub fn first(&self) -> u64 {
        let before = self.window.global_step.saturating_sub(self.count as u64);
        before.saturating_add(1)
    }

    /// The numbers of the step at a place, from 0.
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

    /// What the window has of a curve for the step at a place. The value of a whole window is that of each of its steps.
    pub fn value(&self, curve: Curve, at: usize) -> Option<f64> {
        match curve.info().source {
            Source::Steps(values) => values(self.window).get(at).map(|value| value.0.into()),
            Source::Window(value) => Some(value(self.window).0),
            Source::Sampled(values) => {
                let step = self.first().saturating_add(at as u64);
                let here = values(self.window).iter().find(|(known, _)| *known == step);
                here.map(|(_, value)| value.0.into())
            }
            Source::Epoch(_) => None,
        }
    }

    /// The numbers of every step, in order.
    pub fn samples(&self) -> impl Iterator<Item = Sample> {
        (0..self.count).map(|at| self.sample(at))
    }
}
