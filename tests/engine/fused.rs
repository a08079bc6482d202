//! The fused stages compute the same as libtorch's layers and autograd.

use epochtop::config::{Config, Head, Padding};
use epochtop::event::DatasetInfo;
use epochtop::model::{Computation, Network, Plan, Weights};
use tch::{Device, Kind, Tensor};

use crate::fixture::generator;

struct Case {
    what: &'static str,
    config: Config,
    size: (u32, u32, u32),
}

/// One network for each kind of architecture that can be configured.
fn cases() -> Vec<Case> {
    let case = |what, size, change: &dyn Fn(&mut Config)| {
        let mut config = Config::default();
        config.model.channels = vec![8, 32, 48];
        change(&mut config);
        Case { what, config, size }
    };
    vec![
        case("residual, gap", (1, 12, 12), &|_| {}),
        case("textbook", (1, 28, 28), &|c| {
            c.model.residual = false;
            c.model.channels = vec![32, 64, 128];
        }),
        case("three channels, odd size", (3, 13, 11), &|_| {}),
        case("many channels in", (6, 9, 9), &|_| {}),
        case("flatten with a hidden layer", (1, 12, 12), &|c| {
            c.model.head = Head::Flatten;
        }),
        case("without padding", (1, 28, 28), &|c| {
            c.model.padding = Padding::Valid;
            c.model.residual = false;
        }),
        case("odd channels, no pool", (1, 8, 8), &|c| {
            c.model.channels = vec![5];
        }),
    ]
}

fn networks(case: &Case) -> (Network, Network, Weights) {
    let (channels, height, width) = case.size;
    let info = DatasetInfo {
        channels,
        height,
        width,
        classes: vec![String::new(); 7],
        ..DatasetInfo::default()
    };
    let plan = Plan::of(&case.config.model, &info).unwrap();
    let mut weights = Weights::new(&plan, 3, Device::Cpu);
    // Norm scales that are initialised to 0 would hide half of the gradients.
    let _guard = tch::no_grad_guard();
    weights.flat = (&weights.flat + weights.flat.randn_like() * 0.05).set_requires_grad(true);
    (Network::new(plan.clone()), Network::plain(plan), weights)
}

fn batch(case: &Case, n: i64) -> (Tensor, Tensor) {
    let (c, h, w) = case.size;
    let images = Tensor::randn(
        [n, c.into(), h.into(), w.into()],
        (Kind::Float, Device::Cpu),
    );
    let labels = Tensor::randint(7, [n], (Kind::Int64, Device::Cpu));
    (images, labels)
}

fn relative_difference(a: &Tensor, b: &Tensor) -> f64 {
    ((a - b).norm() / b.norm().clamp_min(1e-6)).double_value(&[])
}

#[test]
fn the_fused_network_equals_the_plain_one() {
    let _generator = generator();
    for case in cases() {
        tch::manual_seed(11);
        let (fused, plain, weights) = networks(&case);
        let (images, labels) = batch(&case, 10);
        let how = Computation {
            kind: Kind::Float,
            label_smoothing: 0.1,
        };
        let a = fused.gradient(&weights, &weights.stats, (&images, &labels), how);
        let b = plain.gradient(&weights, &weights.stats, (&images, &labels), how);
        for (name, a, b) in [
            ("loss", &a.loss, &b.loss),
            ("logits", &a.logits, &b.logits),
            ("gradient", &a.flat, &b.flat),
            ("statistics", &a.stats, &b.stats),
            (
                "evaluation",
                &fused.logits(&weights, &images),
                &plain.logits(&weights, &images),
            ),
        ] {
            let difference = relative_difference(a, b);
            assert!(
                difference < 2e-5,
                "{}: {name} has relative difference {difference:e}",
                case.what
            );
        }
    }
}

#[test]
fn bf16_error_is_not_larger_than_that_of_libtorch() {
    let _generator = generator();
    for case in cases() {
        tch::manual_seed(12);
        let (fused, plain, weights) = networks(&case);
        let (images, labels) = batch(&case, 16);
        let gradient = |network: &Network, kind| {
            let how = Computation {
                kind,
                label_smoothing: 0.1,
            };
            network.gradient(&weights, &weights.stats, (&images, &labels), how)
        };
        let truth = gradient(&plain, Kind::Float);
        let ours = gradient(&fused, Kind::BFloat16);
        let theirs = gradient(&plain, Kind::BFloat16);
        for (name, ours, theirs, truth) in [
            ("logits", &ours.logits, &theirs.logits, &truth.logits),
            ("gradient", &ours.flat, &theirs.flat, &truth.flat),
            ("statistics", &ours.stats, &theirs.stats, &truth.stats),
        ] {
            let (ours, theirs) = (
                relative_difference(ours, truth),
                relative_difference(theirs, truth),
            );
            assert!(
                ours < theirs * 1.5 + 1e-3,
                "{}: {name} has error {ours:.2e} in bf16, libtorch has {theirs:.2e}",
                case.what
            );
        }
    }
}

#[test]
fn our_kernels_do_not_depend_on_the_number_of_threads() {
    let _generator = generator();
    let case = &cases()[1];
    let (fused, _, weights) = networks(case);
    let (images, labels) = batch(case, 10);
    let how = Computation {
        kind: Kind::Float,
        label_smoothing: 0.0,
    };
    let with = |threads| {
        tch::set_num_threads(threads);
        fused
            .gradient(&weights, &weights.stats, (&images, &labels), how)
            .stats
    };
    let before = tch::get_num_threads();
    let (one, two) = (with(1), with(2));
    tch::set_num_threads(before);
    // Only the first layer consists entirely of our kernels; later layers contain libtorch convolutions.
    assert!(one.narrow(0, 0, 64).equal(&two.narrow(0, 0, 64)));
}
