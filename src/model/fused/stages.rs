//! Division of a plan into stages: a convolution, its batch norm, and the skip addition, ReLU and pooling that follow.

use crate::model::plan::{Layer, Op, Plan};

/// The pooling after the ReLU.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pool {
    None,
    /// 2×2 max-pooling.
    Maximum,
    /// Global average pooling.
    Mean,
}

/// A stage: convolution, batch norm, optional skip addition, ReLU, optional pooling.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stage {
    /// Whether the input is saved for a later skip addition.
    pub(super) save: bool,
    /// Index of the convolution's weight in the plan's parameters.
    pub(super) weight: usize,
    /// Side length of the kernel.
    pub(super) kernel: i64,
    /// Number of output channels.
    pub(super) channels: i64,
    /// Number of zeros added on each side of the input.
    pub(super) padding: i64,
    /// Index of γ in the plan's parameters; β has the next index.
    pub(super) scale: usize,
    /// Index of the batch norm in the plan's norms.
    pub(super) norm: usize,
    /// Whether the saved activation is added before the ReLU.
    pub(super) add: bool,
    pub(super) pool: Pool,
}

/// The stages at the start of a plan, and the index of the first layer after them. `None` if there are none, or if a
/// skip addition is not supported: it must have the same shape as its operand and must not be followed by max-pooling.
pub(super) fn of(plan: &Plan) -> Option<(Vec<Stage>, usize)> {
    let mut stages = Vec::new();
    let mut at = 0;
    while let Some((stage, next)) = stage(plan, at) {
        stages.push(stage);
        at = next;
    }
    // The stages must be followed by a head, and every saved activation must have been added.
    let open = stages.iter().filter(|stage| stage.save).count()
        != stages.iter().filter(|stage| stage.add).count();
    (!stages.is_empty() && !open && at < plan.layers.len()).then_some((stages, at))
}

fn stage(plan: &Plan, at: usize) -> Option<(Stage, usize)> {
    let op = |i: usize| plan.layers.get(i).map(|layer: &Layer| &layer.op);
    let mut at = at;
    let save = op(at) == Some(&Op::Save);
    at += usize::from(save);
    let Op::Conv { weight, padding } = *op(at)? else {
        return None;
    };
    let Op::Norm {
        weight: scale,
        norm,
    } = *op(at + 1)?
    else {
        return None;
    };
    at += 2;
    let add = op(at) == Some(&Op::AddSaved);
    at += usize::from(add);
    if op(at) != Some(&Op::Relu) {
        return None;
    }
    let pool = match op(at + 1) {
        Some(Op::MaxPool) if add => return None,
        Some(Op::MaxPool) => Pool::Maximum,
        Some(Op::Gap) => Pool::Mean,
        _ => Pool::None,
    };
    at += 1 + usize::from(pool != Pool::None);
    let &[channels, _, kernel, _] = plan.parameters.get(weight)?.shape.as_slice() else {
        return None;
    };
    let stage = Stage {
        save,
        weight,
        kernel,
        channels,
        padding,
        scale,
        norm,
        add,
        pool,
    };
    Some((stage, at))
}

/// Indices of the parameters of all layers from `from`.
pub(super) fn parameters_of(plan: &Plan, from: usize) -> Vec<usize> {
    let layers = plan.layers.iter().skip(from);
    layers.flat_map(|layer| layer.op.parameters()).collect()
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failed unwrap is the test's failure")]
    use super::Pool::{Maximum, Mean};
    use super::*;
    use crate::config::{Config, Head};
    use crate::event::DatasetInfo;

    fn plan(change: impl Fn(&mut Config)) -> Plan {
        let info = DatasetInfo {
            channels: 1,
            height: 28,
            width: 28,
            classes: vec![String::new(); 10],
            ..DatasetInfo::default()
        };
        let mut config = Config::default();
        change(&mut config);
        Plan::of(&config.model, &info).unwrap()
    }

    #[test]
    fn default_network_has_nine_stages_and_a_linear_layer() {
        let plan = plan(|_| {});
        let (stages, head) = of(&plan).unwrap();
        let pools: Vec<Pool> = stages.iter().map(|stage| stage.pool).collect();
        assert_eq!(
            pools,
            [
                Maximum,
                Pool::None,
                Pool::None,
                Maximum,
                Pool::None,
                Pool::None,
                Pool::None,
                Pool::None,
                Mean
            ]
        );
        assert_eq!(
            stages
                .iter()
                .filter(|stage| stage.save && !stage.add)
                .count(),
            3
        );
        assert!(
            plan.layers[head..]
                .iter()
                .any(|layer| matches!(layer.op, Op::Linear { .. }))
        );
        assert_eq!(parameters_of(&plan, head).len(), 2);
    }

    #[test]
    fn flatten_head_has_no_pooling_before_it() {
        let plan = plan(|config| config.model.head = Head::Flatten);
        let (stages, head) = of(&plan).unwrap();
        assert_eq!(stages.last().unwrap().pool, Pool::None);
        assert_eq!(plan.layers[head].op, Op::Flatten);
    }
}
