//! The plan of a network: its layers with their shapes and parameters, without tensors.

use super::drawing::PlanBuilder;
use crate::config::{Head, ModelConfig, Padding};
use crate::event::DatasetInfo;

/// Shape of an activation of one image. Height and width are 1 after global pooling or flattening.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shape {
    /// Number of channels.
    pub channels: i64,
    /// Number of rows.
    pub height: i64,
    /// Number of columns.
    pub width: i64,
}

impl Shape {
    /// Number of elements.
    pub fn size(self) -> i64 {
        self.channels * self.height * self.width
    }
}

/// A trainable tensor.
#[derive(Debug, Clone, PartialEq)]
pub struct Parameter {
    /// Its name in `model.safetensors`, as a PyTorch module with the same attributes would call it.
    pub name: String,
    /// Its shape, as in PyTorch.
    pub shape: Vec<i64>,
    /// Whether weight decay applies; false for biases and batch norms.
    pub decay: bool,
    /// Its initialisation.
    pub init: Init,
}

impl Parameter {
    /// Number of elements.
    pub fn size(&self) -> i64 {
        self.shape.iter().product()
    }
}

/// Initialisation of a parameter.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Init {
    /// Normal with mean 0 and this standard deviation (He et al. 2015 for layers before a ReLU: √(2/fan-in)).
    Normal(f64),
    /// Uniform in ± this bound (1/√fan-in for the last layers, as in PyTorch's `Linear`).
    Uniform(f64),
    /// This value for all elements.
    Constant(f64),
}

/// The operation of a layer. Its fields are indices into the plan's parameters and norms.
#[derive(Debug, Clone, PartialEq)]
pub enum Op {
    /// Convolution with stride 1, without bias, as batch norm follows.
    Conv {
        /// Index of the weight (out, in, k, k).
        weight: usize,
        /// Number of zeros added on each side.
        padding: i64,
    },
    /// Batch norm (Ioffe & Szegedy 2015).
    Norm {
        /// Index of the scale γ; the shift β has the next index.
        weight: usize,
        /// Index of its running statistics.
        norm: usize,
    },
    /// max(0, x).
    Relu,
    /// 2×2 max-pooling with stride 2.
    MaxPool,
    /// Start of a skip connection: stores its input for `AddSaved`.
    Save,
    /// End of a skip connection: adds the activation that `Save` stored.
    AddSaved,
    /// Global average pooling: the mean over all positions.
    Gap,
    /// Flattens (C, H, W) to one dimension.
    Flatten,
    /// Dropout with this probability, in training only.
    Dropout(f64),
    /// Linear layer with bias.
    Linear {
        /// Index of the weight (out, in); the bias has the next index.
        weight: usize,
    },
}

impl Op {
    /// Indices of the layer's parameters in the plan.
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
    /// Its display name, such as `blocks.0.conv`.
    pub name: String,
    /// Its operation.
    pub op: Op,
    /// Its output shape.
    pub output: Shape,
    /// Its parameter count.
    pub parameters: i64,
}

/// One convolution block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Block {
    /// Number of output channels.
    pub channels: i64,
    /// Side length of the kernel.
    pub kernel: i64,
    /// Whether a 2×2 max-pool follows.
    pub pool: bool,
    /// Whether a residual block of two 3×3 convolutions follows (He et al. 2016).
    pub residual: bool,
}

/// The head of a network, which computes logits from features.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct HeadPlan {
    /// Whether features are averaged over all positions or flattened.
    pub kind: Head,
    /// Number of hidden features of the `flatten` head; 0 for no hidden layer.
    pub hidden: i64,
    /// Probability of dropping a feature before the last layer.
    pub dropout: f64,
}

/// The architecture of a network.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Plan {
    /// Layers in order of computation.
    pub layers: Vec<Layer>,
    /// Parameters in the order of the flat buffer.
    pub parameters: Vec<Parameter>,
    /// Name and number of channels of each batch norm.
    pub norms: Vec<(String, i64)>,
}

impl Plan {
    /// The network of a configuration for the images of a dataset.
    ///
    /// # Errors
    /// If a layer does not fit the images; the message names the layer and the settings to change.
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

    /// The greatest size in bytes of a file of tensors in a checkpoint of this network. A larger one is not read: it would
    /// take memory only to be refused.
    pub fn file_limit(&self) -> u64 {
        const HEADER: u64 = 16 << 20;
        // An f32 for the weight, for its average and for the optimizer's state, twice what any optimizer has.
        const BYTES_PER_VALUE: u64 = 8 * 4;
        let parameters = self.parameters.iter().map(Parameter::size);
        let norms = self.norms.iter().map(|(_, channels)| 2 * channels);
        let values: i64 = parameters.chain(norms).sum();
        HEADER.saturating_add(BYTES_PER_VALUE.saturating_mul(values.max(0) as u64))
    }

    /// The network with these blocks and this head. `same`: zero padding preserves height and width.
    ///
    /// # Errors
    /// As for [`of`](Self::of).
    pub fn from_blocks(
        input: Shape,
        blocks: &[Block],
        same: bool,
        head: HeadPlan,
        classes: i64,
    ) -> Result<Self, String> {
        let mut builder = PlanBuilder::new(input);
        for (i, block) in blocks.iter().enumerate() {
            builder.block(&format!("blocks.{i}"), *block, same)?;
        }
        builder.head(head, classes);
        Ok(builder.finish())
    }

    /// Total parameter count.
    pub fn size(&self) -> i64 {
        self.parameters.iter().map(Parameter::size).sum()
    }

    /// Parameter count of the dense (linear) layers.
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
    fn default_network_has_483_thousand_parameters() {
        let plan = Plan::of(&Config::default().model, &fashion()).unwrap();
        assert_eq!(plan.size(), 482_666);
    }

    #[test]
    fn two_5x5_blocks_without_padding_output_4x4() {
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
    fn pool_quarters_the_positions_and_preserves_the_channels() {
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
    fn flatten_head_has_85_percent_dense_parameters_and_gap_head_far_fewer() {
        let (flatten, gap) = (textbook(FLATTEN), textbook(GAP));
        assert!(
            flatten.dense_size() * 100 > flatten.size() * 85,
            "{} of {}",
            flatten.dense_size(),
            flatten.size()
        );
        // Without the hidden layer both heads are one matrix, and their ratio is the number of positions, 7 × 7.
        let direct = textbook(HeadPlan {
            hidden: 0,
            ..FLATTEN
        });
        let ratio = direct.dense_size() as f64 / gap.dense_size() as f64;
        assert!((10.0..100.0).contains(&ratio), "{ratio}");
    }

    #[test]
    fn too_small_images_are_an_error() {
        let tiny = DatasetInfo {
            height: 3,
            width: 3,
            ..fashion()
        };
        let error = Plan::of(&Config::default().model, &tiny).unwrap_err();
        assert!(error.contains("model.channels"), "{error}");
    }
}
