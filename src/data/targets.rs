//! What a network is trained to predict for a batch.

use tch::Tensor;

/// The targets of a batch of N images.
#[derive(Debug)]
pub struct Targets {
    /// The class of each image, i64 (N).
    pub labels: Tensor,
    /// The second class of each image under mixup and `CutMix`.
    pub mixed: Option<Mixed>,
}

/// The second class of each image, and the share of the first.
#[derive(Debug)]
pub struct Mixed {
    /// i64 (N).
    pub labels: Tensor,
    /// The share of the first class, 0 to 1.
    pub share: f64,
}

impl Targets {
    /// The targets of `length` images from `start`.
    #[must_use]
    pub fn narrow(&self, start: i64, length: i64) -> Self {
        let part = |labels: &Tensor| labels.narrow(0, start, length);
        let mixed = self.mixed.as_ref().map(|mixed| Mixed {
            labels: part(&mixed.labels),
            share: mixed.share,
        });
        Self {
            labels: part(&self.labels),
            mixed,
        }
    }

    /// The loss of these targets, given that of labels. It is linear in the target distribution, so that of two classes is
    /// the mean of the losses of both, weighted by their shares (Zhang et al. 2018, section 3).
    pub fn loss(&self, of: impl Fn(&Tensor) -> Tensor) -> Tensor {
        match &self.mixed {
            None => of(&self.labels),
            Some(mixed) => of(&self.labels) * mixed.share + of(&mixed.labels) * (1.0 - mixed.share),
        }
    }
}

impl From<&Tensor> for Targets {
    fn from(labels: &Tensor) -> Self {
        Self {
            labels: labels.shallow_clone(),
            mixed: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tch::Reduction;

    /// ```python
    /// logits = torch.tensor([[0.2, -1.0, 0.7], [1.5, 0.1, -0.4]])
    /// mixed = torch.tensor([[0.3, 0.0, 0.7], [0.7, 0.0, 0.3]])
    /// torch.nn.functional.cross_entropy(logits, mixed, label_smoothing=0.1)   # 0.8734197616577148
    /// ```
    #[test]
    fn loss_of_mixed_labels_equals_that_of_pytorch_for_probabilities() {
        let logits = Tensor::from_slice(&[0.2_f32, -1.0, 0.7, 1.5, 0.1, -0.4]).view([2, 3]);
        let labels = Tensor::from_slice(&[0_i64, 2]);
        let targets = Targets {
            mixed: Some(Mixed {
                labels: labels.roll([1], [0]),
                share: 0.3,
            }),
            labels,
        };
        let loss = targets.loss(|labels| {
            logits.cross_entropy_loss(labels, None::<Tensor>, Reduction::Mean, -100, 0.1)
        });
        let found = loss.double_value(&[]);
        assert!((found - 0.873_419_761_657_714_8).abs() < 1e-6, "{found}");
        let part = targets.narrow(1, 1);
        let second = part.mixed.map(|mixed| mixed.labels.int64_value(&[0]));
        assert_eq!((part.labels.int64_value(&[0]), second), (2, Some(0)));
    }
}
