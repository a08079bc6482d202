//! Muon (Jordan et al. 2024): momentum whose step is made orthogonal, for weights that are matrices. Every direction of a
//! layer is then moved alike, not only the few that dominate its gradient; far fewer epochs bring the same.

use tch::{Kind, Tensor};

/// Coefficients of the quintic Newton–Schulz iteration (Jordan et al. 2024): steep at zero, settling around 1.
const QUINTIC: (f64, f64, f64) = (3.4445, -4.775, 2.0315);
const ITERATIONS: usize = 5;
/// Size of a step relative to that of AdamW, so that both take the same learning rate: the root mean square of AdamW's steps
/// (Liu et al. 2025, "Muon is scalable for LLM training").
const LIKE_ADAMW: f64 = 0.2;

/// One step of a matrix and of what the momentum remembers of it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Muon {
    pub(super) lr: f64,
    pub(super) momentum: f64,
    pub(super) nesterov: bool,
    pub(super) weight_decay: f64,
    /// Numbers the iteration computes with; it forgives the rounding of bf16.
    pub(super) kind: Kind,
}

impl Muon {
    /// Moves `theta`, a flat matrix of so many rows and columns, along `gradient / scale`, and `mean`, the running mean of
    /// gradients. Where `ok` is false nothing changes.
    pub(super) fn step(
        self,
        (theta, mean): (&Tensor, &Tensor),
        gradient: &Tensor,
        (rows, columns): (i64, i64),
        (scale, ok): (&Tensor, &Tensor),
    ) {
        let gradient = gradient / scale;
        let next = gradient.lerp(mean, self.momentum);
        let ahead = if self.nesterov {
            gradient.lerp(&next, self.momentum)
        } else {
            next.shallow_clone()
        };
        let direction = orthogonal(&ahead.view([rows, columns]), self.kind).reshape([-1]);
        let length = self.lr * LIKE_ADAMW * (rows.max(columns) as f64).sqrt();
        let moved = theta * (1.0 - self.lr * self.weight_decay) - direction * length;
        theta.shallow_clone().copy_(&moved.where_self(ok, theta));
        mean.shallow_clone().copy_(&next.where_self(ok, mean));
    }
}

/// Roughly the nearest matrix with orthogonal rows or columns: its singular values lie between about 0.7 and 1.2.
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
    fn singular_values_end_near_one_and_a_zero_stays_zero() {
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
