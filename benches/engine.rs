//! Benchmarks of the parts of a training step: loading a batch, computing the gradient, the optimizer update. Run with
//! `make bench`.

use divan::Bencher;
use epochtop::config::{Config, OptimName};
use epochtop::data::{Images, Loader};
use epochtop::event::DatasetInfo;
use epochtop::model::{Computation, Network, Plan, Weights};
use epochtop::train::{Optimizer, set_threads};
use tch::{Device, Kind, Tensor};

const BATCH: i64 = 256;

fn main() {
    let _ = set_threads(0);
    divan::main();
}

fn info() -> DatasetInfo {
    DatasetInfo {
        channels: 1,
        height: 28,
        width: 28,
        classes: vec![String::new(); 10],
        ..DatasetInfo::default()
    }
}

fn plan(residual: bool) -> Plan {
    let mut config = Config::default();
    (config.model.residual, config.model.channels) = (residual, vec![32, 64, 128]);
    // Three blocks fit 28×28 images, so `Plan::of` cannot fail here.
    Plan::of(&config.model, &info()).unwrap_or_default()
}

/// Forward and backward pass of a batch of 256, with the fused stages and with plain libtorch layers.
#[divan::bench(args = ["textbook fused f32", "textbook fused bf16", "textbook plain f32", "textbook plain bf16",
    "default fused f32", "default fused bf16", "default plain f32", "default plain bf16"], max_time = 4.0)]
fn gradient(bencher: Bencher<'_, '_>, variant: &str) {
    let plan = plan(variant.starts_with("default"));
    let weights = Weights::new(&plan, 1, Device::Cpu);
    let network = if variant.contains("fused") {
        Network::new(plan)
    } else {
        Network::plain(plan)
    };
    let images = Tensor::randn([BATCH, 1, 28, 28], (Kind::Float, Device::Cpu));
    let labels = Tensor::randint(10, [BATCH], (Kind::Int64, Device::Cpu));
    let computation = Computation {
        kind: if variant.ends_with("bf16") {
            Kind::BFloat16
        } else {
            Kind::Float
        },
        label_smoothing: 0.1,
    };
    bencher
        .counter(divan::counter::ItemsCount::new(BATCH as usize))
        .bench_local(|| {
            network.gradient(&weights, &weights.stats, (&images, &labels), computation)
        });
}

/// One optimizer update of the parameters of the default network.
#[divan::bench(args = [OptimName::Adamw, OptimName::Adam, OptimName::Sgd])]
fn update(bencher: Bencher<'_, '_>, name: OptimName) {
    let plan = plan(true);
    let mut config = Config::default().optim;
    config.name = name;
    let weights = Weights::new(&plan, 1, Device::Cpu);
    let mut optimizer = Optimizer::new(&config, &plan, Device::Cpu);
    let gradient = weights.flat.detach().randn_like();
    let (one, ok) = (Tensor::from(1.0_f32), Tensor::from(true));
    bencher.bench_local(|| optimizer.step(&weights.flat, &gradient, 1e-9, (&one, &ok)));
}

/// A batch of 256: gathered by index, augmented and normalized.
#[divan::bench(args = ["none", "flip", "all"])]
fn batch(bencher: Bencher<'_, '_>, augmentation: &str) {
    let mut data = Config::default().data;
    let config = &mut data.augment;
    (config.flip, config.shift, config.erase) = (augmentation != "none", 0, 0.0);
    if augmentation == "all" {
        (config.shift, config.rotate, config.scale, config.erase) = (2, 10.0, 0.1, 0.5);
    }
    let images = Images::in_memory(vec![100; 5000 * 784], &[0; 5000]);
    let Ok(loader) = Loader::for_training(&images, &info(), Device::Cpu, &data) else {
        return;
    };
    let indices = Tensor::randint(5000, [BATCH], (Kind::Int64, Device::Cpu));
    bencher.bench_local(|| loader.batch(&indices, &[1, 2]));
}
