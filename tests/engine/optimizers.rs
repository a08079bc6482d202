//! Compares every optimizer with a trace from PyTorch (Lion: from optax), and with the optimizers of `tch::nn`.

use epochtop::config::{Config, OptimConfig, OptimName};
use epochtop::train::{Group, Layout, Optimizer, clip_divisor};
use tch::nn::OptimizerConfig;
use tch::{Device, Kind, Tensor, nn};

/// 50 steps of each optimizer, written by `optimizers.py` in this directory.
const TRACES: &str = include_str!("optimizers.tsv");
const START: [f32; 4] = [0.5, -1.25, 2.0, 0.03125];
const LR: f64 = 1e-2;

fn config(name: &str) -> OptimConfig {
    let mut config = Config::default().optim;
    (config.weight_decay, config.beta1, config.beta2, config.eps) = (0.05, 0.9, 0.999, 1e-8);
    config.name = match name {
        "adamw" => OptimName::Adamw,
        "adam" => OptimName::Adam,
        _ => OptimName::Sgd,
    };
    if name == "lion" {
        (config.name, config.beta2) = (OptimName::Lion, 0.99);
    }
    config.momentum = if name == "plain" { 0.0 } else { 0.9 };
    config.nesterov = name == "nesterov";
    config
}

/// Two parameter groups: the first two weights have weight decay, the others half the learning rate.
fn groups(config: &OptimConfig) -> Vec<Group> {
    let group = |start, lr_factor, weight_decay| Group {
        ranges: vec![(start, 2)],
        lr_factor,
        weight_decay,
        layout: Layout::Elements,
    };
    vec![group(0, 1.0, config.weight_decay), group(2, 0.5, 0.0)]
}

fn gradient(theta: &Tensor, t: i32) -> Tensor {
    let goal = Tensor::from_slice(&[1.0_f32, -0.5, 3.0, 0.25]);
    let pull = Tensor::from_slice(&[1.0_f32, 2.0, 0.5, 4.0]);
    (theta - goal) * pull * 2.0 + theta.cos() * f64::from(t % 3)
}

fn numbers(tensor: &Tensor) -> Vec<f32> {
    tensor.detach().view([-1]).try_into().unwrap()
}

fn trace(name: &str) -> Vec<Vec<f32>> {
    let rows = TRACES.lines().map(|line| line.split('\t'));
    rows.filter_map(|mut row| {
        (row.next() == Some(name)).then(|| row.skip(1).map(|v| v.parse().unwrap()).collect())
    })
    .collect()
}

#[test]
fn fifty_steps_of_each_optimizer_match_the_reference() {
    for name in ["adamw", "adam", "sgd", "nesterov", "plain", "lion"] {
        let config = config(name);
        let mut optimizer = Optimizer::with_groups(&config, groups(&config), 4, Device::Cpu);
        let theta = Tensor::from_slice(&START);
        let ok = Tensor::from(true);
        let trace = trace(name);
        assert_eq!(trace.len(), 50);
        for (t, expected) in trace.iter().enumerate() {
            let gradient = gradient(&theta, t as i32);
            let divisor = clip_divisor(&gradient.norm(), 1.5);
            optimizer.step(
                &theta,
                &gradient,
                LR * (t + 1) as f64 / 50.0,
                (&divisor, &ok),
            );
            let mut got = numbers(&theta);
            for (what, tensor) in optimizer.state() {
                if what != "step" && name != "plain" {
                    got.extend(numbers(tensor));
                }
            }
            assert_eq!(got.len(), expected.len(), "{name}");
            for (a, b) in got.iter().zip(expected) {
                let step = t + 1;
                assert!(
                    (a - b).abs() <= 1e-6 * b.abs().max(1.0),
                    "{name}, step {step}: {got:?}, expected {expected:?}"
                );
            }
        }
    }
}

/// With a tall and a wide matrix only: PyTorch's Muon does not support parameters that are not matrices.
#[test]
fn fifty_steps_of_muon_match_pytorch() {
    let mut config = config("adamw");
    (config.name, config.momentum, config.nesterov) = (OptimName::Muon, 0.95, true);
    let group = Group {
        ranges: vec![(0, 6), (6, 8)],
        lr_factor: 1.0,
        weight_decay: config.weight_decay,
        layout: Layout::Matrices(vec![(3, 2), (2, 4)]),
    };
    let mut optimizer = Optimizer::with_groups(&config, vec![group], 14, Device::Cpu);
    let of = |value: fn(f64) -> f64| {
        let values: Vec<f32> = (0..14).map(|i| value(f64::from(i)) as f32).collect();
        Tensor::from_slice(&values)
    };
    let (goal, pull) = (of(|i| (2.0 * i).cos()), of(|i| 1.0 + i % 3.0));
    let theta = of(|i| (1.0 + i).sin());
    let trace = trace("muon");
    assert_eq!(trace.len(), 50);
    for (t, expected) in trace.iter().enumerate() {
        let gradient = (&theta - &goal) * &pull * 2.0 + theta.cos() * (t % 3) as f64;
        let divisor = clip_divisor(&gradient.norm(), 1.5);
        let lr = LR * (t + 1) as f64 / 50.0;
        optimizer.step(&theta, &gradient, lr, (&divisor, &Tensor::from(true)));
        let mean = optimizer.state()[0].1.shallow_clone();
        let got = [numbers(&theta), numbers(&mean)].concat();
        assert_eq!(got.len(), expected.len());
        for (a, b) in got.iter().zip(expected) {
            assert!(
                (a - b).abs() <= 1e-6 * b.abs().max(1.0),
                "step {}: {a}, expected {b}",
                t + 1
            );
        }
    }
    // A masked step changes neither weights nor momentum.
    let (before, mean) = (numbers(&theta), numbers(optimizer.state()[0].1));
    let bad = Tensor::full([14], f64::NAN, (Kind::Float, Device::Cpu));
    let no = (&Tensor::from(1.0_f32), &Tensor::from(false));
    optimizer.step(&theta, &bad, LR, no);
    assert_eq!(
        (numbers(&theta), numbers(optimizer.state()[0].1)),
        (before, mean)
    );
}

