//! What the network is made of: layers with their shapes and parameters, without a tensor.

use super::drawing::Drawing;
use crate::config::{Head, ModelConfig, Padding};
use crate::event::DatasetInfo;

/// Channels, height and width of what flows between layers; height and width are 1 after pooling over all positions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shape {
    /// Features at each position.
    pub channels: i64,
    /// Positions from top to bottom.
    pub height: i64,
    /// Positions from left to right.
    pub width: i64,
}

impl Shape {
    /// Numbers for one image.
    pub fn size(self) -> i64 {
        self.channels * self.height * self.width
    }
}

/// A trainable tensor.
#[derive(Debug, Clone, PartialEq)]
pub struct Parameter {
    /// Its name in `model.safetensors`, as a PyTorch module with the same attributes would call it.
    pub name: String,
    /// Its sizes, as PyTorch has them.
    pub shape: Vec<i64>,
    /// Whether weight decay applies: not to biases and norms.
    pub decay: bool,
    /// How it begins.
    pub init: Init,
}

impl Parameter {
    /// Numbers in it.
    pub fn size(&self) -> i64 {
        self.shape.iter().product()
    }
}

/// How a parameter begins.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Init {
    /// Normal with this deviation (He et al. 2015 for layers before a ReLU: √(2/fan-in)).
    Normal(f64),
    /// Uniform in ± this bound (1/√fan-in for the last layers, as PyTorch's `Linear`).
    Uniform(f64),
    /// The same everywhere.
    Constant(f64),
}

/// What a layer computes. Numbers are indices into the plan's parameters and norms.
#[derive(Debug, Clone, PartialEq)]
pub enum Op {
    /// Convolution with stride 1 and this padding, without bias (batch norm follows).
    Conv {
        /// Index of the weight (out, in, k, k).
        weight: usize,
        /// Zeros added on each side.
        padding: i64,
    },
    /// Batch norm (Ioffe & Szegedy 2015): index of the scale (the shift is next to it), and which norm.
    Norm {
        /// Index of the scale.
        weight: usize,
        /// Which running statistics.
        norm: usize,
    },
    /// max(0, x).
    Relu,
    /// Largest of each 2×2.
    MaxPool,
    /// Keeps its input for the layer `AddSaved`.
    Save,
    /// Adds what `Save` kept.
    AddSaved,
    /// Mean over all positions.
    Gap,
    /// All numbers of an image in one row.
    Flatten,
    /// Zeroes features at random while training.
    Dropout(f64),
    /// Matrix and bias (next to it).
    Linear {
        /// Index of the weight (out, in).
        weight: usize,
    },
}

impl Op {
    /// Indices of its parameters in the plan.
    pub fn parameters(&self) -> Vec<usize> {
        match *self {
            Self::Linear { weight } | Self::Norm { weight, .. } => vec![weight, weight + 1],
            Self::Conv { weight, .. } => vec![weight],
            Self::Relu
            | Self::MaxPool
            | Self::Save
            | Self::AddSaved
            | Self::Gap
            | Self::Flatten
            | Self::Dropout(_) => Vec::new(),
        }
    }
}

/// A layer of the plan.
#[derive(Debug, Clone, PartialEq)]
pub struct Layer {
    /// Name for people, such as `blocks.0.conv`.
    pub name: String,
    /// What it computes.
    pub op: Op,
    /// What comes out.
    pub output: Shape,
    /// Trainable numbers in it.
    pub parameters: i64,
}

/// One convolution block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Block {
    /// Channels that come out.
    pub channels: i64,
    /// Side of the kernel.
    pub kernel: i64,
    /// Whether a 2×2 max-pool follows.
    pub pool: bool,
    /// Whether a residual block of two 3×3 convolutions follows (He et al. 2016).
    pub residual: bool,
}

/// How features become logits.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct HeadPlan {
    /// Over all positions or over their mean.
    pub kind: Head,
    /// Width of the hidden layer of the `flatten` head; 0 for none.
    pub hidden: i64,
    /// Probability of dropping a feature before the last layer.
    pub dropout: f64,
}

/// The whole network on paper.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Plan {
    /// In order of computation.
    pub layers: Vec<Layer>,
    /// In the order of the flat buffer.
    pub parameters: Vec<Parameter>,
    /// Name and channels of each batch norm.
    pub norms: Vec<(String, i64)>,
}

impl Plan {
    /// The network of a configuration for images of this data set.
    ///
    /// # Errors
    /// Which layer does not fit the images, and what to change.
    pub fn of(config: &ModelConfig, data: &DatasetInfo) -> Result<Self, String> {
        let last = config.channels.len().saturating_sub(1);
        let blocks: Vec<Block> = config
            .channels
            .iter()
            .enumerate()
            .map(|(i, &channels)| Block {
                channels,
                kernel: if i == 0 { config.first_kernel } else { 3 },
                pool: i < last,
                residual: config.residual,
            })
            .collect();
        let head = HeadPlan {
            kind: config.head,
            hidden: config.hidden,
            dropout: config.dropout,
        };
        let input = Shape {
            channels: data.channels.into(),
            height: data.height.into(),
            width: data.width.into(),
        };
        Self::from_blocks(
            input,
            &blocks,
            config.padding == Padding::Same,
            head,
            data.classes.len() as i64,
        )
    }

