//! Building a plan layer by layer. The output shape of each layer determines the parameters of the next.

use super::plan::{Block, HeadPlan, Init, Layer, Op, Parameter, Plan, Shape};
use crate::config::Head;

/// A plan under construction and the output shape of its last layer.
pub(super) struct PlanBuilder {
    plan: Plan,
    shape: Shape,
}

impl PlanBuilder {
    /// An empty plan for inputs of this shape.
    pub(super) fn new(input: Shape) -> Self {
        Self {
            plan: Plan::default(),
            shape: input,
        }
    }

    /// The complete plan.
    pub(super) fn finish(self) -> Plan {
        self.plan
    }

    fn layer(&mut self, name: &str, op: Op, parameters: i64) {
        self.plan.layers.push(Layer {
            name: name.to_owned(),
            op,
            output: self.shape,
            parameters,
        });
    }

    fn parameter(&mut self, name: String, shape: &[i64], decay: bool, init: Init) -> usize {
        self.plan.parameters.push(Parameter {
            name,
            shape: shape.to_vec(),
            decay,
            init,
        });
        self.plan.parameters.len() - 1
    }

    /// Adds a convolution block. `same`: zero padding preserves height and width.
    ///
    /// # Errors
    /// If a convolution or pool does not fit its input.
    pub(super) fn block(&mut self, name: &str, block: Block, same: bool) -> Result<(), String> {
        let padding = if same { block.kernel / 2 } else { 0 };
        self.conv(
            &format!("{name}.conv"),
            block.channels,
            block.kernel,
            padding,
        )?;
        self.norm(&format!("{name}.norm"), 1.0);
        self.layer(&format!("{name}.relu"), Op::Relu, 0);
        if block.pool {
            self.pool(&format!("{name}.pool"))?;
        }
        if block.residual {
            self.residual(&format!("{name}.residual"), block.channels)?;
        }
        Ok(())
    }

    /// Adds two convolutions with a skip connection. The scale of the second norm is initialised to 0, so that the
    /// block starts as the identity (Goyal et al. 2017).
    fn residual(&mut self, name: &str, channels: i64) -> Result<(), String> {
        self.layer(&format!("{name}.save"), Op::Save, 0);
        self.conv(&format!("{name}.conv1"), channels, 3, 1)?;
        self.norm(&format!("{name}.norm1"), 1.0);
        self.layer(&format!("{name}.relu1"), Op::Relu, 0);
        self.conv(&format!("{name}.conv2"), channels, 3, 1)?;
        self.norm(&format!("{name}.norm2"), 0.0);
        self.layer(&format!("{name}.add"), Op::AddSaved, 0);
        self.layer(&format!("{name}.relu2"), Op::Relu, 0);
        Ok(())
    }

    fn conv(&mut self, name: &str, channels: i64, kernel: i64, padding: i64) -> Result<(), String> {
        let before = self.shape;
        let shrink = kernel - 1 - 2 * padding;
        self.shape = Shape {
            channels,
            height: before.height - shrink,
            width: before.width - shrink,
        };
        if self.shape.height < 1 || self.shape.width < 1 {
            return Err(format!(
                "{name}: a {kernel}×{kernel} kernel does not fit its input of {}×{}: \
                 use fewer model.channels, a smaller model.first_kernel or model.padding = \"same\"",
                before.height, before.width
            ));
        }
        let fan_in = before.channels * kernel * kernel;
        let init = Init::Normal((2.0 / fan_in as f64).sqrt());
        let shape = [channels, before.channels, kernel, kernel];
        let weight = self.parameter(format!("{name}.weight"), &shape, true, init);
        self.layer(name, Op::Conv { weight, padding }, channels * fan_in);
        Ok(())
    }

    fn norm(&mut self, name: &str, scale: f64) {
        let channels = self.shape.channels;
        let weight = self.parameter(
            format!("{name}.weight"),
            &[channels],
            false,
            Init::Constant(scale),
        );
        self.parameter(
            format!("{name}.bias"),
            &[channels],
            false,
            Init::Constant(0.0),
        );
        self.plan.norms.push((name.to_owned(), channels));
        self.layer(
            name,
            Op::Norm {
                weight,
                norm: self.plan.norms.len() - 1,
            },
            2 * channels,
        );
    }

    fn pool(&mut self, name: &str) -> Result<(), String> {
        let before = self.shape;
        self.shape = Shape {
            height: before.height / 2,
            width: before.width / 2,
            ..before
        };
        if self.shape.height < 1 || self.shape.width < 1 {
            return Err(format!(
                "{name}: its input of {}×{} is too small to pool: use fewer model.channels",
                before.height, before.width
            ));
        }
        self.layer(name, Op::MaxPool, 0);
        Ok(())
    }

    /// Adds the head, which computes logits from features.
    pub(super) fn head(&mut self, head: HeadPlan, classes: i64) {
        let features = match head.kind {
            Head::Gap => Shape {
                height: 1,
                width: 1,
                ..self.shape
            },
            Head::Flatten => Shape {
                channels: self.shape.size(),
                height: 1,
                width: 1,
            },
        };
        self.shape = features;
        match head.kind {
            Head::Gap => self.layer("head.gap", Op::Gap, 0),
            Head::Flatten => self.layer("head.flatten", Op::Flatten, 0),
        }
        if head.kind == Head::Flatten && head.hidden > 0 {
            self.linear("head.hidden", head.hidden);
            self.layer("head.relu", Op::Relu, 0);
        }
        if head.dropout > 0.0 {
            self.layer("head.dropout", Op::Dropout(head.dropout), 0);
        }
        self.linear("head.logits", classes);
    }

    fn linear(&mut self, name: &str, out: i64) {
        let fan_in = self.shape.channels;
        let bound = 1.0 / (fan_in as f64).sqrt();
        let weight = self.parameter(
            format!("{name}.weight"),
            &[out, fan_in],
            true,
            Init::Uniform(bound),
        );
        self.parameter(format!("{name}.bias"), &[out], false, Init::Uniform(bound));
        self.shape = Shape {
            channels: out,
            height: 1,
            width: 1,
        };
        self.layer(name, Op::Linear { weight }, out * fan_in + out);
    }
}
