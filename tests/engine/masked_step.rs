//! A step that is not finite changes nothing.

use epochtop::config::Config;
use epochtop::event::DatasetInfo;
use epochtop::model::{Network, Plan, Weights};
use epochtop::train::{AdamW, Hyper, clip_coefficient, train_step};
use tch::{Device, Kind, Tensor};

use crate::fixture::generator;

fn network() -> (Network, Weights, AdamW) {
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
    let optimizer = AdamW::new(&config.optim, &plan, Device::Cpu);
    (Network::new(plan), weights, optimizer)
}

const HYPER: Hyper = Hyper {
    kind: Kind::Float,
    lr: 0.01,
    label_smoothing: 0.1,
    clip_norm: 1.0,
};

#[test]
fn a_nan_leaves_weights_optimizer_and_statistics_bit_identical() {
    let _generator = generator();
    let (network, mut weights, mut optimizer) = network();
    let images = Tensor::randn([6, 1, 8, 8], (Kind::Float, Device::Cpu));
    let labels = Tensor::from_slice(&[0_i64, 1, 2, 0, 1, 2]);
    train_step(
        &network,
        &mut weights,
        &mut optimizer,
        (&images, &labels),
        HYPER,
    );
    let before = weights.snapshot();
    let memory = [
        &optimizer.state().exp_avg,
        &optimizer.state().exp_avg_sq,
        &optimizer.state().steps,
    ]
    .map(Tensor::copy);
    let bad = images.copy();
    let _ = bad.narrow(0, 0, 1).fill_(f64::NAN);
    let stats = train_step(
        &network,
        &mut weights,
        &mut optimizer,
        (&bad, &labels),
        HYPER,
    );
    assert!(!stats.loss.double_value(&[]).is_finite());
    assert!(weights.flat.equal(&before.flat) && weights.stats.equal(&before.stats));
    let after = [
        &optimizer.state().exp_avg,
        &optimizer.state().exp_avg_sq,
        &optimizer.state().steps,
    ];
    assert!(memory.iter().zip(after).all(|(a, b)| a.equal(b)));
    // And the step after it counts again.
    train_step(
        &network,
        &mut weights,
        &mut optimizer,
        (&images, &labels),
        HYPER,
    );
    assert!(!weights.flat.equal(&before.flat) && !weights.stats.equal(&before.stats));
    assert_eq!(optimizer.state().steps.double_value(&[]), 2.0);
}

#[test]
fn the_gradient_is_scaled_to_the_threshold_and_never_up() {
    // torch.nn.utils.clip_grad_norm_: coefficient = max_norm / (norm + 1e-6), at most 1
    for (norm, threshold, expected) in [
        (2.0_f32, 1.0, 1.0 / (2.0 + 1e-6)),
        (0.5, 1.0, 1.0),
        (3.0, 0.0, 1.0),
    ] {
        let got = clip_coefficient(&Tensor::from(norm), threshold).double_value(&[]);
        assert!(
            (got - expected).abs() < 1e-6,
            "{norm} at {threshold}: {got}"
        );
    }
}
