//! A non-finite step changes neither weights nor optimizer state; gradient clipping; gradient accumulation.

use epochtop::config::Config;
use epochtop::event::DatasetInfo;
use epochtop::model::{Computation, Network, Plan, Weights};
use epochtop::train::{Hyper, Optimizer, clip_divisor, train_step};
use tch::{Device, Kind, Tensor};

use crate::fixture::generator;

pub(crate) fn network() -> (Network, Weights, Optimizer) {
    let info = DatasetInfo {
        height: 8,
        width: 8,
        channels: 1,
        classes: vec![String::new(); 3],
        ..DatasetInfo::default()
    };
    let mut config = Config::default();
    config.model.channels = vec![4, 8];
    config.model.first_kernel = 3;
    let plan = Plan::of(&config.model, &info).unwrap();
    let weights = Weights::new(&plan, 1, Device::Cpu);
    let optimizer = Optimizer::new(&config.optim, &plan, Device::Cpu);
    (Network::new(plan), weights, optimizer)
}

const HYPER: Hyper = Hyper {
    how: Computation {
        kind: Kind::Float,
        label_smoothing: 0.1,
    },
    lr: 0.01,
    clip_norm: 1.0,
    accumulate: 1,
};

#[test]
fn a_non_finite_step_leaves_weights_optimizer_and_statistics_unchanged() {
    let _generator = generator();
    let (network, mut weights, mut optimizer) = network();
    let images = Tensor::randn([6, 1, 8, 8], (Kind::Float, Device::Cpu));
    let labels = Tensor::from_slice(&[0_i64, 1, 2, 0, 1, 2]);
    let _ = train_step(
        &network,
        &mut weights,
        &mut optimizer,
        (&images, &labels),
        HYPER,
    );
    let before = weights.snapshot();
    let memory = optimizer.snapshot();
    let bad = images.copy();
    let _ = bad.narrow(0, 0, 1).fill_(f64::NAN);
    let (mut stats, _) = train_step(
        &network,
        &mut weights,
        &mut optimizer,
        (&bad, &labels),
        HYPER,
    );
    stats.measure_update(16, &before.flat, &weights);
    let (step, ratio) = stats.update_ratio.as_ref().unwrap();
    assert!(*step == 16 && ratio.double_value(&[]).is_nan());
    assert!(!stats.loss.double_value(&[]).is_finite());
    assert!(weights.flat.equal(&before.flat) && weights.stats.equal(&before.stats));
    assert!(
        memory
            .iter()
            .zip(optimizer.snapshot())
            .all(|(a, b)| a.equal(&b))
    );
    // The next finite step is applied.
    let _ = train_step(
        &network,
        &mut weights,
        &mut optimizer,
        (&images, &labels),
        HYPER,
    );
    assert!(!weights.flat.equal(&before.flat) && !weights.stats.equal(&before.stats));
    let steps = optimizer
        .state()
        .into_iter()
        .find(|(name, _)| *name == "step");
    assert_eq!(steps.unwrap().1.double_value(&[]), 2.0);
}

#[test]
fn clipping_scales_the_gradient_down_but_never_up() {
    // torch.nn.utils.clip_grad_norm_ multiplies by max_norm / (norm + 1e-6), at most 1.
    for (norm, threshold, expected) in [
        (2.0_f32, 1.0, 2.0 + 1e-6),
        (0.5, 1.0, 1.0),
        (3.0, 0.0, 1.0),
        (3.0, 1.5, (3.0 + 1e-6) / 1.5),
    ] {
        let got = clip_divisor(&Tensor::from(norm), threshold).double_value(&[]);
        assert!(
            (got - expected).abs() < 1e-6,
            "{norm} at {threshold}: {got}"
        );
    }
}

#[test]
fn accumulation_over_equal_parts_gives_the_gradient_of_the_complete_batch() {
    // Batch norm computes its statistics per part, so the two agree only because both parts are the same images.
    let _generator = generator();
    let (network, weights, _) = network();
    let half = Tensor::randn([6, 1, 8, 8], (Kind::Float, Device::Cpu));
    let images = Tensor::cat(&[&half, &half], 0);
    let labels = Tensor::from_slice(&[0_i64, 1, 2, 0, 1, 2].repeat(2));
    let step = |accumulate, sum: &mut Vec<f32>| {
        let (mut weights, mut optimizer) = (weights.snapshot(), self::network().2);
        weights.flat = weights.flat.set_requires_grad(true);
        let hyper = Hyper {
            accumulate,
            ..HYPER
        };
        let (stats, gradient) = train_step(
            &network,
            &mut weights,
            &mut optimizer,
            (&images, &labels),
            hyper,
        );
        sum.extend(Vec::<f32>::try_from(gradient).unwrap());
        (
            stats.loss.double_value(&[]),
            stats.correct.double_value(&[]),
            stats.images,
        )
    };
    let (mut one, mut two) = (Vec::new(), Vec::new());
    let (complete, parts) = (step(1, &mut one), step(2, &mut two));
    assert!(
        (complete.0 - parts.0).abs() < 1e-6 && complete.1 == parts.1 && complete.2 == parts.2,
        "{complete:?} {parts:?}"
    );
    assert!(one.iter().zip(&two).all(|(a, b)| (a - b).abs() < 1e-5));
}
