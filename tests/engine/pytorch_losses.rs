//! Compares twenty training steps of complete networks with PyTorch: forward, backward, clipping and AdamW together.

use epochtop::config::{Config, OptimName};
use epochtop::event::DatasetInfo;
use epochtop::model::{Computation, Network, Plan, Weights};
use epochtop::train::{Hyper, Optimizer, train_step};
use tch::{Device, Kind, Tensor};

use crate::fixture::generator;

/// Written by `pytorch_losses.py` in this directory.
const LOSSES: &str = include_str!("pytorch_losses.tsv");
const BATCH: i64 = 16;

fn plan(kind: &str) -> Plan {
    let info = DatasetInfo {
        channels: 1,
        height: 28,
        width: 28,
        classes: vec![String::new(); 10],
        ..DatasetInfo::default()
    };
    let mut config = Config::default();
    config.model.channels = vec![32, 64, 128];
    config.model.residual = kind == "default";
    Plan::of(&config.model, &info).unwrap()
}

/// The initial weights, by the same formula as in the script.
fn weights(plan: &Plan) -> Weights {
    let mut place = 0;
    let mut tensors: Vec<(String, Vec<i64>, Vec<f32>)> = Vec::new();
    for parameter in &plan.parameters {
        let count = parameter.size();
        let values = if parameter.shape.len() > 1 {
            let scale = (2.0 / (count / parameter.shape[0]) as f64).sqrt();
            (place..place + count)
                .map(|i| ((i as f64 * 0.7 + 1.0).sin() * scale) as f32)
                .collect()
        } else {
            let level = match parameter.name.as_str() {
                name if name.ends_with("bias") => 0.0,
                name if name.ends_with("norm2.weight") => 0.5,
                _ => 1.0,
            };
            vec![level; count as usize]
        };
        place += count;
        tensors.push((parameter.name.clone(), parameter.shape.clone(), values));
    }
    for (name, channels) in &plan.norms {
        let of = |value| vec![value; *channels as usize];
        tensors.push((format!("{name}.running_mean"), vec![*channels], of(0.0)));
        tensors.push((format!("{name}.running_var"), vec![*channels], of(1.0)));
    }
    Weights::from_named(plan, &tensors, Device::Cpu).unwrap()
}

fn batch(step: i64) -> (Tensor, Tensor) {
    let pixels: Vec<f32> = (0..BATCH * 784)
        .map(|i| i + step * 1009)
        .map(|i| ((i * 37 + i / 784 * 11) % 256) as f32 * (2.0 / 255.0) - 1.0)
        .collect();
    let labels: Vec<i64> = (0..BATCH).map(|i| (i * 3 + step) % 10).collect();
    (
        Tensor::from_slice(&pixels).view([BATCH, 1, 28, 28]),
        Tensor::from_slice(&labels),
    )
}

#[test]
fn twenty_losses_match_pytorch() {
    let _generator = generator();
    for kind in ["textbook", "default"] {
        let expected: Vec<f64> = LOSSES
            .lines()
            .filter_map(|line| line.split_once('\t').filter(|(of, _)| *of == kind))
            .map(|(_, loss)| loss.parse().unwrap())
            .collect();
        assert_eq!(expected.len(), 20);
        let plan = plan(kind);
        for network in [Network::new(plan.clone()), Network::plain(plan.clone())] {
            let mut weights = weights(&plan);
            let mut config = Config::default().optim;
            config.name = OptimName::Adamw;
            let mut optimizer = Optimizer::new(&config, &plan, Device::Cpu);
            let hyper = Hyper {
                how: Computation {
                    kind: Kind::Float,
                    label_smoothing: 0.1,
                },
                lr: 4e-3,
                clip_norm: 1.0,
                accumulate: 1,
            };
            for (step, expected) in expected.iter().enumerate() {
                let (images, labels) = batch(step as i64);
                let (stats, _) = train_step(
                    &network,
                    &mut weights,
                    &mut optimizer,
                    (&images, &labels),
                    hyper,
                );
                let loss = stats.loss.double_value(&[]);
                // Rounding differs from the first step on, and Adam divides by small numbers, so the difference grows.
                let far = (loss - expected).abs() / expected;
                let allowed = 1e-5 * 1.3_f64.powi(step as i32);
                assert!(
                    far < allowed,
                    "{kind}, step {}: {loss}, PyTorch has {expected}: relative difference {far:e}",
                    step + 1
                );
            }
        }
    }
}
