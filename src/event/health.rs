//! Results of the health checks of a training, and the reactions to them.

use serde::{Deserialize, Serialize};

use super::{F32, F64};

/// Ratio of a loss to that of guessing, from which the training counts as diverged. A network that is confidently wrong
/// for a while stays far below it.
const DIVERGED: f64 = 5.0;

/// The loss above which a training has diverged: a multiple of the loss of guessing, which is the logarithm of the
/// number of classes. Infinite without classes.
pub fn divergence_limit(classes: usize) -> f64 {
    if classes < 2 {
        f64::INFINITY
    } else {
        DIVERGED * (classes as f64).ln()
    }
}

/// A loss as text, with three decimals or, if it is large, with an exponent.
pub fn loss_words(value: f64) -> String {
    if value.abs() < 1e4 {
        format!("{value:.3}")
    } else {
        format!("{value:.1e}")
    }
}

/// A problem found by a health check.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "is")]
pub enum Finding {
    /// Steps whose loss, gradient or batch statistics were not finite. They did not change the weights.
    NonFinite {
        /// Number of consecutive non-finite steps so far.
        in_a_row: u64,
        /// The loss of the last of them.
        loss: F32,
        /// Its gradient norm.
        grad_norm: F32,
        /// The first layer whose output was not finite; `None` if all outputs were finite or the step could not be
        /// reproduced.
        layer: Option<String>,
    },
    /// A loss far above its running mean.
    Spike {
        /// The loss.
        loss: F32,
        /// The running mean before it.
        mean: F64,
    },
    /// Layers that do not learn because their share of the global gradient norm is almost zero.
    DeadGradient {
        /// The names of their parameters.
        layers: Vec<String>,
    },
}

/// The reaction of the trainer to a finding.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "did")]
pub enum Remedy {
    /// It only reported the finding.
    #[serde(rename = "told")]
    Reported,
    /// It paused until a user resumes the run.
    Paused,
    /// It restored an earlier state.
    RolledBack {
        /// The step of the restored state.
        global_step: u64,
        /// The new base learning rate.
        lr: F64,
    },
    /// It ended the run.
    Stopped,
}

/// A finding with its step and the reaction to it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Health {
    /// The step, counted from 1 over the run.
    pub global_step: u64,
    /// The problem.
    pub finding: Finding,
    /// The reaction.
    pub remedy: Remedy,
}

impl Health {
    /// The finding and the reaction as one line for the log.
    pub fn words(&self) -> String {
        let step = self.global_step;
        let finding = match &self.finding {
            Finding::NonFinite {
                in_a_row,
                loss,
                grad_norm,
                layer,
            } => {
                let rows = match in_a_row {
                    0 | 1 => format!("step {step} is not finite"),
                    n => format!("{n} steps in a row, up to {step}, are not finite"),
                };
                let only_statistics = loss.0.is_finite() && grad_norm.0.is_finite();
                let place = match layer {
                    Some(layer) => format!("first non-finite layer {layer}"),
                    None if only_statistics => "the batch statistics are not finite".to_owned(),
                    None => "all layer outputs are finite now".to_owned(),
                };
                format!(
                    "{rows}: loss {}, gradient norm {}, {place}",
                    loss.0, grad_norm.0
                )
            }
            Finding::Spike { loss, mean } => {
                format!(
                    "loss spike at step {step}: {} after a mean of {}",
                    loss_words(f64::from(loss.0)),
                    loss_words(mean.0)
                )
            }
            Finding::DeadGradient { layers } => {
                format!("no gradient reaches {} (step {step})", layers.join(", "))
            }
        };
        match &self.remedy {
            Remedy::Reported => finding,
            Remedy::Paused => format!("{finding}; paused"),
            Remedy::RolledBack { global_step, lr } => {
                format!(
                    "{finding}; back to step {global_step}, learning rate {:.2e}",
                    lr.0
                )
            }
            Remedy::Stopped => format!("{finding}; stopped"),
        }
    }
}

/// Norms of a parameter, its gradient and its update.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LayerNorms {
    /// Name of the parameter.
    pub name: String,
    /// L2 norm of its gradient before clipping.
    pub grad_norm: F32,
    /// L2 norm of the parameter.
    pub weight_norm: F32,
    /// L2 norm of its update in the step. About 1e-3 of `weight_norm` is healthy.
    pub update_norm: F32,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_contain_step_layer_and_remedy() {
        let health = |finding, remedy| {
            Health {
                global_step: 7,
                finding,
                remedy,
            }
            .words()
        };
        let bad = Finding::NonFinite {
            in_a_row: 5,
            loss: F32(f32::NAN),
            grad_norm: F32(f32::INFINITY),
            layer: Some("blocks.1.norm".to_owned()),
        };
        assert_eq!(
            health(bad, Remedy::Paused),
            "5 steps in a row, up to 7, are not finite: loss NaN, gradient norm inf, first non-finite layer blocks.1.norm; paused"
        );
        let spike = Finding::Spike {
            loss: F32(9.0),
            mean: F64(0.5),
        };
        let back = Remedy::RolledBack {
            global_step: 3,
            lr: F64(2e-3),
        };
        assert_eq!(
            health(spike, back),
            "loss spike at step 7: 9.000 after a mean of 0.500; back to step 3, learning rate 2.00e-3"
        );
        let dead = Finding::DeadGradient {
            layers: vec!["a".to_owned(), "b".to_owned()],
        };
        assert_eq!(
            health(dead, Remedy::Reported),
            "no gradient reaches a, b (step 7)"
        );
    }
}