    /// The network of these blocks and this head.
    pub fn from_blocks(
        input: Shape,
        blocks: &[Block],
        same: bool,
        head: HeadPlan,
        classes: i64,
    ) -> Result<Self, String> {
        let mut drawing = Drawing::new(input);
        for (i, block) in blocks.iter().enumerate() {
            drawing.block(&format!("blocks.{i}"), *block, same)?;
        }
        drawing.head(head, classes);
        Ok(drawing.finish())
    }

    /// Trainable numbers in all.
    pub fn size(&self) -> i64 {
        self.parameters.iter().map(Parameter::size).sum()
    }

    /// Trainable numbers in layers that connect everything with everything.
    pub fn dense_size(&self) -> i64 {
        self.layers
            .iter()
            .filter(|layer| matches!(layer.op, Op::Linear { .. }))
            .map(|layer| layer.parameters)
            .sum()
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failed unwrap is the test's failure")]
    use super::*;
    use crate::config::Config;

    const GAP: HeadPlan = HeadPlan {
        kind: Head::Gap,
        hidden: 128,
        dropout: 0.0,
    };
    const FLATTEN: HeadPlan = HeadPlan {
        kind: Head::Flatten,
        hidden: 128,
        dropout: 0.0,
    };
    const INPUT: Shape = Shape {
        channels: 1,
        height: 28,
        width: 28,
    };

    fn fashion() -> DatasetInfo {
        DatasetInfo {
            channels: 1,
            height: 28,
            width: 28,
            classes: vec![String::new(); 10],
            ..DatasetInfo::default()
        }
    }

    fn textbook(head: HeadPlan) -> Plan {
        let block = |channels, kernel, pool| Block {
            channels,
            kernel,
            pool,
            residual: false,
        };
        let blocks = [block(32, 5, true), block(64, 3, true), block(128, 3, false)];
        Plan::from_blocks(INPUT, &blocks, true, head, 10).unwrap()
    }

    #[test]
    fn the_default_network_has_483_thousand_parameters() {
        let plan = Plan::of(&Config::default().model, &fashion()).unwrap();
        assert_eq!(plan.size(), 482_666);
    }

    #[test]
    fn two_5x5_blocks_without_padding_leave_4x4() {
        let block = |channels| Block {
            channels,
            kernel: 5,
            pool: true,
            residual: false,
        };
        let plan = Plan::from_blocks(INPUT, &[block(20), block(50)], false, FLATTEN, 10).unwrap();
        let shapes: Vec<_> = plan
            .layers
            .iter()
            .map(|layer| (layer.output.height, layer.output.width))
            .collect();
        assert!(
            shapes.contains(&(24, 24)) && shapes.contains(&(12, 12)) && shapes.contains(&(8, 8))
        );
        let last_pool = plan
            .layers
            .iter()
            .rfind(|layer| layer.op == Op::MaxPool)
            .unwrap();
        assert_eq!(
            last_pool.output,
            Shape {
                channels: 50,
                height: 4,
                width: 4
            }
        );
    }

    #[test]
    fn a_pool_drops_three_quarters_of_the_positions_and_keeps_every_channel() {
        let plan = textbook(GAP);
        for pair in plan
            .layers
            .windows(2)
            .filter(|pair| pair[1].op == Op::MaxPool)
        {
            let (before, after) = (pair[0].output, pair[1].output);
            assert_eq!(after.height * after.width * 4, before.height * before.width);
            assert_eq!(after.channels, before.channels);
        }
    }

    #[test]
    fn flatten_puts_85_percent_into_dense_layers_and_gap_cuts_them() {
        let (flatten, gap) = (textbook(FLATTEN), textbook(GAP));
        assert!(
            flatten.dense_size() * 100 > flatten.size() * 85,
            "{} of {}",
            flatten.dense_size(),
            flatten.size()
        );
        // Without the hidden layer both heads are one matrix, and the cut is the number of positions, 7 × 7.
        let direct = textbook(HeadPlan {
            hidden: 0,
            ..FLATTEN
        });
        let cut = direct.dense_size() as f64 / gap.dense_size() as f64;
        assert!((10.0..100.0).contains(&cut), "{cut}");
    }

    #[test]
    fn an_image_too_small_for_the_network_is_told_before_a_tensor_exists() {
        let tiny = DatasetInfo {
            height: 3,
            width: 3,
            ..fashion()
        };
        let error = Plan::of(&Config::default().model, &tiny).unwrap_err();
        assert!(error.contains("model.channels"), "{error}");
    }
}
