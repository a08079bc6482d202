//! Muon (Jordan et al. 2024): orthogonalised momentum for weight matrices, AdamW for all other parameters. The update
//! of a matrix then has about the same size in all directions, not only in the few that dominate the gradient.

use tch::{Kind, Tensor};

use super::adam::Adam;
use super::{Layout, Step};
use crate::config::OptimConfig;

/// Coefficients of the quintic Newton–Schulz iteration (Jordan et al. 2024). The polynomial is steep at zero and brings
/// singular values close to 1.
const QUINTIC: (f64, f64, f64) = (3.4445, -4.775, 2.0315);
const ITERATIONS: usize = 5;
/// Root mean square of AdamW's updates relative to the learning rate (Liu et al. 2025, "Muon is scalable for LLM
/// training"). Muon's updates are scaled to this size, so that both use the same learning rate.
const ADAMW_RMS: f64 = 0.2;

#[derive(Debug)]
pub(super) struct Muon {
    momentum: f64,
    nesterov: bool,
    /// Updates the parameters that are not matrices. For matrices its first moment stores Muon's momentum and its
    /// second moment stays 0, so the state is two flat tensors, as in checkpoints.
    rest: Adam,
}

impl Muon {
    pub(super) fn new(config: &OptimConfig, zeros: &dyn Fn() -> Tensor) -> Self {
        Self {
            momentum: config.momentum,
            nesterov: config.nesterov,
            rest: Adam::new(config, zeros),
        }
    }

    pub(super) fn tensors(&self) -> Vec<(&'static str, &Tensor)> {
        self.rest.tensors()
    }

    pub(super) fn step(&self, step: &Step<'_>) {
        match &step.group.layout {
            Layout::Elements => self.rest.step(step),
            Layout::Matrices(shapes) => {
                let means = step.group.views(&self.rest.mean);
                let all = step.parameters.iter().zip(&means).zip(&step.gradients);
                for ((own, gradient), &shape) in all.zip(shapes) {
                    self.step_matrix(own, gradient, shape, step);
                }
            }
        }
    }

    /// Updates `theta`, a flattened (rows, columns) matrix, and `mean`, its momentum.
    fn step_matrix(
        &self,
        (theta, mean): (&Tensor, &Tensor),
        gradient: &Tensor,
        (rows, columns): (i64, i64),
        step: &Step<'_>,
    ) {
        let gradient = gradient / step.scale;
        let next = gradient.lerp(mean, self.momentum);
        let ahead = if self.nesterov {
            gradient.lerp(&next, self.momentum)
        } else {
            next.shallow_clone()
        };
        let direction = orthogonal(&ahead.view([rows, columns]), step.kind).reshape([-1]);
        let length = step.lr * ADAMW_RMS * (rows.max(columns) as f64).sqrt();
        let moved = theta * (1.0 - step.lr * step.group.weight_decay) - direction * length;
        theta
            .shallow_clone()
            .copy_(&moved.where_self(step.ok, theta));
        mean.shallow_clone().copy_(&next.where_self(step.ok, mean));
    }
}

/// Approximately the nearest matrix with orthonormal rows or columns: its singular values are between about 0.7 and
/// 1.2. The iteration tolerates the rounding errors of bf16.
fn orthogonal(matrix: &Tensor, kind: Kind) -> Tensor {
    let (a, b, c) = QUINTIC;
    let is_tall = matrix.size2().is_ok_and(|(rows, columns)| rows > columns);
    let wide = if is_tall {
        matrix.tr()
    } else {
        matrix.shallow_clone()
    };
    let mut x = (&wide / wide.norm().clamp_min(1e-7)).to_kind(kind);
    for _ in 0..ITERATIONS {
        let gram = x.matmul(&x.tr());
        let polynomial = &gram * b + gram.matmul(&gram) * c;
        x = &x * a + polynomial.matmul(&x);
    }
    let x = x.to_kind(Kind::Float);
    if is_tall { x.tr() } else { x }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn singular_values_are_near_one_and_a_zero_matrix_stays_zero() {
        tch::manual_seed(1);
        for size in [[6, 20], [20, 6], [8, 8]] {
            let x = Tensor::randn(size, (Kind::Float, tch::Device::Cpu));
            let (_, values, _) = orthogonal(&x, Kind::Float).svd(true, false);
            let (least, most) = (
                values.min().double_value(&[]),
                values.max().double_value(&[]),
            );
            assert!(
                (0.5..1.3).contains(&least) && (0.5..1.3).contains(&most),
                "{least} {most}"
            );
        }
        let zero = Tensor::zeros([3, 4], (Kind::Float, tch::Device::Cpu));
        assert_eq!(
            orthogonal(&zero, Kind::Float).abs().max().double_value(&[]),
            0.0
        );
    }
}
