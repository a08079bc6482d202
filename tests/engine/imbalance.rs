//! Uneven classes: weights in the loss, balanced sampling, and what the program says about them.

use std::process::Command;

use epochtop::config::{Config, Sampling};
use epochtop::data::order;
use epochtop::model::Computation;
use epochtop::train::{Hyper, train_step};
use tch::{Device, Kind, Tensor};

use crate::fixture::{generator, load, shapes, small_config};
use crate::masked_step::network;

const CLASS_WEIGHTS: [f64; 3] = [1.0, 5.0, 20.0];

/// Loss, logits and gradient of a step with class weights.
fn step(images: &Tensor, labels: &Tensor, accumulate: i64) -> (f64, Tensor, Tensor) {
    let (network, mut weights, mut optimizer) = network();
    let network = network.with_class_weights(Some(&CLASS_WEIGHTS), Device::Cpu);
    let how = Computation {
        kind: Kind::Float,
        label_smoothing: 0.1,
    };
    let logits = network
        .gradient(&weights, &weights.stats, (images, labels), how)
        .logits;
    let hyper = Hyper {
        how,
        lr: 0.01,
        clip_norm: 0.0,
        accumulate,
    };
    let (stats, gradient) = train_step(
        &network,
        &mut weights,
        &mut optimizer,
        (images, labels),
        hyper,
    );
    (stats.loss.double_value(&[]), logits, gradient)
}

/// The loss of `torch.nn.CrossEntropyLoss(weight, label_smoothing=0.1)`, by its documented formula: the sum over images of
/// -Σ_c w_c·y_c·ln p_c with smoothed labels y, divided by the sum of the weights of the labels.
#[test]
fn the_loss_is_weighted_as_in_pytorch() {
    let _generator = generator();
    let images = Tensor::randn([6, 1, 8, 8], (Kind::Float, Device::Cpu));
    let labels = [0_usize, 0, 0, 1, 2, 1];
    let tensor = Tensor::from_slice(&labels.map(|label| label as i64));
    let (loss, logits, _) = step(&images, &tensor, 1);
    let logits: Vec<Vec<f64>> = logits.to_kind(Kind::Double).try_into().unwrap();
    let (mut sum, mut total) = (0.0, 0.0);
    for (row, label) in logits.iter().zip(labels) {
        let most = row.iter().copied().fold(f64::MIN, f64::max);
        let norm = most + row.iter().map(|x| (x - most).exp()).sum::<f64>().ln();
        for (class, (x, weight)) in row.iter().zip(CLASS_WEIGHTS).enumerate() {
            let target = 0.1 / 3.0 + if class == label { 0.9 } else { 0.0 };
            sum -= weight * target * (x - norm);
        }
        total += CLASS_WEIGHTS[label];
    }
    let expected = sum / total;
    assert!((loss - expected).abs() < 1e-5, "{loss} {expected}");
}

/// A part with rare classes counts more than one with frequent classes.
#[test]
fn accumulated_parts_are_weighted_by_their_classes() {
    let _generator = generator();
    // With the same images in both parts, batch norm computes the same statistics for a part as for the batch.
    let half = Tensor::randn([6, 1, 8, 8], (Kind::Float, Device::Cpu));
    let images = Tensor::cat(&[&half, &half], 0);
    let labels = Tensor::from_slice(&[0_i64, 0, 0, 0, 1, 0, 2, 2, 2, 1, 1, 2]);
    let (loss, _, gradient) = step(&images, &labels, 1);
    let (parts_loss, _, parts_gradient) = step(&images, &labels, 2);
    assert!((loss - parts_loss).abs() < 1e-5, "{loss} {parts_loss}");
    let difference = (&gradient - &parts_gradient).norm().double_value(&[]);
    assert!(difference < 1e-4 * gradient.norm().double_value(&[]));
}

#[test]
fn balanced_sampling_draws_each_class_equally_often() {
    let dir = tempfile::tempdir().unwrap();
    shapes(dir.path());
    let mut config = small_config(dir.path());
    let dataset = load(&config);
    let counts = |config: &Config| {
        let mut counts = [0_usize; 3];
        for image in order(config, &dataset, 3) {
            counts[usize::from(dataset.train.labels[image as usize])] += 1;
        }
        counts
    };
    let natural = counts(&config);
    config.data.sampling = Sampling::Balanced;
    let balanced = counts(&config);
    assert_eq!(
        natural.iter().sum::<usize>(),
        balanced.iter().sum::<usize>()
    );
    let spread = |counts: [usize; 3]| counts.iter().max().unwrap() - counts.iter().min().unwrap();
    assert!(spread(balanced) <= 1, "{natural:?} {balanced:?}");
}

#[test]
fn a_wrong_number_of_class_weights_is_refused_before_anything_is_created() {
    let dir = tempfile::tempdir().unwrap();
    shapes(dir.path());
    let output = Command::new(env!("CARGO_BIN_EXE_epochtop"))
        .args(["train", "--headless", "--data"])
        .arg(dir.path())
        .args([
            "--set",
            "data.valid=100",
            "--set",
            "train.class_weights=[1.0, 2.0]",
        ])
        .arg("--runs")
        .arg(dir.path().join("runs"))
        .output()
        .unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{error}");
    assert!(
        error.contains("train.class_weights has 2 values, but the data have"),
        "{error}"
    );
    assert!(!dir.path().join("runs").exists());
}
