//! A loaded checkpoint is the network that was saved.

use epochtop::checkpoint::decode;
use epochtop::config::Config;
use epochtop::event::DatasetInfo;
use epochtop::metrics::Measure;
use epochtop::model::{Network, Plan, Weights};
use tch::{Device, Kind, Tensor};

use crate::fixture::{generator, load, shapes, small_config, train};

#[test]
fn a_saved_network_gives_the_same_logits() {
    let data = tempfile::tempdir().unwrap();
    shapes(data.path());
    let mut config = small_config(data.path());
    config.train.epochs = 1;
    let dir = tempfile::tempdir().unwrap();
    let story = train(&config, dir.path(), |_| Vec::new());
    let dataset = load(&config);
    let plan = Plan::of(&config.model, &dataset.info).unwrap();
    let bytes = std::fs::read(
        dir.path()
            .join("checkpoints/step-000000016/model.safetensors"),
    )
    .unwrap();
    let weights = Weights::from_named(&plan, &decode(&bytes).unwrap(), Device::Cpu).unwrap();
    let loader = epochtop::data::Loader::new(&dataset.test, &dataset.info, Device::Cpu).unwrap();
    let logits = Network::new(plan).logits(&weights, &loader.run(0, loader.len()).unwrap());
    let predicted: Vec<i64> = logits.argmax(1, false).try_into().unwrap();
    let correct = predicted
        .iter()
        .zip(&dataset.test.labels)
        .filter(|(p, l)| **p == i64::from(**l))
        .count();
    let reported = story
        .state
        .test
        .latest
        .expect("the run ends with a test-set evaluation")
        .value(Measure::Accuracy);
    assert!(
        (correct as f64 / predicted.len() as f64 - reported).abs() < 1e-12,
        "{correct} predictions are correct, but the run reported an accuracy of {reported}"
    );
}

/// The default network for images with the shape of Fashion-MNIST.
fn default_plan() -> (DatasetInfo, Plan) {
    let classes = vec![String::new(); 10];
    let info = DatasetInfo {
        height: 28,
        width: 28,
        channels: 1,
        classes,
        ..DatasetInfo::default()
    };
    let plan = Plan::of(&Config::default().model, &info).unwrap();
    (info, plan)
}

#[test]
fn weights_round_trip_exactly_and_other_architectures_are_refused() {
    let _generator = generator();
    let (info, plan) = default_plan();
    let weights = Weights::new(&plan, 3, Device::Cpu);
    let named = weights.named(&plan);
    let back = Weights::from_named(&plan, &named, Device::Cpu).unwrap();
    assert!(back.flat.equal(&weights.flat) && back.stats.equal(&weights.stats));
    let mut other = Config::default().model;
    other.channels = vec![32, 64, 96];
    let other = Plan::of(&other, &info).unwrap();
    let error = Weights::from_named(&other, &named, Device::Cpu).unwrap_err();
    assert!(
        error.0.contains("blocks.2.conv.weight") && error.0.contains("[96, 64, 3, 3]"),
        "{error}"
    );
    assert!(
        Weights::from_named(&plan, &named[1..], Device::Cpu)
            .unwrap_err()
            .0
            .contains("missing")
    );
}

#[test]
fn initial_weights_depend_only_on_the_seed() {
    let _generator = generator();
    let (_, plan) = default_plan();
    let one = Weights::new(&plan, 1, Device::Cpu);
    let _ = Tensor::rand([7], (Kind::Float, Device::Cpu));
    assert!(one.flat.equal(&Weights::new(&plan, 1, Device::Cpu).flat));
    assert!(!one.flat.equal(&Weights::new(&plan, 2, Device::Cpu).flat));
}