/// The optimizers of tch, which use libtorch's arithmetic, have no parameter groups by slice and no masked steps.
#[test]
fn fifty_steps_match_tch() {
    for name in ["adamw", "adam", "sgd", "nesterov"] {
        let config = config(name);
        let group = Group {
            ranges: vec![(0, 4)],
            lr_factor: 1.0,
            weight_decay: config.weight_decay,
            layout: Layout::Elements,
        };
        let mut ours = Optimizer::with_groups(&config, vec![group], 4, Device::Cpu);
        let store = nn::VarStore::new(Device::Cpu);
        let mut theirs = store.root().var_copy("theta", &Tensor::from_slice(&START));
        let (decay, momentum) = (config.weight_decay, config.momentum);
        let adam = |weight_decay| nn::Adam::default().beta1(0.9).beta2(0.999).wd(weight_decay);
        let mut optimizer = match name {
            "adamw" => nn::AdamW::default().wd(decay).build(&store, LR),
            "adam" => adam(decay).build(&store, LR),
            _ => nn::sgd(momentum, 0.0, decay, config.nesterov).build(&store, LR),
        }
        .unwrap();
        let theta = Tensor::from_slice(&START);
        for t in 0..50 {
            let one = Tensor::from(1.0_f32);
            ours.step(
                &theta,
                &gradient(&theta, t),
                LR,
                (&one, &Tensor::from(true)),
            );
            let loss = (&theirs * gradient(&theirs.detach(), t)).sum(Kind::Float);
            optimizer.backward_step(&loss);
            for (a, b) in numbers(&theta).iter().zip(numbers(&theirs)) {
                assert!(
                    (a - b).abs() <= 1e-6 * b.abs().max(1.0),
                    "{name}, step {}: {a}, tch has {b}",
                    t + 1
                );
            }
        }
        theirs = theirs.detach();
        drop(theirs);
    }
}

#[test]
fn a_masked_step_changes_neither_weights_nor_state() {
    for name in ["adamw", "adam", "sgd", "lion"] {
        let config = config(name);
        let mut optimizer = Optimizer::with_groups(&config, groups(&config), 4, Device::Cpu);
        let theta = Tensor::from_slice(&START);
        let one = Tensor::from(1.0_f32);
        let mut step = |gradient: &Tensor, ok: bool| {
            optimizer.step(&theta, gradient, LR, (&one, &Tensor::from(ok)));
            let state: Vec<_> = optimizer.snapshot().iter().map(numbers).collect();
            (numbers(&theta), state)
        };
        let before = step(&gradient(&theta, 0), true);
        let bad = Tensor::full([4], f64::NAN, (Kind::Float, Device::Cpu));
        assert_eq!(step(&bad, false), before, "{name}");
    }
}

#[test]
fn restoring_a_snapshot_reproduces_the_next_steps() {
    for name in ["adamw", "nesterov", "lion"] {
        let config = config(name);
        let mut optimizer = Optimizer::with_groups(&config, groups(&config), 4, Device::Cpu);
        let theta = Tensor::from_slice(&START);
        let mut steps = |theta: &Tensor, from: i32| {
            for t in from..from + 5 {
                let one = Tensor::from(1.0_f32);
                optimizer.step(theta, &gradient(theta, t), LR, (&one, &Tensor::from(true)));
            }
            optimizer.named_snapshot()
        };
        let saved = steps(&theta, 0);
        let middle = theta.copy();
        steps(&theta, 5);
        let end = numbers(&theta);
        let mut again = Optimizer::with_groups(&config, groups(&config), 4, Device::Cpu);
        let stored = saved.into_iter().map(|(what, tensor)| {
            let (size, values) = (tensor.size(), numbers(&tensor));
            (what.to_owned(), size, values)
        });
        again.restore_named(&stored.collect::<Vec<_>>()).unwrap();
        for t in 5..10 {
            let one = Tensor::from(1.0_f32);
            again.step(
                &middle,
                &gradient(&middle, t),
                LR,
                (&one, &Tensor::from(true)),
            );
        }
        assert_eq!(numbers(&middle), end, "{name}");
    }
}
